//! The disk itself. A directory is opened once, and every file through it, so that nobody can put another in its place.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::process::{Resource, geteuid, getrlimit};

use super::fs::{Dir, File, Fs, Names};
use crate::process::OwnFile;

/// Rights of anybody but the owner.
const OTHERS: u32 = 0o077;

pub(crate) struct Disk;

impl Fs for Disk {
    fn directory(&self, path: &Path) -> io::Result<Box<dyn Dir>> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::DirBuilder::new().mode(0o700).create(path)?;
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => refused("it is no directory, but a link or a file"),
            error => error.into(),
        })?;
        let about = fs::File::from(opened);
        let (mode, owner) = about.metadata().map(|about| (about.mode(), about.uid()))?;
        if owner != geteuid().as_raw() {
            return Err(refused(
                "it belongs to another user; name one that is made anew, such as a directory within it",
            ));
        }
        if mode & OTHERS != 0 {
            return Err(refused(&format!(
                "others may look into it (mode {:o}, not 700); name one that is made anew, such as a directory within it",
                mode & 0o7777
            )));
        }
        Ok(Box::new(DiskDir(about.into())))
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

struct DiskDir(OwnedFd);

impl DiskDir {
    fn open_with(&self, name: &str, flags: OFlags) -> io::Result<Box<dyn File>> {
        // Without NONBLOCK a pipe would keep us waiting for its other end.
        let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => fs::File::from(file),
            Err(rustix::io::Errno::LOOP) => return Err(refused("it is a link")),
            Err(rustix::io::Errno::ISDIR | rustix::io::Errno::NXIO) => return Err(refused("it is no plain file")),
            Err(error) => return Err(error.into()),
        };
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(refused("it is no plain file"));
        }
        if about.nlink() > 1 {
            return Err(refused("it has another name elsewhere"));
        }
        if about.uid() != geteuid().as_raw() || about.mode() & OTHERS != 0 {
            return Err(refused("it belongs to another user, or others may read it"));
        }
        Ok(Box::new(DiskFile(OwnFile::new(file))))
    }
}

impl Dir for DiskDir {
    fn list(&self) -> io::Result<Names> {
        let names = rustix::fs::Dir::read_from(&self.0)?;
        Ok(Box::new(names.filter_map(|entry| match entry {
            Ok(entry) => entry.file_name().to_str().ok().map(|name| Ok(name.to_owned())),
            Err(error) => Some(Err(error.into())),
        })))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.open_with(name, OFlags::CREATE | OFlags::EXCL)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.open_with(name, OFlags::empty())
    }

    fn look_at(&self, name: &str) -> io::Result<(i64, u64)> {
        let about = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let nanos = (about.st_mtime as i64).saturating_mul(1_000_000_000).saturating_add(about.st_mtime_nsec as i64);
        Ok((nanos, about.st_size as u64))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    fn free(&self) -> io::Result<u64> {
        let about = rustix::fs::fstatvfs(&self.0)?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

struct DiskFile(OwnFile);

impl File for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.get()?.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.get()?.read_at(into, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        // Beyond this limit a write does not only fail: it raises a signal that ends the process.
        if getrlimit(Resource::Fsize).current.is_some_and(|most| at.saturating_add(bytes.len() as u64) > most) {
            return Err(rustix::io::Errno::FBIG.into());
        }
        self.0.get()?.write_at(bytes, at)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.get()?.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.get()?.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        let file = self.0.get()?;
        match file.try_lock() {
            Ok(()) => self.0.is_locked(),
            Err(fs::TryLockError::WouldBlock) => return Ok(false),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // Who held it before may have removed it meanwhile.
        Ok(file.metadata()?.nlink() > 0)
    }
}

//! The ring's file: made in a directory of ours alone, allocated before it is mapped, and locked for life.
//!
//! A file that is there already is never mapped, whatever it is called: another process could cut it, and this one would
//! die of that. Its blocks are allocated first, because a page for which a file system has no block kills as well.

use std::fs::{DirBuilder, File};
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use super::header::Header;
use crate::capture::now_nanos;
use crate::process::OwnFile;
use crate::resource::Resource;

/// What a ring ends with, and one that is not complete yet.
pub(super) const SUFFIX: &str = ".ring";
pub(super) const SUFFIX_NEW: &str = ".ring-new";

const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
/// Where another machine may change a file, or a mapped one is not what others see: NFS, FUSE, SMB, CIFS, 9p, Ceph, AFS.
const FAR: [u64; 7] = [0x6969, 0x6573_5546, 0xfe53_4d42, 0xff53_4d42, 0x0102_1997, 0x00c3_6400, 0x5346_414f];

/// A directory that is ours, and ours alone.
pub(super) struct Private {
    pub(super) dir: OwnedFd,
    pub(super) path: PathBuf,
}

impl Private {
    /// Opens it; with `make`, makes it where there is none.
    pub(super) fn open(path: &Path, make: bool) -> Result<Self, String> {
        let said = |error: &dyn std::fmt::Display| format!("the directory {}: {error}", path.display());
        if make {
            // Fails as well where something else has that name; that is said when it is opened.
            let made = DirBuilder::new().mode(0o700).recursive(true).create(path);
            made.or_else(|error| if path.exists() { Ok(()) } else { Err(error) }).map_err(|error| said(&error))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| said(&error))?;
        let stat = rustix::fs::fstat(&dir).map_err(|error| said(&error))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(said(&format!("it belongs to user {}, not to this process's", stat.st_uid)));
        }
        if stat.st_mode & 0o077 != 0 {
            return Err(said(&format!("others may enter it (mode {:03o}); it must be 0700", stat.st_mode & 0o777)));
        }
        Ok(Self { dir, path: path.to_owned() })
    }

    /// Opens one of its files, if it is a regular one that belongs to us and has no other name.
    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(&self.dir, name, flags, Mode::empty())?);
        let stat = rustix::fs::fstat(&file)?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
            return Err(io::Error::other("it is no regular file"));
        }
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_nlink != 1 {
            return Err(io::Error::other("it belongs to another user, or has another name as well"));
        }
        Ok(file)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.dir, name, AtFlags::empty())?)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.dir, from, &self.dir, to)?)
    }

    /// The names of its files that end with `suffix`, in their order.
    pub(super) fn names(&self, suffix: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string().ok().filter(|name| name.ends_with(suffix)));
        }
        names.sort();
        Ok(names)
    }
}

/// A file that this process made in this run, and holds the lock of.
pub(super) struct Made {
    file: OwnFile,
    header: Header,
    private: Private,
    name: String,
}

impl Made {
    /// The same file, opened once more, without the lock. What is mapped is this one: a forked child has the mapping as well,
    /// which would keep the lock for as long as it lives.
    pub(super) fn to_map(&self) -> io::Result<File> {
        let (ours, again) = (self.file.get()?, self.private.file(&self.name)?);
        let (ours, there) = (rustix::fs::fstat(&*ours)?, rustix::fs::fstat(&again)?);
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino) {
            return Err(io::Error::other("another file has taken its name"));
        }
        Ok(again)
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn dir(&self) -> &Path {
        &self.private.path
    }

    /// Nothing is to be found there.
    pub(super) fn remove(&self) {
        // Gone already, at worst.
        let _ = self.private.remove(&self.name);
    }
}

/// Makes the file; also a remark on the file system, where it is not one in memory.
pub(super) fn make(
    dir: &Path,
    incarnation: u128,
    resource: &Resource,
    bytes: usize,
) -> Result<(Made, Option<String>), String> {
    let private = Private::open(dir, true)?;
    let system = rustix::fs::fstatfs(&private.dir).map_err(|error| error.to_string())?.f_type as u64 & 0xffff_ffff;
    if FAR.contains(&system) {
        let path = private.path.display();
        return Err(format!("the directory {path} is on a network or user-space file system, where a ring cannot be"));
    }
    let remark = (![TMPFS, RAMFS].contains(&system)).then(|| {
        let path = private.path.display();
        format!("the ring in {path} is not on tmpfs: a busy disk can hold up the threads that log")
    });

    let salt = RandomState::new().hash_one(incarnation);
    let header = Header::new(incarnation, resource, salt, now_nanos(), bytes).ok_or("the resource is too long")?;
    let (name, new) = (format!("{incarnation:032x}{SUFFIX}"), format!("{incarnation:032x}{SUFFIX_NEW}"));
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let said = |what: &str, error: &dyn std::fmt::Display| {
        format!("{what} in {} ({} bytes): {error}", private.path.display(), header.file_bytes())
    };
    let file = rustix::fs::openat(&private.dir, new.as_str(), flags, Mode::RUSR | Mode::WUSR)
        .map_err(|error| said("no file can be made", &error))?;
    let file = File::from(file);
    // Under its final name only once it is locked and complete: whoever finds it unlocked takes it for a dead one's.
    let ready = file
        .try_lock()
        .map_err(io::Error::from)
        .and_then(|()| allocate(&file, header.file_bytes() as u64))
        .and_then(|()| file.write_all_at(&header.encode(), 0))
        .and_then(|()| private.rename(&new, &name));
    if let Err(error) = ready {
        let _ = private.remove(&new);
        return Err(said("no room for a ring", &error));
    }
    let file = OwnFile::new(file);
    file.is_locked();
    Ok((Made { file, header, private, name }, remark))
}

fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file.as_fd(), FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = vec![0; 1 << 16];
            let mut at = 0;
            while at < bytes {
                let len = zeros.len().min((bytes - at) as usize);
                file.write_all_at(&zeros[..len], at)?;
                at += len as u64;
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

//! The file that keeps records which a store rejected: one JSON object a line, with the reason.
//!
//! ```text
//! {"rejected":"2026-11-24T08:00:00.123456789Z","destination":"loki","reason":"status 400: …","record":{"time":…}}
//! ```
//!
//! Destinations and processes may share it: each line is one `write` that appends. It is ours alone to read (0600), no link
//! is followed, and anything but a regular file is refused. At [`MOST`] it becomes `FILE.1`, in place of an older one. What
//! goes wrong costs the copy, never the lane; the books do not change with it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Lane;
use super::job::Job;
use crate::backend::{json, ndjson_object};
use crate::clock;
use crate::contain::contained;
use crate::frame::RecordRef;
use crate::voice::Topic;

/// A file that has this many bytes gets no further line.
const MOST: u64 = 16 << 20;

pub(super) struct Quarantine {
    path: PathBuf,
    most: u64,
    /// A line was not written to its end: the next one begins on a line of its own.
    is_torn: bool,
}

impl Quarantine {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, most: MOST, is_torn: false }
    }

    /// Appends these lines, up to the first that cannot be.
    fn append(&mut self, lines: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        let mut file = self.open()?;
        for line in lines {
            if file.metadata()?.len() >= self.most {
                self.set_aside(&file)?;
                file = self.open()?;
            }
            self.write(&mut file, line)?;
        }
        Ok(())
    }

    /// In one piece, so not by `write_all`: the rest of a line would come behind one of another process.
    fn write(&mut self, file: &mut File, mut line: Vec<u8>) -> io::Result<()> {
        if self.is_torn {
            line.insert(0, b'\n');
        }
        self.is_torn = true;
        self.is_torn = file.write(&line)? < line.len();
        if self.is_torn { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Makes it `FILE.1`. Only one of several who want that does it: who holds the lock of the file that stands there.
    fn set_aside(&self, file: &File) -> io::Result<()> {
        if file.try_lock().is_err() || !is_at(file, &self.path)? {
            return Ok(());
        }
        let mut aside = OsString::from(&self.path);
        aside.push(".1");
        std::fs::rename(&self.path, aside)
    }

    #[cfg(unix)]
    fn open(&self) -> io::Result<File> {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

        use rustix::fs::{Mode, OFlags, open};
        // A pipe must not be waited for.
        let flags =
            OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(open(&self.path, flags, Mode::RUSR | Mode::WUSR)?);
        let found = file.metadata()?;
        if !found.is_file() || found.nlink() > 1 {
            return Err(io::Error::other("it is not a regular file of its own"));
        }
        if found.mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }

    #[cfg(not(unix))]
    fn open(&self) -> io::Result<File> {
        File::options().append(true).create(true).open(&self.path)
    }
}

/// Whether this file still stands there.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (this, there) = (file.metadata()?, std::fs::symlink_metadata(path)?);
    Ok((this.dev(), this.ino()) == (there.dev(), there.ino()))
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

impl Lane {
    /// Keeps all records of the next request, which the store rejected for that.
    pub(super) fn quarantine_next(&mut self, job: &Job, reason: &str, now: Instant) {
        if self.quarantine.is_some() {
            let all: Vec<_> = (0..job.next_len()).map(|at| (at, reason)).collect();
            self.quarantine(job, &all, now);
        }
    }

    /// Keeps these records of the next request, by their place in it, with the reason of each.
    pub(super) fn quarantine(&mut self, job: &Job, rejected: &[(usize, &str)], now: Instant) {
        let Some(mut quarantine) = self.quarantine.take() else { return };
        let records: Vec<_> = job.next().records().collect();
        let resource = &job.stored().origin().resource;
        let named = rejected.iter().filter_map(|(at, reason)| Some((records.get(*at)?, *reason)));
        let line = |(record, reason)| contained(|| line(&self.parts.name, reason, record, resource)).ok();
        let mut lines = named.filter_map(line).peekable();
        let kept = lines.peek().is_some().then(|| quarantine.append(lines));
        let topic = Topic::at("quarantine", self.parts.index);
        let (name, path) = (&self.parts.name, quarantine.path.display());
        match kept {
            Some(Err(why)) => {
                let text =
                    || format!("records that {name} rejected are not kept in {path} (LOGCHUTE_QUARANTINE): {why}");
                self.parts.voice.say(topic, text, now);
            }
            Some(Ok(())) => {
                self.parts.voice.recovered(topic, || format!("records that {name} rejected are kept in {path} again"));
            }
            None => {}
        }
        self.quarantine = Some(quarantine);
    }
}

fn line(destination: &str, reason: &str, record: &RecordRef<'_>, resource: &crate::resource::Resource) -> Vec<u8> {
    let mut line = Vec::with_capacity(512);
    json::object(&mut line, |object| {
        object.rfc3339("rejected", clock::nanos());
        object.str("destination", destination);
        object.str("reason", reason);
    });
    line.pop();
    line.extend_from_slice(b",\"record\":");
    ndjson_object(&mut line, record, resource);
    line.extend_from_slice(b"}\n");
    line
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// A directory of its own, removed at the end.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("logchute-quarantine-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    impl Quarantine {
        fn add(&mut self, line: &str) -> io::Result<()> {
            self.append(std::iter::once(line.as_bytes().to_vec()))
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn p11_it_is_ours_alone_to_read() {
        let dir = Dir::new("private");
        let path = dir.path("q");
        Quarantine::at(path.clone()).add("one\n").unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        Quarantine::at(path.clone()).add("two\n").unwrap();
        assert_eq!((mode(&path), dir.text("q")), (0o600, "one\ntwo\n".to_owned()));
    }

    #[test]
    fn p11_what_was_planted_is_neither_followed_nor_waited_for() {
        let dir = Dir::new("planted");
        let victim = dir.path("victim");
        fs::write(&victim, "theirs").unwrap();
        symlink(&victim, dir.path("symlink")).unwrap();
        fs::hard_link(&victim, dir.path("hard_link")).unwrap();
        fs::create_dir(dir.path("folder")).unwrap();
        let fifo = dir.path("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        for name in ["symlink", "hard_link", "folder", "fifo", "none/q"] {
            assert!(Quarantine::at(dir.path(name)).add("x\n").is_err(), "{name}");
        }
        assert!(Quarantine::at("/dev/null".into()).add("x\n").is_err());
        assert_eq!(dir.text("victim"), "theirs");
    }

    #[test]
    fn s10_it_is_bounded_however_many_write_and_loses_no_line_of_the_last_two_files() {
        let dir = Dir::new("bounded");
        let line = |n: usize| format!("{n:09}\n");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = dir.path("q");
                scope.spawn(move || {
                    let mut quarantine = Quarantine { most: 10_000, ..Quarantine::at(path) };
                    (0..30).for_each(|n| {
                        let lines = (0..10).map(|at| line(writer * 300 + n * 10 + at).into_bytes());
                        quarantine.append(lines).unwrap();
                    });
                });
            }
        });
        // Twelve thousand bytes: one file was full, and was set aside once.
        let (aside, now) = (dir.text("q.1"), dir.text("q"));
        assert!(aside.len() >= 10_000 && aside.len() <= 10_000 + 4 * 10, "{}", aside.len());
        let mut lines: Vec<_> = aside.lines().chain(now.lines()).map(|line| line.parse::<usize>().unwrap()).collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..1_200).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_cannot_be_set_aside_grows_no_further() {
        let dir = Dir::new("stuck");
        fs::create_dir(dir.path("q.1")).unwrap();
        let mut quarantine = Quarantine { most: 10, ..Quarantine::at(dir.path("q")) };
        quarantine.add("0123456789\n").unwrap();
        assert!(quarantine.add("x\n").is_err());
        assert_eq!(dir.text("q"), "0123456789\n");
        fs::remove_dir(dir.path("q.1")).unwrap();
        quarantine.add("x\n").unwrap();
        assert_eq!(dir.text("q"), "x\n");
    }

    #[test]
    fn after_a_line_that_is_torn_the_next_stands_on_its_own() {
        let dir = Dir::new("torn");
        fs::write(dir.path("q"), "{\"half").unwrap();
        let mut quarantine = Quarantine { is_torn: true, ..Quarantine::at(dir.path("q")) };
        quarantine.add("{}\n").unwrap();
        quarantine.add("{}\n").unwrap();
        assert_eq!(dir.text("q"), "{\"half\n{}\n{}\n");
    }
}

//! All that the spool asks of the disk, so that a test can stand in its way.

use std::io;
use std::path::Path;

/// A file system.
pub(crate) trait Fs: Send + Sync {
    /// Opens a directory that nobody else can look into, and makes it first if it is not there.
    fn directory(&self, path: &Path) -> io::Result<Box<dyn Dir>>;
}

/// What [`Dir::list`] gives.
pub(crate) type Names = Box<dyn Iterator<Item = io::Result<String>> + Send>;

/// A directory; names are of files in it.
pub(crate) trait Dir: Send + Sync {
    /// The names of all that is in it; those that are no text are left out.
    fn list(&self) -> io::Result<Names>;
    /// Makes a file that is not there yet, for its owner alone.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Opens a file to read and to write. What is no plain file of our own is refused with
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied).
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// When it was last changed, in nanoseconds since 1970, and its length.
    fn look_at(&self, name: &str) -> io::Result<(i64, u64)>;
    /// In place of what has that name now, if anything.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn unlink(&self, name: &str) -> io::Result<()>;
    /// Bytes that are free to us.
    fn free(&self) -> io::Result<u64>;
    /// Makes its names safe from a loss of power.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub(crate) trait File: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// As `pread`: may give less than was asked for.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;
    /// As `pwrite`: may take less than was given.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes its bytes safe from a loss of power.
    fn sync(&self) -> io::Result<()>;
    /// Whether it is ours alone from now on, until it is closed; not where it has no name any more.
    fn try_lock(&self) -> io::Result<bool>;
}

/// Writes all of it, however often the system has to be asked.
pub(super) fn write_all(file: &dyn File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                at += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `into` is full or the file ends; returns how much there was.
pub(super) fn read_full(file: &dyn File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

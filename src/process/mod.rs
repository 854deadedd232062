//! Which process this is: the one that made the first pipeline, or a forked child of it.
//!
//! A fork copies the memory and one thread alone. Locks that other threads held at that moment are never released in the
//! child, those of the standard library around stdout and stderr included. What may have to write there asks here first.

#[cfg(unix)]
mod locked;

use std::io;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::tee::Stream;
#[cfg(unix)]
pub(crate) use locked::{OwnFile, let_go};

/// The process that made the first pipeline; 0 before that.
static FIRST: AtomicU32 = AtomicU32::new(0);

/// A pipeline is made in this process.
pub(crate) fn remember() {
    // Made at its first use, and asked for at the end of the process: a fork in that moment would leave it half made in the
    // child, whose exit then waits for ever.
    let _ = io::stdout();
    let _ = FIRST.compare_exchange(0, process::id(), Ordering::AcqRel, Ordering::Relaxed);
}

/// Whether this is a forked child, of any generation, of a process that had a pipeline.
pub(crate) fn is_child() -> bool {
    let first = FIRST.load(Ordering::Acquire);
    first != 0 && first != process::id()
}

/// Writes without any lock, and past any buffer.
#[cfg(unix)]
pub(crate) fn write_unlocked(stream: Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let wrote = match stream {
            Stream::Stdout => rustix::io::write(rustix::stdio::stdout(), bytes),
            Stream::Stderr => rustix::io::write(rustix::stdio::stderr(), bytes),
        };
        match wrote {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// There are no forked children here.
#[cfg(not(unix))]
pub(crate) fn write_unlocked(_: Stream, _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There are no forked children here.
#[cfg(not(unix))]
pub(crate) fn let_go() {}

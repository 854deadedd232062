//! Lines on stdout or stderr that hold nobody up: what cannot be taken at once waits.
//!
//! They are written in pieces that a pipe takes whole, each only when the stream says that it has room, past the locks
//! of the standard library: an application may hold that of stdout for as long as it runs. A line that is longer than a
//! piece may be torn where others write to a pipe that is full.

use std::io;
use std::time::{Duration, Instant};

use super::{Stream, Tee, TeeTo};
use crate::frame::RecordRef;
use crate::resource::Resource;

/// What a pipe takes in one piece (`PIPE_BUF` on Linux), and says that it has room for.
const PIECE: usize = 4096;

pub(crate) struct FallbackTee {
    tee: Tee,
    lines: Vec<u8>,
    /// How much of that is written.
    written: usize,
    /// Nobody reads there any more.
    is_broken: bool,
}

impl FallbackTee {
    pub(crate) fn new(to: TeeTo) -> Self {
        Self { tee: Tee::new(to), lines: Vec::new(), written: 0, is_broken: false }
    }

    pub(crate) fn stream(&self) -> Stream {
        self.tee.to.stream
    }

    pub(crate) fn add(&mut self, record: &RecordRef<'_>, resource: &Resource) {
        self.tee.format(&mut self.lines, record, resource);
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lines.len() - self.written
    }

    /// A write failed; nothing more is written until [`mended`](Self::mended).
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    pub(crate) fn mended(&mut self) {
        self.is_broken = false;
    }

    /// Writes what the stream takes, waiting until `until` at most; says whether nothing is left.
    pub(crate) fn write(&mut self, until: Option<Instant>) -> bool {
        while self.waiting() > 0 && !self.is_broken {
            if !has_room(self.stream(), until) {
                return false;
            }
            let rest = &self.lines[self.written..];
            match write(self.stream(), piece(rest)) {
                Ok(0) | Err(_) => self.is_broken = true,
                Ok(written) => self.written += written,
            }
        }
        self.lines.clear();
        self.lines.shrink_to(16 * PIECE);
        self.written = 0;
        true
    }
}

/// Whole lines, as far as they fit.
fn piece(rest: &[u8]) -> &[u8] {
    let most = &rest[..rest.len().min(PIECE)];
    if most.len() == rest.len() {
        return rest;
    }
    let end = most.iter().rposition(|&byte| byte == b'\n');
    &most[..end.map_or(PIECE, |end| end + 1)]
}

#[cfg(unix)]
fn has_room(stream: Stream, until: Option<Instant>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let wait = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
    let wait = Timespec { tv_sec: wait.as_secs() as _, tv_nsec: wait.subsec_nanos().into() };
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let fd = match stream {
        Stream::Stdout => PollFd::new(&stdout, PollFlags::OUT),
        Stream::Stderr => PollFd::new(&stderr, PollFlags::OUT),
    };
    // What is said besides, that nobody reads for instance, is an error of the write.
    poll(&mut [fd], Some(&wait)).is_ok_and(|ready| ready > 0)
}

#[cfg(unix)]
fn write(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    let written = match stream {
        Stream::Stdout => rustix::io::write(io::stdout(), bytes),
        Stream::Stderr => rustix::io::write(io::stderr(), bytes),
    };
    Ok(written?)
}

#[cfg(not(unix))]
fn has_room(_: Stream, _: Option<Instant>) -> bool {
    let _ = Duration::ZERO;
    true
}

#[cfg(not(unix))]
fn write(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    use std::io::Write as _;
    match stream {
        Stream::Stdout => io::stdout().lock().write_all(bytes)?,
        Stream::Stderr => io::stderr().lock().write_all(bytes)?,
    }
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_whole_lines_unless_one_is_longer_than_it() {
        let line = |len: usize| format!("{}\n", "x".repeat(len - 1));
        for (lines, first) in [
            (vec![10], 10),
            (vec![4096], 4096),
            (vec![4000, 96, 10], 4096),
            (vec![4000, 97, 10], 4000),
            (vec![1, 4096], 1),
            (vec![5000, 10], 4096),
        ] {
            let all: String = lines.iter().map(|&len| line(len)).collect();
            assert_eq!(piece(all.as_bytes()).len(), first, "{lines:?}");
        }
        assert_eq!(piece(b""), b"");
    }
}

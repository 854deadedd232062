//! The copy of the records on stdout or stderr, for `kubectl logs` and for node agents.
//!
//! [`Tee::format`] makes one record readable, [`Tee::write`] writes it in one piece. Neither panics; a write
//! that fails is an error that the caller counts. Who calls them, the application's thread or the worker, is
//! decided elsewhere.

mod direct;
mod fallback;
mod json;
mod on_worker;
mod text;
mod time;

use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use crate::frame::RecordRef;
use crate::process;
use crate::resource::Resource;
pub(crate) use direct::Direct;
pub(crate) use fallback::FallbackTee;
pub(crate) use on_worker::WorkerTee;

/// Which of the process's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stream {
    /// Standard output, where node agents look first.
    Stdout,
    /// Standard error, which leaves the output of a command-line program clean.
    Stderr,
}

/// How a record looks there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// For the eye: `2026-11-24T08:00:00.123456Z  INFO outer:inner target: message key=value`.
    Text,
    /// One JSON object a line, with the keys that node agents lift: `time`, `level`, `message`, `service`.
    Json,
}

/// Where the tee goes and in which form.
///
/// # Examples
///
/// ```
/// use logchute::{Builder, Format, Stream, TeeTo};
///
/// let to = TeeTo::new(Stream::Stdout, Format::Json);
/// assert_eq!(to.to_string(), "stdout:json");
/// let builder = Builder::new().tee(to);
/// # drop(builder);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TeeTo {
    /// The stream.
    pub stream: Stream,
    /// The form.
    pub format: Format,
}

impl TeeTo {
    /// A copy on this stream, in this form.
    #[must_use]
    pub const fn new(stream: Stream, format: Format) -> Self {
        Self { stream, format }
    }
}

impl std::fmt::Display for TeeTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.stream, self.format) {
            (Stream::Stdout, Format::Text) => "stdout:text",
            (Stream::Stdout, Format::Json) => "stdout:json",
            (Stream::Stderr, Format::Text) => "stderr:text",
            (Stream::Stderr, Format::Json) => "stderr:json",
        })
    }
}

/// Writes the copy.
#[derive(Debug)]
pub(crate) struct Tee {
    to: TeeTo,
    /// In a forked child, in place of that of the standard library.
    lock: Mutex<()>,
}

impl Tee {
    pub(crate) const fn new(to: TeeTo) -> Self {
        Self { to, lock: Mutex::new(()) }
    }

    /// Appends the record, ended by a line break.
    ///
    /// At most some six times the size of its frame, which is a mebibyte at most: that is what escapes can add.
    pub(crate) fn format(&self, out: &mut Vec<u8>, record: &RecordRef<'_>, resource: &Resource) {
        match self.to.format {
            Format::Text => text::format(out, record),
            Format::Json => json::format(out, record, resource),
        }
    }

    /// Writes whole records in one piece.
    ///
    /// Not through `println!`, which panics where nobody reads any more. The line buffer of stdout passes on
    /// what ends with a line break as it is, so this is one `write` to either stream, and records of several
    /// threads are never mixed.
    ///
    /// In a forked child a thread that is not there may hold the lock of the stream for good: there a tee, which that child
    /// has made, has a lock of its own, and a line that the application itself left open stays where it is.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        debug_assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
        if process::is_child() {
            let _whole = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            return process::write_unlocked(self.to.stream, bytes);
        }
        match self.to.stream {
            Stream::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                // Does nothing, unless the application left a line open before.
                stdout.flush()
            }
            Stream::Stderr => io::stderr().lock().write_all(bytes),
        }
    }
}

#[cfg(test)]
mod testing {
    use crate::frame::{Callsite, FieldsWriter, Frame, Key, RecordId, RecordRef, Severity, Writer};

    /// 2026-11-24T08:00:00.123456789Z
    pub(super) const NANOS: i64 = 1_795_507_200_123_456_789;

    pub(super) fn frame(message: &str, fields: impl FnOnce(&mut Writer<'_>)) -> Frame {
        let callsite =
            Callsite::Inline { target: "shop::cart", module: None, file: Some("src/cart.rs"), line: Some(7) };
        Frame::of(callsite, Severity::Info, NANOS, |writer| {
            writer.fields.message(format_args!("{message}"));
            fields(writer);
        })
    }

    pub(super) fn record(frame: &Frame) -> RecordRef<'_> {
        RecordRef::new(frame.callsite(), frame.bytes(), frame.nanos(), RecordId { incarnation: 1, sequence: 2 })
    }

    /// With the fields of spans `outer` and `inner`.
    pub(super) fn in_spans(writer: &mut Writer<'_>) {
        for (name, key) in [("inner", "step"), ("outer", "request")] {
            let mut fields = FieldsWriter::for_span();
            fields.u64(Key::named(key), 9);
            let (count, bytes) = fields.into_parts();
            writer.span(name, count, &bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Read as _};
    use std::process::{Command, Stdio};

    use super::*;

    fn child(name: &str) -> Command {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([name, "--exact", "--ignored", "--nocapture"]).stdout(Stdio::piped()).stderr(Stdio::null());
        child
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error_and_no_panic() {
        let mut child = child("tee::tests::writes_until_nobody_reads").spawn().unwrap();
        let mut lines = io::BufReader::new(child.stdout.take().unwrap()).lines();
        // Not before the harness has told that it runs the test: it does panic.
        lines.find(|line| line.as_ref().unwrap() == "x").unwrap().unwrap();
        drop(lines);
        assert_eq!(child.wait().unwrap().code(), Some(7));
    }

    #[test]
    #[ignore = "run in a process of its own by the test above"]
    fn writes_until_nobody_reads() {
        let tee = Tee::new(TeeTo::new(Stream::Stdout, Format::Text));
        loop {
            match tee.write(b"x\n") {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(7),
                Err(_) => std::process::exit(8),
            }
        }
    }

    #[test]
    fn records_of_several_threads_are_not_mixed() {
        let mut child = child("tee::tests::writes_from_several_threads").spawn().unwrap();
        let mut written = String::new();
        child.stdout.take().unwrap().read_to_string(&mut written).unwrap();
        assert!(child.wait().unwrap().success());
        let ours: Vec<&str> = written.lines().filter(|line| line.starts_with('<')).collect();
        assert_eq!(ours.len(), 4 * 50);
        assert!(ours.iter().all(|line| line.len() == 20_002 && line.ends_with('>')));
    }

    #[test]
    #[ignore = "run in a process of its own by the test above"]
    fn writes_from_several_threads() {
        let tee = Tee::new(TeeTo::new(Stream::Stdout, Format::Text));
        // The application's own line stands open: ours goes behind it, whole.
        print!("open");
        tee.write(b"\n").unwrap();
        let line = format!("<{}>\n", "x".repeat(20_000));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| tee.write(line.as_bytes()).unwrap()));
            }
        });
    }
}

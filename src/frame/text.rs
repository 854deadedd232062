//! Texts that user code formats: cut where they are too long, replaced where that code panics.

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Write as _};

use super::slot::Sink;
use super::{CUT_MARK, CharBoundary as _, KEY_MAX, VALUE_MAX};
use crate::contain::contained;

thread_local! {
    /// Bytes that [`Json`](crate::Json) wrote when it was last formatted on this thread.
    pub(super) static JSON_WRITTEN: Cell<usize> = const { Cell::new(0) };
}

/// Notes that a formatter wrote nested JSON of that length.
pub(crate) fn note_json(len: usize) {
    JSON_WRITTEN.set(len);
}

/// Formats; where the formatter panics, what it wrote is replaced by a mark with the panic's message.
pub(super) fn guarded<S: Sink>(out: &mut Text<'_, S>, value: fmt::Arguments<'_>) -> fmt::Result {
    match contained(|| out.write_fmt(value)) {
        Ok(done) => done,
        Err(message) => {
            out.restart();
            write!(out, "<panicked: {message}>")
        }
    }
}

/// The cause of an error; none where its own code panics.
pub(super) fn source_of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    contained(|| error.source()).unwrap_or(None)
}

/// The text of a panic, where it has one.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// A text under way: counts all of it, keeps what fits and ends it with a mark where it did not.
pub(super) struct Text<'s, S> {
    sink: &'s mut S,
    start: usize,
    room: usize,
    pub(super) kept: usize,
    total: usize,
    full: bool,
}

impl<'s, S: Sink> Text<'s, S> {
    /// `end` is how far the frame may reach.
    pub(super) fn new(sink: &'s mut S, end: usize) -> Self {
        let start = sink.len();
        // Eight bytes for the original length follow.
        let room = VALUE_MAX.min(end.saturating_sub(start + 8)).max(CUT_MARK.len());
        Self { sink, start, room, kept: 0, total: 0, full: false }
    }

    pub(super) fn original(&self) -> Option<usize> {
        self.full.then_some(self.total)
    }

    fn restart(&mut self) {
        self.sink.truncate(self.start);
        (self.kept, self.total, self.full) = (0, 0, false);
    }

    #[cold]
    fn fill(&mut self, text: &str) {
        self.full = true;
        let room = self.room - CUT_MARK.len();
        if self.kept > room {
            let kept = &self.sink.bytes()[self.start..];
            let is_boundary = |at: &usize| kept[*at] & 0xC0 != 0x80;
            self.kept = (0..=room).rev().find(is_boundary).unwrap_or(0);
            self.sink.truncate(self.start + self.kept);
        } else {
            let more = &text[..text.floor_char_boundary_at(room - self.kept)];
            self.sink.put(more.as_bytes());
            self.kept += more.len();
        }
        self.sink.put(CUT_MARK.as_bytes());
        self.kept += CUT_MARK.len();
    }
}

impl<S: Sink> fmt::Write for Text<'_, S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.total += text.len();
        if self.full {
        } else if self.kept + text.len() <= self.room {
            self.sink.put(text.as_bytes());
            self.kept += text.len();
        } else {
            self.fill(text);
        }
        Ok(())
    }
}

/// Takes the identifier with which a `Debug` form begins (`ParseIntError { kind: … }`), and then stops it.
#[derive(Default)]
pub(super) struct LeadingIdentifier {
    pub(super) name: String,
}

impl fmt::Write for LeadingIdentifier {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            let part_of_it =
                char == '_' || if self.name.is_empty() { char.is_alphabetic() } else { char.is_alphanumeric() };
            if !part_of_it || self.name.len() >= KEY_MAX {
                return Err(fmt::Error);
            }
            self.name.push(char);
        }
        Ok(())
    }
}

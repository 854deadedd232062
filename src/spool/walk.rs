//! From one end of a segment to the other, without reading what its batches hold.

use std::io;

use super::format::{ALIGN, BATCH_HEAD, BatchHead, Counts, PAYLOAD_MAX, marker, plus, u64_at};
use super::fs::{File, read_full};

/// No segment of ours is longer; what stands behind is not looked at.
pub(super) const LOOKED_AT: u64 = 2 * PAYLOAD_MAX as u64;
const WINDOW: usize = 64 * 1024;

/// What stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A batch, as far as its head tells.
    Batch { at: u64, len: u64, counts: Counts },
    /// Bytes that are no batch, or one that is cut; where it is known, the records that stood there.
    Gap { at: u64, len: u64, counts: Counts },
}

/// Calls `each` for all that stands from `at` on, where `before` is what stands before it.
pub(super) fn walk(
    file: &dyn File,
    salt: u64,
    mut at: u64,
    mut before: Counts,
    each: &mut dyn FnMut(Part),
) -> io::Result<()> {
    let file_len = file.len()?.min(LOOKED_AT);
    let end = file_len.next_multiple_of(ALIGN as u64);
    let mut window = Window { file, bytes: Vec::new(), at: 0 };
    while at < file_len {
        let mut gap = 0;
        let head = loop {
            match BatchHead::read(window.get(at + gap, BATCH_HEAD)?, salt, at + gap) {
                Some(head) => break Some(head),
                None => gap = window.find(salt, at + gap + ALIGN as u64, file_len)? - at,
            }
            if at + gap >= file_len {
                break None;
            }
        };
        if gap > 0 {
            // The next batch tells how many there were.
            let counts = match &head {
                Some(head) if (0..6).all(|n| head.before[n] >= before[n]) => {
                    std::array::from_fn(|n| head.before[n] - before[n])
                }
                _ => [0; 6],
            };
            each(Part::Gap { at, len: (at + gap).min(end) - at, counts });
        }
        let Some(head) = head else { return Ok(()) };
        at += gap;
        if at + (BATCH_HEAD + head.payload_len) as u64 > file_len {
            each(Part::Gap { at, len: end - at, counts: head.counts });
            return Ok(());
        }
        each(Part::Batch { at, len: head.whole_len(), counts: head.counts });
        before = plus(head.before, head.counts);
        at += head.whole_len();
    }
    Ok(())
}

/// A part of the file in memory.
struct Window<'a> {
    file: &'a dyn File,
    bytes: Vec<u8>,
    at: u64,
}

impl Window<'_> {
    /// As many of these bytes as the file has.
    fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let inside = at.checked_sub(self.at).filter(|&skip| skip + len as u64 <= self.bytes.len() as u64);
        let skip = match inside {
            Some(skip) => skip as usize,
            None => {
                self.bytes.resize(WINDOW, 0);
                self.at = at;
                let read = read_full(self.file, &mut self.bytes, at).inspect_err(|_| self.bytes.clear())?;
                self.bytes.truncate(read);
                0
            }
        };
        Ok(&self.bytes[skip..self.bytes.len().min(skip + len)])
    }

    /// The next place from `at` on that a batch's marker stands at, or the end.
    fn find(&mut self, salt: u64, mut at: u64, end: u64) -> io::Result<u64> {
        while at < end {
            let rest = self.get(at, ALIGN)?;
            if rest.len() < ALIGN {
                return Ok(end);
            }
            let skip = (at - self.at) as usize;
            let found = self.bytes[skip..]
                .chunks_exact(ALIGN)
                .zip((at..).step_by(ALIGN))
                .find(|(chunk, at)| u64_at(chunk, 0) == marker(salt, *at));
            match found {
                Some((_, found)) => return Ok(found),
                None => at += ((self.bytes.len() - skip) / ALIGN * ALIGN) as u64,
            }
        }
        Ok(end)
    }
}

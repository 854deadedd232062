//! One file of a spool: batches in the order in which they were written, and how far they are settled.
//!
//! Of what is in it only a batch that is taken is in memory; of the others, where they begin and end. Those that are settled
//! out of order are remembered until all before them are.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::cursor::Cursor;
use super::format::{BATCH_HEAD, BatchHead, Counts, HEAD_FIXED, Head, NoHead, crc_at, plus, sum};
use super::fs::{Dir, File, read_full, write_all};
use super::name::{self, SegmentName};
use super::walk::{Part, walk};
use super::{Place, Taken, payload};
use crate::batch::Origin;
use crate::crash;

/// A payload's buffer that is larger is given back after use.
const BUFFER_KEPT: usize = 4 * 1024 * 1024;

pub(super) struct Segment {
    pub(super) name: SegmentName,
    pub(super) origin: Arc<Origin>,
    pub(super) label: String,
    /// Closed while nobody is at it; see [`rest`](Self::rest).
    file: Option<Box<dyn File>>,
    salt: u64,
    /// Where its last batch ends.
    pub(super) end: u64,
    /// Bytes of the file.
    pub(super) len: u64,
    cursor: Cursor,
    /// All before this place is in `apart`, or before the cursor.
    read_at: u64,
    /// What is not just waiting: all between the cursor and `read_at`, and some behind it.
    apart: BTreeMap<u64, Apart>,
    /// Records that are owed and not taken.
    waiting: Counts,
    /// All that were ever written to it.
    written: Counts,
    /// Records that cannot be read, since this was last asked.
    pub(super) damaged: Counts,
    /// Something in it was not as it was written.
    pub(super) is_spoilt: bool,
    /// What stands at `read_at`, once it was looked at.
    next: Option<(u64, BatchHead)>,
    /// Written, and not known to be safe from a loss of power.
    pub(super) unsynced: bool,
    /// The disk failed to make it safe, and is not to be believed about this file any more.
    pub(super) is_doubtful: bool,
    /// Its name as well.
    name_unsynced: bool,
}

/// A part that is not just waiting.
#[derive(Clone, Copy)]
enum Apart {
    Taken { len: u64, counts: Counts },
    Settled { len: u64, counts: Counts },
}

/// Why a file is not read as a segment.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is not there any more, or nothing was ever in it.
    Gone,
    /// It is none of ours by its kind; it is left as it is.
    Refused(String),
    /// Nothing can be read from it.
    Bad(String),
    /// It is left as it is.
    Newer(u32),
    /// The system did not let us, for now.
    Later(io::Error),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            io::ErrorKind::PermissionDenied => Self::Refused(error.to_string()),
            _ => Self::Later(error),
        }
    }
}

impl Segment {
    /// Makes a new one. What is left of it where that fails is removed again.
    pub(super) fn create(dir: &dyn Dir, name: SegmentName, head: &Head) -> io::Result<Self> {
        let file = dir.create(&name.to_string())?;
        let bytes = head.bytes();
        crash::at("spool.rotate");
        if let Err(error) = write_all(&*file, &bytes, 0) {
            let _ = dir.unlink(&name.to_string());
            return Err(error);
        }
        crash::at("spool.rotate");
        let start = bytes.len() as u64;
        Ok(Self {
            name,
            origin: Arc::clone(&head.origin),
            label: head.label.clone(),
            file: Some(file),
            salt: head.salt,
            end: start,
            len: start,
            cursor: Cursor::at_start(start),
            read_at: start,
            apart: BTreeMap::new(),
            waiting: [0; 6],
            written: [0; 6],
            damaged: [0; 6],
            is_spoilt: false,
            next: None,
            unsynced: true,
            is_doubtful: false,
            name_unsynced: true,
        })
    }

    /// Opens one that another pipeline wrote.
    pub(super) fn open(dir: &dyn Dir, name: SegmentName) -> Result<Self, Unreadable> {
        let file = dir.open(&name.to_string())?;
        let len = file.len()?;
        if len == 0 {
            return Err(Unreadable::Gone);
        }
        let mut bytes = vec![0; 4096];
        let (head, start) = loop {
            let read = read_full(&*file, &mut bytes, 0)?;
            match Head::read(&bytes[..read]) {
                Ok(found) => break found,
                Err(NoHead::Newer(version)) => return Err(Unreadable::Newer(version)),
                Err(NoHead::Needs(more)) if more > bytes.len() => bytes.resize(more, 0),
                Err(_) => return Err(Unreadable::Bad("its head is damaged, or it is no segment".into())),
            }
        };
        if head.fingerprint != name.fingerprint {
            return Err(Unreadable::Bad("it belongs to another destination than its name says".into()));
        }
        let cursor = Cursor::read(&bytes[..HEAD_FIXED], head.salt, start as u64, len.next_multiple_of(8));
        let mut segment = Self {
            name,
            origin: head.origin,
            label: head.label,
            file: Some(file),
            salt: head.salt,
            end: cursor.at,
            len,
            read_at: cursor.at,
            apart: BTreeMap::new(),
            waiting: [0; 6],
            written: cursor.before,
            damaged: [0; 6],
            is_spoilt: false,
            next: None,
            unsynced: false,
            is_doubtful: false,
            name_unsynced: false,
            cursor,
        };
        segment.look_through()?;
        Ok(segment)
    }

    fn look_through(&mut self) -> io::Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        walk(&*file, self.salt, self.cursor.at, self.cursor.before, &mut |part| match part {
            Part::Batch { at, len, counts } => {
                self.waiting = plus(self.waiting, counts);
                self.end = at + len;
            }
            Part::Gap { at, len, counts } => {
                self.is_spoilt = true;
                self.damaged = plus(self.damaged, counts);
                self.set_settled(at, len, counts);
                self.end = at + len;
            }
        })?;
        self.file = Some(file);
        Ok(())
    }

    /// Its file, opened again if need be.
    fn file(&mut self, dir: &dyn Dir) -> io::Result<&dyn File> {
        if self.file.is_none() {
            self.file = Some(dir.open(&self.name.to_string())?);
        }
        self.file.as_deref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Nobody is at it for a while.
    pub(super) fn rest(&mut self) {
        self.file = None;
    }

    /// Records that are owed and not taken, by severity.
    pub(super) fn waiting(&self) -> Counts {
        self.waiting
    }

    /// Whether a batch of it is in memory.
    pub(super) fn is_taken(&self) -> bool {
        self.apart.values().any(|apart| matches!(apart, Apart::Taken { .. }))
    }

    /// Whether a batch of it may still be taken.
    pub(super) fn is_waiting(&mut self) -> bool {
        self.skip();
        self.read_at < self.end
    }

    /// Whether nothing in it is owed.
    pub(super) fn is_settled(&self) -> bool {
        self.cursor.at >= self.end
    }

    /// Writes a batch behind all others. `bytes` has room for its head before the payload.
    ///
    /// Where that fails, what was written of it is taken back.
    pub(super) fn append(
        &mut self,
        dir: &dyn Dir,
        bytes: &mut Vec<u8>,
        mut head: BatchHead,
        held: bool,
    ) -> io::Result<u64> {
        let at = self.end;
        head.payload_len = bytes.len() - BATCH_HEAD;
        head.payload_crc = crc_at(self.salt, at, &bytes[BATCH_HEAD..]);
        head.before = self.written;
        bytes[..BATCH_HEAD].copy_from_slice(&head.bytes(self.salt, at));
        bytes.resize(head.whole_len() as usize, 0);
        let file = self.file(dir)?;
        crash::at("spool.append");
        if let Err(error) = write_all(file, bytes, at) {
            // What is left shall at least not look like a batch.
            if file.truncate(at).is_err() {
                let _ = write_all(file, &[0; 8], at);
            }
            return Err(error);
        }
        crash::at("spool.append");
        self.end += head.whole_len();
        self.len = self.end;
        self.written = plus(self.written, head.counts);
        self.unsynced = true;
        if held {
            self.apart.insert(at, Apart::Taken { len: head.whole_len(), counts: head.counts });
        } else {
            self.waiting = plus(self.waiting, head.counts);
        }
        Ok(at)
    }

    /// Takes away again what was written last, of a batch that is taken; says whether it could be done.
    pub(super) fn take_back(&mut self, dir: &dyn Dir, at: u64) -> bool {
        let Some(&Apart::Taken { len, counts }) = self.apart.get(&at) else { return false };
        if at + len != self.end || self.file(dir).and_then(|file| file.truncate(at)).is_err() {
            return false;
        }
        self.apart.remove(&at);
        (self.end, self.len, self.read_at, self.next) = (at, at, self.read_at.min(at), None);
        self.written = std::array::from_fn(|severity| self.written[severity].wrapping_sub(counts[severity]));
        self.unsynced = true;
        true
    }

    /// Moves on to the next batch that is not taken.
    fn skip(&mut self) {
        while let Some(end) = end_of_part(&self.apart, self.read_at) {
            self.read_at = end;
        }
    }

    /// The head of the batch that [`take`](Self::take) would give, if it is whole.
    fn look(&mut self, dir: &dyn Dir) -> io::Result<Option<BatchHead>> {
        let (at, salt) = (self.read_at, self.salt);
        if let Some((_, head)) = self.next.as_ref().filter(|(there, _)| *there == at) {
            return Ok(Some(head.clone()));
        }
        let mut bytes = [0; BATCH_HEAD];
        let read = read_full(self.file(dir)?, &mut bytes, at)?;
        let head = BatchHead::read(&bytes[..read], salt, at).filter(|head| at + head.whole_len() <= self.end);
        self.next = head.clone().map(|head| (at, head));
        Ok(head)
    }

    /// Number and sealing time of the next batch.
    pub(super) fn peek(&mut self, dir: &dyn Dir) -> io::Result<Option<(u64, i64)>> {
        while self.is_waiting() {
            match self.look(dir)? {
                Some(head) => return Ok(Some((head.number, head.sealed))),
                None => self.pass_gap(dir)?,
            }
        }
        Ok(None)
    }

    /// Reads the next batch; what cannot be read is passed over, and counted.
    pub(super) fn take(&mut self, dir: &dyn Dir, buffer: &mut Vec<u8>, now: Instant) -> io::Result<Option<Taken>> {
        while self.is_waiting() {
            let Some(head) = self.look(dir)? else {
                self.pass_gap(dir)?;
                continue;
            };
            let (at, salt) = (self.read_at, self.salt);
            // It is within the file, as `look` has seen to.
            buffer.resize(head.payload_len, 0);
            let read = read_full(self.file(dir)?, buffer, at + BATCH_HEAD as u64)?;
            let whole = read == head.payload_len && crc_at(salt, at, buffer) == head.payload_crc;
            let stored = if whole { payload::read(buffer, &self.origin, now) } else { None };
            if buffer.capacity() > BUFFER_KEPT {
                *buffer = Vec::new();
            }
            self.waiting = minus(self.waiting, head.counts);
            self.read_at += head.whole_len();
            self.next = None;
            let Some(stored) = stored.filter(|stored| stored.len() as u64 == sum(&head.counts)) else {
                self.is_spoilt = true;
                self.damaged = plus(self.damaged, head.counts);
                self.set_settled(at, head.whole_len(), head.counts);
                self.write_cursor(dir);
                continue;
            };
            self.apart.insert(at, Apart::Taken { len: head.whole_len(), counts: head.counts });
            let place = Place { segment: u64::from(self.name.number), at };
            let BatchHead { mode, tried, number, sealed, .. } = head;
            return Ok(Some(Taken { stored, mode, tried, number, sealed, place }));
        }
        Ok(None)
    }

    /// What stands at `read_at` was a batch, and is none any more.
    fn pass_gap(&mut self, dir: &dyn Dir) -> io::Result<()> {
        let (from, end, salt, mut behind) = (self.read_at, self.end, self.salt, [0; 6]);
        let (mut next, apart) = (end, std::mem::take(&mut self.apart));
        let walked = self.file(dir).and_then(|file| {
            walk(file, salt, from, [0; 6], &mut |part| {
                if let Part::Batch { at, len, counts } = part
                    && at + len <= end
                {
                    next = next.min(at);
                    if end_of_part(&apart, at).is_none() {
                        behind = plus(behind, counts);
                    }
                }
            })
        });
        // One that is taken or settled is known without its head.
        next = apart.range(from..).next().map_or(next, |(&at, _)| at.min(next));
        self.apart = apart;
        walked?;
        if next <= from {
            return Err(io::Error::other("the disk gives this at one time and that at another"));
        }
        let lost = minus(self.waiting, behind);
        self.is_spoilt = true;
        self.waiting = behind;
        self.damaged = plus(self.damaged, lost);
        self.set_settled(from, next - from, lost);
        self.read_at = self.read_at.max(next);
        self.write_cursor(dir);
        Ok(())
    }

    /// All that cannot be read is given up.
    pub(super) fn give_up(&mut self) {
        self.is_spoilt = true;
        self.damaged = plus(self.damaged, self.waiting);
        while self.is_waiting() {
            let next = self.apart.range(self.read_at..).next().map_or(self.end, |(&at, _)| at.min(self.end));
            let counts = std::mem::take(&mut self.waiting);
            self.set_settled(self.read_at, next - self.read_at, counts);
            self.read_at = self.read_at.max(next);
        }
        self.waiting = [0; 6];
    }

    /// In memory no more, and still owed.
    pub(super) fn put_back(&mut self, at: u64) {
        if let Some(&Apart::Taken { counts, .. }) = self.apart.get(&at) {
            self.apart.remove(&at);
            self.waiting = plus(self.waiting, counts);
            self.read_at = self.read_at.min(at);
        }
    }

    /// Owed no more.
    pub(super) fn settle(&mut self, dir: &dyn Dir, at: u64) {
        if let Some(&Apart::Taken { len, counts }) = self.apart.get(&at) {
            self.set_settled(at, len, counts);
            self.write_cursor(dir);
        }
    }

    /// Nothing stands in the way of the cursor that nobody owes.
    pub(super) fn pass_over_gaps(&mut self, dir: &dyn Dir) {
        self.write_cursor(dir);
    }

    fn set_settled(&mut self, mut at: u64, mut len: u64, mut counts: Counts) {
        self.apart.remove(&at);
        if let Some((&earlier, &Apart::Settled { len: earlier_len, counts: its })) = self.apart.range(..at).next_back()
            && earlier + earlier_len == at
        {
            (at, len, counts) = (earlier, earlier_len + len, plus(its, counts));
        }
        if let Some(&Apart::Settled { len: later_len, counts: its }) = self.apart.get(&(at + len)) {
            self.apart.remove(&(at + len));
            (len, counts) = (len + later_len, plus(its, counts));
        }
        self.apart.insert(at, Apart::Settled { len, counts });
    }

    /// Moves the cursor over all that is settled, and writes it if it moved. Where that fails, what is settled may be sent
    /// once more by another process.
    fn write_cursor(&mut self, dir: &dyn Dir) {
        let before = self.cursor.at;
        while let Some(&Apart::Settled { len, counts }) = self.apart.get(&self.cursor.at) {
            self.apart.remove(&self.cursor.at);
            self.cursor.at += len;
            self.cursor.before = plus(self.cursor.before, counts);
        }
        self.read_at = self.read_at.max(self.cursor.at);
        if self.cursor.at > before {
            let (slot_at, slot) = self.cursor.next_slot(self.salt);
            crash::at("spool.cursor");
            if self.file(dir).and_then(|file| write_all(file, &slot, slot_at)).is_ok() {
                self.unsynced = true;
            }
            crash::at("spool.cursor");
        }
    }

    /// Makes all that was written safe from a loss of power.
    pub(super) fn sync(&mut self, dir: &dyn Dir) -> io::Result<()> {
        if self.unsynced {
            self.file(dir)?.sync()?;
            self.unsynced = false;
        }
        if self.name_unsynced {
            dir.sync()?;
            self.name_unsynced = false;
        }
        Ok(())
    }

    /// Writes the same bytes to another file that takes its place. After the disk failed to make a file safe it may say at
    /// the next time that it is, though it is not: the same file is never asked twice.
    pub(super) fn rewrite(&mut self, dir: &dyn Dir) -> io::Result<()> {
        let name = self.name.to_string();
        let new = name::new(&name);
        let _ = dir.unlink(&new);
        let copy = dir.create(&new)?;
        let copied = self.copy_to(dir, &*copy).and_then(|()| copy.sync()).and_then(|()| dir.rename(&new, &name));
        if let Err(error) = copied {
            let _ = dir.unlink(&new);
            return Err(error);
        }
        self.file = Some(copy);
        (self.unsynced, self.is_doubtful, self.name_unsynced) = (false, false, true);
        dir.sync()?;
        self.name_unsynced = false;
        Ok(())
    }

    fn copy_to(&mut self, dir: &dyn Dir, copy: &dyn File) -> io::Result<()> {
        let end = self.end;
        let file = self.file(dir)?;
        let (mut at, mut buffer) = (0, vec![0; 256 * 1024]);
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            match read_full(file, &mut buffer[..most], at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    write_all(copy, &buffer[..read], at)?;
                    at += read as u64;
                }
            }
        }
        Ok(())
    }

    /// All of it is owed no more, whatever became of it; written before the file is removed.
    pub(super) fn settle_all(&mut self, dir: &dyn Dir) {
        self.apart.clear();
        self.waiting = [0; 6];
        let len = self.end - self.cursor.at;
        if len > 0 {
            self.apart.insert(self.cursor.at, Apart::Settled { len, counts: [0; 6] });
            self.write_cursor(dir);
        }
    }
}

/// Where the part ends that this place is in, if it is in one.
fn end_of_part(apart: &BTreeMap<u64, Apart>, at: u64) -> Option<u64> {
    let (&begin, &(Apart::Taken { len, .. } | Apart::Settled { len, .. })) = apart.range(..=at).next_back()?;
    (begin + len > at).then_some(begin + len)
}

fn minus(one: Counts, other: Counts) -> Counts {
    std::array::from_fn(|at| one[at].saturating_sub(other[at]))
}

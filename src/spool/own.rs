//! What a lane of this pipeline owes on disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::format::{BATCH_HEAD, BatchHead, Counts, Head, PAYLOAD_MAX};
use super::name::SegmentName;
use super::segment::Segment;
use super::shelf::{PAUSE, Shelf};
use super::{LaneId, Note, Place, Refused, Source, Taken, payload};
use crate::batch::{Batch, Origin};
use crate::clock;
use crate::numbers::Numbers;

/// A segment is not longer, unless one batch is.
const SEGMENT: u64 = 4 * 1024 * 1024;
/// A segment of which nothing is owed is removed once it was not written for this long.
const IDLE: Duration = Duration::from_secs(10);

/// A lane's own share of a spool directory.
pub(crate) struct Spool {
    shelf: Shelf,
    lane: LaneId,
    bytes: u64,
    fsync: Option<Duration>,
    next_number: u32,
    /// Whether the last segment takes more batches.
    is_open: bool,
    /// The disk refused a batch with this: nothing is tried before then.
    refused: Option<(Instant, io::Error)>,
    /// Since when something is not safe from a loss of power.
    unsynced_since: Option<Instant>,
    written: Option<Instant>,
    scratch: Vec<u8>,
}

impl Spool {
    pub(super) fn new(shelf: Shelf, lane: LaneId, bytes: u64, fsync: Option<Duration>) -> Self {
        Self {
            shelf,
            lane,
            bytes,
            fsync,
            next_number: 0,
            is_open: false,
            refused: None,
            unsynced_since: None,
            written: None,
            scratch: Vec::new(),
        }
    }

    /// Writes a batch behind all others. With `held` it counts as taken, since it stays in memory as well.
    pub(crate) fn append(
        &mut self,
        batch: &Batch<'_>,
        note: &Note,
        held: bool,
        now: Instant,
    ) -> Result<Place, Refused> {
        if let Some((until, error)) = &self.refused
            && now < *until
        {
            return Err(Refused::Disk(again(error)));
        }
        self.refused = None;
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        bytes.resize(BATCH_HEAD, 0);
        payload::write(batch, &mut bytes);
        let written = self.write(&mut bytes, batch, note, held);
        if bytes.capacity() as u64 <= SEGMENT {
            self.scratch = bytes;
        }
        match &written {
            Ok(_) => {
                self.written = Some(now);
                self.unsynced_since.get_or_insert(now);
            }
            Err(Refused::Disk(error)) => {
                self.is_open = false;
                self.refused = Some((now + PAUSE, again(error)));
            }
            Err(Refused::Full) => {}
        }
        written
    }

    fn write(&mut self, bytes: &mut Vec<u8>, batch: &Batch<'_>, note: &Note, held: bool) -> Result<Place, Refused> {
        if bytes.len() - BATCH_HEAD > PAYLOAD_MAX {
            return Err(Refused::Full);
        }
        // Of what would be free without us.
        let free = self.shelf.share.free();
        let fifth = free.saturating_add(self.shelf.share.bytes()) / 5;
        let most = (self.bytes.min(fifth) / 4).min(SEGMENT);
        let len = bytes.len().next_multiple_of(8) as u64;
        let is_mine =
            |segment: &Segment| Arc::ptr_eq(&segment.origin, batch.origin()) || segment.origin == *batch.origin();
        let last = self.shelf.segments.back().filter(|_| self.is_open);
        let fits = last.is_some_and(|last| is_mine(last) && last.end + len <= most);
        let head = if fits { None } else { Some(self.head(batch.origin())) };
        let needed = len + head.as_ref().map_or(0, |(_, len)| *len);
        let (usage, share) = (&self.shelf.usage, &self.shelf.share);
        if usage.bytes() + needed > self.bytes {
            return Err(Refused::Full);
        }
        if share.bytes() + needed > fifth {
            // Others have filled it: giving up what is safe would make room for them alone.
            let is_full = free < needed.saturating_mul(2);
            return Err(if is_full { Refused::Disk(io::ErrorKind::StorageFull.into()) } else { Refused::Full });
        }
        if let Some((head, _)) = head {
            self.begin(&head).map_err(Refused::Disk)?;
        }
        let Some(segment) = self.shelf.segments.back_mut() else { return Err(Refused::Full) };
        let before = segment.len;
        let head = BatchHead {
            payload_len: 0,
            payload_crc: 0,
            counts: counts(batch),
            before: [0; 6],
            number: note.number,
            sealed: note.sealed,
            mode: batch.mode(),
            tried: note.tried,
        };
        let share = Arc::clone(&self.shelf.share);
        share.state().leave_memory(&*share.dir, self.lane.fingerprint, batch.len() as u64);
        let at = segment.append(&*self.shelf.share.dir, bytes, head, held).map_err(Refused::Disk)?;
        self.shelf.usage.take(&self.shelf.share, segment.len - before);
        Ok(Place { segment: u64::from(segment.name.number), at })
    }

    /// The head of a new segment, and its length.
    fn head(&self, origin: &Arc<Origin>) -> (Head, u64) {
        let created = clock::nanos();
        let head = Head {
            salt: Numbers::random_incarnation() as u64,
            created,
            fingerprint: self.lane.fingerprint,
            label: self.lane.label.clone(),
            origin: Arc::clone(origin),
        };
        let len = head.bytes().len() as u64;
        (head, len)
    }

    fn begin(&mut self, head: &Head) -> io::Result<()> {
        let share = Arc::clone(&self.shelf.share);
        // The one before may have nothing left that is owed, and was kept only to be written.
        self.is_open = false;
        self.shelf.remove_settled(false);
        if let Some(last) = self.shelf.segments.back_mut() {
            last.rest();
        }
        let name =
            SegmentName { owner: share.incarnation, fingerprint: self.lane.fingerprint, number: self.next_number };
        // Whatever becomes of it, no name is used twice.
        self.next_number += 1;
        let segment = Segment::create(&*share.dir, name, head)?;
        self.shelf.held.files.fetch_add(1, Ordering::Relaxed);
        self.shelf.usage.take(&share, segment.len);
        self.shelf.push(segment);
        self.is_open = true;
        Ok(())
    }

    /// What is a matter of time: the disk's own copy, and files that are not needed any more. Returns what the disk said to
    /// that, if it was bad.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<io::Error> {
        let is_idle = self.written.is_none_or(|at| now.saturating_duration_since(at) >= IDLE);
        if self.shelf.is_stuck || (is_idle && self.is_open) {
            self.remove_settled(!is_idle);
        }
        let fsync = self.fsync?;
        if !self.shelf.segments.iter().any(|segment| segment.unsynced) {
            self.unsynced_since = None;
            return None;
        }
        let since = *self.unsynced_since.get_or_insert(now);
        if now.saturating_duration_since(since) < fsync {
            return None;
        }
        let failed = self.sync();
        // What failed is tried again after another while.
        self.unsynced_since = failed.is_some().then_some(now);
        failed
    }

    fn remove_settled(&mut self, keep_last: bool) {
        self.shelf.remove_settled(keep_last && self.is_open);
        self.is_open &= self.shelf.segments.back().is_some_and(|last| last.name.number + 1 == self.next_number);
    }

    fn sync(&mut self) -> Option<io::Error> {
        let dir = &*self.shelf.share.dir;
        let (mut failed, count) = (None, self.shelf.segments.len());
        for (place, segment) in self.shelf.segments.iter_mut().enumerate().filter(|(_, segment)| segment.unsynced) {
            if !segment.is_doubtful {
                match segment.sync(dir) {
                    Ok(()) => continue,
                    Err(error) => failed = Some(error),
                }
                segment.is_doubtful = true;
            }
            if place + 1 == count {
                self.is_open = false;
            }
            if let Err(error) = segment.rewrite(dir) {
                failed = Some(error);
            }
        }
        failed
    }

    /// Takes away again a batch that was just written and held, as what belongs to it could not be. Where the disk refuses
    /// that as well it is settled, and may come twice if the process dies before those in front of it are.
    pub(crate) fn take_back(&mut self, place: Place) {
        if !self.shelf.take_back(place) {
            self.settle(place);
        }
    }

    /// The process ends: what was written is made as safe as was asked for. Returns what the disk said to that, if it was
    /// bad.
    pub(crate) fn close(&mut self) -> Option<io::Error> {
        self.is_open = false;
        self.remove_settled(false);
        let failed = self.fsync.and_then(|_| self.sync());
        self.shelf.segments.iter_mut().for_each(Segment::rest);
        failed
    }
}

impl Source for Spool {
    fn next(&mut self, now: Instant) -> Option<Taken> {
        let taken = self.shelf.take(now);
        if taken.is_none() && self.shelf.segments.len() > 1 {
            self.remove_settled(true);
        }
        taken
    }

    fn peek(&mut self) -> Option<(u64, i64)> {
        self.shelf.peek()
    }

    fn put_back(&mut self, place: Place) {
        self.shelf.put_back(place);
    }

    fn settle(&mut self, place: Place) {
        self.shelf.settle(place, self.is_open);
    }

    fn owed(&self) -> u64 {
        self.shelf.owed()
    }

    fn found(&mut self) -> u64 {
        0
    }

    fn damaged(&mut self) -> [u64; 6] {
        self.shelf.damaged()
    }

    fn drop_oldest(&mut self) -> Option<[u64; 6]> {
        let dropped = self.shelf.drop_oldest();
        self.remove_settled(true);
        dropped
    }

    fn is_done(&self) -> bool {
        self.shelf.is_done()
    }
}

fn counts(batch: &Batch<'_>) -> Counts {
    let mut counts = [0; 6];
    batch.records().for_each(|record| counts[record.severity() as usize] += 1);
    counts
}

/// The same once more, for who asks again.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

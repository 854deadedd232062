//! Records sent together: their frames in one run of bytes, with their ids, and when such a run is sealed.
//!
//! Time is an argument. A batch that is sealed is never changed again: what is sent of it, all or a part,
//! is a [`Batch`], a view.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Metadata;

use crate::frame::{Frame, RecordId, RecordRef, Severity};
use crate::resource::Resource;

/// Where a record's frame stands, and what the worker gave it.
#[derive(Clone, Copy)]
struct Entry {
    callsite: Option<&'static Metadata<'static>>,
    sequence: u64,
    nanos: i64,
    start: u32,
    end: u32,
}

/// Who wrote the records of a batch: this pipeline, or one of an earlier process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) incarnation: u128,
    pub(crate) resource: Resource,
}

/// Frames that were collected for one destination.
pub(crate) struct Stored {
    origin: Arc<Origin>,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    cost: usize,
    opened: Instant,
}

impl Stored {
    pub(crate) fn new(origin: Arc<Origin>, opened: Instant) -> Self {
        Self { origin, entries: Vec::new(), bytes: Vec::new(), cost: 0, opened }
    }

    /// Adds a record, whatever the limits are.
    pub(crate) fn push(
        &mut self,
        callsite: Option<&'static Metadata<'static>>,
        frame: &[u8],
        sequence: u64,
        nanos: i64,
        cost: usize,
    ) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(frame);
        self.entries.push(Entry { callsite, sequence, nanos, start, end: self.bytes.len() as u32 });
        self.cost += cost;
    }

    /// Adds a record whose frame `write` appends: one that needs no callsite.
    pub(crate) fn push_inline(&mut self, sequence: u64, nanos: i64, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len() as u32;
        write(&mut self.bytes);
        self.entries.push(Entry { callsite: None, sequence, nanos, start, end: self.bytes.len() as u32 });
        self.cost += self.record(self.len() - 1).encoded_hint();
    }

    /// Who wrote its records.
    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// The number of the record at that place within its incarnation.
    pub(crate) fn sequence(&self, place: usize) -> u64 {
        self.entries[place].sequence
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What it holds in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Gives back what was reserved and is not used, as it may be held for long.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// When its first record came.
    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// The time of the record at that place.
    pub(crate) fn nanos(&self, place: usize) -> i64 {
        self.entries[place].nanos
    }

    /// The severity of the record at that place.
    pub(crate) fn severity(&self, place: usize) -> Severity {
        let entry = self.entries[place];
        Severity::from_number(self.bytes[entry.start as usize + 8])
    }

    fn record(&self, place: usize) -> RecordRef<'_> {
        let entry = &self.entries[place];
        let bytes = &self.bytes[entry.start as usize..entry.end as usize];
        let id = RecordId { incarnation: self.origin.incarnation, sequence: entry.sequence };
        RecordRef::new(entry.callsite, bytes, entry.nanos, id)
    }
}

/// When a batch is sealed, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// What the payload may cost, in the backend's own units.
    pub(crate) cost: usize,
    pub(crate) records: usize,
    /// What its frames may take in memory; below 4 GiB.
    pub(crate) bytes: usize,
    /// Since its first record.
    pub(crate) linger: Duration,
}

/// Collects records until a limit is reached.
pub(crate) struct Batcher {
    origin: Arc<Origin>,
    limits: Limits,
    open: Option<Stored>,
}

impl Batcher {
    pub(crate) fn new(origin: Arc<Origin>, limits: Limits) -> Self {
        Self { origin, limits, open: None }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Adds a record that costs `cost`; returns the batch that had to be sealed to make room for it, if any.
    pub(crate) fn add(&mut self, frame: &Frame, id: RecordId, nanos: i64, cost: usize, now: Instant) -> Option<Stored> {
        let full = self.open.as_ref().is_some_and(|open| {
            open.cost + cost > self.limits.cost
                || open.len() >= self.limits.records
                || open.bytes.len() + frame.bytes().len() > self.limits.bytes
        });
        let sealed = if full { self.open.take() } else { None };
        let open = self.open.get_or_insert_with(|| Stored::new(Arc::clone(&self.origin), now));
        open.push(frame.callsite(), frame.bytes(), id.sequence, nanos, cost);
        sealed
    }

    /// From now on batches wait for nothing.
    pub(crate) fn stop_lingering(&mut self) {
        self.limits.linger = Duration::ZERO;
    }

    /// Seals the open batch if it has waited long enough.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Stored> {
        if now >= self.due()? { self.seal() } else { None }
    }

    /// Seals the open batch.
    pub(crate) fn seal(&mut self) -> Option<Stored> {
        self.open.take()
    }

    /// When the open batch has waited long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.opened + self.limits.linger)
    }

    /// The batch that is still open.
    pub(crate) fn open(&self) -> Option<&Stored> {
        self.open.as_ref()
    }
}

/// How a batch is encoded. It changes only after a verdict that proves that the records concerned were not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// The usual way.
    #[default]
    Plain,
    /// The store refused these records for the types or names of their fields: with all of them in one field.
    Fallback,
    /// So much older than what the store has by now that it would refuse them where live records go: to a place of their
    /// own, see [`Facts::replays_after`](crate::backend::Facts::replays_after).
    Replay,
}

/// Records that are sent together, as a backend sees them.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    stored: &'a Stored,
    places: Places<'a>,
    mode: Mode,
}

/// Which records of a sealed batch.
#[derive(Clone, Copy)]
pub(crate) enum Places<'a> {
    Range(usize, usize),
    List(&'a [usize]),
}

impl<'a> Batch<'a> {
    pub(crate) fn new(stored: &'a Stored, places: Places<'a>) -> Self {
        Self { stored, places, mode: Mode::Plain }
    }

    pub(crate) fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Some of its records, for a test.
    #[cfg(test)]
    pub(crate) fn part(self, places: Places<'a>) -> Self {
        Self { places, ..self }
    }

    /// How it is to be encoded.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.places {
            Places::Range(from, to) => to - from,
            Places::List(list) => list.len(),
        }
    }

    /// Whether there is none; a backend is never asked to encode such a batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the payload is expected to take, by [`Backend::cost`](crate::backend::Backend::cost).
    #[must_use]
    pub fn cost(&self) -> usize {
        match self.stored.len() {
            0 => 0,
            all => self.stored.cost / all * self.len() + self.len(),
        }
    }

    /// The records, oldest first.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        let all = match self.places {
            Places::Range(from, to) => from..to,
            Places::List(list) => 0..list.len(),
        };
        Records { batch: *self, left: all }
    }

    /// Who wrote the records.
    pub(crate) fn origin(&self) -> &'a Arc<Origin> {
        &self.stored.origin
    }

    /// Who is speaking.
    #[must_use]
    pub fn resource(&self) -> &'a Resource {
        &self.stored.origin.resource
    }
}

/// The records of a batch.
#[derive(Clone)]
pub struct Records<'a> {
    batch: Batch<'a>,
    left: Range<usize>,
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordRef<'a>;

    fn next(&mut self) -> Option<RecordRef<'a>> {
        let next = self.left.next()?;
        let place = match self.batch.places {
            Places::Range(..) => next,
            Places::List(list) => list[next],
        };
        Some(self.batch.stored.record(place))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl ExactSizeIterator for Records<'_> {}

//! What a lane owes on disk: whole batches in segments that outlive the process, oldest first.
//!
//! A directory may be shared by several processes: each writes files of its own, under a lock that dies with it. What a
//! dead one left is adopted by whoever sees it first.

use std::time::Instant;

use crate::batch::{Batch, Mode, Stored};

/// Where a batch stands in its source; means nothing to any other source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// The segment.
    pub(crate) segment: u64,
    /// Where in it.
    pub(crate) at: u64,
}

/// A batch that was read back.
pub(crate) struct Taken {
    pub(crate) stored: Stored,
    pub(crate) mode: Mode,
    /// It had been sent before, and may be at the store.
    pub(crate) tried: bool,
    /// Its number in the lane that wrote it.
    pub(crate) number: u64,
    /// When it was sealed, in nanoseconds since 1970.
    pub(crate) sealed: i64,
    pub(crate) place: Place,
}

/// Batches that are owed and not in memory, read one at a time, oldest first: what this process spilled, or what an
/// earlier one left in the spool or in the ring.
///
/// A batch that was taken is in memory until it is [put back](Self::put_back) or [settled](Self::settle).
pub(crate) trait Source: Send {
    /// Reads the oldest batch that is not taken. What cannot be read is passed over, see [`damaged`](Self::damaged).
    fn next(&mut self, now: Instant) -> Option<Taken>;

    /// Number and sealing time of the batch that [`next`](Self::next) would give.
    fn peek(&mut self) -> Option<(u64, i64)>;

    /// Still owed, but in memory no more.
    fn put_back(&mut self, place: Place);

    /// Owed no more. Survives the process from here on.
    fn settle(&mut self, place: Place);

    /// Records that are owed and not taken.
    fn owed(&self) -> u64;

    /// Records that were found since this was last asked; only an earlier process's are.
    fn found(&mut self) -> u64;

    /// Records that could not be read, by severity, since this was last asked; they are among those found.
    fn damaged(&mut self) -> [u64; 6];

    /// Whether nothing is left, in memory neither.
    fn is_done(&self) -> bool;
}

/// What is said of a batch beside its records.
pub(crate) struct Note {
    pub(crate) number: u64,
    pub(crate) sealed: i64,
    pub(crate) tried: bool,
}

/// Why a batch was not written.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The budget is used up, or a fifth of what is free on the disk.
    Full,
    /// The disk said so. Nothing is tried again before a while has passed.
    Disk(std::io::Error),
}

/// A lane's own share of a spool directory; reading is the [`Source`]'s.
pub(crate) trait Spool: Source {
    /// Writes a batch behind all others. With `held` it counts as taken, since it stays in memory as well.
    fn append(&mut self, batch: &Batch<'_>, note: &Note, held: bool, now: Instant) -> Result<Place, Refused>;

    /// Gives up the oldest segment of which nothing is in memory; returns its records by severity.
    fn drop_oldest(&mut self) -> Option<[u64; 6]>;

    /// The number of the oldest batch that is owed and not taken.
    fn oldest_number(&mut self) -> Option<u64>;

    /// What is a matter of time: the disk's own copy.
    fn tick(&mut self, now: Instant);

    /// The process ends: what was written is made as safe as was asked for.
    fn close(&mut self);
}

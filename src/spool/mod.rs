//! What a lane owes on disk: whole batches in segments that outlive the process, oldest first.
//!
//! A directory may be shared by several processes: each writes files of its own, under a lock that dies with it. What a
//! dead one left is adopted by whoever sees it first and has a lane for it; of the rest nothing is touched.
//!
//! ```text
//! INCARNATION.lock                        held by its owner as long as it lives, then by whoever adopts
//! INCARNATION-FINGERPRINT-NUMBER.seg      batches of one lane, see format.rs
//! INCARNATION.state                       what its owner has in memory, see state.rs
//! *.new, *.bad                            not complete; set aside
//! ```
//!
//! A batch is settled before it is forgotten: first the cursor in its segment is written, then the segment is removed. So
//! whatever happens in between, a batch may come twice, and is never lost. No file can do worse than be useless: it is
//! counted as far as it can be, set aside, and the next one has its turn.

mod adopt;
mod cursor;
mod directory;
#[cfg(unix)]
mod disk;
mod format;
mod fs;
#[cfg(feature = "testing")]
pub(crate) mod fuzz;
mod look;
mod name;
mod own;
mod payload;
#[cfg(any(test, feature = "testing"))]
#[cfg_attr(not(test), expect(dead_code, reason = "the fuzzer's disk has no faults"))]
pub(crate) mod ram;
mod segment;
mod share;
mod shelf;
mod state;
#[cfg(all(test, unix))]
mod tests;
mod walk;

use std::time::Instant;

use crate::batch::{Mode, Stored};
use crate::fnv::fnv;
use crate::voice::mask_url;
pub(crate) use directory::Directory;
#[cfg(unix)]
pub(crate) use disk::Disk;
#[cfg(test)]
pub(crate) use fs::Fs;
#[cfg(all(test, unix))]
pub(crate) use fs::{Dir, File, Names};
pub(crate) use own::Spool;
pub(crate) use state::LaneState;

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
    /// It had been sent before it was written, and may be at the store. What happened to it later is not known.
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
    ///
    /// `None` does not mean that nothing is left: the disk may refuse to be read for a while.
    fn next(&mut self, now: Instant) -> Option<Taken>;

    /// Number and sealing time of the batch that [`next`](Self::next) would give.
    fn peek(&mut self) -> Option<(u64, i64)>;

    /// Still owed, but in memory no more.
    fn put_back(&mut self, place: Place);

    /// Owed no more. Survives the process from here on.
    fn settle(&mut self, place: Place);

    /// Records that are owed and not taken, as far as they were found.
    fn owed(&self) -> u64;

    /// Records that were found since this was last asked; only an earlier process's are.
    fn found(&mut self) -> u64;

    /// Records that could not be read, by severity, since this was last asked; they are among those found, or written.
    fn damaged(&mut self) -> [u64; 6];

    /// Gives up the oldest segment of which nothing is in memory; returns its records by severity.
    fn drop_oldest(&mut self) -> Option<[u64; 6]> {
        None
    }

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

/// What [`Directory::look`] came upon.
pub(crate) enum Found {
    /// What an earlier process left for one of our lanes; ours from now on.
    Orphan { fingerprint: u64, source: Box<dyn Source> },
    /// What an earlier process left for a destination that we do not have. It stays where it is; told once.
    Unknown { label: String, records: u64, segments: usize },
    /// A file that is not read, and why; what is left of it has `.bad` behind its name.
    Bad { name: String, why: String },
    /// What an earlier process had in memory for a destination when it died.
    Lost { label: String, at_least: u64, in_flight: u64 },
}

/// What tells a lane from all others, in this process and the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaneId {
    pub(crate) fingerprint: u64,
    /// For the reader; without secrets.
    pub(crate) label: String,
}

impl LaneId {
    /// Neither credentials nor their absence make a difference, so that what is owed still arrives after they changed.
    pub(crate) fn of(backend: &str, url: &str, tenant: Option<&str>) -> Self {
        let url = mask_url(url);
        let bare = url.replacen("***@", "", 1);
        let parts = [backend, &bare, tenant.unwrap_or_default()];
        let fingerprint = fnv(parts.iter().flat_map(|part| part.bytes().chain([0])));
        Self { fingerprint, label: format!("{backend} at {url}") }
    }
}

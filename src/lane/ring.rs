//! What a lane owes from the ring: how far it may be released, and what stays there at the end.
//!
//! A record's number is its place in the ring. What stands on disk as well needs no ring, and when the ring has no room left,
//! what cannot go to disk is kept in memory alone.

use std::time::Instant;

use super::Lane;
use super::job::Job;
use crate::batch::Stored;
use crate::queue::Heir;

/// How the lane stands to the ring.
#[derive(Default)]
pub(super) struct Hold {
    /// Whether its records come from there.
    is_there: bool,
    /// Its records before this place are not kept there.
    given_up: u64,
    /// What it owes at the end and is found there by the next process: how many records, and where the first is.
    left: Option<(u64, u64)>,
}

/// Whether a number is a place in the ring.
fn is_place(number: u64) -> bool {
    number.is_multiple_of(8)
}

impl Lane {
    /// Its records come from a ring.
    pub(crate) fn live_in_ring(&mut self) {
        self.hold.is_there = true;
    }

    /// The first place in the ring of which the lane still needs the record there.
    pub(crate) fn oldest_kept(&self) -> Option<u64> {
        let from = self.hold.given_up;
        let jobs = self.in_memory_alone().filter_map(|stored| first_place(stored, from));
        jobs.chain(self.hold.left.map(|(_, first)| first)).min()
    }

    /// Whether it owes records that stood in the ring, and stand in memory alone now.
    pub(crate) fn is_in_memory_alone(&self) -> bool {
        let given_up = self.hold.given_up;
        given_up > 0 && self.in_memory_alone().any(|stored| first_place(stored, 0).is_some_and(|at| at < given_up))
    }

    /// Whether records of it survive the process in the ring, at the least the newest. Of our own, none stand there, and none
    /// are missed.
    pub(super) fn stands_in_ring(&self, stored: &Stored) -> bool {
        let newest = (0..stored.len()).map(|at| stored.sequence(at)).rev().find(|&number| is_place(number));
        self.hold.is_there && newest.is_none_or(|newest| newest >= self.hold.given_up)
    }

    /// The ring needs the room before that place: what the lane owes of it goes to disk, and what cannot is kept in memory
    /// alone.
    pub(crate) fn yield_ring_before(&mut self, place: u64, now: Instant) {
        let needs_it = self.oldest_kept().is_some_and(|oldest| oldest < place);
        if needs_it && !self.yield_ring(place - 1, now) {
            self.hold.given_up = place;
        }
    }

    /// Batches of this process's that have no copy on disk.
    fn in_memory_alone(&self) -> impl Iterator<Item = &Stored> {
        let jobs = self.flights.jobs().chain(self.backlog.waiting()).filter(|job| job.copies().is_empty());
        jobs.map(Job::stored).chain(self.batcher.open())
    }

    /// The end: what is owed of a job and stands in the ring is left there. Says whether that is all that is owed of it.
    pub(super) fn leave_in_ring(&mut self, job: &mut Job) -> bool {
        if !self.hold.is_there || job.is_read() {
            return false;
        }
        let given_up = self.hold.given_up;
        let (left, first) = job.leave(|number| is_place(number) && number >= given_up);
        if let Some(first) = first {
            let before = self.hold.left.unwrap_or((0, first));
            self.hold.left = Some((before.0 + left, before.1.min(first)));
        }
        job.is_settled()
    }

    /// Records that are left in the ring at the end.
    pub(crate) fn left_in_ring(&self) -> u64 {
        self.hold.left.map_or(0, |(records, _)| records)
    }

    /// What the lane takes over of an earlier process's ring.
    pub(crate) fn heir(&self, fingerprint: u64, wanted: tracing_subscriber::filter::Targets) -> Heir {
        let limits = self.batcher.limits();
        Heir { fingerprint, wanted, records: limits.records, bytes: limits.bytes.min(limits.cost) }
    }
}

/// The first place at or behind `from`: they rise within a batch.
fn first_place(stored: &Stored, from: u64) -> Option<u64> {
    let places = || (0..stored.len()).map(|at| stored.sequence(at));
    let last = places().rev().find(|&number| is_place(number))?;
    if last < from { None } else { places().find(|&number| is_place(number) && number >= from) }
}

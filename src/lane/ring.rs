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
    /// Its records before this place are not kept there.
    given_up: u64,
    /// Says there that nothing is in memory alone.
    none_in_memory: Option<Box<dyn Fn() + Send>>,
    /// What it owes at the end and is found there by the next process: how many records, and where the first is.
    left: Option<(u64, u64)>,
}

impl Hold {
    /// Something is about to be written to disk: whoever died over that would be said to have lost what is found there.
    pub(super) fn say_none_in_memory(&self) {
        self.none_in_memory.iter().filter(|_| self.given_up > 0).for_each(|say| say());
    }
}

/// Whether a number is a place in the ring.
fn is_place(number: u64) -> bool {
    number.is_multiple_of(8)
}

impl Lane {
    /// Its records come from a ring, where `none_in_memory` says that none of what it owes is in memory alone.
    pub(crate) fn live_in_ring(&mut self, none_in_memory: Box<dyn Fn() + Send>) {
        self.hold.none_in_memory = Some(none_in_memory);
    }

    fn is_in_ring(&self) -> bool {
        self.hold.none_in_memory.is_some()
    }

    /// The first place in the ring of which the lane still needs the record there.
    pub(crate) fn oldest_kept(&self) -> Option<u64> {
        let from = self.hold.given_up;
        let jobs = self.in_memory_alone().filter_map(|stored| first_place(stored, from));
        jobs.chain(self.hold.left.map(|(_, first)| first)).min()
    }

    /// Records that would be lost with the process: those that were never sent, and those that may be at the store,
    /// whatever became of the request. Of our own, none
    /// stand in the ring, and none are missed there.
    pub(crate) fn at_risk(&self) -> (u64, u64) {
        let given_up = self.hold.given_up;
        if self.is_in_ring() && given_up == 0 {
            return (0, 0);
        }
        let is_given_up = |number: u64| is_place(number) && number < given_up;
        let count = |job: &Job| if self.is_in_ring() { job.owed_where(is_given_up) } else { job.owed() };
        let open = |open: &Stored| match self.is_in_ring() {
            true => (0..open.len()).filter(|&at| is_given_up(open.sequence(at))).count(),
            false => open.len(),
        };
        let jobs = || self.backlog.waiting().chain(self.flights.jobs()).filter(|job| job.copies().is_empty());
        let owed = |was_sent: bool| jobs().filter(|job| job.tried == was_sent).map(count).sum::<u64>();
        let open = self.batcher.open().map_or(0, open) as u64;
        (owed(false) + open, owed(true))
    }

    /// The ring needs the room before that place: what the lane owes of it goes to disk. What cannot is kept in memory alone
    /// if it may, or it stays in the ring, and is sent as soon as can be.
    pub(crate) fn yield_ring_before(&mut self, place: u64, may_give_up: bool, now: Instant) {
        let is_needed = |oldest: Option<u64>| oldest.is_some_and(|oldest| oldest < place);
        if !is_needed(self.oldest_kept()) || self.yield_ring(place - 1, now) {
            return;
        }
        if may_give_up {
            self.hold.given_up = place;
        } else if is_needed(self.batcher.open().and_then(|open| first_place(open, 0))) {
            self.seal(now);
        }
    }

    /// Batches of this process's that have no copy on disk.
    fn in_memory_alone(&self) -> impl Iterator<Item = &Stored> {
        let jobs = self.flights.jobs().chain(self.backlog.waiting()).filter(|job| job.copies().is_empty());
        jobs.map(Job::stored).chain(self.batcher.open())
    }

    /// The end: what is owed of a job and stands in the ring is left there. Says whether that is all that is owed of it.
    pub(super) fn leave_in_ring(&mut self, job: &mut Job) -> bool {
        if !self.is_in_ring() || job.is_read() {
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

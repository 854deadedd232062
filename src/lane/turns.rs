//! Whose turn it is while a lane owes a backlog and records keep coming: those that just came, or the oldest.
//!
//! Both go on. Of the requests that may be under way one is left to live records while any are coming, and where there
//! is only one the two take turns. So what an outage left behind drains, and live records do not wait behind it.
//!
//! Oldest first, as without any of this, where only one request at a time was asked for, which promises the order
//! of arrival; while the store is not well; and while what is owed is too old for the store to take it once it has
//! newer records: [`Facts::reorder_within`](crate::backend::Facts::reorder_within). What an earlier process left behind
//! holds up no live record: where its age would matter it goes to a place of its own.

use std::time::{Duration, Instant};

use super::job::Job;
use super::{IN_FLIGHT_BYTES, Lane};

/// A batch that was sealed longer ago is part of the backlog: live records are promised to be on their way by then.
const LIVE: Duration = Duration::from_secs(2);

/// Payload bytes in flight beside which no further old batch is begun while records keep coming; the rest is theirs.
const DRAIN_BYTES: usize = IN_FLIGHT_BYTES / 4 * 3;

#[derive(Default)]
pub(super) struct Turns {
    /// What was sealed before this one was owed already when the store was found to be well again.
    first_live: u64,
    /// The last request that was begun was for live records, and the next is not if there are others.
    was_live: bool,
    /// The last one was for what an earlier process owed.
    was_adopted: bool,
    /// Nothing more of that is begun.
    leaves_adopted: bool,
}

impl Turns {
    fn is_live(&self, job: &Job, now: Instant) -> bool {
        job.number >= self.first_live
            && !job.tried
            && !job.is_read()
            && now.saturating_duration_since(job.sealed()) < LIVE
    }
}

impl Lane {
    /// The store is well again: what came until now is backlog, and live records do not wait with it in one batch.
    pub(super) fn came_back(&mut self, now: Instant) {
        self.seal(now);
        self.turns.first_live = self.next_number;
    }

    /// The end: of what earlier processes owed, the rest is the next one's. Says whether any of it is in flight, which the
    /// next one would send again.
    pub(crate) fn leave_adopted(&mut self) -> bool {
        self.turns.leaves_adopted = true;
        self.flights.jobs().any(Job::is_adopted)
    }

    /// The batch for the next request, and whether its records are live.
    pub(super) fn next_job(&mut self, now: Instant) -> Option<(Job, bool)> {
        if self.in_flight == 1 || !self.passes(now) {
            return self.next_old(now).map(|job| (job, false));
        }
        let may_drain = self.may_drain(now);
        if !(self.turns.was_live && may_drain)
            && let Some(job) = self.backlog.pop_recent(|job| self.turns.is_live(job, now))
        {
            self.turns.was_live = true;
            return Some((job, true));
        }
        if !may_drain {
            if self.flights.payload_bytes() < DRAIN_BYTES {
                self.pace.wanted();
            }
            return None;
        }
        let job = self.next_old(now)?;
        let is_live = self.turns.is_live(&job, now);
        self.turns.was_live = is_live;
        Some((job, is_live))
    }

    /// What was owed for longest, by an earlier process first. With one request at a time the two take turns, each in its
    /// order, as they do while somebody waits in a flush, which is for our own.
    fn next_old(&mut self, now: Instant) -> Option<Job> {
        let may_read = self.may_read();
        let take_turns = self.in_flight == 1 || self.pace.is_hurried(now);
        let own_first = self.turns.leaves_adopted || (take_turns && self.turns.was_adopted);
        let mut adopted = if own_first { None } else { self.backlog.disk.next_adopted(may_read, now) };
        if adopted.is_none()
            && let Some(own) = self.next_own(may_read, now)
        {
            self.turns.was_adopted = false;
            return Some(own);
        }
        if self.turns.leaves_adopted {
            return None;
        }
        adopted = adopted.or_else(|| self.backlog.disk.next_adopted(may_read, now));
        self.turns.was_adopted = adopted.is_some();
        adopted
    }

    fn next_own(&mut self, may_read: bool, now: Instant) -> Option<Job> {
        match self.in_flight {
            1 => self.backlog.pop(may_read, now),
            _ => self.backlog.pop_least_suspect(self.reorder_within / 2, may_read, now),
        }
    }

    /// Whether the open batch, if it was sealed now, would go before what is waiting.
    pub(super) fn live_may_pass(&self, now: Instant) -> bool {
        let others_go_first = self.turns.was_live && self.may_drain(now);
        let one_waits = self.backlog.newest().is_some_and(|job| self.turns.is_live(job, now));
        self.passes(now) && !others_go_first && !one_waits
    }

    /// Whether live records go before older ones at all.
    fn passes(&self, now: Instant) -> bool {
        // Half of what the store takes: the other half is for what fails meanwhile, and for clocks.
        let within = self.reorder_within / 2;
        let reaches = |came: Instant| now.saturating_duration_since(came) <= within;
        let in_memory = self.backlog.oldest_in_order();
        // What goes to a place of its own is in nobody's way. Of what is on disk this is known by its age alone.
        let replays =
            |came: Instant| self.replays_after.is_some_and(|after| now.saturating_duration_since(came) > after);
        self.in_flight > 1
            && self.pace.is_well()
            && in_memory.is_none_or(|job| reaches(job.stored().opened()) || self.may_replay(job))
            && self.backlog.disk.front().is_none_or(|(_, sealed)| reaches(sealed) || replays(sealed))
    }

    /// Whether one more request may carry what is owed for longer.
    fn may_drain(&self, now: Instant) -> bool {
        if !self.live_comes(now) {
            return true;
        }
        let most = self.pace.limit().saturating_sub(1).max(1);
        let draining = self.flights.under_way().filter(|flight| !flight.is_live).count();
        let leaves_some = self.flights.payload_bytes() < DRAIN_BYTES && self.leaves_memory_to_live();
        draining == 0 || (draining < most && leaves_some)
    }

    fn live_comes(&self, now: Instant) -> bool {
        let waits = self.backlog.newest().is_some_and(|job| self.turns.is_live(job, now));
        waits || self.batcher.open().is_some() || self.flights.iter().any(|flight| flight.is_live)
    }
}

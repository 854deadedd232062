//! The worker's side of the spool: whose directories are looked through, what is written before an end, and what is told.

use std::time::{Duration, Instant};

use super::{Flush, Worker};
use crate::flush::Ticket;
use crate::lane::Lane;
use crate::ledger::{DestinationLedger, Ledger, Reason};

/// What is left of a limit for the last act, where there is a spool: what is owed was written before.
const TO_CLOSE: Duration = Duration::from_millis(50);

/// How long the last act may take beyond the deadline; who waits for it waits twice that.
const BEYOND: Duration = Duration::from_millis(50);

/// How long the lanes hurry after [`Control::spool_now`](crate::flush::Control::spool_now), and what writing may take.
const HURRY: Duration = Duration::from_secs(5);

/// The directories of a pipeline's spools.
#[derive(Default)]
pub(crate) struct Disks {}

impl Disks {
    /// Somebody waits: a process that just ended may have left something.
    pub(super) fn look_soon(&mut self) {}
}

impl Worker {
    pub(super) fn look_for_orphans(&mut self, _now: Instant) {}

    pub(super) fn write_state(&mut self, _now: Instant) {}

    /// When a flush is over, settled or not.
    pub(super) fn over_at(&self, flush: &Flush) -> Instant {
        let Ticket { deadline, closing, .. } = *flush.ticket;
        let has_spool = closing && self.lanes.iter().any(|lane| lane.has_spool());
        let kept = if has_spool { TO_CLOSE.min(flush.ticket.limit() / 2) } else { Duration::ZERO };
        deadline.checked_sub(kept).unwrap_or(deadline)
    }

    /// When what is owed must go to disk to be there before the deadline: at most half of the limit is spent on it.
    pub(super) fn spool_by(&self, flush: &Flush) -> Instant {
        let over = self.over_at(flush);
        if !flush.ticket.leaving {
            return over;
        }
        let longest = self.lanes.iter().map(|lane| lane.time_to_spool()).max().unwrap_or_default();
        over.checked_sub(longest.min(flush.ticket.limit() / 2)).unwrap_or(over)
    }

    /// Before an end: lanes whose store is not well write what they owe at once, as nobody knows how long there is, and
    /// the others while there is time. All go on trying.
    pub(super) fn spool_in_time(&mut self, now: Instant) {
        if self.spool_at.take_if(|accepted| self.drained >= *accepted).is_some() {
            for lane in &mut self.lanes {
                lane.seal_for_flush(now);
                lane.spool_all(now + HURRY, now);
            }
        }
        let leaving = |flush: &&Flush| flush.ticket.leaving;
        let Some(deadline) = self.flushes.iter().filter(leaving).map(|flush| flush.ticket.deadline).min() else {
            return;
        };
        let is_late = self.flushes.iter().filter(leaving).any(|flush| now >= self.spool_by(flush));
        let is_marked = self.flushes.iter().filter(leaving).any(|flush| flush.marks.is_some());
        for lane in &mut self.lanes {
            if is_late || (is_marked && !lane.is_well()) {
                lane.spool_all(deadline + BEYOND, now);
            }
        }
    }

    /// What came into the queue before it closed and was not drained in time: to disk where there is one.
    /// What is in a ring stays there.
    pub(super) fn drain_last(&mut self, until: Instant) {
        if self.intake.queue.has_places() {
            return;
        }
        while self.lanes.iter().any(|lane| lane.has_spool())
            && Instant::now() < until
            && self.drain(Instant::now(), true) > 0
        {}
        self.drop_queued(Reason::Deadline);
    }

    /// What the end leaves on disk, in one line for each destination.
    pub(super) fn kept(&self, ledger: &Ledger) -> Vec<String> {
        let on_disk = |(lane, to): (_, &DestinationLedger)| {
            let lane: &Lane = lane;
            (lane, to.name.clone(), to.owed_disk - lane.left_in_ring())
        };
        let kept = self.lanes.iter().zip(&ledger.destinations).map(on_disk).filter(|&(_, _, count)| count > 0);
        let line = |name: &str, count: u64, dir: &str| {
            format!(
                "{count} records for {name} are kept in {dir}; the next process that is given this directory sends them"
            )
        };
        let ring = self.left_in_ring(ledger);
        kept.map(|(lane, name, count)| line(&name, count, &lane.dir())).chain(ring).collect()
    }

    /// Somebody wants what is owed to be safe now.
    pub(super) fn see_spool_now(&mut self, now: Instant) {
        if self.control.take_spool_now() {
            self.accepted = self.intake.queue.accepted(self.accepted);
            self.spool_at = Some(self.accepted);
            self.lanes.iter_mut().for_each(|lane| lane.hurry(now + HURRY, now));
        }
    }
}

/// How long the last act may go on.
pub(super) fn until(deadline: Instant) -> Instant {
    deadline + BEYOND
}

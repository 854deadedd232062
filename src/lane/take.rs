//! From a record to a sealed batch: whether there is room for it, which batch it is part of, and when that is sealed.

use std::time::{Duration, Instant};

use super::Lane;
use super::job::Job;
use crate::batch::Stored;
use crate::contain::contained;
use crate::frame::{Frame, RecordId, RecordRef, Severity};
use crate::ledger::Reason;

/// ERROR and FATAL seal their batch at once, but not more often than this.
const URGENT_EVERY: Duration = Duration::from_millis(20);

impl Lane {
    /// Takes a record, or counts why not.
    #[inline]
    pub(crate) fn take(&mut self, frame: &Frame, id: RecordId, nanos: i64, now: Instant) {
        let record = RecordRef::new(frame.callsite(), frame.bytes(), nanos, id);
        let severity = record.severity();
        let backend = &self.parts.backend;
        let cost = contained(|| backend.cost(&record)).unwrap_or_else(|_| record.encoded_hint());
        let bytes = frame.bytes().len();
        self.backlog.set_other_bytes(self.other_bytes());
        if self.backlog.is_pressed(bytes) {
            self.relieve(bytes, now);
        }
        let has_room = self.backlog.fits(bytes) || self.spill_for(bytes, now);
        let goes_to_disk = !has_room && self.backlog.disk.takes_by_day(now);
        if !has_room && !goes_to_disk && !self.make_room(bytes) {
            self.counts.dropped.add(self.backlog.disk.reason(), severity, 1);
            return;
        }
        if let Some(sealed) = self.batcher.add(frame, id, nanos, cost, now) {
            self.append(sealed, now);
        }
        self.urgent |= severity >= Severity::Error;
        if goes_to_disk {
            self.seal_to_disk(now);
        }
    }

    /// Gives up what is oldest, where that is who loses, until a record of that size fits.
    #[cold]
    pub(super) fn make_room(&mut self, bytes: usize) -> bool {
        let mut dropped = Vec::new();
        let fits = self.backlog.make_room(bytes, |oldest| dropped.push(oldest));
        for mut oldest in dropped {
            // What stands on disk as a whole need not be lost.
            if !oldest.copies().is_empty() && oldest.copied_in_vain() == 0 {
                self.backlog.disk.put_back(&oldest);
            } else {
                self.give_up(&mut oldest, self.backlog.disk.reason());
                self.put_back(oldest);
            }
        }
        fits
    }

    /// Counts a record that this destination does not want.
    pub(crate) fn filter_out(&mut self) {
        self.counts.filtered += 1;
    }

    /// Counts a record over which the worker died.
    pub(crate) fn lose(&mut self, severity: Severity, reason: Reason) {
        self.counts.dropped.add(reason, severity, 1);
    }

    /// While what is in the open batch could not be sent, it grows instead of being sealed by age; but not where each batch
    /// goes to disk, as what is not sealed is not there.
    pub(super) fn may_seal(&mut self, now: Instant) -> bool {
        if self.backlog.disk.takes_all() {
            return true;
        }
        self.pace.may_send(self.flights.under_way().count(), now)
            && (self.backlog.is_empty() || self.live_may_pass(now))
    }

    pub(super) fn urgent_due(&self) -> Option<Instant> {
        let open = self.batcher.open().filter(|_| self.urgent)?;
        Some(self.last_urgent.map_or(open.opened(), |last| last + URGENT_EVERY))
    }

    pub(super) fn seal(&mut self, now: Instant) {
        if let Some(sealed) = self.batcher.seal() {
            self.append(sealed, now);
        }
    }

    pub(super) fn new_job(&mut self, sealed: Stored, now: Instant) -> Job {
        self.urgent = false;
        self.next_number += 1;
        Job::new(self.next_number - 1, sealed, now)
    }

    pub(super) fn append(&mut self, sealed: Stored, now: Instant) {
        let mut job = self.new_job(sealed, now);
        // It may be held for long, or there is not much room.
        if !self.pace.is_well() || self.backlog.is_pressed(0) {
            job.stored_mut().shrink();
        }
        if self.backlog.disk.takes_all() {
            self.hold.say_none_in_memory();
            if self.write_those_before(job.number, now) {
                self.backlog.disk.write(&mut job, true, now);
            }
            self.tell_of_disk(now);
        }
        self.relieved_in_vain = None;
        self.backlog.push(job);
    }
}

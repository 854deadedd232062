//! Flushes and the end, from the worker's side: what a ticket waits for, and the last act.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Worker;
use super::disk::until;
use crate::exit::termination_log;
use crate::flush::Ticket;
use crate::health::WorkerState;
use crate::lane::{AT_THE_END, Lane};
use crate::ledger::{Ledger, Reason};

/// A flush under way.
pub(super) struct Flush {
    pub(super) ticket: Arc<Ticket>,
    /// Records that had been accepted when the ticket was seen.
    pub(super) accepted: u64,
    /// Once they are drained: for each lane the first batch that is not part of the flush.
    pub(super) marks: Option<Vec<u64>>,
}

impl Worker {
    pub(super) fn see_tickets(&mut self, now: Instant) {
        if self.control.is_in_haste() {
            self.lanes.iter_mut().for_each(Lane::stop_lingering);
        }
        for ticket in self.control.take_tickets() {
            if ticket.closing {
                self.intake.queue.close();
            }
            for lane in &mut self.lanes {
                lane.hurry(ticket.deadline, now);
            }
            self.disks.look_soon(now);
            self.look_for_rings_soon();
            self.accepted = self.intake.queue.accepted(self.accepted);
            self.flushes.push(Flush { ticket, accepted: self.accepted, marks: None });
        }
    }

    /// A flush whose records are all drained: seals them. After the last one only records of our own come, which are
    /// not left open either.
    pub(super) fn mark_flushes(&mut self, now: Instant) {
        for flush in &mut self.flushes {
            if self.drained < flush.accepted || (flush.marks.is_some() && !flush.ticket.closing) {
                continue;
            }
            let marks = self.lanes.iter_mut().map(|lane| lane.seal_for_flush(now)).collect();
            flush.marks.get_or_insert(marks);
        }
    }

    /// Completes the flushes that are settled or over; true if the pipeline ends with one of them.
    pub(super) fn finish_flushes(&mut self, now: Instant) -> bool {
        let mut flushes = std::mem::take(&mut self.flushes);
        let is_quiet = self.is_quiet(&flushes);
        let lanes = &self.lanes;
        let is_settled = |flush: &Flush| is_settled(flush, lanes);
        let mut closing = Vec::new();
        let is_over =
            |flush: &Flush| now >= self.over_at(flush) || (is_settled(flush) && (!flush.ticket.closing || is_quiet));
        for flush in flushes.extract_if(.., |flush| is_over(flush)) {
            let settled = is_settled(&flush);
            if flush.ticket.closing {
                closing.push((flush.ticket, settled));
            } else {
                flush.ticket.complete(self.control.books().ledger(&self.intake.queue), settled);
            }
        }
        self.flushes = flushes;
        let Some((first, settled)) = closing.first() else { return false };
        let ledger = self.end(*settled, until(first.deadline));
        for (ticket, settled) in closing {
            ticket.complete(ledger.clone(), settled);
        }
        true
    }

    /// Whether nothing is under way any more that an end waits for within its limit: what the end itself lost, as it is told
    /// in the stream, and requests for what earlier processes owed.
    pub(super) fn is_quiet(&mut self, flushes: &[Flush]) -> bool {
        let is_closed = |flush: &Flush| flush.ticket.closing && is_settled(flush, &self.lanes);
        if !flushes.iter().any(is_closed) || !self.lanes.iter().all(|lane| lane.has_settled(u64::MAX)) {
            return false;
        }
        let in_flight = self.lanes.iter_mut().filter_map(|lane| lane.leave_adopted().then_some(())).count();
        in_flight == 0
    }

    /// The last act: leaves on disk what could not be sent, or counts it as lost.
    pub(super) fn end(&mut self, settled: bool, until: Instant) -> Ledger {
        // Callers that were admitted before the queue closed may still be on their way into it.
        let patience = Instant::now() + Duration::from_millis(20);
        loop {
            self.drain_last(until);
            if self.drained >= self.intake.queue.accepted(self.accepted) || Instant::now() > patience {
                break;
            }
            thread::yield_now();
        }
        let shown_until = Instant::now() + AT_THE_END;
        self.show_owed(|lane, teed| lane.show_last(teed, shown_until));
        for lane in &mut self.lanes {
            lane.close(Reason::Deadline, until);
        }
        self.end_ring(Instant::now());
        self.disks.close();
        self.publish(WorkerState::Stopped);
        let ledger = self.control.books().ledger(&self.intake.queue);
        let mut told = self.kept(&ledger);
        if ledger.lost() > 0 {
            told.push(totals(&ledger));
        }
        told.iter().for_each(|line| self.voice.always(line));
        if !told.is_empty() {
            termination_log::tell(Path::new(termination_log::PATH), &told.join("; "));
        }
        self.control.end(&ledger, settled);
        for flush in self.flushes.drain(..) {
            flush.ticket.complete(ledger.clone(), settled);
        }
        ledger
    }

    pub(super) fn drop_queued(&mut self, reason: Reason) {
        for frame in self.intake.queue.drain() {
            self.drained += 1;
            for lane in &mut self.lanes {
                lane.lose(frame.severity(), reason);
            }
        }
    }
}

fn is_settled(flush: &Flush, lanes: &[Lane]) -> bool {
    let all = |marks: &Vec<u64>| lanes.iter().zip(marks).all(|(lane, &mark)| lane.has_settled(mark));
    flush.marks.as_ref().is_some_and(all)
}

/// What was lost, what to change, and the whole ledger, in one line.
fn totals(ledger: &Ledger) -> String {
    let lost_by = |reason: Reason| {
        ledger.dropped.of(reason) + ledger.destinations.iter().map(|to| to.dropped.of(reason)).sum::<u64>()
    };
    let remedies: Vec<_> = Reason::ALL.into_iter().filter(|&reason| lost_by(reason) > 0).map(Reason::remedy).collect();
    let remedies = if remedies.is_empty() { String::new() } else { format!(" ({})", remedies.join("; ")) };
    let places = match ledger.destinations.len() {
        0 | 1 => String::new(),
        several => format!(", counted at each of {several} destinations,"),
    };
    let (lost, whole) = (ledger.lost(), ledger.to_string().replace('\n', "; "));
    format!("at the end {lost} records{places} were lost{remedies}: {whole}")
}

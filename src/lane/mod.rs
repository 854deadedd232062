//! One destination, from the record that comes out of the queue to the one that is settled.
//!
//! ```text
//! take ─► filter ─► batcher ─► backlog ─► begin: encode ─► wire ─► end: judge ─► settle
//!                               ▲▼  ▲                                │
//!                             disk  └──────────── again ◄────────────┘
//! ```
//!
//! A lane runs on the worker alone. It owns what it owes: requests in flight carry copies, so that nothing is lost
//! when one of them, or the worker, dies.

mod aimd;
#[cfg(test)]
mod apart;
mod ask;
mod backlog;
mod books;
mod disk;
#[cfg(test)]
mod drain;
mod examine;
mod fallback;
mod flight;
#[cfg(feature = "testing")]
pub(crate) mod herd;
mod job;
#[cfg(test)]
mod link;
mod own;
mod pace;
mod part;
mod quarantine;
mod retry;
mod ring;
mod settle;
mod spill;
mod take;
mod turns;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::batch::{Batcher, Limits, Origin, Stored};
use crate::clock;
use crate::config::LaneSettings;
use crate::contain::contained;
use crate::crash;
use crate::ledger::{DestinationLedger, Reason};
use crate::visit::{Seen, Visit};
use crate::voice::Voice;
use crate::wire::Client;
use backlog::Backlog;
use fallback::Fallback;
pub(crate) use fallback::{AT_THE_END, Teed};
use flight::{End, Flight, Flights};
pub(crate) use flight::{Outcome, Sending};
use job::Job;
use pace::Pace;
use quarantine::Quarantine;
pub use retry::Schedule;
use turns::Turns;

/// Payload bytes in flight, all requests of a lane together; a single larger one goes alone.
const IN_FLIGHT_BYTES: usize = 4 * 1024 * 1024;

/// What a lane is made of.
pub(crate) struct LaneParts {
    /// Its place among the lanes.
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) client: Client,
    pub(crate) schedule: Option<Box<dyn Schedule>>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) settings: LaneSettings,
    pub(crate) voice: Arc<Voice>,
}

pub(crate) struct Lane {
    parts: LaneParts,
    /// What the backend declares.
    oldest: Option<Duration>,
    in_flight: usize,
    batcher: Batcher,
    backlog: Backlog,
    flights: Flights,
    /// What the doctor is to be told once the books say it as well.
    visits: Vec<(Arc<Visit>, Seen)>,
    /// The job over which the doctor waits, while it has to be encoded again.
    postponed: Option<(u64, Arc<Visit>)>,
    pace: Pace,
    turns: Turns,
    /// How much older than the newest record that it has one may be for the store to take it.
    reorder_within: Duration,
    fallback: Option<Fallback>,
    quarantine: Option<Quarantine>,
    next_number: u64,
    urgent: bool,
    last_urgent: Option<Instant>,
    counts: DestinationLedger,
    last_failure: Option<String>,
    held: bool,
    /// Requests that the store took, or refused for good.
    taken: u64,
    /// From what age on records go to a place of their own.
    replays_after: Option<Duration>,
    /// What is wrong with the spool, as it was told.
    disk_trouble: Option<String>,
    /// Records that stand on disk beside others of their batch that are owed, and are not owed themselves.
    settled_on_disk: u64,
    /// When the memory was half full last and nothing could go to disk.
    relieved_in_vain: Option<Instant>,
    hold: ring::Hold,
}

impl Lane {
    pub(crate) fn new(mut parts: LaneParts) -> Self {
        let facts = parts.backend.facts();
        let limits = Limits {
            // A batch must be a small part of the backlog, or dropping the oldest would drop nearly all.
            cost: parts.settings.batch_bytes.min(facts.most_bytes()).min(parts.settings.backlog_bytes / 4),
            records: facts.most_records(),
            // The backend may count in other units than bytes. What is reserved ahead takes up to three times as much.
            bytes: (parts.settings.backlog_bytes / 8).min(u32::MAX as usize),
            linger: parts.settings.linger,
        };
        let in_flight = parts.settings.in_flight.min(facts.most_in_flight()).max(1);
        Self {
            batcher: Batcher::new(Arc::clone(&parts.origin), limits),
            oldest: facts.oldest_age(),
            in_flight,
            backlog: Backlog::new(parts.settings.backlog_bytes, parts.settings.backlog_overflow),
            flights: Flights::default(),
            visits: Vec::new(),
            postponed: None,
            pace: Pace::new(in_flight, parts.schedule.take()),
            turns: Turns::default(),
            reorder_within: facts.reorders_within(),
            fallback: parts.settings.fallback.map(Fallback::new),
            quarantine: parts.settings.quarantine.clone().map(Quarantine::at),
            next_number: 0,
            urgent: false,
            last_urgent: None,
            counts: DestinationLedger::new(parts.name.clone(), facts.delivers()),
            last_failure: None,
            held: false,
            taken: 0,
            replays_after: facts.replays_older_than(),
            disk_trouble: None,
            settled_on_disk: 0,
            relieved_in_vain: None,
            hold: ring::Hold::default(),
            parts,
        }
    }

    /// Seals what is due and begins as many requests as may be in flight; each is handed to `start`.
    pub(crate) fn tick(&mut self, now: Instant, mut start: impl FnMut(Sending)) {
        self.expire(now);
        if self.backlog.disk.tick(now) {
            self.tell_of_disk(now);
        }
        self.backlog.set_other_bytes(self.other_bytes());
        if self.backlog.is_pressed(0) {
            self.relieve(0, now);
        }
        if self.may_seal(now) {
            if self.urgent_due().is_some_and(|due| now >= due) {
                self.last_urgent = Some(now);
                self.seal(now);
            } else if let Some(sealed) = self.batcher.tick(now) {
                self.append(sealed, now);
            }
        }
        self.ask(now, &mut start);
        while let Some(sending) = self.begin(now) {
            start(sending);
        }
    }

    /// Gives up what has been owed for too long.
    ///
    /// Counted from when a batch was sealed: while the store is away one batch stays open for long, and what came into
    /// it last is no older than that. One that only waits its turn at a store that is well is not too old, and
    /// without retries each batch is tried once.
    fn expire(&mut self, now: Instant) {
        let limit = self.parts.settings.retry_for;
        let untried_as_well = !self.pace.is_well() && !limit.is_zero();
        let is_over = |job: &Job| now >= job.sealed() + limit && (job.tried || untried_as_well);
        while self.backlog.oldest().is_some_and(is_over) {
            if let Some(mut job) = self.backlog.pop_memory() {
                self.give_up(&mut job, Reason::Expired);
                self.put_back(job);
            }
        }
        self.expire_on_disk(limit, now);
    }

    fn give_up(&mut self, job: &mut Job, reason: Reason) {
        for severity in job.owed_severities() {
            self.counts.dropped.add(reason, severity, 1);
        }
        job.abandon();
    }

    fn begin(&mut self, now: Instant) -> Option<Sending> {
        loop {
            if !self.pace.may_send(self.flights.under_way().count(), now) {
                if self.owes_more() {
                    self.pace.wanted();
                }
                return None;
            }
            let most_payload = self.flights.payload_bytes() >= IN_FLIGHT_BYTES;
            if self.flights.under_way().next().is_some() && (most_payload || !self.may_hold_more()) {
                return None;
            }
            let (mut job, is_live) = self.next_job(now)?;
            self.drop_older(&mut job);
            if job.is_settled() {
                self.put_back(job);
                continue;
            }
            if self.may_replay(&job) {
                job.replay();
            }
            let batch = job.next();
            match contained(|| self.parts.backend.encode(&batch)) {
                Ok(payload) => {
                    let visit = self.postponed.take_if(|(id, _)| *id == job.id).map(|(_, visit)| visit);
                    return Some(self.send(job, is_live, payload, visit, now));
                }
                Err(message) => {
                    self.panicked(&mut job, &message, false, now);
                    self.put_back(job);
                }
            }
        }
    }

    /// Drops what the store would lose without a word, because it is too old.
    fn drop_older(&mut self, job: &mut Job) {
        let Some(oldest) = self.oldest else { return };
        for severity in job.drop_older(clock::nanos_ago(oldest)) {
            self.counts.dropped.add(Reason::TooOld, severity, 1);
        }
    }

    /// A request ended: what that means for its records, and for the next ones.
    pub(crate) fn end(&mut self, outcome: Outcome, now: Instant) {
        crash::at("lane.settle");
        let Some(flight) = self.flights.land(outcome.job) else { return };
        let (mut job, visit, begun, payload_bytes) = (flight.job, flight.visit, flight.begun, flight.payload_bytes);
        let (was_asking, taken) = (flight.asking.is_some(), self.taken);
        let end = End { was_there: flight.was_there, asking: flight.asking, result: outcome.result, payload_bytes };
        // The schedule may be the user's code: a panic in it is the worker's death, but not the end of the batch.
        let done = contained(|| self.conclude(&mut job, end, visit, now));
        // How long a question took says nothing about how much the store can take.
        if !was_asking && (self.taken > taken || matches!(done, Ok(Some(_)))) {
            self.pace.took(payload_bytes, begun, now);
        }
        match done {
            Ok(Some(asking)) => self.flights.depart(Flight::asked(job, asking, now)),
            Ok(None) => self.put_back(job),
            Err(message) => {
                self.put_back(job);
                resume_unwind(Box::new(message));
            }
        }
    }

    /// What becomes of a job that is not in flight any more.
    fn put_back(&mut self, job: Job) {
        self.relieved_in_vain = None;
        if job.is_settled() {
            self.backlog.disk.settle(&job);
        } else if job.is_adopted() {
            self.backlog.disk.wait(job);
        } else {
            self.backlog.put_back(job);
        }
    }

    /// Seals the open batch. Returns the number of the first batch that holds none of what came until now.
    pub(crate) fn seal_for_flush(&mut self, now: Instant) -> u64 {
        self.seal(now);
        self.next_number
    }

    /// Whether all batches before that one are settled. What an earlier process owed holds nobody up.
    pub(crate) fn has_settled(&self, before: u64) -> bool {
        let flights = self.flights.jobs().filter(|job| !job.is_adopted());
        let in_memory = flights.chain(self.backlog.oldest()).map(|job| job.number);
        in_memory.chain(self.backlog.disk.front().map(|(number, _)| number)).all(|number| number >= before)
    }

    /// The worker died: what was in flight is to be sent again, and what the store has, to be asked for again.
    pub(crate) fn recover(&mut self) {
        let now = clock::now();
        for mut flight in std::mem::take(&mut self.flights) {
            match &mut flight.asking {
                Some(asking) => {
                    asking.lost(now);
                    self.flights.depart(flight);
                }
                None => self.put_back(flight.job),
            }
        }
    }

    /// When the lane must be ticked next, if that is a matter of time.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        let show_due = self.fallback.as_ref().and_then(|fallback| fallback.due(now));
        self.send_due(now).into_iter().chain(self.ask_due()).chain(show_due).min()
    }

    fn send_due(&mut self, now: Instant) -> Option<Instant> {
        if let Some(until) = self.pace.due() {
            let has_some = self.owes_more() || self.batcher.open().is_some();
            return has_some.then_some(until);
        }
        if !self.may_seal(now) {
            return None;
        }
        self.batcher.due().into_iter().chain(self.urgent_due()).min()
    }

    /// Whether the lane can take more without giving anything up: while this is false and the queue blocks when
    /// full, the worker leaves records there.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.pace.is_well() && self.backlog.waiting_bytes() >= IN_FLIGHT_BYTES / 2 {
            return false;
        }
        // How large the next record is cannot be seen before it is taken. With a backlog of less than two of the
        // largest ones, room is kept for one of half of it.
        let largest = crate::frame::FRAME_MAX.min(self.parts.settings.backlog_bytes / 2);
        self.backlog.set_other_bytes(self.other_bytes());
        self.backlog.held_bytes() + largest <= self.parts.settings.backlog_bytes
    }

    /// What is held besides the backlog.
    #[inline]
    fn other_bytes(&self) -> usize {
        let open = self.batcher.open().map_or(0, Stored::held_bytes);
        self.flights.held_bytes() + open + self.backlog.disk.waiting_bytes()
    }

    /// Whether anything waits to be sent.
    fn owes_more(&self) -> bool {
        !self.backlog.is_empty() || self.backlog.disk.has_adopted()
    }

    /// No record waits for its batch to fill any more.
    pub(crate) fn stop_lingering(&mut self) {
        self.batcher.stop_lingering();
    }

    /// Somebody waits in a flush until `deadline`.
    pub(crate) fn hurry(&mut self, deadline: Instant, now: Instant) {
        self.pace.hurry(deadline, now);
        self.flights.asking().for_each(|(_, asking)| asking.hurry(now));
    }
}

#[cfg(all(test, unix))]
mod sim;
#[cfg(test)]
mod tests;

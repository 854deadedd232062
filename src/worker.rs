//! The one thread that sends, and its loop: drain, number, hand to the tee and the lanes.
//!
//! It owns all that is owed, outside of the code that may panic, so a panic anywhere costs at most the record in
//! hand, and that one is counted. It never waits for a record: it polls, so that a caller does not pay
//! for waking it.

mod disk;
mod flushes;
mod ring;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::runtime;
use tracing_subscriber::filter::Targets;

pub(crate) use self::disk::Disks;
use self::flushes::Flush;
pub(crate) use self::ring::Rings;
use crate::announce::Announcer;
use crate::capture::{Intake, Record};
use crate::contain::contained;
use crate::flush::Control;
use crate::frame::{Frame, RecordRef, Severity};
use crate::health::WorkerState;
use crate::lane::{Lane, Outcome, Sending, Teed};
use crate::ledger::Reason;
use crate::mute;
use crate::numbers::Numbers;
use crate::tee::{Stream, WorkerTee};
use crate::voice::{Topic, Voice};

/// Between two looks at the queue: while many records come, and when few or none came for a while. 50 ms cost under a
/// thousandth of a core and are the most that a record waits before it is drained.
const POLL_BUSY: Duration = Duration::from_millis(1);
const POLL_IDLE: Duration = Duration::from_millis(50);

/// Fewer records than this between two looks fill no queue, so the next look may be later. Looking each
/// millisecond for a service that logs 200 records a second would wake this thread for most of them.
const FEW: usize = 64;

/// Records drained before the lanes are looked at again.
const ROUND: usize = 1024;

/// So many deaths within the span, and records are dropped until the oldest is longer ago.
const DEATHS: usize = 5;
const DEATHS_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Worker {
    intake: Arc<Intake>,
    control: Arc<Control>,
    voice: Arc<Voice>,
    lanes: Vec<Lane>,
    tee: Option<WorkerTee>,
    announcer: Announcer,
    numbers: Numbers,
    accepted: u64,
    drained: u64,
    own: u64,
    flushes: Vec<Flush>,
    /// The record that is being handed on, and the lanes that have it already.
    in_hand: Option<(Severity, usize)>,
    deaths: VecDeque<Instant>,
    restarts: u64,
    disks: Disks,
    rings: Option<Rings>,
    /// Somebody wants what was accepted until then to be on disk.
    spool_at: Option<u64>,
}

impl Worker {
    pub(crate) fn new(
        intake: Arc<Intake>,
        control: Arc<Control>,
        voice: Arc<Voice>,
        lanes: Vec<Lane>,
        tee: Option<WorkerTee>,
        incarnation: u128,
    ) -> Self {
        let has_places = intake.queue.has_places();
        Self {
            intake,
            control,
            voice,
            lanes,
            tee,
            announcer: Announcer::default(),
            numbers: Numbers::new(incarnation, has_places),
            accepted: 0,
            drained: 0,
            own: 0,
            flushes: Vec::new(),
            in_hand: None,
            deaths: VecDeque::new(),
            restarts: 0,
            disks: Disks::default(),
            rings: None,
            spool_at: None,
        }
    }

    /// Gives the worker the directories of its lanes' spools.
    pub(crate) fn with_disks(self, disks: Disks) -> Self {
        Self { disks, ..self }
    }

    /// Starts the thread, and waits until its runtime stands.
    pub(crate) fn spawn(self) -> io::Result<()> {
        let (ready, is_ready) = sync_channel(1);
        thread::Builder::new().name("logchute".into()).spawn(move || {
            mute::this_thread();
            match runtime() {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    self.supervise(&runtime);
                    // A resolver that hangs must not hang the end.
                    runtime.shutdown_background();
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })?;
        is_ready.recv().unwrap_or_else(|_| Err(io::Error::other("the worker thread died while starting")))
    }

    /// Runs, and runs again after each panic, until the pipeline is shut down.
    fn supervise(mut self, runtime: &runtime::Runtime) {
        self.publish(WorkerState::Running);
        while let Err(message) = contained(|| runtime.block_on(self.run())) {
            self.restarts += 1;
            let now = Instant::now();
            self.recover(&message, now);
            if self.is_degraded(now) && self.degraded() {
                return;
            }
        }
    }

    fn is_degraded(&mut self, now: Instant) -> bool {
        self.deaths.push_back(now);
        while self.deaths.front().is_some_and(|&death| now.duration_since(death) > DEATHS_WITHIN) {
            self.deaths.pop_front();
        }
        self.deaths.len() >= DEATHS
    }

    fn recover(&mut self, message: &str, now: Instant) {
        if let Some((severity, have)) = self.in_hand.take() {
            for lane in self.lanes.iter_mut().skip(have) {
                lane.lose(severity, Reason::Worker);
            }
        }
        for lane in &mut self.lanes {
            lane.recover();
        }
        self.voice.say(
            Topic::new("worker panicked"),
            || format!("the worker panicked and was restarted; what was in flight is sent again: {message}"),
            now,
        );
    }

    /// Keeps the queue empty and the books right, and does nothing else that could panic, until the oldest death is
    /// long enough ago. Says whether the pipeline ended with that.
    fn degraded(&mut self) -> bool {
        let until = self.deaths.front().map_or_else(Instant::now, |&oldest| oldest + DEATHS_WITHIN);
        self.voice.always("the worker died five times in a minute; for the rest of it records are dropped");
        loop {
            let now = Instant::now();
            self.see_tickets(now);
            // What is in a ring is safe there.
            if !self.intake.queue.has_places() {
                self.drop_queued(Reason::Worker);
            }
            self.mark_flushes(now);
            self.publish(WorkerState::Degraded);
            if self.finish_flushes(now) {
                return true;
            }
            if now >= until {
                return false;
            }
            thread::sleep(POLL_IDLE);
        }
    }

    async fn run(&mut self) {
        let mut sendings = FuturesUnordered::new();
        let mut poll = POLL_BUSY;
        loop {
            let now = Instant::now();
            self.see_tickets(now);
            self.see_spool_now(now);
            self.look_for_orphans(now);
            self.look_for_rings(now);
            self.see_visits(now, |sending| sendings.push(sending));
            let drained = self.drain(now, false);
            self.announce(now);
            self.mark_flushes(now);
            self.spool_in_time(now);
            for lane in &mut self.lanes {
                lane.tick(now, |sending| sendings.push(sending));
            }
            self.release_ring(now);
            self.write_state(now);
            self.show_owed(|lane, teed| lane.show_owed(teed, now));
            self.publish(WorkerState::Running);
            if self.finish_flushes(now) {
                return;
            }
            poll = if drained >= FEW { POLL_BUSY } else { (poll * 2).min(POLL_IDLE) };
            let until = if drained == ROUND { now } else { self.due(now, poll) };
            for outcome in wait(&self.intake, &mut sendings, until).await {
                let now = Instant::now();
                self.lanes[outcome.lane].end(outcome, now);
            }
        }
    }

    fn due(&mut self, now: Instant, poll: Duration) -> Instant {
        let lanes: Vec<_> = self.lanes.iter_mut().filter_map(|lane| lane.due(now)).collect();
        let flushes = self.flushes.iter().flat_map(|flush| [self.spool_by(flush), self.over_at(flush)]);
        let flushes = flushes.filter(|&due| due > now);
        lanes.into_iter().chain(flushes).min().map_or(now + poll, |due| due.min(now + poll))
    }

    /// Takes records out of the queue and hands them on; says how many. With `at_the_end` only lanes with a spool get them,
    /// which is where they go, and nobody waits for room.
    fn drain(&mut self, now: Instant, at_the_end: bool) -> usize {
        let intake = Arc::clone(&self.intake);
        intake.queue.wake().begin_drain();
        let filters = intake.filters.now();
        let agree = filters.agree();
        let mut drain = intake.queue.drain();
        let mut count = 0;
        while count < ROUND {
            if !at_the_end && intake.queue.blocks() && !self.lanes.iter_mut().all(Lane::has_room) {
                break;
            }
            let Some(frame) = drain.next() else { break };
            count += 1;
            self.drained += 1;
            let severity = frame.severity();
            self.in_hand = Some((severity, 0));
            let (id, nanos) = self.numbers.next(frame.nanos(), drain.position());
            drain.number(frame.nanos(), nanos);
            let record = RecordRef::new(frame.callsite(), frame.bytes(), nanos, id);
            let wanted = |filter: &Targets| agree || filter.would_enable(record.target(), &severity.level());
            if let (Some(tee), Some(filter)) = (&mut self.tee, &filters.tee)
                && wanted(filter)
            {
                tee.take(&record);
            }
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                self.in_hand = Some((severity, index));
                if at_the_end && !lane.has_spool() {
                    lane.lose(severity, Reason::Deadline);
                } else if wanted(filters.of_lane(index)) {
                    lane.take(&frame, id, nanos, now);
                } else {
                    lane.filter_out();
                }
            }
            self.in_hand = None;
        }
        drop(drain);
        if let Some(tee) = &mut self.tee {
            tee.write();
        }
        count
    }

    /// Hands a record of our own to the lanes.
    fn hand_own(&mut self, frame: &Frame, now: Instant) {
        self.own += 1;
        let (id, nanos) = self.numbers.next(frame.nanos(), None);
        for lane in &mut self.lanes {
            lane.take(frame, id, nanos, now);
        }
    }

    /// Lanes whose store is away show what they owe, but what the tee shows in the same place.
    fn show_owed(&mut self, show: impl Fn(&mut Lane, Teed<'_>)) {
        if !self.lanes.iter().any(Lane::has_fallback) {
            return;
        }
        let stream = self.tee.as_ref().map(WorkerTee::stream);
        let filters = self.intake.filters.now();
        let teed = |there: Stream, record: &RecordRef<'_>| {
            let wants = |filter: &Targets| filter.would_enable(record.target(), &record.severity().level());
            stream == Some(there) && filters.tee.as_ref().is_some_and(wants)
        };
        self.lanes.iter_mut().for_each(|lane| show(lane, &teed));
    }

    /// Tells of losses, on stderr and in the stream.
    fn announce(&mut self, now: Instant) {
        // All that is left to tell goes with the last batches: in the one round that marks them.
        let is_last = |flush: &Flush| flush.ticket.closing && flush.marks.is_none() && self.drained >= flush.accepted;
        let closing = self.flushes.iter().any(is_last);
        let lanes = self.lanes.iter().map(|lane| (lane.name(), lane.dropped()));
        let records = self.announcer.look(&self.intake.queue, lanes, &self.voice, closing, now);
        for record in records {
            self.hand_own(&record.into_own_frame(), now);
        }
    }

    /// The doctor came: each lane sends a marked record at once.
    fn see_visits(&mut self, now: Instant, mut start: impl FnMut(Sending)) {
        for visit in self.control.take_visits() {
            self.own += 1;
            let frame = Record::new(Severity::Info, "a record to see whether records arrive")
                .target("logchute")
                .field("logchute.doctor", true)
                .into_own_frame();
            let (id, nanos) = self.numbers.next(frame.nanos(), None);
            for lane in &mut self.lanes {
                lane.examine(&frame, id, nanos, &visit, now).into_iter().for_each(&mut start);
            }
        }
    }

    fn publish(&mut self, state: WorkerState) {
        self.accepted = self.intake.queue.accepted(self.accepted);
        self.intake.home.heartbeat(self.accepted, self.intake.queue.losses().total());
        let mut books = self.control.books();
        (books.accepted, books.drained, books.own) = (self.accepted, self.drained, self.own);
        (books.worker, books.restarts) = (Some(state), self.restarts);
        books.safe_after =
            self.lanes.iter().map(Lane::safe_after).try_fold(Duration::ZERO, |most, one| Some(most.max(one?)));
        for (lane, ledger) in self.lanes.iter_mut().zip(&mut books.destinations) {
            lane.publish(ledger);
        }
        for (lane, health) in self.lanes.iter().zip(&mut books.health) {
            lane.publish_health(health);
        }
        drop(books);
        self.lanes.iter_mut().for_each(Lane::tell_visits);
    }
}

fn runtime() -> io::Result<runtime::Runtime> {
    runtime::Builder::new_current_thread()
        .enable_all()
        // Nothing blocks on it: names are resolved on threads of their own. Should anything, it is ours as well.
        .max_blocking_threads(1)
        .on_thread_start(mute::this_thread)
        .build()
}

/// Waits for the end of a request, a wake-up or the time; gives all requests that have ended.
async fn wait(intake: &Intake, sendings: &mut FuturesUnordered<Sending>, until: Instant) -> Vec<Outcome> {
    let mut ended = Vec::new();
    let mut woken = pin!(intake.queue.wake().woken());
    let mut sleep = pin!(tokio::time::sleep_until(until.into()));
    poll_fn(|context| {
        while let Poll::Ready(Some(outcome)) = sendings.poll_next_unpin(context) {
            ended.push(outcome);
        }
        let stop =
            !ended.is_empty() || woken.as_mut().poll(context).is_ready() || sleep.as_mut().poll(context).is_ready();
        if stop { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    // Connections are driven by tasks of the runtime: at full speed they need their turn as well.
    tokio::task::yield_now().await;
    ended
}

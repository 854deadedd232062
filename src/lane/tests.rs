//! A lane without a network and without a clock: each request is answered by hand, at whatever time.

mod disk;

use super::*;
use crate::backend::{Batch, Facts, Payload, Reply, Verdict};
use crate::config::BacklogOverflow;
use crate::frame::{Callsite, Frame, RecordId, Severity};
use crate::health::{DestinationHealth, DestinationState};
use crate::ledger::Ledger;
use crate::resource::Resource;
use crate::wire::{Failure, FailureKind, Options};

/// Understands `ask`, `done` and `hold`, and otherwise the status.
struct Later;

impl Backend for Later {
    fn facts(&self) -> Facts {
        Facts::new("later")
    }

    fn url(&self) -> &str {
        "http://localhost/in"
    }

    fn cost(&self, _: &crate::frame::RecordRef<'_>) -> usize {
        1
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        Payload::post("text/plain", vec![b'x'; batch.len()])
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        match &*reply.text() {
            "ask" => Verdict::Ask(Payload::post("text/plain", b"?".to_vec()).to("/ask")),
            "hold" => Verdict::Hold("no such path".into()),
            "panic" => panic!("not understood"),
            _ => Verdict::of_status(reply),
        }
    }
}

struct Desk {
    lane: Lane,
    /// How many requests were begun; they go nowhere.
    begun: usize,
    now: Instant,
    sequence: u64,
}

impl Desk {
    fn new(backlog_bytes: usize) -> Self {
        Self::with(backlog_bytes, 1)
    }

    fn with(backlog_bytes: usize, in_flight: usize) -> Self {
        Self::of(LaneSettings {
            backlog_bytes,
            backlog_overflow: BacklogOverflow::DropOldest,
            batch_bytes: 1024,
            in_flight,
            linger: Duration::ZERO,
            timeout: Duration::from_secs(10),
            retry_for: Duration::from_secs(24 * 3600),
            compression: crate::config::Compression::None,
            ..LaneSettings::default()
        })
    }

    fn of(settings: LaneSettings) -> Self {
        let lane = Lane::new(LaneParts {
            index: 0,
            name: "later".into(),
            backend: Arc::new(Later),
            client: Client::new(Options { url: "http://localhost/in".into(), ..Options::default() }).unwrap(),
            schedule: None,
            origin: Arc::new(Origin { incarnation: 1, resource: Resource::new("shop") }),
            settings,
            voice: Arc::new(Voice::new(None)),
        });
        Self { lane, begun: 0, now: Instant::now(), sequence: 0 }
    }

    /// A record that is a batch of its own.
    fn emit(&mut self) {
        self.emit_together(1);
    }

    /// So many records in one batch.
    fn emit_together(&mut self, records: usize) {
        (0..records).for_each(|_| self.add());
        self.lane.seal_for_flush(self.now);
        self.tick();
    }

    fn add(&mut self) {
        let callsite = Callsite::Inline { target: "shop", module: None, file: None, line: None };
        let frame = Frame::of(callsite, Severity::Info, 1, |writer| writer.fields.message(format_args!("hello")));
        let id = RecordId { incarnation: 1, sequence: self.sequence };
        self.sequence += 1;
        self.lane.take(&frame, id, 1, self.now);
    }

    fn tick(&mut self) {
        let (lane, begun) = (&mut self.lane, &mut self.begun);
        lane.tick(self.now, |_| *begun += 1);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.tick();
    }

    /// The request about that batch, or with it, is answered.
    fn answer(&mut self, number: u64, status: u16, text: &str) {
        self.end(number, Ok(Reply::new(status, text)));
    }

    fn fail(&mut self, number: u64) {
        self.fail_by(number, FailureKind::Connect);
    }

    fn fail_by(&mut self, number: u64, kind: FailureKind) {
        self.end(number, Err(Failure { kind, text: "refused".to_owned() }));
    }

    /// The first request under way: its batch and how many records it carries. Comes after any wait between attempts.
    fn next_request(&mut self) -> (u64, usize) {
        self.pass(Duration::from_secs(70));
        let flight = self.lane.flights.iter().next().expect("a request is under way");
        (flight.job.id, flight.payload_bytes)
    }

    fn end(&mut self, number: u64, result: Result<Reply, Failure>) {
        self.lane.end(Outcome { lane: 0, job: number, result }, self.now);
        self.tick();
    }

    /// Delivered, owed, dropped.
    fn books(&mut self) -> (u64, u64, u64) {
        let mut books = self.lane.new_books();
        self.lane.publish(&mut books);
        let drained = self.sequence;
        let mut ledger = Ledger { emitted: drained, drained, ..Ledger::default() };
        ledger.destinations.push(books.clone());
        assert!(ledger.balances(), "{ledger}");
        (books.delivered, books.owed_memory, books.dropped.total())
    }

    fn wait(&mut self) -> Duration {
        let due = self.lane.ask_due().expect("a question is due");
        due.saturating_duration_since(self.now)
    }
}

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn a_store_is_asked_at_growing_intervals_until_it_says_so() {
    let mut desk = Desk::new(1 << 20);
    desk.emit();
    desk.answer(0, 200, "ask");
    let mut waits = Vec::new();
    for _ in 0..8 {
        let wait = desk.wait();
        waits.push(wait.as_millis());
        let begun = desk.begun;
        desk.pass(wait - MS(1));
        assert_eq!(desk.begun, begun, "not before its time");
        desk.pass(MS(1));
        desk.pass(MS(1));
        assert_eq!(desk.begun, begun + 1, "and once");
        desk.answer(0, 200, "ask");
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    assert_eq!(desk.books(), (0, 1, 0));
    let wait = desk.wait();
    desk.pass(wait);
    desk.answer(0, 200, "done");
    assert_eq!((desk.books(), desk.begun), ((1, 0, 0), 10));
}

#[test]
fn a_batch_that_is_asked_for_holds_up_no_other() {
    let mut desk = Desk::new(1 << 20);
    for number in 0..10 {
        desk.emit();
        assert_eq!(desk.begun as u64, number + 1, "with one request in flight at a time");
        desk.answer(number, 200, if number == 9 { "done" } else { "ask" });
    }
    assert_eq!(desk.books(), (1, 9, 0));
}

#[test]
fn whatever_happens_to_a_question_the_batch_is_not_sent_again_before_five_minutes_are_over() {
    let mut desk = Desk::new(1 << 20);
    desk.emit();
    desk.answer(0, 200, "ask");
    let begun = desk.now;
    let mut turn = 0;
    while desk.now < begun + ask::FOR - Duration::from_secs(11) {
        let wait = desk.wait();
        desk.pass(wait);
        assert_eq!(desk.begun, turn + 2, "one question each time, and no batch");
        match turn % 8 {
            0 => desk.answer(0, 503, ""),
            1 => desk.fail(0),
            2 => desk.answer(0, 404, "hold"),
            3 => desk.answer(0, 400, ""),
            4 => desk.answer(0, 401, ""),
            5 => desk.answer(0, 413, ""),
            6 => desk.answer(0, 429, ""),
            _ => desk.answer(0, 200, "ask"),
        }
        assert_eq!(desk.books(), (0, 1, 0));
        turn += 1;
    }
    // The last word before they are over does not count, the first one after that does.
    desk.now = begun + ask::FOR;
    desk.tick();
    desk.answer(0, 200, "ask");
    assert!(desk.lane.ask_due().is_none() && !desk.lane.backlog.is_empty(), "it is to be sent again");
    desk.pass(Duration::from_secs(61));
    desk.answer(0, 200, "done");
    assert_eq!(desk.books(), (1, 0, 0));
}

#[test]
fn a_store_that_does_not_answer_questions_is_not_well_and_that_passes() {
    let state = |desk: &Desk| {
        let mut health = DestinationHealth {
            name: String::new(),
            state: DestinationState::Held,
            last_failure: None,
            in_flight: 0,
            spool: None,
        };
        desk.lane.publish_health(&mut health);
        health.state
    };
    for (status, text, expected) in [(503, "", DestinationState::Retrying), (404, "hold", DestinationState::Held)] {
        let mut desk = Desk::new(1 << 20);
        desk.emit();
        desk.answer(0, 200, "ask");
        assert_eq!(state(&desk), DestinationState::Well);
        desk.pass(MS(250));
        desk.answer(0, status, text);
        assert_eq!(state(&desk), expected);
        // Beyond any wait between attempts.
        desk.pass(Duration::from_secs(70));
        desk.answer(0, 200, "ask");
        assert_eq!(state(&desk), DestinationState::Well);
    }
}

#[test]
fn somebody_who_waits_in_a_flush_does_not_wait_for_a_question_that_was_due_late() {
    let mut desk = Desk::new(1 << 20);
    desk.emit();
    desk.answer(0, 200, "ask");
    for _ in 0..8 {
        let wait = desk.wait();
        desk.pass(wait);
        desk.answer(0, 200, "ask");
    }
    assert_eq!(desk.wait(), Duration::from_secs(10));
    desk.lane.hurry(desk.now + Duration::from_secs(5), desk.now);
    assert_eq!(desk.wait(), MS(250));
    for _ in 0..4 {
        let wait = desk.wait();
        assert!(wait <= MS(500), "{wait:?}");
        desk.pass(wait);
        desk.answer(0, 200, "ask");
    }
    assert!(!desk.lane.has_settled(1));
    let wait = desk.wait();
    desk.pass(wait);
    desk.answer(0, 200, "done");
    assert!(desk.lane.has_settled(1));
}

#[test]
fn what_is_asked_for_counts_against_the_backlog_and_the_books_balance() {
    let mut desk = Desk::new(16 * 1024);
    for number in 0..1_000 {
        let before = desk.begun;
        desk.emit();
        if desk.begun > before {
            let last = desk.lane.flights.jobs().last().unwrap().number;
            assert!(last <= number);
            desk.answer(last, 200, "ask");
        }
        // Room is made for a record's bytes; what is kept beside them is little.
        assert!(desk.lane.flights.held_bytes() <= 16 * 1024 + 128, "{}", desk.lane.flights.held_bytes());
        desk.books();
    }
    let (delivered, owed, dropped) = desk.books();
    assert_eq!((delivered, owed + dropped), (0, 1_000));
    assert!(owed > 0 && dropped > 0, "{owed} owed, {dropped} dropped");
    desk.lane.close(Reason::Deadline, Instant::now() + MS(1_000));
    assert_eq!(desk.books(), (0, 0, 1_000));
}

#[test]
fn after_the_death_of_the_worker_the_store_is_asked_again_and_what_was_under_way_is_sent_again() {
    let mut desk = Desk::new(1 << 20);
    desk.emit();
    desk.answer(0, 200, "ask");
    desk.pass(MS(250));
    desk.emit();
    assert_eq!(desk.begun, 3, "a batch, a question, a batch");
    desk.lane.recover();
    desk.pass(MS(100));
    assert_eq!(desk.begun, 5, "the question and the second batch");
    desk.answer(0, 200, "done");
    desk.answer(1, 200, "done");
    assert_eq!(desk.books(), (2, 0, 0));
}

#[test]
fn a_backend_that_panics_over_an_answer_loses_nothing() {
    let mut desk = Desk::new(1 << 20);
    desk.emit();
    desk.answer(0, 200, "ask");
    desk.pass(MS(250));
    desk.answer(0, 200, "panic");
    assert_eq!(desk.books(), (0, 1, 0));
    desk.answer(0, 200, "done");
    assert_eq!(desk.books(), (1, 0, 0));
}

/// Ends each request that is under way, one at a time; returns how many records each carried.
fn requests(desk: &mut Desk, most: usize, answer: impl Fn(u64, usize) -> Option<FailureKind>) -> Vec<usize> {
    let mut sent = Vec::new();
    while desk.books().1 > 0 && sent.len() < most {
        let (number, records) = desk.next_request();
        sent.push(records);
        match answer(number, records) {
            Some(kind) => desk.fail_by(number, kind),
            None => desk.answer(number, 200, "done"),
        }
    }
    sent
}

#[test]
fn a_request_that_the_store_is_too_slow_for_is_sent_in_halves_until_it_is_not() {
    let mut desk = Desk::new(1 << 20);
    desk.emit_together(64);
    let sent = requests(&mut desk, 100, |_, records| (records > 10).then_some(FailureKind::Timeout));
    assert_eq!(desk.books(), (64, 0, 0), "{sent:?}");
    assert_eq!(sent[..6], [64, 64, 32, 16, 8, 8]);
    assert!(sent.len() <= 2 + 3 + 8 + 3, "{sent:?}");
}

#[test]
fn a_dead_store_leaves_a_batch_in_a_few_parts_and_a_missing_one_leaves_it_whole() {
    let parts =
        [(FailureKind::Timeout, 7), (FailureKind::Connect, 1), (FailureKind::Other, 1), (FailureKind::Reset, 1)];
    for (kind, parts) in parts {
        let mut desk = Desk::new(1 << 20);
        desk.emit_together(64);
        requests(&mut desk, 100, |_, _| Some(kind));
        assert_eq!(desk.books(), (0, 64, 0));
        let sent = requests(&mut desk, 100, |_, _| None);
        assert_eq!((sent.len(), desk.books()), (parts, (64, 0, 0)), "{kind:?}: {sent:?}");
    }
}

#[test]
fn a_record_over_which_the_store_never_answers_holds_up_no_other() {
    for kind in [FailureKind::Timeout, FailureKind::Reset, FailureKind::Other] {
        // With one request at a time records arrive in order, so there it does.
        let mut desk = Desk::with(1 << 20, 2);
        desk.emit_together(1);
        desk.fail_by(0, kind);
        (0..20).for_each(|_| desk.emit_together(10));
        requests(&mut desk, 100, |number, _| (number == 0).then_some(kind));
        assert_eq!(desk.books(), (200, 1, 0), "{kind:?}");
    }
}

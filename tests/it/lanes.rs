//! Several destinations: each goes by its own settings, and one that is dead holds no other up.

use std::time::Duration;

use logchute::testing::{Answer, Gate, Store};
use logchute::{
    BacklogOverflow, Builder, Compression, Destination, DestinationLedger, Guard, Reason, Record, Severity,
};

use crate::common::{Every, LONG, Plain, SLACK, close, emit, exactly_once, is_own, ms, number, record, until};

const KIB: usize = 1 << 10;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The default of [`Builder::linger`].
const LINGER: Duration = Duration::from_millis(200);

fn of_lane(logs: &Guard, name: &str) -> DestinationLedger {
    logs.ledger().destinations.into_iter().find(|to| to.name == name).unwrap()
}

/// One store is dead from the first request to the last, and owes its backlog many times over meanwhile. What another
/// one gets, it gets as if it were alone, round after round: after ten minutes the dead lane is in no other state than
/// after the second round, as all that it may hold is full by then.
fn holds_nobody_up(dead: &Store, destination: Destination) {
    const ROUNDS: usize = 10;
    const EACH: usize = 200;
    let well = Store::new();
    let dead_to = destination.name("dead").backlog_bytes(64 * KIB).batch_bytes(16 * KIB);
    let builder = Builder::new().send_to(dead_to).send_to(Destination::new(Plain::to(&well)).name("well"));
    let logs = builder.on_diagnostic(|_| {}).start().unwrap();
    for round in 0..ROUNDS {
        let numbers: Vec<_> = (1..=EACH).map(|seq| round * EACH + seq).collect();
        for &seq in &numbers {
            logs.emit(record(1, seq).field("x", "x".repeat(400)));
        }
        let arrived = || {
            let records = well.records();
            let mut seqs: Vec<_> =
                records.iter().filter(|it| !is_own(it)).filter_map(number).map(|(_, seq)| seq).collect();
            seqs.sort_unstable();
            seqs
        };
        let begun = std::time::Instant::now();
        while arrived().len() < EACH {
            let waited = begun.elapsed();
            assert!(waited < LINGER + SLACK, "round {round}: {} of {EACH} after {waited:?}", arrived().len());
            std::thread::sleep(ms(1));
        }
        assert_eq!(arrived(), numbers, "round {round}");
        well.forget();
    }
    let (ledger, lane) = (logs.ledger(), of_lane(&logs, "dead"));
    let sent = (ROUNDS * EACH) as u64;
    assert_eq!((ledger.dropped.total(), lane.delivered, dead.count()), (0, 0, 0), "{ledger}");
    assert!(lane.dropped.of(Reason::BacklogFull) > sent / 2 && lane.owed_memory > 0, "{ledger}");
    let report = logs.shutdown(ms(300));
    let ledger = report.ledger();
    assert!(!report.settled() && ledger.balances(), "{report}");
    let lane = |name: &str| ledger.destinations.iter().find(|to| to.name == name).unwrap();
    let (dead, well) = (lane("dead"), lane("well"));
    assert_eq!((well.delivered, well.dropped.total(), well.owed_memory), (ledger.emitted, 0, 0), "{report}");
    assert_eq!((dead.delivered, dead.dropped.total()), (0, ledger.emitted), "{report}");
}

#[test]
fn a_store_that_never_answers_holds_no_other_up() {
    let dead = Store::with(|_| Answer::silence());
    holds_nobody_up(&dead, Destination::new(Plain::to(&dead)).timeout(HOUR));
    assert!((1..=4).contains(&dead.request_count()), "{} requests", dead.request_count());
}

#[test]
fn a_store_that_does_not_even_read_holds_no_other_up() {
    let dead = Store::answering((0..4).map(|_| Answer::never_read()));
    holds_nobody_up(&dead, Destination::new(Plain::to(&dead)).timeout(HOUR));
}

#[test]
fn a_store_that_is_away_holds_no_other_up() {
    let dead = Store::refusing();
    holds_nobody_up(&dead, Destination::new(Plain::to(&dead)));
}

#[test]
fn a_store_that_fails_at_once_and_is_asked_without_a_pause_holds_no_other_up() {
    let dead = Store::with(|_| Answer::unavailable());
    holds_nobody_up(&dead, Destination::new(Plain::to(&dead)).retry(Every(Duration::ZERO)));
}

#[test]
fn a_flush_that_one_lane_cannot_settle_delivers_what_the_others_have() {
    let (dead, well) = (Store::refusing(), Store::new());
    let logs = Builder::new()
        .send_to(Destination::new(Plain::to(&dead)).name("dead"))
        .send_to(Destination::new(Plain::to(&well)).name("well"))
        .linger(Duration::from_secs(60))
        .on_diagnostic(|_| {})
        .start()
        .unwrap();
    emit(&logs, 100);
    let report = logs.flush(ms(500));
    assert!(!report.settled());
    assert_eq!((of_lane(&logs, "well").delivered, of_lane(&logs, "dead").owed_memory), (100, 100), "{report}");
    exactly_once(&well, 1, 100);
    dead.come_back();
    close(&logs);
    exactly_once(&dead, 1, 100);
}

#[test]
fn each_has_batches_and_compression_of_its_own() {
    let (small, large) = (Store::new(), Store::new());
    let logs = Builder::new()
        .send_to(Destination::new(small.backend()).batch_bytes(KIB))
        .send_to(Destination::new(large.backend()).compression(Compression::Gzip))
        .linger(Duration::from_secs(60))
        .start()
        .unwrap();
    emit(&logs, 100);
    close(&logs);
    exactly_once(&small, 1, 100);
    exactly_once(&large, 1, 100);
    assert!(
        small.request_count() > 5 && large.request_count() == 1,
        "{} {}",
        small.request_count(),
        large.request_count()
    );
    let zipped =
        |store: &Store| store.requests().iter().all(|request| request.header("content-encoding") == Some("gzip"));
    assert!(zipped(&large) && !zipped(&small));
}

#[test]
fn each_waits_as_long_as_it_says_itself() {
    let (patient, hasty) = (Store::new(), Store::new());
    let logs = Builder::new()
        .send_to(Destination::new(Plain::to(&patient)))
        .send_to(Destination::new(Plain::to(&hasty)).linger(Duration::ZERO))
        .linger(Duration::from_secs(60))
        .start()
        .unwrap();
    emit(&logs, 10);
    assert!(hasty.wait_for(10, LONG));
    assert_eq!(patient.count(), 0);
    close(&logs);
    exactly_once(&patient, 1, 10);
}

#[test]
fn each_has_requests_under_way_of_its_own() {
    let gate = Gate::new();
    let holding = || {
        let gate = gate.clone();
        Store::with(move |_| Answer::held(&gate))
    };
    let (one, many) = (holding(), holding());
    let logs = Builder::new()
        .send_to(Destination::new(Plain::to(&one).batches_of(1)).in_flight(1))
        .send_to(Destination::new(Plain::to(&many).batches_of(1)))
        .in_flight(3)
        .linger(Duration::ZERO)
        .start()
        .unwrap();
    emit(&logs, 10);
    assert!(many.wait_for_requests(3, LONG) && one.wait_for_requests(1, LONG));
    until("all is drained", || logs.ledger().drained == 10);
    assert_eq!((one.request_count(), many.request_count()), (1, 3));
    gate.open();
    close(&logs);
}

#[test]
fn each_tries_again_for_as_long_as_it_says_itself() {
    let failing = || Store::answering([Answer::unavailable()]);
    let (once, again) = (failing(), failing());
    let logs = Builder::new()
        .send_to(Plain::to(&once).quick().name("once").retry_for(Duration::ZERO))
        .send_to(Plain::to(&again).quick().name("again"))
        .linger(Duration::from_secs(60))
        .on_diagnostic(|_| {})
        .start()
        .unwrap();
    emit(&logs, 10);
    let _ = logs.flush(LONG);
    assert_eq!(of_lane(&logs, "once").dropped.of(Reason::Expired), 10);
    assert_eq!((of_lane(&logs, "again").delivered, again.request_count()), (10, 2));
    close(&logs);
}

#[test]
fn each_gives_up_an_attempt_when_it_says_itself() {
    let slow = || Store::answering([Answer::silence()]);
    let (short, long) = (slow(), slow());
    let logs = Builder::new()
        .send_to(Plain::to(&short).quick().name("short").timeout(ms(50)))
        .send_to(Plain::to(&long).quick().name("long"))
        .timeout(HOUR)
        .on_diagnostic(|_| {})
        .start()
        .unwrap();
    logs.emit(Record::new(Severity::Error, "1:1"));
    assert!(short.wait_for(1, LONG) && long.wait_for_requests(1, LONG));
    assert_eq!((short.request_count(), long.request_count(), long.count()), (2, 1, 0));
    let _ = logs.shutdown(Duration::ZERO);
}

#[test]
fn each_drops_whom_it_says_itself_when_it_owes_too_much() {
    let (first, last) = (Store::refusing(), Store::refusing());
    let away = |store: &Store| Destination::new(Plain::to(store)).retry(Every(HOUR)).batch_bytes(8 * KIB);
    let logs = Builder::new()
        .send_to(away(&first).name("first").backlog_bytes(64 * KIB).backlog_overflow(BacklogOverflow::DropNewest))
        .send_to(away(&last).name("last").backlog_bytes(128 * KIB))
        .on_diagnostic(|_| {})
        .start()
        .unwrap();
    for seq in 1..=1_000 {
        logs.emit(record(1, seq).field("x", "x".repeat(400)));
    }
    until("all is drained", || logs.ledger().drained >= 1_000);
    let owed = |name| of_lane(&logs, name).owed_memory;
    assert!(owed("first") > 50 && owed("last") > owed("first") * 3 / 2, "{}", logs.ledger());
    first.come_back();
    last.come_back();
    close(&logs);
    let has = |store: &Store, seq| store.records().iter().filter_map(number).any(|number| number == (1, seq));
    assert!(has(&first, 1) && !has(&first, 1_000));
    assert!(!has(&last, 1) && has(&last, 1_000));
}

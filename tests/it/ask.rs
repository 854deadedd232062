//! A store that says later whether it keeps a batch: nothing is lost and nothing is sent twice over the wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use logchute::backend::{Payload, Reply, Verdict};
use logchute::testing::{Answer, Request, Store};
use logchute::{Builder, Reason, Report};

use crate::common::{LONG, Plain, SLACK, books, dropped, emit, exactly_once, ms, settle, to, until};

/// What the store says to questions.
#[derive(Clone, Default)]
struct Indexer {
    is_done: Arc<AtomicBool>,
    questions: Arc<AtomicUsize>,
}

impl Indexer {
    /// A store that takes every batch, and answers questions by `answer`, which is told how many came before; with 200
    /// `done` to all once it is done.
    fn with(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> (Self, Store) {
        let indexer = Self::default();
        let Self { is_done, questions } = indexer.clone();
        let store = Store::with(move |request: &Request| match request.path() {
            "/asked" if is_done.load(Ordering::SeqCst) => Answer::ok().body("done"),
            "/asked" => answer(questions.fetch_add(1, Ordering::SeqCst)),
            _ => Answer::ok().body("later"),
        });
        (indexer, store)
    }

    fn finish(&self) {
        self.is_done.store(true, Ordering::SeqCst);
    }

    fn wait_for_questions(&self, count: usize) {
        until("the store is asked", || self.questions.load(Ordering::SeqCst) >= count);
    }
}

fn later() -> Answer {
    Answer::ok().body("later")
}

fn plain(store: &Store) -> Plain {
    Plain::to(store).on_judge(|reply: &Reply| match &*reply.text() {
        "later" => Verdict::Ask(Payload::post("application/octet-stream", b"and now?".to_vec()).to("/asked")),
        _ => Verdict::of_status(reply),
    })
}

/// How many requests carried records.
fn batches(store: &Store) -> usize {
    store.requests().iter().filter(|request| request.path() != "/asked").count()
}

#[test]
fn n2_records_are_delivered_once_the_store_says_so_and_not_before() {
    let (indexer, store) = Indexer::with(|_| later());
    let logs = to(plain(&store).quick()).0.start().unwrap();
    emit(&logs, 10);
    let report = logs.flush(ms(600));
    assert!(!report.settled() && report.took() < ms(600) + SLACK, "{report}");
    assert_eq!((books(&report), report.ledger().unsettled()), ((0, 0, 0), 10), "{report}");
    indexer.wait_for_questions(2);
    assert!(logs.health().is_well(), "it takes its time, and is well");
    indexer.finish();
    let report = logs.flush(LONG);
    assert!(report.settled(), "{report}");
    assert_eq!((books(&report), batches(&store)), ((10, 0, 0), 1), "{report}");
    exactly_once(&store, 1, 10);
    let _ = settle(&logs);
}

#[test]
fn n2_what_is_asked_for_holds_up_no_later_batch() {
    let (indexer, store) = Indexer::with(|_| later());
    let (builder, _) = to(plain(&store).batches_of(10).quick());
    let logs = builder.in_flight(1).start().unwrap();
    emit(&logs, 200);
    let _ = logs.flush(ms(1));
    assert!(store.wait_for(200, LONG), "all were taken, one request at a time");
    assert_eq!(logs.ledger().destinations[0].delivered, 0);
    indexer.finish();
    let report = settle(&logs);
    assert_eq!((books(&report), batches(&store)), ((200, 0, 0), 20), "{report}");
    exactly_once(&store, 1, 200);
}

#[test]
fn n2_a_question_that_fails_is_put_again_and_the_batch_is_not_sent_again() {
    let (indexer, store) = Indexer::with(|before| match before {
        0 => Answer::unavailable(),
        1 => Answer::reset(),
        2 => Answer::close(),
        3 => Answer::status(404),
        4 => Answer::garbage("what?"),
        5 => Answer::status(400),
        _ => later(),
    });
    let (builder, diary) = to(plain(&store).quick());
    let logs = builder.start().unwrap();
    emit(&logs, 10);
    let _ = logs.flush(ms(1));
    indexer.wait_for_questions(1);
    until("it is told", || !diary.about("status 503").is_empty());
    // Waits of a flush are short, and without one it would take a minute.
    while indexer.questions.load(Ordering::SeqCst) < 7 {
        let _ = logs.flush(ms(500));
    }
    indexer.finish();
    let report = settle(&logs);
    assert_eq!((books(&report), batches(&store)), ((10, 0, 0), 1), "{report}");
    exactly_once(&store, 1, 10);
}

#[test]
fn n2_a_store_that_is_away_for_a_while_is_asked_when_it_is_back() {
    let (indexer, store) = Indexer::with(|_| later());
    let (builder, diary) = to(plain(&store).quick());
    let logs = builder.start().unwrap();
    emit(&logs, 10);
    let _ = logs.flush(ms(1));
    indexer.wait_for_questions(1);
    store.go_away();
    until("the outage is told", || !diary.about("does not take records").is_empty());
    indexer.finish();
    store.come_back();
    let report = settle(&logs);
    assert_eq!((books(&report), batches(&store)), ((10, 0, 0), 1), "{report}");
    exactly_once(&store, 1, 10);
    assert_eq!(diary.about("takes records again").len(), 1, "{:?}", diary.lines());
}

#[test]
fn n2_a_shutdown_does_not_wait_longer_than_its_limit_and_counts_what_it_did_not_hear_of() {
    let (_, store) = Indexer::with(|_| later());
    let logs = to(plain(&store).batches_of(10).quick()).0.start().unwrap();
    emit(&logs, 30);
    let report: Report = logs.shutdown(ms(500));
    assert!(!report.settled() && report.took() < ms(500) + SLACK, "{report}");
    assert_eq!((books(&report), dropped(&report, Reason::Deadline)), ((0, 0, 30), 30), "{report}");
    assert!(report.ledger().balances() && report.ledger().unsettled() == 0, "{report}");
}

#[test]
fn n2_a_store_that_never_says_so_costs_no_more_memory_than_the_backlog() {
    let (_, store) = Indexer::with(|_| later());
    let builder = Builder::new().send_to(plain(&store).batches_of(100).quick()).on_diagnostic(|_: &str| {});
    let logs = builder.backlog_bytes(64 * 1024).batch_bytes(16 * 1024).start().unwrap();
    emit(&logs, 10_000);
    until("all are drained", || logs.ledger().queued == 0);
    let ledger = logs.ledger();
    let owed = ledger.destinations[0].owed_memory;
    // A frame of this kind takes more than 32 bytes.
    assert!(owed > 0 && owed * 32 < 64 * 1024, "{ledger}");
    let report = logs.shutdown(ms(100));
    let lost = dropped(&report, Reason::BacklogFull) + dropped(&report, Reason::Deadline);
    assert_eq!(lost, report.ledger().emitted, "{report}");
    assert!(dropped(&report, Reason::BacklogFull) > 0 && report.ledger().balances(), "{report}");
}

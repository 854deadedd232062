//! A store that is well gets everything once, in order per thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use logchute::Destination;
use logchute::testing::{Answer, Gate, Store};

use crate::common::{LONG, Plain, all_there, books, close, emit, exactly_once, log, ms, numbers, settle, to};

fn from_threads(threads: usize, each: usize) {
    let store = Store::new();
    let (builder, diary) = to(Plain::to(&store));
    // Requests of 16 KiB, so that many are in flight at once.
    let logs = builder.batch_bytes(16 * 1024).start().unwrap();
    log(&logs, threads, each, |_| {});
    let report = settle(&logs);
    assert_eq!(report.ledger().lost(), 0, "{report}");
    exactly_once(&store, threads, each);
    assert!(store.request_count() > 1);
    assert_eq!(books(&report), ((threads * each) as u64, 0, 0));
    assert_eq!(report.ledger().emitted, (threads * each) as u64);
    assert_eq!(report.ledger().own, 0);
    assert!(diary.lines().is_empty(), "{:?}", diary.lines());
}

#[test]
fn p2_one_thread_arrives_once_and_in_order() {
    from_threads(1, 6_000);
}

#[test]
fn p2_four_threads_arrive_once_and_in_order() {
    from_threads(4, 2_000);
}

#[test]
fn p2_thirty_two_threads_arrive_once_and_in_order() {
    from_threads(32, 200);
}

#[test]
fn p2_with_one_request_in_flight_records_arrive_in_order() {
    // A failure in the midst of it changes nothing about that.
    let store = Store::answering([Answer::ok(), Answer::unavailable(), Answer::reset(), Answer::ok(), Answer::close()]);
    let (builder, _) = to(Plain::to(&store).batches_of(50).quick());
    let logs = builder.in_flight(1).start().unwrap();
    emit(&logs, 1_000);
    close(&logs);
    let arrived: Vec<_> = store.records().iter().map(|record| crate::common::number(record).unwrap().1).collect();
    assert_eq!(arrived, (1..=1_000).collect::<Vec<_>>());
}

#[test]
fn p2_a_resend_is_byte_for_byte_the_same() {
    let answers = [Answer::unavailable(), Answer::reset(), Answer::close(), Answer::status(429), Answer::ok()];
    for loki in [false, true] {
        let store = Store::strict(answers.clone());
        let backend = if loki { Destination::new(store.loki()) } else { Destination::new(store.backend()) };
        let logs = to(backend.retry(crate::common::Every(ms(1)))).0.start().unwrap();
        log(&logs, 4, 20, |_| {});
        let report = settle(&logs);
        assert_eq!(books(&report), (80, 0, 0), "{report}");
        store.assert_no_surplus();
        let requests = store.requests();
        assert_eq!(requests.len(), 5);
        let (last, resent) = (requests.last().unwrap(), requests.iter().filter(|request| !request.body().is_empty()));
        // What was reset was not read.
        let same = resent.map(|request| assert!(request.body() == last.body() && request.path() == last.path()));
        assert_eq!(same.count(), 4);
    }
}

#[test]
fn p2_both_built_in_backends_deliver_everything_once() {
    for loki in [false, true] {
        let store = Store::new();
        let backend = if loki { Destination::new(store.loki()) } else { Destination::new(store.backend()) };
        let logs = to(backend).0.batch_bytes(16 * 1024).start().unwrap();
        log(&logs, 4, 300, |_| {});
        let report = settle(&logs);
        assert_eq!((books(&report), store.count()), ((1_200, 0, 0), 1_200), "{report}");
        exactly_once(&store, 4, 300);
    }
}

#[test]
fn p8_several_requests_are_in_flight_while_the_store_is_well() {
    let gate = Gate::new();
    let store = Store::answering(vec![Answer::held(&gate); 4]);
    let (builder, _) = to(Plain::to(&store).batches_of(10));
    let logs = builder.in_flight(4).start().unwrap();
    emit(&logs, 100);
    assert!(store.wait_for_requests(4, LONG), "{store:?}");
    assert_eq!(store.count(), 0, "answered before the gate was opened");
    gate.open();
    close(&logs);
    exactly_once(&store, 1, 100);
}

#[test]
fn p8_never_more_requests_are_in_flight_than_was_said() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let store = Store::with({
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        move |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(ms(5));
            now.fetch_sub(1, Ordering::SeqCst);
            Answer::ok()
        }
    });
    let (builder, _) = to(Plain::to(&store).batches_of(10));
    let logs = builder.in_flight(3).start().unwrap();
    emit(&logs, 500);
    close(&logs);
    exactly_once(&store, 1, 500);
    assert!(most.load(Ordering::SeqCst) <= 3);
}

#[test]
fn p2_two_destinations_each_get_everything_and_one_holds_the_other_not_up() {
    let (well, away) = (Store::new(), Store::refusing());
    let (builder, _) = to(Plain::to(&well));
    let logs = builder.send_to(Plain::to(&away).quick()).start().unwrap();
    emit(&logs, 100);
    let _ = logs.flush(ms(1));
    assert!(well.wait_for(100, LONG));
    assert_eq!(logs.ledger().destinations[1].delivered, 0);
    exactly_once(&well, 1, 100);
    away.come_back();
    let report = settle(&logs);
    exactly_once(&away, 1, 100);
    assert!(report.ledger().destinations.iter().all(|to| to.delivered == 100), "{report}");
}

#[test]
fn p2_an_answer_that_got_lost_means_at_least_once_under_the_same_id() {
    let store = Store::answering([Answer::close_after_head(), Answer::ok()]);
    let logs = to(Plain::to(&store).quick()).0.start().unwrap();
    emit(&logs, 20);
    let report = settle(&logs);
    assert_eq!(books(&report), (20, 0, 0), "{report}");
    assert_eq!((store.count(), store.distinct()), (40, 20));
    all_there(&store.records(), 1, 20);
    assert_eq!(numbers(&store.records())[&1].len(), 20);
}

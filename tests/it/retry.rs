//! What a store answers decides what happens next, and nothing is lost over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use logchute::backend::Verdict;
use logchute::testing::{Answer, Store};
use logchute::{Destination, DestinationState, Reason};

use crate::common::{Every, LONG, Plain, books, close, dropped, emit, exactly_once, log, ms, settle, to, until};

/// How many requests it takes to deliver four records if the first request is answered like this.
fn requests(status: u16) -> usize {
    match status {
        200..=299 => 1,
        // Halves.
        413 => 3,
        401 | 403 | 404 | 405 | 407 | 408 | 415 | 425 | 429 => 2,
        // Halves; the first is well, so the second must be at fault, and is halved unsent.
        400..=499 => 4,
        _ => 2,
    }
}

fn answered_once(to_store: &(impl Fn(&Store) -> Destination + Sync), status: u16, body: &[u8]) {
    let elsewhere = Store::new();
    let first = Answer::status(status).body(body).header("Location", elsewhere.url());
    let store = Store::strict([vec![first], vec![Answer::ok(); requests(status) - 1]].concat());
    let logs = to(to_store(&store).retry(Every(ms(1)))).0.start().unwrap();
    emit(&logs, 4);
    let report = settle(&logs);
    let all = format!("status {status}: {report}");
    assert_eq!(books(&report), (4, 0, 0), "{all}");
    assert_eq!(store.request_count(), requests(status), "{all}");
    assert_eq!(elsewhere.connections(), 0, "{all}");
    store.assert_no_surplus();
    exactly_once(&store, 1, 4);
}

fn each_status(to_store: impl Fn(&Store) -> Destination + Sync, body: &[u8]) {
    let next = AtomicUsize::new(200);
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                while let Ok(status @ ..=599) = u16::try_from(next.fetch_add(1, Ordering::Relaxed)) {
                    // To Loki 260 is a blocked tenant: all is kept, though this store, knowing no better, has it twice.
                    if status != 260 {
                        answered_once(&to_store, status, body);
                    }
                }
            });
        }
    });
}

#[test]
fn n1_each_status_means_what_the_table_says() {
    // 101 is final as well: a switch to a protocol that nobody asked for.
    answered_once(&|store| Plain::to(store).into(), 101, b"");
    each_status(|store| Plain::to(store).into(), &[b'x'; 64 * 1024]);
}

#[test]
fn n1_each_status_means_the_same_for_ndjson() {
    each_status(|store| store.backend().into(), b"");
}

#[test]
fn n1_each_status_means_the_same_for_loki() {
    each_status(|store| store.loki().into(), b"");
}

#[test]
fn n1_a_wrong_configuration_keeps_everything_and_says_so() {
    for status in [301, 304, 401, 403, 404, 405, 407, 415] {
        let store = Store::answering(vec![Answer::status(status).body("no such tenant"); 2]);
        let (builder, diary) = to(Plain::to(&store));
        let logs = builder.start().unwrap();
        emit(&logs, 4);
        let report = logs.flush(Duration::ZERO);
        assert!(!report.settled());
        until("it is held", || logs.health().destinations[0].state == DestinationState::Held);
        until("it is told", || !diary.about(&format!("status {status}")).is_empty());
        assert!(diary.about("LOGCHUTE_URL")[0].contains("4 are owed"), "{:?}", diary.lines());
        let report = settle(&logs);
        assert_eq!(books(&report), (4, 0, 0), "{status}: {report}");
        exactly_once(&store, 1, 4);
        assert_eq!(diary.lines().len(), 2, "told once, and that it is over: {:?}", diary.lines());
    }
}

#[test]
fn n9_a_busy_store_loses_nothing_of_a_thousand_events_a_second() {
    let begun = Instant::now();
    let store = Store::with(move |_| match begun.elapsed() < Duration::from_secs(3) {
        true => Answer::unavailable(),
        false => Answer::ok(),
    });
    let logs = to(Plain::to(&store)).0.linger(ms(100)).start().unwrap();
    // Each of four threads logs its n-th event n × 4 ms after the begin.
    log(&logs, 4, 1_500, |seq| {
        let due = begun + ms(4) * u32::try_from(seq).unwrap();
        thread::sleep(due.saturating_duration_since(Instant::now()));
    });
    let report = settle(&logs);
    assert_eq!(books(&report), (6_000, 0, 0), "{report}");
    exactly_once(&store, 4, 1_500);
}

#[test]
fn n8_the_wait_that_the_store_asks_for_is_kept() {
    let began = Arc::new(std::sync::Mutex::new(Vec::new()));
    let there = Arc::clone(&began);
    let store = Store::with(move |_| {
        let mut began = there.lock().unwrap();
        began.push(Instant::now());
        if began.len() == 1 { Answer::busy(Duration::from_secs(1)) } else { Answer::ok() }
    });
    let logs = to(Plain::to(&store).quick()).0.start().unwrap();
    emit(&logs, 10);
    close(&logs);
    let began = began.lock().unwrap();
    assert!(began[1] - began[0] >= Duration::from_secs(1), "{began:?}");
    exactly_once(&store, 1, 10);
}

#[test]
fn n8_an_answer_to_an_older_request_does_not_cut_that_wait_short() {
    // Two are in flight; the first is answered last, and well.
    let busy = Arc::new(std::sync::Mutex::new(None));
    let next = Arc::new(std::sync::Mutex::new(None));
    let gate = logchute::testing::Gate::new();
    let store = Store::with({
        let (busy, next, gate) = (Arc::clone(&busy), Arc::clone(&next), gate.clone());
        move |request| match request.order() {
            0 => Answer::held(&gate),
            1 => {
                *busy.lock().unwrap() = Some(Instant::now());
                Answer::busy(Duration::from_secs(1))
            }
            _ => {
                next.lock().unwrap().get_or_insert_with(Instant::now);
                Answer::ok()
            }
        }
    });
    let logs = to(Plain::to(&store).batches_of(10).quick()).0.in_flight(2).start().unwrap();
    emit(&logs, 40);
    until("it asked to wait", || logs.health().destinations[0].state == DestinationState::Retrying);
    gate.open();
    close(&logs);
    let (busy, next) = (busy.lock().unwrap().unwrap(), next.lock().unwrap().unwrap());
    assert!(next - busy >= Duration::from_secs(1), "{:?}", next - busy);
    exactly_once(&store, 1, 40);
}

#[test]
fn n8_an_absurd_wait_does_not_outlast_a_flush() {
    for wait in ["1000000000000", "-1", "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "0"] {
        // It may be asked for before the flush or during it; a minute would be too late.
        for before in [true, false] {
            let store = Store::answering([Answer::status(429).header("Retry-After", wait)]);
            let (builder, diary) = to(Plain::to(&store).quick());
            let logs = builder.start().unwrap();
            emit(&logs, 10);
            if before {
                let _ = logs.flush(Duration::ZERO);
                until("it was refused", || !diary.about("status 429").is_empty());
            }
            let report = logs.shutdown(Duration::from_secs(20));
            assert_eq!(books(&report), (10, 0, 0), "{wait}: {report}");
            exactly_once(&store, 1, 10);
        }
    }
}

#[test]
fn p8_while_the_store_is_unwell_there_is_one_probe_at_a_time() {
    let (fails, unwell) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let store = Store::with({
        let (fails, unwell, now, most) = (fails.clone(), unwell.clone(), now.clone(), most.clone());
        move |_| {
            let others = now.fetch_add(1, Ordering::SeqCst);
            if unwell.load(Ordering::SeqCst) {
                most.fetch_max(others + 1, Ordering::SeqCst);
            }
            // Long enough for a second request, if there was one.
            thread::sleep(ms(2));
            now.fetch_sub(1, Ordering::SeqCst);
            if fails.load(Ordering::SeqCst) { Answer::unavailable() } else { Answer::ok() }
        }
    });
    let logs = to(Plain::to(&store).batches_of(10).quick()).0.in_flight(8).start().unwrap();
    emit(&logs, 10);
    let _ = logs.flush(ms(1));
    until("the store is unwell", || logs.health().destinations[0].state == DestinationState::Retrying);
    unwell.store(true, Ordering::SeqCst);
    for seq in 11..=1_000 {
        logs.emit(crate::common::record(1, seq));
    }
    let before = store.request_count();
    assert!(store.wait_for_requests(before + 50, LONG));
    assert_eq!(most.load(Ordering::SeqCst), 1);
    unwell.store(false, Ordering::SeqCst);
    fails.store(false, Ordering::SeqCst);
    let report = settle(&logs);
    assert_eq!(books(&report), (1_000, 0, 0), "{report}");
    exactly_once(&store, 1, 1_000);
}

#[test]
fn n10_a_store_that_fails_now_and_then_loses_nothing() {
    for percent in [10, 50, 90] {
        let store = Store::with(move |request| match (request.order() * 37) % 100 < percent {
            true => [Answer::unavailable(), Answer::reset(), Answer::close(), Answer::status(429)][request.order() % 4]
                .clone(),
            false => Answer::ok(),
        });
        let logs = to(Plain::to(&store).batches_of(20).quick()).0.start().unwrap();
        log(&logs, 4, 200, |_| {});
        let report = settle(&logs);
        assert_eq!(books(&report), (800, 0, 0), "{report}");
        exactly_once(&store, 4, 200);
    }
}

#[test]
fn n1_a_credential_that_was_renewed_is_used_at_once() {
    let path = std::env::temp_dir().join(format!("logchute-it-token-{}", std::process::id()));
    std::fs::write(&path, "old").unwrap();
    let renewed = path.clone();
    let store = Store::with(move |request| match request.header("authorization") {
        Some("Bearer new") => Answer::ok(),
        _ => {
            std::fs::write(&renewed, "new").unwrap();
            Answer::status(401)
        }
    });
    let logs = to(Plain::to(&store).quick().token_file(&path)).0.start().unwrap();
    emit(&logs, 10);
    let report = settle(&logs);
    assert_eq!((store.request_count(), books(&report)), (2, (10, 0, 0)), "{report}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn p2_a_schedule_that_ends_drops_the_batch_as_expired() {
    struct Twice(u32);
    impl logchute::Schedule for Twice {
        fn next(&mut self, _: f64) -> Option<Duration> {
            self.0 += 1;
            (self.0 <= 2).then_some(ms(1))
        }
        fn reset(&mut self) {
            self.0 = 0;
        }
    }
    let store = Store::answering(vec![Answer::unavailable(); 3]);
    let destination = Destination::new(Plain::to(&store)).retry(Twice(0));
    let logs = to(destination).0.start().unwrap();
    emit(&logs, 10);
    let report = logs.flush(LONG);
    assert!(report.settled(), "{report}");
    assert_eq!((store.request_count(), dropped(&report, Reason::Expired)), (3, 10), "{report}");
    // It begins anew with the next batch.
    assert!(logs.health().destinations[0].last_failure.is_some());
    emit(&logs, 5);
    assert!(logs.flush(LONG).settled());
    assert_eq!((logs.health().is_well(), &logs.health().destinations[0].last_failure), (true, &None));
    let report = settle(&logs);
    assert_eq!(books(&report).0, store.count() as u64, "{report}");
    exactly_once(&store, 1, 5);
}

#[test]
fn n8_waits_beyond_what_the_clock_can_hold_do_no_harm() {
    struct Forever;
    impl logchute::Schedule for Forever {
        fn next(&mut self, _: f64) -> Option<Duration> {
            Some(Duration::MAX)
        }
        fn reset(&mut self) {}
    }
    for after in [None, Some(Duration::MAX)] {
        let store = Store::answering(vec![Answer::unavailable(); 2]);
        let plain = Plain::to(&store).on_judge(move |reply| match reply.status {
            503 => Verdict::Retry { after },
            _ => Verdict::of_status(reply),
        });
        let logs = to(Destination::new(plain).retry(Forever)).0.start().unwrap();
        emit(&logs, 10);
        let _ = logs.flush(Duration::ZERO);
        until("it failed", || !logs.health().is_well());
        // Each of these is a reason to ask once more.
        let _ = logs.flush(ms(100));
        let report = settle(&logs);
        assert_eq!((books(&report), logs.health().restarts), ((10, 0, 0), 0), "{report}");
        exactly_once(&store, 1, 10);
    }
}

#[test]
fn records_beyond_the_age_that_the_store_keeps_are_dropped_and_told() {
    let store = Store::new();
    let facts = |age| logchute::backend::Facts::new("plain").oldest(age);
    // As old as that is every record.
    let (builder, said) = to(Plain::to(&store).facts(facts(Duration::ZERO)).quick());
    let logs = builder.start().unwrap();
    emit(&logs, 5);
    let report = settle(&logs);
    assert_eq!((dropped(&report, Reason::TooOld), store.request_count()), (5, 0), "{report}");
    close(&logs);
    assert!(said.lines().iter().any(|line| line.contains("too old")), "{:?}", said.lines());

    let logs = to(Plain::to(&store).facts(facts(Duration::from_secs(3600))).quick()).0.start().unwrap();
    emit(&logs, 5);
    let report = settle(&logs);
    assert_eq!(books(&report), (5, 0, 0), "{report}");
}

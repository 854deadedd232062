//! Code that is not ours panics on the worker: it lives on, and nothing is lost but what cannot be encoded.

use std::collections::BTreeSet;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use logchute::backend::Verdict;
use logchute::testing::{Answer, Store};
use logchute::{Destination, Reason, Schedule, WorkerState};

use crate::common::{
    LONG, Plain, SLACK, all_there, books, dropped, emit, exactly_once, ms, number, numbers, record, settle, to, until,
};

/// The panics of these tests are meant to be, and need no words on stderr.
fn quietly() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() != Some("logchute") {
                next(info);
            }
        }));
    });
}

/// Panics the first so many times that it is asked.
struct Bomb(AtomicUsize);

impl Bomb {
    const fn of(times: usize) -> Self {
        Self(AtomicUsize::new(times))
    }

    fn touch(&self) {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(left.is_err(), "boom");
    }

    /// Panics with something that panics when it is dropped.
    fn touch_twice(&self) {
        if self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            std::panic::panic_any(Again);
        }
    }
}

struct Again;

impl Drop for Again {
    fn drop(&mut self) {
        panic!("boom again");
    }
}

/// A schedule that panics.
struct Mine {
    next: Bomb,
    reset: Bomb,
}

impl Schedule for Mine {
    fn next(&mut self, _: f64) -> Option<Duration> {
        self.next.touch();
        Some(ms(1))
    }

    fn reset(&mut self) {
        self.reset.touch();
    }
}

#[test]
fn h7_a_cost_that_panics_is_estimated() {
    quietly();
    let store = Store::new();
    let bomb = Bomb::of(50);
    let plain = Plain::to(&store).on_cost(move |_| {
        bomb.touch();
        10
    });
    let logs = to(plain.quick()).0.start().unwrap();
    emit(&logs, 100);
    let report = settle(&logs);
    assert_eq!(books(&report), (100, 0, 0), "{report}");
    exactly_once(&store, 1, 100);
}

#[test]
fn h7_an_encoder_that_panics_once_gets_the_batch_again() {
    quietly();
    let store = Store::new();
    let bomb = Bomb::of(1);
    let (builder, diary) = to(Plain::to(&store).on_encode(move |_| bomb.touch()).quick());
    let logs = builder.start().unwrap();
    emit(&logs, 100);
    let report = settle(&logs);
    assert_eq!((books(&report), store.request_count()), ((100, 0, 0), 1), "{report}");
    exactly_once(&store, 1, 100);
    assert!(diary.about("panicked: boom").len() == 1, "{:?}", diary.lines());
}

#[test]
fn h7_records_that_cannot_be_encoded_are_found_and_dropped_and_the_others_delivered() {
    quietly();
    for bad in [vec![1], vec![1_000], vec![500, 501], (1..=400).step_by(3).collect(), (1..=1_000).collect()] {
        let store = Store::new();
        let bad: BTreeSet<usize> = bad.into_iter().collect();
        let poison: BTreeSet<String> = bad.iter().map(|seq| format!("1:{seq}")).collect();
        let plain = Plain::to(&store).on_encode(move |batch| {
            assert!(!batch.records().any(|record| poison.contains(record.message())), "boom");
        });
        let logs = to(plain.quick()).0.start().unwrap();
        emit(&logs, 1_000);
        let report = settle(&logs);
        assert_eq!(dropped(&report, Reason::Worker), bad.len() as u64, "{report}");
        assert_eq!(numbers(&store.records()).remove(&1).unwrap_or_default().len(), 1_000 - bad.len(), "{report}");
        assert_eq!(books(&report).0, store.count() as u64, "{report}");
    }
}

#[test]
fn h7_a_judge_that_panics_once_gets_the_batch_judged_again() {
    quietly();
    let store = Store::new();
    let bomb = Bomb::of(1);
    let plain = Plain::to(&store).on_judge(move |reply| {
        bomb.touch();
        Verdict::of_status(reply)
    });
    let logs = to(plain.quick()).0.start().unwrap();
    emit(&logs, 100);
    let report = settle(&logs);
    assert_eq!((books(&report), store.request_count()), ((100, 0, 0), 2), "{report}");
    all_there(&store.records(), 1, 100);
}

#[test]
fn h7_a_judge_that_always_panics_ends_in_counted_drops_and_bounded_requests() {
    quietly();
    let store = Store::new();
    let logs = to(Plain::to(&store).on_judge(|_| panic!("boom")).quick()).0.start().unwrap();
    emit(&logs, 1_000);
    let report = settle(&logs);
    // What it does not understand may be stored or not; what tells of the loss shares its fate.
    assert_eq!(dropped(&report, Reason::Worker), 1_000 + report.ledger().own, "{report}");
    assert!(store.request_count() < 200, "{store:?}");
    assert!(logs.health().restarts == 0);
}

fn schedule_dies(mine: Mine, answers: Vec<Answer>, restarts: u64) {
    quietly();
    let store = Store::answering(answers);
    let (builder, diary) = to(Destination::new(Plain::to(&store).batches_of(20)).retry(mine));
    let logs = builder.in_flight(4).start().unwrap();
    emit(&logs, 200);
    let report = settle(&logs);
    assert_eq!(books(&report), (200, 0, 0), "{report}");
    all_there(&store.records(), 1, 200);
    assert_eq!(logs.health().restarts, restarts);
    assert!(diary.about("the worker panicked and was restarted").len() == 1, "{:?}", diary.lines());
}

#[test]
fn h7_a_schedule_that_panics_loses_nothing() {
    // A death may cost the answers of all four requests in flight.
    for deaths in [1, 3] {
        let mine = Mine { next: Bomb::of(deaths), reset: Bomb::of(0) };
        schedule_dies(mine, vec![Answer::unavailable(); 4 * deaths + 4], deaths as u64);
    }
}

#[test]
fn h7_a_schedule_that_panics_at_its_reset_loses_nothing() {
    let mine = Mine { next: Bomb::of(0), reset: Bomb::of(1) };
    schedule_dies(mine, vec![], 1);
    let mine = Mine { next: Bomb::of(0), reset: Bomb::of(2) };
    schedule_dies(mine, vec![Answer::unavailable()], 2);
}

#[test]
fn h7_what_was_settled_before_a_reset_panicked_is_not_sent_again() {
    quietly();
    let store = Store::new();
    let mine = Mine { next: Bomb::of(0), reset: Bomb::of(1) };
    let logs = to(Destination::new(Plain::to(&store)).retry(mine)).0.start().unwrap();
    emit(&logs, 100);
    let report = settle(&logs);
    assert_eq!(books(&report), (100, 0, 0), "{report}");
    exactly_once(&store, 1, 100);
}

#[test]
fn h7_a_diagnostic_hook_that_panics_does_no_harm() {
    quietly();
    let store = Store::answering([Answer::unavailable(), Answer::status(404)]);
    let builder = logchute::Builder::new().send_to(Plain::to(&store).quick()).on_diagnostic(|_| panic!("boom"));
    let logs = builder.start().unwrap();
    emit(&logs, 100);
    let report = settle(&logs);
    assert_eq!((books(&report), logs.health().restarts), ((100, 0, 0), 0), "{report}");
    exactly_once(&store, 1, 100);
}

#[test]
fn h7_five_deaths_in_a_minute_end_in_counted_drops_and_books_that_balance() {
    quietly();
    let fails = std::sync::Arc::new(AtomicBool::new(true));
    let failing = fails.clone();
    let store = Store::with(move |_| match failing.load(Ordering::SeqCst) {
        true => Answer::unavailable(),
        false => Answer::ok(),
    });
    let mine = Mine { next: Bomb::of(usize::MAX), reset: Bomb::of(0) };
    let (builder, diary) = to(Destination::new(Plain::to(&store)).retry(mine));
    let logs = builder.start().unwrap();
    emit(&logs, 100);
    let _ = logs.flush(Duration::ZERO);
    until("it has died five times", || logs.health().worker == WorkerState::Degraded);
    assert_eq!((logs.health().restarts, logs.ledger().destinations[0].owed_memory), (5, 100));
    fails.store(false, Ordering::SeqCst);
    (101..=200).for_each(|seq| logs.emit(record(1, seq)));
    until("they are dropped", || logs.ledger().destinations[0].dropped.of(Reason::Worker) == 100);
    assert!(logs.ledger().balances(), "{}", logs.ledger());
    // A flush keeps its deadline, and so does the end.
    let report = logs.flush(ms(100));
    assert!(!report.settled() && report.took() < ms(100) + SLACK, "{report}");
    let report = logs.shutdown(ms(200));
    assert!(report.ledger().balances() && report.took() < ms(200) + SLACK, "{report}");
    assert_eq!(report.ledger().unsettled(), 0, "{report}");
    let (by_death, by_end) = (dropped(&report, Reason::Worker), dropped(&report, Reason::Deadline));
    assert_eq!((books(&report).0, by_death, by_end), (0, 100, 100), "{report}");
    assert_eq!(store.records().iter().filter_map(number).count(), 0);
    assert_eq!(diary.about("died five times").len(), 1);
    assert_eq!(logs.shutdown(LONG).ledger(), report.ledger());
}

#[test]
fn h7_a_degraded_worker_ends_at_once_where_nothing_is_owed() {
    quietly();
    let store = Store::answering(vec![Answer::unavailable(); 5]);
    struct Last(Mine);
    impl Schedule for Last {
        fn next(&mut self, random: f64) -> Option<Duration> {
            self.0.next(random)
        }
        fn reset(&mut self) {
            panic!("boom");
        }
    }
    let mine = Last(Mine { next: Bomb::of(4), reset: Bomb::of(0) });
    let logs = to(Destination::new(Plain::to(&store)).retry(mine)).0.start().unwrap();
    emit(&logs, 10);
    // Four deaths by failures; the fifth is at the success, when all is delivered.
    let report = logs.flush(LONG);
    assert!(report.settled() && report.took() < SLACK, "{report}");
    let report = settle(&logs);
    assert!(report.took() < SLACK, "{report}");
    assert_eq!(books(&report), (10, 0, 0), "{report}");
}

#[test]
fn h7_a_panic_that_carries_another_panic_is_no_worse() {
    quietly();
    struct Nasty(Bomb);
    impl Schedule for Nasty {
        fn next(&mut self, _: f64) -> Option<Duration> {
            self.0.touch_twice();
            Some(ms(1))
        }
        fn reset(&mut self) {}
    }
    let store = Store::answering(vec![Answer::unavailable(); 3]);
    let (cost, encode, judge) = (Bomb::of(1), Bomb::of(1), Bomb::of(1));
    let plain = Plain::to(&store)
        .on_cost(move |_| {
            cost.touch_twice();
            10
        })
        .on_encode(move |_| encode.touch_twice())
        .on_judge(move |reply| {
            judge.touch_twice();
            Verdict::of_status(reply)
        });
    let logs = to(Destination::new(plain).retry(Nasty(Bomb::of(2)))).0.start().unwrap();
    emit(&logs, 100);
    let report = settle(&logs);
    assert_eq!((books(&report), logs.health().restarts), ((100, 0, 0), 2), "{report}");
    exactly_once(&store, 1, 100);
}

//! A record that the store refuses does not take the others with it.

use std::collections::BTreeSet;

use logchute::testing::{Answer, Store};

use crate::common::{Plain, books, emit, ms, number, numbers, settle, to};

/// Emits `n` records of which the store refuses some with `status`; returns the requests that it took.
fn poisoned(n: usize, poison: &[usize], status: u16) -> usize {
    let bad: BTreeSet<_> = poison.iter().copied().collect();
    let is_bad = bad.clone();
    let store = Store::with(move |request| {
        let mut numbers = request.records().iter().filter_map(number);
        match numbers.any(|(_, seq)| is_bad.contains(&(seq - 1))) {
            true => Answer::status(status).body("no such field"),
            false => Answer::ok(),
        }
    });
    let (builder, diary) = to(Plain::to(&store).quick());
    let logs = builder.start().unwrap();
    emit(&logs, n);
    let report = settle(&logs);
    assert_eq!(books(&report), ((n - bad.len()) as u64, bad.len() as u64, 0), "{n} {poison:?}: {report}");
    assert_eq!(store.count(), n - bad.len());
    let good: Vec<_> = (1..=n).filter(|seq| !bad.contains(&(seq - 1))).collect();
    assert_eq!(numbers(&store.records()).remove(&1).unwrap_or_default(), good);
    assert!(bad.is_empty() || diary.about("rejected").iter().any(|line| line.contains("no such field")));
    store.request_count()
}

/// 2·log₂ n, rounded down.
fn bound(n: usize) -> usize {
    (2.0 * (n as f64).log2()).floor() as usize
}

#[test]
fn p9_one_poison_record_of_a_thousand_is_rejected_and_the_others_are_delivered() {
    for at in [0, 1, 499, 500, 998, 999] {
        let extra = poisoned(1_000, &[at], 400) - 1;
        assert!(extra <= bound(1_000), "{extra} extra requests for poison at {at}");
    }
}

#[test]
fn p9_one_poison_record_of_any_number_takes_twice_the_logarithm_in_requests() {
    for n in [1, 2, 3, 5, 7, 8, 11, 23, 64, 191] {
        for at in [0, n / 3, n / 2, n - 1] {
            let extra = poisoned(n, &[at], 422) - 1;
            assert!(extra <= bound(n), "{extra} extra requests for poison at {at} of {n}");
        }
    }
}

#[test]
fn p9_two_poison_records_are_found_apart() {
    for two in [[0, 999], [499, 500], [998, 999], [250, 750]] {
        let extra = poisoned(1_000, &two, 400) - 1;
        assert!(extra <= 2 * bound(1_000), "{extra} extra requests for {two:?}");
    }
}

#[test]
fn p9_a_store_that_refuses_everything_is_not_asked_for_each_record() {
    for n in [10, 1_000] {
        let all: Vec<_> = (0..n).collect();
        let requests = poisoned(n, &all, 400);
        assert!(requests <= 160, "{requests} requests");
    }
}

#[test]
fn p9_poison_in_one_batch_does_not_hold_up_the_next() {
    let store = Store::with(|request| match request.records().iter().any(|record| record.message == "1:15") {
        true => Answer::status(400),
        false => Answer::ok(),
    });
    let logs = to(Plain::to(&store).batches_of(10).quick()).0.start().unwrap();
    emit(&logs, 200);
    let report = settle(&logs);
    assert_eq!(books(&report), (199, 1, 0), "{report}");
    assert_eq!(store.count(), 199);
}

#[test]
fn p9_a_request_that_is_too_large_is_halved_until_it_fits() {
    let store = Store::with(|request| match request.body().len() > 2_000 {
        true => Answer::status(413),
        false => Answer::ok(),
    });
    let logs = to(Plain::to(&store).quick()).0.start().unwrap();
    emit(&logs, 500);
    let report = settle(&logs);
    assert_eq!(books(&report), (500, 0, 0), "{report}");
    crate::common::exactly_once(&store, 1, 500);
}

#[test]
fn p9_a_single_record_that_is_too_large_is_rejected_alone() {
    let store = Store::with(|request| match request.body().len() > 50_000 {
        true => Answer::status(413),
        false => Answer::ok(),
    });
    let logs = to(Plain::to(&store).quick()).0.start().unwrap();
    emit(&logs, 50);
    logs.emit(logchute::Record::new(logchute::Severity::Warn, "x".repeat(60_000)));
    let report = settle(&logs);
    assert_eq!(books(&report), (50, 1, 0), "{report}");
    crate::common::exactly_once(&store, 1, 50);
}

#[test]
fn p9_poison_is_found_while_the_store_fails_in_between() {
    let store = Store::with(|request| {
        let bad = request.records().iter().any(|record| record.message == "1:77");
        match request.order() % 3 {
            0 => Answer::unavailable(),
            1 if bad => Answer::close(),
            _ if bad => Answer::status(400),
            _ => Answer::ok(),
        }
    });
    let logs = to(Plain::to(&store).quick()).0.timeout(ms(5_000)).start().unwrap();
    emit(&logs, 100);
    let report = settle(&logs);
    assert_eq!(books(&report), (99, 1, 0), "{report}");
    assert_eq!(store.count(), 99);
}

#[test]
fn p9_a_record_over_which_the_store_fails_for_ever_holds_up_no_other() {
    let store = Store::with(|request| match request.records().iter().filter_map(number).any(|(_, seq)| seq == 50) {
        true => Answer::status(500).body("index out of range"),
        false => Answer::ok(),
    });
    let (builder, _) = to(Plain::to(&store).quick());
    let logs = builder.start().unwrap();
    emit(&logs, 100);
    let _ = logs.flush(ms(50));
    // What shows that the store is well otherwise.
    for round in 0..200 {
        logs.emit(logchute::Record::new(logchute::Severity::Error, format!("later {round}")));
        let _ = logs.flush(ms(50));
        if store.count() >= 99 + round {
            break;
        }
    }
    let report = logs.shutdown(ms(500));
    let later = report.ledger().emitted as usize - 100 - report.ledger().own as usize;
    assert_eq!(books(&report).2, 1, "one is left in the end: {report}");
    assert!(later > 0 && report.ledger().balances(), "{report}");
    let mut seqs = numbers(&store.records()).remove(&1).unwrap_or_default();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=100).filter(|seq| *seq != 50).collect::<Vec<_>>());
}

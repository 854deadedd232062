//! What a verdict names is done to the records that it names, and to no others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use logchute::Destination;
use logchute::backend::{Facts, Mode, Reply, Verdict};
use logchute::testing::{Answer, Store};

use crate::common::{Plain, books, emit, settle, to};

/// A pipeline whose backend reads the first answer as `verdict`, and all others by their status.
fn judged(records: usize, verdict: Verdict) -> (Store, logchute::Report) {
    let store = Store::new();
    let first = AtomicBool::new(true);
    let plain = Plain::to(&store).on_judge(move |reply: &Reply| match first.swap(false, Ordering::SeqCst) {
        true => verdict.clone(),
        false => Verdict::of_status(reply),
    });
    let logs = to(plain.quick()).0.start().unwrap();
    emit(&logs, records);
    let report = settle(&logs);
    (store, report)
}

/// The numbers in the n-th request.
fn sent(store: &Store, request: usize) -> Vec<usize> {
    store.requests()[request].records().iter().map(|record| crate::common::number(record).unwrap().1).collect()
}

#[test]
fn n2_of_a_partial_answer_only_the_items_named_are_sent_again_or_rejected() {
    let no = |at| (at, "no".to_owned());
    for at in [0, 1, 50, 98, 99] {
        let (store, report) = judged(100, Verdict::Items { fallback: vec![], retry: vec![at], rejected: vec![] });
        assert_eq!((store.request_count(), books(&report)), (2, (100, 0, 0)), "{report}");
        assert_eq!(sent(&store, 1), [at + 1]);
        let (store, report) = judged(100, Verdict::Items { fallback: vec![], retry: vec![], rejected: vec![no(at)] });
        assert_eq!((store.request_count(), books(&report)), (1, (99, 1, 0)), "{report}");
    }
    let (store, report) =
        judged(10, Verdict::Items { fallback: vec![], retry: vec![7, 2, 2], rejected: vec![no(0), no(9)] });
    assert_eq!((store.request_count(), books(&report)), (2, (8, 2, 0)), "{report}");
    assert_eq!(sent(&store, 1), [3, 8]);
}

#[test]
fn n2_a_refusal_that_names_only_records_that_were_never_sent_stores_none() {
    let store = Store::with(|request| match request.records().len() {
        1 => Answer::ok(),
        _ => Answer::status(400),
    });
    let plain = Plain::to(&store).on_judge(|reply| match reply.status {
        400 => Verdict::Items { retry: vec![], rejected: vec![(500, "no".to_owned())], fallback: vec![] },
        _ => Verdict::of_status(reply),
    });
    let logs = to(plain.quick()).0.start().unwrap();
    emit(&logs, 4);
    let report = settle(&logs);
    assert_eq!(books(&report), (4, 0, 0), "{report}");
    // Each went again, alone.
    assert!(store.request_count() > 4, "{report}");
}

#[test]
fn n2_an_answer_about_items_that_were_never_sent_does_not_upset_the_books() {
    let no = |at| (at, "no".to_owned());
    let rejected = vec![no(3), no(3), no(10), no(usize::MAX)];
    let (store, report) = judged(10, Verdict::Items { fallback: vec![], retry: vec![3, 10, usize::MAX, 4], rejected });
    assert_eq!((store.request_count(), books(&report)), (2, (9, 1, 0)), "{report}");
    assert_eq!(sent(&store, 1), [5]);
    let (_, report) = judged(10, Verdict::AckWithLoss { rejected: 99, reason: "no".into() });
    assert_eq!(books(&report), (0, 10, 0), "{report}");
    let (_, report) = judged(10, Verdict::ResumeAfter(99));
    assert_eq!(books(&report), (10, 0, 0), "{report}");
    for at in [10, 99, usize::MAX] {
        let (_, report) = judged(10, Verdict::StoppedAt { at, reason: "no".into() });
        assert_eq!(books(&report), (10, 0, 0), "{report}");
    }
}

#[test]
fn n2_resume_after_sends_the_record_named_and_the_rest_again() {
    for stored in [1, 5, 9] {
        let (store, report) = judged(10, Verdict::ResumeAfter(stored));
        assert_eq!((store.request_count(), books(&report)), (2, (10, 0, 0)), "{report}");
        assert_eq!(sent(&store, 1), (stored + 1..=10).collect::<Vec<_>>());
    }
}

#[test]
fn n2_a_store_that_stopped_at_a_record_has_it_rejected_and_gets_what_follows_again() {
    for at in [0, 1, 5, 9] {
        let (store, report) = judged(10, Verdict::StoppedAt { at, reason: "no".into() });
        let requests = if at == 9 { 1 } else { 2 };
        assert_eq!((store.request_count(), books(&report)), (requests, (9, 1, 0)), "{report}");
        if requests == 2 {
            assert_eq!(sent(&store, 1), (at + 2..=10).collect::<Vec<_>>());
        }
    }
}

/// A store that goes through a request one by one, keeps what stands before the first record that it does not like, and
/// says where it stopped: what it kept, and how many requests that took.
fn stops_at(
    bad: impl Fn(usize) -> bool + Send + Sync + 'static,
    records: usize,
) -> (Vec<usize>, usize, logchute::Report) {
    let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let store = Store::with(move |request| {
        let numbers = request.records().iter().filter_map(crate::common::number).map(|(_, number)| number);
        for (at, number) in numbers.enumerate() {
            if bad(number) {
                return Answer::status(400).body(at.to_string());
            }
            keep.lock().unwrap().push(number);
        }
        Answer::ok()
    });
    let plain = Plain::to(&store).on_judge(|reply: &Reply| match reply.text().parse() {
        Ok(at) if reply.status == 400 => Verdict::StoppedAt { at, reason: "no".into() },
        _ => Verdict::of_status(reply),
    });
    let logs = to(plain.quick()).0.start().unwrap();
    emit(&logs, records);
    let report = settle(&logs);
    let kept = kept.lock().unwrap().clone();
    (kept, store.request_count(), report)
}

#[test]
fn n2_a_store_that_stops_at_a_bad_record_has_all_others_once_and_in_order() {
    for bad in [&[1][..], &[500], &[1_000], &[1, 2, 3], &[1, 500, 501, 1_000], &[999, 1_000]] {
        let (kept, requests, report) = stops_at(move |number| bad.contains(&number), 1_000);
        let good: Vec<_> = (1..=1_000).filter(|number| !bad.contains(number)).collect();
        assert_eq!(kept, good, "none lost, none twice");
        let rejected = bad.len() as u64;
        assert_eq!(books(&report), (1_000 - rejected, rejected, 0), "{report}");
        // Nothing follows where the last record is the one at fault.
        assert_eq!(requests, bad.len() + usize::from(!bad.contains(&1_000)));
    }
}

#[test]
fn n2_a_store_that_stops_at_the_first_record_each_time_is_not_asked_for_all_of_them() {
    let (kept, requests, report) = stops_at(|_| true, 1_000);
    assert_eq!((kept.len(), books(&report)), (0, (0, 1_000, 0)), "{report}");
    assert!(requests <= 160, "{requests} requests");
}

#[test]
fn n2_a_loss_that_the_store_admits_is_counted_as_rejected() {
    let (store, report) = judged(10, Verdict::AckWithLoss { rejected: 3, reason: "three are too old".into() });
    assert_eq!((store.request_count(), books(&report)), (1, (7, 3, 0)), "{report}");
}

#[test]
fn n2_split_hold_and_refresh_keep_everything() {
    for (verdict, requests) in [(Verdict::Split, 3), (Verdict::Hold("wrong path".into()), 2), (Verdict::Refresh, 2)] {
        let (store, report) = judged(10, verdict);
        assert_eq!((store.request_count(), books(&report)), (requests, (10, 0, 0)), "{report}");
    }
}

#[test]
fn n9_what_is_too_far_behind_goes_again_in_replay_mode_once() {
    let behind = || Verdict::TooFarBehind { refused: 3, reason: "too far behind".into() };
    let facts = || Facts::new("plain").replays_after(Duration::from_secs(3_000));
    // Which ones it stored the store does not say: none is lost, all go again.
    for (answers, books_then, modes_then) in [
        (1, (10, 0, 0), vec![(Mode::Plain, 10), (Mode::Replay, 10)]),
        (2, (7, 3, 0), vec![(Mode::Plain, 10), (Mode::Replay, 10)]),
    ] {
        let store = Store::new();
        let count = AtomicUsize::new(0);
        let (to_store, modes) = moded_with(facts(), &store, move |reply| {
            if count.fetch_add(1, Ordering::SeqCst) < answers { behind() } else { Verdict::of_status(reply) }
        });
        let logs = to(to_store).0.start().unwrap();
        emit(&logs, 10);
        let report = settle(&logs);
        assert_eq!((books(&report), &*modes.lock().unwrap()), (books_then, &modes_then), "{report}");
    }
    // A store that has no other place for them.
    let (store, report) = judged(10, behind());
    assert_eq!((store.request_count(), books(&report)), (1, (7, 3, 0)), "{report}");
}

#[test]
fn n9_single_records_that_are_too_far_behind_go_again_in_replay_mode_before_the_rest() {
    let no = |at| (at, "too far behind".to_owned());
    let store = Store::new();
    let count = AtomicUsize::new(0);
    let facts = Facts::new("plain").replays_after(Duration::from_secs(3_000));
    let (to_store, modes) = moded_with(facts, &store, move |reply| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Verdict::Items { retry: vec![1], rejected: vec![], fallback: vec![no(2), no(5)] },
        1 => Verdict::Items { retry: vec![], rejected: vec![], fallback: vec![no(1)] },
        _ => Verdict::of_status(reply),
    });
    let logs = to(to_store).0.start().unwrap();
    emit(&logs, 8);
    let report = settle(&logs);
    // None of them is in fallback mode, and one that is named twice is rejected.
    assert_eq!(with_fallback(&report), (7, 0, 1), "{report}");
    assert_eq!(*modes.lock().unwrap(), [(Mode::Plain, 8), (Mode::Replay, 2), (Mode::Plain, 1)]);
    assert_eq!((sent(&store, 1), sent(&store, 2)), (vec![3, 6], vec![2]));
}

/// Delivered, of those with all fields in one, and rejected.
fn with_fallback(report: &logchute::Report) -> (u64, u64, u64) {
    let to = &report.ledger().destinations[0];
    assert!(report.ledger().balances(), "{report}");
    (to.delivered, to.fallback, to.rejected)
}

/// The mode and the number of records of each request.
type Modes = Arc<std::sync::Mutex<Vec<(Mode, usize)>>>;

/// A backend that notes the mode of each request with the number of its records, and reads answers as `judge` says.
fn moded(store: &Store, judge: impl Fn(&Reply) -> Verdict + Send + Sync + 'static) -> (Destination, Modes) {
    moded_with(Facts::new("plain"), store, judge)
}

fn moded_with(
    facts: Facts,
    store: &Store,
    judge: impl Fn(&Reply) -> Verdict + Send + Sync + 'static,
) -> (Destination, Modes) {
    let modes = Modes::default();
    let seen = Arc::clone(&modes);
    let plain =
        Plain::to(store).facts(facts).on_encode(move |batch| seen.lock().unwrap().push((batch.mode(), batch.len())));
    (plain.on_judge(judge).quick(), modes)
}

#[test]
fn records_whose_fields_are_refused_go_again_in_fallback_mode_and_are_counted() {
    let no = |at| (at, "mapping".to_owned());
    let store = Store::new();
    let first = AtomicBool::new(true);
    let (to_store, modes) = moded(&store, move |reply| match first.swap(false, Ordering::SeqCst) {
        true => Verdict::Items { retry: vec![1, 3], rejected: vec![no(0), no(3)], fallback: vec![no(2), no(0), no(9)] },
        false => Verdict::of_status(reply),
    });
    let logs = to(to_store).0.start().unwrap();
    emit(&logs, 8);
    let report = settle(&logs);
    assert_eq!(with_fallback(&report), (6, 1, 2), "{report}");
    assert_eq!(*modes.lock().unwrap(), [(Mode::Plain, 8), (Mode::Fallback, 1), (Mode::Plain, 1)]);
    assert_eq!((sent(&store, 1), sent(&store, 2)), (vec![3], vec![2]));
}

#[test]
fn a_record_that_is_refused_in_fallback_mode_as_well_is_rejected() {
    let store = Store::new();
    let (to_store, modes) = moded(&store, |_| Verdict::Items {
        retry: Vec::new(),
        rejected: Vec::new(),
        fallback: vec![(0, "mapping".to_owned())],
    });
    let logs = to(to_store).0.start().unwrap();
    emit(&logs, 3);
    let report = settle(&logs);
    assert_eq!(with_fallback(&report), (2, 0, 1), "{report}");
    assert_eq!(*modes.lock().unwrap(), [(Mode::Plain, 3), (Mode::Fallback, 1)]);
}

#[test]
fn halves_of_a_request_in_fallback_mode_stay_in_it() {
    let store = Store::new();
    let answers = AtomicUsize::new(0);
    let (to_store, modes) = moded(&store, move |_| match answers.fetch_add(1, Ordering::SeqCst) {
        0 => Verdict::Items {
            retry: Vec::new(),
            rejected: Vec::new(),
            fallback: (0..4).map(|at| (at, "mapping".to_owned())).collect(),
        },
        1 => Verdict::Split,
        _ => Verdict::Ack,
    });
    let logs = to(to_store).0.start().unwrap();
    emit(&logs, 4);
    let report = settle(&logs);
    assert_eq!(with_fallback(&report), (4, 4, 0), "{report}");
    let fallback = Mode::Fallback;
    assert_eq!(*modes.lock().unwrap(), [(Mode::Plain, 4), (fallback, 4), (fallback, 2), (fallback, 2)]);
}

//! What a lane's pace finds out about stores of known shape, in virtual time.
//!
//! A model says how long a request takes that begins at a time beside so many others, or that it is refused. There is
//! always more to send. What is asserted are ranges: of the limit that was found, and of the throughput against the best
//! that the store could have given.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::{Duration, Instant};

use super::pace::Pace;

const MIB: usize = 1 << 20;

/// At that second, beside so many others, of so many bytes: how many seconds it takes; none where it is refused.
type Model<'a> = &'a mut dyn FnMut(f64, usize, usize) -> Option<f64>;

struct Run {
    /// When, and how many were then allowed.
    limits: Vec<(f64, usize)>,
    taken: Vec<f64>,
    refused: Vec<f64>,
}

/// Sends for so many seconds, with at most `most` in flight; the n-th request has `bytes(n)`.
fn run(most: usize, seconds: f64, bytes: impl Fn(usize) -> usize, model: Model<'_>) -> Run {
    fastrand::seed(4);
    let mut pace = Pace::new(most, None);
    let origin = Instant::now();
    let at = |seconds: f64| origin + Duration::from_secs_f64(seconds);
    // When it ends, its number: when it began, its size, whether it is taken.
    let mut flights = BTreeMap::new();
    let mut run = Run { limits: Vec::new(), taken: Vec::new(), refused: Vec::new() };
    let (mut now, mut count) = (0.0, 0);
    while now < seconds {
        while pace.may_send(flights.len(), at(now)) {
            let size = bytes(count);
            let takes = model(now, flights.len(), size);
            let end = Duration::from_secs_f64(now + takes.unwrap_or(0.005));
            flights.insert((end, count), (now, size, takes.is_some()));
            count += 1;
        }
        pace.wanted();
        run.limits.push((now, pace.limit()));
        let Some(((end, _), (begun, size, is_taken))) = flights.pop_first() else {
            now = pace.due().expect("a lane that sends nothing waits").duration_since(origin).as_secs_f64() + 1e-6;
            continue;
        };
        now = end.as_secs_f64();
        if is_taken {
            pace.succeeded();
            pace.took(size, at(begun), at(now));
            run.taken.push(now);
        } else {
            let _ = pace.failed(None, at(now));
            run.refused.push(now);
        }
    }
    run
}

impl Run {
    fn found(&self, span: Range<f64>) -> RangeInclusive<usize> {
        let limits = || self.limits.iter().filter(|(at, _)| span.contains(at)).map(|(_, limit)| *limit);
        limits().min().unwrap()..=limits().max().unwrap()
    }

    /// Requests taken per second.
    fn rate(&self, span: Range<f64>) -> f64 {
        self.taken.iter().filter(|at| span.contains(at)).count() as f64 / (span.end - span.start)
    }

    #[track_caller]
    fn assert_found(&self, span: Range<f64>, within: RangeInclusive<usize>) {
        let found = self.found(span.clone());
        assert!(within.contains(found.start()) && within.contains(found.end()), "{span:?}: {found:?}, not {within:?}");
    }

    #[track_caller]
    fn assert_rate(&self, span: Range<f64>, best: f64, part: f64) {
        let rate = self.rate(span.clone());
        assert!(rate >= best * part && rate <= best * 1.02, "{span:?}: {rate:.1} a second of {best:.1} possible");
    }
}

fn same(_: usize) -> usize {
    MIB
}

/// So many at a time are as quick as one, each in 100 ms; beyond, they share.
fn shared(others: usize, capacity: f64) -> Option<f64> {
    Some(0.1 * ((others + 1) as f64 / capacity).max(1.0))
}

#[test]
fn a_store_that_takes_any_number_is_given_all_that_may_be() {
    for most in [2, 4, 16, 64] {
        let run = run(most, 60.0, same, &mut |_, _, _| Some(0.1));
        run.assert_found(30.0..60.0, most..=most);
        run.assert_rate(30.0..60.0, most as f64 / 0.1, 0.99);
    }
}

#[test]
fn one_request_at_a_time_stays_one() {
    let mut random = fastrand::Rng::with_seed(7);
    let run = run(1, 60.0, same, &mut |_, _, _| Some(0.05 + 0.5 * random.f64()));
    run.assert_found(0.0..60.0, 1..=1);
}

#[test]
fn answers_that_vary_are_not_taken_for_overload() {
    // Between 50 and 150 ms; and one in twenty after a second and a half more.
    let mut random = fastrand::Rng::with_seed(7);
    let even = run(16, 120.0, same, &mut |_, _, _| Some(0.05 + 0.1 * random.f64()));
    even.assert_found(60.0..120.0, 10..=16);
    even.assert_rate(60.0..120.0, 160.0, 0.9);
    let odd = run(16, 120.0, same, &mut |_, _, _| Some(if random.f64() < 0.05 { 1.6 } else { 0.1 }));
    odd.assert_found(60.0..120.0, 10..=16);
}

#[test]
fn small_batches_among_large_ones_are_not_taken_for_overload() {
    // 10 ms, and 10 MB a second.
    let sizes = |n: usize| [1 << 10, MIB, 1 << 15, 1 << 18, 900][n % 5];
    let run = run(16, 120.0, sizes, &mut |_, _, bytes| Some(0.01 + bytes as f64 / 10e6));
    run.assert_found(60.0..120.0, 16..=16);
}

#[test]
fn answers_on_loopback_are_never_slow() {
    // As when our own thread encodes one request after the other: twelve times as long beside twelve.
    let run = run(12, 20.0, same, &mut |_, others, _| Some(0.002 * (others + 1) as f64));
    run.assert_found(10.0..20.0, 12..=12);
}

#[test]
fn beyond_a_knee_where_requests_share_it_stays_near_the_knee() {
    let run = run(64, 300.0, same, &mut |_, others, _| shared(others, 6.0));
    run.assert_found(60.0..300.0, 5..=12);
    run.assert_rate(60.0..300.0, 60.0, 0.95);
}

#[test]
fn beyond_a_knee_where_all_get_slower_it_stays_near_the_knee() {
    let run = run(64, 300.0, same, &mut |_, others, _| Some(0.1 * ((others + 1) as f64 / 6.0).powi(2).max(1.0)));
    run.assert_found(60.0..300.0, 4..=9);
    run.assert_rate(60.0..300.0, 60.0, 0.7);
}

#[test]
fn beyond_a_knee_of_two_where_all_get_slower_it_stays_near_the_knee() {
    for most in [3, 4, 16] {
        let run = run(most, 300.0, same, &mut |_, others, _| Some(0.1 * ((others + 1) as f64 / 2.0).powi(2).max(1.0)));
        run.assert_found(60.0..300.0, 1..=3);
        run.assert_rate(60.0..300.0, 20.0, 0.7);
    }
}

#[test]
fn a_jump_of_capacity_is_followed_down_and_up() {
    let capacity = |at: f64| if (100.0..200.0).contains(&at) { 3.0 } else { 12.0 };
    let run = run(32, 300.0, same, &mut |at, others, _| shared(others, capacity(at)));
    run.assert_found(50.0..100.0, 9..=24);
    run.assert_rate(50.0..100.0, 120.0, 0.9);
    run.assert_found(110.0..200.0, 2..=8);
    run.assert_rate(110.0..200.0, 30.0, 0.85);
    run.assert_found(230.0..300.0, 9..=24);
    run.assert_rate(230.0..300.0, 120.0, 0.9);
}

#[test]
fn a_capacity_that_flaps_is_used_for_the_most_part() {
    let capacity = |at: f64| if (at / 5.0) as u64 % 2 == 1 { 3.0 } else { 12.0 };
    let run = run(32, 300.0, same, &mut |at, others, _| shared(others, capacity(at)));
    run.assert_found(50.0..300.0, 1..=24);
    run.assert_rate(50.0..300.0, (120.0 + 30.0) / 2.0, 0.6);
}

#[test]
fn a_store_that_became_slower_for_good_is_used_in_full_again() {
    let run = run(16, 200.0, same, &mut |at, _, _| Some(if at < 50.0 { 0.1 } else { 0.4 }));
    run.assert_found(40.0..50.0, 16..=16);
    assert!(run.found(50.0..60.0).contains(&4), "it is taken for overload at first: {:?}", run.found(50.0..60.0));
    run.assert_found(150.0..200.0, 16..=16);
}

#[test]
fn a_store_that_refuses_more_than_so_many_is_rarely_asked_for_more() {
    let run = run(32, 300.0, same, &mut |_, others, _| (others < 6).then_some(0.1));
    run.assert_found(30.0..300.0, 1..=7);
    run.assert_rate(30.0..300.0, 60.0, 0.5);
    let (refused, taken) = (run.refused.len(), run.taken.len());
    assert!(refused * 10 < taken, "{refused} refused, {taken} taken");
}

#[test]
fn after_an_outage_it_begins_low_and_climbs() {
    let run = run(16, 120.0, same, &mut |at, _, _| (!(30.0..60.0).contains(&at)).then_some(0.1));
    run.assert_found(20.0..30.0, 16..=16);
    let back = run.taken.iter().copied().find(|&at| at > 60.0).unwrap();
    run.assert_found(59.0..back, 1..=1);
    run.assert_found(back..back + 0.5, 1..=6);
    run.assert_found(back + 5.0..120.0, 16..=16);
}

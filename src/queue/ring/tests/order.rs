//! What many threads put in comes out, once and in their order.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::order::{Shut, State, place, words_of};
use super::{drain, frame, image, number_in, recovered, ring};

#[test]
fn what_was_pushed_comes_out_as_it_was_and_stays_until_it_is_released() {
    let (order, _) = ring(256, false);
    let given: Vec<_> = (0..9).map(|number| frame(5, number, 17 + number as usize)).collect();
    for bytes in &given {
        order.push(0, bytes, false).unwrap();
    }
    assert_eq!((order.accepted(), order.queued()), (9, 9));
    let got = drain(&order, usize::MAX);
    assert_eq!(got.iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>(), given);
    assert!(got.iter().all(|(position, _)| position % 8 == 0));
    assert_eq!((order.accepted(), order.queued()), (9, 0));
    assert!(drain(&order, usize::MAX).is_empty());
    assert_eq!(recovered(&image(&order)).len(), 9);
    order.release(got[4].0);
    assert_eq!(recovered(&image(&order)).into_iter().map(|(_, _, bytes)| bytes).collect::<Vec<_>>(), given[4..]);
    order.release(order.drained());
    assert!(recovered(&image(&order)).is_empty());
}

#[test]
fn frames_of_all_sizes_go_round_many_times() {
    let (order, header) = ring(128, false);
    let mut random = fastrand::Rng::with_seed(3);
    let (mut next, mut expected) = (0, 0);
    let laps = if cfg!(miri) { 5 } else { 300 };
    while order.tail() < laps * 8 * u64::from(header.units) {
        for _ in 0..random.usize(..6) {
            let bytes = frame(0, next, random.usize(17..8 * 30));
            if order.push(0, &bytes, false).is_ok() {
                next += 1;
            }
        }
        for (_, bytes) in drain(&order, random.usize(..6)) {
            assert_eq!(number_in(&bytes), expected);
            assert_eq!(bytes, frame(0, expected, bytes.len()));
            expected += 1;
        }
        order.release(order.drained());
    }
    assert!(expected > laps * 2);
    assert_eq!(drain(&order, usize::MAX).len() as u64, next - expected);
}

#[test]
fn a_full_ring_refuses_and_has_room_again_only_when_something_is_released() {
    let (order, header) = ring(64, false);
    let bytes = frame(0, 1, 48);
    let fits = header.units / words_of(48);
    for _ in 0..fits {
        order.push(0, &bytes, false).unwrap();
    }
    assert_eq!(order.push(0, &bytes, false), Err(Shut::Full));
    let got = drain(&order, usize::MAX);
    assert_eq!(order.push(0, &bytes, false), Err(Shut::Full));
    order.release(got[2].0);
    order.push(0, &bytes, false).unwrap();
    assert_eq!(u32::try_from(got.len()).unwrap(), fits);
}

#[test]
fn a_tenth_is_left_to_those_that_may_have_it() {
    let (order, header) = ring(1024, false);
    let bytes = frame(0, 1, 17);
    while order.push(0, &bytes, true).is_ok() {}
    let left = u64::from(header.units) - order.tail() / 8;
    assert!((102..102 + u64::from(words_of(17))).contains(&left), "{left}");
    let mut more = 0;
    while order.push(0, &bytes, false).is_ok() {
        more += 1;
    }
    assert_eq!(more, left / u64::from(words_of(17)));
}

#[test]
fn a_frame_of_more_than_a_quarter_is_refused_and_takes_no_room() {
    let (order, header) = ring(64, false);
    let most = header.units as usize * 8 / 4 - 16;
    assert_eq!(order.push(0, &frame(0, 1, most + 1), false), Err(Shut::Full));
    assert_eq!(order.tail(), 0);
    for number in 0..20 {
        // Wherever the end of the lap is.
        order.push(0, &frame(0, 1, 17 + number), false).unwrap();
        order.push(0, &frame(0, 2, most), false).unwrap();
        assert_eq!(drain(&order, usize::MAX).len(), 2);
        order.release(order.drained());
    }
}

#[test]
fn a_closed_ring_accepts_nothing_and_keeps_what_it_has() {
    let (order, _) = ring(64, false);
    order.push(0, &frame(0, 1, 20), false).unwrap();
    order.close();
    assert_eq!(order.push(0, &frame(0, 2, 20), false), Err(Shut::Closed));
    assert_eq!((order.accepted(), drain(&order, usize::MAX).len()), (1, 1));
}

#[test]
fn who_pushes_is_told_how_much_waits_for_the_worker_not_how_much_is_owed() {
    let (order, _) = ring(64, false);
    let one = u64::from(words_of(17)) * 8;
    assert_eq!([(); 3].map(|()| order.push(0, &frame(0, 1, 17), false).unwrap()), [one, 2 * one, 3 * one]);
    drain(&order, usize::MAX);
    assert_eq!(order.push(0, &frame(0, 1, 17), false), Ok(one));
}

#[test]
fn positions_go_on_past_four_billion_words() {
    let (order, header) = ring(64, false);
    // As if that many had been pushed, drained and released before.
    let far = (u64::from(u32::MAX) + 1 - 20) * 8;
    let memory = order.memory();
    for at in [place::CONSUMED, place::DRAINED] {
        memory.words[at].store(far, Ordering::Relaxed);
    }
    let units = (far / 8) & u64::from(u32::MAX);
    memory.words[place::TAIL].store(((1 << 33) * 77) | units, Ordering::Relaxed);
    memory.words[place::ENDS].store(units << 32 | units, Ordering::Relaxed);
    memory.words[place::DRAINED_COUNT].store(77, Ordering::Relaxed);
    for number in 0..50 {
        order.push(0, &frame(0, number, 24), false).unwrap();
        let got = drain(&order, usize::MAX);
        assert_eq!((got.len(), number_in(&got[0].1)), (1, number));
        assert_eq!(recovered(&image(&order)).len(), 1);
        order.release(order.drained());
    }
    assert!(order.drained() > far + 8 * u64::from(header.units));
    assert_eq!((order.accepted(), order.queued()), (127, 0));
}

#[test]
fn a_frame_that_is_not_complete_holds_up_the_drain_and_no_one_else() {
    let (order, header) = ring(64, true);
    order.push(0, &frame(0, 1, 17), false).unwrap();
    let before = order.memory().stores().len();
    order.push(0, &frame(0, 2, 17), false).unwrap();
    let first = header.data + words_of(17) as usize;
    // Its thread was stopped after it had claimed its place.
    let (cell, claimed) = order.memory().stores()[before + 1];
    assert_eq!(cell, first);
    let committed = order.memory().words[cell].swap(claimed, Ordering::Relaxed);
    order.push(0, &frame(0, 3, 17), false).unwrap();
    assert_eq!(drain(&order, usize::MAX).len(), 1);
    assert_eq!(order.queued(), 2);
    // Were the process to die now, those on both sides of it are found.
    let numbers: Vec<_> = recovered(&image(&order)).iter().map(|(_, _, bytes)| number_in(bytes)).collect();
    assert_eq!(numbers, [1, 3]);
    order.memory().words[cell].store(committed, Ordering::Relaxed);
    assert_eq!(drain(&order, usize::MAX).len(), 2);
}

#[test]
fn a_state_holds_only_where_it_was_written_and_is_never_nothing() {
    let (salt, position) = (0x0123_4567_89ab_cdef, 0x89ab_cdef);
    for state in [State::Claimed(0), State::Committed(200), State::Padding(7), State::Committed(u32::MAX)] {
        let word = state.encode(salt, position);
        assert_ne!(word, 0);
        assert_eq!(State::decode(word, salt, position), Some(state));
        assert_eq!(State::decode(word, salt, position + 1), None);
        assert_eq!(State::decode(word, !salt, position), None);
        assert_eq!(State::decode(word, salt ^ 1 << 50, position), None);
    }
    assert_eq!(State::decode(0, salt, position), None);
}

#[test]
fn several_threads_push_and_each_thread_s_records_come_in_its_order() {
    const THREADS: u64 = 4;
    let each: u64 = if cfg!(miri) { 30 } else { 20_000 };
    let (order, _) = ring(512, false);
    let (refused, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let start = Barrier::new(THREADS as usize + 1);
    let mut last = [None; THREADS as usize];
    let mut drained = 0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (order, refused, start) = (&order, &refused, &start);
                scope.spawn(move || {
                    start.wait();
                    for number in 0..each {
                        let bytes = frame(0, thread << 32 | number, 17 + (number % 60) as usize);
                        while order.push(0, &bytes, false).is_err() {
                            refused.fetch_add(1, Ordering::Relaxed);
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let worker = scope.spawn(|| {
            start.wait();
            loop {
                let is_last = done.load(Ordering::Acquire);
                let got = drain(&order, 64);
                for (_, bytes) in &got {
                    let (thread, number) = ((number_in(bytes) >> 32) as usize, number_in(bytes) & 0xffff_ffff);
                    assert_eq!(number, last[thread].map_or(0, |last: u64| last + 1), "thread {thread}");
                    assert_eq!(*bytes, frame(0, number_in(bytes), bytes.len()));
                    last[thread] = Some(number);
                    drained += 1;
                }
                // Some stays for a while, as the store takes its time.
                order.release(got.get(got.len() / 2).map_or_else(|| order.drained(), |&(position, _)| position));
                if is_last && got.is_empty() {
                    break;
                }
                std::thread::yield_now();
            }
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::Release);
        worker.join().unwrap();
    });
    assert_eq!(drained, THREADS * each);
    assert_eq!((u64::from(order.accepted()), order.queued()), (drained, 0));
}

//! What the threads do, and what must hold whichever goes first.

use std::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::thread;

use crate::order::{COUNT_MASK, Memory, Order, Shut, State, place};
use crate::{FIRST, Loom, Shuttle};

const SALT: u64 = 0x0123_4567_89ab_cdef;
/// Words of a frame with eight bytes.
const FRAME: u64 = 3;

fn ring(units: u32) -> Order<Loom> {
    Order::new(Loom::new(units as usize), SALT, FIRST, units)
}

fn push<M: Memory>(order: &Order<M>, number: u64) -> Result<u64, Shut> {
    order.push(number, &number.to_le_bytes(), false)
}

/// Takes what is there; a frame is whole or not there at all.
fn drain<M: Memory>(order: &Order<M>) -> Vec<u64> {
    let (mut at, tail, mut all) = (order.drained(), order.tail(), Vec::new());
    while let Some(found) = order.next(at, tail) {
        let mut bytes = [0; 8];
        assert_eq!(found.len, 8);
        order.read(&found, &mut bytes);
        assert_eq!(u64::from_le_bytes(bytes), found.callsite, "a frame that is not whole");
        order.number(found.position, found.callsite as i64);
        all.push(found.callsite);
        at = found.next;
    }
    if !all.is_empty() {
        order.drained_to(at, all.len() as u32, 0);
    }
    all
}

/// Before the model's threads are there.
fn go_round(order: &Order<Loom>, frames: u64) {
    for number in 0..frames {
        push(order, 100 + number).unwrap();
        assert_eq!(drain(order), [100 + number]);
        order.release(order.drained());
    }
}

pub(crate) fn two_push() {
    let order = Arc::new(ring(16));
    let threads = [10, 20].map(|number| {
        let order = Arc::clone(&order);
        thread::spawn(move || (1..3).for_each(|more| assert!(push(&order, number + more).is_ok())))
    });
    let mut got = drain(&order);
    got.extend(drain(&order));
    order.release(order.drained());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    got.extend(drain(&order));
    for number in [10, 20] {
        let of_it: Vec<_> = got.iter().filter(|&&other| other / 10 * 10 == number).collect();
        assert_eq!(of_it, [&(number + 1), &(number + 2)]);
    }
    assert_eq!((order.accepted(), order.queued()), (4, 0));
}

/// Five frames fill it, and a word is left.
pub(crate) fn full() {
    let order = Arc::new(ring(16));
    (1..=5).for_each(|number| assert!(push(&order, number).is_ok()));
    let other = Arc::clone(&order);
    let thread = thread::spawn(move || push(&other, 6));
    let got = drain(&order);
    assert_eq!(got, [1, 2, 3, 4, 5]);
    order.release(FRAME * 8 * 2);
    let done = thread.join().unwrap();
    assert!(matches!(done, Ok(_) | Err(Shut::Full)));
    let expected: &[u64] = if done.is_ok() { &[6] } else { &[] };
    assert_eq!(drain(&order), expected);
    // Whoever wrote did not write over what is not released.
    let cell = FIRST + (2 * FRAME) as usize;
    let state = order.memory().load(cell, Ordering::Relaxed);
    assert_eq!(State::decode(state, SALT, 2 * FRAME as u32), Some(State::Committed(8)));
}

/// The ring goes once round, and more, while a thread is between its look at the tail and its exchange.
pub(crate) fn slow() {
    let order = Arc::new(ring(16));
    go_round(&order, 3);
    let other = Arc::clone(&order);
    let thread = thread::spawn(move || push(&other, 1).is_ok());
    let (mut got, mut pushed) = (Vec::new(), vec![]);
    for number in 2..5 {
        if push(&order, number).is_ok() {
            pushed.push(number);
        }
        got.extend(drain(&order));
        order.release(order.drained());
    }
    if thread.join().unwrap() {
        pushed.push(1);
    }
    got.extend(drain(&order));
    got.sort_unstable();
    pushed.sort_unstable();
    assert_eq!(got, pushed);
    // None of them can have been refused: there is room for five.
    assert_eq!(pushed.len(), 4);
}

/// Another process looks at the pages while the worker releases, as it does when the worker's process dies at that moment: a
/// word that is zero is never among those that it takes for records.
pub(crate) fn reader() {
    let order = Arc::new(ring(16));
    push(&order, 1).unwrap();
    push(&order, 2).unwrap();
    drain(&order);
    let other = Arc::clone(&order);
    let thread = thread::spawn(move || {
        let first = other.memory().load(FIRST, Ordering::Acquire);
        loom::sync::atomic::fence(Ordering::Acquire);
        (first, other.consumed())
    });
    order.release(FRAME * 8);
    let (first, consumed) = thread.join().unwrap();
    if first == 0 {
        assert_eq!(consumed, FRAME * 8, "zero before it is released");
    }
}

pub(crate) fn closed() {
    let order = Arc::new(ring(16));
    let threads = [1, 2].map(|number| {
        let order = Arc::clone(&order);
        thread::spawn(move || push(&order, number).is_ok())
    });
    order.close();
    let accepted = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|&is| is).count();
    assert_eq!(push(&order, 3), Err(Shut::Closed));
    assert_eq!((drain(&order).len(), order.accepted() as usize), (accepted, accepted));
}

/// Threads push, more than fits, and the worker drains and releases in its own time.
pub(crate) fn many(threads: u64) {
    use shuttle::sync::Arc;
    use shuttle::thread;
    const EACH: u64 = 6;
    let order = Arc::new(Order::new(Shuttle::new(16), SALT, FIRST, 16));
    let pushing: Vec<_> = (0..threads)
        .map(|thread| {
            let order = Arc::clone(&order);
            thread::spawn(move || {
                let mut refused = 0;
                for number in 0..EACH {
                    let number = (thread + 1) << 32 | number;
                    while push(&order, number).is_err() {
                        refused += 1;
                        thread::yield_now();
                    }
                }
                refused
            })
        })
        .collect();
    let mut got = Vec::new();
    while (got.len() as u64) < threads * EACH {
        let drained = order.drained();
        got.extend(drain(&order));
        // What was drained the time before is settled by now.
        order.release(if got.len() % 2 == 0 { order.drained() } else { drained });
        if order.queued() & COUNT_MASK == 0 {
            order.release(order.drained());
        }
        thread::yield_now();
    }
    pushing.into_iter().for_each(|thread| {
        thread.join().unwrap();
    });
    for thread in 0..threads {
        let of_it: Vec<_> =
            got.iter().filter(|&&number| number >> 32 == thread + 1).map(|number| number & 0xff).collect();
        assert_eq!(of_it, (0..EACH).collect::<Vec<_>>());
    }
    assert_eq!(order.memory().load(place::DRAINED_COUNT, Ordering::Relaxed), threads * EACH);
}

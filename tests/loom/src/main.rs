//! The order of the ring under a model checker: loom tries every order in which three threads may go on, and every value that
//! a load may give by the rules of the memory model, with at most three interruptions; shuttle tries longer runs in random
//! orders. Both run the very file that the queue is made of.
//!
//! The memory of loom is that of the language, not that of a machine: what holds there holds on every processor.

#[path = "../../../src/queue/ring/order.rs"]
#[allow(dead_code, reason = "what only the queue uses")]
mod order;

mod scenes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use order::{LANES_MAX, Memory, place};

/// Where frames begin in the small memory of a model.
const DATA: usize = 6;

/// The header without what is not used in it: fewer words are fewer orders.
fn index(at: usize) -> usize {
    match at {
        place::TAIL => 0,
        place::ENDS => 1,
        place::CONSUMED => 2,
        place::DRAINED => 3,
        place::LAST_TIME => 4,
        place::DRAINED_COUNT => 5,
        at if at >= place::LANES + place::LANE * LANES_MAX => at - (place::LANES + place::LANE * LANES_MAX) + DATA,
        _ => unreachable!("{at}"),
    }
}

/// The first word of frames, as the order knows it.
const FIRST: usize = place::LANES + place::LANE * LANES_MAX;

struct Loom(Vec<loom::sync::atomic::AtomicU64>);

impl Loom {
    fn new(units: usize) -> Self {
        Self((0..DATA + units).map(|_| loom::sync::atomic::AtomicU64::new(0)).collect())
    }
}

impl Memory for Loom {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.0[index(at)].load(order)
    }

    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.0[index(at)].store(value, order);
    }

    fn exchange(&self, at: usize, current: u64, new: u64) -> Result<u64, u64> {
        self.0[index(at)].compare_exchange_weak(current, new, Ordering::AcqRel, Ordering::Relaxed)
    }

    fn fence(&self) {
        loom::sync::atomic::fence(Ordering::Release);
    }
}

struct Shuttle(Vec<shuttle::sync::atomic::AtomicU64>);

impl Shuttle {
    fn new(units: usize) -> Self {
        Self((0..DATA + units).map(|_| shuttle::sync::atomic::AtomicU64::new(0)).collect())
    }
}

impl Memory for Shuttle {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.0[index(at)].load(order)
    }

    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.0[index(at)].store(value, order);
    }

    fn exchange(&self, at: usize, current: u64, new: u64) -> Result<u64, u64> {
        self.0[index(at)].compare_exchange(current, new, Ordering::AcqRel, Ordering::Relaxed)
    }

    /// Its memory keeps the order of the program.
    fn fence(&self) {}
}

/// Every order there is.
fn exhaustively(name: &str, scene: impl Fn() + Send + Sync + 'static) {
    let (begun, orders) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.max_branches = 100_000;
    let count = Arc::clone(&orders);
    model.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        scene();
    });
    println!("loom: {name}: {} orders, {:.1} s", orders.load(Ordering::Relaxed), begun.elapsed().as_secs_f64());
}

fn main() {
    exhaustively("two threads push, the worker drains", scenes::two_push);
    exhaustively("a ring that is full has room again when something is released", scenes::full);
    exhaustively("a thread that is slow meets a ring that went round", scenes::slow);
    exhaustively("what a reader sees after a release", scenes::reader);
    exhaustively("a ring is closed while two push", scenes::closed);
    let begun = Instant::now();
    let (runs, threads) = (5_000, 3);
    shuttle::check_random(move || scenes::many(threads), runs);
    println!("shuttle: {threads} threads go round: {runs} orders by chance, {:.1} s", begun.elapsed().as_secs_f64());
}

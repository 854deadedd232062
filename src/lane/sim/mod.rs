//! Seeded simulations of clocks, faults and deaths around the real lanes and the real spool.
//!
//! A seed stands for stores that fail, a disk that fails, and several processes, one after the other or two at once, that
//! die between any two bytes that they write or end in order. The last one has stores and a disk that work, and runs until
//! nothing is owed. After each round and at each end:
//!
//! - the ledger of each process balances, and says as delivered and rejected what its stores answered;
//! - a store has no record that was not said, nor with other bytes, nor one of another destination;
//! - a record comes twice from one process only where the store did not answer; twice from two only where the first one's
//!   end was not in order, or a store or a disk failed it, or more than one request was in flight. So it comes at most once,
//!   and once more for each answer that was lost and for each process that ended;
//! - a record that no store has is on disk, in the memory of a process that lives, was lost with the memory of one that
//!   died or with the power before it was synced, or is counted as dropped or rejected;
//! - no more is said to be lost with a dead process than was;
//! - memory and disk stay within their budgets;
//! - with one request at a time, and where nothing fails but that stores are not there, records come in their order.
//!
//! The disk loses with the power what was not synced, in blocks and in any order; a call may be short, fail, or be the last
//! one of its process. Each seed plays the same each time: a failing one is kept in [`SHOWN`] once it plays well.
//!
//! `SIM_SEED=n` plays one with a trace, `SIM_SEEDS=n` the first n, `SIM_SEEDS=from..to` a range.

mod calls;
mod env;
mod fs;
mod judge;
mod plan;
mod process;
mod store;
mod truth;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

/// Seeds that have shown what was wrong: memory beyond its budget while much was read back, an order that was lost on disk,
/// records that were told to be lost and were not, and a batch that stood on disk and in memory at once.
const SHOWN: [u64; 8] = [40, 345, 1288, 4321, 2493, 3203, 8990, 10641];

/// So many are played with each run of the tests.
const SEEDS: u64 = 200;

/// What went wrong.
fn play(seed: u64, is_traced: bool) -> Vec<String> {
    fastrand::seed(seed);
    let played = catch_unwind(AssertUnwindSafe(|| World::new(seed, is_traced).play()));
    crate::clock::simulated::set(None);
    played.unwrap_or_else(|panic| vec![format!("panicked: {}", crate::frame::panic_message(panic.as_ref()))])
}

fn seeds() -> Vec<u64> {
    match std::env::var("SIM_SEEDS") {
        Ok(text) => {
            let (from, to) = text.split_once("..").unwrap_or(("0", &text));
            let number = |text: &str| text.parse::<u64>().expect("SIM_SEEDS is a number or a range, such as 0..20000");
            (number(from)..number(to)).collect()
        }
        Err(_) => SHOWN.into_iter().chain(0..SEEDS).collect(),
    }
}

#[test]
fn p2_whatever_dies_and_fails_no_record_is_lost_in_silence() {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        let seed = seed.parse().expect("SIM_SEED is a number");
        // In a thread like those of the others: its name is part of a record.
        let wrong = std::thread::scope(|scope| scope.spawn(|| play(seed, true)).join().unwrap());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        return;
    }
    let seeds = seeds();
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from).min(8) {
            scope.spawn(|| {
                while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let wrong = play(seed, false);
                    if !wrong.is_empty() {
                        eprintln!("SIM_SEED={seed}: {}", wrong[0]);
                        failed.lock().unwrap().push((seed, wrong));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    let lines: Vec<_> = failed
        .iter()
        .take(10)
        .map(|(seed, wrong)| {
            format!("SIM_SEED={seed} cargo test --lib lane::sim -- --nocapture\n    {}", wrong.join("\n    "))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} seeds failed\n{}", failed.len(), seeds.len(), lines.join("\n"));
}

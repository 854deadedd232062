//! What the benchmarks share: what is measured, the floors, a store in another process, and the process' own numbers.

#![allow(dead_code, unreachable_pub, reason = "a part of several programs, none of which uses all of it")]

pub mod alloc;
pub mod figures;
pub mod floors;
pub mod process;
pub mod store;
pub mod turns;

pub use store::{OtherProcess, maybe_store};

/// Where a child process finds what it is to do. Not `LOGCHUTE_…`: those are settings of the crate.
pub const CASE: &str = "BENCH_CASE";
pub const URL: &str = "BENCH_URL";

/// The event that all figures are about: a message and four fields.
#[inline(never)]
pub fn event(i: u64) {
    tracing::info!(user_id = i, latency_ms = 12.7, path = "/api/v1/items", method = "GET", "request completed");
}

/// A number from the environment, so that a run can be made shorter or longer.
pub fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What a figure depends on most.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("?");
    format!("{}, {cores} cores, load {load} at the start", model.unwrap_or("unknown processor"))
}

//! The process' own numbers, as the system keeps them.

use std::fs;
use std::time::Duration;

/// User and system time of this process, threads that have ended included. The system counts in steps of 10 ms.
pub fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The most memory that this process has had resident, in MiB.
pub fn peak_memory() -> f64 {
    number(&fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmHWM:") / 1024.0
}

/// What the threads that live have used, to the nanosecond, and how often they went to sleep and were woken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads {
    pub cpu: Duration,
    pub wakes: u64,
}

impl Threads {
    /// Of the threads whose name is this.
    pub fn named(wanted: &str) -> Self {
        let mut all = Self::default();
        for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
            if read("comm").trim() == wanted {
                let nanos = read("schedstat").split_whitespace().next().and_then(|first| first.parse().ok());
                all.cpu += Duration::from_nanos(nanos.unwrap_or(0));
                all.wakes += number(&read("status"), "voluntary_ctxt_switches:") as u64;
            }
        }
        all
    }
}

fn number(status: &str, key: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

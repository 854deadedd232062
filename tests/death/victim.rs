//! The process that dies: four threads log, each by a pattern of its own, and note what was accepted.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use logchute::Guard;

use crate::counts::Counts;
use crate::ends::{Way, die};
use crate::record::{Key, THREADS, mix};

/// Records of each thread of a process that ends well.
pub(crate) const LAST: u64 = 50;

/// What the environment tells it.
pub(crate) struct Orders {
    pub(crate) seed: u64,
    pub(crate) run: u64,
    counts: Counts,
    way: Way,
    delay: Duration,
}

pub(crate) fn variable<T: FromStr>(name: &str) -> T {
    let value = std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    value.parse().unwrap_or_else(|_| panic!("{name}={value}"))
}

impl Orders {
    pub(crate) fn of_environment() -> Self {
        Self {
            seed: variable("SEED"),
            run: variable("RUN"),
            counts: Counts::open(&variable::<PathBuf>("COUNTS")),
            way: variable("WAY"),
            delay: Duration::from_micros(variable("DELAY")),
        }
    }
}

pub(crate) fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more where the test has failed.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

pub(crate) fn victim(role: &str) -> Result<(), Box<dyn Error>> {
    match role {
        "logs" => logs(Orders::of_environment()),
        "last" => last(&Orders::of_environment()),
        "outgrows" => crate::outgrown::victim(&Orders::of_environment()),
        "asked" => asked(&Orders::of_environment()),
        "outage" => crate::outage::victim(&Orders::of_environment()),
        "litter" => crate::segments::litter(),
        "first" => crate::segments::first(&Orders::of_environment()),
        "full" => crate::full::victim(&Orders::of_environment()),
        "in_namespace" => crate::full::in_namespace(),
        _ => unreachable!("{role}"),
    }
}

/// Logs without end until something ends it.
fn logs(orders: Orders) -> Result<(), Box<dyn Error>> {
    if orders.way == Way::OutOfMemory {
        std::fs::write(variable::<PathBuf>("GROUP").join("cgroup.procs"), std::process::id().to_string())?;
    }
    if let Way::Point(point, nth) = &orders.way {
        logchute::testing::arm_crash(point, *nth, die);
    }
    let logs = Arc::new(logchute::init()?);
    let orders = Arc::new(orders);
    let first = Arc::new(Once::new());
    for thread in 0..THREADS {
        let (orders, logs, first) = (Arc::clone(&orders), Arc::clone(&logs), Arc::clone(&first));
        thread::spawn(move || {
            for n in 0.. {
                say(&orders, &logs, thread, n);
                first.call_once(|| tell("began"));
                pause(orders.seed, thread, n);
            }
        });
    }
    if matches!(orders.way, Way::Kill | Way::Point(..)) {
        loop {
            thread::sleep(Duration::from_millis(1));
            orders.counts.safe(safe(&logs));
        }
    }
    first.wait();
    thread::sleep(orders.delay);
    orders.way.go();
    unreachable!("{:?} is no end", orders.way)
}

/// Records of this process that are with the store or on disk, at the least: those that it adopted may be anywhere.
fn safe(logs: &Guard) -> u64 {
    let ledger = logs.ledger();
    let to = &ledger.destinations[0];
    (to.delivered + to.owed_disk).saturating_sub(to.adopted + ledger.own)
}

pub(crate) fn say(orders: &Orders, logs: &Guard, thread: u64, n: u64) {
    Key { run: orders.run, thread, n }.say(orders.seed, logs);
    orders.counts.accepted(thread, n + 1);
}

/// Flat out; bursts of fifty, then a millisecond; now and then; like the second, of all sizes.
fn pause(seed: u64, thread: u64, n: u64) {
    match thread {
        1 | 3 if n % 50 == 49 => thread::sleep(Duration::from_millis(1)),
        2 => thread::sleep(Duration::from_micros(mix(&[seed, n]) % 1000)),
        _ => {}
    }
}

/// Takes over what the dead have left, for as long as the test leaves its stdin open, then ends well.
fn last(orders: &Orders) -> Result<(), Box<dyn Error>> {
    let logs = logchute::init()?;
    for n in 0..LAST {
        for thread in 0..THREADS {
            say(orders, &logs, thread, n);
        }
    }
    tell("began");
    // Each flush looks for what others have left.
    until_let_go(|| _ = logs.flush(Duration::from_millis(100)));
    report(&logs);
    Ok(())
}

/// Does something every 20 ms until the test closes stdin.
pub(crate) fn until_let_go(mut again: impl FnMut()) {
    let (told, done) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.send(())
    });
    while done.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
        again();
    }
}

/// Shuts down and tells the test how that went.
pub(crate) fn report(logs: &Guard) {
    let report = logs.shutdown(Duration::from_secs(10));
    tell(&format!("ledger {}", report.ledger().to_json()));
}

/// Logs a number of records, says so, and waits to be asked to end, which is the pipeline's own business.
fn asked(orders: &Orders) -> Result<(), Box<dyn Error>> {
    let logs = logchute::init()?;
    for n in 0..LAST {
        for thread in 0..THREADS {
            say(orders, &logs, thread, n);
        }
    }
    tell("began");
    loop {
        thread::sleep(Duration::from_millis(10));
        orders.counts.safe(safe(&logs));
    }
}

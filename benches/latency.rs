//! How soon a record arrives at default settings, what an idle pipeline takes, how fast a backlog drains, and how long
//! records that come meanwhile are on their way.
//!
//! ```sh
//! cargo bench --bench latency             # about half a minute; SECONDS and IDLE say how long each part is
//! ```
//!
//! The store is another process and stamps each record when its request is complete; a record carries the time at which
//! it was emitted. The worker's processor time and its sleeps are those of its thread alone.
//!
//! Last numbers:
//! <!-- latency -->
//! 2026-11-24, a quiet virtual machine with 2 cores of an AMD EPYC, Linux 6.18, rustc 1.95, load 0.7:
//!
//! ```text
//! worker, an event every 5ms         0.282 % of a core, woken 38.2 times a second
//! from emitting to arrival           p50 123ms, p99 250ms, longest 253ms (2000 records)
//! worker, idle                       0.242 % of a core, woken 34.7 times a second (aim 25)
//! backlog of 16 MiB, store back      130,448 of 133,000 records in 51 requests: 1,913,803 a second, 957 x a live 2000 a second
//! as many, as fast as they come      1,539,578 a second; the backlog drained at 1.24 x that
//! ```
//! <!-- /latency -->

mod support;

use std::thread;
use std::time::{Duration, Instant};

use logchute::backend::Ndjson;
use logchute::{Builder, Guard};
use support::figures::thousands;
use support::process::Threads;
use support::{OtherProcess, event};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

/// An event of this often is what a service does that is neither idle nor in trouble.
const EVERY: Duration = Duration::from_millis(5);

/// What a busy service logs in a second; the promise is to drain at five times that.
const LIVE: f64 = 2000.0;

/// Events between two looks at the books.
const PIECE: u64 = 1000;

fn start(store: &OtherProcess) -> Guard {
    let url = store.url() + "/insert/jsonline";
    // That the store is away is what this is about; it need not be told.
    Builder::new().send_to(Ndjson::new(url)).on_diagnostic(|_| {}).start().unwrap()
}

/// Emits one event every few milliseconds, and then none; the figures are those of the worker's thread.
fn arrival(seconds: u64, idle: u64) {
    let mut store = OtherProcess::start();
    store.stamp();
    let logs = start(&store);
    tracing::subscriber::with_default(registry().with(logs.layer()), || {
        let (begun, before) = (Instant::now(), Threads::named("logchute"));
        let mut next = begun;
        while begun.elapsed() < Duration::from_secs(seconds) {
            tracing::info!(sent_ns = support::store::since_1970(), path = "/api/v1/items", "request completed");
            next += EVERY;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        show_worker(&format!("worker, an event every {EVERY:?}"), before, begun);
    });
    let report = logs.flush(Duration::from_secs(10));
    let (count, [p50, p99, most]) = store.delays();
    assert_eq!(count, report.ledger().emitted, "{report}");
    println!("{:34} p50 {p50:.0?}, p99 {p99:.0?}, longest {most:.0?} ({count} records)", "from emitting to arrival");

    // Between two polls of an idle worker lie 50 ms: after a second it sleeps as long as it ever will.
    thread::sleep(Duration::from_secs(1));
    let (begun, before) = (Instant::now(), Threads::named("logchute"));
    thread::sleep(Duration::from_secs(idle));
    show_worker("worker, idle", before, begun);
}

fn show_worker(what: &str, before: Threads, begun: Instant) {
    let (now, seconds) = (Threads::named("logchute"), begun.elapsed().as_secs_f64());
    let cpu = (now.cpu - before.cpu).as_secs_f64() / seconds * 100.0;
    let wakes = (now.wakes - before.wakes) as f64 / seconds;
    println!("{what:34} {cpu:.3} % of a core, woken {wakes:.1} times a second");
}

/// Emits while the store is away until its backlog has dropped something; returns how many.
fn fill(logs: &Guard) -> u64 {
    let mut emitted = 0;
    while logs.ledger().destinations[0].dropped.total() == 0 {
        // No faster than the worker drains, or it is the queue that drops.
        (0..PIECE).for_each(event);
        emitted += PIECE;
        thread::sleep(Duration::from_millis(2));
    }
    emitted
}

/// Fills the backlog while the store is away, and lets it drain; then lets the same number of records through live.
fn backlog() {
    let mut store = OtherProcess::start();
    store.away(true);
    let logs = start(&store);
    let subscriber = registry().with(logs.layer());
    tracing::subscriber::with_default(subscriber, || {
        let emitted = fill(&logs);
        let owed = logs.ledger().unsettled();
        store.away(false);
        let begun = Instant::now();
        let report = logs.flush(Duration::from_secs(120));
        assert!(report.settled(), "{report}");
        // The wait before the first request that goes through is the schedule's, not the drain's.
        let (span, taken) = (store.span(), store.taken());
        let drained = taken.records as f64 / span.as_secs_f64();
        // The record that tells of the loss may still be on its way.
        let ledger = report.ledger();
        assert_eq!(taken.records + ledger.lost() + ledger.unsettled(), ledger.emitted, "{report}");
        println!(
            "{:34} {} of {} records in {} requests: {} a second, {:.0} x a live {LIVE:.0} a second (all in {:.1?})",
            "backlog of 16 MiB, store back",
            thousands(owed),
            thousands(emitted),
            taken.requests,
            thousands(drained as u64),
            drained / LIVE,
            begun.elapsed(),
        );

        store.forget();
        for _ in 0..owed / PIECE {
            (0..PIECE).for_each(event);
            while logs.ledger().queued > PIECE {
                thread::yield_now();
            }
        }
        assert!(logs.flush(Duration::from_secs(60)).settled());
        let (span, taken) = (store.span(), store.taken());
        let live = taken.records as f64 / span.as_secs_f64();
        println!(
            "{:34} {} a second; the backlog drained at {:.2} x that",
            "as many, as fast as they come",
            thousands(live as u64),
            drained / live
        );
    });
}

/// Fills the backlog, and lets it drain into a slow store while a busy service goes on logging.
fn beside() {
    let mut store = OtherProcess::start();
    store.away(true);
    store.slow();
    store.stamp();
    let logs = start(&store);
    tracing::subscriber::with_default(registry().with(logs.layer()), || {
        fill(&logs);
        let owed = logs.ledger().unsettled();
        store.away(false);
        // Somebody waits: the next probe comes soon.
        let _ = logs.flush(Duration::from_millis(1));
        while store.taken().requests == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        let (mut next, mut live) = (begun, 0);
        let drained = loop {
            for _ in 0..(LIVE * EVERY.as_secs_f64()) as u64 {
                tracing::info!(sent_ns = support::store::since_1970(), path = "/api/v1/items", "request completed");
                live += 1;
            }
            next += EVERY;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            // Those that were emitted last are still on their way.
            if logs.ledger().destinations[0].delivered >= owed + live * 9 / 10 {
                break owed as f64 / begun.elapsed().as_secs_f64();
            }
        };
        assert!(logs.flush(Duration::from_secs(60)).settled());
        let (count, [p50, p99, most]) = store.delays();
        println!(
            "{:34} {} records drained at {} a second, {:.0} x a live {LIVE:.0} a second",
            "the same into a slow store",
            thousands(owed),
            thousands(drained as u64),
            drained / LIVE
        );
        println!("{:34} p50 {p50:.0?}, p99 {p99:.0?}, longest {most:.0?} ({count} records)", "meanwhile, live ones");
    });
}

fn main() {
    support::maybe_store();
    println!("arrival, idling and a backlog; {}", support::machine());
    arrival(support::number("SECONDS", 10) as u64, support::number("IDLE", 10) as u64);
    backlog();
    beside();
}

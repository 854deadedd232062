//! N9: the store is away for ten minutes while the application logs 2,000 records a second, and comes back. All of them
//! arrive, in order by thread, none twice, new ones meanwhile within two seconds, and memory stays within its budget.
//!
//! `OUTAGE_SECONDS` is the length; by default ten seconds.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use logchute::testing::{Answer, Store};

use crate::ends::Way;
use crate::process::Process;
use crate::record::Key;
use crate::scene::{Keeps, Last, Scene};
use crate::segments::peak_kib;
use crate::support::{Case, case};
use crate::victim::{Orders, report, say, tell, variable};

const RATE: u64 = 2_000;
/// The fourth logs what is too large for so many.
const THREADS: u64 = 3;
/// What queue, backlog, requests under way and encoding may take at their defaults, and as much again as a process has
/// for other reasons.
const PEAK_KIB: u64 = (8 + 16 + 4 + 2 + 30) << 10;
/// The longest that a new record waits behind what is owed, and slack for a busy machine.
const LIVE: Duration = Duration::from_secs(2 + 2);
/// Nothing more of what is owed will come after this long without any of it.
const STUCK: Duration = Duration::from_secs(30);

pub(crate) fn cases() -> Vec<Case> {
    let seconds = || std::env::var("OUTAGE_SECONDS").ok().map(|text| text.parse().expect("OUTAGE_SECONDS is a number"));
    vec![
        case("n9::outage", move || story(seconds().unwrap_or(10))),
        case("long::n9::outage", move || story(seconds().unwrap_or(600))).ignored("takes long"),
    ]
}

/// What is kept of a record: there are more than a million.
#[derive(Default)]
struct Seen {
    /// By key: when it was logged, its id, how often it came.
    records: BTreeMap<Key, (i64, String, u32)>,
    /// The longest wait of a record that was logged since the store was found to be back.
    slowest: Duration,
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as i64)
}

fn story(seconds: u64) {
    let seed = fastrand::u64(..);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let store = {
        let (seen, back) = (Arc::clone(&seen), AtomicI64::new(i64::MAX));
        Store::with(move |request| {
            let mut seen = seen.lock().unwrap();
            // Until the first attempt that finds it back, however long that is, nothing can come.
            let _ = back.compare_exchange(i64::MAX, now(), Ordering::Relaxed, Ordering::Relaxed);
            for record in request.records() {
                let Some(key) = Key::check(seed, record).unwrap_or_else(|what| panic!("{what}")) else { continue };
                let (time, id) = (record.time_nanos.unwrap_or(0), record.id.clone().unwrap_or_default());
                if time > back.load(Ordering::Relaxed) {
                    seen.slowest = seen.slowest.max(Duration::from_nanos((now() - time).max(0) as u64));
                }
                seen.records.entry(key).or_insert((time, id, 0)).2 += 1;
            }
            Answer::ok()
        })
    };
    store.go_away();
    let is_short = seconds < 120;
    let mut scene = Scene::inside(Path::new(env!("CARGO_TARGET_TMPDIR")), seed, Keeps::Spool, store)
        .var("SECONDS", seconds.to_string())
        .var("LOGCHUTE_SPOOL", "overflow")
        .var("LOGCHUTE_SPOOL_BYTES", "512MiB")
        .var("LOGCHUTE_OVERFLOW", "drop_newest")
        .var("LOGCHUTE_QUEUE_BYTES", "8MiB")
        // A short outage has to go to disk as well: all is smaller then, in the same proportion.
        .var("LOGCHUTE_BACKLOG_BYTES", if is_short { "1MiB" } else { "16MiB" })
        .var("LOGCHUTE_BATCH_BYTES", if is_short { "256KiB" } else { "1MiB" })
        .var("LOGCHUTE_LINGER", "200ms");
    let mut process = Process::start(scene.victim("outage", &Way::Kill, Duration::ZERO));
    let line = process.line_within(Duration::from_secs(seconds + 60));
    assert_eq!(line.as_deref(), Some("began"), "it has logged through the outage");
    let owed = RATE * seconds / THREADS * THREADS;
    let began = Instant::now();
    scene.store.come_back();
    let arrived = || seen.lock().unwrap().records.keys().filter(|key| key.n < RATE * seconds / THREADS).count() as u64;
    let (mut before, mut progress) = (0, Instant::now());
    while before < owed && progress.elapsed() < STUCK {
        thread::sleep(Duration::from_millis(100));
        let now = arrived();
        if now > before {
            (before, progress) = (now, Instant::now());
        }
        // What has been looked at is not kept.
        scene.store.forget();
    }
    let drained = began.elapsed();
    process.let_go();
    let peak: u64 = process.line().and_then(|line| line.strip_prefix("peak ")?.parse().ok()).expect("a peak");
    let last = Last::of(0, &mut process);
    let seen = seen.lock().unwrap();
    let total: u64 = scene.counts(0).iter().sum();
    println!(
        "n9: away for {seconds} s, {} of {total} records delivered, {owed} of them owed, in {drained:?}; new ones within \
         {:?} meanwhile; peak {peak} KiB",
        seen.records.len(),
        seen.slowest
    );
    assert_eq!(seen.records.len() as u64, total, "{:#}", last.ledger);
    assert_eq!(seen.records.values().filter(|record| record.2 != 1).count(), 0, "none comes twice");
    for thread in 0..THREADS {
        let of_thread = seen.records.iter().filter(|(key, _)| key.thread == thread);
        let mut sorted: Vec<_> = of_thread.map(|(key, (time, id, _))| (*time, id, key.n)).collect();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[0].2 < pair[1].2), "thread {thread} is out of order");
    }
    assert_eq!(last.ledger["balances"], true, "{:#}", last.ledger);
    assert_eq!(last.count("/destinations/0/delivered") - last.count("/own"), total, "{:#}", last.ledger);
    assert!(seen.slowest <= LIVE, "a new record waited {:?}", seen.slowest);
    assert!(peak <= PEAK_KIB, "{peak} KiB at the peak");
    scene.assert_nothing_left();
}

/// Logs at that rate through the outage, says so, and goes on until it is let go.
pub(crate) fn victim(orders: &Orders) -> Result<(), Box<dyn Error>> {
    let (logs, done) = (logchute::init()?, AtomicBool::new(false));
    let owed = RATE * variable::<u64>("SECONDS") / THREADS;
    let start = Instant::now();
    thread::scope(|scope| {
        let passed = std::sync::Barrier::new(THREADS as usize + 1);
        let passed = Arc::new(passed);
        for thread in 0..THREADS {
            let (logs, done, passed) = (&logs, &done, Arc::clone(&passed));
            scope.spawn(move || {
                for n in 0.. {
                    if n == owed {
                        passed.wait();
                    }
                    if n >= owed && done.load(Ordering::Relaxed) {
                        break;
                    }
                    let due = start + Duration::from_nanos(n * THREADS * 1_000_000_000 / RATE);
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    say(orders, logs, thread, n);
                }
            });
        }
        passed.wait();
        tell("began");
        crate::victim::until_let_go(|| {});
        done.store(true, Ordering::Relaxed);
    });
    tell(&format!("peak {}", peak_kib()));
    report(&logs);
    Ok(())
}

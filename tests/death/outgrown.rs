//! D1 with a ring that is too small for what is owed, and no spool. Where callers wait for room, nothing is lost. Where they do
//! not, the oldest is in memory alone: `health()` says so, and what is lost with the process the next one tells, exactly.

use std::error::Error;
use std::thread;
use std::time::Duration;

use logchute::testing::{Answer, Store};
use logchute::{Acceptance, Guard};

use crate::auditor::{Audit, Tally};
use crate::ends::Way;
use crate::kills::{Weather, chain_in, delay};
use crate::process::Process;
use crate::record::{THREADS, mix};
use crate::scene::{Keeps, Scene};
use crate::victim::{Orders, say, tell};

/// Records of each thread between two looks at the queue: a small part of the ring.
const TOGETHER: u64 = 40;

/// The threads of a process fill the ring and wait; it dies then. So do others that take over from it.
pub(crate) fn waits(seed: u64, weather: Weather) -> Tally {
    let full = |which: u64| delay(seed, which) + Duration::from_millis(150);
    chain_in(Scene::new(seed, Keeps::Ring, weather.store(seed)), &[const { Way::Kill }; 3], full)
}

/// A process owes more than its ring holds, and goes on logging until it is killed.
pub(crate) fn story(seed: u64, weather: Weather) -> Tally {
    let store = match weather {
        Weather::Away => weather.store(seed),
        _ => Store::with(move |request| {
            thread::sleep(Duration::from_millis(50 + mix(&[seed, request.order() as u64]) % 200));
            Answer::ok()
        }),
    };
    let mut scene = Scene::new(seed, Keeps::Ring, store)
        .var("LOGCHUTE_OVERFLOW", "drop_newest")
        // What is on its way is a small part of what is in memory alone.
        .var("LOGCHUTE_BATCH_BYTES", "32KiB")
        .var("LOGCHUTE_BACKLOG_BYTES", "256MiB");
    let mut process = Process::start(scene.victim("outgrows", &Way::Kill, Duration::ZERO));
    process.began();
    // It is killed at a time of chance: this wait is what is tested.
    thread::sleep(4 * delay(seed, 0));
    let said = process.killed();
    assert!(!said.contains("panicked"), "all was accepted, and nothing dropped:\n{said}");
    scene.store.come_back();
    let last = scene.ends_well();
    scene.assert_nothing_left();
    let audit = Audit::of(&scene);
    audit.check_ledger(&last);
    let (lost, told, in_flight) = (audit.lost().len() as u64, scene.told_lost, scene.told_in_flight);
    assert!(told <= lost && lost <= told + in_flight, "{lost} are lost, and this was told:\n{}", last.said);
    if matches!(weather, Weather::Away) {
        assert!(lost > 0 && lost == told + in_flight, "{lost} are lost, and this was told:\n{}", last.said);
    }
    audit.tally()
}

/// Logs no faster than the worker drains, so that nothing is dropped, and says so once more is owed than the ring holds.
pub(crate) fn victim(orders: &Orders) -> Result<(), Box<dyn Error>> {
    let logs = logchute::init()?;
    let mut told = false;
    for n in 0.. {
        for thread in 0..THREADS {
            say(orders, &logs, thread, n);
        }
        if n % TOGETHER == 0 {
            wait(&logs);
            if !told && logs.health().acceptance == Acceptance::Memory {
                told = true;
                tell("began");
            }
        }
    }
    Ok(())
}

fn wait(logs: &Guard) {
    while logs.ledger().queued > 0 {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(logs.ledger().lost(), 0, "{}", logs.ledger());
}

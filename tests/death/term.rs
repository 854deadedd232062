//! D5: the process is asked to end, by SIGTERM, with a store that is up, away, silent or slow. It ends within its
//! limit, and what was not delivered by then is on disk and comes with the next process.

use std::time::{Duration, Instant};

use logchute::testing::{Answer, Store};

use crate::auditor::{Audit, Tally};
use crate::ends::{SIGTERM, Way, send};
use crate::process::Process;
use crate::scene::{Keeps, Scene};

/// `LOGCHUTE_SHUTDOWN`, what the end may take beyond it, and slack for a busy machine.
const LIMIT: Duration = Duration::from_secs(1);
const BEYOND: Duration = Duration::from_millis(200);
const SLACK: Duration = Duration::from_secs(2);

pub(crate) const STORES: [&str; 4] = ["up", "away", "silent", "slow"];

pub(crate) fn story(seed: u64, what: &str, keeps: Keeps) -> Tally {
    let ill = match what {
        "up" => None,
        "away" => Some(Store::refusing()),
        "silent" => Some(Store::with(|_| Answer::silence())),
        _ => Some(Store::with(|_| Answer::drip(Duration::from_secs(1)))),
    };
    let mut scene = Scene::new(seed, keeps, Store::new())
        .var("LOGCHUTE_SIGNALS", "exit")
        .var("LOGCHUTE_SHUTDOWN", format!("{}ms", LIMIT.as_millis()));
    let mut victim = scene.victim("asked", &Way::Kill, Duration::ZERO);
    // The next process finds the same destination only at the same address: there both stores are one.
    if let Some(ill) = &ill {
        victim = victim.env("LOGCHUTE_URL", format!("ndjson+{}/ndjson?by=0", ill.url()));
    }
    let mut process = Process::start(victim);
    process.began();
    let asked = Instant::now();
    send(process.id(), SIGTERM);
    let (status, said) = process.ended();
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(128 + SIGTERM), "{status}; it said:\n{said}");
    assert!(took < LIMIT + BEYOND + SLACK, "it took {took:?} and said:\n{said}");
    if let Some(ill) = ill {
        let addr = ill.addr();
        assert_eq!(ill.count(), 0);
        drop(ill);
        scene.store = Store::start_at(addr).expect("the address that was free a moment ago");
    }
    let last = scene.ends_well();
    scene.assert_nothing_left();
    let audit = Audit::of(&scene);
    audit.check_ledger(&last);
    audit.assert_nothing_lost();
    audit.tally()
}

//! S8: eight processes in one directory, all but one of which are killed; what they leave is adopted once.

use std::thread;
use std::time::{Duration, Instant};

use crate::auditor::{Audit, Tally};
use crate::ends::Way;
use crate::kills::{Weather, delay};
use crate::process::Process;
use crate::scene::{Keeps, Last, Scene};

const CROWD: u64 = 8;
/// They look for each other's leavings every ten seconds, and when asked to flush, which the survivor is all the time.
const ADOPTION: Duration = Duration::from_secs(40);

pub(crate) fn story(seed: u64, keeps: Keeps) -> Tally {
    let mut scene = Scene::new(seed, keeps, Weather::Slow.store(seed));
    let mut survivor = Process::start(scene.victim("last", &Way::Kill, Duration::ZERO));
    let run = scene.runs() - 1;
    survivor.began();
    let own = scene.files();
    let mut others: Vec<Process> =
        (1..CROWD).map(|_| Process::start(scene.victim("logs", &Way::Kill, Duration::ZERO))).collect();
    others.iter_mut().for_each(Process::began);
    for (which, other) in (0..).zip(others) {
        thread::sleep(delay(seed, which) / 2);
        other.killed();
    }
    let deadline = Instant::now() + ADOPTION;
    let mut left = scene.files();
    while !left.is_subset(&own) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
        left = scene.files();
    }
    survivor.let_go();
    let last = Last::of(run, &mut survivor);
    scene.assert_nothing_left();
    let audit = Audit::of(&scene);
    audit.check_ledger(&last);
    match keeps {
        Keeps::Spool => audit.assert_lost_are_the_newest(),
        _ => audit.assert_nothing_lost(),
    }
    audit.tally()
}

//! D1, D2, D4: processes that die at times of chance, at named points and in many ways, and one after them that does not.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use logchute::testing::{Answer, Store};

use crate::auditor::{Audit, Tally};
use crate::ends::{NEXT, Way};
use crate::process::Process;
use crate::record::mix;
use crate::scene::{BACKLOG, BATCH, IN_FLIGHT, Keeps, QUEUE, Scene};

/// How a store behaves while the victims live; it is well when the last process runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weather {
    Up,
    /// It has a request for up to 20 ms before it says so, in which many a client dies.
    Slow,
    /// The same, and it refuses every third.
    Flaky,
    Away,
}

impl Weather {
    pub(crate) fn store(self, seed: u64) -> Store {
        let slow = move |order: usize| {
            thread::sleep(Duration::from_micros(mix(&[seed, order as u64]) % 20_000));
        };
        match self {
            Self::Up => Store::new(),
            Self::Away => Store::refusing(),
            Self::Slow => Store::with(move |request| {
                slow(request.order());
                Answer::ok()
            }),
            Self::Flaky => Store::with(move |request| {
                slow(request.order());
                if request.order() % 3 == 2 { Answer::status(503) } else { Answer::ok() }
            }),
        }
    }
}

/// Tells one story for each seed, or the one of `DEATH_SEED`; where one fails, how to see it again.
pub(crate) fn stories(case: &str, count: usize, story: impl Fn(u64) -> Tally) {
    let given = std::env::var("DEATH_SEED").ok().map(|seed| seed.parse().expect("DEATH_SEED is a number"));
    let seeds = given.map_or_else(|| (0..count).map(|_| fastrand::u64(..)).collect(), |seed| vec![seed]);
    let mut sum = Tally::default();
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| story(seed))) {
            Ok(tally) => sum.add(&tally),
            Err(why) => {
                eprintln!("again: DEATH_SEED={seed} cargo test --test death -- --include-ignored --exact {case}");
                resume_unwind(why);
            }
        }
    }
    println!("{case}: {sum}");
}

/// 2 to 60 ms after the first record.
pub(crate) fn delay(seed: u64, which: u64) -> Duration {
    Duration::from_micros(2_000 + mix(&[seed, which, 1]) % 58_000)
}

/// So many processes die one after the other, each of which takes over from the ones before; then one ends well.
pub(crate) fn chain(seed: u64, keeps: Keeps, weather: Weather, ways: &[Way]) -> Tally {
    chain_in(Scene::new(seed, keeps, weather.store(seed)), ways, |which| delay(seed, which))
}

pub(crate) fn chain_in(mut scene: Scene, ways: &[Way], delay: impl Fn(u64) -> Duration) -> Tally {
    for (which, way) in (0..).zip(ways) {
        scene.dies(way, delay(which));
    }
    judge(scene)
}

/// A process that executes itself: what is kept of it is left to its own next life, whose process has the same number.
pub(crate) fn next_life(seed: u64, keeps: Keeps) -> Tally {
    let mut scene = Scene::new(seed, keeps, Weather::Slow.store(seed));
    let mut first = scene.victim("logs", &Way::ExecAgain, delay(seed, 0));
    let next = scene.victim("logs", &Way::UnderscoreExit, delay(seed, 1)).command();
    for (name, value) in next.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        first = first.env(&format!("{NEXT}{}", name.to_string_lossy()), value);
    }
    Process::start(first).ended_by(&Way::UnderscoreExit);
    judge(scene)
}

/// The last process, and what must hold after it.
pub(crate) fn judge(mut scene: Scene) -> Tally {
    scene.store.come_back();
    let last = scene.ends_well();
    scene.assert_nothing_left();
    let audit = Audit::of(&scene);
    audit.check_ledger(&last);
    match scene.keeps {
        Keeps::Ring | Keeps::RingAndSpool | Keeps::RingAndAlways => {
            audit.assert_nothing_lost();
            assert_eq!(scene.told_lost, 0, "nothing is told to be lost");
        }
        Keeps::Spool => {
            // What was in the queue, and in the batch that was open.
            audit.assert_lost_are_the_newest();
            let (lost, bound) = (audit.lost_bytes(), (QUEUE + BATCH) * (scene.runs() - 1));
            assert!(lost <= bound, "{lost} bytes are lost, more than {bound}");
        }
        Keeps::Memory => {
            let (lost, bound) = (audit.lost_bytes(), (QUEUE + BACKLOG + BATCH * IN_FLIGHT) * (scene.runs() - 1));
            assert!(lost <= bound, "{lost} bytes are lost, more than {bound}");
            let (told, lost) = (scene.told_lost, audit.lost().len() as u64);
            assert!(told <= lost, "at least {told} were told to be lost, but it is {lost}:\n{}", last.said);
        }
    }
    audit.tally()
}

/// Killed two seconds after its last record, with the store away: by then all is on disk that ever will be.
pub(crate) fn quiet(seed: u64, keeps: Keeps) -> Tally {
    let mut scene = Scene::new(seed, keeps, Store::refusing());
    let mut process = Process::start(scene.victim("asked", &Way::Kill, Duration::ZERO));
    process.began();
    thread::sleep(Duration::from_secs(2));
    process.killed();
    scene.store.come_back();
    let last = scene.ends_well();
    scene.assert_nothing_left();
    let audit = Audit::of(&scene);
    audit.check_ledger(&last);
    match keeps {
        Keeps::Memory => {
            let (told, lost) = (scene.told_lost, audit.lost().len() as u64);
            assert!(0 < told && told <= lost, "{lost} are lost, and this was told:\n{}", last.said);
        }
        _ => audit.assert_nothing_lost(),
    }
    audit.tally()
}

//! What a seed stands for: stores, disk, processes and their ends.

use std::path::PathBuf;
use std::time::Duration;

use super::fs::Faults;
use super::process::Config;
use super::store::Manner;
use crate::config::{BacklogOverflow, SpoolSettings, SpoolUse};

const SECOND: u64 = 1_000_000_000;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// In the middle of that call to the disk, or between two rounds if it makes fewer.
    Dies(u64),
    /// In order, within five seconds.
    InOrder,
    /// With all others, as the power goes.
    PowerLoss,
    /// The same after a while in which nothing happened.
    PowerLossInCalm,
}

#[derive(Debug)]
pub(super) struct Generation {
    pub(super) config: Config,
    pub(super) ending: Ending,
    /// How long it runs, and how long a step is on average.
    pub(super) steps: usize,
    pub(super) step: u64,
    /// The next one begins before this one ends.
    pub(super) overlaps: bool,
    /// Records of each step at most.
    pub(super) records: usize,
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) generations: Vec<Generation>,
    pub(super) stores: Vec<Manner>,
    pub(super) room: u64,
    /// While they last.
    pub(super) faults: Faults,
    /// Thousandths of steps with which the disk fills up, or can only be read.
    pub(super) spells: u32,
    pub(super) jumps: bool,
    /// The stores do no worse than not to be there, and no record is refused.
    pub(super) is_plain: bool,
}

fn millis(random: &mut fastrand::Rng, from: u64, to: u64) -> u64 {
    // As often between 1 and 10 as between 10 and 100.
    let at = (from as f64).ln() + ((to as f64).ln() - (from as f64).ln()) * random.f64();
    (at.exp() * 1e6) as u64
}

impl Plan {
    /// Whether there may be no room on the disk for all that the lanes may write.
    pub(super) fn is_tight(&self) -> bool {
        self.room < 64 << 20 || self.spells > 0
    }

    /// Whether all lanes write to disk before the end.
    pub(super) fn always_spools(&self) -> bool {
        let spools = |spool: &SpoolSettings| spool.when != SpoolUse::Exit;
        self.generations.iter().all(|generation| generation.config.spool.as_ref().is_some_and(spools))
    }

    pub(super) fn of(random: &mut fastrand::Rng) -> Self {
        let is_plain = random.bool();
        let lanes = random.usize(1..=3);
        let bad_disk = random.u8(..3) == 0;
        let faults = Faults {
            fails: if bad_disk { [0, 2, 20][random.usize(..3)] } else { 0 },
            is_short: if random.bool() { 50 } else { 0 },
            sync_fails: if bad_disk { [0, 50, 300][random.usize(..3)] } else { 0 },
            ..Faults::default()
        };
        let spells = if random.u8(..3) == 0 { 10 } else { 0 };
        let shared = Config {
            to: Vec::new(),
            spool: None,
            backlog_bytes: (64 * 1024) << random.u32(..5),
            overflow: if random.u8(..3) > 0 { BacklogOverflow::DropOldest } else { BacklogOverflow::DropNewest },
            in_flight: if random.bool() { 1 } else { 4 },
            retry_for: Duration::from_secs(if random.u8(..4) == 0 { 120 } else { 24 * 3600 }),
            oldest: (random.u8(..4) == 0).then(|| Duration::from_secs(3 * 3600)),
            replays_after: (random.u8(..4) == 0).then(|| Duration::from_secs(3600)),
            reorder_within: (random.u8(..4) == 0).then(|| Duration::from_secs(60)),
            waits: random.u8(..4) == 0,
            record_bytes: [60, 300, 1500][random.usize(..3)],
            poison: if is_plain { 0 } else { [0, 2, 20][random.usize(..3)] },
        };
        let count = random.usize(1..=4);
        let generations = (0..count).map(|_| generation(random, &shared, lanes)).collect();
        let stores = (0..lanes).map(|_| manner(random, is_plain)).collect();
        let room = if random.u8(..4) == 0 { 3 << 20 } else { 64 << 20 };
        Self { generations, stores, room, faults, spells, jumps: random.u8(..3) == 0, is_plain }
    }
}

fn generation(random: &mut fastrand::Rng, shared: &Config, lanes: usize) -> Generation {
    let mut to: Vec<usize> = (0..lanes).filter(|_| random.u8(..5) > 0).collect();
    if to.is_empty() {
        to.push(random.usize(..lanes));
    }
    let spool = SpoolSettings {
        dir: PathBuf::from("/spool"),
        bytes: [256 * 1024, 1 << 20, 4 << 20][random.usize(..3)],
        when: [SpoolUse::Overflow, SpoolUse::Exit, SpoolUse::Always][random.usize(..3)],
        fsync: random.bool().then(|| Duration::from_millis([0, 1_000, 10_000][random.usize(..3)])),
    };
    let ending = match random.u8(..8) {
        0..4 => Ending::Dies(if random.u8(..4) == 0 { u64::MAX } else { millis(random, 1, 2_000) / 1_000_000 }),
        4..6 => Ending::InOrder,
        6 => Ending::PowerLoss,
        _ => Ending::PowerLossInCalm,
    };
    Generation {
        config: Config { to, spool: Some(spool), ..shared.clone() },
        ending,
        steps: random.usize(10..150),
        step: millis(random, 5, 60_000),
        overlaps: random.u8(..4) == 0,
        records: [2, 10, 40][random.usize(..3)],
    }
}

fn manner(random: &mut fastrand::Rng, is_plain: bool) -> Manner {
    let mut away = Vec::new();
    let mut at = 0;
    for _ in 0..random.usize(..4) {
        at += millis(random, 1, 600_000);
        let end = at + millis(random, 500, 3 * 3_600_000);
        away.push((at, end));
        at = end;
    }
    if random.u8(..8) == 0 {
        away.push((0, 1_000_000 * SECOND));
    }
    Manner {
        away,
        fails: if is_plain { 0 } else { [0, 50, 400][random.usize(..3)] },
        names_items: random.bool(),
        slow: random.bool(),
        is_plain,
    }
}

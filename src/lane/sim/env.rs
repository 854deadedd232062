//! The world around the processes: clocks, the disk, the stores, and what was seen of all.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::fs::SimFs;
use super::store::{Answer, Item};
use super::truth::{Dest, Truth, place};
use crate::clock;
use crate::spool::{Directory, Found, LaneId};

/// A request under way.
pub(super) struct Pending {
    pub(super) lane: usize,
    pub(super) job: u64,
    pub(super) due: u64,
    pub(super) items: Vec<Item>,
    pub(super) answer: Answer,
}

pub(super) struct Env {
    pub(super) fs: SimFs,
    pub(super) dests: Vec<Dest>,
    pub(super) truth: Truth,
    pub(super) random: fastrand::Rng,
    /// Nanoseconds since the beginning.
    pub(super) now: u64,
    base: Instant,
    /// How far the system's clock was set ahead.
    pub(super) jump: i64,
    pub(super) is_traced: bool,
    pub(super) power_lost: bool,
    pub(super) died: bool,
    /// A file could not be read at all: nobody knows how many records were in it, and only its name is told.
    pub(super) is_bad: bool,
}

/// When it all begins, in seconds since 1970.
const BEGIN: u64 = 1_800_000_000;

/// Which records of each process a destination is owed.
pub(super) type Owed = Vec<Vec<bool>>;

impl Env {
    pub(super) fn new(seed: u64, fs: SimFs, is_traced: bool) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            fs,
            dests: Vec::new(),
            truth: Truth { is_traced, ..Truth::default() },
            random,
            now: 1_000_000_000,
            base: Instant::now(),
            jump: 0,
            is_traced,
            power_lost: false,
            died: false,
            is_bad: false,
        }
    }

    pub(super) fn at(&self) -> Instant {
        self.instant(self.now)
    }

    pub(super) fn instant(&self, nanos: u64) -> Instant {
        self.base + Duration::from_nanos(nanos)
    }

    pub(super) fn nanos(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.base).as_nanos() as u64
    }

    /// By the system's clock.
    pub(super) fn date(&self) -> i64 {
        (BEGIN * 1_000_000_000 + self.now) as i64 + self.jump
    }

    /// Time passes until then.
    pub(super) fn pass(&mut self, until: u64) {
        self.now = self.now.max(until);
        let date: SystemTime = UNIX_EPOCH + Duration::from_nanos(self.date() as u64);
        clock::simulated::set(Some((self.at(), date)));
    }

    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{:>12.3} {}", self.now as f64 / 1e9, what());
        }
    }

    /// What another process would find on that disk if all others were dead.
    pub(super) fn on_disk(&mut self, fs: &SimFs) -> Vec<Owed> {
        let copy = fs.copy();
        let seen = copy.of(usize::MAX, u64::MAX);
        let mut owed = vec![Owed::new(); self.dests.len()];
        let mut directory = Directory::open(Path::new("/spool"), &seen, u128::MAX).expect("this disk works");
        let known: Vec<_> = self.dests.iter().map(|dest| LaneId::of("sim", &dest.url, None).fingerprint).collect();
        for _ in 0..1_000 {
            let mut found_any = false;
            for found in directory.look(&known, self.at()) {
                let Found::Orphan { fingerprint, mut source } = found else { continue };
                found_any = true;
                let dest = known.iter().position(|known| *known == fingerprint).expect("it is asked for by that");
                while let Some(taken) = source.next(self.at()) {
                    let stored = &taken.stored;
                    for at in 0..stored.len() {
                        let id = crate::frame::RecordId {
                            incarnation: stored.origin().incarnation,
                            sequence: stored.sequence(at),
                        };
                        let is_known = self.truth.get(id).is_some();
                        self.truth.check(is_known, || format!("{id:?} is on disk, and nobody said it"));
                        if is_known {
                            mark(&mut owed[dest], place(id));
                        }
                    }
                    source.settle(taken.place);
                }
                let is_done = source.is_done();
                self.truth.check(is_done, || "what is on a disk that works cannot be read to its end".into());
            }
            if !found_any && directory.seen_all() {
                return owed;
            }
        }
        self.truth.wrong.push("the search for orphans never ends".into());
        owed
    }
}

fn mark(owed: &mut Owed, (process, sequence): (usize, usize)) {
    if owed.len() <= process {
        owed.resize(process + 1, Vec::new());
    }
    if owed[process].len() <= sequence {
        owed[process].resize(sequence + 1, false);
    }
    owed[process][sequence] = true;
}

pub(super) fn is_in(owed: &Owed, process: usize, sequence: usize) -> bool {
    owed.get(process).is_some_and(|row| row.get(sequence).copied().unwrap_or(false))
}

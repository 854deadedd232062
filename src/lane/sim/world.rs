//! Plays a plan: processes begin, run, overlap and end, and what is left is compared at each end.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::env::{Env, Owed, is_in};
use super::fs::{Faults, SimFs};
use super::plan::{Ending, Generation, Plan};
use super::process::{Config, Process};
use super::store::Desk;
use super::truth::{Dest, End};
use crate::config::{BacklogOverflow, SpoolUse};
use crate::lane::Lane;
use crate::ledger::Reason;

const SECOND: u64 = 1_000_000_000;

/// A process that has as many rounds as this and still owes something will owe it for ever.
const ROUNDS: usize = 20_000;

pub(super) struct World {
    pub(super) env: Env,
    pub(super) plan: Plan,
    pub(super) alive: Vec<Process>,
    /// Until then the disk is full, or cannot be written.
    pub(super) spell: Option<(u64, bool)>,
    pub(super) ends: u32,
    pub(super) in_flight_one: bool,
    /// All lanes write to disk before the end.
    pub(super) all_spool: bool,
}

impl World {
    pub(super) fn new(seed: u64, is_traced: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5EED);
        let plan = Plan::of(&mut random);
        let mut env = Env::new(seed, SimFs::new(seed, plan.room), is_traced);
        env.say(|| format!("{plan:#?}"));
        for (index, manner) in plan.stores.iter().enumerate() {
            env.dests.push(Dest {
                index,
                url: format!("http://store{index}/"),
                desk: Desk::default(),
                manner: manner.clone(),
                has: Vec::new(),
                lost: Vec::new(),
                order: Vec::new(),
                counted: 0,
                told_lost: 0,
                reasons: Vec::new(),
            });
        }
        let in_flight_one = plan.generations.iter().all(|generation| generation.config.in_flight == 1);
        let all_spool = plan.always_spools();
        Self { env, plan, alive: Vec::new(), spell: None, ends: 0, in_flight_one, all_spool }
    }

    pub(super) fn play(mut self) -> Vec<String> {
        self.env.pass(0);
        for generation in std::mem::take(&mut self.plan.generations) {
            if !self.env.truth.wrong.is_empty() {
                break;
            }
            self.generation(&generation);
        }
        if self.env.truth.wrong.is_empty() {
            self.last();
        }
        for process in std::mem::take(&mut self.alive) {
            self.env.fs.bury(process.number);
        }
        self.env.truth.wrong
    }

    fn generation(&mut self, generation: &Generation) {
        let dies_after = if let Ending::Dies(after) = generation.ending { after } else { u64::MAX };
        let number = self.start(generation.config.clone(), dies_after);
        for _ in 0..generation.steps {
            if !self.is_alive(number) || !self.env.truth.wrong.is_empty() {
                break;
            }
            self.spells();
            let records = self.env.random.usize(..=generation.records);
            let pause = self.env.random.u64(..generation.step * 2);
            self.step(records, pause);
        }
        if generation.overlaps && self.alive.len() < 2 {
            return;
        }
        // Those that overlapped end before or after.
        while let Some(process) = self.alive.first() {
            let number = process.number;
            match generation.ending {
                Ending::Dies(_) => self.death(number),
                Ending::InOrder => self.in_order(number),
                Ending::PowerLoss => self.power_loss(None),
                Ending::PowerLossInCalm => {
                    self.quiet();
                    let fs = self.env.fs.clone();
                    let on_disk = self.env.on_disk(&fs);
                    let end = self.env.now + 22 * SECOND;
                    while self.env.now < end {
                        self.step(0, SECOND / 2);
                    }
                    self.power_loss(Some(on_disk));
                }
            }
        }
    }

    fn is_alive(&self, number: usize) -> bool {
        self.alive.iter().any(|process| process.number == number)
    }

    fn start(&mut self, config: Config, dies_after: u64) -> usize {
        let number = self.env.truth.begin();
        self.env.say(|| format!("p{number} starts: {config:?}"));
        let env = &mut self.env;
        match catch_unwind(AssertUnwindSafe(|| Process::start(env, number, config, dies_after))) {
            Ok(process) => self.alive.push(process),
            Err(panic) if !self.env.fs.is_dead(number) => resume_unwind(panic),
            Err(_) => {
                self.env.fs.bury(number);
                self.env.died = true;
                self.env.truth.ended[number] = Some(End::Rough);
            }
        }
        number
    }

    /// Does something with a process, which may die over it.
    fn with(&mut self, number: usize, act: impl FnOnce(&mut Process, &mut Env)) {
        let Some(process) = self.alive.iter_mut().find(|process| process.number == number) else { return };
        let env = &mut self.env;
        let done = catch_unwind(AssertUnwindSafe(|| act(process, env)));
        if self.env.fs.is_dead(number) {
            self.death(number);
        } else if let Err(panic) = done {
            resume_unwind(panic);
        }
    }

    /// A round of each that is alive, and a pause.
    fn step(&mut self, records: usize, pause: u64) {
        let mut due = self.env.now + pause;
        for number in self.alive.iter().map(|process| process.number).collect::<Vec<_>>() {
            self.with(number, |process, env| process.end_requests(env));
            self.with(number, |process, env| due = due.min(process.round(env, records)));
        }
        // What is due now had its chance in this round.
        self.env.pass(due.max(self.env.now + 1_000_000));
    }

    fn spells(&mut self) {
        let random = &mut self.env.random;
        if self.spell.is_some_and(|(until, _)| self.env.now >= until) {
            self.spell = None;
        } else if self.spell.is_none() && random.u32(..1_000) < self.plan.spells {
            self.spell = Some((self.env.now + random.u64(..60 * SECOND), random.bool()));
        }
        if self.plan.jumps && random.u8(..40) == 0 {
            self.env.jump = random.i64(-3_600..3_600) * SECOND as i64;
        }
        let (is_full, is_read_only) = self.spell.map_or((false, false), |(_, full)| (full, !full));
        self.env.fs.set(Faults { is_full, is_read_only, ..self.plan.faults }, self.env.date());
    }

    /// Nothing fails on the disk from now on.
    fn quiet(&mut self) {
        self.spell = None;
        self.env.fs.set(Faults::default(), self.env.date());
    }

    /// It is dead: what it had in memory is lost, and what is on disk is not.
    fn death(&mut self, number: usize) {
        self.env.fs.bury(number);
        let files = self.env.fs.files();
        self.env.say(|| format!("p{number} dies; {files:?}"));
        self.env.died = true;
        let fs = self.env.fs.clone();
        let on_disk = self.env.on_disk(&fs);
        let at = self.alive.iter().position(|process| process.number == number).expect("it was alive");
        let process = self.alive.remove(at);
        self.lose_memory(&process, &on_disk);
        let may_drop = process.config.overflow == BacklogOverflow::DropOldest && self.env.fs.died_settling();
        let segment = process.config.spool.as_ref().map_or(0, |spool| spool.bytes / 4);
        self.ended(process, End::Rough);
        self.compare(&on_disk, if may_drop { segment } else { 0 });
    }

    fn lose_memory(&mut self, process: &Process, on_disk: &[Owed]) {
        let said = self.env.truth.said[process.number].len() as u64;
        for (lane, &to) in process.config.to.iter().enumerate() {
            let dest = &mut self.env.dests[to];
            let fresh = (process.fresh, said.saturating_sub(1));
            let fresh = (process.fresh < said).then_some(fresh);
            for (first, last) in process.memory[lane].iter().copied().chain(fresh) {
                for sequence in first..=last {
                    let sequence = sequence as usize;
                    if dest.times(process.number, sequence) == 0 && !is_in(&on_disk[to], process.number, sequence) {
                        dest.lose(process.number, sequence);
                    }
                }
            }
        }
    }

    fn ended(&mut self, mut process: Process, end: End) {
        process.lanes.iter_mut().for_each(Lane::hear_of_disk);
        let counts: Vec<_> = process.lanes.iter().map(|lane| lane.counts.clone()).collect();
        self.env.say(|| format!("p{} ended: {counts:?}", process.number));
        self.ends += 1;
        self.env.truth.ended[process.number] = Some(end);
        for request in process.pending.drain(..) {
            let dest = &mut self.env.dests[process.config.to[request.lane]];
            request.items.iter().for_each(|item| dest.nobody_hears(item));
        }
        for (lane, &to) in process.lanes.iter().zip(&process.config.to) {
            let dest = &mut self.env.dests[to];
            // What the lane knows, told or not.
            dest.counted += lane.counts.rejected + lane.counts.dropped.total();
            dest.reasons.extend(Reason::ALL.map(|reason| (reason, lane.counts.dropped.of(reason))));
        }
        if end == End::Clean || !self.env.fs.is_dead(process.number) {
            process.leave();
        }
    }

    fn in_order(&mut self, number: usize) {
        self.env.say(|| format!("p{number} is asked to end"));
        self.with(number, |process, env| process.begin_to_end(env));
        while self.alive.iter_mut().any(|process| process.number == number && !process.is_over(&self.env)) {
            self.step(0, 50_000_000);
        }
        self.with(number, |process, env| process.close(env));
        let Some(at) = self.alive.iter().position(|process| process.number == number) else { return };
        let process = self.alive.remove(at);
        let is_clean =
            self.env.fs.failed() == process.failed_before && self.plan.is_plain && process.config.in_flight == 1;
        let (fsync, failed) =
            (process.config.spool.as_ref().is_some_and(|spool| spool.fsync.is_some()), process.failed_before);
        self.ended(process, if is_clean { End::Clean } else { End::Rough });
        self.env.fs.bury(number);
        let fs = self.env.fs.clone();
        let on_disk = self.env.on_disk(&fs);
        self.compare(&on_disk, 0);
        if fsync && failed == self.env.fs.failed() && self.alive.is_empty() {
            let worst = self.env.fs.copy();
            worst.lose_power(true);
            let safe = self.env.on_disk(&worst);
            self.compare_safe(&on_disk, &safe, number, "after the end");
        }
    }

    /// What one process owes on disk is safe from a loss of power.
    fn compare_safe(&mut self, on_disk: &[Owed], safe: &[Owed], process: usize, when: &str) {
        for (to, owed) in on_disk.iter().enumerate() {
            let row = owed.get(process).map_or(&[][..], |row| row);
            let missing = (0..row.len()).filter(|&at| row[at] && !is_in(&safe[to], process, at)).count();
            self.env.truth.check(missing == 0, || format!("{missing} records of p{process} are not safe {when}"));
        }
    }

    /// What was on disk a while ago, if that is known, is safe where that was asked for.
    fn power_loss(&mut self, long_ago: Option<Vec<Owed>>) {
        self.env.say(|| "the power goes".into());
        let fs = self.env.fs.clone();
        let before = self.env.on_disk(&fs);
        let worst = self.env.fs.copy();
        worst.lose_power(true);
        let safe = self.env.on_disk(&worst);
        self.env.fs.lose_power(false);
        let after = self.env.on_disk(&fs);
        let files = self.env.fs.files();
        self.env.say(|| format!("left: {files:?}"));
        self.env.power_lost = true;
        // Who had ended in order may owe again what had been settled on disk alone.
        self.env.truth.ended.iter_mut().flatten().for_each(|end| *end = End::Rough);
        for process in std::mem::take(&mut self.alive) {
            let spool = process.config.spool.as_ref();
            let is_synced =
                spool.is_some_and(|spool| spool.fsync.is_some()) && self.env.fs.failed() == process.failed_before;
            if let Some(long_ago) = long_ago.as_ref().filter(|_| is_synced) {
                let both = |(old, new): (&Owed, &Owed)| -> Owed {
                    let row = |process: usize, row: &Vec<bool>| {
                        (0..row.len()).map(|at| row[at] && is_in(new, process, at)).collect()
                    };
                    old.iter().enumerate().map(|(process, old)| row(process, old)).collect()
                };
                let still: Vec<_> = long_ago.iter().zip(&before).map(both).collect();
                self.compare_safe(&still, &safe, process.number, "after a while");
            }
            self.env.fs.bury(process.number);
            self.lose_memory(&process, &after);
            self.ended(process, End::Rough);
        }
        for to in 0..self.env.dests.len() {
            for process in 0..self.env.truth.said.len() {
                for sequence in 0..self.env.truth.said[process].len() {
                    let was = is_in(&before[to], process, sequence) && !is_in(&safe[to], process, sequence);
                    let dest = &mut self.env.dests[to];
                    if was && dest.times(process, sequence) == 0 && !is_in(&after[to], process, sequence) {
                        dest.lose(process, sequence);
                    }
                }
            }
        }
        self.compare(&after, 0);
    }

    /// Stores and disk work from now on, and somebody runs until nothing is owed.
    fn last(&mut self) {
        self.quiet();
        for number in self.alive.iter().map(|process| process.number).collect::<Vec<_>>() {
            self.in_order(number);
        }
        let mut to = Vec::new();
        for dest in &mut self.env.dests {
            (dest.manner.away, dest.manner.fails) = (Vec::new(), 0);
            to.push(dest.index);
        }
        let random = &mut self.env.random.fork();
        let mut config = Plan::of(random).generations.remove(0).config;
        config.to = to;
        config.in_flight = if self.in_flight_one || self.env.random.bool() { 1 } else { 4 };
        config.oldest = None;
        config.poison = 0;
        if let Some(spool) = &mut config.spool {
            spool.when = SpoolUse::Overflow;
        }
        let number = self.start(config, u64::MAX);
        let mut rounds = 0;
        let has_files = |env: &Env| env.fs.files().iter().any(|(name, _)| name.ends_with(".seg"));
        while rounds < 5 || has_files(&self.env) || !self.alive.iter().all(Process::owes_nothing) {
            self.step(0, 10 * SECOND);
            rounds += 1;
            if rounds > ROUNDS || !self.env.truth.wrong.is_empty() {
                let (files, books) = (self.env.fs.files(), self.alive.first().map(|process| process.books.clone()));
                self.env.truth.check(rounds <= ROUNDS, || format!("it never ends: {books:?}, {files:?}"));
                return;
            }
        }
        self.in_order(number);
        let left: Vec<_> = self.env.fs.files().into_iter().filter(|(name, _)| !name.ends_with(".bad")).collect();
        let is_excused = self.env.fs.failed() != (0, 0) || self.env.power_lost || self.env.died;
        self.env.truth.check(left.is_empty() || is_excused, || format!("left at the end: {left:?}"));
        self.judge();
    }
}

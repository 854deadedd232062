//! A sealed batch on its way to the store: which parts of it are owed, and what is known of it.

use std::time::Instant;

use super::disk::SourceId;
use super::part::{Part, Step};
use crate::batch::{Batch, Mode, Stored};
use crate::frame::Severity;
use crate::spool::{Place, Taken};

/// A batch until each of its records is settled.
pub(super) struct Job {
    /// Which one it is, as long as it is in memory.
    pub(super) id: u64,
    /// Its place in the order of the lane that sealed it; parts of one batch that come back from disk share it.
    pub(super) number: u64,
    /// Where it was read from.
    from: Option<SourceId>,
    /// Where it stands on disk as well, in parts where it was written so.
    copies: Vec<(SourceId, Place)>,
    /// How many records stand there.
    copied: u64,
    /// It stands there behind newer ones, so it would come back too late.
    pub(super) is_misplaced: bool,
    stored: Stored,
    sealed: Instant,
    /// Whether it was ever sent.
    pub(super) tried: bool,
    /// Whether the store may have some of it, whatever it said.
    pub(super) may_be_there: bool,
    /// What is still owed, next last.
    steps: Vec<Step>,
    /// Requests that were refused, and whether the store took any record of it.
    refusals: usize,
    taken: bool,
    /// How often code of the backend panicked over it.
    pub(super) deaths: u32,
    /// How often the store could not take its next request, and how many requests it had taken when that began.
    failures: u32,
    taken_before: u64,
    /// Whether it takes others meanwhile.
    is_at_fault: bool,
    /// How often a request of it was not answered in time.
    timeouts: u32,
}

/// So often a request fails before its batch is suspected.
const SUSPECT: u32 = 3;

/// So often a request of a batch is late before smaller ones are tried: once may be the network's fault.
const TOO_LARGE: u32 = 2;

impl Job {
    pub(super) fn new(number: u64, stored: Stored, sealed: Instant) -> Self {
        let whole = Part::Range(0, stored.len());
        let steps = vec![Step::new(whole, Mode::Plain)];
        Self {
            id: number,
            number,
            from: None,
            copies: Vec::new(),
            copied: 0,
            is_misplaced: false,
            stored,
            sealed,
            tried: false,
            may_be_there: false,
            steps,
            refusals: 0,
            taken: false,
            deaths: 0,
            failures: 0,
            taken_before: 0,
            is_at_fault: false,
            timeouts: 0,
        }
    }

    /// A batch that was read back.
    pub(super) fn read(id: u64, from: SourceId, mut taken: Taken, sealed: Instant) -> Self {
        taken.stored.shrink();
        let mut job = Self::new(taken.number, taken.stored, sealed);
        job.is_written(vec![(from, taken.place)]);
        job.steps.iter_mut().for_each(|step| step.mode = taken.mode);
        Self { id, from: Some(from), tried: taken.tried, may_be_there: taken.tried, ..job }
    }

    /// Whether it was read back from disk.
    pub(super) fn is_read(&self) -> bool {
        self.from.is_some()
    }

    /// Whether an earlier process owed it.
    pub(super) fn is_adopted(&self) -> bool {
        self.from.is_some_and(SourceId::is_adopted)
    }

    /// Where it stands on disk.
    pub(super) fn copies(&self) -> &[(SourceId, Place)] {
        &self.copies
    }

    /// What is owed of it stands there as well from now on.
    pub(super) fn is_written(&mut self, copies: Vec<(SourceId, Place)>) {
        self.copied = self.owed();
        self.copies = copies;
    }

    /// How many records stand on disk that are not owed any more.
    pub(super) fn copied_in_vain(&self) -> u64 {
        self.copied.saturating_sub(self.owed())
    }

    /// Whether it may be on disk alone: nothing is known of it that would be lost with that, such as what failed, and it
    /// comes back in its turn.
    pub(super) fn can_leave(&self) -> bool {
        let is_as_copied = self.copies.is_empty() || self.steps.len() == self.copies.len();
        let is_known = self.failures + self.timeouts + self.deaths > 0;
        !is_known && !self.is_misplaced && is_as_copied && self.copied_in_vain() == 0
    }

    /// Whether it may be on disk alone where it would be lost otherwise: it may be sent in other parts again, or come back late.
    pub(super) fn must_not_stay(&self) -> bool {
        self.copies.is_empty() || self.copied_in_vain() == 0
    }

    /// Records for whose numbers that holds are owed no more by this process: how many there were, and the least number.
    pub(super) fn leave(&mut self, may_stay: impl Fn(u64) -> bool) -> (u64, Option<u64>) {
        let (mut count, mut first) = (0, None);
        for step in std::mem::take(&mut self.steps) {
            let all = (0..step.part.len()).map(|at| step.part.place(at));
            let (stay, go): (Vec<_>, Vec<_>) = all.partition(|&place| may_stay(self.stored.sequence(place)));
            count += stay.len() as u64;
            first = stay.iter().map(|&place| self.stored.sequence(place)).chain(first).min();
            if !go.is_empty() {
                self.steps.push(Step::new(Part::List(go), step.mode));
            }
        }
        (count, first)
    }

    /// What is owed of it, in the order in which it would be sent.
    pub(super) fn parts(&self) -> impl Iterator<Item = Batch<'_>> {
        self.steps.iter().rev().map(|step| self.batch(step))
    }

    fn batch<'a>(&'a self, step: &'a Step) -> Batch<'a> {
        Batch::new(&self.stored, step.part.places()).in_mode(step.mode)
    }

    /// All that is owed goes to the place for records that are too old for the store to take them where live ones go.
    pub(super) fn replay(&mut self) {
        self.steps.iter_mut().filter(|step| step.mode == Mode::Plain).for_each(|step| step.mode = Mode::Replay);
    }

    pub(super) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// When it became complete.
    pub(super) fn sealed(&self) -> Instant {
        self.sealed
    }

    pub(super) fn stored_mut(&mut self) -> &mut Stored {
        &mut self.stored
    }

    /// Records that are still owed.
    pub(super) fn owed(&self) -> u64 {
        self.steps.iter().map(|step| step.part.len() as u64).sum()
    }

    /// Of those, the ones for whose numbers that holds.
    pub(super) fn owed_where(&self, which: impl Fn(u64) -> bool) -> u64 {
        let of =
            |step: &Step| (0..step.part.len()).filter(|&at| which(self.stored.sequence(step.part.place(at)))).count();
        self.steps.iter().map(|step| of(step) as u64).sum()
    }

    /// Severities of the records that are still owed.
    pub(super) fn owed_severities(&self) -> impl Iterator<Item = Severity> {
        self.steps.iter().flat_map(|step| self.severities(step))
    }

    /// Severities of the next request's records.
    pub(super) fn next_severities(&self) -> impl Iterator<Item = Severity> {
        self.steps.last().into_iter().flat_map(|step| self.severities(step))
    }

    fn severities<'a>(&'a self, step: &'a Step) -> impl Iterator<Item = Severity> + 'a {
        (0..step.part.len()).map(|at| self.stored.severity(step.part.place(at)))
    }

    pub(super) fn is_settled(&self) -> bool {
        self.steps.is_empty()
    }

    /// What the next request carries.
    ///
    /// # Panics
    ///
    /// If the job is settled.
    pub(super) fn next(&self) -> Batch<'_> {
        self.batch(self.steps.last().expect("a settled job is never sent"))
    }

    /// How the next request is encoded.
    pub(super) fn next_mode(&self) -> Mode {
        self.steps.last().map_or(Mode::Plain, |step| step.mode)
    }

    /// Records of the next request.
    pub(super) fn next_len(&self) -> usize {
        self.steps.last().map_or(0, |step| step.part.len())
    }

    /// The store has settled the next request as a whole; `fine` if it refused nothing of it.
    pub(super) fn settle_next(&mut self, fine: bool) {
        let Some(done) = self.steps.pop() else { return };
        self.taken |= fine;
        if fine
            && done.is_first_half
            && let Some(other) = self.steps.last_mut()
        {
            other.known_bad = true;
        }
        self.halve_known();
    }

    /// Of the next request the store took the records before `at` and refused that one; those behind it are still owed.
    pub(super) fn stopped_at(&mut self, at: usize) {
        let Some(step) = self.steps.pop() else { return };
        self.refusals += 1;
        self.taken |= at > 0;
        let rest = step.part.behind(at);
        // The fault of a refused part is found, so nothing follows for its other half.
        if rest.len() > 0 {
            self.steps.push(Step::new(rest, step.mode));
        }
        self.halve_known();
    }

    /// Only these records of the next request, by their place in it, are still owed.
    pub(super) fn keep_of_next(&mut self, keep: &[usize]) {
        self.change_of_next(keep, &[], Mode::Plain);
    }

    /// The same, and those of `changed` as well; these go first, in that mode.
    pub(super) fn change_of_next(&mut self, keep: &[usize], changed: &[usize], changed_mode: Mode) {
        let Some(step) = self.steps.pop() else { return };
        let places = |at: &[usize]| -> Vec<usize> {
            let is_there = |at: &&usize| **at < step.part.len();
            at.iter().filter(is_there).map(|&at| step.part.place(at)).collect()
        };
        let (kept, changed) = (places(keep), places(changed));
        self.taken |= kept.len() + changed.len() < step.part.len();
        for (places, mode) in [(kept, step.mode), (changed, changed_mode)] {
            if !places.is_empty() {
                self.steps.push(Step::new(Part::List(places), mode));
            }
        }
    }

    /// All of the next request goes again in that mode.
    pub(super) fn next_in(&mut self, mode: Mode) {
        if let Some(step) = self.steps.last_mut() {
            step.mode = mode;
        }
    }

    /// Takes the records of the next request that are older than `nanos` out of it; returns their severities.
    pub(super) fn drop_older(&mut self, nanos: i64) -> Vec<Severity> {
        let Some(step) = self.steps.last() else { return Vec::new() };
        let is_old = |at: &usize| self.stored.nanos(step.part.place(*at)) < nanos;
        let (old, keep): (Vec<usize>, Vec<usize>) = (0..step.part.len()).partition(is_old);
        if old.is_empty() {
            return Vec::new();
        }
        let severities = old.iter().map(|&at| self.stored.severity(step.part.place(at))).collect();
        let was_taken = self.taken;
        self.keep_of_next(&keep);
        self.taken = was_taken;
        severities
    }

    /// Halves the next request; `one_is_bad` if it was refused for something in it, not for its size.
    pub(super) fn halve_next(&mut self, one_is_bad: bool) {
        self.refusals += 1;
        self.split_next(one_is_bad);
    }

    fn split_next(&mut self, one_is_bad: bool) {
        let Some(step) = self.steps.pop() else { return };
        let (first, second) = step.part.halves();
        self.steps.push(Step::new(second, step.mode));
        self.steps.push(Step { is_first_half: one_is_bad, ..Step::new(first, step.mode) });
    }

    /// The store said that it could not take the next request, having taken `taken` others so far.
    ///
    /// A store that answers so to one batch again and again, and takes others meanwhile, stumbles over something in it:
    /// then it is sent in halves, which leaves the others of the batch behind less and less.
    /// Says whether that is so.
    pub(super) fn failed(&mut self, taken: u64) -> bool {
        if self.failures == 0 {
            self.taken_before = taken;
        }
        self.failures += 1;
        if self.failures < SUSPECT || taken == self.taken_before {
            return false;
        }
        self.taken_before = taken;
        self.is_at_fault = true;
        if self.next_len() > 1 {
            self.split_next(false);
        }
        // The other parts first: they may be fine. Two halves of a refused part stay together.
        if self.steps.last().is_some_and(|step| !step.is_first_half) {
            self.steps.rotate_right(1);
        }
        true
    }

    /// The next request was not answered in time, with a connection standing.
    ///
    /// The store may be too slow for a request of that size, and has perhaps stored it each time: the first half goes
    /// next, and is halved in its turn. So a store that is dead leaves a batch in a few parts, not in each of its records.
    pub(super) fn timed_out(&mut self, taken: u64) {
        self.timeouts += 1;
        if !self.failed(taken) && self.timeouts >= TOO_LARGE && self.next_len() > 1 {
            self.split_next(false);
        }
    }

    /// How much it is suspected; a batch that is suspected less goes first.
    pub(super) fn suspicion(&self) -> u32 {
        self.failures / SUSPECT
    }

    /// Whether the store failed over it again and again, and takes others: not for an outage.
    pub(super) fn is_at_fault(&self) -> bool {
        self.is_at_fault
    }

    /// Whether so many requests were refused, and no record taken, that all of it must be bad.
    ///
    /// Finding one bad record takes 2·log₂ n requests. A store that refuses whatever it is sent is not asked n times.
    pub(super) fn is_hopeless(&self) -> bool {
        !self.taken && self.refusals > 32 + 4 * self.stored.len().max(1).ilog2() as usize
    }

    /// Gives up all that is owed.
    pub(super) fn abandon(&mut self) {
        self.steps.clear();
    }

    fn halve_known(&mut self) {
        while self.steps.last().is_some_and(|step| step.known_bad && step.part.len() > 1) {
            self.halve_next(true);
        }
    }
}

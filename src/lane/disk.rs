//! What a lane owes on disk: its own spool, and what earlier processes left behind.
//!
//! What is tried, when, and what happens to the job is `spill.rs`; who gives way when the spool is full is `own.rs`. A batch
//! that was read back is in memory until it is settled or put back, like any other.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::job::Job;
use super::own::{Epoch, Own, Trouble, Write, is_full};
use crate::clock;
use crate::config::{BacklogOverflow, SpoolSettings, SpoolUse};
use crate::ledger::Reason;
use crate::spool::{Note, Place, Source, Taken};

/// After a refusal nothing is written before this has passed.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Which source of a lane's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceId(u64);

const OWN: SourceId = SourceId(0);

impl SourceId {
    /// Whether it is an earlier process's.
    pub(super) fn is_adopted(self) -> bool {
        self != OWN
    }
}

pub(super) struct Adopted {
    id: SourceId,
    pub(super) source: Box<dyn Source>,
    since: Instant,
}

/// What was lost on disk, and what was found, since this was last asked.
#[derive(Default)]
pub(super) struct News {
    pub(super) adopted: u64,
    pub(super) dropped: Vec<(Reason, [u64; 6])>,
}

pub(super) struct Disk {
    own: Option<Own>,
    adopted: VecDeque<Adopted>,
    /// Adopted batches that wait in memory for another attempt.
    waiting: VecDeque<Job>,
    epoch: Epoch,
    next: u64,
    dropped: [u64; 6],
    /// Records that are left to the next process.
    left: u64,
}

/// The ids of jobs that were read back: apart from those of jobs that were sealed here.
const READ: u64 = 1 << 63;

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            own: None,
            adopted: VecDeque::new(),
            waiting: VecDeque::new(),
            epoch: Epoch { at: clock::now(), nanos: clock::nanos() },
            next: 1,
            dropped: [0; 6],
            left: 0,
        }
    }

    pub(super) fn set_own(&mut self, spool: Box<dyn Write>, settings: SpoolSettings, overflow: BacklogOverflow) {
        self.own = Some(Own { spool, settings, overflow, written: 0, trouble: None, again: None, front: None });
    }

    pub(super) fn has_spool(&self) -> bool {
        self.own.is_some()
    }

    /// Whether batches go there before the end.
    #[inline]
    pub(super) fn is_used_by_day(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.settings.when != SpoolUse::Exit)
    }

    pub(super) fn takes_all(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.settings.when == SpoolUse::Always)
    }

    pub(super) fn adopt(&mut self, source: Box<dyn Source>, now: Instant) {
        self.adopted.push_back(Adopted { id: SourceId(self.next), source, since: now });
        self.next += 1;
    }

    /// Whether there is anything of this process's that is not in memory.
    pub(super) fn is_empty(&self) -> bool {
        self.front().is_none()
    }

    /// Whether there is anything of an earlier process's that could be sent now.
    pub(super) fn has_adopted(&self) -> bool {
        !self.waiting.is_empty() || self.adopted_since().is_some()
    }

    /// Number and sealing time of this process's oldest batch that is not in memory.
    pub(super) fn front(&self) -> Option<(u64, Instant)> {
        self.own.as_ref()?.front
    }

    /// Records that are owed and not in memory.
    pub(super) fn owed(&self) -> u64 {
        let own = self.own.as_ref().map_or(0, |own| own.spool.owed());
        self.left + own + self.adopted.iter().map(|adopted| adopted.source.owed()).sum::<u64>()
    }

    /// Why what does not fit into memory is lost.
    pub(super) fn reason(&self) -> Reason {
        match self.trouble() {
            Some(Trouble::Full) => Reason::SpoolFull,
            Some(Trouble::Disk(error)) if is_full(error) => Reason::DiskFull,
            _ => Reason::BacklogFull,
        }
    }

    fn trouble(&self) -> Option<&Trouble> {
        self.own.as_ref()?.trouble.as_ref()
    }

    /// What is wrong with it, for a person.
    pub(super) fn complaint(&self) -> Option<String> {
        let own = self.own.as_ref()?;
        let dir = own.settings.dir.display();
        match own.trouble.as_ref()? {
            Trouble::Full => Some(format!("its share of {dir} is used up")),
            Trouble::Disk(error) => Some(format!("{dir} cannot be written: {error}")),
        }
    }

    /// Whether a batch of that number could be written now without standing behind one that is newer.
    pub(super) fn takes(&self, number: u64, now: Instant) -> bool {
        self.own.as_ref().is_some_and(|own| own.may_write(now) && number >= own.written)
    }

    /// Whether something could be written now, before the end.
    pub(super) fn takes_by_day(&self, now: Instant) -> bool {
        self.is_used_by_day() && self.own.as_ref().is_some_and(|own| own.may_write(now))
    }

    /// Writes what is owed of a job, or says that it cannot. With `held` the job stays in memory.
    pub(super) fn write(&mut self, job: &mut Job, held: bool, now: Instant) -> bool {
        let Some(own) = self.own.as_mut().filter(|own| own.may_write(now)) else { return false };
        let note = Note { number: job.number, sealed: self.epoch.nanos(job.sealed()), tried: job.may_be_there };
        let mut copies = Vec::new();
        for part in job.parts() {
            match own.append(&part, &note, &mut self.adopted, &mut self.dropped, now) {
                Ok(place) => copies.push((OWN, place)),
                Err(trouble) => {
                    own.trouble = Some(trouble);
                    own.again = Some(now + AGAIN_AFTER);
                    copies.iter().rev().for_each(|(_, place)| own.spool.take_back(*place));
                    own.look(&self.epoch);
                    return false;
                }
            }
        }
        if !held {
            copies.iter().for_each(|(_, place)| own.spool.put_back(*place));
        }
        (own.trouble, own.again) = (None, None);
        job.is_misplaced = job.number < own.written;
        own.written = own.written.max(job.number + 1);
        own.look(&self.epoch);
        job.is_written(copies);
        true
    }

    /// That job is owed no more.
    pub(super) fn settle(&mut self, job: &Job) {
        self.each_copy(job, |source, place| source.settle(place));
        // There may be room again.
        if let Some(own) = self.own.as_mut().filter(|own| matches!(own.trouble, Some(Trouble::Full))) {
            own.again = None;
        }
    }

    /// That job is owed, and in memory no more.
    pub(super) fn put_back(&mut self, job: &Job) {
        self.each_copy(job, |source, place| source.put_back(place));
    }

    fn each_copy(&mut self, job: &Job, act: impl Fn(&mut dyn Source, Place)) {
        for &(id, place) in job.copies() {
            match &mut self.own {
                Some(own) if id == OWN => {
                    act(&mut *own.spool, place);
                    own.look(&self.epoch);
                }
                _ => {
                    let adopted = self.adopted.iter_mut().find(|adopted| adopted.id == id);
                    adopted.into_iter().for_each(|adopted| act(&mut *adopted.source, place));
                }
            }
        }
    }

    /// Reads this process's oldest batch that is not in memory.
    pub(super) fn read_own(&mut self, now: Instant) -> Option<Job> {
        let own = self.own.as_mut()?;
        let taken = own.spool.next(now);
        own.look(&self.epoch);
        let taken = taken?;
        let sealed = self.epoch.instant(taken.sealed);
        Some(self.job(OWN, taken, sealed))
    }

    /// The oldest batch of an earlier process's: one that waits for another attempt, or, if it may, one that is read.
    pub(super) fn next_adopted(&mut self, may_read: bool, now: Instant) -> Option<Job> {
        let least = self.waiting.iter().map(Job::suspicion).min();
        if least.is_some_and(|least| least == 0 || !may_read) {
            return self.waiting_adopted(least);
        }
        if may_read {
            for at in 0..self.adopted.len() {
                let (id, since) = (self.adopted[at].id, self.adopted[at].since);
                if let Some(taken) = self.adopted[at].source.next(now) {
                    return Some(self.job(id, taken, since));
                }
            }
        }
        self.waiting_adopted(least)
    }

    fn waiting_adopted(&mut self, suspicion: Option<u32>) -> Option<Job> {
        let at = self.waiting.iter().position(|job| Some(job.suspicion()) == suspicion)?;
        self.waiting.remove(at)
    }

    fn job(&mut self, from: SourceId, taken: Taken, sealed: Instant) -> Job {
        let id = READ | self.next;
        self.next += 1;
        Job::read(id, from, taken, sealed)
    }

    /// An adopted batch waits for another attempt.
    pub(super) fn wait(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    /// Adopted batches that wait in memory.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Job> {
        self.waiting.iter()
    }

    /// What those hold.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(|job| job.stored().held_bytes()).sum()
    }

    /// Takes those of them out for which that holds.
    pub(super) fn take_waiting(&mut self, which: impl Fn(&Job) -> bool) -> Vec<Job> {
        let (taken, kept) = std::mem::take(&mut self.waiting).into_iter().partition(which);
        self.waiting = kept;
        Vec::from(taken as VecDeque<Job>)
    }

    /// When the oldest adopted batches that are not in memory were taken over.
    pub(super) fn adopted_since(&self) -> Option<Instant> {
        self.adopted.iter().filter(|adopted| !adopted.source.is_done()).map(|adopted| adopted.since).min()
    }

    /// What became known since this was last asked. Sources of which nothing is left are gone with that.
    pub(super) fn news(&mut self) -> News {
        let mut news = News::default();
        if self.own.is_none() && self.adopted.is_empty() {
            return news;
        }
        news.dropped.push((Reason::SpoolFull, std::mem::take(&mut self.dropped)));
        let own = self.own.iter_mut().map(|own| &mut *own.spool as &mut dyn Source);
        for source in own.chain(self.adopted.iter_mut().map(|adopted| &mut *adopted.source)) {
            news.adopted += source.found();
            news.dropped.push((Reason::Damaged, source.damaged()));
        }
        self.adopted.retain(|adopted| !adopted.source.is_done());
        news
    }

    /// What is a matter of time; says whether there is something to tell.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let failed = self.own.as_mut().and_then(|own| own.spool.tick(now));
        self.is_told_of(failed)
    }

    pub(super) fn close(&mut self) -> bool {
        let failed = self.own.as_mut().and_then(|own| own.spool.close());
        self.is_told_of(failed)
    }

    /// Gives up files and locks, which are the next process's from here on.
    pub(super) fn let_go(&mut self) {
        self.left = self.owed();
        self.own = None;
        self.adopted.clear();
    }

    fn is_told_of(&mut self, failed: Option<io::Error>) -> bool {
        let Some((own, error)) = self.own.as_mut().zip(failed) else { return false };
        own.trouble = Some(Trouble::Disk(error));
        true
    }
}

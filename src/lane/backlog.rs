//! What a lane owes, oldest first, bounded in bytes, and who loses when that is full.
//!
//! All that the lane holds in memory counts: batches that wait, batches in flight, and the one that is still open. What it
//! owes on disk is older than all that waits here, but for what was tried already: the questions about what is oldest take
//! both into account.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::disk::Disk;
use super::job::Job;
use crate::config::BacklogOverflow;

pub(super) struct Backlog {
    pub(super) disk: Disk,
    waiting: VecDeque<Job>,
    waiting_bytes: usize,
    /// Of what is in flight or open.
    other_bytes: usize,
    limit: usize,
    overflow: BacklogOverflow,
}

impl Backlog {
    pub(super) fn new(limit: usize, overflow: BacklogOverflow) -> Self {
        Self { disk: Disk::new(), waiting: VecDeque::new(), waiting_bytes: 0, other_bytes: 0, limit, overflow }
    }

    /// Says what is held besides.
    pub(super) fn set_other_bytes(&mut self, bytes: usize) {
        self.other_bytes = bytes;
    }

    /// Whether so much more is beyond what is kept in memory while there is a disk.
    #[inline]
    pub(super) fn is_pressed(&self, bytes: usize) -> bool {
        self.disk.is_used_by_day() && self.held_bytes() + bytes > self.limit / 2
    }

    /// Whether a record of that size may be added as things are.
    #[inline]
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.held_bytes() + bytes <= self.limit
    }

    /// Whether a record of that size may be added; if not, and it is the oldest that goes, `drop_oldest` is called
    /// with batches until there is room.
    pub(super) fn make_room(&mut self, bytes: usize, mut drop_oldest: impl FnMut(Job)) -> bool {
        // What never fits takes nothing else with it.
        if self.other_bytes + bytes > self.limit {
            return false;
        }
        while !self.fits(bytes) {
            match self.overflow {
                BacklogOverflow::DropOldest => match self.remove(0) {
                    Some(oldest) => drop_oldest(oldest),
                    None => return false,
                },
                BacklogOverflow::DropNewest => return false,
            }
        }
        true
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.waiting_bytes + self.other_bytes
    }

    /// Appends a batch that was just sealed.
    pub(super) fn push(&mut self, job: Job) {
        self.waiting_bytes += job.stored().held_bytes();
        self.waiting.push_back(job);
    }

    /// Puts back a batch that was in flight, at its place.
    pub(super) fn put_back(&mut self, job: Job) {
        self.waiting_bytes += job.stored().held_bytes();
        let at = self.waiting.partition_point(|other| other.number < job.number);
        self.waiting.insert(at, job);
    }

    /// Takes the batch at that place of those in memory.
    pub(super) fn remove(&mut self, at: usize) -> Option<Job> {
        let job = self.waiting.remove(at)?;
        self.waiting_bytes -= job.stored().held_bytes();
        Some(job)
    }

    /// Takes the oldest batch; one on disk only if it may be read. While the disk cannot be read, its batches are waited for.
    pub(super) fn pop(&mut self, may_read: bool, now: Instant) -> Option<Job> {
        loop {
            let in_memory = self.waiting.front().map(|job| job.number);
            let front = self.disk.front().filter(|(number, _)| in_memory.is_none_or(|other| *number < other));
            if front.is_none() {
                return self.remove(0);
            }
            let read = if may_read { self.disk.read_own(now) } else { None };
            // What cannot be read at all is passed over, and the next one is the oldest.
            if read.is_some() || !may_read || self.disk.front() == front {
                return read;
            }
        }
    }

    /// Takes the oldest in memory.
    pub(super) fn pop_memory(&mut self) -> Option<Job> {
        self.remove(0)
    }

    /// Takes the oldest of those that are suspected least: one that the store fails over again and again does not hold
    /// up the others.
    ///
    /// Only of those that came within that span after the oldest that is owed: in an outage all fail, and a store that
    /// takes no older records after newer ones must get them in their order when it is back.
    pub(super) fn pop_least_suspect(&mut self, within: Duration, may_read: bool, now: Instant) -> Option<Job> {
        let came = |job: &Job| job.stored().opened();
        let oldest = self.oldest_in_order().map(came);
        let is_near = |came: Instant| oldest.is_none_or(|oldest| came.saturating_duration_since(oldest) <= within);
        let near = |job: &&Job| is_near(came(job));
        let least = self.waiting.iter().filter(near).map(Job::suspicion).min();
        let at = self.waiting.iter().position(|job| near(&job) && Some(job.suspicion()) == least);
        let on_disk = self.disk.front().filter(|(_, sealed)| may_read && is_near(*sealed));
        if let Some((number, _)) = on_disk
            && at.is_none_or(|at| least > Some(0) || number < self.waiting[at].number)
            && let Some(job) = self.disk.read_own(now)
        {
            return Some(job);
        }
        self.remove(at?)
    }

    /// The oldest in memory whose order matters: one over which alone the store fails has lost its turn.
    pub(super) fn oldest_in_order(&self) -> Option<&Job> {
        self.waiting.iter().find(|job| !job.is_at_fault())
    }

    /// Takes the oldest of those at the end for which that holds: not the oldest of all that may be owed.
    pub(super) fn pop_recent(&mut self, is_recent: impl Fn(&Job) -> bool) -> Option<Job> {
        let from_end = self.waiting.iter().rev().take_while(|job| is_recent(job)).count();
        self.remove(self.waiting.len() - from_end)
    }

    pub(super) fn newest(&self) -> Option<&Job> {
        self.waiting.back()
    }

    /// The oldest in memory.
    pub(super) fn oldest(&self) -> Option<&Job> {
        self.waiting.front()
    }

    /// Those in memory.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Job> {
        self.waiting.iter()
    }

    /// Those in memory, and the disk to write them to; what they hold must stay the same.
    pub(super) fn waiting_and_disk(&mut self) -> (impl Iterator<Item = &mut Job>, &mut Disk) {
        (self.waiting.iter_mut(), &mut self.disk)
    }

    /// Whether nothing of this process's is owed, in memory or on disk.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.disk.is_empty()
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }
}

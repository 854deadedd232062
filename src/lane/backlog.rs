//! What a lane owes in memory, bounded in bytes, and who loses when that is full.
//!
//! All that the lane holds counts: batches that wait, batches in flight, and the one that is still open. Where a
//! disk spool is given (a later stage), it takes the oldest batches from here instead of dropping them.

use std::collections::VecDeque;
use std::time::Duration;

use super::job::Job;
use crate::config::BacklogOverflow;

pub(super) struct Backlog {
    waiting: VecDeque<Job>,
    waiting_bytes: usize,
    /// Of what is in flight or open.
    other_bytes: usize,
    limit: usize,
    overflow: BacklogOverflow,
}

impl Backlog {
    pub(super) fn new(limit: usize, overflow: BacklogOverflow) -> Self {
        Self { waiting: VecDeque::new(), waiting_bytes: 0, other_bytes: 0, limit, overflow }
    }

    /// Says what is held besides.
    pub(super) fn set_other_bytes(&mut self, bytes: usize) {
        self.other_bytes = bytes;
    }

    /// Whether a record of that size may be added; if not, and it is the oldest that goes, `drop_oldest` is called
    /// with batches until there is room.
    pub(super) fn make_room(&mut self, bytes: usize, mut drop_oldest: impl FnMut(Job)) -> bool {
        // What never fits takes nothing else with it.
        if self.other_bytes + bytes > self.limit {
            return false;
        }
        while self.held_bytes() + bytes > self.limit {
            match self.overflow {
                BacklogOverflow::DropOldest => match self.waiting.pop_front() {
                    Some(oldest) => {
                        self.waiting_bytes -= oldest.stored().held_bytes();
                        drop_oldest(oldest);
                    }
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

    /// Takes the oldest batch.
    pub(super) fn pop(&mut self) -> Option<Job> {
        let job = self.waiting.pop_front()?;
        self.waiting_bytes -= job.stored().held_bytes();
        Some(job)
    }

    /// Takes the oldest of those that are suspected least: one that the store fails over again and again does not hold
    /// up the others.
    ///
    /// Only of those that came within that span after the oldest that is owed: in an outage all fail, and a store that
    /// takes no older records after newer ones must get them in their order when it is back.
    pub(super) fn pop_least_suspect(&mut self, within: Duration) -> Option<Job> {
        let came = |job: &Job| job.stored().opened();
        let oldest = self.oldest_in_order().map(came);
        let near = |job: &&Job| oldest.is_none_or(|oldest| came(job).saturating_duration_since(oldest) <= within);
        let least = self.waiting.iter().filter(near).map(Job::suspicion).min()?;
        let at = self.waiting.iter().position(|job| near(&job) && job.suspicion() == least)?;
        let job = self.waiting.remove(at)?;
        self.waiting_bytes -= job.stored().held_bytes();
        Some(job)
    }

    /// The oldest whose order matters: one over which alone the store fails has lost its turn.
    pub(super) fn oldest_in_order(&self) -> Option<&Job> {
        self.waiting.iter().find(|job| !job.is_at_fault())
    }

    /// Takes the oldest of those at the end for which that holds: not the oldest of all that may be owed.
    pub(super) fn pop_recent(&mut self, is_recent: impl Fn(&Job) -> bool) -> Option<Job> {
        let from_end = self.waiting.iter().rev().take_while(|job| is_recent(job)).count();
        let job = self.waiting.remove(self.waiting.len() - from_end)?;
        self.waiting_bytes -= job.stored().held_bytes();
        Some(job)
    }

    pub(super) fn newest(&self) -> Option<&Job> {
        self.waiting.back()
    }

    pub(super) fn oldest(&self) -> Option<&Job> {
        self.waiting.front()
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Job> {
        self.waiting.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }
}

//! A visit of the doctor, between the one who called and the lanes: what each lane saw when it sent one record.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Delivery, Reply, Verdict};
use crate::wire::{Failure, Names};

/// What a lane saw of its store.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) destination: String,
    /// As it may be printed.
    pub(crate) url: String,
    /// What the user calls the settings of this destination.
    pub(crate) names: Names,
    /// What its backend declares.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// What its success means.
    pub(crate) delivery: Delivery,
    /// How far ahead of the store's clock a record may be.
    pub(crate) newest: Option<Duration>,
    pub(crate) outcome: Outcome,
}

/// How the one request ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The store answered; how far this machine's clock is ahead of its clock, in seconds, where it told the time.
    Answered {
        reply: Reply,
        verdict: Verdict,
        ahead: Option<i64>,
    },
    Failed(Failure),
    /// Code of the backend panicked.
    Panicked(String),
}

/// The doctor waits at the door.
pub(crate) struct Visit {
    deadline: Instant,
    seen: Mutex<Vec<Seen>>,
    more: Condvar,
}

impl Visit {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self { deadline, seen: Mutex::default(), more: Condvar::new() }
    }

    pub(crate) fn tell(&self, seen: Seen) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        self.more.notify_all();
    }

    /// What `lanes` lanes saw, or as many of them as answered before the deadline.
    pub(crate) fn wait(&self, lanes: usize) -> Vec<Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if seen.len() >= lanes || left.is_zero() {
                return std::mem::take(&mut seen);
            }
            seen = self.more.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

//! Whether the worker that drains this queue lives in this process, which it does not in a forked child.
//!
//! The worker stores the time at each look at its queue. A caller compares that with the time of its record, which it has
//! anyway; only where the two are far apart does it ask the system for the number of the process. Where that is another
//! one, the queue, and all that belongs to it, is the parent's: the child has copies of the memory and none of the
//! threads. It is left alone from then on, and records go to the *heir*, the intake that the child builds for itself.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use crossbeam_utils::CachePadded;

use super::Intake;
use crate::ledger::Reason;
use crate::queue::Queue;
use crate::tee::Direct;

/// A worker that was not heard of for so long is asked after. It looks at its queue every 50 ms, and a request that it
/// encodes takes some more.
const QUIET: i64 = 200_000_000;

/// Stands for a worker that will never be heard of.
const NEVER: i64 = i64::MIN;

/// What builds an heir; it is told what was lost to the parent's queue before.
pub(crate) trait Heirs: Send + Sync {
    /// Called in a child whose pipeline is not there yet. `Err`: it cannot be had, or not yet, and the record is lost.
    fn build(&self, parent: &Intake, may_wait: bool) -> Result<Arc<Intake>, Reason>;
}

/// The process of an intake.
pub(crate) struct Home {
    pid: u32,
    /// Of the worker; a line of its own, as all callers read it.
    heard: CachePadded<AtomicI64>,
    /// What had been accepted and lost by then.
    accepted: AtomicU64,
    lost: AtomicU64,
    heir: ArcSwapOption<Intake>,
    heirs: Option<Arc<dyn Heirs>>,
}

/// Where a record belongs.
pub(super) enum Lives {
    Here,
    There(Arc<Intake>),
    Nowhere(Reason),
}

impl Home {
    /// This process. Without `heirs` children have none.
    pub(crate) fn here(heirs: Option<Arc<dyn Heirs>>) -> Self {
        Self {
            pid: process::id(),
            heard: CachePadded::new(AtomicI64::new(super::now_nanos())),
            accepted: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            heir: ArcSwapOption::empty(),
            heirs,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The worker looks at the queue.
    pub(crate) fn heartbeat(&self, accepted: u64, lost: u64) {
        self.accepted.store(accepted, Ordering::Relaxed);
        self.lost.store(lost, Ordering::Relaxed);
        self.heard.store(super::now_nanos(), Ordering::Release);
    }

    /// Whether the worker was not heard of around that time. The clock may have been set, either way.
    #[inline(always)]
    pub(super) fn is_quiet(&self, nanos: i64) -> bool {
        let since = nanos.wrapping_sub(self.heard.load(Ordering::Relaxed));
        since.wrapping_add(QUIET) as u64 > 2 * QUIET as u64
    }

    /// What this child handed to the parent's queue, as far as that can be told: what came into the copy of it since its
    /// worker was heard of last. Some of that the parent's threads may have handed over right before the fork.
    fn strayed(&self, queue: &Queue) -> u64 {
        let lost = queue.losses().total().saturating_sub(self.lost.load(Ordering::Relaxed));
        if queue.is_foreign() {
            // It took nothing of this process.
            return lost;
        }
        let before = self.accepted.load(Ordering::Relaxed);
        queue.accepted(before) - before + lost
    }
}

impl Intake {
    /// What a child handed to this, its parent's, at most. The tee has no queue that could get anything.
    pub(crate) fn strayed(&self) -> u64 {
        if self.direct.is_some() { 0 } else { self.home.strayed(&self.queue) }
    }

    /// Whether the pipeline was shut down.
    pub(crate) fn is_closed(&self) -> bool {
        self.direct.as_ref().map_or_else(|| self.queue.is_closed(), Direct::is_closed)
    }

    /// Finds out where a record of that time belongs, in a process whose worker is quiet.
    #[cold]
    pub(super) fn lives(&self, nanos: i64, may_wait: bool) -> Lives {
        let is_awake = |heir: &Arc<Self>| !heir.home.is_quiet(nanos) && !heir.queue.is_foreign();
        if let Some(heir) = self.home.heir.load().as_ref().filter(|heir| is_awake(heir)) {
            return Lives::There(Arc::clone(heir));
        }
        if process::id() == self.home.pid {
            if self.queue.is_foreign() {
                // A child in a namespace of its own, with the number that its parent has.
                return Lives::Nowhere(Reason::Fork);
            }
            // It is busy, or has ended: not asked after again for a while.
            self.home.heard.store(nanos, Ordering::Relaxed);
            return Lives::Here;
        }
        match self.heir(may_wait) {
            Ok(heir) => {
                heir.home.heard.store(nanos, Ordering::Relaxed);
                Lives::There(heir)
            }
            Err(reason) => Lives::Nowhere(reason),
        }
    }

    /// In a child: its own intake, built now if it is not there yet.
    #[cold]
    pub(crate) fn heir(&self, may_wait: bool) -> Result<Arc<Self>, Reason> {
        // All that comes asks for the heir first.
        self.home.heard.store(NEVER, Ordering::Relaxed);
        let pid = process::id();
        if let Some(heir) = self.home.heir.load().as_ref().filter(|heir| heir.home.pid == pid) {
            return Ok(Arc::clone(heir));
        }
        let heirs = self.home.heirs.as_ref().ok_or(Reason::Fork)?;
        let heir = heirs.build(self, may_wait)?;
        // That of a parent in between is not freed, see `Forks`.
        std::mem::forget(self.home.heir.swap(Some(Arc::clone(&heir))));
        Ok(heir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_quiet_when_the_record_is_far_from_what_was_heard_of_it_either_way() {
        let home = Home::here(None);
        for (heard, nanos, quiet) in [
            (1_000, 1_000 + QUIET, false),
            (1_000, 1_001 + QUIET, true),
            (1_000 + QUIET, 1_000, false),
            (1_001 + QUIET, 1_000, true),
            (NEVER, 1_795_507_200_000_000_000, true),
            (NEVER, 0, true),
            (0, i64::MAX, true),
            (i64::MAX, -5, true),
        ] {
            home.heard.store(heard, Ordering::Relaxed);
            assert_eq!(home.is_quiet(nanos), quiet, "{heard} {nanos}");
        }
    }
}

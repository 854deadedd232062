//! Counters of what was lost before the queue, raised by the calling threads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::frame::Severity;
use crate::ledger::{Losses, Reason};

#[derive(Default)]
pub(super) struct LossCounters {
    counts: [[AtomicU64; 6]; Reason::ALL.len()],
}

impl LossCounters {
    pub(super) fn add(&self, reason: Reason, severity: Severity) {
        self.add_many(reason, severity, 1);
    }

    pub(super) fn add_many(&self, reason: Reason, severity: Severity, count: u64) {
        self.counts[reason as usize][severity as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Losses {
        let mut losses = Losses::default();
        for reason in Reason::ALL {
            for severity in Severity::ALL {
                let count = self.counts[reason as usize][severity as usize].load(Ordering::Relaxed);
                losses.add(reason, severity, count);
            }
        }
        losses
    }
}

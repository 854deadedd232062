//! Wakes the worker, at most once per drain.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Wake {
    pending: AtomicBool,
    notify: Notify,
}

impl Wake {
    /// Wakes the worker unless that was done since it last began to drain.
    #[inline]
    pub(crate) fn once(&self) {
        // The load alone keeps a flood from fighting over the line.
        if !self.pending.load(Ordering::Relaxed) && !self.pending.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }

    /// Wakes the worker whatever was before.
    pub(crate) fn at_once(&self) {
        self.pending.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// The worker begins to drain: what comes from now on may wake it again.
    pub(crate) fn begin_drain(&self) {
        self.pending.store(false, Ordering::Release);
    }

    /// Ends when the worker was woken since it last waited here.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }
}

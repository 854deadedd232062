//! Wakes the worker, at most once per drain.
//!
//! Without a lock, because a fork at the wrong moment would leave it locked in the child for good. There the wake-up
//! reaches the parent's worker, which takes it for one that came to nothing.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

#[derive(Default)]
pub(crate) struct Wake {
    pending: AtomicBool,
    /// Woken, and not seen by the worker yet.
    woken: AtomicBool,
    worker: AtomicWaker,
}

impl Wake {
    /// Wakes the worker unless that was done since it last began to drain.
    #[inline]
    pub(crate) fn once(&self) {
        // The load alone keeps a flood from fighting over the line.
        if !self.pending.load(Ordering::Relaxed) && !self.pending.swap(true, Ordering::AcqRel) {
            self.notify();
        }
    }

    /// Wakes the worker whatever was before.
    pub(crate) fn at_once(&self) {
        self.pending.store(true, Ordering::Release);
        self.notify();
    }

    fn notify(&self) {
        self.woken.store(true, Ordering::Release);
        self.worker.wake();
    }

    /// The worker begins to drain: what comes from now on may wake it again.
    pub(crate) fn begin_drain(&self) {
        self.pending.store(false, Ordering::Release);
    }

    /// Ends when the worker was woken since it last waited here.
    pub(crate) async fn woken(&self) {
        poll_fn(|context| {
            // Registered before the look: whoever sets the mark after it finds the waker.
            self.worker.register(context.waker());
            if self.woken.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

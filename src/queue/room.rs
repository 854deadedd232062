//! Where callers wait for room in the queue, if the user asked for that.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::ledger::Reason;

#[derive(Default)]
pub(super) struct Room {
    waiting: AtomicUsize,
    lock: Mutex<()>,
    made: Condvar,
}

impl Room {
    /// Tries until there is room, or something else than a full queue is the matter, or `limit` is over.
    pub(super) fn wait<T>(&self, limit: Duration, mut admit: impl FnMut() -> Result<T, Reason>) -> Result<T, Reason> {
        let deadline = super::deadline(limit);
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Counted before the next try: whoever makes room after that try sees the count.
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let tried = admit();
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if !matches!(tried, Err(Reason::QueueFull)) || left.is_zero() {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                return tried;
            }
            guard = self.made.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Tells those who wait that there is room.
    pub(super) fn made(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // Taking the lock orders this after a waiter's last try and before its wait ends.
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.made.notify_all();
        }
    }
}

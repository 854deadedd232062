//! What a test holds answers back with, so that it forces an order instead of sleeping.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Holds answers back until the test opens it; once open it stays open.
///
/// Clones are the same gate, and one gate may hold any number of answers.
///
/// # Examples
///
/// ```
/// use logchute::testing::{Answer, Gate, Store};
///
/// let gate = Gate::new();
/// let store = Store::answering([Answer::held(&gate)]);
/// // … what must happen while the first request has no answer yet …
/// gate.open();
/// assert!(gate.is_open());
/// # drop(store);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gate {
    inner: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets pass what waits, and all that comes later.
    pub fn open(&self) {
        *self.inner.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.inner.1.notify_all();
    }

    /// Whether it was opened.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is open, `given_up` says so after a [`nudge`](Self::nudge), or `limit` is over.
    /// Says whether it is open.
    pub(super) fn pass(&self, limit: Duration, given_up: impl Fn() -> bool) -> bool {
        let (open, changed) = &*self.inner;
        let held = open.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(held, limit, |open| !*open && !given_up());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Makes those that wait look again whether they should give up.
    pub(super) fn nudge(&self) {
        // The lock is what makes sure that nobody is between the look and the wait, deaf to the call.
        let _between = self.inner.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner.1.notify_all();
    }
}

//! What time it is, by the clock that nobody sets and by the one that somebody may. A simulation stands in for both.

use std::time::{Instant, SystemTime};

#[inline]
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    if let Some((now, _)) = simulated::NOW.get() {
        return now;
    }
    Instant::now()
}

/// By the system's clock.
#[inline]
pub(crate) fn date() -> SystemTime {
    #[cfg(test)]
    if let Some((_, date)) = simulated::NOW.get() {
        return date;
    }
    SystemTime::now()
}

/// The clocks of one thread, as a test sets them.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;
    use std::time::{Instant, SystemTime};

    thread_local! {
        pub(super) static NOW: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
    }

    pub(crate) fn set(now: Option<(Instant, SystemTime)>) {
        NOW.set(now);
    }
}

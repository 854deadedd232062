//! What time it is, by the clock that nobody sets and by the one that somebody may. A simulation stands in for both.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// Nanoseconds since 1970 so long ago by the system's clock; 0 before that.
pub(crate) fn nanos_ago(age: Duration) -> i64 {
    let since_1970 = date().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.saturating_sub(age).as_nanos().min(i64::MAX as u128) as i64
}

/// Nanoseconds since 1970 by the system's clock; 0 before that.
pub(crate) fn nanos() -> i64 {
    nanos_ago(Duration::ZERO)
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

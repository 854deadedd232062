//! When to try again: a pure schedule, what the store asked for, and how a refused batch is halved.

use std::time::Duration;

/// How long to wait before each attempt after a failed one.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use logchute::Schedule;
///
/// /// Every second, for a minute.
/// struct EverySecond(u32);
///
/// impl Schedule for EverySecond {
///     fn next(&mut self, _random: f64) -> Option<Duration> {
///         self.0 += 1;
///         (self.0 <= 60).then_some(Duration::from_secs(1))
///     }
///     fn reset(&mut self) {
///         self.0 = 0;
///     }
/// }
///
/// assert_eq!(EverySecond(0).next(0.5), Some(Duration::from_secs(1)));
/// ```
pub trait Schedule: Send {
    /// The wait before the next attempt, at most a day; `random` lies in `0.0..1.0`. `None` gives the batch up: it is
    /// dropped as `expired`.
    fn next(&mut self, random: f64) -> Option<Duration>;

    /// An attempt succeeded.
    fn reset(&mut self);
}

/// Jitter comes from `backoff` itself, so the random number that is offered goes unused. Gives up once
/// `max_elapsed_time` is over, which is 15 minutes unless set otherwise.
#[cfg(feature = "backoff")]
impl<C: backoff::Clock + Send> Schedule for backoff::exponential::ExponentialBackoff<C> {
    fn next(&mut self, _random: f64) -> Option<Duration> {
        backoff::backoff::Backoff::next_backoff(self)
    }

    fn reset(&mut self) {
        backoff::backoff::Backoff::reset(self);
    }
}

/// Exponential with full jitter: a random part of a limit that doubles from half a second to a minute.
///
/// Full jitter, because all instances of a service lose their store at the same moment, and must not come back at
/// the same moment as well. It does not vanish at the cap.
#[derive(Debug, Default)]
pub(super) struct FullJitter {
    failures: u32,
}

impl FullJitter {
    const BASE: Duration = Duration::from_millis(500);
    const CAP: Duration = Duration::from_secs(60);
}

impl Schedule for FullJitter {
    fn next(&mut self, random: f64) -> Option<Duration> {
        let limit = Self::CAP.min(Self::BASE * 2_u32.pow(self.failures.min(16)));
        self.failures = self.failures.saturating_add(1);
        Some(limit.mul_f64(random))
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The wait while the configuration is wrong: from one or two seconds to a minute.
pub(super) fn hold(failures: u32, random: f64) -> Duration {
    let limit = Duration::from_secs(60).min(Duration::from_secs(2) * 2_u32.pow(failures.min(5)));
    limit.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_doubles_to_a_minute_and_keeps_its_jitter_there() {
        let mut schedule = FullJitter::default();
        let limits: Vec<_> = (0..9).map(|_| schedule.next(1.0).unwrap().as_millis()).collect();
        assert_eq!(limits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(schedule.next(0.1), Some(Duration::from_secs(6)));
        schedule.reset();
        assert_eq!(schedule.next(0.5), Some(Duration::from_millis(250)));
    }
}

#[cfg(all(test, feature = "backoff"))]
mod backoff_tests {
    use super::*;
    use backoff::ExponentialBackoff;

    #[test]
    fn backoff_grows_and_starts_again_after_a_reset() {
        let mut schedule: Box<dyn Schedule> =
            Box::new(ExponentialBackoff { randomization_factor: 0.0, max_elapsed_time: None, ..Default::default() });
        let first = schedule.next(0.0).unwrap();
        assert!(schedule.next(0.0).unwrap() > first);
        schedule.reset();
        // Its arithmetic goes by floating point and may be off by a nanosecond.
        assert!(schedule.next(0.0).unwrap().abs_diff(first) < Duration::from_micros(1));
    }

    #[test]
    fn backoff_gives_up_when_its_time_is_over() {
        let mut schedule = ExponentialBackoff { max_elapsed_time: Some(Duration::ZERO), ..Default::default() };
        assert_eq!(Schedule::next(&mut schedule, 0.5), None);
    }
}

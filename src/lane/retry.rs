//! When a batch that could not be delivered is sent again.

use std::time::Duration;

/// The waits between the attempts at a destination whose store does not take what it is sent.
///
/// A wait that the store asks for itself (`Retry-After`) goes before it, and `retry_for` limits all of
/// them together.
///
/// # Examples
///
/// Twice after a quarter of a second, give or take a tenth, then no more:
///
/// ```
/// use std::time::Duration;
/// use logchute::Schedule;
///
/// struct Twice(u32);
///
/// impl Schedule for Twice {
///     fn next(&mut self, random: f64) -> Option<Duration> {
///         self.0 += 1;
///         (self.0 <= 2).then(|| Duration::from_millis(225).mul_f64(1.0 + random * 0.2))
///     }
///     fn reset(&mut self) {
///         self.0 = 0;
///     }
/// }
///
/// let mut schedule = Twice(0);
/// assert_eq!(schedule.next(0.0), Some(Duration::from_millis(225)));
/// assert!(schedule.next(0.5).is_some());
/// assert_eq!(schedule.next(0.5), None);
/// schedule.reset();
/// assert!(schedule.next(0.5).is_some());
/// ```
pub trait Schedule: Send {
    /// How long to wait before the next attempt; `random` is evenly distributed over 0 (included) to 1.
    ///
    /// `None` gives up: the batch is dropped as expired, and counted.
    fn next(&mut self, random: f64) -> Option<Duration>;

    /// Starts again from the shortest wait; called when the store has taken a batch.
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

#[cfg(all(test, feature = "backoff"))]
mod tests {
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

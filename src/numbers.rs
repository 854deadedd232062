//! Ids and times: given once, when a record is drained, so that they are the same at every destination and on every
//! attempt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::SystemTime;

use crate::frame::RecordId;

/// Gives each record its id and a time of its own.
pub(crate) struct Numbers {
    incarnation: u128,
    /// Whether records come from a ring, and have places there.
    by_place: bool,
    /// Records that were given no number by their place.
    counted: u64,
    last: i64,
}

impl Numbers {
    pub(crate) fn new(incarnation: u128, by_place: bool) -> Self {
        Self { incarnation, by_place, counted: 0, last: i64::MIN }
    }

    /// Goes on where another one left off, whose last time this was.
    #[cfg(all(feature = "crash-proof", target_os = "linux"))]
    pub(crate) fn continued(incarnation: u128, last: i64) -> Self {
        Self { last, ..Self::new(incarnation, true) }
    }

    /// A number that no other pipeline has, in this process or in any other.
    ///
    /// Stores take a record for one that they have by its id, so two pods that start in the same nanosecond must not share
    /// it: it comes from the system's randomness, with which the standard library keys its hashers. Forked children inherit
    /// the key of the thread that forked them, so process and time tell them apart.
    pub(crate) fn random_incarnation() -> u128 {
        let keyed = RandomState::new();
        let half = |which: u8| u128::from(keyed.hash_one((which, std::process::id(), SystemTime::now())));
        half(0) << 64 | half(1)
    }

    /// A time that is not above the last one becomes the last one and a nanosecond, because stores that merge equal
    /// entries would merge two of ours. Where the clock went back by a second or more, the clock is followed.
    ///
    /// `place`: where the record is in the ring, which is a multiple of eight and its number, so that whoever finds it there
    /// later gives it the same. Of a pipeline with a ring, those that were never in it have odd numbers.
    #[inline]
    pub(crate) fn next(&mut self, nanos: i64, place: Option<u64>) -> (RecordId, i64) {
        const SECOND: i64 = 1_000_000_000;
        let went_back = self.last.saturating_sub(nanos);
        self.last = if went_back >= SECOND || nanos > self.last { nanos } else { self.last.saturating_add(1) };
        let sequence = place.unwrap_or_else(|| {
            let count = self.counted;
            self.counted += 1;
            if self.by_place { count << 1 | 1 } else { count }
        });
        (RecordId { incarnation: self.incarnation, sequence }, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(clock: &[i64]) -> Vec<i64> {
        let mut numbers = Numbers::new(1, false);
        clock.iter().map(|&nanos| numbers.next(nanos, None).1).collect()
    }

    #[test]
    fn no_two_pipelines_share_an_incarnation() {
        let all: std::collections::HashSet<_> = (0..1_000).map(|_| Numbers::random_incarnation()).collect();
        assert_eq!(all.len(), 1_000);
        assert!(all.iter().all(|one| one >> 64 != one & u128::from(u64::MAX)));
    }

    #[test]
    fn records_of_a_ring_are_numbered_by_their_place_and_ours_by_odd_numbers() {
        let mut numbers = Numbers::new(1, true);
        let got = [Some(0), None, Some(48), None].map(|place| numbers.next(5, place).0.sequence);
        assert_eq!(got, [0, 1, 48, 3]);
        let mut numbers = Numbers::new(1, false);
        assert_eq!([(); 3].map(|()| numbers.next(5, None).0.sequence), [0, 1, 2]);
    }

    #[test]
    fn equal_times_become_unique_and_a_small_step_back_is_smoothed() {
        assert_eq!(times(&[5, 5, 5, 4, 9]), [5, 6, 7, 8, 9]);
    }

    #[test]
    fn n13_a_clock_that_went_back_by_a_second_is_followed() {
        let hour = 3_600_000_000_000;
        assert_eq!(times(&[hour, hour - 1_000_000_000, 7]), [hour, hour - 1_000_000_000, 7]);
        assert_eq!(times(&[i64::MAX, i64::MAX, i64::MIN]), [i64::MAX, i64::MAX, i64::MIN]);
    }
}

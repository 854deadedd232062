//! How many requests may be in flight, and when the next may begin.
//!
//! While the store is well: several, as many as it takes well (`aimd.rs`). After a failure: none until the wait is
//! over, then one, the probe, until it succeeds. From there the number climbs again, so that what is owed after an
//! outage does not fall upon the store at once.

use std::time::{Duration, Instant};

use super::aimd::Aimd;
use super::retry::{FullJitter, Schedule, hold};

/// While somebody waits in a flush, the lane tries at least this often.
const HURRIED: Duration = Duration::from_millis(500);

/// The longest wait that a store may ask for, whoever read its answer; `Retry-After` is read with the same limit.
const ASKED_MAX: Duration = Duration::from_secs(60);

/// The longest wait of a schedule. The clock cannot hold every number that one may come up with.
const OWN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

enum State {
    Well,
    /// Until then, nothing is sent. The store asked to be left alone for the first part of it, or for none.
    Waiting {
        until: Instant,
        asked: Option<Instant>,
    },
    /// One request at a time.
    Probing,
}

pub(super) struct Pace {
    schedule: Box<dyn Schedule>,
    holds: u32,
    aimd: Aimd,
    state: State,
    /// Up to when somebody waits for a flush.
    hurry: Option<Instant>,
    /// Whether a wait that the store asked for was cut short for that already.
    defied: bool,
}

/// What a failed attempt leads to.
pub(super) enum Next {
    /// Another attempt, after a wait.
    Again,
    /// The schedule has given up.
    GiveUp,
}

impl Pace {
    pub(super) fn new(most: usize, schedule: Option<Box<dyn Schedule>>) -> Self {
        Self {
            schedule: schedule.unwrap_or_else(|| Box::new(FullJitter::default())),
            holds: 0,
            aimd: Aimd::new(most),
            state: State::Well,
            hurry: None,
            defied: false,
        }
    }

    /// Whether one more request may begin, beside `in_flight`.
    pub(super) fn may_send(&mut self, in_flight: usize, now: Instant) -> bool {
        if let State::Waiting { until, .. } = self.state
            && now >= until
        {
            self.state = State::Probing;
        }
        match self.state {
            State::Well => in_flight < self.aimd.limit(),
            State::Waiting { .. } => false,
            State::Probing => in_flight == 0,
        }
    }

    /// How many requests may be under way while the store is well.
    pub(super) fn limit(&self) -> usize {
        self.aimd.limit()
    }

    /// There is more to send than may be under way.
    pub(super) fn wanted(&mut self) {
        self.aimd.wanted();
    }

    /// A request of that size went well; said after [`succeeded`](Self::succeeded).
    pub(super) fn took(&mut self, bytes: usize, begun: Instant, now: Instant) {
        self.aimd.took(bytes, begun, now);
    }

    /// The store took, or refused, what it was sent: it is well.
    ///
    /// Not so while a wait is on: the answer to a request that was begun before the failure says nothing about now,
    /// and must not cut a wait short that the store asked for.
    pub(super) fn succeeded(&mut self) {
        if !matches!(self.state, State::Waiting { .. }) {
            self.state = State::Well;
            self.holds = 0;
            self.schedule.reset();
        }
    }

    /// An attempt failed in a way that may pass.
    pub(super) fn failed(&mut self, asked: Option<Duration>, now: Instant) -> Next {
        let asked = asked.map(|asked| asked.min(ASKED_MAX));
        // Other requests of the same moment may fail as well: that is one failure, not several. What is asked with
        // the last of them counts as much as with the first, and the rest of the wait comes after it as before.
        if let State::Waiting { until, asked: before } = &mut self.state {
            if let Some(asked) = asked.map(|asked| now + asked).filter(|&asked| before.is_none_or(|it| asked > it)) {
                let rest = until.saturating_duration_since(before.unwrap_or(now));
                *until = asked + rest;
                *before = Some(asked);
            }
            return Next::Again;
        }
        self.aimd.failed(now);
        let Some(own) = self.schedule.next(fastrand::f64()) else {
            self.schedule.reset();
            return Next::GiveUp;
        };
        self.wait(own.min(OWN_MAX), asked, now);
        Next::Again
    }

    /// The configuration is wrong: ask rarely.
    pub(super) fn hold(&mut self, now: Instant) {
        if !matches!(self.state, State::Waiting { .. }) {
            let own = hold(self.holds, fastrand::f64());
            self.holds = self.holds.saturating_add(1);
            self.wait(own, None, now);
        }
    }

    /// What was wrong is mended, perhaps: the next request is a probe, at once.
    pub(super) fn try_now(&mut self) {
        self.state = State::Probing;
    }

    /// Own waits, and up to half as much again, come on top of what the store asked for. It asks all its clients alike,
    /// at the moment when it fails them all: without random parts of our own they would come back as one, each time.
    fn wait(&mut self, own: Duration, asked: Option<Duration>, now: Instant) {
        let spread = asked.unwrap_or_default().mul_f64(fastrand::f64() / 2.0);
        let asked = asked.map(|asked| now + asked);
        self.state = State::Waiting { until: asked.unwrap_or(now) + spread + own, asked };
        if let Some(deadline) = self.hurry.filter(|&deadline| now < deadline) {
            self.shorten(own.min(HURRIED), deadline, now);
        }
    }

    /// Somebody waits in a flush until `deadline`: own waits are cut short; one that the store asked for only if it
    /// would outlast the deadline, and then once.
    pub(super) fn hurry(&mut self, deadline: Instant, now: Instant) {
        self.hurry = self.hurry.max(Some(deadline));
        self.defied = false;
        // One that is defied ends at once: a short flush is a reason to ask as well.
        let is_defied = matches!(self.state, State::Waiting { asked: Some(asked), .. } if asked > deadline);
        let own = if is_defied { Duration::ZERO } else { HURRIED.mul_f64(fastrand::f64() / 2.0) };
        self.shorten(own, deadline, now);
    }

    fn shorten(&mut self, own: Duration, deadline: Instant, now: Instant) {
        let State::Waiting { until, asked } = &mut self.state else { return };
        let soonest = match asked.filter(|&asked| asked > now) {
            Some(asked) if asked <= deadline => (asked + own).min(deadline),
            Some(_) if self.defied => return,
            asked => {
                self.defied |= asked.is_some();
                now + own
            }
        };
        *until = (*until).min(soonest);
    }

    /// Whether somebody waits in a flush.
    pub(super) fn is_hurried(&self, now: Instant) -> bool {
        self.hurry.is_some_and(|deadline| now < deadline)
    }

    /// When the next request may begin, if that is a matter of time.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until, .. } => Some(until),
            _ => None,
        }
    }

    pub(super) fn is_well(&self) -> bool {
        matches!(self.state, State::Well)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Waits this long after each failure.
    struct Every(Duration);

    impl Schedule for Every {
        fn next(&mut self, _: f64) -> Option<Duration> {
            Some(self.0)
        }

        fn reset(&mut self) {}
    }

    fn every(wait: u64) -> (Pace, Instant) {
        (Pace::new(4, Some(Box::new(Every(secs(wait))))), Instant::now())
    }

    #[test]
    fn own_waits_come_on_top_of_what_the_store_asked_for() {
        let (mut pace, t0) = every(7);
        let _ = pace.failed(Some(secs(20)), t0);
        let first = pace.due().unwrap();
        assert!(first >= t0 + secs(27) && first < t0 + secs(37), "{:?}", first - t0);
        // Another request of the same moment fails: asked for less, for the same, and for more.
        for (asked, later) in [(5, 0), (20, 0), (30, 10)] {
            let _ = pace.failed(Some(secs(asked)), t0);
            assert_eq!(pace.due(), Some(first + secs(later)));
        }
        let due = first + secs(10);
        assert!(!pace.may_send(0, due - Duration::from_millis(1)));
        assert!(pace.may_send(0, due) && !pace.may_send(1, due), "one probe");
    }

    #[test]
    fn clients_that_were_asked_for_the_same_wait_do_not_come_back_as_one() {
        fastrand::seed(1);
        let t0 = Instant::now();
        for (failures, longest) in [(1, 90.5), (9, 150.0)] {
            let mut back: Vec<_> = (0..1_000)
                .map(|_| {
                    let mut pace = Pace::new(4, None);
                    for _ in 0..failures {
                        pace.try_now();
                        let _ = pace.failed(Some(secs(60)), t0);
                    }
                    (pace.due().unwrap() - t0).as_secs_f64()
                })
                .collect();
            back.sort_by(f64::total_cmp);
            assert!(back[0] >= 60.0 && back[999] <= longest, "{} to {}", back[0], back[999]);
            // Spread evenly over half a minute it would be 33.
            let crowd = (0..1_000).map(|at| back[at..].iter().take_while(|&&it| it < back[at] + 1.0).count()).max();
            assert!(crowd.unwrap() <= 60, "{crowd:?} within a second");
        }
    }

    #[test]
    fn a_flush_cuts_own_waits_short_and_asked_ones_only_where_they_outlast_it() {
        let (mut pace, t0) = every(3_600);
        let _ = pace.failed(None, t0);
        pace.hurry(t0 + secs(5), t0);
        assert!(pace.due().unwrap() <= t0 + HURRIED);

        let (mut pace, t0) = every(3_600);
        let _ = pace.failed(Some(secs(2)), t0);
        pace.hurry(t0 + secs(5), t0);
        let due = pace.due().unwrap();
        assert!(due >= t0 + secs(2) && due <= t0 + secs(2) + HURRIED / 2, "{:?}", due - t0);

        let (mut pace, t0) = every(3_600);
        let _ = pace.failed(Some(secs(60)), t0);
        pace.hurry(t0 + secs(5), t0);
        assert_eq!(pace.due(), Some(t0));
        // Once: what it asks for then is kept.
        assert!(pace.may_send(0, t0 + HURRIED));
        let _ = pace.failed(Some(secs(60)), t0 + HURRIED);
        assert!(pace.due().unwrap() >= t0 + HURRIED + secs(60));
    }

    #[test]
    fn failures_of_one_moment_count_once_and_each_later_one_halves_what_may_be_under_way() {
        let (mut pace, t0) = every(1);
        (0..3).for_each(|_| {
            let _ = pace.failed(None, t0);
        });
        assert_eq!(pace.limit(), 2);
        pace.try_now();
        let _ = pace.failed(None, t0 + secs(1));
        pace.try_now();
        let _ = pace.failed(None, t0 + secs(2));
        assert_eq!(pace.limit(), 1);
        pace.try_now();
        pace.succeeded();
        assert!(pace.may_send(0, t0 + secs(3)) && !pace.may_send(1, t0 + secs(3)));
    }
}

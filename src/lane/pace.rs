//! How many requests may be in flight, and when the next may begin.
//!
//! While the store is well: several. After a failure: none until the wait is over, then one, the probe, until it
//! succeeds.

use std::time::{Duration, Instant};

use super::retry::{FullJitter, Schedule, hold};

/// While somebody waits in a flush, the lane tries at least this often.
const HURRIED: Duration = Duration::from_millis(500);

/// The longest wait that a store may ask for, whoever read its answer; `Retry-After` is read with the same limit.
const ASKED_MAX: Duration = Duration::from_secs(60);

/// The longest wait of a schedule. The clock cannot hold every number that one may come up with.
const OWN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

enum State {
    Well,
    /// Until then, nothing is sent.
    Waiting {
        until: Instant,
        asked_by_store: bool,
    },
    /// One request at a time.
    Probing,
}

pub(super) struct Pace {
    schedule: Box<dyn Schedule>,
    holds: u32,
    most: usize,
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
            most,
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
            State::Well => in_flight < self.most,
            State::Waiting { .. } => false,
            State::Probing => in_flight == 0,
        }
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
        // the last of them counts as much as with the first.
        if let State::Waiting { until, asked_by_store } = &mut self.state {
            if let Some(asked) = asked {
                *until = (*until).max(now + asked);
                *asked_by_store = true;
            }
            return Next::Again;
        }
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

    fn wait(&mut self, own: Duration, asked: Option<Duration>, now: Instant) {
        let hurry = self.hurry.filter(|&deadline| now < deadline);
        let own = if hurry.is_some() { own.min(HURRIED) } else { own };
        let mut until = now + asked.map_or(own, |asked| asked.max(own.min(HURRIED)));
        if asked.is_some() && !self.defied && hurry.is_some_and(|deadline| until > deadline) {
            self.defied = true;
            until = now + own;
        }
        self.state = State::Waiting { until, asked_by_store: asked.is_some() };
    }

    /// Somebody waits in a flush until `deadline`: own waits are cut short; one that the store asked for only if it
    /// would outlast the deadline, and then once.
    pub(super) fn hurry(&mut self, deadline: Instant, now: Instant) {
        self.hurry = self.hurry.max(Some(deadline));
        self.defied = false;
        if let State::Waiting { until, asked_by_store } = &mut self.state {
            if !*asked_by_store {
                *until = (*until).min(now + HURRIED.mul_f64(fastrand::f64() / 2.0));
            } else if *until > deadline {
                *until = now;
                self.defied = true;
            }
        }
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

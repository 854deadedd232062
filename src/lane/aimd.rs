//! How many requests a lane may have under way while its store is well: found by trying, between 1 and a setting.
//!
//! One more after a round in which the store was mostly as quick as usual and more could have been sent; a quarter fewer
//! after a round of which every request was slow; half as many when the store fails. A round is as many ended
//! requests as may be under way, all of them begun since the last change, as older ones say nothing about it.
//!
//! Time is an argument. With a setting of 1 nothing ever changes.

use std::time::Instant;

/// Where a lane begins: what is allowed by default. A store that can do more is found out within some rounds.
const FIRST: usize = 4;

/// An answer that is late by less than this is not slow, however quick the store is otherwise: a busy machine of our
/// own delays as much, and nobody waits for it.
const TOLERATED: f64 = 0.05;

/// Requests are compared with others of their size, as a small batch takes less time than a large one: one class below
/// 1 KiB, one from 2 MiB on, and one for each power of two in between.
const CLASSES: usize = 13;

pub(super) struct Aimd {
    most: usize,
    limit: usize,
    /// Begun earlier than this, a request says nothing about the limit of now.
    since: Option<Instant>,
    round: Round,
    usual: [Usual; CLASSES],
}

#[derive(Default)]
struct Round {
    ended: usize,
    slow: usize,
    /// More could have been sent.
    wanted: bool,
}

/// How long requests of a size usually take, in seconds.
#[derive(Clone, Copy, Default)]
struct Usual {
    /// Follows quick answers, and slow ones only while one request is under way at a time: what makes others slow may be
    /// that there are several.
    base: f64,
    last: f64,
    /// From one request to the next. Unlike the distance from `base` it stays small where all become slower.
    noise: f64,
    known: bool,
}

impl Usual {
    /// Whether that is slow, and remembers it.
    fn is_slow(&mut self, took: f64, is_alone: bool) -> bool {
        if !self.known {
            *self = Self { base: took, last: took, noise: 0.0, known: true };
            return false;
        }
        let is_slow = took > self.base + (self.base / 2.0).max(2.0 * self.noise).max(TOLERATED);
        self.noise += ((took - self.last).abs() - self.noise) / 8.0;
        self.last = took;
        if took < self.base || is_alone {
            self.base += (took - self.base) / 8.0;
        }
        is_slow
    }
}

impl Aimd {
    pub(super) fn new(most: usize) -> Self {
        Self { most, limit: most.min(FIRST), since: None, round: Round::default(), usual: [Usual::default(); CLASSES] }
    }

    /// How many may be under way.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// More could be sent than may be under way.
    pub(super) fn wanted(&mut self) {
        self.round.wanted = true;
    }

    /// The store took a request of that size.
    pub(super) fn took(&mut self, bytes: usize, begun: Instant, now: Instant) {
        if self.most == 1 {
            return;
        }
        let class = (bytes.max(1).ilog2() as usize).saturating_sub(9).min(CLASSES - 1);
        let is_slow = self.usual[class].is_slow(now.saturating_duration_since(begun).as_secs_f64(), self.limit == 1);
        if self.since.is_some_and(|since| begun < since) {
            return;
        }
        self.round.ended += 1;
        self.round.slow += usize::from(is_slow);
        if self.round.ended < self.limit {
            return;
        }
        // One late answer among others is the network's or the store's housekeeping.
        if self.round.slow == self.round.ended {
            self.set(self.limit - (self.limit / 4).max(1), now);
        } else if self.round.wanted && self.round.slow * 2 <= self.round.ended {
            self.set(self.limit + 1, now);
        } else {
            self.round = Round::default();
        }
    }

    /// The store could not take a request, or did not answer in time.
    pub(super) fn failed(&mut self, now: Instant) {
        self.set(self.limit / 2, now);
    }

    fn set(&mut self, limit: usize, now: Instant) {
        self.limit = limit.clamp(1, self.most);
        self.since = Some(now);
        self.round = Round::default();
    }
}

//! Segments in their order, read from the oldest on. What is settled is removed: the cursor first.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::format::{Counts, sum};
use super::segment::Segment;
use super::share::{Held, Share, Usage};
use super::{Place, Taken};
use crate::crash;

/// What the disk refused is not asked for again before this.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// So often it may fail to read a segment before that is given up.
const FAILURES: u8 = 3;

pub(super) struct Shelf {
    pub(super) share: Arc<Share>,
    /// The lock under which the files stand.
    pub(super) held: Arc<Held>,
    pub(super) usage: Arc<Usage>,
    /// Oldest first.
    pub(super) segments: VecDeque<Segment>,
    /// Cursors are made safe from a loss of power before a file is removed.
    pub(super) sync: bool,
    buffer: Vec<u8>,
    damaged: [u64; 6],
    not_before: Option<Instant>,
    failures: u8,
    /// A file could not be removed.
    pub(super) is_stuck: bool,
}

impl Shelf {
    pub(super) fn new(share: Arc<Share>, held: Arc<Held>, usage: Arc<Usage>, sync: bool) -> Self {
        Self {
            share,
            held,
            usage,
            segments: VecDeque::new(),
            sync,
            buffer: Vec::new(),
            damaged: [0; 6],
            not_before: None,
            failures: 0,
            is_stuck: false,
        }
    }

    /// Whether the disk has just refused to be read.
    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|at| now < at)
    }

    /// Reads the next batch.
    pub(super) fn take(&mut self, now: Instant) -> Option<Taken> {
        if self.is_paused(now) {
            return None;
        }
        self.not_before = None;
        loop {
            let place = (0..self.segments.len()).find(|&place| self.segments[place].is_waiting())?;
            let segment = &mut self.segments[place];
            let taken = segment.take(&*self.share.dir, &mut self.buffer, now);
            match taken {
                Ok(Some(taken)) => {
                    self.failures = 0;
                    self.collect(place);
                    self.close_others(place);
                    return Some(taken);
                }
                Ok(None) => {}
                Err(error) => {
                    if !is_short_of_something(&error) {
                        self.failures += 1;
                    }
                    if error.kind() != io::ErrorKind::NotFound && self.failures < FAILURES {
                        self.not_before = Some(now + PAUSE);
                        self.collect(place);
                        return None;
                    }
                    self.failures = 0;
                    segment.give_up();
                }
            }
            self.collect(place);
        }
    }

    /// Number and sealing time of the next batch.
    pub(super) fn peek(&mut self) -> Option<(u64, i64)> {
        for place in 0..self.segments.len() {
            if !self.segments[place].is_waiting() {
                continue;
            }
            let peeked = self.segments[place].peek(&*self.share.dir);
            self.collect(place);
            self.close_others(place);
            match peeked {
                Ok(Some(peeked)) => return Some(peeked),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
        None
    }

    pub(super) fn put_back(&mut self, place: Place) {
        if let Some(segment) = self.find(place) {
            segment.put_back(place.at);
        }
    }

    /// Takes away again what was just written; says whether it could be done.
    pub(super) fn take_back(&mut self, place: Place) -> bool {
        let share = Arc::clone(&self.share);
        let Some(segment) = self.find(place) else { return false };
        let before = segment.len;
        let is_gone = segment.take_back(&*share.dir, place.at);
        let less = before - segment.len;
        self.usage.free(&share, less);
        is_gone
    }

    /// Settles a batch. `keep_last` where the last segment is still being written.
    pub(super) fn settle(&mut self, place: Place, keep_last: bool) {
        let share = Arc::clone(&self.share);
        if let Some(segment) = self.find(place) {
            segment.settle(&*share.dir, place.at);
            if segment.is_settled() {
                self.remove_settled(keep_last);
            }
        }
    }

    fn find(&mut self, place: Place) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| u64::from(segment.name.number) == place.segment)
    }

    /// Records that are owed and not taken.
    pub(super) fn owed(&self) -> u64 {
        self.segments.iter().map(|segment| sum(&segment.waiting())).sum()
    }

    pub(super) fn damaged(&mut self) -> [u64; 6] {
        std::mem::take(&mut self.damaged)
    }

    pub(super) fn is_done(&self) -> bool {
        self.segments.iter().all(Segment::is_settled)
    }

    /// Adds a segment behind the others.
    pub(super) fn push(&mut self, segment: Segment) {
        self.segments.push_back(segment);
        self.collect(self.segments.len() - 1);
    }

    /// Counts what cannot be read.
    fn collect(&mut self, place: usize) {
        let damaged: Counts = std::mem::take(&mut self.segments[place].damaged);
        for (all, damaged) in self.damaged.iter_mut().zip(damaged) {
            *all += u64::from(damaged);
        }
    }

    /// Few files are open at once: the one that is read, and the one that is written.
    fn close_others(&mut self, open: usize) {
        let last = self.segments.len().saturating_sub(1);
        let others = self.segments.iter_mut().enumerate().filter(|(place, _)| *place != open && *place != last);
        others.for_each(|(_, segment)| segment.rest());
    }

    /// Removes the files of which nothing is owed.
    pub(super) fn remove_settled(&mut self, keep_last: bool) {
        self.is_stuck = false;
        let mut place = 0;
        while place + usize::from(keep_last) < self.segments.len() {
            if !self.segments[place].is_settled() {
                place += 1;
                continue;
            }
            self.collect(place);
            if self.remove(place).is_err() {
                self.is_stuck = true;
                place += 1;
            }
        }
    }

    fn remove(&mut self, place: usize) -> io::Result<()> {
        let dir = &*self.share.dir;
        let segment = &mut self.segments[place];
        if self.sync && !segment.is_doubtful {
            // Where that fails, some may come twice after a loss of power.
            segment.is_doubtful = segment.sync(dir).is_err();
        }
        let name = segment.name.to_string();
        crash::at("spool.delete");
        if segment.is_spoilt {
            self.share.set_aside(&name, segment.len)?;
        } else {
            unlink(dir, &name)?;
        }
        crash::at("spool.delete");
        self.usage.free(&self.share, segment.len);
        self.held.files.fetch_sub(1, Ordering::Relaxed);
        self.segments.remove(place);
        Ok(())
    }

    /// Gives up the oldest segment of which nothing is in memory.
    pub(super) fn drop_oldest(&mut self) -> Option<[u64; 6]> {
        let gone = |segment: &Segment| !segment.is_taken() && sum(&segment.waiting()) > 0;
        let place = self.segments.iter().position(gone)?;
        self.collect(place);
        let segment = &mut self.segments[place];
        let counts = segment.waiting().map(u64::from);
        segment.settle_all(&*self.share.dir);
        segment.is_spoilt = false;
        if self.remove(place).is_err() {
            self.is_stuck = true;
        }
        Some(counts)
    }
}

pub(super) fn unlink(dir: &dyn super::fs::Dir, name: &str) -> io::Result<()> {
    match dir.unlink(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether it is the process or the machine that is out of something: ENOMEM, ENFILE, EMFILE.
pub(super) fn is_short_of_something(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory || matches!(error.raw_os_error(), Some(12 | 23 | 24))
}

//! What an earlier process left for a lane, taken over file by file: none is opened before it is its turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::format::sum;
use super::name::SegmentName;
use super::segment::{Segment, Unreadable};
use super::share::{Held, Share};
use super::shelf::{PAUSE, Shelf, is_short_of_something};
use super::{Place, Source, Taken};
use crate::clock;

/// So many files that cannot be read are passed over at once.
const STEP: usize = 64;
/// So many files are asked for their length when they are adopted; the others are taken to be like these.
const MEASURED: usize = 256;
/// So often the system may refuse to open a file before it is given up.
const FAILURES: u8 = 3;

pub(super) struct Orphan {
    shelf: Shelf,
    /// Files that were not opened yet, and what they are taken to be long.
    unopened: VecDeque<(SegmentName, u64)>,
    found: u64,
    not_before: Option<Instant>,
    failures: u8,
}

impl Orphan {
    /// `names` are of one owner and one lane.
    pub(super) fn new(share: &Arc<Share>, held: &Arc<Held>, mut names: Vec<SegmentName>) -> Self {
        names.sort_unstable_by_key(|name| name.number);
        let usage = share.usage(names.first().map_or(0, |name| name.fingerprint));
        let (mut unopened, mut all) = (VecDeque::with_capacity(names.len()), 0);
        for name in names {
            let average = all / unopened.len().max(1) as u64;
            let measured = unopened.len() < MEASURED;
            let len =
                if measured { share.dir.look_at(&name.to_string()).map_or(average, |(_, len)| len) } else { average };
            // A file with holes takes none of what it says.
            let len = len.min(super::walk::LOOKED_AT);
            all += len;
            unopened.push_back((name, len));
        }
        usage.take(share, all);
        let shelf = Shelf::new(Arc::clone(share), Arc::clone(held), usage, false);
        Self { shelf, unopened, found: 0, not_before: None, failures: 0 }
    }

    /// Opens the next file; whether there is any sense in asking again at once.
    fn open_next(&mut self, now: Instant) -> bool {
        if self.not_before.take_if(|at| now >= *at).is_none() && self.not_before.is_some() {
            return false;
        }
        let Some(&(name, len)) = self.unopened.front() else { return false };
        let share = Arc::clone(&self.shelf.share);
        let opened = Segment::open(&*share.dir, name);
        if let Err(Unreadable::Later(error)) = &opened {
            if !is_short_of_something(error) {
                self.failures += 1;
            }
            if self.failures < FAILURES {
                self.not_before = Some(now + PAUSE);
                return false;
            }
        }
        self.failures = 0;
        self.unopened.pop_front();
        self.shelf.usage.free(&share, len);
        let set_aside = |why: String| {
            let gone = share.set_aside(&name.to_string(), len);
            let mut aside = share.aside();
            match gone {
                Ok(()) => {
                    self.shelf.held.files.fetch_sub(1, Ordering::Relaxed);
                    aside.untold.push((name.to_string(), why));
                }
                Err(error) => aside.pass_over(name.to_string(), format!("{why}; it cannot be set aside: {error}")),
            }
        };
        match opened {
            Ok(mut segment) => {
                segment.pass_over_gaps(&*share.dir);
                self.found += sum(&segment.waiting()) + sum(&segment.damaged);
                self.shelf.usage.take(&share, segment.len);
                self.shelf.push(segment);
                self.shelf.remove_settled(false);
            }
            Err(Unreadable::Gone) => {
                // It may be there, and empty.
                let _ = share.dir.unlink(&name.to_string());
                self.shelf.held.files.fetch_sub(1, Ordering::Relaxed);
            }
            Err(Unreadable::Refused(why)) => share.aside().pass_over(name.to_string(), why),
            Err(Unreadable::Newer(version)) => share.aside().pass_over(name.to_string(), newer(version)),
            Err(Unreadable::Bad(why)) => set_aside(why),
            Err(Unreadable::Later(error)) => set_aside(error.to_string()),
        }
        true
    }
}

/// Why a file is left as it is.
pub(super) fn newer(version: u32) -> String {
    format!("a newer version of logchute wrote it (format {version}), which can read it")
}

impl Source for Orphan {
    fn next(&mut self, now: Instant) -> Option<Taken> {
        for _ in 0..STEP {
            if let Some(taken) = self.shelf.take(now) {
                return Some(taken);
            }
            self.shelf.remove_settled(false);
            if self.shelf.is_paused(now) || !self.open_next(now) {
                return None;
            }
        }
        None
    }

    fn peek(&mut self) -> Option<(u64, i64)> {
        for _ in 0..STEP {
            if let Some(peeked) = self.shelf.peek() {
                return Some(peeked);
            }
            if self.shelf.owed() > 0 || !self.open_next(clock::now()) {
                return None;
            }
        }
        None
    }

    fn put_back(&mut self, place: Place) {
        self.shelf.put_back(place);
    }

    fn settle(&mut self, place: Place) {
        self.shelf.settle(place, false);
    }

    fn owed(&self) -> u64 {
        self.shelf.owed()
    }

    fn found(&mut self) -> u64 {
        std::mem::take(&mut self.found)
    }

    fn damaged(&mut self) -> [u64; 6] {
        self.shelf.damaged()
    }

    fn drop_oldest(&mut self) -> Option<[u64; 6]> {
        self.shelf.drop_oldest()
    }

    fn is_done(&self) -> bool {
        self.unopened.is_empty() && self.shelf.is_done()
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        let left =
            self.unopened.iter().map(|(_, len)| len).chain(self.shelf.segments.iter().map(|segment| &segment.len));
        self.shelf.usage.free(&self.shelf.share, left.sum());
    }
}

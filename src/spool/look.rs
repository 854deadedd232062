//! The search for what earlier processes left, in small steps, so that it holds up nothing however much there is.
//!
//! A round lists all names, sorts owners by age, and tries the lock of each: who gets it adopts all segments that a lane of
//! ours is meant to have, counts the others, and leaves them. At most [`ADOPTED`] owners are adopted at a time, the oldest
//! first; the next ones follow as these are done.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::adopt::{Orphan, newer};
use super::format::sum;
use super::fs::Names;
use super::name::{self, Kind, SegmentName};
use super::segment::{Segment, Unreadable};
use super::share::{Held, Share};
use super::shelf::PAUSE;
use super::{Found, state};
use crate::clock;

/// Owners that are adopted at a time; each takes a lock and the segment that is being read.
const ADOPTED: usize = 4;
/// Names that one step lists; other work counts as many of them.
const STEP: usize = 1024;
const COST_OF_LOCK: usize = 16;
const COST_OF_SEGMENT: usize = 64;
/// Names that one round notes; the others have their turn once these are gone.
const NOTED: usize = 65_536;
/// A file that is not complete is removed after this long.
const NEW_FOR: Duration = Duration::from_secs(60 * 60);

#[derive(Default)]
pub(super) struct Looking {
    phase: Phase,
    noted: BTreeMap<u128, Noted>,
    count: usize,
    /// Segments of destinations that we do not have, which were counted already: owner and fingerprint.
    counted: HashSet<(u128, u64)>,
    unknown: BTreeMap<u64, Unknown>,
    told: HashSet<u64>,
    not_before: Option<Instant>,
}

#[derive(Default)]
enum Phase {
    #[default]
    Begin,
    Listing(Names),
    /// When its lock, or a segment, was last changed; those that have that already, and those that have not.
    Aging(Vec<(i64, u128)>, Vec<u128>),
    /// Oldest last, and those that have to wait for others to be done.
    Trying(Vec<u128>, Vec<u128>),
    /// The segments of a destination that we do not have, under their lock, and what comes after.
    Counting(Arc<Held>, Vec<SegmentName>, Vec<u128>, Vec<u128>),
}

/// The files of one owner.
#[derive(Default)]
struct Noted {
    segments: Vec<SegmentName>,
    has_lock: bool,
    has_state: bool,
}

#[derive(Default)]
struct Unknown {
    label: String,
    records: u64,
    segments: usize,
}

impl Looking {
    pub(super) fn seen_all(&self, share: &Share) -> bool {
        match &self.phase {
            Phase::Begin => true,
            Phase::Trying(now, _) => now.is_empty() && share.holding() >= ADOPTED,
            _ => false,
        }
    }

    pub(super) fn look(&mut self, share: &Arc<Share>, known: &[u64], now: Instant) -> Vec<Found> {
        let mut found = Vec::new();
        if self.not_before.is_none_or(|at| now >= at) {
            self.not_before = None;
            if self.step(share, known, &mut found).is_err() {
                // The system has no more files, or the disk is gone: both may change.
                (self.phase, self.not_before) = (Phase::Begin, Some(now + PAUSE));
            }
        }
        let untold = std::mem::take(&mut share.aside().untold);
        found.extend(untold.into_iter().map(|(name, why)| Found::Bad { name, why }));
        found
    }

    fn step(&mut self, share: &Arc<Share>, known: &[u64], found: &mut Vec<Found>) -> io::Result<()> {
        let mut left = STEP;
        while left > 0 {
            left = left.saturating_sub(1);
            self.phase = match std::mem::take(&mut self.phase) {
                Phase::Begin => {
                    (self.noted, self.count) = (BTreeMap::new(), 0);
                    Phase::Listing(share.dir.list()?)
                }
                Phase::Listing(mut names) => match names.next() {
                    Some(name) => {
                        self.note(share, &name?);
                        Phase::Listing(names)
                    }
                    None => Phase::Aging(Vec::new(), self.noted.keys().copied().collect()),
                },
                Phase::Aging(mut aged, mut young) => match young.pop() {
                    Some(owner) => {
                        aged.push((self.age(share, owner), owner));
                        Phase::Aging(aged, young)
                    }
                    None => {
                        aged.sort_unstable_by(|one, other| other.cmp(one));
                        Phase::Trying(aged.into_iter().map(|(_, owner)| owner).collect(), Vec::new())
                    }
                },
                Phase::Trying(mut queue, mut later) => match queue.pop() {
                    Some(owner) => {
                        left = left.saturating_sub(COST_OF_LOCK);
                        self.try_owner(share, known, owner, found, queue, later)?
                    }
                    None => {
                        self.tell(found);
                        if later.is_empty() {
                            return Ok(());
                        }
                        if share.holding() >= ADOPTED {
                            self.phase = Phase::Trying(queue, later);
                            return Ok(());
                        }
                        later.reverse();
                        Phase::Trying(later, queue)
                    }
                },
                Phase::Counting(held, mut segments, queue, later) => match segments.pop() {
                    Some(name) => {
                        left = left.saturating_sub(COST_OF_SEGMENT);
                        self.count(share, name);
                        Phase::Counting(held, segments, queue, later)
                    }
                    None => Phase::Trying(queue, later),
                },
            };
        }
        Ok(())
    }

    fn note(&mut self, share: &Share, name: &str) {
        let owner = match name::kind(name) {
            Kind::Segment(SegmentName { owner, .. }) | Kind::Lock(owner) | Kind::State(owner) => owner,
            Kind::New => return remove_old(share, name),
            Kind::Bad => {
                if let Ok((_, len)) = share.dir.look_at(name) {
                    share.keep_aside(name.to_owned(), len);
                }
                return;
            }
            Kind::Foreign => return,
        };
        if owner == share.incarnation || share.holds(owner) || self.count >= NOTED {
            return;
        }
        self.count += 1;
        match name::kind(name) {
            Kind::Segment(segment) => {
                let is_counted = self.counted.contains(&(owner, segment.fingerprint));
                if !is_counted && !share.aside().passed_over.contains(name) {
                    self.noted.entry(owner).or_default().segments.push(segment);
                }
            }
            Kind::Lock(_) => self.noted.entry(owner).or_default().has_lock = true,
            _ => self.noted.entry(owner).or_default().has_state = true,
        }
    }

    fn age(&self, share: &Share, owner: u128) -> i64 {
        let lock = name::lock(owner);
        let segment = self.noted.get(&owner).and_then(|noted| noted.segments.first());
        let looked = share.dir.look_at(&lock).or_else(|error| match segment {
            Some(segment) => share.dir.look_at(&segment.to_string()),
            None => Err(error),
        });
        looked.map_or(i64::MAX, |(changed, _)| changed)
    }

    fn try_owner(
        &mut self,
        share: &Arc<Share>,
        known: &[u64],
        owner: u128,
        found: &mut Vec<Found>,
        queue: Vec<u128>,
        mut later: Vec<u128>,
    ) -> io::Result<Phase> {
        let Some(noted) = self.noted.get(&owner) else { return Ok(Phase::Trying(queue, later)) };
        let is_known = |segment: &SegmentName| known.contains(&segment.fingerprint);
        if share.holding() >= ADOPTED && noted.segments.iter().any(is_known) {
            later.push(owner);
            return Ok(Phase::Trying(queue, later));
        }
        let Some(noted) = self.noted.remove(&owner) else { return Ok(Phase::Trying(queue, later)) };
        // Its lock may stand there because of segments that were counted, and stay.
        let is_counted = self.counted.iter().any(|(counted, _)| *counted == owner);
        if noted.segments.is_empty() && !noted.has_state && (is_counted || !noted.has_lock) {
            return Ok(Phase::Trying(queue, later));
        }
        let lock = name::lock(owner);
        let opened = share.dir.open(&lock).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound if !noted.segments.is_empty() || noted.has_state => share.dir.create(&lock),
            _ => Err(error),
        });
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                if error.kind() == io::ErrorKind::PermissionDenied {
                    share.aside().pass_over(lock, error.to_string());
                }
                return Ok(Phase::Trying(queue, later));
            }
        };
        if !file.try_lock().unwrap_or(false) {
            return Ok(Phase::Trying(queue, later));
        }
        let files = noted.segments.len() + usize::from(is_counted);
        let held = Arc::new(Held::new(Arc::clone(share), owner, file, files));
        if noted.has_state {
            let lanes = state::read(&*share.dir, owner).unwrap_or_default();
            let _ = share.dir.unlink(&name::state(owner));
            let lost = lanes.into_iter().filter(|lane| lane.waiting + lane.in_flight > 0);
            found.extend(lost.map(|lane| Found::Lost {
                fingerprint: lane.fingerprint,
                label: lane.label,
                at_least: lane.waiting,
                in_flight: lane.in_flight,
            }));
        }
        let (ours, others): (Vec<_>, Vec<_>) = noted.segments.into_iter().partition(is_known);
        let mut by_lane = BTreeMap::<u64, Vec<SegmentName>>::new();
        ours.into_iter().for_each(|segment| by_lane.entry(segment.fingerprint).or_default().push(segment));
        found.extend(by_lane.into_iter().map(|(fingerprint, names)| Found::Orphan {
            fingerprint,
            source: Box::new(Orphan::new(share, &held, names)),
        }));
        self.counted.extend(others.iter().map(|segment| (owner, segment.fingerprint)));
        Ok(if others.is_empty() { Phase::Trying(queue, later) } else { Phase::Counting(held, others, queue, later) })
    }

    /// Counts what is in a segment that we leave.
    fn count(&mut self, share: &Share, name: SegmentName) {
        let unknown = match Segment::open(&*share.dir, name) {
            Ok(segment) => Unknown { records: sum(&segment.waiting()), segments: 1, label: segment.label },
            Err(Unreadable::Newer(version)) => return share.aside().pass_over(name.to_string(), newer(version)),
            Err(Unreadable::Refused(why) | Unreadable::Bad(why)) => {
                return share.aside().pass_over(name.to_string(), why);
            }
            Err(Unreadable::Gone | Unreadable::Later(_)) => return,
        };
        let all = self.unknown.entry(name.fingerprint).or_default();
        all.label = unknown.label;
        all.records += unknown.records;
        all.segments += unknown.segments;
    }

    /// Tells what is there for destinations that we do not have, once.
    fn tell(&mut self, found: &mut Vec<Found>) {
        for (fingerprint, Unknown { label, records, segments }) in std::mem::take(&mut self.unknown) {
            if self.told.insert(fingerprint) {
                found.push(Found::Unknown { label, records, segments });
            }
        }
    }
}

/// Removes what somebody began and did not complete.
fn remove_old(share: &Share, name: &str) {
    let now = clock::date().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
    if let Ok((changed, _)) = share.dir.look_at(name)
        && now.saturating_sub(changed) > NEW_FOR.as_nanos() as i64
    {
        let _ = share.dir.unlink(name);
    }
}

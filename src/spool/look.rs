//! The search for what earlier processes left, in small steps, so that it holds up nothing however much there is.
//!
//! A round lists all names, sorts owners by age, and tries the lock of each: who gets it adopts all segments that a lane of
//! ours is meant to have, counts the others, and leaves them. At most [`ADOPTED`] owners are adopted at a time, the oldest
//! first; the next ones follow as these are done.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::adopt::{Orphan, newer};
use super::format::sum;
use super::fs::Names;
use super::name::{self, Kind, SegmentName};
use super::segment::{Segment, Unreadable};
use super::share::{Held, Share};
use super::shelf::PAUSE;
use super::{Found, state};
use crate::clock;
use crate::crash;

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
    counted: BTreeSet<(u128, u64)>,
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
    Trying(Queue),
    /// The segments of a destination that we do not have, under their lock, and what comes after.
    Counting(Arc<Held>, Vec<SegmentName>, Queue),
}

/// Owners whose locks are to be tried.
struct Queue {
    /// Oldest last.
    now: Vec<u128>,
    /// Those that have to wait for others to be done, oldest first.
    later: VecDeque<u128>,
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
            Phase::Trying(queue) => queue.now.is_empty() && share.holding() >= ADOPTED,
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
                        let now = aged.into_iter().map(|(_, owner)| owner).collect();
                        Phase::Trying(Queue { now, later: VecDeque::new() })
                    }
                },
                Phase::Trying(mut queue) => {
                    let is_full = share.holding() >= ADOPTED;
                    if let Some(owner) = queue.now.pop() {
                        if is_full && self.is_wanted(known, owner) {
                            queue.later.push_back(owner);
                            Phase::Trying(queue)
                        } else {
                            left = left.saturating_sub(COST_OF_LOCK);
                            self.try_owner(share, known, owner, found, queue)
                        }
                    } else {
                        self.tell(found);
                        if queue.later.is_empty() {
                            return Ok(());
                        }
                        if is_full {
                            self.phase = Phase::Trying(queue);
                            return Ok(());
                        }
                        queue.now.extend(queue.later.pop_front());
                        Phase::Trying(queue)
                    }
                }
                Phase::Counting(held, mut segments, queue) => match segments.pop() {
                    Some(name) => {
                        left = left.saturating_sub(COST_OF_SEGMENT);
                        self.count(share, name);
                        Phase::Counting(held, segments, queue)
                    }
                    None => Phase::Trying(queue),
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

    /// Whether one of our lanes is meant to have something of it.
    fn is_wanted(&self, known: &[u64], owner: u128) -> bool {
        let segments = self.noted.get(&owner).map_or(&[][..], |noted| &noted.segments);
        segments.iter().any(|segment| known.contains(&segment.fingerprint))
    }

    fn try_owner(
        &mut self,
        share: &Arc<Share>,
        known: &[u64],
        owner: u128,
        found: &mut Vec<Found>,
        queue: Queue,
    ) -> Phase {
        let Some(noted) = self.noted.remove(&owner) else { return Phase::Trying(queue) };
        // Its lock may stand there because of segments that were counted, and stay.
        let is_counted = self.counted.range((owner, 0)..=(owner, u64::MAX)).next().is_some();
        if noted.segments.is_empty() && !noted.has_state && (is_counted || !noted.has_lock) {
            return Phase::Trying(queue);
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
                return Phase::Trying(queue);
            }
        };
        if !file.try_lock().unwrap_or(false) {
            return Phase::Trying(queue);
        }
        let files = noted.segments.len() + usize::from(is_counted);
        let held = Arc::new(Held::new(Arc::clone(share), owner, file, files));
        crash::at("spool.adopt");
        if noted.has_state {
            let lanes = state::read(&*share.dir, owner).unwrap_or_default();
            let _ = share.dir.unlink(&name::state(owner));
            crash::at("spool.adopt");
            let lost = lanes.into_iter().filter(|lane| lane.waiting + lane.in_flight > 0);
            found.extend(lost.map(|lane| Found::Lost {
                label: lane.label,
                at_least: lane.waiting,
                in_flight: lane.in_flight,
            }));
        }
        let (ours, others): (Vec<_>, Vec<_>) =
            noted.segments.into_iter().partition(|segment| known.contains(&segment.fingerprint));
        let mut by_lane = BTreeMap::<u64, Vec<SegmentName>>::new();
        ours.into_iter().for_each(|segment| by_lane.entry(segment.fingerprint).or_default().push(segment));
        found.extend(by_lane.into_iter().map(|(fingerprint, names)| Found::Orphan {
            fingerprint,
            source: Box::new(Orphan::new(share, &held, names)),
        }));
        self.counted.extend(others.iter().map(|segment| (owner, segment.fingerprint)));
        if others.is_empty() { Phase::Trying(queue) } else { Phase::Counting(held, others, queue) }
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
    let now = clock::nanos();
    if let Ok((changed, _)) = share.dir.look_at(name)
        && now.saturating_sub(changed) > NEW_FOR.as_nanos() as i64
    {
        let _ = share.dir.unlink(name);
    }
}

//! The worker's side of the ring: what is released, and what earlier processes left in theirs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Worker, disk};
use crate::ledger::Ledger;
use crate::queue::{Heir, Lost, Orphans, Owed};

/// Between two looks for rings whose processes are dead, if nobody waits.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where rings are, and what the destinations are called there.
pub(crate) struct Rings {
    /// Of each lane.
    fingerprints: Vec<u64>,
    orphans: Orphans,
    next_look: Option<Instant>,
}

impl Rings {
    pub(crate) fn new(dir: &Path, fingerprints: Vec<u64>) -> Self {
        Self { fingerprints, orphans: Orphans::new(dir), next_look: None }
    }
}

impl Worker {
    /// Gives the worker the directory in which rings are; its own begins with what is owed to whom.
    pub(crate) fn with_rings(mut self, rings: Rings) -> Self {
        let lanes = rings.fingerprints.iter().map(|&fingerprint| Owed { fingerprint, ..Owed::default() });
        if self.intake.queue.has_places() {
            self.intake.queue.release(&lanes.collect::<Vec<_>>(), 0);
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                let intake = Arc::clone(&self.intake);
                lane.live_in_ring(Box::new(move || intake.queue.none_in_memory(index)));
            }
        }
        Self { rings: Some(rings), ..self }
    }

    /// Frees what no lane needs any more. Above half full, what is oldest must go elsewhere: to disk, or to memory alone, but
    /// not where callers are to wait.
    pub(super) fn release_ring(&mut self, now: Instant) {
        let queue = &self.intake.queue;
        let (Some((used, size)), Some(drained), Some(rings)) = (queue.ring_used(), queue.drained_to(), &self.rings)
        else {
            return;
        };
        if let Some(place) = place_to_yield(used, size, queue.ring_tail(), drained) {
            let may_give_up = !queue.blocks();
            self.lanes.iter_mut().for_each(|lane| lane.yield_ring_before(place, may_give_up, now));
        }
        let lanes = rings.fingerprints.iter().zip(&self.lanes).map(|(&fingerprint, lane)| {
            let (waiting, in_flight) = lane.at_risk();
            Owed { fingerprint, settled: lane.oldest_kept().unwrap_or(drained), waiting, in_flight }
        });
        let lanes: Vec<_> = lanes.collect();
        let all = lanes.iter().map(|owed| owed.settled).min().unwrap_or(drained);
        queue.release(&lanes, all);
    }

    /// Takes over what a dead process left, one ring at a time.
    pub(super) fn look_for_rings(&mut self, now: Instant) {
        let Some(rings) = self.rings.as_mut().filter(|rings| rings.next_look.is_none_or(|next| now >= next)) else {
            return;
        };
        let filters = self.intake.filters.now();
        let lanes = self.lanes.iter().zip(&rings.fingerprints).enumerate();
        let heirs: Vec<Heir> =
            lanes.map(|(index, (lane, &fingerprint))| lane.heir(fingerprint, filters.of_lane(index).clone())).collect();
        let mut tell = |lost: Lost| {
            let label = match lost.heir {
                Some(heir) => self.lanes[heir].name().to_owned(),
                None => format!("a destination that is not set up now ({:016x})", lost.fingerprint),
            };
            let why = "the ring had no room for them (LOGCHUTE_QUEUE_BYTES, LOGCHUTE_SPOOL_DIR)";
            self.voice.always(&format!("{}; {why}", disk::died(&label, lost.at_least, lost.in_flight)));
        };
        let found = rings.orphans.look(&heirs, &mut tell);
        rings.next_look = if found.more { None } else { Some(now + LOOK_EVERY) };
        for (heir, share) in found.shares {
            self.lanes[heir].adopt(share, now);
        }
        found.remarks.iter().for_each(|remark| self.voice.always(remark));
    }

    /// Somebody waits: a process that just ended may have left something.
    pub(super) fn look_for_rings_soon(&mut self) {
        self.rings.iter_mut().for_each(|rings| rings.next_look = None);
    }

    /// What the end leaves in the ring, in one line.
    pub(super) fn left_in_ring(&self, ledger: &Ledger) -> Option<String> {
        let dir = self.intake.queue.ring_dir()?.display();
        let most = self.lanes.iter().map(|lane| lane.left_in_ring()).max().unwrap_or_default() + ledger.queued;
        let next = "the next process that is given this directory sends them";
        (most > 0).then(|| format!("{most} records are kept in the ring in {dir}; {next}"))
    }

    /// The last act: what is owed from the ring stays there, and where nothing is, no file does.
    pub(super) fn end_ring(&mut self, now: Instant) {
        self.release_ring(now);
        self.intake.queue.end();
    }
}

/// Before which place room is needed, so that half of the ring is free for what comes.
fn place_to_yield(used: u64, size: u64, tail: u64, drained: u64) -> Option<u64> {
    (used > size / 2).then(|| (tail - size / 2).min(drained))
}

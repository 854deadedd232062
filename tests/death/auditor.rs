//! Compares what was accepted with what the store has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use logchute::testing::Request;

use crate::record::{Key, THREADS};
use crate::scene::{Last, Scene};

/// Once by each of three processes: one that dies after the store has it, another while it brings that again, and one
/// that ends well.
const DELIVERIES: usize = 3;

/// What came of some stories.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) deaths: u64,
    pub(crate) accepted: u64,
    pub(crate) lost: u64,
    /// Deliveries beyond the first, each with the same id.
    pub(crate) again: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { deaths, accepted, lost, again } = other;
        self.deaths += deaths;
        self.accepted += accepted;
        self.lost += lost;
        self.again += again;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deaths, accepted, lost, again } = self;
        write!(f, "{deaths} deaths, {accepted} records accepted, {lost} lost, {again} delivered again")
    }
}

/// A record in the store.
struct Delivery {
    /// The run of the process that brought it.
    by: u64,
    id: String,
    time: i64,
    raw: serde_json::Value,
}

/// What the store has, each record sound by itself.
pub(crate) struct Audit {
    seed: u64,
    delivered: BTreeMap<Key, Vec<Delivery>>,
    /// By run and thread.
    accepted: Vec<[u64; THREADS as usize]>,
}

impl Audit {
    /// Reads the store.
    ///
    /// # Panics
    ///
    /// Where a record is there that nobody logged, or not as it was logged; where two records share an id, or two
    /// deliveries of one differ; where a process brings a record twice; where the order of a thread is lost.
    pub(crate) fn of(scene: &Scene) -> Self {
        let accepted = (0..scene.runs()).map(|run| scene.counts(run)).collect();
        let mut audit = Self { seed: scene.seed, delivered: BTreeMap::new(), accepted };
        for request in scene.store.requests() {
            assert_eq!(request.fault(), None, "a request that could not be read");
            if request.status().is_some_and(|status| status < 300) {
                audit.take(&request);
            }
        }
        audit.check_counts();
        audit.check_safe(scene);
        audit.check_ids();
        audit.check_deliveries(scene.runs(), scene.keeps.copies());
        audit.check_order();
        audit
    }

    fn take(&mut self, request: &Request) {
        let by = request.path().split("by=").nth(1).and_then(|by| by.parse().ok());
        let by = by.unwrap_or_else(|| panic!("{} does not say by whom", request.path()));
        for record in request.records() {
            let checked = Key::check(self.seed, record).unwrap_or_else(|what| panic!("{what}: {}", record.raw));
            let Some(key) = checked else { continue };
            let id = record.id.clone().unwrap_or_else(|| panic!("{key:?} has no id"));
            let time = record.time_nanos.unwrap_or_else(|| panic!("{key:?} has no time"));
            self.delivered.entry(key).or_default().push(Delivery { by, id, time, raw: record.raw.clone() });
        }
    }

    /// At the moment of death each thread may have been between the return of the call and the note of it.
    fn check_counts(&self) {
        for key in self.delivered.keys() {
            let run = self.accepted.get(key.run as usize).unwrap_or_else(|| panic!("{key:?} is of no run"));
            let accepted = run[key.thread as usize];
            assert!(key.n <= accepted, "{key:?} was not even begun: {accepted} were accepted");
        }
    }

    /// What a process had called safe is there.
    fn check_safe(&self, scene: &Scene) {
        for run in 0..scene.runs() {
            let (safe, there) = (scene.safe(run), self.delivered.keys().filter(|key| key.run == run).count() as u64);
            assert!(
                there >= safe,
                "of run {run}, {safe} were with the store or on disk when it died, and {there} arrived"
            );
        }
    }

    fn check_ids(&self) {
        let (mut ids, mut incarnations) = (BTreeMap::new(), BTreeMap::new());
        for (key, deliveries) in &self.delivered {
            for delivery in deliveries {
                let other = ids.insert(&delivery.id, key).unwrap_or(key);
                assert_eq!(other, key, "two records have the id {}", delivery.id);
                let (incarnation, _) = delivery.id.split_once('-').expect("an id of two parts");
                let other = incarnations.insert(incarnation, key.run).unwrap_or(key.run);
                assert_eq!(other, key.run, "two processes have the incarnation {incarnation}");
            }
        }
        let runs: BTreeSet<u64> = self.delivered.keys().map(|key| key.run).collect();
        assert_eq!(incarnations.len(), runs.len(), "each process has one incarnation: {incarnations:#?}");
    }

    fn check_deliveries(&self, runs: u64, copies: usize) {
        for (key, deliveries) in &self.delivered {
            let shown = || deliveries.iter().map(|one| (one.by, &one.raw)).collect::<Vec<_>>();
            let same = deliveries.iter().all(|one| one.id == deliveries[0].id && one.raw == deliveries[0].raw);
            assert!(same, "{key:?} is not the same each time: {:#?}", shown());
            let brought = |by: u64| deliveries.iter().filter(|one| one.by == by).count();
            let too_often = deliveries.iter().map(|one| one.by).find(|&by| brought(by) > copies);
            assert_eq!(too_often, None, "a process brought {key:?} too often: {:#?}", shown());
            // In a long chain, or a crowd, each death may cost one more, whoever it hits.
            let most = DELIVERIES.max(runs as usize) * copies;
            assert!(deliveries.len() <= most, "{key:?} was brought {} times: {:#?}", deliveries.len(), shown());
        }
    }

    /// By time and id, which is what a store can sort by.
    fn check_order(&self) {
        let mut threads: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, deliveries) in &self.delivered {
            let (time, id) = (deliveries[0].time, deliveries[0].id.as_str());
            threads.entry((key.run, key.thread)).or_default().push((time, id, key.n));
        }
        for (thread, mut records) in threads {
            records.sort_unstable();
            let wrong = records.windows(2).find(|pair| pair[0].2 > pair[1].2);
            assert_eq!(wrong, None, "run and thread {thread:?} are out of order");
        }
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.iter().flatten().sum()
    }

    /// What was accepted and is not in the store.
    pub(crate) fn lost(&self) -> Vec<Key> {
        let accepted = self.accepted.iter().zip(0..).flat_map(|(counts, run)| {
            counts.iter().zip(0..).flat_map(move |(&count, thread)| (0..count).map(move |n| Key { run, thread, n }))
        });
        accepted.filter(|key| !self.delivered.contains_key(key)).collect()
    }

    #[track_caller]
    pub(crate) fn assert_nothing_lost(&self) {
        let lost = self.lost();
        let mut threads: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        lost.iter().for_each(|key| threads.entry((key.run, key.thread)).or_default().push(key.n));
        let shown: Vec<_> = threads
            .iter()
            .map(|(&(run, thread), lost)| {
                let (all, from, to) = (self.accepted[run as usize][thread as usize], lost[0], lost[lost.len() - 1]);
                let brought = self.brought(run, thread);
                format!("run {run} thread {thread}: {} of {all}, from {from} to {to}; {brought}", lost.len())
            })
            .collect();
        assert!(lost.is_empty(), "{} of {} accepted records are lost: {shown:#?}", lost.len(), self.accepted());
    }

    /// Which processes brought which records of a thread.
    fn brought(&self, run: u64, thread: u64) -> String {
        let mut by: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        for (key, deliveries) in self.delivered.iter().filter(|(key, _)| (key.run, key.thread) == (run, thread)) {
            for delivery in deliveries {
                let ranges = by.entry(delivery.by).or_default();
                match ranges.last_mut() {
                    Some(last) if last.1 + 1 == key.n => last.1 = key.n,
                    _ => ranges.push((key.n, key.n)),
                }
            }
        }
        let each = by.iter().map(|(by, ranges)| format!("run {by} brought {ranges:?}"));
        each.collect::<Vec<_>>().join(", ")
    }

    /// Of each thread, only the newest are missing.
    pub(crate) fn assert_lost_are_the_newest(&self) {
        for key in self.lost() {
            let newer = (key.n + 1..=self.accepted[key.run as usize][key.thread as usize])
                .map(|n| Key { n, ..key })
                .find(|newer| self.delivered.contains_key(newer));
            assert_eq!(newer, None, "{key:?} is lost, and is older than this");
        }
    }

    /// For the record.
    pub(crate) fn tally(&self) -> Tally {
        let again = self.delivered.values().map(|deliveries| deliveries.len() as u64 - 1).sum();
        let deaths = self.accepted.len() as u64 - 1;
        Tally { deaths, accepted: self.accepted(), lost: self.lost().len() as u64, again }
    }

    /// No less than this many bytes are lost.
    pub(crate) fn lost_bytes(&self) -> u64 {
        self.lost().into_iter().map(|key| key.message(self.seed).len() as u64).sum()
    }

    /// Holds the last process's ledger against what is known of it from outside.
    pub(crate) fn check_ledger(&self, last: &Last) {
        let ledger = &last.ledger;
        assert_eq!(ledger["balances"], true, "{ledger:#}");
        assert_eq!(ledger["destinations"].as_array().map(Vec::len), Some(1), "{ledger:#}");
        let accepted: u64 = self.accepted[last.run as usize].iter().sum();
        assert_eq!(last.count("/emitted") - last.count("/own"), accepted, "{ledger:#}");
        let brought = |of_others: bool| {
            let by_last = |one: &&Delivery| one.by == last.run;
            let keys = self.delivered.iter().filter(|(key, _)| (key.run != last.run) == of_others);
            keys.flat_map(|(_, deliveries)| deliveries.iter().filter(by_last)).count() as u64
        };
        assert_eq!(brought(false), accepted, "its own are all there, once: {ledger:#}");
        // A death in the middle of a write leaves a batch of which the head is there, and counted, and the rest is not.
        let torn = ledger.pointer("/destinations/0/dropped/damaged").and_then(serde_json::Value::as_object);
        let torn: u64 = torn.into_iter().flat_map(|counts| counts.values()).filter_map(serde_json::Value::as_u64).sum();
        assert_eq!(last.count("/destinations/0/adopted"), brought(true) + torn, "{ledger:#}");
        assert_eq!(
            last.count("/destinations/0/delivered"),
            brought(true) + accepted + last.count("/own"),
            "{ledger:#}"
        );
        assert_eq!(
            last.count("/destinations/0/owed_memory") + last.count("/destinations/0/owed_disk"),
            0,
            "{ledger:#}"
        );
    }
}

//! How a whole lane drains what an outage left behind while records keep coming, in virtual time and without a network:
//! requests are ended by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Lane, LaneParts, Outcome};
use crate::backend::{Backend, Batch, Facts, Payload, Reply};
use crate::batch::Origin;
use crate::capture::Record;
use crate::config::{BacklogOverflow, Compression, LaneSettings};
use crate::frame::{RecordId, Severity};
use crate::ledger::Reason;
use crate::resource::Resource;
use crate::voice::Voice;
use crate::wire::{Client, Options};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// What a record takes in a request.
const BYTES: usize = 1_000;

/// A second's records while they keep coming.
const LIVE: u64 = 100;

struct Lines(Facts);

impl Backend for Lines {
    fn facts(&self) -> Facts {
        self.0.clone()
    }

    fn url(&self) -> &str {
        "http://localhost/"
    }

    fn cost(&self, _: &crate::frame::RecordRef<'_>) -> usize {
        BYTES
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        Payload::post("text/plain", vec![b'x'; batch.len() * BYTES])
    }
}

struct Scene {
    in_flight: usize,
    facts: Facts,
    /// The store is away from the beginning up to then, and records come up to then at least.
    away: u64,
    live_for: u64,
    /// What a request takes, in nanoseconds, by its bytes and by how many are under way with it.
    takes: fn(u64, u64) -> u64,
}

impl Default for Scene {
    fn default() -> Self {
        // 50 ms, and 2 MB a second for all requests together: twenty times what comes.
        let takes = |bytes, together| 50 * MS + bytes * together * 500;
        Self { in_flight: 4, facts: Facts::new("lines"), away: 120 * SECOND, live_for: 60 * SECOND, takes }
    }
}

/// Nanoseconds since the beginning: when a record came, and when it was delivered, by delivery.
struct Outcomes {
    delivered: Vec<(u64, u64)>,
    dropped: u64,
    emitted: u64,
    /// The first delivery after the outage.
    back: u64,
}

impl Scene {
    fn play(self) -> Outcomes {
        fastrand::seed(2);
        let origin = Instant::now();
        let voice = Arc::new(Voice::new(Some(Arc::new(|_: &str| {}))));
        let mut lane = Lane::new(LaneParts {
            index: 0,
            name: "lines".into(),
            backend: Arc::new(Lines(self.facts)),
            client: Client::new(Options { url: "http://localhost/".into(), ..Options::default() }).unwrap(),
            schedule: None,
            origin: Arc::new(Origin { incarnation: 0, resource: Resource::new("checkout") }),
            settings: LaneSettings {
                backlog_bytes: 16 << 20,
                backlog_overflow: BacklogOverflow::DropOldest,
                batch_bytes: 1 << 20,
                in_flight: self.in_flight,
                linger: Duration::from_millis(200),
                timeout: Duration::from_secs(10),
                retry_for: Duration::from_secs(24 * 60 * 60),
                compression: Compression::None,
                ..LaneSettings::default()
            },
            voice,
        });
        let frame = Record::new(Severity::Info, "x".repeat(BYTES)).into_own_frame();
        let (mut now, mut emitted, mut delivered) = (0, 0, Vec::new());
        let mut ends = BTreeMap::new();
        while now < self.away + self.live_for || lane.owed() > 0 {
            let at = |nanos: u64| origin + Duration::from_nanos(nanos);
            let over: Vec<_> = ends.range(..=(now, u64::MAX)).map(|(&end, &status)| (end, status)).collect();
            for ((end, number), status) in over {
                ends.remove(&(end, number));
                if status == 200 {
                    let job = lane.flights.jobs().find(|job| job.number == number).unwrap();
                    let records = job.next().records();
                    delivered.extend(records.map(|record| (record.id().sequence, end)));
                }
                lane.end(Outcome { lane: 0, job: number, result: Ok(Reply::new(status, "")) }, at(now));
            }
            if now < self.away + self.live_for && now % (SECOND / LIVE) == 0 {
                // Its sequence says when it came.
                let id = RecordId { incarnation: 0, sequence: now };
                lane.take(&frame, id, now as i64, at(now));
                emitted += 1;
            }
            lane.tick(at(now), drop);
            for (place, flight) in lane.flights.iter().enumerate() {
                let number = flight.job.number;
                if ends.keys().all(|(_, known)| *known != number) {
                    let (takes, status) = match now < self.away {
                        true => (5 * MS, 503),
                        false => ((self.takes)(flight.payload_bytes as u64, place as u64 + 1), 200),
                    };
                    ends.insert((now + takes, number), status);
                }
            }
            now += 5 * MS;
        }
        let back = delivered.iter().map(|(_, end)| *end).min().unwrap();
        Outcomes { delivered, dropped: lane.counts.dropped.of(Reason::BacklogFull), emitted, back }
    }
}

impl Outcomes {
    /// The longest way of those that came since the outage was seen to be over.
    fn live_delay(&self) -> Duration {
        let live = self.delivered.iter().filter(|(came, _)| *came >= self.back);
        Duration::from_nanos(live.map(|(came, end)| end - came).max().unwrap())
    }

    /// How many of those that came before that were delivered, per second until the last of them was.
    fn drained(&self) -> f64 {
        let old = || self.delivered.iter().filter(|(came, _)| *came < self.back);
        let end = old().map(|(_, end)| *end).max().unwrap();
        old().count() as f64 / ((end - self.back).max(MS) as f64 / SECOND as f64)
    }

    /// How much older than the newest that the store had a record was at most.
    fn behind(&self) -> Duration {
        let mut newest = 0;
        let behind = self.delivered.iter().map(|(came, _)| {
            newest = newest.max(*came);
            newest - came
        });
        Duration::from_nanos(behind.max().unwrap())
    }

    #[track_caller]
    fn assert_all_there(&self) {
        let mut came: Vec<_> = self.delivered.iter().map(|(came, _)| *came).collect();
        came.sort_unstable();
        came.dedup();
        assert_eq!((came.len(), came.len() as u64 + self.dropped), (self.delivered.len(), self.emitted));
    }
}

#[test]
fn a_backlog_drains_at_five_times_the_live_rate_and_live_records_take_two_seconds_at_most() {
    let stores: [fn(u64, u64) -> u64; 4] = [
        // Wide, twenty times what comes, and ten times.
        |_, _| 5 * MS,
        |bytes, together| 50 * MS + bytes * together * 500,
        |bytes, together| 50 * MS + bytes * together * 1_000,
        // Slow to answer, whatever the size; and slower yet if it is asked for more than two things at a time.
        |_, together| 500 * MS * together.max(2) / 2,
    ];
    for (store, takes) in stores.into_iter().enumerate() {
        for in_flight in [2, 4, 16] {
            let outcomes = Scene { in_flight, takes, ..Scene::default() }.play();
            outcomes.assert_all_there();
            let (drained, delay) = (outcomes.drained(), outcomes.live_delay());
            assert!(drained >= 5.0 * LIVE as f64, "store {store}, {in_flight}: {drained:.0} a second");
            assert!(delay <= Duration::from_secs(2), "store {store}, {in_flight}: {delay:?}");
        }
    }
}

#[test]
fn with_one_request_at_a_time_a_backlog_drains_in_order() {
    let outcomes = Scene { in_flight: 1, ..Scene::default() }.play();
    outcomes.assert_all_there();
    assert_eq!(outcomes.behind(), Duration::ZERO);
    assert!(outcomes.drained() >= 5.0 * LIVE as f64);
}

#[test]
fn live_records_wait_where_the_store_would_refuse_older_ones_after_them() {
    let passing = Scene::default().play().behind();
    assert!(passing > Duration::from_secs(100), "{passing:?}");
    for within in [Duration::ZERO, Duration::from_secs(10), Duration::from_secs(60)] {
        let outcomes = Scene { facts: Facts::new("lines").reorder_within(within), ..Scene::default() }.play();
        outcomes.assert_all_there();
        // Two batches that are in flight together may end the other way round, and each holds ten seconds.
        let behind = outcomes.behind();
        assert!(behind <= within.max(Duration::from_secs(21)), "{within:?}: {behind:?}");
    }
}

#[test]
fn more_than_the_store_takes_is_dropped_from_the_old_end_and_the_rest_arrives() {
    // Half of what comes.
    let takes = |bytes, together| 10 * MS + bytes * together * 20_000;
    let outcomes = Scene { takes, live_for: 400 * SECOND, ..Scene::default() }.play();
    outcomes.assert_all_there();
    assert!(outcomes.dropped > 0, "nothing was dropped");
    let last = outcomes.delivered.iter().map(|(came, _)| *came).max().unwrap();
    assert_eq!(last, 520 * SECOND - SECOND / LIVE, "the newest is kept");
}

//! Two lanes that are fed alike, in virtual time and without a network: one store is dead for ten minutes, and what the
//! other one gets, and when, is what it would get alone.
//!
//! That nothing stands between the lanes on the worker, either, is shown with real stores in `tests/it/lanes.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Lane, LaneParts, Outcome};
use crate::backend::{Ndjson, Reply};
use crate::batch::Origin;
use crate::capture::Record;
use crate::config::LaneSettings;
use crate::frame::Severity;
use crate::ledger::Reason;
use crate::numbers::Numbers;
use crate::resource::Resource;
use crate::voice::Voice;
use crate::wire::{Client, Failure, FailureKind, Options};

/// The worker looks at its lanes this often here; a record comes each time.
const STEP: Duration = Duration::from_millis(10);
const STEPS: u32 = 60_000;

fn settings() -> LaneSettings {
    LaneSettings { backlog_bytes: 1 << 20, batch_bytes: 64 << 10, ..LaneSettings::default() }
}

fn lane(index: usize) -> Lane {
    const URL: &str = "http://127.0.0.1:9/";
    Lane::new(LaneParts {
        index,
        name: index.to_string(),
        backend: Arc::new(Ndjson::new(URL)),
        client: Client::new(Options { url: URL.into(), ..Options::default() }).unwrap(),
        schedule: None,
        origin: Arc::new(Origin { incarnation: 1, resource: Resource::new("checkout") }),
        settings: settings(),
        voice: Arc::new(Voice::new(Some(Arc::new(|_: &str| {})))),
    })
}

/// How long each record waited for its request, in the lane beside which `neighbour` runs.
fn waits(mut neighbour: Option<&mut Lane>) -> Vec<Duration> {
    let origin = Instant::now();
    let (mut well, mut numbers) = (lane(1), Numbers::new(1, false));
    let (mut came, mut waits, mut hanging) = (Vec::new(), Vec::new(), Vec::<(u64, Instant)>::new());
    let frame = Record::new(Severity::Info, "x".repeat(500)).into_own_frame();
    for step in 1..=STEPS {
        let now = origin + STEP * step;
        let (id, nanos) = numbers.next(frame.nanos(), None);
        came.push(now);
        if let Some(dead) = neighbour.as_deref_mut() {
            dead.take(&frame, id, nanos, now);
            dead.tick(now, drop);
            // Its store never answers, so that each attempt lasts until its limit.
            for number in dead.flights.jobs().map(|job| job.number) {
                if hanging.iter().all(|(known, _)| *known != number) {
                    hanging.push((number, now + settings().timeout));
                }
            }
            for (number, _) in hanging.extract_if(.., |(_, over)| now >= *over) {
                let failure = Failure { kind: FailureKind::Timeout, text: "no answer".into() };
                dead.end(Outcome { lane: 0, job: number, result: Err(failure) }, now);
            }
        }
        well.take(&frame, id, nanos, now);
        well.tick(now, drop);
        let under_way: Vec<_> = well.flights.jobs().map(|job| job.number).collect();
        let before = well.counts.delivered;
        for number in under_way {
            well.end(Outcome { lane: 1, job: number, result: Ok(Reply::new(200, "")) }, now);
        }
        let delivered = (well.counts.delivered - before) as usize;
        waits.extend(came.drain(..delivered).map(|came| now - came));
    }
    assert!(came.len() <= 21, "{} records are owed, which is more than come within a linger", came.len());
    assert_eq!(well.counts.dropped.total(), 0);
    waits
}

#[test]
fn ten_minutes_of_a_dead_store_change_nothing_for_its_neighbour() {
    let mut dead = lane(0);
    let (alone, beside) = (waits(None), waits(Some(&mut dead)));
    assert_eq!(alone, beside);
    assert!(beside.iter().max().is_some_and(|most| *most <= settings().linger + STEP), "{:?}", beside.iter().max());
    // The dead one is full, and within its bounds.
    let (owed, lost) = (dead.owed(), dead.counts.dropped.of(Reason::BacklogFull));
    assert_eq!((dead.counts.delivered, owed + lost), (0, u64::from(STEPS)));
    assert!(owed > 500 && lost > u64::from(STEPS) / 2, "{owed} owed, {lost} dropped");
    let held = dead.flights.held_bytes()
        + dead.backlog.waiting_bytes()
        + dead.batcher.open().map_or(0, |open| open.held_bytes());
    assert!(held <= settings().backlog_bytes, "{held} bytes");
}

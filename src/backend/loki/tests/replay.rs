//! Records that come late: the streams that they go to.

use super::*;
use crate::batch::{Batch, Batcher, Limits, Mode, Origin, Places};
use crate::frame::RecordId;
use std::sync::Arc;
use std::time::Instant;

const HOUR: i64 = 3_600_000_000_000;

/// What both encodings say of these records at these times, in that mode.
fn entries_at(backend: &Loki, frames: &[Frame], times: &[i64], mode: Mode) -> Vec<Entry> {
    let limits = Limits { cost: usize::MAX, records: usize::MAX, bytes: usize::MAX, linger: Duration::ZERO };
    let origin = Arc::new(Origin { incarnation: corpus::INCARNATION, resource: resource() });
    let mut batcher = Batcher::new(origin, limits);
    for ((frame, &nanos), sequence) in frames.iter().cycle().zip(times).zip(1..) {
        let id = RecordId { incarnation: corpus::INCARNATION, sequence };
        assert!(batcher.add(frame, id, nanos, 0, Instant::now()).is_none());
    }
    let stored = batcher.seal().unwrap();
    let body = |encoding| {
        let batch = Batch::new(&stored, Places::Range(0, stored.len())).in_mode(mode);
        backend.clone().encoding(encoding).encode(&batch).bytes().to_vec()
    };
    let entries = parse_protobuf(&body(Encoding::Protobuf));
    assert_eq!(entries, parse_json(&body(Encoding::Json)));
    entries
}

#[test]
fn late_records_have_streams_of_their_own_and_are_else_the_same() {
    let plain = entries_at(&loki(), &ordinary(), &[TIME; 3], Mode::Plain);
    let replayed = entries_at(&loki(), &ordinary(), &[TIME; 3], Mode::Replay);
    assert_eq!(plain.len(), replayed.len());
    for (plain, mut replayed) in plain.into_iter().zip(replayed) {
        assert_eq!(replayed.labels.remove("replay").as_deref(), Some("true"));
        assert_eq!(replayed.labels.remove("replay_hour").as_deref(), Some("2026-11-24T08"));
        assert_eq!(replayed, plain);
    }
}

#[test]
fn no_late_record_of_a_stream_is_an_hour_older_than_another() {
    // From before 1970 to the end of what can be said, and some hours of one outage.
    let mut times = vec![i64::MIN, -1, 0, HOUR - 1, HOUR, i64::MAX];
    times.extend((0..40).map(|step| TIME - step * HOUR / 7));
    let backend = loki().promote("k");
    let frames = [frame(Severity::Info, "m", |w| put(w, "k", Value::I64(1)))];
    let entries = entries_at(&backend, &frames, &times, Mode::Replay);
    assert_eq!(entries.len(), times.len());
    let mut streams: std::collections::BTreeMap<_, (i64, i64)> = std::collections::BTreeMap::new();
    for entry in &entries {
        let span = streams.entry(&entry.labels).or_insert((entry.nanos, entry.nanos));
        *span = (span.0.min(entry.nanos), span.1.max(entry.nanos));
    }
    assert!(streams.values().all(|(oldest, newest)| newest - oldest < HOUR), "{streams:?}");
    assert!(streams.len() <= 6 + 7, "{streams:?}");
}

#[test]
fn late_records_keep_within_the_labels_that_loki_allows_and_take_no_field() {
    let names: Vec<_> = (0..20).map(|n| format!("p{n}")).collect();
    let backend = names.iter().fold(loki().promote("replay").promote("replay_hour"), |to, name| to.promote(name));
    let frames = [frame(Severity::Info, "m", |w| {
        names.iter().for_each(|name| put(w, name, Value::Str("v")));
        put(w, "replay", Value::Str("theirs"));
        put(w, "replay_hour", Value::Str("theirs"));
    })];
    let entry = &entries_at(&backend, &frames, &[TIME], Mode::Replay)[0];
    // `service_name` does not count.
    assert_eq!(entry.labels.len(), 15 + 1, "{:?}", entry.labels);
    assert_eq!((entry.get("field_replay"), entry.get("field_replay_hour")), (Some("theirs"), Some("theirs")));
}

#[test]
fn loki_replays_what_victorialogs_takes_in_any_order() {
    assert_eq!(loki().facts().replays_older_than(), Some(Duration::from_secs(50 * 60)));
    assert_eq!(Loki::new("http://vl/insert").facts().replays_older_than(), None);
}

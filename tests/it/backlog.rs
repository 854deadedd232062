//! An outage fills the backlog: it is bounded, and who loses is counted.

use std::time::Duration;

use logchute::testing::{Answer, Store};
use logchute::{BacklogOverflow, Builder, DestinationState, Handle, Reason, Record, Severity};

use crate::common::{
    Every, LONG, Plain, alone, books, dropped, emit, ms, number, numbers, record, resident, settle, to, until,
};

const KIB: usize = 1 << 10;
const BACKLOG: usize = 256 * KIB;

/// A store that is away, and asked again only when somebody waits in a flush.
fn away(overflow: BacklogOverflow) -> (Store, Builder) {
    let store = Store::refusing();
    let destination = logchute::Destination::new(Plain::to(&store)).retry(Every(Duration::from_secs(60 * 60)));
    let builder = to(destination).0.backlog_bytes(BACKLOG).batch_bytes(16 * KIB).backlog_overflow(overflow);
    (store, builder)
}

/// Waits until all that was emitted has reached the lane.
fn drained(logs: &Handle) {
    until("all is drained", || {
        let ledger = logs.ledger();
        ledger.queued == 0 && ledger.drained == ledger.emitted
    });
}

fn is_away(logs: &Handle) {
    logs.emit(Record::new(Severity::Error, "the first that fails"));
    until("the outage is known", || logs.health().destinations[0].state == DestinationState::Retrying);
}

fn padded(seq: usize) -> Record {
    record(1, seq).field("x", "x".repeat(200))
}

fn fill(logs: &Handle, count: usize) {
    for seq in 1..=count {
        logs.emit(padded(seq));
        if seq % 1_000 == 0 {
            drained(logs);
        }
    }
    drained(logs);
}

fn outage(overflow: BacklogOverflow) -> Vec<usize> {
    let (store, builder) = away(overflow);
    let logs = builder.start().unwrap();
    is_away(&logs);
    fill(&logs, 5_000);
    let owed = logs.ledger().destinations[0].owed_memory;
    assert!(owed > 300 && owed < 1_000, "{owed}");
    store.come_back();
    let report = settle(&logs);
    let (ledger, lost) = (report.ledger(), dropped(&report, Reason::BacklogFull));
    assert_eq!(ledger.emitted - ledger.own, 5_001, "{report}");
    assert_eq!(books(&report), (store.count() as u64, 0, lost), "{report}");
    assert_eq!(store.count() as u64 + lost, ledger.emitted, "{report}");
    assert_eq!(store.distinct(), store.count());
    assert!(ledger.own > 0, "it is told in the stream: {report}");
    numbers(&store.records()).remove(&1).unwrap()
}

#[test]
fn p2_a_full_backlog_keeps_the_newest() {
    let kept = outage(BacklogOverflow::DropOldest);
    assert_eq!(kept, (5_001 - kept.len()..=5_000).collect::<Vec<_>>());
}

#[test]
fn p2_a_full_backlog_keeps_the_oldest_where_that_is_asked_for() {
    let kept = outage(BacklogOverflow::DropNewest);
    assert_eq!(kept, (1..=kept.len()).collect::<Vec<_>>());
}

#[test]
fn p2_a_record_that_never_fits_takes_nothing_else_with_it() {
    let (store, builder) = away(BacklogOverflow::DropOldest);
    let logs = builder.start().unwrap();
    is_away(&logs);
    fill(&logs, 300);
    let large = (0..4).fold(record(2, 1), |large, n| large.field(format!("x{n}"), "x".repeat(200 * KIB)));
    logs.emit(large);
    drained(&logs);
    store.come_back();
    let report = settle(&logs);
    assert_eq!(dropped(&report, Reason::BacklogFull), 1, "{report}");
    assert_eq!(numbers(&store.records())[&1].len(), 300);
}

#[test]
fn p4_an_outage_does_not_grow_memory_beyond_the_backlog() {
    alone("backlog::p4_an_outage_does_not_grow_memory_beyond_the_backlog", || {
        for overflow in [BacklogOverflow::DropOldest, BacklogOverflow::DropNewest] {
            let (store, builder) = away(overflow);
            let logs = builder.backlog_bytes(4 << 20).queue_bytes(1 << 20).start().unwrap();
            is_away(&logs);
            let before = resident();
            fill(&logs, 40_000);
            let grown = resident().saturating_sub(before);
            assert!(grown < 8 << 20, "{grown} bytes more");
            // Large ones as well.
            for seq in 1..=200 {
                logs.emit(record(2, seq).field("x", "x".repeat(200 * KIB)));
                drained(&logs);
            }
            let grown = resident().saturating_sub(before);
            assert!(grown < 10 << 20, "{grown} bytes more");
            store.come_back();
            let report = settle(&logs);
            assert_eq!(books(&report).0, store.count() as u64, "{report}");
        }
    });
}

#[test]
fn p2_what_is_owed_for_too_long_is_dropped_as_expired() {
    let store = Store::refusing();
    let logs = to(Plain::to(&store).batches_of(10).quick()).0.retry_for(ms(100)).start().unwrap();
    emit(&logs, 100);
    // Nothing but time settles them.
    let report = logs.flush(LONG);
    assert!(report.settled() && report.ledger().balances(), "{report}");
    assert_eq!(dropped(&report, Reason::Expired), 100, "{report}");
    store.come_back();
    for seq in 101..=150 {
        logs.emit(record(1, seq));
    }
    let report = settle(&logs);
    assert_eq!(store.records().iter().filter_map(number).count(), 50, "{report}");
    assert_eq!(dropped(&report, Reason::Expired), 100, "{report}");
    assert_eq!(books(&report).0, store.count() as u64, "{report}");
}

#[test]
fn p2_without_retries_each_batch_is_tried_once() {
    let well = Store::new();
    let logs = to(Plain::to(&well).batches_of(10).quick()).0.retry_for(Duration::ZERO).start().unwrap();
    emit(&logs, 1_000);
    let report = settle(&logs);
    assert_eq!((books(&report), well.count()), ((1_000, 0, 0), 1_000), "{report}");

    let busy = Store::answering([Answer::unavailable()]);
    let logs = to(Plain::to(&busy).quick()).0.retry_for(Duration::ZERO).start().unwrap();
    emit(&logs, 10);
    let report = logs.flush(LONG);
    assert!(report.settled(), "{report}");
    assert_eq!((busy.request_count(), dropped(&report, Reason::Expired)), (1, 10), "{report}");
}

#[test]
fn p6_what_is_still_owed_at_the_end_is_dropped_as_deadline() {
    let (store, builder) = away(BacklogOverflow::DropOldest);
    let logs = builder.start().unwrap();
    is_away(&logs);
    fill(&logs, 100);
    let report = logs.shutdown(ms(50));
    assert!(!report.settled() && report.ledger().balances(), "{report}");
    assert_eq!((dropped(&report, Reason::Deadline), report.ledger().unsettled()), (101, 0), "{report}");
    assert_eq!(store.count(), 0);
}

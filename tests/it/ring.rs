//! The crash-proof ring through the public interface: an end with the store down and who comes after it, an outage that is
//! larger than the ring, and a directory that cannot have one.
//!
//! A second pipeline of this process stands for the next process; that a killed one is followed likewise is shown by
//! `tests/death`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use logchute::testing::Store;
use logchute::{Acceptance, Builder, Overflow, Reason, Record, Severity};

use crate::common::{Diary, LONG, Plain, all_there, close, emit, ms, record, to, until};

const KIB: usize = 1 << 10;

/// A directory of the test's own, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("logchute-it-ring-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn rings(&self) -> usize {
        fs::read_dir(self.0.join("ring")).map_or(0, Iterator::count)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A pipeline to that store, tried again each millisecond, with a ring of 64 KiB.
fn ringed(store: &Store, dir: &Dir) -> (Builder, Diary) {
    let (builder, diary) = to(Plain::to(store).quick());
    (builder.ring_dir(dir.0.join("ring")).queue_bytes(64 * KIB).linger(ms(5)), diary)
}

#[test]
fn d5_what_is_owed_at_the_end_stays_in_the_ring_and_the_next_process_sends_it() {
    let dir = Dir::new("end");
    let store = Store::refusing();
    let (builder, diary) = ringed(&store, &dir);
    let logs = builder.start().unwrap();
    assert_eq!(logs.health().acceptance, Acceptance::ProcessCrash);
    emit(&logs, 100);
    let report = logs.shutdown(ms(50));
    let ledger = report.ledger();
    assert!(!report.settled() && ledger.balances(), "{report}");
    let to = &ledger.destinations[0];
    assert_eq!((ledger.lost(), to.owed_memory, to.owed_disk + ledger.queued), (0, 0, 100), "{report}");
    assert_eq!(diary.about("100 records are kept in the ring").len(), 1, "{:?}", diary.lines());
    assert_eq!(dir.rings(), 1);
    // The lock is free once nobody holds the pipeline, as after the end of a process.
    drop(logs);

    store.come_back();
    let logs = ringed(&store, &dir).0.start().unwrap();
    until("all has come", || logs.ledger().destinations[0].delivered == 100);
    close(&logs);
    all_there(&store.records(), 1, 100);
    assert_eq!(logs.ledger().destinations[0].adopted, 100);
    assert_eq!(dir.rings(), 0);
}

#[test]
fn a_ring_of_which_all_is_settled_leaves_no_file() {
    let dir = Dir::new("well");
    let store = Store::new();
    let logs = ringed(&store, &dir).0.start().unwrap();
    // Many times round.
    for _ in 0..20 {
        emit(&logs, 100);
        assert!(logs.flush(LONG).settled());
    }
    let report = logs.shutdown(LONG);
    assert!(report.settled() && report.ledger().balances(), "{report}");
    assert_eq!((report.ledger().lost(), report.ledger().destinations[0].delivered), (0, 2000));
    assert_eq!(dir.rings(), 0);
}

#[test]
fn an_outage_that_is_larger_than_the_ring_loses_nothing_and_is_said_to_be_in_memory() {
    let dir = Dir::new("outage");
    let store = Store::refusing();
    let logs = ringed(&store, &dir).0.start().unwrap();
    assert_eq!(logs.health().acceptance, Acceptance::ProcessCrash);
    for seq in 1..=400 {
        logs.emit(record(1, seq).field("x", "x".repeat(500)));
        until("there is room", || logs.ledger().queued < 20);
    }
    until("it is said", || logs.health().acceptance == Acceptance::Memory);
    assert_eq!(logs.ledger().lost(), 0, "{}", logs.ledger());
    store.come_back();
    assert!(store.wait_for(400, std::time::Duration::from_secs(8)), "{} {:?}", logs.ledger(), logs.health());
    until("all is settled", || logs.ledger().destinations[0].delivered >= 400);
    until("it is safe again", || logs.health().acceptance == Acceptance::ProcessCrash);
    close(&logs);
    all_there(&store.records(), 1, 400);
    assert_eq!(dir.rings(), 0);
}

#[test]
fn with_a_spool_what_the_ring_has_no_room_for_goes_to_disk_and_stays_safe() {
    let dir = Dir::new("both");
    let store = Store::refusing();
    let logs = ringed(&store, &dir).0.spool_dir(dir.0.join("spool")).start().unwrap();
    for seq in 1..=400 {
        logs.emit(record(1, seq).field("x", "x".repeat(500)));
        until("there is room", || logs.ledger().queued < 20);
        assert_eq!(logs.health().acceptance, Acceptance::ProcessCrash);
    }
    assert_eq!(logs.ledger().lost(), 0, "{}", logs.ledger());
    let report = logs.shutdown(ms(500));
    assert_eq!((report.ledger().lost(), report.ledger().balances()), (0, true), "{report}");
    drop(logs);

    store.come_back();
    let logs = ringed(&store, &dir).0.spool_dir(dir.0.join("spool")).start().unwrap();
    until("all has come", || {
        let mut records = store.records();
        records.retain(|record| !crate::common::is_own(record));
        records.len() >= 400
    });
    // The end does not wait for the answers about what an earlier process owed.
    until("all is settled", || logs.ledger().unsettled() == 0);
    close(&logs);
    all_there(&store.records(), 1, 400);
}

#[test]
fn where_no_ring_can_be_made_the_queue_is_in_memory_and_that_is_told_once() {
    let dir = Dir::new("none");
    fs::create_dir_all(&dir.0).unwrap();
    fs::write(dir.0.join("ring"), "a file").unwrap();
    let store = Store::new();
    let (builder, diary) = ringed(&store, &dir);
    let logs = builder.start().unwrap();
    assert_eq!(logs.health().acceptance, Acceptance::Memory);
    assert_eq!(diary.about("there is no crash-proof ring").len(), 1, "{:?}", diary.lines());
    emit(&logs, 10);
    close(&logs);
    all_there(&store.records(), 1, 10);
    assert_eq!(fs::read(dir.0.join("ring")).unwrap(), b"a file");
}

#[test]
fn where_callers_wait_a_ring_gives_nothing_up_to_memory_and_what_has_waited_too_long_is_counted() {
    let dir = Dir::new("waits");
    let store = Store::refusing();
    let logs = ringed(&store, &dir).0.overflow(Overflow::Block(ms(20))).start().unwrap();
    let mut said = 0;
    while logs.ledger().dropped.of(Reason::QueueFull) < 3 {
        said += 1;
        logs.emit(record(1, said).field("x", "x".repeat(500)));
        assert_eq!(logs.health().acceptance, Acceptance::ProcessCrash);
    }
    let ledger = logs.ledger();
    // More than half of the ring, where it would give up what is oldest for callers that do not wait.
    assert!(said > 60, "{ledger}");
    assert_eq!((ledger.lost(), ledger.destinations[0].delivered), (3, 0), "{ledger}");
    store.come_back();
    let report = logs.shutdown(LONG);
    assert!(report.settled() && report.ledger().balances(), "{report}");
    assert_eq!(report.ledger().lost(), 3, "{report}");
    assert_eq!(dir.rings(), 0);
}

#[test]
fn a_full_ring_makes_callers_wait_where_they_are_to() {
    let dir = Dir::new("block");
    let store = Store::new();
    let logs = ringed(&store, &dir).0.overflow(Overflow::Block(Duration::from_secs(60))).start().unwrap();
    for _ in 0..2000 {
        logs.emit(Record::new(Severity::Info, "x".repeat(500)));
    }
    let report = logs.shutdown(LONG);
    assert!(report.settled() && report.ledger().balances(), "{report}");
    assert_eq!(report.ledger().destinations[0].delivered, 2000, "{report}");
}

//! A flood fills the queue: who loses, who waits, and what is kept for the records that matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use logchute::testing::{Answer, Store};
use logchute::{Overflow, Reason, Record, Severity};

use crate::common::{
    LONG, Plain, SLACK, Stall, alone, books, close, emit, exactly_once, is_own, log, ms, number, numbers, record,
    resident, settle, to, until,
};

const KIB: usize = 1 << 10;
const HOUR: Duration = Duration::from_secs(60 * 60);

#[test]
fn h8_what_a_full_queue_drops_is_what_the_store_misses() {
    let store = Store::new();
    let (builder, _) = to(Plain::to(&store));
    let logs = builder.queue_bytes(64 * KIB).start().unwrap();
    log(&logs, 4, 5_000, |_| {});
    let report = settle(&logs);
    let (ledger, arrived) = (report.ledger(), store.records());
    let (own, users): (Vec<_>, Vec<_>) = arrived.iter().partition(|record| is_own(record));
    let lost = ledger.dropped.of(Reason::QueueFull);
    assert_eq!(ledger.emitted - ledger.own, 20_000, "{report}");
    assert_eq!((ledger.own, lost), (own.len() as u64, 20_000 - users.len() as u64), "{report}");
    assert_eq!(ledger.dropped.total(), lost, "{report}");
    // What is told in the stream adds up to what was lost.
    let told: u64 = own.iter().filter_map(|record| record.message.split(' ').next()?.parse::<u64>().ok()).sum();
    assert_eq!(told, lost, "{report}");
    // What is there is in order.
    assert!(numbers(&arrived).values().all(|numbers| numbers.is_sorted()));
}

#[test]
fn h8_a_tenth_of_the_queue_is_kept_for_warnings() {
    let store = Store::new();
    let (stall, plain) = Stall::new(Plain::to(&store));
    let logs = to(plain).0.queue_bytes(64 * KIB).start().unwrap();
    stall.begin(&logs);
    emit(&logs, 1_000);
    let infos = logs.ledger().queued;
    assert!(infos < 1_000);
    (1..=1_000).for_each(|seq| logs.emit(Record::new(Severity::Warn, format!("2:{seq}"))));
    let warnings = logs.ledger().queued - infos;
    assert!((9..=11).contains(&(100 * warnings / (infos + warnings))), "{infos} and {warnings}");
    // Nothing is kept for what is worse than a warning, and an INFO still finds no room.
    logs.emit(Record::new(Severity::Error, "3:1"));
    logs.emit(record(3, 2));
    stall.end();
    let report = settle(&logs);
    let dropped = report.ledger().dropped;
    let of = |severity| dropped.of_severity(Reason::QueueFull, severity);
    assert_eq!((of(Severity::Info), of(Severity::Warn), of(Severity::Error)), (1_001 - infos, 1_000 - warnings, 1));
    // The first ones are those that are kept.
    let numbers = numbers(&store.records());
    let first = |count: u64| (1..=count as usize).collect::<Vec<_>>();
    assert_eq!((&numbers[&1], &numbers[&2]), (&first(infos), &first(warnings)));
}

#[test]
fn p4_large_records_are_bounded_in_bytes() {
    alone("overflow::p4_large_records_are_bounded_in_bytes", || {
        for size in [100 * KIB, 250 * KIB, 1_000 * KIB] {
            let store = Store::new();
            let (stall, plain) = Stall::new(Plain::to(&store));
            let logs = to(plain).0.start().unwrap();
            stall.begin(&logs);
            let before = resident();
            let large = |seq: usize| {
                let fields = size / (250 * KIB);
                let mut record = record(1, seq).field("x0", "x".repeat(size.min(250 * KIB)));
                for field in 1..fields {
                    record = record.field(format!("x{field}"), "x".repeat(250 * KIB));
                }
                record
            };
            (1..=100).for_each(|seq| logs.emit(large(seq)));
            let queued = logs.ledger().queued as usize;
            // The queue has 8 MiB, half of them for what lies outside of its slots.
            assert!(queued >= 3 && queued * size <= 4 << 20, "{queued} of {size} bytes");
            let grown = resident().saturating_sub(before);
            assert!(grown < 8 << 20, "{grown} bytes more");
            // A short one still has its slot.
            logs.emit(record(2, 1));
            stall.end();
            let report = settle(&logs);
            assert_eq!(report.ledger().dropped.of(Reason::QueueFull), 100 - queued as u64, "{report}");
            let numbers = numbers(&store.records());
            assert_eq!((numbers[&1].len(), numbers[&2].len()), (queued, 1));
        }
    });
}

#[test]
fn h8_who_waits_for_room_loses_nothing() {
    let store = Store::answering(vec![Answer::unavailable(); 5]);
    let (builder, diary) = to(Plain::to(&store).quick());
    let builder = builder.queue_bytes(64 * KIB).batch_bytes(16 * KIB).backlog_bytes(256 * KIB).linger(ms(5));
    let logs = builder.overflow(Overflow::Block(LONG)).start().unwrap();
    log(&logs, 4, 3_000, |_| {});
    let report = settle(&logs);
    assert_eq!(books(&report), (12_000, 0, 0), "{report}");
    assert_eq!(report.ledger().dropped.total(), 0, "{report}");
    exactly_once(&store, 4, 3_000);
    assert!(diary.about("dropped").is_empty());
}

#[test]
fn h8_who_waits_for_room_loses_nothing_of_large_records_either() {
    let store = Store::answering(vec![Answer::unavailable(); 2]);
    let builder = to(Plain::to(&store).quick()).0.queue_bytes(1 << 20).batch_bytes(256 * KIB).linger(ms(5));
    let logs = builder.backlog_bytes(1 << 20).overflow(Overflow::Block(LONG)).start().unwrap();
    thread::scope(|scope| {
        for thread in 1..=2 {
            let logs = &logs;
            scope.spawn(move || {
                (1..=100).for_each(|seq| logs.emit(record(thread, seq).field("x", "x".repeat(100 * KIB))));
            });
        }
    });
    let report = settle(&logs);
    assert_eq!((books(&report), report.ledger().dropped.total()), ((200, 0, 0), 0), "{report}");
    exactly_once(&store, 2, 100);
}

#[test]
fn h8_who_waits_gives_up_when_the_limit_is_over() {
    let store = Store::new();
    let (stall, plain) = Stall::new(Plain::to(&store));
    let (builder, _) = to(plain);
    let logs = builder.queue_bytes(64 * KIB).overflow(Overflow::Block(ms(30))).start().unwrap();
    stall.begin(&logs);
    let mut seq = 0;
    while logs.ledger().dropped.total() == 0 {
        seq += 1;
        let begun = Instant::now();
        logs.emit(record(1, seq));
        if logs.ledger().dropped.total() > 0 {
            assert!(begun.elapsed() >= ms(30) && begun.elapsed() < ms(30) + SLACK);
        }
    }
    assert_eq!(logs.ledger().dropped.of_severity(Reason::QueueFull, Severity::Info), 1);
    stall.end();
    let report = settle(&logs);
    assert_eq!(numbers(&store.records())[&1], (1..seq).collect::<Vec<_>>(), "{report}");
}

#[test]
fn h8_who_waits_is_released_by_a_shutdown() {
    let store = Store::new();
    let (stall, plain) = Stall::new(Plain::to(&store));
    let logs = to(plain).0.queue_bytes(64 * KIB).overflow(Overflow::Block(HOUR)).start().unwrap();
    stall.begin(&logs);
    thread::scope(|scope| {
        let waits = scope.spawn(|| emit(&logs, 100_000));
        until("the queue is full", || logs.ledger().queued > 100);
        let ends = scope.spawn(|| logs.shutdown(LONG));
        stall.end();
        waits.join().unwrap();
        let report = ends.join().unwrap();
        assert!(report.settled(), "{report}");
    });
    let report = settle(&logs);
    let ledger = report.ledger();
    assert_eq!(ledger.emitted - ledger.own, 100_001, "{report}");
    let there = store.records().iter().filter(|record| number(record).is_some()).count() as u64;
    assert_eq!(there + ledger.dropped.of(Reason::Shutdown), 100_001, "{report}");
}

#[test]
fn h1_what_is_logged_on_our_own_thread_never_waits() {
    let store = Store::answering([Answer::unavailable()]);
    let (stall, plain) = Stall::new(Plain::to(&store));
    let handle: Arc<std::sync::OnceLock<logchute::Handle>> = Arc::default();
    let (within, called) = (Arc::clone(&handle), Arc::new(AtomicBool::new(false)));
    let calls = Arc::clone(&called);
    let builder = logchute::Builder::new().send_to(plain.quick()).queue_bytes(64 * KIB);
    let logs = builder
        .overflow(Overflow::Block(HOUR))
        .on_diagnostic(move |_| {
            let logs = within.get().unwrap();
            (0..1_000).for_each(|_| logs.emit(Record::new(Severity::Error, "from within")));
            let _ = logs.flush(HOUR);
            calls.store(true, Ordering::SeqCst);
        })
        .start()
        .unwrap();
    handle.set((*logs).clone()).unwrap();
    stall.begin(&logs);
    // Up to what is kept for warnings: the queue is full for INFO, and nobody waits yet.
    emit(&logs, 100);
    stall.end();
    let report = settle(&logs);
    assert!(called.load(Ordering::SeqCst));
    assert_eq!(books(&report), (101, 0, 0), "{report}");
    assert_eq!(report.ledger().emitted, 101, "{report}");
}

#[test]
fn d6_a_panic_never_waits_for_room() {
    alone("overflow::d6_a_panic_never_waits_for_room", || {
        let store = Store::new();
        let (stall, plain) = Stall::new(Plain::to(&store));
        let logs = to(plain).0.queue_bytes(64 * KIB).overflow(Overflow::Block(HOUR)).start().unwrap();
        std::panic::set_hook(Box::new(|_| {}));
        logs.install(tracing_subscriber::registry()).unwrap();
        stall.begin(&logs);
        // The first ones find room and become records; there is none for the last.
        for _ in 0..200 {
            assert!(thread::spawn(|| panic!("last words")).join().is_err());
        }
        let queued = logs.ledger().queued;
        assert_eq!(logs.ledger().dropped.of_severity(Reason::QueueFull, Severity::Fatal), 200 - queued);
        assert!(queued > 100 && queued < 200);
        stall.end();
        close(&logs);
        let there = store.records().iter().filter(|record| record.message.ends_with("last words")).count() as u64;
        assert_eq!(there, queued);
    });
}

#[test]
fn h8_who_waits_gets_room_also_where_the_backend_counts_in_other_units_than_bytes() {
    let store = Store::new();
    let plain = Plain::to(&store).on_cost(|_| 1);
    let builder = to(plain).0.queue_bytes(64 * KIB).batch_bytes(16 * KIB).backlog_bytes(256 * KIB);
    let logs = builder.overflow(Overflow::Block(LONG)).start().unwrap();
    log(&logs, 2, 2_000, |_| {});
    let report = settle(&logs);
    assert_eq!((books(&report), report.ledger().dropped.total()), ((4_000, 0, 0), 0), "{report}");
    exactly_once(&store, 2, 2_000);
}

#[test]
fn p6_who_waits_for_a_store_that_is_away_is_released_at_the_end() {
    let store = Store::refusing();
    let (builder, diary) = to(Plain::to(&store).quick());
    let builder = builder.queue_bytes(64 * KIB).backlog_bytes(64 * KIB).batch_bytes(4 * KIB);
    let logs = builder.overflow(Overflow::Block(HOUR)).start().unwrap();
    // They go on for as long as the shutdown takes.
    let slowly = |seq| {
        logs.emit(record(1, seq));
        if logs.ledger().dropped.total() > 0 {
            thread::sleep(ms(1));
        }
    };
    let report = thread::scope(|scope| {
        (0..4).for_each(|_| _ = scope.spawn(|| (1..=2_000).for_each(slowly)));
        // All of them wait, as nothing is dropped while they do.
        until("the queue is full", || logs.ledger().queued > 100);
        assert_eq!(logs.ledger().lost(), 0);
        logs.shutdown(ms(200))
    });
    assert!(!report.settled() && report.took() < ms(200) + SLACK, "{report}");
    let ledger = logs.ledger();
    assert!(ledger.balances() && ledger.unsettled() == 0, "{ledger}");
    assert_eq!((ledger.emitted - ledger.own, ledger.lost()), (8_000, ledger.emitted), "{ledger}");
    assert!(diary.lines().len() <= 4, "{:?}", diary.lines());
}

//! What a destination owes on disk: an outage larger than the memory, an end with the store down, and who comes after it.
//!
//! In each test the outside count, the store and the ledger are compared, of each process that takes part. A second
//! pipeline of this process stands for the next process; that a killed one is followed likewise is shown by
//! `tests/death`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logchute::testing::{Answer, Gate, Received, Store};
use logchute::{
    Acceptance, BacklogOverflow, Builder, Destination, DestinationLedger, DestinationState, Handle, Overflow, Reason,
    Record, Report, Severity, SpoolUse,
};

use crate::common::{Diary, LONG, Plain, SLACK, alone, emit, is_own, ms, number, record, settle, to, until};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const BACKLOG: usize = 256 * KIB;

/// A directory of the test's own, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("logchute-it-spool-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    /// The files that hold records.
    fn segments(&self) -> usize {
        self.names().iter().filter(|name| name.ends_with(".seg")).count()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A pipeline to that store, tried again each millisecond, with a small memory and that directory.
fn spooling(store: &Store, dir: &Path) -> (Builder, Diary) {
    let (builder, diary) = to(Plain::to(store).quick());
    (builder.spool_dir(dir).spool_bytes(64 * MIB).backlog_bytes(BACKLOG).batch_bytes(16 * KIB), diary)
}

/// Emits so many records of this thread, 300 bytes each, and waits until they are at the lane; the books balance all along.
fn fill(logs: &Handle, from: usize, count: usize) {
    for seq in from..from + count {
        logs.emit(record(1, seq).field("x", "x".repeat(200)));
        if seq % 500 == 0 || seq + 1 == from + count {
            until("all is drained", || {
                let ledger = logs.ledger();
                ledger.queued == 0 && ledger.drained == ledger.emitted
            });
            assert!(logs.ledger().balances(), "{}", logs.ledger());
        }
    }
}

fn books(ledger: &logchute::Ledger) -> &DestinationLedger {
    &ledger.destinations[0]
}

/// The numbers of this thread's records as they came to the store.
fn came(store: &Store) -> Vec<usize> {
    let ours = |record: &Received| if is_own(record) { None } else { number(record) };
    store.records().iter().filter_map(ours).filter(|(thread, _)| *thread == 1).map(|(_, seq)| seq).collect()
}

#[track_caller]
fn all_in_order(store: &Store, count: usize) {
    assert_eq!(came(store), (1..=count).collect::<Vec<_>>());
}

/// Waits until so many records are delivered.
fn delivered(logs: &Handle, count: usize) {
    until("all is delivered", || books(&logs.ledger()).delivered == count as u64);
}

/// Ends the pipeline while its store is away: nothing is lost, and it says so.
#[track_caller]
fn leave(logs: &Handle, diary: &Diary, emitted: u64) -> Report {
    let (limit, begun) = (Duration::from_secs(2), Instant::now());
    let report = logs.shutdown(limit);
    assert!(begun.elapsed() <= limit + SLACK, "{:?}", begun.elapsed());
    assert!(!report.settled() && report.ledger().balances(), "{report}");
    let to = books(report.ledger());
    assert_eq!((to.owed_disk, to.owed_memory, report.ledger().lost()), (emitted, 0, 0), "{report}");
    let told = diary.about("the next process that is given this directory sends them");
    assert_eq!(told.len(), 1, "{:?}", diary.lines());
    assert!(told[0].contains(&format!("{emitted} records for plain are kept in")), "{told:?}");
    report
}

#[test]
fn n9_an_outage_larger_than_the_memory_loses_nothing_and_arrives_in_order() {
    let (dir, store) = (Dir::new("outage"), Store::refusing());
    let (builder, _) = spooling(&store, &dir.0);
    let logs = builder.in_flight(1).start().unwrap();
    fill(&logs, 1, 5_000);
    let ledger = logs.ledger();
    let to = books(&ledger);
    assert!(to.owed_disk > 2_500 && to.dropped.total() == 0, "{ledger}");
    assert_eq!(to.owed_disk + to.owed_memory, 5_000, "{ledger}");
    assert!(dir.segments() > 0);
    assert_eq!(logs.health().destinations[0].spool, None);
    store.come_back();
    // While it drains, more comes.
    fill(&logs, 5_001, 1_000);
    let report = settle(&logs);
    assert_eq!((books(report.ledger()).delivered, report.ledger().emitted), (6_000, 6_000), "{report}");
    all_in_order(&store, 6_000);
    drop(logs);
    assert_eq!(dir.names(), [""; 0], "nothing is left behind");
}

#[test]
fn with_several_requests_in_flight_each_record_arrives_once() {
    let (dir, store) = (Dir::new("wide"), Store::refusing());
    let (builder, _) = spooling(&store, &dir.0);
    let logs = builder.start().unwrap();
    fill(&logs, 1, 5_000);
    store.come_back();
    fill(&logs, 5_001, 1_000);
    let report = settle(&logs);
    assert_eq!((books(report.ledger()).delivered, store.count()), (6_000, 6_000), "{report}");
    crate::common::exactly_once(&store, 1, 6_000);
}

#[test]
fn a_flush_counts_what_is_on_disk_as_owed() {
    let (dir, store) = (Dir::new("flush"), Store::refusing());
    let (builder, _) = spooling(&store, &dir.0);
    let logs = builder.start().unwrap();
    fill(&logs, 1, 3_000);
    assert!(books(&logs.ledger()).owed_disk > 0);
    let report = logs.flush(ms(100));
    assert!(!report.settled(), "{report}");
    store.come_back();
    let report = logs.flush(LONG);
    assert!(report.settled() && books(report.ledger()).delivered == 3_000, "{report}");
    crate::common::close(&logs);
}

#[test]
fn d5_what_is_owed_at_the_end_is_sent_by_the_next_process_under_the_name_and_ids_of_the_first() {
    for (name, when) in [("exit", SpoolUse::Exit), ("overflow", SpoolUse::Overflow), ("always", SpoolUse::Always)] {
        let (dir, store) = (Dir::new(name), Store::refusing());
        let (builder, diary) = spooling(&store, &dir.0);
        let first = builder.service("first").spool(when).in_flight(1).start().unwrap();
        let count = if when == SpoolUse::Exit { 500 } else { 3_000 };
        fill(&first, 1, count);
        if when == SpoolUse::Exit {
            assert_eq!(dir.segments(), 0, "nothing before the end");
        }
        let _ = leave(&first, &diary, count as u64);
        assert_eq!(store.count(), 0);

        store.come_back();
        let spoke = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&spoke);
        let plain = Plain::to(&store).on_encode(move |batch| {
            let ids = batch.records().map(|record| record.id().to_string());
            let service = batch.resource().service_name().to_owned();
            heard.lock().unwrap().extend(ids.map(|id| (service.clone(), id)));
        });
        let (builder, diary) = to(plain.quick());
        let second = builder.service("second").spool_dir(&dir.0).in_flight(1).start().unwrap();
        emit(&second, 10);
        assert!(second.flush(LONG).settled(), "what came before us holds up no flush");
        delivered(&second, count + 10);
        let report = settle(&second);
        let to = books(report.ledger());
        assert_eq!((to.adopted, to.delivered), (count as u64, count as u64 + 10), "{report}");
        assert_eq!(diary.about("what an earlier process owed to plain was found in").len(), 1);
        // Each under the one who wrote it; the first's as one incarnation.
        let spoke = spoke.lock().unwrap();
        let of = |name: &str| -> Vec<String> {
            spoke.iter().filter(|(service, _)| service == name).map(|(_, id)| id.clone()).collect()
        };
        let (firsts, seconds) = (of("first"), of("second"));
        assert_eq!((firsts.len(), seconds.len()), (count, 10));
        let incarnation = |id: &String| id.split('-').next().unwrap().to_owned();
        assert!(firsts.iter().all(|id| incarnation(id) == incarnation(&firsts[0])));
        assert_ne!(incarnation(&firsts[0]), incarnation(&seconds[0]));
        let sent: Vec<_> = store
            .records()
            .iter()
            .filter(|record| firsts.contains(record.id.as_ref().unwrap()))
            .map(|record| number(record).unwrap().1)
            .collect();
        assert_eq!(sent, (1..=count).collect::<Vec<_>>(), "in order");
        drop((first, second));
        assert_eq!(dir.names(), [""; 0]);
    }
}

#[test]
fn d5_what_is_in_flight_at_a_store_that_does_not_answer_is_on_disk_at_the_end() {
    let (dir, silent) = (Dir::new("silent"), Store::with(|_| Answer::silence()));
    let (builder, diary) = spooling(&silent, &dir.0);
    let logs = builder.start().unwrap();
    fill(&logs, 1, 300);
    let _ = logs.flush(ms(10));
    until("a request is under way", || silent.request_count() > 0);
    let _ = leave(&logs, &diary, 300);
}

#[test]
fn an_end_in_order_waits_for_what_an_earlier_process_owed_and_is_in_flight() {
    let (dir, gate) = (Dir::new("closing"), Gate::new());
    let (first_answer, is_first) = (gate.clone(), AtomicBool::new(true));
    let store = Store::with(move |_| match is_first.swap(false, Ordering::Relaxed) {
        true => Answer::held(&first_answer),
        false => Answer::ok(),
    });
    store.go_away();
    let (builder, diary) = spooling(&store, &dir.0);
    let logs = builder.start().unwrap();
    fill(&logs, 1, 10);
    let _ = leave(&logs, &diary, 10);
    store.come_back();
    let second = spooling(&store, &dir.0).0.start().unwrap();
    until("what the first one left is under way", || store.request_count() > 0);
    let report = std::thread::scope(|scope| {
        let ends = scope.spawn(|| second.shutdown(LONG));
        until("the end has begun", || {
            second.emit(record(2, 0));
            second.ledger().dropped.of(Reason::Shutdown) > 0
        });
        let accepted = || second.ledger().drained - second.ledger().own;
        until("all that is its own is there", || books(&second.ledger()).delivered >= accepted());
        assert!(!ends.is_finished());
        gate.open();
        ends.join().unwrap()
    });
    assert!(report.settled(), "{report}");
    assert_eq!(books(report.ledger()).owed_disk, 0, "{report}");
    all_in_order(&store, 10);
    assert_eq!(dir.names(), [""; 0], "nothing is left to be sent again");
}

#[test]
fn a_guard_that_is_dropped_while_the_store_is_away_leaves_what_is_owed_on_disk() {
    let (dir, store) = (Dir::new("guard"), Store::refusing());
    let (builder, diary) = spooling(&store, &dir.0);
    let logs = builder.shutdown_limit(ms(500)).start().unwrap();
    fill(&logs, 1, 500);
    // The last of all: the flush, and the end of the pipeline right behind it.
    drop(logs);
    assert_eq!(diary.about("500 records for plain are kept in").len(), 1, "{:?}", diary.lines());
    store.come_back();
    let second = spooling(&store, &dir.0).0.start().unwrap();
    delivered(&second, 500);
    crate::common::close(&second);
    crate::common::exactly_once(&store, 1, 500);
}

#[test]
fn s8_a_chain_of_ends_hands_everything_on() {
    let (dir, store) = (Dir::new("chain"), Store::refusing());
    for link in 0..5 {
        let logs = spooling(&store, &dir.0).0.start().unwrap();
        fill(&logs, link * 400 + 1, 400);
        until("something is adopted", || link == 0 || books(&logs.ledger()).adopted > 0);
        let report = logs.shutdown(Duration::from_secs(1));
        assert!(report.ledger().balances() && report.ledger().lost() == 0, "{report}");
    }
    store.come_back();
    let last = spooling(&store, &dir.0).0.start().unwrap();
    delivered(&last, 2_000);
    let report = settle(&last);
    assert_eq!((books(report.ledger()).adopted, books(report.ledger()).delivered), (2_000, 2_000), "{report}");
    let mut all = came(&store);
    all.sort_unstable();
    assert_eq!(all, (1..=2_000).collect::<Vec<_>>());
}

/// An outage of more than the spool holds; what arrived of it.
fn budget(name: &str, overflow: BacklogOverflow) -> Vec<usize> {
    let (dir, store) = (Dir::new(name), Store::refusing());
    let (builder, _) = spooling(&store, &dir.0);
    let logs = builder.spool_bytes(MIB).backlog_overflow(overflow).in_flight(1).start().unwrap();
    fill(&logs, 1, 10_000);
    let on_disk: u64 = dir.names().iter().map(|name| fs::metadata(dir.0.join(name)).unwrap().len()).sum();
    assert!(on_disk <= MIB as u64 + 64 * KIB as u64, "{on_disk} bytes");
    store.come_back();
    let report = settle(&logs);
    let (ledger, to) = (report.ledger(), books(report.ledger()));
    assert_eq!(to.dropped.total(), to.dropped.of(Reason::SpoolFull), "{report}");
    assert!(to.dropped.total() > 2_000, "{report}");
    assert_eq!(store.count() as u64 + to.dropped.total(), ledger.emitted, "{report}");
    assert_eq!(store.distinct(), store.count());
    came(&store)
}

#[test]
fn p4_a_spool_that_is_full_keeps_the_newest() {
    let kept = budget("newest", BacklogOverflow::DropOldest);
    assert_eq!(kept, (10_001 - kept.len()..=10_000).collect::<Vec<_>>());
}

#[test]
fn p4_a_spool_that_is_full_keeps_the_oldest_where_that_is_asked_for() {
    let kept = budget("oldest", BacklogOverflow::DropNewest);
    let last = *kept.last().unwrap();
    // Where a record does not fit, a smaller one may: a number may have a digit less.
    assert!(kept.is_sorted() && last <= kept.len() + 50, "{last} is the last of {}", kept.len());
}

#[test]
fn with_a_queue_that_waits_a_full_spool_loses_nothing() {
    let (dir, store) = (Dir::new("waits"), Store::refusing());
    let (builder, _) = spooling(&store, &dir.0);
    let logs = builder.spool_bytes(MIB).overflow(Overflow::Block(LONG)).queue_bytes(256 * KIB).start().unwrap();
    std::thread::scope(|scope| {
        let emitter =
            scope.spawn(|| (1..=10_000).for_each(|seq| logs.emit(record(1, seq).field("x", "x".repeat(200)))));
        until("the spool is full", || logs.health().destinations[0].spool.is_some());
        assert!(!emitter.is_finished(), "it waits");
        store.come_back();
    });
    let report = settle(&logs);
    assert_eq!((report.ledger().lost(), store.count()), (0, 10_000), "{report}");
    crate::common::exactly_once(&store, 1, 10_000);
}

#[test]
fn s5_a_directory_that_cannot_be_used_is_told_once_and_used_as_soon_as_it_can_be() {
    let (dir, store) = (Dir::new("unusable"), Store::refusing());
    fs::write(&dir.0, "a file").unwrap();
    let within = dir.0.join("spool");
    let (builder, diary) = spooling(&store, &within);
    let logs = builder.start().unwrap();
    let why = logs.health().destinations[0].spool.clone().unwrap();
    assert!(why.contains("cannot be used") && why.contains(within.to_str().unwrap()), "{why}");
    assert_eq!(logs.health().acceptance, Acceptance::Memory);
    fill(&logs, 1, 2_000);
    let lost = books(&logs.ledger()).dropped.of(Reason::BacklogFull);
    assert!(lost > 0 && books(&logs.ledger()).dropped.total() == lost, "memory alone");
    assert_eq!(diary.about("(LOGCHUTE_SPOOL_DIR)").len(), 1, "{:?}", diary.lines());
    fs::remove_file(&dir.0).unwrap();
    let freed = Instant::now();
    until("it is used", || books(&logs.ledger()).owed_disk > 0);
    assert!(freed.elapsed() <= Duration::from_secs(1) + SLACK, "{:?}", freed.elapsed());
    assert_eq!(logs.health().destinations[0].spool, None);
    assert_eq!(diary.about("can be used again").len(), 1);
    store.come_back();
    crate::common::close(&logs);
    let _ = fs::remove_dir_all(&dir.0);
}

#[cfg(unix)]
#[test]
fn s7_a_directory_that_others_can_look_into_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, store) = (Dir::new("open"), Store::new());
    fs::create_dir(&dir.0).unwrap();
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o755)).unwrap();
    let (builder, diary) = spooling(&store, &dir.0);
    let logs = builder.start().unwrap();
    assert_eq!(diary.about("others may look into it").len(), 1, "{:?}", diary.lines());
    emit(&logs, 10);
    crate::common::close(&logs);
    assert_eq!((store.count(), dir.names()), (10, Vec::new()));
}

#[test]
fn what_is_for_a_destination_that_is_gone_stays_where_it_is_and_is_told() {
    let (dir, one, other) = (Dir::new("lanes"), Store::refusing(), Store::refusing());
    let both = |diary: &Diary| {
        let there = diary.clone();
        Builder::new()
            .send_to(Plain::to(&one).quick().name("one"))
            .send_to(Plain::to(&other).quick().name("other"))
            .spool_dir(&dir.0)
            .on_diagnostic(move |line: &str| there.write(line))
    };
    let diary = Diary::default();
    let logs = both(&diary).start().unwrap();
    emit(&logs, 100);
    let report = logs.shutdown(Duration::from_secs(1));
    let owed: Vec<_> = report.ledger().destinations.iter().map(|to| to.owed_disk).collect();
    assert_eq!(owed, [100, 100], "{report}");
    assert_eq!(diary.about("100 records for").len(), 2);
    drop(logs);

    one.come_back();
    let (builder, diary) = to(Plain::to(&one).quick());
    let logs = builder.spool_dir(&dir.0).start().unwrap();
    delivered(&logs, 100);
    until("it is told", || !diary.about("which is no destination of this process").is_empty());
    let told = diary.about("which is no destination of this process");
    assert!(told.len() == 1 && told[0].contains("100 records") && told[0].contains(&other.url()), "{told:?}");
    let report = settle(&logs);
    assert_eq!((books(report.ledger()).adopted, books(report.ledger()).owed_disk), (100, 0), "{report}");
    drop(logs);
    assert_eq!(dir.segments(), 1, "{:?}", dir.names());

    other.come_back();
    let logs = both(&Diary::default()).start().unwrap();
    until("it is delivered", || logs.ledger().destinations[1].delivered == 100);
    crate::common::close(&logs);
    assert_eq!((one.count(), other.count()), (100, 100));
}

#[test]
fn two_destinations_at_one_store_keep_what_they_owe_apart() {
    let (dir, store) = (Dir::new("twins"), Store::refusing());
    let both = || {
        Builder::new()
            .send_to(Plain::to(&store).quick().name("all"))
            .send_to(Plain::to(&store).quick().name("errors").filter("error"))
            .spool_dir(&dir.0)
            .on_diagnostic(|_: &str| {})
    };
    let logs = both().start().unwrap();
    emit(&logs, 50);
    logs.emit(Record::new(Severity::Error, "1:51"));
    let report = logs.shutdown(Duration::from_secs(1));
    let owed: Vec<_> = report.ledger().destinations.iter().map(|to| to.owed_disk).collect();
    assert_eq!((owed, report.ledger().lost()), (vec![51, 1], 0), "{report}");
    drop(logs);
    store.come_back();
    let logs = both().start().unwrap();
    until("all is delivered", || logs.ledger().destinations.iter().map(|to| to.delivered).sum::<u64>() == 52);
    let report = settle(&logs);
    let adopted: Vec<_> = report.ledger().destinations.iter().map(|to| to.adopted).collect();
    assert_eq!(adopted, [51, 1], "{report}");
}

#[test]
fn p1_acceptance_says_what_a_record_survives() {
    let dir = Dir::new("acceptance");
    let acceptance = |build: fn(Destination, &Path) -> Destination| {
        let plain = Destination::new(Plain::at("http://127.0.0.1:9/"));
        let (builder, _) = to(build(plain, &dir.0));
        let logs = builder.start().unwrap();
        until("the worker has looked", || logs.ledger().balances());
        let _ = logs.flush(ms(10));
        let acceptance = logs.health().acceptance;
        let _ = logs.shutdown(Duration::ZERO);
        acceptance
    };
    assert_eq!(acceptance(|to, _| to), Acceptance::Memory);
    assert_eq!(acceptance(|to, dir| to.spool_dir(dir)), Acceptance::Memory);
    assert_eq!(acceptance(|to, dir| to.spool_dir(dir).spool(SpoolUse::Always)), Acceptance::Memory);
    let safe = acceptance(|to, dir| to.spool_dir(dir).spool(SpoolUse::Always).fsync(ms(100)));
    assert_eq!(safe, Acceptance::Disk { fsync: ms(100) });
}

#[test]
fn a_store_that_is_well_gets_everything_without_a_file() {
    let (dir, store) = (Dir::new("well"), Store::new());
    let (builder, _) = spooling(&store, &dir.0);
    let logs = builder.backlog_bytes(16 * MIB).start().unwrap();
    emit(&logs, 2_000);
    assert!(logs.flush(LONG).settled());
    assert_eq!(dir.segments(), 0);
    crate::common::close(&logs);
    crate::common::exactly_once(&store, 1, 2_000);
}

/// A file system of so many KiB at that directory; gone at the end.
struct Small(PathBuf);

impl Small {
    fn mount(dir: &Path, kib: usize) -> Self {
        fs::create_dir_all(dir).unwrap();
        let size = format!("size={kib}k,mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir).status().unwrap();
        assert!(mounted.success());
        Self(dir.to_owned())
    }

    fn remount(&self, how: &str) {
        assert!(Command::new("mount").args(["-o", how]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "mounts a file system, which takes root"]
fn s3_a_disk_that_is_full_is_told_and_used_again_once_it_is_not() {
    let dir = Dir::new("enospc");
    let small = Small::mount(&dir.0, 8 * KIB);
    let ballast = dir.0.join("ballast");
    let store = Store::refusing();
    let (builder, diary) = spooling(&store, &dir.0);
    let logs = builder.start().unwrap();
    fill(&logs, 1, 2_000);
    assert!(books(&logs.ledger()).owed_disk > 0);
    // Filled from outside, to the last byte: what is there is a fifth of nothing.
    let _ = fs::write(&ballast, vec![0; 16 * MIB]);
    fill(&logs, 2_001, 4_000);
    let lost = books(&logs.ledger()).dropped;
    assert!(lost.total() > 0, "{}", logs.ledger());
    assert_eq!(lost.of(Reason::DiskFull) + lost.of(Reason::SpoolFull), lost.total());
    fs::remove_file(&ballast).unwrap();
    let freed = Instant::now();
    until("it is used again", || logs.health().destinations[0].spool.is_none());
    assert!(freed.elapsed() <= Duration::from_secs(1) + SLACK);
    let before = logs.ledger();
    fill(&logs, 6_001, 2_000);
    let after = logs.ledger();
    assert!(books(&after).owed_disk > books(&before).owed_disk + 1_000, "{before} then {after}");
    assert_eq!(books(&after).dropped, books(&before).dropped);
    store.come_back();
    let report = settle(&logs);
    let to = books(report.ledger());
    assert_eq!(store.count() as u64 + to.dropped.total(), report.ledger().emitted, "{report}");
    assert!(!diary.about("records dropped for plain").is_empty());
    drop((logs, small));
}

#[test]
#[ignore = "mounts a file system, which takes root"]
fn s5_a_disk_that_is_read_only_is_told_and_used_once_it_is_not() {
    let dir = Dir::new("erofs");
    let small = Small::mount(&dir.0, 16 * KIB);
    small.remount("remount,ro");
    let store = Store::refusing();
    let (builder, diary) = spooling(&store, &dir.0);
    let logs = builder.in_flight(1).start().unwrap();
    assert_eq!(diary.about("cannot be used: Read-only file system").len(), 1, "{:?}", diary.lines());
    fill(&logs, 1, 300);
    small.remount("remount,rw");
    until("it can be used", || logs.health().destinations[0].spool.is_none());
    fill(&logs, 301, 3_000);
    store.come_back();
    let report = settle(&logs);
    assert_eq!(report.ledger().lost(), 0, "{report}");
    all_in_order(&store, 3_300);
    drop((logs, small));
}

#[test]
fn h9_a_spool_at_rest_holds_little_memory() {
    alone("spool::h9_a_spool_at_rest_holds_little_memory", || {
        let (dir, store) = (Dir::new("memory"), Store::refusing());
        let (builder, _) = spooling(&store, &dir.0);
        let destination_is_known = |logs: &Handle| logs.health().destinations[0].state == DestinationState::Retrying;
        let logs = builder.start().unwrap();
        fill(&logs, 1, 2_000);
        until("the outage is known", || destination_is_known(&logs));
        let before = crate::common::resident();
        fill(&logs, 2_001, 60_000);
        let grown = crate::common::resident().saturating_sub(before);
        assert!(grown < 8 * MIB, "{grown} bytes more for {} records on disk", books(&logs.ledger()).owed_disk);
        assert!(books(&logs.ledger()).owed_disk > 60_000);
        let _ = logs.shutdown(Duration::from_secs(2));
    });
}

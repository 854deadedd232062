//! Many threads (row H5), and a system that refuses threads and files (row H6).
//!
//! The store is in another process, so that memory and threads are those of the application alone.

use std::error::Error as _;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use logchute::testing::Store;
use logchute::{Builder, Error, Guard, Overflow, backend::Ndjson};
use tracing_subscriber::layer::SubscriberExt as _;

mod support;
use support::{Case, End, Victim, case};

/// Threads that are alive at the same time, and how often.
const AT_ONCE: usize = 1_000;
const WAVES: usize = 10;
const RECORDS: usize = 100;

/// Threads of one record each, one after the other.
const SHORT: usize = 20_000;

const MIB: usize = 1 << 20;
/// What the records of all threads may add: the backlog (16 MiB), what is in flight, and what allocators keep for
/// threads that are gone.
const GROWTH: usize = 32 * MIB;
/// What as many threads more may add once all is warm: a table of threads, 64 bytes each, would be seen.
const CREEP: usize = MIB;

fn main() {
    if let Some(role) = support::role() {
        return victim(&role);
    }
    let mut cases = vec![
        case("h5_ten_thousand_threads_in_a_bounded_memory_to_the_record", || {
            let store = Store::counting();
            let end = to(&store, Victim::new("many"));
            end.assert_well();
            let said: Vec<usize> = end.stdout.split_whitespace().map(|number| number.parse().unwrap()).collect();
            let [emitted, delivered, dropped, own, grown] = said[..] else { panic!("{end:#?}") };
            println!("{emitted} emitted = {delivered} delivered + {dropped} dropped; {} KiB grown", grown >> 10);
            assert_eq!(emitted, WAVES * AT_ONCE * RECORDS);
            assert_eq!(emitted, delivered - own + dropped);
            assert_eq!(store.count(), delivered);
            assert!(grown < GROWTH, "{grown} bytes");
        }),
        case("h5_short_threads_leave_nothing_behind", || {
            let store = Store::counting();
            let end = to(&store, Victim::new("short"));
            end.assert_well();
            let said: Vec<usize> = end.stdout.split_whitespace().map(|number| number.parse().unwrap()).collect();
            let [first, second] = said[..] else { panic!("{end:#?}") };
            println!("{} KiB, then {} KiB", first >> 10, second >> 10);
            assert!(second < first + CREEP, "{first} and then {second} bytes");
            assert_eq!((store.count(), end.stderr.as_str()), (3 * SHORT, ""));
        }),
    ];
    if cfg!(target_os = "linux") {
        cases.extend(refused());
    }
    support::run(cases);
}

fn to(store: &Store, victim: Victim) -> End {
    victim.env("URL", format!("{}/ndjson", store.url())).run()
}

#[cfg(not(target_os = "linux"))]
fn refused() -> Vec<Case> {
    Vec::new()
}

#[cfg(target_os = "linux")]
fn refused() -> Vec<Case> {
    vec![
        case("h6_thread_refused_at_start_is_an_error_and_no_more", || {
            let store = Store::new();
            let end = unprivileged(&store, "no_thread");
            end.assert_well();
            assert_eq!((end.stderr.as_str(), store.request_count()), ("", 0));
        }),
        case("h6_files_refused_at_start_are_an_error_and_no_more", || {
            let store = Store::new();
            let end = unprivileged(&store, "no_file");
            end.assert_well();
            assert_eq!((end.stderr.as_str(), store.request_count()), ("", 0));
        }),
        case("h6_threads_refused_later_cost_a_retry_and_not_the_worker", || {
            let store = Store::new();
            let end = unprivileged(&store, "no_resolver");
            end.assert_well();
            assert!(end.said().iter().any(|line| line.contains("at the end 2 records were lost")), "{end:#?}");
            assert!(!end.stderr.contains("panicked"), "{end:#?}");
        }),
        case("h6_files_refused_later_cost_a_retry_and_not_the_worker", || {
            let store = Store::new();
            let end = unprivileged(&store, "no_socket");
            end.assert_well();
            // As soon as there are files again, all is delivered.
            assert_eq!(store.messages(), ["first", "second"]);
            assert!(end.said().iter().any(|line| line.contains("Too many open files")), "{end:#?}");
            assert!(!end.stderr.contains("panicked"), "{end:#?}");
        }),
    ]
}

/// As a user that limits bind: the superuser is above the one of threads.
#[cfg(target_os = "linux")]
fn unprivileged(store: &Store, role: &str) -> End {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::process::Command;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return to(store, Victim::new(role));
    }
    // A user that has no other processes, and may not be able to read the directory that this program stands in.
    let user = (61_000 + std::process::id() % 4_000).to_string();
    let copy = Copy(std::env::temp_dir().join(format!("logchute-threads-{}-{role}", std::process::id())));
    // By a process of its own: a file that is open for writing in this one when another case forks cannot be executed.
    assert!(Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&copy.0).status().unwrap().success());
    std::fs::set_permissions(&copy.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(&copy.0);
    to(store, Victim::of(command).env("VICTIM", role))
}

/// A file that is gone when the case ends, however it does. The victim cannot remove it: it is another user, and
/// nobody may remove the files of others from the directory for temporary ones.
#[cfg(target_os = "linux")]
struct Copy(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

// ── The victims ─────────────────────────────────────────────────────────────────────────────────────────────────────

fn victim(role: &str) {
    match role {
        "many" => many(),
        "short" => short(),
        "no_thread" => {
            limit(NPROC, Some(1));
            refuses();
        }
        "no_file" => {
            // The three that are open, and one more.
            limit("--nofile", Some(4));
            refuses();
        }
        "no_resolver" => {
            let url = std::env::var("URL").unwrap().replace("127.0.0.1", "localhost");
            let logs = Builder::new().send_to(Ndjson::new(url)).start().unwrap();
            limit(NPROC, Some(1));
            emit(&logs, "first");
            emit(&logs, "second");
            assert!(!logs.flush(Duration::from_secs(1)).settled());
            let health = logs.health();
            assert_eq!(health.restarts, 0, "{health:?}");
            assert!(health.destinations[0].last_failure.is_some(), "{health:?}");
            let report = logs.shutdown(Duration::from_millis(100));
            assert!(report.ledger().balances(), "{report}");
        }
        "no_socket" => {
            let logs = start(Overflow::DropNewest);
            limit("--nofile", Some(4));
            emit(&logs, "first");
            emit(&logs, "second");
            assert!(!logs.flush(Duration::from_secs(1)).settled());
            assert_eq!(logs.health().restarts, 0);
            limit("--nofile", None);
            let report = logs.shutdown(Duration::from_secs(10));
            assert!(report.settled() && report.ledger().balances(), "{report}");
        }
        _ => unreachable!("{role}"),
    }
}

const NPROC: &str = "--nproc";

/// Limits this process from now on, or lifts that again.
fn limit(what: &str, most: Option<usize>) {
    let most = most.map_or("1024:".to_owned(), |most| format!("{most}:"));
    let pid = std::process::id().to_string();
    // `N:` changes what counts, and leaves how far it may be raised.
    let done = std::process::Command::new("prlimit").args(["--pid", &pid, &format!("{what}={most}")]).status();
    assert!(done.unwrap().success());
}

fn start(overflow: Overflow) -> Guard {
    let url = std::env::var("URL").unwrap();
    Builder::new().send_to(Ndjson::new(url)).overflow(overflow).start().unwrap()
}

fn emit(logs: &Guard, message: &'static str) {
    logs.emit(logchute::Record::new(logchute::Severity::Info, message));
}

/// Nothing can be started, and the application goes on.
fn refuses() {
    for _ in 0..3 {
        let url = std::env::var("URL").unwrap();
        let refused = Builder::new().send_to(Ndjson::new(url)).start().unwrap_err();
        assert!(matches!(refused, Error::Spawn(_)), "{refused:?}");
        assert!(refused.source().is_some(), "{refused:?}");
    }
    // The tee needs no thread.
    let logs = Builder::new().tee(logchute::TeeTo::new(logchute::Stream::Stdout, logchute::Format::Text)).start();
    let logs = logs.unwrap();
    emit(&logs, "here");
    assert!(logs.shutdown(Duration::from_secs(1)).settled());
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) << 10
}

fn many() {
    let logs = start(Overflow::DropNewest);
    let subscriber = tracing_subscriber::registry().with(logs.layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log::set_boxed_logger(Box::new(logs.logger())).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let wave = |records: usize| {
        let ready = Arc::new(Barrier::new(AT_ONCE));
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let ready = Arc::clone(&ready);
                thread::Builder::new()
                    .stack_size(256 * 1024)
                    .spawn(move || {
                        ready.wait();
                        for n in 0..records / 2 {
                            tracing::info!(n, "by tracing");
                            log::info!(n = n; "by log");
                        }
                        ready.wait();
                    })
                    .unwrap()
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    };
    // What the threads themselves cost is no matter of ours.
    wave(0);
    let before = resident();
    (0..WAVES).for_each(|_| wave(RECORDS));
    let grown = resident().saturating_sub(before);
    let report = logs.shutdown(Duration::from_secs(10));
    assert!(report.settled() && report.ledger().balances(), "{report}");
    let ledger = report.ledger();
    let delivered = ledger.destinations[0].delivered;
    println!("{} {delivered} {} {} {grown}", ledger.emitted - ledger.own, ledger.lost(), ledger.own);
}

fn short() {
    let logs = start(Overflow::Block(Duration::from_secs(10)));
    let logger: &'static dyn log::Log = Box::leak(Box::new(logs.logger()));
    let run = |threads: usize| {
        for _ in 0..threads {
            let thread = thread::spawn(move || {
                // Long enough to leave its slot, and so to take the thread's scratch.
                let long = "x".repeat(300);
                logger.log(&log::Record::builder().level(log::Level::Info).args(format_args!("{long}")).build());
            });
            thread.join().unwrap();
        }
        assert!(logs.flush(Duration::from_secs(10)).settled());
        resident()
    };
    run(SHORT);
    println!("{} {}", run(SHORT), run(SHORT));
}

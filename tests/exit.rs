//! The end of a process, each way that there is, with a store that is up, away, silent or slow.
//!
//! Up: everything arrives, nothing is said, and the exit code is the application's. Otherwise: the process ends
//! within one deadline, and what was lost is told to the record.

use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Duration;

use logchute::testing::{Answer, Store};
use logchute::{Builder, Guard};

mod support;
use support::{Case, End, Victim, case, ending};

/// Records of a victim, before the one that a panic adds.
const RECORDS: usize = 200;
const LAST_WORDS: &str = "these are the last words";

/// `LOGCHUTE_SHUTDOWN`, what the end may take beyond it, and slack for a busy machine.
const LIMIT: Duration = Duration::from_secs(1);
const BEYOND: Duration = Duration::from_millis(200);
const SLACK: Duration = Duration::from_secs(2);

/// A way to end, the exit code, and whether it leaves a FATAL record.
const WAYS: &[(&str, i32, bool)] = &[
    ("return", 0, false),
    ("exit", 3, false),
    ("exit_on_a_thread", 3, false),
    ("static", 0, false),
    ("underscore", 0, false),
    ("early", 0, false),
    ("forget", 0, false),
    ("panic", 101, true),
    ("err", 1, false),
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Some(role) = support::role() {
        victim(&role)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut cases = Vec::new();
    for &(way, code, fatal) in WAYS {
        cases.push(case(format!("up::{way}"), move || up(way, code, fatal)));
        for what in ["refused", "silent", "stalled", "a_byte_a_second"] {
            cases.push(case(format!("{what}::{way}"), move || down(what, way, code, fatal, LIMIT)));
        }
    }
    // Twice this limit is more than once the limit and the slack.
    for way in ["return", "static", "panic", "err"] {
        let (_, code, fatal) = *WAYS.iter().find(|(name, ..)| *name == way).unwrap();
        cases.push(case(format!("one_deadline::{way}"), move || {
            down("silent", way, code, fatal, Duration::from_secs(3));
        }));
    }
    cases.extend(others());
    support::run(cases);
    Ok(ExitCode::SUCCESS)
}

fn store(what: &str) -> Store {
    match what {
        "refused" => Store::refusing(),
        "silent" => Store::with(|_| Answer::silence()),
        "stalled" => Store::answering((0..100).map(|_| Answer::never_read())),
        "a_byte_a_second" => Store::with(|_| Answer::drip(Duration::from_secs(1))),
        _ => unreachable!("{what}"),
    }
}

fn end(way: &str, store: &Store, limit: Duration) -> End {
    Victim::new(way)
        .env("LOGCHUTE_URL", format!("ndjson+{}/ndjson", store.url()))
        .env("LOGCHUTE_SHUTDOWN", format!("{}ms", limit.as_millis()))
        .env("LOGCHUTE_TEE", "off")
        .run()
}

fn up(way: &str, code: i32, fatal: bool) {
    let store = Store::new();
    let end = end(way, &store, Duration::from_secs(10));
    assert_eq!(end.status.code(), Some(code), "{end:#?}");
    let mut messages = store.messages();
    if fatal {
        let record = store.records().into_iter().find(|record| record.level == "fatal").expect("a FATAL record");
        assert!(record.message.starts_with("panicked at tests/exit.rs:"), "{record}");
        assert!(record.message.ends_with(LAST_WORDS), "{record}");
        messages.retain(|message| *message != record.message);
    }
    messages.sort();
    assert_eq!(messages, (0..RECORDS).map(|n| format!("record {n:03}")).collect::<Vec<_>>());
    assert_eq!(end.said(), [""; 0], "nothing was lost, so there is nothing to say");
    assert_stderr(&end, way);
}

fn down(what: &str, way: &str, code: i32, fatal: bool, limit: Duration) {
    let store = store(what);
    let end = end(way, &store, limit);
    assert_eq!(end.status.code(), Some(code), "{end:#?}");
    assert!(end.took < limit + BEYOND + SLACK, "{end:#?}");
    // A guard that is dropped early has waited before.
    assert!(end.took > limit / 2 || way == "early", "it did not even try: {end:#?}");
    let emitted = RECORDS + usize::from(fatal);
    let severities = if fatal { format!("fatal 1 info {RECORDS}") } else { format!("info {RECORDS}") };
    let told = format!("emitted {emitted} = 0 dropped + 0 queued + {emitted} drained");
    let lost = format!("{emitted} dropped (deadline {severities})");
    let totals: Vec<&str> = end.said().into_iter().filter(|line| line.starts_with("at the end")).collect();
    assert_eq!(totals.len(), 1, "{end:#?}");
    let all = [&format!("at the end {emitted} records were lost"), &told, &lost, "LOGCHUTE_SHUTDOWN"];
    assert!(all.iter().all(|part| totals[0].contains(*part)), "{all:?} in {end:#?}");
    assert_eq!(store.count(), 0);
    assert_stderr(&end, way);
}

/// What the application itself says at its end is still there, and nothing else.
fn assert_stderr(end: &End, way: &str) {
    let theirs: Vec<&str> = end.stderr.lines().filter(|line| !line.starts_with("logchute: ")).collect();
    match way {
        "panic" => assert!(theirs.contains(&LAST_WORDS), "{end:#?}"),
        "err" => assert_eq!(theirs, [format!("Error: {LAST_WORDS:?}")]),
        _ => assert_eq!(theirs, [""; 0]),
    }
}

fn others() -> Vec<Case> {
    vec![
        case("five_pipelines_have_one_deadline", || {
            let (away, up) = (Store::with(|_| Answer::silence()), Store::new());
            let end = Victim::new("five_pipelines").env("AWAY", away.url()).env("UP", up.url()).run();
            end.assert_well();
            assert!(end.took < LIMIT + BEYOND + SLACK, "{end:#?}");
            assert_eq!(up.messages(), ["to the one that is up"]);
            let totals = end.said().into_iter().filter(|line| line.starts_with("at the end 1 records were lost"));
            assert_eq!(totals.count(), 4, "{end:#?}");
        }),
        case("threads_that_never_stop_do_not_hold_up_the_end", || {
            let store = Store::counting();
            let end = end("endless_threads", &store, Duration::from_secs(5));
            end.assert_well();
            assert!(end.took < Duration::from_secs(5) + SLACK, "{end:#?}");
            let before: usize = end.stdout.trim().parse().unwrap();
            assert!(store.count() >= before, "{} of {before}: {end:#?}", store.count());
        }),
        case("a_panic_that_is_caught_is_a_record_and_does_not_wait", || {
            let store = Store::with(|_| Answer::silence());
            let end = end("caught_panics", &store, Duration::ZERO);
            end.assert_well();
            assert!(end.took < SLACK, "{end:#?}");
            assert!(end.said().iter().any(|line| line.contains("dropped (deadline fatal 50)")), "{end:#?}");
        }),
        case("an_exit_inside_of_debug_and_inside_of_the_diagnostics_hook_does_not_hang", || {
            for (role, arrived) in [("exit_in_debug", 1), ("exit_in_hook", 0)] {
                let store = if arrived == 0 { Store::refusing() } else { Store::new() };
                let end = end(role, &store, LIMIT);
                assert_eq!(end.status.code(), Some(4), "{end:#?}");
                assert!(end.took < LIMIT + BEYOND + SLACK, "{end:#?}");
                assert_eq!(store.count(), arrived, "{end:#?}");
            }
        }),
        case("a_pipeline_that_was_shut_down_says_nothing_more_and_costs_nothing", || {
            let store = Store::new();
            let end = end("after_shutdown", &store, Duration::from_secs(10));
            end.assert_well();
            assert!(end.took < SLACK, "{end:#?}");
            assert_eq!((store.count(), end.stderr.as_str()), (1, ""));
        }),
    ]
}

// ── The victims ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// Half of them by each facade.
fn log(numbers: std::ops::Range<usize>) {
    for n in numbers {
        if n % 2 == 0 {
            tracing::info!("record {n:03}");
        } else {
            log::info!("record {n:03}");
        }
    }
}

fn victim(way: &str) -> Result<(), Box<dyn Error>> {
    match way {
        "return" => {
            let _logs = logchute::init()?;
            log(0..RECORDS);
            ending();
        }
        "exit" => {
            let _logs = logchute::init()?;
            log(0..RECORDS);
            ending();
            std::process::exit(3);
        }
        "exit_on_a_thread" => {
            let _logs = logchute::init()?;
            let exits = thread::spawn(|| {
                log(0..RECORDS);
                ending();
                std::process::exit(3);
            });
            let _ = exits.join();
        }
        "static" => {
            static LOGS: OnceLock<Guard> = OnceLock::new();
            LOGS.get_or_init(|| logchute::init().unwrap());
            log(0..RECORDS);
            ending();
        }
        "underscore" => {
            let _ = logchute::init()?;
            log(0..RECORDS);
            ending();
        }
        "forget" => {
            std::mem::forget(logchute::init()?);
            log(0..RECORDS);
            ending();
        }
        "panic" => {
            let _logs = logchute::init()?;
            log(0..RECORDS);
            ending();
            panic!("{LAST_WORDS}");
        }
        "err" => {
            let _logs = logchute::init()?;
            log(0..RECORDS);
            ending();
            return Err(LAST_WORDS.into());
        }
        "early" => early()?,
        "endless_threads" => {
            let _logs = logchute::init()?;
            for _ in 0..4 {
                thread::spawn(|| {
                    loop {
                        tracing::info!("again");
                        thread::yield_now();
                    }
                });
            }
            log(0..RECORDS);
            println!("{RECORDS}");
            ending();
        }
        "caught_panics" => {
            let _logs = logchute::init()?;
            ending();
            for _ in 0..50 {
                let _ = std::panic::catch_unwind(|| panic!("caught"));
            }
        }
        "exit_in_debug" => {
            struct Exits;
            impl std::fmt::Debug for Exits {
                fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    ending();
                    std::process::exit(4)
                }
            }
            let _logs = logchute::init()?;
            tracing::info!("before");
            tracing::info!(value = ?Exits, "inside");
        }
        "exit_in_hook" => {
            // The store is away, and that is told on the worker.
            let logs = Builder::from_env()?
                .on_diagnostic(|_| {
                    ending();
                    std::process::exit(4)
                })
                .start()?;
            logs.install(tracing_subscriber::registry())?;
            log(0..1);
            thread::sleep(Duration::from_secs(10));
        }
        "after_shutdown" => {
            let logs = logchute::init()?;
            log(0..1);
            assert!(logs.shutdown(Duration::from_secs(5)).settled());
            ending();
        }
        "five_pipelines" => five_pipelines()?,
        _ => unreachable!("{way}"),
    }
    Ok(())
}

/// The guard is gone while four threads are in the middle of it.
fn early() -> Result<(), Box<dyn Error>> {
    let logs = logchute::init()?;
    let (half, go_on) = (Arc::new(Barrier::new(5)), Arc::new(Barrier::new(5)));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (half, go_on) = (Arc::clone(&half), Arc::clone(&go_on));
            thread::spawn(move || {
                let (from, to) = (thread * RECORDS / 4, (thread + 1) * RECORDS / 4);
                log(from..(from + to) / 2);
                half.wait();
                go_on.wait();
                log((from + to) / 2..to);
            })
        })
        .collect();
    half.wait();
    drop(logs);
    go_on.wait();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    ending();
    Ok(())
}

fn five_pipelines() -> Result<(), Box<dyn Error>> {
    let to = |url: &str| -> Result<Guard, Box<dyn Error>> {
        let url = format!("{}/ndjson", std::env::var(url)?);
        Ok(Builder::new().send_to(logchute::backend::Ndjson::new(url)).shutdown_limit(LIMIT).start()?)
    };
    let record = |message: &str| logchute::Record::new(logchute::Severity::Info, message.to_owned());
    for place in 0..5 {
        // Forgotten: all of them are left to the end of the process.
        let logs = to(if place == 4 { "UP" } else { "AWAY" })?;
        logs.emit(record(if place == 4 { "to the one that is up" } else { "lost" }));
        std::mem::forget(logs);
    }
    ending();
    Ok(())
}

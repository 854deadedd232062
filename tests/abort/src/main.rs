//! Where a panic means abort, its hook is the end of the process: last words arrive, or are told to be lost.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use logchute::testing::{Answer, Store};

#[path = "../../support/mod.rs"]
mod support;
use support::{End, Victim, case, ending};

const RECORDS: usize = 200;
const LAST_WORDS: &str = "these are the last words";

/// What the hook waits at most, and slack for a busy machine.
const LIMIT: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_millis(2200);

const SIGABRT: i32 = 6;

fn main() {
    assert!(cfg!(panic = "abort"), "built as it is meant to be");
    if let Some(role) = support::role() {
        return victim(&role);
    }
    let mut cases = Vec::new();
    for way in ["on_main", "on_a_thread", "inside_of_catch_unwind", "with_the_guard_gone"] {
        cases.push(case(format!("up::{way}"), move || {
            let store = Store::new();
            let end = end(way, &store, "10s");
            let mut messages = store.messages();
            let fatal = store.records().into_iter().find(|record| record.level == "fatal").expect("a FATAL record");
            assert!(fatal.message.starts_with("panicked at src/main.rs:"), "{fatal}");
            assert!(fatal.message.ends_with(LAST_WORDS), "{fatal}");
            messages.retain(|message| *message != fatal.message);
            messages.sort();
            assert_eq!(messages, (0..RECORDS).map(|n| format!("record {n:03}")).collect::<Vec<_>>());
            assert_eq!(end.said(), [""; 0], "nothing was lost, so there is nothing to say");
        }));
        for what in ["refused", "silent", "a_byte_a_second"] {
            for shutdown in ["300ms", "10s"] {
                cases.push(case(format!("{what}::{way}::{shutdown}"), move || {
                    let store = match what {
                        "refused" => Store::refusing(),
                        "silent" => Store::with(|_| Answer::silence()),
                        _ => Store::with(|_| Answer::drip(Duration::from_secs(1))),
                    };
                    let end = end(way, &store, shutdown);
                    assert!(end.took < LIMIT + SLACK, "{end:#?}");
                    let lost = format!("{} dropped (deadline fatal 1 info {RECORDS})", RECORDS + 1);
                    let totals: Vec<_> = end.said().into_iter().filter(|line| line.starts_with("at the end")).collect();
                    assert!(totals.len() == 1 && totals[0].contains(&lost), "{end:#?}");
                }));
            }
        }
    }
    cases.push(case("the_next_hook_still_runs_and_what_it_logs_arrives", || {
        let store = Store::new();
        end("hook_logs", &store, "10s");
        assert!(store.messages().contains(&"said by the hook".to_owned()), "{:?}", store.messages());
    }));
    cases.push(case("a_next_hook_that_exits_loses_nothing", || {
        let store = Store::new();
        let end = run("hook_exits", &store, "10s");
        assert_eq!(end.status.code(), Some(7), "{end:#?}");
        assert_eq!(store.messages().len(), RECORDS + 2, "{:?}", store.messages());
    }));
    cases.push(case("d6_eight_threads_panic_at_once", || {
        let store = Store::new();
        let end = end("eight_at_once", &store, "10s");
        assert!(end.took < LIMIT + SLACK, "{end:#?}");
        assert!(store.records().iter().any(|record| record.level == "fatal"), "{end:#?}");
        assert!(store.messages().len() > RECORDS, "{end:#?}");
    }));
    cases.push(case("d6_last_words_of_eight_threads_are_there_at_the_next_start", last_words_in_a_ring));
    support::run(cases);
}

/// The store is away when they panic, and back when the next process starts.
fn last_words_in_a_ring() {
    let dir = std::env::temp_dir().join(format!("logchute-abort-{}", std::process::id()));
    let store = Store::refusing();
    let victim = |role: &str| {
        Victim::new(role)
            .env("LOGCHUTE_URL", format!("ndjson+{}/ndjson", store.url()))
            .env("LOGCHUTE_RING_DIR", &dir)
            .env("LOGCHUTE_TEE", "off")
    };
    let end = victim("eight_at_once").run();
    assert_eq!(end.status.signal(), Some(SIGABRT), "{end:#?}");
    store.come_back();
    let next = victim("takes_over").env("RINGS", &dir).run();
    next.assert_well();
    let messages = store.messages();
    let records = messages.iter().filter(|message| message.starts_with("record ")).count();
    assert_eq!(records, RECORDS, "{end:#?} {next:#?}");
    assert!(store.records().iter().any(|record| record.level == "fatal"), "{messages:?} {end:#?}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "nothing is left");
    let _ = std::fs::remove_dir(&dir);
}

/// Delivers what others have left: until no ring but its own is there.
fn take_over() {
    let logs = logchute::init().unwrap();
    let dir = std::env::var_os("RINGS").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::fs::read_dir(&dir).unwrap().count() > 1 && Instant::now() < deadline {
        let _ = logs.flush(Duration::from_millis(100));
        thread::sleep(Duration::from_millis(10));
    }
}

fn run(way: &str, store: &Store, shutdown: &str) -> End {
    Victim::new(way)
        .env("LOGCHUTE_URL", format!("ndjson+{}/ndjson", store.url()))
        .env("LOGCHUTE_SHUTDOWN", shutdown)
        .env("LOGCHUTE_TEE", "off")
        .run()
}

/// Aborted, with the panic's message still on stderr.
fn end(way: &str, store: &Store, shutdown: &str) -> End {
    let end = run(way, store, shutdown);
    assert_eq!(end.status.signal(), Some(SIGABRT), "{end:#?}");
    assert!(end.stderr.lines().any(|line| line == LAST_WORDS), "{end:#?}");
    end
}

fn victim(way: &str) {
    match way {
        "takes_over" => return take_over(),
        "hook_logs" | "hook_exits" => {
            let exits = way == "hook_exits";
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                log::error!("said by the hook");
                if exits {
                    std::process::exit(7);
                }
                before(info);
            }));
        }
        _ => {}
    }
    let logs = logchute::init().unwrap();
    for n in 0..RECORDS {
        tracing::info!("record {n:03}");
    }
    match way {
        "on_a_thread" => {
            let _ = thread::spawn(last_words).join();
        }
        "inside_of_catch_unwind" => {
            let _ = std::panic::catch_unwind(last_words);
        }
        "with_the_guard_gone" => {
            std::mem::forget(logs);
            last_words();
        }
        "eight_at_once" => {
            let all = Arc::new(Barrier::new(8));
            let spawn = |_| {
                let all = Arc::clone(&all);
                thread::spawn(move || {
                    all.wait();
                    last_words();
                })
            };
            let threads: Vec<_> = (0..8).map(spawn).collect();
            threads.into_iter().for_each(|thread| _ = thread.join());
        }
        _ => last_words(),
    }
}

fn last_words() {
    ending();
    panic!("{LAST_WORDS}");
}

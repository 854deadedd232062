//! `LOGCHUTE_FALLBACK`: what is owed to a store that is away stands on stdout or stderr meanwhile, each record once, and
//! arrives all the same.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use logchute::testing::{Answer, Store};
use logchute::{DestinationState, Guard};

mod support;
use support::{Case, End, Victim, case};

/// Longer than a store must be away for anything to be shown, and short enough for a flush to wait for.
const AWAY: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(60);

const BEGINS: &str = "does not take records: what is owed to it is shown from here on, and stays owed";

fn main() {
    match support::role() {
        Some(role) => victim(&role),
        None => support::run(cases()),
    }
}

/// A store that is away for a while each time that it has answered so many requests.
fn away_before(requests: &'static [usize]) -> Store {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Store::with(move |_| match requests.contains(&asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst)) {
        true => Answer::busy(AWAY),
        false => Answer::ok(),
    })
}

fn run(store: &Store, role: &str, more: &[(&str, &str)]) -> End {
    let victim = Victim::new(role).env("LOGCHUTE_URL", format!("ndjson+{}/ndjson", store.url()));
    let victim = victim.env("LOGCHUTE_TEE", "off");
    let end = more.iter().fold(victim, |victim, (name, value)| victim.env(name, value)).run();
    end.assert_well();
    end
}

/// What stands on a stream beside what logchute says on its own: the messages, without time, level and target.
fn shown(stream: &str) -> Vec<&str> {
    let ours = stream.lines().filter(|line| !line.starts_with("logchute: "));
    ours.map(|line| line.split_once(": ").map_or(line, |(_, message)| message)).collect()
}

fn numbers(range: std::ops::RangeInclusive<usize>) -> Vec<String> {
    range.map(|number| format!("record {number}")).collect()
}

fn ends(shown: usize) -> String {
    format!("ndjson takes records again; {shown} record(s) that were owed to it were shown, which settled none of them")
}

/// A process that shows more than a pipe holds, while nobody reads its stdout.
fn flood(store: &Store, stderr: Stdio) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .env("VICTIM", "flood")
        .env("LOGCHUTE_URL", format!("ndjson+{}/ndjson", store.url()))
        .env("LOGCHUTE_TEE", "off")
        .env("LOGCHUTE_FALLBACK", "stdout")
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap()
}

fn cases() -> Vec<Case> {
    vec![
        case("what_is_owed_is_shown_once_in_order_between_two_lines_and_arrives", || {
            let store = away_before(&[0]);
            let end = run(&store, "outage", &[("LOGCHUTE_FALLBACK", "stderr:text")]);
            let shown = shown(&end.stderr);
            assert_eq!(shown[0], format!("ndjson {BEGINS}"), "{end:#?}");
            assert_eq!(shown[1..=20], numbers(1..=20), "those that came meanwhile as well: {end:#?}");
            assert_eq!(shown[21..], [ends(20)], "{end:#?}");
            let mut messages = store.messages();
            messages.retain(|message| message.starts_with("record "));
            messages.sort_by_key(|message| message[7..].parse::<usize>().unwrap());
            assert_eq!(messages, numbers(1..=20), "they stay owed");
        }),
        case("it_has_the_form_and_the_stream_that_was_asked_for", || {
            let store = away_before(&[0]);
            let end = run(&store, "outage", &[("LOGCHUTE_FALLBACK", "stdout:json")]);
            assert_eq!(shown(&end.stderr), [""; 0], "{end:#?}");
            let lines: Vec<serde_json::Value> =
                end.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines.len(), 22, "{end:#?}");
            assert_eq!((&lines[0]["level"], &lines[0]["target"]), (&"warn".into(), &"logchute".into()));
            assert_eq!(lines[1]["message"], "record 1");
        }),
        case("what_the_tee_shows_on_the_same_stream_is_not_shown_again", || {
            let store = away_before(&[0]);
            let tee = [("LOGCHUTE_FALLBACK", "stderr"), ("LOGCHUTE_TEE", "stderr"), ("RUST_LOG", "warn")];
            let end = run(&store, "outage", &tee);
            // Each third record is a warning, which the tee shows.
            for number in 1..=20 {
                let message = format!("record {number}");
                let count = shown(&end.stderr).iter().filter(|shown| **shown == message).count();
                assert_eq!(count, 1, "{message}: {end:#?}");
            }
            assert!(shown(&end.stderr).contains(&&*ends(14)), "{end:#?}");
            // On the other stream nothing is there yet.
            let store = away_before(&[0]);
            let end = run(&store, "outage", &[("LOGCHUTE_FALLBACK", "stdout"), ("LOGCHUTE_TEE", "stderr")]);
            assert_eq!((shown(&end.stdout).len(), shown(&end.stderr).len()), (22, 20), "{end:#?}");
        }),
        case("where_the_tee_shows_all_there_is_nothing_to_say", || {
            let store = away_before(&[0]);
            let end = run(&store, "outage", &[("LOGCHUTE_FALLBACK", "stderr"), ("LOGCHUTE_TEE", "stderr:json")]);
            assert_eq!(shown(&end.stderr).len(), 20, "{end:#?}");
        }),
        case("a_store_that_is_well_or_stumbles_shows_nothing", || {
            let busy = Store::answering([Answer::busy(Duration::from_millis(20)), Answer::ok(), Answer::ok()]);
            let end = run(&busy, "well", &[("LOGCHUTE_FALLBACK", "stderr")]);
            assert_eq!((shown(&end.stderr), busy.count()), (vec![], 10), "{end:#?}");
        }),
        case("in_a_second_outage_only_what_came_since_is_shown", || {
            let store = away_before(&[0, 2]);
            let small = [("LOGCHUTE_BATCH_BYTES", "1KiB"), ("LOGCHUTE_IN_FLIGHT", "1")];
            let end = run(&store, "two_outages", &[&[("LOGCHUTE_FALLBACK", "stderr")], &small[..]].concat());
            let mut expected = vec![format!("ndjson {BEGINS}")];
            expected.extend(numbers(1..=20));
            expected.extend([ends(20), format!("ndjson {BEGINS}")]);
            expected.extend(numbers(21..=25));
            expected.push(ends(5));
            assert_eq!(shown(&end.stderr), expected, "{end:#?}");
        }),
        case("the_last_words_are_shown_where_the_store_is_away_to_the_end", || {
            let end = Victim::new("last_words")
                .env("LOGCHUTE_URL", "ndjson+http://127.0.0.1:1")
                .env("LOGCHUTE_TEE", "off")
                .env("LOGCHUTE_SHUTDOWN", "200ms")
                .env("LOGCHUTE_FALLBACK", "stderr")
                .run();
            end.assert_well();
            let shown = shown(&end.stderr);
            assert_eq!(shown[1..=10], numbers(1..=10), "{end:#?}");
            assert!(shown.last().unwrap().contains("had not taken all records at the end; 10 record(s)"), "{end:#?}");
        }),
        case("what_an_earlier_process_left_on_disk_is_not_shown", || {
            let dir = std::env::temp_dir().join(format!("logchute-fallback-{}", std::process::id()));
            let run = |role: &str, limit: &str| {
                let end = Victim::new(role)
                    .env("LOGCHUTE_URL", "ndjson+http://127.0.0.1:1")
                    .env("LOGCHUTE_TEE", "off")
                    .env("LOGCHUTE_SHUTDOWN", limit)
                    .env("LOGCHUTE_SPOOL_DIR", &dir)
                    .env("LOGCHUTE_FALLBACK", "stderr")
                    .run();
                end.assert_well();
                end
            };
            let end = run("last_words", "200ms");
            assert_eq!(shown(&end.stderr)[1..=10], numbers(1..=10), "{end:#?}");
            // Its end grants the second after which a store is away, and more.
            let end = run("later", "3s");
            let _ = std::fs::remove_dir_all(&dir);
            let records: Vec<_> = shown(&end.stderr).into_iter().filter(|line| line.starts_with("record ")).collect();
            assert_eq!(records, ["record 11"], "{end:#?}");
        }),
        case("a_stream_that_nobody_reads_holds_nothing_up", || {
            let store = away_before(&[0]);
            let mut child = flood(&store, Stdio::piped());
            let unread = child.stdout.take().unwrap();
            let mut said = String::new();
            for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
                let _ = writeln!(said, "{line}");
                if line == "settled" {
                    break;
                }
            }
            assert!(said.contains("settled"), "{said}");
            assert!(child.wait().unwrap().success(), "{said}");
            drop(unread);
            assert_eq!(store.count(), 2_000, "{said}");
        }),
        case("a_stream_that_is_closed_holds_nothing_up", || {
            let store = away_before(&[0]);
            let mut child = flood(&store, Stdio::null());
            drop(child.stdout.take());
            assert!(child.wait().unwrap().success());
            assert_eq!(store.count(), 2_000);
        }),
    ]
}

// ── The victims ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// Each third one is a warning.
fn say(numbers: std::ops::RangeInclusive<usize>) {
    for number in numbers {
        match number % 3 {
            0 => tracing::warn!("record {number}"),
            _ => tracing::info!("record {number}"),
        }
    }
}

/// Until the store is away, having taken so many records.
fn await_outage(logs: &Guard, delivered: u64) {
    let deadline = Instant::now() + LONG;
    let is_away = || {
        let health = logs.health();
        health.destinations[0].state != DestinationState::Well && logs.ledger().destinations[0].delivered >= delivered
    };
    while !is_away() {
        assert!(Instant::now() < deadline, "{:?}", logs.health());
        thread::yield_now();
    }
}

fn victim(role: &str) {
    let logs = logchute::init().unwrap();
    match role {
        "outage" => {
            say(1..=10);
            await_outage(&logs, 0);
            say(11..=20);
            assert!(logs.flush(LONG).settled());
        }
        "two_outages" => {
            say(1..=20);
            await_outage(&logs, 0);
            await_outage(&logs, 1);
            say(21..=25);
            assert!(logs.flush(LONG).settled());
        }
        "well" => {
            say(1..=10);
            assert!(logs.flush(LONG).settled());
        }
        "last_words" => say(1..=10),
        "later" => say(11..=11),
        "flood" => {
            let long = "x".repeat(200);
            (0..2_000).for_each(|number| tracing::info!("{number} {long}"));
            assert!(logs.flush(LONG).settled());
            eprintln!("settled");
        }
        _ => unreachable!("{role}"),
    }
}

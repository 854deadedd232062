//! An event that is a record of `log` as well arrives once; so does one that comes through the bridge of `tracing-log`.
//!
//! As a build without the feature `crash-proof`, which the library's own tests always have, it also shows what is refused there.

use std::thread;
use std::time::Duration;

use logchute::testing::{Received, Store};
use logchute::{Builder, Guard};
use tracing_subscriber::layer::SubscriberExt as _;

#[path = "../../support/mod.rs"]
mod support;
use support::{Case, Victim, case};

/// Which of tracing's features this build has.
const LOG: bool = cfg!(feature = "log");
const ALWAYS: bool = cfg!(feature = "log-always");

fn main() {
    match support::role() {
        Some(role) => victim(&role),
        None => support::run(cases()),
    }
}

/// The records of a victim, sorted by message.
fn arrived(role: &str) -> Vec<Received> {
    let store = Store::new();
    let victim = Victim::new(role).env("LOGCHUTE_URL", format!("ndjson+{}/ndjson", store.url()));
    let end = victim.env("LOGCHUTE_TEE", "off").env("LOGCHUTE_FILTER", "trace").env("LOGCHUTE_SPANS", "trace").run();
    end.assert_well();
    let mut records = store.records();
    records.sort_by_key(|record| record.message.clone());
    records
}

fn messages(records: &[Received]) -> Vec<&str> {
    records.iter().map(|record| record.message.as_str()).collect()
}

fn cases() -> Vec<Case> {
    println!("tracing with log: {LOG}, with log-always: {ALWAYS}");
    vec![
        case("layer_and_logger_have_each_event_once", || {
            let records = arrived("both");
            assert_eq!(messages(&records), ["by log", "by tracing", "in a span"]);
            // It is the event that counts: its fields are typed, and those of its spans are there.
            assert_eq!(records[1].get("user"), Some(&42.into()));
            assert_eq!(records[2].get("request_id"), Some(&7.into()));
        }),
        case("many_threads_have_each_event_once", || {
            let records = arrived("threads");
            assert_eq!(records.len(), 2 * 8 * 100);
        }),
        case("logger_alone_keeps_what_tracing_hands_to_it", || {
            let records = arrived("logger_alone");
            let mut kept = vec!["by log"];
            if LOG || ALWAYS {
                kept.push("by tracing user=42");
            }
            let records: Vec<_> = records.iter().filter(|record| record.message.starts_with("by ")).collect();
            assert_eq!(records.iter().map(|record| record.message.as_str()).collect::<Vec<_>>(), kept);
            assert!(records.iter().all(|record| record.get("file").is_some() && record.get("line").is_some()));
        }),
        case("outside_of_a_scoped_subscriber_the_logger_keeps_it", || {
            let records = arrived("scoped");
            let mut kept = vec!["inside"];
            if ALWAYS {
                kept.push("outside");
            }
            let records = messages(&records).into_iter().filter(|message| message.contains("side")).collect::<Vec<_>>();
            assert_eq!(records, kept);
        }),
        case("both_facades_on_one_line_are_two_records", || {
            assert_eq!(messages(&arrived("one_line")), ["one line", "one line"]);
        }),
        case("a_filter_that_is_changed_changes_nothing_of_that", || {
            assert_eq!(messages(&arrived("filter_changes")), ["at debug", "at debug again", "at warn"]);
        }),
        case("the_bridge_gives_records_of_log_their_own_place", || {
            let records = arrived("bridge");
            assert_eq!(messages(&records), ["by log", "by tracing"]);
            assert_eq!(records[0].get("target"), Some(&"shop::cart".into()));
            assert!(records[0].get("file").and_then(|file| file.as_str()).is_some_and(|file| file.ends_with("main.rs")));
            assert!(records[0].get("line").is_some_and(|line| line.as_u64() > Some(1)));
            assert!(!records[0].raw.to_string().contains("log.target"), "{}", records[0]);
        }),
        case("a_ring_is_refused_where_its_feature_is_not_compiled_in", || {
            let refused = Builder::new().send_to(Store::new().backend()).ring_dir("/dev/shm/shop").start().unwrap_err();
            assert!(refused.to_string().contains("it needs the feature `crash-proof`"), "{refused}");
        }),
    ]
}

// ── The victims ─────────────────────────────────────────────────────────────────────────────────────────────────────

fn start() -> Guard {
    Builder::from_env().unwrap().start().unwrap()
}

fn victim(role: &str) {
    match role {
        "both" => {
            let _logs = logchute::init().unwrap();
            tracing::info!(user = 42, "by tracing");
            log::info!("by log");
            let span = tracing::info_span!("request", request_id = 7);
            span.in_scope(|| tracing::info!("in a span"));
        }
        "threads" => {
            let _logs = logchute::init().unwrap();
            let run = || {
                for n in 0..100 {
                    tracing::info!(n, "by tracing");
                    log::info!(n; "by log");
                }
            };
            thread::scope(|scope| (0..8).for_each(|_| _ = scope.spawn(run)));
        }
        "logger_alone" => {
            let logs = start();
            log::set_boxed_logger(Box::new(logs.logger())).unwrap();
            log::set_max_level(log::LevelFilter::Trace);
            tracing::info!(user = 42, "by tracing");
            log::info!("by log");
        }
        "scoped" => {
            let logs = start();
            log::set_boxed_logger(Box::new(logs.logger())).unwrap();
            log::set_max_level(log::LevelFilter::Trace);
            let subscriber = tracing_subscriber::registry().with(logs.layer());
            let event = |message: &str| tracing::info!("{message}");
            tracing::subscriber::with_default(subscriber, || {
                event("inside");
                // The same place in the code, on a thread that has no subscriber.
                thread::scope(|scope| _ = scope.spawn(|| event("outside")).join());
            });
        }
        "one_line" => {
            let _logs = logchute::init().unwrap();
            macro_rules! both {
                ($message:literal) => {{
                    tracing::info!($message);
                    log::info!($message);
                }};
            }
            both!("one line");
        }
        "filter_changes" => {
            let logs = logchute::init().unwrap();
            let debug = |message: &str| tracing::debug!("{message}");
            debug("at debug");
            logs.set_filter("warn").unwrap();
            debug("not at warn");
            tracing::warn!("at warn");
            logs.set_filter("debug").unwrap();
            debug("at debug again");
        }
        "bridge" => {
            let logs = Builder::from_env().unwrap().filter("trace,shop::noise=off").start().unwrap();
            tracing_log::LogTracer::init().unwrap();
            logs.install(tracing_subscriber::registry()).unwrap();
            log::info!(target: "shop::cart", "by log");
            // Filters go by that place as well.
            log::info!(target: "shop::noise", "by nobody");
            tracing::info!("by tracing");
            assert!(logs.shutdown(Duration::from_secs(10)).settled());
        }
        _ => unreachable!("{role}"),
    }
}

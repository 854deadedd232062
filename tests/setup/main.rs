//! Set-up from the environment: what is installed, what is refused and in which words, and that no secret is ever shown.

use std::error::Error as _;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use logchute::testing::{Answer, Store};
use logchute::{Builder, Destination, Error, Guard, Record, Severity, backend::Ndjson};
use tracing_subscriber::layer::SubscriberExt as _;

mod lanes;
mod malformed;
#[path = "../support/mod.rs"]
mod support;
use malformed::{MALFORMED, THERE};
use support::{Case, End, Victim, case};

/// Is never to be seen.
const CANARY: &str = "s3cr3t-canary";

fn main() {
    match support::role() {
        Some(role) => victim(&role),
        None => {
            support::run([installing(), teeing(), refusing(), hiding(), lanes::cases()].into_iter().flatten().collect())
        }
    }
}

fn with(role: &str, variables: &[(&str, &str)]) -> End {
    let victim = Victim::new(role).env("LOGCHUTE_TEE", "off");
    variables.iter().fold(victim, |victim, (name, value)| victim.env(name, value)).run()
}

fn url(store: &Store) -> String {
    format!("ndjson+{}/ndjson", store.url())
}

fn installing() -> Vec<Case> {
    vec![
        case("init_twice_returns_the_same_pipeline", || {
            let store = Store::new();
            let end = with("init_twice", &[("LOGCHUTE_URL", &url(&store))]);
            end.assert_well();
            assert_eq!(store.messages(), ["one", "two", "three"]);
            assert_eq!(end.stderr, "");
        }),
        case("init_on_many_threads_at_once_makes_one_pipeline", || {
            let store = Store::new();
            let end = with("init_on_threads", &[("LOGCHUTE_URL", &url(&store))]);
            end.assert_well();
            assert_eq!(store.count(), 16);
            assert_eq!(end.stderr, "");
        }),
        case("a_foreign_subscriber_stays_and_is_told_how_to_go_on", || {
            let store = Store::new();
            let end = with("foreign_subscriber", &[("LOGCHUTE_URL", &url(&store))]);
            end.assert_well();
            // Said by the victim; logchute itself left no word, no thread that waits, and no request.
            assert!(end.stdout.contains("add `handle.layer()`"), "{end:#?}");
            assert_eq!((end.stderr.as_str(), store.request_count()), ("", 0));
        }),
        case("a_foreign_logger_stays_is_told_and_lived_with", || {
            let store = Store::new();
            let end = with("foreign_logger", &[("LOGCHUTE_URL", &url(&store))]);
            end.assert_well();
            assert_eq!(store.messages(), ["by tracing"]);
            let said = end.said();
            assert!(said.len() == 1 && said[0].contains("another logger is installed"), "{end:#?}");
        }),
        case("composed_with_other_layers_nobody_is_muted", || {
            let store = Store::new();
            let end = with("composed", &[("LOGCHUTE_URL", &url(&store)), ("LOGCHUTE_FILTER", "warn")]);
            end.assert_well();
            assert_eq!(store.messages(), ["seen by both"]);
        }),
        case("names_of_others_are_passed_over_and_a_slip_is_told", || {
            let end =
                with("well", &[("LOGCHUTE_SERVICE_HOST", "10.0.0.1"), ("LOGCHUTE_PORT_80_TCP", "tcp://10.0.0.1:80")]);
            end.assert_well();
            assert_eq!(end.said(), ["there is neither a destination nor a tee: records are counted, and go nowhere"]);
            let end = with("well", &[("LOGCHUTE_ULR", "ndjson+http://host"), ("LOGCHUTE_TEE", "stderr:text")]);
            end.assert_well();
            assert_eq!(
                end.said(),
                ["LOGCHUTE_ULR is not known and is ignored; the nearest known name is LOGCHUTE_URL"]
            );
        }),
        case("a_budget_of_a_spool_that_is_none_is_told", || {
            let store = Store::new();
            let end = with("well", &[("LOGCHUTE_URL", &url(&store)), ("LOGCHUTE_SPOOL_BYTES", "1GiB")]);
            end.assert_well();
            assert_eq!(
                end.said(),
                ["LOGCHUTE_SPOOL_BYTES is set, but LOGCHUTE_SPOOL_DIR is not, so nothing is kept on disk"]
            );
        }),
        case("a_token_without_a_destination_is_told", || {
            let end = with("well", &[("LOGCHUTE_TOKEN", CANARY), ("LOGCHUTE_TEE", "stderr")]);
            end.assert_well();
            assert!(end.said()[0].contains("LOGCHUTE_TOKEN is set, but LOGCHUTE_URL is not"), "{end:#?}");
            assert!(!end.stderr.contains(CANARY), "{end:#?}");
        }),
    ]
}

fn teeing() -> Vec<Case> {
    /// The lines of the tee, without their times.
    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest).trim().to_owned()).collect()
    }
    let tee = |variables: &'static [(&str, &str)]| {
        let victim = Victim::new("tee");
        variables.iter().fold(victim, |victim, (name, value)| victim.env(name, value)).run()
    };
    vec![
        case("without_a_url_text_goes_to_stderr_alone", move || {
            let end = tee(&[]);
            end.assert_well();
            let lines = lines(&end.stderr);
            assert_eq!(lines.len(), 3, "{end:#?}");
            for (line, parts) in lines.iter().zip([
                ["INFO", "by tracing", "user=42"],
                ["WARN", "by log", "shop::cart"],
                ["ERROR", "in a span", "request_id=7"],
            ]) {
                assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} in {line}");
            }
            assert_eq!(end.stdout, "");
        }),
        case("rust_log_governs_the_tee", move || {
            assert_eq!(lines(&tee(&[("RUST_LOG", "error")]).stderr).len(), 1);
            assert_eq!(lines(&tee(&[("RUST_LOG", "debug")]).stderr).len(), 4);
            assert_eq!(lines(&tee(&[("RUST_LOG", "off,shop::cart=trace")]).stderr).len(), 1);
            // What is sent is another matter.
            assert_eq!(lines(&tee(&[("RUST_LOG", "debug"), ("LOGCHUTE_FILTER", "error")]).stderr).len(), 4);
        }),
        case("a_malformed_rust_log_is_told_once_and_ignored", move || {
            let end = tee(&[("RUST_LOG", "error,[span{x=1}]=debug")]);
            end.assert_well();
            assert!(end.said().len() == 1 && end.said()[0].contains("RUST_LOG"), "{end:#?}");
            assert_eq!(end.stderr.lines().count(), 2, "{end:#?}");
        }),
        case("rust_log_and_the_filter_of_the_store_are_apart", || {
            let store = Store::new();
            let end = Victim::new("tee").env("LOGCHUTE_URL", url(&store)).env("RUST_LOG", "error").run();
            end.assert_well();
            assert_eq!(lines(&end.stderr).len(), 1, "{end:#?}");
            assert_eq!(store.messages(), ["by tracing", "by log", "in a span"]);
        }),
        case("the_tee_goes_where_it_is_told", move || {
            let end = tee(&[("LOGCHUTE_TEE", "stdout:json")]);
            assert_eq!((end.stdout.lines().count(), end.stderr.as_str()), (3, ""));
            for line in end.stdout.lines() {
                assert!(serde_json::from_str::<serde_json::Value>(line).unwrap().is_object(), "{line}");
            }
            let end = tee(&[
                ("LOGCHUTE_TEE", "off"),
                ("LOGCHUTE_URL", "ndjson+http://127.0.0.1:1"),
                ("LOGCHUTE_SHUTDOWN", "0s"),
            ]);
            assert!(end.stderr.lines().all(|line| line.starts_with("logchute: ")), "{end:#?}");
        }),
    ]
}

/// A file with a secret of two lines.
fn secret_file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("logchute-{}-{name}", std::process::id()));
    fs::write(&path, format!("{CANARY}\n{CANARY}\n")).unwrap();
    path
}

fn refusing() -> Vec<Case> {
    let mut cases = vec![
        case("b7_refusals_name_the_variable_the_value_and_what_to_change", || {
            let file = secret_file("refusals");
            let fill = |text: &str| {
                let text = text.replace("{canary}", CANARY).replace("{file}", file.to_str().unwrap());
                text.replace("{long}", &"x".repeat(10 * 1024))
            };
            let mut wrong = String::new();
            for (variables, name, parts) in MALFORMED {
                let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, fill(value))).collect();
                let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let end = with("refused", &variables);
                let said = end.stdout.lines().next().unwrap_or_default();
                if std::env::var_os("SHOW").is_some() {
                    println!("{said}");
                }
                let is_right = said.starts_with(&format!("{name} is \""))
                    && parts.iter().all(|part| said.contains(&fill(part)))
                    && ![&end.stdout, &end.stderr].iter().any(|text| text.contains(CANARY))
                    && end.stderr.is_empty()
                    && end.status.success();
                if !is_right {
                    let _ = writeln!(wrong, "{name} {parts:?}, but was {end:#?}");
                }
            }
            fs::remove_file(file).unwrap();
            assert!(wrong.is_empty(), "{wrong}");
        }),
        case("b7_credentials_over_http_are_taken_where_that_is_allowed", || {
            let end = with(
                "well",
                &[THERE, ("LOGCHUTE_TOKEN", CANARY), ("LOGCHUTE_ALLOW_HTTP", "true"), ("LOGCHUTE_SHUTDOWN", "0s")],
            );
            end.assert_well();
            for harmless in [("LOGCHUTE_TENANT", "acme"), ("LOGCHUTE_HEADERS", "VL-Stream-Fields=service")] {
                with("well", &[THERE, harmless, ("LOGCHUTE_SHUTDOWN", "0s")]).assert_well();
            }
        }),
    ];
    #[cfg(not(feature = "crash-proof"))]
    cases.push(case("a_ring_without_its_feature_is_refused", || {
        let end = with("refused", &[("LOGCHUTE_RING_DIR", "/dev/shm/shop")]);
        let said = end.stdout.lines().next().unwrap_or_default();
        assert!(said.starts_with("LOGCHUTE_RING_DIR is \"/dev/shm/shop\"") && said.contains("crash-proof"), "{end:#?}");
    }));
    #[cfg(unix)]
    cases.push(case("a_value_that_is_no_text_is_refused", || {
        use std::os::unix::ffi::OsStrExt;
        let value = std::ffi::OsStr::from_bytes(b"ndjson+http://h\xff");
        let end = Victim::new("refused").env("LOGCHUTE_URL", value).run();
        assert!(end.stdout.starts_with("LOGCHUTE_URL is \"") && end.stdout.contains("UTF-8"), "{end:#?}");
    }));
    cases
}

fn hiding() -> Vec<Case> {
    let secrets = [
        &[("LOGCHUTE_TOKEN", CANARY)] as &[_],
        &[("LOGCHUTE_USER", "me"), ("LOGCHUTE_PASSWORD", CANARY)],
        &[("LOGCHUTE_HEADERS", "x-key=s3cr3t-canary,authorization=Bearer s3cr3t-canary")],
    ];
    let mut cases = Vec::new();
    for (place, secrets) in secrets.into_iter().enumerate() {
        for (what, answer) in [
            ("ok", Answer::ok()),
            // A store or a proxy that says what it got.
            ("unauthorized", Answer::status(401).body(format!("who is {CANARY}?"))),
            ("bad_request", Answer::status(400).body(format!("{{\"sent\":\"Bearer {CANARY}\"}}"))),
            ("redirect", Answer::redirect(307, format!("http://elsewhere/?token={CANARY}"))),
            ("busy", Answer::unavailable().body(CANARY)),
        ] {
            let answer = Mutex::new(answer);
            cases.push(case(format!("b8_no_secret_is_shown::{what}::{place}"), move || {
                let answer = answer.lock().unwrap().clone();
                let store = Store::with(move |_| answer.clone());
                let url = format!("{}?key={CANARY}", url(&store));
                let name = format!("logchute-{}-rejected-{what}-{place}", std::process::id());
                let quarantine = std::env::temp_dir().join(name);
                let settings = [
                    ("LOGCHUTE_URL", url.as_str()),
                    ("LOGCHUTE_SHUTDOWN", "300ms"),
                    ("LOGCHUTE_TEE", "stderr"),
                    ("LOGCHUTE_QUARANTINE", quarantine.to_str().unwrap()),
                ];
                let end = with("hiding", &[&settings, secrets].concat());
                end.assert_well();
                let rejected = fs::read_to_string(&quarantine).unwrap_or_default();
                let _ = fs::remove_file(&quarantine);
                assert_eq!(rejected.is_empty(), what != "bad_request", "{rejected} {end:#?}");
                for text in [&end.stdout, &end.stderr, &rejected] {
                    assert!(!text.contains(CANARY), "{end:#?}");
                    // user:password in base64, as it is sent.
                    assert!(!text.contains("bWU6czNjcjN0LWNhbmFyeQ"), "{end:#?}");
                }
                let requests = store.requests();
                assert!(!requests.is_empty(), "{end:#?}");
                for request in requests {
                    assert!(!request.text().contains(CANARY), "{request:#?}");
                    assert!(
                        request.headers().iter().any(|(_, value)| value.contains(CANARY) || value.contains("bWU6"))
                    );
                }
            }));
        }
    }
    cases
}

// ── The victims ─────────────────────────────────────────────────────────────────────────────────────────────────────

fn victim(role: &str) {
    match role {
        "init_twice" => {
            let first = logchute::init().unwrap();
            tracing::info!("one");
            let second = logchute::init().unwrap();
            tracing::info!("two");
            drop(first);
            assert_eq!(second.ledger().emitted, 2);
            drop(second);
            // Also where no guard is left.
            assert_eq!(logchute::init().unwrap().ledger().emitted, 2);
            tracing::info!("three");
        }
        "init_on_threads" => {
            let threads: Vec<_> = (0..16)
                .map(|_| {
                    std::thread::spawn(|| {
                        let logs = logchute::init().unwrap();
                        log::info!("here");
                        logs
                    })
                })
                .collect();
            let guards: Vec<Guard> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert!(guards.iter().all(|logs| logs.ledger().emitted == 16));
        }
        "foreign_subscriber" => {
            static SEEN: AtomicUsize = AtomicUsize::new(0);
            let theirs = tracing_subscriber::registry().with(Counting(&SEEN));
            tracing::subscriber::set_global_default(theirs).unwrap();
            for _ in 0..2 {
                let refused = logchute::init().unwrap_err();
                assert!(matches!(refused, Error::AlreadyInstalled(_)));
                println!("{refused}");
            }
            tracing::info!("theirs");
            assert_eq!(SEEN.load(Ordering::Relaxed), 1);
            // The `log` facade was left alone as well.
            assert_eq!(log::max_level(), log::LevelFilter::Off);
        }
        "foreign_logger" => {
            static SEEN: AtomicUsize = AtomicUsize::new(0);
            struct Theirs;
            impl log::Log for Theirs {
                fn enabled(&self, _: &log::Metadata<'_>) -> bool {
                    true
                }
                fn log(&self, _: &log::Record<'_>) {
                    SEEN.fetch_add(1, Ordering::Relaxed);
                }
                fn flush(&self) {}
            }
            log::set_logger(&Theirs).unwrap();
            log::set_max_level(log::LevelFilter::Trace);
            let logs = logchute::init().unwrap();
            tracing::info!("by tracing");
            log::trace!("by log");
            logs.set_filter("warn").unwrap();
            log::trace!("by log");
            assert_eq!(SEEN.load(Ordering::Relaxed), 2, "its level is theirs to set");
        }
        "composed" => {
            static SEEN: AtomicUsize = AtomicUsize::new(0);
            let logs = Builder::from_env().unwrap().start().unwrap();
            logs.install(tracing_subscriber::registry().with(Counting(&SEEN))).unwrap();
            tracing::trace!("theirs alone");
            tracing::warn!("seen by both");
            assert_eq!(SEEN.load(Ordering::Relaxed), 2);
        }
        "well" => drop(logchute::init().unwrap()),
        "tee" => {
            let _logs = logchute::init().unwrap();
            tracing::info!(user = 42, "by tracing");
            log::warn!(target: "shop::cart", "by log");
            let _span = tracing::info_span!("request", request_id = 7).entered();
            tracing::error!("in a span");
            tracing::debug!("a detail");
        }
        "refused" => {
            let refused = logchute::init().unwrap_err();
            println!("{refused}\n{refused:?}\n{:?}", refused.source());
        }
        "hiding" => hidden(),
        "lanes" => lanes::victim(),
        _ => unreachable!("{role}"),
    }
}

/// Shows everything that can be shown.
fn hidden() {
    println!("{:?}", Builder::from_env().unwrap());
    let by_code = Destination::new(Ndjson::new(format!("http://me:{CANARY}@127.0.0.1:1/?key={CANARY}")))
        .token(CANARY)
        .user(CANARY)
        .password(CANARY)
        .header("x-key", CANARY)
        .tenant(CANARY);
    println!("{by_code:?}");
    let builder = Builder::new().send_to(by_code);
    println!("{builder:?}");
    let refused = builder.start().unwrap_err();
    println!("{refused} {refused:?} {:?}", refused.source());
    let logs = logchute::init().unwrap();
    tracing::error!("hello");
    let report = logs.flush(Duration::from_millis(300));
    println!("{report} {report:?} {} {:?}", report.ledger().to_json(), report.ledger());
    logs.emit(Record::new(Severity::Error, "again"));
    println!("{:?} {:?} {:?}", *logs, logs.health(), logs);
    let report = logs.shutdown(Duration::from_millis(300));
    println!("{report} {:?} {:?}", logs.health(), logs.ledger());
}

/// A layer of somebody else.
struct Counting(&'static AtomicUsize);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Counting {
    fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

//! The doctor: for each thing that goes wrong on the way to a store, the cause in words and the setting to change.
//!
//! Each case is a process of its own that reads the environment as a service would.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use logchute::Builder;
use logchute::testing::{Answer, Store};

mod others;
#[path = "../support/mod.rs"]
mod support;
mod tls;

use others::{forward, google_cloud, unconfirmed};
use support::{Case, End, Victim, case};
use tls::tls;

fn main() -> ExitCode {
    match support::role().as_deref() {
        Some("diagnose") => {
            let diagnosis = logchute::diagnose();
            println!("{diagnosis}");
            ExitCode::from(u8::from(!diagnosis.is_well()))
        }
        Some("serve") => {
            let logs = logchute::init().unwrap();
            log::info!("served");
            drop(logs);
            ExitCode::SUCCESS
        }
        Some(other) => panic!("there is no role {other}"),
        None => {
            let all = [settings(), way(), answers(), tls(), lanes(), unconfirmed(), forward(), google_cloud(), well()];
            support::run(all.into_iter().flatten().collect());
            ExitCode::SUCCESS
        }
    }
}

/// What the doctor says with these variables, in a process that knows no proxy.
fn diagnosed(variables: &[(&str, &str)]) -> End {
    let victim = Victim::new("diagnose").env("NO_PROXY", "*").env("LOGCHUTE_TIMEOUT", "3s");
    variables.iter().fold(victim, |victim, (name, value)| victim.env(name, value)).run()
}

/// The step that failed.
fn failed(end: &End) -> &str {
    let line = end.stdout.lines().find(|line| line.ends_with("FAILED"));
    line.map_or("none", |line| line.trim_end_matches("FAILED").trim())
}

/// It fails at that step, says `cause`, and points to `setting`.
#[track_caller]
fn told(end: &End, step: &str, cause: &str, setting: &str) {
    assert_eq!(end.status.code(), Some(1), "{end:#?}");
    assert_eq!(failed(end), step, "{end:#?}");
    let wrong = end.stdout.lines().find(|line| line.trim_start().starts_with("wrong: ")).unwrap_or_default();
    assert!(wrong.contains(cause), "{cause}: {end:#?}");
    let look = end.stdout.lines().find(|line| line.trim_start().starts_with("look at: ")).unwrap_or_default();
    assert!(
        look.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).any(|word| word == setting),
        "{setting}: {end:#?}"
    );
    assert_eq!(end.stderr, "", "all is part of the diagnosis");
}

fn loki(to: impl std::fmt::Display) -> String {
    format!("loki+{to}")
}

fn settings() -> Vec<Case> {
    vec![
        case("an_unset_url_is_told", || {
            told(&diagnosed(&[]), "set up", "no destination is set", "LOGCHUTE_URL");
        }),
        case("an_unknown_scheme_is_told_with_those_that_there_are", || {
            let end = diagnosed(&[("LOGCHUTE_URL", "lokki+http://host")]);
            told(&end, "set up", "did you mean loki?", "LOGCHUTE_URL");
        }),
        case("a_malformed_setting_is_told", || {
            let end = diagnosed(&[("LOGCHUTE_URL", "loki+http://host"), ("LOGCHUTE_LINGER", "soon")]);
            told(&end, "set up", "soon", "LOGCHUTE_LINGER");
        }),
        case("a_name_that_is_not_known_is_a_note", || {
            let store = Store::new();
            let url = loki(store.url());
            let end = diagnosed(&[("LOGCHUTE_URL", &url), ("LOGCHUTE_TOKN", "x")]);
            end.assert_well();
            assert!(end.stdout.contains("note: LOGCHUTE_TOKN is not known"), "{end:#?}");
        }),
    ]
}

fn way() -> Vec<Case> {
    vec![
        case("a_name_that_does_not_resolve_is_told", || {
            let end = diagnosed(&[("LOGCHUTE_URL", "loki+http://store.invalid:3100")]);
            told(&end, "resolve", "cannot be resolved", "LOGCHUTE_URL");
        }),
        case("a_refused_port_is_told", || {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(format!("http://{port}")))]);
            told(&end, "connect", "nobody listens", "LOGCHUTE_URL");
        }),
        case("a_black_hole_is_told", || {
            let hole = BlackHole::new();
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(format!("http://{}", hole.address)))]);
            told(&end, "connect", "swallows packets", "LOGCHUTE_URL");
        }),
        case("a_store_that_never_answers_is_told", || {
            let store = Store::answering([Answer::silence()]);
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(store.url()))]);
            told(&end, "answer", "did not answer within 3s", "LOGCHUTE_TIMEOUT");
        }),
        case("a_proxy_that_wants_a_password_is_told", || {
            let proxy = Store::answering([Answer::status(407), Answer::status(407)]);
            let victim = Victim::new("diagnose").env("HTTP_PROXY", proxy.url()).env("HTTPS_PROXY", proxy.url());
            let end = victim.env("NO_PROXY", "").env("LOGCHUTE_URL", "loki+http://store.invalid").run();
            told(&end, "answer", "status 407", "HTTP_PROXY");
        }),
    ]
}

/// A port at which packets vanish: its queue of connections is full, and nobody takes one.
struct BlackHole {
    address: SocketAddr,
    _kept: (socket2::Socket, Vec<TcpStream>),
}

impl BlackHole {
    fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let filling: Vec<TcpStream> = (0..8).map_while(connect).collect();
        Self { address, _kept: (socket, filling) }
    }
}

fn answers() -> Vec<Case> {
    let answer = |name: &'static str, answer: Answer, cause: &'static str, setting: &'static str| {
        case(name, move || {
            let store = Store::with({
                let answer = answer.clone();
                move |_| answer.clone()
            });
            told(&diagnosed(&[("LOGCHUTE_URL", &loki(store.url()))]), "answer", cause, setting);
        })
    };
    vec![
        answer("status_401_is_told", Answer::status(401), "does not know who is asking", "LOGCHUTE_TOKEN"),
        answer("status_403_is_told", Answer::status(403), "does not permit it", "LOGCHUTE_TOKEN"),
        answer("status_404_is_told", Answer::status(404).body("404 page not found"), "base URL", "LOGCHUTE_URL"),
        answer("a_missing_tenant_is_told", Answer::status(401).body("no org id"), "the tenant", "LOGCHUTE_TENANT"),
        answer(
            "a_wrong_tenant_is_told",
            Answer::status(400).body("multiple org IDs present"),
            "the tenant",
            "LOGCHUTE_TENANT",
        ),
        answer(
            "a_body_of_the_wrong_shape_is_told",
            Answer::status(400).body("what?"),
            "does not understand",
            "LOGCHUTE_URL",
        ),
        answer("status_413_is_told", Answer::status(413), "too large", "LOGCHUTE_BATCH_BYTES"),
        answer("status_429_is_told", Answer::status(429), "limits the rate", "LOGCHUTE_FILTER"),
        answer(
            "a_rate_limit_of_a_tenant_is_not_taken_for_a_wrong_tenant",
            Answer::status(429).body("limit of tenant a reached"),
            "limits the rate",
            "LOGCHUTE_FILTER",
        ),
        answer(
            "a_path_that_the_store_answers_with_400_is_told",
            Answer::status(400).body(r#"{"error":"no handler found for uri [/loki/api/v1/push] and method [POST]"}"#),
            "there is no such intake",
            "LOGCHUTE_URL",
        ),
        answer(
            "plain_text_to_a_tls_port_that_answers_in_http_is_told",
            Answer::status(400).body("Client sent an HTTP request to an HTTPS server."),
            "TLS is spoken at that port",
            "LOGCHUTE_URL",
        ),
        answer(
            "a_web_page_in_place_of_a_store_is_not_called_well",
            Answer::status(200).body("<!DOCTYPE html><title>Sign in</title>"),
            "web page",
            "LOGCHUTE_URL",
        ),
        case("what_a_store_says_is_not_taken_for_a_setting", || {
            let store = Store::with(|_| Answer::status(400).body("MAX_LINE_SIZE or LOGCHUTE_SERVICE"));
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(store.url()))]);
            assert!(end.stdout.contains("look at: LOGCHUTE_URL\n"), "{end:#?}");
        }),
        answer("status_503_is_told", Answer::unavailable(), "is not well", "LOGCHUTE_URL"),
        case("a_clock_that_is_off_is_told", || {
            let yesterday = httpdate::fmt_http_date(std::time::SystemTime::now() - Duration::from_secs(86_400));
            let store = Store::with(move |_| Answer::status(204).header("Date", yesterday.clone()));
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(store.url()))]);
            // Loki takes nothing that is more than ten minutes ahead.
            assert!(failed(&end) == "answer" && end.stdout.contains("clock is 8640"), "{end:#?}");
            let url = format!("ndjson+{}", store.url());
            let end = diagnosed(&[("LOGCHUTE_URL", &url)]);
            assert!(end.status.success() && end.stdout.contains("note: this machine's clock is 8640"), "{end:#?}");
        }),
    ]
}

/// The variables of a lane are named as the user set them, each destination for itself.
fn lanes() -> Vec<Case> {
    vec![case("each_lane_is_told_by_its_own_variables", || {
        let (well, refuses) = (Store::new(), Store::with(|_| Answer::status(401)));
        let end = diagnosed(&[
            ("LOGCHUTE_LANES", "ops,audit,third"),
            ("LOGCHUTE_OPS_URL", "loki+http://store.invalid"),
            ("LOGCHUTE_AUDIT_URL", &loki(refuses.url())),
            ("LOGCHUTE_THIRD_URL", &loki(well.url())),
        ]);
        assert_eq!(end.status.code(), Some(1), "{end:#?}");
        let looks: Vec<_> = end.stdout.lines().filter_map(|line| line.trim().strip_prefix("look at: ")).collect();
        assert_eq!(looks, ["LOGCHUTE_OPS_URL", "LOGCHUTE_AUDIT_TOKEN, LOGCHUTE_AUDIT_USER, LOGCHUTE_AUDIT_PASSWORD"]);
        assert!(end.stdout.contains("well: the store took the record"), "{end:#?}");
    })]
}

fn well() -> Vec<Case> {
    vec![
        case("a_store_that_is_well_gets_one_marked_record", || {
            let store = Store::new();
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(store.url())), ("LOGCHUTE_FILTER", "error")]);
            end.assert_well();
            let records = store.records();
            assert_eq!(records.len(), 1);
            assert!(records[0].get("logchute.doctor").or(records[0].get("logchute_doctor")).is_some(), "{records:?}");
            for fact in ["delivery: effectively once", "largest request: 1,048,576 bytes", "oldest record: 7 days"] {
                assert!(end.stdout.contains(fact), "{fact}: {end:#?}");
            }
        }),
        case("the_record_stands_in_the_ledger_as_one_of_our_own", || {
            let (well, away) = (Store::new(), Store::refusing());
            let builder = Builder::new().send_to(well.backend()).send_to(away.backend()).on_diagnostic(|_: &str| {});
            let logs = builder.start().unwrap();
            let diagnosis = logs.doctor();
            let found: Vec<_> = diagnosis.examinations().iter().map(|found| found.failed).collect();
            assert_eq!(found, [None, Some(logchute::Step::Connect)], "{diagnosis}");
            let ledger = logs.ledger();
            assert_eq!((ledger.emitted, ledger.own, ledger.drained), (1, 1, 1), "{ledger}");
            assert_eq!((ledger.destinations[0].delivered, ledger.destinations[1].owed_memory), (1, 1), "{ledger}");
            assert!(ledger.balances(), "{ledger}");
            // It is owed like any other, and arrives when the store is back.
            away.come_back();
            let report = logs.shutdown(Duration::from_secs(30));
            assert!(report.settled() && report.ledger().balances(), "{report}");
            assert_eq!((well.count(), away.count()), (1, 1), "{report}");
            let after = logs.doctor();
            assert!(after.to_string().contains("shut down"), "{after}");
        }),
        case("init_calls_the_doctor_where_it_is_asked_to", || {
            let store = Store::new();
            let victim = |url: &str| {
                Victim::new("serve").env("LOGCHUTE_TEE", "off").env("LOGCHUTE_DOCTOR", "1").env("LOGCHUTE_URL", url)
            };
            let end = victim(&loki(store.url())).run();
            end.assert_well();
            assert!(end.said().iter().any(|line| line.contains("well: the store took the record")), "{end:#?}");
            assert_eq!(store.count(), 2);
            let end = victim("loki+http://127.0.0.1:9").env("LOGCHUTE_SHUTDOWN", "0").run();
            end.assert_well();
            assert!(end.said().iter().any(|line| line.contains("nobody listens")), "{end:#?}");
        }),
    ]
}

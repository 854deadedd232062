//! By Forward, at all four ports. JavaScript reads it: of an integer beyond 2^53 it has fewer digits, of -0 no sign, and
//! NaN and the infinities come as logchute writes them, as texts.

use logchute::backend::Forward;
use logchute::{Builder, Destination, Record, Severity};
use serde_json::Value;

use super::Fluent;
use crate::corpus::TAKEN;
use crate::flood::flood;
use crate::given::Given;
use crate::server::{Server, Signal, variable};
use crate::there_and_back::there_and_back;
use crate::way::{Found, Way};

struct ByForward {
    fluent: Fluent,
    to: Box<dyn Fn() -> Destination>,
}

impl ByForward {
    fn new(to: impl Fn() -> Destination + 'static) -> Self {
        Self { fluent: Fluent::from_env(), to: Box::new(to) }
    }
}

impl Way for ByForward {
    fn destination(&self) -> Destination {
        (self.to)()
    }

    fn read(&self, service: &str) -> Vec<Value> {
        self.fluent.entries().into_iter().filter(|entry| entry["tag"] == service).collect()
    }

    fn found(&self, raw: Value) -> Found {
        let nanos = raw["seconds"].as_i64().zip(raw["nanoseconds"].as_i64());
        let mut found = Found::of_object(raw["record"].clone());
        found.time_nanos = nanos.map(|(seconds, nanos)| seconds * 1_000_000_000 + nanos);
        found.service = found.take("service_name");
        found.level = found.take("level");
        found.message = found.take("message");
        found.id = found.take("id");
        found
    }

    fn adds(&self) -> &[&str] {
        &["container", "file", "host", "line", "module", "namespace", "node", "pod", "span", "target", "thread"]
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        // `log` is the message to some servers.
        vec![(
            if TAKEN.contains(&key) || key == "log" { format!("field_{key}") } else { key.to_owned() },
            given.clone(),
        )]
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        match (given, found) {
            (Given::I64(value), _) => found.as_f64() == Some(*value as f64) || given.is_text(&text(found)),
            (Given::U64(value), _) => found.as_f64() == Some(*value as f64) || given.is_text(&text(found)),
            (Given::F64(value), Value::Number(found)) => found.as_f64() == Some(*value),
            // Small ones are a `Buffer`, in which the bytes are a list; others an object that has them by their places.
            (Given::Bytes(value), Value::Object(bytes)) => match bytes.get("data").and_then(Value::as_array) {
                Some(list) => list.iter().map(Value::as_u64).eq(value.iter().map(|&byte| Some(u64::from(byte)))),
                None => {
                    let at = |place: usize| bytes.get(&place.to_string()).and_then(Value::as_u64);
                    bytes.len() == value.len()
                        && value.iter().enumerate().all(|(place, &byte)| at(place) == Some(byte.into()))
                }
            },
            (Given::Json(_), _) => rounded(&given_json(given)) == rounded(found),
            _ => given.is(found),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn given_json(given: &Given) -> Value {
    match given {
        Given::Json(value) => value.clone(),
        _ => Value::Null,
    }
}

/// As JavaScript has it: every number is a floating-point one.
fn rounded(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, |number| (number + 0.0).into()),
        // The server's script writes wide integers as texts.
        Value::String(digits) if digits.len() > 15 && digits.parse::<i128>().is_ok() => {
            digits.parse::<f64>().unwrap_or_default().into()
        }
        Value::Array(values) => values.iter().map(rounded).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), rounded(value))).collect(),
        other => other.clone(),
    }
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn entries_come_back_as_they_were() {
    there_and_back(&ByForward::new(|| Forward::new(variable("FLUENT_FORWARD_URL")).into()));
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn compressed_entries_come_back_as_they_were() {
    there_and_back(&ByForward::new(|| Forward::new(variable("FLUENT_FORWARD_URL")).gzip().into()));
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn entries_come_back_where_a_key_is_shared() {
    there_and_back(&ByForward::new(|| {
        Destination::from(Forward::new(variable("FLUENT_KEY_URL"))).token(variable("FLUENT_KEY"))
    }));
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn entries_come_back_where_a_user_and_a_password_are_wanted_besides() {
    there_and_back(&ByForward::new(|| {
        Destination::from(Forward::new(variable("FLUENT_USER_URL")))
            .token(variable("FLUENT_KEY"))
            .user(variable("FLUENT_USER"))
            .password(variable("FLUENT_PASSWORD"))
    }));
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn entries_come_back_by_tls() {
    there_and_back(&ByForward::new(|| {
        Destination::from(Forward::new(variable("FLUENT_TLS_URL")))
            .token(variable("FLUENT_KEY"))
            .ca(variable("FLUENT_CA"))
    }));
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn a_login_that_is_refused_is_told_and_nothing_is_dropped() {
    let key = || variable("FLUENT_KEY");
    let user = || Destination::from(Forward::new(variable("FLUENT_USER_URL"))).token(key());
    for (to, words) in [
        (Destination::from(Forward::new(variable("FLUENT_KEY_URL"))).token("another key"), "mismatch"),
        (Destination::from(Forward::new(variable("FLUENT_KEY_URL"))), "asks for a shared key"),
        (user().user(variable("FLUENT_USER")).password("another password"), "mismatch"),
        (user(), "missing authentication"),
    ] {
        let (told, diary) = std::sync::mpsc::channel();
        let told = std::sync::Mutex::new(told);
        let logs = Builder::new()
            .no_tee()
            .send_to(to)
            .on_diagnostic(move |line| drop(told.lock().unwrap().send(line.to_owned())))
            .start()
            .unwrap();
        logs.emit(Record::new(Severity::Error, "hello"));
        let line = diary.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        assert!(line.contains(words) && line.contains("LOGCHUTE_TOKEN"), "{line}");
        assert!(!line.contains("another"), "{line}");
        let ledger = logs.ledger();
        assert_eq!((ledger.destinations[0].delivered, ledger.lost()), (0, 0), "{ledger}");
        let _ = logs.shutdown(std::time::Duration::ZERO);
    }
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn a_restart_in_mid_flood_loses_nothing() {
    let mut server = Server::start("fluent");
    let (url, key) = (server.variable("KEY_URL").to_owned(), server.variable("KEY").to_owned());
    let way = ByForward {
        fluent: Fluent::at(server.variable("DIR")),
        to: Box::new(move || Destination::from(Forward::new(&url)).token(&key)),
    };
    // Entries are acknowledged before they are in the file, so an orderly end is what can be asked for.
    let outcome = flood(&way, || {
        server.end(Signal::Term);
        server.start_again();
    });
    assert_eq!((outcome.lost, outcome.foreign), (0, 0), "{outcome}");
}

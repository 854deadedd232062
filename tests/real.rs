//! A real store: what was emitted is what a query returns, exactly.
//!
//! ```text
//! eval "$(tests/servers/victorialogs.sh start)"
//! cargo test --test real -- --ignored
//! kill "$VICTORIALOGS_PID"
//! ```
//!
//! Each record goes to VictoriaLogs and, through the same pipeline, to a `testing::Store`, which tells the time and the
//! id that it was given. Message and fields are compared with the corpus itself. VictoriaLogs changes this and no more:
//!
//! - every value comes back as a text, numbers with all their digits;
//! - empty texts, nulls and empty objects vanish, also inside nested values;
//! - in JSON lines, nested objects become fields `outer.inner`, and arrays JSON text;
//! - a record without a message gets one that says so.
//!
//! By Loki's protocol, names that Loki itself would take for one are told apart (`docs/stores/loki.md`).

#[path = "real/corpus.rs"]
mod corpus;
#[path = "real/victorialogs.rs"]
mod victorialogs;

use std::collections::BTreeMap;
use std::time::Duration;

use corpus::{Case, Given, corpus};
use logchute::backend::{Encoding, Loki, Ndjson};
use logchute::testing::{Received, Store};
use logchute::{Builder, Destination, Record, Severity};
use tracing::{error, info, info_span};
use tracing_subscriber::prelude::*;
use victorialogs::VictoriaLogs;

/// How records get there, as far as it shows in what comes back.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Loki(Encoding),
    Ndjson,
}

impl Way {
    fn to(self, store: &VictoriaLogs) -> Destination {
        match self {
            // Without this switch VictoriaLogs takes a message that looks like JSON apart.
            Self::Loki(encoding) => {
                let push = "/insert/loki/api/v1/push?disable_message_parsing=1";
                Destination::from(Loki::new(store.url(push)).encoding(encoding))
            }
            Self::Ndjson => Destination::from(Ndjson::new(store.url("/insert/jsonline"))),
        }
    }

    /// The name under which a field comes back.
    fn key(self, key: &str) -> String {
        let told_apart = corpus::SAME_FOR_LOKI.iter().find(|(given, _)| *given == key && self != Self::Ndjson);
        match told_apart {
            Some((_, name)) => (*name).to_owned(),
            None if corpus::RESERVED.contains(&key) => format!("field_{key}"),
            None => key.to_owned(),
        }
    }

    /// The fields, with their texts, as which a value comes back.
    fn fields(self, key: &str, given: &Given) -> Vec<(String, Given)> {
        match given {
            Given::Text(text) if text.is_empty() => Vec::new(),
            Given::Json(serde_json::Value::Object(inner)) if self == Self::Ndjson => {
                let inner = inner.iter().filter(|(_, value)| !value.is_null());
                inner.flat_map(|(name, value)| self.fields(&format!("{key}.{name}"), &Given::of_json(value))).collect()
            }
            given => vec![(key.to_owned(), given.clone())],
        }
    }

    fn message(message: &str) -> &str {
        match message {
            "" => "missing _msg field; see https://docs.victoriametrics.com/victorialogs/keyconcepts/#message-field",
            message => message,
        }
    }
}

/// Fields that logchute or VictoriaLogs adds; all others must be in the corpus.
const ADDED: [&str; 18] = [
    "_msg",
    "_stream",
    "_stream_id",
    "_time",
    "container",
    "file",
    "host",
    "id",
    "level",
    "line",
    "module",
    "namespace",
    "node",
    "pod",
    "service_name",
    "span",
    "target",
    "thread",
];

/// Sends all cases that way, queries them back and compares.
fn there_and_back(way: Way) {
    let real = VictoriaLogs::from_env();
    let twin = Store::new();
    let run = format!("run-{:032x}", u128::from_be_bytes(victorialogs::random()));
    let cases = corpus();

    let logs = Builder::new()
        .send_to(way.to(&real))
        .send_to(Destination::from(twin.backend()).name("twin"))
        .service("real")
        .start()
        .unwrap();
    for (number, case) in cases.iter().enumerate() {
        let record =
            Record::new(case.severity, case.message.clone()).field("run", run.clone()).field("n", number as u64);
        logs.emit(case.fields.iter().fold(record, |record, (key, given)| given.add_to(record, key)));
    }
    let traced = traced(&logs, &run, cases.len());
    let all: Vec<&Case> = cases.iter().chain(&traced).collect();

    let report = logs.shutdown(Duration::from_secs(20));
    let ledger = report.ledger();
    assert!(report.settled() && ledger.balances() && ledger.own == 0, "{report}");
    assert_eq!(ledger.emitted, all.len() as u64, "{report}");
    assert!(ledger.destinations.iter().all(|to| to.delivered == ledger.emitted), "{report}");

    let stored = real.query(&format!("run:={run:?}"));
    assert_eq!(stored.len(), all.len(), "records that came back");
    let told = twin.records();
    let mut faults = Vec::new();
    for (number, case) in all.iter().enumerate() {
        let n = number.to_string();
        let Some(back) = stored.iter().find(|back| back.get("n") == Some(&n)) else {
            faults.push(format!("{number} {:?}: did not come back", case.what));
            continue;
        };
        let told = told.iter().find(|told| told.get("n").is_some_and(|value| *value == number));
        let told = told.unwrap_or_else(|| panic!("{number} {:?} is not in the twin", case.what));
        compare(way, &run, number, case, told, back, &mut faults);
    }
    assert!(faults.is_empty(), "{} of {} records:\n{}", faults.len(), all.len(), faults.join("\n"));
}

fn compare(
    way: Way,
    run: &str,
    number: usize,
    case: &Case,
    told: &Received,
    back: &BTreeMap<String, String>,
    faults: &mut Vec<String>,
) {
    let mut fault = |what: &str, expected: &str, found: Option<&String>| {
        let short = |text: &str| text.chars().take(120).collect::<String>();
        let found = found.map_or_else(|| "nothing".to_owned(), |found| format!("{:?}", short(found)));
        faults.push(format!("{number} {:?}: {what} is {found} instead of {:?}", case.what, short(expected)));
    };

    let message = back.get("_msg");
    if message.map_or("", |message| message) != Way::message(&case.message) {
        fault("the message", &case.message, message);
    }
    if back.get("level").is_none_or(|level| level != case.severity.as_str()) {
        fault("the level", case.severity.as_str(), back.get("level"));
    }
    if back.get("id") != told.id.as_ref() {
        fault("the id", told.id.as_deref().unwrap_or("none"), back.get("id"));
    }
    let time = back.get("_time").and_then(|time| victorialogs::unix_nanos(time));
    if time.is_none() || time != told.time_nanos {
        fault("the time", &format!("{:?}", told.time_nanos), back.get("_time"));
    }

    let own = [("run", Given::Text(run.to_owned())), ("n", Given::U64(number as u64))];
    let given =
        own.iter().map(|(key, given)| (*key, given)).chain(case.fields.iter().map(|(key, given)| (*key, given)));
    let expected: BTreeMap<String, Given> = given.flat_map(|(key, given)| way.fields(&way.key(key), given)).collect();
    for (key, given) in &expected {
        if !back.get(key).is_some_and(|found| given.is(found)) {
            fault(key, &format!("{given:?}"), back.get(key));
        }
    }
    for (key, value) in back {
        if !expected.contains_key(key) && !ADDED.contains(&key.as_str()) {
            fault(key, "nothing", Some(value));
        }
    }
}

/// The same through `tracing`, in spans; returns what is expected of it.
fn traced(logs: &logchute::Handle, run: &str, first: usize) -> Vec<Case> {
    let cause = std::io::Error::new(std::io::ErrorKind::TimedOut, "no \"answer\"\nat all");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(logs.layer()), || {
        let _outer = info_span!("outer", run, tenant = "täst", shadowed = 1, late = tracing::field::Empty).entered();
        let inner = info_span!("inner", shadowed = 2, ratio = 0.1 + 0.2).entered();
        info!(n = first, lowest = i64::MIN, debugged = ?[1, 2], "in two spans\u{2028}");
        drop(inner);
        tracing::Span::current().record("late", u64::MAX);
        error!(n = first + 1, error = &cause as &dyn std::error::Error, shadowed = 3, "failed");
    });
    let text = |text: &str| Given::Text(text.to_owned());
    vec![
        Case::new("an event in two spans", "in two spans\u{2028}")
            .with("lowest", Given::I64(i64::MIN))
            .with("debugged", text("[1, 2]"))
            .with("shadowed", Given::I64(2))
            .with("ratio", Given::F64(0.1 + 0.2))
            .with("tenant", text("täst")),
        Case::new("an error with fields recorded late", "failed")
            .at(Severity::Error)
            .with("error", text("no \"answer\"\nat all"))
            .with("error.type", text("Custom"))
            .with("shadowed", Given::I64(3))
            .with("late", Given::U64(u64::MAX))
            .with("tenant", text("täst")),
    ]
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn loki_protobuf_comes_back_as_it_was() {
    there_and_back(Way::Loki(Encoding::Protobuf));
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn loki_json_comes_back_as_it_was() {
    there_and_back(Way::Loki(Encoding::Json));
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn ndjson_comes_back_as_it_was() {
    there_and_back(Way::Ndjson);
}

//! Sends the corpus by a way, reads it back, and compares: each record came back once and is what it was, and nothing
//! else came back.
//!
//! Each record goes to the server and, through the same pipeline, to a `testing::Store`, which tells the time and the id
//! that it was given. All else is compared with the corpus itself.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use logchute::testing::{Received, Store};
use logchute::{Builder, Destination, Handle, Record, Severity};
use serde_json::Value;
use tracing::{error, info, info_span};
use tracing_subscriber::prelude::*;

use crate::corpus::{Case, corpus};
use crate::extremes::leaves;
use crate::given::Given;
use crate::server::unique;
use crate::way::{Found, Way};

/// How long what was delivered may take until it can be read.
const READABLE_WITHIN: Duration = Duration::from_secs(20);

/// Servers that write files do so within 100 milliseconds.
const WRITTEN_WITHIN: Duration = Duration::from_millis(250);

/// Sends all cases that way and compares what the server holds afterwards.
pub(crate) fn there_and_back(way: &dyn Way) {
    let service = service();
    let twin = Store::new();
    let cases = corpus();

    let logs = Builder::new()
        .send_to(way.destination())
        .send_to(Destination::from(twin.backend()).name("twin"))
        .service(&service)
        .queue_bytes(64 << 20)
        .start()
        .unwrap();
    for (number, case) in cases.iter().enumerate() {
        let record = Record::new(case.severity, case.message.clone()).field(NUMBER, number as u64);
        logs.emit(case.fields.iter().fold(record, |record, (key, given)| given.add_to(record, key)));
    }
    let traced = traced(&logs, cases.len());
    let all: Vec<Case> = cases.into_iter().chain(traced).collect();

    let report = logs.shutdown(Duration::from_secs(20));
    let ledger = report.ledger();
    assert!(report.settled() && ledger.balances() && ledger.own == 0, "{report}");
    assert_eq!(ledger.emitted, all.len() as u64, "{report}");
    assert!(ledger.destinations.iter().all(|to| to.delivered == ledger.emitted), "{report}");

    let told: BTreeMap<u64, Received> =
        twin.records().into_iter().filter_map(|told| Some((told.get(NUMBER)?.as_u64()?, told))).collect();
    let mut faults = Vec::new();
    let mut back: BTreeMap<u64, Found> = BTreeMap::new();
    for found in read(way, &service, all.len()) {
        match number_of(way, &found) {
            Some(number) if number >= all.len() as u64 => faults.push(format!("was not emitted: {found:?}")),
            Some(number) if back.contains_key(&number) => faults.push(format!("{number} came back twice")),
            Some(number) => drop(back.insert(number, found)),
            None => faults.push(format!("has no number: {found:?}")),
        }
    }
    for (number, case) in (0..).zip(&all) {
        let of = |fault| format!("{number} {:?}: {fault}", case.what);
        match (back.get(&number), told.get(&number)) {
            (Some(found), Some(told)) => faults.extend(compare(way, number, case, told, found).into_iter().map(of)),
            (None, _) => faults.push(of("did not come back".to_owned())),
            (_, None) => panic!("{number} {:?} is not in the twin", case.what),
        }
    }
    assert!(faults.is_empty(), "{} faults in {} records:\n{}", faults.len(), all.len(), faults.join("\n"));
}

/// The field that says which record it is.
pub(crate) const NUMBER: &str = "n";

/// A service that no other test has.
pub(crate) fn service() -> String {
    format!("real-{}", unique())
}

/// The number of a record, under whichever name the way gives it.
pub(crate) fn number_of(way: &dyn Way, found: &Found) -> Option<u64> {
    match found.fields.get(&way.name(NUMBER))? {
        Value::String(digits) => digits.parse().ok(),
        number => number.as_u64(),
    }
}

/// What the server holds of that service, once it is as much as expected and does not get more.
pub(crate) fn read(way: &dyn Way, service: &str, expected: usize) -> Vec<Found> {
    let deadline = Instant::now() + READABLE_WITHIN;
    let mut before = None;
    loop {
        let found: Vec<Found> = way
            .read(service)
            .into_iter()
            .map(|raw| way.found(raw))
            .filter(|found| found.service.as_deref() == Some(service))
            .collect();
        let rests = before == Some(found.len());
        if rests && found.len() >= expected || Instant::now() > deadline {
            return found;
        }
        before = Some(found.len());
        thread::sleep(WRITTEN_WITHIN);
    }
}

/// What `look` finds, once it finds it.
pub(crate) fn until<T>(look: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + READABLE_WITHIN;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not come within {READABLE_WITHIN:?}");
        thread::sleep(WRITTEN_WITHIN / 5);
    }
}

/// What is wrong with a record that came back.
fn compare(way: &dyn Way, number: u64, case: &Case, told: &Received, found: &Found) -> Vec<String> {
    let mut faults = Vec::new();
    let short = |text: String| text.chars().take(120).collect::<String>();
    let mut fault = |what: &str, expected: String, found: String| {
        faults.push(format!("{what} is {} instead of {}", short(found), short(expected)));
    };
    let mut part = |what: &str, expected: Option<String>, found: &Option<String>| {
        if *found != expected {
            fault(what, format!("{expected:?}"), format!("{found:?}"));
        }
    };
    if case.keeps_its_shape {
        part("the message", Some(way.message(&case.message)), &found.message);
    }
    part("the level", Some(way.level(case.severity)), &found.level);
    part("the id", told.id.as_deref().and_then(|id| way.id(id)), &found.id);
    let time = told.time_nanos.map(|nanos| way.time(nanos));
    if found.time_nanos.is_none() || found.time_nanos != time {
        fault("the time", format!("{time:?}"), format!("{:?}", found.time_nanos));
    }

    if !case.keeps_its_shape {
        faults.extend(gone(case, found));
        return faults;
    }
    let mut expected = way.fields(case);
    expected.extend(way.field(NUMBER, &Given::U64(number)));
    for (key, given) in &expected {
        match found.fields.get(key) {
            Some(value) if way.is(given, value) => {}
            other => fault(&format!("{key:?}"), format!("{given:?}"), format!("{other:?}")),
        }
    }
    let adds: BTreeSet<&str> = way.adds().iter().copied().collect();
    for (key, value) in &found.fields {
        if !expected.contains_key(key) && !adds.contains(key.as_str()) {
            fault(&format!("{key:?}"), "nothing".to_owned(), value.to_string());
        }
    }
    faults
}

/// Which texts of the values are nowhere in the record, unless it says that it was cut.
fn gone(case: &Case, found: &Found) -> Option<String> {
    let all = found.fields.iter().map(|(name, value)| format!("{name} {value}\n")).collect::<String>();
    if all.contains("truncated") {
        return None;
    }
    let texts = case.fields.iter().flat_map(|(_, given)| leaves(given));
    let gone: Vec<String> = texts.filter(|text| text.starts_with("leaf") && !all.contains(text.as_str())).collect();
    let (count, some) = (gone.len(), gone.into_iter().take(3).collect::<Vec<_>>());
    (count > 0).then(|| format!("{count} texts are gone, as {some:?}: {}", all.chars().take(400).collect::<String>()))
}

/// The same through `tracing`, in spans; returns what is expected of it.
fn traced(logs: &Handle, first: usize) -> Vec<Case> {
    let cause = std::io::Error::new(std::io::ErrorKind::TimedOut, "no \"answer\"\nat all");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(logs.layer()), || {
        let _outer = info_span!("outer", tenant = "täst", shadowed = 1, late = tracing::field::Empty).entered();
        let inner = info_span!("inner", shadowed = 2, ratio = 0.1 + 0.2).entered();
        info!(n = first, lowest = i64::MIN, debugged = ?[1, 2], "in two spans\u{2028}");
        drop(inner);
        tracing::Span::current().record("late", u64::MAX);
        error!(n = first + 1, error = &cause as &dyn std::error::Error, shadowed = 3, "failed");
    });
    vec![
        Case::new("an event in two spans", "in two spans\u{2028}")
            .with("lowest", Given::I64(i64::MIN))
            .with("debugged", Given::text("[1, 2]"))
            .with("shadowed", Given::I64(2))
            .with("ratio", Given::F64(0.1 + 0.2))
            .with("tenant", Given::text("täst")),
        Case::new("an error with fields recorded late", "failed")
            .at(Severity::Error)
            .with("error", Given::text("no \"answer\"\nat all"))
            .with("error.type", Given::text("Custom"))
            .with("shadowed", Given::I64(3))
            .with("late", Given::U64(u64::MAX))
            .with("tenant", Given::text("täst")),
    ]
}

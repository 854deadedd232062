//! Google Cloud Logging: a `testing::Store` takes the requests, Google's types say whether the service could read them.

use logchute::backend::GoogleCloud;
use logchute::testing::{Answer, Store};
use logchute::{Destination, Severity};
use serde_json::Value;

use super::check;
use crate::corpus::{OURS, TAKEN};
use crate::given::Given;
use crate::there_and_back::there_and_back;
use crate::time::unix_nanos;
use crate::way::{Found, Way};

struct ByEntries(Store);

impl Way for ByEntries {
    fn destination(&self) -> Destination {
        Destination::new(GoogleCloud::new("my-project").endpoint(self.0.url())).token("canary")
    }

    fn read(&self, _service: &str) -> Vec<Value> {
        let mut all = Vec::new();
        for request in self.0.requests() {
            let body: Value = serde_json::from_slice(request.body()).unwrap();
            let Value::Array(entries) = body["entries"].clone() else { panic!("no entries: {body}") };
            assert_eq!(check(request.body()), Ok(entries.len()));
            all.extend(entries.into_iter().map(|mut entry| {
                entry["service"] = body["labels"]["service_name"].clone();
                entry
            }));
        }
        all
    }

    fn found(&self, raw: Value) -> Found {
        let text = |key: &str| raw[key].as_str().map(str::to_owned);
        let mut found = Found::of_object(raw["jsonPayload"].clone());
        found.message = found.take("message");
        found.level = text("severity");
        found.service = text("service");
        found.id = text("insertId");
        found.time_nanos = text("timestamp").and_then(|time| unix_nanos(&time));
        found
    }

    fn adds(&self) -> &[&str] {
        &["target", "thread", "span"]
    }

    fn level(&self, given: Severity) -> String {
        match given {
            Severity::Info => "INFO",
            Severity::Warn => "WARNING",
            Severity::Error => "ERROR",
            Severity::Fatal => "CRITICAL",
            _ => "DEBUG",
        }
        .to_owned()
    }

    fn name(&self, given: &str) -> String {
        let is_taken = OURS.contains(&given) || TAKEN.contains(&given);
        if is_taken { format!("field_{given}") } else { given.to_owned() }
    }

    /// Numbers are doubles there, so integers above 2^53 go as texts.
    fn is(&self, given: &Given, found: &Value) -> bool {
        let is_exact = |integer: i128| integer.unsigned_abs() <= 1 << 53;
        let integer = match given {
            Given::I64(value) => i128::from(*value),
            Given::U64(value) => i128::from(*value),
            Given::I128(value) => *value,
            Given::U128(value) => i128::try_from(*value).unwrap_or(i128::MAX),
            Given::Json(value) => return is_kept(value, found),
            other => return other.is(found),
        };
        if is_exact(integer) { given.is(found) } else { found.as_str().is_some_and(|text| given.is_text(text)) }
    }
}

/// The same for each integer in a nested value.
fn is_kept(given: &Value, found: &Value) -> bool {
    match (given, found) {
        (Value::Number(number), Value::String(text)) => *text == number.to_string(),
        (Value::Array(given), Value::Array(found)) => {
            given.len() == found.len() && given.iter().zip(found).all(|(given, found)| is_kept(given, found))
        }
        (Value::Object(given), Value::Object(found)) => {
            let is_there = |(key, given): (&String, &Value)| found.get(key).is_some_and(|found| is_kept(given, found));
            given.len() == found.len() && given.iter().all(is_there)
        }
        _ => given == found,
    }
}

#[test]
#[ignore = "needs Google's types: tests/servers/gcl_check.sh install"]
fn entries_are_what_was_emitted_and_google_reads_them() {
    there_and_back(&ByEntries(Store::with(|_| Answer::ok().body("{}"))));
}

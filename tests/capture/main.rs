//! What becomes of what an application says through `tracing` and `log`: one record, with all that was in it.
//!
//! Everything is read back from `testing::capture()`, so this is also the proof of that: these tests run in parallel.

mod edges;
mod limits;
mod logs;
mod scope;
mod spans;
mod values;

use logchute::testing::{Capture, Received};
use serde_json::Value;

/// The only record.
#[track_caller]
fn one(logs: &Capture) -> Received {
    let mut records = logs.records();
    assert_eq!(records.len(), 1, "{logs}");
    records.remove(0)
}

/// What the application gave to a record, without what every record has.
fn given(record: &Received) -> Vec<(&str, &Value)> {
    let ours = ["file", "line", "span", "target", "thread"];
    let fields = record.fields.iter().map(|(key, value)| (key.as_str(), value));
    fields.filter(|(key, _)| !ours.contains(key)).collect()
}

/// The same, as JSON.
fn given_json(record: &Received) -> Value {
    given(record).into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

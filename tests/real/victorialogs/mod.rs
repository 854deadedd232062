//! VictoriaLogs: reads back by a query. It changes this and no more:
//!
//! - every value comes back as a text, numbers with all their digits;
//! - empty texts and nulls vanish, empty objects too;
//! - a record without a message gets one that says so.

mod attributes;
mod bulk;
mod datadog;
mod doctor;
mod loki;
mod ndjson;
#[cfg(feature = "otlp")]
mod otlp;
mod restart;
mod splunk;
#[cfg(feature = "syslog")]
mod syslog;

use serde_json::Value;

use crate::corpus::{OURS, TAKEN};
use crate::given::Given;
use crate::http::{address, post};
use crate::server::variable;
use crate::time::unix_nanos;
use crate::way::Found;

pub(crate) struct VictoriaLogs {
    url: String,
}

impl VictoriaLogs {
    /// Where `VICTORIALOGS_URL` says.
    pub(crate) fn from_env() -> Self {
        Self::at(&variable("VICTORIALOGS_URL"))
    }

    pub(crate) fn at(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// All records that match, in no order, each value as text.
    pub(crate) fn query(&self, logsql: &str) -> Vec<Value> {
        let form = |path, body: &str| post(address(&self.url), path, "application/x-www-form-urlencoded", body);
        form("/internal/force_flush", "");
        let logsql: String = logsql.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let found = form("/select/logsql/query", &format!("query={logsql}"));
        found.lines().map(|line| serde_json::from_str(line).expect("an object of texts")).collect()
    }

    /// All records of a service that came in by a way that names it `service_name`.
    pub(crate) fn of_service(&self, service: &str) -> Vec<Value> {
        self.query(&format!("service_name:={service:?}"))
    }
}

/// The parts of a record whose keys are logchute's own, as far as VictoriaLogs does not name them.
fn found(raw: Value) -> Found {
    let mut found = Found::of_object(raw);
    found.service = found.take("service_name");
    found.time_nanos = found.take("_time").as_deref().and_then(unix_nanos);
    found.level = found.take("level");
    found.message = found.take("_msg");
    found.id = found.take("id");
    found
}

/// What such a record has besides: where it was made and by whom, and the stream.
const ADDS: [&str; 13] = [
    "_stream",
    "_stream_id",
    "container",
    "file",
    "host",
    "line",
    "module",
    "namespace",
    "node",
    "pod",
    "span",
    "target",
    "thread",
];

fn message(given: &str) -> String {
    let none = "missing _msg field; see https://docs.victoriametrics.com/victorialogs/keyconcepts/#message-field";
    if given.is_empty() { none.to_owned() } else { given.to_owned() }
}

/// The name of a field that logchute lets no field have.
fn name(key: &str) -> String {
    if OURS.contains(&key) || TAKEN.contains(&key) { format!("field_{key}") } else { key.to_owned() }
}

/// The value of a field, unless it vanishes.
fn value(name: String, given: &Given) -> Vec<(String, Given)> {
    match given {
        Given::Text(text) if text.is_empty() => Vec::new(),
        given => vec![(name, given.clone())],
    }
}

fn is(given: &Given, found: &Value) -> bool {
    found.as_str().is_some_and(|found| given.is_text(found))
}

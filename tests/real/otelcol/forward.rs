//! By Forward. The message is the body, all else an attribute; bytes become text, with U+FFFD where they are none, and
//! unsigned integers above 2^63-1 are texts.

use logchute::Destination;
use logchute::backend::Forward;
use serde_json::Value;

use super::{Collector, Intake};
use crate::corpus::TAKEN;
use crate::flood::flood;
use crate::given::Given;
use crate::server::{Server, Signal, variable};
use crate::there_and_back::there_and_back;
use crate::way::{Found, Way};

struct ByForward {
    collector: Collector,
    url: String,
    gzip: bool,
}

impl Way for ByForward {
    fn destination(&self) -> Destination {
        let forward = Forward::new(&self.url);
        if self.gzip { forward.gzip().into() } else { forward.into() }
    }

    fn read(&self, service: &str) -> Vec<Value> {
        let all = self.collector.records(Intake::Forward);
        all.into_iter().filter(|record| record["attributes"]["service_name"] == service).collect()
    }

    fn found(&self, mut raw: Value) -> Found {
        let mut found = Found::of_object(raw["attributes"].take());
        found.time_nanos = raw["timeUnixNano"].as_str().and_then(|nanos| nanos.parse().ok());
        found.service = found.take("service_name");
        found.level = found.take("level");
        found.message = raw["body"].as_str().map(str::to_owned);
        found.id = found.take("id");
        // That of the message, which is the service.
        found.fields.remove("fluent.tag");
        found
    }

    fn adds(&self) -> &[&str] {
        &["container", "file", "host", "line", "module", "namespace", "node", "pod", "span", "target", "thread"]
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        match key {
            // It is the receiver's own.
            "fluent.tag" => Vec::new(),
            // It would become the body.
            "log" => vec![("field_log".to_owned(), given.clone())],
            _ => vec![(if TAKEN.contains(&key) { format!("field_{key}") } else { key.to_owned() }, given.clone())],
        }
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        match (given, found) {
            (Given::U64(value), Value::String(_)) if i64::try_from(*value).is_err() => {
                given.is_text(found.as_str().unwrap_or_default())
            }
            (Given::Bytes(bytes), Value::String(found)) => String::from_utf8_lossy(bytes) == found.as_str(),
            (Given::Json(given), _) => same(given, found),
            _ => given.is(found),
        }
    }
}

fn same(given: &Value, found: &Value) -> bool {
    match (given, found) {
        (Value::Object(given), Value::Object(found)) => {
            given.len() == found.len()
                && given.iter().all(|(key, value)| found.get(key).is_some_and(|found| same(value, found)))
        }
        (Value::Number(number), Value::String(found)) => number.as_i64().is_none() && number.to_string() == *found,
        _ => given == found,
    }
}

#[test]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn entries_by_forward_come_back_as_they_were() {
    for gzip in [false, true] {
        there_and_back(&ByForward { collector: Collector::from_env(), url: variable("OTELCOL_FORWARD_URL"), gzip });
    }
}

#[test]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn a_restart_in_mid_flood_loses_nothing_by_forward() {
    let mut server = Server::start("otelcol");
    let way = ByForward {
        collector: Collector::at(server.variable("DIR")),
        url: server.variable("FORWARD_URL").to_owned(),
        gzip: false,
    };
    let outcome = flood(&way, || {
        server.end(Signal::Term);
        server.start_again();
    });
    assert_eq!((outcome.lost, outcome.foreign), (0, 0), "{outcome}");
}

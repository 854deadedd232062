//! The OpenTelemetry Collector: reads the files to which it appends what it got, a file for each way in.

mod doctor;
#[cfg(feature = "forward")]
mod forward;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "syslog")]
mod syslog;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::lines;
use crate::server::variable;

/// A way in, and the file for it.
#[derive(Clone, Copy)]
pub(crate) enum Intake {
    Otlp,
    Forward,
    Syslog,
}

pub(crate) struct Collector {
    directory: PathBuf,
}

impl Collector {
    /// Where `OTELCOL_DIR` says. Where it listens is in `OTELCOL_URL`, `OTELCOL_FORWARD_URL` and so on.
    pub(crate) fn from_env() -> Self {
        Self::at(variable("OTELCOL_DIR"))
    }

    pub(crate) fn at(directory: impl AsRef<Path>) -> Self {
        Self { directory: directory.as_ref().to_owned() }
    }

    /// All log records that came in that way, as far as they are written, in plain JSON: `resource` with its attributes,
    /// `scope` as OTLP's JSON has it, and those of the record as they are named there. Attributes and bodies are plain
    /// values; integers have all their digits, bytes are base64.
    pub(crate) fn records(&self, intake: Intake) -> Vec<Value> {
        let file = match intake {
            Intake::Otlp => "otlp.jsonl",
            Intake::Forward => "forward.jsonl",
            Intake::Syslog => "syslog.jsonl",
        };
        lines::read(&self.directory.join(file)).iter().flat_map(records).collect()
    }
}

/// The records of one request.
fn records(request: &Value) -> Vec<Value> {
    let mut records = Vec::new();
    for resource in list(&request["resourceLogs"]) {
        let attributes = attributes(&resource["resource"]["attributes"]);
        for scope in list(&resource["scopeLogs"]) {
            for record in list(&scope["logRecords"]) {
                records.push(plain_record(record, &attributes, &scope["scope"]));
            }
        }
    }
    records
}

fn plain_record(record: &Value, resource: &Value, scope: &Value) -> Value {
    let mut plain = record.as_object().cloned().unwrap_or_default();
    plain.insert("attributes".to_owned(), attributes(&record["attributes"]));
    if let Some(body) = record.get("body") {
        plain.insert("body".to_owned(), any(body));
    }
    plain.insert("resource".to_owned(), resource.clone());
    plain.insert("scope".to_owned(), scope.clone());
    Value::Object(plain)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Names and values. A name that is there twice is a fault of who sent it.
fn attributes(pairs: &Value) -> Value {
    let mut plain = Map::new();
    for pair in list(pairs) {
        let key = pair["key"].as_str().unwrap_or_default();
        let before = plain.insert(key.to_owned(), any(&pair["value"]));
        assert!(before.is_none(), "{key:?} is there twice: {pairs}");
    }
    Value::Object(plain)
}

/// An `AnyValue`, which says its type: integers are digits in a text, numbers that JSON does not have are texts.
fn any(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "intValue" => match value.as_str().and_then(|digits| digits.parse::<i64>().ok()) {
            Some(integer) => integer.into(),
            None => value.clone(),
        },
        // A whole number is written without a point.
        "doubleValue" => value.as_f64().map_or_else(|| value.clone(), Value::from),
        "arrayValue" => list(&value["values"]).iter().map(any).collect(),
        "kvlistValue" => attributes(&value["values"]),
        _ => value.clone(),
    }
}

#[test]
fn values_are_read_with_their_types() {
    let record = json!({"timeUnixNano": "1", "body": {"stringValue": "hello"}, "attributes": [
        {"key": "i", "value": {"intValue": "-9223372036854775808"}},
        {"key": "d", "value": {"doubleValue": 3}},
        {"key": "b", "value": {"boolValue": true}},
        {"key": "bytes", "value": {"bytesValue": "/w=="}},
        {"key": "none", "value": {}},
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "two"}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": false}}]}}},
    ]});
    let request = json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeLogs": [{"scope": {"name": "s"}, "logRecords": [record]}],
    }]});
    let expected = json!({
        "timeUnixNano": "1", "body": "hello", "resource": {"service.name": "shop"}, "scope": {"name": "s"},
        "attributes": {
            "i": i64::MIN, "d": 3.0, "b": true, "bytes": "/w==", "none": null, "list": [1, "two"], "map": {"k": false},
        },
    });
    assert_eq!(records(&request), [expected]);
}

#[cfg(test)]
mod tests {
    use super::{Collector, Intake};
    use crate::http::{address, post, send};
    use crate::server::{Server, Signal, unique, variable};
    use crate::there_and_back::until;

    /// Reads until a record with that body is there.
    fn read(intake: Intake, body: &str) -> serde_json::Value {
        let has = |record: &serde_json::Value| record["body"].as_str().is_some_and(|found| found.ends_with(body));
        until(|| Collector::from_env().records(intake).into_iter().find(has))
    }

    fn export(url: &str, text: &str) {
        let record = serde_json::json!({"body": {"stringValue": text}});
        let request = serde_json::json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
        post(address(url), "/v1/logs", "application/json", request.to_string());
    }

    #[test]
    #[ignore = "needs the Collector: tests/servers/otelcol.sh"]
    fn a_record_by_otlp_is_read() {
        let text = unique();
        export(&variable("OTELCOL_URL"), &text);
        assert_eq!(read(Intake::Otlp, &text)["resource"], serde_json::json!({}));
    }

    /// What a test relies on that ends it in mid-flood.
    #[test]
    #[ignore = "needs the Collector: tests/servers/otelcol.sh"]
    fn what_was_acked_survives_sigterm() {
        let mut server = Server::start("otelcol");
        for text in ["0", "1", "2"] {
            export(server.variable("URL"), text);
            server.end(Signal::Term);
            server.start_again();
        }
        let records = Collector::at(server.variable("DIR")).records(Intake::Otlp);
        assert_eq!(records.iter().map(|record| &record["body"]).collect::<Vec<_>>(), ["0", "1", "2"]);
    }

    #[test]
    #[ignore = "needs the Collector: tests/servers/otelcol.sh"]
    fn an_entry_by_forward_is_read() {
        let text = unique();
        // In MessagePack: ["shop", 7, {"message": text}], the text having 32 bytes.
        let entry = [b"\x93\xa4shop\x07\x81\xa7message\xd9\x20", text.as_bytes()].concat();
        send(address(&variable("OTELCOL_FORWARD_URL")), entry);
        let record = read(Intake::Forward, &text);
        assert_eq!(
            (&record["timeUnixNano"], &record["attributes"]["fluent.tag"]),
            (&"7000000000".into(), &"shop".into())
        );
    }

    #[test]
    #[ignore = "needs the Collector: tests/servers/otelcol.sh"]
    fn messages_by_syslog_are_read() {
        for (url, counted) in [("OTELCOL_SYSLOG_URL", true), ("OTELCOL_SYSLOG_LINES_URL", false)] {
            let text = unique();
            let message = format!("<14>1 2026-11-24T08:00:00.5Z web-1 shop - - - {text}");
            let frame = if counted { format!("{} {message}", message.len()) } else { format!("{message}\n") };
            send(address(&variable(url)), frame);
            let record = read(Intake::Syslog, &text);
            assert_eq!(record["attributes"]["message"], text);
            assert_eq!(record["timeUnixNano"], "1795507200500000000");
        }
    }
}

//! By OTLP over HTTP. Everything comes back with its type; what the Collector's file says otherwise than OTLP's JSON:
//!
//! - a null is a value that is none, at the top of a field and within one.
//!
//! Names that logchute needs here are told apart (`docs/stores/otlp.md`). Integers beyond `i64` are texts of digits.

use std::time::Duration;

use logchute::backend::{Encoding, Otlp};
use logchute::{Builder, Compression, Destination, Record, Severity};
use serde_json::Value;

use super::{Collector, Intake};
use crate::corpus::{OURS, TAKEN};
use crate::flood::flood;
use crate::given::Given;
use crate::server::{Server, Signal, variable};
use crate::there_and_back::{service, there_and_back, until};
use crate::way::{Found, Way};

struct ByOtlp {
    url: String,
    collector: Collector,
    encoding: Encoding,
    compression: Compression,
}

impl ByOtlp {
    fn from_env(encoding: Encoding, compression: Compression) -> Self {
        Self { url: variable("OTELCOL_URL"), collector: Collector::from_env(), encoding, compression }
    }
}

impl Way for ByOtlp {
    fn destination(&self) -> Destination {
        Destination::from(Otlp::new(&self.url).encoding(self.encoding)).compression(self.compression)
    }

    fn read(&self, _service: &str) -> Vec<Value> {
        self.collector.records(Intake::Otlp)
    }

    fn found(&self, mut raw: Value) -> Found {
        let nanos = |time: &Value| time.as_str().and_then(|nanos| nanos.parse::<i64>().ok());
        let text = |text: &Value| text.as_str().map(str::to_owned);
        let mut found = Found::of_object(raw["attributes"].take());
        found.service = text(&raw["resource"]["service.name"]);
        found.time_nanos = nanos(&raw["timeUnixNano"]).filter(|_| raw["timeUnixNano"] == raw["observedTimeUnixNano"]);
        found.message = text(&raw["body"]);
        found.id = found.take("log.record.uid");
        // The number says the same as the text.
        let numbers = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].into_iter().zip((1..).step_by(4));
        let is_number =
            |level: &String| numbers.clone().any(|one| one == (level, raw["severityNumber"].as_i64().unwrap_or(0)));
        found.level = text(&raw["severityText"]).filter(is_number);
        // Where it was made.
        found.fields.insert("scope.name".to_owned(), raw["scope"]["name"].take());
        found
    }

    fn adds(&self) -> &[&str] {
        &["code.file.path", "code.line.number", "scope.name", "span", "thread.name"]
    }

    fn level(&self, given: Severity) -> String {
        given.as_str().to_uppercase()
    }

    fn name(&self, given: &str) -> String {
        match given {
            // The first error of a record is the exception.
            "error" => "exception.message".to_owned(),
            "error.type" => "exception.type".to_owned(),
            given if OURS.contains(&given) || TAKEN.contains(&given) => format!("field_{given}"),
            given => given.to_owned(),
        }
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        match given {
            Given::U64(value) if i64::try_from(*value).is_err() => {
                found.as_str().is_some_and(|found| given.is_text(found))
            }
            Given::Json(value) => *found == no_integers_beyond_i64(value),
            given => given.is(found),
        }
    }
}

/// Within nested values too, integers beyond `i64` are texts.
fn no_integers_beyond_i64(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_u64() && !number.is_i64() => number.to_string().into(),
        Value::Array(values) => values.iter().map(no_integers_beyond_i64).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), no_integers_beyond_i64(value))).collect()
        }
        other => other.clone(),
    }
}

#[test]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn otlp_protobuf_comes_back_as_it_was() {
    there_and_back(&ByOtlp::from_env(Encoding::Protobuf, Compression::None));
}

#[test]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn otlp_protobuf_with_gzip_comes_back_as_it_was() {
    there_and_back(&ByOtlp::from_env(Encoding::Protobuf, Compression::Gzip));
}

#[test]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn otlp_json_comes_back_as_it_was() {
    there_and_back(&ByOtlp::from_env(Encoding::Json, Compression::None));
}

#[test]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn otlp_json_with_gzip_comes_back_as_it_was() {
    there_and_back(&ByOtlp::from_env(Encoding::Json, Compression::Gzip));
}

/// It is at least once: what was taken before the connection broke, and not acked any more, comes again.
#[test]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn a_restart_in_mid_flood_loses_nothing_by_otlp() {
    let mut server = Server::start("otelcol");
    let way = ByOtlp {
        url: server.variable("URL").to_owned(),
        collector: Collector::at(server.variable("DIR")),
        encoding: Encoding::Protobuf,
        compression: Compression::None,
    };
    let outcome = flood(&way, || {
        server.end(Signal::Term);
        server.start_again();
    });
    assert_eq!((outcome.lost, outcome.foreign), (0, 0), "{outcome}");
}

#[test]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn trace_context_comes_back_in_its_place() {
    let way = ByOtlp::from_env(Encoding::Protobuf, Compression::None);
    let service = service();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let logs = Builder::new().send_to(Otlp::new(&way.url).encoding(encoding)).service(&service).start().unwrap();
        let record = Record::new(Severity::Warn, "traced").field("trace_id", "5b8efff798038103d269b633813fc60c");
        logs.emit(record.field("span_id", "eee19b7ec3c1b174").field("trace_flags", 1_i64));
        logs.emit(Record::new(Severity::Warn, "not traced").field("trace_id", "5b8e").field("span_id", 7_i64));
        assert!(logs.shutdown(Duration::from_secs(10)).settled());
    }
    let records = until(|| {
        let mut all = way.collector.records(Intake::Otlp);
        all.retain(|record| record["resource"]["service.name"] == *service);
        (all.len() == 4).then_some(all)
    });
    for record in records {
        let at = |name: &str| record[name].clone();
        let attributes = &record["attributes"];
        if record["body"] == "traced" {
            assert_eq!(at("traceId"), "5b8efff798038103d269b633813fc60c");
            assert_eq!((at("spanId"), at("flags")), ("eee19b7ec3c1b174".into(), 1.into()));
            assert!(attributes.get("trace_id").is_none() && attributes.get("span_id").is_none(), "{record}");
        } else {
            assert_eq!((at("traceId"), at("spanId")), (Value::Null, Value::Null), "{record}");
            assert_eq!((&attributes["trace_id"], &attributes["span_id"]), (&"5b8e".into(), &7.into()));
        }
    }
}

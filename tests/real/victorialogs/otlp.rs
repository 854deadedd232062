//! By OTLP over HTTP. Nested objects become fields `outer.inner`, and arrays JSON text, in which a NUL is `\\x00`.

use std::time::Duration;

use logchute::backend::{Encoding, Otlp};
use logchute::{Builder, Destination, Record, Severity};
use serde_json::{Map, Value};

use super::VictoriaLogs;
use super::ndjson::flat;
use crate::given::Given;
use crate::there_and_back::{service, there_and_back, until};
use crate::time::unix_nanos;
use crate::way::{Found, Way};

pub(super) struct ByOtlp(pub(super) VictoriaLogs);

impl Way for ByOtlp {
    fn destination(&self) -> Destination {
        // JSON is refused there; that protobuf is sent all the same is a promise of the backend.
        Destination::from(Otlp::new(self.0.url("/insert/opentelemetry")).encoding(Encoding::Json))
    }

    fn read(&self, service: &str) -> Vec<Value> {
        self.0.query(&format!("service.name:={service:?}"))
    }

    fn found(&self, raw: Value) -> Found {
        let mut found = Found::of_object(raw);
        found.service = found.take("service.name");
        found.time_nanos = found.take("_time").as_deref().and_then(unix_nanos);
        found.level = found.take("severity_text");
        found.message = found.take("_msg");
        found.id = found.take("log.record.uid");
        found
    }

    fn adds(&self) -> &[&str] {
        &[
            "_stream",
            "_stream_id",
            "code.file.path",
            "code.line.number",
            "host.name",
            "k8s.container.name",
            "k8s.namespace.name",
            "k8s.node.name",
            "k8s.pod.name",
            "scope.name",
            "scope.version",
            "severity_number",
            "span",
            "thread.name",
        ]
    }

    fn message(&self, given: &str) -> String {
        super::message(given)
    }

    fn level(&self, given: Severity) -> String {
        given.as_str().to_uppercase()
    }

    fn name(&self, given: &str) -> String {
        match given {
            // The first error of a record is the exception.
            "error" => "exception.message".to_owned(),
            "error.type" => "exception.type".to_owned(),
            given => super::name(given),
        }
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        flat(self.name(key), given)
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        // Within arrays it writes a NUL in a way that is not JSON's.
        super::is(given, &found.as_str().unwrap_or_default().replace(r"\x00", r"\u0000").into())
    }
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn otlp_comes_back_as_it_was() {
    there_and_back(&ByOtlp(VictoriaLogs::from_env()));
}

/// Of these it would drop two with a success, as it makes fields of all members.
#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn no_nested_value_makes_it_drop_a_record_by_otlp() {
    let way = ByOtlp(VictoriaLogs::from_env());
    let service = service();
    let logs = Builder::new().send_to(way.destination()).service(&service).start().unwrap();
    let many: Map<String, Value> = (0..1_200).map(|n| (format!("m{n}"), n.into())).collect();
    let nested = [Map::from_iter([("j".repeat(27), 1.into())]), Map::from_iter([("j".repeat(28), 1.into())]), many];
    // One name of 128 bytes, the longest that it takes, and one of 129.
    let key = "k".repeat(100);
    for (n, value) in nested.iter().enumerate() {
        logs.emit(Record::new(Severity::Info, "nested").field("n", n as u64).field(key.clone(), logchute::json(value)));
    }
    assert!(logs.shutdown(Duration::from_secs(10)).settled());
    let mut back = until(|| Some(way.read(&service)).filter(|back| back.len() == nested.len()));
    back.sort_by_key(|record| record["n"].to_string());
    assert_eq!(back[0][format!("{key}.{}", "j".repeat(27))], "1");
    for (record, value) in back.iter().zip(nested).skip(1) {
        let text = record[&key].as_str().expect("JSON text");
        assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), Value::Object(value));
    }
}

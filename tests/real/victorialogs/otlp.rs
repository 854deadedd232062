//! By OTLP over HTTP. Nested objects become fields `outer.inner`, and arrays JSON text, in which a NUL is `\\x00`.

use logchute::backend::{Encoding, Otlp};
use logchute::{Destination, Severity};
use serde_json::Value;

use super::VictoriaLogs;
use super::ndjson::flat;
use crate::given::Given;
use crate::there_and_back::there_and_back;
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

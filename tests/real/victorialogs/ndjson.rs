//! By JSON lines. Nested objects become fields `outer.inner`, and arrays JSON text.

use logchute::Destination;
use logchute::backend::Ndjson;
use serde_json::Value;

use super::VictoriaLogs;
use crate::given::Given;
use crate::there_and_back::there_and_back;
use crate::way::{Found, Way};

pub(super) struct ByNdjson(pub(super) VictoriaLogs);

impl Way for ByNdjson {
    fn destination(&self) -> Destination {
        Destination::from(Ndjson::new(self.0.url("/insert/jsonline")))
    }

    fn read(&self, service: &str) -> Vec<Value> {
        self.0.of_service(service)
    }

    fn found(&self, raw: Value) -> Found {
        super::found(raw)
    }

    fn adds(&self) -> &[&str] {
        &super::ADDS
    }

    fn message(&self, given: &str) -> String {
        super::message(given)
    }

    fn name(&self, given: &str) -> String {
        super::name(given)
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        flat(self.name(key), given)
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        super::is(given, found)
    }
}

/// A field, or those that become of a nested one.
pub(super) fn flat(name: String, given: &Given) -> Vec<(String, Given)> {
    match given {
        Given::Json(Value::Object(inner)) => inner
            .iter()
            .filter(|(_, value)| !value.is_null())
            .flat_map(|(key, value)| flat(format!("{name}.{key}"), &Given::of_json(value)))
            .collect(),
        given => super::value(name, given),
    }
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn ndjson_comes_back_as_it_was() {
    there_and_back(&ByNdjson(VictoriaLogs::from_env()));
}

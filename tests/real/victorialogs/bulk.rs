//! By Elasticsearch's bulk requests. Nested objects become fields `outer.inner`, and arrays JSON text. Names are told apart
//! as for Elasticsearch.

use logchute::Destination;
use logchute::backend::Elasticsearch;
use serde_json::Value;

use super::VictoriaLogs;
use super::ndjson::flat;
use crate::given::Given;
use crate::opensearch::bulk;
use crate::there_and_back::there_and_back;
use crate::time::unix_nanos;
use crate::way::{Found, Way};

pub(super) struct ByBulk(pub(super) VictoriaLogs);

impl Way for ByBulk {
    fn destination(&self) -> Destination {
        Destination::from(Elasticsearch::new(self.0.url("/insert/elasticsearch")))
    }

    fn read(&self, service: &str) -> Vec<Value> {
        self.0.query(&format!("\"service.name\":={service:?}"))
    }

    fn found(&self, raw: Value) -> Found {
        let mut found = Found::of_object(raw);
        found.service = found.take("service.name");
        found.time_nanos = found.take("_time").as_deref().and_then(unix_nanos);
        found.level = found.take("log.level");
        found.message = found.take("_msg");
        found.id = found.take("event.id");
        found
    }

    fn adds(&self) -> &[&str] {
        const ADDS: [&str; 13] = {
            let mut all = ["_stream"; 13];
            all[1] = "_stream_id";
            let mut at = 0;
            while at < bulk::ADDS.len() {
                all[at + 2] = bulk::ADDS[at];
                at += 1;
            }
            all
        };
        &ADDS
    }

    fn message(&self, given: &str) -> String {
        super::message(given)
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        flat(bulk::name(key, given), given)
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        super::is(given, found)
    }
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn bulk_comes_back_as_it_was() {
    there_and_back(&ByBulk(VictoriaLogs::from_env()));
}

//! As if it was Splunk's HTTP Event Collector. Members of the event become fields `event.NAME`, indexed ones `fields.NAME`.

use logchute::backend::Splunk;
use logchute::{Compression, Destination};
use serde_json::Value;

use super::VictoriaLogs;
use super::ndjson::flat;
use crate::given::Given;
use crate::there_and_back::there_and_back;
use crate::time::unix_nanos;
use crate::way::{Found, Way};

/// Fields that Splunk gives every event.
const SPLUNKS: [&str; 9] =
    ["_indextime", "_raw", "host", "index", "linecount", "punct", "source", "sourcetype", "splunk_server"];

pub(super) struct BySplunk {
    pub(super) store: VictoriaLogs,
    pub(super) compression: Compression,
}

impl Way for BySplunk {
    fn destination(&self) -> Destination {
        Destination::from(Splunk::new(self.store.url("/insert/splunk"))).token("any").compression(self.compression)
    }

    fn read(&self, service: &str) -> Vec<Value> {
        self.store.query(&format!("\"fields.service_name\":={service:?}"))
    }

    fn found(&self, raw: Value) -> Found {
        let mut found = Found::of_object(raw);
        found.service = found.take("fields.service_name");
        found.time_nanos = found.take("_time").as_deref().and_then(unix_nanos);
        let beside = found.take("event.time").as_deref().and_then(unix_nanos);
        assert_eq!(beside, found.time_nanos, "the time of the event is that of the envelope");
        found.level = found.take("event.level");
        found.message = found.take("_msg");
        found.id = found.take("event.id");
        found
    }

    fn adds(&self) -> &[&str] {
        &[
            "_stream",
            "_stream_id",
            "event.file",
            "event.line",
            "event.span",
            "event.target",
            "event.thread",
            "fields.container",
            "fields.namespace",
            "fields.node",
            "fields.pod",
            "host",
        ]
    }

    fn message(&self, given: &str) -> String {
        super::message(given)
    }

    fn name(&self, given: &str) -> String {
        if SPLUNKS.contains(&given) { format!("event.field_{given}") } else { format!("event.{}", super::name(given)) }
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        flat(self.name(key), given)
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        super::is(given, found)
    }
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn splunk_comes_back_as_it_was() {
    for compression in [Compression::None, Compression::Gzip] {
        there_and_back(&BySplunk { store: VictoriaLogs::from_env(), compression });
    }
}

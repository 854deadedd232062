//! As if it was Datadog's logs intake. It takes nothing but texts, and keeps milliseconds: `time` has the nanoseconds.

use logchute::backend::Datadog;
use logchute::{Compression, Destination, Severity};
use serde_json::Value;

use super::VictoriaLogs;
use crate::given::Given;
use crate::there_and_back::there_and_back;
use crate::time::unix_nanos;
use crate::way::{Found, Way};

/// Attributes that mean something to Datadog.
const DATADOGS: [&str; 8] = ["ddsource", "ddtags", "host", "hostname", "service", "source", "status", "timestamp"];

pub(super) struct ByDatadog {
    pub(super) store: VictoriaLogs,
    pub(super) compression: Compression,
}

impl Way for ByDatadog {
    fn destination(&self) -> Destination {
        Destination::from(Datadog::new(self.store.url("/insert/datadog"))).token("any").compression(self.compression)
    }

    fn read(&self, service: &str) -> Vec<Value> {
        self.store.query(&format!("service:={service:?}"))
    }

    fn found(&self, raw: Value) -> Found {
        let mut found = Found::of_object(raw);
        found.service = found.take("service");
        found.time_nanos = found.take("time").as_deref().and_then(unix_nanos);
        let millis = found.take("_time").as_deref().and_then(unix_nanos);
        assert_eq!(millis, found.time_nanos.map(|nanos| nanos / 1_000_000 * 1_000_000));
        let status = found.take("status");
        // Where Datadog's word says less.
        found.level = found.take("level").or(status);
        found.message = found.take("_msg");
        found.id = found.take("id");
        found
    }

    fn adds(&self) -> &[&str] {
        &[
            "_stream",
            "_stream_id",
            "ddsource",
            "file",
            "hostname",
            "kube_container_name",
            "kube_namespace",
            "line",
            "node",
            "pod_name",
            "span",
            "target",
            "thread",
        ]
    }

    fn message(&self, given: &str) -> String {
        super::message(given)
    }

    fn level(&self, given: Severity) -> String {
        given.as_str().to_owned()
    }

    fn name(&self, given: &str) -> String {
        if DATADOGS.contains(&given) { format!("field_{given}") } else { super::name(given) }
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        super::value(self.name(key), given)
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        super::is(given, found)
    }
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn datadog_comes_back_as_it_was() {
    for compression in [Compression::None, Compression::Gzip] {
        there_and_back(&ByDatadog { store: VictoriaLogs::from_env(), compression });
    }
}

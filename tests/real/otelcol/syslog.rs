//! By syslog, in both framings. The body is the message as it came, so the text is looked for in the attribute.

use logchute::Destination;
use logchute::backend::Framing;
use serde_json::Value;

use super::{Collector, Intake};
use crate::given::Given;
use crate::server::variable;
use crate::syslog;
use crate::there_and_back::there_and_back;
use crate::time::unix_nanos;
use crate::way::{Found, Way};

struct BySyslog(Framing);

impl Way for BySyslog {
    fn destination(&self) -> Destination {
        let url = if self.0 == Framing::Newline { "OTELCOL_SYSLOG_LINES_URL" } else { "OTELCOL_SYSLOG_URL" };
        syslog::destination(&variable(url), self.0)
    }

    fn read(&self, service: &str) -> Vec<Value> {
        let all = Collector::from_env().records(Intake::Syslog);
        all.into_iter().filter(|record| record["attributes"]["appname"] == service).collect()
    }

    fn found(&self, mut raw: Value) -> Found {
        let mut found = Found::of_object(raw["attributes"]["structured_data"][syslog::ELEMENT].take());
        found.service = found.take("service_name");
        found.time_nanos = found.take("time").as_deref().and_then(unix_nanos);
        found.level = found.take("level");
        found.id = found.take("id");
        found.message = Some(raw["attributes"]["message"].as_str().unwrap_or_default().to_owned());
        found
    }

    fn adds(&self) -> &[&str] {
        &syslog::ADDS
    }

    fn message(&self, given: &str) -> String {
        syslog::message(given, self.0)
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        syslog::field(key, given)
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        found.as_str().is_some_and(|found| syslog::is(given, found, self.0))
    }
}

#[test]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn messages_by_syslog_come_back_in_both_framings() {
    for framing in [Framing::OctetCounting, Framing::Newline] {
        there_and_back(&BySyslog(framing));
    }
}

//! By syslog over TCP, in both framings, and over TLS. Fields are `logchute@32473.NAME`.

use logchute::Destination;
use logchute::backend::Framing;
use serde_json::Value;

use super::VictoriaLogs;
use crate::given::Given;
use crate::server::variable;
use crate::syslog;
use crate::there_and_back::there_and_back;
use crate::time::unix_nanos;
use crate::way::{Found, Way};

struct BySyslog {
    framing: Framing,
    to: fn(Framing) -> Destination,
}

impl Way for BySyslog {
    fn destination(&self) -> Destination {
        (self.to)(self.framing)
    }

    fn read(&self, service: &str) -> Vec<Value> {
        VictoriaLogs::from_env().query(&format!("app_name:={service:?}"))
    }

    fn found(&self, raw: Value) -> Found {
        let message = raw["_msg"].as_str().map(str::to_owned);
        let all = Found::of_object(raw);
        let prefix = format!("{}.", syslog::ELEMENT);
        let ours =
            all.fields.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value)));
        let mut found = Found { fields: ours.collect(), message, ..Found::default() };
        found.service = found.take("service_name");
        found.time_nanos = found.take("time").as_deref().and_then(unix_nanos);
        found.level = found.take("level");
        found.id = found.take("id");
        found
    }

    fn adds(&self) -> &[&str] {
        &syslog::ADDS
    }

    fn message(&self, given: &str) -> String {
        super::message(&syslog::message(given, self.framing))
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        let [(name, given)] = <[_; 1]>::try_from(syslog::field(key, given)).expect("one");
        super::value(name, &given)
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        found.as_str().is_some_and(|found| syslog::is(given, found, self.framing))
    }
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn syslog_comes_back_in_both_framings() {
    for framing in [Framing::OctetCounting, Framing::Newline] {
        let to = |framing| syslog::destination(&variable("VICTORIALOGS_SYSLOG_URL"), framing);
        there_and_back(&BySyslog { framing, to });
    }
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn syslog_comes_back_by_tls() {
    let to = |framing| {
        syslog::destination(&variable("VICTORIALOGS_SYSLOG_TLS_URL"), framing).ca(variable("VICTORIALOGS_CA"))
    };
    there_and_back(&BySyslog { framing: Framing::OctetCounting, to });
}

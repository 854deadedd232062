//! By TCP in both framings, and by TLS. NUL becomes `#000`.

use logchute::Destination;
use logchute::backend::Framing;
use serde_json::Value;

use super::{Rsyslog, structured};
use crate::given::Given;
use crate::server::variable;
use crate::syslog;
use crate::there_and_back::there_and_back;
use crate::time::unix_nanos;
use crate::way::{Found, Way};

const NUL: &str = "#000";

struct BySyslog {
    framing: Framing,
    to: fn(Framing) -> Destination,
}

impl Way for BySyslog {
    fn destination(&self) -> Destination {
        (self.to)(self.framing)
    }

    fn read(&self, service: &str) -> Vec<Value> {
        Rsyslog::from_env().messages().into_iter().filter(|message| message["app"] == service).collect()
    }

    fn found(&self, raw: Value) -> Found {
        let mut elements = structured(raw["structured"].as_str().unwrap_or_default()).expect("structured data");
        let parameters = elements.remove(syslog::ELEMENT).expect("our element");
        let mut found = Found {
            fields: parameters.into_iter().map(|(key, value)| (key, value.into())).collect(),
            ..Found::default()
        };
        found.service = found.take("service_name");
        let exact = found.take("time");
        // Six digits of it stand in the head.
        assert_eq!(exact.as_deref().map(|exact| &exact[..26]), raw["time"].as_str().map(|time| &time[..26]));
        found.time_nanos = exact.as_deref().and_then(unix_nanos);
        found.level = found.take("level");
        found.id = found.take("id");
        found.message = raw["message"].as_str().map(str::to_owned);
        found
    }

    fn adds(&self) -> &[&str] {
        &syslog::ADDS
    }

    fn message(&self, given: &str) -> String {
        syslog::message(given, self.framing).replace('\0', NUL)
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        let nul = |given| match given {
            Given::Text(text) if self.framing == Framing::OctetCounting => Given::Text(text.replace('\0', NUL)),
            given => given,
        };
        syslog::field(key, given).into_iter().map(|(key, given)| (key, nul(given))).collect()
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        found.as_str().is_some_and(|found| syslog::is(given, found, self.framing))
    }
}

#[test]
#[ignore = "needs rsyslog: tests/servers/rsyslog.sh"]
fn messages_come_back_in_both_framings() {
    for framing in [Framing::OctetCounting, Framing::Newline] {
        there_and_back(&BySyslog { framing, to: |framing| syslog::destination(&variable("RSYSLOG_URL"), framing) });
    }
}

#[test]
#[ignore = "needs rsyslog: tests/servers/rsyslog.sh"]
fn messages_come_back_by_tls() {
    let to = |framing| syslog::destination(&variable("RSYSLOG_TLS_URL"), framing).ca(variable("RSYSLOG_CA"));
    there_and_back(&BySyslog { framing: Framing::OctetCounting, to });
}

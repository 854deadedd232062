//! By Loki's protocol. Names that Loki itself would take for one are told apart (`docs/stores/loki.md`).

use logchute::Destination;
use logchute::backend::{Encoding, Loki};
use serde_json::Value;

use super::VictoriaLogs;
use crate::given::Given;
use crate::there_and_back::there_and_back;
use crate::way::{Found, Way};

pub(super) struct ByLoki {
    pub(super) store: VictoriaLogs,
    pub(super) encoding: Encoding,
}

impl Way for ByLoki {
    fn destination(&self) -> Destination {
        // Without this switch VictoriaLogs takes a message that looks like JSON apart.
        let push = "/insert/loki/api/v1/push?disable_message_parsing=1";
        Destination::from(Loki::new(self.store.url(push)).encoding(self.encoding))
    }

    fn read(&self, service: &str) -> Vec<Value> {
        self.store.of_service(service)
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
        match given {
            "a-b" => "field_a-b".to_owned(),
            "a.b" => "field_a.b_2".to_owned(),
            "time" => "field_time_2".to_owned(),
            given => super::name(given),
        }
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
fn loki_protobuf_comes_back_as_it_was() {
    there_and_back(&ByLoki { store: VictoriaLogs::from_env(), encoding: Encoding::Protobuf });
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn loki_json_comes_back_as_it_was() {
    there_and_back(&ByLoki { store: VictoriaLogs::from_env(), encoding: Encoding::Json });
}

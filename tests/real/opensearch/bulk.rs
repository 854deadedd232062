//! By bulk requests. Names that the Elastic Common Schema, or the store itself, has for something else are told apart, and so
//! are those that would be a value and an object in one document (`docs/stores/elasticsearch.md`). Four records of the
//! corpus hold a list of unlike things, or a number beyond `float` or, nested, beyond `long`: these have no mapping, and
//! come back from the one field that takes all of a record.

use logchute::backend::Elasticsearch;
use logchute::{Builder, Destination, Record, Severity};
use serde_json::{Value, json};

use super::OpenSearch;
use crate::corpus::{OURS, TAKEN};
use crate::given::Given;
use crate::http::{address, post};
use crate::server::{Server, Signal, unique};
use crate::there_and_back::{there_and_back, until};
use crate::time::unix_nanos;
use crate::way::{Found, Way};

pub(crate) struct ByBulk {
    pub(super) store: OpenSearch,
    pub(super) index: String,
}

impl ByBulk {
    fn new(prefix: &str) -> Self {
        Self { store: OpenSearch::from_env(), index: format!("{prefix}{}", unique()) }
    }

    fn all(&self) -> Vec<Value> {
        self.store.documents(&self.index)
    }
}

impl Way for ByBulk {
    fn destination(&self) -> Destination {
        Destination::from(Elasticsearch::opensearch(self.store.url(&format!("/{}", self.index))))
    }

    fn read(&self, _service: &str) -> Vec<Value> {
        // There is no index before the first record.
        self.store.documents(&format!("{}*", self.index))
    }

    fn found(&self, raw: Value) -> Found {
        let id = raw["_id"].as_str().map(str::to_owned);
        let mut found = found(raw["_source"].clone());
        found.id = id;
        found
    }

    fn adds(&self) -> &[&str] {
        &ADDS
    }

    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        vec![(name(key, given), given.clone())]
    }

    fn is(&self, given: &Given, found: &Value) -> bool {
        match given {
            // Beyond `long`, the widest integer there is.
            Given::U64(wide) if i64::try_from(*wide).is_err() => found.as_str().is_some_and(|text| given.is_text(text)),
            given => given.is(found),
        }
    }
}

/// The parts of a document, which may be in the one field that takes all of a record.
pub(crate) fn found(document: Value) -> Found {
    let mut found = Found::of_object(document);
    if let Some(text) = found.take("logchute.fields") {
        let Ok(Value::Object(fields)) = serde_json::from_str(&text) else { panic!("no object: {text}") };
        found.fields.extend(fields);
        found.level = found.take("logchute.level");
        let service = found.take("logchute.service");
        assert_eq!(found.fields.get("service.name").and_then(Value::as_str), service.as_deref());
    }
    found.level = found.take("log.level").or(found.level);
    found.service = found.take("service.name");
    found.time_nanos = found.take("@timestamp").as_deref().and_then(unix_nanos);
    found.message = found.take("message");
    found
}

/// What a document has besides: where it was made and by whom.
pub(crate) const ADDS: [&str; 11] = [
    "ecs.version",
    "host.name",
    "kubernetes.container.name",
    "kubernetes.namespace",
    "kubernetes.node.name",
    "kubernetes.pod.name",
    "log.logger",
    "log.origin.file.line",
    "log.origin.file.name",
    "process.thread.name",
    "span.name",
];

/// The name under which a field of the corpus is found.
pub(crate) fn name(key: &str, given: &Given) -> String {
    const OBJECTS: [&str; 11] =
        ["@timestamp", "_id", "_index", "_source", "event", "host", "labels", "log", "log.level", "service", "trace"];
    // A part is empty, or it would be a value beside a member of it.
    const ODD: [&str; 3] = ["a..b", ".a.", "http.request"];
    match key {
        "error" if matches!(given, Given::Text(_)) => "error.message".to_owned(),
        key if [&OURS[..], &TAKEN, &OBJECTS, &ODD].iter().any(|names| names.contains(&key)) => {
            format!("field_{}", key.replace('.', "_"))
        }
        key => key.to_owned(),
    }
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn an_index_gives_back_what_was_sent() {
    there_and_back(&ByBulk::new("real-"));
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn a_data_stream_gives_back_what_was_sent() {
    let way = ByBulk::new("logs-real-");
    let template = json!({"index_patterns": [way.index], "data_stream": {}, "priority": 100});
    let path = format!("/_index_template/{}", way.index);
    post(address(&way.store.url("")), &path, "application/json", template.to_string());
    there_and_back(&way);
    let streams = way.all();
    let index = streams[0]["_index"].as_str().unwrap();
    assert!(index.starts_with(&format!(".ds-{}", way.index)), "{index}");
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn a_record_goes_to_the_index_of_its_day() {
    let way = ByBulk::new("real-");
    let to = Elasticsearch::new(way.store.url(&format!("/{}-{{date}}-x", way.index)));
    let logs = Builder::new().send_to(to).service("dated").start().unwrap();
    (0..10).for_each(|n| logs.emit(Record::new(Severity::Info, format!("{n}"))));
    let report = logs.shutdown(std::time::Duration::from_secs(20));
    assert!(report.settled() && report.ledger().lost() == 0, "{report}");
    let documents = way.store.documents(&format!("{}*", way.index));
    assert_eq!(documents.len(), 10);
    for document in documents {
        let day = document["_source"]["@timestamp"].as_str().unwrap()[..10].replace('-', ".");
        assert_eq!(document["_index"], format!("{}-{day}-x", way.index));
    }
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn a_record_that_the_index_has_no_place_for_is_kept_in_one_field_under_its_id() {
    let way = ByBulk::new("real-");
    let mapping = json!({"mappings": {"properties": {
        "user": {"type": "long"}, "host": {"type": "keyword"}, "key": {"type": "keyword"}, "day": {"type": "date"},
    }}});
    put(&way.store, &way.index, &mapping);
    // The index has `host` as a value, so that no document of ours fits it as it is.
    let logs = Builder::new().send_to(way.destination()).service("conflict").start().unwrap();
    let emit = |n: u64, record: Record| logs.emit(record.field("n", n));
    let all = 2_500;
    emit(0, Record::new(Severity::Warn, "no number").field("user", "root"));
    emit(1, Record::new(Severity::Warn, "no day").field("day", "yesterday"));
    emit(2, Record::new(Severity::Warn, "k".repeat(40_000)).field("key", "ä".repeat(40_000)));
    (3..all).for_each(|n| emit(n, Record::new(Severity::Info, "fits").field("user", n).field("host", "mine")));
    let report = logs.shutdown(std::time::Duration::from_secs(60));
    let ledger = report.ledger();
    assert!(report.settled() && ledger.balances() && ledger.lost() == 0, "{report}");

    let documents = way.all();
    assert_eq!(documents.len() as u64, all);
    let ids: std::collections::BTreeSet<_> = documents.iter().map(|document| document["_id"].to_string()).collect();
    assert_eq!(ids.len() as u64, all);
    let of = |n: u64| {
        let fields = documents.iter().map(|document| (document, way.found(document.clone())));
        fields.into_iter().find(|(_, found)| found.fields["n"] == n).unwrap()
    };
    for (n, key, value) in [(0, "user", "root"), (1, "day", "yesterday")] {
        let (document, found) = of(n);
        assert!(document["_source"]["logchute.fields"].is_string(), "{document}");
        assert_eq!((found.fields[key].as_str(), found.level.as_deref()), (Some(value), Some("warn")));
    }
    assert_eq!(of(2).1.fields["key_original_len"], 80_000);
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn an_index_that_takes_no_more_names_still_takes_every_record() {
    let way = ByBulk::new("real-");
    put(&way.store, &way.index, &json!({"settings": {"index.mapping.total_fields.limit": 60}}));
    let logs = Builder::new().send_to(way.destination()).service("full").start().unwrap();
    let all = 3_000_u64;
    logs.emit(Record::new(Severity::Info, "the first").field("n", 0_u64));
    assert!(logs.flush(std::time::Duration::from_secs(20)).settled());
    (1..all).for_each(|n| {
        logs.emit(Record::new(Severity::Info, "one more name").field("n", n).field(format!("name{}", n % 100), n));
    });
    let report = logs.shutdown(std::time::Duration::from_secs(60));
    let ledger = report.ledger();
    assert!(report.settled() && ledger.balances() && ledger.lost() == 0, "{report}");
    assert!(ledger.destinations[0].fallback > 0, "{report}");
    assert_eq!(way.all().len() as u64, all);
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn records_whose_answer_was_lost_are_stored_once() {
    let way = ByBulk::new("real-");
    let store = address(&way.store.url("")).to_owned();
    let proxy = Proxy::dropping_the_first(3, &store);
    let to = Elasticsearch::new(format!("{}/{}", proxy.url, way.index));
    let logs = Builder::new().send_to(to).service("lost").in_flight(1).start().unwrap();
    let all = 7_000_u64;
    (0..all).for_each(|n| logs.emit(Record::new(Severity::Info, "once").field("n", n)));
    let report = logs.shutdown(std::time::Duration::from_secs(60));
    let ledger = report.ledger();
    assert!(report.settled() && ledger.balances() && ledger.lost() == 0, "{report}");
    assert_eq!(proxy.dropped(), 3, "answers that were lost");
    let numbers: std::collections::BTreeSet<_> =
        way.all().iter().map(|document| document["_source"]["n"].as_u64().unwrap()).collect();
    assert_eq!((way.all().len() as u64, numbers.len() as u64), (all, all));
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn a_kill_in_mid_flood_loses_nothing_and_stores_nothing_twice() {
    let mut server = Server::start("opensearch");
    let store = OpenSearch::at(server.variable("URL"));
    let way = ByBulk { store, index: "flood".to_owned() };
    let outcome = crate::flood::flood(&way, || {
        server.end(Signal::Kill);
        server.start_again();
    });
    assert_eq!((outcome.lost, outcome.twice, outcome.foreign), (0, 0, 0), "{outcome}");
}

/// Creates an index.
fn put(store: &OpenSearch, index: &str, body: &Value) {
    let template = json!({"index_patterns": [index], "priority": 100, "template": body});
    post(address(&store.url("")), &format!("/_index_template/{index}"), "application/json", template.to_string());
}

/// Passes requests on, and of the first ones the answers not back: the connection is closed instead.
struct Proxy {
    url: String,
    dropped: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Proxy {
    fn dropping_the_first(answers: usize, store: &str) -> Self {
        use std::io::{Read as _, Write as _};
        use std::net::{TcpListener, TcpStream};
        use std::sync::atomic::Ordering;

        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (dropped, store) = (std::sync::Arc::<std::sync::atomic::AtomicUsize>::default(), store.to_owned());
        let count = dropped.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, mut server) =
                    (client.expect("a client"), TcpStream::connect(&store).expect("a store"));
                let (mut from, mut to) = (client.try_clone().expect("a clone"), server.try_clone().expect("a clone"));
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let count = count.clone();
                std::thread::spawn(move || {
                    let mut bytes = [0; 65_536];
                    // The answer begins when the whole request was carried out.
                    while let Ok(len @ 1..) = server.read(&mut bytes) {
                        let lose = |dropped| (dropped < answers).then_some(dropped + 1);
                        if count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose).is_ok() {
                            break;
                        }
                        if client.write_all(&bytes[..len]).is_err() {
                            break;
                        }
                    }
                    let _ = client.shutdown(std::net::Shutdown::Both);
                    let _ = server.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { url, dropped }
    }

    fn dropped(&self) -> usize {
        until(|| Some(self.dropped.load(std::sync::atomic::Ordering::SeqCst)))
    }
}

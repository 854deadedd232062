//! OpenSearch: reads an index or a data stream back, each document with what was sent as its source.

pub(crate) mod bulk;
mod doctor;

use serde_json::{Value, json};

use crate::http::{address, post};
use crate::server::{Server, Signal, unique, variable};

pub(crate) struct OpenSearch {
    url: String,
}

impl OpenSearch {
    /// Where `OPENSEARCH_URL` says.
    pub(crate) fn from_env() -> Self {
        Self::at(&variable("OPENSEARCH_URL"))
    }

    pub(crate) fn at(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// All documents of the index, in no order: `_index`, `_id`, `_source`. `*` stands for any part of its name.
    pub(crate) fn documents(&self, index: &str) -> Vec<Value> {
        // A search sees what was there at the last refresh, and a scroll goes on seeing that.
        self.ask(&format!("/{index}/_refresh"), &json!({}));
        let mut page = self.ask(&format!("/{index}/_search?scroll=1m&size=1000"), &json!({}));
        let mut documents = Vec::new();
        loop {
            assert_eq!(page["_shards"]["failed"], 0, "{page}");
            let hits = page["hits"]["hits"].as_array().cloned().unwrap_or_default();
            let scroll = json!({"scroll_id": page["_scroll_id"], "scroll": "1m"});
            if hits.is_empty() {
                return documents;
            }
            documents.extend(hits);
            page = self.ask("/_search/scroll", &scroll);
        }
    }

    fn ask(&self, path: &str, body: &Value) -> Value {
        let reply = post(address(&self.url), path, "application/json", body.to_string());
        serde_json::from_str(&reply).expect("JSON")
    }
}

/// Stores documents of those numbers.
fn store(store: &OpenSearch, index: &str, numbers: std::ops::Range<u64>) {
    let lines: String = numbers.map(|n| format!("{{\"create\":{{\"_id\":\"{n}\"}}}}\n{{\"n\":{n}}}\n")).collect();
    let reply = post(address(&store.url("")), &format!("/{index}/_bulk"), "application/x-ndjson", lines);
    assert!(reply.contains(r#""errors":false"#), "{reply}");
}

fn numbers(store: &OpenSearch, index: &str) -> Vec<u64> {
    let documents = store.documents(index);
    let mut numbers: Vec<u64> = documents.iter().filter_map(|document| document["_source"]["n"].as_u64()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn all_pages_of_an_index_are_read() {
    let (shared, index) = (OpenSearch::from_env(), format!("read-{}", unique()));
    store(&shared, &index, 0..2_500);
    assert_eq!(numbers(&shared, &index), (0..2_500).collect::<Vec<_>>());
}

/// What a test relies on that kills it: an ack is durable, and it comes back at the same address with its data.
#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn what_was_acked_survives_sigkill() {
    let mut server = Server::start("opensearch");
    let own = OpenSearch::at(server.variable("URL"));
    store(&own, "read", 0..100);
    server.end(Signal::Kill);
    server.start_again();
    store(&own, "read", 100..200);
    assert_eq!(numbers(&own, "read"), (0..200).collect::<Vec<_>>());
}

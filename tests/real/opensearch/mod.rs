//! OpenSearch: reads an index or a data stream back, each document with what was sent as its source.

use serde_json::{Value, json};

use crate::http::{address, post};
use crate::server::variable;

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

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn all_pages_of_an_index_are_read() {
    let store = OpenSearch::from_env();
    let index = format!("read-{}", crate::server::unique());
    let lines: String = (0..2_500).map(|n| format!("{{\"create\":{{\"_id\":\"{n}\"}}}}\n{{\"n\":{n}}}\n")).collect();
    let path = format!("/{index}/_bulk");
    let reply = post(address(&store.url("")), &path, "application/x-ndjson", lines);
    assert!(reply.contains(r#""errors":false"#), "{reply}");

    let mut numbers: Vec<u64> =
        store.documents(&index).iter().filter_map(|document| document["_source"]["n"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..2_500).collect::<Vec<_>>());
}

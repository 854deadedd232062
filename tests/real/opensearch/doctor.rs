//! The doctor at OpenSearch.

use super::OpenSearch;
use crate::doctor::visit;
use crate::http::{address, request};
use crate::server::unique;

/// An index of its own, to which something was done by a request with that path behind it.
fn index(method: &str, path: &str, body: &str) -> String {
    let (store, name) = (OpenSearch::from_env(), format!("doctor-{}", unique()));
    let at = store.url("");
    request(address(&at), "PUT", &format!("/{name}"), "application/json", "{}");
    request(address(&at), method, &format!("/{name}{path}"), "application/json", body);
    store.url(&format!("/{name}"))
}

fn url(path: &str) -> String {
    OpenSearch::from_env().url(path)
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn a_data_stream_and_an_index_are_well() {
    visit(format!("elasticsearch+{}", url("")), &[]).well();
    visit(format!("elasticsearch+{}", url(&format!("/doctor-{}", unique()))), &[]).well();
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn an_index_that_cannot_be_is_told() {
    visit(format!("elasticsearch+{}", url("/My_Index")), &[]).told("set up", "lower case", "LOGCHUTE_URL");
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn a_closed_index_is_told() {
    let closed = index("POST", "/_close", "");
    visit(format!("elasticsearch+{closed}"), &[]).told("answer", "open or create it there", "LOGCHUTE_URL");
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn an_index_that_is_read_only_is_told_and_no_setting_is_blamed() {
    for block in ["read_only", "read_only_allow_delete"] {
        let at = index("PUT", "/_settings", &format!(r#"{{"index.blocks.{block}":true}}"#));
        visit(format!("elasticsearch+{at}"), &[]).told("answer", "blocked by", "");
    }
}

#[test]
#[ignore = "needs OpenSearch: tests/servers/opensearch.sh"]
fn another_backend_is_told() {
    for backend in [
        "loki",
        #[cfg(feature = "otlp")]
        "otlp",
        #[cfg(feature = "splunk")]
        "splunk",
        #[cfg(feature = "datadog")]
        "datadog",
    ] {
        let visit = visit(format!("{backend}+{}", url("")), &[("LOGCHUTE_TOKEN", "any")]);
        visit.told("answer", "is it the backend for this store", "LOGCHUTE_URL");
    }
    visit(format!("ndjson+{}", url("")), &[]).told("answer", "takes no POST", "LOGCHUTE_URL");
}

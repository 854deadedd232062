//! Elasticsearch and OpenSearch: `POST {base}/{index}/_bulk`, a line with an id and a line with a document per record.
//!
//! `create` with the id of the record stores it unless it is there, and says which of the two it was: a resend is
//! harmless. Each document has a verdict of its own. One that the index has no place for, because it knows a name as
//! something else, goes again with all of its fields in one text.
//!
//! `place.rs` makes the URL, `names.rs` says what a field is called, `document.rs` what stands in the body, `judge.rs`
//! what the answers mean. VictoriaLogs has the same API, without ids and without verdicts for documents.

mod document;
mod judge;
mod names;
mod place;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::document::Shape;
use self::place::Place;
use super::{
    Backend, Batch, Delivery, Facts, Foreign, Payload, RecordRef, Reply, Says, Scheme, TokenAs, Verdict, Written,
};
use crate::error::Error;
use crate::voice::mask_url;

/// What a managed Elasticsearch takes in its smallest sizes; by default it takes 100 MB (`http.max_content_length`).
const BULK_BYTES: usize = 10_000_000;
/// So that a reply that has something to say about each of them can be read to its end, and comes in time: a document with
/// a new name costs Elasticsearch milliseconds, also where it then refuses it.
const BULK_RECORDS: usize = 1_000;
/// What is said of a document that is there already takes 210 bytes, of one that is refused about 300.
const REPLY_BYTES: usize = 320 * 1024;

/// VictoriaLogs answers with 400 to a longer line, `-insert.maxLineSizeBytes`, 262,144 by default, and stores those
/// before it. Some room is left.
const VICTORIALOGS_LINE: usize = 250_000;

/// Elasticsearch or OpenSearch, or VictoriaLogs in their place.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Delivery, Elasticsearch};
///
/// let store = Elasticsearch::new("https://localhost:9200/logs-shop-prod");
/// assert!(store.url().starts_with("https://localhost:9200/logs-shop-prod/_bulk?"));
/// assert_eq!(store.facts().delivers(), Delivery::EffectivelyOnce);
/// ```
#[derive(Clone, Debug)]
pub struct Elasticsearch {
    name: &'static str,
    token: &'static str,
    place: Place,
    /// What the resource adds to each document, as of the last batch; before that a guess.
    resource_bytes: Arc<AtomicUsize>,
}

impl Elasticsearch {
    /// Sends to this server. The last part of the path is the index or data stream, `logs-app-default` where there is
    /// none; `{date}` in it is the day of each record in UTC, as `2026.11.24`. A token is an API key.
    ///
    /// What stands before the index is kept, and a path that ends with a slash is nothing but such a prefix. `_bulk` at
    /// the end may be written or not. The query is kept (`pipeline=…`), but for `filter_path`, which says what we need of
    /// each reply.
    ///
    /// Where the path ends in `/insert/elasticsearch`, with or without `/_bulk`, it is VictoriaLogs: the query gets
    /// `_msg_field`, `_time_field` and `_stream_fields`, unless it has one of them, and a document at most 250,000 bytes.
    ///
    /// A name that no index can have is refused where it comes from `LOGCHUTE_URL`; otherwise the store refuses it, and
    /// records are kept.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            name: "elasticsearch",
            token: "ApiKey",
            place: Place::of(&url.into()),
            resource_bytes: Arc::new(AtomicUsize::new(100)),
        }
    }

    /// The same for an OpenSearch, which has no API keys: a token is a bearer token.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::backend::{Backend, Elasticsearch};
    ///
    /// assert_eq!(Elasticsearch::opensearch("https://localhost:9200/logs").facts().name(), "opensearch");
    /// ```
    #[must_use]
    pub fn opensearch(url: impl Into<String>) -> Self {
        Self { name: "opensearch", token: "Bearer", ..Self::new(url) }
    }
}

impl Backend for Elasticsearch {
    fn facts(&self) -> Facts {
        let delivery = if self.place.is_victorialogs { Delivery::AtLeastOnce } else { Delivery::EffectivelyOnce };
        Facts::new(self.name)
            .delivery(delivery)
            .batch_bytes(BULK_BYTES)
            .batch_records(BULK_RECORDS)
            .reply_bytes(REPLY_BYTES)
            .token(TokenAs::Authorization(self.token))
            .gzip()
    }

    fn url(&self) -> &str {
        &self.place.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        document::cost(record) + self.resource_bytes.load(Ordering::Relaxed)
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let shape = Shape {
            index: self.place.index.as_ref(),
            has_ids: !self.place.is_victorialogs,
            flattens: self.place.is_victorialogs,
            most: if self.place.is_victorialogs { VICTORIALOGS_LINE } else { usize::MAX },
        };
        let (body, resource_bytes) = document::body(&shape, batch);
        self.resource_bytes.store(resource_bytes, Ordering::Relaxed);
        Payload::post("application/x-ndjson", body)
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        judge::judge(reply, BULK_RECORDS)
    }
}

pub(super) const SCHEME: Scheme = Scheme {
    names: super::names::elasticsearch(),
    written: &[Written::Http],
    default_url: None,
    foreign: &[
        Foreign::url("ELASTICSEARCH_URL"),
        Foreign::url("ES_URL"),
        Foreign::new("ELASTIC_CLOUD_ID", Says::Url(place::of_cloud_id)),
        Foreign::new("ELASTIC_API_KEY", Says::Token),
        Foreign::new("ELASTIC_USERNAME", Says::User),
        Foreign::new("ELASTIC_PASSWORD", Says::Password),
    ],
    // Every field is a field here; what `LOGCHUTE_LABELS` sets is in the resource.
    build: |setup| {
        let store = match setup.name {
            "opensearch" => Elasticsearch::opensearch(setup.url),
            _ => Elasticsearch::new(setup.url),
        };
        match store.place.fault() {
            None => Ok(Box::new(store)),
            Some(must) => Err(Error::setting(setup.variable.unwrap_or("LOGCHUTE_URL"), mask_url(setup.url), must)),
        }
    },
};

//! What a store expects and what its answers mean: two pure functions and a few declared facts each.
//!
//! A backend is one file here and one line below. It knows no client and no lane: it turns a [`Batch`]
//! into a [`Payload`], and a [`Reply`] into a [`Verdict`]. Encoding is deterministic, so that a resend is
//! byte for byte the same.
//!
//! [`Backend`] is public, so that a store of your own is one file as well (`examples/custom_backend.rs`), but
//! not yet stable: it may change in a minor release until two outside backends were written against it.

#[cfg(feature = "testing")]
pub(crate) mod conformance;
#[cfg(test)]
mod corpus;
mod flat;
pub mod json;
mod loki;
mod ndjson;
pub(crate) mod proto;
mod scheme;

use std::borrow::Cow;
use std::time::Duration;

pub use crate::batch::{Batch, Records};
pub use crate::frame::{Field, Fields, RecordId, RecordRef, Severity, Spans, Value};
pub use crate::resource::Resource;
pub use loki::{Encoding, Loki};
pub use ndjson::Ndjson;
pub(crate) use scheme::{SCHEMES, Scheme};

/// What speaks to one kind of store. Not yet stable, see the [module](self).
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Batch, Delivery, Facts, Payload};
///
/// struct Lines(String);
///
/// impl Backend for Lines {
///     fn facts(&self) -> Facts {
///         Facts::new("lines").delivery(Delivery::AtLeastOnce)
///     }
///     fn url(&self) -> &str {
///         &self.0
///     }
///     fn encode(&self, batch: &Batch<'_>) -> Payload {
///         let lines: String = batch.records().map(|record| format!("{}\n", record.message())).collect();
///         Payload::post("text/plain", lines.into_bytes())
///     }
/// }
///
/// assert_eq!(Lines("http://localhost".into()).facts().name(), "lines");
/// ```
pub trait Backend: Send + 'static {
    /// What the rest of the pipeline must know about the store.
    fn facts(&self) -> Facts;

    /// Where payloads go: `http` or `https`, without user and password.
    fn url(&self) -> &str;

    /// What a record adds to a payload, in the units in which the store's limits count (bytes, mostly).
    ///
    /// The default is a safe guess for text formats. A batch is sealed by the sum, so a guess that is
    /// much too high makes small requests, and one that is too low requests above the limit, which the store
    /// then refuses and the lane halves.
    fn cost(&self, record: &RecordRef<'_>) -> usize {
        record.encoded_hint()
    }

    /// The request for these records; the same bytes each time.
    fn encode(&self, batch: &Batch<'_>) -> Payload;

    /// What an answer means. The default goes by the status alone: [`Verdict::of_status`].
    fn judge(&self, reply: &Reply) -> Verdict {
        Verdict::of_status(reply)
    }
}

/// What a resend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// The store recognises a record that it has already.
    EffectivelyOnce,
    /// A record may be stored twice when an answer got lost.
    AtLeastOnce,
    /// The store does not say whether it took a record.
    BestEffort,
}

/// What a backend declares about its store.
#[derive(Clone, Debug)]
pub struct Facts {
    name: &'static str,
    delivery: Delivery,
    batch_bytes: usize,
    batch_records: usize,
    gzip: bool,
}

impl Facts {
    /// Facts of the backend `name`: at least once, batches of any size, no compression.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, delivery: Delivery::AtLeastOnce, batch_bytes: usize::MAX, batch_records: usize::MAX, gzip: false }
    }

    /// What a resend does. Default: [`Delivery::AtLeastOnce`].
    #[must_use]
    pub const fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// The most that one payload may cost, in the units of [`Backend::cost`]. Default: no limit.
    #[must_use]
    pub const fn batch_bytes(mut self, most: usize) -> Self {
        self.batch_bytes = most;
        self
    }

    /// The most records in one payload. Default: no limit.
    #[must_use]
    pub const fn batch_records(mut self, most: usize) -> Self {
        self.batch_records = most;
        self
    }

    /// The payload may be compressed with gzip where the user asks for it. Default: no.
    #[must_use]
    pub const fn gzip(mut self) -> Self {
        self.gzip = true;
        self
    }

    /// The backend's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What a resend does.
    #[must_use]
    pub const fn delivers(&self) -> Delivery {
        self.delivery
    }

    pub(crate) const fn most_bytes(&self) -> usize {
        self.batch_bytes
    }

    pub(crate) const fn most_records(&self) -> usize {
        self.batch_records
    }

    pub(crate) const fn takes_gzip(&self) -> bool {
        self.gzip
    }
}

/// A request as the store wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// One HTTP request to the backend's URL.
    #[non_exhaustive]
    Http {
        /// The content type, bare: some stores refuse parameters.
        content_type: &'static str,
        /// How the body is encoded already, if it is.
        content_encoding: Option<&'static str>,
        /// The body.
        body: Vec<u8>,
    },
}

impl Payload {
    /// A POST with this body.
    #[must_use]
    pub const fn post(content_type: &'static str, body: Vec<u8>) -> Self {
        Self::Http { content_type, content_encoding: None, body }
    }

    /// Says how the body is encoded already; it is then not compressed again.
    #[must_use]
    pub fn encoded(mut self, encoding: &'static str) -> Self {
        let Self::Http { content_encoding, .. } = &mut self;
        *content_encoding = Some(encoding);
        self
    }
}

/// What came back: the status, what the store asked for, and at most 64 KiB of the body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The wait that the store asked for, from 0 to 60 seconds.
    pub retry_after: Option<Duration>,
    /// The beginning of the body, at most 64 KiB.
    pub body: Vec<u8>,
}

impl Reply {
    /// A reply, for tests of a backend.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, retry_after: None, body: body.into() }
    }

    /// The body as text, with a replacement character where it is none.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// What a reply means for the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// All of it is stored.
    Ack,
    /// Done, but the store kept only part of it, and does not say which.
    AckWithLoss {
        /// How many records it refused.
        rejected: usize,
        /// Why.
        reason: String,
    },
    /// The same again later: after `after` where the store asked for that.
    Retry {
        /// The wait that the store asked for; at most a minute is kept.
        after: Option<Duration>,
    },
    /// Each record for itself, by its place in the batch; all that are not named are stored.
    Items {
        /// Again later.
        retry: Vec<usize>,
        /// Refused for good, and why.
        rejected: Vec<(usize, String)>,
    },
    /// The records before this one are stored; it and the rest are to be sent again.
    ResumeAfter(usize),
    /// Too large: in halves. A single record for which this is the answer is rejected.
    Split,
    /// Something in it is refused: halved until the record at fault is found, which is then rejected.
    Reject(String),
    /// The credential is not valid (any more): read it again.
    Refresh,
    /// The configuration is wrong: all is kept, the store is asked rarely, and the user is told.
    Hold(String),
}

impl Verdict {
    /// What the status alone says.
    ///
    /// | status | verdict |
    /// |---|---|
    /// | 2xx | [`Ack`](Self::Ack) |
    /// | 408, 425, 429, 5xx | [`Retry`](Self::Retry) |
    /// | 413 | [`Split`](Self::Split) |
    /// | 401 | [`Refresh`](Self::Refresh) |
    /// | 403, 404, 405, 407, 415, 3xx, 1xx | [`Hold`](Self::Hold) |
    /// | other 4xx | [`Reject`](Self::Reject) |
    #[must_use]
    pub fn of_status(reply: &Reply) -> Self {
        let said = || {
            let text = reply.text();
            let text: String = text.trim().chars().take(300).collect();
            if text.is_empty() {
                format!("status {}", reply.status)
            } else {
                format!("status {}: {text}", reply.status)
            }
        };
        match reply.status {
            200..=299 => Self::Ack,
            408 | 425 | 429 | 500..=599 => Self::Retry { after: reply.retry_after },
            413 => Self::Split,
            401 => Self::Refresh,
            403 | 404 | 405 | 407 | 415 => Self::Hold(said()),
            400..=499 => Self::Reject(said()),
            _ => Self::Hold(said()),
        }
    }
}

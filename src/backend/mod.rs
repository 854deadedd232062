//! What a store expects and what its answers mean: two pure functions and a few declared facts each.
//!
//! A backend is one file here and one line below. It knows no client and no lane: it turns a [`Batch`]
//! into a [`Payload`], and a [`Reply`] into a [`Verdict`]. Encoding is deterministic, so that a resend is
//! byte for byte the same.
//!
//! [`Backend`] is public, so that a store of your own is one file as well (`examples/custom_backend.rs`), but
//! not yet stable: it may change in a minor release until two outside backends were written against it.

#[cfg(any(feature = "forward", feature = "syslog"))]
mod address;
#[cfg(test)]
mod carried;
#[cfg(feature = "testing")]
pub(crate) mod check_reply;
#[cfg(feature = "testing")]
pub(crate) mod conformance;
#[cfg(test)]
mod corpus;
mod cost;
mod describe;
mod facts;
mod flat;
mod flattened;
#[cfg(test)]
mod generated;
pub mod json;
mod line;
#[cfg(test)]
mod members;
#[cfg(feature = "forward")]
mod msgpack;
pub(crate) mod proto;
mod scheme;
mod sites;
mod speech;
mod tokens;
mod verdict;

pub(crate) use self::describe::describe;
pub use self::facts::{Delivery, Facts, TokenAs};
pub(crate) use self::ndjson::object as ndjson_object;
pub(crate) use self::scheme::{Foreign, Says, Scheme, Setup, Written};
pub use self::speech::{Heard, Login, Speech};
pub use self::tokens::{Errand, Step, Token, Tokens};
pub use self::verdict::{Reply, Verdict};
pub(crate) use self::verdict::{is_no_path, wants_tls};
pub use crate::batch::{Batch, Mode, Records};
use crate::error::Error;
pub use crate::frame::{Field, Fields, RecordId, RecordRef, Severity, Spans, Value};
pub use crate::resource::Resource;

scheme::backends! {
    #[cfg(feature = "datadog")]
    datadog("datadog"): Datadog;
    #[cfg(feature = "elasticsearch")]
    elasticsearch("elasticsearch", "opensearch", "es"): Elasticsearch;
    #[cfg(feature = "forward")]
    forward("forward", "fluent"): Forward;
    #[cfg(feature = "google_cloud")]
    google_cloud("gcl", "google_cloud", "stackdriver"): GoogleCloud;
    loki("loki", "loki-json"): Loki, Encoding;
    ndjson("ndjson"): Ndjson, Preset [AXIOM, BETTER_STACK, NEW_RELIC, OPENOBSERVE, VICTORIALOGS];
    #[cfg(feature = "otlp")]
    otlp("otlp", "otlp-json"): Otlp;
    #[cfg(feature = "splunk")]
    splunk("splunk"): Splunk;
    #[cfg(feature = "syslog")]
    syslog("syslog"): Facility, Framing, Syslog;
}

/// What speaks to one kind of store. Not yet stable, see the [module](self).
///
/// One value serves the worker, and after a fork the worker of the child as well, each with its own copy of the memory. A
/// lock that the value holds may have been taken at the moment of the fork, and is then never released in the child; so
/// it should have none.
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
pub trait Backend: Send + Sync + 'static {
    /// What the rest of the pipeline must know about the store.
    fn facts(&self) -> Facts;

    /// Where payloads go: `http` or `https`, or `tcp` or `tls` where they are [framed](Payload::Framed); without user
    /// and password.
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

    /// The dialogue of a new connection, for backends whose payloads are [framed](Payload::Framed). The default says
    /// nothing and minds nothing that the store says.
    ///
    /// A payload ends in a [`Reply`] here too: status 200 once it is acknowledged, or written where it asks for no ack;
    /// 401 where the store refuses the login, and where it closed three connections in a row during the handshake.
    fn speech(&self, _login: &Login<'_>) -> Box<dyn Speech> {
        Box::new(speech::Silent)
    }

    /// Asks for smaller payloads, where the user wants compression and [`Facts::gzip`] says that the store takes it.
    /// Called once, before the first batch and before the value is shared.
    ///
    /// Bodies of HTTP requests are compressed on their way; this is for backends whose payloads are
    /// [framed](Payload::Framed), where only they know how compressed records are marked. The default does nothing.
    fn compress(&mut self) {}

    /// What an answer means. The default goes by the status alone: [`Verdict::of_status`].
    fn judge(&self, reply: &Reply) -> Verdict {
        Verdict::of_status(reply)
    }

    /// Where tokens come from that expire. Asked for at start, and again in a forked child, only where the user gave no credential.
    /// Default: nowhere.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if what they are made from cannot be read.
    fn tokens(&self) -> Result<Option<Box<dyn Tokens>>, Error> {
        Ok(None)
    }
}

/// A request as the store wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// One HTTP request to the backend's URL.
    #[non_exhaustive]
    Http {
        /// Path and query that replace those of the backend's URL, for the few requests that go elsewhere.
        path: Option<String>,
        /// The content type, bare: some stores refuse parameters.
        content_type: &'static str,
        /// How the body is encoded already, if it is.
        content_encoding: Option<&'static str>,
        /// The body.
        body: Vec<u8>,
    },
    /// Bytes for a connection that is kept, at a backend whose URL begins with `tcp://` or `tls://`.
    #[non_exhaustive]
    Framed {
        /// What is written.
        bytes: Vec<u8>,
        /// What the store names when it has taken them. `None`: it never says, and they count as delivered once the
        /// system has taken them.
        ack: Option<String>,
    },
}

impl Payload {
    /// A POST with this body.
    #[must_use]
    pub const fn post(content_type: &'static str, body: Vec<u8>) -> Self {
        Self::Http { path: None, content_type, content_encoding: None, body }
    }

    /// Bytes for a connection; `ack` is what the store names when it has taken them, if it ever says.
    #[must_use]
    pub const fn framed(bytes: Vec<u8>, ack: Option<String>) -> Self {
        Self::Framed { bytes, ack }
    }

    /// Says how the body is encoded already; it is then not compressed again.
    #[must_use]
    pub fn encoded(mut self, encoding: &'static str) -> Self {
        if let Self::Http { content_encoding, .. } = &mut self {
            *content_encoding = Some(encoding);
        }
        self
    }

    /// Sends it to this path, with its query if it has one, at the host of the backend's URL.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::backend::Payload;
    ///
    /// let asked = Payload::post("application/json", b"{}".to_vec()).to("/services/collector/ack?channel=1");
    /// assert_eq!(asked.bytes(), b"{}");
    /// ```
    #[must_use]
    pub fn to(mut self, path_and_query: impl Into<String>) -> Self {
        if let Self::Http { path, .. } = &mut self {
            *path = Some(path_and_query.into());
        }
        self
    }

    /// The body, or what is written to the connection.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Http { body, .. } => body,
            Self::Framed { bytes, .. } => bytes,
        }
    }
}

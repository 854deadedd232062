//! JSON objects over HTTP: `POST {url}`, by default one object and one `\n` per record.
//!
//! ```text
//! {"time":"2026-11-24T08:00:00.123456789Z","level":"info","message":"order placed","target":"shop",
//!  "file":"src/main.rs","line":12,"thread":"main","span":"request:checkout","id":"…","user":42,
//!  "service_name":"shop","pod":"shop-7d9"}
//! ```
//!
//! `line.rs` writes the objects, `preset.rs` knows what differs between stores, `judge.rs` what their answers mean.

mod judge;
mod preset;
mod scheme;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(any(feature = "splunk", feature = "datadog"))]
pub(super) use self::judge::{is_about_the_request, said};
pub use self::preset::Preset;
#[cfg(any(feature = "splunk", feature = "datadog"))]
pub(super) use self::preset::host_and_path;
use self::preset::{Framing, Row};
#[cfg(feature = "datadog")]
pub(super) use self::scheme::https;
pub(super) use self::scheme::{AXIOM, BETTER_STACK, NEW_RELIC, OPENOBSERVE, SCHEME, VICTORIALOGS};
use super::line::{self, Lines, SHORTEST_LIMIT, Tail};
use super::{Backend, Batch, Facts, Payload, RecordRef, Reply, Resource, Verdict, json};

/// JSON objects over HTTP: VictoriaLogs, Axiom, Better Stack, New Relic, OpenObserve, Vector and others.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Ndjson};
///
/// let victorialogs = Ndjson::new("http://localhost:9428/insert/jsonline");
/// assert!(victorialogs.url().ends_with("?_msg_field=message&_time_field=time&_stream_fields=service_name"));
/// ```
#[derive(Clone, Debug)]
pub struct Ndjson {
    preset: Preset,
    url: String,
    framing: Framing,
    line_bytes: usize,
    /// What the resource adds to each line, as of the last batch; before that a guess.
    resource_bytes: Arc<AtomicUsize>,
}

impl Ndjson {
    /// Sends to this URL.
    ///
    /// The store is known by a path that ends in `/insert/jsonline` (VictoriaLogs) or is
    /// `/api/ORGANISATION/STREAM/_json` (OpenObserve), or by a host of Axiom, Better Stack or New Relic; what that
    /// means is said at [`Preset`]. Any other is [`Preset::Plain`].
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        Self::preset(Preset::of(&url), url)
    }

    /// Sends to this URL what that store wants.
    ///
    /// A URL without a path gets the usual one: `/insert/jsonline` for VictoriaLogs, `/log/v1` for New Relic,
    /// `/api/default/default/_json` for OpenObserve. For VictoriaLogs the query gets `_msg_field`, `_time_field` and
    /// `_stream_fields`, unless it has one of them. OpenObserve gets lines at a path that ends in `/_multi`.
    #[must_use]
    pub fn preset(preset: Preset, url: impl Into<String>) -> Self {
        let url = preset.url(url.into());
        let Row { shape, mut framing, .. } = preset.row();
        if framing == Framing::Array && url.split(['?', '#']).next().is_some_and(|path| path.ends_with("/_multi")) {
            framing = Framing::Lines;
        }
        Self { preset, url, framing, line_bytes: shape.most, resource_bytes: Arc::new(AtomicUsize::new(100)) }
    }

    /// The most bytes that a line may have. Default: no limit, but 250,000 for VictoriaLogs, which drops
    /// lines above 262,144 (`-insert.maxLineSizeBytes`) without saying so, and 900,000 for New Relic, which takes
    /// 1,000,000 a request.
    ///
    /// Of a longer line the longest values are cut, the record then has `truncated: true`. Less than 4,096
    /// counts as that.
    #[must_use]
    pub fn line_bytes(mut self, most: usize) -> Self {
        self.line_bytes = most.max(SHORTEST_LIMIT);
        self
    }
}

impl Backend for Ndjson {
    fn facts(&self) -> Facts {
        self.preset.row().facts
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        self.preset.row().shape.frame() + line::cost(record) + self.resource_bytes.load(Ordering::Relaxed)
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let mut shape = self.preset.row().shape;
        shape.most = self.line_bytes;
        let resource = batch.resource();
        let mut body = Vec::with_capacity(batch.cost());
        let tail = if self.framing == Framing::Common {
            common(&mut body, resource, &shape);
            Tail::new(|_, _| {}, std::iter::empty(), shape.reserved, b"}")
        } else {
            tail(resource, &shape)
        };
        self.resource_bytes.store(tail.len(), Ordering::Relaxed);
        let mut lines = Lines::new(shape, tail);
        if self.framing == Framing::Lines {
            for record in batch.records() {
                lines.write(&mut body, &record);
                body.push(b'\n');
            }
            // VictoriaLogs reads a body of type `application/x-www-form-urlencoded` as a form and drops it.
            return Payload::post("application/x-ndjson", body);
        }
        lines.array(&mut body, batch.records());
        if self.framing == Framing::Common {
            body.extend_from_slice(b"}]");
        }
        Payload::post("application/json", body)
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        judge::judge(self.preset, reply)
    }
}

/// What stands behind each record: who is speaking.
fn tail<'r>(resource: &'r Resource, shape: &line::Shape<'_>) -> Tail<'r> {
    let service = |out: &mut Vec<u8>, most| line::pair(out, "service_name", resource.service_name(), most);
    Tail::new(service, resource.attributes(), shape.reserved, b"}")
}

/// One record as it is sent to a store of no special kind, without a line break.
pub(crate) fn object(out: &mut Vec<u8>, record: &RecordRef<'_>, resource: &Resource) {
    let shape = Preset::Plain.row().shape;
    Lines::new(shape, tail(resource, &shape)).write(out, record);
}

/// What stands in front of the records, as far as it stands once for all of them.
fn common(out: &mut Vec<u8>, resource: &Resource, shape: &line::Shape<'_>) {
    out.extend_from_slice(b"[{\"common\":{\"attributes\":");
    json::object(out, |attributes| {
        attributes.str("service_name", resource.service_name());
        for (name, value) in resource.attributes() {
            if !name.is_empty() && shape.reserved.position(name).is_none() {
                attributes.str(name, value);
            }
        }
    });
    out.extend_from_slice(b"},\"logs\":");
}

#[cfg(test)]
mod preset_tests;
#[cfg(test)]
mod tests;

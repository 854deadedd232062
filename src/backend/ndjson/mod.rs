//! Newline-delimited JSON over HTTP: `POST {url}`, one object and one `\n` per record.
//!
//! ```text
//! {"time":"2026-11-24T08:00:00.123456789Z","level":"info","message":"order placed","target":"shop",
//!  "file":"src/main.rs","line":12,"thread":"main","span":"request:checkout","id":"…","user":42,
//!  "service_name":"shop","pod":"shop-7d9"}
//! ```
//!
//! First what every record has (absent parts are left out), then its fields and those of its spans, flat,
//! then the resource: `service_name` and its attributes. A field of the name of an attribute is shown in
//! its place; a field of any other name that stands here already becomes `field_NAME`, see `flat.rs`.
//!
//! Any 2xx stores the whole body; there is no partial success, so the status alone decides, but for two
//! answers of VictoriaLogs that are about the request and not about a record.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::flat::{self, Form, Ids, Names};
use super::{
    Backend, Batch, Delivery, Facts, Payload, RecordRef, Reply, Resource, Scheme, Value, Verdict, Written, json,
};
use crate::frame::{CharBoundary as _, Raw};

/// The most that a line may have for VictoriaLogs, which drops a longer one (`-insert.maxLineSizeBytes`,
/// 262,144 by default), and perhaps lines after it, with status 200. Some room is left.
const VICTORIALOGS_LINE: usize = 250_000;

/// What a line needs in the worst case when all but the head of the record is left out.
const SHORTEST_LIMIT: usize = 4096;

const RESERVED: Names<'static> = Names::new(&flat::RESERVED);

/// Newline-delimited JSON over HTTP: VictoriaLogs, Vector, Axiom, Better Stack and others.
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
    url: String,
    line_bytes: usize,
    /// What the resource adds to each line, as of the last batch; before that a guess.
    resource_bytes: Arc<AtomicUsize>,
}

impl Ndjson {
    /// Sends to this URL.
    ///
    /// Where its path ends in `/insert/jsonline` it is VictoriaLogs: the query gets `_msg_field`,
    /// `_time_field` and `_stream_fields`, unless it has one of them, and [`line_bytes`](Self::line_bytes)
    /// is 250,000.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let mut url = url.into();
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        let is_victorialogs = path.ends_with("/insert/jsonline");
        let names_fields = ["_msg_field=", "_time_field=", "_stream_fields="]
            .iter()
            .any(|name| query.split('&').any(|part| part.starts_with(name)));
        if is_victorialogs && !names_fields {
            let joint = if !url.contains('?') {
                "?"
            } else if query.is_empty() {
                ""
            } else {
                "&"
            };
            url = format!("{url}{joint}_msg_field=message&_time_field=time&_stream_fields=service_name");
        }
        let line_bytes = if is_victorialogs { VICTORIALOGS_LINE } else { usize::MAX };
        Self { url, line_bytes, resource_bytes: Arc::new(AtomicUsize::new(100)) }
    }

    /// The most bytes that a line may have. Default: no limit, but 250,000 for VictoriaLogs, which drops
    /// lines above 262,144 (`-insert.maxLineSizeBytes`) without saying so.
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
        Facts::new("ndjson").delivery(Delivery::AtLeastOnce).gzip()
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        // All that does not depend on the record: braces, names, the time and the id.
        const FRAME: usize =
            r#"{"time":"","level":"","message":"","target":"","thread":"","id":""}_"#.len() + 30 + 5 + 49;
        // Names of files and targets have few escapes.
        let site =
            record.target().len() + record.file().map_or(0, |file| file.len() + r#","file":"","line":1234"#.len());
        let spans: usize = record.spans().map(|name| json::escaped_len(name.as_bytes()) + 1).sum();
        let mut fields = 0;
        record.weigh_fields(|key, value| {
            let value = match value {
                Raw::Text(text) => json::escaped_len(text) + 2,
                Raw::Value(value) => json::value_len(value),
            };
            fields += json::escaped_len(key) + r#","":"#.len() + value;
        });
        FRAME
            + json::escaped_len(record.message_bytes())
            + record.thread_len()
            + site
            + spans
            + if spans > 0 { r#","span":"""#.len() } else { 0 }
            + fields
            + self.resource_bytes.load(Ordering::Relaxed)
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let mut body = Vec::with_capacity(batch.cost());
        let resource = Tail::new(batch.resource());
        self.resource_bytes.store(resource.text.len(), Ordering::Relaxed);
        let (mut ids, mut sites) = (Ids::default(), Sites::default());
        for record in batch.records() {
            let start = body.len();
            line(&mut body, &record, &mut ids, &mut sites, &resource, usize::MAX);
            if body.len() - start > self.line_bytes {
                sites = Sites::default();
                shorter_line(&mut body, start, &record, &mut ids, &resource, self.line_bytes);
            }
            body.push(b'\n');
        }
        // VictoriaLogs reads a body of type `application/x-www-form-urlencoded` as a form and drops it.
        Payload::post("application/x-ndjson", body)
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        // VictoriaLogs' words for a wrong path, and for a tenant (`AccountID`, `ProjectID`) that is no number.
        // By the status every record would be looked at for the fault, and rejected.
        let is_about_the_request =
            |text: &str| text.contains("unsupported path requested") || text.contains("as uint32");
        match reply.status {
            400 if is_about_the_request(&reply.text()) => Verdict::Hold(format!("status 400: {}", reply.text().trim())),
            _ => Verdict::of_status(reply),
        }
    }
}

/// Writes a record with each of its values cut to `cap` bytes.
#[inline]
fn line(out: &mut Vec<u8>, record: &RecordRef<'_>, ids: &mut Ids, sites: &mut Sites, resource: &Tail<'_>, cap: usize) {
    let message_cut = head(out, record, cap);
    sites.write(out, record);
    out.extend_from_slice(b",\"thread\":");
    json::string(out, record.thread());
    if record.spans().next().is_some() {
        out.extend_from_slice(b",\"span\":\"");
        flat::span_path(out, record.spans(), json::escaped);
        out.push(b'"');
    }
    id(out, record, ids);
    let mut form = Line { out, resource, replaced: 0 };
    flat::fill(&mut form, record.fields(), cap, message_cut);
    let replaced = form.replaced;
    resource.write(out, replaced);
    out.push(b'}');
}

#[inline]
fn id(out: &mut Vec<u8>, record: &RecordRef<'_>, ids: &mut Ids) {
    out.extend_from_slice(b",\"id\":\"");
    out.extend_from_slice(ids.text(record.id()).as_bytes());
    out.push(b'"');
}

/// Opens the object and writes what is never left out; returns the length of a message that was cut.
#[inline]
fn head(out: &mut Vec<u8>, record: &RecordRef<'_>, cap: usize) -> Option<u64> {
    out.extend_from_slice(b"{\"time\":\"");
    json::rfc3339(out, record.unix_nanos());
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(record.severity().as_str().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    let (message, message_cut) = flat::message(record, cap);
    json::string(out, &message);
    message_cut
}

/// Writes the line again, with values cut as much as it takes.
#[cold]
fn shorter_line(
    out: &mut Vec<u8>,
    start: usize,
    record: &RecordRef<'_>,
    ids: &mut Ids,
    resource: &Tail<'_>,
    most: usize,
) {
    let mut cap = most;
    while cap >= 32 {
        out.truncate(start);
        line(out, record, ids, &mut Sites::default(), resource, cap);
        if out.len() - start <= most {
            return;
        }
        cap /= 2;
    }
    // It is the names that are too long: a hundred of them, all of control characters.
    out.truncate(start);
    let message_cut = head(out, record, 256);
    id(out, record, ids);
    out.extend_from_slice(b",\"truncated\":true");
    let whole = message_cut.unwrap_or(record.message().len() as u64);
    out.extend_from_slice(format!(",\"original_len\":{whole}").as_bytes());
    let lost = record.fields().count() + usize::from(record.fields_left_out());
    out.extend_from_slice(format!(",\"fields_left_out\":{lost},\"service_name\":").as_bytes());
    json::string(out, &resource.service_name[..resource.service_name.floor_char_boundary_at(256)]);
    out.push(b'}');
}

/// Where in the body the callsites of the last lines stand, so that they need not be escaped again.
#[derive(Default)]
struct Sites([(usize, Range<usize>); 16]);

impl Sites {
    /// Writes target, file and line.
    #[inline]
    fn write(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        let site = record.callsite().map_or(0, |site| std::ptr::from_ref(site) as usize);
        // Callsites are statics of a hundred bytes or more.
        let (known, place) = &mut self.0[site / 64 % 16];
        if site != 0 && *known == site {
            return out.extend_from_within(place.clone());
        }
        let start = out.len();
        out.extend_from_slice(b",\"target\":");
        json::string(out, record.target());
        if let Some(file) = record.file() {
            out.extend_from_slice(b",\"file\":");
            json::string(out, file);
        }
        if let Some(line) = record.line() {
            out.extend_from_slice(b",\"line\":");
            out.extend_from_slice(itoa::Buffer::new().format(line).as_bytes());
        }
        (*known, *place) = (site, start..out.len());
    }
}

/// A line whose fields are being written.
struct Line<'l, 'r> {
    out: &'l mut Vec<u8>,
    resource: &'l Tail<'r>,
    /// A bit for each attribute of the resource whose name a field has.
    replaced: u128,
}

impl Form for Line<'_, '_> {
    #[inline]
    fn has(&self, name: &str, _is_plain: bool) -> bool {
        RESERVED.position(name).is_some()
    }

    #[inline]
    fn put(&mut self, name: &str, _is_plain: bool, value: Value<'_>) {
        if let Some(place) = self.resource.names.position(name) {
            self.replaced |= 1 << place;
        }
        self.out.extend_from_slice(b",\"");
        json::escaped(self.out, name);
        self.out.extend_from_slice(b"\":");
        json::value(self.out, value);
    }
}

/// The resource as it stands at the end of each line.
struct Tail<'r> {
    service_name: &'r str,
    text: Vec<u8>,
    /// Names of the attributes.
    names: Names<'r>,
    /// Where each attribute stands in `text`.
    places: Vec<Range<usize>>,
}

impl<'r> Tail<'r> {
    /// Attributes whose names stand for something else already are not shown, nor any beyond the 128th.
    fn new(resource: &'r Resource) -> Self {
        let mut text = b",\"service_name\":".to_vec();
        json::string(&mut text, resource.service_name());
        let (mut names, mut places) = (Vec::new(), Vec::new());
        let free = |name: &str| !name.is_empty() && RESERVED.position(name).is_none();
        for (name, value) in resource.attributes().filter(|(name, _)| free(name)).take(u128::BITS as usize) {
            let start = text.len();
            text.push(b',');
            json::string(&mut text, name);
            text.push(b':');
            json::string(&mut text, value);
            names.push(name);
            places.push(start..text.len());
        }
        Self { service_name: resource.service_name(), text, names: Names::of(names), places }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>, replaced: u128) {
        if replaced == 0 {
            out.extend_from_slice(&self.text);
            return;
        }
        out.extend_from_slice(&self.text[..self.places.first().map_or(self.text.len(), |first| first.start)]);
        for (at, place) in self.places.iter().enumerate() {
            if replaced >> at & 1 == 0 {
                out.extend_from_slice(&self.text[place.clone()]);
            }
        }
    }
}

pub(super) const SCHEME: Scheme = Scheme {
    names: &["ndjson"],
    written: &[Written::Http],
    default_url: None,
    foreign: &[],
    // Every field is a field here; what `LOGCHUTE_LABELS` sets is in the resource.
    build: |setup| Ok(Box::new(Ndjson::new(setup.url))),
};

#[cfg(test)]
mod tests;

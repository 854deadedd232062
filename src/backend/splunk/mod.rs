//! Splunk's HTTP Event Collector: `POST {base}/services/collector/event`, envelopes one after the other.
//!
//! ```text
//! {"time":1795507200.123456789,"host":"node-3","index":"main","event":{"time":"2026-11-24T08:00:00.123456789Z",
//!  "level":"info","message":"order placed","target":"shop","id":"…","user":42},
//!  "fields":{"service_name":"shop","pod":"shop-7d9"}}
//! ```
//!
//! The event is the record, as NDJSON has it; `fields`, which Splunk indexes, say who is speaking. An envelope has no other
//! key than these: one that Splunk does not know makes it drop that event and all behind it with status 200. `judge.rs`
//! knows the answers and the indexer's acknowledgement.

mod judge;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::flat::{self, Names};
use super::line::{self, Lines, Number, Shape, Tail, Values};
use super::ndjson::host_and_path;
use super::{
    Backend, Batch, Facts, Foreign, Payload, RecordRef, Reply, Resource, Says, Scheme, TokenAs, Verdict, Written, json,
};
use crate::frame::KEY_MAX;
use crate::numbers::Numbers;
use crate::resource::percent_decoded;

const PATH: &str = "/services/collector/event";

/// Splunk Cloud is said to take 1 MB, and older Splunk Enterprise 1,000,000 bytes (`[http_input] max_content_length`).
const BODY: usize = 1_000_000;
const ENVELOPE: usize = 950_000;

/// VictoriaLogs' path.
const VICTORIALOGS_PATH: &str = "/insert/splunk/services/collector/event";

/// Fields that Splunk gives every event.
static RESERVED: Names<'static> = Names::new(&flat::joined::<14, 9, 23>(
    flat::RESERVED,
    ["host", "source", "sourcetype", "index", "linecount", "punct", "splunk_server", "_raw", "_indextime"],
));

/// Splunk's HTTP Event Collector.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Splunk};
///
/// let splunk = Splunk::new("https://splunk:8088").index("main").sourcetype("_json");
/// assert_eq!(splunk.url(), "https://splunk:8088/services/collector/event");
/// ```
#[derive(Clone, Debug)]
pub struct Splunk {
    url: String,
    host: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
    index: Option<String>,
    /// Where the indexer is asked, if it is.
    ack: Option<String>,
    /// What the tail adds to each envelope, as of the last batch; before that a guess.
    tail_bytes: Arc<AtomicUsize>,
}

impl Splunk {
    /// Sends to this URL: the collector's base URL, or all of it.
    ///
    /// `host`, `source`, `sourcetype`, `index` and `ack=1` in its query are taken out of it and mean what the methods of
    /// these names do. At `/insert/splunk` it is VictoriaLogs: the query gets `_msg_field`, unless it has one.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let (address, query) = url.split_once('?').unwrap_or((&url, ""));
        let tail_bytes = Arc::new(AtomicUsize::new(150));
        let mut splunk =
            Self { url: String::new(), host: None, source: None, sourcetype: None, index: None, ack: None, tail_bytes };
        let (mut kept, mut wants_ack) = (Vec::new(), false);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let decoded = || percent_decoded(value).filter(|value| !value.is_empty());
            match name {
                "host" => splunk.host = decoded(),
                "source" => splunk.source = decoded(),
                "sourcetype" => splunk.sourcetype = decoded(),
                "index" => splunk.index = decoded(),
                "ack" => wants_ack = !matches!(value, "0" | "false"),
                _ => kept.push(part),
            }
        }
        let address = whole(address);
        // VictoriaLogs takes the first of some fields as the message, and `line` and `log` stand before `message` there.
        let names_message = kept.iter().any(|part| part.starts_with("_msg_field="));
        if address.ends_with(VICTORIALOGS_PATH) && !names_message {
            kept.push("_msg_field=event.message");
        }
        let joint = if kept.is_empty() { "" } else { "?" };
        splunk.url = format!("{address}{joint}{}", kept.join("&"));
        if wants_ack { splunk.ack() } else { splunk }
    }

    /// The host that events are shown as coming from. Default: `host` of the resource, else its `node`, else its `pod`.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The source of the events. Default: what the token says.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The source type, which decides how Splunk reads the events. Default: what the token says.
    #[must_use]
    pub fn sourcetype(mut self, sourcetype: impl Into<String>) -> Self {
        self.sourcetype = Some(sourcetype.into());
        self
    }

    /// The index, one that the token may write to. Default: what the token says.
    #[must_use]
    pub fn index(mut self, index: impl Into<String>) -> Self {
        self.index = Some(index.into());
        self
    }

    /// Records count as delivered only once the indexer has acknowledged them. Default: once the collector took them.
    ///
    /// For tokens with `useACK`. The channel is that of the URL's query (`channel=GUID`), else one that is derived from the
    /// process. The collector is asked for up to five minutes, then the records are sent again. Behind a load balancer
    /// that does not keep a client at one collector each batch is stored twice, as the others know nothing of it.
    #[must_use]
    pub fn ack(mut self) -> Self {
        let (address, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let channel = query.split('&').find_map(|part| part.strip_prefix("channel=")).filter(|text| !text.is_empty());
        let url = if channel.is_some() {
            self.url.clone()
        } else {
            let joint = if query.is_empty() { "" } else { "&" };
            format!("{address}?{query}{joint}channel={}", channel_of_process())
        };
        let (_, path) = host_and_path(&url);
        let base = path.split("/services/collector").next().unwrap_or_default();
        let query = url.split_once('?').map_or("", |(_, query)| query);
        self.ack = Some(format!("{base}/services/collector/ack?{query}"));
        self.url = url;
        self
    }

    fn shape<'o>(&self, open: &'o [u8]) -> Shape<'o> {
        if !self.is_victorialogs() {
            return shape(open);
        }
        // It makes fields of all members, those of the event included: `event.NAME`.
        Shape { values: Values::Flattened, longest_name: KEY_MAX - "event.".len(), ..shape(open) }
    }

    fn is_victorialogs(&self) -> bool {
        self.url.split('?').next().is_some_and(|address| address.ends_with(VICTORIALOGS_PATH))
    }

    /// What each envelope begins with: all keys but `time` and `event` stand before them.
    fn opening(&self, resource: &Resource) -> Vec<u8> {
        let host = self.host.as_deref().or_else(|| resource.host());
        let mut open = b"{".to_vec();
        let keys = [
            ("host", host),
            ("source", self.source.as_deref()),
            ("sourcetype", self.sourcetype.as_deref()),
            ("index", self.index.as_deref()),
        ];
        for (key, value) in keys.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            json::string(&mut open, key);
            open.push(b':');
            json::string(&mut open, value);
            open.push(b',');
        }
        open.extend_from_slice(b"\"time\":");
        open
    }
}

/// The address with the collector's path, whatever part of it there is.
fn whole(address: &str) -> String {
    let address = address.trim_end_matches('/');
    let (_, path) = host_and_path(address);
    if path.contains("/services/collector/") {
        address.to_owned()
    } else if path.ends_with("/services/collector") {
        format!("{address}/event")
    } else {
        format!("{address}{PATH}")
    }
}

/// A GUID that stays the same as long as the process runs.
fn channel_of_process() -> &'static str {
    static CHANNEL: OnceLock<String> = OnceLock::new();
    CHANNEL.get_or_init(|| {
        // Version 4, variant 1, of RFC 9562: collectors that check go by its form.
        let number = Numbers::random_incarnation() & !(0xF << 76) & !(3 << 62) | 4 << 76 | 2 << 62;
        let digits = format!("{number:032x}");
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        parts.join("-")
    })
}

const fn shape(open: &[u8]) -> Shape<'_> {
    Shape {
        open,
        number: Some((Number::Seconds, b",\"event\":{\"time\":\"")),
        reserved: &RESERVED,
        most: ENVELOPE,
        ..Shape::PLAIN
    }
}

impl Backend for Splunk {
    fn facts(&self) -> Facts {
        Facts::new("splunk").batch_bytes(BODY).gzip().token(TokenAs::Authorization("Splunk"))
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        const FRAME: usize = shape(b"{\"host\":\"node-3.example.com\",\"time\":").frame();
        FRAME + line::cost(record) + self.tail_bytes.load(Ordering::Relaxed)
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let resource = batch.resource();
        let open = self.opening(resource);
        let shape = self.shape(&open);
        let service = |out: &mut Vec<u8>, most| {
            out.extend_from_slice(b"},\"fields\":{");
            let start = out.len();
            line::pair(out, "service_name", resource.service_name(), most);
            // No comma before the first one.
            out.remove(start);
        };
        let tail = Tail::new(service, resource.attributes(), shape.reserved, b"}}");
        self.tail_bytes.store(tail.len(), Ordering::Relaxed);
        let mut lines = Lines::new(shape, tail);
        let mut body = Vec::with_capacity(batch.cost());
        for record in batch.records() {
            lines.write(&mut body, &record);
            body.push(b'\n');
        }
        Payload::post("application/json", body)
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        judge::judge(self.ack.as_deref(), reply)
    }
}

pub(super) const SCHEME: Scheme = Scheme {
    names: super::names::splunk(),
    written: &[Written::Http],
    default_url: None,
    foreign: &[Foreign::url("SPLUNK_HEC_URL"), Foreign::new("SPLUNK_HEC_TOKEN", Says::Token)],
    // Every field is one of the event; what `LOGCHUTE_LABELS` sets is in the resource, and so indexed.
    build: |setup| Ok(Box::new(Splunk::new(setup.url))),
};

#[cfg(test)]
mod tests;

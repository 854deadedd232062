//! Datadog's logs intake, version 2: `POST https://http-intake.logs.SITE/api/v2/logs`, an array of objects.
//!
//! ```text
//! [{"timestamp":1795507200123,"time":"2026-11-24T08:00:00.123456789Z","status":"info","message":"order placed",
//!   "target":"shop","id":"…","user":42,"ddsource":"rust","ddtags":"env:prod,pod_name:shop-7d9","hostname":"node-3",
//!   "service":"shop"}]
//! ```
//!
//! The intake knows milliseconds; `time` has the nanoseconds. `status` is the level in Datadog's words, with `level` beside it
//! where that says more. 202 means that the array was taken, not that each record is kept.
//!
//! VictoriaLogs takes the same at `/insert/datadog/api/v2/logs`, but refuses an array in which the value of a key of the
//! user's is anything but a text: there all values are texts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::flat::{self, Names};
use super::line::{self, Lines, Number, Shape, Tail, Values};
use super::ndjson::{host_and_path, https, is_about_the_request, said};
use super::{
    Backend, Batch, Facts, Foreign, Payload, RecordRef, Reply, Resource, Says, Scheme, TokenAs, Verdict, Written,
};

const PATH: &str = "/api/v2/logs";

/// The intake takes 5 MB uncompressed, with little slack, and 1,000 records.
const BODY: usize = 4_250_000;
const RECORDS: usize = 1_000;

/// It cuts records above 1 MB without a mark.
const RECORD: usize = 990_000;

/// It drops older ones without a word.
const OLDEST: Duration = Duration::from_secs(18 * 3600);

/// Datadog's words for the levels, by what its status remapper makes of them.
const STATUS: [&str; 6] =
    ["debug\",\"level\":\"trace", "debug", "info", "warn", "error", "critical\",\"level\":\"fatal"];

/// Attributes that mean something to Datadog, and what we write ourselves.
static RESERVED: Names<'static> = Names::new(&flat::joined::<14, 8, 22>(
    flat::RESERVED,
    ["timestamp", "status", "ddsource", "ddtags", "host", "hostname", "service", "source"],
));

/// Attributes of the resource that Datadog's own agent makes tags of, and the tags.
const TAGS: [(&str, &str); 3] =
    [("namespace", "kube_namespace"), ("pod", "pod_name"), ("container", "kube_container_name")];

/// The longest tag that Datadog keeps, and how many.
const TAG_CHARS: usize = 200;
const TAGS_MAX: usize = 100;

const SHAPE: Shape<'static> = Shape {
    open: b"{\"timestamp\":",
    number: Some((Number::Millis, b",\"time\":\"")),
    level: b"\",\"status\":\"",
    levels: &STATUS,
    reserved: &RESERVED,
    // Traces are found by these names.
    renamed: &[("trace_id", "dd.trace_id"), ("span_id", "dd.span_id")],
    most: RECORD,
    ..Shape::PLAIN
};

/// Datadog's logs intake.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Datadog};
///
/// let datadog = Datadog::site("datadoghq.eu").tag("env", "prod").tag("version", "1.2");
/// assert_eq!(datadog.url(), "https://http-intake.logs.datadoghq.eu/api/v2/logs");
/// ```
#[derive(Clone, Debug)]
pub struct Datadog {
    url: String,
    values: Values,
    source: String,
    service: Option<String>,
    hostname: Option<String>,
    tags: Vec<String>,
    /// What the tail adds to each record, as of the last batch; before that a guess.
    tail_bytes: Arc<AtomicUsize>,
}

impl Datadog {
    /// Sends to this URL: the base URL of an intake, or all of it.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let (address, query) = url.split_once('?').unwrap_or((&url, ""));
        let address = address.trim_end_matches('/');
        let is_base = matches!(host_and_path(address).1, "" | "/insert/datadog");
        let (path, joint) = (if is_base { PATH } else { "" }, if query.is_empty() { "" } else { "?" });
        // VictoriaLogs answers 400 to anything else.
        let values = if address.contains("/insert/datadog") { Values::Texts } else { Values::Typed };
        Self {
            url: format!("{address}{path}{joint}{query}"),
            values,
            source: "rust".to_owned(),
            service: None,
            hostname: None,
            tags: Vec::new(),
            tail_bytes: Arc::new(AtomicUsize::new(200)),
        }
    }

    /// Sends to the intake of this site: `datadoghq.com`, `datadoghq.eu`, `us5.datadoghq.com` and so on.
    #[must_use]
    pub fn site(site: &str) -> Self {
        Self::new(intake(site))
    }

    /// What kind of program the records are from; Datadog chooses a pipeline by it. Default: `rust`.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// The service. Default: that of the resource.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// The host. Default: `host` of the resource, else its `node`, else its `pod`.
    #[must_use]
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// Adds a tag to all records, such as `env` and `version`. Default: where they run in Kubernetes, as
    /// `kube_namespace`, `pod_name` and `kube_container_name`.
    ///
    /// A tag has at most 200 characters and records at most 100 of them, or Datadog drops what is beyond; commas become `_`.
    #[must_use]
    pub fn tag(mut self, name: &str, value: &str) -> Self {
        self.tags.push(tag(name, value));
        self
    }

    fn tail<'r>(&self, resource: &'r Resource) -> Tail<'r> {
        let tags = self.tags.iter().cloned();
        let found = TAGS.iter().filter_map(|(key, name)| Some(tag(name, resource.get(key)?)));
        let tags: Vec<String> = tags.chain(found).take(TAGS_MAX).collect();
        let (tags, hostname) = (tags.join(","), self.hostname.as_deref().or_else(|| resource.host()));
        let service = self.service.as_deref().unwrap_or_else(|| resource.service_name());
        let write = |out: &mut Vec<u8>, most: usize| {
            line::pair(out, "ddsource", &self.source, most);
            if !tags.is_empty() {
                line::pair(out, "ddtags", &tags, most);
            }
            if let Some(hostname) = hostname {
                line::pair(out, "hostname", hostname, most);
            }
            line::pair(out, "service", service, most);
        };
        // The host and the tags have been told.
        let is_left = |key: &str| key != "host" && !TAGS.iter().any(|(told, _)| *told == key);
        Tail::new(write, resource.attributes().filter(move |(key, _)| is_left(key)), &RESERVED, b"}")
    }
}

fn tag(name: &str, value: &str) -> String {
    let text = format!("{name}:{value}").replace([',', ' '], "_");
    text.chars().take(TAG_CHARS).collect()
}

fn intake(site: &str) -> String {
    format!("https://http-intake.logs.{site}")
}

impl Backend for Datadog {
    fn facts(&self) -> Facts {
        Facts::new("datadog")
            .batch_bytes(BODY)
            .batch_records(RECORDS)
            .oldest(OLDEST)
            .gzip()
            .token(TokenAs::Header("dd-api-key"))
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        const FRAME: usize = SHAPE.frame();
        FRAME + line::cost(record) + self.tail_bytes.load(Ordering::Relaxed)
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let tail = self.tail(batch.resource());
        self.tail_bytes.store(tail.len(), Ordering::Relaxed);
        let mut lines = Lines::new(Shape { values: self.values, ..SHAPE }, tail);
        let mut body = Vec::with_capacity(batch.cost());
        lines.array(&mut body, batch.records());
        Payload::post("application/json", body)
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        match reply.status {
            400 if is_about_the_request(&reply.text()) => Verdict::Hold(said(reply)),
            // The key is missing (401), or not valid, or not at this site (403). Its file may hold another one already.
            401 | 403 => Verdict::Refresh,
            // 202 Ack; 400 Reject; 413 Split; 408, 429 and 5xx Retry.
            _ => Verdict::of_status(reply),
        }
    }
}

pub(super) const SCHEME: Scheme = Scheme {
    names: super::names::datadog(),
    written: &[Written::Http],
    default_url: Some("https://http-intake.logs.datadoghq.com"),
    foreign: &[
        Foreign::new("DD_LOGS_CONFIG_LOGS_DD_URL", Says::Url(https)),
        Foreign::new(
            "DD_SITE",
            Says::Url(|site| {
                let is_plain = |char: char| char.is_ascii_alphanumeric() || "-.".contains(char);
                if site.chars().all(is_plain) { Ok(intake(site)) } else { Err("a site, such as datadoghq.eu") }
            }),
        ),
        Foreign::new("DD_API_KEY", Says::Token),
    ],
    // Every field is an attribute; what `LOGCHUTE_LABELS` sets is in the resource.
    build: |setup| {
        let get = |name: &str| (setup.lookup)(name);
        let mut datadog = Datadog::new(setup.url);
        // One of ours goes before it, and is the resource's already.
        datadog.service = get("DD_SERVICE").filter(|_| get("LOGCHUTE_SERVICE").is_none());
        datadog.hostname = get("DD_HOSTNAME");
        for (name, variable) in [("env", "DD_ENV"), ("version", "DD_VERSION")] {
            if let Some(value) = get(variable) {
                datadog = datadog.tag(name, &value);
            }
        }
        // `key:value`, separated by commas or by blanks.
        let tags = get("DD_TAGS").unwrap_or_default();
        for part in tags.split([',', ' ']).filter(|part| !part.is_empty()) {
            datadog.tags.push(part.chars().take(TAG_CHARS).collect());
        }
        Ok(Box::new(datadog))
    },
};

#[cfg(test)]
mod tests;

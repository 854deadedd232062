//! Grafana Loki's push API: `POST {base}/loki/api/v1/push`, as protobuf with snappy or as JSON.
//!
//! Records of the same labels form a stream. Labels are few: `service_name`, `namespace`, `container`,
//! `level`, and fields that were promoted by name; `replay` and `replay_hour` where records come late. The message is the line; all else is structured metadata.
//! A resend is recognised by labels, time, line and metadata, so it must be the same to the byte.
//!
//! `labels.rs` says which stream a record belongs to, `entry.rs` what stands in it and within which limits,
//! `judge.rs` what Loki's answers mean.

mod entry;
mod judge;
mod labels;
mod names;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use self::entry::{Attributes, Json, Protobuf, Wire};
#[cfg(feature = "otlp")]
pub(super) use self::judge::judge;
use self::labels::{Labels, Promoted, Stream};
use super::{
    Backend, Batch, Delivery, Facts, Foreign, Payload, RecordRef, Reply, Says, Scheme, Verdict, Written, json, proto,
};
use crate::frame::Raw;

/// The most that a push may count, by line, metadata and labels. Loki forwards at most 4 MiB to one ingester
/// (`grpc_server_max_recv_msg_size`) and takes 4 MiB a second from a tenant (`ingestion_rate_mb`).
const PUSH_BYTES: usize = 1024 * 1024;
/// A record may be that much older than the newest of its stream (half of `max_chunk_age`); one of 61 minutes is
/// refused as `entry too far behind`.
const BEHIND: Duration = Duration::from_secs(60 * 60);
/// Clocks of other processes may be ahead by as much as [`NEWEST`]; what is older than this goes to streams of its own.
/// Loki tells a refusal only of the last stream of a push, so it is better not to cause one.
const REPLAYS_AFTER: Duration = Duration::from_secs(50 * 60);
/// Keeps the answer to a push within a second or so.
const PUSH_RECORDS: usize = 10_000;

/// What Loki takes by default: `reject_old_samples_max_age` and `creation_grace_period`. VictoriaLogs keeps as much, without
/// a word when it is more (`-retentionPeriod`).
const OLDEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const NEWEST: Duration = Duration::from_secs(10 * 60);
const VICTORIALOGS_NEWEST: Duration = Duration::from_secs(2 * 24 * 60 * 60);

const PATH: &str = "/loki/api/v1/push";
/// The same at VictoriaLogs, which by default takes a line that is a JSON object apart.
const VICTORIALOGS_PATH: &str = "/insert/loki/api/v1/push";
const KEEP_MESSAGES: &str = "disable_message_parsing=1";

/// How a request is encoded, where a store takes it either way: [`Loki`] and `Otlp`.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Delivery, Encoding, Loki};
///
/// let loki = Loki::new("http://loki:3100").encoding(Encoding::Json);
/// assert_eq!(loki.facts().delivers(), Delivery::EffectivelyOnce);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Protobuf: smaller, and cheaper for both sides. For Loki it is compressed with snappy.
    Protobuf,
    /// JSON, which a person or a proxy can read; may be compressed with gzip.
    Json,
}

/// Grafana Loki, or VictoriaLogs in Loki's place.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Loki};
///
/// let loki = Loki::new("http://loki:3100").promote("tenant");
/// assert_eq!(loki.url(), "http://loki:3100/loki/api/v1/push");
/// ```
#[derive(Clone, Debug)]
pub struct Loki {
    url: String,
    encoding: Encoding,
    labels: Labels,
    /// What the resource adds to each record, as of the last batch; before that a guess.
    resource_bytes: Arc<AtomicUsize>,
}

impl Loki {
    /// Sends to this server: its base URL, or the whole URL of its push API; a query is kept.
    ///
    /// For VictoriaLogs (a path that ends in `/insert/loki/api/v1/push`) `disable_message_parsing=1` is added
    /// to the query unless it says something about that; otherwise a message that is a JSON object would be
    /// taken apart.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let (path, query) = url.split_once('?').map_or((&*url, None), |(path, query)| (path, Some(query)));
        let mut full = path.trim_end_matches('/').to_owned();
        if !full.ends_with(PATH) {
            full.push_str(PATH);
        }
        let mut query = query.unwrap_or_default().to_owned();
        if full.ends_with(VICTORIALOGS_PATH) && !query.contains("disable_message_parsing") {
            query.push_str(if query.is_empty() || query.ends_with('&') { "" } else { "&" });
            query.push_str(KEEP_MESSAGES);
        }
        if !query.is_empty() {
            full.push('?');
            full.push_str(&query);
        }
        Self {
            url: full,
            encoding: Encoding::Protobuf,
            labels: Labels::default(),
            resource_bytes: Arc::new(AtomicUsize::new(100)),
        }
    }

    /// How a push is encoded. Default: [`Encoding::Protobuf`].
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Makes a label of the field of this name, or of the resource's attribute where a record has no such
    /// field. Its values must be few: each combination is a stream, and Loki keeps a chunk in memory for each.
    ///
    /// At most 10 names (Loki allows 15 labels, `max_label_names_per_series`); further ones, and names that
    /// are labels already, stay metadata. Characters that a label's name may not have become `_`. A value
    /// above 2,048 bytes (`max_label_value_length`) is cut, and then stands whole in the metadata as well. Beyond 1,000
    /// streams, records of new ones get the label `overflow="true"` instead and keep the fields as metadata.
    #[must_use]
    pub fn promote(mut self, field: impl Into<String>) -> Self {
        self.labels.promote(field.into());
        self
    }

    fn push<W: Wire>(&self, batch: &Batch<'_>) -> Vec<u8> {
        let streams = self.labels.streams(batch);
        let attributes = Attributes::new(batch.resource(), &self.labels);
        self.resource_bytes.store(attributes.bytes(), Ordering::Relaxed);
        let mut body = Vec::with_capacity(batch.cost() * 5 / 4);
        let mut scratch = entry::Scratch::default();
        W::push(&mut body, &streams, |out, (record, promoted)| {
            entry::write::<W>(out, record, *promoted, &self.labels, &attributes, &mut scratch);
        });
        body
    }
}

impl Backend for Loki {
    fn facts(&self) -> Facts {
        let path = self.url.split('?').next().unwrap_or_default();
        // VictoriaLogs keeps equal entries side by side.
        let is_victorialogs = path.ends_with(VICTORIALOGS_PATH);
        let delivery = if is_victorialogs { Delivery::AtLeastOnce } else { Delivery::EffectivelyOnce };
        let facts = Facts::new("loki")
            .delivery(delivery)
            .batch_bytes(PUSH_BYTES)
            .batch_records(PUSH_RECORDS)
            .oldest(OLDEST)
            .newest(if is_victorialogs { VICTORIALOGS_NEWEST } else { NEWEST });
        // VictoriaLogs takes records in any order.
        let facts = if is_victorialogs { facts } else { facts.reorder_within(BEHIND).replays_after(REPLAYS_AFTER) };
        match self.encoding {
            Encoding::Protobuf => facts,
            Encoding::Json => facts.gzip(),
        }
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        // As Loki counts: bytes of line and metadata. Names of what every record has, and the id.
        const NAMES: usize = "targetfilelinethreadspanid".len() + 4 + 49;
        let spans: usize = record.spans().map(|name| name.len() + 1).sum();
        let mut fields = 0;
        record.weigh_fields(|key, value| {
            let value = match value {
                Raw::Text(text) => text.len(),
                Raw::Value(value) => json::value_len(value),
            };
            fields += key.len() + value;
        });
        NAMES
            + record.message_bytes().len()
            + record.target().len()
            + record.file().map_or(0, str::len)
            + record.thread_len()
            + spans
            + fields
            + self.resource_bytes.load(Ordering::Relaxed)
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        match self.encoding {
            Encoding::Json => Payload::post("application/json", self.push::<Json>(batch)),
            Encoding::Protobuf => {
                let body = self.push::<Protobuf>(batch);
                // Fails only above 4 GiB. Snappy is a part of the format here, not a content encoding.
                let body = snap::raw::Encoder::new().compress_vec(&body).unwrap_or_default();
                Payload::post("application/x-protobuf", body)
            }
        }
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        judge::judge(reply)
    }
}

impl Wire for Json {
    fn push(
        out: &mut Vec<u8>,
        streams: &[Stream<'_>],
        mut entry: impl FnMut(&mut Vec<u8>, &(RecordRef<'_>, Promoted)),
    ) {
        out.extend_from_slice(b"{\"streams\":[");
        for (at, stream) in streams.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"stream\":" } else { b",{\"stream\":" });
            json::object(out, |labels| stream.labels.iter().for_each(|(name, value)| labels.str(name, value)));
            out.extend_from_slice(b",\"values\":[");
            for (at, record) in stream.records.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"[\"" } else { b",[\"" });
                out.extend_from_slice(itoa::Buffer::new().format(record.0.unix_nanos()).as_bytes());
                out.extend_from_slice(b"\",");
                json::string(out, record.0.message());
                out.extend_from_slice(b",{");
                entry(out, record);
                out.extend_from_slice(b"}]");
            }
            out.extend_from_slice(b"]}");
        }
        out.extend_from_slice(b"]}");
    }

    #[inline]
    fn pair(out: &mut Vec<u8>, name: &str, value: &str, is_first: bool) {
        if !is_first {
            out.push(b',');
        }
        json::string(out, name);
        out.push(b':');
        json::string(out, value);
    }
}

/// ```text
/// PushRequest { repeated Stream streams = 1 }
/// Stream      { string labels = 1; repeated Entry entries = 2 }
/// Entry       { google.protobuf.Timestamp timestamp = 1 { int64 seconds = 1; int32 nanos = 2 }
///               string line = 2; repeated LabelPair metadata = 3 { string name = 1; string value = 2 } }
/// ```
impl Wire for Protobuf {
    fn push(
        out: &mut Vec<u8>,
        streams: &[Stream<'_>],
        mut entry: impl FnMut(&mut Vec<u8>, &(RecordRef<'_>, Promoted)),
    ) {
        for stream in streams {
            proto::nested(out, 1, 3, |out| {
                proto::text(out, 1, labels::quoted(&stream.labels).as_bytes());
                for record in &stream.records {
                    proto::nested(out, 2, 2, |out| {
                        let nanos = record.0.unix_nanos();
                        proto::nested(out, 1, 1, |out| {
                            proto::number(out, 1, nanos.div_euclid(1_000_000_000) as u64);
                            proto::number(out, 2, nanos.rem_euclid(1_000_000_000) as u64);
                        });
                        proto::text(out, 2, record.0.message().as_bytes());
                        entry(out, record);
                    });
                }
            });
        }
    }

    #[inline]
    fn pair(out: &mut Vec<u8>, name: &str, value: &str, _is_first: bool) {
        out.push(3 << 3 | 2);
        proto::varint(out, (proto::text_len(name.len()) + proto::text_len(value.len())) as u64);
        proto::text(out, 1, name.as_bytes());
        proto::text(out, 2, value.as_bytes());
    }
}

pub(super) const SCHEME: Scheme = Scheme {
    names: super::names::loki(),
    written: &[Written::Http],
    default_url: None,
    foreign: &[
        Foreign::url("LOKI_URL"),
        Foreign::url("LOKI_ADDR"),
        Foreign::new("LOKI_USERNAME", Says::User),
        Foreign::new("LOKI_PASSWORD", Says::Password),
        Foreign::new("LOKI_TENANT_ID", Says::Tenant),
        Foreign::new("LOKI_ORG_ID", Says::Tenant),
    ],
    build: |setup| {
        let encoding = if setup.name == "loki-json" { Encoding::Json } else { Encoding::Protobuf };
        let loki = Loki::new(setup.url).encoding(encoding);
        Ok(Box::new(setup.promoted.iter().fold(loki, |loki, field| loki.promote(field))))
    },
};

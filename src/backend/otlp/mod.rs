//! OpenTelemetry's protocol over HTTP (OTLP/HTTP): `POST {base}/v1/logs`, as protobuf or as JSON.
//!
//! One request has one resource, who is speaking. In it records stand in the order in which they were logged; each
//! run of records of one target is a scope of that name. Names of attributes are those of OpenTelemetry's semantic
//! conventions where there is one.
//!
//! `record.rs` says what stands in a record, `wire.rs` how it is written either way, `nested.rs` the same for nested
//! values, `resource.rs` who is speaking, `judge.rs` what answers mean.

mod judge;
mod nested;
mod record;
mod resource;
#[cfg(test)]
mod tests;
mod wire;

use self::record::Scratch;
use self::wire::{Json, Protobuf, Wire};
use super::{
    Backend, Batch, Delivery, Encoding, Facts, Foreign, Payload, RecordRef, Reply, Says, Scheme, Setup, Verdict,
    Written,
};
use crate::error::Error;

/// What the path of a signal ends with, by the specification of the exporter.
const PATH: &str = "/v1/logs";
/// Loki's base path for OTLP with it. Dynatrace has its own API below the same two names.
const LOKI_PATH: &str = "/otlp/v1/logs";
/// VictoriaLogs' base path with it.
const VICTORIALOGS_PATH: &str = "/insert/opentelemetry/v1/logs";

/// The most bytes of a request before compression: the protocol allows 64 MiB, the Collector takes 20 MiB
/// (`max_request_body_size`), its maintainers ask for 4 MiB at most.
const REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Loki forwards at most 4 MiB to one ingester (`grpc_server_max_recv_msg_size`), and counts attributes of the resource
/// with each record.
const LOKI_BYTES: usize = 1024 * 1024;
/// Keeps the answer of Loki within a second or so.
const LOKI_RECORDS: usize = 10_000;

/// OTLP over HTTP: the OpenTelemetry Collector, Loki, VictoriaLogs, and the intakes of many vendors.
///
/// At least once: the protocol has nothing by which a record is known again. Each has an attribute `log.record.uid`,
/// by which a query can tell.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Encoding, Otlp};
///
/// let collector = Otlp::new("http://localhost:4318").encoding(Encoding::Json);
/// assert_eq!(collector.url(), "http://localhost:4318/v1/logs");
/// ```
#[derive(Clone, Debug)]
pub struct Otlp {
    url: String,
    encoding: Encoding,
}

impl Otlp {
    /// Sends to this receiver: its base URL, to whose path `/v1/logs` is added unless it ends with that; a query is kept.
    ///
    /// Two stores are known by the path, and each record is kept within their limits: Loki (`/otlp/v1/logs`), and
    /// VictoriaLogs (`/insert/opentelemetry/v1/logs`), which takes protobuf only.
    #[must_use]
    pub fn new(base: impl Into<String>) -> Self {
        let base = base.into();
        let (path, query) = base.split_once('?').map_or((&*base, None), |(path, query)| (path, Some(query)));
        let mut url = path.trim_end_matches('/').to_owned();
        if !url.ends_with(PATH) {
            url.push_str(PATH);
        }
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            url.push('?');
            url.push_str(query);
        }
        Self::at(url)
    }

    /// Sends to this URL as it is, like `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::backend::{Backend, Otlp};
    ///
    /// assert_eq!(Otlp::at("https://logs.example.com/otel").url(), "https://logs.example.com/otel");
    /// ```
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), encoding: Encoding::Protobuf }
    }

    /// How a request is encoded. Default: [`Encoding::Protobuf`], which more receivers take.
    ///
    /// For VictoriaLogs it stays that: JSON is refused there.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        if !self.is_victorialogs() {
            self.encoding = encoding;
        }
        self
    }

    fn path(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }

    fn is_loki(&self) -> bool {
        let path = self.path();
        path.ends_with(LOKI_PATH) && !path.contains("/api/")
    }

    fn is_victorialogs(&self) -> bool {
        self.path().ends_with(VICTORIALOGS_PATH)
    }

    fn limits(&self) -> record::Limits<'static> {
        if self.is_loki() {
            record::Limits::LOKI
        } else if self.is_victorialogs() {
            record::Limits::VICTORIALOGS
        } else {
            record::Limits::NONE
        }
    }

    fn request<W: Wire>(&self, batch: &Batch<'_>) -> Vec<u8> {
        let attributes = resource::attributes(batch.resource());
        let mut limits: record::Limits<'_> = self.limits();
        limits.leave_room_for(&attributes);
        let mut body = Vec::with_capacity(batch.cost() * 9 / 8 + 1024);
        let mut scratch = Scratch::default();
        let each = batch.cost() / batch.len().max(1);
        W::request(&mut body, batch.cost(), &attributes, |out| {
            let mut records = batch.records();
            let mut next = records.next();
            while let Some(first) = next {
                let target = first.target();
                // A right guess at the length of the scope saves that it is moved once it is complete.
                let others = records.clone().take_while(|record| same(record, &first)).count();
                W::scope(out, target, each * (others + 1), |out| {
                    record::write::<W>(out, &first, limits, &mut scratch);
                    for record in records.by_ref().take(others) {
                        record::write::<W>(out, &record, limits, &mut scratch);
                    }
                });
                next = records.next();
            }
        });
        body
    }
}

/// Whether both have one target.
#[inline]
fn same(one: &RecordRef<'_>, other: &RecordRef<'_>) -> bool {
    let known = one.callsite().zip(other.callsite()).is_some_and(|(one, other)| std::ptr::eq(one, other));
    known || one.target() == other.target()
}

impl Backend for Otlp {
    fn facts(&self) -> Facts {
        let facts = Facts::new("otlp").delivery(Delivery::AtLeastOnce).gzip();
        if self.is_loki() {
            facts.batch_bytes(LOKI_BYTES).batch_records(LOKI_RECORDS)
        } else {
            facts.batch_bytes(REQUEST_BYTES)
        }
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        match self.encoding {
            Encoding::Protobuf => record::cost::<Protobuf>(record),
            Encoding::Json => record::cost::<Json>(record),
        }
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        match self.encoding {
            Encoding::Protobuf => Payload::post("application/x-protobuf", self.request::<Protobuf>(batch)),
            Encoding::Json => Payload::post("application/json", self.request::<Json>(batch)),
        }
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        judge::judge(reply)
    }
}

const LOGS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// Of each pair the one for logs goes first, as the specification has it.
pub(super) const SCHEME: Scheme = Scheme {
    names: super::names::otlp(),
    written: &[Written::Http],
    default_url: Some("http://localhost:4318"),
    foreign: &[
        Foreign::url(LOGS_ENDPOINT),
        Foreign::url("OTEL_EXPORTER_OTLP_ENDPOINT"),
        Foreign::new("OTEL_EXPORTER_OTLP_LOGS_HEADERS", Says::Headers),
        Foreign::new("OTEL_EXPORTER_OTLP_HEADERS", Says::Headers),
        Foreign::new("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", Says::Timeout),
        Foreign::new("OTEL_EXPORTER_OTLP_TIMEOUT", Says::Timeout),
        Foreign::new("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", Says::Compression),
        Foreign::new("OTEL_EXPORTER_OTLP_COMPRESSION", Says::Compression),
        Foreign::new("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", Says::Ca),
        Foreign::new("OTEL_EXPORTER_OTLP_CERTIFICATE", Says::Ca),
        Foreign::new("OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", Says::Cert),
        Foreign::new("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", Says::Cert),
        Foreign::new("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", Says::Key),
        Foreign::new("OTEL_EXPORTER_OTLP_CLIENT_KEY", Says::Key),
    ],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Backend>, Error> {
    let otlp = if setup.variable == Some(LOGS_ENDPOINT) { Otlp::at(setup.url) } else { Otlp::new(setup.url) };
    if setup.name == "otlp-json" {
        return Ok(Box::new(otlp.encoding(Encoding::Json)));
    }
    let protocol = PROTOCOLS.iter().find_map(|name| Some((*name, (setup.lookup)(name)?)));
    match protocol {
        Some((_, protocol)) if protocol == "http/json" => Ok(Box::new(otlp.encoding(Encoding::Json))),
        // Where the URL is one of theirs it is that of a gRPC receiver, which would not understand a word.
        Some((name, protocol)) if protocol == "grpc" && setup.variable.is_some() => Err(Error::setting(
            name,
            protocol,
            "http/protobuf or http/json, with the endpoint of OTLP over HTTP, whose usual port is 4318, as gRPC is not \
             spoken here; OTEL_EXPORTER_OTLP_LOGS_PROTOCOL and OTEL_EXPORTER_OTLP_LOGS_ENDPOINT say it for logs alone",
        )),
        // What is neither is ignored, as the specification has it of a value that is not understood.
        _ => Ok(Box::new(otlp)),
    }
}

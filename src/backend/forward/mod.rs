//! The Fluent Forward protocol, over TCP or TLS: Fluentd, Fluent Bit, the OpenTelemetry Collector.
//!
//! A batch is one message, `[tag, entries, {"chunk": …, "size": …}]` (PackedForward; with gzip CompressedPackedForward).
//! It is delivered when the server has named its chunk. The same batch has the same chunk each time, but no server
//! compares: one whose acknowledgement got lost is stored twice.
//!
//! An acknowledgement says that the server took the message, not that all in it was valid: entries that are no maps are
//! dropped without a word. So what is written here is checked with a reader that others wrote.
//!
//! Source: github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1.

mod dialogue;
mod encode;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use self::dialogue::Dialogue;
use super::address::Address;
use super::{
    Backend, Batch, Delivery, Facts, Login, Payload, RecordRef, Resource, Scheme, Speech, TokenAs, Written, msgpack,
};
use crate::error::Error;
use crate::frame::Raw;

/// What servers listen on.
const PORT: u16 = 24224;

/// Fluent Bit closes the connection over a message of more than 6,144,000 bytes (`buffer_max_size`).
const MESSAGE: usize = 4_000_000;

/// Fluent Forward: Fluentd, Fluent Bit, the OpenTelemetry Collector and whatever else takes it.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Forward};
///
/// let fluentd = Forward::new("tcp://fluentd").tag("shop.web");
/// assert_eq!(fluentd.url(), "tcp://fluentd:24224");
/// ```
#[derive(Clone, Debug)]
pub struct Forward {
    url: String,
    tag: Option<String>,
    gzip: bool,
    /// What the resource adds to each entry, as of the last batch; before that a guess.
    resource_bytes: Arc<AtomicUsize>,
    /// What the server is told that this machine is called, as of the last batch.
    hostname: Arc<ArcSwap<String>>,
}

impl Forward {
    /// Sends to `tcp://host:port` or `tls://host:port`; without a port, to 24224. A path is the [`tag`](Self::tag).
    ///
    /// Where the server asks for a shared key, that is the destination's token, and its user and password are those that
    /// the server may ask for besides.
    #[must_use]
    pub fn new(url: impl AsRef<str>) -> Self {
        let Address { url, path, .. } = Address::new(url.as_ref(), PORT, PORT);
        let forward = Self {
            url,
            tag: None,
            gzip: false,
            resource_bytes: Arc::new(AtomicUsize::new(100)),
            hostname: Arc::new(ArcSwap::from_pointee("logchute".to_owned())),
        };
        if path.is_empty() { forward } else { forward.tag(path) }
    }

    /// The tag, by which the server decides what becomes of the records. Default: the name of the service, in which
    /// whatever is no letter, digit, `.`, `-` or `_` is a `_`.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into()).filter(|tag| !tag.is_empty());
        self
    }

    /// Compresses the entries with gzip. Default: as [`Builder::compression`](crate::Builder::compression) says.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.gzip = true;
        self
    }

    fn tag_of(&self, resource: &Resource) -> String {
        if let Some(tag) = &self.tag {
            return tag.clone();
        }
        let plain = |char: char| if char.is_ascii_alphanumeric() || ".-_".contains(char) { char } else { '_' };
        let tag: String = resource.service_name().chars().map(plain).collect();
        if tag.is_empty() { "logchute".to_owned() } else { tag }
    }
}

impl Backend for Forward {
    fn facts(&self) -> Facts {
        let facts = Facts::new("forward").delivery(Delivery::AtLeastOnce).token(TokenAs::Speech);
        facts.batch_bytes(MESSAGE).gzip()
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        const FRAME: usize = 11 + 3 + "_message_level_target_thread_id_".len() + 6 + 5 + 51;
        let text = msgpack::text_len;
        let site =
            text(record.target().len()) + record.file().map_or(0, |file| text(file.len()) + "_file_line".len() + 3);
        let spans: usize = record.spans().map(|name| name.len() + 1).sum();
        let mut fields = 0;
        record.weigh_fields(|key, value| {
            fields += text(key.len())
                + match value {
                    Raw::Text(value) => text(value.len()),
                    Raw::Value(value) => msgpack::value_len(value),
                };
        });
        FRAME
            + text(record.message_bytes().len())
            + text(record.thread_len())
            + site
            + if spans > 0 { spans + "_span_".len() } else { 0 }
            + fields
            + self.resource_bytes.load(Ordering::Relaxed)
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let resource = batch.resource();
        let name = resource.get("host").or_else(|| resource.get("pod"));
        if let Some(name) = name
            && *self.hostname.load().as_str() != *name
        {
            self.hostname.store(Arc::new(name.to_owned()));
        }
        let (bytes, chunk) = encode::message(batch, &self.tag_of(resource), self.gzip, &self.resource_bytes);
        Payload::framed(bytes, Some(chunk))
    }

    fn speech(&self, login: &Login<'_>) -> Box<dyn Speech> {
        Box::new(Dialogue::new(login, &self.hostname.load()))
    }

    fn compress(&mut self) {
        self.gzip = true;
    }
}

pub(super) const SCHEME: Scheme = Scheme {
    names: super::names::forward(),
    written: &[Written::Stream],
    // As the loggers of that world have it.
    default_url: Some("tcp://localhost:24224"),
    // There are no variables that several of its tools share.
    foreign: &[],
    build: |setup| {
        let address = Address::new(setup.url, PORT, PORT);
        let mut forward = Forward::new(setup.url);
        if address.path.contains('%') {
            let Some(tag) = crate::resource::percent_decoded(address.path) else {
                return Err(Error::setting("LOGCHUTE_URL", setup.url, "a URL whose path, the tag, is percent-encoded"));
            };
            forward = forward.tag(tag);
        }
        for (name, value) in address.query {
            forward = match (name, value) {
                ("compression", "gzip") => forward.gzip(),
                ("compression", "none") => forward,
                _ => {
                    let must = "without a query, or with ?compression=gzip";
                    return Err(Error::setting("LOGCHUTE_URL", address.url, must));
                }
            };
        }
        Ok(Box::new(forward))
    },
};

#[cfg(test)]
mod tests;

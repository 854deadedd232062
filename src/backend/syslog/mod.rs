//! syslog as RFC 5424 has it, over TCP (RFC 6587) or TLS (RFC 5425).
//!
//! ```text
//! <14>1 2026-11-24T08:00:00.123457Z web-1 checkout 4242 shop [logchute@32473 time="2026-11-24T08:00:00.123456789Z"
//!  level="info" target="shop" … user_id="42" service_name="checkout"] order placed
//! ```
//!
//! Nothing is acknowledged. A batch counts as delivered when the system has taken it and the connection still stands, after
//! the first one on a connection for a quarter of a second: servers that speak another protocol close it. What the server
//! had not read when it left later is lost, and the ledger cannot know.

mod encode;
mod name;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::encode::Encoder;
use super::address::Address;
use super::{Backend, Batch, Delivery, Facts, Payload, RecordRef, Scheme, Written, json};
use crate::error::Error;
use crate::frame::Raw;

/// RFC 6587 has none of its own; this one is registered for syslog over TCP.
const PORT: u16 = 601;
/// RFC 5425 §4.1.
const TLS_PORT: u16 = 6514;

/// What rsyslog takes (`maxMessageSize`, 8 KiB by default); RFC 5424 §6.1 asks of all servers for 2,048 bytes.
const MESSAGE_BYTES: usize = 8 * 1024;

/// What a message needs in the worst case when all but the head of the record is left out.
const SHORTEST_LIMIT: usize = 2048;

/// How one message is told from the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// The length stands before it (RFC 6587 §3.4.1). TLS asks for this one, and only so a message keeps its line feeds;
    /// in fields they are `\n` either way.
    #[default]
    OctetCounting,
    /// A line feed stands after it (§3.4.2), for servers that know nothing else. Line feeds in the message become `\n`,
    /// carriage returns `\r`, NUL `#000`.
    Newline,
}

/// The kind of program, by which servers sort what they get (RFC 5424 §6.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Facility {
    /// `user`, 1: any program.
    #[default]
    User = 1,
    /// `daemon`, 3: a service of the system.
    Daemon = 3,
    /// `auth`, 4: logins and permissions.
    Auth = 4,
    /// `authpriv`, 10: the same, where not everybody may read it.
    AuthPriv = 10,
    /// `local0`, 16: what the site makes of it, as all that follow.
    Local0 = 16,
    /// `local1`, 17.
    Local1,
    /// `local2`, 18.
    Local2,
    /// `local3`, 19.
    Local3,
    /// `local4`, 20.
    Local4,
    /// `local5`, 21.
    Local5,
    /// `local6`, 22.
    Local6,
    /// `local7`, 23.
    Local7,
}

impl Facility {
    const ALL: [(&'static str, Self); 12] = [
        ("user", Self::User),
        ("daemon", Self::Daemon),
        ("auth", Self::Auth),
        ("authpriv", Self::AuthPriv),
        ("local0", Self::Local0),
        ("local1", Self::Local1),
        ("local2", Self::Local2),
        ("local3", Self::Local3),
        ("local4", Self::Local4),
        ("local5", Self::Local5),
        ("local6", Self::Local6),
        ("local7", Self::Local7),
    ];
}

/// syslog by RFC 5424 over TCP or TLS: rsyslog, syslog-ng, and whatever else takes it. Best effort.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Facility, Syslog};
///
/// let central = Syslog::new("tls://logs.example.com").facility(Facility::Local3);
/// assert_eq!(central.url(), "tls://logs.example.com:6514");
/// ```
#[derive(Clone, Debug)]
pub struct Syslog {
    url: String,
    framing: Framing,
    facility: Facility,
    message_bytes: usize,
    enterprise: u32,
    process: u32,
    /// What the resource adds to each message, as of the last batch; before that a guess.
    resource_bytes: Arc<AtomicUsize>,
}

impl Syslog {
    /// Sends to `tcp://host:port` or `tls://host:port`; without a port, to 601 and 6514.
    #[must_use]
    pub fn new(url: impl AsRef<str>) -> Self {
        Self {
            url: Address::new(url.as_ref(), PORT, TLS_PORT).url,
            framing: Framing::default(),
            facility: Facility::default(),
            message_bytes: MESSAGE_BYTES,
            // For examples and documentation (RFC 5612): there is none of logchute's own.
            enterprise: 32_473,
            process: std::process::id(),
            resource_bytes: Arc::new(AtomicUsize::new(150)),
        }
    }

    /// How one message is told from the next. Default: by octet counting.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// The facility of all records. Default: `user`.
    #[must_use]
    pub fn facility(mut self, facility: Facility) -> Self {
        self.facility = facility;
        self
    }

    /// The most bytes that a message may have. Default: 8,192, as rsyslog takes (`maxMessageSize`).
    ///
    /// Of a longer message the longest values are cut, and it then says `truncated="true"`. Less than 2,048, which RFC
    /// 5424 asks of all servers, counts as that.
    #[must_use]
    pub fn message_bytes(mut self, most: usize) -> Self {
        self.message_bytes = most.max(SHORTEST_LIMIT);
        self
    }

    /// The private enterprise number in the id of the structured data, `logchute@NUMBER`. Default: 32473, the one that is
    /// set aside for examples.
    #[must_use]
    pub fn enterprise_number(mut self, number: u32) -> Self {
        self.enterprise = number;
        self
    }
}

impl Backend for Syslog {
    fn facts(&self) -> Facts {
        Facts::new("syslog").delivery(Delivery::BestEffort).in_flight(1)
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        const FRAME: usize = r#"999 <14>1 2026-11-24T08:00:00.123456Z - 4242 - [logchute@32473 time="" level="" "#
            .len()
            + r#"target="" thread="" id="" ] "#.len()
            + 30
            + 5
            + 49;
        let escaped = encode::escaped_len;
        let site =
            record.target().len() * 2 + record.file().map_or(0, |file| file.len() + r#" file="" line="123""#.len());
        let spans: usize = record.spans().map(|name| escaped(name.as_bytes()) + 1).sum();
        let mut fields = 0;
        record.weigh_fields(|key, value| {
            let value = match value {
                Raw::Text(text) => escaped(text),
                Raw::Value(value) => json::value_len(value),
            };
            fields += key.len().min(name::LONGEST) + r#" ="""#.len() + value;
        });
        let record = FRAME
            + record.message_bytes().len()
            + record.thread_len()
            + site
            + if spans > 0 { spans + r#" span="""#.len() } else { 0 }
            + fields
            + self.resource_bytes.load(Ordering::Relaxed);
        record.min(self.message_bytes + 16)
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let encoder = Encoder::new(self, batch.resource());
        self.resource_bytes.store(encoder.resource_len(), Ordering::Relaxed);
        Payload::framed(encoder.messages(batch), None)
    }
}

pub(super) const SCHEME: Scheme = Scheme {
    names: super::names::syslog(),
    written: &[Written::Stream],
    default_url: None,
    foreign: &[],
    build: |setup| {
        let address = Address::new(setup.url, PORT, TLS_PORT);
        let mut syslog = Syslog::new(setup.url);
        let refuse = |must: &'static str| Err(Error::setting("LOGCHUTE_URL", &address.url, must));
        if !address.path.is_empty() {
            return refuse("without a path");
        }
        for (name, value) in &address.query {
            syslog = match *name {
                "framing" => match *value {
                    "octet" => syslog.framing(Framing::OctetCounting),
                    "newline" => syslog.framing(Framing::Newline),
                    _ => return refuse("with ?framing=octet or ?framing=newline"),
                },
                "facility" => match Facility::ALL.iter().find(|(known, _)| known == value) {
                    Some((_, facility)) => syslog.facility(*facility),
                    None => return refuse("with ?facility= user, daemon, auth, authpriv or local0 to local7"),
                },
                "message_bytes" => match value.parse() {
                    Ok(most @ SHORTEST_LIMIT..) => syslog.message_bytes(most),
                    _ => return refuse("with ?message_bytes= a number of at least 2048"),
                },
                _ => return refuse("without a query, or with framing, facility and message_bytes in it"),
            };
        }
        Ok(Box::new(syslog))
    },
};

#[cfg(test)]
mod tests;

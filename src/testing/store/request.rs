//! A request as the store received it, and the records in it.

use std::borrow::Cow;
use std::io::{BufRead, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::http::{BODY_MAX, Head};
use super::loki;
use super::received::Received;

/// A request that a [`Store`](super::Store) received.
#[derive(Clone, Debug, Default)]
pub struct Request {
    order: usize,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Arc<Vec<u8>>,
    unpacked: Option<Arc<Vec<u8>>>,
    records: Arc<Vec<Received>>,
    fault: Option<String>,
    status: Option<u16>,
}

impl Request {
    /// Its place among the store's requests, from 0, by the arrival of their first bytes.
    #[must_use]
    pub const fn order(&self) -> usize {
        self.order
    }

    /// The method; empty where the script did not let the store read so far.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, with the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Names, in lower case, and values in the order in which they came.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The first value of a header, whose name is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The body as it came, compressed where it was.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body without gzip, or, of Loki's protobuf, without snappy.
    #[must_use]
    pub fn unpacked(&self) -> &[u8] {
        self.unpacked.as_ref().unwrap_or(&self.body)
    }

    /// The unpacked body as text, with a replacement character where it is none.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.unpacked())
    }

    /// The records in it, whatever the answer was.
    ///
    /// Read are: JSON objects, one a line or in an array; pushes to Loki, as JSON or protobuf; the lines of
    /// a `text/…` body, each of which is a message. Any other body has no records.
    #[must_use]
    pub fn records(&self) -> &[Received] {
        &self.records
    }

    /// Why the request, or a part of it, could not be read: it has fewer records than the client believes.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The status that it was answered with; none while there is no answer, and where there never is one that
    /// the client could read.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    /// A request of which only so much is known.
    pub(super) fn unread(order: usize, head: Head, body: Vec<u8>) -> Self {
        let Head { method, path, headers, .. } = head;
        Self { order, method, path, headers, body: Arc::new(body), ..Self::default() }
    }

    /// A request that does not keep to HTTP.
    pub(super) fn broken(order: usize, fault: String) -> Self {
        Self { order, fault: Some(fault), ..Self::default() }
    }

    /// A request with its records.
    pub(super) fn read(order: usize, head: Head, body: Vec<u8>) -> Self {
        let mut request = Self::unread(order, head, body);
        match request.unpack() {
            Ok(unpacked) => request.unpacked = unpacked.map(Arc::new),
            Err(fault) => {
                request.fault = Some(fault);
                return request;
            }
        }
        let (records, fault) = request.decode(request.unpacked());
        (request.records, request.fault) = (Arc::new(records), fault);
        request
    }

    pub(super) fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// Whether the client may forget the records.
    pub(super) fn is_accepted(&self) -> bool {
        matches!(self.status, Some(200..=299))
    }

    /// Whether it goes to the push path of Loki.
    pub(super) fn is_loki(&self) -> bool {
        self.path.split('?').next().is_some_and(|path| path.ends_with("/loki/api/v1/push"))
    }

    /// How many records it has, at a price that a million of them can pay.
    pub(super) fn count(&self) -> usize {
        let Ok(unpacked) = self.unpack() else { return 0 };
        let body = unpacked.as_deref().unwrap_or(&self.body);
        match self.form(body) {
            Form::LokiProtobuf => loki::count(body),
            // Blank lines count here, which saves a look at each line: what is to be fast sends none.
            Form::Json | Form::Text if first(body) != Some(b'[') => count_lines(body),
            _ => self.decode(body).0.len(),
        }
    }

    fn unpack(&self) -> Result<Option<Vec<u8>>, String> {
        let encoding = self.header("content-encoding").unwrap_or("identity");
        match encoding {
            "gzip" => {
                let mut unpacked = Vec::new();
                let mut reader = MultiGzDecoder::new(&self.body[..]).take(BODY_MAX + 1);
                reader.read_to_end(&mut unpacked).map_err(|cause| format!("gzip: {cause}"))?;
                if unpacked.len() as u64 > BODY_MAX {
                    Err("gzip: more than 256 MiB".into())
                } else {
                    Ok(Some(unpacked))
                }
            }
            "identity" | "snappy" if self.is_loki() && !self.says_json() => {
                let length = snap::raw::decompress_len(&self.body).map_err(|cause| cause.to_string())?;
                if length as u64 > BODY_MAX {
                    return Err("snappy: more than 256 MiB".into());
                }
                snap::raw::Decoder::new().decompress_vec(&self.body).map(Some).map_err(|cause| cause.to_string())
            }
            "identity" => Ok(None),
            other => Err(format!("Content-Encoding {other:?} not supported")),
        }
    }

    fn says_json(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.contains("json"))
    }

    fn form(&self, body: &[u8]) -> Form {
        match self.header("content-type") {
            _ if self.is_loki() => {
                if self.says_json() {
                    Form::LokiJson
                } else {
                    Form::LokiProtobuf
                }
            }
            Some(kind) if kind.contains("json") => Form::Json,
            Some(kind) if kind.starts_with("text/") => Form::Text,
            None if matches!(first(body), Some(b'{' | b'[')) => Form::Json,
            _ => Form::Unknown,
        }
    }

    fn decode(&self, body: &[u8]) -> (Vec<Received>, Option<String>) {
        let whole = |records: Result<Vec<Received>, String>| match records {
            Ok(records) => (records, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        match self.form(body) {
            Form::LokiJson => whole(loki::json(body)),
            Form::LokiProtobuf => whole(loki::protobuf(body)),
            Form::Json if first(body) == Some(b'[') => {
                let values = serde_json::from_slice::<Vec<Value>>(body).map_err(|cause| cause.to_string());
                whole(values.map(|values| values.into_iter().map(Received::from_json).collect()))
            }
            Form::Json => {
                let (mut records, mut fault) = (Vec::new(), None);
                for (number, line) in lines(body).enumerate() {
                    match serde_json::from_slice(line) {
                        Ok(value) => records.push(Received::from_json(value)),
                        Err(cause) => fault = fault.or_else(|| Some(format!("record {number}: {cause}"))),
                    }
                }
                (records, fault)
            }
            Form::Text => (lines(body).map(|line| Received::from_line(&String::from_utf8_lossy(line))).collect(), None),
            Form::Unknown => (Vec::new(), None),
        }
    }
}

/// How the records stand in a body.
enum Form {
    LokiJson,
    LokiProtobuf,
    Json,
    Text,
    Unknown,
}

fn first(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// The lines that are not blank.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

/// How many lines there are, a last one without an end included. Left to the standard library, which is
/// fast at it in a debug build as well.
fn count_lines(mut body: &[u8]) -> usize {
    std::iter::from_fn(|| body.skip_until(b'\n').ok().filter(|read| *read > 0)).count()
}

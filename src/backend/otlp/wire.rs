//! The two ways to write a request.
//!
//! ```text
//! ExportLogsServiceRequest { repeated ResourceLogs = 1 }
//! ResourceLogs { Resource = 1 { repeated KeyValue attributes = 1 }; repeated ScopeLogs = 2 }
//! ScopeLogs    { InstrumentationScope = 1 { string name = 1 }; repeated LogRecord = 2 }
//! LogRecord    { fixed64 time_unix_nano = 1; severity_number = 2; string severity_text = 3; AnyValue body = 5
//!                repeated KeyValue attributes = 6; uint32 dropped_attributes_count = 7; fixed32 flags = 8
//!                bytes trace_id = 9; bytes span_id = 10; fixed64 observed_time_unix_nano = 11 }
//! KeyValue     { string key = 1; AnyValue value = 2 }
//! AnyValue     { oneof: string = 1; bool = 2; int64 = 3; double = 4; ArrayValue = 5 { repeated AnyValue = 1 }
//!                KeyValueList = 6 { repeated KeyValue = 1 }; bytes = 7 }
//! ```
//!
//! In JSON names are in lower camel case, 64-bit integers are texts, trace and span ids hexadecimal, bytes base64; the
//! doubles that JSON has not are `"NaN"`, `"Infinity"` and `"-Infinity"`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::super::{Severity, Value, json, proto};

/// What a record has besides attributes.
pub(super) struct Head<'a> {
    pub(super) nanos: u64,
    pub(super) severity: Severity,
    pub(super) message: &'a str,
}

/// What is known of a record once its fields were seen.
#[derive(Default)]
pub(super) struct Tail {
    pub(super) dropped: u32,
    pub(super) flags: Option<u8>,
    pub(super) trace_id: Option<[u8; 16]>,
    pub(super) span_id: Option<[u8; 8]>,
}

/// Where a `KeyValue` stands, by the number of its field.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// In a resource, or in a list of pairs.
    List = 1,
    /// In a record.
    Record = 6,
}

/// A way to write. A `guess` is one at the bytes of what is written; a good one saves that it is moved.
pub(super) trait Wire {
    /// Bytes of a record without its message and attributes.
    const RECORD: usize;
    /// Bytes around the name and the text of an attribute.
    const PAIR: usize;
    /// Bytes around a value in an array.
    const ITEM: usize;
    /// Bytes around the members of an array or a list.
    const LIST: usize;

    /// Bytes that a text takes between what goes around it.
    fn text_cost(text: &[u8]) -> usize;

    /// Bytes that a value takes in place of the text in an attribute.
    fn value_cost(value: Value<'_>) -> usize;

    fn request(out: &mut Vec<u8>, guess: usize, resource: &[(&str, &str)], scopes: impl FnOnce(&mut Vec<u8>));

    fn scope(out: &mut Vec<u8>, name: &str, guess: usize, records: impl FnOnce(&mut Vec<u8>));

    fn record(out: &mut Vec<u8>, guess: usize, head: &Head<'_>, attributes: impl FnOnce(&mut Vec<u8>) -> Tail);

    /// A key with a value that is not nested; what is, is written as a text.
    fn attribute(out: &mut Vec<u8>, place: Place, key: &str, value: Value<'_>);

    /// A key with a value that `any` writes.
    fn pair(out: &mut Vec<u8>, place: Place, guess: usize, key: &str, any: impl FnOnce(&mut Vec<u8>));

    /// A value that is not nested, as in [`attribute`](Self::attribute).
    fn any(out: &mut Vec<u8>, value: Value<'_>);

    /// The value that is none.
    fn null(out: &mut Vec<u8>);

    /// An array of what `items` writes.
    fn array(out: &mut Vec<u8>, guess: usize, items: impl FnOnce(&mut Vec<u8>));

    /// One value in an array.
    fn item(out: &mut Vec<u8>, guess: usize, any: impl FnOnce(&mut Vec<u8>));

    /// A list of what `pairs` writes.
    fn list(out: &mut Vec<u8>, guess: usize, pairs: impl FnOnce(&mut Vec<u8>));
}

/// The number of a severity, which is the least one of its range of four, and its name.
#[inline]
const fn severity(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Trace => (1, "TRACE"),
        Severity::Debug => (5, "DEBUG"),
        Severity::Info => (9, "INFO"),
        Severity::Warn => (13, "WARN"),
        Severity::Error => (17, "ERROR"),
        Severity::Fatal => (21, "FATAL"),
    }
}

/// Binary.
pub(super) struct Protobuf;

impl Protobuf {
    /// Bytes that [`any`](Wire::any) takes, where that is known without writing it.
    #[inline]
    fn any_len(value: Value<'_>) -> Option<usize> {
        Some(match value {
            Value::Str(text) | Value::Error(text) | Value::Json(text) => proto::text_len(text.len()),
            Value::Bytes(bytes) => proto::text_len(bytes.len()),
            Value::Bool(_) => 2,
            Value::I64(value) => 1 + proto::varint_len(value as u64),
            Value::U64(value) if i64::try_from(value).is_ok() => 1 + proto::varint_len(value),
            Value::F64(_) => 9,
            Value::U64(_) | Value::I128(_) | Value::U128(_) => return None,
        })
    }

    /// A message in a message.
    #[inline]
    fn nested<R>(out: &mut Vec<u8>, field: u8, guess: usize, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        proto::nested(out, field, proto::varint_len(guess as u64), write)
    }
}

impl Wire for Protobuf {
    const RECORD: usize = 3 + 9 + 2 + 7 + 5 + 9;
    const PAIR: usize = 2 + 2 + 2 + 2;
    const ITEM: usize = 2 + 2;
    const LIST: usize = 2;

    #[inline]
    fn text_cost(text: &[u8]) -> usize {
        text.len()
    }

    #[inline]
    fn value_cost(value: Value<'_>) -> usize {
        // The tag and the length of a text are not there.
        Self::any_len(value).map_or(40, |len| len - 2)
    }

    fn request(out: &mut Vec<u8>, guess: usize, resource: &[(&str, &str)], scopes: impl FnOnce(&mut Vec<u8>)) {
        Self::nested(out, 1, guess, |out| {
            Self::nested(out, 1, 200, |out| {
                resource.iter().for_each(|(key, value)| Self::attribute(out, Place::List, key, Value::Str(value)));
            });
            scopes(out);
        });
    }

    fn scope(out: &mut Vec<u8>, name: &str, guess: usize, records: impl FnOnce(&mut Vec<u8>)) {
        Self::nested(out, 2, guess, |out| {
            Self::nested(out, 1, name.len() + 2, |out| proto::text(out, 1, name.as_bytes()));
            records(out);
        });
    }

    #[inline]
    fn record(out: &mut Vec<u8>, guess: usize, head: &Head<'_>, attributes: impl FnOnce(&mut Vec<u8>) -> Tail) {
        Self::nested(out, 2, guess, |out| {
            proto::fixed64(out, 1, head.nanos);
            let (number, text) = severity(head.severity);
            out.extend_from_slice(&[2 << 3, number]);
            proto::text(out, 3, text.as_bytes());
            out.push(5 << 3 | 2);
            proto::varint(out, proto::text_len(head.message.len()) as u64);
            proto::text(out, 1, head.message.as_bytes());
            let tail = attributes(out);
            proto::number(out, 7, u64::from(tail.dropped));
            if let Some(flags) = tail.flags {
                proto::fixed32(out, 8, u32::from(flags));
            }
            if let Some(id) = tail.trace_id {
                proto::text(out, 9, &id);
            }
            if let Some(id) = tail.span_id {
                proto::text(out, 10, &id);
            }
            proto::fixed64(out, 11, head.nanos);
        });
    }

    #[inline]
    fn attribute(out: &mut Vec<u8>, place: Place, key: &str, value: Value<'_>) {
        let Some(len) = Self::any_len(value) else {
            return json::with_text(value, |text| Self::attribute(out, place, key, Value::Str(text)));
        };
        out.push((place as u8) << 3 | 2);
        proto::varint(out, (proto::text_len(key.len()) + proto::text_len(len)) as u64);
        proto::text(out, 1, key.as_bytes());
        out.push(2 << 3 | 2);
        proto::varint(out, len as u64);
        Self::any(out, value);
    }

    fn pair(out: &mut Vec<u8>, place: Place, guess: usize, key: &str, any: impl FnOnce(&mut Vec<u8>)) {
        Self::nested(out, place as u8, guess + key.len() + 4, |out| {
            proto::text(out, 1, key.as_bytes());
            Self::nested(out, 2, guess, any);
        });
    }

    #[inline]
    fn any(out: &mut Vec<u8>, value: Value<'_>) {
        match value {
            Value::Str(text) | Value::Error(text) | Value::Json(text) => proto::text(out, 1, text.as_bytes()),
            Value::Bytes(bytes) => proto::text(out, 7, bytes),
            Value::Bool(value) => out.extend_from_slice(&[2 << 3, u8::from(value)]),
            Value::I64(value) => {
                // A member of a oneof is written even where it is the default.
                out.push(3 << 3);
                proto::varint(out, value as u64);
            }
            Value::U64(value) if i64::try_from(value).is_ok() => Self::any(out, Value::I64(value as i64)),
            Value::F64(value) => proto::fixed64(out, 4, value.to_bits()),
            Value::U64(_) | Value::I128(_) | Value::U128(_) => {
                json::with_text(value, |text| proto::text(out, 1, text.as_bytes()));
            }
        }
    }

    fn null(_out: &mut Vec<u8>) {}

    fn array(out: &mut Vec<u8>, guess: usize, items: impl FnOnce(&mut Vec<u8>)) {
        Self::nested(out, 5, guess, items);
    }

    fn item(out: &mut Vec<u8>, guess: usize, any: impl FnOnce(&mut Vec<u8>)) {
        Self::nested(out, 1, guess, any);
    }

    fn list(out: &mut Vec<u8>, guess: usize, pairs: impl FnOnce(&mut Vec<u8>)) {
        Self::nested(out, 6, guess, pairs);
    }
}

/// Text.
pub(super) struct Json;

impl Json {
    /// What goes between two members of an array; its first one follows the bracket.
    #[inline]
    fn comma(out: &mut Vec<u8>) {
        if out.last() != Some(&b'[') {
            out.push(b',');
        }
    }

    fn hex(out: &mut Vec<u8>, key: &[u8], id: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        out.extend_from_slice(key);
        id.iter().for_each(|byte| out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
        out.push(b'"');
    }

    #[inline]
    fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

impl Wire for Json {
    const RECORD: usize = r#"{"timeUnixNano":"","observedTimeUnixNano":"","severityNumber":9,"severityText":"INFO","#
        .len()
        + r#""body":{"stringValue":""},"attributes":[]},"#.len()
        + 2 * 19;
    const PAIR: usize = r#"{"key":"","value":{"stringValue":""}},"#.len();
    const ITEM: usize = r#"{"intValue":""},"#.len();
    const LIST: usize = r#"{"arrayValue":{"values":[]}}"#.len();

    #[inline]
    fn text_cost(text: &[u8]) -> usize {
        json::escaped_len(text)
    }

    #[inline]
    fn value_cost(value: Value<'_>) -> usize {
        json::value_len(value)
    }

    fn request(out: &mut Vec<u8>, _guess: usize, resource: &[(&str, &str)], scopes: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(b"{\"resourceLogs\":[{\"resource\":{\"attributes\":[");
        resource.iter().for_each(|(key, value)| Self::attribute(out, Place::List, key, Value::Str(value)));
        out.extend_from_slice(b"]},\"scopeLogs\":[");
        scopes(out);
        out.extend_from_slice(b"]}]}");
    }

    fn scope(out: &mut Vec<u8>, name: &str, _guess: usize, records: impl FnOnce(&mut Vec<u8>)) {
        Self::comma(out);
        out.extend_from_slice(b"{\"scope\":{\"name\":");
        json::string(out, name);
        out.extend_from_slice(b"},\"logRecords\":[");
        records(out);
        out.extend_from_slice(b"]}");
    }

    #[inline]
    fn record(out: &mut Vec<u8>, _guess: usize, head: &Head<'_>, attributes: impl FnOnce(&mut Vec<u8>) -> Tail) {
        Self::comma(out);
        let mut nanos = itoa::Buffer::new();
        let nanos = nanos.format(head.nanos).as_bytes();
        out.extend_from_slice(b"{\"timeUnixNano\":\"");
        out.extend_from_slice(nanos);
        out.extend_from_slice(b"\",\"observedTimeUnixNano\":\"");
        out.extend_from_slice(nanos);
        let (number, text) = severity(head.severity);
        out.extend_from_slice(b"\",\"severityNumber\":");
        Self::number(out, number);
        out.extend_from_slice(b",\"severityText\":\"");
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\",\"body\":{\"stringValue\":");
        json::string(out, head.message);
        out.extend_from_slice(b"},\"attributes\":[");
        let tail = attributes(out);
        out.push(b']');
        if tail.dropped > 0 {
            out.extend_from_slice(b",\"droppedAttributesCount\":");
            Self::number(out, tail.dropped);
        }
        if let Some(flags) = tail.flags {
            out.extend_from_slice(b",\"flags\":");
            Self::number(out, flags);
        }
        if let Some(id) = tail.trace_id {
            Self::hex(out, b",\"traceId\":\"", &id);
        }
        if let Some(id) = tail.span_id {
            Self::hex(out, b",\"spanId\":\"", &id);
        }
        out.push(b'}');
    }

    #[inline]
    fn attribute(out: &mut Vec<u8>, place: Place, key: &str, value: Value<'_>) {
        Self::pair(out, place, 0, key, |out| Self::any(out, value));
    }

    #[inline]
    fn pair(out: &mut Vec<u8>, _place: Place, _guess: usize, key: &str, any: impl FnOnce(&mut Vec<u8>)) {
        Self::comma(out);
        out.extend_from_slice(b"{\"key\":");
        json::string(out, key);
        out.extend_from_slice(b",\"value\":");
        any(out);
        out.push(b'}');
    }

    #[inline]
    fn any(out: &mut Vec<u8>, value: Value<'_>) {
        match value {
            Value::Str(text) | Value::Error(text) | Value::Json(text) => {
                out.extend_from_slice(b"{\"stringValue\":");
                json::string(out, text);
                out.push(b'}');
            }
            Value::Bool(value) => {
                out.extend_from_slice(if value { b"{\"boolValue\":true}" } else { b"{\"boolValue\":false}" });
            }
            Value::I64(value) => {
                out.extend_from_slice(b"{\"intValue\":\"");
                Self::number(out, value);
                out.extend_from_slice(b"\"}");
            }
            Value::U64(value) if i64::try_from(value).is_ok() => Self::any(out, Value::I64(value as i64)),
            Value::F64(value) => {
                out.extend_from_slice(b"{\"doubleValue\":");
                match value {
                    _ if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
                    f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
                    f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
                    _ => json::value(out, Value::F64(value)),
                }
                out.push(b'}');
            }
            Value::Bytes(bytes) => {
                out.extend_from_slice(b"{\"bytesValue\":\"");
                out.extend_from_slice(BASE64.encode(bytes).as_bytes());
                out.extend_from_slice(b"\"}");
            }
            Value::U64(_) | Value::I128(_) | Value::U128(_) => {
                json::with_text(value, |text| Self::any(out, Value::Str(text)));
            }
        }
    }

    fn null(out: &mut Vec<u8>) {
        out.extend_from_slice(b"{}");
    }

    fn array(out: &mut Vec<u8>, _guess: usize, items: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(b"{\"arrayValue\":{\"values\":[");
        items(out);
        out.extend_from_slice(b"]}}");
    }

    fn item(out: &mut Vec<u8>, _guess: usize, any: impl FnOnce(&mut Vec<u8>)) {
        Self::comma(out);
        any(out);
    }

    fn list(out: &mut Vec<u8>, _guess: usize, pairs: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(b"{\"kvlistValue\":{\"values\":[");
        pairs(out);
        out.extend_from_slice(b"]}}");
    }
}

//! One record as a `LogEntry`.

use super::nested;
use super::resource::Head;
use crate::backend::flat::{self, Form, Ids, Names};
use crate::backend::sites::Sites;
use crate::backend::{RecordRef, Severity, Value, json};

const RESERVED: Names<'static> = Names::new(&flat::RESERVED);

/// Integers up to here are the same as a double, which is what a `jsonPayload` keeps numbers as.
pub(super) const EXACT: u64 = 1 << 53;

/// Writes a record, with values cut as far as it takes to stay within what the store takes.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, record: &RecordRef<'_>, ids: &mut Ids, sites: &mut Sites, head: &Head) {
    let start = out.len();
    let besides = entry(out, record, ids, sites, head, usize::MAX);
    if out.len() - start + besides > head.entry_bytes {
        *sites = Sites::default();
        shorter(out, start, record, ids, head);
    }
}

/// Writes a record with each of its values cut to `cap` bytes. Returns what it takes in the store beyond its length here.
#[inline]
fn entry(
    out: &mut Vec<u8>,
    record: &RecordRef<'_>,
    ids: &mut Ids,
    sites: &mut Sites,
    head: &Head,
    cap: usize,
) -> usize {
    begin(out, record, ids);
    sites.write(out, record, site);
    out.extend_from_slice(b",\"message\":");
    let (message, message_cut) = flat::message(record, cap);
    json::string(out, &message);
    out.extend_from_slice(b",\"thread\":");
    json::string(out, record.thread());
    if record.spans().next().is_some() {
        out.extend_from_slice(b",\"span\":\"");
        flat::span_path(out, record.spans(), json::escaped);
        out.push(b'"');
    }
    level(out, record);
    let mut form = Fields { out, besides: 0, trace: None, span: None, sampled: None };
    flat::fill(&mut form, record.fields(), cap, message_cut);
    let Fields { besides, trace, span, sampled, .. } = form;
    out.push(b'}');
    if let Some(trace) = trace {
        out.extend_from_slice(b",\"trace\":");
        json::string(out, &head.traces);
        out.pop();
        out.extend_from_slice(&trace);
        out.push(b'"');
    }
    if let Some(span) = span {
        out.extend_from_slice(b",\"spanId\":\"");
        out.extend_from_slice(&span);
        out.push(b'"');
    }
    if let Some(sampled) = sampled {
        out.extend_from_slice(if sampled { b",\"traceSampled\":true" } else { b",\"traceSampled\":false" });
    }
    out.push(b'}');
    besides
}

/// What is never left out.
#[inline]
fn begin(out: &mut Vec<u8>, record: &RecordRef<'_>, ids: &mut Ids) {
    out.extend_from_slice(b"{\"insertId\":\"");
    out.extend_from_slice(ids.text(record.id()).as_bytes());
    out.extend_from_slice(b"\",\"timestamp\":\"");
    json::rfc3339(out, record.unix_nanos());
    out.extend_from_slice(b"\",\"severity\":\"");
    out.extend_from_slice(match record.severity() {
        Severity::Trace | Severity::Debug => b"DEBUG",
        Severity::Info => b"INFO",
        Severity::Warn => b"WARNING",
        Severity::Error => b"ERROR",
        Severity::Fatal => b"CRITICAL",
    });
    out.push(b'"');
}

/// The store has no severity below DEBUG.
#[inline]
fn level(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    if record.severity() == Severity::Trace {
        out.extend_from_slice(b",\"level\":\"trace\"");
    }
}

/// Where the record was made, and the beginning of its payload.
fn site(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    let mut joint: &[u8] = b",\"sourceLocation\":{";
    let mut member = |out: &mut Vec<u8>, name: &[u8], value: &str| {
        out.extend_from_slice(joint);
        out.extend_from_slice(name);
        json::string(out, value);
        joint = b",";
    };
    if let Some(file) = record.file() {
        member(out, b"\"file\":", file);
    }
    if let Some(line) = record.line() {
        // JSON has integers of 64 bits as texts, as in all of Google's interfaces.
        member(out, b"\"line\":", itoa::Buffer::new().format(line));
    }
    if let Some(module) = record.module() {
        member(out, b"\"function\":", module);
    }
    if joint == b"," {
        out.push(b'}');
    }
    out.extend_from_slice(b",\"jsonPayload\":{\"target\":");
    json::string(out, record.target());
}

#[cold]
fn shorter(out: &mut Vec<u8>, start: usize, record: &RecordRef<'_>, ids: &mut Ids, head: &Head) {
    let mut cap = head.entry_bytes;
    while cap >= 32 {
        out.truncate(start);
        let besides = entry(out, record, ids, &mut Sites::default(), head, cap);
        if out.len() - start + besides <= head.entry_bytes {
            return;
        }
        cap /= 2;
    }
    // It is the names that are too long: a hundred of them, all of control characters.
    out.truncate(start);
    begin(out, record, ids);
    out.extend_from_slice(b",\"jsonPayload\":{\"message\":");
    let (message, message_cut) = flat::message(record, 256);
    json::string(out, &message);
    level(out, record);
    let whole = message_cut.unwrap_or(record.message().len() as u64);
    let lost = record.fields().count() + usize::from(record.fields_left_out());
    let rest = format!(r#","truncated":true,"original_len":{whole},"fields_left_out":{lost}}}}}"#);
    out.extend_from_slice(rest.as_bytes());
}

/// The payload whose fields are being written.
struct Fields<'f> {
    out: &'f mut Vec<u8>,
    besides: usize,
    /// What goes beside the payload.
    trace: Option<[u8; 32]>,
    span: Option<[u8; 16]>,
    sampled: Option<bool>,
}

impl Fields<'_> {
    /// Takes what has a place of its own in an entry, if it has the form that it needs there.
    #[inline]
    fn lift(&mut self, name: &str, value: Value<'_>) -> bool {
        match (name, value) {
            ("trace_id", Value::Str(text)) => self.trace = id(text),
            ("span_id", Value::Str(text)) => self.span = id(text),
            ("trace_sampled", Value::Bool(sampled)) => self.sampled = Some(sampled),
            _ => return false,
        }
        match name {
            "trace_id" => self.trace.is_some(),
            "span_id" => self.span.is_some(),
            _ => true,
        }
    }
}

impl Form for Fields<'_> {
    #[inline]
    fn has(&self, name: &str, _is_plain: bool) -> bool {
        RESERVED.position(name).is_some()
    }

    #[inline]
    fn put(&mut self, name: &str, _is_plain: bool, value: Value<'_>) {
        if matches!(name.len(), 7 | 8 | 13) && self.lift(name, value) {
            return;
        }
        self.out.extend_from_slice(b",\"");
        json::escaped(self.out, name);
        self.out.extend_from_slice(b"\":");
        match value {
            Value::Json(text) => self.besides += nested::write(self.out, text),
            Value::I64(number) if number.unsigned_abs() > EXACT => quoted(self.out, value),
            Value::U64(number) if number > EXACT => quoted(self.out, value),
            value => json::value(self.out, value),
        }
    }
}

#[cold]
fn quoted(out: &mut Vec<u8>, value: Value<'_>) {
    out.push(b'"');
    json::value(out, value);
    out.push(b'"');
}

/// An id of so many hexadecimal digits, which are not all zero: that would mean none.
fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: [u8; N] = text.as_bytes().try_into().ok()?;
    let is_one = digits.iter().all(u8::is_ascii_hexdigit) && digits.iter().any(|&digit| digit != b'0');
    is_one.then(|| digits.map(|digit| digit.to_ascii_lowercase()))
}

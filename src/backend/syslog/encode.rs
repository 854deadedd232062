//! Messages, straight from the frames.

use std::ops::Range;

use super::super::flat::{self, Form, Ids, Names};
use super::super::sites::Sites;
use super::super::{Batch, RecordRef, Resource, Severity, Value, json};
use super::{Framing, Syslog, name};
use crate::frame::CharBoundary as _;

/// rsyslog counts the bytes of structured data in 16 bits, and of more keeps what is left modulo 65,536, without a word.
/// Here what stands before it counts as well.
const STRUCTURED_MAX: usize = 65_000;

const RESERVED: Names<'static> = Names::new(&flat::RESERVED);

/// What is the same for all messages of a batch.
pub(super) struct Encoder<'r> {
    framing: Framing,
    most: usize,
    facility: u8,
    /// Host, program and process.
    head: String,
    /// Opens the structured data.
    open: String,
    tail: Tail<'r>,
    is_line: bool,
}

/// What changes from one to the next.
#[derive(Default)]
struct State {
    ids: Ids,
    sites: Sites,
    /// Digits of the last length.
    digits: usize,
}

impl<'r> Encoder<'r> {
    pub(super) fn new(syslog: &Syslog, resource: &'r Resource) -> Self {
        let host = resource.get("host").or_else(|| resource.get("pod")).unwrap_or_default();
        let is_line = syslog.framing == Framing::Newline;
        Self {
            framing: syslog.framing,
            most: syslog.message_bytes,
            facility: syslog.facility as u8,
            head: format!(" {} {} {} ", name::head(host, 255), name::head(resource.service_name(), 48), syslog.process),
            open: format!(" [logchute@{} time=\"", syslog.enterprise),
            tail: Tail::new(resource, is_line),
            is_line,
        }
    }

    pub(super) fn resource_len(&self) -> usize {
        self.head.len() + self.tail.bytes.len()
    }

    pub(super) fn messages(&self, batch: &Batch<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(batch.cost());
        let mut state = State { digits: 3, ..State::default() };
        for record in batch.records() {
            match self.framing {
                Framing::Newline => {
                    self.message(&mut out, &record, &mut state);
                    out.push(b'\n');
                }
                Framing::OctetCounting => self.counted(&mut out, &record, &mut state),
            }
        }
        out
    }

    /// The length, a blank, and the message.
    fn counted(&self, out: &mut Vec<u8>, record: &RecordRef<'_>, state: &mut State) {
        let start = out.len();
        out.resize(start + state.digits + 1, b' ');
        self.message(out, record, state);
        let mut number = itoa::Buffer::new();
        let digits = number.format(out.len() - start - state.digits - 1).as_bytes();
        if digits.len() != state.digits {
            // Neighbours are about as long, so this is rare. What was remembered of it stands elsewhere now.
            out.splice(start..start + state.digits, digits.iter().copied());
            (state.digits, state.sites) = (digits.len(), Sites::default());
        } else {
            out[start..start + digits.len()].copy_from_slice(digits);
        }
    }

    #[inline]
    fn message(&self, out: &mut Vec<u8>, record: &RecordRef<'_>, state: &mut State) {
        let start = out.len();
        if !self.message_of(out, record, state, usize::MAX) {
            self.shorter(out, start, record, state);
        }
    }

    /// With each of its values cut to `cap` bytes; whether it is short enough.
    #[inline]
    fn message_of(&self, out: &mut Vec<u8>, record: &RecordRef<'_>, state: &mut State, cap: usize) -> bool {
        let start = out.len();
        self.head_of(out, record);
        state.sites.write(out, record, if self.is_line { site_of_line } else { site });
        self.pair(out, b" thread=\"", record.thread());
        if record.spans().next().is_some() {
            out.extend_from_slice(b" span=\"");
            flat::span_path(out, record.spans(), if self.is_line { escaped_line } else { escaped });
            out.push(b'"');
        }
        id(out, record, &mut state.ids);
        let (message, message_cut) = flat::message(record, cap);
        let mut form = Element { out, encoder: self, replaced: 0 };
        flat::fill(&mut form, record.fields(), cap, message_cut);
        let replaced = form.replaced;
        self.tail.write(out, replaced);
        out.push(b']');
        let before_text = out.len() - start;
        self.text(out, &message);
        out.len() - start <= self.most && before_text <= STRUCTURED_MAX
    }

    /// Up to the level.
    #[inline]
    fn head_of(&self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        out.push(b'<');
        let priority = self.facility * 8 + severity(record.severity());
        out.extend_from_slice(itoa::Buffer::new().format(priority).as_bytes());
        out.extend_from_slice(b">1 ");
        let at = out.len();
        json::rfc3339(out, record.unix_nanos());
        // The protocol has six digits at most (§6.2.3); all nine stand below.
        let exact: [u8; 30] = out[at..at + 30].try_into().unwrap_or([b'0'; 30]);
        out.truncate(at + 26);
        out.push(b'Z');
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(kind(record.target(), &mut [0; 32]));
        out.extend_from_slice(self.open.as_bytes());
        out.extend_from_slice(&exact);
        out.extend_from_slice(b"\" level=\"");
        out.extend_from_slice(record.severity().as_str().as_bytes());
        out.push(b'"');
    }

    /// What follows the structured data.
    #[inline]
    fn text(&self, out: &mut Vec<u8>, message: &str) {
        // White space at the end makes a counted message unreadable for the Collector; rsyslog takes a line feed away.
        let message = message.trim_end_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
        if message.is_empty() {
            return;
        }
        out.push(b' ');
        if self.is_line {
            replaced(out, message, on_a_line);
        } else {
            out.extend_from_slice(message.as_bytes());
        }
    }

    #[inline]
    fn pair(&self, out: &mut Vec<u8>, open: &[u8], value: &str) {
        out.extend_from_slice(open);
        self.value(out, value);
        out.push(b'"');
    }

    #[inline]
    fn value(&self, out: &mut Vec<u8>, value: &str) {
        if self.is_line { escaped_line(out, value) } else { escaped(out, value) }
    }

    /// Writes the message again, with values cut as much as it takes.
    #[cold]
    fn shorter(&self, out: &mut Vec<u8>, start: usize, record: &RecordRef<'_>, state: &mut State) {
        let mut cap = self.most;
        while cap >= 32 {
            out.truncate(start);
            state.sites = Sites::default();
            if self.message_of(out, record, state, cap) {
                return;
            }
            cap /= 2;
        }
        // It is the names, or the resource, that are too long.
        out.truncate(start);
        state.sites = Sites::default();
        self.head_of(out, record);
        id(out, record, &mut state.ids);
        let (message, message_cut) = flat::message(record, 256);
        let whole = message_cut.unwrap_or(record.message().len() as u64);
        let lost = record.fields().count() + usize::from(record.fields_left_out());
        out.extend_from_slice(
            format!(" truncated=\"true\" original_len=\"{whole}\" fields_left_out=\"{lost}\"").as_bytes(),
        );
        let service = self.tail.service_name;
        self.pair(out, b" service_name=\"", &service[..service.floor_char_boundary_at(256)]);
        out.push(b']');
        self.text(out, &message);
    }
}

/// RFC 5424 §6.2.1.
const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Fatal => 2,
        Severity::Error => 3,
        Severity::Warn => 4,
        Severity::Info => 6,
        Severity::Debug | Severity::Trace => 7,
    }
}

/// What kind of message it is: the beginning of its target.
#[inline]
fn kind<'b>(target: &str, buffer: &'b mut [u8; 32]) -> &'b [u8] {
    let len = target.len().min(buffer.len());
    for (to, byte) in buffer.iter_mut().zip(target.bytes()) {
        *to = if matches!(byte, b'!'..=b'~') { byte } else { b'_' };
    }
    if len == 0 {
        buffer[0] = b'-';
    }
    &buffer[..len.max(1)]
}

#[inline]
fn id(out: &mut Vec<u8>, record: &RecordRef<'_>, ids: &mut Ids) {
    out.extend_from_slice(b" id=\"");
    out.extend_from_slice(ids.text(record.id()).as_bytes());
    out.push(b'"');
}

fn site(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    site_by(out, record, escaped);
}

fn site_of_line(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    site_by(out, record, escaped_line);
}

/// Target, file and line.
fn site_by(out: &mut Vec<u8>, record: &RecordRef<'_>, write: fn(&mut Vec<u8>, &str)) {
    out.extend_from_slice(b" target=\"");
    write(out, record.target());
    if let Some(file) = record.file() {
        out.extend_from_slice(b"\" file=\"");
        write(out, file);
    }
    if let Some(line) = record.line() {
        out.extend_from_slice(b"\" line=\"");
        out.extend_from_slice(itoa::Buffer::new().format(line).as_bytes());
    }
    out.push(b'"');
}

/// A value of structured data: `"`, `\` and `]` have a `\` before them. Line breaks, which are better not sent there
/// (§6.3.3), are `\n` and `\r`: VictoriaLogs loses what follows them.
#[inline]
fn escaped(out: &mut Vec<u8>, text: &str) {
    replaced(out, text, in_a_value);
}

/// The same on one line.
fn escaped_line(out: &mut Vec<u8>, text: &str) {
    replaced(out, text, |byte| in_a_value(byte).or_else(|| on_a_line(byte)));
}

#[inline]
fn in_a_value(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'"' => Some(b"\\\""),
        b'\\' => Some(br"\\"),
        b']' => Some(br"\]"),
        // The Collector reads no value in which a `\` stands before any other character.
        b'\n' => Some(br"\\n"),
        b'\r' => Some(br"\\r"),
        _ => None,
    }
}

/// What would end a message, or did in some server. NUL is written as §6.1 has it.
fn on_a_line(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'\n' => Some(br"\n"),
        b'\r' => Some(br"\r"),
        0 => Some(b"#000"),
        _ => None,
    }
}

/// Writes what `instead` gives for bytes for which it gives something.
#[inline]
fn replaced(out: &mut Vec<u8>, text: &str, instead: impl Fn(u8) -> Option<&'static [u8]>) {
    let mut rest = text.as_bytes();
    while let Some((at, instead)) = rest.iter().enumerate().find_map(|(at, &byte)| Some((at, instead(byte)?))) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(instead);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Bytes that [`escaped`] makes of a text.
#[inline]
pub(super) fn escaped_len(text: &[u8]) -> usize {
    text.len() + text.iter().filter(|byte| matches!(byte, b'"' | b'\\' | b']' | b'\n' | b'\r')).count()
}

/// The structured data whose fields are being written.
struct Element<'e, 'r> {
    out: &'e mut Vec<u8>,
    encoder: &'e Encoder<'r>,
    /// A bit for each attribute of the resource whose name a field has.
    replaced: u128,
}

impl Form for Element<'_, '_> {
    #[inline]
    fn has(&self, name: &str, is_plain: bool) -> bool {
        RESERVED.position(name).is_some() || (!is_plain && RESERVED.position(&name::allowed(name)).is_some())
    }

    fn same(&self, one: &str, other: &str) -> bool {
        name::same(one, other)
    }

    #[inline]
    fn is_plain(&self, name: &str) -> bool {
        name::is_plain(name)
    }

    #[inline]
    fn put(&mut self, name: &str, is_plain: bool, value: Value<'_>) {
        let allowed = if is_plain { name.into() } else { name::allowed(name) };
        if let Some(place) = self.encoder.tail.place(&allowed) {
            self.replaced |= 1 << place;
        }
        self.out.push(b' ');
        self.out.extend_from_slice(allowed.as_bytes());
        self.out.extend_from_slice(b"=\"");
        json::with_text(value, |text| self.encoder.value(self.out, text));
        self.out.push(b'"');
    }
}

/// The resource as it stands at the end of the structured data.
struct Tail<'r> {
    service_name: &'r str,
    bytes: Vec<u8>,
    /// Names of the attributes as they stand there, and where.
    places: Vec<(String, Range<usize>)>,
    /// Says of most names that no attribute has them.
    bits: [u64; 4],
}

impl<'r> Tail<'r> {
    /// Attributes whose names stand for something else already are not shown, nor any beyond the 128th.
    fn new(resource: &'r Resource, is_line: bool) -> Self {
        let write = if is_line { escaped_line } else { escaped };
        let mut bytes = b" service_name=\"".to_vec();
        write(&mut bytes, resource.service_name());
        bytes.push(b'"');
        let (mut places, mut bits) = (Vec::<(String, Range<usize>)>::new(), [0; 4]);
        for (key, value) in resource.attributes() {
            let name = name::allowed(key).into_owned();
            let is_taken = RESERVED.position(&name).is_some() || places.iter().any(|(other, _)| *other == name);
            if key.is_empty() || is_taken || places.len() == u128::BITS as usize {
                continue;
            }
            let start = bytes.len();
            bytes.extend_from_slice(format!(" {name}=\"").as_bytes());
            write(&mut bytes, value);
            bytes.push(b'"');
            Names::add(&mut bits, &name);
            places.push((name, start..bytes.len()));
        }
        Self { service_name: resource.service_name(), bytes, places, bits }
    }

    #[inline]
    fn place(&self, name: &str) -> Option<usize> {
        if Names::may_have(&self.bits, name) { self.places.iter().position(|(other, _)| other == name) } else { None }
    }

    /// Writes it without the attributes that fields replaced.
    #[inline]
    fn write(&self, out: &mut Vec<u8>, replaced: u128) {
        if replaced == 0 {
            return out.extend_from_slice(&self.bytes);
        }
        out.extend_from_slice(&self.bytes[..self.places.first().map_or(self.bytes.len(), |(_, first)| first.start)]);
        for (_, (_, place)) in self.places.iter().enumerate().filter(|(at, _)| replaced >> at & 1 == 0) {
            out.extend_from_slice(&self.bytes[place.clone()]);
        }
    }
}

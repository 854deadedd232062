//! What stands in a record besides time, severity and message, and within which limits.
//!
//! First `log.record.uid`, `code.file.path`, `code.line.number`, `thread.name` and `span` (names, the outermost first),
//! then its fields, see `flat.rs`. The first error among them is `exception.message` and `exception.type`, as long as
//! no field has such a name; its causes keep their name, as they are no stack trace. Fields `trace_id`, `span_id` and
//! `trace_flags` that are what they should be have places of their own; any other value stays an attribute.

use std::marker::PhantomData;

use super::super::flat::{self, Form, Ids, Names};
use super::super::flattened::Room;
use super::super::{RecordRef, Value, json};
use super::nested;
use super::wire::{Head, Place, Tail, Wire};
use crate::frame::{KEY_MAX, Raw};

const UID: &str = "log.record.uid";
const FILE: &str = "code.file.path";
const LINE: &str = "code.line.number";
const THREAD: &str = "thread.name";
const SPAN: &str = "span";
/// Where a store's limit of attributes is reached, all further ones are in this one, a JSON object.
const MORE: &str = "more";
const EXCEPTION_MESSAGE: &str = "exception.message";
const EXCEPTION_TYPE: &str = "exception.type";

static RESERVED: Names<'static> =
    Names::new(&flat::joined::<{ flat::RESERVED.len() }, 5, { flat::RESERVED.len() + 5 }>(
        flat::RESERVED,
        [UID, FILE, LINE, THREAD, MORE],
    ));

/// What a store takes of a record.
#[derive(Clone, Copy)]
pub(super) struct Limits<'r> {
    /// What is said once of all records.
    resource: &'r [(&'r str, &'r str)],
    attributes: usize,
    /// Of names and values.
    bytes: usize,
    nested: Nested,
}

/// What becomes of nested values.
#[derive(Clone, Copy)]
enum Nested {
    /// Arrays and lists of pairs.
    Kept,
    /// The same, of which the store makes fields `outer.inner`.
    Flattened(Room),
    /// JSON text.
    Text,
}

impl<'r> Limits<'r> {
    /// The protocol has none, and a frame has at most 128 fields and a mebibyte.
    pub(super) const NONE: Self =
        Self { resource: &[], attributes: usize::MAX, bytes: usize::MAX, nested: Nested::Kept };
    /// Loki takes 128 keys of structured metadata (`max_structured_metadata_entries_count`) and 64 KiB
    /// (`max_structured_metadata_size`), in which it counts attributes of the resource, severity, trace, scope and times,
    /// and each member of a nested value.
    pub(super) const LOKI: Self = Self { attributes: 116, bytes: 60 * 1024, nested: Nested::Text, ..Self::NONE };
    /// VictoriaLogs, see `flattened.rs`.
    pub(super) const VICTORIALOGS: Self = Self { nested: Nested::Flattened(Room::new(KEY_MAX)), ..Self::NONE };

    /// Where there are limits, those attributes count as well.
    pub(super) fn leave_room_for(&mut self, resource: &'r [(&'r str, &'r str)]) {
        self.resource = resource;
        let bytes: usize = resource.iter().map(|(key, value)| key.len() + value.len()).sum();
        if self.attributes < usize::MAX {
            self.attributes = self.attributes.saturating_sub(resource.len()).max(16);
            self.bytes = self.bytes.saturating_sub(bytes).max(4096);
        }
    }
}

/// What is kept between records.
#[derive(Default)]
pub(super) struct Scratch {
    ids: Ids,
    sites: Sites,
    spans: Vec<u8>,
    more: Vec<u8>,
}

/// Writes the record.
#[inline]
pub(super) fn write<W: Wire>(out: &mut Vec<u8>, record: &RecordRef<'_>, limits: Limits<'_>, scratch: &mut Scratch) {
    let start = out.len();
    let bytes = write_cut::<W>(out, record, limits, usize::MAX, scratch);
    if bytes > limits.bytes {
        out.truncate(start);
        shorter::<W>(out, record, limits, scratch);
    }
}

/// Writes the record with values cut as much as it takes.
#[cold]
fn shorter<W: Wire>(out: &mut Vec<u8>, record: &RecordRef<'_>, limits: Limits<'_>, scratch: &mut Scratch) {
    let start = out.len();
    let mut cap = limits.bytes / 2;
    loop {
        let bytes = write_cut::<W>(out, record, limits, cap, scratch);
        if bytes <= limits.bytes {
            return;
        }
        out.truncate(start);
        cap /= 2;
        if cap < 32 {
            break;
        }
    }
    // It is the names that are too long.
    W::record(out, record.message().len() + 200, &head(record, record.message()), |out| {
        let lost = record.fields().count() + usize::from(record.fields_left_out());
        W::attribute(out, Place::Record, UID, Value::Str(scratch.ids.text(record.id())));
        W::attribute(out, Place::Record, "truncated", Value::Bool(true));
        W::attribute(out, Place::Record, "fields_left_out", Value::U64(lost as u64));
        Tail { dropped: u32::try_from(lost).unwrap_or(u32::MAX), ..Tail::default() }
    });
}

#[inline]
fn head<'a>(record: &RecordRef<'_>, message: &'a str) -> Head<'a> {
    // There is no time before 1970 in the protocol, and zero means that it is not known.
    let nanos = u64::try_from(record.unix_nanos()).unwrap_or(0).max(1);
    Head { nanos, severity: record.severity(), message }
}

/// Writes the record with each of its values cut to `cap` bytes; returns the bytes of names and values of attributes.
#[inline]
fn write_cut<W: Wire>(
    out: &mut Vec<u8>,
    record: &RecordRef<'_>,
    limits: Limits<'_>,
    cap: usize,
    scratch: &mut Scratch,
) -> usize {
    let Scratch { ids, sites, spans, more } = scratch;
    more.clear();
    let mut bytes = 0;
    W::record(out, 256.max(record.encoded_hint() - 192), &head(record, record.message()), |out| {
        sites.write::<W>(out, record);
        W::attribute(out, Place::Record, UID, Value::Str(ids.text(record.id())));
        W::attribute(out, Place::Record, THREAD, Value::Str(record.thread()));
        let (tail, wire) = (Tail::default(), PhantomData);
        let mut form = Attributes::<W> { record, out, limits, count: 4, bytes: 0, more, tail, exception: None, wire };
        if record.spans().next().is_some() {
            spans.clear();
            flat::span_path(spans, record.spans(), |out, name| out.extend_from_slice(name.as_bytes()));
            let path = str::from_utf8(spans).unwrap_or_default();
            if path.len() <= cap {
                form.attribute(SPAN, Value::Str(path));
            } else {
                form.attribute(SPAN, Value::Str(&flat::cut(path, cap)));
            }
        }
        flat::fill(&mut form, record.fields(), cap, record.message_original_len());
        form.close();
        bytes = form.bytes + FILE.len() + LINE.len() + UID.len() + 49 + THREAD.len() + record.thread_len();
        bytes += record.file().map_or(0, str::len);
        form.tail
    });
    bytes
}

/// Where the last records were made, as it was written then.
///
/// It is kept apart from the body, in which a message moves when its length takes another byte than was guessed.
#[derive(Default)]
struct Sites([(usize, Vec<u8>); 16]);

impl Sites {
    /// Writes file and line.
    #[inline]
    fn write<W: Wire>(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        let Some(site) = record.callsite().map(|site| std::ptr::from_ref(site) as usize) else {
            return write_site::<W>(out, record);
        };
        // Callsites are statics of a hundred bytes or more.
        let (known, written) = &mut self.0[site / 64 % 16];
        if *known != site {
            *known = site;
            written.clear();
            // The comma that may have to go before it depends on what stands in the body.
            written.push(b'[');
            write_site::<W>(written, record);
        }
        out.extend_from_slice(&written[1..]);
    }
}

fn write_site<W: Wire>(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    if let Some(file) = record.file() {
        W::attribute(out, Place::Record, FILE, Value::Str(file));
    }
    if let Some(line) = record.line() {
        W::attribute(out, Place::Record, LINE, Value::I64(line.into()));
    }
}

/// The attributes of a record under way.
struct Attributes<'w, W> {
    record: &'w RecordRef<'w>,
    out: &'w mut Vec<u8>,
    limits: Limits<'w>,
    count: usize,
    /// Of names and values.
    bytes: usize,
    /// Members of the object that holds those beyond the limit.
    more: &'w mut Vec<u8>,
    tail: Tail,
    /// The name of the error that is the exception.
    exception: Option<String>,
    wire: PhantomData<W>,
}

impl<'w, W: Wire> Attributes<'w, W> {
    #[inline]
    fn attribute(&mut self, name: &str, value: Value<'_>) {
        self.count += 1;
        if self.count >= self.limits.attributes {
            return self.put_more(name, value);
        }
        self.bytes += name.len() + size(value);
        match value {
            Value::Json(json) if self.stays_nested(name, json) => {
                let any = |out: &mut Vec<u8>| nested::any::<W>(out, json);
                W::pair(self.out, Place::Record, json.len(), name, any);
            }
            value => W::attribute(self.out, Place::Record, name, value),
        }
    }

    fn stays_nested(&mut self, name: &str, json: &str) -> bool {
        match &mut self.limits.nested {
            Nested::Kept => true,
            Nested::Text => false,
            Nested::Flattened(room) => {
                let names = self.record.all_fields().map(|field| field.key);
                let reserved = RESERVED.iter().map(|name| -> &'w str { name });
                let attributes = self.limits.resource.iter().map(|(name, _)| *name);
                room.takes(name, json, names.chain(reserved).chain(attributes))
            }
        }
    }

    /// An attribute beyond the limit.
    #[cold]
    fn put_more(&mut self, name: &str, value: Value<'_>) {
        let before = self.more.len();
        self.more.push(if before == 0 { b'{' } else { b',' });
        json::string(self.more, name);
        self.more.push(b':');
        json::value(self.more, value);
        self.bytes += self.more.len() - before;
    }

    /// Writes what is in one attribute together.
    fn close(&mut self) {
        if !self.more.is_empty() {
            self.more.push(b'}');
            let more = str::from_utf8(self.more).unwrap_or_default();
            W::attribute(self.out, Place::Record, MORE, Value::Str(more));
        }
    }

    /// Whether it is a part of the trace context, which has a place of its own.
    #[inline(never)]
    fn takes_context(&mut self, name: &str, value: Value<'_>) -> bool {
        match (name, value) {
            ("trace_id", Value::Str(text)) => take(&mut self.tail.trace_id, id(text)),
            ("span_id", Value::Str(text)) => take(&mut self.tail.span_id, id(text)),
            ("trace_flags", Value::Str(text)) => {
                let flags = bytes_of_hex::<1>(text).map(|[flags]| flags);
                take(&mut self.tail.flags, flags)
            }
            ("trace_flags", Value::I64(flags)) => take(&mut self.tail.flags, u8::try_from(flags).ok()),
            ("trace_flags", Value::U64(flags)) => take(&mut self.tail.flags, u8::try_from(flags).ok()),
            _ => false,
        }
    }

    /// The name by which a part of an error is known to stores, if it is the exception.
    #[cold]
    fn exception_name(&mut self, name: &str, value: Value<'_>) -> Option<&'static str> {
        if let Some(error) = &self.exception {
            return match name.strip_prefix(&**error)? {
                ".type" => Some(EXCEPTION_TYPE),
                ".original_len" => Some("exception.message.original_len"),
                _ => None,
            };
        }
        let is_free = |names: [&str; 3]| !self.record.all_fields().any(|field| names.contains(&field.key));
        let is_error = matches!(value, Value::Error(_));
        if is_error && is_free([EXCEPTION_MESSAGE, EXCEPTION_TYPE, "exception.message.original_len"]) {
            self.exception = Some(name.to_owned());
            return Some(EXCEPTION_MESSAGE);
        }
        None
    }
}

impl<W: Wire> Form for Attributes<'_, W> {
    #[inline]
    fn has(&self, name: &str, _is_plain: bool) -> bool {
        RESERVED.position(name).is_some()
    }

    #[inline]
    fn put(&mut self, name: &str, _is_plain: bool, value: Value<'_>) {
        if matches!(name, "trace_id" | "span_id" | "trace_flags") && self.takes_context(name, value) {
            return;
        }
        let mut name = name;
        if self.exception.is_some() || matches!(value, Value::Error(_)) {
            name = self.exception_name(name, value).unwrap_or(name);
        }
        if let ("fields_left_out", Value::U64(count)) = (name, value) {
            self.tail.dropped = u32::try_from(count).unwrap_or(u32::MAX);
        }
        self.attribute(name, value);
    }
}

/// Bytes of a value, as a store counts them.
#[inline]
fn size(value: Value<'_>) -> usize {
    match value {
        Value::Str(text) | Value::Error(text) | Value::Json(text) => text.len(),
        Value::Bytes(bytes) => bytes.len().div_ceil(3) * 4,
        Value::I128(_) | Value::U128(_) => 40,
        _ => 20,
    }
}

/// What the record adds to a request, in bytes.
#[inline]
pub(super) fn cost<W: Wire>(record: &RecordRef<'_>) -> usize {
    let text = |text: &str| W::text_cost(text.as_bytes());
    let mut cost = W::RECORD + W::text_cost(record.message_bytes());
    cost += W::PAIR + UID.len() + 49 + W::PAIR + THREAD.len() + record.thread_len();
    cost += record.file().map_or(0, |file| W::PAIR + FILE.len() + file.len());
    cost += record.line().map_or(0, |_| W::PAIR + LINE.len() + 2);
    let spans: usize = record.spans().map(|name| text(name) + 1).sum();
    cost += if spans > 0 { W::PAIR + SPAN.len() + spans } else { 0 };
    record.weigh_fields_and_nested(|key, is_nested, value| {
        cost += W::PAIR + W::text_cost(key);
        cost += match value {
            Raw::Text(json) if is_nested => nested_cost::<W>(json),
            Raw::Text(text) => W::text_cost(text),
            Raw::Value(value) => W::value_cost(value),
        };
    });
    cost
}

/// What a nested value takes, by what there is in it.
fn nested_cost<W: Wire>(json: &[u8]) -> usize {
    let each = |byte: &u8| match byte {
        b',' => W::ITEM,
        b':' => W::PAIR - W::ITEM,
        b'{' | b'[' => W::ITEM + W::LIST,
        _ => 0,
    };
    json.len() + json.iter().map(each).sum::<usize>()
}

/// Sets it if there is something to be set.
fn take<T>(place: &mut Option<T>, found: Option<T>) -> bool {
    let is_found = found.is_some();
    if is_found {
        *place = found;
    }
    is_found
}

/// An id in hexadecimal digits; one of zeros alone is invalid.
fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    bytes_of_hex(text).filter(|id| *id != [0; N])
}

fn bytes_of_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |at: usize| char::from(digits[at]).to_digit(16);
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (digit(2 * at)? << 4 | digit(2 * at + 1)?) as u8;
    }
    Some(bytes)
}

//! A record as one JSON object, for every store that takes such objects, whatever it calls their parts.
//!
//! First what every record has (absent parts are left out), then its fields and those of its spans, flat, then a
//! [`Tail`] that is the same for all records of a batch: who is speaking. A field of the name of an attribute is shown in
//! its place; a field of any other name that stands here already becomes `field_NAME`, see `flat.rs`. An object that
//! would be longer than its store takes is written again with its longest values cut, and says so.

use std::borrow::Cow;
use std::ops::Range;

use super::flat::{self, Form, Ids, Names};
use super::flattened::Room;
use super::sites::Sites;
use super::{Field, RecordRef, Records, Value, json};
use crate::frame::{CharBoundary as _, KEY_MAX, cut_key};

/// What a line needs in the worst case when all but the head of the record is left out.
pub(super) const SHORTEST_LIMIT: usize = 4096;

/// Levels as they are called here.
const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

pub(super) static RESERVED: Names<'static> = Names::new(&flat::RESERVED);

/// What a store calls the parts of a record, and what it takes as their values.
#[derive(Clone, Copy)]
pub(super) struct Shape<'s> {
    /// From the brace up to the time.
    pub(super) open: &'s [u8],
    /// The time as a number, and what stands between it and the time as text.
    pub(super) number: Option<(Number, &'s [u8])>,
    /// From behind the time, which is text in quotes, up to the word for the level.
    pub(super) level: &'s [u8],
    /// A word for each level, by its number.
    pub(super) levels: &'s [&'static str; 6],
    pub(super) values: Values,
    /// Names that no field may have.
    pub(super) reserved: &'s Names<'static>,
    /// Fields that the store knows by another name. A field of that name is the same to it, and goes first.
    pub(super) renamed: &'static [(&'static str, &'static str)],
    /// The most bytes of a field's name; longer ones are cut.
    pub(super) longest_name: usize,
    /// The most bytes that an object may have; at least [`SHORTEST_LIMIT`].
    pub(super) most: usize,
}

/// A time as a number, since 1970.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(all(feature = "splunk", feature = "datadog")), allow(dead_code))]
pub(super) enum Number {
    /// With nine decimal places.
    Seconds,
    Millis,
    Micros,
}

/// Which values a store takes as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "datadog"), allow(dead_code))]
pub(super) enum Values {
    /// All of them.
    Typed,
    /// All of them, but of objects it makes fields `outer.inner`, see `flattened.rs`.
    Flattened,
    /// Nested ones as a text that holds JSON.
    Flat,
    /// Nothing but texts.
    Texts,
}

impl Shape<'static> {
    /// The usual names: `time`, `level`, `message`.
    pub(super) const PLAIN: Self = Self {
        open: b"{\"time\":\"",
        number: None,
        level: b"\",\"level\":\"",
        levels: &LEVELS,
        values: Values::Typed,
        reserved: &RESERVED,
        renamed: &[],
        longest_name: KEY_MAX,
        most: usize::MAX,
    };
}

impl Shape<'_> {
    /// What an object takes beside its record and its tail.
    pub(super) const fn frame(&self) -> usize {
        // Names, the time as text, a level, and the id.
        const REST: usize = r#"","message":"","target":"","thread":"","id":""}_"#.len() + 30 + 5 + 49;
        let number = match self.number {
            Some((_, behind)) => 16 + behind.len(),
            None => 0,
        };
        REST + self.open.len() + number + self.level.len()
    }
}

/// What a record adds to its object beside [`Shape::frame`].
pub(super) fn cost(record: &RecordRef<'_>) -> usize {
    // Names of files and targets have few escapes.
    let site = record.target().len() + record.file().map_or(0, |file| file.len() + r#","file":"","line":1234"#.len());
    site + super::cost::in_json(record, r#","span":"""#)
}

/// Writes the objects of a batch.
pub(super) struct Lines<'l> {
    shape: Shape<'l>,
    tail: Tail<'l>,
    ids: Ids,
    sites: Sites,
}

impl<'l> Lines<'l> {
    pub(super) fn new(shape: Shape<'l>, tail: Tail<'l>) -> Self {
        Self { shape, tail, ids: Ids::default(), sites: Sites::default() }
    }

    /// Writes the object of a record; it goes to the same `out` as the ones before it.
    #[inline]
    pub(super) fn write(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        let start = out.len();
        self.whole(out, record, usize::MAX);
        if out.len() - start > self.shape.most {
            self.shorter(out, start, record);
        }
    }

    /// Writes the objects of these records as an array.
    pub(super) fn array(&mut self, out: &mut Vec<u8>, records: Records<'_>) {
        out.push(b'[');
        for (at, record) in records.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.write(out, &record);
        }
        out.push(b']');
    }

    /// With each value cut to `cap` bytes.
    #[inline]
    fn whole(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>, cap: usize) {
        let message_cut = self.head(out, record, cap);
        self.sites.write(out, record, if self.shape.values == Values::Texts { site_in_texts } else { site });
        out.extend_from_slice(b",\"thread\":");
        json::string(out, record.thread());
        if record.spans().next().is_some() {
            out.extend_from_slice(b",\"span\":\"");
            flat::span_path(out, record.spans(), json::escaped);
            out.push(b'"');
        }
        self.id(out, record);
        let mut form = Line::new(out, record, &self.shape, &self.tail);
        flat::fill(&mut form, record.fields(), cap, message_cut);
        let replaced = form.replaced;
        self.tail.write(out, replaced);
    }

    #[inline]
    fn id(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        out.extend_from_slice(b",\"id\":\"");
        out.extend_from_slice(self.ids.text(record.id()).as_bytes());
        out.push(b'"');
    }

    /// Opens the object and writes what is never left out; returns the length of a message that was cut.
    #[inline]
    fn head(&self, out: &mut Vec<u8>, record: &RecordRef<'_>, cap: usize) -> Option<u64> {
        let shape = &self.shape;
        out.extend_from_slice(shape.open);
        if let Some((number, behind)) = shape.number {
            number.write(out, record.unix_nanos());
            out.extend_from_slice(behind);
        }
        json::rfc3339(out, record.unix_nanos());
        out.extend_from_slice(shape.level);
        out.extend_from_slice(shape.levels[record.severity() as usize].as_bytes());
        out.extend_from_slice(b"\",\"message\":");
        let (message, message_cut) = flat::message(record, cap);
        json::string(out, &message);
        message_cut
    }

    /// Writes the object again, with values cut as much as it takes.
    #[cold]
    fn shorter(&mut self, out: &mut Vec<u8>, start: usize, record: &RecordRef<'_>) {
        let most = self.shape.most;
        let mut cap = most;
        while cap >= 32 {
            out.truncate(start);
            // What they point to is gone.
            self.sites = Sites::default();
            self.whole(out, record, cap);
            if out.len() - start <= most {
                return;
            }
            cap /= 2;
        }
        // It is the names that are too long: a hundred of them, all of control characters.
        out.truncate(start);
        self.sites = Sites::default();
        let message_cut = self.head(out, record, 256);
        self.id(out, record);
        let mut form = Line::new(out, record, &self.shape, &self.tail);
        form.put("truncated", true, Value::Bool(true));
        form.put("original_len", true, Value::U64(message_cut.unwrap_or(record.message().len() as u64)));
        let lost = record.fields().count() as u64 + u64::from(record.fields_left_out());
        form.put("fields_left_out", true, Value::U64(lost));
        out.extend_from_slice(&self.tail.short);
    }
}

impl Number {
    fn write(self, out: &mut Vec<u8>, unix_nanos: i64) {
        let mut digits = itoa::Buffer::new();
        let whole = |nanos: i64| unix_nanos.div_euclid(nanos);
        match self {
            Self::Millis => out.extend_from_slice(digits.format(whole(1_000_000)).as_bytes()),
            Self::Micros => out.extend_from_slice(digits.format(whole(1_000)).as_bytes()),
            Self::Seconds => {
                // Before 1970 the fraction counts downwards, as in any decimal number.
                if unix_nanos < 0 {
                    out.push(b'-');
                }
                let nanos = unix_nanos.unsigned_abs();
                out.extend_from_slice(digits.format(nanos / 1_000_000_000).as_bytes());
                let mut text = *b".000000000";
                let mut rest = nanos % 1_000_000_000;
                for digit in text[1..].iter_mut().rev() {
                    *digit = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
                out.extend_from_slice(&text);
            }
        }
    }
}

/// Target, file and line.
fn site(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    site_up_to_line(out, record);
    if let Some(line) = record.line() {
        out.extend_from_slice(b",\"line\":");
        out.extend_from_slice(itoa::Buffer::new().format(line).as_bytes());
    }
}

/// The same, for a store that takes nothing but texts.
fn site_in_texts(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    site_up_to_line(out, record);
    if let Some(line) = record.line() {
        pair(out, "line", itoa::Buffer::new().format(line), usize::MAX);
    }
}

fn site_up_to_line(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    out.extend_from_slice(b",\"target\":");
    json::string(out, record.target());
    if let Some(file) = record.file() {
        out.extend_from_slice(b",\"file\":");
        json::string(out, file);
    }
}

/// An object whose fields are being written.
struct Line<'l, 's> {
    out: &'l mut Vec<u8>,
    shape: &'l Shape<'s>,
    tail: &'l Tail<'s>,
    record: &'l RecordRef<'l>,
    /// What the store may still make fields of.
    room: Room,
    /// A bit for each attribute of the resource whose name a field has.
    replaced: u128,
}

impl<'l, 's> Line<'l, 's> {
    #[inline]
    fn new(out: &'l mut Vec<u8>, record: &'l RecordRef<'l>, shape: &'l Shape<'s>, tail: &'l Tail<'s>) -> Self {
        Self { out, shape, tail, record, room: Room::new(shape.longest_name), replaced: 0 }
    }

    fn stays_nested(&mut self, name: &str, json: &str) -> bool {
        let names = self.record.all_fields().map(|field| field.key);
        let attributes = self.tail.names.iter().map(|name| -> &'l str { name });
        self.room.takes(name, json, names.chain(attributes))
    }

    fn renamed<'n>(&self, name: &'n str) -> &'n str {
        let found = self.shape.renamed.iter().find(|(ours, _)| *ours == name);
        found.map_or(name, |(_, theirs)| theirs)
    }

    #[cold]
    fn as_text(&mut self, value: Value<'_>) {
        json::with_text(value, |text| json::string(self.out, text));
    }
}

impl Form for Line<'_, '_> {
    #[inline]
    fn has(&self, name: &str, _is_plain: bool) -> bool {
        self.shape.reserved.position(name).is_some()
    }

    fn same(&self, one: &str, other: &str) -> bool {
        one == other || self.renamed(one) == self.renamed(other)
    }

    #[inline]
    fn is_plain(&self, name: &str) -> bool {
        (self.shape.renamed.is_empty() || self.renamed(name) == name)
            && (self.shape.longest_name == KEY_MAX || name.len() + 4 < self.shape.longest_name)
    }

    #[inline]
    fn known_as<'f>(&self, field: &Field<'f>) -> Cow<'f, str> {
        if field.key.len() <= self.shape.longest_name {
            return Cow::Borrowed(field.key);
        }
        let mut name = String::new();
        cut_key(field.key, self.shape.longest_name, &mut name);
        Cow::Owned(name)
    }

    fn longest_name(&self) -> usize {
        self.shape.longest_name
    }

    #[inline]
    fn put(&mut self, name: &str, is_plain: bool, value: Value<'_>) {
        if let Some(place) = self.tail.names.position(name) {
            self.replaced |= 1 << place;
        }
        let name = if is_plain { name } else { self.renamed(name) };
        self.out.extend_from_slice(b",\"");
        json::escaped(self.out, name);
        self.out.extend_from_slice(b"\":");
        match self.shape.values {
            Values::Typed => json::value(self.out, value),
            Values::Flattened => match value {
                Value::Json(json) if !self.stays_nested(name, json) => json::string(self.out, json),
                value => json::value(self.out, value),
            },
            Values::Flat if !matches!(value, Value::Json(_)) => json::value(self.out, value),
            Values::Flat | Values::Texts => self.as_text(value),
        }
    }
}

/// How each object of a batch ends: who is speaking.
pub(super) struct Tail<'r> {
    text: Vec<u8>,
    /// The end of an object for which that is too long.
    short: Vec<u8>,
    /// Names of the attributes.
    names: Names<'r>,
    /// Where each attribute stands in `text`.
    places: Vec<Range<usize>>,
}

impl<'r> Tail<'r> {
    /// First what `write` writes, which is given the most bytes that a text in it should have; then `attributes`; then
    /// `close`.
    ///
    /// Attributes whose names stand for something else already are not shown, nor any beyond the 128th.
    pub(super) fn new(
        write: impl Fn(&mut Vec<u8>, usize),
        attributes: impl Iterator<Item = (&'r str, &'r str)>,
        reserved: &Names<'_>,
        close: &'static [u8],
    ) -> Self {
        let (mut text, mut short) = (Vec::new(), Vec::new());
        write(&mut text, usize::MAX);
        write(&mut short, 256);
        short.extend_from_slice(close);
        let (mut names, mut places) = (Vec::new(), Vec::new());
        let free = |name: &str| !name.is_empty() && reserved.position(name).is_none();
        for (name, value) in attributes.filter(|(name, _)| free(name)).take(u128::BITS as usize) {
            let start = text.len();
            text.push(b',');
            json::string(&mut text, name);
            text.push(b':');
            json::string(&mut text, value);
            names.push(name);
            places.push(start..text.len());
        }
        text.extend_from_slice(close);
        Self { text, short, names: Names::of(names), places }
    }

    /// The bytes that it adds to an object.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>, replaced: u128) {
        if replaced == 0 {
            out.extend_from_slice(&self.text);
            return;
        }
        let mut begin = 0;
        for (at, place) in self.places.iter().enumerate() {
            if replaced >> at & 1 != 0 {
                out.extend_from_slice(&self.text[begin..place.start]);
                begin = place.end;
            }
        }
        out.extend_from_slice(&self.text[begin..]);
    }
}

/// `,"name":"value"`, the value cut to `most` bytes.
pub(super) fn pair(out: &mut Vec<u8>, name: &str, value: &str, most: usize) {
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
    json::string(out, &value[..value.floor_char_boundary_at(most)]);
}

#[cfg(test)]
pub(super) mod tests;

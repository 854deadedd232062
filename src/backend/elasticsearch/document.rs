//! The body of a bulk request: for each record a line that says what to do, and a line that is the document.
//!
//! What every record has is called as the Elastic Common Schema has it; fields stand beside that under their own names.
//! In [`Mode::Fallback`] nothing but the time, the message and our own names is left, and all else is one text: whatever
//! the index makes of a name, the record has a place in it.

use std::ops::Range;

use super::super::flat::{self, Form, Ids, Names};
use super::super::flattened::Room;
use super::super::sites::Sites;
use super::super::{Batch, Field, Mode, RecordRef, Resource, Value, json};
use super::names;
use super::place::Index;
use crate::frame::{CharBoundary as _, KEY_MAX};
use std::borrow::Cow;

/// The version of the schema whose names are used.
const ECS: &[u8] = b",\"ecs.version\":\"8.11.0\"";

/// Elasticsearch keeps a text of at most 32,766 bytes as one term (Lucene's `MAX_TERM_LENGTH`), and refuses the document
/// where a longer one is to be one. In plain mode it is not known whether it is; in fallback nothing is risked.
const TERM: usize = 32_000;

/// One record of so many has the names of fallback mode as well, so that an index knows them before it has so many others
/// that it takes no new ones (`index.mapping.total_fields.limit`).
const MAPPED_EVERY: u64 = 1024;

/// What does not depend on the records.
pub(super) struct Shape<'s> {
    /// Where each record goes, unless the URL says it.
    pub(super) index: Option<&'s Index>,
    /// The store knows ids; one that does not gets them as a field.
    pub(super) has_ids: bool,
    /// The most bytes of a document.
    pub(super) most: usize,
    /// The store makes fields of the members of objects, see `flattened.rs`.
    pub(super) flattens: bool,
}

/// The whole body, and what the resource takes in each document.
pub(super) fn body(shape: &Shape<'_>, batch: &Batch<'_>) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(batch.cost());
    let attributes = names::attributes(batch.resource());
    let mut documents = Documents {
        shape,
        tail: Tail::new(batch.resource(), &attributes),
        service: batch.resource().service_name(),
        ids: Ids::default(),
        sites: Sites::default(),
        day: (i64::MIN, String::new()),
    };
    for record in batch.records() {
        documents.action(&mut out, &record);
        match batch.mode() {
            Mode::Fallback => documents.in_one_field(&mut out, &record),
            _ => documents.plain(&mut out, &record),
        }
        out.push(b'\n');
    }
    (out, documents.tail.text.len())
}

/// Bytes that a record takes beside its resource.
pub(super) fn cost(record: &RecordRef<'_>) -> usize {
    // All that does not depend on the record: the action, braces, names, the time and the id.
    const FRAME: usize = r#"{"create":{"_id":""}}_{"@timestamp":"","log.level":"","message":"","log.logger":"","process.thread.name":""}_"#
        .len()
        + ECS.len()
        + 30
        + 5
        + 49;
    const FILE: usize = r#","log.origin.file.name":"","log.origin.file.line":1234"#.len();
    // Names of files and targets have few escapes.
    let site = record.target().len() + record.file().map_or(0, |file| file.len() + FILE);
    FRAME + site + super::super::cost::in_json(record, r#","span.name":"""#)
}

struct Documents<'d> {
    shape: &'d Shape<'d>,
    tail: Tail<'d>,
    service: &'d str,
    ids: Ids,
    sites: Sites,
    /// The day of the last record, since 1970, and as it is written.
    day: (i64, String),
}

impl Documents<'_> {
    /// What is to be done with the document that follows: nothing where there is one of that id.
    #[inline]
    fn action(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        out.extend_from_slice(b"{\"create\":{");
        if let Some(index) = self.shape.index {
            let day = record.unix_nanos().div_euclid(86_400_000_000_000);
            if day != self.day.0 {
                self.day = (day, index.on(record.unix_nanos()));
            }
            out.extend_from_slice(b"\"_index\":");
            json::string(out, &self.day.1);
        }
        if self.shape.has_ids {
            out.extend_from_slice(if self.shape.index.is_some() { b",\"_id\":\"" } else { b"\"_id\":\"" });
            out.extend_from_slice(self.ids.text(record.id()).as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b"}}\n");
    }

    #[inline]
    fn plain(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        let start = out.len();
        self.document(out, record, usize::MAX);
        let most = self.shape.most;
        if out.len() - start > most {
            let mut cap = most;
            while out.len() - start > most && cap >= 32 {
                self.taken_back(out, start);
                self.document(out, record, cap);
                cap /= 2;
            }
            // It is the names that are too long: a hundred of them, all of control characters.
            if out.len() - start > most {
                self.taken_back(out, start);
                self.bare(out, record);
            }
        }
    }

    /// What stood behind `start` is gone, and with it what the sites may point to.
    fn taken_back(&mut self, out: &mut Vec<u8>, start: usize) {
        out.truncate(start);
        self.sites = Sites::default();
    }

    /// With each value cut to `cap` bytes.
    #[inline]
    fn document(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>, cap: usize) {
        let cut = head(out, record, cap);
        if self.shape.has_ids && record.id().sequence.is_multiple_of(MAPPED_EVERY) {
            self.of_fallback(out, record, b"{}");
        }
        self.rest(out, record, cap, cut);
        out.push(b'}');
    }

    /// What stands behind the message: each part after a comma.
    #[inline]
    fn rest(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>, cap: usize, message_cut: Option<u64>) {
        self.sites.write(out, record, site);
        out.extend_from_slice(b",\"process.thread.name\":");
        json::string(out, record.thread());
        if record.spans().next().is_some() {
            out.extend_from_slice(b",\"span.name\":\"");
            flat::span_path(out, record.spans(), json::escaped);
            out.push(b'"');
        }
        if !self.shape.has_ids {
            self.id(out, record);
        }
        let room = self.shape.flattens.then_some(Room::new(KEY_MAX));
        let mut form = Document { out, tail: &self.tail, room, replaced: 0 };
        flat::fill(&mut form, record.fields(), cap, message_cut);
        let replaced = form.replaced;
        self.tail.write(out, replaced);
    }

    fn id(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        out.extend_from_slice(b",\"event.id\":\"");
        out.extend_from_slice(self.ids.text(record.id()).as_bytes());
        out.push(b'"');
    }

    /// A document that says what it lost.
    #[cold]
    fn bare(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        let cut = head(out, record, 256);
        if !self.shape.has_ids {
            self.id(out, record);
        }
        let whole = cut.unwrap_or(record.message().len() as u64);
        let lost = record.fields().count() + usize::from(record.fields_left_out());
        let lost = format!(",\"truncated\":true,\"original_len\":{whole},\"fields_left_out\":{lost},\"service.name\":");
        out.extend_from_slice(lost.as_bytes());
        json::string(out, &self.service[..self.service.floor_char_boundary_at(256)]);
        out.push(b'}');
    }

    /// Time and message, and all else as one text, which is JSON of at most [`TERM`] bytes.
    #[cold]
    fn in_one_field(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        let mut text = Vec::new();
        let (_, message_cut) = flat::message(record, TERM);
        let mut cap = TERM;
        loop {
            self.taken_back(&mut text, 0);
            self.rest(&mut text, record, cap, message_cut);
            if text.len() < TERM || cap < 32 {
                break;
            }
            cap /= 2;
        }
        if text.len() >= TERM {
            text.clear();
            let lost = record.fields().count() + usize::from(record.fields_left_out());
            text.extend_from_slice(format!(",\"truncated\":true,\"fields_left_out\":{lost}").as_bytes());
        }
        self.sites = Sites::default();
        text[0] = b'{';
        text.push(b'}');

        out.extend_from_slice(b"{\"@timestamp\":\"");
        json::rfc3339(out, record.unix_nanos());
        out.extend_from_slice(b"\",\"message\":");
        json::string(out, &flat::message(record, TERM).0);
        self.of_fallback(out, record, &text);
        out.push(b'}');
    }

    /// The names of fallback mode.
    #[cold]
    fn of_fallback(&self, out: &mut Vec<u8>, record: &RecordRef<'_>, fields: &[u8]) {
        out.extend_from_slice(b",\"logchute.level\":\"");
        out.extend_from_slice(record.severity().as_str().as_bytes());
        out.extend_from_slice(b"\",\"logchute.service\":");
        json::string(out, &self.service[..self.service.floor_char_boundary_at(TERM)]);
        out.extend_from_slice(b",\"logchute.fields\":");
        json::string(out, &String::from_utf8_lossy(fields));
    }
}

/// Opens the document and writes what is never left out; returns the length of a message that was cut.
#[inline]
fn head(out: &mut Vec<u8>, record: &RecordRef<'_>, cap: usize) -> Option<u64> {
    out.extend_from_slice(b"{\"@timestamp\":\"");
    json::rfc3339(out, record.unix_nanos());
    out.extend_from_slice(b"\",\"log.level\":\"");
    out.extend_from_slice(record.severity().as_str().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    let (message, cut) = flat::message(record, cap);
    json::string(out, &message);
    out.extend_from_slice(ECS);
    cut
}

/// Target, file and line.
fn site(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    out.extend_from_slice(b",\"log.logger\":");
    json::string(out, record.target());
    if let Some(file) = record.file() {
        out.extend_from_slice(b",\"log.origin.file.name\":");
        json::string(out, file);
    }
    if let Some(line) = record.line() {
        out.extend_from_slice(b",\"log.origin.file.line\":");
        out.extend_from_slice(itoa::Buffer::new().format(line).as_bytes());
    }
}

/// A document whose fields are being written.
struct Document<'d, 'r> {
    out: &'d mut Vec<u8>,
    tail: &'d Tail<'r>,
    /// What the store may still make fields of, if it does.
    room: Option<Room>,
    /// A bit for each attribute of the resource whose name a field has.
    replaced: u128,
}

impl Document<'_, '_> {
    fn stays_nested(&mut self, name: &str, json: &str) -> bool {
        // No two names are the same, and those of objects are told from all others already.
        self.room.as_mut().is_none_or(|room| room.takes(name, json, std::iter::empty()))
    }
}

impl Form for Document<'_, '_> {
    #[inline]
    fn has(&self, name: &str, is_plain: bool) -> bool {
        names::is_reserved(name, is_plain)
            || self.tail.objects.position(name).is_some()
            || names::is_odd(name, is_plain)
            || (!is_plain && names::is_below_a_value(name, &self.tail.names))
    }

    fn same(&self, one: &str, other: &str) -> bool {
        names::same(one, other)
    }

    #[inline]
    fn is_plain(&self, name: &str) -> bool {
        !name.as_bytes().contains(&b'.')
    }

    #[inline]
    fn known_as<'f>(&self, field: &Field<'f>) -> Cow<'f, str> {
        names::known_as(field)
    }

    fn tame<'n>(&self, name: &'n str) -> Cow<'n, str> {
        names::tame(name)
    }

    // A dot would make an object of the field.
    fn len_suffix(&self) -> &'static str {
        "_original_len"
    }

    #[inline]
    fn put(&mut self, name: &str, _is_plain: bool, value: Value<'_>) {
        if let Some(place) = self.tail.names.position(name) {
            self.replaced |= 1 << place;
        }
        self.out.extend_from_slice(b",\"");
        json::escaped(self.out, name);
        self.out.extend_from_slice(b"\":");
        match value {
            // Its widest integer is `long`, and a first value above that could never be stored.
            Value::U64(wide) if i64::try_from(wide).is_err() => json::value(self.out, Value::U128(wide.into())),
            Value::Json(json) if !self.stays_nested(name, json) => json::string(self.out, json),
            value => json::value(self.out, value),
        }
    }
}

/// How each document ends: who is speaking.
struct Tail<'r> {
    text: Vec<u8>,
    /// Names of the attributes.
    names: Names<'r>,
    /// Where each attribute stands in `text`.
    places: Vec<Range<usize>>,
    /// The objects that attributes are members of.
    objects: Names<'r>,
}

impl<'r> Tail<'r> {
    /// Attributes beyond the 128th are not shown.
    fn new(resource: &Resource, attributes: &'r [(String, &'r str)]) -> Self {
        let mut text = b",\"service.name\":".to_vec();
        json::string(&mut text, resource.service_name());
        let (mut all, mut places) = (Vec::new(), Vec::new());
        for (name, value) in attributes.iter().take(u128::BITS as usize) {
            let start = text.len();
            text.push(b',');
            json::string(&mut text, name);
            text.push(b':');
            json::string(&mut text, value);
            all.push(&**name);
            places.push(start..text.len());
        }
        let objects = all.iter().flat_map(|name| names::objects(name)).collect();
        Self { text, names: Names::of(all), places, objects: Names::of(objects) }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>, replaced: u128) {
        if replaced == 0 {
            out.extend_from_slice(&self.text);
            return;
        }
        out.extend_from_slice(&self.text[..self.places.first().map_or(self.text.len(), |first| first.start)]);
        for (at, place) in self.places.iter().enumerate() {
            if replaced >> at & 1 == 0 {
                out.extend_from_slice(&self.text[place.clone()]);
            }
        }
    }
}

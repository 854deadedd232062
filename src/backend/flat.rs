//! A record as flat, named values: the one place that says what a field is called in a store, and how a
//! store is told of what was cut or left out.
//!
//! - A field keeps its name, unless the store or the backend needs that name for something else, or would
//!   take it for another field's: then it becomes `field_NAME`, and `field_NAME_2` and so on where that is
//!   taken too. A name is never longer than 128 bytes.
//! - A value that was cut is followed by `KEY.original_len`, and the record gets `truncated: true`; so it
//!   does where the message was cut, with its length as `original_len`.
//! - `fields_left_out` says how many fields the record had beyond its limits.
//! - `logchute.own: true` marks a record that logchute wrote itself.

use std::borrow::Cow;

use super::{Field, Fields, RecordId, RecordRef, Spans, Value};
use crate::frame::{CUT_MARK, CharBoundary as _, KEY_MAX, cut_key};

/// What is filled in with flat values.
pub(super) trait Form {
    /// Whether the name stands for something else here; `is_plain` is what [`is_plain`](Self::is_plain) says of it.
    fn has(&self, name: &str, is_plain: bool) -> bool;

    /// Whether the store takes the two names for one.
    fn same(&self, one: &str, other: &str) -> bool {
        one == other
    }

    /// Whether the store keeps the name as it is, so that it is the same as no other field's.
    fn is_plain(&self, _name: &str) -> bool {
        true
    }

    /// What the store calls a field, where it has another name for it than the program; names that it is then the
    /// same as must not be plain.
    fn known_as<'f>(&self, field: &Field<'f>) -> Cow<'f, str> {
        Cow::Borrowed(field.key)
    }

    /// A name from which others are made, where this one cannot be kept; they must be plain if this one is, and the
    /// store must be able to keep them.
    fn tame<'n>(&self, name: &'n str) -> Cow<'n, str> {
        Cow::Borrowed(name)
    }

    /// The most bytes of a name that is put together here; longer ones of the program's own are up to
    /// [`known_as`](Self::known_as).
    fn longest_name(&self) -> usize {
        KEY_MAX
    }

    /// What follows the name of a field that was cut, and names the length that it had.
    fn len_suffix(&self) -> &'static str {
        ".original_len"
    }

    /// Takes a value; never called twice for what is the same name.
    fn put(&mut self, name: &str, is_plain: bool, value: Value<'_>);
}

/// For names that were put together here.
fn has(form: &impl Form, name: &str) -> bool {
    form.has(name, form.is_plain(name))
}

fn put(form: &mut impl Form, name: &str, value: Value<'_>) {
    form.put(name, form.is_plain(name), value);
}

/// Names that no field may have in any store, because they say what became of the record.
#[inline]
fn is_ours(name: &str) -> bool {
    matches!(name, "" | "truncated" | "original_len" | "fields_left_out" | "logchute.own")
}

/// Fills in the fields of a record, each value cut to `cap` bytes, and what was cut or left out.
///
/// `message_cut` is the length that the message had, where it was cut.
#[inline]
pub(super) fn fill(form: &mut impl Form, fields: Fields<'_>, cap: usize, message_cut: Option<u64>) {
    let record = fields.record();
    let mut made: Vec<String> = Vec::new();
    let mut cut = message_cut.is_some();
    for field in fields {
        let name = form.known_as(&field);
        let is_plain = form.is_plain(&name);
        let keeps_its_name = !is_ours(&name)
            && !form.has(&name, is_plain)
            && (made.is_empty() || !made.iter().any(|other| form.same(other, &name)))
            && (is_plain || !is_taken(form, &record, field.key, &name));
        if keeps_its_name && field.original_len.is_none() && size(field.value) <= cap {
            form.put(&name, is_plain, field.value);
        } else {
            cut |= put_odd(form, &record, &mut made, field, keeps_its_name.then_some(&name), cap);
        }
    }
    // One test for the usual record, of which there is nothing to be said.
    if cut || record.fields_left_out() > 0 || record.is_own() {
        put_remarks(form, &record, cut, message_cut);
    }
}

/// What became of the record.
#[cold]
fn put_remarks(form: &mut impl Form, record: &RecordRef<'_>, cut: bool, message_cut: Option<u64>) {
    let left_out = Some(u64::from(record.fields_left_out())).filter(|&count| count > 0);
    let remarks = [
        ("truncated", cut.then_some(Value::Bool(true))),
        ("original_len", message_cut.map(Value::U64)),
        ("fields_left_out", left_out.map(Value::U64)),
        ("logchute.own", record.is_own().then_some(Value::Bool(true))),
    ];
    for (name, value) in remarks {
        if let Some(value) = value.filter(|_| !has(form, name)) {
            put(form, name, value);
        }
    }
}

/// A field that is renamed or cut; whether it was cut.
#[cold]
fn put_odd(
    form: &mut impl Form,
    record: &RecordRef<'_>,
    made: &mut Vec<String>,
    field: Field<'_>,
    kept_name: Option<&str>,
    cap: usize,
) -> bool {
    let mut scratch = String::new();
    let (value, original_len) = cut_value(field, cap, &mut scratch);
    if let Some(name) = kept_name {
        put(form, name, value);
    } else {
        let name = free_name(form, record, made, "field_", field.key, "");
        put(form, &name, value);
        made.push(name);
    }
    let Some(len) = original_len else { return false };
    let name = free_name(form, record, made, "", field.key, form.len_suffix());
    put(form, &name, Value::U64(len));
    made.push(name);
    true
}

/// Whether the store takes `name`, that of the field `key`, for the name of another field, one that keeps it: a plain
/// one, or one that stands before this one.
#[cold]
fn is_taken(form: &impl Form, record: &RecordRef<'_>, key: &str, name: &str) -> bool {
    let mut passed = false;
    record.all_fields().any(|other| {
        passed |= other.key == key;
        let theirs = form.known_as(&other);
        other.key != key && form.same(&theirs, name) && (!passed || form.is_plain(&theirs))
    })
}

/// A name like `PREFIXkeySUFFIX` that nothing else has.
fn free_name(
    form: &impl Form,
    record: &RecordRef<'_>,
    made: &[String],
    prefix: &str,
    key: &str,
    suffix: &str,
) -> String {
    let mut number = String::new();
    let key = &*form.tame(key);
    for next in 2.. {
        let room = form.longest_name() - prefix.len() - suffix.len() - number.len();
        let mut name = String::new();
        if key.len() > room {
            cut_key(key, room, &mut name);
        } else {
            name.push_str(key);
        }
        name.insert_str(0, prefix);
        name.push_str(suffix);
        name.push_str(&number);
        let is_taken = is_ours(&name)
            || has(form, &name)
            || made.iter().any(|other| form.same(other, &name))
            || record.all_fields().any(|other| form.same(&form.known_as(&other), &name));
        if !is_taken {
            return name;
        }
        number = format!("_{next}");
    }
    unreachable!("there are more numbers than names")
}

/// The message, cut to `cap` bytes; with the length that it had, where it was cut here or before.
#[inline]
pub(super) fn message<'a>(record: &RecordRef<'a>, cap: usize) -> (Cow<'a, str>, Option<u64>) {
    let (text, original_len) = (record.message(), record.message_original_len());
    if text.len() <= cap {
        return (Cow::Borrowed(text), original_len);
    }
    (Cow::Owned(cut(text, cap)), Some(original_len.unwrap_or(text.len() as u64)))
}

/// A text of at most `cap` bytes, the mark at its end included.
pub(super) fn cut(text: &str, cap: usize) -> String {
    let mut cut = text[..text.floor_char_boundary_at(cap.saturating_sub(CUT_MARK.len()))].to_owned();
    cut.push_str(&CUT_MARK[..CUT_MARK.floor_char_boundary_at(cap)]);
    cut
}

/// Bytes that count against a cap.
#[inline]
fn size(value: Value<'_>) -> usize {
    match value {
        Value::Str(text) | Value::Error(text) | Value::Json(text) => text.len(),
        Value::Bytes(bytes) => bytes.len().div_ceil(3) * 4,
        _ => 0,
    }
}

fn cut_value<'a>(field: Field<'a>, cap: usize, scratch: &'a mut String) -> (Value<'a>, Option<u64>) {
    if size(field.value) <= cap {
        return (field.value, field.original_len);
    }
    let (value, len) = match field.value {
        Value::Str(text) | Value::Error(text) | Value::Json(text) => {
            *scratch = cut(text, cap);
            (Value::Str(scratch), text.len())
        }
        Value::Bytes(bytes) => (Value::Bytes(&bytes[..bytes.len().min(cap / 4 * 3)]), bytes.len()),
        other => return (other, field.original_len),
    };
    (value, Some(field.original_len.unwrap_or(len as u64)))
}

/// Names of spans, outermost first.
pub(super) fn span_path(out: &mut Vec<u8>, mut innermost_first: Spans<'_>, write: fn(&mut Vec<u8>, &str)) {
    let Some(name) = innermost_first.next() else { return };
    let start = out.len();
    span_path(out, innermost_first, write);
    if out.len() > start {
        out.push(b':');
    }
    write(out, name);
}

/// Writes ids as text; the digits of the incarnation, which is the same for most, are kept.
#[derive(Default)]
pub(super) struct Ids {
    last: Option<u128>,
    text: String,
}

impl Ids {
    /// As `Display` has it.
    #[inline]
    pub(super) fn text(&mut self, id: RecordId) -> &str {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        if self.last != Some(id.incarnation) {
            self.last = Some(id.incarnation);
            self.text = format!("{:032x}-", id.incarnation);
        }
        self.text.truncate(33);
        let digits: [u8; 16] = std::array::from_fn(|at| DIGITS[(id.sequence >> (60 - 4 * at) & 15) as usize]);
        self.text.push_str(str::from_utf8(&digits).unwrap_or_default());
        &self.text
    }
}

/// Names that no field may have in any store: what logchute writes beside the fields, and what VictoriaLogs keeps for itself
/// in whatever it takes in. A store that has no use for one of them keeps it free all the same, so that a field has one name
/// everywhere.
pub(super) const RESERVED: [&str; 14] = [
    "time",
    "level",
    "message",
    "target",
    "file",
    "line",
    "thread",
    "span",
    "id",
    "service_name",
    "_msg",
    "_time",
    "_stream",
    "_stream_id",
];

/// Both lists, one after the other: what is reserved everywhere, and what one store needs besides.
pub(super) const fn joined<const A: usize, const B: usize, const N: usize>(
    first: [&'static str; A],
    second: [&'static str; B],
) -> [&'static str; N] {
    assert!(A + B == N, "the length of both");
    let mut all = [""; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < A { first[at] } else { second[at - A] };
        at += 1;
    }
    all
}

/// A set of names that says at once of most others that it has them not.
#[derive(Clone, Debug)]
pub(super) struct Names<'n> {
    bits: [u64; 4],
    names: Cow<'n, [&'n str]>,
}

impl<'n> Names<'n> {
    pub(super) const fn new(names: &'n [&'n str]) -> Self {
        let mut bits = [0; 4];
        let mut at = 0;
        while at < names.len() {
            Self::add(&mut bits, names[at]);
            at += 1;
        }
        Self { bits, names: Cow::Borrowed(names) }
    }

    pub(super) fn of(names: Vec<&'n str>) -> Self {
        let mut bits = [0; 4];
        names.iter().for_each(|name| Self::add(&mut bits, name));
        Self { bits, names: Cow::Owned(names) }
    }

    /// A number from 0 to 255 that differs for most names.
    #[inline]
    const fn hash(name: &str) -> u8 {
        let bytes = name.as_bytes();
        if bytes.is_empty() {
            return 0;
        }
        let (first, last) = (bytes[0], bytes[bytes.len() - 1]);
        (bytes.len() as u8).wrapping_mul(37) ^ first.wrapping_mul(11) ^ last.wrapping_mul(3)
    }

    #[inline]
    pub(super) const fn add(bits: &mut [u64; 4], name: &str) {
        let hash = Self::hash(name);
        bits[(hash >> 6) as usize] |= 1 << (hash & 63);
    }

    #[inline]
    pub(super) const fn may_have(bits: &[u64; 4], name: &str) -> bool {
        let hash = Self::hash(name);
        bits[(hash >> 6) as usize] >> (hash & 63) & 1 != 0
    }

    /// The name at that place.
    pub(super) fn get(&self, place: usize) -> &'n str {
        self.names[place]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'n str> {
        self.names.iter().copied()
    }

    /// Where among the names it stands.
    #[inline]
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        if Self::may_have(&self.bits, name) { self.names.iter().position(|other| *other == name) } else { None }
    }
}

//! JSON text, written straight from a frame into the body, without values in between.
//!
//! What is written is valid whatever the record holds: control characters are escaped, NaN and the
//! infinities are the strings `"NaN"`, `"inf"` and `"-inf"`, integers beyond 64 bits are strings of
//! digits, bytes are base64 (standard alphabet, padded). No object gets two equal keys from
//! [`Object::fields`]. One object is one line: line feeds between the parts of a nested value become blanks.

use std::cell::Cell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::flat::{self, Form, Names};
use super::{Fields, Value};

/// Writes one object.
///
/// # Examples
///
/// ```
/// use logchute::backend::json;
///
/// let mut body = Vec::new();
/// json::object(&mut body, |line| {
///     line.rfc3339("time", 1_795_507_200_123_456_789);
///     line.str("message", "say \"hi\"\n");
///     line.i64("n", -1);
/// });
/// assert_eq!(body, br#"{"time":"2026-11-24T08:00:00.123456789Z","message":"say \"hi\"\n","n":-1}"#);
/// ```
pub fn object(out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    let start = out.len();
    write(&mut Object { out, start, keys: [0; 4] });
    out.push(b'}');
}

/// An object under way, see [`object`].
///
/// # Examples
///
/// ```
/// use logchute::backend::{RecordRef, Value, json};
///
/// /// A line for a store of one's own, all fields of the record included.
/// fn line(body: &mut Vec<u8>, record: &RecordRef<'_>) {
///     json::object(body, |line| {
///         line.rfc3339("@timestamp", record.unix_nanos());
///         line.str("message", record.message());
///         line.fields(record.fields());
///     });
/// }
///
/// let mut body = Vec::new();
/// json::object(&mut body, |line| line.value("ratio", Value::F64(f64::NAN)));
/// assert_eq!(body, br#"{"ratio":"NaN"}"#);
/// ```
#[derive(Debug)]
pub struct Object<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    /// Which keys there may be, so that most are known to be new without a look at the text.
    keys: [u64; 4],
}

impl Object<'_> {
    /// Writes the key, and what goes between it and its value.
    fn key(&mut self, key: &str) {
        Names::add(&mut self.keys, key);
        if self.out.len() > self.start {
            self.out.push(b',');
        }
        string(self.out, key);
        self.out.push(b':');
    }

    /// A text.
    pub fn str(&mut self, key: &str, value: &str) {
        self.key(key);
        string(self.out, value);
    }

    /// An integer.
    pub fn i64(&mut self, key: &str, value: i64) {
        self.value(key, Value::I64(value));
    }

    /// An unsigned integer.
    pub fn u64(&mut self, key: &str, value: u64) {
        self.value(key, Value::U64(value));
    }

    /// A floating-point number; as a string where it is not finite.
    pub fn f64(&mut self, key: &str, value: f64) {
        self.value(key, Value::F64(value));
    }

    /// A truth value.
    pub fn bool(&mut self, key: &str, value: bool) {
        self.value(key, Value::Bool(value));
    }

    /// The value of a field.
    pub fn value(&mut self, key: &str, value: Value<'_>) {
        self.key(key);
        self::value(self.out, value);
    }

    /// JSON text as it is; it must be valid.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.value(key, Value::Json(json));
    }

    /// A time as RFC 3339 in UTC with nanoseconds: `2026-11-24T08:00:00.123456789Z`.
    pub fn rfc3339(&mut self, key: &str, unix_nanos: i64) {
        self.key(key);
        self.out.push(b'"');
        rfc3339(self.out, unix_nanos);
        self.out.push(b'"');
    }

    /// The fields of a record, each under its name, and what was cut or left out of the record.
    ///
    /// A field whose name the object has already becomes `field_NAME`. Where something was cut the object
    /// gets `truncated: true`, with `original_len` for the message and `KEY.original_len` for a value;
    /// `fields_left_out` says how many fields the record had beyond its limits; `logchute.own: true` marks
    /// a record with which logchute announces a loss.
    pub fn fields(&mut self, fields: Fields<'_>) {
        let cut = fields.record().message_original_len();
        let end = self.out.len();
        flat::fill(&mut Rest { object: self, end }, fields, usize::MAX, cut);
    }
}

/// The fields of an object, after what stands in it before `end`.
struct Rest<'r, 'o> {
    object: &'r mut Object<'o>,
    end: usize,
}

impl Form for Rest<'_, '_> {
    fn has(&self, name: &str, _is_plain: bool) -> bool {
        let object = &self.object;
        Names::may_have(&object.keys, name) && has_key(&object.out[object.start..self.end], name)
    }

    fn put(&mut self, name: &str, _is_plain: bool, value: Value<'_>) {
        let object = &mut *self.object;
        if object.out.len() > object.start {
            object.out.push(b',');
        }
        string(object.out, name);
        object.out.push(b':');
        self::value(object.out, value);
    }
}

/// Whether `members`, the inside of an object that was written here, has the key at its outermost level.
fn has_key(members: &[u8], key: &str) -> bool {
    let mut sought = Vec::with_capacity(key.len() + 3);
    string(&mut sought, key);
    sought.push(b':');
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = members.get(at) {
        match byte {
            b'"' => {
                if depth == 0 && members[at..].starts_with(&sought) {
                    return true;
                }
                at += 1;
                while members.get(at).is_some_and(|&byte| byte != b'"') {
                    at += if members[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    false
}

/// A text in quotes.
#[inline]
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// A text without the quotes around it.
#[inline]
pub(super) fn escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let plain = plain_len(bytes);
    out.extend_from_slice(&bytes[..plain]);
    if plain < bytes.len() {
        escaped_rest(out, &bytes[plain..]);
    }
}

#[cold]
fn escaped_rest(out: &mut Vec<u8>, mut bytes: &[u8]) {
    while let Some((&byte, rest)) = bytes.split_first() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            8 => b'b',
            12 => b'f',
            _ => 0,
        };
        if short == 0 {
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
        let plain = plain_len(rest);
        out.extend_from_slice(&rest[..plain]);
        bytes = &rest[plain..];
    }
}

#[cold]
fn escaped_rest_len(bytes: &[u8]) -> usize {
    bytes.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum()
}

/// Bytes that [`escaped`] makes of what should be a text.
#[inline]
pub(super) fn escaped_len(bytes: &[u8]) -> usize {
    let plain = plain_len(bytes);
    if plain == bytes.len() { plain } else { plain + escaped_rest_len(&bytes[plain..]) }
}

/// Bytes that each byte of a text takes once it is escaped.
const LENGTHS: [u8; 256] = {
    let mut lengths = [1; 256];
    let mut byte = 0;
    while byte < 0x20 {
        lengths[byte] = if matches!(byte, 8 | 9 | 10 | 12 | 13) { 2 } else { 6 };
        byte += 1;
    }
    lengths[b'"' as usize] = 2;
    lengths[b'\\' as usize] = 2;
    lengths
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How many bytes at the beginning need no escape.
#[inline]
fn plain_len(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let special = tail.iter().position(|&byte| LENGTHS[usize::from(byte)] != 1);
    special.map_or(bytes.len(), |at| bytes.len() - tail.len() + at)
}

/// Sets the top bit of the first byte, counted from the lowest, that is a control character, a quote or a
/// backslash; bits above that one mean nothing.
#[inline]
fn special(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\')) & (EACH * 0x80)
}

/// A value as JSON.
#[inline]
pub(super) fn value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Str(text) | Value::Error(text) => string(out, text),
        Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Value::I64(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Value::U64(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Value::F64(value) if value.is_finite() => {
            out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
        }
        Value::Json("") => out.extend_from_slice(b"null"),
        Value::Json(json) => {
            let start = out.len();
            out.extend_from_slice(json.as_bytes());
            // Line feeds can only stand between the parts here, and would end an NDJSON line.
            out[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        }
        Value::I128(_) | Value::U128(_) | Value::F64(_) | Value::Bytes(_) => {
            out.push(b'"');
            with_text(value, |text| out.extend_from_slice(text.as_bytes()));
            out.push(b'"');
        }
    }
}

/// Bytes that [`value`] makes of a value; for numbers, the most that it may be.
#[inline]
pub(super) fn value_len(value: Value<'_>) -> usize {
    match value {
        Value::Str(text) | Value::Error(text) => escaped_len(text.as_bytes()) + 2,
        Value::Bool(_) => 5,
        Value::I64(value) => digits(value.unsigned_abs()) + usize::from(value < 0),
        Value::U64(value) => digits(value),
        Value::F64(_) => 12,
        Value::Json(json) => json.len(),
        Value::I128(_) | Value::U128(_) => 42,
        Value::Bytes(bytes) => bytes.len().div_ceil(3) * 4 + 2,
    }
}

#[inline]
fn digits(value: u64) -> usize {
    value.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Calls `use_it` with a value as text, for stores that know nothing else: numbers as decimals, bytes as
/// base64, nested values as JSON text.
#[inline]
pub(super) fn with_text<R>(value: Value<'_>, use_it: impl FnOnce(&str) -> R) -> R {
    match value {
        Value::Str(text) | Value::Error(text) | Value::Json(text) => use_it(text),
        Value::Bool(value) => use_it(if value { "true" } else { "false" }),
        Value::I64(value) => use_it(itoa::Buffer::new().format(value)),
        Value::U64(value) => use_it(itoa::Buffer::new().format(value)),
        Value::I128(value) => use_it(itoa::Buffer::new().format(value)),
        Value::U128(value) => use_it(itoa::Buffer::new().format(value)),
        Value::F64(value) if value.is_nan() => use_it("NaN"),
        Value::F64(value) if value.is_infinite() => use_it(if value > 0.0 { "inf" } else { "-inf" }),
        Value::F64(value) => use_it(zmij::Buffer::new().format_finite(value)),
        Value::Bytes(bytes) => use_it(&BASE64.encode(bytes)),
    }
}

thread_local! {
    /// The last second that was written, and its text: neighbours mostly share it.
    static SECOND: Cell<(i64, [u8; 20])> = const { Cell::new((i64::MIN, [0; 20])) };
}

/// RFC 3339 in UTC with nanoseconds.
#[inline]
pub(super) fn rfc3339(out: &mut Vec<u8>, unix_nanos: i64) {
    let (second, mut nanos) = (unix_nanos.div_euclid(1_000_000_000), unix_nanos.rem_euclid(1_000_000_000) as u32);
    let head = SECOND.with(|cell| {
        let (then, text) = cell.get();
        if then == second {
            return text;
        }
        let text = date_and_time(second);
        cell.set((second, text));
        text
    });
    let mut text = [b'Z'; 30];
    text[..20].copy_from_slice(&head);
    for digit in text[20..29].iter_mut().rev() {
        *digit = b'0' + (nanos % 10) as u8;
        nanos /= 10;
    }
    out.extend_from_slice(&text);
}

/// `YYYY-MM-DDTHH:MM:SS.`; 64 bits of nanoseconds reach from 1677 to 2262, so years have four digits.
fn date_and_time(second: i64) -> [u8; 20] {
    let (days, in_day) = (second.div_euclid(86_400), second.rem_euclid(86_400));
    // Days to civil date, by eras of 400 years that begin on the first of March of year 0.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);

    let mut text = *b"0000-00-00T00:00:00.";
    let mut put = |at: usize, number: i64| {
        text[at] = b'0' + (number / 10 % 10) as u8;
        text[at + 1] = b'0' + (number % 10) as u8;
    };
    put(0, year / 100);
    put(2, year);
    put(5, month);
    put(8, day);
    put(11, in_day / 3_600);
    put(14, in_day / 60 % 60);
    put(17, in_day % 60);
    text
}

#[cfg(test)]
mod tests;

//! MessagePack, written straight from a frame into the body, and read as far as a store's short answers need it.
//!
//! Integers take the shortest form that holds them; those beyond 64 bits are texts of digits, and so are NaN and the
//! infinities: stores turn what they get into JSON sooner or later, which has none. Bytes are `bin`, nested values are
//! maps and arrays. Source of the format: github.com/msgpack/msgpack, `spec.md`.

mod nested;
mod read;

pub(super) use self::read::{Item, Lack, item, skip};
use super::{Value, json};

#[inline]
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    let len = text.len();
    match len {
        0..=31 => out.push(0xa0 | len as u8),
        32..=0xff => out.extend_from_slice(&[0xd9, len as u8]),
        _ => long_head(out, 0xda, len),
    }
    out.extend_from_slice(text.as_bytes());
}

/// Bytes that [`text`] takes.
#[inline]
pub(super) const fn text_len(len: usize) -> usize {
    len + match len {
        0..=31 => 1,
        32..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}

#[inline]
fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        len @ 0..=0xff => out.extend_from_slice(&[0xc4, len as u8]),
        len => long_head(out, 0xc5, len),
    }
    out.extend_from_slice(bytes);
}

/// A length of 16 or 32 bits, whose type follows that of 16 bits.
fn long_head(out: &mut Vec<u8>, short: u8, len: usize) {
    match u16::try_from(len) {
        Ok(len) => {
            out.push(short);
            out.extend_from_slice(&len.to_be_bytes());
        }
        Err(_) => {
            out.push(short + 1);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

#[inline]
pub(super) fn unsigned(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

#[inline]
fn signed(out: &mut Vec<u8>, value: i64) {
    match value {
        0.. => unsigned(out, value as u64),
        -32..=-1 => out.push(value as u8),
        -0x80..=-33 => out.extend_from_slice(&[0xd0, value as u8]),
        -0x8000..=-0x81 => {
            out.push(0xd1);
            out.extend_from_slice(&(value as i16).to_be_bytes());
        }
        -0x8000_0000..=-0x8001 => {
            out.push(0xd2);
            out.extend_from_slice(&(value as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

fn float(out: &mut Vec<u8>, value: f64) {
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

/// A map whose size is not known yet: [`close_map`] puts it in.
#[inline]
pub(super) fn open_map(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0xde, 0, 0]);
    out.len()
}

/// `at` is what [`open_map`] gave.
#[inline]
pub(super) fn close_map(out: &mut [u8], at: usize, members: u16) {
    out[at - 2..at].copy_from_slice(&members.to_be_bytes());
}

/// The value of a field.
#[inline]
pub(super) fn value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Str(value) | Value::Error(value) => text(out, value),
        Value::Bool(value) => out.push(0xc2 | u8::from(value)),
        Value::I64(value) => signed(out, value),
        Value::U64(value) => unsigned(out, value),
        Value::F64(value) if value.is_finite() => float(out, value),
        Value::Bytes(value) => bytes(out, value),
        Value::Json(json) => nested::json(out, json),
        Value::I128(_) | Value::U128(_) | Value::F64(_) => json::with_text(value, |digits| text(out, digits)),
    }
}

/// Bytes that [`value`] makes of a value; for nested ones, about as many.
#[inline]
pub(super) fn value_len(value: Value<'_>) -> usize {
    match value {
        Value::Str(text) | Value::Error(text) => text_len(text.len()),
        Value::Bool(_) => 1,
        Value::I64(value) => signed_len(value),
        Value::U64(value) => unsigned_len(value),
        Value::F64(_) => 9,
        Value::Bytes(bytes) => text_len(bytes.len()) + 1,
        // A digit between commas takes nine bytes where it is a fraction; objects and arrays take five.
        Value::Json(json) => json.len() + 8 + 2 * json.len() / 3,
        Value::I128(_) | Value::U128(_) => 42,
    }
}

#[inline]
const fn unsigned_len(value: u64) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

#[inline]
const fn signed_len(value: i64) -> usize {
    match value {
        0.. => unsigned_len(value as u64),
        -32..=-1 => 1,
        -0x80..=-33 => 2,
        -0x8000..=-0x81 => 3,
        -0x8000_0000..=-0x8001 => 5,
        _ => 9,
    }
}

#[cfg(test)]
mod tests;

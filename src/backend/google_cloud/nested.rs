//! Nested values as Google's parser takes them.
//!
//! It reads JSON into messages of doubles, and refuses the whole request for two equal keys in an object, half of a
//! surrogate pair, or a number that no double holds. A value with one of these goes as its JSON text; of any other, integers
//! above 2^53 go as texts of their digits.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::backend::{Value, json};

/// What a value takes in the store beyond its JSON, for each place where one may stand: a number of one digit has 9 bytes
/// there, and names and lengths around it.
const EACH: usize = 12;

/// Writes JSON text, and returns what it takes in the store beyond that.
pub(super) fn write(out: &mut Vec<u8>, text: &str) -> usize {
    if text.is_empty() {
        json::value(out, Value::Json(text));
        return 0;
    }
    if serde_json::from_str::<Plain>(text).is_err() {
        json::string(out, text);
        return 0;
    }
    let bytes = text.as_bytes();
    let (mut at, mut besides) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let begun = at;
        at += 1;
        match byte {
            b'"' => {
                while bytes.get(at).is_some_and(|&byte| byte != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                while bytes.get(at).is_some_and(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
                    at += 1;
                }
                if !is_exact(&text[begun..at]) {
                    json::string(out, &text[begun..at]);
                    continue;
                }
            }
            b'{' | b'[' | b',' | b':' => besides += EACH,
            _ => {}
        }
        out.extend_from_slice(&bytes[begun..at.min(bytes.len())]);
    }
    besides
}

/// Whether it is no integer, or one that a double holds to its last digit.
fn is_exact(number: &str) -> bool {
    let is_integer = number.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    !is_integer || number.parse::<i64>().is_ok_and(|number| number.unsigned_abs() <= super::entry::EXACT)
}

/// JSON without equal keys in an object. Texts are read, so that half a surrogate pair is found.
struct Plain;

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_str<E>(self, _: &str) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Plain, A::Error> {
        while seq.next_element::<Plain>()?.is_some() {}
        Ok(Plain)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plain, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, Plain)) = map.next_entry::<String, Plain>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("a key twice"));
            }
        }
        Ok(Plain)
    }
}

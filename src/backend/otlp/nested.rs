//! A nested value, which a frame holds as JSON text, as OpenTelemetry's arrays and lists of pairs.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::Value;
use super::super::flattened::Members;
use super::wire::{Place, Wire};

/// Writes the value: integers as such within 64 bits with a sign, and as texts of all their digits beyond; null as the
/// value that is none. Of two members of one name the later one stays, as keys must be unique.
///
/// What is not JSON is written as a text.
pub(super) fn any<W: Wire>(out: &mut Vec<u8>, json: &str) {
    // A value that is absent from a frame reads as nothing.
    if json.is_empty() {
        return W::null(out);
    }
    match serde_json::from_str::<&RawValue>(json) {
        Ok(raw) => part::<W>(out, raw, 0),
        Err(_) => W::any(out, Value::Str(json)),
    }
}

/// Frames hold no deeper nesting than sixteen levels; bytes that only look like one shall not exhaust the stack.
const DEPTH_MAX: usize = 32;

fn part<W: Wire>(out: &mut Vec<u8>, raw: &RawValue, depth: usize) {
    // Without blanks around it. Each level is parsed anew.
    let text = raw.get();
    match text.as_bytes().first() {
        _ if depth > DEPTH_MAX => W::any(out, Value::Str(text)),
        Some(b'{') => {
            let members = serde_json::from_str::<Members<'_>>(text).map(|members| members.0).unwrap_or_default();
            let mut later = HashSet::with_capacity(members.len());
            let stays: Vec<bool> = members.iter().rev().map(|(key, _)| later.insert(&**key)).collect();
            W::list(out, text.len(), |out| {
                for ((key, value), _) in members.iter().zip(stays.iter().rev()).filter(|(_, stays)| **stays) {
                    W::pair(out, Place::List, value.get().len(), key, |out| part::<W>(out, value, depth + 1));
                }
            });
        }
        Some(b'[') => W::array(out, text.len(), |out| {
            let _ = serde_json::Deserializer::from_str(text).deserialize_seq(Items::<W>(out, depth + 1, PhantomData));
        }),
        Some(b'"') => W::any(out, Value::Str(serde_json::from_str::<String>(text).as_deref().unwrap_or(text))),
        Some(b't') => W::any(out, Value::Bool(true)),
        Some(b'f') => W::any(out, Value::Bool(false)),
        Some(b'n') => W::null(out),
        _ => number::<W>(out, text),
    }
}

fn number<W: Wire>(out: &mut Vec<u8>, text: &str) {
    let is_integer = !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    match (text.parse(), text.parse::<f64>()) {
        (Ok(value), _) if text != "-0" => W::any(out, Value::I64(value)),
        (_, Ok(value)) if value.is_finite() && (!is_integer || text == "-0") => W::any(out, Value::F64(value)),
        _ => W::any(out, Value::Str(text)),
    }
}

/// Writes the values of an array while they are read.
struct Items<'o, W>(&'o mut Vec<u8>, usize, PhantomData<W>);

impl<'de, W: Wire> Visitor<'de> for Items<'_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(value) = array.next_element::<&RawValue>()? {
            W::item(self.0, value.get().len(), |out| part::<W>(out, value, self.1));
        }
        Ok(())
    }
}

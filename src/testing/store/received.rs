//! A record as the store has it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde_json::Value;

use super::time;
use crate::backend::{RecordRef, json};

/// A record that a [`Store`](super::Store) accepted.
///
/// [`Display`](fmt::Display) gives one readable line: time, level, target, message, fields, spans.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// Nanoseconds since 1970, if the record has a time.
    pub time_nanos: Option<i64>,
    /// The level as it came (`info`); empty if there was none.
    pub level: String,
    /// The message; of Loki, the line.
    pub message: String,
    /// All other keys: of NDJSON as they came, of Loki the stream's labels and the structured metadata, all texts.
    pub fields: BTreeMap<String, Value>,
    /// What tells it from all other records, the same on every attempt.
    pub id: Option<String>,
    /// All of it: the object of NDJSON; of Loki, `{"stream":{…},"values":["NANOSECONDS","LINE",{…}]}`.
    pub raw: Value,
}

impl Received {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key)
    }

    /// The record of a line that is nothing but text.
    pub(super) fn from_line(line: &str) -> Self {
        Self { message: line.to_owned(), raw: line.into(), ..Self::default() }
    }

    /// The record of one NDJSON object.
    pub(super) fn from_json(raw: Value) -> Self {
        let mut record = Self::default();
        let Value::Object(keys) = &raw else {
            record.message = plain(&raw);
            return Self { raw, ..record };
        };
        for (key, value) in keys {
            match key.as_str() {
                "time" => record.time_nanos = value.as_str().and_then(time::nanos),
                "level" => record.level = plain(value),
                "message" => record.message = plain(value),
                "id" => record.id = Some(plain(value)),
                _ => {
                    record.fields.insert(key.clone(), value.clone());
                }
            }
        }
        Self { raw, ..record }
    }

    /// The record of a frame, with the keys and values that NDJSON has.
    pub(in crate::testing) fn from_record(record: &RecordRef<'_>) -> Self {
        let mut text = Vec::new();
        json::object(&mut text, |object| {
            object.rfc3339("time", record.unix_nanos());
            object.str("level", record.severity().as_str());
            object.str("message", record.message());
            object.str("target", record.target());
            if let Some(file) = record.file() {
                object.str("file", file);
            }
            if let Some(line) = record.line() {
                object.u64("line", line.into());
            }
            object.str("thread", record.thread());
            let mut spans: Vec<_> = record.spans().collect();
            if !spans.is_empty() {
                spans.reverse();
                object.str("span", &spans.join(":"));
            }
            object.str("id", &record.id().to_string());
            object.fields(record.fields());
        });
        // What is written is JSON, whatever the record holds; if it ever is not, the test shall see it.
        serde_json::from_slice(&text).map_or_else(|_| Self::from_line(&String::from_utf8_lossy(&text)), Self::from_json)
    }

    /// The record of one Loki entry.
    pub(super) fn from_loki(nanos: i64, line: &str, labels: &Pairs, metadata: &Pairs) -> Self {
        let object =
            |pairs: &Pairs| -> Value { pairs.iter().map(|(key, value)| (key.clone(), value.clone())).collect() };
        let values = Value::from(vec![nanos.to_string().into(), line.into(), object(metadata)]);
        let mut record = Self { time_nanos: Some(nanos), message: line.to_owned(), ..Self::default() };
        record.raw = Value::from_iter([("stream", object(labels)), ("values", values)]);
        for (key, value) in labels {
            match key.as_str() {
                "level" => record.level.clone_from(value),
                _ => record.keep(key, value),
            }
        }
        for (key, value) in metadata {
            match key.as_str() {
                "id" => record.id = Some(value.clone()),
                _ => record.keep(key, value),
            }
        }
        record
    }

    /// Keeps a key of Loki. Metadata that is named like a label is renamed, as Loki does it.
    fn keep(&mut self, key: &str, value: &str) {
        let taken = self.fields.contains_key(key) || (key == "level" && !self.level.is_empty());
        let key = if taken { format!("{key}_extracted") } else { key.to_owned() };
        self.fields.insert(key, value.into());
    }
}

/// Names and values, in the order in which they came.
pub(super) type Pairs = Vec<(String, String)>;

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(nanos) = self.time_nanos {
            write!(f, "{} ", time::text(nanos))?;
        }
        if !self.level.is_empty() {
            write!(f, "{:<5} ", self.level.to_uppercase())?;
        }
        if let Some(target) = self.get("target") {
            write!(f, "{}: ", plain(target))?;
        }
        for char in self.message.chars() {
            // One record, one line, and no escape sequence that speaks to the terminal.
            if char.is_control() { write!(f, "{}", char.escape_default())? } else { f.write_char(char)? }
        }
        // Where it was said and by which thread is on record, but too much for a line.
        let shown = |key: &&String| !matches!(key.as_str(), "target" | "span" | "file" | "line" | "thread");
        for (key, value) in self.fields.keys().filter(shown).filter_map(|key| Some((key, self.get(key)?))) {
            let bare = |text: &str| {
                !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
            };
            match value {
                Value::String(text) if bare(text) => write!(f, " {key}={text}")?,
                value => write!(f, " {key}={value}")?,
            }
        }
        match self.get("span") {
            Some(span) => write!(f, " in {}", plain(span)),
            None => Ok(()),
        }
    }
}

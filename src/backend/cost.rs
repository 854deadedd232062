//! What a record adds to a payload of JSON, whatever its members are called.

use super::json;
use crate::frame::{Raw, RecordRef};

/// Message, thread, path of spans with `span`, which is its name with all that stands around it, and fields.
#[inline]
pub(super) fn in_json(record: &RecordRef<'_>, span: &str) -> usize {
    let spans: usize = record.spans().map(|name| json::escaped_len(name.as_bytes()) + 1).sum();
    let mut fields = 0;
    record.weigh_fields(|key, value| {
        let value = match value {
            Raw::Text(text) => json::escaped_len(text) + 2,
            Raw::Value(value) => json::value_len(value),
        };
        fields += json::escaped_len(key) + r#","":"#.len() + value;
    });
    json::escaped_len(record.message_bytes())
        + record.thread_len()
        + if spans > 0 { spans + span.len() } else { 0 }
        + fields
}

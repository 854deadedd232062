//! A record for the eye: `TIME LEVEL outer:inner target: message key=value …`.
//!
//! A message of several lines keeps them, indented, so that none of them can pass for a record of its own.
//! Every other control character is escaped: what an application logs of its users' input must not move the cursor of
//! whoever reads it.

use std::fmt::Write as _;

use crate::frame::{RecordRef, Value};
use crate::printable::{escape, escape_char, is_hostile};

/// Stands before the second and each further line of a message.
const INDENT: &str = "\n    ";

pub(super) fn format(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    let mut line = String::with_capacity(128 + record.message().len());
    super::time::push(&mut line, record.unix_nanos(), 6);
    let level = record.severity().as_str().to_ascii_uppercase();
    let _ = write!(line, " {level:>5} ");
    let names: Vec<&str> = record.spans().collect();
    for (place, name) in names.iter().rev().enumerate() {
        if place > 0 {
            line.push(':');
        }
        escape(&mut line, name, &[]);
    }
    if !names.is_empty() {
        line.push(' ');
    }
    escape(&mut line, record.target(), &[]);
    line.push(':');
    if !record.message().is_empty() {
        line.push(' ');
        message(&mut line, record.message());
    }
    for field in record.fields() {
        line.push(' ');
        text(&mut line, field.key);
        line.push('=');
        value(&mut line, field.value);
    }
    if record.fields_left_out() > 0 {
        let _ = write!(line, " fields_left_out={}", record.fields_left_out());
    }
    line.push('\n');
    out.extend_from_slice(line.as_bytes());
}

fn message(line: &mut String, message: &str) {
    let message = message.trim_end_matches(['\n', '\r']);
    for (place, part) in message.split('\n').enumerate() {
        if place > 0 {
            line.push_str(INDENT);
        }
        escape(line, part.strip_suffix('\r').unwrap_or(part), &['\t']);
    }
}

fn value(line: &mut String, value: Value<'_>) {
    let _ = match value {
        Value::Bool(value) => write!(line, "{value}"),
        Value::I64(value) => write!(line, "{value}"),
        Value::U64(value) => write!(line, "{value}"),
        Value::I128(value) => write!(line, "{value}"),
        Value::U128(value) => write!(line, "{value}"),
        Value::F64(value) => write!(line, "{value:?}"),
        Value::Str(value) | Value::Error(value) => {
            text(line, value);
            Ok(())
        }
        Value::Json(value) => {
            escape(line, value, &[]);
            Ok(())
        }
        Value::Bytes(value) => write!(line, "b\"{}\"", value.escape_ascii()),
    };
}

/// As it is where that is clear, else in quotes.
fn text(line: &mut String, text: &str) {
    let odd = |char: char| char.is_whitespace() || char == '"' || char == '=' || char == '\\' || is_hostile(char);
    if !text.is_empty() && !text.contains(odd) {
        line.push_str(text);
        return;
    }
    line.push('"');
    for char in text.chars() {
        match char {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            _ if is_hostile(char) => escape_char(line, char),
            _ => line.push(char),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, in_spans, record};
    use super::*;
    use crate::frame::{Frame, Key};

    fn shown(frame: &Frame) -> String {
        let mut out = Vec::new();
        format(&mut out, &record(frame));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_with_spans_and_fields_on_one_line() {
        let frame = frame("order placed", |writer| {
            writer.fields.str(Key::named("user"), "ann");
            writer.fields.str(Key::named("note"), "two words");
            writer.fields.f64(Key::named("ms"), 12.0);
            writer.fields.i128(Key::named("big"), i128::MIN);
            writer.fields.bytes(Key::named("raw"), b"\x00a\"");
            writer.fields.json(Key::named("items"), r#"{"a":[1,2]}"#);
            in_spans(writer);
        });
        assert_eq!(
            shown(&frame),
            "2026-11-24T08:00:00.123456Z  INFO outer:inner shop::cart: order placed user=ann note=\"two words\" ms=12.0 \
             big=-170141183460469231731687303715884105728 raw=b\"\\x00a\\\"\" items={\"a\":[1,2]} step=9 request=9\n"
        );
    }

    #[test]
    fn no_message_and_no_fields() {
        assert_eq!(shown(&frame("", |_| {})), "2026-11-24T08:00:00.123456Z  INFO shop::cart:\n");
    }

    #[test]
    fn lines_of_a_message_stay_lines_but_cannot_pass_for_records() {
        let shown = shown(&frame("boom\r\n  at main\n2026-11-24T08:00:00.000000Z ERROR forged: x\n", |_| {}));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1..], ["      at main", "    2026-11-24T08:00:00.000000Z ERROR forged: x"]);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn b2_nothing_that_is_logged_controls_the_terminal() {
        for char in (0..=0x2FFF).chain([0xFEFF]).filter_map(char::from_u32) {
            let nasty = format!("<{char}>");
            let frame = frame(&nasty, |writer| {
                writer.fields.str(Key::named(&nasty), &nasty);
                writer.fields.json(Key::named("json"), &serde_json::Value::from(nasty.as_str()).to_string());
                writer.fields.bytes(Key::named("bytes"), nasty.as_bytes());
                writer.span(&nasty, 0, &[]);
            });
            let shown = shown(&frame);
            let shown = shown.strip_suffix('\n').unwrap();
            let kept = |c: char| (c == '\n' && shown.contains("<\n    >")) || (c == '\t' && shown.contains("<\t>"));
            assert!(!shown.chars().any(|c| is_hostile(c) && !kept(c)), "U+{:04X}: {shown:?}", u32::from(char));
        }
    }

    #[test]
    fn an_escape_sequence_is_readable_but_dead() {
        let shown = shown(&frame("\u{1b}]0;title\u{7}\u{9b}2J\u{202e}evil", |_| {}));
        assert!(shown.ends_with(": \\x1b]0;title\\x07\\u{9b}2J\\u{202e}evil\n"), "{shown}");
    }
}

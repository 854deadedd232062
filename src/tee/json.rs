//! A record as one JSON object on one line.
//!
//! `time`, `level`, `message`, `target`, `service` and `span` come first, then the fields, flat; a field of one
//! of these names becomes `field_NAME`. Beyond what JSON asks for, all that could control a terminal is
//! escaped (as `\u001b`), because people read these lines with `kubectl logs` as well.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::frame::{RecordRef, Value};
use crate::printable::is_hostile;
use crate::resource::Resource;

/// Keys that are ours.
const RESERVED: [&str; 7] = ["time", "level", "message", "target", "service", "span", "fields_left_out"];

pub(super) fn format(out: &mut Vec<u8>, record: &RecordRef<'_>, resource: &Resource) {
    let mut line = String::with_capacity(192 + record.message().len());
    line.push_str("{\"time\":\"");
    super::time::push(&mut line, record.unix_nanos(), 9);
    let _ = write!(line, "\",\"level\":\"{}\",\"message\":", record.severity());
    string(&mut line, record.message());
    line.push_str(",\"target\":");
    string(&mut line, record.target());
    line.push_str(",\"service\":");
    string(&mut line, resource.service_name());
    let mut names: Vec<&str> = record.spans().collect();
    if !names.is_empty() {
        names.reverse();
        line.push_str(",\"span\":");
        string(&mut line, &names.join(":"));
    }
    for field in record.fields() {
        line.push(',');
        if RESERVED.contains(&field.key) {
            string(&mut line, &format!("field_{}", field.key));
        } else {
            string(&mut line, field.key);
        }
        line.push(':');
        value(&mut line, field.value);
    }
    if record.fields_left_out() > 0 {
        let _ = write!(line, ",\"fields_left_out\":{}", record.fields_left_out());
    }
    line.push_str("}\n");
    out.extend_from_slice(line.as_bytes());
}

fn value(line: &mut String, value: Value<'_>) {
    let _ = match value {
        Value::Bool(value) => write!(line, "{value}"),
        Value::I64(value) => write!(line, "{value}"),
        // Readers take integers as 64 bits with a sign.
        Value::U64(value) if i64::try_from(value).is_ok() => write!(line, "{value}"),
        Value::U64(value) => write!(line, "\"{value}\""),
        Value::I128(value) => write!(line, "\"{value}\""),
        Value::U128(value) => write!(line, "\"{value}\""),
        Value::F64(value) if value.is_finite() => write!(line, "{value:?}"),
        // JSON has no such numbers.
        Value::F64(value) => write!(line, "\"{value}\""),
        Value::Str(value) | Value::Error(value) => {
            string(line, value);
            Ok(())
        }
        Value::Bytes(value) => write!(line, "\"{}\"", STANDARD.encode(value)),
        Value::Json(value) => {
            json(line, value);
            Ok(())
        }
    };
}

/// JSON text, which may have line breaks between its tokens.
fn json(line: &mut String, json: &str) {
    // What comes from a `Serialize` is JSON; a frame that comes from elsewhere need not hold any.
    if serde_json::from_str::<serde::de::IgnoredAny>(json).is_err() {
        return string(line, json);
    }
    for char in json.chars() {
        match char {
            '\n' | '\r' | '\t' => line.push(' '),
            // Outside of strings there is none of them, so the escape stands in a string.
            _ if is_hostile(char) => escape(line, char),
            _ => line.push(char),
        }
    }
}

fn string(line: &mut String, text: &str) {
    line.push('"');
    for char in text.chars() {
        match char {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            _ if is_hostile(char) => escape(line, char),
            _ => line.push(char),
        }
    }
    line.push('"');
}

/// All of them are in the basic plane, so one unit of UTF-16 does.
fn escape(line: &mut String, char: char) {
    let _ = write!(line, "\\u{:04x}", u32::from(char));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, in_spans, record};
    use super::*;
    use crate::frame::{Frame, Key};

    fn shown(frame: &Frame) -> String {
        let mut out = Vec::new();
        format(&mut out, &record(frame), &Resource::new("checkout"));
        String::from_utf8(out).unwrap()
    }

    fn read(frame: &Frame) -> serde_json::Value {
        let shown = shown(frame);
        assert_eq!(shown.matches('\n').count(), 1, "{shown}");
        assert!(!shown.trim_end().chars().any(is_hostile), "{shown}");
        serde_json::from_str(&shown).unwrap()
    }

    #[test]
    fn a_record_with_spans_and_fields_on_one_line() {
        let frame = frame("order\nplaced", |writer| {
            writer.fields.u64(Key::named("user"), 42);
            in_spans(writer);
        });
        assert_eq!(
            shown(&frame),
            "{\"time\":\"2026-11-24T08:00:00.123456789Z\",\"level\":\"info\",\"message\":\"order\\nplaced\",\
             \"target\":\"shop::cart\",\"service\":\"checkout\",\"span\":\"outer:inner\",\"user\":42,\"step\":9,\"request\":9}\n"
        );
    }

    #[test]
    fn b2_every_character_comes_back_and_none_controls_the_terminal() {
        for char in (0..=0x2FFF).chain([0xFEFF, 0x1F600]).filter_map(char::from_u32) {
            let nasty = format!("<{char}>");
            let nested = serde_json::json!({ nasty.as_str(): nasty });
            let frame = frame(&nasty, |writer| {
                writer.fields.str(Key::named(&nasty), &nasty);
                writer.fields.json(Key::named("json"), &serde_json::to_string_pretty(&nested).unwrap());
            });
            let read = read(&frame);
            assert_eq!(
                (&read["message"], &read[&nasty], &read["json"]),
                (&nasty.clone().into(), &nasty.clone().into(), &nested)
            );
        }
    }

    #[test]
    fn b4_numbers_that_readers_would_bend_are_texts() {
        let frame = frame("", |writer| {
            writer.fields.i64(Key::named("least"), i64::MIN);
            writer.fields.u64(Key::named("most"), u64::MAX);
            writer.fields.u128(Key::named("more"), u128::MAX);
            writer.fields.f64(Key::named("nan"), f64::NAN);
            writer.fields.f64(Key::named("inf"), f64::NEG_INFINITY);
            writer.fields.f64(Key::named("zero"), -0.0);
            writer.fields.f64(Key::named("large"), f64::MAX);
            writer.fields.bytes(Key::named("raw"), &[0, 255]);
        });
        let read = read(&frame);
        assert_eq!(read["least"], i64::MIN);
        assert_eq!(read["most"], u64::MAX.to_string());
        assert_eq!(read["more"], u128::MAX.to_string());
        assert_eq!((&read["nan"], &read["inf"], &read["raw"]), (&"NaN".into(), &"-inf".into(), &"AP8=".into()));
        assert!(read["zero"].as_f64().unwrap().is_sign_negative());
        assert_eq!(read["large"], f64::MAX);
    }

    #[test]
    fn b5_a_field_never_takes_the_place_of_a_key_of_ours() {
        let frame = frame("real", |writer| {
            writer.fields.str(Key::named("message"), "forged");
            writer.fields.str(Key::named("level"), "forged");
        });
        let read = read(&frame);
        assert_eq!((&read["message"], &read["level"]), (&"real".into(), &"info".into()));
        assert_eq!((&read["field_message"], &read["field_level"]), (&"forged".into(), &"forged".into()));
    }

    #[test]
    fn a_record_of_the_largest_size_is_still_one_line() {
        let frame = frame(&"\u{1}".repeat(1 << 20), |writer| {
            for place in 0..200 {
                writer.fields.str(Key::named(&format!("k{place}")), &"\u{1b}".repeat(10_000));
            }
        });
        assert!(read(&frame)["fields_left_out"].as_u64().unwrap() > 0);
        assert!(shown(&frame).len() < 7 << 20);
    }
}

//! A record as one JSON object on one line.
//!
//! `time`, `level`, `message`, `target`, `service` and `span` come first, then the fields, flat, by the rules that hold
//! for stores (`backend/flat.rs`). Beyond what JSON asks for, all that could control a terminal is escaped (as
//! `\u001b`), because people read these lines with `kubectl logs` as well.

use crate::backend::json;
use crate::frame::RecordRef;
use crate::printable::is_hostile;
use crate::resource::Resource;

pub(super) fn format(out: &mut Vec<u8>, record: &RecordRef<'_>, resource: &Resource) {
    let start = out.len();
    json::object(out, |line| {
        line.rfc3339("time", record.unix_nanos());
        line.str("level", record.severity().as_str());
        line.str("message", record.message());
        line.str("target", record.target());
        line.str("service", resource.service_name());
        let mut names: Vec<&str> = record.spans().collect();
        if !names.is_empty() {
            names.reverse();
            line.str("span", &names.join(":"));
        }
        line.fields(record.fields());
    });
    // What controls a terminal beyond the ASCII that JSON escapes begins with DEL.
    if out[start..].iter().any(|&byte| byte >= 0x7F) {
        let line = String::from_utf8_lossy(&out.split_off(start)).into_owned();
        for char in line.chars() {
            if is_hostile(char) {
                // It can only stand in a string. All of them are in the basic plane, so one unit of UTF-16 does.
                out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes());
            } else {
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    out.push(b'\n');
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
    fn b4_numbers_are_those_that_stores_get() {
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
        assert_eq!(read["most"], u64::MAX);
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

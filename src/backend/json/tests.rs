use super::*;

fn written(given: Value<'_>) -> String {
    let mut out = Vec::new();
    value(&mut out, given);
    assert!(matches!(given, Value::F64(_)) || value_len(given) >= out.len(), "{given:?}");
    String::from_utf8(out).unwrap()
}

#[test]
fn a_text_is_escaped_wherever_the_special_byte_stands() {
    for special in (0..=0x7F_u8).map(char::from).chain(['ä', '\u{2028}', '😀', '\u{feff}']) {
        for (before, after) in (0..20).flat_map(|before| [0, 3, 8, 20].map(|after| (before, after))) {
            let text = format!("{}{special}{}{special}", "a".repeat(before), "b".repeat(after));
            let json = written(Value::Str(&text));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text, "{json}");
            assert_eq!(json.len(), escaped_len(text.as_bytes()) + 2);
            assert!(json.bytes().all(|byte| byte >= 0x20));
        }
    }
    assert_eq!(written(Value::Str("\0\u{1f}\n\"\\")), r#""\u0000\u001f\n\"\\""#);
}

#[test]
fn numbers_are_exact_and_what_json_has_not_is_a_string() {
    for (given, json) in [
        (Value::I64(i64::MIN), "-9223372036854775808"),
        (Value::U64(u64::MAX), "18446744073709551615"),
        (Value::I128(i128::MIN), "\"-170141183460469231731687303715884105728\""),
        (Value::U128(u128::MAX), "\"340282366920938463463374607431768211455\""),
        (Value::F64(-0.0), "-0.0"),
        (Value::F64(5e-324), "5e-324"),
        (Value::F64(12.7), "12.7"),
        (Value::F64(f64::NAN), "\"NaN\""),
        (Value::F64(f64::INFINITY), "\"inf\""),
        (Value::F64(-f64::INFINITY), "\"-inf\""),
        (Value::Bool(true), "true"),
        (Value::Bytes(&[0, 255, 7, 1]), "\"AP8HAQ==\""),
        (Value::Bytes(&[]), "\"\""),
        (Value::Json("{\n \"a\": [1]\r\n}"), "{  \"a\": [1]  }"),
    ] {
        assert_eq!(written(given), json);
    }
    for given in [f64::MAX, f64::MIN_POSITIVE, 1e16, 0.1, -1.5e-7] {
        let back: f64 = written(Value::F64(given)).parse().unwrap();
        assert_eq!(back.to_bits(), given.to_bits());
    }
}

#[test]
fn times_are_right_on_either_side_of_every_edge() {
    let text = |nanos| {
        let mut out = Vec::new();
        rfc3339(&mut out, nanos);
        String::from_utf8(out).unwrap()
    };
    for (nanos, expected) in [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
        (1_795_507_200_123_456_789, "2026-11-24T08:00:00.123456789Z"),
        (4_107_542_399_999_999_999, "2100-02-28T23:59:59.999999999Z"),
        (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
        (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
    ] {
        assert_eq!(text(nanos), expected);
        assert_eq!(text(nanos), expected, "from the cache");
    }
}

#[test]
fn keys_are_found_at_the_outermost_level_only() {
    let mut out = Vec::new();
    object(&mut out, |o| {
        o.str("a\"", "\"b\":");
        o.raw("c", r#"{"d":["e\"",{"f":1}],"g":2}"#);
        o.f64("h", 1.5);
    });
    let members = &out[1..out.len() - 1];
    for (key, has) in [("a\"", true), ("b", false), ("c", true), ("d", false), ("g", false), ("h", true), ("", false)] {
        assert_eq!(has_key(members, key), has, "{key}");
    }
}

#[test]
fn fields_do_not_overwrite_what_stands_in_the_object() {
    use super::super::corpus::{frame, put, resource, with_batch};
    use super::super::{Ndjson, Severity};

    let frames = [frame(Severity::Info, &"m".repeat(300_000), |w| {
        for name in ["message", "field_message", "truncated", "n", "nested"] {
            put(w, name, Value::Str(name));
        }
    })];
    let mut out = Vec::new();
    with_batch(&Ndjson::new("http://h"), &frames, &resource(), |batch| {
        for record in batch.records() {
            object(&mut out, |o| {
                o.str("message", "short");
                o.raw("o", r#"{"nested":1}"#);
                o.bool("n", true);
                o.fields(record.fields());
            });
        }
    });
    let expected = r#"{"message":"short","o":{"nested":1},"n":true,"field_message_2":"message","field_message":"field_message","field_truncated":"truncated","field_n":"n","nested":"nested","truncated":true,"original_len":300000}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

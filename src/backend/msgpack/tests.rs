use rmpv::Value as Packed;

use super::*;

fn unpacked(mut bytes: &[u8]) -> Packed {
    let value = rmpv::decode::read_value(&mut bytes).unwrap();
    assert!(bytes.is_empty(), "{} bytes too many", bytes.len());
    value
}

fn packed(given: Value<'_>) -> Packed {
    let mut out = Vec::new();
    value(&mut out, given);
    unpacked(&out)
}

#[test]
fn an_independent_reader_finds_each_value_as_it_was() {
    let edges = [0, 31, 32, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000];
    for edge in edges.into_iter().chain([0xffff_ffff, 0x1_0000_0000, u64::MAX >> 1, u64::MAX]) {
        assert_eq!(packed(Value::U64(edge)), Packed::from(edge));
        for value in [edge as i64, (edge as i64).wrapping_neg(), !(edge as i64)] {
            assert_eq!(packed(Value::I64(value)), Packed::from(value));
        }
    }
    for len in [0, 1, 31, 32, 255, 256, 65_535, 65_536] {
        let text = "x".repeat(len);
        assert_eq!(packed(Value::Str(&text)), Packed::from(&*text));
        assert_eq!(packed(Value::Bytes(text.as_bytes())), Packed::from(text.as_bytes()));
    }
    for value in [0.0, -0.0, 0.1, f64::MAX, 5e-324] {
        assert!(matches!(packed(Value::F64(value)), Packed::F64(found) if found.to_bits() == value.to_bits()));
    }
    for (value, text) in [
        (Value::F64(f64::NAN), "NaN"),
        (Value::F64(-f64::INFINITY), "-inf"),
        (Value::I128(i128::MIN), "-170141183460469231731687303715884105728"),
        (Value::U128(u128::MAX), "340282366920938463463374607431768211455"),
    ] {
        assert_eq!(packed(value), Packed::from(text));
    }
    assert_eq!((packed(Value::Bool(true)), packed(Value::Bool(false))), (Packed::from(true), Packed::from(false)));
}

#[test]
fn the_length_is_what_is_written() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..10_000 {
        let number = random.u64(..) >> random.u32(..64);
        let text = "x".repeat(random.usize(..300));
        for given in [
            Value::U64(number),
            Value::I64(number as i64),
            Value::I64((number as i64).wrapping_neg()),
            Value::Str(&text),
        ] {
            let mut out = Vec::new();
            value(&mut out, given);
            assert_eq!(value_len(given), out.len(), "{given:?}");
        }
    }
}

/// As `serde_json` has it.
fn of_json(json: &serde_json::Value) -> Packed {
    use serde_json::Value as Json;
    match json {
        Json::Null => Packed::Nil,
        Json::Bool(value) => Packed::from(*value),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), ..) => Packed::from(value),
            (_, Some(value), _) => Packed::from(value),
            (.., value) => Packed::from(value.unwrap()),
        },
        Json::String(text) => Packed::from(&**text),
        Json::Array(values) => Packed::Array(values.iter().map(of_json).collect()),
        Json::Object(members) => {
            Packed::Map(members.iter().map(|(key, value)| (Packed::from(&**key), of_json(value))).collect())
        }
    }
}

#[test]
fn nested_values_are_what_they_were_as_json() {
    for json in [
        "null",
        " { \"a\" : [ 1 , -2 , 3.5 , 1e3 , -0 , true , false , null , [ ] , { } ] ,\n\"b\\\"\\u00e9\\ud83d\\ude00\" : \"\\n\\\\\" } ",
        "[18446744073709551615,-9223372036854775808]",
        "\"\"",
        "-0",
        "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]",
    ] {
        assert_eq!(packed(Value::Json(json)), of_json(&serde_json::from_str(json).unwrap()), "{json}");
    }
    for (json, text) in [("18446744073709551616", "18446744073709551616"), ("1e999", "1e999")] {
        assert_eq!(packed(Value::Json(json)), Packed::from(text));
    }
    assert_eq!(packed(Value::Json("")), Packed::Nil);
}

#[test]
fn what_is_no_json_is_the_text_that_it_is() {
    let deep = "[".repeat(10_000);
    for json in
        ["{", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "tru", "1 2", "\"\\ud800\"", "-", "+", "[1 2]", "{1:2}", &deep, "é"]
    {
        assert_eq!(packed(Value::Json(json)), Packed::from(json));
    }
}

#[test]
fn what_an_independent_writer_wrote_is_read_and_half_of_it_is_known_to_be_half() {
    let long = "x".repeat(70_000);
    let map = Packed::Map(vec![
        (Packed::from("nil"), Packed::Nil),
        (Packed::from("short"), Packed::from("text")),
        (Packed::from("long"), Packed::from(&*long)),
        (Packed::from("bytes"), Packed::from(&long.as_bytes()[..300])),
        (
            Packed::from("numbers"),
            Packed::Array(vec![1.into(), (-1).into(), u64::MAX.into(), 0.5.into(), 1e300.into()]),
        ),
        (Packed::from("own"), Packed::Ext(0, vec![0; 8])),
        (Packed::from("own"), Packed::Ext(0, vec![0; 300])),
        (Packed::from("many"), Packed::Array(vec![Packed::from(true); 20])),
    ]);
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &map).unwrap();
    let mut said = &*bytes;
    assert_eq!(item(&mut said), Ok(Item::Map(8)));
    assert_eq!(item(&mut said), Ok(Item::Text(b"nil")));
    let mut said = &*bytes;
    assert_eq!((skip(&mut said), said.len()), (Ok(()), 0));
    for end in (0..bytes.len()).step_by(97) {
        assert_eq!(skip(&mut &bytes[..end]), Err(Lack::More), "{end}");
    }
    assert_eq!(item(&mut &[0xc1][..]), Err(Lack::Invalid));
}

#[test]
fn whatever_is_said_is_read_without_a_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..100_000 {
        let bytes: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
        let mut said = &*bytes;
        let _ = skip(&mut said);
    }
}

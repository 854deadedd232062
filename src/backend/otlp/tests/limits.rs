//! What is cut, folded or left out, and how that is told.

use super::*;

#[test]
fn what_was_cut_or_left_out_is_said() {
    let long = "ä".repeat(200_000);
    let frames = [
        frame(Severity::Info, &long, |w| {
            put(w, "v", Value::Str(&long));
            (0..200).for_each(|i| put(w, &format!("f{i}"), Value::Bool(true)));
        }),
        frame(Severity::Error, "m", |w| {
            w.own();
            w.fields.error(Key::named("e"), "e", &std::io::Error::other(long.clone()));
        }),
    ];
    let found = decoded(&otlp(), &frames);
    assert_eq!(found[0].attributes.get("truncated"), Some(&Some(Any::BoolValue(true))));
    assert_eq!(found[0].attributes.get("original_len"), Some(&Some(Any::IntValue(400_000))));
    assert_eq!(found[0].text("v.original_len").unwrap(), "400000");
    assert_eq!(
        (found[0].text("fields_left_out").unwrap(), found[0].record.dropped_attributes_count),
        ("73".into(), 73)
    );
    assert!(found[0].message().ends_with("…[cut]") && found[0].message().len() <= 256 * 1024);
    assert_eq!(found[1].text("exception.message.original_len").unwrap(), "400000");
    assert_eq!(found[1].text("logchute.own").unwrap(), "true");
}

#[test]
fn loki_gets_no_more_attributes_than_it_takes_and_they_are_told() {
    let long = "ä".repeat(60_000);
    let frames = [
        frame(Severity::Info, "m", |w| (0..200).for_each(|i| put(w, &format!("f{i}"), Value::I64(i)))),
        frame(Severity::Info, &"m".repeat(300_000), |w| {
            put(w, "small", Value::Str("s"));
            (0..5).for_each(|i| put(w, &format!("v{i}"), Value::Str(&long)));
            put(w, "b", Value::Bytes(&[7; 100_000]));
            w.fields.json(Key::named("j"), r#"{"a":[1,2]}"#);
        }),
        frame(Severity::Info, "m", |w| {
            (0..128).for_each(|i| put(w, &format!("{}{i:03}", "\0".repeat(125)), Value::Str(&long[..4_000])));
            (0..120).for_each(|_| w.span(&"s".repeat(255), 0, &[]));
        }),
    ];
    let mut resource = resource();
    (0..5).for_each(|i| resource.set(format!("attribute{i}"), "x".repeat(5_000)));
    for resource in [corpus::resource(), resource] {
        let (attributes, found) = decoded_of(&loki(), &frames, &resource);
        let of_resource: usize = attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        for found in &found {
            let size = |value: &Option<Any>| match value {
                Some(Any::StringValue(text)) => text.len(),
                Some(Any::BytesValue(bytes)) => bytes.len().div_ceil(3) * 4,
                Some(Any::KvlistValue(_) | Any::ArrayValue(_)) => panic!("Loki would flatten it"),
                _ => 20,
            };
            let bytes: usize = found.attributes.iter().map(|(name, value)| name.len() + size(value)).sum();
            assert!(bytes + of_resource < 64_000, "{bytes}");
            assert!(found.attributes.len() + attributes.len() <= 118);
            assert!(found.text("log.record.uid").is_some());
        }
        let more: serde_json::Value = serde_json::from_str(&found[0].text("more").unwrap()).unwrap();
        assert!((0..128).all(|i| {
            let name = format!("f{i}");
            found[0].text(&name).is_some() != more.get(&name).is_some()
        }));
        assert_eq!((&more["fields_left_out"], found[0].record.dropped_attributes_count), (&72.into(), 72));
        assert_eq!(
            (found[1].text("small").unwrap(), found[1].text("j").unwrap()),
            ("s".into(), r#"{"a":[1,2]}"#.into())
        );
        assert_eq!(
            (found[1].text("truncated").unwrap(), found[1].text("original_len").unwrap()),
            ("true".into(), "300000".into())
        );
        assert_eq!(found[1].text("v4.original_len").unwrap(), "120000");
        assert!(found[1].text("v4").unwrap().ends_with("…[cut]"));
        assert_eq!(found[2].text("truncated").as_deref(), Some("true"));
    }
}

#[test]
fn victorialogs_gets_no_name_and_no_number_of_fields_for_which_it_drops_a_record() {
    let victorialogs = Otlp::new("http://vl:9428/insert/opentelemetry");
    let object = |members: usize, name: &str| {
        let members: Vec<_> = (0..members).map(|n| format!("\"{name}{n:03}\":{{\"x\":1}}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let frames = [frame(Severity::Info, "m", |w| {
        w.fields.json(Key::named("short"), &object(10, "a"));
        w.fields.json(Key::named(&"k".repeat(100)), &object(1, &"j".repeat(22)));
        w.fields.json(Key::named(&"l".repeat(100)), &object(1, &"j".repeat(23)));
        w.fields.json(Key::named("first"), &object(200, "a"));
        w.fields.json(Key::named("second"), &object(200, "a"));
        w.fields.json(Key::named("list"), "[{\"a\":1}]");
    })];
    let found = decoded::protobuf_of(&victorialogs, &frames);
    let is_text = |name: &str| matches!(found[0].attributes[name], Some(Any::StringValue(_)));
    assert!(!is_text("short") && !is_text("first") && !is_text("list"));
    assert!(!is_text(&"k".repeat(100)), "a name of 128 bytes is one that it takes");
    assert!(is_text(&"l".repeat(100)) && is_text("second"));
    assert_eq!(found[0].text("second").unwrap(), object(200, "a"));
}

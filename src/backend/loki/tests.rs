mod parse;
mod replay;

use self::parse::{Entry, Pairs, parse_json, parse_protobuf};
use super::super::corpus::{self, TIME, body, body_of, frame, nasty, ordinary, put, resource, with_batch};
use super::super::generated::{self, Expected};
use super::super::{Resource, Severity, Value, flat};
use super::*;
use crate::frame::Frame;

fn loki() -> Loki {
    Loki::new("http://loki:3100")
}

/// What both encodings say, which must be the same; in the order of the records.
fn entries_of(backend: &Loki, frames: &[Frame], resource: &Resource) -> Vec<Entry> {
    let mut entries = parse_protobuf(&body_of(&backend.clone(), frames, resource));
    assert_eq!(entries, parse_json(&body_of(&backend.clone().encoding(Encoding::Json), frames, resource)));
    entries.sort_by_key(|entry| entry.nanos);
    for entry in &entries {
        assert!(entry.labels.len() <= 16 && entry.metadata.len() <= 128);
        assert!(entry.labels.values().all(|value| value.len() <= 2048 && !value.is_empty()));
        assert!(entry.line.len() <= 262_144);
        let bytes: usize = entry.metadata.iter().map(|(name, value)| name.len() + 4 + value.len()).sum();
        assert!(bytes <= 64 * 1024, "{bytes}");
        // Names that VictoriaLogs would drop the record for, and names that Loki would merge.
        let names: Vec<_> = entry.metadata.keys().chain(entry.labels.keys()).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!name.is_empty() && name.len() <= 128);
            let twin = names[at + 1..].iter().find(|other| names::same(name, other));
            assert_eq!(twin, None, "Loki would take {name:?} for another");
        }
    }
    entries
}

fn entries(backend: &Loki, frames: &[Frame]) -> Vec<Entry> {
    entries_of(backend, frames, &resource())
}

#[test]
fn the_bodies_are_the_golden_ones() {
    corpus::golden("loki.json", &body(&loki().encoding(Encoding::Json), &ordinary()));
    corpus::golden("loki.pb", &body(&loki(), &ordinary()));
}

#[test]
fn b1_to_b5_nasty_records_come_back_from_independent_parsers() {
    let nasty = nasty();
    let frames: Vec<_> = nasty.iter().map(|one| one.frame.clone()).collect();
    let entries = entries(&loki(), &frames);
    assert_eq!(entries.len(), nasty.len());
    for (at, (entry, one)) in entries.iter().zip(&nasty).enumerate() {
        assert_eq!((entry.nanos, &entry.line), (TIME + (at as i64 + 1) * 1_000, &one.message));
        for (name, value) in &one.fields {
            assert_eq!(entry.metadata.get(name), Some(value), "{name:?} in {:?}", entry.metadata.keys());
        }
        assert_eq!((entry.labels["service_name"].as_str(), entry.labels.len()), ("checkout", 4));
        assert_eq!(entry.metadata.len(), 5 + one.fields.len() + 2, "{:?}", entry.metadata.keys());
    }
}

#[test]
fn labels_select_streams_and_entries_keep_their_order() {
    let frames: Vec<_> = [Severity::Info, Severity::Warn, Severity::Info, Severity::Info]
        .map(|severity| frame(severity, "m", |w| put(w, "n", Value::I64(1))))
        .into();
    let entries = parse_protobuf(&body(&loki(), &frames));
    let times: Vec<_> = entries.iter().map(|entry| (entry.nanos - TIME) / 1_000).collect();
    assert_eq!(times, [1, 3, 4, 2]);
    let of = |level: &str| {
        [("container", "app"), ("level", level), ("namespace", "prod"), ("service_name", "checkout")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    assert_eq!(entries[0].labels, Pairs::from(of("info")));
    assert_eq!(entries[3].labels, Pairs::from(of("warn")));
    assert_eq!(entries[0].get("id"), Some("0123456789abcdef0123456789abcdef-0000000000000001"));
    assert_eq!((entries[0].get("pod"), entries[0].get("region")), (Some("checkout-7d9f\"x"), Some("eu")));
    assert_eq!(entries_of(&loki(), &frames, &Resource::new(""))[0].labels.len(), 1, "an empty value is no label");
}

#[test]
fn promoted_fields_are_labels_and_no_metadata() {
    let promoting = ["tenant.id", "region", "level", "tenant_id", "absent", "long"]
        .into_iter()
        .fold(loki(), |loki, name| loki.promote(name));
    let long = "l".repeat(3_000);
    let frames = [
        frame(Severity::Info, "m", |w| {
            put(w, "tenant.id", Value::I64(7));
            put(w, "tenant_id", Value::Str("other"));
            put(w, "level", Value::Str("of the user"));
            put(w, "long", Value::Str(&long));
        }),
        frame(Severity::Info, "m", |w| {
            put(w, "region", Value::Str("\"},{\n\0é\u{7f}\\"));
            put(w, "tenant.id", Value::Str(""));
        }),
    ];
    let entries = entries(&promoting, &frames);
    let (first, second) = (&entries[0], &entries[1]);
    assert_eq!((first.labels["tenant_id"].as_str(), first.labels["region"].as_str()), ("7", "eu"));
    assert_eq!(first.get("field_tenant_id"), Some("other"), "{:?}", first.metadata.keys());
    assert_eq!(first.get("field_level"), Some("of the user"));
    assert_eq!((first.get("tenant.id"), first.get("region"), first.get("absent")), (None, None, None));
    assert_eq!((first.labels["long"].len(), first.get("field_long")), (2048, Some(&*long)));
    assert_eq!(second.labels["region"], "\"},{\n\0é\u{7f}\\");
    assert_eq!((second.get("region"), second.get("tenant.id")), (None, Some("")));
    assert_eq!(second.labels.len(), 5);
}

#[test]
fn b6_a_hundred_thousand_values_of_a_label_make_a_thousand_streams() {
    let promoting = loki().promote("user");
    let frames: Vec<_> = (0..2_000).map(|i| frame(Severity::Info, "m", |w| put(w, "user", Value::I64(i)))).collect();
    let all = parse_protobuf(&body(&promoting, &frames));
    let streams: std::collections::BTreeSet<_> = all.iter().map(|entry| format!("{:?}", entry.labels)).collect();
    assert_eq!((all.len(), streams.len()), (2_000, 1_000 - 12 + 1));
    let overflow: Vec<_> = all.iter().filter(|entry| entry.labels.contains_key("overflow")).collect();
    assert_eq!(overflow.len(), 2_000 - 988);
    assert!(overflow.iter().all(|entry| entry.get("user").is_some() && !entry.labels.contains_key("user")));
    // What was admitted stays, and nothing is admitted later.
    let again = parse_protobuf(&body(&promoting, &frames[980..1_000]));
    assert_eq!(again.iter().filter(|entry| entry.labels.contains_key("overflow")).count(), 12);
}

#[test]
fn at_most_ten_names_are_promoted() {
    let promoting = (0..20).fold(loki(), |loki, i| loki.promote(format!("p{i}")));
    let frames = [frame(Severity::Info, "m", |w| (0..20).for_each(|i| put(w, &format!("p{i}"), Value::Bool(true))))];
    let entry = &entries(&promoting, &frames)[0];
    assert_eq!(entry.labels.len(), 4 + 10);
    assert_eq!((entry.get("p9"), entry.get("p10")), (None, Some("true")));
}

#[test]
fn names_that_loki_would_merge_are_kept_apart() {
    let keys = ["a.b", "a_b", "a-b", "service.name", "1x", "key_1x", "_y", "key_y", "more", "span", "k8s.pod", ""];
    let frames = [frame(Severity::Info, "m", |w| keys.iter().for_each(|key| put(w, key, Value::Str(key))))];
    let mut resource = resource();
    resource.set("k8s_pod", "replaced by the field");
    resource.set("http.host", "h");
    let entry = &entries_of(&loki(), &frames, &resource)[0];
    for (name, value) in [
        ("a_b", "a_b"),
        ("field_a.b", "a.b"),
        ("field_a-b_2", "a-b"),
        ("field_service.name", "service.name"),
        ("key_1x", "key_1x"),
        ("field_1x", "1x"),
        ("key_y", "key_y"),
        ("field__y", "_y"),
        ("field_more", "more"),
        ("field_span", "span"),
        ("k8s.pod", "k8s.pod"),
        ("field_", ""),
        ("http.host", "h"),
    ] {
        assert_eq!(entry.get(name), Some(value), "{name} in {:?}", entry.metadata);
    }
    assert_eq!(entry.get("k8s_pod"), None);
}

#[test]
fn keys_beyond_the_limit_are_folded_into_one() {
    let frames = [frame(Severity::Info, "m", |w| {
        (0..200).for_each(|i| put(w, &format!("f{i}"), Value::I64(i)));
    })];
    let entry = &entries(&loki(), &frames)[0];
    assert_eq!(entry.get("fields_left_out"), None, "{:?}", entry.metadata.keys());
    let more: serde_json::Map<String, serde_json::Value> = serde_json::from_str(entry.get("more").unwrap()).unwrap();
    assert_eq!(more["fields_left_out"], 72);
    assert_eq!((&more["f127"], &more["region"]), (&127.into(), &"eu".into()));
    assert_eq!(entry.metadata.len(), 126);
    assert!((0..128).all(|i| entry.get(&format!("f{i}")).is_some() || more.contains_key(&format!("f{i}"))));
}

#[test]
fn metadata_is_cut_until_it_fits_and_says_so() {
    let long = "ä".repeat(60_000);
    let frames = [
        frame(Severity::Info, &"m".repeat(300_000), |w| {
            put(w, "small", Value::Str("s"));
            (0..5).for_each(|i| put(w, &format!("v{i}"), Value::Str(&long)));
            put(w, "b", Value::Bytes(&[7; 100_000]));
        }),
        frame(Severity::Info, "m", |w| {
            (0..128).for_each(|i| put(w, &format!("{}{i:03}", "\0".repeat(125)), Value::Str(&long[..4_000])));
            (0..500).for_each(|_| w.span(&"s".repeat(255), 0, &[]));
        }),
    ];
    let all = entries(&loki(), &frames);
    assert_eq!(all[0].get("small"), Some("s"));
    assert_eq!((all[0].get("truncated"), all[0].get("original_len")), (Some("true"), Some("300000")));
    assert_eq!((all[0].get("v4.original_len"), all[0].get("b.original_len")), (Some("120000"), Some("100000")));
    assert!(all[0].get("v4").unwrap().ends_with("…[cut]") && all[0].get("v4").unwrap().len() > 5_000);
    assert_eq!(all[0].line.len(), 262_144);
    assert!(all[1].get("id").is_some());

    let mut resource = resource();
    (0..100).for_each(|i| resource.set(format!("attribute{i}"), "x".repeat(5_000)));
    let entry = &entries_of(&loki(), &frames[..1], &resource)[0];
    assert!(entry.get("id").is_some());
    assert_eq!(entry.get("truncated"), Some("true"));
}

#[test]
fn a_base_url_and_a_push_url_are_the_same() {
    for (given, url) in [
        ("http://loki:3100", "http://loki:3100/loki/api/v1/push"),
        ("http://loki:3100/", "http://loki:3100/loki/api/v1/push"),
        ("http://gw/prefix/", "http://gw/prefix/loki/api/v1/push"),
        ("http://gw/prefix?a=b", "http://gw/prefix/loki/api/v1/push?a=b"),
        ("http://loki:3100/loki/api/v1/push", "http://loki:3100/loki/api/v1/push"),
        ("http://vl/insert", "http://vl/insert/loki/api/v1/push?disable_message_parsing=1"),
        ("http://vl/insert/loki/api/v1/push?x=1", "http://vl/insert/loki/api/v1/push?x=1&disable_message_parsing=1"),
        (
            "http://vl/insert/loki/api/v1/push?disable_message_parsing=0",
            "http://vl/insert/loki/api/v1/push?disable_message_parsing=0",
        ),
    ] {
        assert_eq!(Loki::new(given).url(), url);
        let delivery = if url.contains("/vl/") { Delivery::AtLeastOnce } else { Delivery::EffectivelyOnce };
        assert_eq!(Loki::new(given).facts().delivers(), delivery);
    }
}

#[test]
fn b5_no_field_is_lost_or_doubled_whatever_its_name() {
    let (frames, counts): (Vec<_>, Vec<_>) = corpus::random(4, 1_000).into_iter().unzip();
    for (entry, fields) in entries(&loki(), &frames).iter().zip(&counts) {
        assert_eq!(entry.metadata.len(), 5 + fields + 2, "{:?}", entry.metadata.keys());
    }
    for (entry, fields) in entries(&loki().promote("a").promote("a.b"), &frames).iter().zip(counts) {
        assert_eq!(entry.metadata.len() + entry.labels.len(), 5 + fields + 2 + 4, "{entry:?}");
    }
}

#[test]
fn b5_generated_records_come_back_with_their_values() {
    let check = |entries: &[Entry], expected: &[Expected]| {
        assert_eq!(entries.len(), expected.len());
        for entry in entries {
            let one = &expected[((entry.nanos - TIME) / 1_000 - 1) as usize];
            assert_eq!((&entry.line, &*entry.labels["level"]), (&one.message, one.severity.as_str()));
            assert_eq!((entry.get("target"), entry.get("thread")), (Some(&*one.target), Some(one.thread)));
            for (key, given) in &one.fields {
                // Others are told apart by names that tests above look at.
                let keeps_its_name = names::is_plain(key) && key != "truncated" && !flat::RESERVED.contains(&&**key);
                if keeps_its_name {
                    let found = entry.get(key).unwrap_or_else(|| panic!("{key:?} in {:?}", entry.metadata.keys()));
                    assert!(given.is_text(found), "{key:?} is {given:?}, not {found:?}");
                }
            }
            let optional = [one.file.is_some(), one.line.is_some(), !one.spans.is_empty()];
            let optional = optional.into_iter().filter(|&has| has).count();
            // Target, thread and id, and the pod and the region of the resource.
            assert_eq!(entry.metadata.len(), 3 + 2 + optional + one.fields.len(), "{:?}", entry.metadata.keys());
        }
    };
    generated::each_of_a_hundred_thousand(9, |frames, expected| {
        check(&parse_protobuf(&body(&loki(), frames)), expected);
        // The same fields by the same code, so some are enough.
        let (frames, expected) = (&frames[..100], &expected[..100]);
        check(&parse_json(&body(&loki().encoding(Encoding::Json), frames)), expected);
    });
}

#[test]
fn it_conforms() {
    super::super::conformance::conformance(&loki());
    super::super::conformance::conformance(&loki().encoding(Encoding::Json).promote("k"));
}

#[test]
fn cost_is_what_loki_counts() {
    body(&loki(), &ordinary());
    let backend = loki();
    body(&backend, &ordinary());
    for frame in ordinary() {
        let frames = std::slice::from_ref(&frame);
        let entry = &entries(&backend, frames)[0];
        let size =
            entry.line.len() + entry.metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let cost = with_batch(&backend, frames, &resource(), |batch| backend.cost(&batch.records().next().unwrap()));
        assert!(cost * 100 >= size * 95 && cost * 100 <= size * 115, "cost {cost}, size {size}");
    }
}

#[test]
fn the_scheme_builds_either_encoding_and_promotes() {
    let build = |name| {
        let backend = SCHEME.built(name, "http://h", &["user"], &[]);
        let frames = [frame(Severity::Info, "m", |w| put(w, "user", Value::Str("u")))];
        (backend.facts().takes_gzip(), body(&*backend, &frames))
    };
    let (gzip, body) = build("loki");
    assert_eq!((gzip, parse_protobuf(&body)[0].labels["user"].as_str()), (false, "u"));
    let (gzip, body) = build("loki-json");
    assert_eq!((gzip, parse_json(&body)[0].labels["user"].as_str()), (true, "u"));
}

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use rmpv::Value as Packed;

use super::super::Value;
use super::super::conformance::conformance;
use super::super::corpus::{self, TIME, body, body_once, frame, nasty, ordinary, put, resource, with_batch};
use super::super::generated::{Given, each_of_a_hundred_thousand};
use super::*;
use crate::batch::Places;
use crate::frame::{Frame, Severity};

fn forward() -> Forward {
    Forward::new("tcp://localhost")
}

/// An entry as an independent reader has it: its time, and its members, each name once.
#[derive(Debug)]
struct Entry {
    nanos: i64,
    members: BTreeMap<String, Packed>,
}

impl Entry {
    fn text(&self, name: &str) -> &str {
        self.members[name].as_str().unwrap()
    }
}

struct Message {
    tag: String,
    entries: Vec<Entry>,
    options: BTreeMap<String, Packed>,
}

fn map(value: Packed) -> BTreeMap<String, Packed> {
    let Packed::Map(members) = value else { panic!("no map: {value}") };
    let count = members.len();
    let map: BTreeMap<_, _> =
        members.into_iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), value)).collect();
    assert_eq!(map.len(), count, "a name twice");
    map
}

fn message(mut bytes: &[u8]) -> Message {
    let Packed::Array(parts) = rmpv::decode::read_value(&mut bytes).unwrap() else { panic!("no array") };
    assert!(bytes.is_empty());
    let [tag, packed, options] = <[Packed; 3]>::try_from(parts).unwrap();
    let options = map(options);
    let Packed::Binary(mut entries) = packed else { panic!("no bytes") };
    if options.contains_key("compressed") {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*entries).read_to_end(&mut unpacked).unwrap();
        entries = unpacked;
    }
    let mut rest = &*entries;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let Packed::Array(entry) = rmpv::decode::read_value(&mut rest).unwrap() else { panic!("no entry") };
        let [time, record] = <[Packed; 2]>::try_from(entry).unwrap();
        let Packed::Ext(0, time) = time else { panic!("no event time: {time}") };
        let part = |at: usize| i64::from(u32::from_be_bytes(time[at..at + 4].try_into().unwrap()));
        all.push(Entry { nanos: part(0) * 1_000_000_000 + part(4), members: map(record) });
    }
    assert_eq!(options["size"].as_u64(), Some(all.len() as u64));
    Message { tag: tag.as_str().unwrap().to_owned(), entries: all, options }
}

/// What a value must come back as.
fn is(given: &Given, found: &Packed) -> bool {
    match (given, found) {
        (Given::Bool(value), _) => found.as_bool() == Some(*value),
        (Given::F64(value), Packed::F64(found)) => found.to_bits() == value.to_bits() && value.is_finite(),
        (Given::F64(value), Packed::String(text)) => !value.is_finite() && given.is_text(text.as_str().unwrap()),
        (Given::Text(value) | Given::Error(value), _) => found.as_str() == Some(value),
        (Given::Bytes(value), _) => found.as_slice() == Some(value) && found.is_bin(),
        (Given::Json(value), _) => json_of(found) == serde_json::from_str::<serde_json::Value>(value).unwrap(),
        (integer, Packed::Integer(found)) => integer.integer() == Some(found.to_string()),
        (integer, Packed::String(text)) => {
            let digits = integer.integer().unwrap();
            digits.parse::<i64>().is_err() && digits.parse::<u64>().is_err() && text.as_str() == Some(&digits)
        }
        _ => false,
    }
}

fn json_of(value: &Packed) -> serde_json::Value {
    match value {
        Packed::Nil => serde_json::Value::Null,
        Packed::Boolean(value) => (*value).into(),
        Packed::Integer(number) => {
            number.as_u64().map_or_else(|| number.as_i64().unwrap().into(), serde_json::Value::from)
        }
        Packed::F64(value) => (*value).into(),
        Packed::String(text) => text.as_str().unwrap().into(),
        Packed::Array(values) => values.iter().map(json_of).collect(),
        Packed::Map(members) => serde_json::Value::Object(
            members.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), json_of(value))).collect(),
        ),
        other => panic!("{other}"),
    }
}

#[test]
fn the_body_is_the_golden_one() {
    corpus::golden("forward.msgpack", &body(&forward(), &ordinary()));
    corpus::golden("forward.gzip.msgpack", &body(&forward().gzip(), &ordinary()));
}

#[test]
fn an_entry_has_what_the_record_has_with_its_types() {
    let Message { tag, entries, options } = message(&body(&forward(), &ordinary()));
    assert_eq!((&*tag, entries.len(), options.len()), ("checkout", 3, 2));
    let first = &entries[0];
    assert_eq!(first.nanos, TIME + 1_000);
    for (name, text) in [
        ("message", "request completed"),
        ("level", "info"),
        ("target", "shop"),
        ("file", "src/main.rs"),
        ("span", "request:db"),
        ("service_name", "checkout"),
        ("namespace", "prod"),
        ("request_id", "r-1"),
    ] {
        assert_eq!(first.text(name), text);
    }
    assert_eq!((first.members["line"].as_u64(), first.members["user_id"].as_i64()), (Some(12), Some(42)));
    assert_eq!(first.members["latency_ms"].as_f64(), Some(12.7));
    let second = &entries[1].members;
    assert_eq!(second["big"].as_u64(), Some(u64::MAX));
    assert_eq!(second["raw"].as_slice(), Some(&[0, 255, 10][..]));
    assert_eq!(json_of(&second["cart"]), serde_json::json!({"items": [1, 2], "note": "a\nb"}));
    // A field goes before an attribute of its name.
    assert_eq!(entries[2].text("pod"), "of the record");
}

#[test]
fn packed_entries_are_the_same_and_say_so() {
    let plain = message(&body(&forward(), &ordinary()));
    let packed = message(&body(&forward().gzip(), &ordinary()));
    assert_eq!(packed.options["compressed"].as_str(), Some("gzip"));
    assert_eq!(format!("{:?}", packed.entries), format!("{:?}", plain.entries));
    let mut asked = forward();
    asked.compress();
    assert!(message(&body(&asked, &ordinary())).options.contains_key("compressed"));
}

#[test]
fn each_part_of_a_batch_has_a_chunk_of_its_own_which_the_payload_waits_for() {
    let frames: Vec<Frame> = (0..8).map(|_| frame(Severity::Info, "m", |_| {})).collect();
    let mut chunks = BTreeSet::new();
    with_batch(&forward(), &frames, &resource(), |whole| {
        let parts = [
            Places::Range(0, 8),
            Places::Range(0, 4),
            Places::Range(4, 8),
            Places::List(&[0, 2]),
            Places::List(&[0, 3]),
        ];
        for part in parts {
            let batch = whole.part(part);
            let payload = forward().encode(&batch);
            let Payload::Framed { bytes, ack: Some(ack) } = payload else { panic!("no ack") };
            assert_eq!(message(&bytes).options["chunk"].as_str(), Some(&*ack));
            assert!(ack.len() < 128);
            chunks.insert(ack);
        }
    });
    assert_eq!(chunks.len(), 5);
}

#[test]
fn nasty_records_come_back_as_they_were() {
    let all = nasty();
    let frames: Vec<Frame> = all.iter().map(|nasty| nasty.frame.clone()).collect();
    let entries = message(&body(&forward(), &frames)).entries;
    for (nasty, entry) in all.iter().zip(&entries) {
        assert_eq!(entry.text("message"), nasty.message);
        for (name, text) in &nasty.fields {
            let found = &entry.members[name];
            let shown = match found {
                Packed::String(found) => found.as_str().unwrap().to_owned(),
                Packed::Binary(bytes) => {
                    use base64::Engine as _;
                    base64::engine::general_purpose::STANDARD.encode(bytes)
                }
                Packed::F64(value) => zmij::Buffer::new().format_finite(*value).to_owned(),
                Packed::Map(_) | Packed::Nil => json_of(found).to_string(),
                other => other.to_string(),
            };
            assert_eq!(&shown, text, "{name:?}");
        }
    }
    assert_eq!(entries.len(), all.len());
}

#[test]
fn an_independent_reader_finds_random_records_as_they_were() {
    each_of_a_hundred_thousand(0xf0, |frames, expected| {
        let entries = message(&body_once(&forward(), frames)).entries;
        assert_eq!(entries.len(), expected.len());
        for (entry, expected) in entries.iter().zip(expected) {
            let members = &entry.members;
            assert_eq!(entry.text("message"), expected.message);
            assert_eq!(entry.text("level"), expected.severity.as_str());
            assert_eq!(entry.text("thread"), expected.thread);
            assert_eq!(entry.text("target"), expected.target);
            assert_eq!(members.get("file").map(|file| file.as_str().unwrap()), expected.file.as_deref());
            assert_eq!(members.get("line").map(|line| line.as_u64().unwrap() as u32), expected.line);
            let is_taken = |key: &str| {
                key.is_empty() || encode::RESERVED_NAMES.contains(&key) || matches!(key, "truncated" | "original_len")
            };
            for (key, given) in expected.fields.iter().filter(|(key, _)| !is_taken(key)) {
                assert!(is(given, &members[key]), "{key:?} is {given:?}, not {}", members[key]);
            }
            let optional = [expected.file.is_some(), expected.line.is_some(), !expected.spans.is_empty()];
            let optional = optional.into_iter().filter(|&has| has).count();
            // Five of every record, and the service with its four attributes, which no field replaces.
            assert_eq!(members.len(), 5 + optional + expected.fields.len() + 5, "{:?}", members.keys());
        }
    });
}

#[test]
fn a_time_that_the_protocol_cannot_hold_is_a_member() {
    for (nanos, shown) in [(-1, 0), (TIME, TIME), (4_294_967_296_000_000_000, 4_294_967_295_000_000_000)] {
        let frames = [frame(Severity::Info, "m", |_| {})];
        let bytes = corpus::body_at(&forward(), &frames, nanos);
        let entry = message(&bytes).entries.remove(0);
        let nanos_of = |nanos: i64| nanos.rem_euclid(1_000_000_000);
        assert_eq!(entry.nanos, shown - nanos_of(shown) + nanos_of(nanos));
        assert_eq!(entry.members.contains_key("time"), nanos != TIME, "{nanos}");
    }
}

#[test]
fn a_field_that_would_be_taken_for_the_message_has_another_name() {
    let frames = [frame(Severity::Info, "mine", |w| put(w, "log", Value::Str("theirs")))];
    let entry = message(&body(&forward(), &frames)).entries.remove(0);
    assert_eq!((entry.text("message"), entry.text("field_log")), ("mine", "theirs"));
    assert!(!entry.members.contains_key("log"));
}

#[test]
fn the_tag_is_the_service_unless_it_is_given() {
    let tag =
        |forward: Forward, service: &str| message(&corpus::body_of(&forward, &ordinary(), &Resource::new(service))).tag;
    assert_eq!(tag(forward(), "shop web/é.1"), "shop_web__.1");
    assert_eq!(tag(forward(), ""), "logchute");
    assert_eq!(tag(forward().tag("a.b c"), "shop"), "a.b c");
    assert_eq!(tag(Forward::new("tls://h:1/app.log"), "shop"), "app.log");
}

#[test]
fn a_url_says_where_to_and_with_which_tag() {
    for (url, reached) in [
        ("tcp://fluentd", "tcp://fluentd:24224"),
        ("tls://fluentd:1/t?compression=gzip", "tls://fluentd:1"),
        ("tcp://[::1]/a%20b", "tcp://[::1]:24224"),
    ] {
        assert_eq!(SCHEME.built("forward", url, &[], &[]).url(), reached);
    }
    let built = SCHEME.built("fluent", "tcp://h/a%20b?compression=gzip", &[], &[]);
    let message = message(&body(&*built, &ordinary()));
    assert_eq!((&*message.tag, message.options.contains_key("compressed")), ("a b", true));
}

#[test]
fn it_conforms() {
    conformance(&forward());
    conformance(&forward().gzip());
}

#[test]
fn cost_is_close_to_what_a_record_takes() {
    let backend = forward();
    body(&backend, &ordinary());
    let long = "x".repeat(1000);
    let mut frames = ordinary();
    frames.push(frame(Severity::Info, &long, |w| put(w, "v", Value::Str(&long))));
    for frame in &frames {
        let frames = std::slice::from_ref(frame);
        let cost = with_batch(&backend, frames, &resource(), |batch| backend.cost(&batch.records().next().unwrap()));
        // Without what a message has once.
        let size = body(&backend, frames).len() - 110;
        assert!(cost * 100 >= size * 92 && cost * 100 <= size * 115, "cost {cost}, size {size}");
    }
}

//! What is read out of bodies.

use flate2::{Compression, write::GzEncoder};

use super::*;

#[test]
fn ndjson_is_read_with_its_types() {
    let store = Store::new();
    post(
        &store,
        concat!(
            r#"{"time":"2026-02-03T04:05:06.000000007Z","level":"warn","message":"a\nb","target":"shop","line":3,"span":"order","id":"ab-1","#,
            r#""user":18446744073709551615,"deep":{"x":[1]},"text":"with space"}"#,
            "\n\n",
            r#"{"message":"plain"}"#,
        ),
    );
    let [record, plain] = &store.records()[..] else { panic!("two records") };
    assert_eq!(record.time_nanos, Some(1_770_091_506_000_000_007));
    assert_eq!((record.level.as_str(), record.message.as_str(), record.id.as_deref()), ("warn", "a\nb", Some("ab-1")));
    assert_eq!(record.get("user"), Some(&u64::MAX.into()));
    assert_eq!(record.get("deep"), Some(&serde_json::json!({"x": [1]})));
    assert_eq!(record.raw["line"], 3);
    assert_eq!(
        record.to_string(),
        r#"2026-02-03T04:05:06.000000007Z WARN  shop: a\nb deep={"x":[1]} text="with space" user=18446744073709551615 in order"#
    );
    assert_eq!(plain.to_string(), "plain");
    assert_eq!(store.ids(), ["ab-1"]);
}

#[test]
fn distinct_goes_by_the_id() {
    let store = Store::new();
    let record = |id: u8| format!("{{\"message\":\"x\",\"id\":\"{id}\"}}\n");
    post(&store, &(record(1) + &record(2)));
    post(&store, &record(2));
    assert_eq!((store.count(), store.distinct()), (3, 2));
    store.forget();
    assert_eq!((store.count(), store.distinct(), store.request_count(), store.bytes()), (0, 0, 0, 0));
    assert_eq!(store.requests().len(), 0);
    post(&store, &record(3));
    assert_eq!(store.ids(), ["3"]);
}

#[test]
fn arrays_and_texts_are_read_and_unknown_bodies_have_no_records() {
    let store = Store::new();
    post_as(&store, "/", "Content-Type: application/json\r\n", br#" [{"message":"a"},{"message":"b"}]"#);
    post_as(&store, "/", "Content-Type: text/plain\r\n", b"c\nd\n");
    post_as(&store, "/", "Content-Type: application/msgpack\r\n", b"\x81\xa1a\x01");
    assert_eq!(store.messages(), ["a", "b", "c", "d"]);
    assert!(store.requests().iter().all(|request| request.fault().is_none()));
}

#[test]
fn what_cannot_be_read_is_a_fault_of_the_request() {
    let store = Store::new();
    post(&store, "{\"message\":\"good\"}\n{\"message\":\n");
    post_as(&store, "/", "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", b"not gzip");
    post_as(&store, "/", "Content-Type: application/json\r\nContent-Encoding: br\r\n", b"{}");
    post_as(&store, PUSH, "Content-Type: application/x-protobuf\r\n", b"\xFF\xFFno snappy");
    assert_eq!(store.messages(), ["good"]);
    assert!(store.requests().iter().all(|request| request.fault().is_some()));
    assert!(store.requests()[0].fault().unwrap().starts_with("record 1: "));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// One record each way: content type and further headers, body.
fn one_record_each_way() -> [(&'static str, &'static str, Vec<u8>); 5] {
    let json = br#"{"streams":[{"stream":{"level":"info","app":"a"},"values":[["7","m",{"id":"1"}]]}]}"#;
    let entry = b"\x12\x12\x0a\x02\x10\x07\x12\x01m\x1a\x09\x0a\x02id\x12\x031-1";
    let stream = [&b"\x0a\x17{level=\"info\", app=\"a\"}"[..], entry].concat();
    let push = [&[0x0a, stream.len() as u8], &stream[..]].concat();
    // A block of snappy that is one literal: the length, a tag with the length again, the bytes.
    let literal = [&[push.len() as u8, (push.len() as u8 - 1) << 2], &push[..]].concat();
    let packed = snap::raw::Encoder::new().compress_vec(&push).unwrap();
    [
        (PUSH, "Content-Type: application/json; charset=utf-8\r\n", json.to_vec()),
        (PUSH, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", gzip(json)),
        (PUSH, "Content-Type: application/x-protobuf\r\n", literal),
        (PUSH, "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n", packed),
        ("/ndjson", "Content-Type: application/x-ndjson\r\nContent-Encoding: gzip\r\n", gzip(message("m").as_bytes())),
    ]
}

#[test]
fn each_format_and_encoding_gives_the_same_record() {
    let store = Store::new();
    for (path, headers, body) in one_record_each_way() {
        post_as(&store, path, headers, &body);
        assert_eq!(store.requests().last().unwrap().fault(), None);
    }
    assert_eq!(store.messages(), ["m"; 5]);
    for record in &store.records()[..4] {
        assert_eq!((record.time_nanos, record.level.as_str(), record.get("app")), (Some(7), "info", Some(&"a".into())));
        assert!(record.id.is_some());
    }
}

#[test]
fn counting_gives_the_numbers_of_reading_and_keeps_nothing() {
    let (reading, counting) = (Store::new(), Store::counting());
    for store in [&reading, &counting] {
        for (path, headers, body) in one_record_each_way() {
            post_as(store, path, headers, &body);
        }
        post(store, &message("x").repeat(1_000));
        post(store, message("no newline at the end").trim_end());
        post_as(store, "/", "Content-Type: application/json\r\n", b"[{},\n{}]");
    }
    assert_eq!(reading.count(), 5 + 1_000 + 1 + 2);
    assert_eq!(
        (counting.count(), counting.request_count(), counting.bytes()),
        (reading.count(), reading.request_count(), reading.bytes())
    );
    assert!(counting.requests().is_empty() && counting.records().is_empty());
}

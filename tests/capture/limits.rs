//! How large a record may be, on the whole path; row B1, B6.

use std::fmt;

use logchute::json;
use logchute::testing::capture;
use serde_json::Value;
use tracing::field::Empty;
use tracing::{info, info_span};

use super::{given, one};

const KIB: usize = 1024;
const VALUE_MAX: usize = 256 * KIB;

/// Writes itself in pieces, as most `Display`s do.
struct Long(usize);

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.0 / 4).try_for_each(|_| f.write_str("😀"))
    }
}

#[track_caller]
fn assert_cut(value: &Value) {
    let text = value.as_str().unwrap();
    assert!(text.ends_with("…[cut]") && text.len() <= VALUE_MAX && text.len() > VALUE_MAX - 8, "{}", text.len());
}

#[test]
fn b1_messages_of_all_sizes() {
    for size in [0, 4, 4 * KIB, VALUE_MAX - 4, VALUE_MAX] {
        let logs = capture();
        info!("{}", Long(size));
        log::info!("{}", Long(size));
        for record in logs.records() {
            assert_eq!((record.message.len(), record.get("truncated"), record.get("original_len")), (size, None, None));
        }
        assert_eq!(logs.count(), 2);
    }
    for size in [VALUE_MAX + 4, 1024 * KIB, 100 * 1024 * KIB] {
        let logs = capture();
        info!(after = 1, "{}", Long(size));
        log::info!(after = 1; "{}", Long(size));
        for record in logs.records() {
            assert_cut(&record.message.clone().into());
            assert_eq!((record.get("truncated"), record.get("original_len")), (Some(&true.into()), Some(&size.into())));
            assert_eq!(record.get("after"), Some(&1.into()));
        }
        assert_eq!(logs.count(), 2);
    }
}

#[test]
fn b1_values_of_events_and_spans() {
    let logs = capture();
    let (long, text) = (Long(1024 * KIB), "x".repeat(1024 * KIB));
    let list = vec![1; VALUE_MAX];
    info!(display = %long, text, "");
    info!(bytes = text.as_bytes(), nested = ?json(&list), "");
    log::info!(display:% = long, text = text.as_str(); "");
    let _span = info_span!("s", %long, text).entered();
    info!("in a span");
    let records = logs.records();
    for (record, keys) in
        [(&records[0], ["display", "text"]), (&records[2], ["display", "text"]), (&records[3], ["long", "text"])]
    {
        for key in keys {
            assert_cut(record.get(key).unwrap());
            assert_eq!(record.get(&format!("{key}.original_len")), Some(&(1024 * KIB).into()));
        }
        assert_eq!(record.get("truncated"), Some(&true.into()));
    }
    let bytes = records[1].get("bytes").and_then(Value::as_str).unwrap();
    assert!(bytes.len() <= VALUE_MAX && bytes.len() > VALUE_MAX - 8);
    assert_eq!(records[1].get("bytes.original_len"), Some(&(1024 * KIB).into()));
    assert_cut(records[1].get("nested").unwrap());
}

#[test]
fn a_record_has_a_mebibyte_at_most_and_says_what_it_left_out() {
    let logs = capture();
    let text = "y".repeat(300 * KIB);
    let t = text.as_str();
    let _outer = info_span!("outer", o1 = t, o2 = t, o3 = t, o4 = t, o5 = t).entered();
    let _inner = info_span!("inner", small = 1).entered();
    info!(a = t, b = t, c = t, d = t, e = t, "the message is whole: {}", "m".repeat(4 * KIB));
    let record = one(&logs);
    let kept: usize = given(&record).iter().map(|(_, value)| value.as_str().map_or(0, str::len)).sum();
    assert!(kept <= 1024 * KIB && kept > 900 * KIB, "{kept}");
    assert!(record.message.len() > 4 * KIB && record.get("original_len").is_none());
    assert!(record.get("fields_left_out").and_then(Value::as_u64).unwrap() >= 5);
    assert_eq!(record.get("small"), Some(&1.into()));
}

#[test]
fn b6_of_2000_fields_128_are_kept_and_the_rest_is_counted() {
    let logs = capture();
    let pairs: Vec<(String, i32)> = (0..2_000).map(|n| (format!("k{n}"), n)).collect();
    let record = log::Record::builder().args(format_args!("many")).key_values(&pairs).level(log::Level::Info).build();
    log::logger().log(&record);
    let record = one(&logs);
    assert_eq!(given(&record).len(), 128 + 1);
    assert_eq!(record.get("fields_left_out"), Some(&(2_000 - 128).into()));
    assert_eq!(record.get("k127"), Some(&127.into()));
}

#[test]
fn b6_nesting_is_cut_below_the_sixteenth_level() {
    let mut deep = Value::from(1);
    (0..100).for_each(|_| deep = Value::from(vec![deep.clone()]));
    let logs = capture();
    info!(deep = ?json(&deep));
    log::info!(deep:serde = deep; "");
    for record in logs.records() {
        let (mut inner, mut depth) = (record.get("deep").unwrap(), 0);
        while let Some(next) = inner.get(0) {
            (inner, depth) = (next, depth + 1);
        }
        assert_eq!((depth, inner.as_str()), (16, Some("…[nested too deep]")));
    }
    assert_eq!(logs.count(), 2);
}

#[test]
fn b6_a_recursion_of_spans_costs_its_outer_end() {
    let logs = capture();
    let spans: Vec<_> = (0..1_000).map(|n| info_span!("s", n).entered()).collect();
    info!("deep");
    spans.into_iter().rev().for_each(drop);
    let record = one(&logs);
    assert_eq!(record.get("n"), Some(&999.into()), "the innermost");
    assert_eq!(record.get("span").and_then(Value::as_str).unwrap().split(':').count(), 128);
    assert_eq!(record.get("fields_left_out"), Some(&(1_000 - 128).into()));
}

/// The fields of one span take a mebibyte at most, however they come: they are copied into each of its records,
/// and there may be many spans.
#[test]
fn what_is_recorded_piece_by_piece_is_bounded_too() {
    let logs = capture();
    let text = "z".repeat(250 * KIB);
    let span = info_span!("s", a = Empty, b = Empty, c = Empty, d = Empty, e = Empty, f = Empty);
    let _entered = span.enter();
    for key in ["a", "b", "c", "d", "e", "f"] {
        span.record(key, text.as_str());
    }
    info!("");
    span.record("a", 1);
    span.record("f", 2);
    info!("");
    let records = logs.records();
    assert_eq!(given(&records[0]).iter().filter(|(key, _)| key.len() == 1).count(), 4);
    assert!(records[0].get("fields_left_out").is_some());
    assert_eq!((records[1].get("a"), records[1].get("f")), (Some(&1.into()), Some(&2.into())));
}

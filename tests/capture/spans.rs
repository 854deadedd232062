//! A record has the fields of the spans that it is in: which ones, in which order, and as of when.

use std::thread;

use logchute::testing::{Received, capture};
use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::subscriber::with_default;
use tracing::{Level, debug_span, error_span, info, info_span, instrument};
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use super::{given_json, one};

fn span_of(record: &Received) -> Option<&str> {
    record.get("span").and_then(Value::as_str)
}

#[test]
fn fields_of_all_spans_with_their_types() {
    let logs = capture();
    let outer = info_span!("outer", request = 7_u64, ok = true, text = "t", big = u128::MAX).entered();
    let inner = info_span!("inner", ratio = 0.5, bytes = &[1_u8, 2][..], debug = ?Some(1)).entered();
    info!(own = -1, "deep");
    drop(inner);
    info!("shallow");
    drop(outer);
    info!("outside");
    let records = logs.records();
    assert_eq!(
        given_json(&records[0]),
        json!({
            "own": -1, "ratio": 0.5, "bytes": "AQI=", "debug": "Some(1)",
            "request": 7, "ok": true, "text": "t", "big": u128::MAX.to_string(),
        })
    );
    assert_eq!(records.iter().map(span_of).collect::<Vec<_>>(), [Some("outer:inner"), Some("outer"), None]);
    assert_eq!(given_json(&records[2]), json!({}));
}

#[test]
fn the_event_beats_spans_and_the_inner_span_the_outer() {
    let logs = capture();
    let _outer = info_span!("outer", a = "outer", b = "outer", c = "outer").entered();
    let _inner = info_span!("inner", a = "inner", b = "inner").entered();
    info!(a = "event");
    log::info!(a = "record"; "");
    let records = logs.records();
    assert_eq!(given_json(&records[0]), json!({"a": "event", "b": "inner", "c": "outer"}));
    assert_eq!(given_json(&records[1]), json!({"a": "record", "b": "inner", "c": "outer"}));
}

#[test]
fn a_field_named_message_is_an_ordinary_one_of_a_span() {
    let logs = capture();
    let _span = info_span!("s", message = "of the span").entered();
    info!("of the event");
    let record = one(&logs);
    assert_eq!(
        (record.message.as_str(), given_json(&record)),
        ("of the event", json!({"field_message": "of the span"}))
    );
}

#[test]
fn explicit_parent_and_root() {
    let logs = capture();
    let elsewhere = info_span!("elsewhere", of = "elsewhere");
    let child = info_span!(parent: &elsewhere, "child", child = true);
    let _here = info_span!("here", of = "here").entered();
    info!(parent: &child, "there");
    info!(parent: &elsewhere, "there");
    info!(parent: None, "nowhere");
    info!("here");
    let root = info_span!(parent: None, "root", root = true);
    root.in_scope(|| info!("below the root"));
    let of: Vec<_> =
        logs.records().iter().map(|record| (span_of(record).map(str::to_owned), given_json(record))).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        of,
        [
            (some("elsewhere:child"), json!({"of": "elsewhere", "child": true})),
            (some("elsewhere"), json!({"of": "elsewhere"})),
            (None, json!({})),
            (some("here"), json!({"of": "here"})),
            (some("root"), json!({"root": true})),
        ]
    );
}

#[test]
fn what_is_recorded_later_replaces_and_is_seen_by_all_later_events() {
    let logs = capture();
    let outer = info_span!("outer", user = Empty, state = "new", count = 1);
    let _entered = outer.enter();
    let _inner = info_span!("inner", x = 1).entered();
    info!("1");
    outer.record("user", "ann");
    info!("2");
    outer.record("user", 42);
    outer.record("state", "done");
    outer.record("no such field", 1);
    info!("3");
    log::info!("4");
    let records = logs.records();
    assert_eq!(given_json(&records[0]), json!({"x": 1, "state": "new", "count": 1}));
    assert_eq!(given_json(&records[1]), json!({"x": 1, "state": "new", "count": 1, "user": "ann"}));
    let last = json!({"x": 1, "state": "done", "count": 1, "user": 42});
    assert_eq!((given_json(&records[2]), given_json(&records[3])), (last.clone(), last));
}

#[test]
fn an_error_that_takes_the_place_of_another_leaves_nothing_of_it() {
    use super::values::{Trouble, trouble};
    let logs = capture();
    let (long, short) = (trouble(), "x".parse::<u8>().unwrap_err());
    let span = info_span!("s", error = &long as &dyn std::error::Error, "error.typed" = "mine").entered();
    info!("1");
    info!(error = &short as &dyn std::error::Error, "2");
    info!(error = "a text", "3");
    span.record("error", &short as &dyn std::error::Error);
    info!("4");
    span.record("error", 5);
    info!("5");
    let records = logs.records();
    let chain = json!(["no order placed", "disk \"sda\" is gone"]);
    assert_eq!(
        given_json(&records[0]),
        json!({"error": long.to_string(), "error.type": "Top", "error.chain": chain, "error.typed": "mine"})
    );
    let shorter = json!({"error": short.to_string(), "error.type": "ParseIntError", "error.typed": "mine"});
    assert_eq!(given_json(&records[1]), shorter);
    assert_eq!(given_json(&records[2]), json!({"error": "a text", "error.typed": "mine"}));
    assert_eq!(given_json(&records[3]), shorter);
    assert_eq!(given_json(&records[4]), json!({"error": 5, "error.typed": "mine"}));
    drop(Trouble::Root(1));
}

#[test]
fn a_span_that_is_closed_leaves_nothing_to_the_next_of_its_id() {
    let logs = capture();
    for round in 0..100 {
        if round % 2 == 0 {
            info_span!("even", even = round).in_scope(|| info!(round, ""));
        } else {
            info_span!("odd", odd = round).in_scope(|| info!(round, ""));
        }
    }
    for record in logs.records() {
        let round = record.get("round").and_then(Value::as_u64).unwrap();
        let expected = if round % 2 == 0 { json!({"even": round}) } else { json!({"odd": round}) };
        let mut given = given_json(&record);
        given.as_object_mut().unwrap().remove("round");
        assert_eq!(given, expected);
    }
}

#[test]
fn spans_of_one_thread_are_not_those_of_another() {
    let logs = capture();
    let span = info_span!("here", here = 1);
    let _here = span.enter();
    thread::scope(|scope| {
        let handle = logs.handle();
        let span = &span;
        scope.spawn(move || {
            handle.run(|| {
                info!("without");
                log::info!("without");
                span.in_scope(|| info!("within"));
                let _there = info_span!(parent: span, "there", there = 2).entered();
                log::info!("below");
            });
        });
    });
    let seen: Vec<_> = logs.records().iter().map(given_json).collect();
    assert_eq!(seen, [json!({}), json!({}), json!({"here": 1}), json!({"here": 1, "there": 2})]);
}

#[instrument(skip_all, fields(order = %id, late))]
fn instrumented(id: u64, _secret: &str) -> Result<u8, String> {
    tracing::Span::current().record("late", true);
    info!("inside");
    Err("failed".to_owned())
}

#[test]
fn the_attribute_makes_spans_like_any_other() {
    let logs = capture();
    instrumented(3, "s").unwrap_err();
    assert_eq!(given_json(&one(&logs)), json!({"order": "3", "late": true}));
}

#[test]
fn spans_that_only_another_layer_wants_are_not_ours() {
    let logs = capture();
    let theirs = fmt::layer().with_writer(std::io::sink).with_filter(LevelFilter::TRACE);
    let spans = filter_fn(|metadata| !metadata.is_span() || *metadata.level() <= Level::WARN);
    // The capture's own layer wants all, so the filter around it is what it does not get.
    let mine = tracing_subscriber::registry().with(theirs).with(logs.layer().with_filter(spans));
    with_default(mine, || {
        let _warn = tracing::warn_span!("warn", warn = 1).entered();
        let _debug = debug_span!("debug", debug = 1).entered();
        let inner = error_span!("error", error = 1, late = Empty).entered();
        inner.record("late", 2);
        info!("tracing");
        log::info!("log");
    });
    for record in logs.records() {
        assert_eq!(given_json(&record), json!({"warn": 1, "error": 1, "late": 2}), "{record}");
    }
    assert_eq!(logs.count(), 2);
}

#[test]
fn a_layer_that_wants_no_spans_takes_them_from_nobody() {
    let logs = capture();
    let none = fmt::layer().with_writer(std::io::sink).with_filter(Targets::new().with_default(LevelFilter::ERROR));
    with_default(tracing_subscriber::registry().with(none).with(logs.layer()), || {
        let _span = info_span!("s", a = 1).entered();
        info!("tracing");
        log::info!("log");
    });
    assert_eq!(logs.records().iter().map(given_json).collect::<Vec<_>>(), [json!({"a": 1}), json!({"a": 1})]);
}

#[test]
fn a_span_that_outlives_its_parents_guard_keeps_its_fields() {
    let logs = capture();
    let child = {
        let parent = info_span!("parent", parent = 1).entered();
        info_span!(parent: &parent, "child", child = 2)
    };
    child.in_scope(|| info!(""));
    assert_eq!(given_json(&one(&logs)), json!({"parent": 1, "child": 2}));
}

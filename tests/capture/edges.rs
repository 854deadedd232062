//! Code that panics, logs or asks while it is logged.

use std::fmt;
use std::panic::catch_unwind;

use logchute::Reason;
use logchute::testing::capture;
use serde::{Serialize, Serializer};
use serde_json::json;
use tracing::field::Empty;
use tracing::subscriber::with_default;
use tracing::{info, info_span};
use tracing_subscriber::prelude::*;

use super::{given_json, one};

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half of it")?;
        panic!("out of {}", "order");
    }
}

impl fmt::Display for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Serialize for Panics {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("out of {}", "order");
    }
}

impl std::error::Error for Panics {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        panic!("out of order");
    }
}

const MARK: &str = "<panicked: out of order>";

#[test]
fn a_value_that_panics_costs_itself_and_nothing_else() {
    let logs = capture();
    let span = info_span!("s", before = 1, bad = ?Panics, late = Empty, after = 2).entered();
    span.record("late", tracing::field::debug(Panics));
    info!(a = 1, debug = ?Panics, display = %Panics, nested = ?logchute::json(&Panics), b = 2, "fine");
    log::info!(a = 1, debug:? = Panics, display:% = Panics, nested:serde = Panics, err:err = Panics, b = 2; "fine");
    info!(a = 1, "{:?}", Panics);
    log::info!(a = 1; "{}", Panics);
    let records = logs.records();
    let of_span = json!({"before": 1, "bad": MARK, "late": MARK, "after": 2});
    let with = |more: serde_json::Value| {
        let mut all = of_span.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    assert_eq!(given_json(&records[0]), with(json!({"a": 1, "debug": MARK, "display": MARK, "nested": MARK, "b": 2})));
    let mut of_log = given_json(&records[1]);
    of_log.as_object_mut().unwrap().remove("err.type");
    assert_eq!(of_log, with(json!({"a": 1, "debug": MARK, "display": MARK, "nested": MARK, "err": MARK, "b": 2})));
    assert_eq!(logs.messages(), ["fine", "fine", MARK, MARK]);
    assert_eq!(given_json(&records[3]), with(json!({"a": 1})));
    assert_eq!(logs.losses().total(), 0);
}

/// Logs itself, without end.
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::warn!("{Endless}");
        f.write_str("in the end")
    }
}

#[test]
fn a_recursion_ends_and_is_counted() {
    let logs = capture();
    log::info!("{Endless}");
    assert_eq!(logs.messages(), ["in the end"; 4]);
    assert_eq!((logs.losses().total(), logs.losses().of(Reason::Reentrant)), (1, 1));
    log::info!("and afterwards all is as before");
    assert_eq!(logs.count(), 5);
}

struct LogsInDrop;

impl Drop for LogsInDrop {
    fn drop(&mut self) {
        info!("dropped");
        log::info!("dropped");
    }
}

#[test]
fn what_is_logged_while_a_panic_unwinds_is_kept() {
    let logs = capture();
    let outcome = catch_unwind(|| {
        let _span = info_span!("s", a = 1).entered();
        let _late = LogsInDrop;
        panic!("over");
    });
    assert!(outcome.is_err());
    assert_eq!(logs.messages(), ["dropped", "dropped"]);
    assert!(logs.records().iter().all(|record| given_json(record) == json!({"a": 1})));
}

#[test]
fn what_a_thread_local_logs_while_its_thread_ends_does_no_harm() {
    thread_local!(static LATE: LogsInDrop = const { LogsInDrop });
    let logs = capture();
    let handle = logs.handle();
    std::thread::spawn(move || {
        LATE.with(|_| ());
        // Never detached: what it is attached by goes with the thread, before or after what logs.
        std::mem::forget(handle.attach());
        info!("alive");
    })
    .join()
    .unwrap();
    assert_eq!(logs.messages()[0], "alive");
}

/// Panics while it holds the lock of the span's extensions.
struct PoisonsSpans;

impl<S> tracing_subscriber::Layer<S> for PoisonsSpans
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fn on_enter(&self, id: &tracing::span::Id, context: tracing_subscriber::layer::Context<'_, S>) {
        let span = context.span(id).unwrap();
        let _lock = span.extensions_mut();
        panic!("with the lock held");
    }
}

#[test]
fn a_lock_that_another_layer_poisoned_costs_the_span_fields_not_the_record() {
    let logs = capture();
    with_default(tracing_subscriber::registry().with(PoisonsSpans).with(logs.layer()), || {
        let span = info_span!("s", a = 1, late = Empty);
        let entered = catch_unwind(std::panic::AssertUnwindSafe(|| std::mem::forget(span.enter())));
        assert!(entered.is_err());
        span.record("late", 1);
        info!(parent: &span, b = 2, "kept");
        // As the current one, for what does not come through the layer.
        log::info!(b = 2; "kept");
    });
    assert_eq!(logs.messages(), ["kept", "kept"]);
    assert!(logs.records().iter().all(|record| record.get("b") == Some(&2.into())), "{logs}");
    assert_eq!(logs.losses().total(), 0);
}

/// Not even an error that says what it is.
struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
}

#[test]
fn a_value_that_cannot_be_serialised_says_so_and_costs_no_other() {
    let logs = capture();
    info!(a = 1, bad = ?logchute::json(&Refuses), b = 2);
    log::info!(a = 1, bad:serde = Refuses, b = 2; "");
    for record in logs.records() {
        let bad = record.get("bad").and_then(|bad| bad.as_str()).unwrap();
        assert!(bad.starts_with('<') && bad.contains("seriali"), "{bad}");
        assert_eq!((record.get("a"), record.get("b")), (Some(&1.into()), Some(&2.into())));
    }
    assert_eq!(logs.count(), 2);
}

#[test]
fn a_record_in_a_place_without_anything_is_still_one() {
    let logs = capture();
    log::logger().log(&log::Record::builder().build());
    let record = one(&logs);
    assert_eq!((record.message.as_str(), record.level.as_str(), record.get("file")), ("", "info", None));
}

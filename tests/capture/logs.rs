//! Records of the `log` facade.

use std::fmt;

use log::kv::{ToValue, Value as LogValue};
use logchute::testing::capture;
use serde::Serialize;
use serde_json::json;
use tracing::info_span;
use tracing::subscriber::with_default;

use super::values::{Trouble, trouble};
use super::{given_json, one};

#[test]
fn key_values_keep_their_types() {
    let logs = capture();
    let error = trouble();
    log::info!(
        i = -1, i64_min = i64::MIN, u64_max = u64::MAX, i128_min = i128::MIN, u128_max = u128::MAX, small = 1_u128,
        f = 1.0 / 3.0, nan = f64::NAN, b = true, c = 'x', text = "a\0\n", owned = String::from("o").as_str(),
        debug:? = Some("d"), display:% = format_args!("{}!", 1), err:err = error,
        some = Some(5_u8), none = None::<u8>;
        "said {}", 1
    );
    let record = one(&logs);
    assert_eq!(record.message, "said 1");
    assert_eq!(
        given_json(&record),
        json!({
            "i": -1, "i64_min": i64::MIN, "u64_max": u64::MAX, "i128_min": i128::MIN.to_string(),
            "u128_max": u128::MAX.to_string(), "small": 1, "f": 1.0 / 3.0, "nan": "NaN", "b": true, "c": "x",
            "text": "a\0\n", "owned": "o", "debug": "Some(\"d\")", "display": "1!",
            "err": "no order placed", "err.type": "Top", "err.chain": ["no order placed", "disk \"sda\" is gone"],
            "some": 5, "none": null,
        })
    );
}

#[derive(Serialize)]
struct Order {
    id: u64,
    lines: Vec<(&'static str, f64)>,
    note: Option<String>,
    kind: Kind,
}

#[derive(Serialize)]
enum Kind {
    Plain,
    Gift { to: &'static str },
}

#[test]
fn what_serialises_stays_what_it_is() {
    let logs = capture();
    let order = |kind| Order { id: 7, lines: vec![("AX", 0.5)], note: None, kind };
    log::info!(
        order:serde = order(Kind::Gift { to: "bo" }), kind:serde = Kind::Plain, list:serde = [1, 2],
        number:serde = 5_u64, negative:serde = -5, float:serde = 0.5, truth:serde = true, text:serde = "t",
        nothing:serde = None::<u8>, some:serde = Some(3);
        ""
    );
    assert_eq!(
        given_json(&one(&logs)),
        json!({
            "order": {"id": 7, "lines": [["AX", 0.5]], "note": null, "kind": {"Gift": {"to": "bo"}}},
            "kind": "Plain", "list": [1, 2], "number": 5, "negative": -5, "float": 0.5, "truth": true, "text": "t",
            "nothing": null, "some": 3,
        })
    );
}

#[test]
fn a_record_has_its_own_place_target_and_level() {
    let logs = capture();
    log::trace!(target: "shop::till", "1");
    log::error!("2");
    let line = line!() - 1;
    let records = logs.records();
    assert_eq!((records[0].level.as_str(), records[0].get("target")), ("trace", Some(&"shop::till".into())));
    assert_eq!((records[1].level.as_str(), records[1].get("target")), ("error", Some(&module_path!().into())));
    assert_eq!((records[1].get("file"), records[1].get("line")), (Some(&file!().into()), Some(&line.into())));
}

#[test]
fn the_filter_counts_for_log_as_well() {
    let logs = capture().filter("warn,shop=debug");
    log::info!("no");
    log::warn!("yes");
    log::debug!(target: "shop::till", "yes");
    log::trace!(target: "shop::till", "no");
    assert!(log::log_enabled!(target: "shop", log::Level::Debug) && !log::log_enabled!(log::Level::Info));
    assert_eq!(logs.messages(), ["yes", "yes"]);
}

#[test]
fn both_facades_on_one_line_are_two_records() {
    let logs = capture();
    #[rustfmt::skip]
    let both = || { tracing::info!("tracing"); log::info!("log"); };
    both();
    both();
    assert_eq!(logs.messages(), ["tracing", "log", "tracing", "log"]);
}

/// Logs while it is formatted.
struct Talkative;

impl fmt::Debug for Talkative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!("from inside");
        f.write_str("talkative")
    }
}

impl ToValue for Talkative {
    fn to_value(&self) -> LogValue<'_> {
        LogValue::from_debug(self)
    }
}

#[test]
fn what_is_logged_while_a_value_is_formatted_is_kept() {
    let logs = capture();
    let _span = info_span!("s", a = 1).entered();
    log::info!(value = Talkative; "{:?}", Talkative);
    tracing::info!(value = ?Talkative, "outer");
    let messages = logs.messages();
    assert_eq!(messages, ["from inside", "from inside", "talkative", "from inside", "outer"], "{logs}");
    let records = logs.records();
    assert_eq!(given_json(&records[2]), json!({"a": 1, "value": "talkative"}));
    assert_eq!(given_json(&records[4]), json!({"a": 1, "value": "talkative"}));
    assert_eq!(logs.losses().total(), 0);
}

#[test]
fn records_that_come_through_tracing_log_have_their_own_place() {
    let logs = capture().filter("off,shop=info,capture=info");
    let tracer = tracing_log::LogTracer::new();
    let say = |target: &str, level| {
        let mut record = log::Record::builder();
        record.target(target).level(level).file(Some("till.rs")).line(Some(12)).module_path(Some("shop::till"));
        log::Log::log(&tracer, &record.args(format_args!("sold {}", 3)).build());
    };
    let _span = info_span!(target: "shop", "s", a = 1).entered();
    say("shop::till", log::Level::Warn);
    say("shop::till", log::Level::Debug);
    say("other", log::Level::Error);
    let record = one(&logs);
    assert_eq!((record.message.as_str(), record.level.as_str()), ("sold 3", "warn"));
    assert_eq!((record.get("target"), record.get("file")), (Some(&"shop::till".into()), Some(&"till.rs".into())));
    assert_eq!((record.get("line"), given_json(&record)), (Some(&12.into()), json!({"a": 1})));
}

#[test]
fn another_subscriber_on_top_takes_tracing_and_leaves_log() {
    let logs = capture();
    with_default(tracing_subscriber::registry(), || {
        let _span = info_span!("s", a = 1).entered();
        tracing::info!("theirs");
        log::error!(err:err = Trouble::Root(1); "ours");
    });
    assert_eq!(given_json(&one(&logs))["err.type"], "Root");
}

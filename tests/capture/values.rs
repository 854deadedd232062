//! Every value keeps its type.

use std::error::Error;
use std::fmt;

use logchute::json;
use logchute::testing::capture;
use serde::Serialize;
use serde_json::json as expect;
use tracing::field::Empty;

use super::{given_json, one};

#[test]
fn numbers_truth_and_texts_of_tracing() {
    let logs = capture();
    tracing::info!(
        i8 = -8_i8,
        i64_min = i64::MIN,
        i64_max = i64::MAX,
        u64_max = u64::MAX,
        usize = 7_usize,
        i128_small = -1_i128,
        i128_min = i128::MIN,
        i128_max = i128::MAX,
        u128_small = 1_u128,
        u128_max = u128::MAX,
        f32 = 0.5_f32,
        f64 = 1.0 / 3.0,
        minus_zero = -0.0,
        largest = f64::MAX,
        smallest = f64::from_bits(1),
        nan = f64::NAN,
        inf = f64::INFINITY,
        minus_inf = f64::NEG_INFINITY,
        yes = true,
        no = false,
        text = "a\0b\u{1b}[31m\r\n\u{2028}😀",
        empty = "",
        string = String::from("owned"),
        "all of them"
    );
    let record = one(&logs);
    assert_eq!(
        given_json(&record),
        expect!({
            "i8": -8,
            "i64_min": i64::MIN,
            "i64_max": i64::MAX,
            "u64_max": u64::MAX,
            "usize": 7,
            "i128_small": -1,
            "i128_min": i128::MIN.to_string(),
            "i128_max": i128::MAX.to_string(),
            "u128_small": 1,
            "u128_max": u128::MAX.to_string(),
            "f32": 0.5,
            "f64": 1.0 / 3.0,
            "minus_zero": -0.0,
            "largest": f64::MAX,
            "smallest": f64::from_bits(1),
            "nan": "NaN",
            "inf": "inf",
            "minus_inf": "-inf",
            "yes": true,
            "no": false,
            "text": "a\0b\u{1b}[31m\r\n\u{2028}😀",
            "empty": "",
            "string": "owned",
        })
    );
    assert_eq!(record.message, "all of them");
}

#[derive(Debug)]
struct Point {
    #[expect(dead_code, reason = "read by its Debug form")]
    x: i32,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a point")
    }
}

#[test]
fn what_has_only_a_text_form_is_a_text_and_bytes_are_bytes() {
    let logs = capture();
    let bytes: &[u8] = &[0, 255, 16];
    tracing::info!(
        debug = ?Point { x: 1 },
        display = %Point { x: 1 },
        bytes,
        option = Some(5_u8),
        none = None::<u8>,
        some_text = Some("t"),
        debug_text = ?"quoted",
        boxed = Box::new(9_i32),
        wrapping = std::num::Wrapping(3_u8),
        non_zero = std::num::NonZeroU64::MIN,
        arguments = format_args!("{}-{}", 1, 2),
        empty = Empty,
    );
    assert_eq!(
        given_json(&one(&logs)),
        expect!({
            "debug": "Point { x: 1 }",
            "display": "a point",
            "bytes": "AP8Q",
            "option": 5,
            "some_text": "t",
            "debug_text": "\"quoted\"",
            "boxed": 9,
            "wrapping": 3,
            "non_zero": 1,
            "arguments": "1-2",
        })
    );
}

#[derive(Serialize)]
struct Cart {
    items: Vec<(&'static str, u32)>,
    total: f64,
    note: Option<String>,
}

fn cart() -> Cart {
    Cart { items: vec![("AX-7", 2)], total: 59.7, note: None }
}

#[test]
fn nested_values_stay_nested() {
    let logs = capture();
    let nested = expect!({"items": [["AX-7", 2]], "total": 59.7, "note": null});
    tracing::info!(
        a = ?json(&cart()),
        b = %json(&cart()),
        list = ?json(&[1, 2]),
        scalar = ?json(&5),
        text = ?json("five"),
        inside = ?Some(json(&1)),
        before = ?format_args!("x {}", json(&1)),
    );
    assert_eq!(
        given_json(&one(&logs)),
        expect!({
            "a": nested, "b": nested, "list": [1, 2], "scalar": 5, "text": "five",
            "inside": "Some(1)", "before": "x 1",
        })
    );
}

#[test]
fn the_json_of_a_message_or_of_a_neighbour_makes_no_field_nested() {
    let logs = capture();
    tracing::info!(plain = ?"[1]", "{}", json(&[1]));
    tracing::info!(nested = ?json(&[1]), plain = %"[1]", more = ?format_args!("[1]"));
    let records = logs.records();
    assert_eq!(records[0].message, "[1]");
    assert_eq!(given_json(&records[0]), expect!({"plain": "\"[1]\""}));
    assert_eq!(given_json(&records[1]), expect!({"nested": [1], "plain": "[1]", "more": "[1]"}));
}

#[derive(Debug)]
pub(crate) enum Trouble {
    Top(Box<Trouble>),
    #[expect(dead_code, reason = "read by its Debug form")]
    Root(u8),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Top(_) => "no order placed",
            Self::Root(_) => "disk \"sda\" is gone",
        })
    }
}

impl Error for Trouble {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Top(cause) => Some(cause),
            Self::Root(_) => None,
        }
    }
}

pub(crate) fn trouble() -> Trouble {
    Trouble::Top(Box::new(Trouble::Top(Box::new(Trouble::Root(1)))))
}

#[test]
fn an_error_has_its_message_its_type_and_all_its_causes() {
    let logs = capture();
    let error = trouble();
    tracing::error!(error = &error as &dyn Error, "it failed");
    tracing::error!(error = &Trouble::Root(1) as &dyn Error, boxed = Box::<dyn Error>::from("text alone"));
    tracing::error!(error = %error, debug = ?Trouble::Root(1));
    let records = logs.records();
    assert_eq!(
        given_json(&records[0]),
        expect!({
            "error": "no order placed",
            "error.type": "Top",
            "error.chain": ["no order placed", "disk \"sda\" is gone"],
        })
    );
    assert_eq!(given_json(&records[1])["error.chain"], expect!(null));
    assert_eq!(given_json(&records[1])["boxed"], "text alone");
    assert_eq!(given_json(&records[2]), expect!({"error": "no order placed", "debug": "Root(1)"}));
}

#[test]
fn the_message_may_stand_anywhere_or_nowhere() {
    let logs = capture();
    tracing::info!("alone");
    tracing::info!("formatted {} {:?}", 1, "two");
    tracing::info!(a = 1, "last");
    tracing::info!(message = "first", a = 1);
    tracing::info!(a = 1, message = "last by name");
    tracing::info!(a = 1, message = %format_args!("display {}", 3));
    tracing::info!(a = 1);
    tracing::info!(a = 1, message = "");
    tracing::info!("{}", "");
    assert_eq!(
        logs.messages(),
        ["alone", "formatted 1 \"two\"", "last", "first", "last by name", "display 3", "", "", ""]
    );
    for record in &logs.records()[2..8] {
        assert_eq!(given_json(record), expect!({"a": 1}), "{record}");
    }
}

#[test]
fn a_message_that_is_no_text_is_a_field_of_that_name() {
    let logs = capture();
    tracing::info!(message = 5);
    let record = one(&logs);
    assert_eq!((record.message.as_str(), given_json(&record)), ("", expect!({"field_message": 5})));
}

#[test]
fn names_are_kept_and_only_ours_are_renamed() {
    let logs = capture();
    tracing::info!(
        http.method = "GET",
        "quoted name" = 1,
        "ünï" = 2,
        r#type = 3,
        level = "theirs",
        target = "theirs",
        time = "theirs",
        id = 4,
        "" = 5,
        "x"
    );
    assert_eq!(
        given_json(&one(&logs)),
        expect!({
            "http.method": "GET", "quoted name": 1, "ünï": 2, "type": 3, "field_level": "theirs",
            "field_target": "theirs", "field_time": "theirs", "field_id": 4, "field_": 5,
        })
    );
    assert_eq!(one(&logs).level, "info");
}

#[test]
fn of_two_fields_of_a_name_the_later_one_stays() {
    let logs = capture();
    tracing::info!(a = 1, b = 2, a = 3);
    assert_eq!(given_json(&one(&logs)), expect!({"a": 3, "b": 2}));
}

#[test]
fn where_and_when_it_was_said() {
    let logs = capture();
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    tracing::info!(target: "shop::cart", "here");
    let line = line!() - 1;
    let record = one(&logs);
    assert!(record.time_nanos.unwrap() >= before && record.time_nanos.unwrap() < before + 60_000_000_000);
    assert_eq!(record.get("target"), Some(&"shop::cart".into()));
    assert_eq!((record.get("file"), record.get("line")), (Some(&file!().into()), Some(&line.into())));
    let thread = std::thread::current().name().unwrap().to_owned();
    assert!(thread.starts_with(record.get("thread").unwrap().as_str().unwrap()));
    let mut levels: Vec<_> = vec![record.level];
    tracing::trace!("");
    tracing::debug!("");
    tracing::warn!("");
    tracing::error!("");
    levels.extend(logs.records()[1..].iter().map(|record| record.level.clone()));
    assert_eq!(levels, ["info", "trace", "debug", "warn", "error"]);
}

#[test]
fn names_of_threads_are_on_record() {
    let logs = capture();
    let handle = logs.handle();
    std::thread::Builder::new()
        .name("till 3".into())
        .spawn(move || handle.run(|| tracing::info!("sold")))
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(one(&logs).get("thread"), Some(&"till 3".into()));
}

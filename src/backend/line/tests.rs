//! What the tests of all stores that get such objects share.

use super::super::generated::{self, Expected, Given};
use super::super::members::Members;
use super::*;

/// Checks that an object is the record, values and types included. `beside` says how many members it has that are of no
/// record: attributes of the resource, and what only that store has.
#[track_caller]
pub(in crate::backend) fn is_the_record(members: &Members, expected: &Expected, shape: &Shape<'_>, beside: usize) {
    let text = |key: &str| members.0[key].get();
    let unquoted = |key: &str| generated::unquoted(text(key)).unwrap();
    assert_eq!(unquoted("message"), expected.message);
    assert_eq!(unquoted("thread"), expected.thread);
    assert_eq!(unquoted("target"), expected.target);
    if let Some(file) = &expected.file {
        assert_eq!(unquoted("file"), *file);
    }
    if let Some(line) = expected.line {
        assert_eq!(text("line").trim_matches('"').parse(), Ok(line));
    }
    let is_kept = |key: &str| !key.is_empty() && key != "truncated" && shape.reserved.position(key).is_none();
    for (key, given) in expected.fields.iter().filter(|(key, _)| is_kept(key)) {
        let renamed = shape.renamed.iter().find(|(ours, _)| ours == key).map(|(_, theirs)| *theirs);
        let name = renamed.unwrap_or(key);
        let raw = text(name);
        let fits = match (shape.values, given) {
            (Values::Typed, given) => given.is_json(raw),
            // An object that would not come back whole is a text.
            (Values::Flattened, given) => {
                given.is_json(raw) || generated::unquoted(raw).is_some_and(|text| given.is_text(&text))
            }
            (Values::Flat, given) if !matches!(given, Given::Json(_)) => given.is_json(raw),
            (_, given) => given.is_text(&unquoted(name)),
        };
        assert!(fits, "{key:?} is {given:?}, not {raw}");
    }
    let optional =
        [expected.file.is_some(), expected.line.is_some(), !expected.spans.is_empty(), shape.number.is_some()];
    let optional = optional.into_iter().filter(|&has| has).count();
    assert_eq!(members.0.len(), 6 + optional + expected.fields.len() + beside, "{:?}", members.0.keys());
}

#[test]
fn times_are_whole_units_also_before_1970() {
    let written = |number: Number, nanos: i64| {
        let mut out = Vec::new();
        number.write(&mut out, nanos);
        String::from_utf8(out).unwrap()
    };
    for (nanos, seconds, millis, micros) in [
        (0, "0.000000000", "0", "0"),
        (1_500_000_001, "1.500000001", "1500", "1500000"),
        (-1, "-0.000000001", "-1", "-1"),
        (-1_500_000_000, "-1.500000000", "-1500", "-1500000"),
        (i64::MAX, "9223372036.854775807", "9223372036854", "9223372036854775"),
        (i64::MIN, "-9223372036.854775808", "-9223372036855", "-9223372036854776"),
    ] {
        assert_eq!(written(Number::Seconds, nanos), seconds);
        assert_eq!(written(Number::Millis, nanos), millis);
        assert_eq!(written(Number::Micros, nanos), micros);
    }
}

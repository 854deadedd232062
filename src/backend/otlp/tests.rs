mod decoded;
mod limits;
mod setup;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;

use self::decoded::{decoded, decoded_of, is, is_json};
use super::super::corpus::{self, TIME, body, frame, nasty, ordinary, put, resource, with_batch};
use super::super::generated::{Expected, Given, each_of_a_hundred_thousand, random_records};
use super::super::{Resource, Value, flat};
use super::*;
use crate::frame::{Callsite, Frame, Key, Severity};

fn otlp() -> Otlp {
    Otlp::new("http://collector:4318")
}

fn loki() -> Otlp {
    Otlp::new("http://loki:3100/otlp")
}

#[test]
fn the_bodies_are_the_golden_ones() {
    corpus::golden("otlp.pb", &body(&otlp(), &ordinary()));
    corpus::golden("otlp.json", &body(&otlp().encoding(Encoding::Json), &ordinary()));
}

#[test]
fn b1_to_b5_nasty_records_come_back_with_their_types() {
    let nasty = nasty();
    let frames: Vec<_> = nasty.iter().map(|one| one.frame.clone()).collect();
    let records = decoded(&otlp(), &frames);
    assert_eq!(records.len(), nasty.len());
    for (at, (found, one)) in records.iter().zip(&nasty).enumerate() {
        let nanos = TIME as u64 + (at as u64 + 1) * 1_000;
        assert_eq!((found.record.time_unix_nano, found.record.observed_time_unix_nano), (nanos, nanos));
        assert_eq!((found.message(), found.scope.as_str()), (one.message.as_str(), "shop"));
        assert_eq!(found.attributes.len(), 4 + one.fields.len(), "{:?}", found.attributes.keys());
        for (name, text) in &one.fields {
            let found = found.attributes.get(name).unwrap_or_else(|| panic!("{name:?} is missing"));
            let is_it = match found {
                Some(Any::StringValue(found)) => found == text,
                Some(Any::IntValue(found)) => found.to_string() == *text,
                Some(Any::BoolValue(found)) => found.to_string() == *text,
                Some(Any::DoubleValue(found)) => {
                    found.is_nan() && text == "NaN"
                        || text.parse::<f64>().is_ok_and(|text| text.to_bits() == found.to_bits())
                }
                Some(Any::BytesValue(found)) => {
                    use base64::Engine as _;
                    base64::engine::general_purpose::STANDARD.encode(found) == *text
                }
                nested => is_json(&serde_json::from_str(text).unwrap(), nested.as_ref()),
            };
            assert!(is_it, "{name:?} is {found:?} instead of {text:?}");
        }
    }
}

#[test]
fn a_hundred_thousand_records_come_back_as_they_were() {
    each_of_a_hundred_thousand(17, |frames, expected| {
        // JSON, which takes longest to read, for every fifth record.
        let (in_both, rest) = frames.split_at(200);
        let (resource, mut records) = decoded_of(&otlp(), in_both, &resource());
        records.extend(decoded::protobuf_of(&otlp(), rest));
        assert_eq!((resource.len(), records.len()), (5, expected.len()));
        records.iter().zip(expected).for_each(|(found, expected)| compare(found, expected));
    });
}

fn compare(found: &decoded::Record, expected: &Expected) {
    assert_eq!((found.message(), &found.scope), (expected.message.as_str(), &expected.target));
    assert_eq!(found.record.severity_text.to_lowercase(), expected.severity.as_str());
    assert_eq!(found.record.severity_number, expected.severity as i32 * 4 + 1);
    assert_eq!(found.text("thread.name").as_deref(), Some(expected.thread));
    assert_eq!(found.text("code.file.path"), expected.file);
    assert_eq!(found.text("code.line.number"), expected.line.map(|line| line.to_string()));
    let spans = expected.spans.iter().rev().cloned().collect::<Vec<_>>().join(":");
    assert_eq!(found.text("span").unwrap_or_default(), spans);
    for (key, given) in &expected.fields {
        // Those of a name that is taken are renamed: that they are there is seen by the number of attributes.
        if matches!(&**key, "" | "truncated" | "span") || flat::RESERVED.contains(&&**key) {
            continue;
        }
        let exception = found.attributes.get("exception.message").filter(|_| matches!(given, Given::Error(_)));
        let value = found.attributes.get(key).or(exception);
        let value = value.unwrap_or_else(|| panic!("{key:?} is missing in {:?}", found.attributes.keys()));
        assert!(is(given, value.as_ref()), "{key:?} is {given:?}, not {value:?}");
    }
    let optional = [expected.file.is_some(), expected.line.is_some(), !expected.spans.is_empty()];
    let optional = optional.into_iter().filter(|&has| has).count();
    assert_eq!(found.attributes.len(), 2 + optional + expected.fields.len(), "{:?}", found.attributes.keys());
}

#[test]
fn every_severity_has_its_number_and_its_name() {
    let frames = Severity::ALL.map(|severity| frame(severity, "m", |_| {}));
    let found = decoded(&otlp(), &frames);
    let found: Vec<_> =
        found.iter().map(|found| (found.record.severity_number, found.record.severity_text.as_str())).collect();
    assert_eq!(found, [(1, "TRACE"), (5, "DEBUG"), (9, "INFO"), (13, "WARN"), (17, "ERROR"), (21, "FATAL")]);
}

#[test]
fn records_keep_their_order_and_each_run_of_one_target_is_a_scope() {
    let of = |target: &'static str, n: i64| {
        let callsite = Callsite::Inline { target, module: None, file: None, line: None };
        Frame::of(callsite, Severity::Info, TIME, |w| put(w, "n", Value::I64(n)))
    };
    let frames: Vec<_> =
        [("a", 1), ("a", 2), ("b", 3), ("a", 4), ("", 5)].iter().map(|(target, n)| of(target, *n)).collect();
    let found = decoded(&otlp(), &frames);
    let found: Vec<_> = found.iter().map(|found| (found.scope.as_str(), found.text("n").unwrap())).collect();
    let expected = [("a", "1"), ("a", "2"), ("b", "3"), ("a", "4"), ("", "5")];
    assert_eq!(found, expected.map(|(target, n)| (target, n.to_owned())));
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use prost::Message as _;
    let request = ExportLogsServiceRequest::decode(&*body(&otlp(), &frames)).unwrap();
    assert_eq!(request.resource_logs[0].scope_logs.len(), 4);
}

#[test]
fn file_and_line_are_those_of_the_callsite_whatever_lengths_move() {
    use tracing::metadata::Kind;
    use tracing::{Callsite as _, Level, callsite};
    let sites = [
        callsite! { name: "one", kind: Kind::EVENT, target: "t", level: Level::INFO, fields: n }.metadata(),
        callsite! { name: "two", kind: Kind::EVENT, target: "t", level: Level::INFO, fields: n }.metadata(),
    ];
    // Records of all lengths, so that guesses at them are wrong in both directions.
    let frames: Vec<_> = (0..300_usize)
        .map(|n| {
            Frame::of(Callsite::Static(sites[n % 2]), Severity::Info, TIME, |w| {
                w.fields.message(format_args!("{}", "\n".repeat(n * n / 4)));
            })
        })
        .collect();
    for (n, found) in decoded(&otlp(), &frames).iter().enumerate() {
        assert_eq!(found.text("code.file.path").as_deref(), sites[n % 2].file());
        assert_eq!(found.text("code.line.number"), sites[n % 2].line().map(|line| line.to_string()));
        assert_eq!(found.message().len(), n * n / 4);
    }
}

#[test]
fn trace_context_has_its_own_place_and_what_is_none_stays_an_attribute() {
    const TRACE: &str = "5b8efff798038103d269b633813fc60c";
    const SPAN: &str = "EEE19B7EC3C1B174";
    let with = |trace: Value<'static>, span: Value<'static>, flags: Value<'static>| {
        frame(Severity::Info, "m", move |w| {
            put(w, "trace_id", trace);
            put(w, "span_id", span);
            put(w, "trace_flags", flags);
        })
    };
    let good = [
        with(Value::Str(TRACE), Value::Str(SPAN), Value::Str("01")),
        with(Value::Str(TRACE), Value::Str(SPAN), Value::I64(1)),
    ];
    for found in decoded(&otlp(), &good) {
        assert_eq!(found.record.trace_id, 0x5b8e_fff7_9803_8103_d269_b633_813f_c60c_u128.to_be_bytes());
        assert_eq!(found.record.span_id, 0xeee1_9b7e_c3c1_b174_u64.to_be_bytes());
        assert_eq!((found.record.flags, found.attributes.len()), (1, 4));
    }
    let bad = [
        with(Value::Str(SPAN), Value::Str(TRACE), Value::Str("1")),
        with(Value::Str("00000000000000000000000000000000"), Value::Str("0000000000000000"), Value::I64(256)),
        with(Value::Str("+b8efff798038103d269b633813fc60c"), Value::Str("éeee9b7ec3c1b17"), Value::Str("0x")),
        with(Value::U64(7), Value::I64(8), Value::F64(1.0)),
        with(Value::Str(""), Value::Bytes(&[1; 8]), Value::I64(-1)),
    ];
    for found in decoded(&otlp(), &bad) {
        assert_eq!((&*found.record.trace_id, &*found.record.span_id), (&[][..], &[][..]));
        assert_eq!((found.record.flags, found.attributes.len()), (0, 7));
    }
}

#[test]
fn the_first_error_is_the_exception_and_further_ones_keep_their_names() {
    #[derive(Debug)]
    struct Refused(std::io::Error);
    impl std::fmt::Display for Refused {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("refused")
        }
    }
    impl std::error::Error for Refused {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let refused = || Refused(std::io::Error::other("no card"));
    let frames = [
        frame(Severity::Error, "m", |w| {
            w.fields.error(Key::named("err"), "err", &refused());
            w.fields.error(Key::named("second"), "second", &refused());
        }),
        frame(Severity::Error, "m", |w| {
            w.fields.error(Key::named("error"), "error", &refused());
            put(w, "exception.type", Value::Str("of the user"));
        }),
    ];
    let found = decoded(&otlp(), &frames);
    let text = |at: usize, name: &str| found[at].text(name);
    assert_eq!(
        (text(0, "exception.message").unwrap(), text(0, "exception.type").unwrap()),
        ("refused".into(), "Refused".into())
    );
    assert!(
        text(0, "err.chain").unwrap().contains("no card") && text(0, "err").is_none() && text(0, "err.type").is_none()
    );
    assert_eq!((text(0, "second").unwrap(), text(0, "second.type").unwrap()), ("refused".into(), "Refused".into()));
    assert_eq!((text(1, "error").unwrap(), text(1, "error.type").unwrap()), ("refused".into(), "Refused".into()));
    assert_eq!((text(1, "exception.message"), text(1, "exception.type").unwrap()), (None, "of the user".into()));
}

#[test]
fn the_resource_bears_conventional_names_each_once() {
    let mut resource = resource();
    for (name, value) in [
        ("node", "node-3"),
        ("host", "box"),
        ("k8s.pod.name", "given"),
        ("service.name", "other"),
        ("service.version", "1.2"),
        ("", "no name"),
    ] {
        resource.set(name, value);
    }
    let (found, _) = decoded_of(&otlp(), &[frame(Severity::Info, "m", |_| {})], &resource);
    let expected = [
        ("host.name", "box"),
        ("k8s.container.name", "app"),
        ("k8s.namespace.name", "prod"),
        ("k8s.node.name", "node-3"),
        ("k8s.pod.name", "given"),
        ("region", "eu"),
        ("service.name", "checkout"),
        ("service.version", "1.2"),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let (found, _) = decoded_of(&otlp(), &[frame(Severity::Info, "m", |_| {})], &Resource::new(""));
    assert_eq!(found.get("service.name").map(String::as_str), Some(""));
}

#[test]
fn names_that_are_taken_are_told_apart() {
    let keys = [
        "log.record.uid",
        "code.file.path",
        "code.line.number",
        "thread.name",
        "span",
        "level",
        "more",
        "field_span",
        "",
    ];
    let frames = [frame(Severity::Info, "m", |w| keys.iter().for_each(|key| put(w, key, Value::Str(key))))];
    let found = &decoded(&otlp(), &frames)[0];
    for (name, value) in [
        ("log.record.uid", "0123456789abcdef0123456789abcdef-0000000000000001"),
        ("field_log.record.uid", "log.record.uid"),
        ("code.file.path", "src/main.rs"),
        ("field_code.file.path", "code.file.path"),
        ("code.line.number", "12"),
        ("field_thread.name", "thread.name"),
        ("field_span", "field_span"),
        ("field_span_2", "span"),
        ("field_level", "level"),
        ("field_more", "more"),
        ("field_", ""),
    ] {
        assert_eq!(found.text(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(found.attributes.len(), 4 + keys.len());
}

#[test]
fn nested_values_keep_their_numbers_and_have_no_key_twice() {
    let values = [
        ("9223372036854775807", Some(Any::IntValue(i64::MAX))),
        ("9223372036854775808", Some(Any::StringValue("9223372036854775808".into()))),
        ("-170141183460469231731687303715884105728", Some(Any::StringValue(i128::MIN.to_string()))),
        ("-0", Some(Any::DoubleValue(-0.0))),
        ("1.0", Some(Any::DoubleValue(1.0))),
        ("1e400", Some(Any::StringValue("1e400".into()))),
        (" true ", Some(Any::BoolValue(true))),
        ("null", None),
        ("\"\\u00e9\\n\"", Some(Any::StringValue("é\n".into()))),
    ];
    for (json, expected) in values {
        let found = &decoded(&otlp(), &[frame(Severity::Info, "m", |w| w.fields.json(Key::named("j"), json))])[0];
        let found = found.attributes.get("j").unwrap();
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{json}");
    }
    let json = r#"{ "a" : 1, "b":[ 1 , {"a":null} , []], "a":2, "":"x" }"#;
    let found = &decoded(&otlp(), &[frame(Severity::Info, "m", |w| w.fields.json(Key::named("j"), json))])[0];
    let expected = serde_json::json!({"b": [1, {"a": null}, []], "a": 2, "": "x"});
    assert!(is_json(&expected, found.attributes["j"].as_ref()), "{:?}", found.attributes["j"]);
    // What a frame never holds.
    for json in ["{", "[1,", "\"", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "1 2"] {
        for write in [nested::any::<Protobuf>, nested::any::<Json>] {
            write(&mut Vec::new(), json);
        }
    }
}

#[test]
fn a_time_before_1970_is_the_first_there_is() {
    let site = Callsite::Inline { target: "t", module: None, file: None, line: None };
    for (nanos, stored) in [(i64::MIN, 1), (-5_000, 1), (i64::MAX, i64::MAX as u64)] {
        let frame = Frame::of(site, Severity::Info, nanos, |_| {});
        let id = crate::frame::RecordId { incarnation: 1, sequence: 1 };
        let record = RecordRef::new(None, frame.bytes(), nanos, id);
        let mut out = Vec::new();
        record::write::<Protobuf>(&mut out, &record, record::Limits::NONE, &mut Scratch::default());
        // The tag and the length of the record, then the tag of the time.
        let at = 3 + usize::from(out[1] >= 0x80);
        assert_eq!(out[at - 1], 1 << 3 | 1);
        assert_eq!(u64::from_le_bytes(*out[at..].first_chunk().unwrap()), stored);
    }
}

#[test]
fn it_conforms() {
    for otlp in [otlp(), otlp().encoding(Encoding::Json), loki()] {
        super::super::conformance::conformance(&otlp);
    }
}

#[test]
fn cost_is_close_to_what_a_record_takes() {
    let (mut frames, _) = random_records(5, 2_000);
    frames.extend(ordinary());
    let control = "\u{1}".repeat(1000);
    frames.push(frame(Severity::Info, &control, |w| put(w, "v", Value::Str(&control))));
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let backend = otlp().encoding(encoding);
        let (mut costs, mut sizes) = (0, 0);
        for frame in &frames {
            // The resource, and the scope, do not count.
            let frames = std::slice::from_ref(frame);
            let cost =
                with_batch(&backend, frames, &resource(), |batch| backend.cost(&batch.records().next().unwrap()));
            let twice = vec![frame.clone(), frame.clone()];
            let size = body(&backend, &twice).len() - body(&backend, frames).len();
            assert!(cost * 100 >= size * 85, "cost {cost}, size {size}");
            (costs, sizes) = (costs + cost, sizes + size);
        }
        assert!(costs * 100 >= sizes * 92 && costs * 100 <= sizes * 115, "costs {costs}, sizes {sizes}");
    }
}

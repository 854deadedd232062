use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::Value as Json;

use super::super::corpus::{self, body, body_of, body_once, frame, nasty, ordinary, put, resource, with_batch};
use super::super::generated::{Given, each_of_a_hundred_thousand, random_records};
use super::super::members::Members;
use super::*;
use crate::backend::{Resource, Value};
use crate::frame::{Frame, Severity};

mod flows;
mod judge;

fn google() -> GoogleCloud {
    GoogleCloud::new("my-project")
}

/// A request, read by a parser that is not ours; two equal keys anywhere are an error.
struct Read {
    head: Members,
    entries: Vec<Entry>,
}

struct Entry {
    all: Members,
    payload: Members,
}

fn object(text: &str) -> Members {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn read(body: &[u8]) -> Read {
    let head = object(std::str::from_utf8(body).unwrap());
    let entries: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(head.0["entries"].get()).unwrap();
    let entry = |entry: &serde_json::value::RawValue| {
        let all = object(entry.get());
        Entry { payload: object(all.0["jsonPayload"].get()), all }
    };
    Read { entries: entries.iter().map(|one| entry(one)).collect(), head }
}

#[test]
fn the_body_is_the_golden_one() {
    corpus::golden("google_cloud.json", &body(&google().cluster("c1", "europe-west1"), &ordinary()));
}

#[test]
fn it_conforms() {
    crate::testing::conformance(&google());
}

#[test]
fn b1_to_b5_nasty_records_come_back_from_an_independent_parser() {
    let nasty = nasty();
    let frames: Vec<_> = nasty.iter().map(|one| one.frame.clone()).collect();
    let entries = read(&body(&google(), &frames)).entries;
    assert_eq!(entries.len(), nasty.len());
    for (entry, one) in entries.iter().zip(&nasty) {
        assert_eq!(entry.payload.text("message").as_ref(), Some(&one.message));
        for (name, value) in &one.fields {
            assert_eq!(entry.payload.text(name).as_ref(), Some(value), "{name:?} in {:?}", entry.payload.0.keys());
        }
        assert_eq!(entry.payload.0.len(), 3 + one.fields.len(), "{:?}", entry.payload.0.keys());
    }
}

/// Where a field stands in the payload: names of ours are told apart, and ids of traces have their own place.
fn is_renamed(name: &str) -> bool {
    name.is_empty() || flat_reserved(name)
}

fn flat_reserved(name: &str) -> bool {
    crate::backend::flat::RESERVED.contains(&name)
        || matches!(name, "truncated" | "original_len" | "fields_left_out" | "logchute.own")
}

/// Whether what stands in the body is what a store of doubles can keep of it: integers above 2^53 are texts.
fn is_kept(given: &Given, raw: &str) -> bool {
    let exact = |integer: &str| integer.parse::<i128>().is_ok_and(|it| it.unsigned_abs() <= 1 << 53);
    match given.integer() {
        Some(integer) if exact(&integer) => raw == integer,
        Some(integer) => raw == format!("\"{integer}\""),
        None => match given {
            Given::Json(json) => same(&serde_json::from_str(json).unwrap(), &serde_json::from_str(raw).unwrap()),
            given => given.is_json(raw),
        },
    }
}

fn same(given: &Json, stored: &Json) -> bool {
    match (given, stored) {
        (Json::Number(number), Json::String(text)) => {
            *text == number.to_string() && number.as_i64().is_none_or(|it| it.unsigned_abs() > 1 << 53)
        }
        (Json::Number(number), stored) => {
            Json::Number(number.clone()) == *stored && number.as_i64().is_none_or(|it| it.unsigned_abs() <= 1 << 53)
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        (one, other) => one == other,
    }
}

#[test]
fn b1_to_b5_a_hundred_thousand_records_made_at_random_come_back_as_they_were() {
    each_of_a_hundred_thousand(0x6c, |frames, expected| {
        let read = read(&body_once(&google(), frames));
        assert_eq!(read.entries.len(), frames.len());
        for (entry, expected) in read.entries.iter().zip(expected) {
            let (all, payload) = (&entry.all, &entry.payload);
            assert_eq!(payload.text("message").as_ref(), Some(&expected.message));
            assert_eq!(payload.text("target").as_ref(), Some(&expected.target));
            assert_eq!(payload.text("thread").as_deref(), Some(expected.thread));
            let path: Vec<_> = expected.spans.iter().rev().map(String::as_str).collect();
            assert_eq!(payload.text("span"), (!path.is_empty()).then(|| path.join(":")));
            let site = all.0.get("sourceLocation").map(|site| object(site.get()));
            let of = |name: &str| site.as_ref().and_then(|site| site.text(name));
            assert_eq!((of("file"), of("line")), (expected.file.clone(), expected.line.map(|it| it.to_string())));
            let is_trace = expected.severity == Severity::Trace;
            let remarks = 2 + 1 + usize::from(!path.is_empty()) + usize::from(is_trace);
            let kept = expected.fields.iter().filter(|(name, _)| !is_renamed(name));
            for (name, given) in kept {
                let raw = payload.0.get(name).unwrap_or_else(|| panic!("{name:?} is not in {:?}", payload.0.keys()));
                assert!(is_kept(given, raw.get()), "{name:?}: {given:?} became {raw}");
            }
            // Those that were renamed are there as well, and nothing else is.
            assert_eq!(payload.0.len(), remarks + expected.fields.len(), "{:?}", payload.0.keys());
            for (name, given) in expected.fields.iter().filter(|(name, _)| is_renamed(name)) {
                let stored = payload.0.iter().filter(|(key, _)| key.starts_with(&format!("field_{name}")));
                let mut stored = stored.map(|(_, raw)| raw.get());
                assert!(stored.any(|raw| is_kept(given, raw)), "{name:?}");
            }
        }
    });
}

#[test]
fn ids_and_times_are_unique_sortable_and_the_same_again() {
    let frames: Vec<_> = (0..12).map(|n| frame(Severity::Info, &n.to_string(), |_| {})).collect();
    let entries = read(&body(&google(), &frames)).entries;
    let of = |key: &str| entries.iter().map(|entry| entry.all.text(key).unwrap()).collect::<Vec<_>>();
    let (ids, times) = (of("insertId"), of("timestamp"));
    assert!(ids.windows(2).all(|two| two[0] < two[1]) && times.windows(2).all(|two| two[0] < two[1]), "{ids:?}");
    assert_eq!(ids[0], "0123456789abcdef0123456789abcdef-0000000000000001");
    assert_eq!(times[0], "2026-11-24T08:00:00.123457789Z");
}

#[test]
fn severities_are_those_of_the_store_and_trace_is_not_lost() {
    let frames = Severity::ALL.map(|severity| frame(severity, "m", |_| {}));
    let entries = read(&body(&google(), &frames)).entries;
    let severities: Vec<_> = entries.iter().map(|entry| entry.all.text("severity").unwrap()).collect();
    assert_eq!(severities, ["DEBUG", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]);
    let levels: Vec<_> = entries.iter().map(|entry| entry.payload.text("level")).collect();
    assert_eq!(levels, [Some("trace".to_owned()), None, None, None, None, None]);
}

#[test]
fn ids_of_traces_have_a_place_of_their_own_and_what_is_none_stays_a_field() {
    let (trace, span) = ("5B8efff798038103d269b633813fc60c", "eee19b7ec3c1b174");
    let with = |trace: &str, span: &str, sampled: Value<'static>| {
        let (trace, span) = (trace.to_owned(), span.to_owned());
        frame(Severity::Info, "m", move |w| {
            put(w, "trace_id", Value::Str(&trace));
            put(w, "span_id", Value::Str(&span));
            put(w, "trace_sampled", sampled);
        })
    };
    let frames = [
        with(trace, span, Value::Bool(true)),
        with(&"0".repeat(32), &"x".repeat(16), Value::I64(1)),
        with("5b8efff7", "", Value::Bool(false)),
    ];
    let entries = read(&body(&google(), &frames)).entries;
    let all = |at: usize, key: &str| entries[at].all.text(key);
    assert_eq!(all(0, "trace").unwrap(), format!("projects/my-project/traces/{}", trace.to_lowercase()));
    assert_eq!((all(0, "spanId").as_deref(), all(0, "traceSampled").as_deref()), (Some(span), Some("true")));
    assert_eq!(entries[0].payload.0.len(), 3, "they are in one place only");
    assert_eq!((all(1, "trace"), all(1, "spanId"), all(1, "traceSampled")), (None, None, None));
    for (at, field, value) in
        [(1, "trace_id", "0".repeat(32)), (1, "span_id", "x".repeat(16)), (1, "trace_sampled", "1".into())]
    {
        assert_eq!(entries[at].payload.text(field), Some(value));
    }
    assert_eq!(
        (all(2, "traceSampled").unwrap(), entries[2].payload.text("trace_id").unwrap().len()),
        ("false".into(), 8)
    );
}

#[test]
fn integers_that_a_double_does_not_hold_go_as_texts_nested_ones_too() {
    let frames = [frame(Severity::Info, "m", |w| {
        put(w, "exact", Value::I64(1 << 53));
        put(w, "above", Value::I64((1 << 53) + 1));
        put(w, "below", Value::I64(-(1 << 53) - 1));
        put(w, "top", Value::U64(u64::MAX));
        put(w, "nested", Value::Json(r#"{"a": [9007199254740993, -1.5e3, 7],"b":"9007199254740993, \" 1"}"#));
        put(w, "twice", Value::Json(r#"{"a":1,"a":2}"#));
        put(w, "half", Value::Json(r#"["\ud800"]"#));
        put(w, "huge", Value::Json("[1e999]"));
        put(w, "none", Value::Json(""));
    })];
    let payload = &read(&body(&google(), &frames)).entries[0].payload;
    for (name, raw) in [
        ("exact", "9007199254740992"),
        ("above", r#""9007199254740993""#),
        ("below", r#""-9007199254740993""#),
        ("top", r#""18446744073709551615""#),
        ("nested", r#"{"a": ["9007199254740993", -1.5e3, 7],"b":"9007199254740993, \" 1"}"#),
        ("twice", r#""{\"a\":1,\"a\":2}""#),
        ("half", r#""[\"\\ud800\"]""#),
        ("huge", r#""[1e999]""#),
        ("none", "null"),
    ] {
        assert_eq!(payload.0[name].get(), raw, "{name}");
    }
}

#[test]
fn an_entry_stays_within_the_limit_and_says_what_it_had() {
    let control = "\u{1}".repeat(256 * 1024);
    let digits = format!("[{}1]", "1,".repeat(100_000));
    let frames = [
        frame(Severity::Info, &control, |w| put(w, "v", Value::Str(&control))),
        frame(Severity::Trace, &control, |w| {
            (0..128).for_each(|i| put(w, &format!("{}{i:03}", "\0".repeat(125)), Value::Bytes(&[1; 3000])));
        }),
        frame(Severity::Info, "digits", |w| put(w, "v", Value::Json(&digits))),
        frame(Severity::Info, "last", |_| {}),
    ];
    let body = body(&google(), &frames);
    let entries = read(&body).entries;
    let size = |entry: &Entry| entry.all.0.values().map(|raw| raw.get().len()).sum::<usize>();
    assert!(entries.iter().all(|entry| size(entry) < 256 * 1024 - 8 * 1024));
    let text = |at: usize, key: &str| entries[at].payload.text(key);
    assert_eq!(text(0, "original_len").unwrap(), (256 * 1024).to_string());
    assert_eq!(text(0, "v.original_len").unwrap(), (256 * 1024).to_string());
    assert!(text(0, "message").unwrap().ends_with("…[cut]"));
    assert_eq!((text(1, "truncated").as_deref(), text(1, "level").as_deref()), (Some("true"), Some("trace")));
    // Each digit takes 11 bytes there and two here, so the list goes as a text that was cut.
    assert_eq!(text(2, "v.original_len").unwrap(), digits.len().to_string());
    assert_eq!((text(3, "message").as_deref(), text(3, "truncated")), (Some("last"), None));

    // Labels count with each entry. Beside many long ones there is no room for such names.
    let mut long = Resource::new("shop");
    (0..64).for_each(|n| long.set(format!("{}{n}", "k".repeat(500)), "v".repeat(2000)));
    let entries = read(&body_of(&google(), &frames, &long)).entries;
    let text = |key: &str| entries[1].payload.text(key);
    assert_eq!((text("fields_left_out").as_deref(), text("level").as_deref()), (Some("128"), Some("trace")));
    assert_eq!(text("original_len").unwrap(), (256 * 1024).to_string());
}

fn labels(read: &Read) -> (String, BTreeMap<String, String>) {
    let resource = object(read.head.0["resource"].get());
    (resource.text("type").unwrap(), serde_json::from_str(resource.0["labels"].get()).unwrap())
}

#[test]
fn a_pod_of_a_known_cluster_is_a_k8s_container_and_anything_else_a_generic_task() {
    let one = [frame(Severity::Info, "m", |_| {})];
    let (kind, found) = labels(&read(&body(&google().cluster("c1", "europe-west1"), &one)));
    let expected = [
        ("project_id", "my-project"),
        ("location", "europe-west1"),
        ("cluster_name", "c1"),
        ("namespace_name", "prod"),
        ("pod_name", "checkout-7d9f\"x"),
        ("container_name", "app"),
    ];
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!((kind.as_str(), found), ("k8s_container", pairs(&expected)));

    let mut otel = resource();
    otel.set("k8s.cluster.name", "c2");
    otel.set("cloud.region", "us-east1");
    let (kind, found) = labels(&read(&body_of(&google(), &one, &otel)));
    assert_eq!(
        (kind.as_str(), found["cluster_name"].as_str(), found["location"].as_str()),
        ("k8s_container", "c2", "us-east1")
    );

    let (kind, found) = labels(&read(&body(&google(), &one)));
    let expected = [
        ("project_id", "my-project"),
        ("location", "global"),
        ("namespace", "prod"),
        ("job", "checkout"),
        ("task_id", "checkout-7d9f\"x"),
    ];
    assert_eq!((kind.as_str(), found), ("generic_task", pairs(&expected)));

    let set = google().resource("gce_instance", [("zone", "z"), ("instance_id", "7"), ("project_id", "other")]);
    let (kind, found) = labels(&read(&body(&set, &one)));
    let expected = [("project_id", "my-project"), ("zone", "z"), ("instance_id", "7")];
    assert_eq!((kind.as_str(), found), ("gce_instance", pairs(&expected)));
}

#[test]
fn labels_are_the_resource_within_the_limits() {
    let one = [frame(Severity::Info, "m", |_| {})];
    let mut many = Resource::new("shop");
    many.set("", "no key");
    many.set("service_name", "of the resource");
    many.set("k".repeat(1000), "v".repeat(100_000));
    (0..100).for_each(|n| many.set(format!("k{n}"), "v"));
    let read = read(&body_of(&google(), &one, &many));
    let labels = object(read.head.0["labels"].get());
    assert_eq!(labels.0.len(), 64);
    assert_eq!(labels.text("service_name").unwrap(), "shop");
    let long = labels.0.keys().find(|key| key.starts_with("kk")).unwrap();
    assert!(long.len() <= 512 && labels.text(long).unwrap().len() <= 1024);
}

#[test]
fn the_log_is_the_service_unless_it_is_set_and_its_name_is_escaped() {
    let one = [frame(Severity::Info, "m", |_| {})];
    let name = |backend: &GoogleCloud, service: &str| {
        read(&body_of(backend, &one, &Resource::new(service))).head.text("logName").unwrap()
    };
    assert_eq!(name(&google(), "my shop/é"), "projects/my-project/logs/my_shop%2F_");
    assert_eq!(name(&google(), ""), "projects/my-project/logs/logchute");
    assert_eq!(name(&google().log("audit/a.b-c_d"), "x"), "projects/my-project/logs/audit%2Fa.b-c_d");
    assert_eq!(name(&google().log("x".repeat(600)), "x").len(), "projects/my-project/logs/".len() + 511);
}

#[test]
fn urls_and_variables_say_project_log_and_endpoint() {
    let one = [frame(Severity::Info, "m", |_| {})];
    let built = |url: &str, variables: &[(&str, &str)]| {
        let backend = SCHEME.built("gcl", url, &[], variables);
        let name = read(&body(&*backend, &one)).head.text("logName").unwrap();
        format!("{} {name}", backend.url())
    };
    let google = "https://logging.googleapis.com/v2/entries:write";
    for (url, variables, expected) in [
        ("gcl://p-1", &[][..], format!("{google} projects/p-1/logs/checkout")),
        ("gcl://p-1/a/b", &[], format!("{google} projects/p-1/logs/a%2Fb")),
        ("gcl://example.com:p/", &[], format!("{google} projects/example.com:p/logs/checkout")),
        ("gcl://", &[("GCLOUD_PROJECT", "p-2")], format!("{google} projects/p-2/logs/checkout")),
        ("gcl://p-1", &[("GOOGLE_CLOUD_PROJECT", "p-2")], format!("{google} projects/p-1/logs/checkout")),
        ("gcl:///audit", &[("GOOGLE_CLOUD_PROJECT", "p-3")], format!("{google} projects/p-3/logs/audit")),
        ("http://127.0.0.1:1/p/l", &[], "http://127.0.0.1:1/v2/entries:write projects/p/logs/l".to_owned()),
        (
            "https://private",
            &[("GOOGLE_CLOUD_PROJECT", "p")],
            "https://private/v2/entries:write projects/p/logs/checkout".to_owned(),
        ),
    ] {
        assert_eq!(built(url, variables), expected, "{url}");
    }
}

#[test]
fn cost_is_close_to_what_a_record_takes() {
    let backend = google();
    let control = "\u{1}".repeat(1000);
    let mut frames = ordinary();
    frames.push(frame(Severity::Info, &control, |w| put(w, "v", Value::Str(&control))));
    for frame in &frames {
        let cost = with_batch(&backend, std::slice::from_ref(frame), &resource(), |batch| {
            backend.cost(&batch.records().next().unwrap())
        });
        let many: Vec<Frame> = vec![frame.clone(); 50];
        let size = body(&backend, &many).len() / many.len();
        assert!(cost * 100 >= size * 90 && cost * 100 <= size * 115, "cost {cost}, size {size}");
    }
}

#[test]
fn b8_debug_shows_no_secret() {
    let shown = format!("{:?}", google().key_file("/etc/key.json").resource("global", [("a", "b")]));
    assert!(shown.contains("/etc/key.json"), "{shown}");
}

/// Runs Google's own parser on a request, and its stated limits; says how many entries it found.
fn checked_by_google(body: &[u8]) -> usize {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/gcl_check.sh");
    let mut check =
        Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let written = check.stdin.take().unwrap().write_all(body);
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    written.unwrap();
    said.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs Google's types: tests/servers/gcl_check.sh, which installs them with pip"]
fn google_takes_what_is_nasty_large_and_made_at_random() {
    let nasty: Vec<_> = nasty().into_iter().map(|one| one.frame).collect();
    assert_eq!(checked_by_google(&body(&google(), &nasty)), nasty.len());
    let ordinary = ordinary();
    assert_eq!(checked_by_google(&body(&google().cluster("c", "l"), &ordinary)), ordinary.len());

    let (control, digits) = ("\u{1}".repeat(256 * 1024), format!("[{}1]", "1,".repeat(100_000)));
    let half = format!("[{}1]", "1,".repeat(10_000));
    let keys: String = (0..6_000).map(|n| format!("\"{n}\":0,")).collect();
    let objects = format!("{{{keys}\"last\":{}1{}}}", "[".repeat(15), "]".repeat(15));
    let large = [
        frame(Severity::Info, &control, |w| put(w, "v", Value::Str(&control))),
        frame(Severity::Info, &"ä".repeat(128 * 1024), |w| {
            (0..128).for_each(|i| put(w, &format!("k{i}"), Value::Bytes(&[i; 6000])));
        }),
        frame(Severity::Info, "digits", |w| put(w, "v", Value::Json(&digits))),
        frame(Severity::Info, "half", |w| (0..4).for_each(|i| put(w, &format!("v{i}"), Value::Json(&half)))),
        frame(Severity::Info, "objects", |w| (0..4).for_each(|i| put(w, &format!("v{i}"), Value::Json(&objects)))),
        frame(Severity::Trace, &control, |w| {
            (0..128).for_each(|i| put(w, &format!("{}{i:03}", "\0".repeat(125)), Value::Bytes(&[1; 3000])));
        }),
        frame(Severity::Info, "odd", |w| {
            put(w, "twice", Value::Json(r#"{"a":1,"a":2}"#));
            put(w, "half", Value::Json(r#"["\ud800"]"#));
            put(w, "huge", Value::Json("[1e999]"));
            put(w, "trace_id", Value::Str("5b8efff798038103d269b633813fc60c"));
            put(w, "trace_sampled", Value::Bool(true));
        }),
    ];
    let mut long = Resource::new("shop");
    (0..100).for_each(|n| long.set(format!("{}{n}", "k".repeat(500)), "v".repeat(2000)));
    for resource in [resource(), long] {
        assert_eq!(checked_by_google(&body_of(&google(), &large, &resource)), large.len());
    }
    for part in 0..20 {
        let (frames, _) = random_records(0x6c0 + part, 5_000);
        assert_eq!(checked_by_google(&body(&google(), &frames)), frames.len());
    }
}

use serde_json::{Map, Value as Json, json};

use super::super::check_reply::check_reply;
use super::super::corpus::{self, body, body_once, frame, nasty, ordinary, put, resource, with_batch};
use super::super::generated::each_of_a_hundred_thousand;
use super::super::line::tests::is_the_record;
use super::super::members::Members;
use super::*;
use crate::backend::Value;
use crate::frame::Severity;

fn datadog() -> Datadog {
    Datadog::site("datadoghq.com")
}

fn victorialogs() -> Datadog {
    Datadog::new("http://v:9428/insert/datadog")
}

fn records(body: &[u8]) -> Vec<Map<String, Json>> {
    serde_json::from_slice(body).unwrap()
}

#[test]
fn the_body_is_the_golden_one() {
    corpus::golden("datadog.json", &body(&datadog().tag("env", "prod"), &ordinary()));
}

#[test]
fn reserved_attributes_are_datadogs_and_fields_of_their_names_are_renamed() {
    let mut at = resource();
    at.set("host", "box");
    let reserved =
        ["timestamp", "status", "ddsource", "ddtags", "host", "hostname", "service", "source", "time", "level"];
    let frames = [frame(Severity::Fatal, "m", |w| {
        reserved.iter().for_each(|key| put(w, key, Value::Str("theirs")));
        put(w, "pod", Value::Str("of the record"));
    })];
    let record = &records(&corpus::body_of(&datadog().tag("env", "prod,eu"), &frames, &at))[0];
    for (key, value) in [
        ("timestamp", json!(1_795_507_200_123_i64)),
        ("time", json!("2026-11-24T08:00:00.123457789Z")),
        ("status", json!("critical")),
        ("level", json!("fatal")),
        ("message", json!("m")),
        ("ddsource", json!("rust")),
        ("ddtags", json!("env:prod_eu,kube_namespace:prod,pod_name:checkout-7d9f\"x,kube_container_name:app")),
        ("hostname", json!("box")),
        ("service", json!("checkout")),
        ("region", json!("eu")),
        ("pod", json!("of the record")),
        ("id", json!("0123456789abcdef0123456789abcdef-0000000000000001")),
    ] {
        assert_eq!(record[key], value, "{key}");
    }
    assert!(reserved.iter().all(|key| record[&format!("field_{key}")] == "theirs"));
    assert!(!record.contains_key("namespace") && !record.contains_key("service_name"));
}

#[test]
fn each_level_has_a_word_of_datadogs() {
    for (severity, status, level) in [
        (Severity::Trace, "debug", Some("trace")),
        (Severity::Debug, "debug", None),
        (Severity::Info, "info", None),
        (Severity::Warn, "warn", None),
        (Severity::Error, "error", None),
        (Severity::Fatal, "critical", Some("fatal")),
    ] {
        let record = &records(&body(&datadog(), &[frame(severity, "m", |_| {})]))[0];
        assert_eq!((record["status"].as_str(), record.get("level").and_then(Json::as_str)), (Some(status), level));
    }
}

#[test]
fn traces_are_found_by_datadogs_names() {
    let record = |keys: &[&str]| {
        let frames = [frame(Severity::Info, "m", |w| keys.iter().for_each(|key| put(w, key, Value::Str(key))))];
        let mut record = records(&body(&datadog(), &frames)).remove(0);
        record.retain(|key, _| key.contains("_id"));
        Json::from(record)
    };
    let expected = json!({"dd.trace_id": "trace_id", "dd.span_id": "span_id"});
    assert_eq!(record(&["trace_id", "span_id"]), expected);
    for both in [["dd.trace_id", "trace_id"], ["trace_id", "dd.trace_id"]] {
        assert_eq!(record(&both), json!({"dd.trace_id": "dd.trace_id", "field_trace_id": "trace_id"}));
    }
}

#[test]
fn b1_to_b5_nasty_records_come_back_from_an_independent_parser() {
    let nasty = nasty();
    let frames: Vec<_> = nasty.iter().map(|one| one.frame.clone()).collect();
    for backend in [datadog(), victorialogs()] {
        let records = records(&body(&backend, &frames));
        assert_eq!(records.len(), nasty.len());
        for (record, one) in records.iter().zip(&nasty) {
            assert_eq!(record["message"], one.message.as_str());
            for (name, value) in &one.fields {
                let name = if name == "timestamp" { "field_timestamp" } else { name };
                match &record[name] {
                    Json::String(found) => assert_eq!(found, value, "{name:?}"),
                    Json::Number(found) if found.is_f64() => assert_eq!(found.as_f64(), value.parse().ok(), "{name:?}"),
                    found => assert_eq!(&found.to_string(), value, "{name:?}"),
                }
            }
            assert_eq!(record.len(), 9 + one.fields.len() + 5, "{:?}", record.keys());
        }
    }
}

#[test]
fn victorialogs_gets_texts_and_nothing_else() {
    let control = "\u{1}".repeat(250_000);
    let mut frames = ordinary();
    frames.push(frame(Severity::Info, &control, |w| {
        (0..128).for_each(|i| put(w, &format!("{}{i:03}", "\0".repeat(125)), Value::Bytes(&[1; 8000])));
    }));
    frames.extend(nasty().into_iter().map(|one| one.frame));
    let is_text = |(key, value): (&String, &Json)| key == "timestamp" || value.is_string();
    for record in records(&body(&victorialogs(), &frames)) {
        assert!(record.iter().all(is_text), "{record:?}");
    }
    let record = &records(&body(&datadog(), &frames))[0];
    assert_eq!((&record["user_id"], &record["line"]), (&json!(42), &json!(12)));
}

#[test]
fn b5_generated_records_come_back_with_their_values_and_types() {
    each_of_a_hundred_thousand(31, |frames, expected| {
        // VictoriaLogs gets the same but for the values, which are texts: those of every fifth record.
        for (backend, records) in [(datadog(), 1_000), (victorialogs(), 200)] {
            let shape = Shape { values: backend.values, ..SHAPE };
            let (frames, expected) = (&frames[..records], &expected[..records]);
            let records: Vec<Members> = serde_json::from_slice(&body_once(&backend, frames)).unwrap();
            assert_eq!(records.len(), expected.len());
            for (record, expected) in records.iter().zip(expected) {
                let has_level = matches!(expected.severity, Severity::Trace | Severity::Fatal);
                is_the_record(record, expected, &shape, 5 + usize::from(has_level));
            }
        }
    });
}

#[test]
fn a_record_stays_below_what_datadog_cuts() {
    let text = "\u{1}".repeat(250_000);
    let frames = [frame(Severity::Info, &text, |w| put(w, "v", Value::Str(&text)))];
    let body = body(&datadog(), &frames);
    assert!(body.len() <= RECORD + 2);
    assert_eq!((&records(&body)[0]["truncated"], &records(&body)[0]["original_len"]), (&json!(true), &json!(250_000)));
}

#[test]
fn the_url_is_that_of_the_intake() {
    for (given, url) in [
        ("https://http-intake.logs.datadoghq.eu", "https://http-intake.logs.datadoghq.eu/api/v2/logs"),
        ("https://http-intake.logs.datadoghq.eu/", "https://http-intake.logs.datadoghq.eu/api/v2/logs"),
        ("https://h/api/v2/logs?x=1", "https://h/api/v2/logs?x=1"),
        ("https://proxy/datadog/logs", "https://proxy/datadog/logs"),
        ("http://v:9428/insert/datadog", "http://v:9428/insert/datadog/api/v2/logs"),
    ] {
        assert_eq!(Datadog::new(given).url(), url);
    }
}

#[test]
fn the_scheme_goes_by_datadogs_variables() {
    let url = |name: &str, value: &str| {
        let foreign = SCHEME.foreign.iter().find(|foreign| foreign.name == name).unwrap();
        let Says::Url(url) = foreign.says else { panic!("{name}") };
        url(value)
    };
    assert_eq!(url("DD_SITE", "us5.datadoghq.com").unwrap(), "https://http-intake.logs.us5.datadoghq.com");
    assert!(url("DD_SITE", "https://app.datadoghq.com/x").is_err());
    assert_eq!(url("DD_LOGS_CONFIG_LOGS_DD_URL", "proxy:443").unwrap(), "https://proxy:443");
    assert_eq!(SCHEME.foreign[0].name, "DD_LOGS_CONFIG_LOGS_DD_URL", "it goes before the site");

    let variables = [
        ("DD_SERVICE", "theirs"),
        ("DD_ENV", "prod"),
        ("DD_VERSION", "1.2"),
        ("DD_TAGS", "team:a,b:c d"),
        ("DD_HOSTNAME", "box"),
    ];
    let built = SCHEME.built("datadog", SCHEME.default_url.unwrap(), &[], &variables);
    assert_eq!(built.url(), "https://http-intake.logs.datadoghq.com/api/v2/logs");
    assert_eq!(built.facts().token_as(), TokenAs::Header("dd-api-key"));
    let frames = [frame(Severity::Info, "m", |_| {})];
    let record = &records(&corpus::body_of(&*built, &frames, &Resource::new("ours")))[0];
    assert_eq!((&record["service"], &record["hostname"]), (&json!("theirs"), &json!("box")));
    assert_eq!(record["ddtags"], "env:prod,version:1.2,team:a,b:c,d");
    let ours = SCHEME.built("datadog", "https://h", &[], &[("DD_SERVICE", "theirs"), ("LOGCHUTE_SERVICE", "ours")]);
    let record = &records(&corpus::body_of(&*ours, &frames, &Resource::new("ours")))[0];
    assert_eq!(record["service"], "ours");
}

#[test]
fn n1_each_status_means_what_the_table_says() {
    let verdict = |status, body: &str| datadog().judge(&Reply::new(status, body));
    assert_eq!(verdict(202, "{}"), Verdict::Ack);
    assert!(matches!(verdict(400, r#"{"errors":[{"status":"400"}]}"#), Verdict::Reject(_)));
    assert_eq!((verdict(401, ""), verdict(403, "")), (Verdict::Refresh, Verdict::Refresh));
    assert_eq!(verdict(413, ""), Verdict::Split);
    for status in [408, 429, 500, 502, 503, 504] {
        assert_eq!(verdict(status, ""), Verdict::Retry { after: None });
    }
    assert!(matches!(verdict(404, ""), Verdict::Hold(_)));
    assert!(matches!(verdict(400, "unsupported path requested"), Verdict::Hold(_)));
}

#[test]
fn mutated_replies_never_panic_and_name_no_record() {
    let replies = [r#"{"errors":[{"status":"413","title":"Request Entity Too Large"}]}"#, "{}"];
    corpus::mutated(2, 100_000, &replies, |body| {
        for status in [202, 400, 413] {
            let verdict = check_reply(&datadog(), &Reply::new(status, body));
            assert!(matches!(verdict, Verdict::Ack | Verdict::Reject(_) | Verdict::Hold(_) | Verdict::Split));
        }
    });
}

#[test]
fn it_conforms_and_costs_what_it_takes() {
    super::super::conformance::conformance(&datadog());
    super::super::conformance::conformance(&victorialogs());
    let frames: Vec<_> = std::iter::repeat_n(ordinary(), 50).flatten().collect();
    for backend in [datadog(), victorialogs()] {
        let size = body(&backend, &frames).len();
        let cost: usize = with_batch(&backend, &frames, &resource(), |batch| {
            batch.records().map(|record| backend.cost(&record)).sum()
        });
        assert!(cost * 100 >= size * 95 && cost * 100 <= size * 115, "cost {cost}, size {size}");
    }
}

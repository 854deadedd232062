use serde_json::{Value as Json, json};

use super::super::check_reply::check_reply;
use super::super::corpus::{self, body, body_once, frame, nasty, ordinary, put};
use super::super::generated::each_of_a_hundred_thousand;
use super::super::line::{Shape, tests::is_the_record};
use super::super::members::{Members, lines};
use super::*;
use crate::backend::{SCHEMES, TokenAs, Value, Verdict};
use crate::frame::Severity;

const ALL: [(Preset, &str, &str); 6] = [
    (Preset::Plain, "http://h/x", "ndjson"),
    (Preset::Axiom, "https://api.axiom.co/v1/datasets/logs/ingest", "axiom"),
    (Preset::BetterStack, "https://s1.eu-nbg-2.betterstackdata.com", "betterstack"),
    (Preset::NewRelic, "https://log-api.eu.newrelic.com/log/v1", "newrelic"),
    (Preset::OpenObserve, "https://o.example.com/api/org/stream/_json", "openobserve"),
    (Preset::VictoriaLogs, "http://v:9428/insert/jsonline", "victorialogs"),
];

/// The records of a body, and what stands once for all of them.
fn records(preset: Preset, body: &[u8]) -> (Vec<Json>, Json) {
    let whole = |body: &[u8]| serde_json::from_slice::<Vec<Json>>(body).unwrap();
    match preset {
        Preset::OpenObserve => (whole(body), Json::Null),
        Preset::NewRelic => {
            let mut all = whole(body);
            assert_eq!(all.len(), 1);
            let Json::Array(logs) = all[0]["logs"].take() else { panic!("no logs") };
            (logs, all[0]["common"]["attributes"].take())
        }
        _ => {
            let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
            (lines.map(|line| serde_json::from_slice(line).unwrap()).collect(), Json::Null)
        }
    }
}

#[test]
fn a_preset_is_known_by_its_url_where_that_is_safe() {
    for (preset, url, name) in ALL {
        assert_eq!(Preset::of(url), preset, "{url}");
        assert_eq!(Ndjson::new(url).facts().name(), name);
    }
    for (url, preset) in [
        ("https://in.logs.betterstack.com", Preset::BetterStack),
        ("https://user:pass@eu.axiom.co:443/v1/ingest/logs?x=1", Preset::Axiom),
        ("https://log-api.newrelic.com/log/v1?x", Preset::NewRelic),
        ("http://[::1]:5080/proxy/api/o/s/_multi", Preset::OpenObserve),
        // Not theirs, or not their logs.
        ("https://axiom.co.example.com/x", Preset::Plain),
        ("https://notaxiom.co/x", Preset::Plain),
        ("https://x.example.com/?u=api.axiom.co", Preset::Plain),
        ("https://betterstack.com/x", Preset::Plain),
        ("https://insights.newrelic.com/v1/accounts/1/events", Preset::Plain),
        ("http://h/api/_json", Preset::Plain),
        ("http://h/api/o/s/_bulk", Preset::Plain),
        ("", Preset::Plain),
    ] {
        assert_eq!(Preset::of(url), preset, "{url}");
    }
}

#[test]
fn a_url_without_a_path_gets_the_usual_one() {
    for (preset, given, url) in [
        (Preset::OpenObserve, "http://o:5080/", "http://o:5080/api/default/default/_json"),
        (Preset::OpenObserve, "http://o:5080/api/a/b/_multi", "http://o:5080/api/a/b/_multi"),
        (Preset::NewRelic, "https://log-api.newrelic.com", "https://log-api.newrelic.com/log/v1"),
        (Preset::BetterStack, "https://in.logs.betterstack.com", "https://in.logs.betterstack.com"),
        (
            Preset::VictoriaLogs,
            "http://v:9428?debug=1",
            "http://v:9428/insert/jsonline?debug=1&_msg_field=message&_time_field=time&_stream_fields=service_name",
        ),
        (Preset::NewRelic, "", ""),
    ] {
        assert_eq!(Ndjson::preset(preset, given).url(), url);
    }
}

#[test]
fn the_bodies_are_the_golden_ones() {
    for (preset, url, name) in &ALL[1..5] {
        corpus::golden(&format!("ndjson_{name}.json"), &body(&Ndjson::preset(*preset, *url), &ordinary()));
    }
}

#[test]
fn each_store_finds_time_message_and_id_where_it_looks_for_them() {
    let frames = [frame(Severity::Warn, "m", |w| {
        ["timestamp", "_timestamp", "dt", "_sysTime", "time"].iter().for_each(|key| put(w, key, Value::Str("theirs")));
        put(w, "pod", Value::Str("of the record"));
        put(w, "cart", Value::Json(r#"{"items":[1,"\n"]}"#));
    })];
    let text = json!("2026-11-24T08:00:00.123457789Z");
    let millis = json!(1_795_507_200_123_i64);
    let micros = json!(1_795_507_200_123_457_i64);
    for (preset, url, _) in ALL {
        let (records, common) = records(preset, &body(&Ndjson::preset(preset, url), &frames));
        let record = &records[0];
        let (key, time) = match preset {
            Preset::Axiom => ("_time", &text),
            Preset::BetterStack => ("dt", &text),
            Preset::NewRelic => ("timestamp", &millis),
            Preset::OpenObserve => ("_timestamp", &micros),
            _ => ("time", &text),
        };
        assert_eq!(&record[key], time, "{preset:?}");
        if matches!(preset, Preset::NewRelic | Preset::OpenObserve) {
            assert_eq!(record["time"], text, "the nanoseconds are kept");
        }
        assert_eq!(record["level"], "warn");
        assert_eq!(record["message"], "m");
        assert_eq!(record["id"], "0123456789abcdef0123456789abcdef-0000000000000001");
        assert_eq!(record["field_time"], "theirs");
        assert!(key == "time" || key == "_time" || record[format!("field_{key}")] == "theirs", "{preset:?}");
        assert_eq!(record["pod"], "of the record");
        if preset == Preset::NewRelic {
            assert_eq!(record["cart"], r#"{"items":[1,"\n"]}"#);
            assert_eq!((&common["service_name"], &common["namespace"]), (&json!("checkout"), &json!("prod")));
            assert_eq!(record.get("service_name"), None);
        } else {
            assert_eq!(record["cart"], json!({"items": [1, "\n"]}));
            assert_eq!((&record["service_name"], &record["namespace"]), (&json!("checkout"), &json!("prod")));
        }
    }
}

#[test]
fn b1_to_b5_nasty_records_come_back_from_an_independent_parser() {
    let nasty = nasty();
    let frames: Vec<_> = nasty.iter().map(|one| one.frame.clone()).collect();
    for (preset, url, _) in ALL {
        let (records, _) = records(preset, &body(&Ndjson::preset(preset, url), &frames));
        assert_eq!(records.len(), nasty.len());
        for (record, one) in records.iter().zip(&nasty) {
            assert_eq!(record["message"], one.message.as_str(), "{preset:?}");
            for (name, value) in &one.fields {
                let is_taken = !record.as_object().unwrap().contains_key(name.as_str())
                    || (name == "timestamp" && preset == Preset::NewRelic);
                let name = if is_taken { format!("field_{name}") } else { name.clone() };
                match &record[&name] {
                    Json::String(found) => assert_eq!(found, value, "{preset:?} {name:?}"),
                    Json::Number(found) if found.is_f64() => {
                        assert_eq!(found.as_f64(), value.parse().ok(), "{preset:?} {name:?}");
                    }
                    found => assert_eq!(&found.to_string(), value, "{preset:?} {name:?}"),
                }
            }
        }
    }
}

#[test]
fn they_conform_and_cost_what_they_take() {
    for (preset, url, _) in &ALL[1..5] {
        let backend = Ndjson::preset(*preset, *url);
        super::super::conformance::conformance(&backend);
        let frames: Vec<_> = std::iter::repeat_n(ordinary(), 50).flatten().collect();
        let size = body(&backend, &frames).len();
        let cost: usize = corpus::with_batch(&backend, &frames, &corpus::resource(), |batch| {
            batch.records().map(|record| backend.cost(&record)).sum()
        });
        assert!(cost * 100 >= size * 95 && cost * 100 <= size * 115, "{preset:?}: cost {cost}, size {size}");
    }
}

#[test]
fn n1_what_a_store_says_within_a_success_is_counted() {
    let judge = |preset, status, body: &str| Ndjson::preset(preset, "http://h").judge(&Reply::new(status, body));
    let lost = |rejected, reason: &str| Verdict::AckWithLoss { rejected, reason: reason.to_owned() };
    let fine = r#"{"code":200,"status":[{"name":"s","successful":3,"failed":0}]}"#;
    assert_eq!(judge(Preset::OpenObserve, 200, fine), Verdict::Ack);
    let two = r#"{"code":200,"status":[{"name":"s","successful":1,"failed":0},
        {"name":"t","successful":1,"failed":2,"error":"Too old data, only last 5 hours data can be ingested."}]}"#;
    let why = "Too old data, only last 5 hours data can be ingested.";
    assert_eq!(judge(Preset::OpenObserve, 200, two), lost(2, why));
    assert_eq!(judge(Preset::OpenObserve, 503, two), Verdict::Retry { after: None });
    for error in ["null", r#""""#, r#"" \n""#] {
        let silent = format!(r#"{{"status":[{{"failed":1,"error":{error}}}]}}"#);
        assert_eq!(judge(Preset::OpenObserve, 200, &silent), lost(1, "it does not say why"));
        let silent = format!(r#"{{"failed":1,"failures":[{{"error":{error}}}]}}"#);
        assert_eq!(judge(Preset::Axiom, 200, &silent), lost(1, "it does not say why"));
    }

    let fine = r#"{"ingested":2,"failed":0,"failures":[],"processedBytes":16}"#;
    assert_eq!(judge(Preset::Axiom, 200, fine), Verdict::Ack);
    let one =
        r#"{"ingested":2,"failed":1,"failures":[{"timestamp":"2026-11-24T08:00:00Z","error":"too many fields"}]}"#;
    assert_eq!(judge(Preset::Axiom, 200, one), lost(1, "too many fields"));

    // To a store that is not known to say so it is only a body.
    assert_eq!(judge(Preset::Plain, 200, two), Verdict::Ack);
    assert_eq!(judge(Preset::Plain, 200, one), Verdict::Ack);

    for preset in [Preset::BetterStack, Preset::NewRelic] {
        assert_eq!(judge(preset, 202, ""), Verdict::Ack);
        assert_eq!(judge(preset, 413, ""), Verdict::Split);
        assert!(matches!(judge(preset, 403, ""), Verdict::Hold(_)));
    }
    assert!(matches!(judge(Preset::BetterStack, 402, "quota exceeded"), Verdict::Hold(_)));
    assert!(matches!(judge(Preset::Plain, 402, ""), Verdict::Reject(_)));
    assert!(matches!(judge(Preset::BetterStack, 406, ""), Verdict::Reject(_)));
}

#[test]
fn mutated_replies_never_panic_and_name_no_record() {
    let replies = [
        r#"{"code":200,"status":[{"name":"t","successful":1,"failed":2,"error":"too old"}]}"#,
        r#"{"ingested":2,"failed":1,"failures":[{"timestamp":"2026","error":"too many"}],"processedBytes":16}"#,
        r#"{"status":[{"failed":18446744073709551615},{"failed":18446744073709551615}]}"#,
        "cannot parse \"x\" as uint32",
    ];
    corpus::mutated(5, 30_000, &replies, |body| {
        for (preset, url, _) in ALL {
            let reply = Reply::new(if body.len() % 2 == 0 { 200 } else { 400 }, body);
            let verdict = check_reply(&Ndjson::preset(preset, url), &reply);
            let names_one = matches!(verdict, Verdict::Items { .. } | Verdict::StoppedAt { .. } | Verdict::Ask(_));
            assert!(!names_one, "{verdict:?}");
        }
    });
}

#[test]
fn b5_generated_records_come_back_with_their_values_and_types() {
    each_of_a_hundred_thousand(23, |frames, expected| {
        let plain = body_once(&Ndjson::new(ALL[0].1), frames);
        for (preset, url, _) in ALL {
            let shape = preset.row().shape;
            let body = body_once(&Ndjson::preset(preset, url), frames);
            let (beside, records) = match preset {
                Preset::NewRelic => {
                    #[derive(serde::Deserialize)]
                    struct Logs {
                        logs: Vec<Members>,
                    }
                    (
                        0,
                        serde_json::from_slice::<[Logs; 1]>(&body)
                            .unwrap()
                            .into_iter()
                            .flat_map(|one| one.logs)
                            .collect(),
                    )
                }
                Preset::OpenObserve => (5, serde_json::from_slice(&body).unwrap()),
                Preset::Plain => (5, lines(&body)),
                // Most lines are those of `Plain` behind the name of the time: only others have to be read again.
                _ => {
                    let lines_of = |body| <[u8]>::split(body, |&byte| byte == b'\n').filter(|line| !line.is_empty());
                    assert_eq!(lines_of(&body).count(), expected.len());
                    for ((line, plain), expected) in lines_of(&body).zip(lines_of(&plain)).zip(expected) {
                        let behind = line.strip_prefix(shape.open).unwrap();
                        if Some(behind) != plain.strip_prefix(Shape::PLAIN.open) {
                            is_the_record(&serde_json::from_slice(line).unwrap(), expected, &shape, 5);
                        }
                    }
                    continue;
                }
            };
            assert_eq!(records.len(), expected.len());
            records.iter().zip(expected).for_each(|(record, expected)| is_the_record(record, expected, &shape, beside));
        }
    });
}

/// What a bare name becomes, as the settings do it.
fn by_name(name: &str, variables: &[(&str, &str)]) -> Box<dyn Backend> {
    let scheme = SCHEMES.iter().find(|scheme| scheme.names.contains(&name)).unwrap();
    let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let url = scheme.foreign.iter().find_map(|foreign| match foreign.says {
        crate::backend::Says::Url(url) => Some(url(value(foreign.name)?).unwrap()),
        _ => None,
    });
    scheme.built(name, &url.unwrap_or_else(|| scheme.default_url.unwrap().to_owned()), &[], variables)
}

#[test]
fn a_bare_name_takes_the_address_from_the_variables_of_its_world() {
    for (name, variables, url) in [
        ("axiom", &[("AXIOM_DATASET", "prod-logs")][..], "https://api.axiom.co/v1/datasets/prod-logs/ingest"),
        (
            "axiom",
            &[("AXIOM_DATASET", "a"), ("AXIOM_URL", "https://eu.axiom.co/")],
            "https://eu.axiom.co/v1/datasets/a/ingest",
        ),
        ("betterstack", &[("BETTER_STACK_INGESTING_URL", "s1.betterstackdata.com")], "https://s1.betterstackdata.com"),
        ("newrelic", &[], "https://log-api.newrelic.com/log/v1"),
        ("newrelic", &[("NEW_RELIC_REGION", "EU")], "https://log-api.eu.newrelic.com/log/v1"),
        ("newrelic", &[("NEW_RELIC_LICENSE_KEY", "eu01xxabc")], "https://log-api.eu.newrelic.com/log/v1"),
    ] {
        assert_eq!(by_name(name, variables).url(), url);
    }
    let new_relic = by_name("newrelic", &[]);
    assert_eq!(new_relic.facts().token_as(), TokenAs::Header("api-key"));
    let url = "https://api.axiom.co";
    let setup = |lookup| crate::backend::Setup { name: "axiom", url, variable: None, promoted: &[], lookup };
    assert!((AXIOM.build)(&setup(&|_| None)).is_err());
    assert!((AXIOM.build)(&setup(&|_| Some("../x".to_owned()))).is_err());
}

#[test]
fn no_store_is_shown_the_token_of_another() {
    let mut seen = std::collections::BTreeSet::new();
    for scheme in SCHEMES {
        for foreign in scheme.foreign.iter().filter(|foreign| matches!(foreign.says, crate::backend::Says::Token)) {
            assert!(seen.insert(foreign.name), "{} is read for two kinds of stores", foreign.name);
        }
    }
}

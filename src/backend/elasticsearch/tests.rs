use std::collections::{BTreeMap, BTreeSet};

use super::super::corpus::{self, body, body_of, body_once, frame, nasty, ordinary, put, resource, with_batch};
use super::super::generated::{Expected, Given, each_of_a_hundred_thousand, random_records};
use super::super::members::{Members, lines};
use super::super::{Mode, Value};
use super::*;
use crate::frame::{Frame, Severity};

fn store() -> Elasticsearch {
    Elasticsearch::new("http://localhost:9200/logs-shop-prod")
}

fn victorialogs() -> Elasticsearch {
    Elasticsearch::new("http://localhost:9428/insert/elasticsearch")
}

/// Each record's action and document.
fn pairs(body: &[u8]) -> Vec<(Members, Members)> {
    let mut lines = lines(body).into_iter();
    let mut pairs = Vec::new();
    while let Some(action) = lines.next() {
        pairs.push((action, lines.next().expect("a document")));
    }
    pairs
}

fn documents(body: &[u8]) -> Vec<Members> {
    pairs(body).into_iter().map(|(_, document)| document).collect()
}

fn body_in_fallback(backend: &Elasticsearch, frames: &[Frame]) -> Vec<u8> {
    with_batch(backend, frames, &resource(), |batch| backend.encode(&batch.in_mode(Mode::Fallback)).bytes().to_vec())
}

/// What Elasticsearch would refuse in a document, whatever the mapping.
fn is_accepted(document: &Members) -> Result<(), String> {
    let names: BTreeSet<&str> = document.0.keys().map(String::as_str).collect();
    for name in &names {
        if name.split('.').any(|part| part.chars().all(char::is_whitespace)) {
            return Err(format!("{name:?} has a blank part"));
        }
        if let Some((at, _)) = name.match_indices('.').find(|(at, _)| names.contains(&name[..*at])) {
            return Err(format!("{:?} is a value and the object of {name:?}", &name[..at]));
        }
    }
    Ok(())
}

#[test]
fn the_body_is_the_golden_one() {
    corpus::golden("elasticsearch.ndjson", &body(&store(), &ordinary()));
    corpus::golden("elasticsearch-fallback.ndjson", &body_in_fallback(&store(), &ordinary()));
}

/// The name under which the corpus's fields are found here where that is another than everywhere.
fn name_here(name: &str) -> &str {
    match name {
        "@timestamp" => "field_@timestamp",
        "_id" => "field__id",
        name => name,
    }
}

#[test]
fn b1_to_b5_nasty_records_come_back_from_an_independent_parser() {
    let nasty = nasty();
    let frames: Vec<_> = nasty.iter().map(|one| one.frame.clone()).collect();
    let pairs = pairs(&body(&store(), &frames));
    assert_eq!(pairs.len(), nasty.len());
    for (at, ((action, document), one)) in pairs.iter().zip(&nasty).enumerate() {
        let id = format!("{{\"_id\":\"{:032x}-{:016x}\"}}", corpus::INCARNATION, at + 1);
        assert_eq!(action.0["create"].get(), id);
        assert_eq!(document.text("message").as_ref(), Some(&one.message));
        for (name, value) in &one.fields {
            let (found, name) = (document.text(name_here(name)), name_here(name));
            assert_eq!(found.as_ref(), Some(value), "{name:?} in {:?}", document.0.keys());
        }
        assert_eq!(document.text("service.name").unwrap(), "checkout");
        assert_eq!(document.0.len(), 8 + one.fields.len() + 5, "{:?}", document.0.keys());
        assert_eq!(is_accepted(document), Ok(()));
    }
}

/// Whether a field is found under this name whatever else the record has.
fn keeps_its_name(name: &str) -> bool {
    ["a", "b", "user", "order", "count", "x", "1", "é", "ключ", "名", "status", "severity", "timestamp"].contains(&name)
}

#[track_caller]
fn check(expected: &Expected, document: &Members) {
    assert_eq!(is_accepted(document), Ok(()));
    for (name, value) in [
        ("message", &*expected.message),
        ("log.level", expected.severity.as_str()),
        ("log.logger", &expected.target),
        ("process.thread.name", expected.thread),
        ("service.name", "checkout"),
        ("ecs.version", "8.11.0"),
    ] {
        assert_eq!(document.text(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(document.text("log.origin.file.name"), expected.file);
    assert_eq!(document.text("log.origin.file.line"), expected.line.map(|line| line.to_string()));
    let spans: Vec<_> = expected.spans.iter().rev().map(String::as_str).collect();
    assert_eq!(document.text("span.name"), (!spans.is_empty()).then(|| spans.join(":")));

    let is_there = |found: &str, given: &Given| match (given, document.0.get(found)) {
        (_, None) => false,
        // Beyond Elasticsearch's `long`.
        (Given::U64(_) | Given::U128(_) | Given::I128(_), Some(raw)) => {
            let digits = given.integer().unwrap();
            raw.get() == if digits.parse::<i64>().is_ok() { digits } else { format!("\"{digits}\"") }
        }
        (given, Some(raw)) => given.is_json(raw.get()),
    };
    let known = |name: &str, given: &Given| match (name, given) {
        ("", _) => String::new(),
        (name, Given::Error(_)) => format!("{name}.message"),
        ("trace_id", _) => "trace.id".to_owned(),
        ("span_id", _) => "span.id".to_owned(),
        ("error", given) if !matches!(given, Given::Json(_)) => "error.message".to_owned(),
        (name, _) => name.to_owned(),
    };
    let (kept, renamed): (Vec<_>, Vec<_>) =
        expected.fields.iter().partition(|(name, given)| is_there(&known(name, given), given));
    let mut taken: BTreeSet<String> = kept.iter().map(|(name, given)| known(name, given)).collect();
    for (name, given) in renamed {
        assert!(!keeps_its_name(name) || matches!(given, Given::Error(_)), "{name:?} in {:?}", document.0);
        let made = format!("field_{}", name.replace('.', "_"));
        let numbered = (2..20).map(|number| format!("{made}_{number}"));
        let found = std::iter::once(made.clone()).chain(numbered);
        let found = found.into_iter().find(|found| is_there(found, given) && !taken.contains(found));
        let found = found.unwrap_or_else(|| panic!("{name:?}, {given:?}, is not in {:?}", document.0));
        taken.insert(found);
    }
    // And nothing else, but for attributes of the resource.
    let mapped = document.0.keys().filter(|name| name.starts_with("logchute.")).count();
    let attributes =
        ["kubernetes.namespace", "kubernetes.container.name", "kubernetes.pod.name", "labels.region"].len();
    let optional = [expected.file.is_some(), expected.line.is_some(), !expected.spans.is_empty()];
    let fixed = 7 + optional.into_iter().filter(|&has| has).count();
    assert_eq!(document.0.len(), fixed + mapped + expected.fields.len() + attributes, "{:?}", document.0.keys());
}

#[test]
fn b5_generated_records_come_back_with_their_values_and_types() {
    each_of_a_hundred_thousand(17, |frames, expected| {
        let documents = documents(&body_once(&store(), frames));
        assert_eq!(documents.len(), expected.len());
        documents.iter().zip(expected).for_each(|(document, expected)| check(expected, document));
    });
}

#[test]
fn b5_in_fallback_nothing_is_a_name_of_the_user_and_nothing_is_lost() {
    let (frames, _) = random_records(18, 5_000);
    let (plain, fallback) = (body(&store(), &frames), body_in_fallback(&store(), &frames));
    for ((plain_action, plain), (action, document)) in pairs(&plain).into_iter().zip(pairs(&fallback)) {
        assert_eq!(plain_action.0["create"].get(), action.0["create"].get(), "the id");
        let names: Vec<_> = document.0.keys().map(String::as_str).collect();
        assert_eq!(names, ["@timestamp", "logchute.fields", "logchute.level", "logchute.service", "message"]);
        for (name, plain_name) in [
            ("@timestamp", "@timestamp"),
            ("message", "message"),
            ("logchute.level", "log.level"),
            ("logchute.service", "service.name"),
        ] {
            assert_eq!(document.text(name), plain.text(plain_name));
        }
        let text = |members: &Members| -> BTreeMap<String, String> {
            members.0.iter().map(|(name, raw)| (name.clone(), raw.get().to_owned())).collect()
        };
        let mut expected = text(&plain);
        let kept = ["@timestamp", "message", "log.level", "ecs.version"];
        expected.retain(|name, _| !kept.contains(&&**name) && !name.starts_with("logchute."));
        let inner: Members = serde_json::from_str(&document.text("logchute.fields").unwrap()).unwrap();
        assert_eq!(text(&inner), expected);
    }
}

#[test]
fn no_text_is_longer_than_a_term_in_fallback() {
    let long = "ä\"".repeat(80_000);
    let frames = [
        frame(Severity::Info, &long, |w| {
            (0..128).for_each(|i| put(w, &format!("v{i}"), Value::Str(&long[..6_000])));
        }),
        frame(Severity::Info, "names", |w| {
            (0..128).for_each(|i| put(w, &format!("{}{i:03}", "\0".repeat(125)), Value::Bytes(&[1; 3000])));
        }),
        frame(Severity::Info, "short", |w| put(w, "a", Value::I64(1))),
    ];
    let documents = documents(&body_in_fallback(&store(), &frames));
    let mut inner = Vec::new();
    for document in &documents {
        for name in document.0.keys() {
            assert!(document.text(name).unwrap().len() <= 32_766, "{name}");
        }
        inner.push(serde_json::from_str::<Members>(&document.text("logchute.fields").unwrap()).unwrap());
    }
    assert!(documents[0].text("message").unwrap().ends_with("…[cut]"));
    assert_eq!(inner[0].text("original_len").unwrap(), long.len().to_string());
    assert_eq!(inner[0].text("v127_original_len").unwrap(), "6000");
    assert_eq!(inner[1].text("fields_left_out").unwrap(), "128");
    assert_eq!(inner[2].text("a").unwrap(), "1");
    assert_eq!(inner[2].text("truncated"), None);
}

#[test]
fn an_index_gets_to_know_the_names_of_fallback_before_it_is_full() {
    let frames: Vec<_> = (0..1_030).map(|_| frame(Severity::Warn, "m", |_| {})).collect();
    for (at, document) in (1..).zip(documents(&body(&store(), &frames))) {
        let level = (at == 1_024).then(|| "warn".to_owned());
        assert_eq!(document.text("logchute.level"), level, "{at}");
        assert_eq!(document.text("logchute.fields"), level.map(|_| "{}".to_owned()), "{at}");
    }
}

#[test]
fn names_that_cannot_stand_side_by_side_are_told_apart() {
    let of = |fields: &[&str]| {
        let frames = [frame(Severity::Info, "m", |w| {
            fields.iter().enumerate().for_each(|(at, key)| put(w, key, Value::I64(at as i64)));
        })];
        let document = documents(&body(&store(), &frames)).remove(0);
        assert_eq!(is_accepted(&document), Ok(()));
        let find = |at: usize| document.0.iter().find(|(_, raw)| raw.get() == at.to_string());
        (0..fields.len()).map(|at| find(at).unwrap().0.clone()).collect::<Vec<_>>()
    };
    for (given, stored) in [
        // The short name stays.
        (&["a", "a.b"][..], &["a", "field_a_b"][..]),
        (&["a.b", "a"], &["field_a_b", "a"]),
        // Of two long ones the first.
        (&["a.b", "a.b.c", "a.c"], &["a.b", "field_a_b_c", "a.c"]),
        (&["a.b.c", "a.b"], &["a.b.c", "field_a_b"]),
        // What is made may be taken.
        (&["a", "a.b", "field_a_b", "field_a_b_2.x"], &["a", "field_a_b_3", "field_a_b", "field_a_b_2.x"]),
        // Ours, and the schema's objects.
        (&["log", "message.x", "host"], &["field_log", "field_message_x", "field_host"]),
        (&["log.level", "log.x"], &["field_log_level", "log.x"]),
        (
            &["@timestamp", "_source", "service", "data_stream"],
            &["field_@timestamp", "field__source", "field_service", "field_data_stream"],
        ),
        // Refused as they are.
        (
            &["", ".", "a.", ".a", "a..b", " ", "x. "],
            &["field_", "field__", "field_a_", "field__a", "field_a__b", "field_ ", "field_x_ "],
        ),
        // Known under the schema's names.
        (&["trace_id", "span_id", "error"], &["trace.id", "span.id", "error.message"]),
        (&["trace.id", "trace_id", "error.type"], &["trace.id", "field_trace_id", "error.type"]),
        // Attributes of the resource: a field goes before one, but is not put below it.
        (
            &["labels.region", "kubernetes.pod.name.x", "kubernetes.pod"],
            &["labels.region", "field_kubernetes_pod_name_x", "field_kubernetes_pod"],
        ),
        (&["http.method", "http_method", "truncated"], &["http.method", "http_method", "field_truncated"]),
    ] {
        assert_eq!(of(given), stored, "{given:?}");
    }
}

#[test]
fn an_error_is_an_object_with_its_type_and_causes() {
    let cause = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer");
    let error = std::io::Error::other(cause);
    let frames = [frame(Severity::Error, "m", |w| {
        w.fields.error(crate::frame::Key::named("error"), "error", &error);
        w.fields.error(crate::frame::Key::named("err"), "err", &error);
    })];
    let document = documents(&body(&store(), &frames)).remove(0);
    for name in ["error", "err"] {
        assert_eq!(document.text(&format!("{name}.message")).unwrap(), "no answer");
        assert_eq!(document.text(&format!("{name}.type")).unwrap(), "Custom");
    }
}

#[test]
fn what_was_cut_or_left_out_is_said() {
    let long = "ä".repeat(200_000);
    let frames = [frame(Severity::Info, &long, |w| {
        put(w, "v", Value::Str(&long));
        put(w, "http.v", Value::Str(&long));
        put(w, "error", Value::Str(&long));
    })];
    let many = frame(Severity::Info, "m", |w| (0..200).for_each(|i| put(w, &format!("f{i}"), Value::Bool(true))));
    let documents = documents(&body(&store(), &[frames, [many]].concat()));
    let document = &documents[0];
    assert_eq!(is_accepted(document), Ok(()));
    for name in ["original_len", "v_original_len", "http_v_original_len", "error_original_len"] {
        assert_eq!(document.text(name).as_deref(), Some("400000"), "{name}");
    }
    assert_eq!(document.text("truncated").unwrap(), "true");
    assert_eq!(documents[1].text("fields_left_out").unwrap(), (200 - 128).to_string());
}

#[test]
fn a_document_stays_within_victorialogs_limit_and_says_what_it_had() {
    let control = "\u{1}".repeat(256 * 1024);
    let frames = [
        frame(Severity::Info, &control, |w| put(w, "v", Value::Str(&control))),
        frame(Severity::Info, &control, |w| {
            (0..128).for_each(|i| put(w, &format!("{}{i:03}", "\0".repeat(125)), Value::Bytes(&[1; 3000])));
        }),
        frame(Severity::Info, "last", |_| {}),
    ];
    let body = body(&victorialogs(), &frames);
    assert!(body.split(|&byte| byte == b'\n').all(|line| line.len() <= 250_000));
    let documents = documents(&body);
    assert_eq!(documents[0].text("original_len").unwrap(), (256 * 1024).to_string());
    assert_eq!(documents[0].text("v_original_len").unwrap(), (256 * 1024).to_string());
    assert_eq!(documents[1].text("truncated").unwrap(), "true");
    assert_eq!(documents[2].text("truncated"), None);
}

#[test]
fn an_index_with_a_date_is_named_for_each_record() {
    let backend = Elasticsearch::new("http://h/logs-{date}");
    // A day before, and a day after: the corpus gives each record a time of its own.
    let action = &pairs(&body(&backend, &ordinary()))[0].0;
    let id = format!("{:032x}-{:016x}", corpus::INCARNATION, 1);
    assert_eq!(action.0["create"].get(), format!("{{\"_index\":\"logs-2026.11.24\",\"_id\":\"{id}\"}}"));
    assert_eq!(backend.url().split('?').next(), Some("http://h/_bulk"));
}

#[test]
fn victorialogs_gets_the_id_as_a_field_and_promises_less() {
    let (action, document) = pairs(&body(&victorialogs(), &ordinary())).remove(0);
    assert_eq!(action.0["create"].get(), "{}");
    assert_eq!(document.text("event.id").unwrap(), format!("{:032x}-{:016x}", corpus::INCARNATION, 1));
    assert_eq!(victorialogs().facts().delivers(), Delivery::AtLeastOnce);
    assert_eq!(store().facts().delivers(), Delivery::EffectivelyOnce);
}

#[test]
fn a_record_of_our_own_is_marked() {
    let document = &documents(&body(&store(), &ordinary()))[2];
    assert_eq!(document.text("logchute.own").unwrap(), "true");
    assert_eq!(is_accepted(document), Ok(()));
}

#[test]
fn attributes_of_the_resource_that_cannot_be_stored_as_they_are_are_labels() {
    let mut resource = resource();
    resource.set("service.version", "1.2");
    resource.set("message", "of the resource");
    let frames = [frame(Severity::Info, "m", |w| {
        put(w, "service.version", Value::Str("of the record"));
        put(w, "labels", Value::Str("own"));
    })];
    let document = &documents(&body_of(&store(), &frames, &resource))[0];
    assert_eq!(document.text("service.version").unwrap(), "of the record");
    assert_eq!(document.text("labels.message").unwrap(), "of the resource");
    assert_eq!(document.text("field_labels").unwrap(), "own");
    assert_eq!(document.text("kubernetes.pod.name").unwrap(), "checkout-7d9f\"x");
}

#[test]
fn it_conforms() {
    super::super::conformance::conformance(&store());
    super::super::conformance::conformance(&victorialogs());
    super::super::conformance::conformance(&Elasticsearch::opensearch("http://h/a-{date}"));
}

#[test]
fn cost_is_close_to_what_a_record_takes() {
    for backend in [store(), victorialogs(), Elasticsearch::new("http://h/logs-{date}")] {
        body(&backend, &ordinary());
        let control = "\u{1}".repeat(1000);
        let mut frames = ordinary();
        frames.push(frame(Severity::Info, &control, |w| put(w, "v", Value::Str(&control))));
        for frame in &frames {
            let frames = std::slice::from_ref(frame);
            let cost =
                with_batch(&backend, frames, &resource(), |batch| backend.cost(&batch.records().next().unwrap()));
            let size = body(&backend, frames).len();
            assert!(cost * 100 >= size * 90 && cost * 100 <= size * 115, "cost {cost}, size {size}");
        }
    }
}

#[test]
fn the_scheme_knows_its_names_and_refuses_what_no_index_is_called() {
    let built = |name: &str, url: &str| SCHEME.built(name, url, &[], &[]);
    assert_eq!(built("es", "http://h:9200").url(), store_url("http://h:9200/logs-app-default"));
    assert_eq!(built("elasticsearch", "http://h/logs").facts().name(), "elasticsearch");
    assert_eq!(built("opensearch", "http://h/logs").facts().token_as(), TokenAs::Authorization("Bearer"));
    assert_eq!(built("es", "http://h/logs").facts().token_as(), TokenAs::Authorization("ApiKey"));
    let setup = super::super::Setup {
        name: "es",
        url: "http://h/Logs",
        variable: Some("ES_URL"),
        promoted: &[],
        lookup: &|_| None,
    };
    let refused = (SCHEME.build)(&setup).err().expect("no index is called so").to_string();
    assert!(refused.contains("ES_URL") && refused.contains("lower case"), "{refused}");
}

fn store_url(base: &str) -> String {
    let query = store().url().split_once('?').unwrap().1.to_owned();
    format!("{base}/_bulk?{query}")
}

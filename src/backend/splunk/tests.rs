use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::check_reply::check_reply;
use super::super::corpus::{self, body, body_once, frame, nasty, ordinary, put, resource, with_batch};
use super::super::generated::each_of_a_hundred_thousand;
use super::super::line::tests::is_the_record;
use super::super::members::Members;
use super::*;
use crate::backend::Value;
use crate::frame::Severity;

fn splunk() -> Splunk {
    Splunk::new("https://splunk:8088")
}

/// The envelopes of a body, which stand one behind the other; other keys than Splunk's are an error.
fn envelopes(body: &[u8]) -> Vec<Envelope> {
    serde_json::Deserializer::from_slice(body).into_iter().map(|envelope| envelope.unwrap()).collect()
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    time: Box<serde_json::value::RawValue>,
    host: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
    index: Option<String>,
    event: BTreeMap<String, Json>,
    /// Flat texts: a nested one is code 15.
    fields: BTreeMap<String, String>,
}

#[test]
fn the_body_is_the_golden_one() {
    let splunk = Splunk::new("https://splunk:8088?index=main&source=shop%20logs&sourcetype=_json");
    corpus::golden("splunk.json", &body(&splunk, &ordinary()));
}

#[test]
fn an_envelope_says_where_a_record_is_from_and_the_event_is_the_record() {
    let mut at = resource();
    at.set("node", "node-3");
    let frames = [frame(Severity::Warn, "m", |w| {
        for key in ["host", "index", "time", "n"] {
            put(w, key, Value::Str("theirs"));
        }
        put(w, "pod", Value::Str("of the record"));
    })];
    let envelope = &envelopes(&corpus::body_of(&splunk(), &frames, &at))[0];
    assert_eq!(envelope.time.get(), "1795507200.123457789");
    assert_eq!(envelope.host.as_deref(), Some("node-3"));
    assert!(envelope.source.is_none() && envelope.sourcetype.is_none() && envelope.index.is_none());
    for (key, value) in [
        ("time", "2026-11-24T08:00:00.123457789Z"),
        ("level", "warn"),
        ("message", "m"),
        ("id", "0123456789abcdef0123456789abcdef-0000000000000001"),
        ("field_host", "theirs"),
        ("field_index", "theirs"),
        ("field_time", "theirs"),
        ("n", "theirs"),
        ("pod", "of the record"),
    ] {
        assert_eq!(envelope.event[key], value, "{key}");
    }
    let fields: Vec<_> = envelope.fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected = [
        ("container", "app"),
        ("namespace", "prod"),
        ("node", "node-3"),
        ("region", "eu"),
        ("service_name", "checkout"),
    ];
    assert_eq!(fields, expected, "an attribute whose name a field has stands in the event");

    let splunk = splunk().host("h").source("s").sourcetype("t").index("i");
    let envelope = &envelopes(&body(&splunk, &frames))[0];
    let parts = [&envelope.host, &envelope.source, &envelope.sourcetype, &envelope.index];
    assert_eq!(parts.map(|part| part.as_deref().unwrap()), ["h", "s", "t", "i"]);
}

#[test]
fn b1_to_b5_nasty_records_come_back_from_an_independent_parser() {
    let nasty = nasty();
    let frames: Vec<_> = nasty.iter().map(|one| one.frame.clone()).collect();
    let envelopes = envelopes(&body(&splunk(), &frames));
    assert_eq!(envelopes.len(), nasty.len());
    for (envelope, one) in envelopes.iter().zip(&nasty) {
        assert_eq!(envelope.event["message"], one.message.as_str());
        for (name, value) in &one.fields {
            match &envelope.event[name] {
                Json::String(found) => assert_eq!(found, value, "{name:?}"),
                Json::Number(found) if found.is_f64() => assert_eq!(found.as_f64(), value.parse().ok(), "{name:?}"),
                found => assert_eq!(&found.to_string(), value, "{name:?}"),
            }
        }
        assert_eq!(envelope.event.len(), 8 + one.fields.len());
    }
}

#[test]
fn b5_generated_records_come_back_with_their_values_and_types() {
    #[derive(serde::Deserialize)]
    struct Raw {
        event: Members,
        fields: Members,
    }
    let resource = resource();
    each_of_a_hundred_thousand(29, |frames, expected| {
        let body = body_once(&splunk(), frames);
        let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let envelopes: Vec<Raw> = lines.map(|envelope| serde_json::from_slice(envelope).unwrap()).collect();
        assert_eq!(envelopes.len(), expected.len());
        for (envelope, expected) in envelopes.iter().zip(expected) {
            // The time as a number stands in the envelope, and so does an attribute whose name no field has.
            let shown = 5 - envelope.fields.0.len();
            is_the_record(&envelope.event, expected, &Shape { number: None, ..shape(b"") }, 0);
            assert_eq!(shown, expected.fields.keys().filter(|key| resource.get(key).is_some()).count());
        }
    });
}

#[test]
fn an_envelope_stays_within_the_limit() {
    let control = "\u{1}".repeat(250_000);
    let frames = [
        frame(Severity::Info, &control, |w| put(w, "v", Value::Str(&control))),
        frame(Severity::Info, &control, |w| {
            (0..128).for_each(|i| put(w, &format!("{}{i:03}", "\0".repeat(125)), Value::Bytes(&[1; 8000])));
        }),
        frame(Severity::Info, "last", |_| {}),
    ];
    let body = body(&splunk(), &frames);
    assert!(body.split(|&byte| byte == b'\n').all(|line| line.len() <= ENVELOPE));
    let envelopes = envelopes(&body);
    assert_eq!(
        (&envelopes[0].event["truncated"], &envelopes[0].event["original_len"]),
        (&json!(true), &json!(250_000))
    );
    assert_eq!(envelopes[1].fields["service_name"], "checkout");
    assert_eq!(envelopes[2].event["message"], "last");
}

#[test]
fn the_url_is_made_whole_and_what_it_says_of_events_is_taken_out() {
    for (given, url) in [
        ("https://s:8088", "https://s:8088/services/collector/event"),
        ("https://s:8088/", "https://s:8088/services/collector/event"),
        ("https://s:8088/services/collector", "https://s:8088/services/collector/event"),
        ("https://s:8088/services/collector/event", "https://s:8088/services/collector/event"),
        ("https://s:8088/services/collector/event/1.0", "https://s:8088/services/collector/event/1.0"),
        ("http://v/insert/splunk", "http://v/insert/splunk/services/collector/event?_msg_field=event.message"),
        ("http://v/insert/splunk?_msg_field=m", "http://v/insert/splunk/services/collector/event?_msg_field=m"),
        ("https://s?index=a&x=1&sourcetype=b", "https://s/services/collector/event?x=1"),
        ("https://s?index=a&ack=0", "https://s/services/collector/event"),
    ] {
        assert_eq!(Splunk::new(given).url(), url);
    }
    let splunk = Splunk::new("https://s?index=a%20b&host=h&source=c&sourcetype=");
    assert_eq!((splunk.index.as_deref(), splunk.sourcetype.as_deref()), (Some("a b"), None));
    assert_eq!((splunk.host.as_deref(), splunk.source.as_deref()), (Some("h"), Some("c")));
}

#[test]
fn the_channel_is_the_users_or_the_same_as_long_as_the_process_runs() {
    let splunk = Splunk::new("https://s/p?ack=1&channel=mine");
    assert_eq!(splunk.url(), "https://s/p/services/collector/event?channel=mine");
    assert_eq!(splunk.ack.as_deref(), Some("/p/services/collector/ack?channel=mine"));
    let (one, two) = (Splunk::new("https://s?ack=1"), Splunk::new("https://s").ack());
    assert_eq!(one.url(), two.url());
    let channel = one.url().split_once("?channel=").unwrap().1;
    let lengths: Vec<_> = channel.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{channel}");
    assert!(channel.as_bytes()[14] == b'4' && b"89ab".contains(&channel.as_bytes()[19]), "{channel}");
}

fn verdict(status: u16, body: &str) -> Verdict {
    splunk().judge(&Reply::new(status, body))
}

#[test]
fn n1_each_code_means_what_the_table_says() {
    let code = |status, code: u64| verdict(status, &format!(r#"{{"text":"t","code":{code}}}"#));
    let at = |code: u64, at: u64| verdict(400, &format!(r#"{{"text":"t","code":{code},"invalid-event-number":{at}}}"#));
    assert_eq!(code(200, 0), Verdict::Ack);
    assert_eq!(code(200, 17), Verdict::Ack);
    for warned in [24, 25] {
        assert!(matches!(code(200, warned), Verdict::AckWithLoss { rejected: 0, .. }));
    }
    for (status, token) in [(403, 1), (401, 2), (401, 3), (403, 4)] {
        assert_eq!(code(status, token), Verdict::Refresh);
    }
    assert!(matches!(code(400, 5), Verdict::Reject(_)));
    for event in [6, 12, 13, 15] {
        assert!(matches!(at(event, 3), Verdict::StoppedAt { at: 3, .. }), "{event}");
        assert!(matches!(code(400, event), Verdict::Reject(_)), "{event}");
    }
    for event in [12, 13, 15] {
        assert!(matches!(at(event, 0), Verdict::StoppedAt { at: 0, .. }), "{event}");
    }
    assert_eq!(at(6, 0), Verdict::Split);
    for config in [7, 10, 11, 14, 16, 21, 22, 28] {
        assert!(matches!(code(400, config), Verdict::Hold(_)), "{config}");
        assert!(matches!(at(config, 1), Verdict::Hold(_)), "{config}");
    }
    for (status, later) in [(500, 8), (503, 9), (503, 18), (503, 19), (503, 20), (503, 23), (429, 26), (429, 27)] {
        assert_eq!(code(status, later), Verdict::Retry { after: None });
    }
    assert_eq!(verdict(413, ""), Verdict::Split);
    assert!(matches!(verdict(404, "<html>"), Verdict::Hold(_)) && matches!(verdict(415, "<html>"), Verdict::Hold(_)));
    assert!(matches!(verdict(400, "unsupported path requested: x"), Verdict::Hold(_)));
    assert!(matches!(verdict(400, "<html>"), Verdict::Reject(_)));
}

#[test]
fn n1_with_acknowledgement_a_batch_is_done_once_the_indexer_has_it() {
    let splunk = Splunk::new("https://s/p?ack=1&channel=c");
    let judge = |body: &str| splunk.judge(&Reply::new(200, body));
    let question = |id: u64| {
        let body = format!(r#"{{"acks":[{id}]}}"#).into_bytes();
        Verdict::Ask(Payload::post("application/json", body).to("/p/services/collector/ack?channel=c"))
    };
    assert_eq!(judge(r#"{"text":"Success","code":0,"ackId":0}"#), question(0));
    assert_eq!(judge(r#"{"text":"ack approaching capacity","code":25,"ackId":7}"#), question(7));
    assert_eq!(judge(r#"{"acks":{"7":false}}"#), question(7));
    assert_eq!(judge(r#"{"acks":{"7":true}}"#), Verdict::Ack);
    // Nothing that says that they are indexed.
    for odd in [r#"{"acks":{}}"#, r#"{"acks":{"x":false}}"#] {
        assert_eq!(judge(odd), Verdict::Retry { after: None });
    }
    assert_eq!(judge(r#"{"acks":{"7":"true"}}"#), question(7));
    // A token without acknowledgement.
    assert_eq!(judge(r#"{"text":"Success","code":0}"#), Verdict::Ack);
    // Nobody asked for it.
    assert_eq!(verdict(200, r#"{"text":"Success","code":0,"ackId":0}"#), Verdict::Ack);
}

#[test]
fn mutated_replies_never_panic() {
    let replies = [
        r#"{"text":"Invalid data format","code":6,"invalid-event-number":3}"#,
        r#"{"text":"Success","code":0,"ackId":7}"#,
        r#"{"acks":{"7":false,"8":true}}"#,
    ];
    let splunk = Splunk::new("https://s?ack=1");
    corpus::mutated(1, 100_000, &replies, |body| {
        for status in [200, 400] {
            check_reply(&splunk, &Reply::new(status, body));
        }
    });
}

#[test]
fn it_conforms_and_costs_what_it_takes() {
    super::super::conformance::conformance(&splunk());
    super::super::conformance::conformance(&splunk().ack());
    let frames: Vec<_> = std::iter::repeat_n(ordinary(), 50).flatten().collect();
    let backend = splunk();
    let size = body(&backend, &frames).len();
    let cost: usize =
        with_batch(&backend, &frames, &resource(), |batch| batch.records().map(|record| backend.cost(&record)).sum());
    assert!(cost * 100 >= size * 95 && cost * 100 <= size * 115, "cost {cost}, size {size}");
}

#[test]
fn the_scheme_takes_the_url_and_the_token_of_its_world() {
    let built = SCHEME.built("splunk", "https://s:8088?index=a", &[], &[]);
    assert_eq!(built.url(), "https://s:8088/services/collector/event");
    assert_eq!(built.facts().token_as(), TokenAs::Authorization("Splunk"));
    let names: Vec<_> = SCHEME.foreign.iter().map(|foreign| foreign.name).collect();
    assert_eq!(names, ["SPLUNK_HEC_URL", "SPLUNK_HEC_TOKEN"]);
}

//! Splunk's collector, as far as no real server here answers on demand: it stops at an event, and indexes later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use logchute::backend::Splunk;
use logchute::testing::{Answer, Request, Store};
use logchute::{Destination, Report};
use serde_json::{Value, json};

use crate::common::{Every, books, emit, ms, settle, to};

/// A collector that keeps to the table: it takes the events before the first one that it does not like, and says where
/// that stood. With acknowledgement an event is indexed once it was asked for twice, and a `true` is told once.
#[derive(Default)]
struct Collector {
    indexed: Vec<Value>,
    /// By acknowledgement, what is not indexed yet, and how often it was asked for.
    pending: BTreeMap<u64, (Vec<Value>, usize)>,
    acks: u64,
}

type Shared = Arc<Mutex<Collector>>;

fn collector(code_of: impl Fn(&Value) -> Option<u64> + Send + Sync + 'static) -> (Shared, Store) {
    let shared = Shared::default();
    let there = Arc::clone(&shared);
    let store = Store::with(move |request| {
        if request.header("authorization") != Some("Splunk secret") {
            return Answer::status(401).body(r#"{"text":"Invalid authorization","code":3}"#);
        }
        let mut collector = there.lock().unwrap();
        match request.path().split('?').next() {
            Some("/services/collector/event") => collector.take(request, &code_of),
            Some("/services/collector/ack") => collector.asked(request),
            _ => Answer::status(404),
        }
    });
    (shared, store)
}

impl Collector {
    fn take(&mut self, request: &Request, code_of: &impl Fn(&Value) -> Option<u64>) -> Answer {
        let mut taken = Vec::new();
        let envelopes = serde_json::Deserializer::from_slice(request.unpacked()).into_iter::<Value>();
        for (at, envelope) in envelopes.enumerate() {
            let envelope = envelope.unwrap();
            if let Some(code) = code_of(&envelope) {
                self.indexed.append(&mut taken);
                return Answer::status(400)
                    .body(json!({"text": "no", "code": code, "invalid-event-number": at}).to_string());
            }
            taken.push(envelope["event"]["message"].clone());
        }
        if !request.path().contains("channel=") {
            self.indexed.append(&mut taken);
            return Answer::ok().body(r#"{"text":"Success","code":0}"#);
        }
        let id = self.acks;
        self.acks += 1;
        self.pending.insert(id, (taken, 0));
        Answer::ok().body(json!({"text": "Success", "code": 0, "ackId": id}).to_string())
    }

    fn asked(&mut self, request: &Request) -> Answer {
        let question: Value = serde_json::from_slice(request.body()).unwrap();
        let mut acks = serde_json::Map::new();
        for id in question["acks"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()) {
            let is_indexed = self.pending.get_mut(&id).is_some_and(|(_, asked)| {
                *asked += 1;
                *asked >= 2
            });
            if is_indexed {
                self.indexed.extend(self.pending.remove(&id).unwrap().0);
            }
            acks.insert(id.to_string(), is_indexed.into());
        }
        Answer::ok().body(json!({ "acks": acks }).to_string())
    }
}

fn sent(splunk: Splunk, records: usize) -> Report {
    let to_splunk = Destination::new(splunk).token("secret").retry(Every(ms(1)));
    let logs = to(to_splunk).0.start().unwrap();
    emit(&logs, records);
    settle(&logs)
}

fn all_but(bad: &[usize], records: usize) -> Vec<Value> {
    (1..=records).filter(|number| !bad.contains(number)).map(|number| format!("1:{number}").into()).collect()
}

#[test]
fn n2_an_event_that_the_collector_refuses_is_rejected_and_all_others_are_indexed_once_in_order() {
    for code in [6, 12, 13, 15] {
        for bad in [&[1][..], &[2], &[500], &[1_000], &[1, 2, 3, 999, 1_000]] {
            let (shared, store) = collector(move |envelope| {
                let message = envelope["event"]["message"].as_str().unwrap();
                bad.iter().any(|number| message == format!("1:{number}")).then_some(code)
            });
            let report = sent(Splunk::new(store.url()), 1_000);
            assert_eq!(books(&report), (1_000 - bad.len() as u64, bad.len() as u64, 0), "{code} {bad:?}: {report}");
            assert_eq!(shared.lock().unwrap().indexed, all_but(bad, 1_000), "{code} {bad:?}");
            assert!(store.request_count() <= 1 + 2 * 10 * bad.len(), "{} requests", store.request_count());
        }
    }
}

#[test]
fn n2_a_cloud_that_calls_a_large_request_malformed_gets_smaller_ones() {
    let indexed = Arc::new(Mutex::new(Vec::new()));
    let there = Arc::clone(&indexed);
    let store = Store::with(move |request| {
        if request.body().len() > 40_000 {
            return Answer::status(400).body(r#"{"text":"Invalid data format","code":6,"invalid-event-number":0}"#);
        }
        let envelopes = serde_json::Deserializer::from_slice(request.unpacked()).into_iter::<Value>();
        there.lock().unwrap().extend(envelopes.map(|envelope| envelope.unwrap()["event"]["message"].clone()));
        Answer::ok()
    });
    let report = sent(Splunk::new(store.url()), 1_000);
    assert_eq!(books(&report), (1_000, 0, 0), "{report}");
    assert_eq!(*indexed.lock().unwrap(), all_but(&[], 1_000));
}

#[test]
fn n2_with_acknowledgement_all_is_indexed_once_and_asked_for_until_it_is() {
    let (shared, store) = collector(|_| None);
    let report = sent(Splunk::new(store.url()).ack(), 1_000);
    assert_eq!(books(&report), (1_000, 0, 0), "{report}");
    let collector = shared.lock().unwrap();
    assert_eq!((&collector.indexed, collector.pending.len()), (&all_but(&[], 1_000), 0));
    let paths: Vec<_> = store.requests().iter().map(|request| request.path().to_owned()).collect();
    let channel = paths[0].split_once("channel=").unwrap().1;
    assert!(paths.iter().all(|path| path.ends_with(channel)), "one channel: {paths:?}");
    assert_eq!(paths.len(), 3, "a batch and two questions: {paths:?}");
}

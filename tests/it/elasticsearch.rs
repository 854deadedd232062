//! Elasticsearch's answers name each record: whatever is lost or cut of them, every record is stored once and counted once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use logchute::backend::Elasticsearch;
use logchute::testing::{Answer, Request, Store};
use logchute::{Builder, Destination, Record, Severity};
use serde_json::{Value, json};

use crate::common::{Every, LONG, ms, until};

/// What a store has, by id: the documents, and how many of them are in one field.
type Stored = Arc<Mutex<BTreeMap<String, Value>>>;

/// Carries out a bulk request as Elasticsearch does, with a mapping in which `odd` is no text.
fn carry_out(request: &Request, stored: &Stored, mut busy: impl FnMut() -> bool) -> String {
    let text = request.text();
    let mut lines = text.lines();
    let mut items = Vec::new();
    let mut stored = stored.lock().unwrap();
    let mut failed = false;
    while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
        let action: Value = serde_json::from_str(action).unwrap();
        let document: Value = serde_json::from_str(document).unwrap();
        let id = action["create"]["_id"].as_str().unwrap().to_owned();
        let error = |status: u16, kind: &str, reason: &str| json!({"create": {"status": status, "error": {"type": kind, "reason": reason}}});
        let is_known = stored.contains_key(&id);
        let item = if is_known {
            error(
                409,
                "version_conflict_engine_exception",
                &format!("[{id}]: version conflict, document already exists"),
            )
        } else if busy() {
            error(429, "es_rejected_execution_exception", "rejected execution of primary operation")
        } else if document["message"] == "refused" {
            error(413, "too_large", "whatever it is called")
        } else if document["odd"].is_string() {
            error(400, "mapper_parsing_exception", "failed to parse field [odd] of type [long]")
        } else {
            stored.insert(id, document);
            json!({"create": {"status": 201}})
        };
        failed |= item["create"]["status"] != 201;
        items.push(item);
    }
    json!({"errors": failed, "items": items}).to_string()
}

#[test]
fn d1_whatever_is_cut_of_the_answers_each_record_is_stored_once_and_counted_once() {
    let stored = Stored::default();
    let random = Mutex::new(fastrand::Rng::with_seed(7));
    let kept = stored.clone();
    let store = Store::with(move |request| {
        let mut random = random.lock().unwrap();
        let mut reply = carry_out(request, &kept, || random.u8(..10) == 0);
        match random.u8(..4) {
            0 => return Answer::close(),
            // Cut like one that is longer than what is read of it.
            1 => reply.truncate(random.usize(..reply.len())),
            _ => {}
        }
        Answer::status(200).body(reply)
    });
    let to = Destination::new(Elasticsearch::new(format!("{}/logs", store.url()))).retry(Every(ms(1)));
    let logs = Builder::new().send_to(to).start().unwrap();
    let (all, odd, refused) = (6_000_u64, 600, 60);
    for n in 0..all {
        let message = if n % (all / refused) == 5 { "refused" } else { "taken" };
        let record = Record::new(Severity::Info, message).field("n", n);
        logs.emit(if n % (all / odd) == 3 { record.field("odd", "text") } else { record.field("odd", n) });
    }
    let report = logs.shutdown(LONG);
    let ledger = report.ledger();
    assert!(report.settled() && ledger.balances(), "{report}");
    let to = &ledger.destinations[0];
    assert_eq!((to.delivered, to.rejected, to.fallback), (all - refused, refused, odd), "{report}");

    let stored = stored.lock().unwrap();
    assert_eq!(stored.len() as u64, all - refused);
    // One record in 1,024 carries the names of fallback mode beside its own.
    let in_one_field = stored.values().filter(|document| document["log.level"].is_null()).count();
    assert_eq!(in_one_field as u64, odd);
}

#[test]
fn d1_a_wrong_index_is_kept_until_it_is_there_and_nothing_is_stored_twice() {
    let stored = Stored::default();
    let kept = stored.clone();
    let first = Mutex::new(true);
    let store = Store::with(move |request| {
        let mut reply: Value = serde_json::from_str(&carry_out(request, &kept, || false)).unwrap();
        if std::mem::take(&mut *first.lock().unwrap()) {
            // One was stored, the other has no index yet.
            let last = kept.lock().unwrap().pop_last().unwrap();
            drop(last);
            reply["errors"] = true.into();
            reply["items"][1] = json!({"create": {"status": 404, "error": {"type": "index_not_found_exception"}}});
        }
        Answer::status(200).body(reply.to_string())
    });
    let to = Destination::new(Elasticsearch::new(store.url())).retry(Every(ms(1)));
    let logs = Builder::new().send_to(to).in_flight(1).start().unwrap();
    logs.emit(Record::new(Severity::Info, "one"));
    logs.emit(Record::new(Severity::Info, "two"));
    let report = logs.shutdown(LONG);
    assert!(report.settled() && report.ledger().lost() == 0, "{report}");
    assert_eq!(stored.lock().unwrap().len(), 2);
    assert_eq!(report.ledger().destinations[0].delivered, 2, "{report}");
}

#[test]
fn what_is_told_of_a_reply_to_many_records_is_what_went_wrong() {
    let item = |status: u16, kind: &str, reason: &str| json!({"create": {"status": status, "error": {"type": kind, "reason": reason}}});
    let busy = item(429, "es_rejected_execution_exception", "the queue is full");
    let alias = item(400, "illegal_argument_exception", "no write index is defined for alias [logs]");
    for (last, words) in [(busy, "the queue is full"), (alias, "no write index is defined for alias [logs]")] {
        let mut items = vec![json!({"create": {"status": 201}}); 20];
        items.push(last);
        let reply = json!({"errors": true, "items": items}).to_string();
        let store = Store::with(move |_| Answer::status(200).body(reply.clone()));
        let to = Destination::new(Elasticsearch::new(format!("{}/logs", store.url()))).retry(Every(LONG));
        let logs = Builder::new().send_to(to).start().unwrap();
        for n in 0..21 {
            logs.emit(Record::new(Severity::Info, format!("message {n}")));
        }
        let _ = logs.flush(ms(1));
        until("the failure is told", || logs.health().destinations[0].last_failure.is_some());
        let told = logs.health().destinations[0].last_failure.clone().unwrap();
        assert!(told.contains(words) && told.contains(&store.url()), "{told}");
        let _ = logs.shutdown(ms(0));
    }
}

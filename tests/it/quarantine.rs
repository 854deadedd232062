//! `LOGCHUTE_QUARANTINE`: what a store rejects, record by record, stands in a file, whole and with the reason.

use std::path::PathBuf;

use logchute::backend::{Reply, Verdict};
use logchute::testing::{Answer, Store};
use logchute::{Record, Severity};
use serde_json::Value;

use crate::common::{Plain, books, emit, number, settle, to};

/// A path that nothing stands at; what came to stand there is removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("logchute-it-{}-{name}.jsonl", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn p9_a_record_that_is_found_to_be_bad_is_kept_with_the_reason() {
    let place = Place::new("bad");
    let store = Store::with(|request| match request.text().contains("poison") {
        true => Answer::status(400).body("no poison"),
        false => Answer::ok(),
    });
    let (builder, diary) = to(Plain::to(&store).quick().quarantine(&place.0));
    let logs = builder.service("shop").start().unwrap();
    emit(&logs, 50);
    logs.emit(Record::new(Severity::Warn, "poison").target("shop::cart").field("user", 42).field("ratio", 0.5));
    emit(&logs, 50);
    let report = settle(&logs);
    assert_eq!(books(&report), (100, 1, 0), "{report}");
    let lines = place.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!(line["destination"], "plain");
    assert!(line["reason"].as_str().unwrap().contains("status 400: no poison"), "{line}");
    assert!(line["rejected"].as_str().unwrap().ends_with('Z'), "{line}");
    let record = &line["record"];
    assert_eq!((&record["message"], &record["level"]), (&"poison".into(), &"warn".into()));
    assert_eq!((&record["target"], &record["user"], &record["ratio"]), (&"shop::cart".into(), &42.into(), &0.5.into()));
    assert_eq!(record["service_name"], "shop");
    assert!(record["id"].as_str().unwrap().len() == 49 && diary.about("not kept").is_empty(), "{record}");
}

/// What is kept where a store answers that verdict to ten records first.
fn reasons_after(name: &str, verdict: Verdict) -> Vec<String> {
    let place = Place::new(name);
    let store = Store::new();
    let first = std::sync::atomic::AtomicBool::new(true);
    let plain = Plain::to(&store).on_judge(move |reply: &Reply| {
        let is_first = first.swap(false, std::sync::atomic::Ordering::SeqCst);
        if is_first { verdict.clone() } else { Verdict::of_status(reply) }
    });
    let logs = to(plain.quick().quarantine(&place.0)).0.start().unwrap();
    emit(&logs, 10);
    let report = settle(&logs);
    assert!(report.ledger().balances(), "{report}");
    place.lines().iter().map(|line| line["reason"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn p9_records_that_are_named_are_kept_each_with_its_reason_and_no_others() {
    let no = |at: usize| (at, format!("number {at}"));
    let items = |rejected| Verdict::Items { retry: vec![1], rejected, fallback: vec![] };
    assert_eq!(reasons_after("items", items(vec![no(7), no(2), no(2), no(99)])), ["number 2", "number 7"]);
    for (verdict, count) in [
        (Verdict::StoppedAt { at: 4, reason: "no".into() }, 1),
        // Which three is not known; that it is all of them is.
        (Verdict::AckWithLoss { rejected: 3, reason: "no".into() }, 0),
        (Verdict::AckWithLoss { rejected: 10, reason: "no".into() }, 10),
        (Verdict::Ack, 0),
        (Verdict::Retry { after: None }, 0),
    ] {
        let found = reasons_after("verdicts", verdict.clone());
        assert_eq!(found.len(), count, "{verdict:?}: {found:?}");
    }
}

#[test]
fn p9_a_quarantine_that_cannot_be_written_is_told_once_and_changes_nothing_else() {
    let store = Store::with(|request| match number(&request.records()[0]).unwrap().1 % 2 {
        0 if request.records().len() == 1 => Answer::status(400),
        _ => Answer::ok(),
    });
    let (builder, diary) = to(Plain::to(&store).batches_of(1).quick().quarantine("/no/such/folder/q.jsonl"));
    let logs = builder.start().unwrap();
    emit(&logs, 20);
    let report = settle(&logs);
    assert_eq!(books(&report), (10, 10, 0), "{report}");
    let told = diary.about("not kept in /no/such/folder/q.jsonl (LOGCHUTE_QUARANTINE)");
    assert_eq!(told.len(), 1, "{told:?}");
}

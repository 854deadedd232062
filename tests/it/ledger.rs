//! Nothing is lost in silence: each loss is counted, told once on the diagnostic hook, and told in the stream.

use logchute::testing::{Answer, Received, Store};
use logchute::{BacklogOverflow, Destination, Reason, Record, Severity};

use crate::common::{
    Every, LONG, Plain, Stall, books, dropped, emit, exactly_once, is_own, log, ms, record, settle, to, until,
};

const KIB: usize = 1 << 10;

fn own(store: &Store) -> Vec<Received> {
    store.records().into_iter().filter(is_own).collect()
}

#[test]
fn p2_a_full_queue_is_told_once_with_the_setting_to_turn_and_in_the_stream() {
    let store = Store::new();
    let (stall, plain) = Stall::new(Plain::to(&store));
    let (builder, diary) = to(plain);
    let logs = builder.queue_bytes(64 * KIB).start().unwrap();
    stall.begin(&logs);
    emit(&logs, 1_000);
    let lost = logs.ledger().dropped.of(Reason::QueueFull);
    stall.end();
    until("it is told", || !diary.about("queue full").is_empty());
    // The end tells what was held back since.
    let report = settle(&logs);
    let ledger = report.ledger();
    assert_eq!((ledger.own, ledger.dropped.total(), books(&report).0), (1, lost, 1_001 - lost + 1), "{report}");
    assert_eq!(ledger.emitted - ledger.own, 1_001, "{report}");
    let own = own(&store);
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].message, format!("{lost} records dropped: queue full"));
    assert_eq!(own[0].level, "warn");
    let told = diary.about(&format!("{lost} records dropped: queue full"));
    assert_eq!(told.len(), 1, "{:?}", diary.lines());
    assert!(told[0].contains("LOGCHUTE_QUEUE_BYTES") && told[0].contains("LOGCHUTE_OVERFLOW"), "{told:?}");
    assert!(told[0].contains(&format!("info {lost}")), "{told:?}");
    // And the totals at the end, as something was lost.
    assert_eq!(diary.about("at the end ").len(), 1, "{:?}", diary.lines());
}

#[test]
fn p2_what_tells_of_a_loss_carries_its_numbers_as_fields() {
    let store = Store::new();
    let (builder, diary) = to(store.backend());
    let logs = builder.queue_bytes(64 * KIB).start().unwrap();
    log(&logs, 4, 3_000, |_| {});
    let report = settle(&logs);
    let lost = report.ledger().dropped.of(Reason::QueueFull);
    let own: Vec<_> = store.records().into_iter().filter(|record| record.get("logchute.own").is_some()).collect();
    assert_eq!(report.ledger().own, own.len() as u64, "{report}");
    assert_eq!(own.iter().filter_map(|record| record.get("count")?.as_u64()).sum::<u64>(), lost, "{report}");
    assert!(own.iter().all(|record| record.get("reason") == Some(&"queue_full".into())));
    assert!(own.iter().all(|record| record.get("remedy").is_some()));
    assert_eq!(diary.about("dropped: queue full").len(), own.len());
}

#[test]
fn p2_a_full_backlog_is_told_with_its_destination() {
    let store = Store::refusing();
    let destination = Destination::new(Plain::to(&store)).name("audit").retry(Every(ms(1)));
    let (builder, diary) = to(destination);
    let builder = builder.backlog_bytes(64 * KIB).batch_bytes(4 * KIB).backlog_overflow(BacklogOverflow::DropOldest);
    let logs = builder.start().unwrap();
    emit(&logs, 2_000);
    until("it is told", || !diary.about("dropped for audit: backlog full").is_empty());
    store.come_back();
    let report = settle(&logs);
    let lost = dropped(&report, Reason::BacklogFull);
    assert_eq!(books(&report), (store.count() as u64, 0, lost), "{report}");
    assert_eq!(report.ledger().emitted, lost + store.count() as u64, "{report}");
    let told = diary.about("dropped for audit: backlog full");
    assert!(told.len() <= 2 && told[0].contains("LOGCHUTE_BACKLOG_BYTES"), "{told:?}");
    assert!(own(&store).iter().all(|record| record.message.ends_with("records dropped: backlog full")));
}

#[test]
fn p2_what_each_destination_does_not_want_is_filtered_there() {
    let (all, few) = (Store::new(), Store::new());
    let (builder, _) = to(Destination::new(Plain::to(&all)).name("all"));
    let logs = builder.send_to(Destination::new(Plain::to(&few)).name("few").filter("warn")).start().unwrap();
    log(&logs, 2, 100, |_| {});
    (101..=110).for_each(|seq| logs.emit(Record::new(Severity::Error, format!("1:{seq}"))));
    let report = settle(&logs);
    let [to_all, to_few] = &report.ledger().destinations[..] else { panic!("{report}") };
    assert_eq!((to_all.delivered, to_all.filtered, all.count()), (210, 0, 210), "{report}");
    assert_eq!((to_few.delivered, to_few.filtered, few.count()), (10, 200, 10), "{report}");
}

#[test]
fn p2_a_ledger_that_is_read_while_threads_log_never_runs_backwards() {
    let store = Store::with(|request| match request.order() % 5 {
        4 => Answer::unavailable(),
        _ => Answer::ok(),
    });
    let logs = to(Plain::to(&store).quick()).0.batch_bytes(8 * KIB).start().unwrap();
    std::thread::scope(|scope| {
        let emits = scope.spawn(|| log(&logs, 2, 2_000, |_| {}));
        let mut last = logs.ledger();
        while !emits.is_finished() {
            let ledger = logs.ledger();
            assert!(ledger.emitted >= last.emitted && ledger.drained >= last.drained, "{last}\n{ledger}");
            assert!(ledger.destinations[0].delivered >= last.destinations[0].delivered, "{last}\n{ledger}");
            assert!(ledger.emitted >= ledger.drained, "{ledger}");
            last = ledger;
        }
    });
    let report = logs.flush(LONG);
    assert!(report.settled() && report.ledger().balances(), "{report}");
    let report = settle(&logs);
    assert_eq!(books(&report), (4_000, 0, 0), "{report}");
    exactly_once(&store, 2, 2_000);
}

#[test]
fn p2_records_of_all_kinds_of_ends_add_up() {
    // Rejected, delivered, expired and dropped at the end, all in one ledger and outside of it.
    let store = Store::with(|request| match request.records() {
        [only] if only.message == "1:3" => Answer::status(400),
        records if records.iter().any(|record| record.message == "1:3") => Answer::status(400),
        records if records.iter().any(|record| record.message.starts_with("2:")) => Answer::unavailable(),
        _ => Answer::ok(),
    });
    let logs = to(Plain::to(&store).batches_of(10).quick()).0.start().unwrap();
    emit(&logs, 20);
    assert!(logs.flush(LONG).settled());
    (1..=5).for_each(|seq| logs.emit(record(2, seq)));
    let report = logs.shutdown(ms(100));
    assert!(!report.settled() && report.ledger().balances(), "{report}");
    assert_eq!(books(&report), (19, 1, 5), "{report}");
    logs.emit(record(1, 21));
    let ledger = logs.ledger();
    assert!(ledger.balances() && ledger.emitted == 26 && ledger.dropped.of(Reason::Shutdown) == 1, "{ledger}");
    let json: serde_json::Value = serde_json::from_str(&ledger.to_json()).unwrap();
    assert_eq!((&json["emitted"], &json["balances"]), (&26.into(), &true.into()));
    assert_eq!(json["destinations"][0]["dropped"]["deadline"]["info"], 5);
    assert_eq!(store.count(), 19);
}

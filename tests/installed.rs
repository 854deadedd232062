//! As the process's subscriber and logger: what is one for all threads.
//!
//! One test, because there can be only one of either.

use std::thread;
use std::time::Duration;

use logchute::testing::{Store, capture};
use logchute::{Builder, Error, Record, Severity};
use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::{error, info, info_span};
use tracing_subscriber::prelude::*;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn levels_follow_the_filter_and_both_facades_arrive() {
    let store = Store::new();
    // One request at a time, so that records arrive in order.
    let logs = Builder::new().send_to(store.backend()).filter("info").spans("info").in_flight(1).no_tee();
    let logs = logs.start().unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Off, "nothing is installed by start()");
    logs.install(tracing_subscriber::registry()).unwrap();
    assert_eq!((log::max_level(), LevelFilter::current()), (log::LevelFilter::Info, LevelFilter::INFO));
    for (filter, level, hint) in [
        ("error", log::LevelFilter::Error, LevelFilter::INFO),
        ("warn,shop=trace", log::LevelFilter::Trace, LevelFilter::TRACE),
        ("off", log::LevelFilter::Off, LevelFilter::INFO),
        ("info", log::LevelFilter::Info, LevelFilter::INFO),
    ] {
        logs.set_filter(filter).unwrap();
        assert_eq!((log::max_level(), LevelFilter::current()), (level, hint), "{filter}: spans stay at info");
    }
    // From a thread that has another default: what is remembered is the process's.
    thread::scope(|scope| {
        scope.spawn(|| {
            let _quiet = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
            logs.set_filter("info,installed=debug").unwrap();
        });
    });

    let span = info_span!("request", request_id = "r-1").entered();
    tracing::debug!("tracing");
    log::debug!(n = 1; "log");
    logs.emit(Record::new(Severity::Fatal, "emitted").field("raw", vec![0_u8, 255]).target("installed"));
    logs.emit(Record::new(Severity::Debug, "filtered by its target"));
    thread::spawn(|| {
        info!("elsewhere");
        log::info!("elsewhere");
    })
    .join()
    .unwrap();
    // A value of a span that panics stands in the span: no last words of a process are made of it.
    struct Panics;
    impl std::fmt::Debug for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("in a span")
        }
    }
    info_span!("odd", value = ?Panics).in_scope(|| error!("odd"));
    drop(span);
    let report = logs.flush(LIMIT);
    assert!(report.settled() && report.ledger().balances(), "{report}");
    let seen: Vec<_> = store
        .records()
        .iter()
        .map(|record| {
            let of = |key| record.get(key).and_then(Value::as_str).map(str::to_owned);
            (record.message.clone(), record.level.clone(), of("request_id").is_some(), of("span"))
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    let all = |message: &str, level: &str, in_span, span| (message.to_owned(), level.to_owned(), in_span, span);
    assert_eq!(
        seen,
        [
            all("tracing", "debug", true, some("request")),
            all("log", "debug", true, some("request")),
            all("emitted", "fatal", true, some("request")),
            all("elsewhere", "info", false, None),
            all("elsewhere", "info", false, None),
            all("odd", "error", true, some("request:odd")),
        ]
    );
    assert_eq!(store.records()[5].get("value"), Some(&"<panicked: in a span>".into()));

    // What a panic says is a record of its own, with the fields of the span.
    store.forget();
    let caught = std::panic::catch_unwind(|| {
        let _span = info_span!("request", request_id = "r-2").entered();
        panic!("caught");
    });
    assert!(caught.is_err());
    assert!(logs.flush(LIMIT).settled());
    let records = store.records();
    assert_eq!((records.len(), records[0].level.as_str()), (1, "fatal"));
    assert!(records[0].message.contains("caught") && records[0].get("request_id").is_some(), "{}", records[0]);

    // A second pipeline cannot take over, and says so; a capture still has what its thread says through tracing.
    let other = Builder::new().no_tee().start().unwrap();
    let refused = other.install(tracing_subscriber::registry().with(LevelFilter::TRACE));
    assert!(matches!(refused, Err(Error::AlreadyInstalled(_))), "{refused:?}");
    store.forget();
    let captured = capture();
    assert!(!captured.covers_log());
    info!("into the capture");
    log::info!("to the process's logger");
    assert_eq!(captured.messages(), ["into the capture"]);
    drop(captured);
    assert!(logs.flush(LIMIT).settled());
    assert_eq!(store.messages(), ["to the process's logger"]);
}

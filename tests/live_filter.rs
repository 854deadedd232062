//! Filters as `tracing` sees them: what is remembered of each callsite, the level hint, and the layers beside ours.
//!
//! In a process of its own, one test after the other: the hint and what is remembered are the process's, and
//! `testing::capture()` keeps both open.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use logchute::testing::Store;
use logchute::{Builder, Guard, Handle, Severity};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;
use tracing::{Event, Level, Subscriber, debug, debug_span, error, info, info_span, trace, warn};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;

/// Longer than any of this takes; never waited for in full.
const LIMIT: Duration = Duration::from_secs(30);

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pipeline(filter: &str, spans: &str) -> (Store, Guard) {
    let store = Store::new();
    let logs = Builder::new().send_to(store.backend()).filter(filter).spans(spans).no_tee();
    // One at a time, so that they arrive in order.
    (store, logs.in_flight(1).start().unwrap())
}

/// What arrived since the last call.
#[track_caller]
fn arrived(store: &Store, logs: &Handle) -> String {
    let report = logs.flush(LIMIT);
    assert!(report.settled() && report.ledger().balances(), "{report}");
    let text = store.messages().concat();
    store.forget();
    text
}

/// One event of each level at callsites that are the same each time.
fn say() {
    trace!("t");
    debug!("d");
    info!("i");
    warn!("w");
    error!("e");
}

fn levels() -> LevelFilter {
    LevelFilter::current()
}

/// Counts events, as another layer would see them.
#[derive(Clone, Default)]
struct Counts(Arc<AtomicUsize>);

impl Counts {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl<S: Subscriber> Layer<S> for Counts {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_hint_is_true_and_follows_the_filter() {
    let _alone = alone();
    let (_store, logs) = pipeline("info", "off");
    with_default(tracing_subscriber::registry().with(logs.layer()), || {
        assert_eq!(levels(), LevelFilter::INFO);
        for (filter, hint) in [
            ("error", LevelFilter::ERROR),
            ("debug", LevelFilter::DEBUG),
            ("off", LevelFilter::OFF),
            ("error,shop=trace", LevelFilter::TRACE),
            ("info,shop=error", LevelFilter::INFO),
            ("warn", LevelFilter::WARN),
        ] {
            logs.set_filter(filter).unwrap();
            assert_eq!(levels(), hint, "{filter}");
        }
    });
    let (_store, logs) = pipeline("error", "debug");
    with_default(tracing_subscriber::registry().with(logs.layer()), || {
        assert_eq!(levels(), LevelFilter::DEBUG, "spans count as well");
    });
}

#[test]
fn the_filter_goes_up_and_down_over_callsites_that_are_remembered() {
    let _alone = alone();
    let (store, logs) = pipeline("info", "info");
    with_default(tracing_subscriber::registry().with(logs.layer()), || {
        for (filter, expected) in [
            ("info", "iwe"),
            ("trace", "tdiwe"),
            ("off", ""),
            ("error", "e"),
            ("off,live_filter=debug", "diwe"),
            ("trace,live_filter=off", ""),
            ("trace,live_fil=warn", "we"),
            ("trace,other=off", "tdiwe"),
            ("warn", "we"),
        ] {
            logs.set_filter(filter).unwrap();
            say();
            say();
            assert_eq!(arrived(&store, &logs), expected.repeat(2), "{filter}");
        }
        assert!(logs.set_filter("debug,=x").is_err());
        say();
        assert_eq!(arrived(&store, &logs), "we", "a filter that is refused changes nothing");
    });
}

#[test]
fn a_change_is_seen_by_all_threads() {
    let _alone = alone();
    let (store, logs) = pipeline("off", "off");
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(logs.layer()));
    let (before, after) = (std::sync::Barrier::new(3), std::sync::Barrier::new(3));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    say();
                    before.wait();
                    after.wait();
                    say();
                });
            });
        }
        before.wait();
        logs.set_filter("error").unwrap();
        after.wait();
    });
    assert_eq!(arrived(&store, &logs), "ee");
}

#[test]
fn a_layer_beside_ours_is_neither_muted_nor_raised() {
    let _alone = alone();
    let theirs = Counts::default();
    for filter in ["off", "error", "trace"] {
        let ours = filter.replace("off", "").replace("error", "e").replace("trace", "tdiwe");
        let (store, logs) = pipeline(filter, "off");
        // In both orders, without a filter of its own, and with one of either kind.
        with_default(tracing_subscriber::registry().with(theirs.clone()).with(logs.layer()), say);
        assert_eq!((theirs.take(), arrived(&store, &logs)), (5, ours.clone()), "{filter}");
        with_default(tracing_subscriber::registry().with(logs.layer()).with(theirs.clone()), say);
        assert_eq!((theirs.take(), arrived(&store, &logs)), (5, ours.clone()), "{filter}");
        let filtered = theirs.clone().with_filter(LevelFilter::WARN);
        with_default(tracing_subscriber::registry().with(filtered).with(logs.layer()), say);
        assert_eq!((theirs.take(), arrived(&store, &logs)), (2, ours.clone()), "{filter}");
        let filtered = theirs.clone().with_filter(LevelFilter::WARN);
        with_default(tracing_subscriber::registry().with(logs.layer()).with(filtered), say);
        assert_eq!((theirs.take(), arrived(&store, &logs)), (2, ours.clone()), "{filter}");
        let dynamic = || theirs.clone().with_filter(EnvFilter::new("off,[busy]=debug"));
        with_default(tracing_subscriber::registry().with(dynamic()).with(logs.layer()), || {
            say();
            assert_eq!(theirs.take(), 0);
            let _busy = info_span!("busy").entered();
            say();
        });
        assert_eq!((theirs.take(), arrived(&store, &logs)), (4, ours.repeat(2)), "{filter}");
    }
}

#[test]
fn a_global_env_filter_counts_for_all_and_is_not_raised() {
    let _alone = alone();
    let (theirs, (store, logs)) = (Counts::default(), pipeline("trace", "trace"));
    let subscriber = || tracing_subscriber::registry().with(theirs.clone());
    with_default(subscriber().with(EnvFilter::new("warn")).with(logs.layer()), say);
    assert_eq!((theirs.take(), arrived(&store, &logs)), (2, "we".to_owned()));
    with_default(subscriber().with(logs.layer()).with(EnvFilter::new("error")), say);
    assert_eq!((theirs.take(), arrived(&store, &logs)), (1, "e".to_owned()));
}

#[test]
fn disabled_callsites_are_not_asked_again() {
    let _alone = alone();
    /// Counts how often it is asked.
    struct Asked(Arc<AtomicUsize>);
    impl<S> tracing_subscriber::layer::Filter<S> for Asked {
        fn enabled(&self, _: &tracing::Metadata<'_>, _: &Context<'_, S>) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            true
        }
        fn callsite_enabled(&self, _: &'static tracing::Metadata<'static>) -> tracing::subscriber::Interest {
            tracing::subscriber::Interest::always()
        }
    }
    let (store, logs) = pipeline("warn", "off");
    let asked = Arc::new(AtomicUsize::new(0));
    let theirs = Counts::default();
    let beside = theirs.clone().with_filter(Asked(Arc::clone(&asked)));
    with_default(tracing_subscriber::registry().with(logs.layer()).with(beside), || {
        (0..10).for_each(|_| error!("both want it always"));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        (0..10).for_each(|_| info!("one wants it never"));
        assert_eq!(asked.load(Ordering::Relaxed), 10);
    });
    assert_eq!((theirs.take(), arrived(&store, &logs).len()), (20, 10 * "both want it always".len()));
}

#[test]
fn to_ask_whether_something_is_enabled_changes_nothing() {
    let _alone = alone();
    let (theirs, (store, logs)) = (Counts::default(), pipeline("info", "info"));
    let beside = theirs.clone().with_filter(LevelFilter::DEBUG);
    with_default(tracing_subscriber::registry().with(beside).with(logs.layer()), || {
        for _ in 0..3 {
            assert!(tracing::enabled!(Level::DEBUG), "the other layer wants it");
            info!("1");
            assert!(tracing::event_enabled!(Level::DEBUG));
            info!("2");
            assert!(tracing::span_enabled!(Level::DEBUG));
            info!("3");
            debug!("not ours");
            info!("4");
            assert!(!tracing::enabled!(Level::TRACE));
            let _span = debug_span!("not ours").entered();
            assert!(tracing::enabled!(Level::DEBUG));
            let _span = info_span!("ours", a = 1).entered();
            info!("5");
        }
    });
    assert!(logs.flush(LIMIT).settled());
    assert!(store.records().iter().filter(|record| record.message == "5").all(|record| record.get("a").is_some()));
    assert_eq!((theirs.take(), arrived(&store, &logs)), (18, "12345".repeat(3)));
}

#[test]
fn to_ask_through_tracing_log_changes_nothing() {
    let _alone = alone();
    let (theirs, (store, logs)) = (Counts::default(), pipeline("info", "info"));
    let beside = theirs.clone().with_filter(LevelFilter::DEBUG);
    let tracer = tracing_log::LogTracer::new();
    let debug = log::Metadata::builder().target("shop").level(log::Level::Debug).build();
    with_default(tracing_subscriber::registry().with(beside).with(logs.layer()), || {
        for _ in 0..3 {
            assert!(log::Log::enabled(&tracer, &debug));
            info!("1");
            for (level, message) in [(log::Level::Debug, "not ours"), (log::Level::Info, "2")] {
                let mut record = log::Record::builder();
                record.target("shop").level(level);
                log::Log::log(&tracer, &record.args(format_args!("{message}")).build());
            }
            info!("3");
        }
    });
    assert_eq!((theirs.take(), arrived(&store, &logs)), (12, "123".repeat(3)));
}

#[test]
fn what_is_enabled_is_answered_truly_where_ours_is_alone() {
    let _alone = alone();
    let (_store, logs) = pipeline("warn,shop=debug", "error");
    with_default(tracing_subscriber::registry().with(logs.layer()), || {
        assert!(tracing::event_enabled!(target: "shop::cart", Level::DEBUG));
        assert!(!tracing::event_enabled!(target: "shop::cart", Level::TRACE));
        assert!(!tracing::event_enabled!(target: "other", Level::INFO));
        assert!(!tracing::span_enabled!(target: "shop", Level::WARN));
        assert!(tracing::span_enabled!(target: "shop", Level::ERROR));
        assert!(tracing::enabled!(target: "shop", Level::DEBUG));
        logs.set_filter("error").unwrap();
        assert!(!tracing::event_enabled!(target: "shop::cart", Level::DEBUG));
    });
}

#[test]
fn events_and_spans_are_filtered_apart() {
    let _alone = alone();
    let (store, logs) = pipeline("error", "info,noisy=off");
    with_default(tracing_subscriber::registry().with(logs.layer()), || {
        let _request = info_span!("request", request_id = "r-1").entered();
        let _debug = debug_span!("debug", secret = "d").entered();
        let _noisy = tracing::error_span!(target: "noisy", "noisy", noise = 1).entered();
        let _inner = tracing::warn_span!("inner", inner = 2).entered();
        info!("no");
        error!("yes");
        // Through no layer: the fields are those of the same spans.
        logs.emit(logchute::Record::new(Severity::Error, "emitted").field("own", 3_u64));
    });
    assert!(logs.flush(LIMIT).settled());
    let records = store.records();
    assert_eq!(store.messages(), ["yes", "emitted"]);
    for record in &records {
        assert_eq!(record.get("request_id"), Some(&"r-1".into()), "{record}");
        assert_eq!(record.get("inner"), Some(&2.into()), "{record}");
        assert_eq!((record.get("secret"), record.get("noise")), (None, None), "{record}");
        assert_eq!(record.get("span"), Some(&"request:inner".into()));
    }
    assert_eq!(records[1].get("own"), Some(&3.into()));
}

#[test]
fn two_pipelines_on_one_registry_have_their_own_filters() {
    let _alone = alone();
    let ((fine_store, fine), (coarse_store, coarse)) = (pipeline("trace", "trace"), pipeline("error", "error"));
    with_default(tracing_subscriber::registry().with(fine.layer()).with(coarse.layer()), || {
        let _outer = tracing::error_span!("outer", both = 1).entered();
        let _inner = info_span!("inner", fine_only = 2).entered();
        say();
    });
    assert!(fine.flush(LIMIT).settled() && coarse.flush(LIMIT).settled());
    assert_eq!((fine_store.messages().concat(), coarse_store.messages().concat()), ("tdiwe".into(), "e".into()));
    assert!(fine_store.records().iter().all(|record| record.get("fine_only").is_some()));
    let coarse = &coarse_store.records()[0];
    assert_eq!((coarse.get("both"), coarse.get("fine_only")), (Some(&1.into()), None));
}

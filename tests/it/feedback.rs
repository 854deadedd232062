//! Nothing that our own client, its resolver or its TLS logs enters the stream; what the user's code logs does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use logchute::testing::{Answer, Store};
use logchute::{Overflow, Severity};
use tracing::Subscriber;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::common::{LONG, Plain, alone, is_own, ms, settle, to};

/// Counts what is logged on threads of logchute, through either facade.
#[derive(Clone, Default)]
struct Overheard(Arc<AtomicUsize>);

impl Overheard {
    fn count(&self) {
        if std::thread::current().name().is_some_and(|name| name.starts_with("logchute")) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl<S: Subscriber> Layer<S> for Overheard {
    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        self.count();
    }
}

/// Ours, with an ear beside it.
struct Logger<L>(L, Overheard);

impl<L: log::Log> log::Log for Logger<L> {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        self.1.count();
        self.0.log(record);
    }

    fn flush(&self) {
        self.0.flush();
    }
}

const TARGETS: usize = 5;

fn log_as_user() {
    tracing::trace!(target: "hyper", "user 1");
    tracing::debug!(target: "hyper_util::client", "user 2");
    tracing::info!(target: "reqwest::connect", "user 3");
    log::trace!(target: "tokio", "user 4");
    log::debug!(target: "rustls::client", "user 5");
}

#[test]
fn p7_nothing_of_our_own_client_enters_the_stream_and_nothing_of_the_users_is_muted() {
    alone("feedback::p7_nothing_of_our_own_client_enters_the_stream_and_nothing_of_the_users_is_muted", || {
        // By name, so that the resolver has something to do; failures make the client talk.
        let answers =
            [Answer::unavailable(), Answer::reset(), Answer::close(), Answer::garbage("x"), Answer::silence()];
        let store = Store::answering(answers);
        let url = format!("http://localhost:{}/plain", store.addr().port());
        let (builder, _) = to(Plain::at(url).quick());
        let logs = builder.filter("trace").spans("trace").timeout(ms(300)).overflow(Overflow::Block(LONG));
        let logs = logs.start().unwrap();
        let overheard = Overheard::default();
        let subscriber = tracing_subscriber::registry().with(logs.layer()).with(overheard.clone());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log::set_boxed_logger(Box::new(Logger(logs.logger(), overheard.clone()))).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        for _ in 0..10 {
            log_as_user();
            let report = logs.flush(LONG);
            assert!(report.settled(), "{report}");
        }
        // On the user's own threads as well, while ours are at work.
        std::thread::scope(|scope| {
            (0..4).for_each(|_| _ = scope.spawn(|| (0..50).for_each(|_| log_as_user())));
        });
        let report = settle(&logs);
        let messages = store.messages();
        let (users, others): (Vec<_>, Vec<_>) = messages.iter().partition(|message| message.starts_with("user "));
        assert!(others.is_empty(), "{others:?}");
        assert_eq!(users.len(), TARGETS * 210, "{report}");
        assert_eq!((report.ledger().emitted, report.ledger().own), (TARGETS as u64 * 210, 0), "{report}");
        assert!(overheard.0.load(Ordering::SeqCst) > 0, "the client logs nothing, so this shows nothing");
    });
}

#[test]
fn p7_a_diagnostic_that_is_logged_does_not_come_back() {
    // A hook that logs each diagnostic would make a diagnostic of each record.
    let store = Store::refusing();
    let handle: Arc<std::sync::OnceLock<logchute::Handle>> = Arc::default();
    let within = Arc::clone(&handle);
    let builder = logchute::Builder::new().send_to(Plain::to(&store).quick()).on_diagnostic(move |line| {
        let record = logchute::Record::new(Severity::Error, line.to_owned());
        within.get().unwrap().emit(record);
    });
    let logs = builder.start().unwrap();
    handle.set((*logs).clone()).unwrap();
    crate::common::emit(&logs, 10);
    assert!(!logs.flush(ms(100)).settled());
    store.come_back();
    let report = settle(&logs);
    assert_eq!((report.ledger().emitted, store.count()), (10, 10), "{report}");
    assert!(!store.records().iter().any(is_own));
}

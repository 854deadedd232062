//! Flush and shutdown: from anywhere, any number of times, always within their limit.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use logchute::testing::{Answer, Gate, Store};
use logchute::{Handle, Reason, Record, Severity, WorkerState};

use crate::common::{
    LONG, Plain, SLACK, Stall, books, close, emit, exactly_once, log, ms, number, record, settle, to, until,
};

#[test]
fn p6_a_flush_settles_what_the_calling_thread_emitted_before() {
    let store = Store::new();
    let logs = to(Plain::to(&store)).0.start().unwrap();
    thread::scope(|scope| {
        for thread in 1..=16 {
            let (logs, store) = (&logs, &store);
            scope.spawn(move || {
                for round in 0..10 {
                    (1..=5).for_each(|seq| logs.emit(record(thread, 5 * round + seq)));
                    let report = logs.flush(LONG);
                    assert!(report.settled(), "{report}");
                    let there = store.records().iter().filter_map(number).filter(|(by, _)| *by == thread).count();
                    assert_eq!(there, 5 * round + 5);
                }
            });
        }
    });
    let report = settle(&logs);
    assert_eq!(books(&report), (800, 0, 0), "{report}");
    exactly_once(&store, 16, 50);
}

#[test]
fn p6_a_flush_of_nothing_is_settled_at_once() {
    let store = Store::new();
    let logs = to(Plain::to(&store)).0.start().unwrap();
    for _ in 0..20 {
        let report = logs.flush(LONG);
        assert!(report.settled() && report.took() < SLACK && report.ledger().balances(), "{report}");
    }
    close(&logs);
    assert_eq!(store.connections(), 0);
}

#[test]
fn p6_a_flush_without_a_limit_returns_at_once_and_loses_nothing() {
    let gate = Gate::new();
    let store = Store::answering([Answer::held(&gate)]);
    let logs = to(Plain::to(&store)).0.start().unwrap();
    emit(&logs, 10);
    for _ in 0..10 {
        let report = logs.flush(Duration::ZERO);
        assert!(!report.settled() && report.took() < SLACK, "{report}");
    }
    gate.open();
    close(&logs);
    exactly_once(&store, 1, 10);
}

#[test]
fn p6_a_flush_ends_at_its_limit_when_the_store_or_the_worker_stands_still() {
    let store = Store::answering([Answer::silence()]);
    let logs = to(Plain::to(&store)).0.start().unwrap();
    emit(&logs, 10);
    let report = logs.flush(ms(100));
    assert!(!report.settled() && report.took() < ms(100) + SLACK, "{report}");
    assert_eq!(report.ledger().unsettled(), 10, "{report}");
    let report = logs.shutdown(ms(100));
    assert!(!report.settled() && report.took() < ms(100) + SLACK, "{report}");
    assert!(report.ledger().balances() && report.ledger().lost() == 10, "{report}");

    let store = Store::new();
    let (stall, plain) = Stall::new(Plain::to(&store));
    let logs = to(plain).0.start().unwrap();
    stall.begin(&logs);
    // The worker has taken it, and has not told yet.
    assert!(!logs.flush(ms(10)).settled());
    emit(&logs, 10);
    let begun = Instant::now();
    assert!(!logs.flush(ms(100)).settled());
    assert!(begun.elapsed() < ms(100) + SLACK);
    assert!(!logs.shutdown(ms(100)).settled());
    assert!(begun.elapsed() < ms(200) + SLACK);
    stall.end();
    until("it has ended", || logs.health().worker == WorkerState::Stopped);
    let report = logs.shutdown(LONG);
    assert!(report.ledger().balances() && report.ledger().unsettled() == 0, "{report}");
    assert_eq!(report.ledger().emitted - report.ledger().own, 11);
}

#[test]
fn p6_a_shutdown_is_one_however_often_it_is_called() {
    let store = Store::new();
    let logs = to(Plain::to(&store)).0.start().unwrap();
    log(&logs, 2, 50, |_| {});
    let reports: Vec<_> = thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| logs.shutdown(LONG))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    for report in reports {
        assert!(report.settled() && report.ledger().balances(), "{report}");
        assert_eq!(books(&report), (100, 0, 0), "{report}");
    }
    exactly_once(&store, 2, 50);
    // What comes later is counted, and neither a flush nor another shutdown waits for it.
    log(&logs, 2, 7, |_| {});
    for report in [logs.flush(LONG), logs.shutdown(LONG)] {
        assert!(report.settled() && report.took() < SLACK && report.ledger().balances(), "{report}");
        assert_eq!(report.ledger().dropped.of_severity(Reason::Shutdown, Severity::Info), 14, "{report}");
        assert_eq!(report.ledger().emitted, 114, "{report}");
    }
    assert_eq!((store.count(), logs.health().worker), (100, WorkerState::Stopped));
}

#[test]
fn p6_threads_that_log_during_a_shutdown_lose_nothing_in_silence() {
    for _ in 0..10 {
        let store = Store::new();
        let logs = to(Plain::to(&store)).0.start().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| log(&logs, 4, 500, |_| {}));
            scope.spawn(|| logs.shutdown(LONG).settled());
        });
        let report = settle(&logs);
        let late = report.ledger().dropped.of(Reason::Shutdown);
        let (emitted, own) = (report.ledger().emitted, report.ledger().own);
        assert_eq!((emitted - own, late + store.count() as u64), (2_000, emitted), "{report}");
    }
}

#[test]
fn p6_dropping_the_guard_flushes_and_the_last_handle_ends_it() {
    let store = Store::new();
    let logs = to(Plain::to(&store)).0.start().unwrap();
    let handle = (*logs).clone();
    emit(&logs, 10);
    drop(logs);
    assert_eq!(store.count(), 10);
    handle.emit(record(1, 11));
    drop(handle);
    exactly_once(&store, 1, 11);
}

/// Without any runtime: the waker unparks this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park_timeout(LONG),
        }
    }
}

fn flushed<F: FnOnce(Handle)>(flush: F) {
    let store = Store::answering([Answer::unavailable()]);
    let logs = to(Plain::to(&store).quick()).0.start().unwrap();
    emit(&logs, 10);
    flush((*logs).clone());
    assert_eq!(store.count(), 10);
    close(&logs);
    exactly_once(&store, 1, 10);
}

#[test]
fn d9_flush_async_works_on_any_runtime_and_on_none() {
    flushed(|logs| assert!(block_on(logs.flush_async(LONG)).settled()));
    let current = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    flushed(|logs| assert!(current().block_on(logs.flush_async(LONG)).settled()));
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    flushed(|logs| {
        many.block_on(async {
            let flushes: Vec<_> = (0..8).map(|_| tokio::spawn(logs.flush_async(LONG))).collect();
            for flush in flushes {
                assert!(flush.await.unwrap().settled());
            }
        });
    });
    let store = Store::answering([Answer::silence()]);
    let logs = to(Plain::to(&store)).0.start().unwrap();
    emit(&logs, 10);
    let report = current().block_on(logs.flush_async(ms(50)));
    assert!(!report.settled() && report.took() < ms(50) + SLACK, "{report}");
    // One that is given up on disturbs nobody.
    drop(logs.flush_async(LONG));
    assert!(current().block_on(logs.flush_async(LONG).now_or_none()).is_none());
    let report = logs.shutdown(ms(50));
    assert!(report.ledger().balances() && report.ledger().lost() == 10, "{report}");
    assert!(!block_on(logs.flush_async(LONG)).settled());
}

/// Polled once, then dropped.
trait Once: Future + Sized {
    async fn now_or_none(self) -> Option<Self::Output> {
        let mut future = pin!(self);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

impl<F: Future> Once for F {}

#[test]
fn d9_flush_and_shutdown_block_no_runtime_and_outlive_it() {
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    flushed(|logs| current.block_on(async { assert!(logs.flush(LONG).settled()) }));
    // A store served by the very runtime that is blocked would never answer; ours does not depend on it.
    flushed(|logs| {
        struct Flushes(Handle);
        impl Drop for Flushes {
            fn drop(&mut self) {
                assert!(self.0.flush(LONG).settled());
            }
        }
        current.block_on(async { drop(Flushes(logs)) });
    });
    flushed(|logs| {
        drop(current);
        logs.emit(Record::new(Severity::Debug, "below the filter? an emitted record has none"));
        let report = logs.flush(LONG);
        assert!(report.settled(), "{report}");
    });
}

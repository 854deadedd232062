//! Whose records a capture has, whatever else happens in the process.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use logchute::testing::{Capture, capture};
use tracing::subscriber::{NoSubscriber, with_default};
use tracing::{Instrument as _, info_span};
use tracing_subscriber::prelude::*;

/// Longer than any of this takes; never waited for in full.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn each_of_many_threads_has_what_it_said_and_nothing_else() {
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for number in 0..8 {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for round in 0..50 {
                    let logs = capture();
                    tracing::info!(number, round, "by tracing");
                    log::info!(number, round; "by log");
                    assert_eq!(logs.messages(), ["by tracing", "by log"]);
                    for record in logs.records() {
                        assert_eq!(record.get("number"), Some(&number.into()));
                        assert_eq!(record.get("round"), Some(&round.into()));
                    }
                }
            });
        }
    });
}

/// Events that a thread without any subscriber comes by first.
fn said_by_all(of: u64) {
    tracing::trace!(of, "trace");
    tracing::error!(of, "error");
    let _span = tracing::debug_span!("span", of).entered();
    log::trace!("log");
}

#[test]
fn a_callsite_that_nobody_wanted_before_is_captured() {
    fn early() {
        tracing::trace!("early");
    }
    early();
    let logs = capture();
    early();
    assert_eq!(logs.messages(), ["early"]);
}

#[test]
fn a_callsite_that_another_thread_comes_by_first_is_captured() {
    fn shared() {
        tracing::trace!("shared");
    }
    let logs = capture();
    thread::spawn(shared).join().unwrap();
    thread::spawn(|| with_default(NoSubscriber::new(), shared)).join().unwrap();
    thread::spawn(|| {
        let off = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::OFF).finish();
        with_default(off, shared);
    })
    .join()
    .unwrap();
    assert!(logs.messages().is_empty(), "{logs}");
    shared();
    assert_eq!(logs.messages(), ["shared"]);
}

#[test]
fn subscribers_that_come_and_go_elsewhere_mute_nothing() {
    let (start, logs) = (Barrier::new(3), capture());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                for of in 0..200 {
                    with_default(NoSubscriber::new(), || said_by_all(of));
                    let quiet = tracing_subscriber::registry().with(tracing_subscriber::filter::LevelFilter::ERROR);
                    with_default(quiet, || said_by_all(of));
                    drop(capture().filter("off"));
                }
            });
        }
        start.wait();
        for of in 0..200 {
            said_by_all(of);
        }
    });
    assert_eq!(logs.count(), 600);
    for record in logs.records() {
        assert!(record.get("of").is_some(), "{record}");
    }
}

#[test]
fn the_filter_of_one_capture_is_not_that_of_another() {
    fn talk() {
        tracing::debug!("debug");
        tracing::warn!("warn");
        log::debug!("log debug");
        log::warn!("log warn");
    }
    let all = capture();
    let outer = capture().filter("info");
    talk();
    thread::spawn(|| {
        let other = capture().filter("off,capture=debug");
        talk();
        assert_eq!(other.count(), 4, "{other}");
    })
    .join()
    .unwrap();
    assert_eq!(outer.messages(), ["warn", "log warn"]);
    assert!(all.messages().is_empty());
}

#[test]
#[should_panic(expected = "is no level")]
fn a_malformed_filter_is_refused() {
    let _logs = capture().filter("infos");
}

#[test]
fn captures_nest_and_the_outer_one_goes_on() {
    let outer = capture();
    tracing::info!("1");
    {
        let inner = capture();
        tracing::info!("2");
        log::info!("3");
        assert_eq!(inner.messages(), ["2", "3"]);
    }
    log::info!("4");
    tracing::info!("5");
    assert_eq!(outer.messages(), ["1", "4", "5"]);
    drop(outer);
    tracing::info!("nobody");
    log::info!("nobody");
    let later = capture();
    assert!(later.messages().is_empty());
}

#[test]
fn other_threads_are_covered_once_they_are_attached() {
    let logs = capture();
    assert!(logs.covers_log());
    let workers: Vec<_> = (0..4)
        .map(|n| {
            let handle = logs.handle();
            thread::spawn(move || {
                tracing::info!("not yet");
                let attached = handle.attach();
                tracing::info!(n, "tracing");
                log::info!(n; "log");
                drop(attached);
                tracing::info!("no more");
                log::info!("no more");
            })
        })
        .collect();
    assert!(logs.wait_for(8, LIMIT));
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(logs.count(), 8, "{logs}");
    for n in 0..4 {
        let of = logs.records().into_iter().filter(|record| record.get("n") == Some(&n.into()));
        assert_eq!(of.map(|record| record.message).collect::<Vec<_>>(), ["tracing", "log"]);
    }
    assert!(!logs.wait_for(9, Duration::ZERO));
    logs.forget();
    assert_eq!((logs.count(), logs.to_string()), (0, String::new()));
}

#[test]
fn a_thread_that_outlives_the_capture_logs_into_the_void() {
    let logs = capture();
    let handle = logs.handle();
    let over = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            handle.run(|| {
                over.wait();
                tracing::info!("too late");
                log::info!("too late");
            });
        });
        drop(logs);
        over.wait();
    });
}

#[test]
fn a_task_is_followed_across_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let logs = capture();
        let work = |task: u64| {
            async move {
                for _ in 0..20 {
                    tracing::info!(said_by = task, "tracing");
                    tokio::task::yield_now().await;
                    log::info!(said_by = task; "log");
                }
            }
            .instrument(info_span!("task", task))
        };
        let tasks: Vec<_> = (0..4).map(|task| tokio::spawn(logs.handle().follow(work(task)))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(logs.count(), 160);
        assert!(logs.records().iter().all(|record| record.get("task") == record.get("said_by")), "{logs}");
    });
}

#[test]
fn a_future_in_a_span_has_its_fields_while_it_runs_and_no_other_has() {
    let logs = capture();
    let step = |name: &'static str| {
        async move {
            tracing::info!(name, "begun");
            yield_once().await;
            tracing::info!(name, "ended");
        }
        .instrument(info_span!("future", of = name))
    };
    let (mut a, mut b) = (pin!(step("a")), pin!(step("b")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(a.as_mut().poll(&mut context).is_pending());
    assert!(b.as_mut().poll(&mut context).is_pending());
    tracing::info!("between");
    assert!(a.as_mut().poll(&mut context).is_ready());
    assert!(b.as_mut().poll(&mut context).is_ready());
    assert_eq!(logs.messages(), ["begun", "begun", "between", "ended", "ended"]);
    for record in logs.records() {
        assert_eq!(record.get("of"), record.get("name"), "{record}");
    }
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[test]
fn a_subscriber_of_ones_own_is_tested_through_the_layer() {
    let logs = capture();
    let mine = tracing_subscriber::registry().with(logs.layer()).with(tracing_subscriber::filter::LevelFilter::WARN);
    with_default(mine, || {
        tracing::info!("muted by that subscriber");
        tracing::warn!("through");
        log::info!("log has no subscriber");
    });
    assert_eq!(logs.messages(), ["through", "log has no subscriber"]);
}

#[test]
fn a_capture_shows_its_records_a_line_each() {
    let logs = capture();
    tracing::info!(target: "shop", user = 42, "one\ntwo");
    let text = logs.to_string();
    assert!(text.ends_with("INFO  shop: one\\ntwo user=42\n"), "{text}");
    assert!(format!("{logs:?}").contains("user=42"));
}

#[test]
fn what_is_captured_can_be_read_after_a_panic() {
    let logs = capture();
    let outcome = std::panic::catch_unwind(|| {
        tracing::info!("before");
        assert!(logs.count() > 1, "not yet");
    });
    assert!(outcome.is_err());
    tracing::info!("after");
    assert_eq!(logs.messages(), ["before", "after"]);
}

#[test]
fn there_is_no_limit_but_memory() {
    let logs: Capture = capture();
    (0..20_000).for_each(|n| tracing::info!(n, "one of many"));
    assert_eq!((logs.count(), logs.losses().total()), (20_000, 0));
    assert!(logs.records().iter().enumerate().all(|(n, record)| record.get("n") == Some(&n.into())));
}

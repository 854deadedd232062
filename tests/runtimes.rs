//! Row D9: whatever runtime the application has, or had, a flush ends within its limit and nothing panics.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use logchute::testing::{Answer, Gate, Store};
use logchute::{Builder, Guard, Handle, Record, Report, Severity};
use tokio::runtime::{self, Runtime};

const ROUNDS: usize = 4;
/// With a store that answers; a flush that takes so long hangs.
const LONG: Duration = Duration::from_secs(8);
/// With a store that does not.
const SHORT: Duration = Duration::from_millis(150);
const SLACK: Duration = Duration::from_secs(2);
const WATCHDOG: Duration = Duration::from_secs(30);

fn current_thread() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn start(store: &Store, limit: Duration) -> Guard {
    Builder::new().send_to(store.backend()).shutdown_limit(limit).start().unwrap()
}

fn emit(logs: &Handle) {
    logs.emit(Record::new(Severity::Info, "here"));
}

/// Each order with a store that answers and with one that does not, several times.
fn order(run: impl Fn(Guard, Duration) -> Option<Report> + Send + Sync + 'static) {
    let (done, is_done) = channel();
    let order = thread::spawn(move || {
        for _ in 0..ROUNDS {
            let store = Store::new();
            let logs = start(&store, LONG);
            let watch = logs.clone();
            if let Some(report) = run(logs, LONG) {
                assert!(report.settled(), "{report}");
            }
            // The last guard, handle and layer are gone, or the order flushed: it is there.
            assert_eq!(watch.health().restarts, 0);
            drop(watch);
            assert_eq!(store.messages(), ["here"]);

            let store = Store::with(|_| Answer::silence());
            let logs = start(&store, SHORT);
            let (watch, began) = (logs.clone(), Instant::now());
            if let Some(report) = run(logs, SHORT) {
                assert!(!report.settled(), "{report}");
                assert!(report.ledger().balances(), "{report}");
            }
            let took = began.elapsed();
            assert!(took < 2 * SHORT + SLACK, "{took:?}");
            assert_eq!(watch.health().restarts, 0);
        }
        let _ = done.send(());
    });
    // Closed without a word: it panicked, and the join says with what.
    if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(WATCHDOG * ROUNDS as u32) {
        panic!("it hangs");
    }
    if let Err(panic) = order.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The simplest that can drive a future: no runtime at all.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn d9_without_any_runtime() {
    order(|logs, limit| {
        emit(&logs);
        Some(logs.flush(limit))
    });
}

#[test]
fn d9_blocking_flush_in_a_task_of_a_current_thread_runtime() {
    order(|logs, limit| {
        let runtime = current_thread();
        runtime.block_on(async move {
            let task = tokio::spawn(async move {
                emit(&logs);
                logs.flush(limit)
            });
            Some(task.await.unwrap())
        })
    });
}

#[test]
fn d9_blocking_flush_in_all_tasks_of_a_multi_thread_runtime() {
    order(|logs, limit| {
        emit(&logs);
        let runtime = multi_thread();
        // More than there are threads, so that none is left to drive anything.
        let handle = logs.clone();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let handle = handle.clone();
                runtime.spawn(async move { handle.flush(limit) })
            })
            .collect();
        let reports = runtime.block_on(async move {
            let mut reports = Vec::new();
            for task in tasks {
                reports.push(task.await.unwrap());
            }
            reports
        });
        reports.into_iter().next()
    });
}

#[test]
fn d9_blocking_flush_and_shutdown_inside_of_block_on() {
    for runtime in [current_thread, multi_thread] {
        order(move |logs, limit| {
            emit(&logs);
            runtime().block_on(async {
                let report = logs.flush(limit);
                let _ = logs.shutdown(Duration::ZERO);
                Some(report)
            })
        });
    }
}

#[test]
fn d9_flush_async_on_a_current_thread_runtime() {
    order(|logs, limit| {
        current_thread().block_on(async {
            emit(&logs);
            // The runtime's only thread stays free meanwhile.
            let (report, ticks) = tokio::join!(logs.flush_async(limit), async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                3
            });
            assert_eq!(ticks, 3);
            Some(report)
        })
    });
}

#[test]
fn d9_flush_async_on_a_multi_thread_runtime() {
    order(|logs, limit| {
        multi_thread().block_on(async move {
            let task = tokio::spawn(async move {
                emit(&logs);
                logs.flush_async(limit).await
            });
            Some(task.await.unwrap())
        })
    });
}

#[test]
fn d9_flush_async_without_any_runtime() {
    order(|logs, limit| {
        emit(&logs);
        Some(block_on(logs.flush_async(limit)))
    });
}

#[test]
fn d9_flush_async_begins_on_one_runtime_and_ends_on_another() {
    order(|logs, limit| {
        emit(&logs);
        let mut flush = Box::pin(logs.flush_async(limit));
        // Polled once, and then its runtime is gone.
        let first = current_thread();
        let polled = std::future::poll_fn(|context| Poll::Ready(flush.as_mut().poll(context)));
        let polled = first.block_on(polled);
        drop(first);
        match polled {
            Poll::Ready(report) => Some(report),
            Poll::Pending => Some(multi_thread().block_on(flush)),
        }
    });
}

#[test]
fn d9_flush_async_that_is_given_up_leaves_nothing_behind() {
    order(|logs, limit| {
        emit(&logs);
        current_thread().block_on(async {
            for _ in 0..10 {
                let flush = tokio::time::timeout(Duration::from_micros(100), logs.flush_async(limit));
                let _ = flush.await;
            }
        });
        Some(logs.flush(limit))
    });
}

#[test]
fn d9_guard_is_dropped_inside_of_block_on() {
    struct Holder(#[allow(dead_code, reason = "held for its drop")] Guard);
    for runtime in [current_thread, multi_thread] {
        order(move |logs, _| {
            emit(&logs);
            let runtime = runtime();
            runtime.block_on(async { drop(Holder(logs)) });
            None
        });
    }
}

#[test]
fn d9_guard_is_dropped_with_the_runtime_whose_task_holds_it() {
    for runtime in [current_thread, multi_thread] {
        order(move |logs, _| {
            let runtime = runtime();
            let (is_held, held) = channel();
            runtime.spawn(async move {
                emit(&logs);
                is_held.send(()).unwrap();
                std::future::pending::<()>().await;
                drop(logs);
            });
            runtime.block_on(tokio::task::yield_now());
            held.recv().unwrap();
            drop(runtime);
            None
        });
    }
}

#[test]
fn d9_a_worker_that_was_started_in_a_task_outlives_the_runtime() {
    for runtime in [current_thread, multi_thread] {
        let store = Store::new();
        let host = runtime();
        let logs = host.block_on(async { start(&store, LONG) });
        emit(&logs);
        host.shutdown_background();
        emit(&logs);
        let report = logs.shutdown(LONG);
        assert!(report.settled() && report.ledger().balances(), "{report}");
        assert_eq!(store.count(), 2);
    }
}

#[test]
fn d9_runtime_ends_before_after_and_during_the_shutdown() {
    order(|logs, limit| {
        let runtime = multi_thread();
        runtime.block_on(async { emit(&logs) });
        drop(runtime);
        let report = logs.flush(limit);
        let _ = logs.shutdown(Duration::ZERO);
        Some(report)
    });
    order(|logs, limit| {
        let runtime = multi_thread();
        runtime.block_on(async { emit(&logs) });
        let report = logs.flush(limit);
        let _ = runtime.block_on(async { logs.shutdown(Duration::ZERO) });
        drop(runtime);
        Some(report)
    });
    for _ in 0..ROUNDS {
        let gate = Gate::new();
        let store = Store::answering([Answer::held(&gate)]);
        let (logs, runtime) = (start(&store, LONG), multi_thread());
        emit(&logs);
        let begins = Arc::new(Barrier::new(2));
        let report = thread::scope(|scope| {
            let shutdown = scope.spawn({
                let (logs, begins) = (&logs, Arc::clone(&begins));
                move || {
                    begins.wait();
                    logs.shutdown(LONG)
                }
            });
            runtime.spawn({
                let logs = logs.clone();
                async move { logs.flush_async(LONG).await }
            });
            begins.wait();
            // The request is on its way, and so is the shutdown: now the runtime goes.
            assert!(store.wait_for_requests(1, WATCHDOG));
            drop(runtime);
            gate.open();
            shutdown.join().unwrap()
        });
        assert!(report.settled() && report.ledger().balances(), "{report}");
        assert_eq!(store.count(), 1);
    }
}

#[test]
fn d9_many_flushes_at_once_end_together() {
    let gate = Gate::new();
    let store = Store::answering([Answer::held(&gate)]);
    let logs = start(&store, LONG);
    emit(&logs);
    let (runtime, began) = (multi_thread(), Instant::now());
    thread::scope(|scope| {
        let blocking: Vec<_> = (0..16).map(|_| scope.spawn(|| logs.flush(LONG))).collect();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let logs = logs.clone();
                runtime.spawn(async move { logs.flush_async(LONG).await })
            })
            .collect();
        assert!(store.wait_for_requests(1, WATCHDOG));
        gate.open();
        blocking.into_iter().for_each(|flush| assert!(flush.join().unwrap().settled()));
        runtime.block_on(async {
            for task in tasks {
                assert!(task.await.unwrap().settled());
            }
        });
    });
    assert!(began.elapsed() < LONG, "none of them waited for its deadline");
    assert_eq!(store.count(), 1);
}

#[test]
fn d9_a_waker_that_polls_in_place_does_not_lock_the_worker_up() {
    type Flush = std::pin::Pin<Box<dyn Future<Output = Report> + Send>>;
    /// Polls the task on the thread that wakes it.
    struct InPlace {
        task: std::sync::Mutex<Option<Flush>>,
        done: std::sync::mpsc::SyncSender<Report>,
    }
    impl InPlace {
        fn poll(self: Arc<Self>) {
            let waker = Arc::clone(&self).into();
            let mut task = self.task.lock().unwrap();
            if let Some(flush) = task.as_mut()
                && let Poll::Ready(report) = flush.as_mut().poll(&mut Context::from_waker(&waker))
            {
                *task = None;
                let _ = self.done.send(report);
            }
        }
    }
    impl Wake for InPlace {
        fn wake(self: Arc<Self>) {
            self.poll();
        }
    }
    let gate = Gate::new();
    let store = Store::answering([Answer::held(&gate)]);
    let logs = start(&store, LONG);
    emit(&logs);
    let (done, is_done) = std::sync::mpsc::sync_channel(1);
    let flush: Flush = Box::pin(logs.flush_async(LONG));
    Arc::new(InPlace { task: Some(flush).into(), done }).poll();
    gate.open();
    let report = is_done.recv_timeout(WATCHDOG).expect("woken, and polled on the worker");
    assert!(report.settled(), "{report}");
}

#[test]
fn d9_flush_on_the_worker_itself_returns_at_once() {
    let (asked, answers) = channel();
    let store = Store::refusing();
    let handle: Arc<std::sync::OnceLock<Handle>> = Arc::default();
    let inside = Arc::clone(&handle);
    let logs = Builder::new()
        .send_to(store.backend())
        .shutdown_limit(SHORT)
        .on_diagnostic(move |_| {
            if let Some(logs) = inside.get() {
                let began = Instant::now();
                let (blocking, task) = (logs.flush(LONG), block_on(logs.flush_async(LONG)));
                let _ = asked.send((blocking.settled(), task.settled(), began.elapsed()));
            }
        })
        .start()
        .unwrap();
    handle.set((*logs).clone()).ok().unwrap();
    emit(&logs);
    let (blocking, task, took) = answers.recv_timeout(WATCHDOG).expect("the store is away, and that is told");
    assert!(!blocking && !task && took < LONG, "{took:?}");
}

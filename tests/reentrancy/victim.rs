//! The processes in which it happens: each logs by the facade that it is told, and prints its ledger.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Instant;

use logchute::{Builder, Guard};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::{FACADES, Facade, LONG, THREADS};

static FACADE: OnceLock<Facade> = OnceLock::new();

fn facade() -> Facade {
    *FACADE.get_or_init(|| FACADES[std::env::var("FACADE").unwrap().parse::<usize>().unwrap()])
}

fn log(message: &str) {
    match facade() {
        Facade::Log => log::info!("{message}"),
        _ => tracing::info!("{message}"),
    }
}

/// The same from a place of its own in the code: what is first reached while a scoped subscriber is at work, `tracing`
/// takes to be of interest to nobody from then on.
fn log_inside(message: &str) {
    match facade() {
        Facade::Log => log::info!("{message}"),
        _ => tracing::info!("{message}"),
    }
}

fn log_value(value: &dyn fmt::Debug, message: &str) {
    match facade() {
        Facade::Log => {
            // A value that has `Debug` alone.
            struct Shown<'v>(&'v dyn fmt::Debug);
            impl fmt::Debug for Shown<'_> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.fmt(f)
                }
            }
            log::info!(value:? = Shown(value), beside = 7; "{message}");
        }
        _ => tracing::info!(value = ?value, beside = 7, "{message}"),
    }
}

/// With the subscriber in the place that the facade stands for, and `other` beside our layer.
fn run_beside<L>(other: L, run: impl FnOnce(&Guard))
where
    L: Layer<tracing_subscriber::Registry> + Send + Sync + 'static,
{
    let logs = Builder::from_env().unwrap().start().unwrap();
    let theirs = tracing_subscriber::registry().with(other);
    match facade() {
        Facade::Scoped => tracing::subscriber::with_default(theirs.with(logs.layer()), || run(&logs)),
        _ => {
            logs.install(theirs).unwrap();
            run(&logs);
        }
    }
    let report = logs.shutdown(LONG);
    assert!(report.settled(), "{report}");
    println!("{}", report.ledger().to_json());
}

struct Nothing;
impl<S: Subscriber> Layer<S> for Nothing {}

fn run(run: impl FnOnce(&Guard)) {
    run_beside(Nothing, run);
}

/// On many threads, to the very end of each; with a scoped subscriber each has it.
fn on_threads(run: fn()) {
    let scope = tracing::dispatcher::get_default(Clone::clone);
    let spawn = |_| {
        let scope = scope.clone();
        thread::spawn(move || match facade() {
            Facade::Scoped => tracing::dispatcher::with_default(&scope, run),
            _ => run(),
        })
    };
    let threads: Vec<_> = (0..THREADS).map(spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

pub(crate) fn play(role: &str) {
    match role {
        "in_debug" => {
            struct Logs;
            impl fmt::Debug for Logs {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    static ONCE: AtomicBool = AtomicBool::new(false);
                    if !ONCE.swap(true, Ordering::Relaxed) {
                        log_inside("inside");
                    }
                    f.write_str("formatted")
                }
            }
            run(|_| {
                log_value(&Logs, "outside");
                log(&format!("outside: {Logs:?}"));
            });
        }
        "in_drop" => {
            struct Drops;
            impl fmt::Debug for Drops {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("x")
                }
            }
            impl Drop for Drops {
                fn drop(&mut self) {
                    log("dropped");
                }
            }
            run(|_| log_value(&Drops, "outside"));
        }
        "in_panic_hook" => {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                log("said by the hook");
                before(info);
            }));
            run(|_| {
                let _ = std::panic::catch_unwind(|| panic!("caught"));
            });
        }
        "in_tls_destructors" => run(|_| in_tls_destructors()),
        "without_end" => {
            struct WithoutEnd;
            impl fmt::Debug for WithoutEnd {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    log_value(&WithoutEnd, "again");
                    f.write_str("x")
                }
            }
            run(|_| log_value(&WithoutEnd, "again"));
        }
        "spans_without_end" => {
            struct WithoutEnd;
            impl fmt::Debug for WithoutEnd {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    let span = tracing::info_span!("again", value = ?WithoutEnd);
                    span.record("value", tracing::field::debug(WithoutEnd));
                    f.write_str("x")
                }
            }
            run(|_| {
                let _in = tracing::info_span!("first", value = ?WithoutEnd).entered();
                log("in the span");
            });
        }
        "in_another_layer" => {
            struct Speaks(AtomicBool);
            impl<S: Subscriber> Layer<S> for Speaks {
                fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
                    if !self.0.swap(true, Ordering::Relaxed) {
                        log_inside("said by the layer");
                    }
                }
            }
            run_beside(Speaks(AtomicBool::new(false)), |_| log("outside"));
        }
        "recorded_value_logs" => {
            struct Logs;
            impl fmt::Debug for Logs {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    log_inside("inside");
                    f.write_str("formatted")
                }
            }
            run(|_| {
                let span = tracing::info_span!("request", late = tracing::field::Empty).entered();
                span.record("late", tracing::field::debug(Logs));
                log("outside");
            });
        }
        "formats_under_the_lock" => formats_under_the_lock(),
        "panics" => run(|_| panics()),
        "panics_in_a_span" => run(|_| {
            let born = tracing::info_span!("request", born = ?Panics("oh no"), late = tracing::field::Empty).entered();
            born.record("late", tracing::field::debug(Bombs));
            log("in the span");
        }),
        "huge" => {
            struct Huge;
            impl fmt::Debug for Huge {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    let part = "x".repeat(1 << 20);
                    (0..1024).try_for_each(|_| f.write_str(&part))
                }
            }
            run(|_| log_value(&Huge, "huge"));
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let peak =
                status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
            assert!(peak.unwrap_or(0) < 100_000_u64, "{peak:?} KiB");
        }
        "slow" => slow(),
        "poisoned" => {
            struct Poisons;
            impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Poisons {
                fn on_enter(&self, id: &tracing::Id, context: Context<'_, S>) {
                    let span = context.span(id).unwrap();
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        let _held = span.extensions_mut();
                        std::panic::resume_unwind(Box::new("poison"));
                    }));
                }
            }
            run_beside(Poisons, |_| {
                let span = tracing::info_span!("request", user = 1, late = tracing::field::Empty);
                span.in_scope(|| {
                    log("after it");
                    span.record("late", 1);
                });
                drop(span);
                log("outside of it");
            });
        }
        _ => unreachable!("{role}"),
    }
}

struct Panics(&'static str);
impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half of i")?;
        panic!("{}", self.0)
    }
}

/// Panics with something that is no text and that panics when it is dropped.
struct Bombs;
impl fmt::Debug for Bombs {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in the drop of a panic's payload");
            }
        }
        std::panic::panic_any(Bomb)
    }
}

fn panics() {
    struct Any;
    impl fmt::Debug for Any {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            std::panic::panic_any(7)
        }
    }
    log_value(&Panics("oh no"), "oh no");
    log_value(&Any, "any");
    log_value(&Bombs, "bomb");
    // As the message itself.
    if facade() == Facade::Log {
        log::info!("{:?}", Panics("oh no"));
        log::info!("{Bombs:?}");
    } else {
        tracing::info!("{:?}", Panics("oh no"));
        tracing::info!("{Bombs:?}");
    }
}

fn in_tls_destructors() {
    struct Speaks(&'static str);
    impl Drop for Speaks {
        fn drop(&mut self) {
            log(&format!("destructor {}", self.0));
        }
    }
    thread_local! {
        static SPEAKS: RefCell<Option<Speaks>> = const { RefCell::new(None) };
    }
    // The value that was first used last goes first; a long record makes ours be used.
    on_threads(|| {
        SPEAKS.with(|speaks| *speaks.borrow_mut() = Some(Speaks("after ours")));
        log(&"long ".repeat(100));
    });
    on_threads(|| {
        log(&"long ".repeat(100));
        SPEAKS.with(|speaks| *speaks.borrow_mut() = Some(Speaks("before ours")));
    });
}

/// A layer that holds a span's lock while it formats, on a thread that waits in there.
fn formats_under_the_lock() {
    struct Formats;
    impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Formats {
        fn on_record(&self, id: &tracing::Id, values: &tracing::span::Record<'_>, context: Context<'_, S>) {
            let span = context.span(id).unwrap();
            let _held = span.extensions_mut();
            let _ = format!("{values:?}");
        }
    }
    struct Waits(Arc<Barrier>, Arc<Barrier>, AtomicUsize);
    impl fmt::Debug for Waits {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            // Once, whoever formats it first.
            if self.2.fetch_add(1, Ordering::Relaxed) == 0 {
                self.0.wait();
                self.1.wait();
            }
            f.write_str("x")
        }
    }
    run_beside(Formats, |logs| {
        let (inside, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let waits = Waits(Arc::clone(&inside), Arc::clone(&go_on), AtomicUsize::new(0));
        let span = tracing::info_span!("request", late = tracing::field::Empty);
        thread::scope(|scope| {
            let recording = span.clone();
            scope.spawn(move || _ = recording.record("late", tracing::field::debug(waits)));
            inside.wait();
            // Another thread, in another span, is not held up.
            let _in = tracing::info_span!("other").entered();
            log("elsewhere");
            assert!(logs.flush(LONG).settled());
            go_on.wait();
        });
    });
}

fn slow() {
    struct Slow(Arc<Barrier>, Arc<Barrier>);
    impl fmt::Debug for Slow {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.wait();
            self.1.wait();
            f.write_str("x")
        }
    }
    run(|logs| {
        let (inside, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let slow = Slow(Arc::clone(&inside), Arc::clone(&go_on));
        let subscriber = tracing::dispatcher::get_default(Clone::clone);
        thread::scope(|scope| {
            let began = Instant::now();
            scope.spawn(move || {
                tracing::dispatcher::with_default(&subscriber, || log_value(&slow, "slow"));
            });
            inside.wait();
            log("quick");
            // It settles with the other one still under way.
            assert!(logs.flush(LONG).settled() && began.elapsed() < LONG);
            go_on.wait();
        });
    });
}

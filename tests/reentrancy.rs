//! Rows H1 and H2: the application's own code runs while a record is captured, and may log, panic, take long, or hold
//! locks. By `tracing` with a global and with a scoped subscriber, and by `log`.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use logchute::testing::Store;
use logchute::{Builder, Guard};
use serde_json::Value;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

mod support;
use support::{Case, End, Victim, case};

const LONG: Duration = Duration::from_secs(10);

/// Threads that do it at the same time, where many might get in each other's way.
const THREADS: usize = 1_000;

fn main() {
    match support::role() {
        Some(role) => victim(&role),
        None => support::run(cases()),
    }
}

/// The way by which victims log.
#[derive(Clone, Copy, PartialEq)]
enum Facade {
    Global,
    Scoped,
    Log,
}

const FACADES: [Facade; 3] = [Facade::Global, Facade::Scoped, Facade::Log];

/// What arrived, and the ledger.
struct Outcome {
    messages: Vec<String>,
    store: Store,
    ledger: Value,
    end: End,
}

impl Outcome {
    fn of(role: &str, facade: Facade) -> Self {
        let store = Store::new();
        let victim = Victim::new(role)
            .env("FACADE", (facade as u8).to_string())
            .env("LOGCHUTE_URL", format!("ndjson+{}/ndjson", store.url()))
            .env("LOGCHUTE_TEE", "off");
        let end = victim.run();
        end.assert_well();
        let ledger: Value = serde_json::from_str(end.stdout.trim()).unwrap_or_default();
        assert!(ledger.is_null() || ledger["balances"] == true, "{end:#?}");
        let mut messages = store.messages();
        messages.retain(|message| !message.contains("records dropped"));
        messages.sort();
        Self { messages, store, ledger, end }
    }

    /// How many were dropped for that reason before the queue.
    fn dropped(&self, reason: &str) -> u64 {
        let severities = self.ledger["queue"]["dropped"][reason].as_object();
        severities.map_or(0, |severities| severities.values().filter_map(Value::as_u64).sum())
    }

    fn field(&self, message: &str, key: &str) -> Value {
        let record = self.store.records().into_iter().find(|record| record.message == message);
        record
            .unwrap_or_else(|| panic!("{message:?} did not arrive: {:#?}", self.end))
            .get(key)
            .cloned()
            .unwrap_or_default()
    }
}

fn each(name: &str, check: impl Fn(Facade) + Send + Sync + Copy + 'static) -> impl Iterator<Item = Case> {
    FACADES.into_iter().map(move |facade| {
        let way = ["tracing", "tracing_scoped", "log"][facade as usize];
        case(format!("{name}::{way}"), move || check(facade))
    })
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(each("h1_logging_inside_of_debug_is_kept", |facade| {
        let outcome = Outcome::of("in_debug", facade);
        // A scoped subscriber is not given what begins while it is at work: `tracing` itself holds it back.
        let inner: &[&str] = if facade == Facade::Scoped { &[] } else { &["inside"] };
        assert_eq!(outcome.messages, [inner, &["outside", "outside: formatted"]].concat());
        assert_eq!(outcome.field("outside", "value"), "formatted");
        assert_eq!(outcome.end.stderr, "");
    }));
    cases.extend(each("h1_logging_in_the_drop_of_a_logged_value_is_kept", |facade| {
        assert_eq!(Outcome::of("in_drop", facade).messages, ["dropped", "outside"]);
    }));
    cases.extend(each("h1_logging_in_a_panic_hook_is_kept", |facade| {
        let outcome = Outcome::of("in_panic_hook", facade);
        assert!(outcome.messages.contains(&"said by the hook".to_owned()), "{:#?}", outcome.end);
    }));
    cases.extend(each("h1_logging_in_destructors_of_threads_is_kept_and_harmless", |facade| {
        let outcome = Outcome::of("in_tls_destructors", facade);
        let mut expected = Vec::new();
        for (place, count) in [("after ours", THREADS), ("before ours", THREADS)] {
            // The scope of a subscriber is over when its thread goes down.
            let arrive = if facade == Facade::Scoped { 0 } else { count };
            expected.extend(std::iter::repeat_n(format!("destructor {place}"), arrive));
        }
        expected.extend(std::iter::repeat_n("long ".repeat(100), 2 * THREADS));
        assert_eq!(outcome.messages.len(), expected.len(), "{:#?}", outcome.end);
        assert_eq!(outcome.messages, expected);
    }));
    cases.extend(each("h1_recursion_without_end_is_counted", |facade| {
        let outcome = Outcome::of("without_end", facade);
        if facade == Facade::Scoped {
            assert_eq!((outcome.messages.len(), outcome.dropped("reentrant")), (1, 0));
        } else {
            assert_eq!((outcome.messages.len(), outcome.dropped("reentrant")), (4, 1));
            assert!(outcome.end.said()[0].contains("reentrant"), "{:#?}", outcome.end);
        }
    }));
    cases.extend(each("h1_spans_inside_of_spans_without_end_are_harmless", |facade| {
        assert_eq!(Outcome::of("spans_without_end", facade).messages, ["in the span"]);
    }));
    cases.extend(each("h1_another_layer_that_logs_gets_all_through", |facade| {
        let outcome = Outcome::of("in_another_layer", facade);
        let theirs: &[&str] = match facade {
            Facade::Global => &["said by the layer"],
            // `log` passes no layer, and a scoped subscriber is not given what it causes.
            Facade::Scoped | Facade::Log => &[],
        };
        assert_eq!(outcome.messages, [&["outside"], theirs].concat());
    }));
    cases.extend(each("h1_a_value_that_logs_while_a_span_records_it_does_not_lock_up", |facade| {
        let outcome = Outcome::of("recorded_value_logs", facade);
        assert_eq!(outcome.messages, ["inside", "outside"]);
        assert_eq!(outcome.field("outside", "late"), "formatted");
    }));
    cases.extend(each("h1_another_layer_that_formats_under_the_lock_of_a_span_holds_up_nobody_else", |facade| {
        let outcome = Outcome::of("formats_under_the_lock", facade);
        assert_eq!(outcome.messages, ["elsewhere"]);
    }));
    cases.extend(each("h2_a_value_that_panics_is_a_record_and_no_panic", |facade| {
        let outcome = Outcome::of("panics", facade);
        assert_eq!(outcome.messages, ["<panicked: no message>", "<panicked: oh no>", "any", "bomb", "oh no"]);
        for (message, text) in
            [("oh no", "<panicked: oh no>"), ("any", "<panicked: no message>"), ("bomb", "<panicked: no message>")]
        {
            assert_eq!(outcome.field(message, "value"), text);
            // What stands beside it is not lost.
            assert_eq!(outcome.field(message, "beside"), 7);
        }
        assert!(!outcome.store.records().iter().any(|record| record.level == "fatal"));
    }));
    cases.extend(each("h2_values_of_spans_that_panic_are_marked", |facade| {
        let outcome = Outcome::of("panics_in_a_span", facade);
        assert_eq!(outcome.messages, ["in the span"]);
        assert_eq!(outcome.field("in the span", "born"), "<panicked: oh no>");
        assert_eq!(outcome.field("in the span", "late"), "<panicked: no message>");
    }));
    cases.extend(each("h2_a_value_of_a_gigabyte_is_cut_while_it_is_written", |facade| {
        let outcome = Outcome::of("huge", facade);
        let Value::String(text) = outcome.field("huge", "value") else { panic!("{:#?}", outcome.end) };
        assert!(text.starts_with("xxxx") && text.len() <= 256 * 1024, "{}", text.len());
    }));
    cases.extend(each("h2_a_value_that_takes_long_holds_up_nobody_else", |facade| {
        let outcome = Outcome::of("slow", facade);
        assert_eq!(outcome.messages, ["quick", "slow"]);
    }));
    cases.extend(each("h2_a_lock_that_another_layer_poisoned_costs_the_fields_and_no_more", |facade| {
        let outcome = Outcome::of("poisoned", facade);
        assert_eq!(outcome.messages, ["after it", "outside of it"]);
        assert!(!outcome.store.records().iter().any(|record| record.level == "fatal"));
    }));
    cases
}

// ── The victims ─────────────────────────────────────────────────────────────────────────────────────────────────────

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

fn victim(role: &str) {
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

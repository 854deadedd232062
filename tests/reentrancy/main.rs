//! Rows H1 and H2: the application's own code runs while a record is captured, and may log, panic, take long, or hold
//! locks. By `tracing` with a global and with a scoped subscriber, and by `log`.

use std::time::Duration;

use logchute::testing::Store;
use serde_json::Value;

#[path = "../support/mod.rs"]
mod support;
mod victim;
use support::{Case, End, Victim, case};

const LONG: Duration = Duration::from_secs(10);

/// Threads that do it at the same time, where many might get in each other's way.
const THREADS: usize = 1_000;

fn main() {
    match support::role() {
        Some(role) => victim::play(&role),
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

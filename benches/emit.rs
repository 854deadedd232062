//! What a record costs the thread that logs it, beside floors: a layer that does nothing, and one that visits the
//! fields and formats them as text, as any logger to a file must; for the `log` path, the same as a `log::Log`.
//!
//! ```sh
//! cargo bench --bench emit                # ROUNDS=2000 for steadier tails; default 500
//! benches/instructions.sh                 # instructions for one call, by callgrind, which noise does not touch
//! ```
//!
//! Each case runs in a process of its own, where its subscriber is the global one. The cases take turns: 8 calls that
//! find cold caches, a burst of 64 that are timed singly, and one of 256 that are timed together; bursts never fill a
//! queue. `p50 p99 p999` are single calls less the cost of reading the clock; `mean` is the median of the bursts that are
//! timed together, and what the ratios are made of; allocations are those of the calling thread.
//!
//! Last numbers:
//! <!-- emit -->
//! 2026-11-24, a virtual machine with 2 cores of an AMD EPYC, Linux 6.18, rustc 1.95; `ROUNDS=300 cargo bench --all-features --bench emit`, load 1.5:
//!
//! ```text
//!                                             p50    p99    p999    mean   allocs  of the floor
//! floor: a layer that does nothing             10    150     210     9.2     0.00    0.03
//! floor: formatting as text                   300    580     862   287.1     0.00    1.00
//! message and four fields                     140    301     461   135.7     0.00    0.47
//! … in a span of two fields                   230    431     591   224.5     0.00    0.78
//! … in five nested spans, six fields          471    991    1352   466.1     1.00    1.62
//! … and 400 bytes more: a boxed frame         231    721    1222   222.0     1.00    0.43
//! floor: formatting the same as text          511   1032    3265   511.2     0.00    1.00
//! the ring: message and four fields           140    310     470   136.2     0.00    0.47
//! the ring: … and 400 bytes more              201    441     691   201.5     1.00    0.39
//! the ring: 4 threads                         190    581     811   191.8     0.00    0.67
//! disabled: DEBUG, filter INFO                  0     61     171     2.6     0.00    0.01
//! full queue: dropped and counted             121    280     360   117.8     0.00    0.41
//! 2 threads                                   150    591    1011   186.2     0.00    0.65
//! 4 threads                                   151    621    1032   191.5     0.00    0.67
//! floor: formatting as text, 4 threads        291  23109  203593   493.0     0.00    1.72
//! floor: `log`, formatting as text            121    291     401   112.5     0.00    1.00
//! `log`, a message with one argument          150    351     550   145.9     0.00    1.30
//! floor: `log`, four key-values as text       271    530     721   266.9     0.00    1.00
//! `log`, a message and four key-values        220    421     641   216.8     0.00    0.81
//! ```
//!
//! `benches/instructions.sh`: nothing 126, text floor 4,333, message and four fields 1,405 (aim 1,000), by the ring 1,539, in a span of two
//! fields 2,018, in five spans 4,001, boxed 2,157, disabled 18, full queue 1,281, `log` 1,490, `log` with key-values 2,139.
//! <!-- /emit -->

mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use logchute::backend::{Backend, Batch, Facts, Ndjson, Payload};
use logchute::{Acceptance, Builder, Destination, Guard};
use support::OtherProcess;
use support::alloc::Counting;
use support::floors::{Nothing, Text};
use support::turns::{Figures, race, take_turns};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whom the calls are made to.
#[derive(Clone, Copy, PartialEq)]
enum To {
    Nobody,
    Nothing,
    Text,
    LogText,
    Logchute,
    /// The same, with the crash-proof ring as its queue, on tmpfs where `/dev/shm` is one.
    Ring,
    /// The worker stands still and the queue is full, so each record is dropped.
    Stalled,
}

struct Case {
    /// As `COUNT` takes it.
    name: &'static str,
    shown: &'static str,
    to: To,
    call: fn(u64),
    /// The name of `call`, for callgrind.
    function: &'static str,
    spans: usize,
    threads: usize,
    /// The case that the ratio is to.
    floor: &'static str,
}

macro_rules! cases {
    ($($name:literal $shown:literal: $to:ident $call:path, $spans:literal, $threads:literal, $floor:literal;)*) => {
        [$(Case {
            name: $name,
            shown: $shown,
            to: To::$to,
            call: $call,
            function: stringify!($call),
            spans: $spans,
            threads: $threads,
            floor: $floor,
        }),*]
    };
}

// name, what is shown, whom the calls are made to, the call, open spans, threads, floor
const CASES: [Case; 20] = cases! {
    "clock"      "the clock, subtracted from p50 to p999": Nobody empty, 0, 1, "";
    "nothing"    "floor: a layer that does nothing": Nothing support::event, 0, 1, "text";
    "text"       "floor: formatting as text": Text support::event, 0, 1, "text";
    "logs"       "message and four fields": Logchute support::event, 0, 1, "text";
    "span"       "… in a span of two fields": Logchute support::event, 1, 1, "text";
    "five"       "… in five nested spans, six fields": Logchute support::event, 5, 1, "text";
    "long"       "… and 400 bytes more: a boxed frame": Logchute long, 0, 1, "text-long";
    "text-long"  "floor: formatting the same as text": Text long, 0, 1, "text-long";
    "ring"       "the ring: message and four fields": Ring support::event, 0, 1, "text";
    "ring-long"  "the ring: … and 400 bytes more": Ring long, 0, 1, "text-long";
    "ring-four"  "the ring: 4 threads": Ring support::event, 0, 4, "text";
    "disabled"   "disabled: DEBUG, filter INFO": Logchute disabled, 0, 1, "text";
    "full"       "full queue: dropped and counted": Stalled support::event, 0, 1, "text";
    "two"        "2 threads": Logchute support::event, 0, 2, "text";
    "four"       "4 threads": Logchute support::event, 0, 4, "text";
    "text-four"  "floor: formatting as text, 4 threads": Text support::event, 0, 4, "text";
    "log-text"   "floor: `log`, formatting as text": LogText log_plain, 0, 1, "log-text";
    "log"        "`log`, a message with one argument": Logchute log_plain, 0, 1, "log-text";
    "log-kv-text" "floor: `log`, four key-values as text": LogText log_kv, 0, 1, "log-kv-text";
    "log-kv"     "`log`, a message and four key-values": Logchute log_kv, 0, 1, "log-kv-text";
};

#[inline(never)]
fn empty(i: u64) {
    black_box(i);
}

#[inline(never)]
fn long(i: u64) {
    const TEXT: &str = concat!(
        "a hundred bytes of text, as a path with its query or the first line of a message that quotes some other ",
        "a hundred bytes of text, as a path with its query or the first line of a message that quotes some other ",
        "a hundred bytes of text, as a path with its query or the first line of a message that quotes some other ",
        "a hundred bytes of text, as a path with its query or the first line of a message that quotes some oth",
    );
    tracing::info!(user_id = i, latency_ms = 12.7, path = TEXT, method = "GET", "request completed");
}

#[inline(never)]
fn disabled(i: u64) {
    tracing::debug!(user_id = i, latency_ms = 12.7, path = "/api/v1/items", method = "GET", "request completed");
}

#[inline(never)]
fn log_plain(i: u64) {
    log::info!("request of user {i} completed");
}

#[inline(never)]
fn log_kv(i: u64) {
    log::info!(user_id = i, latency_ms = 12.7, path = "/api/v1/items", method = "GET"; "request completed");
}

/// The text floor as a logger.
struct LogText(Text);

impl log::Log for LogText {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        struct Pairs<'a>(&'a mut String);
        impl<'kvs> log::kv::VisitSource<'kvs> for Pairs<'_> {
            fn visit_pair(
                &mut self,
                key: log::kv::Key<'kvs>,
                value: log::kv::Value<'kvs>,
            ) -> Result<(), log::kv::Error> {
                let _ = write!(self.0, " {key}={value}");
                Ok(())
            }
        }
        self.0.format(record.level(), record.target(), |text| {
            let _ = write!(text, " {}", record.args());
            let _ = record.key_values().visit(&mut Pairs(text));
        });
    }

    fn flush(&self) {}
}

/// Its first batch never comes to be encoded, while the other end of the channel lives.
struct Stall(Ndjson, Mutex<Receiver<()>>);

impl Backend for Stall {
    fn facts(&self) -> Facts {
        self.0.facts()
    }

    fn url(&self) -> &str {
        self.0.url()
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let _ = self.1.lock().unwrap_or_else(PoisonError::into_inner).recv();
        self.0.encode(batch)
    }
}

fn logchute(to: impl Into<Destination>) -> Guard {
    started(Builder::new().send_to(to))
}

fn started(builder: Builder) -> Guard {
    // What is lost at the end of a case is no news, and its lines would tear the table.
    let logs = builder.shutdown_limit(Duration::ZERO).on_diagnostic(|_| {}).start().unwrap();
    logs.install(registry()).unwrap();
    logs
}

/// Runs one case in this process: `run` makes the calls.
fn with(case: &Case, run: impl FnOnce(fn(u64))) {
    let url = std::env::var(support::URL).unwrap_or_else(|_| "http://127.0.0.1:9".into());
    let (stalled, stall) = channel();
    let logs = match case.to {
        To::Nobody => None,
        To::Nothing => {
            tracing::subscriber::set_global_default(registry().with(Nothing)).unwrap();
            None
        }
        To::Text => {
            tracing::subscriber::set_global_default(registry().with(Text::default())).unwrap();
            None
        }
        To::LogText => {
            log::set_boxed_logger(Box::new(LogText(Text::default()))).unwrap();
            log::set_max_level(log::LevelFilter::Info);
            None
        }
        To::Logchute => Some(logchute(Ndjson::new(url))),
        To::Ring => {
            let logs = started(Builder::new().send_to(Ndjson::new(url)).ring_dir(ring_dir()));
            assert_eq!(logs.health().acceptance, Acceptance::ProcessCrash, "no ring in {}", ring_dir().display());
            Some(logs)
        }
        To::Stalled => Some(logchute(Stall(Ndjson::new(url), Mutex::new(stall)))),
    };
    if case.to == To::Stalled {
        while logs.as_ref().unwrap().ledger().dropped.total() < 1000 {
            // Not `event`, which callgrind counts.
            log_plain(0);
        }
    }
    let spans = [
        || tracing::info_span!("request", request_id = 7, tenant = "acme"),
        || tracing::info_span!("authorise", role = "admin"),
        || tracing::info_span!("handler", name = "list_items"),
        || tracing::info_span!("query", table = "items"),
        || tracing::info_span!("row", number = 12),
    ];
    let entered: Vec<_> = spans.iter().take(case.spans).map(|span| span().entered()).collect();
    run(case.call);
    drop(entered);
    drop(stalled);
    if let Some(logs) = logs {
        let lost = logs.ledger().dropped.total() > 0;
        assert_eq!(lost, case.to == To::Stalled, "{}: {}", case.name, logs.ledger());
        let _ = logs.shutdown(Duration::ZERO);
    }
    if case.to == To::Ring {
        let _ = std::fs::remove_dir_all(ring_dir());
    }
}

/// Of this process alone, so that nothing is adopted.
fn ring_dir() -> PathBuf {
    let shared = Path::new("/dev/shm");
    let parent = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    parent.join(format!("logchute-emit-{}", std::process::id()))
}

/// For `instructions.sh`: a thousand calls, or the names of all cases and of the functions that callgrind is to watch.
fn count(what: &str) {
    match CASES.iter().find(|case| case.name == what) {
        Some(case) => with(case, |call| (0..1000).for_each(call)),
        None => {
            for case in CASES.iter().filter(|case| case.threads == 1 && case.to != To::Nobody) {
                let function = case.function.rsplit(':').next().unwrap();
                println!("{}\t{function}\t{}", case.name, case.shown);
            }
        }
    }
}

fn main() {
    support::maybe_store();
    if let Ok(what) = std::env::var("COUNT") {
        return count(&what);
    }
    let named = |name: &str| CASES.iter().position(|case| case.name == name).unwrap();
    if let Ok(name) = std::env::var(support::CASE) {
        let case = &CASES[named(&name)];
        return with(case, |call| take_turns(case.threads, call));
    }
    let rounds = support::number("ROUNDS", 500);
    println!("what a record costs its thread, in ns: {rounds} rounds; {}", support::machine());
    println!("{:40} {:>6} {:>6} {:>7} {:>7} {:>8}  of the floor", "", "p50", "p99", "p999", "mean", "allocs");
    let store = OtherProcess::start();
    let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
    let found = race(&names, rounds, &[(support::URL, store.url() + "/insert/jsonline")]);
    for (case, &figures) in CASES.iter().zip(&found) {
        let Figures { p50, p99, p999, mean, allocations } =
            if case.to == To::Nobody { figures } else { figures.without(found[0]) };
        let floor =
            if case.floor.is_empty() { String::new() } else { format!("{:.2}", mean / found[named(case.floor)].mean) };
        println!("{:40} {p50:6.0} {p99:6.0} {p999:7.0} {mean:7.1} {allocations:8.2}  {floor:>6}", case.shown);
    }
}

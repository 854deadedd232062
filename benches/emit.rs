//! What a record costs the thread that logs it, beside two floors: a layer that does nothing, and one that visits the
//! fields and formats them as text, as any logger to a file must.
//!
//! `cargo bench --bench emit`

mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use logchute::Builder;
use logchute::backend::Ndjson;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {}

/// Formats into a buffer that it keeps: what is left when everything but visiting and formatting is taken away.
struct Text(std::sync::Mutex<String>);

struct TextVisitor<'a>(&'a mut String);

impl Visit for TextVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl<S: Subscriber> Layer<S> for Text {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = self.0.lock().unwrap();
        text.clear();
        let metadata = event.metadata();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let _ = write!(text, "{}.{:09} {} {}", now.as_secs(), now.subsec_nanos(), metadata.level(), metadata.target());
        event.record(&mut TextVisitor(&mut text));
        black_box(text.as_str());
    }
}

#[inline(never)]
fn event(i: u64) {
    tracing::info!(user_id = i, latency_ms = 12.7, path = "/api/v1/items", method = "GET", "request completed");
}

/// Nanoseconds of single calls, in bursts of 64 with a pause in which the worker empties the queue.
fn bursts(rounds: usize, mut call: impl FnMut(u64)) -> Vec<u64> {
    let mut times = Vec::with_capacity(rounds * 64);
    for round in 0..rounds {
        for i in 0..64 {
            let begun = Instant::now();
            call((round * 64 + i) as u64);
            times.push(begun.elapsed().as_nanos() as u64);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    times.sort_unstable();
    times
}

fn quantiles(times: &[u64], timer: u64) -> [u64; 3] {
    [0.5, 0.99, 0.999].map(|q| times[((times.len() - 1) as f64 * q) as usize].saturating_sub(timer))
}

/// Mean over a burst that is timed as a whole, best of all bursts: what is left when the machine is quiet.
fn best_mean(rounds: usize, mut call: impl FnMut(u64)) -> f64 {
    (0..rounds)
        .map(|round| {
            let begun = Instant::now();
            for i in 0..256 {
                call((round * 256 + i) as u64);
            }
            let mean = begun.elapsed().as_nanos() as f64 / 256.0;
            std::thread::sleep(Duration::from_millis(1));
            mean
        })
        .fold(f64::MAX, f64::min)
}

/// A thousand calls of [`event`] in one layer, for `valgrind --tool=callgrind --toggle-collect='*event*'`.
fn count(what: &str) {
    let calls = || (0..1000).for_each(event);
    let logs = Builder::new().send_to(Ndjson::new("http://127.0.0.1:9/")).start().unwrap();
    match what {
        "nothing" => tracing::subscriber::set_global_default(registry().with(Nothing)).unwrap(),
        "text" => tracing::subscriber::set_global_default(registry().with(Text(std::sync::Mutex::default()))).unwrap(),
        _ => tracing::subscriber::set_global_default(registry().with(logs.layer())).unwrap(),
    }
    if what == "span" {
        tracing::info_span!("request", request_id = 7, tenant = "acme").in_scope(calls);
    } else {
        calls();
    }
    let _ = logs.shutdown(Duration::ZERO);
}

fn main() {
    support::maybe_store();
    if let Some(what) = std::env::var_os("COUNT") {
        return count(&what.to_string_lossy());
    }
    let rounds: usize = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    let store = support::OtherProcess::start();
    let logs = Builder::new().send_to(Ndjson::new(store.url())).start().unwrap();
    let timer = quantiles(&bursts(rounds, |_| ()), 0)[0];
    println!("timer {timer} ns, subtracted; bursts of 64, {rounds} rounds; p50 · p99 · p999 in ns, best mean");

    let mut floor = 0.0;
    let mut show = |name: &str, times: Vec<u64>, mean: f64| {
        let [p50, p99, p999] = quantiles(&times, timer);
        if name == "text floor" {
            floor = mean;
        }
        let ratio = if floor > 0.0 { format!("{:.2} of the floor", mean / floor) } else { String::new() };
        println!("{name:28} {p50:6} {p99:6} {p999:7}   {mean:6.0} ns  {ratio}");
    };
    {
        let subscriber = registry().with(Nothing);
        tracing::subscriber::with_default(subscriber, || {
            show("layer that does nothing", bursts(rounds, event), best_mean(rounds, event));
        });
        let subscriber = registry().with(Text(std::sync::Mutex::default()));
        tracing::subscriber::with_default(subscriber, || {
            show("text floor", bursts(rounds, event), best_mean(rounds, event));
        });
        tracing::subscriber::with_default(registry().with(logs.layer()), || {
            show("logchute", bursts(rounds, event), best_mean(rounds, event));
            let span = tracing::info_span!("request", request_id = 7, tenant = "acme");
            let _in = span.enter();
            show("logchute, span of two fields", bursts(rounds, event), best_mean(rounds, event));
        });
    }
    println!("{}", logs.shutdown(Duration::from_secs(10)));
}

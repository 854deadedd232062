//! logchute beside what people use instead: the same events, on the same machine, in one run.
//!
//! ```sh
//! cd benches/peers && cargo run --release         # ROUNDS=200 RUNS=3; PART=calls or PART=flood for one table
//! ```
//!
//! Each contender is set up as its documentation says, with its defaults; where it loses records in a flood and
//! has a setting against that, a second line shows it with that setting. All of them send to a store in another process
//! that answers at once and counts records; files go to the directory for temporary files.
//!
//! The first table is what a record costs the thread that logs it, as in `benches/emit.rs`. A contender with a small queue
//! drops part of its bursts of 256, so its mean may be that of dropping: that is what it does.
//! The second is a million events as fast as one and four threads can log them, as in `benches/pipeline.rs`. `arrived`
//! is what the store counted, or the lines of the file; no contender's own word is taken for it. `fmt to a sink` formats
//! and throws away.
//!
//! Last numbers:
//! <!-- peers -->
//! 2026-11-24, a quiet virtual machine with 2 cores of an AMD EPYC, Linux 6.18, rustc 1.95, load 0.5:
//!
//! ```text
//! what a record costs its thread, in ns                     p50    p99    p999    mean   allocs  of the floor
//! layer that does nothing                      10    120     220     9.1     0.00    0.03
//! text floor                                  290    471     571   286.7     0.00    1.00
//! fmt to a sink                              1042   1893    2624  1057.2     0.00    3.69
//! logchute ndjson                             130    271     411   126.6     0.00    0.44
//! logchute ndjson, block                      130    290     401   126.7     0.00    0.44
//! logchute loki                               130    280     420   127.0     0.00    0.44
//! logchute loki, block                        130    280     391   127.6     0.00    0.45
//! tracing-loki                                391   1022   35583   415.5     2.03    1.45
//! opentelemetry otlp                          520   1622    2594   582.5     7.00    2.03
//! opentelemetry otlp, queue of a million      561   1802   16946   603.4     7.00    2.10
//! tracing-appender file                       691   1442    8383   708.3     1.00    2.47
//! tracing-appender file, lossless             701   1413    3976   702.3     1.00    2.45
//!
//! 1,000,000 events as fast as possible     threads    arrived   a second logged s all in s   CPU s  peak MiB
//! logchute ndjson                                1    252,892  1,829,440     0.13     0.14    0.22      14.7
//! logchute ndjson                                4    109,532  1,005,180     0.10     0.11    0.18      16.9
//! logchute ndjson, block                         1  1,000,000  2,004,967     0.49     0.50    0.62      14.6
//! logchute ndjson, block                         4  1,000,000  1,812,855     0.54     0.55    0.66      16.4
//! logchute loki                                  1    200,668  1,401,173     0.12     0.14    0.24      15.5
//! logchute loki                                  4     62,428    583,083     0.08     0.11    0.17      17.0
//! logchute loki, block                           1  1,000,000  1,432,663     0.68     0.70    0.81      16.2
//! logchute loki, block                           4  1,000,000  1,347,084     0.72     0.74    0.86      18.3
//! tracing-loki                                   1    931,791  1,696,406     0.55     0.55    0.96       7.0
//! tracing-loki                                   4    252,296    882,565     0.29     0.29    0.53      15.6
//! opentelemetry otlp                             1    295,639    737,153     0.40     0.40    0.73       7.5
//! opentelemetry otlp                             4     58,905    247,214     0.24     0.24    0.45      11.0
//! opentelemetry otlp, queue of a million         1  1,000,000    624,257     0.80     1.60    2.17     370.3
//! opentelemetry otlp, queue of a million         4  1,000,000    551,603     0.54     1.81    2.22     609.3
//! tracing-appender file                          1    864,723    834,116     0.91     1.04    1.87      25.4
//! tracing-appender file                          4    356,769    564,797     0.51     0.63    1.12      33.2
//! tracing-appender file, lossless                1  1,000,000    806,464     1.12     1.24    2.25      25.7
//! tracing-appender file, lossless                4  1,000,000    848,126     1.06     1.18    2.20      38.2
//! ```
//! <!-- /peers -->

#[path = "../../support/mod.rs"]
mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, sink};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use logchute::backend::{Loki, Ndjson};
use logchute::{Builder, Overflow};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, Protocol, WithExportConfig as _};
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, SdkLoggerProvider};
use support::alloc::Counting;
use support::figures::thousands;
use support::floors::{Nothing, Text};
use support::turns::{Figures, race, take_turns};
use support::{OtherProcess, event, process};
use tracing::Subscriber;
use tracing::subscriber::set_global_default;
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const EVENTS: u64 = 1_000_000;

const ALL: [&str; 12] = [
    "layer that does nothing",
    "text floor",
    "fmt to a sink",
    "logchute ndjson",
    "logchute ndjson, block",
    "logchute loki",
    "logchute loki, block",
    "tracing-loki",
    "opentelemetry otlp",
    "opentelemetry otlp, queue of a million",
    "tracing-appender file",
    "tracing-appender file, lossless",
];

/// These take all that they get, or cannot lose.
const FLOORS: usize = 3;

/// Waits until everything that was handed over is settled, or the contender has given up.
type Settle = Box<dyn FnOnce()>;

fn install(subscriber: impl Subscriber + Send + Sync) {
    set_global_default(subscriber).unwrap();
}

/// Makes the contender this process' subscriber.
fn start(name: &str, url: &str) -> Settle {
    match name {
        "layer that does nothing" => install(registry().with(Nothing)),
        "text floor" => install(registry().with(Text::default())),
        "fmt to a sink" => install(tracing_subscriber::fmt().with_writer(sink).finish()),
        "tracing-loki" => return tracing_loki(url),
        _ if name.starts_with("logchute") => return logchute(name, url),
        _ if name.starts_with("opentelemetry") => return opentelemetry(name, url),
        _ if name.starts_with("tracing-appender") => return tracing_appender(name),
        other => panic!("{other}"),
    }
    Box::new(|| ())
}

fn logchute(name: &str, url: &str) -> Settle {
    let mut builder = Builder::new().on_diagnostic(|_| {}).shutdown_limit(Duration::ZERO);
    builder = if name.contains("ndjson") {
        builder.send_to(Ndjson::new(format!("{url}/insert/jsonline")))
    } else {
        builder.send_to(Loki::new(url))
    };
    if name.ends_with("block") {
        builder = builder.overflow(Overflow::Block(Duration::from_secs(10)));
    }
    let logs = builder.start().unwrap();
    logs.install(registry()).unwrap();
    Box::new(move || assert!(logs.flush(Duration::from_secs(60)).settled()))
}

/// Its queue of 512 cannot be set.
fn tracing_loki(url: &str) -> Settle {
    let (layer, controller, task) = tracing_loki::builder()
        .label("service_name", "peers")
        .unwrap()
        .build_controller_url(url.parse().unwrap())
        .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let task = runtime.spawn(task);
    install(registry().with(layer));
    Box::new(move || {
        runtime.block_on(async {
            controller.shutdown().await;
            task.await.unwrap();
        });
    })
}

fn opentelemetry(name: &str, url: &str) -> Settle {
    let exporter = LogExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{url}/v1/logs"))
        .build()
        .unwrap();
    let mut config = BatchConfigBuilder::default();
    if name.contains("queue") {
        config = config.with_max_queue_size(EVENTS as usize);
    }
    let processor = BatchLogProcessor::builder(exporter).with_batch_config(config.build()).build();
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    // Its client logs, and documentation says to keep that from coming back. Ours needs no such filter.
    let filter = tracing_subscriber::EnvFilter::new("info,hyper=off,reqwest=off,h2=off,tonic=off,opentelemetry=off");
    let layer = tracing_subscriber::Layer::with_filter(OpenTelemetryTracingBridge::new(&provider), filter);
    install(registry().with(layer));
    Box::new(move || {
        let _ = provider.shutdown_with_timeout(Duration::from_secs(60));
    })
}

fn path() -> PathBuf {
    std::env::temp_dir().join(format!("logchute-peers-{}.log", std::process::id()))
}

fn tracing_appender(name: &str) -> Settle {
    let file = OpenOptions::new().create(true).append(true).open(path()).unwrap();
    let (writer, guard) = NonBlockingBuilder::default().lossy(!name.ends_with("lossless")).finish(file);
    install(tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish());
    Box::new(move || drop(guard))
}

/// The child of the second table: prints seconds, CPU seconds, peak memory, and the lines of the file if there is one.
fn flood(name: &str, url: &str, threads: u64) {
    let settle = start(name, url);
    let (cpu, begun) = (process::cpu(), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (thread * EVENTS..thread * EVENTS + EVENTS / threads).for_each(event));
        }
    });
    let logged = begun.elapsed();
    settle();
    let (took, cpu, peak) = (begun.elapsed(), process::cpu() - cpu, process::peak_memory());
    println!("{} {} {} {peak} {}", logged.as_secs_f64(), took.as_secs_f64(), cpu.as_secs_f64(), lines());
}

/// Lines of this process' file, which goes away.
fn lines() -> u64 {
    let Ok(mut file) = File::open(path()) else { return 0 };
    let (mut buffer, mut lines) = (vec![0; 1 << 20], 0);
    while let Ok(read @ 1..) = file.read(&mut buffer) {
        lines += buffer[..read].iter().filter(|&&byte| byte == b'\n').count() as u64;
    }
    let _ = std::fs::remove_file(path());
    lines
}

fn calls(rounds: usize) {
    println!("what a record costs its thread, in ns: {rounds} rounds; {}", support::machine());
    println!("{:40} {:>6} {:>6} {:>7} {:>7} {:>8}  of the floor", "", "p50", "p99", "p999", "mean", "allocs");
    let store = OtherProcess::start();
    let names: Vec<_> = ["clock"].into_iter().chain(ALL).collect();
    let found = race(&names, rounds, &[(support::URL, store.url())]);
    let floor = found[2].mean;
    for (name, figures) in names.iter().zip(&found).skip(1) {
        let Figures { p50, p99, p999, mean, allocations } = figures.without(found[0]);
        println!("{name:40} {p50:6.0} {p99:6.0} {p999:7.0} {mean:7.1} {allocations:8.2}  {:6.2}", mean / floor);
    }
}

fn floods(runs: usize) {
    println!("{} events as fast as possible: the median of {runs} runs; {}", thousands(EVENTS), support::machine());
    println!(
        "{:40} {:>7} {:>10} {:>10} {:>8} {:>8} {:>7} {:>9}",
        "", "threads", "arrived", "a second", "logged s", "all in s", "CPU s", "peak MiB"
    );
    let cases: Vec<_> = ALL.iter().skip(1).flat_map(|name| [(*name, 1), (*name, 4)]).collect();
    let mut found: Vec<Vec<[f64; 5]>> = cases.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for ((name, threads), found) in cases.iter().zip(&mut found) {
            let mut store = OtherProcess::start();
            let child = Command::new(std::env::current_exe().unwrap())
                .env(support::CASE, format!("{name}/{threads}"))
                .env(support::URL, store.url())
                .output()
                .unwrap();
            let line = String::from_utf8(child.stdout).unwrap();
            let numbers: Vec<f64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
            let [logged, took, cpu, peak, lines] = numbers[..] else {
                panic!("{name} failed: {line}{}", String::from_utf8_lossy(&child.stderr))
            };
            found.push([store.taken().records as f64 + lines, logged, took, cpu, peak]);
        }
    }
    for ((name, threads), found) in cases.iter().zip(&mut found) {
        found.sort_by(|a, b| a[2].total_cmp(&b[2]));
        let [arrived, logged, took, cpu, peak] = found[found.len() / 2];
        let (arrived, rate) = if ALL[..FLOORS].contains(name) {
            ("-".into(), "-".into())
        } else {
            (thousands(arrived as u64), thousands((arrived / took) as u64))
        };
        println!("{name:40} {threads:7} {arrived:>10} {rate:>10} {logged:8.2} {took:8.2} {cpu:7.2} {peak:9.1}");
    }
}

fn main() {
    support::maybe_store();
    if let Ok(case) = std::env::var(support::CASE) {
        let url = std::env::var(support::URL).unwrap();
        match case.split_once('/') {
            Some((name, threads)) => flood(name, &url, threads.parse().unwrap()),
            None if case == "clock" => take_turns(1, |i| {
                std::hint::black_box(i);
            }),
            None => {
                let settle = start(&case, &url);
                take_turns(1, event);
                settle();
                let _ = std::fs::remove_file(path());
            }
        }
        // Threads that some of them leave behind are not waited for.
        std::process::exit(0);
    }
    let part = std::env::var("PART").unwrap_or_default();
    if part != "flood" {
        calls(support::number("ROUNDS", 200));
    }
    if part != "calls" {
        println!();
        floods(support::number("RUNS", 3));
    }
}

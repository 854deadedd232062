//! A million events as fast as 1 and 4 threads can log them, to a store in another process: what arrives, how fast,
//! and what that takes of the machine.
//!
//! ```sh
//! cargo bench --bench pipeline            # RUNS=9 for a steadier median (default 3), ONLY=ndjson for some rows
//! ```
//!
//! Each run has a process of its own, so that peaks of memory do not mix; each row is the run with the median rate of
//! all runs, which take turns with those of the other rows. `a second`: from the first call to the settled flush. `CPU`:
//! user and system time of the whole process, callers included, for a million events. `peak`: all that the process ever had
//! resident. `block`: callers wait for room; `drop`: what does not fit is dropped. The store counts what it was sent, and
//! `books` says whether the ledger agrees with it to the record; it does not look into Loki's JSON, where the ledger has
//! to be trusted (`ledger alone`). The floor formats as text and sends nothing.
//!
//! Last numbers:
//! <!-- pipeline -->
//! 2026-11-24, a virtual machine with 2 cores of an AMD EPYC, Linux 6.18, rustc 1.95, load 1.7:
//!
//! ```text
//!                threads  full   a second   CPU s   of floor  peak MiB      lost bytes/record requests  books
//! text floor           1        3,297,233    0.30       1.0x       3.5         0          0.0        0
//! text floor           4        3,238,675    0.31       1.0x       3.7         0          0.0        0
//! ndjson               1 block  1,709,582    0.70       2.3x      15.9         0        405.9      399  exact
//! ndjson               4 block  1,998,926    0.65       2.2x      16.8         0        406.6      400  exact
//! ndjson               1  drop  1,658,725    0.24       0.8x      15.7   771,685        405.8       92  exact
//! ndjson               4  drop    787,725    0.25       0.8x      16.7   885,349        406.2       46  exact
//! ndjson gzip          1 block  1,434,235    0.90       3.0x      15.3         0         16.2      399  exact
//! ndjson gzip          4 block  1,397,358    0.85       2.8x      16.0         0         16.3      400  exact
//! ndjson gzip          1  drop  1,392,260    0.29       1.0x      15.7   776,805         16.0       89  exact
//! ndjson gzip          4  drop    658,869    0.28       0.9x      15.0   899,685         15.9       41  exact
//! loki protobuf        1 block  1,315,058    0.88       2.9x      17.4         0         23.5      204  exact
//! loki protobuf        4 block  1,515,050    0.78       2.6x      21.3         0         24.7      205  exact
//! loki protobuf        1  drop  1,296,728    0.30       1.0x      17.6   779,877         23.4       46  exact
//! loki protobuf        4  drop    622,720    0.26       0.9x      17.7   903,781         24.8       20  exact
//! loki json            1 block  1,591,658    0.75       2.5x      17.1         0        287.9      204  ledger alone
//! loki json            4 block  1,433,576    0.94       3.1x      14.7         0        288.7      205  ledger alone
//! loki json            1  drop  1,280,358    0.30       1.0x      16.7   770,661        287.9       47  ledger alone
//! loki json            4  drop    620,732    0.18       0.6x      16.9   928,357        288.6       15  ledger alone
//! ```
//! <!-- /pipeline -->

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use logchute::backend::{Encoding, Loki, Ndjson};
use logchute::{Builder, Compression, Destination, Overflow};
use support::figures::thousands;
use support::floors::Text;
use support::{OtherProcess, event, process};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

/// Divisible by the numbers of threads.
const EVENTS: u64 = 1_000_000;

const FLOOR: &str = "text floor";

const TO: [&str; 5] = [FLOOR, "ndjson", "ndjson gzip", "loki protobuf", "loki json"];

struct Case {
    to: &'static str,
    threads: u64,
    blocks: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        let only = std::env::var("ONLY").unwrap_or_default();
        let of = |to| [true, false].map(|blocks| [1, 4].map(|threads| Self { to, threads, blocks }));
        let all = TO.iter().filter(|&&to| to == FLOOR || to.contains(&only)).flat_map(|to| of(to)).flatten();
        all.filter(|case| case.blocks || case.to != FLOOR).collect()
    }

    fn sends(&self) -> bool {
        self.to != FLOOR
    }
}

/// What a run found out.
#[derive(Clone, Copy, Default)]
struct Found {
    rate: f64,
    cpu: f64,
    peak: f64,
    lost: u64,
    bytes: f64,
    requests: u64,
    books: &'static str,
}

/// The child: floods, and prints seconds, CPU seconds, peak, and of the ledger what was emitted, its own, and lost.
fn flood(case: &str) {
    let [to, threads, blocks] = case.split('/').collect::<Vec<_>>()[..] else { panic!("{case}") };
    let threads: u64 = threads.parse().unwrap();
    let url = std::env::var(support::URL).unwrap();
    let mut builder = Builder::new().shutdown_limit(Duration::ZERO);
    if blocks == "true" {
        builder = builder.overflow(Overflow::Block(Duration::from_secs(10)));
    }
    let logs = match to {
        FLOOR => None,
        "ndjson" => Some(builder.send_to(ndjson(&url))),
        "ndjson gzip" => Some(builder.send_to(ndjson(&url)).compression(Compression::Gzip)),
        "loki protobuf" => Some(builder.send_to(Loki::new(url))),
        "loki json" => Some(builder.send_to(Loki::new(url).encoding(Encoding::Json))),
        other => panic!("{other}"),
    };
    let logs = logs.map(|builder| builder.start().unwrap());
    match &logs {
        Some(logs) => logs.install(registry()).unwrap(),
        None => tracing::subscriber::set_global_default(registry().with(Text::default())).unwrap(),
    }
    let (cpu, begun) = (process::cpu(), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (thread * EVENTS..thread * EVENTS + EVENTS / threads).for_each(event));
        }
    });
    let report = logs.as_ref().map(|logs| logs.flush(Duration::from_secs(60)));
    let (took, cpu) = (begun.elapsed(), process::cpu() - cpu);
    print!("{} {} {} ", took.as_secs_f64(), cpu.as_secs_f64(), process::peak_memory());
    match report {
        None => println!("{EVENTS} 0 0"),
        Some(report) => {
            let ledger = report.ledger();
            assert!(report.settled() && ledger.balances(), "{report}");
            println!("{} {} {}", ledger.emitted, ledger.own, ledger.lost());
        }
    }
}

fn ndjson(url: &str) -> Destination {
    Ndjson::new(format!("{url}/insert/jsonline")).into()
}

fn run(case: &Case) -> Found {
    let mut store = OtherProcess::start();
    let child = Command::new(std::env::current_exe().unwrap())
        .env(support::CASE, format!("{}/{}/{}", case.to, case.threads, case.blocks))
        .env(support::URL, store.url())
        // Announcing losses on stderr is part of the work, but not of this table; it is shown if the run fails.
        .output()
        .unwrap();
    let line = String::from_utf8(child.stdout).unwrap();
    let numbers: Vec<f64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [seconds, cpu, peak, emitted, own, lost] = numbers[..] else {
        panic!("{} failed: {}", case.to, String::from_utf8_lossy(&child.stderr))
    };
    let (emitted, own, lost) = (emitted as u64, own as u64, lost as u64);
    let taken = store.taken();
    let arrived = emitted - lost;
    let books = match case.to {
        FLOOR => "",
        _ if emitted != EVENTS + own => "CALLS ARE MISSING",
        "loki json" => "ledger alone",
        _ if taken.records == arrived => "exact",
        _ => "DISAGREE",
    };
    if books == "DISAGREE" {
        println!("{}: the ledger says {arrived} arrived, the store {}", case.to, taken.records);
    }
    Found {
        rate: arrived as f64 / seconds,
        cpu,
        peak,
        lost,
        bytes: taken.bytes as f64 / arrived as f64,
        requests: taken.requests,
        books,
    }
}

fn main() {
    support::maybe_store();
    if let Ok(case) = std::env::var(support::CASE) {
        return flood(&case);
    }
    let cases = Case::all();
    let runs = support::number("RUNS", 3);
    println!("{} events as fast as possible: the median of {runs} runs; {}", thousands(EVENTS), support::machine());
    println!(
        "{:14} {:7} {:>5} {:>10} {:>7} {:>10} {:>9} {:>9} {:>12} {:>8}  books",
        "", "threads", "full", "a second", "CPU s", "of floor", "peak MiB", "lost", "bytes/record", "requests"
    );
    let mut found: Vec<Vec<Found>> = cases.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (case, found) in cases.iter().zip(&mut found) {
            found.push(run(case));
        }
    }
    let mut floor = f64::NAN;
    for (case, found) in cases.iter().zip(&mut found) {
        found.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let Found { rate, cpu, peak, lost, bytes, requests, .. } = found[found.len() / 2];
        if !case.sends() && case.threads == 1 {
            floor = cpu;
        }
        // One run in which they disagree is one too many.
        let books = found.iter().map(|found| found.books).find(|books| books.starts_with(char::is_uppercase));
        let full = if !case.sends() {
            ""
        } else if case.blocks {
            "block"
        } else {
            "drop"
        };
        println!(
            "{:14} {:7} {full:>5} {:>10} {cpu:7.2} {:9.1}x {peak:9.1} {:>9} {bytes:12.1} {requests:8}  {}",
            case.to,
            case.threads,
            thousands(rate as u64),
            cpu / floor,
            thousands(lost),
            books.unwrap_or(found[0].books),
        );
    }
}

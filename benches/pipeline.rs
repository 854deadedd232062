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
//! 2026-11-24, a quiet virtual machine with 2 cores of an AMD EPYC, Linux 6.18, rustc 1.95, load 1.1:
//!
//! ```text
//!                threads  full   a second   CPU s   of floor  peak MiB      lost bytes/record requests  books
//! text floor           1        3,371,897    0.29       1.0x       3.6         0          0.0        0
//! text floor           4        3,139,074    0.32       1.1x       3.8         0          0.0        0
//! ndjson               1 block  2,053,762    0.60       2.1x      14.4         0        405.9      398  exact
//! ndjson               4 block  1,911,190    0.65       2.2x      16.0         0        406.6      399  exact
//! ndjson               1  drop  1,736,729    0.27       0.9x      16.1   716,389        405.8      113  exact
//! ndjson               4  drop    747,715    0.18       0.6x      15.1   920,165        406.4       32  exact
//! ndjson gzip          1 block  1,517,112    0.78       2.7x      14.1         0         16.0      398  exact
//! ndjson gzip          4 block  1,459,659    0.82       2.8x      14.7         0         16.1      399  exact
//! ndjson gzip          1  drop  1,369,586    0.24       0.8x      13.8   813,969         15.8       74  exact
//! ndjson gzip          4  drop    745,019    0.20       0.7x      14.7   917,093         15.9       34  exact
//! loki protobuf        1 block  1,372,146    0.86       3.0x      16.4         0         23.5      204  exact
//! loki protobuf        4 block  1,462,565    0.80       2.8x      19.7         0         24.8      205  exact
//! loki protobuf        1  drop  1,271,506    0.27       0.9x      15.2   795,237         23.4       42  exact
//! loki protobuf        4  drop    905,423    0.20       0.7x      17.9   888,421         24.3       24  exact
//! loki json            1 block  1,694,126    0.70       2.4x      13.7         0        287.9      204  ledger alone
//! loki json            4 block  1,604,140    0.73       2.5x      15.8         0        288.7      205  ledger alone
//! loki json            1  drop  1,361,735    0.26       0.9x      16.4   790,117        287.8       43  ledger alone
//! loki json            4  drop    717,508    0.18       0.6x      16.1   918,117        288.5       18  ledger alone
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

//! A store that counts, in another process, so that what it takes is not ours.
//!
//! It knows just enough HTTP and just enough of each body. What has to be unpacked is kept and counted when somebody
//! asks, so that it takes little of the machine while a benchmark runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::figures::quantile;

const ROLE: &str = "BENCH_STORE";

/// The field that tells a store which was asked to stamp when a record was emitted, in nanoseconds since 1970.
pub const STAMP: &str = "sent_ns";

/// What a store that was asked to be slow takes over each request, however many there are.
pub const SLOW: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Shared {
    records: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    away: AtomicBool,
    stamping: AtomicBool,
    slow: AtomicBool,
    kept: Mutex<Vec<(Kind, Vec<u8>)>>,
    /// Nanoseconds from emitting to arrival.
    delays: Mutex<Vec<u64>>,
    /// When the first and the last body were taken.
    times: Mutex<Option<(Instant, Instant)>>,
}

/// How the records of a body are counted.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// By newlines, as they come.
    Lines,
    /// Newlines in gzip.
    Gzip,
    /// Loki's protobuf in snappy.
    Loki,
    Otlp,
}

/// Runs the store instead of the benchmark in the process that was started for it. Call it first in `main`.
pub fn maybe_store() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let shared = Arc::new(Shared::default());
    let served = Arc::clone(&shared);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&served);
            thread::spawn(move || serve(stream, &shared));
        }
    });
    // The parent asks with a line, gets a line, and ends us by closing the pipe.
    for line in std::io::stdin().lines() {
        let Ok(order) = line else { break };
        println!("{}", obey(&order, &shared));
    }
    std::process::exit(0);
}

fn obey(order: &str, shared: &Shared) -> String {
    match order {
        "away" | "back" => shared.away.store(order == "away", Ordering::SeqCst),
        "slow" => shared.slow.store(true, Ordering::SeqCst),
        "stamp" => shared.stamping.store(true, Ordering::SeqCst),
        "forget" => {
            for counter in [&shared.records, &shared.requests, &shared.bytes] {
                counter.store(0, Ordering::SeqCst);
            }
            shared.kept.lock().unwrap().clear();
            shared.delays.lock().unwrap().clear();
            *shared.times.lock().unwrap() = None;
        }
        "delays" => {
            let mut delays = shared.delays.lock().unwrap();
            let count = delays.len();
            let [p50, p99, most] = [0.5, 0.99, 1.0].map(|q| quantile(&mut delays, q));
            return format!("{count} {p50} {p99} {most}");
        }
        "span" => {
            let times = *shared.times.lock().unwrap();
            return times.map_or(0, |(first, last)| last.duration_since(first).as_nanos()).to_string();
        }
        _ => {
            for (kind, body) in shared.kept.lock().unwrap().drain(..) {
                shared.records.fetch_add(unpack(kind, &body), Ordering::SeqCst);
            }
            let [records, requests, bytes] =
                [&shared.records, &shared.requests, &shared.bytes].map(|counter| counter.load(Ordering::SeqCst));
            return format!("{records} {requests} {bytes}");
        }
    }
    "done".into()
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut buffer = vec![0; 256 * 1024];
    let mut held = 0;
    loop {
        let head = loop {
            if let Some(end) = buffer[..held].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut buffer[held..]) {
                Ok(0) | Err(_) => return,
                Ok(read) => held += read,
            }
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let header =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let is_loki = text.lines().next().is_some_and(|line| line.contains("/loki/"));
        let kind = match (header("content-encoding"), header("content-type")) {
            (Some("gzip"), _) => Kind::Gzip,
            (_, Some("application/x-protobuf")) => {
                if is_loki {
                    Kind::Loki
                } else {
                    Kind::Otlp
                }
            }
            _ => Kind::Lines,
        };
        let keep = kind != Kind::Lines || shared.stamping.load(Ordering::Relaxed);
        let (mut lines, mut body) = (0, Vec::with_capacity(if keep { length } else { 0 }));
        let mut left = length;
        let mut taken = (held - head).min(left);
        let mut from = head;
        loop {
            let piece = &buffer[from..from + taken];
            if keep {
                body.extend_from_slice(piece);
            } else {
                lines += newlines(piece);
            }
            left -= taken;
            if left == 0 {
                break;
            }
            (from, held) = (0, 0);
            let most = left.min(buffer.len());
            match stream.read(&mut buffer[..most]) {
                Ok(0) | Err(_) => return,
                Ok(read) => taken = read,
            }
        }
        if held > 0 {
            buffer.copy_within(from + taken..held, 0);
            held -= from + taken;
        }
        let answer: &[u8] = if shared.away.load(Ordering::SeqCst) {
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
        } else {
            if shared.slow.load(Ordering::Relaxed) {
                thread::sleep(SLOW);
            }
            shared.take(kind, lines, body, length);
            match is_loki {
                true => b"HTTP/1.1 204 No Content\r\n\r\n",
                false => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            }
        };
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

impl Shared {
    /// Before the answer goes out: whoever has it may ask at once.
    fn take(&self, kind: Kind, lines: u64, body: Vec<u8>, length: usize) {
        let now = Instant::now();
        let lines = match kind {
            Kind::Lines if !body.is_empty() => {
                self.stamp(&body);
                newlines(&body)
            }
            Kind::Lines => lines,
            // Lengths are enough, and keeping a flood of it would take more of the machine than that.
            Kind::Otlp => unpack(kind, &body),
            Kind::Gzip | Kind::Loki => {
                self.kept.lock().unwrap().push((kind, body));
                0
            }
        };
        self.records.fetch_add(lines, Ordering::SeqCst);
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(length as u64, Ordering::SeqCst);
        let mut times = self.times.lock().unwrap();
        *times = Some((times.map_or(now, |(first, _)| first), now));
    }

    fn stamp(&self, body: &[u8]) {
        let now = since_1970();
        let key = format!("\"{STAMP}\":");
        for line in String::from_utf8_lossy(body).lines() {
            let Some((_, rest)) = line.split_once(&key) else { continue };
            let digits: String = rest.chars().skip_while(|&c| c == '"').take_while(char::is_ascii_digit).collect();
            if let Ok(sent) = digits.parse::<u64>() {
                self.delays.lock().unwrap().push(now.saturating_sub(sent));
            }
        }
    }
}

/// Nanoseconds since 1970.
pub fn since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn unpack(kind: Kind, body: &[u8]) -> u64 {
    match kind {
        Kind::Lines => newlines(body),
        Kind::Gzip => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap();
            newlines(&plain)
        }
        // PushRequest.streams, StreamAdapter.entries
        Kind::Loki => messages(&snap::raw::Decoder::new().decompress_vec(body).unwrap(), &[1, 2]),
        // ExportLogsServiceRequest.resource_logs, ResourceLogs.scope_logs, ScopeLogs.log_records
        Kind::Otlp => messages(body, &[1, 2, 2]),
    }
}

/// How many messages of a protobuf body lie at the end of a path of field numbers.
fn messages(mut body: &[u8], path: &[u64]) -> u64 {
    let [field, rest @ ..] = path else { return 1 };
    let mut count = 0;
    while !body.is_empty() {
        let key = varint(&mut body);
        let length = match key & 7 {
            0 => {
                varint(&mut body);
                0
            }
            1 => 8,
            5 => 4,
            _ => varint(&mut body) as usize,
        };
        let (value, after) = body.split_at(length);
        body = after;
        if key == field << 3 | 2 {
            count += messages(value, rest);
        }
    }
    count
}

fn varint(body: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let Some((&byte, rest)) = body.split_first() {
        *body = rest;
        value |= u64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Newlines, eight bytes at a time, so that the store takes little of the machine.
fn newlines(bytes: &[u8]) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (mut chunks, mut count) = (bytes.chunks_exact(8), 0_u64);
    for chunk in chunks.by_ref() {
        let word = u64::from_le_bytes(chunk.try_into().unwrap()) ^ (LOW * u64::from(b'\n'));
        let zero = !((word & !HIGH).wrapping_add(!HIGH) | word | !HIGH);
        count += u64::from((zero & HIGH).count_ones());
    }
    count + chunks.remainder().iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// What a store has taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    pub records: u64,
    pub requests: u64,
    pub bytes: u64,
}

/// A store in another process, ended when this is dropped.
pub struct OtherProcess {
    child: Child,
    replies: BufReader<std::process::ChildStdout>,
    pub addr: String,
}

impl OtherProcess {
    pub fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut replies = BufReader::new(child.stdout.take().unwrap());
        let mut addr = String::new();
        replies.read_line(&mut addr).unwrap();
        Self { child, replies, addr: addr.trim().to_owned() }
    }

    /// Without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn ask(&mut self, order: &str) -> Vec<u64> {
        writeln!(self.child.stdin.as_mut().unwrap(), "{order}").unwrap();
        let mut line = String::new();
        self.replies.read_line(&mut line).unwrap();
        line.split_whitespace().filter_map(|number| number.parse().ok()).collect()
    }

    /// What it has taken so far.
    pub fn taken(&mut self) -> Taken {
        let [records, requests, bytes] = self.ask("count")[..] else { panic!("the store died") };
        Taken { records, requests, bytes }
    }

    /// Answers 503 from now on, or no longer.
    pub fn away(&mut self, away: bool) {
        self.ask(if away { "away" } else { "back" });
    }

    pub fn forget(&mut self) {
        self.ask("forget");
    }

    /// From now on: takes [`SLOW`] for each request.
    pub fn slow(&mut self) {
        self.ask("slow");
    }

    /// From now on: reads [`STAMP`] in each line.
    pub fn stamp(&mut self) {
        self.ask("stamp");
    }

    /// Of the stamps: how many, and the median, the 99th percentile and the largest delay.
    pub fn delays(&mut self) -> (u64, [Duration; 3]) {
        let [count, delays @ ..] = &self.ask("delays")[..] else { panic!("the store died") };
        (*count, [0, 1, 2].map(|at| Duration::from_nanos(delays[at])))
    }

    /// Between the first and the last body that it took.
    pub fn span(&mut self) -> Duration {
        Duration::from_nanos(self.ask("span")[0])
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

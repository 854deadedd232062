//! What the benchmarks share: a store in another process, and reading the process' own numbers.

#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const ROLE: &str = "LOGCHUTE_BENCH_STORE";

/// Runs the store instead of the benchmark in the process that was started for it. Call it first in `main`.
pub(crate) fn maybe_store() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let lines = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lines);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let lines = Arc::clone(&counted);
            thread::spawn(move || serve(stream, &lines));
        }
    });
    // The parent asks for the count with a line, and ends us by closing the pipe.
    for line in std::io::stdin().lines() {
        if line.is_err() {
            break;
        }
        println!("{}", lines.load(Ordering::SeqCst));
    }
    std::process::exit(0);
}

/// Reads requests and counts the lines of their bodies; knows just enough HTTP for that.
fn serve(mut stream: TcpStream, lines: &AtomicU64) {
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
        let length: usize =
            text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        let mut left = length;
        let newlines = |bytes: &[u8]| bytecount(bytes);
        let in_buffer = (held - head).min(left);
        let mut count = newlines(&buffer[head..head + in_buffer]);
        left -= in_buffer;
        buffer.copy_within(head + in_buffer..held, 0);
        held -= head + in_buffer;
        while left > 0 {
            let most = left.min(buffer.len());
            match stream.read(&mut buffer[..most]) {
                Ok(0) | Err(_) => return,
                Ok(read) => {
                    count += newlines(&buffer[..read]);
                    left -= read;
                }
            }
        }
        lines.fetch_add(count, Ordering::SeqCst);
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// Newlines, eight bytes at a time, so that the store takes little of the machine.
fn bytecount(bytes: &[u8]) -> u64 {
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

/// A store in another process, ended when this is dropped.
pub(crate) struct OtherProcess {
    child: Child,
    replies: BufReader<std::process::ChildStdout>,
    pub addr: String,
}

impl OtherProcess {
    pub(crate) fn start() -> Self {
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

    pub(crate) fn url(&self) -> String {
        format!("http://{}/ndjson", self.addr)
    }

    /// Lines received so far.
    pub(crate) fn lines(&mut self) -> u64 {
        writeln!(self.child.stdin.as_mut().unwrap()).unwrap();
        let mut line = String::new();
        self.replies.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// User and system time of this process.
pub(crate) fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The most memory that this process has had resident, in MiB.
pub(crate) fn peak_memory() -> f64 {
    status("VmHWM:") / 1024.0
}

/// What is resident now, in MiB.
pub(crate) fn memory() -> f64 {
    status("VmRSS:") / 1024.0
}

fn status(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

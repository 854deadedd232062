//! A store of one's own, in one file: what its requests look like, and what its answers mean. Queue, batches, retries,
//! bisection and the ledger come with it.
//!
//! ```text
//! cargo run --example custom_backend
//! ```
//!
//! The store here, `Pigeonhole`, is invented: it takes lines of `key="value"` pairs, answers with the numbers of the
//! lines that it refuses, and refuses those without a `customer`. Ends with 0 only if it has 8 lines, and the ledger
//! says that 2 were rejected.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use logchute::Builder;
use logchute::backend::{Backend, Batch, Delivery, Facts, Payload, Reply, Value, Verdict};
use tracing::{info, info_span};
use tracing_subscriber::prelude::*;

/// What one writes for a store that logchute does not know.
struct Pigeonhole {
    url: String,
}

impl Backend for Pigeonhole {
    fn facts(&self) -> Facts {
        // The store's own limits: the lane seals its batches by them.
        Facts::new("pigeonhole").delivery(Delivery::AtLeastOnce).batch_records(500).batch_bytes(256 * 1024)
    }

    fn url(&self) -> &str {
        &self.url
    }

    /// The same records make the same bytes, so that a request that is sent again is the same request.
    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let mut body = String::with_capacity(batch.cost());
        for record in batch.records() {
            // `{:?}` of a text escapes quotes and line feeds, so a record is always one line.
            let _ =
                write!(body, "time={} level={} message={:?}", record.unix_nanos(), record.severity(), record.message());
            for field in record.fields() {
                let _ = match field.value {
                    Value::Bool(value) => write!(body, " {}={value}", field.key),
                    Value::I64(value) => write!(body, " {}={value}", field.key),
                    Value::U64(value) => write!(body, " {}={value}", field.key),
                    Value::F64(value) => write!(body, " {}={value}", field.key),
                    Value::Str(value) => write!(body, " {}={value:?}", field.key),
                    other => write!(body, " {}={:?}", field.key, format!("{other:?}")),
                };
            }
            body.push('\n');
        }
        Payload::post("text/plain", body.into_bytes())
    }

    /// Only where the status alone does not tell: this store says 207 and the numbers of the lines that it refused.
    fn judge(&self, reply: &Reply) -> Verdict {
        if reply.status != 207 {
            return Verdict::of_status(reply);
        }
        let numbers = reply.text();
        let rejected = numbers.lines().filter_map(|line| line.parse().ok());
        Verdict::Items {
            fallback: Vec::new(),
            retry: Vec::new(),
            rejected: rejected.map(|at| (at, "no customer".to_owned())).collect(),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (url, received) = open_store()?;
    let logs = Builder::new().send_to(Pigeonhole { url }).service("custom-backend").start()?;
    tracing_subscriber::registry().with(logs.layer()).init();

    for order in 0..10_u64 {
        if order % 5 == 4 {
            info!(order, "an order of nobody");
        } else {
            let _span = info_span!("checkout", customer = format!("c-{order}")).entered();
            info!(order, total = 9.5, note = "two\nlines", "order placed");
        }
    }

    let report = logs.shutdown(Duration::from_secs(5));
    let lines: Vec<String> = received.try_iter().collect();
    for line in &lines {
        println!("{line}");
    }
    println!("\n{report}");

    let ledger = report.ledger();
    let to = &ledger.destinations[0];
    // Records of logchute itself, which announce a loss in the stream, have no customer either.
    let as_told = lines.len() == 8 && to.delivered == 8 && to.rejected == 2 + ledger.own && ledger.balances();
    if as_told { Ok(()) } else { Err("the numbers disagree".into()) }
}

/// The store: returns its URL, and what it keeps.
fn open_store() -> io::Result<(String, Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/lines", listener.local_addr()?);
    let (keep, kept) = channel();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let keep = keep.clone();
            thread::spawn(move || serve(connection, &keep));
        }
    });
    Ok((url, kept))
}

fn serve(mut connection: TcpStream, keep: &Sender<String>) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;

        let mut refused = String::new();
        for (number, line) in String::from_utf8_lossy(&body).lines().enumerate() {
            if line.contains(" customer=") {
                let _ = keep.send(line.to_owned());
            } else {
                let _ = writeln!(refused, "{number}");
            }
        }
        let status = if refused.is_empty() { "204 No Content" } else { "207 Multi-Status" };
        let length = if refused.is_empty() { String::new() } else { format!("content-length: {}\r\n", refused.len()) };
        write!(connection, "HTTP/1.1 {status}\r\n{length}\r\n{refused}")?;
    }
}

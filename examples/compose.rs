//! Beside what is there already: a `fmt` layer with an `EnvFilter` of its own. Neither mutes the other, and logchute's
//! filter can be changed while the program runs.
//!
//! ```text
//! cargo run --example compose
//! ```
//!
//! Ends with 0 only if each of the two has exactly what its own filter lets through.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use logchute::Builder;
use logchute::testing::Store;
use tracing::{debug, info, trace, warn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt};

fn main() -> Result<(), Box<dyn Error>> {
    let store = Store::new();
    let logs = Builder::new().send_to(store.backend()).service("compose").start()?;

    // The terminal shows warnings, and everything of the database.
    let terminal = Terminal::default();
    let fmt = fmt::layer()
        .with_writer(terminal.clone())
        .with_ansi(false)
        .without_time()
        .with_filter(EnvFilter::new("warn,database=debug"));

    // The store gets `info` and above, whatever the terminal shows.
    tracing_subscriber::registry().with(fmt).with(logs.layer()).init();

    work();
    let before = (terminal.lines(), arrived(&logs, &store));

    // During an incident: more for the store, without a restart. The terminal stays as it is.
    logs.set_filter("info,database=debug")?;
    work();
    let after = (terminal.lines() - before.0, arrived(&logs, &store) - before.1);

    println!("of 4 records                     terminal (warn, database=debug)   store");
    println!("filter info                      {:<33} {}", before.0, before.1);
    println!("filter info,database=debug       {:<33} {}", after.0, after.1);
    println!("\nThe terminal's copy:\n{}", terminal.text());
    println!("The store's:");
    for record in store.records() {
        println!("{record}");
    }

    let report = logs.shutdown(Duration::from_secs(5));
    println!("\n{report}");
    let as_told = before == (2, 2) && after == (2, 3) && report.ledger().balances();
    if as_told { Ok(()) } else { Err("one of the two muted the other".into()) }
}

fn work() {
    trace!("nobody wants this");
    debug!(target: "database", rows = 7, "for the terminal");
    info!("for the store");
    warn!("for both");
}

/// What the store has once all that was logged before has arrived.
fn arrived(logs: &logchute::Handle, store: &Store) -> usize {
    let report = logs.flush(Duration::from_secs(5));
    assert!(report.settled(), "{report}");
    store.count()
}

/// Stands in for stderr, so that its lines can be counted.
#[derive(Clone, Default)]
struct Terminal(Arc<Mutex<Vec<u8>>>);

impl Terminal {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn lines(&self) -> usize {
        self.text().lines().count()
    }
}

impl io::Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Terminal {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

//! From a program to a store and back, with nothing to install: logs through `tracing` and through `log` from three
//! threads, pushes to a small store inside this process, and prints what that store received.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! Ends with 0 only if the store has exactly as many records as were counted here, where they were logged.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use logchute::Builder;
use logchute::testing::Store;
use tracing::{error, info, info_span, instrument, warn};

/// What this program logged, counted without any help of logchute.
static LOGGED: AtomicUsize = AtomicUsize::new(0);

/// Logs, and counts it.
macro_rules! counted {
    ($log:expr) => {{
        LOGGED.fetch_add(1, Ordering::Relaxed);
        $log
    }};
}

fn main() -> Result<(), Box<dyn Error>> {
    // In a real program `logchute::init()?` does all of this, and LOGCHUTE_URL says where to.
    let store = Store::new();
    let logs = Builder::new().send_to(store.backend()).service("quickstart").start()?;
    logs.install(tracing_subscriber::registry())?;

    thread::scope(|scope| {
        for shop in ["berlin", "lisbon", "oslo"] {
            thread::Builder::new().name(shop.into()).spawn_scoped(scope, move || open(shop)).expect("a thread");
        }
    });

    let report = logs.shutdown(Duration::from_secs(5));

    println!("What the store received:\n");
    let mut records = store.records();
    records.sort_by_key(|record| record.time_nanos);
    for record in &records {
        println!("{record}");
    }
    println!("\nThe ledger, {report}\n");

    let (logged, stored) = (LOGGED.load(Ordering::Relaxed), store.count());
    println!("logged {logged}, stored {stored}");
    if logged == stored && report.ledger().balances() {
        Ok(())
    } else {
        Err("the store does not have what was logged".into())
    }
}

/// A day in a shop. What is logged inside carries the fields of the spans around it.
fn open(shop: &str) {
    let _day = info_span!("day", shop).entered();
    counted!(info!(staff = 3, "shop opened"));
    for order in 1..=2_u64 {
        serve(order, 19.90 * order as f64);
    }
    counted!(log::info!(orders = 2, rainy = true; "shop closed"));
}

#[instrument(fields(paid = tracing::field::Empty))]
fn serve(order: u64, total: f64) {
    counted!(info!(items = order + 1, "order placed"));
    // A library that knows only `log`: its records carry the span fields as well.
    counted!(log::warn!(sku = "AX-7", left = 1; "stock is low"));

    if order == 1 {
        tracing::Span::current().record("paid", true);
        counted!(info!("paid by card"));
    } else if let Err(error) = charge() {
        tracing::Span::current().record("paid", false);
        // The message, the type and the whole chain of causes become fields.
        counted!(error!(error = &error as &dyn Error, attempt = 2, "payment failed"));
        counted!(warn!("order kept for later\n  it will be charged again tonight"));
    }
}

fn charge() -> Result<(), Declined> {
    Err(Declined { cause: std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer from the terminal") })
}

#[derive(Debug)]
struct Declined {
    cause: std::io::Error,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "card declined")
    }
}

impl Error for Declined {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

//! A program that knows only `log`: no `tracing` anywhere, key-values included.
//!
//! ```text
//! cargo run --example log_facade
//! ```
//!
//! Ends with 0 only if the store has the four records that pass the filter, and none of the two that do not.

use std::error::Error;
use std::time::Duration;

use log::{debug, error, info, warn};
use logchute::Builder;
use logchute::testing::Store;

#[derive(serde::Serialize)]
struct Cart {
    items: Vec<&'static str>,
    voucher: Option<&'static str>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let store = Store::new();
    let logs = Builder::new().send_to(store.backend()).service("log-facade").start()?;
    log::set_boxed_logger(Box::new(logs.logger()))?;
    // What `log` lets through at all; what of it is sent is decided by the filter, `info` unless set.
    log::set_max_level(log::LevelFilter::Debug);

    info!("plain, as most libraries log");
    info!(user = 42, latency_ms = 12.7, cached = false; "numbers stay numbers");

    let cart = Cart { items: vec!["tea", "cup"], voucher: None };
    info!(cart:serde = cart; "nested values stay nested");

    if let Err(cause) = "forty-two".parse::<u32>() {
        error!(cause:err; "cannot read the quantity");
    }

    debug!("held back by the filter");
    log::trace!("not even offered");
    debug_assert!(log::log_enabled!(log::Level::Info));

    let report = logs.shutdown(Duration::from_secs(5));
    for record in store.records() {
        println!("{record}");
    }
    println!("\n{report}");

    // After the shutdown nothing is sent any more, and nothing is lost in silence either: it is counted.
    warn!("too late");
    let late = logs.ledger().dropped.of(logchute::Reason::Shutdown);
    println!("after the shutdown: {late} dropped");

    let as_told = store.count() == 4 && report.ledger().balances() && late == 1;
    if as_told { Ok(()) } else { Err("the numbers disagree".into()) }
}

//! How a service ends: stop taking work, finish what was begun, then settle what is owed, all with one deadline. First
//! with a store that is there, then with one that is not.
//!
//! ```text
//! cargo run --example graceful_shutdown        # ends by itself; Ctrl-C ends it earlier
//! ```
//!
//! Ends with 0 only if the first store has every record, and the second shutdown kept its deadline and accounted for all.

use std::error::Error;
use std::time::{Duration, Instant};

use logchute::backend::Ndjson;
use logchute::testing::Store;
use logchute::{Builder, Reason, Record, Severity};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::info;

/// What an orchestrator grants between its signal and its kill, with room left.
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    with_the_store_up().await?;
    with_the_store_away()
}

async fn with_the_store_up() -> Result<(), Box<dyn Error>> {
    let store = Store::new();
    let logs = Builder::new().send_to(store.backend()).service("graceful").start()?;
    logs.install(tracing_subscriber::registry())?;

    let (stop, stopped) = watch::channel(false);
    let workers: Vec<_> = (0..4).map(|number| tokio::spawn(work(number, stopped.clone()))).collect();

    // A real service waits for SIGTERM here as well: `tokio::signal::unix::signal(SignalKind::terminate())`.
    tokio::select! {
        _ = tokio::signal::ctrl_c() => info!("asked to stop"),
        () = sleep(Duration::from_millis(300)) => info!("enough for an example"),
    }

    // 1. Take no more work, and finish what was begun.
    stop.send(true)?;
    let mut jobs = 0;
    for worker in workers {
        jobs += worker.await?;
    }
    info!(jobs, "all workers are done");

    // 2. Only then settle what is owed. Dropping `logs` would do it too, with the limit of LOGCHUTE_SHUTDOWN; this way
    //    the report can be looked at. `flush_async` leaves the runtime free meanwhile.
    let report = logs.flush_async(LIMIT).await;
    println!("store up:   {report}");
    if store.count() != jobs + 2 || !report.settled() {
        return Err(format!("{} records logged, {} stored", jobs + 2, store.count()).into());
    }
    Ok(())
}

/// Does jobs until told to stop, and returns how many.
async fn work(number: u32, stopped: watch::Receiver<bool>) -> usize {
    let mut jobs = 0;
    while !*stopped.borrow() {
        sleep(Duration::from_millis(10)).await;
        jobs += 1;
        info!(worker = number, job = jobs, "job done");
    }
    jobs
}

/// Nobody listens. What is owed cannot be delivered, so it is counted as dropped at the deadline, and told on stderr.
fn with_the_store_away() -> Result<(), Box<dyn Error>> {
    let limit = Duration::from_millis(500);
    let logs = Builder::new().send_to(Ndjson::new("http://127.0.0.1:9")).service("graceful").start()?;
    for job in 0..100_u64 {
        logs.emit(Record::new(Severity::Info, "job done").field("job", job));
    }

    let began = Instant::now();
    let report = logs.shutdown(limit);
    let took = began.elapsed();
    println!("store away: {report}");

    let ledger = report.ledger();
    let dropped = ledger.destinations[0].dropped.of(Reason::Deadline);
    if ledger.emitted - ledger.own != 100 || dropped != ledger.emitted || !ledger.balances() {
        return Err("not all is accounted for".into());
    }
    if took > limit + Duration::from_secs(2) {
        return Err(format!("the limit was {limit:?}, and it took {took:?}").into());
    }
    Ok(())
}

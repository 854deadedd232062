//! A server that ends and comes back while records flow to it: what it holds afterwards.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use logchute::{Builder, Handle, Overflow, Record, Severity};

use crate::there_and_back::{NUMBER, number_of, read, service};
use crate::way::Way;

/// How often the server is interrupted.
const TIMES: u64 = 3;

/// How many records must be delivered between two interruptions.
const BETWEEN: u64 = 2_000;

/// How many records are emitted at once, a millisecond after those before.
const BURST: u64 = 5;

/// How long delivery may stand still.
const PATIENCE: Duration = Duration::from_secs(90);

/// What became of the records of a flood. None was dropped or rejected, as the ledger says.
pub(crate) struct Outcome {
    pub(crate) emitted: u64,
    /// How many of them the server does not hold.
    pub(crate) lost: u64,
    /// How many it holds a second time, or more often.
    pub(crate) twice: u64,
    /// How many it holds that nobody emitted.
    pub(crate) foreign: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { emitted, lost, twice, foreign } = self;
        write!(f, "{emitted} emitted, {lost} lost, {twice} twice, {foreign} foreign")
    }
}

/// Lets records flow by that way, and interrupts the server three times, each time after some were delivered.
///
/// `interrupt` ends the server and starts it again. Meanwhile emitting goes on.
pub(crate) fn flood(way: &dyn Way, mut interrupt: impl FnMut()) -> Outcome {
    let service = service();
    let logs = Builder::new()
        .send_to(way.destination())
        .service(&service)
        .backlog_bytes(128 << 20)
        .overflow(Overflow::Block(PATIENCE))
        .start()
        .unwrap();

    let (stop, stopped) = channel::<()>();
    let emitted = Arc::new(AtomicU64::new(0));
    let emitter = thread::spawn({
        let (logs, emitted) = (logs.clone(), emitted.clone());
        move || {
            while stopped.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                for _ in 0..BURST {
                    let number = emitted.fetch_add(1, Ordering::Relaxed);
                    logs.emit(Record::new(Severity::Info, format!("drop {number}")).field(NUMBER, number));
                }
            }
        }
    });
    for _ in 0..TIMES {
        let reached = delivered(&logs) + BETWEEN;
        wait_for_delivery(&logs, reached);
        interrupt();
    }
    // It takes what is owed, and what is emitted now.
    let reached = emitted.load(Ordering::Relaxed) + BETWEEN;
    wait_for_delivery(&logs, reached);
    drop(stop);
    emitter.join().expect("the emitter");

    let report = logs.shutdown(PATIENCE);
    let (ledger, emitted) = (report.ledger(), emitted.load(Ordering::Relaxed));
    assert!(report.settled() && ledger.balances(), "{report}");
    assert_eq!((ledger.emitted - ledger.own, ledger.lost()), (emitted, 0), "{report}");

    let mut outcome = Outcome { emitted, lost: 0, twice: 0, foreign: 0 };
    let mut numbers = BTreeSet::new();
    for found in read(way, &service, usize::try_from(emitted).unwrap()) {
        match number_of(way, &found) {
            Some(number) if number < emitted => outcome.twice += u64::from(!numbers.insert(number)),
            _ => outcome.foreign += 1,
        }
    }
    outcome.lost = emitted - numbers.len() as u64;
    println!("{outcome}");
    outcome
}

fn delivered(logs: &Handle) -> u64 {
    logs.ledger().destinations.iter().map(|to| to.delivered).sum()
}

fn wait_for_delivery(logs: &Handle, reached: u64) {
    let deadline = Instant::now() + PATIENCE;
    while delivered(logs) < reached {
        assert!(Instant::now() < deadline, "{}", logs.ledger());
        thread::sleep(Duration::from_millis(1));
    }
}

//! What a record costs its thread in allocations: none where its frame fits the slot of the queue, one where not.
//!
//! In a process of its own, because of the allocator. Only those of the calling thread are counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use logchute::backend::{Backend, Batch, Facts, Ndjson, Payload, RecordRef};
use logchute::testing::Store;
use logchute::{Builder, Guard, Reason};
use tracing::subscriber::with_default;
use tracing::{debug, error, info, info_span};
use tracing_subscriber::prelude::*;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// The lint is the crate's; an allocator cannot be had without it.
#[allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]
// SAFETY: all is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 1_000;

/// Longer than any of this takes; never waited for in full.
const LIMIT: Duration = Duration::from_secs(30);

/// Allocations of this thread in a thousand rounds, after three that warm up.
fn allocations(mut round: impl FnMut(usize)) -> usize {
    (0..3).for_each(&mut round);
    let before = COUNT.get();
    (0..ROUNDS).for_each(round);
    COUNT.get() - before
}

/// Room for all that a test emits, whenever the worker comes by.
fn pipeline(store: &Store) -> Guard {
    let room = 16 << 20;
    Builder::new().send_to(store.backend()).no_tee().queue_bytes(room).start().unwrap()
}

#[track_caller]
fn assert_all_arrived(logs: &Guard, store: &Store, records: usize) {
    let report = logs.shutdown(LIMIT);
    assert!(report.settled() && report.ledger().balances(), "{report}");
    assert_eq!(store.count(), records);
}

fn event(i: usize) {
    info!(user_id = i, latency_ms = 12.7, path = "/api/v1/items", method = "GET", "request completed");
}

#[test]
fn a_record_that_fits_its_slot_costs_none() {
    let store = Store::counting();
    let logs = pipeline(&store);
    with_default(tracing_subscriber::registry().with(logs.layer()), || {
        assert_eq!(allocations(event), 0, "message and four fields");
        assert_eq!(allocations(|i| info!("formatted {i}")), 0);
        assert_eq!(allocations(|i| error!(%i, debug = ?Some(i), bytes = &[1_u8, 2][..], "text forms")), 0);
        let in_two = info_span!("request", request_id = "01JD9Z", user_id = 7).entered();
        assert_eq!(allocations(event), 0, "in a span with two fields");
        drop(in_two);
        let five = ["a", "b", "c", "d", "e"].map(|name| info_span!("nested", name).entered());
        assert_eq!(allocations(|i| info!(i, "deep")), 0, "in five nested spans");
        five.into_iter().rev().for_each(drop);
        assert_eq!(allocations(|_| debug!(a = 1, "disabled")), 0, "disabled");
    });
    assert_all_arrived(&logs, &store, 5 * (ROUNDS + 3));
}

#[test]
fn a_log_record_costs_none() {
    let store = Store::counting();
    let logs = pipeline(&store);
    let logger = logs.logger();
    with_default(tracing_subscriber::registry().with(logs.layer()), || {
        let _span = info_span!("s", a = 1, b = "two").entered();
        let pairs = [("user", 42), ("left", 3)];
        let costs = allocations(|i| {
            let mut record = log::Record::builder();
            record.level(log::Level::Info).target("shop").file(Some("src/shop.rs")).line(Some(12)).key_values(&pairs);
            log::Log::log(&logger, &record.args(format_args!("sold {i}")).build());
        });
        assert_eq!(costs, 0);
    });
    assert_all_arrived(&logs, &store, ROUNDS + 3);
}

#[test]
fn a_record_that_is_longer_than_its_slot_costs_one() {
    let store = Store::counting();
    let logs = pipeline(&store);
    let text = "x".repeat(500);
    with_default(tracing_subscriber::registry().with(logs.layer()), || {
        assert_eq!(allocations(|i| info!(i, text, "long")), ROUNDS);
        assert_eq!(allocations(|_| info!("{text}{text}")), ROUNDS);
        let spans = [1, 2, 3].map(|n| info_span!("long", n, text).entered());
        assert_eq!(allocations(event), ROUNDS, "long by its spans");
        spans.into_iter().rev().for_each(drop);
    });
    assert_all_arrived(&logs, &store, 3 * (ROUNDS + 3));
}

/// Keeps the worker waiting while it asks what a record costs, until the test lets go.
struct Stuck {
    backend: Ndjson,
    here: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Backend for Stuck {
    fn facts(&self) -> Facts {
        self.backend.facts()
    }
    fn url(&self) -> &str {
        self.backend.url()
    }
    fn cost(&self, record: &RecordRef<'_>) -> usize {
        let _ = self.here.send(());
        // Ends at once when the test has dropped its end.
        let _ = self.go_on.lock().unwrap().recv();
        self.backend.cost(record)
    }
    fn encode(&self, batch: &Batch<'_>) -> Payload {
        self.backend.encode(batch)
    }
}

#[test]
fn a_record_for_which_the_queue_has_no_room_costs_none() {
    let store = Store::counting();
    let (here, is_here) = mpsc::channel();
    let (let_go, go_on) = mpsc::channel();
    let stuck = Stuck { backend: store.backend(), here, go_on: Mutex::new(go_on) };
    let logs = Builder::new().send_to(stuck).no_tee().queue_bytes(1 << 20).start().unwrap();
    with_default(tracing_subscriber::registry().with(logs.layer()), || {
        error!("wakes the worker");
        is_here.recv_timeout(LIMIT).unwrap();
        (0..4_000).for_each(event);
        let before = logs.ledger().dropped.of(Reason::QueueFull);
        assert!(before > 0);
        assert_eq!(allocations(event), 0);
        assert_eq!(logs.ledger().dropped.of(Reason::QueueFull) - before, (ROUNDS + 3) as u64);
    });
    drop(let_go);
    let report = logs.shutdown(LIMIT);
    assert!(report.settled() && report.ledger().balances(), "{report}");
}

#[test]
fn a_record_after_the_shutdown_costs_none() {
    let store = Store::counting();
    let logs = pipeline(&store);
    with_default(tracing_subscriber::registry().with(logs.layer()), || {
        assert_all_arrived(&logs, &store, 0);
        assert_eq!(allocations(event), 0);
    });
    assert_eq!(logs.ledger().dropped.of(Reason::Shutdown), (ROUNDS + 3) as u64);
}

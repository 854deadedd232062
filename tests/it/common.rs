//! What the tests share: a backend that does what a test says, numbered records, and auditors of what arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use logchute::backend::{Backend, Batch, Facts, Payload, RecordRef, Reply, Verdict};
use logchute::testing::{Received, Store};
use logchute::{Builder, Destination, Handle, Reason, Record, Report, Schedule, Severity};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

/// Longer than anything takes that goes well, also on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// What a deadline may be missed by on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_secs(2);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

type OnCost = Box<dyn Fn(&RecordRef<'_>) -> usize + Send + Sync>;
type OnEncode = Box<dyn Fn(&Batch<'_>) + Send + Sync>;
type OnJudge = Box<dyn Fn(&Reply) -> Verdict + Send + Sync>;

/// A backend whose steps a test can look into. One JSON object a line: id, nanos, level, message, own.
pub(crate) struct Plain {
    url: String,
    facts: Facts,
    cost: Option<OnCost>,
    encode: Option<OnEncode>,
    judge: Option<OnJudge>,
}

impl Plain {
    pub(crate) fn to(store: &Store) -> Self {
        Self::at(format!("{}/plain", store.url()))
    }

    pub(crate) fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), facts: Facts::new("plain"), cost: None, encode: None, judge: None }
    }

    pub(crate) fn on_cost(mut self, cost: impl Fn(&RecordRef<'_>) -> usize + Send + Sync + 'static) -> Self {
        self.cost = Some(Box::new(cost));
        self
    }

    /// Called before each request is built.
    pub(crate) fn on_encode(mut self, encode: impl Fn(&Batch<'_>) + Send + Sync + 'static) -> Self {
        self.encode = Some(Box::new(encode));
        self
    }

    pub(crate) fn on_judge(mut self, judge: impl Fn(&Reply) -> Verdict + Send + Sync + 'static) -> Self {
        self.judge = Some(Box::new(judge));
        self
    }

    pub(crate) fn facts(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }

    /// At most so many records in a request.
    pub(crate) fn batches_of(mut self, records: usize) -> Self {
        self.facts = self.facts.batch_records(records);
        self
    }

    /// With waits of a millisecond between attempts.
    pub(crate) fn quick(self) -> Destination {
        Destination::new(self).retry(Every(ms(1)))
    }
}

impl Backend for Plain {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        self.cost.as_ref().map_or_else(|| record.message().len() + 120, |cost| cost(record))
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        if let Some(encode) = &self.encode {
            encode(batch);
        }
        let lines: String = batch
            .records()
            .map(|record| {
                let line = serde_json::json!({
                    "id": record.id().to_string(),
                    "nanos": record.unix_nanos(),
                    "level": record.severity().to_string(),
                    "message": record.message(),
                    "own": record.is_own(),
                });
                format!("{line}\n")
            })
            .collect();
        Payload::post("application/x-ndjson", lines.into_bytes())
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        self.judge.as_ref().map_or_else(|| Verdict::of_status(reply), |judge| judge(reply))
    }
}

/// The same wait each time.
pub(crate) struct Every(pub(crate) Duration);

impl Schedule for Every {
    fn next(&mut self, _: f64) -> Option<Duration> {
        Some(self.0)
    }

    fn reset(&mut self) {}
}

/// What was said on the diagnostic hook.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn write(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }

    /// The lines that hold this text.
    pub(crate) fn about(&self, text: &str) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains(text)).collect()
    }
}

/// A pipeline to that destination that writes its diagnostics into a diary; a batch is sealed by size or flush only.
pub(crate) fn to(destination: impl Into<Destination>) -> (Builder, Diary) {
    let diary = Diary::default();
    let there = diary.clone();
    let builder = Builder::new()
        .send_to(destination)
        .linger(Duration::from_secs(60))
        .on_diagnostic(move |line: &str| there.write(line));
    (builder, diary)
}

/// Opens once; whoever passes waits for that.
#[derive(Clone, Default)]
pub(crate) struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let (open, timeout) = self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), LONG, |open| !*open).unwrap();
        assert!(*open && !timeout.timed_out(), "nobody came within {LONG:?}");
    }
}

/// A backend that stands still in its first `encode` until it is released.
pub(crate) struct Stall {
    stalled: Latch,
    released: Latch,
}

impl Stall {
    pub(crate) fn new(plain: Plain) -> (Self, Plain) {
        let stall = Self { stalled: Latch::default(), released: Latch::default() };
        let (stalled, released) = (stall.stalled.clone(), stall.released.clone());
        let plain = plain.on_encode(move |_| {
            stalled.open();
            released.pass();
        });
        (stall, plain)
    }

    /// Emits a record and waits until the worker stands still over it.
    pub(crate) fn begin(&self, logs: &Handle) {
        logs.emit(Record::new(Severity::Error, "0:0"));
        self.stalled.pass();
    }

    pub(crate) fn end(&self) {
        self.released.open();
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.released.open();
    }
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        thread::sleep(ms(1));
    }
}

/// The record `seq` of thread `thread`, from 1.
pub(crate) fn record(thread: usize, seq: usize) -> Record {
    Record::new(Severity::Info, format!("{thread}:{seq}"))
}

/// Emits `each` numbered records from this thread, which is thread 1.
pub(crate) fn emit(logs: &Handle, each: usize) {
    (1..=each).for_each(|seq| logs.emit(record(1, seq)));
}

/// Each of so many threads logs `each` numbered records through `tracing`; `pause` is called after each.
pub(crate) fn log(logs: &Handle, threads: usize, each: usize, pause: impl Fn(usize) + Sync) {
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(logs.layer()));
    thread::scope(|scope| {
        for thread in 1..=threads {
            let (dispatch, pause) = (&dispatch, &pause);
            scope.spawn(move || {
                tracing::dispatcher::with_default(dispatch, || {
                    for seq in 1..=each {
                        tracing::info!(thread, seq, "{thread}:{seq}");
                        pause(seq);
                    }
                });
            });
        }
    });
}

/// Who emitted it, and its number; none where it is not one of ours.
pub(crate) fn number(record: &Received) -> Option<(usize, usize)> {
    let (thread, seq) = record.message.split_once(':')?;
    Some((thread.parse().ok()?, seq.parse().ok()?))
}

/// The time and id by which a store sorts.
fn key(record: &Received) -> (i64, String) {
    let nanos = record.time_nanos.or_else(|| record.get("nanos")?.as_i64());
    (nanos.expect("a record has a time"), record.id.clone().expect("a record has an id"))
}

/// The numbers of each thread, sorted by stored time and id, each record once.
pub(crate) fn numbers(records: &[Received]) -> BTreeMap<usize, Vec<usize>> {
    let mut sorted: Vec<_> = records.iter().map(|record| (key(record), number(record))).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut numbers = BTreeMap::<_, Vec<_>>::new();
    for (thread, seq) in sorted.into_iter().filter_map(|(_, number)| number) {
        numbers.entry(thread).or_default().push(seq);
    }
    numbers
}

/// All records of all threads are there, in order per thread, with ids and times of their own.
#[track_caller]
pub(crate) fn all_there(records: &[Received], threads: usize, each: usize) {
    let numbers = numbers(records);
    assert_eq!(numbers.keys().copied().collect::<Vec<_>>(), (1..=threads).collect::<Vec<_>>());
    for (thread, numbers) in numbers {
        let gap = numbers.iter().zip(1..).find(|(is, must)| **is != *must);
        assert!(gap.is_none() && numbers.len() == each, "thread {thread}: {gap:?}, {} of {each}", numbers.len());
    }
    let keys: BTreeSet<_> = records.iter().map(key).collect();
    let (times, ids): (BTreeSet<_>, BTreeSet<_>) = keys.iter().cloned().unzip();
    assert_eq!((times.len(), ids.len()), (keys.len(), keys.len()), "a time or an id occurs twice");
    // Ids end in a number of fixed length that counts in the order of the times.
    assert!(keys.iter().zip(keys.iter().skip(1)).all(|(one, next)| one.1 < next.1), "ids are not in order of time");
}

/// The same, and none came twice.
#[track_caller]
pub(crate) fn exactly_once(store: &Store, threads: usize, each: usize) {
    let records: Vec<_> = store.records().into_iter().filter(|record| !is_own(record)).collect();
    all_there(&records, threads, each);
    assert_eq!(records.len(), threads * each, "some came twice");
}

pub(crate) fn is_own(record: &Received) -> bool {
    ["own", "logchute.own"].into_iter().filter_map(|key| record.get(key)).any(|own| *own == true)
}

/// The books of the only destination: delivered, rejected, dropped.
pub(crate) fn books(report: &Report) -> (u64, u64, u64) {
    let to = &report.ledger().destinations[0];
    (to.delivered, to.rejected, to.dropped.total())
}

pub(crate) fn dropped(report: &Report, reason: Reason) -> u64 {
    report.ledger().destinations[0].dropped.of(reason)
}

/// Shuts down, and checks that all was settled and the books balance.
#[track_caller]
pub(crate) fn settle(logs: &Handle) -> Report {
    let report = logs.shutdown(LONG);
    assert!(report.settled(), "{report}");
    assert!(report.ledger().balances(), "{report}");
    assert_eq!(report.ledger().unsettled(), 0, "{report}");
    report
}

/// The same, where the report is of no further interest.
#[track_caller]
pub(crate) fn close(logs: &Handle) {
    let _ = settle(logs);
}

/// Runs the test in a process of its own, for what is global or is measured by process. `name` is its path in here.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "LOGCHUTE_IT_ALONE";
    if std::env::var(ALONE).is_ok_and(|alone| alone == name) {
        return test();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, name)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{}: {text}", output.status);
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

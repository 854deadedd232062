//! A capture that is scoped to a test.
//!
//! It is a pipeline without a network: the same layer, logger and frames, and at the end of each frame a list in
//! memory. It stands on its thread's default subscriber and, for `log`, on a router that is the process's logger.
//!
//! Two caches of the process could mute it. `tracing` remembers of each callsite whether anyone wants it; where it
//! knows of one subscriber at most it asks the thread that comes by first, which in a test is often one without any,
//! and never asks again. So two more subscribers are made that want to be asked each time, once and for good. `log`
//! has a level for all, which is opened.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::dispatcher::{self, DefaultGuard, Dispatch};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber, span};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::Received;
use crate::capture::{self, Filters, Home, Intake, LiveFilter, Logger};
use crate::config::{Overflow, parse_filter};
use crate::ledger::Losses;
use crate::queue::Queue;
use crate::tee::Direct;

/// Captures what this thread logs, through `tracing` and through `log`, until the value is dropped.
///
/// Tests may run in parallel, each has its own. Other threads are covered once they are
/// [attached](CaptureHandle::attach). A later `capture()` on the same thread takes over until it is dropped. All levels
/// are captured; [`filter`](Capture::filter) narrows that.
///
/// Records of `log` are captured where the process has no other logger, see [`covers_log`](Capture::covers_log).
///
/// # Examples
///
/// ```
/// let logs = logchute::testing::capture();
/// let _request = tracing::info_span!("request", user = 42).entered();
///
/// tracing::warn!(left = 3, "almost sold out");
/// log::info!("sold");
///
/// assert_eq!(logs.messages(), ["almost sold out", "sold"]);
/// let records = logs.records();
/// assert_eq!(records[0].level, "warn");
/// assert_eq!(records[0].get("left"), Some(&3.into()));
/// assert_eq!(records[1].get("user"), Some(&42.into()));
/// ```
#[must_use = "it captures until it is dropped, so bind it to a name (`let logs = ...`)"]
pub fn capture() -> Capture {
    never_mute();
    let handle = CaptureHandle { shared: Arc::new(Shared::new()) };
    Capture { _attached: handle.attach(), handle }
}

/// What a test logs; made by [`capture`].
///
/// It cannot leave its thread; what can is its [`handle`](Self::handle).
pub struct Capture {
    _attached: Attached,
    handle: CaptureHandle,
}

impl Capture {
    /// Captures no more than these directives let pass, for instance `info,hyper=warn`. Spans pass all the same.
    ///
    /// # Panics
    ///
    /// If a directive is malformed.
    ///
    /// # Examples
    ///
    /// ```
    /// let logs = logchute::testing::capture().filter("info");
    /// tracing::debug!("not that important");
    /// assert!(logs.messages().is_empty());
    /// ```
    #[must_use = "it captures until it is dropped, so bind it to a name (`let logs = ...`)"]
    #[track_caller]
    pub fn filter(self, directives: &str) -> Self {
        match parse_filter("filter", directives) {
            Ok((filter, _)) => self.handle.shared.intake.filters.set_events(filter),
            Err(error) => panic!("{error}"),
        }
        self
    }

    /// The records so far, in the order in which they came, each as a store would have received it as NDJSON.
    ///
    /// Their ids count from 0.
    #[must_use]
    pub fn records(&self) -> Vec<Received> {
        self.handle.shared.kept.lock().clone()
    }

    /// The messages of [`records`](Self::records).
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.handle.shared.kept.lock().iter().map(|record| record.message.clone()).collect()
    }

    /// How many records there are so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.handle.shared.kept.lock().len()
    }

    /// Waits until there are so many records, at most for `limit`; says whether there are.
    pub fn wait_for(&self, count: usize, limit: Duration) -> bool {
        let kept = &self.handle.shared.kept;
        let began = Instant::now();
        let mut records = kept.lock();
        while records.len() < count {
            let Some(left) = limit.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else { return false };
            records = kept.more.wait_timeout(records, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Forgets the records so far.
    pub fn forget(&self) {
        self.handle.shared.kept.lock().clear();
    }

    /// Records that could not be captured, because they began inside one another without end, or because the code
    /// that was to write them panicked.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.handle.shared.intake.queue.losses()
    }

    /// Whether records of `log` are captured.
    ///
    /// They are, unless another logger was installed before the process's first capture: `log` has one logger for
    /// good, and that gets them then.
    #[must_use]
    pub fn covers_log(&self) -> bool {
        ROUTES.load(Ordering::Acquire)
    }

    /// For other threads, and for tasks that run on them.
    #[must_use]
    pub fn handle(&self) -> CaptureHandle {
        self.handle.clone()
    }

    /// A layer that puts the records into this capture, to test a subscriber of your own: as the default of a thread
    /// it stands in place of the capture's own subscriber.
    ///
    /// # Examples
    ///
    /// ```
    /// use tracing_subscriber::layer::SubscriberExt;
    ///
    /// let logs = logchute::testing::capture();
    /// let mine = tracing_subscriber::registry().with(logs.layer()).with(tracing_subscriber::fmt::layer());
    /// tracing::subscriber::with_default(mine, || tracing::info!("to both"));
    /// assert_eq!(logs.messages(), ["to both"]);
    /// ```
    #[must_use = "a layer does nothing until it is part of a subscriber"]
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        capture::layer(Arc::clone(&self.handle.shared.intake), ())
    }
}

// What a capture shares with other threads stays whole when one of them panics.
impl std::panic::RefUnwindSafe for Capture {}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.records().iter().map(ToString::to_string)).finish()
    }
}

/// One line for each record.
impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.records().iter().try_for_each(|record| writeln!(f, "{record}"))
    }
}

/// Lets other threads log into a [`Capture`].
///
/// It may outlive the capture; then nobody sees what it takes.
///
/// # Examples
///
/// ```
/// let logs = logchute::testing::capture();
/// let handle = logs.handle();
/// std::thread::spawn(move || handle.run(|| tracing::info!("from over there"))).join().unwrap();
/// assert_eq!(logs.messages(), ["from over there"]);
/// ```
#[derive(Clone)]
pub struct CaptureHandle {
    shared: Arc<Shared>,
}

impl CaptureHandle {
    /// Captures what the current thread logs, until the value is dropped.
    pub fn attach(&self) -> Attached {
        ATTACHED.with(|attached| attached.borrow_mut().push(Arc::clone(&self.shared)));
        Attached { shared: Arc::clone(&self.shared), _default: dispatcher::set_default(&self.shared.dispatch) }
    }

    /// Captures what the closure logs on the current thread.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let _attached = self.attach();
        work()
    }

    /// Captures what the future logs, on whatever threads it is polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
    /// let logs = logchute::testing::capture();
    /// tokio::spawn(logs.handle().follow(async { tracing::info!("from a task") })).await.unwrap();
    /// assert_eq!(logs.messages(), ["from a task"]);
    /// # });
    /// ```
    pub fn follow<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let handle = self.clone();
        let mut future = Box::pin(future);
        std::future::poll_fn(move |context| handle.run(|| future.as_mut().poll(context)))
    }
}

impl fmt::Debug for CaptureHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureHandle").field("records", &self.shared.kept.lock().len()).finish()
    }
}

/// A thread is attached to a [`Capture`] as long as this is there.
#[must_use = "the thread is attached until this is dropped, so bind it to a name (`let _attached = ...`)"]
pub struct Attached {
    shared: Arc<Shared>,
    _default: DefaultGuard,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let taken = ATTACHED.try_with(|attached| {
            let mut attached = attached.borrow_mut();
            let place = attached.iter().rposition(|shared| Arc::ptr_eq(shared, &self.shared))?;
            Some(attached.remove(place))
        });
        // It may be the last one, and is not dropped under the borrow.
        drop(taken);
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").finish_non_exhaustive()
    }
}

/// What all threads of a capture share.
struct Shared {
    kept: Arc<Kept>,
    intake: Arc<Intake>,
    dispatch: Dispatch,
    logger: Logger<()>,
}

impl Shared {
    fn new() -> Self {
        let kept = Arc::new(Kept::default());
        let everything = Targets::new().with_default(LevelFilter::TRACE);
        let filters = Filters { events: everything.clone(), spans: everything, tee: None, lanes: vec![None] };
        let direct = Direct::to_test({
            let kept = Arc::clone(&kept);
            move |record| kept.keep(Received::from_record(record))
        });
        let intake = Arc::new(Intake {
            // Only counts what could not be captured.
            queue: Queue::new(0, Overflow::DropNewest),
            filters: Arc::new(LiveFilter::new(filters)),
            direct: Some(direct),
            home: Home::here(None),
        });
        let subscriber = tracing_subscriber::registry().with(capture::layer(Arc::clone(&intake), ()));
        Self { kept, dispatch: Dispatch::new(subscriber), logger: Logger::new(Arc::clone(&intake), ()), intake }
    }
}

#[derive(Default)]
struct Kept {
    records: Mutex<Vec<Received>>,
    more: Condvar,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Vec<Received>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, record: Received) {
        self.lock().push(record);
        self.more.notify_all();
    }
}

thread_local! {
    /// The captures of this thread, the current one last.
    static ATTACHED: RefCell<Vec<Arc<Shared>>> = const { RefCell::new(Vec::new()) };
}

/// Whether the router is the process's logger.
static ROUTES: AtomicBool = AtomicBool::new(false);

/// Hands a record of `log` to the capture of the thread that made it.
struct Router;

impl Router {
    /// The borrow ends before code of the application runs.
    fn current() -> Option<Arc<Shared>> {
        ATTACHED.try_with(|attached| attached.borrow().last().cloned()).ok()?
    }
}

impl log::Log for Router {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        Self::current().is_some_and(|shared| shared.logger.enabled(metadata))
    }

    fn log(&self, record: &log::Record<'_>) {
        if let Some(shared) = Self::current() {
            shared.logger.log(record);
        }
    }

    fn flush(&self) {}
}

/// Takes care that nothing is muted for a thread because another one does not want it.
fn never_mute() {
    static ASKED_EACH_TIME: LazyLock<[Dispatch; 2]> = LazyLock::new(|| {
        if log::set_logger(&Router).is_ok() {
            ROUTES.store(true, Ordering::Release);
        }
        [Dispatch::new(AskedEachTime), Dispatch::new(AskedEachTime)]
    });
    LazyLock::force(&ASKED_EACH_TIME);
    if ROUTES.load(Ordering::Acquire) {
        log::set_max_level(log::LevelFilter::Trace);
    }
}

/// A subscriber that no thread ever has: that it exists makes `tracing` ask a thread's own, for each event.
struct AskedEachTime;

impl Subscriber for AskedEachTime {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

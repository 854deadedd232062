//! What a user holds: the guard and the handle of a pipeline.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::capture::{self, Heirs, Logger, Record};
use crate::config::{Settings, parse_filter};
use crate::doctor::Diagnosis;
use crate::error::Error;
use crate::exit::{self, Core, Forks, signal};
use crate::health::{Acceptance, Health, WorkerState};
use crate::ledger::{Ledger, Report};
use crate::process;
use crate::recipe::{Built, Recipe};

/// What the doctor waits beyond the limit of an attempt: for a worker that is busy, and for the attempt to end.
const DOCTOR_GRACE: Duration = Duration::from_secs(2);

/// A running pipeline, to be cloned and shared.
///
/// The pipeline ends with [`shutdown`](Self::shutdown), or when its last guard, handle, layer and logger are gone,
/// or with the process.
#[derive(Clone)]
pub struct Handle {
    core: Arc<Core>,
}

/// A [`Handle`] whose drop flushes.
///
/// Dropping it waits until what was handed over so far is settled, at most for the limit that
/// [`Builder::shutdown_limit`](crate::Builder::shutdown_limit) gives. It does not end the pipeline: threads that still
/// log go on, and what they hand over is flushed when the process exits.
#[must_use = "dropping the guard flushes, so bind it to a name (`let _logs = ...`) that lives as long as main"]
pub struct Guard {
    handle: Handle,
}

impl Handle {
    /// A layer for a `tracing` subscriber that stands on the registry.
    ///
    /// It has a filter of its own, and neither mutes nor raises what other layers get.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::{Builder, testing::Store};
    /// use tracing_subscriber::layer::SubscriberExt;
    ///
    /// let store = Store::new();
    /// let logs = Builder::new().send_to(store.backend()).start()?;
    /// let subscriber = tracing_subscriber::registry().with(logs.layer());
    /// tracing::subscriber::with_default(subscriber, || tracing::info!("order placed"));
    /// assert!(logs.shutdown(std::time::Duration::from_secs(5)).settled());
    /// assert_eq!(store.messages(), ["order placed"]);
    /// # Ok::<(), logchute::Error>(())
    /// ```
    #[must_use = "a layer does nothing until it is part of a subscriber"]
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        capture::layer(Arc::clone(self.core.intake()), Arc::clone(&self.core))
    }

    /// A logger for the `log` facade.
    ///
    /// Records carry the fields of the current `tracing` span, where the subscriber stands on the registry. A record
    /// that is the twin of a `tracing` event that the layer has already is skipped.
    #[must_use = "a logger does nothing until it is installed"]
    pub fn logger(&self) -> impl log::Log + 'static + use<> {
        Logger::new(Arc::clone(self.core.intake()), Arc::clone(&self.core))
    }

    /// Adds the layer to `subscriber`, and makes that the global subscriber and the logger the global logger. Panics
    /// leave a FATAL record from then on.
    ///
    /// A logger that is installed already stays, and that is told on stderr.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyInstalled`] if another global subscriber is set.
    pub fn install<S>(&self, subscriber: S) -> Result<(), Error>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static,
    {
        let subscriber = subscriber.with(self.layer());
        tracing::subscriber::set_global_default(subscriber)
            .map_err(|_| Error::AlreadyInstalled("tracing subscriber"))?;
        if log::set_boxed_logger(Box::new(self.logger())).is_ok() {
            self.core.logger_installed();
        } else {
            self.core.voice().always("another logger is installed: records of the `log` facade go there, not here");
        }
        exit::catch_panics(&self.core);
        Ok(())
    }

    /// Hands over a record that was built by hand; it carries the fields of the current span.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::{Builder, Record, Severity, testing::Store};
    ///
    /// let store = Store::new();
    /// let logs = Builder::new().send_to(store.backend()).start()?;
    /// logs.emit(Record::new(Severity::Warn, "odd").field("raw", vec![0_u8, 255]));
    /// assert_eq!(logs.shutdown(std::time::Duration::from_secs(5)).ledger().emitted, 1);
    /// # Ok::<(), logchute::Error>(())
    /// ```
    pub fn emit(&self, record: Record) {
        self.core.intake().emit(&record, true);
    }

    /// Waits until all that was handed over before is settled, at most for `limit`.
    ///
    /// Blocks the calling thread, and no other. It works outside of any runtime, inside of one of any kind, and in
    /// `Drop`. In a task prefer [`flush_async`](Self::flush_async).
    pub fn flush(&self, limit: Duration) -> Report {
        self.core.flush(limit)
    }

    /// Flushes, then ends the pipeline: what is still owed when `limit` is over is dropped as `deadline`, and records
    /// that come later are dropped as `shutdown`. Calling it again returns the last ledger.
    ///
    /// With a [spool](crate::Builder::spool_dir) what is still owed is kept there instead, for the next process that is given
    /// the directory: owed on disk, not lost, and [not settled](Report::settled). What an earlier process owed is not waited
    /// for.
    pub fn shutdown(&self, limit: Duration) -> Report {
        self.core.shutdown(limit)
    }

    /// The same as [`flush`](Self::flush) for tasks; works on any runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let logs = logchute::Builder::new().start()?;
    /// assert!(logs.flush_async(std::time::Duration::from_secs(1)).await.settled());
    /// # Ok::<(), logchute::Error>(()) }).unwrap();
    /// ```
    pub fn flush_async(&self, limit: Duration) -> impl Future<Output = Report> + Send + 'static + use<> {
        let core = Arc::clone(&self.core);
        async move { core.flush_async(limit).await }
    }

    /// Gives a forked child a pipeline of its own at once; the first thing that a child should call. Elsewhere it does
    /// nothing.
    ///
    /// It has its own worker, queue, connections and ids, and sends to the same destinations; what the parent owes stays
    /// with the parent. All handles, layers and loggers of the parent lead to it from then on.
    ///
    /// A child that does not call it gets one as well, once a record of it comes 0.2 seconds after the parent's worker was
    /// heard of last. What it logs before that is lost, counted as [`fork`](crate::Reason::Fork) and told; with this call
    /// nothing is lost. What a child logged *before* it called this is lost and not counted, so call it first.
    ///
    /// # Errors
    ///
    /// [`Error::Spawn`] if no thread can be had, or what a destination needs cannot be read in the child; stderr says what.
    /// Records are then dropped, and counted. It may be called again.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn fork() -> u32 { 1 }
    /// let logs = logchute::Builder::new().start()?;
    /// // With the `fork` of your choice.
    /// if fork() == 0 {
    ///     logs.after_fork()?;
    ///     tracing::info!("hello from the child");
    /// }
    /// assert!(logs.after_fork().is_ok()); // in the parent it does nothing
    /// # Ok::<(), logchute::Error>(())
    /// ```
    pub fn after_fork(&self) -> Result<(), Error> {
        self.core.after_fork()
    }

    /// What became of all records so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.core.ledger()
    }

    /// How the pipeline is.
    #[must_use]
    pub fn health(&self) -> Health {
        // A child that has none logs nothing away.
        let Some(here) = self.core.here() else {
            let worker = WorkerState::Stopped;
            return Health { acceptance: Acceptance::Memory, worker, restarts: 0, destinations: Vec::new() };
        };
        let books = here.control.books();
        Health {
            acceptance: match books.safe_after {
                Some(fsync) => Acceptance::Disk { fsync },
                None => here.intake.queue.acceptance(),
            },
            worker: books.worker.unwrap_or(WorkerState::Running),
            restarts: books.restarts,
            destinations: books.health.clone(),
        }
    }

    /// Sends one marked record to each destination, and says in words how far it came, what is wrong, and which setting to
    /// change.
    ///
    /// Blocks the calling thread until every store has answered, at most for the destinations'
    /// [timeout](crate::Builder::timeout) (10 seconds by default). Not to be called in a task. The record carries
    /// `logchute.doctor` and `logchute.own`; it passes no filter, and is counted in the ledger as one of our own. Where the
    /// store does not take it, it is owed like any other.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::{Builder, backend::Loki};
    ///
    /// // Nobody listens there.
    /// let logs = Builder::new().send_to(Loki::new("http://127.0.0.1:9")).start()?;
    /// let diagnosis = logs.doctor();
    /// assert!(!diagnosis.is_well());
    /// assert_eq!(diagnosis.examinations()[0].settings, ["LOGCHUTE_URL"]);
    /// # let _ = logs.shutdown(std::time::Duration::ZERO);
    /// # Ok::<(), logchute::Error>(())
    /// ```
    pub fn doctor(&self) -> Diagnosis {
        self.core.doctor()
    }

    /// Replaces the filter of all destinations that have none of their own, for instance `info,hyper=warn`.
    ///
    /// Takes effect at once, in all threads.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if a directive is malformed; the filter then stays as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// let logs = logchute::Builder::new().start()?;
    /// assert!(logs.set_filter("info,hyper=loud").is_err());
    /// logs.set_filter("debug,hyper=warn")?;
    /// # Ok::<(), logchute::Error>(())
    /// ```
    pub fn set_filter(&self, directives: &str) -> Result<(), Error> {
        let (filter, remarks) = parse_filter("set_filter", directives)?;
        for remark in remarks {
            self.core.voice().always(&remark);
        }
        self.core.intake().filters.set_events(filter);
        self.core.set_log_level();
        Ok(())
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn from_core(core: Arc<Core>) -> Self {
        Self { core }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("ledger", &self.ledger()).finish_non_exhaustive()
    }
}

impl Guard {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }
}

impl Deref for Guard {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.handle.core.flush_for_guard();
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.handle).finish()
    }
}

/// Builds the pipeline and starts its worker; without a destination there is none, and nothing to start.
pub(crate) fn start(mut settings: Settings) -> Result<Guard, Error> {
    let remarks = std::mem::take(&mut settings.remarks);
    let limit = settings.shutdown;
    signal::check(settings.signals)?;
    process::remember();
    let recipe = Recipe::new(settings);
    let (signals, patience) = (recipe.signals(), recipe.longest_attempt() + DOCTOR_GRACE);
    let voice = recipe.voice();
    let forks = Arc::new(Forks::new(recipe, Arc::clone(&voice)));
    let heirs: Arc<dyn Heirs> = Arc::clone(&forks) as _;
    let Built { intake, control, worker } = forks.recipe().build(Some(heirs))?;
    for remark in remarks {
        voice.always(&remark);
    }
    if let Some(worker) = worker {
        worker.spawn().map_err(Error::Spawn)?;
    }
    let core = Core::register(intake, control, forks, voice, limit, patience);
    signal::watch(signals, core.voice())?;
    Ok(Guard::new(Handle { core }))
}

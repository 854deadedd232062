//! The end: one path and one deadline for a return from `main`, `process::exit`, a guard that is dropped early,
//! stands in a static or is bound to `_`, and a panic.
//!
//! Dropping a guard flushes. What is left at the end of the process is sent by the exit hook, which runs after `main`
//! returned and in `process::exit`, while the worker is still alive (on Linux and macOS; elsewhere the guard's drop is
//! the end). A panic becomes a FATAL record; only where a panic means abort does its hook wait.

pub(crate) mod termination_log;

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::capture::{Intake, install_panic_hook};
use crate::contain::quietly;
use crate::doctor::Diagnosis;
use crate::flush::{Control, Ticket};
use crate::ledger::{Ledger, Report};
use crate::mute;
use crate::queue::deadline;
use crate::visit::Visit;
use crate::voice::Voice;

/// All pipelines of the process.
static PIPELINES: Mutex<Vec<Weak<Core>>> = Mutex::new(Vec::new());

/// How long the panic hook waits where a panic means abort: nothing comes after it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A guard's drop and the exit hook that follows it within this time are one end, with one deadline.
const SAME_END: Duration = Duration::from_secs(1);

/// What the exit hook grants after a guard's flush ran out of time, for what came since.
const AFTER_DEADLINE: Duration = Duration::from_millis(50);

/// One pipeline, held by its guards, handles, layers and loggers.
pub(crate) struct Core {
    intake: Arc<Intake>,
    control: Arc<Control>,
    voice: Arc<Voice>,
    limit: Duration,
    /// How long an attempt of the slowest destination may take, and a little more.
    patience: Duration,
    pid: u32,
    logger: AtomicBool,
    /// When the last flush of a guard ran out of time.
    out_of_time: Mutex<Option<Instant>>,
}

impl Core {
    pub(crate) fn register(
        intake: Arc<Intake>,
        control: Arc<Control>,
        voice: Arc<Voice>,
        limit: Duration,
        patience: Duration,
    ) -> Arc<Self> {
        let core = Arc::new(Self {
            intake,
            control,
            voice,
            limit,
            patience,
            pid: process::id(),
            logger: AtomicBool::new(false),
            out_of_time: Mutex::new(None),
        });
        let mut pipelines = PIPELINES.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.retain(|pipeline| pipeline.strong_count() > 0);
        pipelines.push(Arc::downgrade(&core));
        core
    }

    pub(crate) fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    pub(crate) fn voice(&self) -> &Voice {
        &self.voice
    }

    /// Our logger is the global one: its level follows the filter from now on.
    pub(crate) fn logger_installed(&self) {
        self.logger.store(true, Ordering::Release);
        self.set_log_level();
    }

    pub(crate) fn set_log_level(&self) {
        if self.logger.load(Ordering::Acquire) {
            let level = self.intake.filters.now().event_level();
            log::set_max_level(level.into_level().map_or(log::LevelFilter::Off, |level| match level {
                tracing::Level::ERROR => log::LevelFilter::Error,
                tracing::Level::WARN => log::LevelFilter::Warn,
                tracing::Level::INFO => log::LevelFilter::Info,
                tracing::Level::DEBUG => log::LevelFilter::Debug,
                tracing::Level::TRACE => log::LevelFilter::Trace,
            }));
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        match &self.intake.direct {
            Some(direct) => direct.ledger(self.intake.queue.losses()),
            None => self.control.books().ledger(&self.intake.queue),
        }
    }

    pub(crate) fn flush(&self, limit: Duration) -> Report {
        match &self.intake.direct {
            Some(_) => Report::new(self.ledger(), true, Duration::ZERO),
            None => self.wait(self.control.submit(&self.intake.queue, limit, false)),
        }
    }

    pub(crate) async fn flush_async(&self, limit: Duration) -> Report {
        match &self.intake.direct {
            Some(_) => Report::new(self.ledger(), true, Duration::ZERO),
            None => self.control.flush_async(&self.intake.queue, limit).await,
        }
    }

    pub(crate) fn shutdown(&self, limit: Duration) -> Report {
        match &self.intake.direct {
            Some(direct) => {
                direct.close();
                Report::new(self.ledger(), true, Duration::ZERO)
            }
            None => self.wait(self.control.submit(&self.intake.queue, limit, true)),
        }
    }

    pub(crate) fn doctor(&self) -> Diagnosis {
        if self.intake.direct.is_some() {
            return Diagnosis::without_destination();
        }
        let lanes: Vec<String> = self.control.books().health.iter().map(|lane| lane.name.clone()).collect();
        let visit = Arc::new(Visit::new(deadline(self.patience)));
        // The worker, which would be waited for, is what runs here.
        let is_let_in = !mute::is_ours() && self.control.visit(&self.intake.queue, &visit);
        let seen = if is_let_in { visit.wait(lanes.len()) } else { Vec::new() };
        Diagnosis::of(&lanes, &seen)
    }

    fn wait(&self, submitted: Option<Arc<Ticket>>) -> Report {
        self.control.wait(&self.intake.queue, submitted)
    }

    pub(crate) fn flush_for_guard(&self) {
        if self.intake.direct.is_some() {
            return;
        }
        let report = self.wait(self.control.leave(&self.intake.queue, self.limit));
        if !report.settled() {
            *self.out_of_time.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// The limit of the last flush, which is a part of the same end as a guard's that just ran out of time.
    fn last_limit(&self) -> Duration {
        let out_of_time = *self.out_of_time.lock().unwrap_or_else(PoisonError::into_inner);
        let same_end = out_of_time.is_some_and(|at| at.elapsed() < SAME_END);
        if same_end { AFTER_DEADLINE.min(self.limit) } else { self.limit }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // In a forked child the worker is the parent's.
        if self.pid == process::id() {
            let _ = self.shutdown(self.last_limit());
        }
    }
}

/// Makes panics leave a FATAL record in that pipeline, as long as it lives.
pub(crate) fn catch_panics(core: &Arc<Core>) {
    let core = Arc::downgrade(core);
    install_panic_hook(move |record, next| {
        let Some(core) = core.upgrade() else { return next() };
        // Never waits for room in the queue: the thread may hold any lock.
        core.intake.emit(&record, false);
        if !cfg!(panic = "abort") {
            return next();
        }
        // Nothing comes after this hook. The next one may end the process itself, so it is called with all that can
        // be sent sent; what it logged goes with the last flush, which tells what was lost.
        let deadline = Instant::now() + LAST_WORDS.min(core.limit);
        let _ = core.flush(LAST_WORDS.min(core.limit));
        next();
        let left = deadline.saturating_duration_since(Instant::now());
        let _ = core.shutdown(left.max(AFTER_DEADLINE));
    });
}

/// Runs on return from `main` and in `process::exit`, with all threads still alive.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[dtor::dtor(unsafe)]
fn at_exit() {
    // What runs on the worker cannot wait for it.
    if mute::is_ours() {
        return;
    }
    // A panic must not leave this function, and the lock may be held by a thread that is gone.
    quietly(|| {
        let Ok(pipelines) = PIPELINES.try_lock() else { return };
        let all: Vec<_> = pipelines.iter().filter_map(Weak::upgrade).collect();
        drop(pipelines);
        let with_worker = |core: &&Arc<Core>| core.pid == process::id() && core.intake.direct.is_none();
        // All begin before the first is waited for: several pipelines have one deadline, and one whose store is away
        // takes nothing from the others.
        let begin = |core: &Arc<Core>| core.control.submit(&core.intake.queue, core.last_limit(), true);
        let ends: Vec<_> = all.iter().filter(with_worker).map(|core| (core, begin(core))).collect();
        for (core, end) in ends {
            let _ = core.wait(end);
        }
    });
}

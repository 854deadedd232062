//! The end: one path and one deadline for a return from `main`, `process::exit`, a guard that is dropped early,
//! stands in a static or is bound to `_`, a panic, and signals (`signal.rs`); of a forked child as well (`fork.rs`).
//!
//! Dropping a guard flushes. What is left at the end of the process is sent by the exit hook, which runs after `main`
//! returned and in `process::exit`, while the worker is still alive (on Linux and macOS; elsewhere the guard's drop is
//! the end). A panic becomes a FATAL record; only where a panic means abort does its hook wait.

mod fork;
pub(crate) mod signal;
pub(crate) mod termination_log;

use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::capture::{Intake, install_panic_hook};
use crate::contain::quietly;
use crate::doctor::Diagnosis;
use crate::error::Error;
use crate::flush::{Control, Ticket};
use crate::ledger::{Ledger, Reason, Report};
use crate::mute;
use crate::queue::deadline;
use crate::visit::Visit;
use crate::voice::Voice;
pub(crate) use fork::Forks;
use fork::Pipeline;

/// All pipelines of the process. Swapped, not locked: a fork would leave a lock locked in the child.
static PIPELINES: ArcSwapOption<Vec<Weak<Core>>> = ArcSwapOption::const_empty();

/// How long the panic hook waits where a panic means abort: nothing comes after it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A guard's drop and the exit hook that follows it within this time are one end, with one deadline.
const SAME_END: Duration = Duration::from_secs(1);

/// What the exit hook grants at least after a guard's flush ran out of time, for what came since; beyond that flush's
/// deadline no more.
const AFTER_DEADLINE: Duration = Duration::from_millis(50);

/// One pipeline, held by its guards, handles, layers and loggers; and what its forked children have in its place.
pub(crate) struct Core {
    /// That of the process in which it was started.
    root: Arc<Pipeline>,
    forks: Arc<Forks>,
    voice: Arc<Voice>,
    limit: Duration,
    /// How long an attempt of the slowest destination may take, and a little more.
    patience: Duration,
    logger: AtomicBool,
    born: Instant,
    /// The deadline of the last flush of a guard, if it ran out of time, in milliseconds since the birth; 0: none did.
    out_of_time: AtomicU64,
}

impl Core {
    pub(crate) fn register(
        intake: Arc<Intake>,
        control: Arc<Control>,
        forks: Arc<Forks>,
        voice: Arc<Voice>,
        limit: Duration,
        patience: Duration,
    ) -> Arc<Self> {
        let core = Arc::new(Self {
            root: Arc::new(Pipeline { pid: process::id(), intake, control }),
            forks,
            voice,
            limit,
            patience,
            logger: AtomicBool::new(false),
            born: Instant::now(),
            out_of_time: AtomicU64::new(0),
        });
        PIPELINES.rcu(|pipelines| {
            let others = pipelines.iter().flat_map(|all| all.iter());
            let others = others.filter(|pipeline| pipeline.strong_count() > 0).cloned();
            Some(Arc::new(others.chain([Arc::downgrade(&core)]).collect::<Vec<_>>()))
        });
        core
    }

    /// What callers hand records to. It is the same in a child, and finds out by itself where they belong there.
    pub(crate) fn intake(&self) -> &Arc<Intake> {
        &self.root.intake
    }

    /// What runs in this process; in a forked child nothing, as long as it has built none.
    pub(crate) fn here(&self) -> Option<Arc<Pipeline>> {
        let pid = process::id();
        if pid == self.root.pid { Some(Arc::clone(&self.root)) } else { self.forks.of(pid) }
    }

    pub(crate) fn after_fork(&self) -> Result<(), Error> {
        if process::id() != self.root.pid {
            let refused = |reason| match reason {
                // It was ended, and that is what its user wants.
                Reason::Shutdown => Ok(()),
                _ => Err(Error::Spawn(std::io::Error::other("the forked child got no pipeline of its own"))),
            };
            // What the queue of the parent got since its worker was heard of is the parent's: this comes first in a child.
            if let Err(reason) = self.forks.begin(&self.root.intake, false, true) {
                return refused(reason);
            }
            let _ = self.root.intake.heir(true);
        }
        Ok(())
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
            let level = self.intake().filters.now().event_level();
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
        self.here().map_or_else(|| self.forks.ledger(self.intake()), |here| here.ledger())
    }

    pub(crate) fn flush(&self, limit: Duration) -> Report {
        match self.here() {
            Some(here) if here.has_worker() => here.wait(here.submit(limit, false)),
            _ => self.at_once(),
        }
    }

    pub(crate) async fn flush_async(&self, limit: Duration) -> Report {
        match self.here() {
            Some(here) if here.has_worker() => here.control.flush_async(&here.intake.queue, limit).await,
            _ => self.at_once(),
        }
    }

    pub(crate) fn shutdown(&self, limit: Duration) -> Report {
        match self.here() {
            Some(here) if here.has_worker() => return here.wait(here.submit(limit, true)),
            Some(here) => here.intake.direct.iter().for_each(|direct| direct.close()),
            None => self.forks.end(process::id()),
        }
        self.at_once()
    }

    /// Where nobody owes anything.
    fn at_once(&self) -> Report {
        Report::new(self.ledger(), true, Duration::ZERO)
    }

    pub(crate) fn doctor(&self) -> Diagnosis {
        // Its record is one of this process.
        let _ = self.after_fork();
        let Some(here) = self.here().filter(|here| here.has_worker()) else {
            return Diagnosis::without_destination();
        };
        let lanes: Vec<String> = here.control.books().health.iter().map(|lane| lane.name.clone()).collect();
        let visit = Arc::new(Visit::new(deadline(self.patience)));
        // The worker, which would be waited for, is what runs here.
        let is_let_in = !mute::is_ours() && here.control.visit(&here.intake.queue, &visit);
        let seen = if is_let_in { visit.wait(lanes.len()) } else { Vec::new() };
        Diagnosis::of(&lanes, &seen)
    }

    pub(crate) fn flush_for_guard(&self) {
        let deadline = self.age().saturating_add(u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX));
        let report = match self.here() {
            Some(here) if here.has_worker() => here.wait(here.control.leave(&here.intake.queue, self.limit)),
            _ => return,
        };
        if !report.settled() {
            self.out_of_time.store(deadline.max(1), Ordering::Release);
        }
    }

    /// The limit of the last flush, which is a part of the same end as a guard's that just ran out of time.
    fn last_limit(&self) -> Duration {
        let (deadline, now) = (self.out_of_time.load(Ordering::Acquire), self.age());
        let same_end = deadline > 0 && now.saturating_sub(deadline) < SAME_END.as_millis() as u64;
        let left = AFTER_DEADLINE + Duration::from_millis(deadline.saturating_sub(now));
        if same_end { left.min(self.limit) } else { self.limit }
    }

    /// In milliseconds.
    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A signal came, and the process goes on: what is owed is sent at once from now on.
    #[cfg(unix)]
    pub(crate) fn make_haste(&self) {
        if let Some(here) = self.here().filter(|here| here.has_worker()) {
            here.control.make_haste();
            here.control.spool_now(&here.intake.queue);
        }
    }

    /// Says what a child that never got a pipeline lost.
    fn tell_strayed(&self) {
        let strayed = self.forks.strayed(self.intake());
        if strayed > 0 {
            let (reason, remedy) = (Reason::Fork, Reason::Fork.remedy());
            self.voice
                .always(&format!("at the end up to {strayed} records of a child were dropped: {reason} ({remedy})"));
        }
    }
}

impl Pipeline {
    pub(crate) fn has_worker(&self) -> bool {
        self.intake.direct.is_none()
    }

    fn ledger(&self) -> Ledger {
        match &self.intake.direct {
            Some(direct) => direct.ledger(self.intake.queue.losses()),
            None => self.control.books().ledger(&self.intake.queue),
        }
    }

    fn submit(&self, limit: Duration, closing: bool) -> Option<Arc<Ticket>> {
        self.control.submit(&self.intake.queue, limit, closing)
    }

    fn wait(&self, submitted: Option<Arc<Ticket>>) -> Report {
        self.control.wait(&self.intake.queue, submitted)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // In a forked child without one of its own the worker is the parent's.
        if self.here().is_some() {
            let _ = self.shutdown(self.last_limit());
        }
    }
}

/// Makes panics leave a FATAL record in that pipeline, as long as it lives.
pub(crate) fn catch_panics(core: &Arc<Core>) {
    let core = Arc::downgrade(core);
    install_panic_hook(move |record, next| {
        let Some(core) = core.upgrade() else { return next() };
        // Of a child that just began these may be the only words.
        let _ = core.after_fork();
        // Never waits for room in the queue: the thread may hold any lock.
        core.intake().emit(&record, false);
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
    // A panic must not leave this function.
    quietly(end_all);
}

/// All pipelines of this process that are left.
fn all() -> Vec<Arc<Core>> {
    PIPELINES.load().iter().flat_map(|all| all.iter()).filter_map(Weak::upgrade).collect()
}

/// Ends all pipelines, each within its own limit; the last act of the process.
fn end_all() {
    let all = all();
    // All begin before the first is waited for: several pipelines have one deadline, and one whose store is away takes
    // nothing from the others.
    let begin = |core: &Arc<Core>| match core.here() {
        None => {
            core.tell_strayed();
            None
        }
        Some(here) if here.has_worker() => {
            let ticket = here.submit(core.last_limit(), true);
            Some((here, ticket))
        }
        Some(_) => None,
    };
    let ends: Vec<_> = all.iter().filter_map(begin).collect();
    for (here, end) in ends {
        let _ = here.wait(end);
    }
}

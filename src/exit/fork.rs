//! A forked child has a pipeline of its own: built when a record of it is found to belong nowhere, or at once by
//! [`Handle::after_fork`](crate::Handle::after_fork).
//!
//! Nothing that belongs to the parent's worker is touched in the child. What is shared by both, the recipe, holds no lock
//! that anyone waits for; and which process has built, or is building, stands in one word beside its number, so that what
//! a child inherits from a parent in the middle of it means nothing there. A grandchild is a child like any other.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::signal;
use crate::capture::{Heirs, Intake};
use crate::contain::contained;
use crate::error::Error;
use crate::flush::Control;
use crate::frame::Severity;
use crate::ledger::{Ledger, Losses, Reason};
use crate::mute;
use crate::process::let_go;
use crate::recipe::Recipe;
use crate::voice::Voice;

/// How long other threads of a child wait for the one that builds, which takes some milliseconds. It holds no lock and
/// logs nothing meanwhile, so there is no deadlock to be had.
const WAIT: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(1);

/// Beside the number of the process: what became of its pipeline, unless it is there.
const BUILDING: u64 = 1;
const FAILED: u64 = 2;
const ENDED: u64 = 3;

/// What callers and the worker of one process share.
pub(crate) struct Pipeline {
    pub(crate) pid: u32,
    pub(crate) intake: Arc<Intake>,
    pub(crate) control: Arc<Control>,
}

/// The pipelines that children build.
pub(crate) struct Forks {
    recipe: Recipe,
    child: ArcSwapOption<Pipeline>,
    state: AtomicU64,
    /// The parent's, for what is wrong before there is another one.
    voice: Arc<Voice>,
}

impl Forks {
    pub(crate) fn new(recipe: Recipe, voice: Arc<Voice>) -> Self {
        Self { recipe, child: ArcSwapOption::empty(), state: AtomicU64::new(0), voice }
    }

    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The pipeline of this child, if it has one.
    pub(crate) fn of(&self, pid: u32) -> Option<Arc<Pipeline>> {
        self.child.load().as_ref().filter(|child| child.pid == pid).map(Arc::clone)
    }

    /// The child wants none any more.
    pub(crate) fn end(&self, pid: u32) {
        self.state.store(state(pid, ENDED), Ordering::Release);
    }

    /// The pipeline of this child, which is built now if there is none. `strayed`: what the parent's queue got is counted.
    pub(crate) fn begin(&self, parent: &Intake, strayed: bool, may_wait: bool) -> Result<Arc<Pipeline>, Reason> {
        let pid = process::id();
        let patience = Instant::now() + WAIT;
        loop {
            if let Some(child) = self.of(pid) {
                return Ok(child);
            }
            let now = self.state.load(Ordering::Acquire);
            if now == state(pid, ENDED) || parent.is_closed() {
                return Err(Reason::Shutdown);
            }
            if now == state(pid, BUILDING) {
                if !may_wait || Instant::now() >= patience {
                    return Err(Reason::Fork);
                }
                thread::sleep(STEP);
                continue;
            }
            // What failed is tried again where the application asks for it.
            if now == state(pid, FAILED) && strayed {
                return Err(Reason::Fork);
            }
            let building = state(pid, BUILDING);
            if self.state.compare_exchange(now, building, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return self.build(pid, parent, strayed);
            }
        }
    }

    fn build(&self, pid: u32, parent: &Intake, strayed: bool) -> Result<Arc<Pipeline>, Reason> {
        let lost = if strayed { self.strayed(parent) } else { 0 };
        // What a client logs while it is made is not for the pipeline that is not there yet.
        let built = mute::during(|| contained(|| self.start(lost)));
        match built.unwrap_or_else(|panic| Err(Error::Spawn(std::io::Error::other(panic)))) {
            Ok((intake, control)) => {
                let child = Arc::new(Pipeline { pid, intake, control });
                // Of the pipeline of a parent in between threads may be missing that were at work in it: to free its memory
                // could mean to wait for them.
                std::mem::forget(self.child.swap(Some(Arc::clone(&child))));
                signal::watch_again(self.recipe.signals());
                Ok(child)
            }
            Err(error) => {
                self.state.store(state(pid, FAILED), Ordering::Release);
                let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
                self.voice.always(&format!(
                    "this forked child gets no pipeline of its own, and what it logs is dropped until after_fork() is \
                     called and succeeds: {error}{cause}"
                ));
                Err(Reason::Fork)
            }
        }
    }

    fn start(&self, lost: u64) -> Result<(Arc<Intake>, Arc<Control>), Error> {
        let_go();
        // No heirs: those of a grandchild are looked for where this one was found.
        let built = self.recipe.build(None)?;
        built.intake.queue.count_strayed(lost);
        if let Some(worker) = built.worker {
            worker.spawn().map_err(Error::Spawn)?;
        }
        Ok((built.intake, built.control))
    }

    /// Records of this child that the queue of its parent got, at most.
    pub(crate) fn strayed(&self, parent: &Intake) -> u64 {
        // Of a grandchild the parent is a child.
        match &*self.child.load() {
            Some(before) if before.pid != process::id() => before.intake.strayed(),
            _ => parent.strayed(),
        }
    }

    /// The ledger of a child that has no pipeline.
    pub(crate) fn ledger(&self, parent: &Intake) -> Ledger {
        let emitted = self.strayed(parent);
        let mut dropped = Losses::default();
        dropped.add(Reason::Fork, Severity::Info, emitted);
        Ledger { emitted, dropped, ..Ledger::default() }
    }
}

impl Heirs for Forks {
    fn build(&self, parent: &Intake, may_wait: bool) -> Result<Arc<Intake>, Reason> {
        self.begin(parent, true, may_wait).map(|child| Arc::clone(&child.intake))
    }
}

fn state(pid: u32, of: u64) -> u64 {
    u64::from(pid) << 2 | of
}

//! What the store's threads and the test share: the script, and what was received.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::{Answer, Gate, Request};

/// The longest that one answer, or the wait for one more request, may take.
pub(super) const LONGEST: Duration = Duration::from_secs(120);
/// How long the end of a store waits for its threads, all of which have been told.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Decides by the request.
pub(super) type Decide = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

/// Where answers come from.
pub(super) enum Script {
    List { answers: Vec<Answer>, strict: bool },
    Closure(Decide),
}

impl Script {
    /// All is well, always.
    pub(super) const NONE: Self = Self::List { answers: Vec::new(), strict: false };
}

pub(super) struct Shared {
    script: Script,
    /// Keep numbers only.
    pub(super) counting: bool,
    ending: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// Requests that have begun; gives each its place.
    begun: usize,
    pub(super) arrived: usize,
    pub(super) requests: BTreeMap<usize, Request>,
    /// Places of the accepted requests, in the order of their answers.
    pub(super) accepted: Vec<usize>,
    pub(super) records: usize,
    pub(super) bytes: u64,
    pub(super) surplus: usize,
    pub(super) connections: usize,
    threads: usize,
    open: Vec<Weak<TcpStream>>,
    /// Gates that somebody waits at.
    gates: Vec<Gate>,
}

impl Shared {
    pub(super) fn new(script: Script, counting: bool) -> Self {
        let (ending, state, changed) = (AtomicBool::new(false), Mutex::default(), Condvar::new());
        Self { script, counting, ending, state, changed }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(SeqCst)
    }

    /// Waits until `enough` says so, or the limit is over; says whether it was enough.
    pub(super) fn wait(&self, limit: Duration, enough: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), limit, |state| !enough(state));
        enough(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Waits for that long, and says no when the store ends before that.
    pub(super) fn pause(&self, time: Duration) -> bool {
        !self.wait(time, |_| self.is_ending())
    }

    /// Waits at a gate; says no when it stays closed.
    pub(super) fn pass(&self, gate: &Gate) -> bool {
        // Known to the store before the first look at `ending`, so that the end of the store finds it.
        self.state().gates.push(gate.clone());
        gate.pass(LONGEST, || self.is_ending())
    }

    /// The place of a request that has begun.
    pub(super) fn begin(&self) -> usize {
        let mut state = self.state();
        state.begun += 1;
        state.begun - 1
    }

    /// The answer that stands in the script for this place; none where the whole request must be known.
    pub(super) fn scripted(&self, order: usize) -> Option<Answer> {
        match &self.script {
            Script::Closure(_) => None,
            Script::List { answers, strict } => Some(answers.get(order).cloned().unwrap_or_else(|| {
                if *strict {
                    self.state().surplus += 1;
                }
                Answer::ok()
            })),
        }
    }

    /// The answer that the closure gives.
    pub(super) fn decide(&self, request: &Request) -> Answer {
        match &self.script {
            Script::Closure(decide) => decide(request),
            Script::List { .. } => Answer::ok(),
        }
    }

    /// A request was read as far as it is going to be.
    pub(super) fn arrive(&self, request: &Request) {
        let mut state = self.state();
        state.arrived += 1;
        state.bytes += request.body().len() as u64;
        if !self.counting {
            state.requests.insert(request.order(), request.clone());
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The client is about to learn the status. What it may forget then must be found here when it asks.
    pub(super) fn settle(&self, request: &mut Request, status: u16) {
        request.answered(status);
        let records = match request.is_accepted() {
            true if self.counting => request.count(),
            true => request.records().len(),
            false => 0,
        };
        let mut state = self.state();
        state.records += records;
        if !self.counting {
            // It may be gone from there since it arrived, if the test made the store forget.
            state.requests.insert(request.order(), request.clone());
            if request.is_accepted() {
                state.accepted.push(request.order());
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A connection was accepted; it is known, so that it can be ended, for as long as `stream` lives.
    pub(super) fn connect(&self, stream: &Arc<TcpStream>) {
        let mut state = self.state();
        state.connections += 1;
        state.open.retain(|open| open.strong_count() > 0);
        state.open.push(Arc::downgrade(stream));
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn disconnect_all(&self) {
        // Taken out first: the last owner of a stream closes it, which must not happen under the lock.
        let open: Vec<_> = self.state().open.drain(..).collect();
        for stream in open.iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Tells all threads to end and waits for them.
    pub(super) fn end(&self) {
        self.ending.store(true, SeqCst);
        let gates = {
            let state = self.state();
            // Under the lock, as whoever is between a look at `ending` and the wait would be deaf to the call.
            self.changed.notify_all();
            state.gates.clone()
        };
        gates.iter().for_each(Gate::nudge);
        let deadline = Instant::now() + LAST_WAIT;
        while self.state().threads > 0 && Instant::now() < deadline {
            // In rounds, as a connection may have been accepted while the others were ended.
            self.disconnect_all();
            self.wait(Duration::from_millis(50), |state| state.threads == 0);
        }
    }
}

/// Counts a thread for as long as it lives.
pub(super) struct Running(Arc<Shared>);

impl Running {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        shared.state().threads += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state().threads -= 1;
        self.0.changed.notify_all();
    }
}

//! Flush and shutdown, from the caller's side: a ticket that the worker completes, out of band.
//!
//! A ticket never passes through the queue, so it cannot get lost when that is full, and no wait is without a
//! deadline: where the worker does not answer, the caller goes on with the books as they were published last.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::health::{DestinationHealth, WorkerState};
use crate::ledger::{DestinationLedger, Ledger, Report};
use crate::mute;
use crate::queue::{Queue, deadline};
use crate::visit::Visit;

/// How long beyond the deadline a caller waits for a worker that is busy counting.
const GRACE: Duration = Duration::from_millis(100);

/// Somebody waits until what was handed over before is settled, or until the deadline.
pub(crate) struct Ticket {
    begun: Instant,
    pub(crate) deadline: Instant,
    /// Whether the pipeline ends with it.
    pub(crate) closing: bool,
    /// Whether the process may be about to end: what cannot be sent in time goes to the spool, where there is one.
    pub(crate) leaving: bool,
    state: Mutex<TicketState>,
    done: Condvar,
}

#[derive(Default)]
struct TicketState {
    report: Option<Report>,
    waker: Option<Waker>,
}

impl Ticket {
    fn new(limit: Duration, closing: bool, leaving: bool) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            deadline: deadline(limit),
            closing,
            leaving,
            state: Mutex::default(),
            done: Condvar::new(),
        })
    }

    /// What was granted.
    pub(crate) fn limit(&self) -> Duration {
        self.deadline.saturating_duration_since(self.begun)
    }

    pub(crate) fn complete(&self, ledger: Ledger, settled: bool) {
        let mut state = lock(&self.state);
        state.report = Some(Report::new(ledger, settled, self.begun.elapsed()));
        let waker = state.waker.take();
        drop(state);
        self.done.notify_all();
        // After the lock, as a waker may poll the task here and now.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wait(&self) -> Option<Report> {
        let mut state = lock(&self.state);
        loop {
            if let Some(report) = state.report.take() {
                return Some(report);
            }
            let left = (self.deadline + GRACE).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What the worker publishes after each round.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) accepted: u64,
    pub(crate) drained: u64,
    pub(crate) own: u64,
    pub(crate) destinations: Vec<DestinationLedger>,
    pub(crate) health: Vec<DestinationHealth>,
    pub(crate) worker: Option<WorkerState>,
    pub(crate) restarts: u64,
    /// How soon all destinations have a record where a loss of power does not reach it, where they do.
    pub(crate) safe_after: Option<Duration>,
}

impl Books {
    pub(crate) fn ledger(&self, queue: &Queue) -> Ledger {
        let dropped = queue.losses();
        Ledger {
            emitted: queue.accepted(self.accepted) + self.own + dropped.total(),
            own: self.own,
            queued: queue.queued() as u64,
            drained: self.drained + self.own,
            dropped,
            destinations: self.destinations.clone(),
        }
    }
}

/// What handles and the worker share beside the queue.
#[derive(Default)]
pub(crate) struct Control {
    tickets: Mutex<Tickets>,
    books: Mutex<Books>,
    haste: AtomicBool,
    spool_now: AtomicBool,
}

#[derive(Default)]
struct Tickets {
    waiting: Vec<Arc<Ticket>>,
    visits: Vec<Arc<Visit>>,
    /// The worker has ended; whether all was settled then.
    ended: Option<bool>,
}

impl Control {
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    /// No record waits for its batch to fill any more.
    #[cfg(unix)]
    pub(crate) fn make_haste(&self) {
        self.haste.store(true, Ordering::Release);
    }

    pub(crate) fn is_in_haste(&self) -> bool {
        self.haste.load(Ordering::Acquire)
    }

    /// The tickets that came since this was last called.
    pub(crate) fn take_tickets(&self) -> Vec<Arc<Ticket>> {
        std::mem::take(&mut lock(&self.tickets).waiting)
    }

    /// The visits that came since this was last called.
    pub(crate) fn take_visits(&self) -> Vec<Arc<Visit>> {
        std::mem::take(&mut lock(&self.tickets).visits)
    }

    /// Asks the worker to send at once what is owed, and to write it to the spool where there is one; waits for nothing.
    #[cfg(unix)]
    pub(crate) fn spool_now(&self, queue: &Queue) {
        self.spool_now.store(true, Ordering::Release);
        queue.wake().at_once();
    }

    /// Whether that was asked for since this was last called.
    pub(crate) fn take_spool_now(&self) -> bool {
        self.spool_now.load(Ordering::Relaxed) && self.spool_now.swap(false, Ordering::AcqRel)
    }

    /// Lets the doctor in; false once the worker has ended.
    pub(crate) fn visit(&self, queue: &Queue, visit: &Arc<Visit>) -> bool {
        let mut tickets = lock(&self.tickets);
        if tickets.ended.is_some() {
            return false;
        }
        tickets.visits.push(Arc::clone(visit));
        drop(tickets);
        queue.wake().at_once();
        true
    }

    /// The worker has ended: nobody will complete a ticket any more.
    pub(crate) fn end(&self, ledger: &Ledger, settled: bool) {
        let mut tickets = lock(&self.tickets);
        for ticket in tickets.waiting.drain(..) {
            ticket.complete(ledger.clone(), settled);
        }
        tickets.ended = Some(settled);
    }

    /// Begins a flush, to be [waited](Self::wait) for; `None` once the worker has ended.
    pub(crate) fn submit(&self, queue: &Queue, limit: Duration, closing: bool) -> Option<Arc<Ticket>> {
        self.submit_ticket(queue, Ticket::new(limit, closing, closing))
    }

    /// The same where the process may be about to end, but the pipeline goes on until it does.
    pub(crate) fn leave(&self, queue: &Queue, limit: Duration) -> Option<Arc<Ticket>> {
        self.submit_ticket(queue, Ticket::new(limit, false, true))
    }

    fn submit_ticket(&self, queue: &Queue, ticket: Arc<Ticket>) -> Option<Arc<Ticket>> {
        let mut tickets = lock(&self.tickets);
        if tickets.ended.is_some() {
            return None;
        }
        tickets.waiting.push(Arc::clone(&ticket));
        drop(tickets);
        queue.wake().at_once();
        Some(ticket)
    }

    /// What can be said after the end.
    fn ended(&self, queue: &Queue) -> Report {
        let settled = lock(&self.tickets).ended.unwrap_or(false);
        Report::new(self.books().ledger(queue), settled, Duration::ZERO)
    }

    fn unanswered(&self, queue: &Queue, ticket: &Ticket) -> Report {
        let ledger = self.books().ledger(queue);
        // What the worker has taken and not booked yet is neither queued nor owed: then the books do not balance.
        let settled = ledger.unsettled() == 0 && ledger.balances();
        Report::new(ledger, settled, ticket.begun.elapsed())
    }

    /// Waits until all is settled, or the limit is over. On one of our own threads it returns at once.
    pub(crate) fn wait(&self, queue: &Queue, submitted: Option<Arc<Ticket>>) -> Report {
        match submitted {
            None => self.ended(queue),
            Some(ticket) if mute::is_ours() => self.unanswered(queue, &ticket),
            Some(ticket) => ticket.wait().unwrap_or_else(|| self.unanswered(queue, &ticket)),
        }
    }

    /// The same for tasks of any runtime: the worker keeps the deadline.
    pub(crate) async fn flush_async(&self, queue: &Queue, limit: Duration) -> Report {
        match self.submit(queue, limit, false) {
            None => self.ended(queue),
            // The worker, which would complete it, is what polls here.
            Some(ticket) if mute::is_ours() => self.unanswered(queue, &ticket),
            Some(ticket) => {
                poll_fn(|context| {
                    let mut state = lock(&ticket.state);
                    match state.report.take() {
                        Some(report) => Poll::Ready(report),
                        None => {
                            state.waker = Some(context.waker().clone());
                            Poll::Pending
                        }
                    }
                })
                .await
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

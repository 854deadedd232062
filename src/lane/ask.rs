//! Batches that a store has taken, and of which it says later whether it keeps them.
//!
//! The store is asked after a quarter of a second, then at intervals that double to ten seconds, or half of one while
//! somebody waits in a flush. Such a batch counts as owed, and what it holds against the backlog's limit, but not as a
//! request in flight, so it holds up no other. What fails meanwhile is the question, and it is put again: the batch
//! itself is at the store, and sending it once more would double it. Only after five minutes without an answer is it sent again.

use std::time::{Duration, Instant};

use super::job::Job;
use super::{Lane, Sending};
use crate::backend::{Payload, Reply, Verdict};
use crate::wire::Failure;

/// The first wait before a store is asked what became of a batch, and the longest one.
const AFTER: Duration = Duration::from_millis(250);
const EVERY: Duration = Duration::from_secs(10);

/// The longest wait while somebody waits in a flush.
const HURRIED: Duration = Duration::from_millis(500);

/// How long a store is asked before its batch is sent again. An index that takes longer than that has lost it.
pub(super) const FOR: Duration = Duration::from_secs(300);

/// The store has the batch, but does not say yet that it keeps it.
pub(super) struct Asking {
    question: Payload,
    since: Instant,
    wait: Duration,
    /// When it is to be asked; none while a question is under way.
    due: Option<Instant>,
}

/// What came back, and what the backend made of it, or the message of its panic.
pub(super) type Judged = Result<(Result<Verdict, String>, Reply), Failure>;

impl Asking {
    pub(super) fn new(question: Payload, now: Instant) -> Self {
        Self { question, since: now, wait: AFTER, due: Some(now + AFTER) }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The question that was under way is lost.
    pub(super) fn lost(&mut self, now: Instant) {
        self.due = Some(now);
    }

    fn later(mut self, is_hurried: bool, now: Instant) -> Self {
        self.wait = (self.wait * 2).min(if is_hurried { HURRIED } else { EVERY });
        self.due = Some(now + self.wait);
        self
    }

    /// Somebody waits in a flush.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.wait = self.wait.min(HURRIED);
        self.due = self.due.map(|due| due.min(now + AFTER));
    }
}

impl Lane {
    /// Puts the questions whose time has come.
    pub(super) fn ask(&mut self, now: Instant, mut start: impl FnMut(Sending)) {
        let due = self.flights.asking().filter_map(|(job, asking)| {
            asking.due.take_if(|due| now >= *due)?;
            Some((job, asking.question.clone()))
        });
        let due: Vec<_> = due.collect();
        for (job, question) in due {
            start(self.submit(job, question));
        }
    }

    /// When the next question is due.
    pub(super) fn ask_due(&self) -> Option<Instant> {
        self.flights.iter().filter_map(|flight| flight.asking.as_ref()?.due()).min()
    }

    /// A question ended: settles the batch, or says what is asked next.
    pub(super) fn answered(
        &mut self,
        job: &mut Job,
        mut asking: Asking,
        judged: Judged,
        now: Instant,
    ) -> Option<Asking> {
        let is_over = now >= asking.since + FOR;
        let (verdict, why, credential) = match judged {
            Ok((Ok(verdict @ (Verdict::Ack | Verdict::AckWithLoss { .. } | Verdict::Items { .. })), reply)) => {
                self.settle(job, verdict, &reply, now);
                return None;
            }
            Ok((Err(message), _)) => {
                let is_hopeless = job.is_hopeless();
                self.panicked(job, &message, is_hopeless, now);
                return None;
            }
            Ok((Ok(verdict), reply)) => (verdict, self.told(&reply), reply.credential),
            Err(failure) => (Verdict::Retry { after: None }, failure.text, Default::default()),
        };
        if is_over {
            job.failed(self.taken);
            let why = format!("it took records, but did not say within {FOR:?} that it keeps them: {why}");
            self.again(job, None, why, now);
            return None;
        }
        match verdict {
            // It is well, and not done.
            Verdict::Ask(question) => {
                self.well(now);
                asking.question = question;
            }
            Verdict::Hold(_) => self.hold(job, why, now),
            Verdict::Refresh => self.refresh(job, why, credential, now),
            Verdict::Retry { after } => self.unanswered(job, after, why, now),
            _ => self.unanswered(job, None, why, now),
        }
        Some(asking.later(self.pace.is_hurried(now), now))
    }

    /// A store that does not answer is not well, so that no more is sent to it for a while. A schedule that gives up
    /// speaks of sending, and nothing is to be sent again.
    fn unanswered(&mut self, job: &Job, after: Option<Duration>, why: String, now: Instant) {
        let _ = self.pace.failed(after, now);
        self.unwell(job, why, "it has some of them and is asked again whether it keeps them", now);
    }
}

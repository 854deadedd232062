//! The doctor's record at one destination: sent at once, and what is told of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::Job;
use super::{Lane, Sending};
use crate::backend::{Delivery, describe};
use crate::batch::{Batcher, Limits};
use crate::contain::contained;
use crate::frame::{Frame, RecordId};
use crate::visit::{self, Seen, Visit};

impl Lane {
    /// The doctor came: this record is sent at once, in a request of its own, whatever else waits.
    pub(crate) fn examine(
        &mut self,
        frame: &Frame,
        id: RecordId,
        nanos: i64,
        visit: &Arc<Visit>,
        now: Instant,
    ) -> Option<Sending> {
        let limits = Limits { cost: usize::MAX, records: 1, bytes: usize::MAX, linger: Duration::ZERO };
        let mut batcher = Batcher::new(Arc::clone(&self.parts.origin), limits);
        batcher.add(frame, id, nanos, 0, now);
        let mut job = Job::new(self.next_number, batcher.seal()?, now);
        self.next_number += 1;
        let batch = job.next();
        match contained(|| self.parts.backend.encode(&batch)) {
            Ok(payload) => {
                let visit = Some(Arc::clone(visit));
                Some(self.send(job, true, payload, visit, now))
            }
            Err(message) => {
                self.visits.push((Arc::clone(visit), self.seen(visit::Outcome::Panicked(message.clone()))));
                self.panicked(&mut job, &message, false, now);
                self.put_back(job);
                None
            }
        }
    }

    /// What the doctor is told.
    pub(super) fn seen(&self, outcome: visit::Outcome) -> Seen {
        Seen {
            destination: self.parts.name.clone(),
            url: self.parts.client.url().to_owned(),
            names: self.parts.client.names().clone(),
            facts: contained(|| describe(&*self.parts.backend)).unwrap_or_default(),
            newest: contained(|| self.parts.backend.facts().newest_ahead()).unwrap_or_default(),
            confirms: contained(|| self.parts.backend.facts().delivers() != Delivery::BestEffort).unwrap_or(true),
            outcome,
        }
    }

    /// Tells the doctor what was seen; the books are published by now.
    pub(crate) fn tell_visits(&mut self) {
        self.visits.drain(..).for_each(|(visit, seen)| visit.tell(seen));
    }
}

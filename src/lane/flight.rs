//! Requests that were begun: what is in them, what that holds, and how they end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use super::Lane;
use super::ask::Asking;
use super::job::Job;
use crate::backend::{Payload, Reply};
use crate::visit::Visit;
use crate::wire::Failure;

/// A request that was begun.
pub(super) struct Flight {
    pub(super) job: Job,
    pub(super) payload_bytes: usize,
    pub(super) asking: Option<Asking>,
    pub(super) visit: Option<Arc<Visit>>,
    pub(super) begun: Instant,
    /// Whether the store may have had some of it before.
    pub(super) was_there: bool,
    /// Its records had just come.
    pub(super) is_live: bool,
}

impl Flight {
    /// Its records are at the store, which is asked what became of them.
    pub(super) fn asked(job: Job, asking: Asking, now: Instant) -> Self {
        Self { job, payload_bytes: 0, asking: Some(asking), visit: None, begun: now, was_there: true, is_live: false }
    }
}

/// How a request ended, for [`Lane::conclude`].
pub(super) struct End {
    pub(super) was_there: bool,
    pub(super) asking: Option<Asking>,
    pub(super) result: Result<Reply, Failure>,
    pub(super) payload_bytes: usize,
}

/// How a request ended, for [`Lane::end`].
pub(crate) struct Outcome {
    pub(crate) lane: usize,
    pub(super) job: u64,
    pub(super) result: Result<Reply, Failure>,
}

/// A request under way; it holds nothing of the lane.
pub(crate) type Sending = Pin<Box<dyn Future<Output = Outcome>>>;

/// All requests of a lane that were begun.
#[derive(Default)]
pub(super) struct Flights {
    all: Vec<Flight>,
    held_bytes: usize,
    payload_bytes: usize,
}

impl Flights {
    pub(super) fn depart(&mut self, flight: Flight) {
        self.held_bytes += flight.job.stored().held_bytes();
        self.payload_bytes += flight.payload_bytes;
        self.all.push(flight);
    }

    pub(super) fn land(&mut self, job: u64) -> Option<Flight> {
        let at = self.all.iter().position(|flight| flight.job.id == job)?;
        let flight = self.all.swap_remove(at);
        self.held_bytes -= flight.job.stored().held_bytes();
        self.payload_bytes -= flight.payload_bytes;
        Some(flight)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flight> {
        self.all.iter()
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.all.iter().map(|flight| &flight.job)
    }

    /// To write them to disk; what they hold must stay the same.
    pub(super) fn jobs_mut(&mut self) -> impl Iterator<Item = &mut Job> {
        self.all.iter_mut().map(|flight| &mut flight.job)
    }

    /// Those that carry records and have no answer yet.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Flight> {
        self.all.iter().filter(|flight| flight.asking.is_none())
    }

    /// Those whose records the store has, and their jobs' ids.
    pub(super) fn asking(&mut self) -> impl Iterator<Item = (u64, &mut Asking)> {
        self.all.iter_mut().filter_map(|flight| Some((flight.job.id, flight.asking.as_mut()?)))
    }

    /// What they hold in frames.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// What they have under way in payloads.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }
}

impl IntoIterator for Flights {
    type Item = Flight;
    type IntoIter = std::vec::IntoIter<Flight>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl Lane {
    pub(super) fn send(
        &mut self,
        mut job: Job,
        is_live: bool,
        payload: Payload,
        visit: Option<Arc<Visit>>,
        now: Instant,
    ) -> Sending {
        job.tried = true;
        let was_there = std::mem::replace(&mut job.may_be_there, true);
        let (id, payload_bytes) = (job.id, payload.bytes().len());
        let sending = self.submit(id, payload);
        self.flights.depart(Flight { job, payload_bytes, asking: None, visit, begun: now, was_there, is_live });
        sending
    }

    /// Hands it to the wire, on behalf of that job.
    pub(super) fn submit(&self, job: u64, payload: Payload) -> Sending {
        let (lane, backend) = (self.parts.index, &self.parts.backend);
        let sending = self.parts.client.send(payload, self.parts.settings.timeout, &|login| backend.speech(login));
        Box::pin(async move { Outcome { lane, job, result: sending.await } })
    }
}

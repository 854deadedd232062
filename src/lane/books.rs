//! What a lane tells of itself: the ledger of its destination, and its health.

use super::Lane;
use super::job::Job;
use crate::health::{DestinationHealth, DestinationState};
use crate::ledger::{DestinationLedger, Losses};

impl Lane {
    /// Records held, by walking what is held.
    pub(super) fn owed(&self) -> u64 {
        let flights = self.flights.jobs().map(Job::owed);
        let waiting = self.backlog.waiting().chain(self.backlog.disk.waiting()).map(Job::owed);
        flights.chain(waiting).sum::<u64>() + self.batcher.open().map_or(0, |open| open.len() as u64)
    }

    /// Writes what became of its records into the books.
    pub(crate) fn publish(&mut self, books: &mut DestinationLedger) {
        self.hear_of_disk();
        let DestinationLedger {
            name: _,
            delivery: _,
            adopted,
            filtered,
            delivered,
            fallback,
            rejected,
            dropped,
            owed_memory: _,
            owed_disk: _,
        } = &self.counts;
        (books.adopted, books.filtered, books.delivered) = (*adopted, *filtered, *delivered);
        (books.rejected, books.dropped) = (*rejected, *dropped);
        books.fallback = *fallback;
        books.owed_memory = self.owed();
        books.owed_disk = self.backlog.disk.owed() - self.settled_on_disk + self.left_in_ring();
    }

    pub(crate) fn dropped(&self) -> &Losses {
        &self.counts.dropped
    }

    /// The books before any record came.
    pub(crate) fn new_books(&self) -> DestinationLedger {
        DestinationLedger::new(self.parts.name.clone(), self.counts.delivery)
    }

    pub(crate) fn name(&self) -> &str {
        &self.parts.name
    }

    /// Writes how it is into the books.
    pub(crate) fn publish_health(&self, health: &mut DestinationHealth) {
        health.state = match (self.pace.is_well(), self.held) {
            (true, _) => DestinationState::Well,
            (false, true) => DestinationState::Held,
            (false, false) => DestinationState::Retrying,
        };
        health.in_flight = self.pace.limit();
        if health.spool != self.disk_trouble {
            health.spool.clone_from(&self.disk_trouble);
        }
        if health.last_failure != self.last_failure {
            health.last_failure.clone_from(&self.last_failure);
        }
    }
}

//! The tee on the worker, beside the destinations: one write for all records of a drain.
//!
//! What a process that is killed or aborts had not drained by then is missing from it.

use std::sync::Arc;

use super::{Stream, Tee, TeeTo};
use crate::batch::Origin;
use crate::frame::RecordRef;

/// Lines are written at this size, so that a large drain does not collect them all in memory.
const WRITE_AT: usize = 64 * 1024;

pub(crate) struct WorkerTee {
    tee: Tee,
    origin: Arc<Origin>,
    lines: Vec<u8>,
}

impl WorkerTee {
    pub(crate) fn new(to: TeeTo, origin: Arc<Origin>) -> Self {
        Self { tee: Tee::new(to), origin, lines: Vec::new() }
    }

    pub(crate) fn stream(&self) -> Stream {
        self.tee.to.stream
    }

    pub(crate) fn take(&mut self, record: &RecordRef<'_>) {
        self.tee.format(&mut self.lines, record, &self.origin.resource);
        if self.lines.len() >= WRITE_AT {
            self.write();
        }
    }

    /// Writes what was taken. A copy that cannot be written is no loss: the destinations have the record.
    pub(crate) fn write(&mut self) {
        if !self.lines.is_empty() {
            let _ = self.tee.write(&self.lines);
            self.lines.clear();
            self.lines.shrink_to(2 * WRITE_AT);
        }
    }
}

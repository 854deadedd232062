//! The tee on the calling thread, where it is the only place: what it wrote is safe even from an abort.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Tee, TeeTo};
use crate::batch::Origin;
use crate::contain::contained;
use crate::frame::{Frame, RecordId, RecordRef};
use crate::ledger::{Ledger, Losses, Reason};

pub(crate) struct Direct {
    to: To,
    origin: Arc<Origin>,
    sequence: AtomicU64,
    written: AtomicU64,
    closed: AtomicBool,
}

enum To {
    Nowhere,
    Tee(Tee),
    /// A test, instead of the process's streams.
    #[cfg(feature = "testing")]
    Test(Box<dyn Fn(&RecordRef<'_>) + Send + Sync>),
}

impl Direct {
    pub(crate) fn new(to: Option<TeeTo>, origin: Arc<Origin>) -> Self {
        Self::with(to.map_or(To::Nowhere, |to| To::Tee(Tee::new(to))), origin)
    }

    /// Hands each record to a test, on the thread that made it.
    #[cfg(feature = "testing")]
    pub(crate) fn to_test(take: impl Fn(&RecordRef<'_>) + Send + Sync + 'static) -> Self {
        let origin = Origin { incarnation: 0, resource: crate::resource::Resource::new("") };
        Self::with(To::Test(Box::new(take)), Arc::new(origin))
    }

    fn with(to: To, origin: Arc<Origin>) -> Self {
        Self { to, origin, sequence: AtomicU64::new(0), written: AtomicU64::new(0), closed: AtomicBool::new(false) }
    }

    /// Writes the record, with one locked write.
    pub(crate) fn write(&self, frame: &Frame) -> Result<(), Reason> {
        if self.is_closed() {
            return Err(Reason::Shutdown);
        }
        if matches!(self.to, To::Nowhere) {
            return Ok(());
        }
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let id = RecordId { incarnation: self.origin.incarnation, sequence };
        let record = RecordRef::new(frame.callsite(), frame.bytes(), frame.nanos(), id);
        let write = || match &self.to {
            To::Nowhere => Ok(()),
            To::Tee(tee) => {
                let mut line = Vec::with_capacity(256);
                tee.format(&mut line, &record, &self.origin.resource);
                tee.write(&line)
            }
            #[cfg(feature = "testing")]
            To::Test(take) => {
                take(&record);
                Ok(())
            }
        };
        match contained(write) {
            Ok(Ok(())) => {
                self.written.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(Reason::Tee),
        }
    }

    /// Whether it writes to one of the process's streams.
    pub(crate) fn writes(&self) -> bool {
        matches!(self.to, To::Tee(_))
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What was written counts as drained: there is no queue here.
    pub(crate) fn ledger(&self, dropped: Losses) -> Ledger {
        let drained = self.written.load(Ordering::Relaxed);
        Ledger { emitted: drained + dropped.total(), drained, dropped, ..Ledger::default() }
    }
}

//! A tracing event, a log record or an emitted one becomes a frame, on the calling thread.
//!
//! Everything in here runs inside the application's own calls. So it catches panics of the values that it
//! formats, keeps nothing borrowed while it calls the application's code, and takes no lock of ours.

mod filter;
mod layer;
mod logger;
mod panic;
mod record;
mod span;
mod twins;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use filter::{Filters, LiveFilter, max_level};
pub(crate) use layer::layer;
pub(crate) use logger::Logger;
pub(crate) use panic::install_panic_hook;
pub use record::{FieldValue, Json, Record, json};

use crate::frame::{Frame, Severity};
use crate::ledger::Reason;
use crate::mute::{self, Capturing};
use crate::queue::Queue;
use crate::tee::Direct;

/// What the calling threads share with the worker.
pub(crate) struct Intake {
    pub(crate) queue: Queue,
    pub(crate) filters: LiveFilter,
    /// Without a destination records go to the tee at once, and never through the queue.
    pub(crate) direct: Option<Direct>,
}

impl Intake {
    /// Captures one record: builds the frame and hands it on, or counts why there is none.
    #[inline]
    fn capture(&self, severity: Severity, may_wait: bool, build: impl FnOnce() -> Frame) {
        if mute::is_ours() {
            return;
        }
        let Some(capturing) = Capturing::enter() else {
            self.queue.count_loss(Reason::Reentrant, severity);
            return;
        };
        match catch_unwind(AssertUnwindSafe(build)) {
            Ok(frame) => self.hand_on(frame, may_wait),
            Err(_) => self.queue.count_loss(Reason::Capture, severity),
        }
        drop(capturing);
    }

    #[inline]
    fn hand_on(&self, frame: Frame, may_wait: bool) {
        match &self.direct {
            None => self.queue.offer(frame, may_wait),
            Some(direct) => {
                let severity = frame.severity();
                if let Err(reason) = direct.write(&frame) {
                    self.queue.count_loss(reason, severity);
                }
            }
        }
    }
}

/// Nanoseconds since the epoch, by the system's clock; negative before 1970.
#[inline]
pub(crate) fn now_nanos() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

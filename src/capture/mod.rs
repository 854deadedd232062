//! A tracing event, a log record or an emitted one becomes a frame, on the calling thread.
//!
//! Everything in here runs inside the application's own calls. So it catches panics of the values that it
//! formats, keeps nothing borrowed while it calls the application's code, and takes no lock of ours.

mod filter;
mod home;
mod layer;
mod logger;
mod panic;
mod record;
mod span;
mod twins;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use filter::{Filters, LiveFilter};
use home::Lives;
pub(crate) use home::{Heirs, Home};
pub(crate) use layer::layer;
pub(crate) use logger::Logger;
pub(crate) use panic::install_panic_hook;
pub use record::{FieldValue, Json, Record, json};

use crate::contain::contained;
use crate::frame::{Frame, Severity, Writer};
use crate::ledger::Reason;
use crate::mute::{Capturing, Refused};
use crate::queue::Queue;
use crate::tee::Direct;

/// What the calling threads share with the worker.
pub(crate) struct Intake {
    pub(crate) queue: Queue,
    /// Shared with what a forked child builds.
    pub(crate) filters: Arc<LiveFilter>,
    /// Without a destination records go to the tee at once, and never through the queue.
    pub(crate) direct: Option<Direct>,
    pub(crate) home: Home,
}

impl Intake {
    /// Captures one record: writes the frame and hands it on, or counts why there is none.
    #[inline(always)]
    fn capture(&self, severity: Severity, may_wait: bool, write: impl FnOnce(&mut Writer<'_>)) {
        let capturing = match Capturing::enter() {
            Ok(capturing) => capturing,
            Err(Refused::Ours) => return,
            Err(Refused::TooDeep) => return self.queue.count_loss(Reason::Reentrant, severity),
        };
        let mut frame = Frame::blank();
        let written = contained(|| {
            let mut writer = Writer::over(&mut frame);
            write(&mut writer);
            writer.finish();
        });
        match written {
            Ok(()) => match &self.direct {
                None if self.home.is_quiet(frame.nanos()) || self.queue.is_foreign() => {
                    self.offer_where_it_belongs(frame, severity, may_wait);
                }
                None => self.queue.offer(frame, severity, may_wait),
                Some(direct) => self.write_direct(direct, &frame, severity, may_wait),
            },
            Err(_) => self.queue.count_loss(Reason::Capture, severity),
        }
        drop(capturing);
    }

    #[cold]
    #[inline(never)]
    fn offer_where_it_belongs(&self, frame: Frame, severity: Severity, may_wait: bool) {
        match self.lives(frame.nanos(), may_wait) {
            Lives::Here => self.queue.offer(frame, severity, may_wait),
            Lives::There(heir) => heir.queue.offer(frame, severity, may_wait),
            Lives::Nowhere(reason) => self.queue.count_loss(reason, severity),
        }
    }

    fn write_direct(&self, direct: &Direct, frame: &Frame, severity: Severity, may_wait: bool) {
        // There is no worker to be heard of, and beside a write the question costs little.
        if direct.writes() && std::process::id() != self.home.pid() {
            return match self.heir(may_wait) {
                Ok(heir) => heir.write_here(frame, severity),
                Err(reason) => self.queue.count_loss(reason, severity),
            };
        }
        if let Err(reason) = direct.write(frame) {
            self.queue.count_loss(reason, severity);
        }
    }

    /// In the child that built this.
    fn write_here(&self, frame: &Frame, severity: Severity) {
        if let Some(Err(reason)) = self.direct.as_ref().map(|direct| direct.write(frame)) {
            self.queue.count_loss(reason, severity);
        }
    }
}

/// Nanoseconds since the epoch, by the system's clock; negative before 1970.
#[inline]
pub(crate) fn now_nanos() -> i64 {
    let nanos = |span: Duration| {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(span.subsec_nanos()))
    };
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => nanos(since),
        Err(before) => -nanos(before.duration()),
    }
}

//! The bounded queue between the threads that log and the worker that sends.
//!
//! [`Queue::offer`] never waits unless asked to. It is bounded in bytes, so that neither a flood of short lines nor a few huge
//! ones can exhaust memory, and a tenth is kept for WARN and above. When it is full [`Overflow`] says who loses, and the loss
//! is counted before `offer` returns.
//!
//! There are two ways through: the channel, in memory, and the ring, which outlives the process. A record that was drained
//! leaves the channel; in the ring it stays until it is [released](Queue::release).
//!
//! Order is kept per thread, not across threads. What a lane owes is `lane/backlog.rs`.

mod channel;
mod drain;
mod heir;
mod losses;
#[cfg_attr(not(all(feature = "crash-proof", target_os = "linux")), path = "no_ring.rs")]
mod ring;
mod room;
mod wake;

use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::config::Overflow;
use crate::frame::{Frame, Severity};
use crate::health::Acceptance;
use crate::ledger::{Losses, Reason};
use crate::mute;
use channel::Channel;
pub(crate) use drain::Drain;
pub(crate) use heir::{Heir, Lost, Owed};
use losses::LossCounters;
#[cfg(all(feature = "testing", feature = "crash-proof", target_os = "linux"))]
pub(crate) use ring::recover_any;
pub(crate) use ring::{Orphans, Ring, Shut};
use room::Room;
pub(crate) use wake::Wake;

pub(crate) struct Queue {
    way: Way,
    overflow: Overflow,
    /// The process that drains it.
    pid: u32,
    /// Not asked of a ring, which a forked child shares with its parent.
    closed: AtomicBool,
    losses: LossCounters,
    room: Room,
    wake: Wake,
}

#[allow(clippy::large_enum_variant, reason = "there is one of it")]
enum Way {
    Channel(Channel),
    Ring(Ring),
}

impl Queue {
    pub(crate) fn new(bytes: usize, overflow: Overflow) -> Self {
        Self::over(Way::Channel(Channel::new(bytes)), overflow)
    }

    pub(crate) fn with_ring(ring: Ring, overflow: Overflow) -> Self {
        Self::over(Way::Ring(ring), overflow)
    }

    fn over(way: Way, overflow: Overflow) -> Self {
        Self {
            way,
            overflow,
            pid: process::id(),
            closed: AtomicBool::new(false),
            losses: LossCounters::default(),
            room: Room::default(),
            wake: Wake::default(),
        }
    }

    /// Puts a record into the queue, or counts why not.
    ///
    /// `may_wait` is false where waiting would be wrong even if the user asked for it, as in the panic hook.
    #[inline(always)]
    pub(crate) fn offer(&self, frame: Frame, severity: Severity, may_wait: bool) {
        match &self.way {
            Way::Channel(channel) => match channel.admit(severity, frame.boxed_bytes() as u64) {
                Ok(used) => self.put(channel, frame, severity, used),
                Err(reason) => self.refused(frame, severity, reason, may_wait),
            },
            Way::Ring(ring) => self.offer_to_ring(ring, frame, severity, may_wait),
        }
    }

    #[inline(always)]
    fn put(&self, channel: &Channel, frame: Frame, severity: Severity, used: u32) {
        channel.put(frame);
        if used >= channel.slots / 4 || severity >= Severity::Error {
            self.wake.once();
        }
    }

    #[inline(always)]
    fn offer_to_ring(&self, ring: &Ring, frame: Frame, severity: Severity, may_wait: bool) {
        match ring.push(&frame, severity) {
            Ok(undrained) => self.pushed(ring, severity, undrained),
            Err(shut) => self.refused(frame, severity, reason_of(shut), may_wait),
        }
    }

    /// What is released does not count: it waits for the store, not for the worker.
    #[inline(always)]
    fn pushed(&self, ring: &Ring, severity: Severity, undrained: u64) {
        if undrained >= ring.size() / 4 || severity >= Severity::Error {
            self.wake.once();
        }
    }

    #[cold]
    fn refused(&self, frame: Frame, severity: Severity, reason: Reason, may_wait: bool) {
        // At full speed the worker may still be asleep: without this it would find out at its next poll.
        self.wake.once();
        let reason = match self.overflow {
            // In a forked child nobody makes room, and the lock may be held for good.
            Overflow::Block(limit)
                if reason == Reason::QueueFull && may_wait && !mute::is_ours() && self.pid == process::id() =>
            {
                match self.wait(limit, frame, severity) {
                    Ok(()) => return,
                    Err(reason) => reason,
                }
            }
            _ => reason,
        };
        self.count_loss(reason, severity);
    }

    fn wait(&self, limit: Duration, frame: Frame, severity: Severity) -> Result<(), Reason> {
        match &self.way {
            Way::Channel(channel) => {
                let bytes = frame.boxed_bytes() as u64;
                let used = self.room.wait(limit, || channel.admit(severity, bytes))?;
                self.put(channel, frame, severity, used);
            }
            Way::Ring(ring) => {
                let undrained = self.room.wait(limit, || ring.push(&frame, severity).map_err(reason_of))?;
                self.pushed(ring, severity, undrained);
            }
        }
        Ok(())
    }

    /// Counts a record that never came to be offered.
    #[cold]
    pub(crate) fn count_loss(&self, reason: Reason, severity: Severity) {
        self.losses.add(reason, severity);
    }

    /// Counts so many of them. Of what lies in a queue that may not be touched nobody knows the severities.
    pub(crate) fn count_strayed(&self, count: u64) {
        self.losses.add_many(Reason::Fork, Severity::Info, count);
    }

    /// Begins to take records out, oldest first; their room in the channel is available when the drain is dropped, and in
    /// the ring when they are released.
    pub(crate) fn drain(&self) -> Drain<'_> {
        Drain::of(self)
    }

    /// Records accepted since the start; `before` is what this said last, at most 2^31 records ago.
    pub(crate) fn accepted(&self, before: u64) -> u64 {
        let more = match &self.way {
            Way::Channel(channel) => channel.accepted().wrapping_sub(before as u32),
            Way::Ring(ring) => ring.accepted_since(before as u32),
        };
        before + u64::from(more)
    }

    /// Records in the queue.
    pub(crate) fn queued(&self) -> usize {
        match &self.way {
            Way::Channel(channel) => channel.len(),
            Way::Ring(ring) => ring.queued() as usize,
        }
    }

    /// Records dropped before they were in the queue.
    pub(crate) fn losses(&self) -> Losses {
        self.losses.get()
    }

    /// Accepts nothing any more; what was accepted stays.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        match &self.way {
            Way::Channel(channel) => channel.close(),
            Way::Ring(ring) => ring.close(),
        }
        self.room.made();
    }

    /// Whether it knows by itself that this process is a forked child of the one that drains it, and must not be offered
    /// anything. The channel does not know.
    #[inline(always)]
    pub(crate) fn is_foreign(&self) -> bool {
        match &self.way {
            Way::Channel(_) => false,
            Way::Ring(ring) => ring.is_foreign(),
        }
    }

    /// Whether it was closed by this process, or by one that forked it, before that.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Whether a full queue makes callers wait.
    pub(crate) fn blocks(&self) -> bool {
        matches!(self.overflow, Overflow::Block(_))
    }

    fn ring(&self) -> Option<&Ring> {
        match &self.way {
            Way::Channel(_) => None,
            Way::Ring(ring) => Some(ring),
        }
    }

    /// Whether records have places, which are their numbers: in a ring.
    pub(crate) fn has_places(&self) -> bool {
        self.ring().is_some()
    }

    /// Where the ring is.
    pub(crate) fn ring_dir(&self) -> Option<&Path> {
        self.ring().map(Ring::dir)
    }

    /// Bytes of the ring that are not released, and all that it has.
    pub(crate) fn ring_used(&self) -> Option<(u64, u64)> {
        self.ring().map(|ring| (ring.tail() - ring.consumed(), ring.size()))
    }

    /// The place behind the last record in the ring.
    pub(crate) fn ring_tail(&self) -> u64 {
        self.ring().map_or(0, Ring::tail)
    }

    /// Before this place all was drained from the ring.
    pub(crate) fn drained_to(&self) -> Option<u64> {
        self.ring().map(Ring::drained)
    }

    /// What is owed no more may go: all before `up_to` at every destination, and at each one all before a place of its own.
    /// Only what was drained goes. The worker alone calls this.
    pub(crate) fn release(&self, lanes: &[Owed], up_to: u64) {
        if let Some(ring) = self.ring() {
            ring.release(lanes, up_to);
            self.room.made();
        }
    }

    /// Says of a lane that nothing it owes is in memory alone, until the next release says what is so.
    pub(crate) fn none_in_memory(&self, lane: usize) {
        if let Some(ring) = self.ring() {
            ring.none_in_memory(lane);
        }
    }

    /// What a record survives once it was accepted.
    pub(crate) fn acceptance(&self) -> Acceptance {
        match self.ring() {
            Some(ring) if !ring.is_in_memory() => Acceptance::ProcessCrash,
            _ => Acceptance::Memory,
        }
    }

    /// The pipeline has ended: what is owed from the ring stays for the next process, and if there is nothing, no file does.
    pub(crate) fn end(&self) {
        if let Some(ring) = self.ring() {
            ring.end();
        }
    }
}

#[cold]
fn reason_of(shut: Shut) -> Reason {
    match shut {
        Shut::Full => Reason::QueueFull,
        Shut::Closed => Reason::Shutdown,
    }
}

/// A deadline `limit` from now, however large the limit.
pub(crate) fn deadline(limit: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    Instant::now() + limit.min(FAR)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::capture::Record;

    /// Whether the worker is woken by records of that many bytes.
    fn wakes(queue: &Queue, count: usize, bytes: usize) -> bool {
        for _ in 0..count {
            let frame = Record::new(Severity::Info, "x".repeat(bytes)).into_own_frame();
            queue.offer(frame, Severity::Info, false);
        }
        queue.wake().woken().now_or_never().is_some()
    }

    #[test]
    fn a_quarter_of_the_slots_or_of_the_bytes_wakes_the_worker() {
        let queue = Queue::new(1 << 20, Overflow::DropNewest);
        let Way::Channel(Channel { slots, .. }) = queue.way else { unreachable!() };
        assert!(!wakes(&queue, slots as usize / 4 - 1, 10));
        assert!(wakes(&queue, 1, 10));
        // An eighth of a MiB is a quarter of the half that lies outside the slots.
        let queue = Queue::new(1 << 20, Overflow::DropNewest);
        assert!(!wakes(&queue, 1, 100 << 10));
        assert!(wakes(&queue, 1, 100 << 10));
        assert_eq!(queue.losses().total(), 0);
    }
}

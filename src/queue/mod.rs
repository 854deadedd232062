//! The bounded queue between the threads that log and the worker that sends.
//!
//! [`Queue::offer`] never waits unless asked to. Two limits hold at once, slots and bytes, so that neither a
//! flood of short lines nor a few huge ones can exhaust memory, and a tenth of both is kept for WARN and
//! above. When a limit is reached [`Overflow`] says who loses, and the loss is counted before
//! `offer` returns.
//!
//! Order is kept per thread, not across threads. What a lane owes is `lane/backlog.rs`.
//!
//! One atomic word decides about admission, so that a caller pays one read-modify-write:
//!
//! ```text
//! bits 63..32   records accepted, modulo 2^32; only ever rises
//! bit  31       closed: nothing is accepted any more
//! bits 30..0    bytes of accepted frames that lie outside their slots; falls when they are drained
//! ```

mod channel;
mod losses;
mod room;
mod wake;

use std::process;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::config::Overflow;
use crate::frame::{Frame, Severity};
use crate::ledger::{Losses, Reason};
use crate::mute;
use channel::Channel;
use losses::LossCounters;
use room::Room;
pub(crate) use wake::Wake;

const CLOSED: u64 = 1 << 31;
const BYTES: u64 = CLOSED - 1;
const ONE: u64 = 1 << 32;

/// Fewer slots than this make no sense beside the reserve and the wake-up at a quarter.
const SLOTS_MIN: usize = 64;

pub(crate) struct Queue {
    word: CachePadded<AtomicU64>,
    /// Records drained, modulo 2^32; stored by the worker alone.
    drained: CachePadded<AtomicU32>,
    slots: u32,
    /// Slots and bytes that records below WARN leave free.
    slots_kept: u32,
    bytes: u64,
    bytes_kept: u64,
    channel: Channel,
    overflow: Overflow,
    /// The process that drains it.
    pid: u32,
    losses: LossCounters,
    room: Room,
    wake: Wake,
}

impl Queue {
    /// `bytes`: half of them are slots, resident from the start; the other half bounds what lies outside them.
    pub(crate) fn new(bytes: usize, overflow: Overflow) -> Self {
        let slots = (bytes / 2 / Channel::SLOT_BYTES).max(SLOTS_MIN);
        let outside = (bytes / 2).min(BYTES as usize / 2) as u64;
        Self {
            word: CachePadded::new(AtomicU64::new(0)),
            drained: CachePadded::new(AtomicU32::new(0)),
            slots: slots as u32,
            slots_kept: slots as u32 / 10,
            bytes: outside,
            bytes_kept: outside / 10,
            channel: Channel::new(slots),
            overflow,
            pid: process::id(),
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
        match self.admit(severity, frame.boxed_bytes() as u64) {
            Ok(used) => self.put(frame, severity, used),
            Err(reason) => self.refused(frame, severity, reason, may_wait),
        }
    }

    /// Reserves a slot and bytes; says how many slots are in use then, or all of them where bytes are scarce.
    #[inline]
    fn admit(&self, severity: Severity, bytes: u64) -> Result<u32, Reason> {
        let kept = severity < Severity::Warn;
        let (slots, most) =
            if kept { (self.slots - self.slots_kept, self.bytes - self.bytes_kept) } else { (self.slots, self.bytes) };
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & CLOSED != 0 {
                return Err(Reason::Shutdown);
            }
            // Acquire: the slots that these records had are free for the channel as well.
            let used = ((word >> 32) as u32).wrapping_sub(self.drained.load(Ordering::Acquire));
            if used >= slots || (bytes > 0 && (word & BYTES) + bytes > most) {
                // More than there are: this thread was held up between the two loads, and more was drained in the
                // meantime than the word knows of. The second look is at a newer one, as the drain came after it.
                if used > self.slots {
                    word = self.word.load(Ordering::Relaxed);
                    continue;
                }
                return Err(Reason::QueueFull);
            }
            match self.word.compare_exchange_weak(
                word,
                word.wrapping_add(ONE + bytes),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                // A quarter of the bytes is as much of a reason to wake the worker as a quarter of the slots.
                Ok(_) if bytes > 0 && (word & BYTES) + bytes >= self.bytes / 4 => return Ok(self.slots),
                Ok(_) => return Ok(used + 1),
                Err(now) => word = now,
            }
        }
    }

    #[inline(always)]
    fn put(&self, frame: Frame, severity: Severity, used: u32) {
        self.channel.put(frame);
        if used >= self.slots / 4 || severity >= Severity::Error {
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
                let bytes = frame.boxed_bytes() as u64;
                match self.room.wait(limit, || self.admit(severity, bytes)) {
                    Ok(used) => return self.put(frame, severity, used),
                    Err(reason) => reason,
                }
            }
            _ => reason,
        };
        self.count_loss(reason, severity);
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

    /// Begins to take records out, oldest first; their room is available when the drain is dropped.
    pub(crate) fn drain(&self) -> Drain<'_> {
        Drain { queue: self, count: 0, bytes: 0 }
    }

    /// Records accepted since the start; `before` is what this said last, at most 2^32 records ago.
    pub(crate) fn accepted(&self, before: u64) -> u64 {
        let now = (self.word.load(Ordering::Acquire) >> 32) as u32;
        before + u64::from(now.wrapping_sub(before as u32))
    }

    /// Records in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.channel.len()
    }

    /// Records dropped before they were in the queue.
    pub(crate) fn losses(&self) -> Losses {
        self.losses.get()
    }

    /// Accepts nothing any more; what was accepted stays.
    pub(crate) fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
        self.room.made();
    }

    /// Whether it knows by itself that this process is a forked child of the one that drains it. This one does not know,
    /// and leaves that to the worker's heartbeat.
    #[inline(always)]
    pub(crate) fn is_foreign(&self) -> bool {
        false
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    pub(crate) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Whether a full queue makes callers wait.
    pub(crate) fn blocks(&self) -> bool {
        matches!(self.overflow, Overflow::Block(_))
    }
}

/// Takes records out; gives back their room in the end, also when the worker panics over one of them.
pub(crate) struct Drain<'q> {
    queue: &'q Queue,
    count: u32,
    bytes: u64,
}

impl Iterator for Drain<'_> {
    type Item = Frame;

    #[inline]
    fn next(&mut self) -> Option<Frame> {
        let frame = self.queue.channel.take()?;
        self.count += 1;
        self.bytes += frame.boxed_bytes() as u64;
        Some(frame)
    }
}

impl Drop for Drain<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            let queue = self.queue;
            queue.word.fetch_sub(self.bytes, Ordering::AcqRel);
            // SeqCst pairs with `Room::wait`.
            queue.drained.fetch_add(self.count, Ordering::SeqCst);
            queue.room.made();
        }
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
        assert!(!wakes(&queue, queue.slots as usize / 4 - 1, 10));
        assert!(wakes(&queue, 1, 10));
        // An eighth of a MiB is a quarter of the half that lies outside the slots.
        let queue = Queue::new(1 << 20, Overflow::DropNewest);
        assert!(!wakes(&queue, 1, 100 << 10));
        assert!(wakes(&queue, 1, 100 << 10));
        assert_eq!(queue.losses().total(), 0);
    }
}

//! The slots: `crossbeam-channel`, with frames inline, and the word that decides who gets one.
//!
//! One atomic word, so that a caller pays one read-modify-write:
//!
//! ```text
//! bits 63..32   records accepted, modulo 2^32; only ever rises
//! bit  31       closed: nothing is accepted any more
//! bits 30..0    bytes of accepted frames that lie outside their slots; falls when they are drained
//! ```

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use crossbeam_utils::CachePadded;

use crate::frame::{Frame, Severity};
use crate::ledger::Reason;

const CLOSED: u64 = 1 << 31;
const BYTES: u64 = CLOSED - 1;
const ONE: u64 = 1 << 32;

/// Fewer slots than this make no sense beside the reserve and the wake-up at a quarter.
const SLOTS_MIN: usize = 64;

/// A frame and the stamp that the channel keeps with it.
const SLOT_BYTES: usize = size_of::<Frame>() + size_of::<usize>();

/// Both ends live as long as the queue, so it is never disconnected.
pub(super) struct Channel {
    word: CachePadded<AtomicU64>,
    /// Records drained, modulo 2^32; stored by the worker alone.
    drained: CachePadded<AtomicU32>,
    pub(super) slots: u32,
    /// Slots and bytes that records below WARN leave free.
    slots_kept: u32,
    bytes: u64,
    bytes_kept: u64,
    sender: Sender<Frame>,
    receiver: Receiver<Frame>,
}

impl Channel {
    /// `bytes`: half of them are slots, resident from the start; the other half bounds what lies outside them.
    pub(super) fn new(bytes: usize) -> Self {
        let slots = (bytes / 2 / SLOT_BYTES).max(SLOTS_MIN);
        let outside = (bytes / 2).min(BYTES as usize / 2) as u64;
        let (sender, receiver) = bounded(slots);
        Self {
            word: CachePadded::new(AtomicU64::new(0)),
            drained: CachePadded::new(AtomicU32::new(0)),
            slots: slots as u32,
            slots_kept: slots as u32 / 10,
            bytes: outside,
            bytes_kept: outside / 10,
            sender,
            receiver,
        }
    }

    /// Reserves a slot and bytes; says how many slots are in use then, or all of them where bytes are scarce.
    #[inline]
    pub(super) fn admit(&self, severity: Severity, bytes: u64) -> Result<u32, Reason> {
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

    /// Puts a frame into a slot that was reserved for it.
    #[inline(always)]
    pub(super) fn put(&self, frame: Frame) {
        if let Err(TrySendError::Full(frame) | TrySendError::Disconnected(frame)) = self.sender.try_send(frame) {
            self.put_again(frame);
        }
    }

    /// Admission counts slots, so there is one. A slot whose former record is being taken out at this moment may look
    /// occupied for an instant longer than it is.
    #[cold]
    #[inline(never)]
    fn put_again(&self, mut next: Frame) {
        while let Err(TrySendError::Full(frame) | TrySendError::Disconnected(frame)) = self.sender.try_send(next) {
            next = frame;
            std::thread::yield_now();
        }
    }

    #[inline]
    pub(super) fn take(&self) -> Option<Frame> {
        self.receiver.try_recv().ok()
    }

    /// Gives back the room of frames that were taken.
    pub(super) fn made_room(&self, records: u32, bytes: u64) {
        self.word.fetch_sub(bytes, Ordering::AcqRel);
        // SeqCst pairs with `Room::wait`.
        self.drained.fetch_add(records, Ordering::SeqCst);
    }

    /// Records accepted, modulo 2^32.
    pub(super) fn accepted(&self) -> u32 {
        (self.word.load(Ordering::Acquire) >> 32) as u32
    }

    pub(super) fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(super) fn len(&self) -> usize {
        self.receiver.len()
    }
}

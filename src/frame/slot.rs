//! Where a frame is put together: in its queue slot, and once that is full in a scratch of its thread.

use std::cell::Cell;

use tracing::Metadata;

use super::{HEAD, Severity};

/// Bytes of a frame that travel inside its queue slot; a longer frame travels in one box.
const INLINE: usize = 231;

/// A scratch above this size is given back to the allocator instead of being kept by its thread.
const SCRATCH_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A record on its way through the queue: 256 bytes, plus one box where it is long.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Frame {
    callsite: Option<&'static Metadata<'static>>,
    boxed: Option<Box<[u8]>>,
    len: u8,
    inline: [u8; INLINE],
}

const _: () = assert!(size_of::<Frame>() == 256);

impl Frame {
    #[inline]
    pub(crate) fn callsite(&self) -> Option<&'static Metadata<'static>> {
        self.callsite
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.boxed {
            Some(boxed) => boxed,
            None => &self.inline[..usize::from(self.len)],
        }
    }

    /// Bytes outside the slot.
    #[inline]
    pub(crate) fn boxed_bytes(&self) -> usize {
        self.boxed.as_ref().map_or(0, |boxed| boxed.len())
    }

    #[inline]
    pub(crate) fn severity(&self) -> Severity {
        Severity::from_number(self.bytes().get(8).copied().unwrap_or(0))
    }

    /// Nanoseconds since the epoch at which it was made.
    #[inline]
    pub(crate) fn nanos(&self) -> i64 {
        self.bytes().first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
    }
}

/// Where encoded bytes go.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);
    fn len(&self) -> usize;
    fn bytes(&self) -> &[u8];
    /// Overwrites bytes that were put before.
    fn patch(&mut self, at: usize, bytes: &[u8]);
    /// Takes back all from `len` on.
    fn truncate(&mut self, len: usize);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
    fn len(&self) -> usize {
        self.len()
    }
    fn bytes(&self) -> &[u8] {
        self
    }
    fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(there) = self.get_mut(at..at + bytes.len()) {
            there.copy_from_slice(bytes);
        }
    }
    fn truncate(&mut self, len: usize) {
        self.truncate(len);
    }
}

/// First the slot, and once that is full this thread's scratch.
pub(crate) struct Slot {
    frame: Frame,
    len: usize,
    /// In use once it is not empty.
    spill: Vec<u8>,
}

impl Slot {
    /// Begins a frame with room for its head.
    #[inline]
    pub(super) fn new(callsite: Option<&'static Metadata<'static>>) -> Self {
        let frame = Frame { callsite, boxed: None, len: 0, inline: [0; INLINE] };
        Self { frame, len: HEAD, spill: Vec::new() }
    }

    /// The frame with all that was put.
    #[inline(always)]
    pub(super) fn finish(self) -> Frame {
        let Self { mut frame, len, spill } = self;
        if spill.is_empty() {
            frame.len = len as u8;
        } else {
            frame.boxed = Some(spill.as_slice().into());
            if spill.capacity() <= SCRATCH_MAX {
                let _ = SCRATCH.try_with(|cell| cell.set(spill));
            }
        }
        frame
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.spill.is_empty() {
            // In a destructor of another thread-local the scratch may be gone: then a fresh one serves.
            self.spill = SCRATCH.try_with(Cell::take).unwrap_or_default();
            self.spill.clear();
            self.spill.extend_from_slice(&self.frame.inline[..self.len]);
        }
        self.spill.extend_from_slice(bytes);
    }
}

impl Sink for Slot {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if self.spill.is_empty() && end <= INLINE {
            self.frame.inline[self.len..end].copy_from_slice(bytes);
        } else {
            self.spill(bytes);
        }
        self.len = end;
    }

    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    fn bytes(&self) -> &[u8] {
        if self.spill.is_empty() { &self.frame.inline[..self.len] } else { &self.spill }
    }

    #[inline]
    fn patch(&mut self, at: usize, bytes: &[u8]) {
        let all = if self.spill.is_empty() { &mut self.frame.inline[..] } else { &mut self.spill[..] };
        if let Some(there) = all.get_mut(at..at + bytes.len()) {
            there.copy_from_slice(bytes);
        }
    }

    fn truncate(&mut self, len: usize) {
        // The head is always there, so a spill that is in use never becomes empty.
        self.spill.truncate(len);
        self.len = len;
    }
}

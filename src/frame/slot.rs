//! Where a frame is put together: in its queue slot, and once that is full in a scratch of its thread.

use std::cell::Cell;

use tracing::Metadata;

use super::{Callsite, HEAD, Severity, Writer};

/// Bytes of a frame that travel inside its queue slot; a longer frame travels in one box.
const INLINE: usize = 231;

/// Bytes of the head that are known before anything else: time and severity.
const HEAD_BEGIN: usize = 9;

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
    /// An empty one, to be written where it stands: it is too large to be handed around.
    #[inline(always)]
    pub(crate) fn blank() -> Self {
        Self { callsite: None, boxed: None, len: 0, inline: [0; INLINE] }
    }

    /// A frame of these fields: for lines of our own, and for tests.
    pub(crate) fn of(
        callsite: Callsite<'_>,
        severity: Severity,
        nanos: i64,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Self {
        let mut frame = Self::blank();
        let mut writer = Writer::over(&mut frame);
        writer.begin(callsite, severity, nanos);
        write(&mut writer);
        writer.finish();
        frame
    }

    /// A frame that comes from the ring: `read` gives its bytes.
    #[cfg(all(feature = "crash-proof", target_os = "linux"))]
    #[inline]
    pub(crate) fn of_bytes(
        callsite: Option<&'static Metadata<'static>>,
        len: usize,
        read: impl FnOnce(&mut [u8]),
    ) -> Self {
        let mut frame = Self { callsite, ..Self::blank() };
        if len <= INLINE {
            frame.len = len as u8;
            read(&mut frame.inline[..len]);
        } else {
            let mut boxed = vec![0; len].into_boxed_slice();
            read(&mut boxed);
            frame.boxed = Some(boxed);
        }
        frame
    }

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
    /// Puts both where that is cheap, or nothing.
    #[inline(always)]
    fn try_put<const N: usize>(&mut self, _head: [u8; N], _bytes: &[u8]) -> bool {
        false
    }
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
pub(crate) struct Slot<'f> {
    frame: &'f mut Frame,
    len: usize,
    /// How far the slot may be filled; nothing once the spill is in use.
    limit: usize,
    spill: Vec<u8>,
}

impl<'f> Slot<'f> {
    /// Writes into a blank frame; the head is left to be written last.
    #[inline(always)]
    pub(super) fn over(frame: &'f mut Frame) -> Self {
        Self { frame, len: HEAD, limit: INLINE, spill: Vec::new() }
    }

    /// Writes what the head begins with, and the name of the thread after its length. All that a name may take is moved
    /// at once; what it does not use is written over.
    #[inline(always)]
    pub(super) fn begin(&mut self, head: [u8; HEAD_BEGIN], name: [u8; 32]) {
        self.frame.inline[..HEAD_BEGIN].copy_from_slice(&head);
        self.frame.inline[HEAD..HEAD + name.len()].copy_from_slice(&name);
        self.len = HEAD + 1 + usize::from(name[0]);
    }

    #[inline(always)]
    pub(super) fn refer_to(&mut self, callsite: &'static Metadata<'static>) {
        self.frame.callsite = Some(callsite);
    }

    /// Writes the rest of the head; the frame is complete.
    #[inline(always)]
    pub(super) fn finish(&mut self, head: [u8; HEAD - HEAD_BEGIN]) {
        if self.limit > 0 {
            self.frame.inline[HEAD_BEGIN..HEAD].copy_from_slice(&head);
            self.frame.len = self.len as u8;
        } else {
            self.patch(HEAD_BEGIN, &head);
            self.box_spill();
        }
    }

    #[cold]
    #[inline(never)]
    fn spill(&mut self, bytes: &[u8]) {
        if self.limit > 0 {
            self.limit = 0;
            // In a destructor of another thread-local the scratch may be gone: then a fresh one serves.
            self.spill = SCRATCH.try_with(Cell::take).unwrap_or_default();
            self.spill.clear();
            self.spill.extend_from_slice(&self.frame.inline[..self.len]);
        }
        self.spill.extend_from_slice(bytes);
    }

    /// Puts what was spilled into the frame, and keeps the scratch for the next one.
    #[cold]
    #[inline(never)]
    fn box_spill(&mut self) {
        let spill = std::mem::take(&mut self.spill);
        self.frame.boxed = Some(spill.as_slice().into());
        if spill.capacity() <= SCRATCH_MAX {
            let _ = SCRATCH.try_with(|cell| cell.set(spill));
        }
    }
}

impl Sink for Slot<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.frame.inline.get_mut(self.len..end) {
            Some(room) if end <= self.limit => room.copy_from_slice(bytes),
            _ => self.spill(bytes),
        }
        self.len = end;
    }

    /// As long as it fits the slot, of which no limit of a frame is anywhere near.
    #[inline(always)]
    fn try_put<const N: usize>(&mut self, head: [u8; N], bytes: &[u8]) -> bool {
        let end = self.len + N + bytes.len();
        match self.frame.inline.get_mut(self.len..end).and_then(|room| room.split_first_chunk_mut::<N>()) {
            Some((first, rest)) if end <= self.limit => {
                *first = head;
                rest.copy_from_slice(bytes);
                self.len = end;
                true
            }
            _ => false,
        }
    }

    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    fn bytes(&self) -> &[u8] {
        if self.limit > 0 { &self.frame.inline[..self.len] } else { &self.spill }
    }

    #[inline]
    fn patch(&mut self, at: usize, bytes: &[u8]) {
        let all = if self.limit > 0 { &mut self.frame.inline[..] } else { &mut self.spill[..] };
        if let Some(there) = all.get_mut(at..at + bytes.len()) {
            there.copy_from_slice(bytes);
        }
    }

    fn truncate(&mut self, len: usize) {
        self.spill.truncate(len);
        self.len = len;
    }
}

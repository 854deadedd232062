//! The slots: `crossbeam-channel`, with frames inline.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::frame::Frame;

/// Both ends live as long as the queue, so it is never disconnected.
pub(super) struct Channel {
    sender: Sender<Frame>,
    receiver: Receiver<Frame>,
}

impl Channel {
    /// A frame and the stamp that the channel keeps with it.
    pub(super) const SLOT_BYTES: usize = size_of::<Frame>() + size_of::<usize>();

    pub(super) fn new(slots: usize) -> Self {
        let (sender, receiver) = bounded(slots);
        Self { sender, receiver }
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

    pub(super) fn len(&self) -> usize {
        self.receiver.len()
    }
}

//! The worker's end of the queue.

use super::{Queue, Way};
use crate::frame::Frame;

/// Takes records out; gives back their room in the end, also when the worker panics over one of them.
pub(crate) struct Drain<'q> {
    queue: &'q Queue,
    count: u32,
    /// Of frames that lay outside their slots.
    bytes: u64,
    /// Where the ring is read, and how far.
    at: u64,
    tail: u64,
    /// Where in the ring the last record was.
    position: Option<u64>,
    last_time: i64,
}

impl<'q> Drain<'q> {
    pub(super) fn of(queue: &'q Queue) -> Self {
        let (at, tail, last_time) = match &queue.way {
            Way::Channel(_) => (0, 0, 0),
            Way::Ring(ring) => (ring.drained(), ring.tail(), ring.last_time()),
        };
        Self { queue, count: 0, bytes: 0, at, tail, position: None, last_time }
    }

    /// Where in the ring the record was that was given last.
    pub(crate) fn position(&self) -> Option<u64> {
        self.position
    }

    /// Says what time that record was given, so that whoever finds it in the ring gives it the same.
    #[inline]
    pub(crate) fn number(&mut self, was: i64, nanos: i64) {
        if let (Way::Ring(ring), Some(position)) = (&self.queue.way, self.position) {
            self.last_time = nanos;
            if was != nanos {
                ring.number(position, nanos);
            }
        }
    }
}

impl Iterator for Drain<'_> {
    type Item = Frame;

    #[inline]
    fn next(&mut self) -> Option<Frame> {
        let frame = match &self.queue.way {
            Way::Channel(channel) => channel.take()?,
            Way::Ring(ring) => {
                let (found, frame) = ring.next(self.at, self.tail)?;
                self.position = Some(found.position);
                self.at = found.next;
                frame
            }
        };
        self.count += 1;
        self.bytes += frame.boxed_bytes() as u64;
        Some(frame)
    }
}

impl Drop for Drain<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            match &self.queue.way {
                Way::Channel(channel) => channel.made_room(self.count, self.bytes),
                Way::Ring(ring) => ring.drained_to(self.at, self.count, self.last_time),
            }
            self.queue.room.made();
        }
    }
}

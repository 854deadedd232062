//! The order of the ring: who may write where, and when it is free again.
//!
//! Many threads push, one drains. A push claims its place by one exchange of the tail, writes, and commits by a release
//! store; the drain goes from frame to frame and stops at the first that is not committed. What was drained stays where
//! it is until it is released: whoever reads the memory after the process died finds all that was accepted and is not
//! released.
//!
//! ```text
//! tail word  bits 63..33  records accepted, modulo 2^31; only ever rises
//!            bit  32      closed: nothing is accepted any more
//!            bits 31..0   where the next frame begins, in words, modulo 2^32
//! frame      state        kind in the top four bits, length below, mixed with the salt and the position
//!            callsite     address of what the dictionary has, or 0
//!            bytes        padded to whole words
//! ```
//!
//! Nothing here knows what memory it is: all goes through [`Memory`], word by word, and each word is an atomic. So a model
//! checker can take its place, and a wrong order can lose a record but is never undefined behaviour. This file uses nothing
//! else of the crate, for the same reason.
//!
//! **Released in this order**: `consumed` first, then the words become zero, then `head` moves on, which is what lets
//! callers write there. Zeroing first would make a reader after a death walk over half of a frame, and take what an
//! application logged for a frame.

use std::sync::atomic::Ordering;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Words that are shared with whoever reads them after the process.
///
/// Places in the header are those of [`place`], the rest is reckoned by [`Order`].
pub(crate) trait Memory {
    fn load(&self, at: usize, order: Ordering) -> u64;
    fn store(&self, at: usize, value: u64, order: Ordering);
    /// Weak: may fail without a reason. Returns what was there.
    fn exchange(&self, at: usize, current: u64, new: u64) -> Result<u64, u64>;
    /// What was stored before is seen by whoever sees what is stored later.
    fn fence(&self);

    /// Stores bytes as whole words, the last one padded with zeros.
    #[inline]
    fn put(&self, at: usize, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<8>();
        for (word, chunk) in whole.iter().enumerate() {
            self.store(at + word, u64::from_le_bytes(*chunk), Relaxed);
        }
        if !rest.is_empty() {
            self.store(at + whole.len(), padded(rest), Relaxed);
        }
    }

    #[inline]
    fn get(&self, at: usize, into: &mut [u8]) {
        for (word, chunk) in into.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&self.load(at + word, Relaxed).to_le_bytes()[..chunk.len()]);
        }
    }

    fn clear(&self, at: usize, words: usize) {
        for word in at..at + words {
            self.store(word, 0, Relaxed);
        }
    }

    /// Whoever uses the memory comes by a point that has a name.
    #[inline]
    fn passes(&self, _point: &'static str) {}
}

/// Less than a word of bytes, as one.
#[inline]
pub(crate) fn padded(rest: &[u8]) -> u64 {
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(last)
}

/// Where in the header what stands that changes, in words. What callers change lies two cache lines from what they only
/// read, as processors fetch lines in pairs.
pub(crate) mod place {
    /// See the head of the file.
    pub(crate) const TAIL: usize = 16;
    /// `head` in the upper half and what was drained in the lower, both in words modulo 2^32.
    pub(crate) const ENDS: usize = 32;
    /// All before it is released; in bytes, and so are the next two. A reader begins here.
    pub(crate) const CONSUMED: usize = 48;
    /// All before it was drained, and has the time that it was given.
    pub(crate) const DRAINED: usize = 49;
    /// The last time that was given, as nanoseconds.
    pub(crate) const LAST_TIME: usize = 50;
    /// Records drained, modulo 2^31.
    pub(crate) const DRAINED_COUNT: usize = 51;
    /// For each lane so many words: its fingerprint; the position before which nothing is owed to it from here; how many
    /// records before that are owed and in memory alone, and how many more of those are on their way.
    pub(crate) const LANES: usize = 64;
    pub(crate) const LANE: usize = 4;
}

/// Lanes for which there is room in the header.
pub(crate) const LANES_MAX: usize = 64;

/// Words in front of a frame's bytes.
pub(crate) const FRAME_HEAD: u32 = 2;

const ONE: u64 = 1 << 33;
const CLOSED: u64 = 1 << 32;
const POSITION: u64 = CLOSED - 1;
/// What the count of records is taken modulo.
pub(crate) const COUNT_MASK: u32 = u32::MAX >> 1;

/// Why a record did not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shut {
    Full,
    Closed,
}

/// What the state of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Being written: so many bytes.
    Claimed(u32),
    /// Complete: so many bytes.
    Committed(u32),
    /// Nothing: so many words, this one included.
    Padding(u32),
}

impl State {
    /// As it is stored. Never 0, which is what an empty word is.
    #[inline]
    pub(crate) fn encode(self, salt: u64, position: u32) -> u64 {
        let (kind, len) = match self {
            Self::Claimed(len) => (1, len),
            Self::Committed(len) => (2, len),
            Self::Padding(len) => (3, len),
        };
        kind << 60 | (mask(salt, position) ^ checked(len))
    }

    /// What was stored at that position, by whoever knew the salt; of anything else, nothing.
    #[inline]
    pub(crate) fn decode(word: u64, salt: u64, position: u32) -> Option<Self> {
        let low = (word & LOW) ^ mask(salt, position);
        let len = low as u32;
        match word >> 60 {
            _ if low != checked(len) => None,
            1 => Some(Self::Claimed(len)),
            2 => Some(Self::Committed(len)),
            3 => Some(Self::Padding(len)),
            _ => None,
        }
    }
}

const LOW: u64 = u64::MAX >> 4;

/// A length, and above it what it must be followed by, so that no other length is believed.
#[inline]
fn checked(len: u32) -> u64 {
    u64::from(len.wrapping_mul(0x9e37_79b1) & 0xfff_ffff) << 32 | u64::from(len)
}

/// Differs from place to place, so that neither what an application logs nor a frame of an earlier lap passes for one.
#[inline]
fn mask(salt: u64, position: u32) -> u64 {
    (salt ^ u64::from(position).wrapping_mul(0x9e37_79b9_7f4a_7c15)) & LOW
}

/// Words that a frame of so many bytes takes.
#[inline]
pub(crate) fn words_of(bytes: usize) -> u32 {
    FRAME_HEAD.saturating_add(u32::try_from(bytes.div_ceil(8)).unwrap_or(u32::MAX))
}

/// A frame that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it begins, in bytes since the ring was made: its number.
    pub(crate) position: u64,
    /// Where the next one begins.
    pub(crate) next: u64,
    /// Address of its callsite, or 0.
    pub(crate) callsite: u64,
    /// Its bytes.
    pub(crate) len: u32,
}

pub(crate) struct Order<M> {
    memory: M,
    salt: u64,
    /// The word at which frames begin.
    data: usize,
    /// Words of frames: a power of two, at most 2^30.
    units: u32,
}

impl<M: Memory> Order<M> {
    pub(crate) fn new(memory: M, salt: u64, data: usize, units: u32) -> Self {
        assert!(units.is_power_of_two() && (16..=1 << 30).contains(&units), "{units}");
        Self { memory, salt, data, units }
    }

    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// Bytes of frames, their heads included.
    pub(crate) fn size(&self) -> u64 {
        u64::from(self.units) * 8
    }

    #[inline]
    fn cell(&self, position: u32) -> usize {
        self.data + (position & (self.units - 1)) as usize
    }

    /// Puts a frame in. With `keep` a tenth of the ring stays free. Returns how many bytes are not drained then.
    #[inline]
    pub(crate) fn push(&self, callsite: u64, bytes: &[u8], keep: bool) -> Result<u64, Shut> {
        let need = words_of(bytes.len());
        // A larger one could wait for ever for so much in one piece.
        if need > self.units / 4 {
            return Err(Shut::Full);
        }
        let most = if keep { self.units - self.units / 10 } else { self.units };
        let memory = &self.memory;
        let mut word = memory.load(place::TAIL, Relaxed);
        loop {
            if word & CLOSED != 0 {
                return Err(Shut::Closed);
            }
            // Acquire: what lies before `head` is zero by then.
            let ends = memory.load(place::ENDS, Acquire);
            let (head, drained) = ((ends >> 32) as u32, ends as u32);
            let tail = word as u32;
            let used = tail.wrapping_sub(head);
            // More than there are: this thread was held up between the two loads, and more was released in the meantime
            // than the word knows of. The second look is at a newer one, as the release came after it.
            if used > self.units {
                word = memory.load(place::TAIL, Relaxed);
                continue;
            }
            let to_end = self.units - (tail & (self.units - 1));
            let pad = if need > to_end { to_end } else { 0 };
            if used + pad + need > most {
                return Err(Shut::Full);
            }
            let after = tail.wrapping_add(pad + need);
            let new = (word & !POSITION).wrapping_add(ONE) | u64::from(after);
            match memory.exchange(place::TAIL, word, new) {
                Ok(_) => {
                    memory.passes("ring.claim");
                    self.fill(tail, pad, callsite, bytes);
                    return Ok(u64::from(after.wrapping_sub(drained)) * 8);
                }
                Err(now) => word = now,
            }
        }
    }

    #[inline]
    fn fill(&self, mut at: u32, pad: u32, callsite: u64, bytes: &[u8]) {
        let memory = &self.memory;
        if pad > 0 {
            memory.store(self.cell(at), State::Padding(pad).encode(self.salt, at), Release);
            at = at.wrapping_add(pad);
        }
        let (cell, len) = (self.cell(at), bytes.len() as u32);
        memory.store(cell, State::Claimed(len).encode(self.salt, at), Relaxed);
        memory.store(cell + 1, callsite, Relaxed);
        memory.passes("ring.write");
        memory.put(cell + FRAME_HEAD as usize, bytes);
        memory.passes("ring.commit");
        memory.store(cell, State::Committed(len).encode(self.salt, at), Release);
    }

    /// Accepts nothing any more.
    pub(crate) fn close(&self) {
        let mut word = self.memory.load(place::TAIL, Relaxed);
        while let Err(now) = self.memory.exchange(place::TAIL, word, word | CLOSED) {
            word = now;
        }
    }

    /// Records accepted, modulo 2^31.
    pub(crate) fn accepted(&self) -> u32 {
        (self.memory.load(place::TAIL, Acquire) >> 33) as u32
    }

    /// Records accepted and not drained.
    pub(crate) fn queued(&self) -> u32 {
        let drained = self.memory.load(place::DRAINED_COUNT, Relaxed) as u32;
        self.accepted().wrapping_sub(drained) & COUNT_MASK
    }

    /// Before this all was drained.
    pub(crate) fn drained(&self) -> u64 {
        self.memory.load(place::DRAINED, Relaxed)
    }

    /// Before this all was released.
    pub(crate) fn consumed(&self) -> u64 {
        self.memory.load(place::CONSUMED, Relaxed)
    }

    /// The time that was given last; that of no record to begin with.
    pub(crate) fn last_time(&self) -> i64 {
        self.memory.load(place::LAST_TIME, Relaxed) as i64
    }

    /// Where the next frame begins.
    pub(crate) fn tail(&self) -> u64 {
        let drained = self.drained();
        let tail = self.memory.load(place::TAIL, Acquire) as u32;
        drained + u64::from(tail.wrapping_sub((drained / 8) as u32)) * 8
    }

    /// The first frame at or behind `at`, if it is committed and before `tail`. The one thread that drains asks.
    pub(crate) fn next(&self, mut at: u64, tail: u64) -> Option<Found> {
        while at < tail {
            let position = (at / 8) as u32;
            let cell = self.cell(position);
            let left = self.units - (position & (self.units - 1));
            match State::decode(self.memory.load(cell, Acquire), self.salt, position)? {
                State::Padding(words) if words == left => at += u64::from(words) * 8,
                State::Committed(len) if words_of(len as usize) <= left => {
                    let next = at + u64::from(words_of(len as usize)) * 8;
                    return Some(Found { position: at, next, callsite: self.memory.load(cell + 1, Relaxed), len });
                }
                _ => return None,
            }
        }
        None
    }

    /// Reads the bytes of a frame that was found.
    pub(crate) fn read(&self, found: &Found, into: &mut [u8]) {
        self.memory.get(self.cell((found.position / 8) as u32) + FRAME_HEAD as usize, into);
    }

    /// Writes the first eight bytes of a frame that was found: its time.
    pub(crate) fn number(&self, position: u64, nanos: i64) {
        self.memory.store(self.cell((position / 8) as u32) + FRAME_HEAD as usize, nanos as u64, Relaxed);
    }

    /// All before `to` was drained: so many records more, the last of them at that time.
    pub(crate) fn drained_to(&self, to: u64, records: u32, last_time: i64) {
        let memory = &self.memory;
        memory.store(place::LAST_TIME, last_time as u64, Relaxed);
        let count = memory.load(place::DRAINED_COUNT, Relaxed) as u32;
        memory.store(place::DRAINED_COUNT, u64::from(count.wrapping_add(records) & COUNT_MASK), Relaxed);
        memory.store(place::DRAINED, to, Release);
        self.move_ends();
    }

    /// Says of a lane that it owes nothing before that position.
    pub(crate) fn settled(&self, lane: usize, fingerprint: u64, position: u64) {
        if lane < LANES_MAX {
            self.memory.store(place::LANES + place::LANE * lane, fingerprint, Relaxed);
            self.memory.store(place::LANES + place::LANE * lane + 1, position, Relaxed);
        }
    }

    /// Says of a lane how much it owes that is in memory alone. After its position: a record that is still found here is not
    /// said to be lost.
    pub(crate) fn in_memory(&self, lane: usize, waiting: u64, in_flight: u64) {
        if lane < LANES_MAX {
            self.memory.fence();
            self.memory.store(place::LANES + place::LANE * lane + 2, waiting, Relaxed);
            self.memory.store(place::LANES + place::LANE * lane + 3, in_flight, Relaxed);
        }
    }

    /// Frees all before that position, at most what was drained. It must be where a frame begins or ends.
    pub(crate) fn release(&self, up_to: u64) {
        let (from, to) = (self.consumed(), up_to.min(self.drained()));
        if to <= from {
            return;
        }
        // First what was settled before it, then this, then the zeros: whoever sees one of them sees those before.
        self.memory.fence();
        self.memory.passes("ring.release");
        self.memory.store(place::CONSUMED, to, Relaxed);
        self.memory.fence();
        self.memory.passes("ring.release");
        let first = self.cell((from / 8) as u32);
        let words = ((to - from) / 8) as usize;
        let to_end = (self.data + self.units as usize - first).min(words);
        self.memory.clear(first, to_end);
        self.memory.clear(self.data, words - to_end);
        self.memory.passes("ring.release");
        self.move_ends();
    }

    /// Release: what was drained is read, and what was released is zero.
    fn move_ends(&self) {
        let (head, drained) = (self.consumed() / 8, self.drained() / 8);
        self.memory.store(place::ENDS, (head & POSITION) << 32 | (drained & POSITION), Release);
    }
}

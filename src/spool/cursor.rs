//! How far a segment is settled, kept in its own head.
//!
//! Two slots are written in turn, so that one is whole whatever happens while the other is written. Where neither is, all
//! batches are owed: some may then arrive twice, and none is lost.

use super::format::{Counts, SLOT, SLOTS, crc_at, u32_at, u64_at};

/// The first byte that is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// How often it was written.
    counter: u64,
    pub(super) at: u64,
    /// The records before it.
    pub(super) before: Counts,
}

impl Cursor {
    pub(super) fn at_start(start: u64) -> Self {
        Self { counter: 0, at: start, before: [0; 6] }
    }

    /// The newer one of the slots in this head, if it points to a place where a batch may begin or end.
    pub(super) fn read(head: &[u8], salt: u64, start: u64, file_len: u64) -> Self {
        SLOTS
            .into_iter()
            .filter_map(|slot_at| {
                let slot = head.get(slot_at..slot_at + SLOT)?;
                let counter = u64_at(slot, 0);
                let cursor =
                    Self { counter, at: u64_at(slot, 8), before: std::array::from_fn(|n| u32_at(slot, 16 + 4 * n)) };
                let whole = counter > 0
                    && Self::slot_of(counter) == slot_at
                    && crc_at(salt, slot_at as u64, &slot[..40]) == u32_at(slot, 40);
                (whole && cursor.at >= start && cursor.at <= file_len && cursor.at.is_multiple_of(8)).then_some(cursor)
            })
            .max_by_key(|cursor| cursor.counter)
            .unwrap_or(Self::at_start(start))
    }

    fn slot_of(counter: u64) -> usize {
        SLOTS[(counter % 2) as usize]
    }

    /// Where it is to be written next, and what.
    pub(super) fn next_slot(&mut self, salt: u64) -> (u64, [u8; SLOT]) {
        self.counter += 1;
        let slot_at = Self::slot_of(self.counter) as u64;
        let mut slot = [0; SLOT];
        slot[..8].copy_from_slice(&self.counter.to_le_bytes());
        slot[8..16].copy_from_slice(&self.at.to_le_bytes());
        for (place, count) in self.before.iter().enumerate() {
            slot[16 + 4 * place..20 + 4 * place].copy_from_slice(&count.to_le_bytes());
        }
        let crc = crc_at(salt, slot_at, &slot[..40]);
        slot[40..44].copy_from_slice(&crc.to_le_bytes());
        (slot_at, slot)
    }
}

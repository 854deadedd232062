//! What a pipeline owes in memory, so that the next one can tell what was lost if it dies.
//!
//! ```text
//! two slots of 16 KiB, written in turn: length u32 · CRC u32 · counter u64
//!   · each lane: fingerprint u64 · waiting u64 · in flight u64 · label: length u16, text
//! ```

use std::io;

use super::format::{crc_at, u32_at, u64_at};
use super::fs::{Dir, File, read_full, write_all};
use super::name;
use crate::frame::CharBoundary as _;

const SLOT: usize = 16 * 1024;
const HEAD: usize = 16;
const LABEL_MAX: usize = 200;

/// What a lane owes in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaneState {
    pub(crate) fingerprint: u64,
    pub(crate) label: String,
    /// Records that no request in flight holds.
    pub(crate) waiting: u64,
    /// Those that may be at the store.
    pub(crate) in_flight: u64,
}

/// The file of this pipeline.
pub(super) struct StateFile {
    owner: u128,
    file: Option<Box<dyn File>>,
    written: Vec<LaneState>,
    counter: u64,
}

impl StateFile {
    pub(super) fn new(owner: u128) -> Self {
        Self { owner, file: None, written: Vec::new(), counter: 0 }
    }

    /// Writes it, if anything changed.
    pub(super) fn write(&mut self, dir: &dyn Dir, lanes: &[LaneState]) -> io::Result<()> {
        if self.written == lanes {
            return Ok(());
        }
        self.counter += 1;
        let slot = slot(lanes, self.counter);
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(dir.create(&name::state(self.owner))?),
        };
        write_all(&**file, &slot, (self.counter % 2) * SLOT as u64)?;
        self.written = lanes.to_vec();
        Ok(())
    }

    /// So many records of a lane are about to be written to disk. Told before: who died in between would be said to have
    /// lost what the next process finds there.
    pub(super) fn leave_memory(&mut self, dir: &dyn Dir, fingerprint: u64, records: u64) {
        let mut lanes = self.written.clone();
        let lane = lanes.iter_mut().find(|lane| lane.fingerprint == fingerprint && lane.waiting > 0);
        if let Some(lane) = lane {
            lane.waiting = lane.waiting.saturating_sub(records);
            let _ = self.write(dir, &lanes);
        }
    }

    /// Nothing was lost.
    pub(super) fn remove(&mut self, dir: &dyn Dir) {
        if self.file.take().is_some() {
            let _ = dir.unlink(&name::state(self.owner));
        }
    }
}

fn slot(lanes: &[LaneState], counter: u64) -> Vec<u8> {
    let mut out = vec![0; 8];
    out.extend_from_slice(&counter.to_le_bytes());
    for lane in lanes {
        let label = &lane.label[..lane.label.floor_char_boundary_at(LABEL_MAX)];
        if out.len() + 26 + label.len() > SLOT {
            break;
        }
        for number in [lane.fingerprint, lane.waiting, lane.in_flight] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&(label.len() as u16).to_le_bytes());
        out.extend_from_slice(label.as_bytes());
    }
    let len = out.len() as u32;
    out[..4].copy_from_slice(&len.to_le_bytes());
    let crc = crc_at(u64::from(len), 0, &out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

/// What the owner, who is dead, said last.
pub(super) fn read(dir: &dyn Dir, owner: u128) -> io::Result<Vec<LaneState>> {
    let file = dir.open(&name::state(owner))?;
    let mut bytes = vec![0; 2 * SLOT];
    let read = read_full(&*file, &mut bytes, 0)?;
    bytes.truncate(read);
    let slots = bytes.chunks(SLOT).filter_map(|slot| {
        let whole = slot.get(..u32_at(slot, 0) as usize).filter(|whole| whole.len() >= HEAD)?;
        (crc_at(whole.len() as u64, 0, &whole[8..]) == u32_at(slot, 4)).then_some(whole)
    });
    let Some(newest) = slots.max_by_key(|slot| u64_at(slot, 8)) else { return Ok(Vec::new()) };
    let (mut lanes, mut rest) = (Vec::new(), &newest[HEAD..]);
    while let Some((numbers, behind)) = rest.split_first_chunk::<26>() {
        let len = usize::from(u16::from_le_bytes([numbers[24], numbers[25]]));
        let Some((label, behind)) = behind.split_at_checked(len) else { break };
        lanes.push(LaneState {
            fingerprint: u64_at(numbers, 0),
            label: String::from_utf8_lossy(label).into_owned(),
            waiting: u64_at(numbers, 8),
            in_flight: u64_at(numbers, 16),
        });
        rest = behind;
    }
    Ok(lanes)
}

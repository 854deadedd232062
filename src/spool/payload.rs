//! The records of a batch as bytes that mean the same in any process.
//!
//! ```text
//! number of sites u32 · number of records u32
//! sites      each: length u32, bytes as `frame::portable` has them
//! entries    each: site u32 (all ones: none) · frame's length u32 · sequence u64 · nanoseconds i64
//! frames
//! ```

use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;
use std::time::Instant;

use crate::batch::{Batch, Origin, Stored};
use crate::frame::portable::{Site, inline, write_site};

const ENTRY: usize = 24;
/// Stands for a frame that needs no site.
const NO_SITE: u32 = u32::MAX;

/// Appends the records.
pub(super) fn write(batch: &Batch<'_>, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[0; 8]);
    let mut sites = HashMap::new();
    let (mut last, mut last_number) = (ptr::null(), NO_SITE);
    let mut entries = Vec::with_capacity(batch.len() * ENTRY);
    let mut bytes = 0;
    for record in batch.records() {
        let number = record.callsite().map_or(NO_SITE, |callsite| {
            if !ptr::eq(last, callsite) {
                let next = sites.len() as u32;
                last = ptr::from_ref(callsite);
                last_number = *sites.entry(last).or_insert_with(|| {
                    let len_at = out.len();
                    out.extend_from_slice(&[0; 4]);
                    write_site(callsite, out);
                    let len = (out.len() - len_at - 4) as u32;
                    out[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
                    next
                });
            }
            last_number
        });
        let mut entry = [0; ENTRY];
        entry[..4].copy_from_slice(&number.to_le_bytes());
        entry[4..8].copy_from_slice(&(record.frame().len() as u32).to_le_bytes());
        entry[8..16].copy_from_slice(&record.id().sequence.to_le_bytes());
        entry[16..].copy_from_slice(&record.unix_nanos().to_le_bytes());
        entries.extend_from_slice(&entry);
        bytes += record.frame().len();
    }
    out[begin..begin + 4].copy_from_slice(&(sites.len() as u32).to_le_bytes());
    out[begin + 4..begin + 8].copy_from_slice(&(batch.len() as u32).to_le_bytes());
    out.reserve(entries.len() + bytes);
    out.extend_from_slice(&entries);
    batch.records().for_each(|record| out.extend_from_slice(record.frame()));
}

/// Reads what [`write`] wrote; `None` where that is anything else.
pub(super) fn read(bytes: &[u8], origin: &Arc<Origin>, opened: Instant) -> Option<Stored> {
    let (numbers, mut rest) = bytes.split_first_chunk::<8>()?;
    let number = |at: usize| u32::from_le_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
    let mut sites = Vec::new();
    for _ in 0..number(0) {
        let (len, behind) = rest.split_first_chunk::<4>()?;
        let (site, behind) = behind.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        sites.push(Site::read(site)?);
        rest = behind;
    }
    let records = number(4) as usize;
    let (entries, mut frames) = rest.split_at_checked(records.checked_mul(ENTRY)?)?;
    let (mut stored, mut held) = (Stored::new(Arc::clone(origin), opened), 0);
    for entry in entries.as_chunks::<ENTRY>().0 {
        let [s0, s1, s2, s3, l0, l1, l2, l3, times @ ..] = *entry;
        let (frame, behind) = frames.split_at_checked(u32::from_le_bytes([l0, l1, l2, l3]) as usize)?;
        frames = behind;
        let site = match u32::from_le_bytes([s0, s1, s2, s3]) {
            NO_SITE => None,
            number => Some(sites.get(number as usize)?),
        };
        let (sequence, nanos) = times.split_first_chunk()?;
        let (sequence, nanos) = (u64::from_le_bytes(*sequence), i64::from_le_bytes(*nanos.first_chunk()?));
        stored.push_inline(sequence, nanos, |out| {
            match site {
                Some(site) => inline(frame, site, out),
                None => out.extend_from_slice(frame),
            }
            held = out.len();
        });
        // What a program wrote grows by a few times; nothing else shall fill the memory.
        if held > MOST_GROWN + bytes.len().saturating_mul(16) {
            return None;
        }
    }
    frames.is_empty().then_some(stored)
}

/// Few records of long callsites may grow by any factor up to this many bytes.
const MOST_GROWN: usize = 64 * 1024 * 1024;

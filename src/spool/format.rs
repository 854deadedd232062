//! The bytes of a segment. All numbers are little-endian.
//!
//! ```text
//! head    magic 8 · version u32 · where the batches begin u32 · salt u64 · created i64 · incarnation u128
//!         · fingerprint u64 · CRC u32 of all of it but the slots · nothing u32
//!         two slots of the cursor (48 each): counter u64 · at u64 · records by severity before it 6 × u32
//!         · CRC u32 · nothing u32
//!         label, name of the service, number of attributes u32, keys and values: each length u32, text
//! batch   marker u64 · payload's length u32 and CRC u32 · its records by severity 6 × u32
//!         · the records of the segment before it, the same · number u64 · sealed i64 · mode u8 · tried u8
//!         · nothing 6 · CRC u32 · nothing u32
//!         payload, filled up to a multiple of eight bytes
//! ```
//!
//! Marker and CRCs depend on the salt, which is random, those of a batch on its place as well: no text that is logged can pass
//! for a batch, be it a copy of one. A batch whose head is whole is counted to the record, whatever became of its payload, and
//! of one whose head is not, the next one tells.

use std::sync::Arc;

use crate::batch::{Mode, Origin};
use crate::resource::Resource;

const MAGIC: [u8; 8] = *b"LGCHSEG\n";
const VERSION: u32 = 1;
/// Where the CRC of the head stands.
const HEAD_CRC: usize = 56;
/// Where the slots of the cursor stand.
pub(super) const SLOTS: [usize; 2] = [64, 112];
pub(super) const SLOT: usize = 48;
/// Bytes before the texts of the head.
pub(super) const HEAD_FIXED: usize = SLOTS[1] + SLOT;
/// No head is longer.
const HEAD_MAX: usize = 1024 * 1024;
/// Bytes before the payload of a batch.
pub(super) const BATCH_HEAD: usize = 96;
/// No payload is longer.
pub(super) const PAYLOAD_MAX: usize = 128 * 1024 * 1024;
/// Batches begin at multiples of this.
pub(super) const ALIGN: usize = 8;

/// Records by severity.
pub(super) type Counts = [u32; 6];

pub(super) fn sum(counts: &Counts) -> u64 {
    counts.iter().map(|&count| u64::from(count)).sum()
}

pub(super) fn plus(one: Counts, other: Counts) -> Counts {
    std::array::from_fn(|at| one[at].wrapping_add(other[at]))
}

/// What stands at the beginning of a segment, beside the cursor.
pub(super) struct Head {
    pub(super) salt: u64,
    pub(super) created: i64,
    pub(super) fingerprint: u64,
    pub(super) label: String,
    pub(super) origin: Arc<Origin>,
}

/// Why a head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHead {
    /// It is not ours, or cut, or damaged.
    Bad,
    /// A newer version wrote it.
    Newer(u32),
    /// This many bytes of the file are needed.
    Needs(usize),
}

impl Head {
    /// The bytes before the first batch; no slot is in use.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; HEAD_FIXED];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..24].copy_from_slice(&self.salt.to_le_bytes());
        out[24..32].copy_from_slice(&self.created.to_le_bytes());
        out[32..48].copy_from_slice(&self.origin.incarnation.to_le_bytes());
        out[48..56].copy_from_slice(&self.fingerprint.to_le_bytes());
        let resource = &self.origin.resource;
        put_text(&mut out, &self.label);
        put_text(&mut out, resource.service_name());
        let number_at = out.len();
        out.extend_from_slice(&[0; 4]);
        let mut number = 0_u32;
        for (key, value) in resource.attributes() {
            if out.len() + key.len() + value.len() + 16 > HEAD_MAX {
                break;
            }
            put_text(&mut out, key);
            put_text(&mut out, value);
            number += 1;
        }
        out[number_at..number_at + 4].copy_from_slice(&number.to_le_bytes());
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        let start = out.len() as u32;
        out[12..16].copy_from_slice(&start.to_le_bytes());
        let crc = head_crc(&out);
        out[HEAD_CRC..HEAD_CRC + 4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the head of which these are the first bytes; returns where the batches begin.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, usize), NoHead> {
        let fixed = bytes.first_chunk::<HEAD_FIXED>().ok_or(NoHead::Bad)?;
        if fixed[..8] != MAGIC {
            return Err(NoHead::Bad);
        }
        match u32_at(fixed, 8) {
            VERSION => {}
            version if version > VERSION => return Err(NoHead::Newer(version)),
            _ => return Err(NoHead::Bad),
        }
        let start = u32_at(fixed, 12) as usize;
        if !(HEAD_FIXED..=HEAD_MAX).contains(&start) || !start.is_multiple_of(ALIGN) {
            return Err(NoHead::Bad);
        }
        let whole = bytes.get(..start).ok_or(NoHead::Needs(start))?;
        if head_crc(whole) != u32_at(whole, HEAD_CRC) {
            return Err(NoHead::Bad);
        }
        let mut rest = &whole[HEAD_FIXED..];
        let mut texts = || take_text(&mut rest).ok_or(NoHead::Bad);
        let (label, service) = (texts()?, texts()?);
        let mut resource = Resource::new(service);
        let (number, behind) = rest.split_first_chunk::<4>().ok_or(NoHead::Bad)?;
        rest = behind;
        for _ in 0..u32::from_le_bytes(*number) {
            let key = take_text(&mut rest).ok_or(NoHead::Bad)?;
            resource.set(key, take_text(&mut rest).ok_or(NoHead::Bad)?);
        }
        let mut incarnation = [0; 16];
        incarnation.copy_from_slice(&fixed[32..48]);
        let head = Self {
            salt: u64_at(fixed, 16),
            created: u64_at(fixed, 24) as i64,
            fingerprint: u64_at(fixed, 48),
            label: label.to_owned(),
            origin: Arc::new(Origin { incarnation: u128::from_le_bytes(incarnation), resource }),
        };
        Ok((head, start))
    }
}

fn head_crc(head: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[..HEAD_CRC]);
    crc.update(&head[HEAD_FIXED..]);
    crc.finalize()
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

/// What stands before the payload of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BatchHead {
    pub(super) payload_len: usize,
    pub(super) payload_crc: u32,
    pub(super) counts: Counts,
    pub(super) before: Counts,
    pub(super) number: u64,
    pub(super) sealed: i64,
    pub(super) mode: Mode,
    pub(super) tried: bool,
}

impl BatchHead {
    /// From here to where the next batch begins.
    pub(super) fn whole_len(&self) -> u64 {
        (BATCH_HEAD + self.payload_len).next_multiple_of(ALIGN) as u64
    }

    pub(super) fn bytes(&self, salt: u64, at: u64) -> [u8; BATCH_HEAD] {
        let mut out = [0; BATCH_HEAD];
        out[..8].copy_from_slice(&marker(salt, at).to_le_bytes());
        out[8..12].copy_from_slice(&(self.payload_len as u32).to_le_bytes());
        out[12..16].copy_from_slice(&self.payload_crc.to_le_bytes());
        for (place, count) in self.counts.iter().chain(&self.before).enumerate() {
            out[16 + 4 * place..20 + 4 * place].copy_from_slice(&count.to_le_bytes());
        }
        out[64..72].copy_from_slice(&self.number.to_le_bytes());
        out[72..80].copy_from_slice(&self.sealed.to_le_bytes());
        out[80] = match self.mode {
            Mode::Plain => 0,
            Mode::Fallback => 1,
            Mode::Replay => 2,
        };
        out[81] = u8::from(self.tried);
        let crc = crc_at(salt, at, &out[..88]);
        out[88..92].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` where there is none.
    pub(super) fn read(bytes: &[u8], salt: u64, at: u64) -> Option<Self> {
        let bytes = bytes.first_chunk::<BATCH_HEAD>()?;
        let payload_len = u32_at(bytes, 8) as usize;
        let is_one = u64_at(bytes, 0) == marker(salt, at)
            && crc_at(salt, at, &bytes[..88]) == u32_at(bytes, 88)
            && payload_len <= PAYLOAD_MAX;
        is_one.then(|| Self {
            payload_len,
            payload_crc: u32_at(bytes, 12),
            counts: std::array::from_fn(|place| u32_at(bytes, 16 + 4 * place)),
            before: std::array::from_fn(|place| u32_at(bytes, 40 + 4 * place)),
            number: u64_at(bytes, 64),
            sealed: u64_at(bytes, 72) as i64,
            mode: match bytes[80] {
                1 => Mode::Fallback,
                2 => Mode::Replay,
                _ => Mode::Plain,
            },
            tried: bytes[81] != 0,
        })
    }
}

/// What a batch at that place begins with.
pub(super) fn marker(salt: u64, at: u64) -> u64 {
    let mut mixed = salt ^ at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The CRC of bytes that belong to that place of that segment.
pub(super) fn crc_at(salt: u64, at: u64, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(&at.to_le_bytes());
    crc.update(bytes);
    crc.finalize()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

//! For a fuzzer: bytes as a segment, as the records of one, and as a state file.

use std::path::Path;
use std::time::{Duration, Instant};

use super::format::{BATCH_HEAD, BatchHead, Head, crc_at};
use super::ram::Ram;
use super::{Directory, Found, name};
use crate::batch::{Batch, Mode, Origin, Places};
use crate::resource::Resource;

const OWNER: u128 = 1;
const LANE: u64 = 2;
const SALT: u64 = 3;

/// Reads these bytes as what another process left, in each way that there is. No bytes may make it panic, spin or deliver
/// more records than it says that it found.
pub fn check_spool(bytes: &[u8]) {
    let segment = name::SegmentName { owner: OWNER, fingerprint: LANE, number: 0 }.to_string();
    check(&segment, bytes);
    check(&segment, &batch_of(bytes));
    check(&segment, &[head(), bytes.to_vec()].concat());
    check(&name::state(OWNER), bytes);
}

fn head() -> Vec<u8> {
    let origin = Origin { incarnation: OWNER, resource: Resource::new("shop") }.into();
    Head { salt: SALT, created: 0, fingerprint: LANE, label: String::new(), origin }.bytes()
}

/// A whole segment with these bytes as the payload of its batch; the first one says how many records it is said to have.
fn batch_of(bytes: &[u8]) -> Vec<u8> {
    let (records, payload) = bytes.split_first().unwrap_or((&0, &[]));
    let mut out = head();
    let at = out.len() as u64;
    let batch = BatchHead {
        payload_len: payload.len(),
        payload_crc: crc_at(SALT, at, payload),
        counts: [0, 0, u32::from(*records), 0, 0, 0],
        before: [0; 6],
        number: 0,
        sealed: 0,
        mode: Mode::Plain,
        tried: false,
    };
    out.extend_from_slice(&batch.bytes(SALT, at));
    out.extend_from_slice(payload);
    debug_assert_eq!(out.len(), at as usize + BATCH_HEAD + payload.len());
    out
}

fn check(name: &str, bytes: &[u8]) {
    let ram = Ram::default();
    ram.put(name, bytes);
    let mut now = Instant::now();
    let Ok(mut directory) = Directory::open(Path::new("x"), &ram, u128::MAX) else { return };
    for found in directory.look(&[LANE], now) {
        let Found::Orphan { mut source, .. } = found else { continue };
        let (mut delivered, mut asked) = (0, 0);
        while !source.is_done() {
            asked += 1;
            assert!(asked <= 8 + bytes.len(), "it never ends");
            source.peek();
            let Some(taken) = source.next(now) else {
                now += Duration::from_secs(2);
                continue;
            };
            let batch = Batch::new(&taken.stored, Places::Range(0, taken.stored.len()));
            for record in batch.records() {
                let _ = (record.message(), record.target(), record.spans().count(), record.fields().count());
            }
            delivered += taken.stored.len() as u64;
            source.settle(taken.place);
        }
        let damaged: u64 = source.damaged().iter().sum();
        assert_eq!(source.found(), delivered + damaged);
    }
}

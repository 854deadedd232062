//! A batch as one message.
//!
//! An entry is `[EventTime, {"message": …, "level": …, "target": …, "file": …, "line": …, "thread": …, "span": …,
//! "id": …, fields…, "service_name": …, attributes…}]`: names as `flat.rs` has them, values with their types.

use std::io::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::flat::{self, Form, Ids, Names};
use super::super::sites::Sites;
use super::super::{Batch, RecordRef, Resource, Value, json, msgpack};

/// The Collector takes `log` for the message as well, whichever stands last.
const RESERVED: Names<'static> = Names::new(&RESERVED_NAMES);
pub(super) const RESERVED_NAMES: [&str; 15] = flat::joined(flat::RESERVED, ["log"]);

/// As much as the wire compresses bodies of HTTP.
const GZIP_LEVEL: u32 = 1;

/// The bytes, and the chunk that the server names.
pub(super) fn message(batch: &Batch<'_>, tag: &str, gzip: bool, resource_bytes: &AtomicUsize) -> (Vec<u8>, String) {
    let mut out = Vec::with_capacity(batch.cost() + tag.len() + 128);
    out.push(0x93);
    msgpack::text(&mut out, tag);
    // Bytes, with their count in 32 bits.
    out.push(0xc6);
    let count_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let start = out.len();

    let tail = Tail::new(batch.resource());
    resource_bytes.store(tail.bytes.len(), Ordering::Relaxed);
    let (mut ids, mut sites) = (Ids::default(), Sites::default());
    let mut chunk = Chunk::default();
    for record in batch.records() {
        chunk.add(&record);
        entry(&mut out, &record, &mut ids, &mut sites, &tail);
    }
    let is_packed = gzip && pack(&mut out, start);
    let count = (out.len() - start) as u32;
    out[count_at..start].copy_from_slice(&count.to_be_bytes());

    let name = chunk.name(&mut ids);
    out.push(0x82 + u8::from(is_packed));
    msgpack::text(&mut out, "chunk");
    msgpack::text(&mut out, &name);
    msgpack::text(&mut out, "size");
    msgpack::unsigned(&mut out, batch.len() as u64);
    if is_packed {
        msgpack::text(&mut out, "compressed");
        msgpack::text(&mut out, "gzip");
    }
    (out, name)
}

/// Compresses what stands from `start` on; the same bytes each time, as the header holds no time.
fn pack(out: &mut Vec<u8>, start: usize) -> bool {
    let packed = Vec::with_capacity((out.len() - start) / 4 + 64);
    let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::new(GZIP_LEVEL));
    let Ok(packed) = encoder.write_all(&out[start..]).and_then(|()| encoder.finish()) else { return false };
    out.truncate(start);
    out.extend_from_slice(&packed);
    true
}

/// The name of a batch: its first id, and a sum over all of them, so that each part of a batch has its own.
#[derive(Default)]
struct Chunk {
    first: Option<crate::frame::RecordId>,
    sum: u64,
}

impl Chunk {
    #[inline]
    fn add(&mut self, record: &RecordRef<'_>) {
        let id = record.id();
        self.first.get_or_insert(id);
        // The mixing step of SplitMix64.
        let mut next = self.sum.wrapping_add(id.sequence).wrapping_add(0x9e37_79b9_7f4a_7c15);
        next = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        next = (next ^ (next >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.sum = next ^ (next >> 31);
    }

    fn name(&self, ids: &mut Ids) -> String {
        let first = self.first.map_or("", |id| ids.text(id));
        format!("{first}-{:016x}", self.sum)
    }
}

#[inline]
fn entry(out: &mut Vec<u8>, record: &RecordRef<'_>, ids: &mut Ids, sites: &mut Sites, tail: &Tail<'_>) {
    let is_in_range = event_time(out, record.unix_nanos());
    let map = msgpack::open_map(out);
    let mut members = 5;
    out.extend_from_slice(b"\xa7message");
    msgpack::text(out, record.message());
    out.extend_from_slice(b"\xa5level");
    msgpack::text(out, record.severity().as_str());
    sites.write(out, record, site);
    members += u16::from(record.file().is_some()) + u16::from(record.line().is_some());
    out.extend_from_slice(b"\xa6thread");
    msgpack::text(out, record.thread());
    if record.spans().next().is_some() {
        members += 1;
        out.extend_from_slice(b"\xa4span");
        let mut path = Vec::new();
        flat::span_path(&mut path, record.spans(), |out, name| out.extend_from_slice(name.as_bytes()));
        msgpack::text(out, &String::from_utf8_lossy(&path));
    }
    out.extend_from_slice(b"\xa2id");
    msgpack::text(out, ids.text(record.id()));
    if !is_in_range {
        members += 1;
        let mut time = Vec::new();
        json::rfc3339(&mut time, record.unix_nanos());
        out.extend_from_slice(b"\xa4time");
        msgpack::text(out, &String::from_utf8_lossy(&time));
    }
    let mut form = Entry { out, tail, members, replaced: 0 };
    flat::fill(&mut form, record.fields(), usize::MAX, record.message_original_len());
    let Entry { members, replaced, .. } = form;
    let members = members + tail.write(out, replaced);
    msgpack::close_map(out, map, members);
}

/// Target, file and line.
fn site(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    out.extend_from_slice(b"\xa6target");
    msgpack::text(out, record.target());
    if let Some(file) = record.file() {
        out.extend_from_slice(b"\xa4file");
        msgpack::text(out, file);
    }
    if let Some(line) = record.line() {
        out.extend_from_slice(b"\xa4line");
        msgpack::unsigned(out, u64::from(line));
    }
}

/// Begins an entry with its time: seconds and nanoseconds of 32 bits each. Whether they hold it; years before 1970 and
/// after 2106 they do not.
#[inline]
fn event_time(out: &mut Vec<u8>, unix_nanos: i64) -> bool {
    let seconds = unix_nanos.div_euclid(1_000_000_000);
    let nanos = unix_nanos.rem_euclid(1_000_000_000) as u32;
    let fits = u32::try_from(seconds);
    out.extend_from_slice(&[0x92, 0xd7, 0x00]);
    out.extend_from_slice(&fits.unwrap_or(if seconds < 0 { 0 } else { u32::MAX }).to_be_bytes());
    out.extend_from_slice(&nanos.to_be_bytes());
    fits.is_ok()
}

/// An entry whose fields are being written.
struct Entry<'e, 'r> {
    out: &'e mut Vec<u8>,
    tail: &'e Tail<'r>,
    members: u16,
    /// A bit for each attribute of the resource whose name a field has.
    replaced: u128,
}

impl Form for Entry<'_, '_> {
    #[inline]
    fn has(&self, name: &str, _is_plain: bool) -> bool {
        RESERVED.position(name).is_some()
    }

    #[inline]
    fn put(&mut self, name: &str, _is_plain: bool, value: Value<'_>) {
        if let Some(place) = self.tail.names.position(name) {
            self.replaced |= 1 << place;
        }
        self.members += 1;
        msgpack::text(self.out, name);
        msgpack::value(self.out, value);
    }
}

/// The resource as it stands at the end of each entry.
struct Tail<'r> {
    bytes: Vec<u8>,
    /// Names of the attributes.
    names: Names<'r>,
    /// Where each attribute stands in `bytes`; before the first, the name of the service.
    places: Vec<Range<usize>>,
}

impl<'r> Tail<'r> {
    /// Attributes whose names stand for something else already are not shown, nor any beyond the 128th.
    fn new(resource: &'r Resource) -> Self {
        let mut bytes = b"\xacservice_name".to_vec();
        msgpack::text(&mut bytes, resource.service_name());
        let free = |name: &str| !name.is_empty() && RESERVED.position(name).is_none();
        let attributes = resource.attributes().filter(|(name, _)| free(name)).take(u128::BITS as usize);
        let (names, places) = attributes
            .map(|(name, value)| {
                let start = bytes.len();
                msgpack::text(&mut bytes, name);
                msgpack::text(&mut bytes, value);
                (name, start..bytes.len())
            })
            .unzip();
        Self { bytes, names: Names::of(names), places }
    }

    /// Writes it without the attributes that fields replaced; how many members that were.
    #[inline]
    fn write(&self, out: &mut Vec<u8>, replaced: u128) -> u16 {
        let members = 1 + self.places.len() as u16 - replaced.count_ones() as u16;
        if replaced == 0 {
            out.extend_from_slice(&self.bytes);
            return members;
        }
        let of_attributes = self.places.first().map_or(self.bytes.len(), |first| first.start);
        out.extend_from_slice(&self.bytes[..of_attributes]);
        for (_, place) in self.places.iter().enumerate().filter(|(at, _)| replaced >> at & 1 == 0) {
            out.extend_from_slice(&self.bytes[place.clone()]);
        }
        members
    }
}

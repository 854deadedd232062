//! What a ring's file begins with: who wrote it, and where what stands in it.
//!
//! ```text
//! words 0..16   magic · version · salt · incarnation (2) · words of frames · where the dictionary begins, and how many
//!               words it has · where frames begin · bytes of the resource · when it was made · check of all this
//! words 16..512 what changes: see order::place
//! byte 4096 on  the resource: pairs of texts (length u32, text), the service's name first; to a whole page
//!               the dictionary; to a whole page
//!               the frames
//! ```
//!
//! Words are as the machine has them, since it is the same machine that reads them: a ring lies in memory.

use crate::fnv::fnv;
use crate::resource::Resource;

use super::order::{LANES_MAX, place};

/// What holds what is fixed and what changes.
pub(super) const HEAD_BYTES: usize = 4096;
const PAGE: usize = 4096;
const MAGIC: u64 = u64::from_le_bytes(*b"logchute");
const VERSION: u64 = 1;
/// The least and the most that a dictionary takes.
const DICTIONARY: (usize, usize) = (16 * 1024, 1024 * 1024);
/// A resource that takes more is not kept, nor read.
const RESOURCE_MAX: usize = 64 * 1024;
/// Words of frames: the most that the positions can tell apart, and the least that a record fits in.
const UNITS: std::ops::RangeInclusive<u64> = 16..=1 << 30;

const _: () = assert!((place::LANES + place::LANE * LANES_MAX) * 8 <= HEAD_BYTES);

/// Where what stands in a ring's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) salt: u64,
    pub(super) incarnation: u128,
    pub(super) resource: Resource,
    pub(super) created: i64,
    /// Words of frames.
    pub(super) units: u32,
    /// The dictionary's first word, and how many it has.
    pub(super) dictionary: usize,
    pub(super) dictionary_words: usize,
    /// The first word of frames.
    pub(super) data: usize,
}

/// Why a file is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// A later version of this crate wrote it, and will read it.
    Newer(u64),
    /// It is no ring, or none any more.
    Bad(&'static str),
}

impl Header {
    /// For a ring of at most so many bytes, of which a sixteenth is the dictionary's; `None` for a resource that is too
    /// long.
    pub(super) fn new(incarnation: u128, resource: &Resource, salt: u64, created: i64, bytes: usize) -> Option<Self> {
        let resource_bytes = encode(resource).len();
        let units = (bytes / 8).max(*UNITS.start() as usize).min(*UNITS.end() as usize) as u32;
        // The next power of two below, so that positions can wrap.
        let units = 1 << units.ilog2();
        let dictionary_bytes = (units as usize * 8 / 16).clamp(DICTIONARY.0, DICTIONARY.1);
        let dictionary = (HEAD_BYTES + resource_bytes).next_multiple_of(PAGE);
        (resource_bytes <= RESOURCE_MAX).then(|| Self {
            salt,
            incarnation,
            resource: resource.clone(),
            created,
            units,
            dictionary: dictionary / 8,
            dictionary_words: dictionary_bytes / 8,
            data: (dictionary + dictionary_bytes.next_multiple_of(PAGE)) / 8,
        })
    }

    /// Bytes of the whole file.
    pub(super) fn file_bytes(&self) -> usize {
        (self.data + self.units as usize) * 8
    }

    /// What the file begins with.
    pub(super) fn encode(&self) -> Vec<u8> {
        let resource = encode(&self.resource);
        let mut words = [
            MAGIC,
            VERSION,
            self.salt,
            self.incarnation as u64,
            (self.incarnation >> 64) as u64,
            u64::from(self.units),
            self.dictionary as u64,
            self.dictionary_words as u64,
            self.data as u64,
            resource.len() as u64,
            self.created as u64,
            0,
        ];
        let (check, parts) = words.split_last_mut().expect("there are twelve");
        *check = checked(parts, &resource);
        let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        out.resize(HEAD_BYTES, 0);
        out.extend_from_slice(&resource);
        out
    }

    /// Reads what a file of so many bytes begins with; `read` reads at an offset, at most what it is asked for.
    pub(super) fn read(file_bytes: u64, read: impl Fn(u64, &mut [u8]) -> bool) -> Result<Self, Unread> {
        let mut head = [0; 96];
        if !read(0, &mut head) {
            return Err(Unread::Bad("it is too short"));
        }
        let words: [u64; 12] =
            std::array::from_fn(|at| u64::from_ne_bytes(head[8 * at..][..8].try_into().unwrap_or_default()));
        let [magic, version, salt, low, high, units, dictionary, dictionary_words, data, resource_len, created, check] =
            words;
        if magic != MAGIC {
            return Err(Unread::Bad("it is none of ours"));
        }
        if version > VERSION {
            return Err(Unread::Newer(version));
        }
        if resource_len > RESOURCE_MAX as u64 {
            return Err(Unread::Bad("its head is damaged"));
        }
        let mut resource = vec![0; resource_len as usize];
        if !read(HEAD_BYTES as u64, &mut resource) || check != checked(&words[..11], &resource) {
            return Err(Unread::Bad("its head is damaged"));
        }
        // The check is no proof against whoever wrote it.
        let most = file_bytes / 8;
        let fits = UNITS.contains(&units)
            && units.is_power_of_two()
            && version == VERSION
            && dictionary_words <= DICTIONARY.1 as u64 / 8
            && dictionary >= HEAD_BYTES as u64 / 8
            && dictionary.checked_add(dictionary_words).is_some_and(|end| end <= data)
            && data.checked_add(units).is_some_and(|end| end <= most);
        if !fits {
            return Err(Unread::Bad("it is shorter than it says"));
        }
        let resource = decode(&resource).ok_or(Unread::Bad("its head is damaged"))?;
        Ok(Self {
            salt,
            incarnation: u128::from(high) << 64 | u128::from(low),
            resource,
            created: created as i64,
            units: units as u32,
            dictionary: dictionary as usize,
            dictionary_words: dictionary_words as usize,
            data: data as usize,
        })
    }
}

fn checked(words: &[u64], resource: &[u8]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.to_ne_bytes()).chain(resource.iter().copied());
    fnv(bytes)
}

fn encode(resource: &Resource) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |text: &str| {
        out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    put(resource.service_name());
    for (key, value) in resource.attributes() {
        put(key);
        put(value);
    }
    out
}

fn decode(mut bytes: &[u8]) -> Option<Resource> {
    let mut take = || -> Option<Option<String>> {
        let Some((len, rest)) = bytes.split_first_chunk() else { return bytes.is_empty().then_some(None) };
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        bytes = rest;
        Some(Some(std::str::from_utf8(text).ok()?.to_owned()))
    };
    let mut resource = Resource::new(take()??);
    while let Some(key) = take()? {
        resource.set(key, take()??);
    }
    Some(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(bytes: &[u8], file_bytes: usize) -> Result<Header, Unread> {
        Header::read(file_bytes as u64, |at, into| {
            let there = bytes.get(at as usize..).and_then(|rest| rest.get(..into.len()));
            there.inspect(|there| into.copy_from_slice(there)).is_some()
        })
    }

    fn some() -> Header {
        let mut resource = Resource::new("shop");
        resource.set("pod", "web-1");
        resource.set("empty", "");
        Header::new(7 << 100 | 5, &resource, 0x1234_5678_9abc_def0, -3, 1 << 16).unwrap()
    }

    #[test]
    fn a_header_reads_as_it_was_written() {
        let header = some();
        assert_eq!(read_back(&header.encode(), header.file_bytes()), Ok(header));
    }

    #[test]
    fn s1_a_header_that_was_cut_or_changed_at_any_byte_is_never_taken_for_one() {
        let header = some();
        let bytes = header.encode();
        for cut in 0..bytes.len() {
            assert!(read_back(&bytes[..cut], header.file_bytes()).is_err(), "{cut}");
        }
        let matters = (0..96).chain(HEAD_BYTES..bytes.len());
        for at in matters {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(read_back(&changed, header.file_bytes()).is_err(), "{at} {bit}");
            }
        }
        assert_eq!(read_back(&bytes, header.file_bytes() - 8), Err(Unread::Bad("it is shorter than it says")));
    }

    #[test]
    fn s9_a_ring_of_a_newer_version_is_told_from_a_damaged_one() {
        let mut bytes = some().encode();
        bytes[8] = 9;
        assert_eq!(read_back(&bytes, 1 << 20), Err(Unread::Newer(9)));
    }

    #[test]
    fn a_resource_that_is_too_long_gets_no_ring() {
        let mut resource = Resource::new("shop");
        resource.set("long", "x".repeat(RESOURCE_MAX));
        assert_eq!(Header::new(1, &resource, 1, 1, 1 << 20), None);
    }
}

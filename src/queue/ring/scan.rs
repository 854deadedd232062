//! What a ring's file holds, read after its process died.
//!
//! Nothing that stands there is believed: a length counts only if a frame of it fits where it is, and what is no frame is
//! passed over word by word. Read in pieces, so that memory does not depend on the file.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::header::{HEAD_BYTES, Header, Unread};
use super::order::{FRAME_HEAD, LANES_MAX, State, place, words_of};
use super::sites::salt_of_sites;
use crate::frame::FRAME_MAX;
use crate::process::OwnFile;

/// Read at once.
const PIECE: usize = 64 * 1024;
/// No frame is longer, one that carries its callsite included.
const LEN_MAX: usize = 2 * FRAME_MAX;

/// A file, or what stands for one.
pub(super) trait Image {
    fn len(&self) -> u64;
    /// Reads all that is asked for, or says that it could not.
    fn read(&self, at: u64, into: &mut [u8]) -> bool;
}

impl Image for File {
    fn len(&self) -> u64 {
        self.metadata().map_or(0, |data| data.len())
    }

    fn read(&self, at: u64, into: &mut [u8]) -> bool {
        self.read_exact_at(into, at).is_ok()
    }
}

impl Image for OwnFile {
    fn len(&self) -> u64 {
        self.get().map_or(0, |file| Image::len(&*file))
    }

    fn read(&self, at: u64, into: &mut [u8]) -> bool {
        self.get().is_ok_and(|file| file.read(at, into))
    }
}

impl Image for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read(&self, at: u64, into: &mut [u8]) -> bool {
        let there = usize::try_from(at).ok().and_then(|at| self.get(at..)).and_then(|rest| rest.get(..into.len()));
        there.inspect(|there| into.copy_from_slice(there)).is_some()
    }
}

/// How far a lane had come.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    /// Its place in the table.
    pub(super) lane: usize,
    pub(super) fingerprint: u64,
    /// Before this nothing is owed to it from here.
    pub(super) position: u64,
    /// What it owed of that, and was in memory alone: records that waited, and others that were on their way.
    pub(super) waiting: u64,
    pub(super) in_flight: u64,
}

/// How far a ring had come, and what it refers to.
pub(super) struct Survey {
    pub(super) header: Header,
    /// What is neither before this nor behind `end` was accepted and not released.
    pub(super) consumed: u64,
    /// What is before this has the time that it was given.
    pub(super) drained: u64,
    pub(super) end: u64,
    pub(super) last_time: i64,
    pub(super) lanes: Vec<Mark>,
    dictionary: Vec<u8>,
    sites: HashMap<u64, Range<usize>>,
}

impl Survey {
    pub(super) fn of(image: &(impl Image + ?Sized)) -> Result<Self, Unread> {
        let header = Header::read(image.len(), |at, into| image.read(at, into))?;
        let mut head = vec![0; HEAD_BYTES];
        let mut dictionary = vec![0; header.dictionary_words * 8];
        if !image.read(0, &mut head) || !image.read(header.dictionary as u64 * 8, &mut dictionary) {
            return Err(Unread::Bad("it cannot be read"));
        }
        let marks = |at: usize| word(&head, at);
        let (consumed, drained) = (marks(place::CONSUMED), marks(place::DRAINED));
        let ahead = (marks(place::TAIL) as u32).wrapping_sub((consumed / 8) as u32);
        let end = consumed.checked_add(u64::from(ahead) * 8).ok_or(Unread::Bad("its positions are damaged"))?;
        if consumed % 8 != 0 || ahead > header.units || !(consumed..=end).contains(&drained) || drained % 8 != 0 {
            return Err(Unread::Bad("its positions are damaged"));
        }
        let lanes = (0..LANES_MAX)
            .map(|lane| {
                let [fingerprint, position, waiting, in_flight] =
                    std::array::from_fn(|word| marks(place::LANES + place::LANE * lane + word));
                Mark { lane, fingerprint, position, waiting, in_flight }
            })
            .filter(|mark| mark.fingerprint != 0)
            .collect();
        let last_time = if drained == 0 { i64::MIN } else { marks(place::LAST_TIME) as i64 };
        let sites = sites(&header, &dictionary);
        Ok(Self { header, consumed, drained, end, last_time, lanes, dictionary, sites })
    }

    /// All frames in that range, which begins where a frame does.
    pub(super) fn frames<'i, I: Image + ?Sized>(&'i self, image: &'i I, range: Range<u64>) -> Frames<'i, I> {
        Frames { survey: self, image, at: range.start, end: range.end, piece: Vec::new(), piece_at: u64::MAX, torn: 0 }
    }

    /// What the dictionary has of a callsite.
    pub(super) fn site(&self, callsite: u64) -> Option<&[u8]> {
        self.sites.get(&callsite).map(|range| &self.dictionary[range.clone()])
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(8 * at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_ne_bytes(*word))
}

/// The callsites of a dictionary, up to one that was not complete when the process died.
fn sites(header: &Header, dictionary: &[u8]) -> HashMap<u64, Range<usize>> {
    let (mut sites, mut at) = (HashMap::new(), 0);
    let salt = salt_of_sites(header.salt);
    while let Some(State::Committed(len)) = State::decode(word(dictionary, at), salt, at as u32) {
        let first = 8 * (at + FRAME_HEAD as usize);
        let range = first..first.saturating_add(len as usize);
        if range.end > dictionary.len() {
            break;
        }
        sites.insert(word(dictionary, at + 1), range);
        at += words_of(len as usize) as usize;
    }
    sites
}

/// A frame that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) position: u64,
    /// Where the search for the next one goes on.
    pub(super) next: u64,
    pub(super) callsite: u64,
}

pub(super) struct Frames<'i, I: ?Sized> {
    survey: &'i Survey,
    image: &'i I,
    at: u64,
    end: u64,
    piece: Vec<u8>,
    piece_at: u64,
    /// Frames that were not complete when the process died: their threads were still at it.
    pub(super) torn: u64,
}

impl<I: Image + ?Sized> Frames<'_, I> {
    /// The next frame; its bytes replace what is in `bytes`.
    pub(super) fn next(&mut self, bytes: &mut Vec<u8>) -> Option<Standing> {
        let header = &self.survey.header;
        while self.at < self.end {
            let (position, unit) = (self.at, (self.at / 8) as u32);
            let to_lap = header.units - (unit & (header.units - 1));
            let left = u64::from(to_lap).min((self.end - self.at) / 8);
            let fits = |len: u32| len as usize <= LEN_MAX && u64::from(words_of(len as usize)) <= left;
            let words = match State::decode(self.word(position)?, header.salt, unit) {
                Some(State::Committed(len)) if fits(len) => {
                    let callsite = self.word(position + 8)?;
                    self.read(position + 16, len as usize, bytes)?;
                    self.at += u64::from(words_of(len as usize)) * 8;
                    return Some(Standing { position, next: self.at, callsite });
                }
                Some(State::Claimed(len)) if fits(len) => {
                    self.torn += 1;
                    words_of(len as usize)
                }
                Some(State::Padding(words)) if words == to_lap => words,
                _ => 1,
            };
            self.at += u64::from(words) * 8;
        }
        None
    }

    /// Where in the file a position is; what is asked for from there never goes beyond the end of the lap.
    fn offset(&self, position: u64) -> u64 {
        self.survey.header.data as u64 * 8 + position % (u64::from(self.survey.header.units) * 8)
    }

    fn word(&mut self, position: u64) -> Option<u64> {
        let at = self.load(self.offset(position), 8)?;
        Some(word(&self.piece[at..], 0))
    }

    fn read(&mut self, position: u64, len: usize, into: &mut Vec<u8>) -> Option<()> {
        into.clear();
        let offset = self.offset(position);
        if len <= PIECE / 4 {
            let at = self.load(offset, len)?;
            into.extend_from_slice(&self.piece[at..at + len]);
        } else {
            into.resize(len, 0);
            self.image.read(offset, into).then_some(())?;
        }
        Some(())
    }

    /// Has so many bytes of the file in the piece; returns where.
    fn load(&mut self, offset: u64, len: usize) -> Option<usize> {
        let end = self.piece_at.saturating_add(self.piece.len() as u64);
        if offset < self.piece_at || offset + len as u64 > end {
            let data_end = (self.survey.header.data as u64 + u64::from(self.survey.header.units)) * 8;
            let most = data_end.checked_sub(offset)?.min(PIECE as u64) as usize;
            self.piece.resize(most.max(len), 0);
            self.piece_at = offset;
            if !self.image.read(offset, &mut self.piece) {
                self.piece.clear();
                return None;
            }
        }
        Some((offset - self.piece_at) as usize)
    }
}

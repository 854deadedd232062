//! Who gets which records of a dead process's ring, in which batches: one pass over it for all destinations.
//!
//! A pass reads every frame, but looks at each callsite once, and makes no record: that is done when its batch is read.

use std::collections::HashMap;

#[cfg(feature = "testing")]
use super::order::place;
use super::scan::{Image, Survey};
use crate::frame::portable::{Site, inline};
use crate::frame::{RecordId, RecordRef, Severity};
use crate::numbers::Numbers;
use crate::queue::heir::Heir;

/// Some records of a ring that make a batch.
pub(super) struct Chunk {
    pub(super) from: u64,
    pub(super) to: u64,
    /// The last time that was given before it.
    pub(super) last_time: i64,
    /// When its last record was made.
    pub(super) sealed: i64,
    pub(super) by_severity: [u32; 6],
    pub(super) state: ChunkState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkState {
    Waiting,
    Taken,
    Settled,
}

impl Chunk {
    pub(super) fn owed(&self) -> u64 {
        self.by_severity.iter().map(|&count| u64::from(count)).sum()
    }
}

/// Gives the records of a ring their times, in their order.
pub(super) struct Times<'s> {
    survey: &'s Survey,
    numbers: Numbers,
}

impl<'s> Times<'s> {
    pub(super) fn after(survey: &'s Survey, last_time: i64) -> Self {
        Self { survey, numbers: Numbers::continued(survey.header.incarnation, last_time) }
    }

    /// What was drained has its time already.
    pub(super) fn next(&mut self, position: u64, nanos: i64) -> i64 {
        if position < self.survey.drained {
            self.numbers = Numbers::continued(self.survey.header.incarnation, nanos);
            return nanos;
        }
        self.numbers.next(nanos, Some(position)).1
    }
}

/// The callsites of a ring, each read once.
pub(super) struct Sites<'s> {
    survey: &'s Survey,
    /// With how many bytes it takes; `None` for one that is not there.
    read: HashMap<u64, Option<(Site<'s>, usize)>>,
}

impl<'s> Sites<'s> {
    pub(super) fn of(survey: &'s Survey) -> Self {
        Self { survey, read: HashMap::new() }
    }

    fn find(&mut self, callsite: u64) -> Option<&(Site<'s>, usize)> {
        let survey = self.survey;
        let read = || survey.site(callsite).and_then(|bytes| Some((Site::read(bytes)?, bytes.len())));
        self.read.entry(callsite).or_insert_with(read).as_ref()
    }

    /// How many bytes a frame has that needs no callsite, about; `None` if it cannot be made.
    fn len(&mut self, callsite: u64, frame: &[u8]) -> Option<usize> {
        if callsite == 0 { Some(frame.len()) } else { self.find(callsite).map(|(_, len)| frame.len() + len) }
    }

    /// Makes of a frame one that needs no callsite; says whether that can be done.
    pub(super) fn inline(&mut self, callsite: u64, frame: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        if callsite == 0 {
            out.extend_from_slice(frame);
            return true;
        }
        self.find(callsite).inspect(|(site, _)| inline(frame, site, out)).is_some()
    }
}

/// Which records a heir wants, asked once for each callsite and severity.
pub(super) struct Wishes<'h> {
    /// All, if there is none.
    heir: Option<&'h Heir>,
    known: HashMap<(u64, Severity), bool>,
    frame: Vec<u8>,
}

impl<'h> Wishes<'h> {
    pub(super) fn of(heir: Option<&'h Heir>) -> Self {
        Self { heir, known: HashMap::new(), frame: Vec::new() }
    }

    pub(super) fn has(&mut self, callsite: u64, bytes: &[u8], sites: &mut Sites<'_>) -> bool {
        let Some(heir) = self.heir else { return true };
        let severity = severity_of(bytes);
        if callsite == 0 {
            return wants(heir, bytes);
        }
        let frame = &mut self.frame;
        *self.known.entry((callsite, severity)).or_insert_with(|| {
            sites.inline(callsite, bytes, frame);
            wants(heir, frame)
        })
    }
}

fn wants(heir: &Heir, frame: &[u8]) -> bool {
    let record = RecordRef::new(None, frame, 0, RecordId { incarnation: 0, sequence: 0 });
    heir.wanted.would_enable(record.target(), &record.severity().level())
}

pub(super) fn time_of(frame: &[u8]) -> i64 {
    frame.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

pub(super) fn severity_of(frame: &[u8]) -> Severity {
    Severity::from_number(frame.get(8).copied().unwrap_or(0))
}

/// What a destination gets of a ring.
pub(super) struct Plan<'h> {
    /// It owes nothing before this.
    position: u64,
    /// The most that a batch holds: records and bytes.
    most: (usize, usize),
    wishes: Wishes<'h>,
    pub(super) chunks: Vec<Chunk>,
    /// Records that nobody can read.
    pub(super) damaged: [u64; 6],
    /// What the last chunk holds: records and bytes.
    held: (usize, usize),
}

impl<'h> Plan<'h> {
    /// From that position on, what the heir wants, or all in one if there is none.
    pub(super) fn new(position: u64, heir: Option<&'h Heir>) -> Self {
        let most = heir.map_or((usize::MAX, usize::MAX), |heir| (heir.records.max(1), heir.bytes));
        Self { position, most, wishes: Wishes::of(heir), chunks: Vec::new(), damaged: [0; 6], held: (0, 0) }
    }

    pub(super) fn owed(&self) -> u64 {
        self.chunks.iter().map(Chunk::owed).sum()
    }

    fn add(&mut self, from: u64, to: u64, severity: usize, len: usize, times: (i64, i64)) {
        let (last_time, nanos) = times;
        let is_full = self.held.0 >= self.most.0 || self.held.1 + len > self.most.1;
        if self.chunks.is_empty() || is_full {
            let state = ChunkState::Waiting;
            self.chunks.push(Chunk { from, to, last_time, sealed: nanos, by_severity: [0; 6], state });
            self.held = (0, 0);
        }
        if let Some(chunk) = self.chunks.last_mut() {
            (chunk.to, chunk.sealed) = (to, nanos);
            chunk.by_severity[severity] += 1;
        }
        self.held = (self.held.0 + 1, self.held.1 + len);
    }
}

/// Reads all that is owed once, and plans what each gets of it.
pub(super) fn divide<'h>(survey: &Survey, image: &(impl Image + ?Sized), mut plans: Vec<Plan<'h>>) -> Vec<Plan<'h>> {
    let Some(first) = plans.iter().map(|plan| plan.position).min().filter(|first| *first < survey.end) else {
        return plans;
    };
    let (mut last_time, mut bytes) = (survey.last_time, Vec::new());
    let (mut times, mut sites) = (Times::after(survey, last_time), Sites::of(survey));
    let mut frames = survey.frames(image, survey.consumed..survey.end);
    while let Some(standing) = frames.next(&mut bytes) {
        let nanos = times.next(standing.position, time_of(&bytes));
        let before = std::mem::replace(&mut last_time, nanos);
        if standing.position < first {
            continue;
        }
        let (callsite, severity) = (standing.callsite, severity_of(&bytes) as usize);
        let len = sites.len(callsite, &bytes);
        for plan in plans.iter_mut().filter(|plan| plan.position <= standing.position) {
            match len {
                None => plan.damaged[severity] += 1,
                Some(len) if plan.wishes.has(callsite, &bytes, &mut sites) => {
                    plan.add(standing.position, standing.next, severity, len, (before, nanos));
                }
                Some(_) => {}
            }
        }
    }
    plans
}

/// Reads any bytes as a ring's file, for a fuzzer: once as they are, and once as what stands behind a head that is sound, so
/// that all else is reached. Returns how many records came of it.
///
/// # Panics
///
/// If a record is found outside of what is owed, or twice.
#[cfg(feature = "testing")]
pub(crate) fn recover_any(bytes: &[u8]) -> usize {
    let resource = crate::resource::Resource::new("fuzz");
    let Some(header) = super::header::Header::new(1, &resource, 0x5eed, 0, 4096) else { return 0 };
    let mut image = header.encode();
    image.resize(header.file_bytes(), 0);
    let changing = (place::TAIL * 8, (place::LAST_TIME + 1) * 8);
    let places = (changing.0..changing.1).chain(header.dictionary * 8..image.len());
    places.zip(bytes).for_each(|(at, &byte)| image[at] = byte);
    let heir = Heir { fingerprint: 1, wanted: Default::default(), records: 7, bytes: 4096 };
    let mut found = 0;
    for image in [bytes, &image] {
        let Ok(survey) = Survey::of(image) else { continue };
        let mut frames = survey.frames(image, survey.consumed..survey.end);
        let (mut frame, mut out, mut last) = (Vec::new(), Vec::new(), None);
        let mut sites = Sites::of(&survey);
        while let Some(standing) = frames.next(&mut frame) {
            assert!(last < Some(standing.position) && standing.next <= survey.end, "{standing:?}");
            last = Some(standing.position);
            sites.inline(standing.callsite, &frame, &mut out);
            found += 1;
        }
        divide(&survey, image, vec![Plan::new(survey.consumed, Some(&heir)), Plan::new(survey.consumed, None)]);
    }
    found
}

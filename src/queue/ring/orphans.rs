//! Rings whose processes are dead: what was accepted there and is owed still, for each destination its share.
//!
//! A ring is a dead process's if its lock can be had. It is read, never mapped, and nothing is written to it but how far each
//! destination has come, so that a death in the middle of this repeats little. Its records keep their numbers, and their times:
//! those that they were given, or would have been.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::file::{Private, SUFFIX, SUFFIX_NEW};
use super::header::Unread;
use super::order::place;
use super::scan::{Image, Survey};
use crate::batch::{Mode, Origin, Stored};
use crate::frame::{RecordId, RecordRef, Severity};
use crate::numbers::Numbers;
use crate::process::OwnFile;
use crate::queue::heir::{Heir, Inheritance};
use crate::spool::{Place, Source, Taken};

/// What a file is called that cannot be read; so many of them are kept to be looked at.
const SUFFIX_BAD: &str = ".bad";
const BAD_MAX: usize = 4;
/// Older than this, a ring that was never completed is nobody's.
const NEW_FOR: Duration = Duration::from_secs(60);

/// Looks for the rings of dead processes in a directory.
pub(crate) struct Orphans {
    path: PathBuf,
    /// Files about which something was said, or that wait for destinations that are not there.
    known: HashSet<String>,
}

impl Orphans {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { path: dir.to_owned(), known: HashSet::new() }
    }

    /// Adopts the oldest ring whose process is dead. What concerns none of the heirs stays where it is.
    pub(crate) fn look(&mut self, heirs: &[Heir]) -> Inheritance {
        let mut found = Inheritance::default();
        let private = match Private::open(&self.path, false) {
            Ok(private) => private,
            Err(_) if !self.path.exists() => return found,
            Err(why) => {
                if self.known.insert(String::new()) {
                    found.remarks.push(format!("no rings of earlier processes are looked for in {why}"));
                }
                return found;
            }
        };
        remove_unfinished(&private);
        let names = private.names(SUFFIX).unwrap_or_default();
        let mut names: Vec<_> = names.into_iter().filter(|name| !self.known.contains(name)).collect();
        let made = |name: &String| fs::symlink_metadata(private.path.join(name)).and_then(|data| data.modified()).ok();
        names.sort_by_cached_key(made);
        for name in names {
            let file = match locked(&private, &name) {
                Ok(Some(file)) => file,
                // Its process lives.
                Ok(None) => continue,
                Err(error) => {
                    found.remarks.push(format!("{} is left alone: {error}", private.path.join(&name).display()));
                    self.known.insert(name);
                    continue;
                }
            };
            match Survey::of(&file) {
                Ok(survey) => {
                    let file = OwnFile::new(file);
                    file.is_locked();
                    if !adopt(&private, file, survey, &name, heirs, &mut found) {
                        self.known.insert(name);
                    }
                    found.more = true;
                    return found;
                }
                Err(Unread::Newer(version)) => {
                    let path = private.path.join(&name);
                    let what = "was written by a newer version and is kept for it";
                    found.remarks.push(format!("the ring {} {what} (format {version})", path.display()));
                    self.known.insert(name);
                }
                Err(Unread::Bad(why)) => found.remarks.push(set_aside(&private, &name, why)),
            }
        }
        found
    }
}

/// Opens and locks a ring; `None` where somebody has the lock, or had it and removed the file.
fn locked(private: &Private, name: &str) -> io::Result<Option<File>> {
    let file = match private.file(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match file.try_lock() {
        Ok(()) => Ok((rustix::fs::fstat(&file)?.st_nlink > 0).then_some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// A process died while it made its ring: nothing was accepted there.
fn remove_unfinished(private: &Private) {
    for name in private.names(SUFFIX_NEW).unwrap_or_default() {
        let made = fs::symlink_metadata(private.path.join(&name)).and_then(|data| data.modified());
        let is_old = made.is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age > NEW_FOR));
        if is_old && locked(private, &name).is_ok_and(|file| file.is_some()) {
            let _ = private.remove(&name);
        }
    }
}

fn set_aside(private: &Private, name: &str, why: &str) -> String {
    let path = private.path.join(name);
    let kept = private.names(SUFFIX_BAD).map_or(BAD_MAX, |names| names.len());
    let bad = format!("{name}{SUFFIX_BAD}");
    let done = if kept < BAD_MAX { private.rename(name, &bad) } else { private.remove(name) };
    match done {
        Ok(()) if kept < BAD_MAX => format!("the ring {} cannot be read, {why}; it is now {bad}", path.display()),
        Ok(()) => {
            format!("the ring {} cannot be read, {why}; it was removed, as there are {kept} such", path.display())
        }
        Err(error) => format!("the ring {} cannot be read, {why}, nor set aside: {error}", path.display()),
    }
}

/// A ring that was adopted: locked until no destination owes anything of it any more.
struct Orphan {
    file: OwnFile,
    private: Private,
    name: String,
    survey: Survey,
    /// Destinations that owe something of it, those that are not there included.
    owing: AtomicUsize,
}

impl Orphan {
    /// A destination has come so far.
    fn settled(&self, lane: usize, position: u64) {
        // A death before the next time repeats what was sent since: that is so anyway.
        let place = (place::LANES + 2 * lane + 1) as u64 * 8;
        let _ = self.file.get().and_then(|file| file.write_all_at(&position.to_ne_bytes(), place));
    }

    fn is_done(&self) {
        if self.owing.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Gone already, at worst.
            let _ = self.private.remove(&self.name);
        }
    }
}

/// Finds what each heir gets. Says whether the file is dealt with, or will be.
fn adopt(
    private: &Private,
    file: OwnFile,
    survey: Survey,
    name: &str,
    heirs: &[Heir],
    found: &mut Inheritance,
) -> bool {
    let path = private.path.join(name);
    let private = match Private::open(&private.path, false) {
        Ok(private) => private,
        Err(why) => {
            found.remarks.push(why);
            return false;
        }
    };
    let origin = Arc::new(Origin { incarnation: survey.header.incarnation, resource: survey.header.resource.clone() });
    let lanes = survey.lanes.clone();
    let mut parts = Vec::new();
    let mut unknown = 0;
    for &(lane, fingerprint, position) in &lanes {
        match heirs.iter().position(|heir| heir.fingerprint == fingerprint) {
            Some(heir) => parts.push((heir, lane, position)),
            None if position >= survey.end => {}
            None => {
                let records = chunks(&survey, &file, position, None).0.iter().map(Chunk::owed).sum::<u64>();
                if records > 0 {
                    unknown += 1;
                    let what = "records for a destination that is not set up now";
                    found.remarks.push(format!("{records} {what} ({fingerprint:016x}) are kept in {}", path.display()));
                }
            }
        }
    }
    let orphan = Arc::new(Orphan {
        file,
        private,
        name: name.to_owned(),
        survey,
        owing: AtomicUsize::new(unknown + parts.len()),
    });
    for (heir, lane, position) in parts {
        let share = Share::new(Arc::clone(&orphan), Arc::clone(&origin), lane, position, &heirs[heir]);
        if share.done {
            continue;
        }
        found.shares.push((heir, Box::new(share)));
    }
    if lanes.is_empty() {
        orphan.owing.store(1, Ordering::Release);
        orphan.is_done();
    }
    unknown == 0
}

/// Some records of a ring that make a batch.
struct Chunk {
    from: u64,
    to: u64,
    /// The last time that was given before it.
    last_time: i64,
    /// When its last record was made.
    sealed: i64,
    by_severity: [u32; 6],
    state: ChunkState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    Waiting,
    Taken,
    Settled,
}

impl Chunk {
    fn owed(&self) -> u64 {
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

/// The records from that position on that the heir wants, or all; and those that nobody can read.
fn chunks(
    survey: &Survey,
    image: &(impl Image + ?Sized),
    position: u64,
    heir: Option<&Heir>,
) -> (Vec<Chunk>, [u64; 6]) {
    let (records, most) = heir.map_or((usize::MAX, usize::MAX), |heir| (heir.records.max(1), heir.bytes));
    let (mut chunks, mut damaged): (Vec<Chunk>, _) = (Vec::new(), [0; 6]);
    let (mut bytes, mut frame) = (Vec::new(), Vec::new());
    let mut last_time = survey.last_time;
    let mut times = Times::after(survey, last_time);
    let (mut held, mut count) = (0, 0);
    let mut frames = survey.frames(image, survey.consumed..survey.end);
    while let Some(standing) = frames.next(&mut bytes) {
        let nanos = times.next(standing.position, time_of(&bytes));
        let before = std::mem::replace(&mut last_time, nanos);
        if standing.position < position {
            continue;
        }
        let severity = severity_of(&bytes) as usize;
        if !survey.inline(standing.callsite, &bytes, &mut frame) {
            damaged[severity] += 1;
            continue;
        }
        if !heir.is_none_or(|heir| wants(heir, &frame)) {
            continue;
        }
        if chunks.is_empty() || count >= records || held + frame.len() > most {
            chunks.push(Chunk {
                from: standing.position,
                to: standing.next,
                last_time: before,
                sealed: nanos,
                by_severity: [0; 6],
                state: ChunkState::Waiting,
            });
            (held, count) = (0, 0);
        }
        if let Some(chunk) = chunks.last_mut() {
            (chunk.to, chunk.sealed) = (standing.next, nanos);
            chunk.by_severity[severity] += 1;
        }
        (held, count) = (held + frame.len(), count + 1);
    }
    (chunks, damaged)
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
        let (mut frame, mut last) = (Vec::new(), None);
        while let Some(standing) = frames.next(&mut frame) {
            assert!(last < Some(standing.position) && standing.next <= survey.end, "{standing:?}");
            last = Some(standing.position);
            found += 1;
        }
        chunks(&survey, image, survey.consumed, Some(&heir));
    }
    found
}

fn time_of(frame: &[u8]) -> i64 {
    frame.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

fn severity_of(frame: &[u8]) -> Severity {
    Severity::from_number(frame.get(8).copied().unwrap_or(0))
}

fn wants(heir: &Heir, frame: &[u8]) -> bool {
    let record = RecordRef::new(None, frame, 0, RecordId { incarnation: 0, sequence: 0 });
    heir.wanted.would_enable(record.target(), &record.severity().level())
}

/// What one destination owes of a ring.
struct Share {
    orphan: Arc<Orphan>,
    origin: Arc<Origin>,
    heir: Heir,
    lane: usize,
    chunks: Vec<Chunk>,
    found: u64,
    damaged: [u64; 6],
    done: bool,
}

impl Share {
    fn new(orphan: Arc<Orphan>, origin: Arc<Origin>, lane: usize, position: u64, heir: &Heir) -> Self {
        let (chunks, damaged) = chunks(&orphan.survey, &orphan.file, position, Some(heir));
        let found = chunks.iter().map(Chunk::owed).sum::<u64>() + damaged.iter().sum::<u64>();
        let heir = Heir { wanted: heir.wanted.clone(), ..*heir };
        let mut share = Self { orphan, origin, heir, lane, chunks, found, damaged, done: false };
        share.advance();
        share
    }

    /// Says in the file how far all is settled.
    fn advance(&mut self) {
        if self.done {
            return;
        }
        let oldest = self.chunks.iter().find(|chunk| chunk.state != ChunkState::Settled);
        match oldest.map(|chunk| chunk.from) {
            Some(position) => self.orphan.settled(self.lane, position),
            None => {
                self.orphan.settled(self.lane, self.orphan.survey.end);
                // Whoever still has to be told of what was found and lost asks first.
                self.done = self.found == 0;
                if self.done {
                    self.orphan.is_done();
                }
            }
        }
    }

    fn chunk(&mut self, place: Place) -> Option<&mut Chunk> {
        self.chunks.iter_mut().find(|chunk| chunk.from == place.at)
    }

    /// Reads a chunk's records; what is not there any more is damaged.
    fn read(&mut self, index: usize) -> Stored {
        let mut stored = Stored::new(Arc::clone(&self.origin), Instant::now());
        let chunk = &mut self.chunks[index];
        let survey = &self.orphan.survey;
        let mut times = Times::after(survey, chunk.last_time);
        let mut frames = survey.frames(&self.orphan.file, chunk.from..chunk.to);
        let (mut bytes, mut frame, mut read) = (Vec::new(), Vec::new(), [0; 6]);
        while let Some(standing) = frames.next(&mut bytes) {
            let nanos = times.next(standing.position, time_of(&bytes));
            if survey.inline(standing.callsite, &bytes, &mut frame) && wants(&self.heir, &frame) {
                let id = RecordId { incarnation: survey.header.incarnation, sequence: standing.position };
                let cost = RecordRef::new(None, &frame, nanos, id).encoded_hint();
                stored.push(None, &frame, standing.position, nanos, cost);
                read[severity_of(&bytes) as usize] += 1;
            }
        }
        for (severity, (owed, read)) in chunk.by_severity.iter_mut().zip(read).enumerate() {
            self.damaged[severity] += u64::from(owed.saturating_sub(read));
            *owed = read;
        }
        stored
    }
}

impl Source for Share {
    fn next(&mut self, _now: Instant) -> Option<Taken> {
        loop {
            let index = self.chunks.iter().position(|chunk| chunk.state == ChunkState::Waiting)?;
            let stored = self.read(index);
            let chunk = &mut self.chunks[index];
            let place = Place { segment: 0, at: chunk.from };
            if stored.len() == 0 {
                chunk.state = ChunkState::Settled;
                self.advance();
                continue;
            }
            chunk.state = ChunkState::Taken;
            let (number, sealed) = (chunk.from, chunk.sealed);
            // It may have been on its way when the process died.
            return Some(Taken { stored, mode: Mode::Plain, tried: true, number, sealed, place });
        }
    }

    fn peek(&mut self) -> Option<(u64, i64)> {
        let chunk = self.chunks.iter().find(|chunk| chunk.state == ChunkState::Waiting)?;
        Some((chunk.from, chunk.sealed))
    }

    fn put_back(&mut self, place: Place) {
        if let Some(chunk) = self.chunk(place).filter(|chunk| chunk.state == ChunkState::Taken) {
            chunk.state = ChunkState::Waiting;
        }
    }

    fn settle(&mut self, place: Place) {
        if let Some(chunk) = self.chunk(place) {
            chunk.state = ChunkState::Settled;
            self.advance();
        }
    }

    fn owed(&self) -> u64 {
        self.chunks.iter().filter(|chunk| chunk.state == ChunkState::Waiting).map(Chunk::owed).sum()
    }

    fn found(&mut self) -> u64 {
        let found = std::mem::take(&mut self.found);
        self.advance();
        found
    }

    fn damaged(&mut self) -> [u64; 6] {
        std::mem::take(&mut self.damaged)
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

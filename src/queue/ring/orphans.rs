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
use super::plan::{Chunk, ChunkState, Plan, Sites, Times, Wishes, divide, severity_of, time_of};
use super::scan::{Mark, Survey};
use crate::batch::{Mode, Origin, Stored};
use crate::frame::{RecordId, RecordRef};
use crate::process::OwnFile;
use crate::queue::heir::{Heir, Inheritance, Lost};
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

    /// Adopts the oldest ring whose process is dead. What concerns none of the heirs stays where it is; `tell` hears of what
    /// died with that process.
    pub(crate) fn look(&mut self, heirs: &[Heir], tell: &mut dyn FnMut(Lost)) -> Inheritance {
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
                    if !adopt(&private, file, survey, &name, heirs, tell, &mut found) {
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
        self.write(lane, 1, &position.to_ne_bytes());
    }

    /// What was in memory alone is known now. A death just before this has it told twice, rather than never.
    fn is_told(&self, lane: usize) {
        self.write(lane, 2, &[0; 16]);
    }

    fn write(&self, lane: usize, word: usize, bytes: &[u8]) {
        let place = (place::LANES + place::LANE * lane + word) as u64 * 8;
        let _ = self.file.get().and_then(|file| file.write_all_at(bytes, place));
    }

    fn is_done(&self) {
        if self.owing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.remove();
        }
    }

    fn remove(&self) {
        // Gone already, at worst.
        let _ = self.private.remove(&self.name);
    }
}

/// Finds what each heir gets. Says whether the file is dealt with, or will be.
fn adopt(
    private: &Private,
    file: OwnFile,
    survey: Survey,
    name: &str,
    heirs: &[Heir],
    tell: &mut dyn FnMut(Lost),
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
    let orphan = Orphan { file, private, name: name.to_owned(), survey, owing: AtomicUsize::new(0) };
    let survey = &orphan.survey;
    let heir_of = |mark: &Mark| heirs.iter().position(|heir| heir.fingerprint == mark.fingerprint);
    for mark in &survey.lanes {
        if mark.waiting > 0 || mark.in_flight > 0 {
            let &Mark { fingerprint, waiting: at_least, in_flight, .. } = mark;
            tell(Lost { fingerprint, heir: heir_of(mark), at_least, in_flight });
            orphan.is_told(mark.lane);
        }
    }
    let known = survey.lanes.iter().map(|mark| (*mark, heir_of(mark)));
    let owing: Vec<_> = known.filter(|(mark, heir)| heir.is_some() || mark.position < survey.end).collect();
    let plans = owing.iter().map(|&(mark, heir)| Plan::new(mark.position, heir.map(|heir| &heirs[heir])));
    let plans = divide(survey, &orphan.file, plans.collect());
    let (mut parts, mut unknown) = (Vec::new(), 0);
    for ((mark, heir), plan) in owing.into_iter().zip(plans) {
        match heir {
            Some(heir) => parts.push((heir, mark.lane, plan)),
            None if plan.owed() > 0 => {
                unknown += 1;
                let (records, fingerprint) = (plan.owed(), mark.fingerprint);
                let what = "records for a destination that is not set up now";
                found.remarks.push(format!("{records} {what} ({fingerprint:016x}) are kept in {}", path.display()));
            }
            None => {}
        }
    }
    orphan.owing.store(unknown + parts.len(), Ordering::Release);
    if unknown + parts.len() == 0 {
        orphan.remove();
    }
    let orphan = Arc::new(orphan);
    for (heir, lane, plan) in parts {
        let share = Share::new(Arc::clone(&orphan), Arc::clone(&origin), lane, plan, &heirs[heir]);
        if !share.done {
            found.shares.push((heir, Box::new(share)));
        }
    }
    unknown == 0
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
    fn new(orphan: Arc<Orphan>, origin: Arc<Origin>, lane: usize, plan: Plan<'_>, heir: &Heir) -> Self {
        let Plan { chunks, damaged, .. } = plan;
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
        let (mut sites, mut wishes) = (Sites::of(survey), Wishes::of(Some(&self.heir)));
        let (mut bytes, mut frame, mut read) = (Vec::new(), Vec::new(), [0; 6]);
        while let Some(standing) = frames.next(&mut bytes) {
            let nanos = times.next(standing.position, time_of(&bytes));
            if wishes.has(standing.callsite, &bytes, &mut sites) && sites.inline(standing.callsite, &bytes, &mut frame)
            {
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

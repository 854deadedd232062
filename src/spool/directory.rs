//! One spool directory, as one pipeline uses it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::fs::{Dir, File, Fs};
use super::look::Looking;
use super::share::{Held, Share};
use super::shelf::Shelf;
use super::{Found, LaneId, LaneState, Spool, name};
use crate::config::SpoolSettings;

pub(crate) struct Directory {
    share: Arc<Share>,
    held: Arc<Held>,
    looking: Looking,
}

impl Directory {
    /// Opens it, and makes it first if it is not there. It must be ours, and nobody else may look into it.
    ///
    /// Files are named by the incarnation, which must be of this pipeline alone.
    pub(crate) fn open(path: &Path, fs: &dyn Fs, incarnation: u128) -> io::Result<Self> {
        let dir = fs.directory(path)?;
        let lock = own_lock(&*dir, incarnation)?;
        let share = Arc::new(Share::new(dir, incarnation));
        let held = Arc::new(Held::new(Arc::clone(&share), incarnation, lock, 0));
        Ok(Self { share, held, looking: Looking::default() })
    }

    /// The share of a lane.
    pub(crate) fn spool(&self, lane: LaneId, settings: &SpoolSettings) -> Spool {
        let usage = self.share.usage(lane.fingerprint);
        let shelf = Shelf::new(Arc::clone(&self.share), Arc::clone(&self.held), usage, settings.fsync.is_some());
        Spool::new(shelf, lane, settings.bytes as u64, settings.fsync)
    }

    /// Looks for what earlier processes left, for a few milliseconds; `known` are the fingerprints of our lanes.
    ///
    /// A new round begins where the one before has [seen all](Self::seen_all).
    pub(crate) fn look(&mut self, known: &[u64], now: Instant) -> Vec<Found> {
        self.looking.look(&self.share, known, now)
    }

    /// Whether the last round is through, or cannot go on before an orphan is done.
    pub(crate) fn seen_all(&self) -> bool {
        self.looking.seen_all(&self.share)
    }

    /// Writes down what is owed in memory, for the next process to tell what was lost, should this one die.
    pub(crate) fn write_state(&mut self, lanes: &[LaneState]) -> io::Result<()> {
        self.share.state().write(&*self.share.dir, lanes)
    }

    /// The process ends, and nothing is lost with it: what the lanes still owe is in their spools, which are closed.
    pub(crate) fn close(self) {
        self.share.state().remove(&*self.share.dir);
        // Not left to the last owner's drop: the process may be gone before that.
        if !self.leaves_files() {
            let _ = self.share.dir.unlink(&name::lock(self.share.incarnation));
        }
    }

    /// Whether files of ours are left for the next process.
    pub(crate) fn leaves_files(&self) -> bool {
        self.held.files.load(Ordering::Relaxed) > 0
    }
}

/// Makes the lock of this pipeline. It has its name only once it is locked, or another process could take it for an orphan's.
fn own_lock(dir: &dyn Dir, incarnation: u128) -> io::Result<Box<dyn File>> {
    let name = name::lock(incarnation);
    let new = name::new(&name);
    let file = dir.create(&new)?;
    let locked = file.try_lock().and_then(|locked| {
        if locked { dir.rename(&new, &name) } else { Err(io::Error::other("another process has locked it already")) }
    });
    if let Err(error) = locked {
        let _ = dir.unlink(&new);
        return Err(error);
    }
    Ok(file)
}

//! What all that works in one spool directory has in common.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fs::{Dir, File};
use super::name;
use super::shelf::unlink;
use super::state::StateFile;

/// Files that are kept although nothing can be read from them any more, and their bytes.
const ASIDE: usize = 16;
const ASIDE_BYTES: u64 = 16 * 1024 * 1024;

pub(super) struct Share {
    pub(super) dir: Box<dyn Dir>,
    /// Of this pipeline.
    pub(super) incarnation: u128,
    /// Bytes of all segments that are ours or adopted.
    bytes: AtomicU64,
    usages: Mutex<HashMap<u64, Arc<Usage>>>,
    aside: Mutex<Aside>,
    state: Mutex<StateFile>,
    /// Pipelines whose locks we hold beside our own.
    held: Mutex<HashSet<u128>>,
}

/// What was set aside or passed over.
#[derive(Default)]
pub(super) struct Aside {
    /// Names and lengths of what is kept, oldest first.
    kept: Vec<(String, u64)>,
    /// What is left as it is.
    pub(super) passed_over: HashSet<String>,
    /// Name of a file, and why it was set aside or passed over; not told yet.
    pub(super) untold: Vec<(String, String)>,
}

impl Share {
    pub(super) fn new(dir: Box<dyn Dir>, incarnation: u128) -> Self {
        Self {
            dir,
            incarnation,
            bytes: AtomicU64::new(0),
            usages: Mutex::default(),
            aside: Mutex::default(),
            state: Mutex::new(StateFile::new(incarnation)),
            held: Mutex::default(),
        }
    }

    /// What the segments of one lane take.
    pub(super) fn usage(&self, fingerprint: u64) -> Arc<Usage> {
        Arc::clone(lock(&self.usages).entry(fingerprint).or_default())
    }

    /// What is free on the disk.
    pub(super) fn free(&self) -> u64 {
        self.dir.free().unwrap_or(u64::MAX)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What is told of what this process has in memory.
    pub(super) fn state(&self) -> MutexGuard<'_, StateFile> {
        lock(&self.state)
    }

    pub(super) fn aside(&self) -> MutexGuard<'_, Aside> {
        lock(&self.aside)
    }

    pub(super) fn holds(&self, owner: u128) -> bool {
        lock(&self.held).contains(&owner)
    }

    /// How many locks of others we hold.
    pub(super) fn holding(&self) -> usize {
        lock(&self.held).len()
    }

    /// Keeps a file for whoever looks into the matter, under a name that nobody reads.
    pub(super) fn set_aside(&self, name: &str, len: u64) -> io::Result<()> {
        if len > ASIDE_BYTES {
            return unlink(&*self.dir, name);
        }
        let bad = name::bad(name);
        match self.dir.rename(name, &bad) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => return Ok(()),
            Ok(()) => {}
        }
        self.keep_aside(bad, len);
        Ok(())
    }

    /// Counts what is set aside, and removes the oldest of it if that is too much.
    pub(super) fn keep_aside(&self, name: String, len: u64) {
        let mut aside = self.aside();
        aside.kept.retain(|(there, _)| *there != name);
        aside.kept.push((name, len));
        while aside.kept.len() > ASIDE || aside.kept.iter().map(|(_, len)| len).sum::<u64>() > ASIDE_BYTES {
            let (oldest, _) = aside.kept.remove(0);
            let _ = self.dir.unlink(&oldest);
        }
    }
}

impl Aside {
    /// Leaves it as it is, and says so once.
    pub(super) fn pass_over(&mut self, name: String, why: String) {
        if self.passed_over.insert(name.clone()) {
            self.untold.push((name, why));
        }
    }
}

/// Bytes of the segments of one lane, those that it adopted included.
#[derive(Default)]
pub(super) struct Usage(AtomicU64);

impl Usage {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, share: &Share, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        share.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn free(&self, share: &Share, bytes: u64) {
        for counter in [&self.0, &share.bytes] {
            let now = counter.load(Ordering::Relaxed);
            counter.store(now.saturating_sub(bytes), Ordering::Relaxed);
        }
    }
}

/// The lock of a pipeline, until it is dropped. With the last of the files under it, it goes as well.
pub(super) struct Held {
    share: Arc<Share>,
    owner: u128,
    _file: Box<dyn File>,
    /// How many segments stand under it.
    pub(super) files: AtomicUsize,
}

impl Held {
    pub(super) fn new(share: Arc<Share>, owner: u128, file: Box<dyn File>, files: usize) -> Self {
        if owner != share.incarnation {
            lock(&share.held).insert(owner);
        }
        Self { share, owner, _file: file, files: AtomicUsize::new(files) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.files.load(Ordering::Relaxed) == 0 {
            let _ = self.share.dir.unlink(&name::lock(self.owner));
        }
        lock(&self.share.held).remove(&self.owner);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! How many records of each thread were accepted, where no death of the process touches it: a number for each thread in
//! a file, written once the call that logged a record has returned. Behind them, how many the library said are safe.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::record::THREADS;

pub(crate) struct Counts(File);

impl Counts {
    pub(crate) fn open(path: &Path) -> Self {
        Self(OpenOptions::new().create(true).truncate(false).write(true).open(path).expect("a file for the counts"))
    }

    /// So many of this thread's records were accepted.
    pub(crate) fn accepted(&self, thread: u64, count: u64) {
        self.0.write_all_at(&count.to_le_bytes(), thread * 8).expect("the count is written");
    }

    /// So many of this process's records are with the store or on disk, as its ledger has it.
    pub(crate) fn safe(&self, count: u64) {
        self.accepted(THREADS, count);
    }

    pub(crate) fn read_safe(path: &Path) -> u64 {
        let bytes = std::fs::read(path).unwrap_or_default();
        let last = bytes.get(THREADS as usize * 8..).and_then(|bytes| bytes.try_into().ok());
        last.map_or(0, u64::from_le_bytes)
    }

    /// By thread; of a process that never came so far, nothing.
    pub(crate) fn read(path: &Path) -> [u64; THREADS as usize] {
        let bytes = std::fs::read(path).unwrap_or_default();
        let of = |thread: usize| bytes.get(thread * 8..thread * 8 + 8).and_then(|bytes| bytes.try_into().ok());
        std::array::from_fn(|thread| of(thread).map_or(0, u64::from_le_bytes))
    }
}

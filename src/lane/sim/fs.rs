//! A disk in memory that does by seed what disks do: it fills up, fails, takes a part of what it is given, forgets what was
//! not synced when the power goes, and keeps all of it when a process dies.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::calls::Seen;

/// What unwinds out of a call over which its process died.
pub(super) struct Death;

/// What goes wrong from time to time, in thousandths of all calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) fails: u32,
    pub(super) is_short: u32,
    pub(super) sync_fails: u32,
    /// There is no room for any byte more.
    pub(super) is_full: bool,
    /// Nothing can be written.
    pub(super) is_read_only: bool,
}

#[derive(Clone, Default)]
pub(super) struct Inode {
    pub(super) bytes: Vec<u8>,
    /// What a loss of power leaves for certain.
    pub(super) synced: Vec<u8>,
    pub(super) is_dirty: bool,
    /// A sync failed: the system takes for written what is not, and says so from then on.
    pub(super) is_doubtful: bool,
    pub(super) changed: i64,
    pub(super) links: u32,
    pub(super) open: u32,
    /// The process and the handle.
    pub(super) lock: Option<(usize, u64)>,
}

#[derive(Clone)]
pub(super) enum Change {
    Add(String, u64),
    Remove(String),
    Move(String, String),
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Add(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Move(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) inodes: HashMap<u64, Inode>,
    pub(super) names: BTreeMap<String, u64>,
    pub(super) synced_names: BTreeMap<String, u64>,
    /// Since the directory was last synced.
    pub(super) changes: Vec<Change>,
    pub(super) next: u64,
    pub(super) faults: Faults,
    pub(super) random: fastrand::Rng,
    pub(super) date: i64,
    pub(super) room: u64,
    /// Calls of each process, and at which one it dies.
    pub(super) calls: HashMap<usize, (u64, u64)>,
    pub(super) dead: Vec<usize>,
    /// Whether the last death was where a whole segment is settled: at its cursor or its name.
    pub(super) died_settling: bool,
    /// How often the disk failed.
    pub(super) failed: u64,
    pub(super) sync_failed: u64,
}

#[derive(Clone)]
pub(super) struct SimFs(Arc<Mutex<State>>);

impl SimFs {
    pub(super) fn new(seed: u64, room: u64) -> Self {
        let state = State { random: fastrand::Rng::with_seed(seed), room, next: 1, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it is seen by that process, which dies at its n-th call from now on.
    pub(super) fn of(&self, process: usize, dies_after: u64) -> Seen {
        self.state().calls.insert(process, (0, dies_after));
        Seen { fs: self.clone(), process }
    }

    pub(super) fn set(&self, faults: Faults, date: i64) {
        let mut state = self.state();
        (state.faults, state.date) = (faults, date);
    }

    pub(super) fn failed(&self) -> (u64, u64) {
        let state = self.state();
        (state.failed, state.sync_failed)
    }

    pub(super) fn died_settling(&self) -> bool {
        self.state().died_settling
    }

    pub(super) fn is_dead(&self, process: usize) -> bool {
        self.state().dead.contains(&process)
    }

    /// The process is no more: neither are its locks.
    pub(super) fn bury(&self, process: usize) {
        let mut state = self.state();
        if !state.dead.contains(&process) {
            state.dead.push(process);
        }
        for inode in state.inodes.values_mut() {
            inode.lock.take_if(|(by, _)| *by == process);
        }
    }

    /// The same at this moment, with a disk that works and nobody at it.
    pub(super) fn copy(&self) -> Self {
        let mut state = self.state().clone();
        state.faults = Faults::default();
        state.dead.clear();
        state.inodes.values_mut().for_each(|inode| inode.lock = None);
        Self(Arc::new(Mutex::new(state)))
    }

    /// The power goes: what was synced stays, and a random part of the rest. With `worst` nothing of it.
    pub(super) fn lose_power(&self, worst: bool) {
        let mut state = self.state();
        let mut random = state.random.fork();
        let kept = if worst { 0 } else { random.usize(..=state.changes.len()) };
        let mut names = state.synced_names.clone();
        std::mem::take(&mut state.changes).iter().take(kept).for_each(|change| change.apply(&mut names));
        let block = if random.bool() { 512 } else { 4096 };
        let mut inodes: Vec<_> = std::mem::take(&mut state.inodes).into_iter().collect();
        inodes.sort_unstable_by_key(|(number, _)| *number);
        for (_, inode) in &mut inodes {
            let Inode { bytes, synced, .. } = inode;
            if !worst && inode.is_dirty {
                let (shortest, longest) = (bytes.len().min(synced.len()), bytes.len().max(synced.len()));
                let between = (random.usize(shortest..=longest) / block * block).max(shortest);
                let len = [bytes.len(), synced.len(), between][random.usize(..3)];
                let mut torn = vec![0; len];
                let share = random.u32(..=100);
                for at in (0..len).step_by(block) {
                    let from = if random.u32(..100) < share { &*bytes } else { &*synced };
                    let end = (at + block).min(len).min(from.len());
                    if at < end {
                        torn[at..end].copy_from_slice(&from[at..end]);
                    }
                }
                *synced = torn;
            }
            bytes.clone_from(synced);
            (inode.is_dirty, inode.is_doubtful, inode.lock) = (false, false, None);
        }
        state.inodes = inodes.into_iter().collect();
        let State { inodes, .. } = &mut *state;
        inodes.retain(|number, _| names.values().any(|named| named == number));
        inodes.values_mut().for_each(|inode| (inode.links, inode.open) = (1, 0));
        (state.names, state.synced_names) = (names.clone(), names);
    }

    /// The names and lengths of all files.
    pub(super) fn files(&self) -> Vec<(String, u64)> {
        let state = self.state();
        let len = |inode: &u64| state.inodes.get(inode).map_or(0, |inode| inode.bytes.len() as u64);
        state.names.iter().map(|(name, inode)| (name.clone(), len(inode))).collect()
    }
}

impl State {
    pub(super) fn used(&self) -> u64 {
        let is_there = |inode: &&Inode| inode.links + inode.open > 0;
        self.inodes.values().filter(is_there).map(|inode| inode.bytes.len() as u64).sum()
    }

    pub(super) fn chance(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.random.u32(..1_000) < thousandths
    }

    pub(super) fn fail(&mut self, kind: ErrorKind) -> io::Error {
        self.failed += 1;
        kind.into()
    }

    pub(super) fn change(&mut self, change: Change) {
        let replaced = match &change {
            Change::Add(name, _) | Change::Remove(name) | Change::Move(_, name) => self.names.get(name).copied(),
        };
        change.apply(&mut self.names);
        self.changes.push(change);
        let Some(replaced) = replaced else { return };
        if let Some(inode) = self.inodes.get_mut(&replaced) {
            inode.links = inode.links.saturating_sub(1);
        }
        self.forget(replaced);
    }

    /// Gives back the room of a file that has no name and that nobody has open.
    pub(super) fn forget(&mut self, inode: u64) {
        let is_synced = self.synced_names.values().any(|named| *named == inode);
        if let Some(it) = self.inodes.get_mut(&inode).filter(|it| it.links + it.open == 0) {
            // After a loss of power it may have its name again.
            if is_synced {
                it.bytes.shrink_to_fit();
            } else if !self.changes.iter().any(|change| matches!(change, Change::Add(_, added) if *added == inode)) {
                self.inodes.remove(&inode);
            }
        }
    }
}

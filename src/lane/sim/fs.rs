//! A disk in memory that does by seed what disks do: it fills up, fails, takes a part of what it is given, forgets what was
//! not synced when the power goes, and keeps all of it when a process dies.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::spool::{Dir, File, Fs, Names};

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
struct Inode {
    bytes: Vec<u8>,
    /// What a loss of power leaves for certain.
    synced: Vec<u8>,
    is_dirty: bool,
    /// A sync failed: the system takes for written what is not, and says so from then on.
    is_doubtful: bool,
    changed: i64,
    links: u32,
    open: u32,
    /// The process and the handle.
    lock: Option<(usize, u64)>,
}

#[derive(Clone)]
enum Change {
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
struct State {
    inodes: HashMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    synced_names: BTreeMap<String, u64>,
    /// Since the directory was last synced.
    changes: Vec<Change>,
    next: u64,
    faults: Faults,
    random: fastrand::Rng,
    date: i64,
    room: u64,
    /// Calls of each process, and at which one it dies.
    calls: HashMap<usize, (u64, u64)>,
    dead: Vec<usize>,
    /// How often the disk failed.
    failed: u64,
    sync_failed: u64,
}

#[derive(Clone)]
pub(super) struct SimFs(Arc<Mutex<State>>);

impl SimFs {
    pub(super) fn new(seed: u64, room: u64) -> Self {
        let state = State { random: fastrand::Rng::with_seed(seed), room, next: 1, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
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
    fn used(&self) -> u64 {
        let is_there = |inode: &&Inode| inode.links + inode.open > 0;
        self.inodes.values().filter(is_there).map(|inode| inode.bytes.len() as u64).sum()
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.random.u32(..1_000) < thousandths
    }

    fn fail(&mut self, kind: ErrorKind) -> io::Error {
        self.failed += 1;
        kind.into()
    }

    fn change(&mut self, change: Change) {
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
    fn forget(&mut self, inode: u64) {
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

/// The disk as one process sees it.
#[derive(Clone)]
pub(super) struct Seen {
    fs: SimFs,
    process: usize,
}

/// What becomes of a call.
enum Fate {
    Lives,
    /// Dies after so many eighths of it are done.
    Dies(usize),
}

impl Seen {
    /// Begins a call: the process may die before it, or in it.
    fn call(&self) -> io::Result<(MutexGuard<'_, State>, Fate)> {
        let mut state = self.fs.state();
        if state.dead.contains(&self.process) {
            drop(state);
            // What is left of it is dropped, or unwinds.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let (calls, dies_at) = state.calls.entry(self.process).or_insert((0, u64::MAX));
        *calls += 1;
        let fate = if *calls >= *dies_at { Fate::Dies(state.random.usize(..=8)) } else { Fate::Lives };
        Ok((state, fate))
    }

    fn die(&self, mut state: MutexGuard<'_, State>) -> ! {
        state.dead.push(self.process);
        drop(state);
        resume_unwind(Box::new(Death))
    }

    /// A call that is done or not.
    fn whole<T>(&self, writes: bool, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let (mut state, fate) = self.call()?;
        if let Fate::Dies(0..4) = fate {
            self.die(state);
        }
        let faults = state.faults;
        if writes && faults.is_read_only {
            return Err(state.fail(ErrorKind::ReadOnlyFilesystem));
        }
        if state.chance(faults.fails) {
            state.failed += 1;
            return Err(io::Error::from_raw_os_error(5));
        }
        let done = act(&mut state);
        if let Fate::Dies(_) = fate {
            self.die(state);
        }
        done
    }

    fn opened(&self, inode: u64, handle: u64) -> Box<dyn File> {
        if let Some(inode) = self.fs.state().inodes.get_mut(&inode) {
            inode.open += 1;
        }
        Box::new(SimFile { seen: self.clone(), inode, handle })
    }
}

impl Fs for Seen {
    fn directory(&self, _: &Path) -> io::Result<Box<dyn Dir>> {
        Ok(Box::new(self.clone()))
    }
}

fn find(state: &State, name: &str) -> io::Result<u64> {
    state.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
}

impl Dir for Seen {
    fn list(&self) -> io::Result<Names> {
        let names = self.whole(false, |state| Ok(state.names.keys().cloned().collect::<Vec<_>>()))?;
        Ok(Box::new(names.into_iter().map(Ok)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let (inode, handle) = self.whole(true, |state| {
            if state.names.contains_key(name) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            if state.faults.is_full {
                return Err(state.fail(ErrorKind::StorageFull));
            }
            let (inode, handle) = (state.next, state.next + 1);
            state.next += 2;
            let changed = state.date;
            state.inodes.insert(inode, Inode { links: 1, changed, ..Inode::default() });
            state.change(Change::Add(name.to_owned(), inode));
            Ok((inode, handle))
        })?;
        Ok(self.opened(inode, handle))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let (inode, handle) = self.whole(false, |state| {
            state.next += 1;
            Ok((find(state, name)?, state.next - 1))
        })?;
        Ok(self.opened(inode, handle))
    }

    fn look_at(&self, name: &str) -> io::Result<(i64, u64)> {
        self.whole(false, |state| {
            let inode = &state.inodes[&find(state, name)?];
            Ok((inode.changed, inode.bytes.len() as u64))
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.whole(true, |state| {
            find(state, from)?;
            state.change(Change::Move(from.to_owned(), to.to_owned()));
            Ok(())
        })
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        self.whole(true, |state| {
            find(state, name)?;
            state.change(Change::Remove(name.to_owned()));
            Ok(())
        })
    }

    fn free(&self) -> io::Result<u64> {
        self.whole(false, |state| Ok(if state.faults.is_full { 0 } else { state.room.saturating_sub(state.used()) }))
    }

    fn sync(&self) -> io::Result<()> {
        self.whole(true, |state| {
            let chance = state.faults.sync_fails;
            if state.chance(chance) {
                state.sync_failed += 1;
                return Err(io::Error::from_raw_os_error(5));
            }
            state.changes.clear();
            state.synced_names = state.names.clone();
            let gone: Vec<u64> = state.inodes.iter().filter(|(_, it)| it.links + it.open == 0).map(|(at, _)| *at).collect();
            gone.into_iter().for_each(|inode| state.forget(inode));
            Ok(())
        })
    }
}

struct SimFile {
    seen: Seen,
    inode: u64,
    handle: u64,
}

impl SimFile {
    fn with<T>(&self, writes: bool, act: impl FnOnce(&mut State, &mut Inode) -> io::Result<T>) -> io::Result<T> {
        self.seen.whole(writes, |state| {
            let mut inode = state.inodes.remove(&self.inode).unwrap_or_default();
            let done = act(state, &mut inode);
            state.inodes.insert(self.inode, inode);
            done
        })
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(false, |_, inode| Ok(inode.bytes.len() as u64))
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.with(false, |state, inode| {
            let from = inode.bytes.get(at as usize..).unwrap_or_default();
            let mut count = from.len().min(into.len());
            if count > 1 && state.chance(state.faults.is_short) {
                count = state.random.usize(1..count);
            }
            into[..count].copy_from_slice(&from[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let (mut state, fate) = self.seen.call()?;
        let faults = state.faults;
        if faults.is_read_only {
            return Err(state.fail(ErrorKind::ReadOnlyFilesystem));
        }
        if state.chance(faults.fails) {
            state.failed += 1;
            return Err(io::Error::from_raw_os_error(5));
        }
        let mut count = bytes.len();
        if let Fate::Dies(eighths) = fate {
            count = count * eighths / 8;
        } else if count > 1 && state.chance(faults.is_short) {
            count = state.random.usize(1..count);
        }
        let (used, room, date) = (state.used(), state.room, state.date);
        let inode = state.inodes.entry(self.inode).or_default();
        let left = if faults.is_full { 0 } else { room.saturating_sub(used) };
        let most = (inode.bytes.len() as u64 + left).saturating_sub(at).min(usize::MAX as u64) as usize;
        count = count.min(most);
        if count == 0 && !bytes.is_empty() && !matches!(fate, Fate::Dies(_)) {
            return Err(state.fail(ErrorKind::StorageFull));
        }
        let end = at as usize + count;
        if count > 0 {
            if inode.bytes.len() < end {
                inode.bytes.resize(end, 0);
            }
            inode.bytes[at as usize..end].copy_from_slice(&bytes[..count]);
            (inode.is_dirty, inode.changed) = (true, date);
        }
        if let Fate::Dies(_) = fate {
            self.seen.die(state);
        }
        Ok(count)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.with(true, |_, inode| {
            inode.bytes.resize(len as usize, 0);
            inode.is_dirty = true;
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(true, |state, inode| {
            if state.chance(state.faults.sync_fails) {
                state.sync_failed += 1;
                inode.is_doubtful = true;
                return Err(io::Error::from_raw_os_error(5));
            }
            if !inode.is_doubtful {
                inode.synced.clone_from(&inode.bytes);
                inode.is_dirty = false;
            }
            Ok(())
        })
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.with(false, |_, inode| {
            let mine = (self.seen.process, self.handle);
            if inode.lock.is_some_and(|by| by != mine) {
                return Ok(false);
            }
            inode.lock = Some(mine);
            Ok(inode.links > 0)
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.seen.fs.state();
        if let Some(inode) = state.inodes.get_mut(&self.inode) {
            inode.lock.take_if(|by| *by == (self.seen.process, self.handle));
            inode.open = inode.open.saturating_sub(1);
            state.forget(self.inode);
        }
    }
}

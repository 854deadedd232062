//! The calls of a process to the disk in memory: each may be the one over which it dies.

use std::io::{self, ErrorKind};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::MutexGuard;

use super::fs::{Change, Death, Inode, SimFs, State};
use crate::spool::{Dir, File, Fs, Names};

/// The disk as one process sees it.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) fs: SimFs,
    pub(super) process: usize,
}

/// The cursor of a segment stands before this.
const HEAD: u64 = 4096;

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

    fn die(&self, mut state: MutexGuard<'_, State>, settling: bool) -> ! {
        state.died_settling = settling;
        state.dead.push(self.process);
        drop(state);
        resume_unwind(Box::new(Death))
    }

    /// A call that is done or not.
    fn whole<T>(&self, writes: bool, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let (mut state, fate) = self.call()?;
        if let Fate::Dies(0..4) = fate {
            self.die(state, true);
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
            self.die(state, true);
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
            let gone: Vec<u64> =
                state.inodes.iter().filter(|(_, it)| it.links + it.open == 0).map(|(at, _)| *at).collect();
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
            self.seen.die(state, at < HEAD);
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

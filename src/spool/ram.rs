//! A disk in memory, that fails when it is told to.
//!
//! It outlives what is opened on it, as a disk outlives a process; what is locked is free again once it is closed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fs::{Dir, File, Fs, Names};

#[derive(Clone, Default)]
pub(crate) struct Ram(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<String, Node>,
    free: Option<u64>,
    fault: Option<Fault>,
    calls: u64,
    open: usize,
    most_open: usize,
    time: i64,
}

type Bytes = Arc<Mutex<Content>>;

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    /// What a loss of power leaves of it.
    safe: Vec<u8>,
    /// The disk failed to make it safe, and forgot about it.
    is_unsafe: bool,
    locked: bool,
    links: usize,
}

struct Node {
    content: Bytes,
    changed: i64,
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// This call, counted from now on, fails with that number.
    Once { call: u64, errno: i32 },
    /// This one and all that follow.
    From { call: u64, errno: i32 },
    /// A write takes one byte at a time.
    Short,
    /// So many files are not made safe when that is asked for, with that number. Asked once more, the disk says that they
    /// are, and they are not.
    Sync { files: u32, errno: i32 },
}

impl Ram {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the next call on.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.state();
        (state.fault, state.calls) = (fault, 0);
    }

    pub(crate) fn set_free(&self, free: u64) {
        self.state().free = Some(free);
    }

    /// Calls since the fault was set.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The most files that were open at once.
    pub(crate) fn most_open(&self) -> usize {
        self.state().most_open
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }

    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.state().files.get(name).map(|node| content(&node.content).bytes.clone())
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        state.time += 1;
        let content = Content { bytes: bytes.to_vec(), links: 1, ..Content::default() };
        let node = Node { content: Arc::new(Mutex::new(content)), changed: state.time };
        state.files.insert(name.to_owned(), node);
    }

    /// Only what was made safe is left.
    pub(crate) fn lose_power(&self) {
        for node in self.state().files.values() {
            let mut content = content(&node.content);
            content.bytes = content.safe.clone();
        }
    }

    fn call(&self) -> io::Result<()> {
        let mut state = self.state();
        let now = state.calls;
        state.calls += 1;
        match state.fault {
            Some(Fault::Once { call, errno }) if call == now => Err(io::Error::from_raw_os_error(errno)),
            Some(Fault::From { call, errno }) if now >= call => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }

    fn opened(&self, content: Bytes) -> Box<dyn File> {
        let mut state = self.state();
        state.open += 1;
        state.most_open = state.most_open.max(state.open);
        Box::new(RamFile { ram: self.clone(), content, holds: Mutex::new(false) })
    }
}

fn content(bytes: &Bytes) -> MutexGuard<'_, Content> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fs for Ram {
    fn directory(&self, _path: &Path) -> io::Result<Box<dyn Dir>> {
        self.call()?;
        Ok(Box::new(self.clone()))
    }
}

impl Dir for Ram {
    fn list(&self) -> io::Result<Names> {
        self.call()?;
        Ok(Box::new(self.names().into_iter().map(Ok)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.call()?;
        if self.state().files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.put(name, &[]);
        let content = Arc::clone(&self.state().files[name].content);
        Ok(self.opened(content))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.call()?;
        let content = self.state().files.get(name).map(|node| Arc::clone(&node.content));
        Ok(self.opened(content.ok_or(io::ErrorKind::NotFound)?))
    }

    fn look_at(&self, name: &str) -> io::Result<(i64, u64)> {
        self.call()?;
        let state = self.state();
        let node = state.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok((node.changed, content(&node.content).bytes.len() as u64))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call()?;
        let mut state = self.state();
        let node = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        if let Some(old) = state.files.insert(to.to_owned(), node) {
            content(&old.content).links = 0;
        }
        Ok(())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        self.call()?;
        let node = self.state().files.remove(name).ok_or(io::ErrorKind::NotFound)?;
        content(&node.content).links = 0;
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        self.call()?;
        if self.state().free.is_none() {
            return Ok(u64::MAX / 2);
        }
        let state = self.state();
        let used: usize = state.files.values().map(|node| content(&node.content).bytes.len()).sum();
        Ok(state.free.map_or(u64::MAX / 2, |free| free.saturating_sub(used as u64)))
    }

    fn sync(&self) -> io::Result<()> {
        self.call()
    }
}

struct RamFile {
    ram: Ram,
    content: Bytes,
    holds: Mutex<bool>,
}

impl File for RamFile {
    fn len(&self) -> io::Result<u64> {
        self.ram.call()?;
        Ok(content(&self.content).bytes.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.ram.call()?;
        let content = content(&self.content);
        let from = content.bytes.get(at as usize..).unwrap_or_default();
        let len = from.len().min(into.len());
        into[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.ram.call()?;
        let free = Dir::free(&self.ram)?;
        let fault = self.ram.state().fault;
        let mut content = content(&self.content);
        let end = at as usize + if matches!(fault, Some(Fault::Short)) { bytes.len().min(1) } else { bytes.len() };
        let end = end.min(content.bytes.len().saturating_add(free as usize));
        if end <= at as usize {
            return Err(io::Error::from_raw_os_error(28));
        }
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        let written = end - at as usize;
        content.bytes[at as usize..end].copy_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.ram.call()?;
        content(&self.content).bytes.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.ram.call()?;
        let mut content = content(&self.content);
        if content.is_unsafe {
            return Ok(());
        }
        if let Some(Fault::Sync { files, errno }) = &mut self.ram.state().fault
            && *files > 0
        {
            *files -= 1;
            content.is_unsafe = true;
            return Err(io::Error::from_raw_os_error(*errno));
        }
        content.safe = content.bytes.clone();
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.ram.call()?;
        let mut content = content(&self.content);
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        if content.locked && !*holds {
            return Ok(false);
        }
        (content.locked, *holds) = (true, true);
        Ok(content.links > 0)
    }
}

impl Drop for RamFile {
    fn drop(&mut self) {
        self.ram.state().open -= 1;
        if *self.holds.lock().unwrap_or_else(PoisonError::into_inner) {
            content(&self.content).locked = false;
        }
    }
}

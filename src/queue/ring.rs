//! The crash-proof ring: a queue in a mapped file, so that what was accepted outlives the process.
//!
//! A store that has been carried out is in the kernel's pages, and stays there whatever ends the process. How callers and the
//! worker share the pages is `ring/order.rs`, what the file begins with `ring/header.rs`, how it is made `ring/file.rs`, and
//! who reads it after a death `ring/orphans.rs`.
//!
//! This file holds all `unsafe` of the crate: the mapping, seen as atomic words and as nothing else. So nothing that is
//! safe can misuse it: there is no reference to memory that somebody writes without being an atomic, and an index that is
//! out of bounds panics.

#![allow(unsafe_code)]

mod file;
mod header;
mod order;
mod orphans;
mod plan;
mod scan;
mod sites;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use rustix::mm::{self, Advice, MapFlags, ProtFlags};

use crate::crash;
use crate::frame::portable::{self, Site};
use crate::frame::{Frame, Severity};
use crate::queue::heir::Owed;
use crate::resource::Resource;
use file::Made;
pub(crate) use order::Shut;
use order::{COUNT_MASK, Found, Memory, Order};
pub(crate) use orphans::Orphans;
#[cfg(feature = "testing")]
pub(crate) use plan::recover_any;
use sites::Sites;

pub(crate) struct Ring {
    order: Order<Mapping>,
    sites: Sites,
    owner: Owner,
    /// Its lock tells others that we live. Closed last, when nothing is mapped any more.
    made: Made,
    /// Some of what is owed is in memory alone.
    in_memory: AtomicBool,
}

impl Ring {
    /// Whether this build can have one.
    pub(crate) const IS_THERE: bool = true;

    /// Makes a ring of at most so many bytes in a directory; also a remark where that is not on tmpfs.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the directory, or what the system refused.
    pub(crate) fn make(
        dir: &Path,
        incarnation: u128,
        resource: &Resource,
        bytes: usize,
    ) -> Result<(Self, Option<String>), String> {
        let (made, remark) = file::make(dir, incarnation, resource, bytes)?;
        let refused = |what: &str, error: io::Error| {
            made.remove();
            format!("{what}: {error}")
        };
        let mapping = Mapping::of(&made).map_err(|error| refused("the ring cannot be mapped", error))?;
        let owner = Owner::this_process().map_err(|error| refused("no page for the ring's owner", error))?;
        let header = made.header();
        Ok((
            Self {
                sites: Sites::new(header.salt, header.dictionary, header.dictionary_words),
                order: Order::new(mapping, header.salt, header.data, header.units),
                owner,
                made,
                in_memory: AtomicBool::new(false),
            },
            remark,
        ))
    }

    /// Whether this process is a fork of the one that made it.
    #[inline]
    pub(super) fn is_foreign(&self) -> bool {
        self.owner.is_another()
    }

    /// Puts a frame in; returns how many bytes are not drained then.
    #[inline]
    pub(super) fn push(&self, frame: &Frame, severity: Severity) -> Result<u64, Shut> {
        let keep = severity < Severity::Warn;
        let Some(callsite) = frame.callsite() else { return self.order.push(0, frame.bytes(), keep) };
        match self.sites.address(callsite, self.order.memory()) {
            Some(address) => self.order.push(address, frame.bytes(), keep),
            None => self.push_inlined(frame, keep),
        }
    }

    /// The dictionary is full: the frame says itself where it comes from.
    #[cold]
    fn push_inlined(&self, frame: &Frame, keep: bool) -> Result<u64, Shut> {
        let (mut site, mut bytes) = (Vec::new(), Vec::new());
        frame.callsite().into_iter().for_each(|callsite| portable::write_site(callsite, &mut site));
        match Site::read(&site) {
            Some(site) => portable::inline(frame.bytes(), &site, &mut bytes),
            None => bytes.extend_from_slice(frame.bytes()),
        }
        self.order.push(0, &bytes, keep)
    }

    /// Bytes of frames that it has room for, their heads included.
    #[inline]
    pub(super) fn size(&self) -> u64 {
        self.order.size()
    }

    /// Records accepted since there were `before` of them, both modulo 2^31.
    pub(super) fn accepted_since(&self, before: u32) -> u32 {
        self.order.accepted().wrapping_sub(before) & COUNT_MASK
    }

    /// Records accepted and not drained.
    pub(super) fn queued(&self) -> u32 {
        self.order.queued()
    }

    pub(super) fn tail(&self) -> u64 {
        self.order.tail()
    }

    pub(super) fn drained(&self) -> u64 {
        self.order.drained()
    }

    pub(super) fn consumed(&self) -> u64 {
        self.order.consumed()
    }

    pub(super) fn last_time(&self) -> i64 {
        self.order.last_time()
    }

    /// A copy of the first frame at or behind `at`, if it is committed and before `tail`.
    #[inline]
    pub(super) fn next(&self, at: u64, tail: u64) -> Option<(Found, Frame)> {
        let found = self.order.next(at, tail)?;
        let callsite = if found.callsite == 0 { None } else { self.sites.find(found.callsite) };
        let frame = Frame::of_bytes(callsite, found.len as usize, |bytes| self.order.read(&found, bytes));
        Some((found, frame))
    }

    pub(super) fn number(&self, position: u64, nanos: i64) {
        self.order.number(position, nanos);
    }

    pub(super) fn drained_to(&self, to: u64, records: u32, last_time: i64) {
        self.order.drained_to(to, records, last_time);
    }

    pub(super) fn release(&self, lanes: &[Owed], up_to: u64) {
        for (lane, owed) in lanes.iter().enumerate() {
            self.order.settled(lane, owed.fingerprint, owed.settled);
            self.order.in_memory(lane, owed.waiting, owed.in_flight);
        }
        let in_memory = lanes.iter().any(|owed| owed.waiting + owed.in_flight > 0);
        self.in_memory.store(in_memory, Ordering::Relaxed);
        self.order.release(up_to);
    }

    pub(super) fn none_in_memory(&self, lane: usize) {
        self.order.in_memory(lane, 0, 0);
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        self.made.dir()
    }

    /// Accepts nothing any more; not for a fork's sake, whose parent goes on.
    pub(super) fn close(&self) {
        if !self.is_foreign() {
            self.order.close();
        }
    }

    /// Removes the file if nothing is owed from it. What is owed waits there for the next process.
    pub(super) fn end(&self) {
        if !self.is_foreign() && self.order.consumed() == self.order.tail() {
            self.made.remove();
        }
    }

    pub(super) fn is_in_memory(&self) -> bool {
        self.in_memory.load(Ordering::Relaxed)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.end();
    }
}

/// The pages of a file that this process made, as atomic words.
pub(super) struct Mapping {
    words: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: it is owned memory that stays mapped until the drop, and only ever seen as atomics, which threads may share.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Only of a file that we made and locked: one that another process might cut would kill this one with SIGBUS.
    fn of(made: &Made) -> io::Result<Self> {
        let bytes = made.header().file_bytes();
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses the place, so that no memory of this process is affected.
        let place = unsafe { mm::mmap(ptr::null_mut(), bytes, protection, flags, made.to_map()?, 0)? };
        let words = NonNull::new(place.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        let mapping = Self { words, len: bytes / size_of::<AtomicU64>() };
        for advice in [Advice::LinuxPopulateWrite, Advice::LinuxDontDump] {
            // Without the first, which Linux has since 5.14, callers pay for the pages when they first write there. The
            // second keeps what is logged out of core files.
            // SAFETY: this is the whole of our own mapping, and neither advice changes what is in it.
            let _ = unsafe { mm::madvise(place, bytes, advice) };
        }
        Ok(mapping)
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        // SAFETY: mapped for reading and writing at a page's beginning for so many words until the drop, behind which this
        // reference does not live. The file is as long: it was allocated before, and nobody but us may open it. Other
        // processes' atomics are no more of a race than other threads'.
        unsafe { slice::from_raw_parts(self.words.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it is what was mapped, whole, and no reference into it lives longer than `self`.
        let _ = unsafe { mm::munmap(self.words.as_ptr().cast(), self.len * size_of::<AtomicU64>()) };
    }
}

impl Memory for Mapping {
    #[inline]
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.words()[at].load(order)
    }

    #[inline]
    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.words()[at].store(value, order);
    }

    #[inline]
    fn exchange(&self, at: usize, current: u64, new: u64) -> Result<u64, u64> {
        self.words()[at].compare_exchange_weak(current, new, Ordering::AcqRel, Ordering::Relaxed)
    }

    #[inline]
    fn fence(&self) {
        fence(Ordering::Release);
    }

    /// The same as the trait's own, with one look at the bounds.
    #[inline]
    fn put(&self, at: usize, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<8>();
        let (to, behind) = self.words()[at..].split_at(whole.len());
        for (word, chunk) in to.iter().zip(whole) {
            word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
        }
        if !rest.is_empty() {
            behind[0].store(order::padded(rest), Ordering::Relaxed);
        }
    }

    #[inline]
    fn get(&self, at: usize, into: &mut [u8]) {
        let from = &self.words()[at..at + into.len().div_ceil(8)];
        let (whole, rest) = into.as_chunks_mut::<8>();
        for (word, chunk) in from.iter().zip(&mut *whole) {
            *chunk = word.load(Ordering::Relaxed).to_le_bytes();
        }
        if let Some(last) = from.get(whole.len()) {
            rest.copy_from_slice(&last.load(Ordering::Relaxed).to_le_bytes()[..rest.len()]);
        }
    }

    fn clear(&self, at: usize, words: usize) {
        for word in &self.words()[at..at + words] {
            word.store(0, Ordering::Relaxed);
        }
    }

    #[inline]
    fn passes(&self, point: &'static str) {
        crash::at(point);
    }
}

/// Tells a process from its forks: they share the ring, but the worker is in only one of them.
enum Owner {
    /// A page with a word that is 1 here and 0 in a fork, as the kernel wipes it there.
    Page(NonNull<AtomicU64>),
    /// Where the kernel does not know how to (before Linux 4.14): each push asks for the process's id.
    Id(u32),
}

/// The whole of a page, whatever its size.
const PAGE: usize = 1;

// SAFETY: the page is owned, mapped until the drop, and only ever seen as an atomic.
unsafe impl Send for Owner {}
// SAFETY: as above.
unsafe impl Sync for Owner {}

impl Owner {
    fn this_process() -> io::Result<Self> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: the kernel chooses the place, so that no memory of this process is affected.
        let place = unsafe { mm::mmap_anonymous(ptr::null_mut(), PAGE, protection, flags)? };
        let word = NonNull::new(place.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        let page = Self::Page(word);
        // SAFETY: this is the whole of our own mapping, which is private and anonymous as the advice asks for.
        if unsafe { mm::madvise(place, PAGE, Advice::LinuxWipeOnFork) }.is_err() {
            return Ok(Self::Id(std::process::id()));
        }
        page.word().inspect(|word| word.store(1, Ordering::Relaxed));
        Ok(page)
    }

    #[inline]
    fn word(&self) -> Option<&AtomicU64> {
        match self {
            // SAFETY: mapped for reading and writing at a page's beginning until the drop, and never seen otherwise.
            Self::Page(word) => Some(unsafe { word.as_ref() }),
            Self::Id(_) => None,
        }
    }

    #[inline]
    fn is_another(&self) -> bool {
        match (self, self.word()) {
            (_, Some(word)) => word.load(Ordering::Relaxed) == 0,
            (Self::Id(id), None) => *id != std::process::id(),
            (Self::Page(_), None) => false,
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Self::Page(word) = self {
            // SAFETY: it is what was mapped, whole, and no reference to it lives longer than `self`.
            let _ = unsafe { mm::munmap(word.as_ptr().cast(), PAGE) };
        }
    }
}

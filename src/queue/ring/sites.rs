//! Callsites by their address: what a frame refers to, for whoever reads it in this process and after it.
//!
//! A callsite that is seen for the first time is written to the dictionary in the ring's file before any frame refers to it;
//! that is done under a lock. Each further time costs its caller one look at a table.
//!
//! ```text
//! entry   state     length in bytes, as of a committed frame; stored last
//!         address   what frames refer to it by
//!         site      as frame/portable.rs writes it, padded to whole words
//! ```

use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::Metadata;

use super::order::{FRAME_HEAD, Memory, State, words_of};
use crate::frame::portable::write_site;

type Site = &'static Metadata<'static>;

/// Callsites that can be told apart; a large program has a few thousand.
const SLOTS: usize = 1 << 13;
/// Of them so many are used, so that one is found soon.
const USED_MAX: usize = SLOTS / 4 * 3;

pub(super) struct Sites {
    known: Box<[OnceLock<Site>]>,
    /// Words of the dictionary that are written, and how many callsites that is.
    written: Mutex<(usize, usize)>,
    /// What is not known by now has no room any more.
    full: AtomicBool,
    salt: u64,
    first: usize,
    words: usize,
}

/// Differs from that of the frames, so that neither passes for the other.
pub(super) fn salt_of_sites(salt: u64) -> u64 {
    !salt
}

impl Sites {
    /// `first`: the dictionary's first word; `words`: how many it has.
    pub(super) fn new(salt: u64, first: usize, words: usize) -> Self {
        Self {
            known: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            written: Mutex::new((0, 0)),
            full: AtomicBool::new(false),
            salt: salt_of_sites(salt),
            first,
            words,
        }
    }

    /// What a frame of that callsite refers to it by; `None` if the dictionary is full.
    #[inline]
    pub(super) fn address(&self, callsite: Site, memory: &impl Memory) -> Option<u64> {
        let address = ptr::from_ref(callsite).addr() as u64;
        for slot in self.slots(address) {
            match slot.get() {
                Some(known) if ptr::eq(*known, callsite) => return Some(address),
                Some(_) => {}
                None => break,
            }
        }
        self.learn(callsite, address, memory)
    }

    /// The callsite that this process has at that address.
    pub(super) fn find(&self, address: u64) -> Option<Site> {
        self.slots(address)
            .map_while(OnceLock::get)
            .find(|known| ptr::from_ref(**known).addr() as u64 == address)
            .copied()
    }

    /// Where a callsite may be, to the first slot that is free.
    #[inline]
    fn slots(&self, address: u64) -> impl Iterator<Item = &OnceLock<Site>> {
        let first = ((address >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 51) as usize % SLOTS;
        (first..first + SLOTS).map(|at| &self.known[at % SLOTS])
    }

    #[cold]
    #[inline(never)]
    fn learn(&self, callsite: Site, address: u64, memory: &impl Memory) -> Option<u64> {
        if self.full.load(Ordering::Relaxed) {
            return None;
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if self.find(address).is_some() {
            return Some(address);
        }
        let mut site = Vec::new();
        write_site(callsite, &mut site);
        let (at, count) = *written;
        let need = words_of(site.len()) as usize;
        let slot = self.slots(address).find(|slot| slot.get().is_none());
        let Some(slot) = slot.filter(|_| at + need <= self.words && count < USED_MAX) else {
            self.full.store(true, Ordering::Relaxed);
            return None;
        };
        let first = self.first + at;
        memory.store(first + 1, address, Ordering::Relaxed);
        memory.put(first + FRAME_HEAD as usize, &site);
        let state = State::Committed(site.len() as u32).encode(self.salt, at as u32);
        memory.store(first, state, Ordering::Release);
        *written = (at + need, count + 1);
        // Whoever sees it here may refer to it: so after it is complete there.
        let _ = slot.set(callsite);
        Some(address)
    }
}

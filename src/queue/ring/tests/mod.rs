//! The ring over memory of its own kind: ordinary words, which Miri can follow, and words that write down each store.

mod adopted;
mod crash;
mod order;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::header::Header;
use super::plan::Times;
use super::scan::Survey;
use super::{Memory, Order};
use crate::resource::Resource;

const INCARNATION: u128 = 0xABCD << 64 | 7;

/// Words on the heap; each store is written down where that was asked for.
struct Heap {
    words: Vec<AtomicU64>,
    stores: Option<Mutex<Vec<(usize, u64)>>>,
}

impl Heap {
    fn note(&self, at: usize, value: u64) {
        if let Some(stores) = &self.stores {
            stores.lock().unwrap().push((at, value));
        }
    }

    fn stores(&self) -> Vec<(usize, u64)> {
        self.stores.as_ref().map(|stores| stores.lock().unwrap().clone()).unwrap_or_default()
    }
}

impl Memory for Heap {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.words[at].load(order)
    }

    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.words[at].store(value, order);
        self.note(at, value);
    }

    fn exchange(&self, at: usize, current: u64, new: u64) -> Result<u64, u64> {
        let done = self.words[at].compare_exchange_weak(current, new, Ordering::AcqRel, Ordering::Relaxed);
        done.inspect(|_| self.note(at, new))
    }

    fn fence(&self) {
        fence(Ordering::Release);
    }
}

/// A ring of so many words on the heap, and what its file would begin with.
fn ring(units: usize, noting: bool) -> (Order<Heap>, Header) {
    let salt = 0x0123_4567_89ab_cdef_u64.wrapping_mul(units as u64 | 1);
    let header = Header::new(INCARNATION, &Resource::new("shop"), salt, 0, units * 8).unwrap();
    let words: Vec<_> = (0..header.file_bytes() / 8).map(|_| AtomicU64::new(0)).collect();
    for (word, chunk) in words.iter().zip(header.encode().chunks(8)) {
        let mut whole = [0; 8];
        whole[..chunk.len()].copy_from_slice(chunk);
        word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
    }
    let heap = Heap { words, stores: noting.then(Mutex::default) };
    (Order::new(heap, header.salt, header.data, header.units), header)
}

/// The file as it stands.
fn image(order: &Order<Heap>) -> Vec<u8> {
    order.memory().words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect()
}

/// A frame of so many bytes in all, at least nine, that says which it is.
fn frame(nanos: i64, number: u64, len: usize) -> Vec<u8> {
    let mut bytes = nanos.to_le_bytes().to_vec();
    bytes.push(3);
    bytes.extend(number.to_le_bytes());
    bytes.resize(len.max(17), number as u8);
    bytes
}

fn number_in(frame: &[u8]) -> u64 {
    u64::from_le_bytes(frame[9..17].try_into().unwrap())
}

/// What is found after a death: the place of each record, its time, and its bytes.
fn recovered(image: &[u8]) -> Vec<(u64, i64, Vec<u8>)> {
    let survey = Survey::of(image).unwrap();
    let mut times = Times::after(&survey, survey.last_time);
    let mut frames = survey.frames(image, survey.consumed..survey.end);
    let (mut bytes, mut all) = (Vec::new(), Vec::new());
    while let Some(standing) = frames.next(&mut bytes) {
        let nanos = times.next(standing.position, i64::from_le_bytes(bytes[..8].try_into().unwrap()));
        all.push((standing.position, nanos, bytes.clone()));
    }
    all
}

/// Drains what is there, as the worker does it; returns the frames and their places.
fn drain(order: &Order<Heap>, most: usize) -> Vec<(u64, Vec<u8>)> {
    let (mut at, tail, mut all) = (order.drained(), order.tail(), Vec::new());
    while all.len() < most
        && let Some(found) = order.next(at, tail)
    {
        let mut bytes = vec![0; found.len as usize];
        order.read(&found, &mut bytes);
        at = found.next;
        all.push((found.position, bytes));
    }
    let last = order.last_time();
    order.drained_to(at, all.len() as u32, last);
    all
}

//! D3: the process dies after any one store, and what is found is what was accepted and not released: no more, no less.

use std::collections::BTreeMap;

use super::super::order::{State, place};
use super::{Order, drain, frame, image, number_in, recovered, ring};
use crate::numbers::Numbers;

/// What happened to a record, by the number of stores that had been made.
struct Fate {
    bytes: Vec<u8>,
    /// The time that it was given, or would have been.
    nanos: i64,
    accepted: usize,
    released: usize,
}

/// Pushes, drains, numbers and releases by chance, through many laps; the content tries to look like frames.
struct Run {
    order: Order<super::Heap>,
    start: Vec<u8>,
    fates: BTreeMap<u64, Fate>,
}

fn run(seed: u64, units: usize, steps: usize) -> Run {
    let (order, header) = ring(units, true);
    let start = image(&order);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
    let mut numbers = Numbers::new(super::INCARNATION, true);
    let mut clock = 1_000_000;
    let mut next = 0;
    for _ in 0..steps {
        match random.u8(..4) {
            0 | 1 => {
                // The same time twice, and a clock that goes back a little, are smoothed.
                clock += [0, 1, 5, -3][random.usize(..4)];
                let mut bytes = frame(clock, next, random.usize(17..8 * 12));
                // A state of another place, as of an earlier lap.
                if random.bool() {
                    let other = State::Committed(40).encode(header.salt, random.u32(..) | 1 << 30);
                    bytes.resize(24.max(bytes.len() / 8 * 8), 0);
                    bytes.extend(other.to_le_bytes().repeat(3));
                }
                if order.push(0, &bytes, false).is_ok() {
                    let position = order.tail() - u64::from(super::super::order::words_of(bytes.len())) * 8;
                    let accepted = order.memory().stores().len();
                    fates.insert(position, Fate { bytes, nanos: 0, accepted, released: usize::MAX });
                    next += 1;
                }
            }
            2 => {
                let (mut at, tail, mut count, mut last) = (order.drained(), order.tail(), 0, order.last_time());
                while count < random.u32(..5)
                    && let Some(found) = order.next(at, tail)
                {
                    let mut bytes = vec![0; found.len as usize];
                    order.read(&found, &mut bytes);
                    let was = i64::from_le_bytes(bytes[..8].try_into().unwrap());
                    last = numbers.next(was, Some(found.position)).1;
                    if was != last {
                        order.number(found.position, last);
                    }
                    (at, count) = (found.next, count + 1);
                }
                if count > 0 {
                    order.drained_to(at, count, last);
                }
            }
            _ => {
                let places: Vec<_> = fates.range(order.consumed()..order.drained()).map(|(&at, _)| at).collect();
                let up_to = random.choice(places).unwrap_or_else(|| order.drained());
                order.settled(0, 1, up_to);
                let before = order.memory().stores().len();
                order.release(up_to);
                let stores = order.memory().stores();
                let Some(at) = stores[before..].iter().position(|&(at, _)| at == place::CONSUMED) else { continue };
                for (_, fate) in fates.range_mut(..up_to).filter(|(_, fate)| fate.released == usize::MAX) {
                    fate.released = before + at + 1;
                }
            }
        }
    }
    // What nobody drained would have been given its time in this order.
    let mut numbers = Numbers::new(super::INCARNATION, true);
    for (&position, fate) in &mut fates {
        fate.nanos = numbers.next(i64::from_le_bytes(fate.bytes[..8].try_into().unwrap()), Some(position)).1;
    }
    Run { order, start, fates }
}

#[test]
fn d3_after_each_store_exactly_what_was_accepted_and_not_released_is_found() {
    let (mut images, mut found) = (0, 0);
    for seed in 0..if cfg!(miri) { 1 } else { 12 } {
        let run = run(seed, 64, if cfg!(miri) { 12 } else { 300 });
        let mut image = run.start;
        for (after, (at, value)) in run.order.memory().stores().into_iter().enumerate() {
            image[8 * at..][..8].copy_from_slice(&value.to_ne_bytes());
            let done = after + 1;
            let got = recovered(&image);
            let expected: Vec<_> =
                run.fates.iter().filter(|(_, fate)| fate.accepted <= done && done < fate.released).collect();
            let places = |all: &mut dyn Iterator<Item = u64>| all.collect::<Vec<_>>();
            assert_eq!(
                places(&mut got.iter().map(|&(at, ..)| at)),
                places(&mut expected.iter().map(|&(&at, _)| at)),
                "seed {seed}, after store {done}"
            );
            for ((_, nanos, bytes), (_, fate)) in got.iter().zip(expected) {
                assert_eq!((*nanos, &bytes[8..]), (fate.nanos, &fate.bytes[8..]), "seed {seed}, after store {done}");
            }
            images += 1;
            found += got.len();
        }
    }
    if !cfg!(miri) {
        assert!(images >= 10_000 && found > images, "{images} images, {found} records");
    }
}

#[test]
fn d3_threads_that_are_stopped_anywhere_cost_their_own_records_alone() {
    let mut images = 0;
    // The third one wraps, so that there is padding as well.
    let lens = [24, 40, 60];
    for lead in 0..if cfg!(miri) { 1 } else { 6 } {
        let (order, _) = ring(16 * 4, true);
        for _ in 0..lead {
            order.push(0, &frame(1, 100, 48), false).unwrap();
            drain(&order, 1);
            order.release(order.drained());
        }
        let start = image(&order);
        let mut parts = Vec::new();
        for (number, len) in lens.iter().enumerate() {
            let before = order.memory().stores().len();
            order.push(0, &frame(2, number as u64, *len), false).unwrap();
            parts.push(order.memory().stores()[before..].to_vec());
        }
        // All have claimed their place, which is the first store; each has come so far with the others.
        for done in 0..parts.iter().map(Vec::len).product() {
            let (mut left, mut image, mut expected) = (done, start.clone(), Vec::new());
            for (number, part) in parts.iter().enumerate() {
                let so_far = left % part.len() + 1;
                left /= part.len();
                for &(at, value) in &part[..so_far] {
                    image[8 * at..][..8].copy_from_slice(&value.to_ne_bytes());
                }
                if so_far == part.len() {
                    expected.push(number as u64);
                }
            }
            let got: Vec<_> = recovered(&image).iter().map(|(_, _, bytes)| number_in(bytes)).collect();
            assert_eq!(got, expected, "lead {lead}, {done}");
            images += 1;
        }
    }
    assert!(images > if cfg!(miri) { 100 } else { 1_000 }, "{images}");
}

#[test]
fn s1_a_ring_that_was_changed_at_any_byte_gives_no_record_that_was_not_there() {
    let run = run(5, 64, 200);
    let whole = image(&run.order);
    let there = recovered(&whole);
    assert!(there.len() > 3);
    let header = super::Survey::of(&whole[..]).unwrap().header;
    let step = if cfg!(miri) { 97 } else { 1 };
    let places = (8 * place::TAIL..8 * place::LANES).chain(8 * header.data..whole.len()).step_by(step);
    for at in places {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= change;
            let Ok(survey) = super::Survey::of(&changed[..]) else { continue };
            let mut frames = survey.frames(&changed[..], survey.consumed..survey.end);
            let (mut bytes, mut known) = (Vec::new(), 0);
            while let Some(standing) = frames.next(&mut bytes) {
                // It stands where one of them stood; its bytes are not vouched for.
                known += usize::from(run.fates.contains_key(&standing.position));
                assert!(run.fates.contains_key(&standing.position), "{at} {change}: {standing:?}");
            }
            if (8 * header.data..whole.len()).contains(&at) {
                assert!(known + 1 >= there.len(), "{at} {change}: {known} of {}", there.len());
            }
        }
    }
}

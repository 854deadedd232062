//! D2: death at each of the named points, and what the next process makes of it.

use std::time::Duration;

use crate::auditor::Tally;
use crate::ends::Way;
use crate::kills::{Weather, delay, judge};
use crate::record::mix;
use crate::scene::{Keeps, Scene};

/// A point, how often it may be passed before, and how many dead a process must find to come by it.
struct Point {
    name: &'static str,
    most: u64,
    dead: u64,
    keeps: &'static [Keeps],
}

const fn point(name: &'static str, most: u64, dead: u64, keeps: &'static [Keeps]) -> Point {
    Point { name, most, dead, keeps }
}

const DISK: &[Keeps] = &[Keeps::Spool, Keeps::RingAndAlways];
const RING: &[Keeps] = &[Keeps::Ring, Keeps::RingAndAlways];

/// As in `src/crash.rs`.
const POINTS: &[Point] = &[
    point("spool.append", 8, 0, DISK),
    point("spool.cursor", 8, 0, DISK),
    point("spool.delete", 2, 0, DISK),
    point("spool.rotate", 3, 0, DISK),
    // One of them may have died before it had anything there.
    point("spool.adopt", 1, 2, DISK),
    point("ring.claim", 500, 0, RING),
    point("ring.write", 500, 0, RING),
    point("ring.commit", 500, 0, RING),
    point("ring.release", 8, 0, RING),
    point("lane.settle", 8, 0, &[Keeps::Memory, Keeps::Spool, Keeps::Ring, Keeps::RingAndAlways]),
];

/// Each point with each way to keep records, as one case.
pub(crate) fn cases() -> impl Iterator<Item = (String, &'static str, Keeps)> {
    POINTS.iter().flat_map(|point| {
        point.keeps.iter().map(|&keeps| (format!("d2::{}::{keeps:?}", point.name), point.name, keeps))
    })
}

/// A process that dies there; before it those whose records it finds, after it one that ends well.
pub(crate) fn story(seed: u64, name: &str, keeps: Keeps) -> Tally {
    let point = POINTS.iter().find(|point| point.name == name).expect("a known point");
    let mut scene = Scene::new(seed, keeps, Weather::Slow.store(seed))
        // Segments of a quarter of that, so that many are begun and deleted.
        .var("LOGCHUTE_SPOOL_BYTES", "1MiB");
    if point.dead > 0 {
        scene.store.go_away();
    }
    for which in 0..point.dead {
        scene.dies(&Way::Kill, delay(seed, which));
    }
    scene.store.come_back();
    let nth = 1 + mix(&[seed, 2]) % point.most;
    scene.dies(&Way::Point(name.to_owned(), nth), Duration::ZERO);
    judge(scene)
}

/// A process that dies there while it takes over what one before it has left, which itself had died there.
pub(crate) fn twice(seed: u64, name: &str, keeps: Keeps) -> Tally {
    let point = POINTS.iter().find(|point| point.name == name).expect("a known point");
    let mut scene = Scene::new(seed, keeps, Weather::Slow.store(seed)).var("LOGCHUTE_SPOOL_BYTES", "1MiB");
    for which in 0..point.dead.max(1) {
        scene.store.go_away();
        scene.dies(&Way::Kill, delay(seed, which));
        scene.store.come_back();
    }
    for which in 0..2 {
        let nth = 1 + mix(&[seed, 3, which]) % point.most.min(2);
        scene.dies(&Way::Point(name.to_owned(), nth), Duration::ZERO);
    }
    judge(scene)
}

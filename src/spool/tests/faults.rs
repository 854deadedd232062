//! Whatever the disk refuses, and when: what was accepted is delivered, or counted, and what was not is still the caller's.

use std::time::Duration;

use super::super::ram::Fault;
use super::*;

const EINTR: i32 = 4;
const EIO: i32 = 5;
const EACCES: i32 = 13;
const EMFILE: i32 = 24;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const ALL: [i32; 7] = [EINTR, EIO, EACCES, EMFILE, EFBIG, ENOSPC, EROFS];

/// What came of some lives of processes on one disk.
#[derive(Default)]
struct Books {
    accepted: Vec<u64>,
    delivered: Vec<u64>,
    damaged: u64,
    /// Batches that were refused.
    refused: Vec<u64>,
}

/// A pipeline that spills, reads a part of it, and ends; then it ends, in good order or not.
fn live(ram: &Ram, incarnation: u128, books: &mut Books, orderly: bool) {
    let mut now = Instant::now();
    let Ok(mut directory) = Directory::open(Path::new("x"), ram, incarnation) else { return };
    let mut settings = settings(Path::new("x"), 1 << 30);
    settings.fsync = Some(Duration::ZERO);
    let mut spool = directory.spool(lane("a"), &settings);
    let base = incarnation as u64 * 1_000;
    for number in 0..4 {
        let numbers = base + number * 10..base + number * 10 + 3;
        match spool.append(&whole(&stored(&origin(incarnation), numbers.clone())), &note(number), number == 3, now) {
            Ok(place) => {
                books.accepted.extend(numbers.clone());
                if number == 3 {
                    books.delivered.extend(numbers);
                    spool.settle(place);
                }
            }
            Err(_) => books.refused.extend(numbers),
        }
        let _ = directory.write_state(&[]);
        let _ = spool.tick(now);
        now += Duration::from_secs(2);
    }
    for round in 0..2 {
        let taken: Vec<_> = (0..2).filter_map(|_| spool.next(now)).collect();
        for (place, taken) in taken.into_iter().enumerate() {
            if place == round {
                spool.put_back(taken.place);
            } else {
                books.delivered.extend(sequences(&taken.stored));
                spool.settle(taken.place);
            }
        }
        let _ = spool.tick(now);
        now += Duration::from_secs(2);
    }
    adopt_all(&mut directory, books, &mut now);
    books.damaged += spool.damaged().iter().sum::<u64>();
    if orderly {
        let _ = spool.close();
        drop(spool);
        directory.close();
    }
}

fn adopt_all(directory: &mut Directory, books: &mut Books, now: &mut Instant) {
    for _ in 0..8 {
        let mut sources = Vec::new();
        for _ in 0..20 {
            for found in directory.look(&[lane("a").fingerprint], *now) {
                if let Found::Orphan { source, .. } = found {
                    sources.push(source);
                }
            }
            if directory.seen_all() {
                break;
            }
        }
        for source in &mut sources {
            for _ in 0..20 {
                while let Some(taken) = source.next(*now) {
                    books.delivered.extend(sequences(&taken.stored));
                    source.settle(taken.place);
                }
                *now += Duration::from_secs(2);
            }
            books.damaged += source.damaged().iter().sum::<u64>();
        }
        *now += Duration::from_secs(2);
    }
}

/// Two lives with that fault in one of them, and a third that finds the disk in order.
fn lives(fault: Option<Fault>, faulty: u128) -> (Books, u64, Vec<String>) {
    let (ram, mut books, mut calls) = (Ram::default(), Books::default(), 0);
    for incarnation in 1..=3 {
        ram.set_fault(fault.filter(|_| incarnation == faulty));
        live(&ram, incarnation, &mut books, incarnation == 2);
        if incarnation == faulty {
            calls = ram.calls();
        }
    }
    ram.set_fault(None);
    let mut directory = Directory::open(Path::new("x"), &ram, 4).unwrap();
    adopt_all(&mut directory, &mut books, &mut Instant::now());
    directory.close();
    (books, calls, ram.names())
}

fn missing(books: &Books) -> Vec<u64> {
    books.accepted.iter().copied().filter(|number| !books.delivered.contains(number)).collect()
}

#[test]
fn without_a_fault_nothing_is_left() {
    let (books, _, names) = lives(None, 1);
    assert_eq!((books.accepted.len(), missing(&books), books.damaged), (36, vec![], 0));
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_fault_at_any_call_loses_nothing_that_was_accepted() {
    for faulty in 1..=3 {
        let calls = lives(None, faulty).1;
        assert!(calls > 30, "{calls}");
        for call in 0..calls + 2 {
            for errno in ALL {
                let (books, ..) = lives(Some(Fault::Once { call, errno }), faulty);
                let what = format!("call {call} of life {faulty} with {errno}");
                assert_eq!(missing(&books), [0; 0], "{what}");
                assert_eq!(books.damaged, 0, "{what}");
                let came = books.refused.iter().find(|number| books.delivered.contains(number));
                assert_eq!(came, None, "{what}: it was refused, and what failed was taken back");
            }
        }
    }
}

#[test]
fn a_disk_that_dies_at_any_call_loses_nothing_once_it_is_back() {
    for faulty in 1..=2 {
        let calls = lives(None, faulty).1;
        for call in 0..calls {
            for errno in [EIO, EACCES, EMFILE, ENOSPC] {
                let (books, ..) = lives(Some(Fault::From { call, errno }), faulty);
                // What cannot be read at all after some time is given up, and counted.
                let lost = missing(&books).len() as u64;
                assert!(lost <= books.damaged, "call {call} of life {faulty} with {errno}: {lost} {}", books.damaged);
            }
        }
    }
}

#[test]
fn a_disk_that_takes_a_byte_at_a_time_takes_all() {
    for faulty in 1..=3 {
        let (books, _, names) = lives(Some(Fault::Short), faulty);
        assert_eq!((books.accepted.len(), missing(&books), names), (36, vec![], vec![]));
    }
}

#[test]
fn a_full_disk_refuses_and_takes_again_within_a_second_of_being_freed() {
    let ram = Ram::default();
    let directory = Directory::open(Path::new("x"), &ram, 1).unwrap();
    let mut spool = directory.spool(lane("a"), &settings(Path::new("x"), 1 << 20));
    let (origin, mut now) = (origin(1), Instant::now());
    let batch = stored(&origin, 0..10);
    ram.set_fault(Some(Fault::From { call: 3, errno: ENOSPC }));
    assert!(
        matches!(spool.append(&whole(&batch), &note(0), false, now), Err(Refused::Disk(error)) if error.raw_os_error() == Some(28))
    );
    let calls = ram.calls();
    now += Duration::from_millis(999);
    assert!(matches!(spool.append(&whole(&batch), &note(0), false, now), Err(Refused::Disk(_))));
    assert_eq!(ram.calls(), calls, "nothing is tried");
    ram.set_fault(None);
    now += Duration::from_millis(1);
    spool.append(&whole(&batch), &note(0), false, now).unwrap();
    assert_eq!(drain(&mut spool), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_fifth_of_what_is_free_is_the_most() {
    let ram = Ram::default();
    ram.set_free(100_000);
    let directory = Directory::open(Path::new("x"), &ram, 1).unwrap();
    let mut spool = directory.spool(lane("a"), &settings(Path::new("x"), 1 << 30));
    let (origin, now) = (origin(1), Instant::now());
    for number in 0.. {
        let batch = stored(&origin, 0..5);
        match spool.append(&whole(&batch), &note(number), false, now) {
            Ok(_) => {}
            Err(Refused::Full) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    let names = ram.names();
    let bytes: usize = names.iter().map(|name| ram.read(name).unwrap().len()).sum();
    assert!((15_000..=20_000).contains(&bytes), "{bytes}");
    assert!(names.len() > 4, "a segment is a quarter of it: {names:?}");
}

#[test]
fn what_was_made_safe_survives_a_loss_of_power_also_after_the_disk_failed_to() {
    for files in 0..3 {
        let ram = Ram::default();
        let mut now = Instant::now();
        {
            let directory = Directory::open(Path::new("x"), &ram, 1).unwrap();
            let mut settings = settings(Path::new("x"), 1 << 20);
            settings.fsync = Some(Duration::from_secs(1));
            let mut spool = directory.spool(lane("a"), &settings);
            let batches: Vec<_> = (0..4).map(|number| stored(&origin(1), number * 3..number * 3 + 3)).collect();
            for (batch, number) in batches[..2].iter().zip(0..) {
                spool.append(&whole(batch), &note(number), false, now).unwrap();
            }
            let taken = spool.next(now).unwrap();
            ram.set_fault(Some(Fault::Sync { files, errno: EIO }));
            assert!(spool.tick(now).is_none(), "it is not due");
            let mut failed = 0;
            for _ in 0..4 {
                now += Duration::from_secs(1);
                failed += u32::from(spool.tick(now).is_some());
            }
            assert_eq!(failed > 0, files > 0);
            // What was taken before has its place still.
            spool.settle(taken.place);
            for (batch, number) in batches[2..].iter().zip(2..) {
                spool.append(&whole(batch), &note(number), false, now).unwrap();
            }
            for _ in 0..2 {
                now += Duration::from_secs(1);
                spool.tick(now);
            }
        }
        ram.lose_power();
        let (_directory, mut sources, _) = adopt(&ram);
        assert_eq!(drain(&mut *sources[0]), (3..12).collect::<Vec<_>>(), "{files}");
    }
}

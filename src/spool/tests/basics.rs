//! What is written comes back, in this process and in the next.

use super::*;

const MIB: usize = 1024 * 1024;

#[test]
fn what_is_spilled_comes_back_oldest_first_and_leaves_nothing() {
    let place = Place_::new("order");
    let directory = Directory::open(&place.0, &Disk, 1).unwrap();
    let mut spool = directory.spool(lane("a"), &settings(&place.0, 64 * MIB));
    let (origin, now) = (origin(1), Instant::now());
    for number in 0..10 {
        let stored = stored(&origin, number * 10..number * 10 + 10);
        spool.append(&whole(&stored).in_mode(Mode::Fallback), &note(number), false, now).unwrap();
    }
    assert_eq!((spool.owed(), spool.peek(), spool.oldest_number()), (100, Some((0, 0)), Some(0)));
    let first = spool.next(now).unwrap();
    assert_eq!((first.number, first.tried, first.mode, first.sealed), (0, true, Mode::Fallback, 0));
    assert_eq!(first.stored.origin(), &origin);
    let second = spool.next(now).unwrap();
    assert_eq!((second.number, spool.owed(), spool.is_done()), (1, 80, false));
    spool.put_back(first.place);
    assert_eq!((spool.owed(), spool.oldest_number()), (90, Some(0)));
    spool.settle(second.place);
    assert_eq!(drain(&mut spool), (0..10).chain(20..100).collect::<Vec<_>>());
    assert!(spool.is_done() && spool.owed() == 0 && spool.damaged() == [0; 6]);
    spool.close();
    drop(spool);
    assert!(!directory.leaves_files());
    directory.close();
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn the_next_process_adopts_what_is_owed_and_no_more() {
    let place = Place_::new("adopt");
    let now = Instant::now();
    {
        let directory = Directory::open(&place.0, &Disk, 1).unwrap();
        let mut spool = directory.spool(lane("a"), &settings(&place.0, 64 * MIB));
        for number in 0..6 {
            let stored = stored(&origin(1), number * 10..number * 10 + 10);
            spool.append(&whole(&stored), &note(number), number == 5, now).unwrap();
        }
        for settled in [true, false, true] {
            let taken = spool.next(now).unwrap();
            if settled {
                spool.settle(taken.place);
            }
        }
        let elsewhere = stored(&origin(1), 0..7);
        directory.spool(lane("b"), &settings(&place.0, MIB)).append(&whole(&elsewhere), &note(0), false, now).unwrap();
    }
    let mut directory = Directory::open(&place.0, &Disk, 2).unwrap();
    let found = look(&mut directory, &[lane("a").fingerprint]);
    assert!(matches!(
        &found[..],
        [Found::Orphan { .. }, Found::Unknown { label, records: 7, segments: 1 }]
            if label == "loki at http://***@b:3100/push?token=***"
    ));
    let mut source = orphans(found).pop().unwrap();
    assert_eq!((source.peek(), source.owed(), source.found()), (Some((1, 1_000)), 50, 50));
    let taken = source.next(now).unwrap();
    assert_eq!(taken.stored.origin(), &origin(1));
    source.put_back(taken.place);
    // The batch that was settled out of order comes once more: the cursor moves over all before it only.
    assert_eq!(drain(&mut *source), (10..60).collect::<Vec<_>>());
    assert!(source.is_done() && source.found() == 0);
    drop(source);
    assert!(look(&mut directory, &[lane("a").fingerprint]).is_empty(), "told once");
    directory.close();
    // What is of no lane of ours is left as it was, for whoever has one.
    let mut directory = Directory::open(&place.0, &Disk, 3).unwrap();
    let mut sources = orphans(look(&mut directory, &[lane("b").fingerprint]));
    assert_eq!(drain(&mut *sources[0]), (0..7).collect::<Vec<_>>());
    drop(sources);
    directory.close();
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn nothing_of_a_process_that_lives_is_touched() {
    let place = Place_::new("alive");
    let one = Directory::open(&place.0, &Disk, 1).unwrap();
    let mut spool = one.spool(lane("a"), &settings(&place.0, 64 * MIB));
    let batch = stored(&origin(1), 0..10);
    spool.append(&whole(&batch), &note(0), false, Instant::now()).unwrap();
    let mut other = Directory::open(&place.0, &Disk, 2).unwrap();
    assert!(look(&mut other, &[lane("a").fingerprint]).is_empty());
    drop((spool, one));
    let mut sources = orphans(look(&mut other, &[lane("a").fingerprint]));
    assert_eq!(drain(&mut *sources[0]), (0..10).collect::<Vec<_>>());
}

#[test]
fn the_budget_holds_and_the_oldest_segment_makes_room() {
    let place = Place_::new("budget");
    let directory = Directory::open(&place.0, &Disk, 1).unwrap();
    let mut spool = directory.spool(lane("a"), &settings(&place.0, 64 * 1024));
    let (origin, now) = (origin(1), Instant::now());
    let (mut number, mut dropped, mut refused) = (0, 0, 0);
    while number < 400 {
        let stored = stored(&origin, number * 10..number * 10 + 10);
        match spool.append(&whole(&stored), &note(number), false, now) {
            Ok(_) => number += 1,
            Err(Refused::Full) => {
                refused += 1;
                dropped += spool.drop_oldest().unwrap().iter().sum::<u64>();
            }
            Err(error) => panic!("{error:?}"),
        }
        let bytes: u64 = place.segments().iter().map(|path| path.metadata().unwrap().len()).sum();
        assert!(bytes <= 64 * 1024, "{bytes}");
    }
    assert!(refused > 3);
    assert_eq!(drain(&mut spool), (dropped..4_000).collect::<Vec<_>>());
}

#[test]
fn a_batch_keeps_the_origin_that_it_has() {
    let place = Place_::new("origins");
    let directory = Directory::open(&place.0, &Disk, 1).unwrap();
    let mut spool = directory.spool(lane("a"), &settings(&place.0, MIB));
    let now = Instant::now();
    for (number, incarnation) in [1, 9, 9, 1].into_iter().enumerate() {
        let stored = stored(&origin(incarnation), 0..3);
        spool.append(&whole(&stored), &note(number as u64), false, now).unwrap();
    }
    for incarnation in [1, 9, 9, 1] {
        let taken = spool.next(now).unwrap();
        assert_eq!(taken.stored.origin(), &origin(incarnation));
        assert_eq!(whole(&taken.stored).records().next().unwrap().id().incarnation, incarnation);
    }
}

#[test]
fn a_batch_that_stays_in_memory_is_read_once_it_is_put_back() {
    let place = Place_::new("held");
    let directory = Directory::open(&place.0, &Disk, 1).unwrap();
    let mut spool = directory.spool(lane("a"), &settings(&place.0, MIB));
    let (origin, now) = (origin(1), Instant::now());
    let places: Vec<_> = (0..6)
        .map(|number| {
            let stored = stored(&origin, number..number + 1);
            spool.append(&whole(&stored), &note(number), number != 2, now).unwrap()
        })
        .collect();
    assert_eq!(spool.owed(), 1);
    spool.settle(places[4]);
    spool.put_back(places[1]);
    spool.put_back(places[3]);
    assert_eq!((spool.owed(), spool.oldest_number()), (3, Some(1)));
    assert_eq!(drain(&mut spool), [1, 2, 3]);
    assert!(!spool.is_done());
    spool.settle(places[0]);
    spool.settle(places[5]);
    assert!(spool.is_done());
}

#[test]
fn what_was_lost_with_a_process_is_told_once() {
    let place = Place_::new("state");
    let state = |waiting, in_flight| LaneState { fingerprint: 5, label: "loki at x".into(), waiting, in_flight };
    {
        let mut directory = Directory::open(&place.0, &Disk, 1).unwrap();
        for waiting in 0..10 {
            directory.write_state(&[state(waiting, 3)]).unwrap();
        }
    }
    let mut directory = Directory::open(&place.0, &Disk, 2).unwrap();
    let found = look(&mut directory, &[]);
    assert!(
        matches!(&found[..], [Found::Lost { fingerprint: 5, label, at_least: 9, in_flight: 3 }] if label == "loki at x")
    );
    assert!(look(&mut directory, &[]).is_empty());
    directory.write_state(&[state(1, 0)]).unwrap();
    directory.close();
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn neither_credentials_nor_their_absence_tell_a_lane_from_another() {
    let one = LaneId::of("loki", "http://user:pass@host/push?token=a", None);
    assert_eq!(one.fingerprint, LaneId::of("loki", "http://host/push?token=b", None).fingerprint);
    for other in [
        LaneId::of("ndjson", "http://host/push?token=b", None),
        LaneId::of("loki", "http://host2/push?token=b", None),
        LaneId::of("loki", "http://host/push?token=b", Some("tenant")),
    ] {
        assert_ne!(one.fingerprint, other.fingerprint);
    }
    assert!(!one.label.contains("pass") && !one.label.contains("user") && !one.label.contains("=a"), "{}", one.label);
    // It is part of the names of files: no version may change it.
    assert_eq!(LaneId::of("loki", "http://host/push", None).fingerprint, 12_153_812_958_688_767_907);
}

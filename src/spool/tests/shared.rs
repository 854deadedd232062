//! One directory and many: files, processes, and people who put things there.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use super::*;

/// Many old segments: of as many owners, or of one.
fn many(ram: &Ram, owners: bool) -> u64 {
    let (name, bytes) = segment_of(&[stored(&origin(1), 0..1)]);
    let rest = &name[32..];
    for number in 0..10_000_u32 {
        let name = if owners {
            format!("{:032x}{rest}", 1_000 + u128::from(number))
        } else {
            format!("{}-{number:08x}.seg", &name[..49])
        };
        ram.put(&name, &bytes);
    }
    10_000
}

#[test]
fn ten_thousand_old_segments_are_taken_step_by_step() {
    for owners in [true, false] {
        let ram = Ram::default();
        let all = many(&ram, owners);
        let mut directory = Directory::open(Path::new("x"), &ram, u128::MAX).unwrap();
        let (mut delivered, mut looks) = (0, 0);
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        ram.set_fault(None);
        for _ in 0..40_000 {
            if directory.seen_all() && sources.is_empty() && looks > 0 {
                break;
            }
            if sources.is_empty() || !directory.seen_all() {
                let before = ram.calls();
                let found = directory.look(&[lane("a").fingerprint], Instant::now());
                looks += 1;
                assert!(ram.calls() - before <= 2_600, "a step is small: {}", ram.calls() - before);
                sources.extend(orphans(found));
            }
            assert!(sources.len() <= 4);
            if let Some(source) = sources.first_mut() {
                let before = ram.calls();
                match source.next(Instant::now()) {
                    Some(taken) => {
                        assert!(
                            ram.calls() - before <= 24,
                            "nothing is opened before its turn: {}",
                            ram.calls() - before
                        );
                        delivered += taken.stored.len() as u64;
                        source.settle(taken.place);
                    }
                    None => {
                        assert!(source.is_done());
                        sources.remove(0);
                    }
                }
            }
        }
        assert_eq!(delivered, all);
        assert!(ram.most_open() <= 16, "{}", ram.most_open());
        directory.close();
        assert!(ram.names().is_empty(), "{:?}", ram.names().len());
    }
}

#[test]
fn at_most_sixteen_files_are_kept_aside() {
    let ram = Ram::default();
    let (name, _) = segment_of(&[stored(&origin(1), 0..1)]);
    for number in 0..100 {
        ram.put(&format!("{}-{number:08x}.seg", &name[..49]), &[7; 1000]);
    }
    let (mut directory, mut sources, _) = adopt(&ram);
    for _ in 0..3 {
        assert!(sources[0].next(Instant::now()).is_none());
    }
    assert!(sources[0].is_done());
    let told = look(&mut directory, &[]);
    assert_eq!(told.iter().filter(|found| matches!(found, Found::Bad { .. })).count(), 100);
    drop((sources, directory));
    assert_eq!(ram.names().len(), 16);
    let directory = adopt(&ram).0;
    directory.close();
    assert_eq!(ram.names().len(), 16, "they are known again");
}

#[test]
fn what_others_put_there_is_refused_and_stays_as_it_is() {
    let place = Place_::new("planted");
    let outside = Place_::new("outside");
    fs::create_dir_all(&outside.0).unwrap();
    let (name, bytes) = segment_of(&[stored(&origin(1), 0..5)]);
    drop(Directory::open(&place.0, &Disk, 1).unwrap());
    let target = outside.0.join("target");
    fs::write(&target, &bytes).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
    let at = |number: u32| place.0.join(format!("{}-{number:08x}.seg", &name[..49]));
    symlink(&target, at(1)).unwrap();
    fs::hard_link(&target, at(2)).unwrap();
    fs::create_dir(at(3)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at(4), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::write(at(5), &bytes).unwrap();
    fs::set_permissions(at(5), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(at(6), &bytes).unwrap();
    fs::set_permissions(at(6), fs::Permissions::from_mode(0o600)).unwrap();
    for foreign in ["notes.txt", "x.seg", ".hidden", "lost+found"] {
        fs::write(place.0.join(foreign), "theirs").unwrap();
    }
    symlink("/dev/zero", place.0.join(super::super::name::lock(77))).unwrap();
    let before = place.names();

    let mut directory = Directory::open(&place.0, &Disk, 2).unwrap();
    let known = [lane("a").fingerprint];
    let mut sources = orphans(look(&mut directory, &known));
    assert_eq!(drain(&mut *sources[0]), (0..5).collect::<Vec<_>>());
    assert!(sources[0].is_done());
    drop(sources);
    let bad: Vec<_> = look(&mut directory, &known)
        .into_iter()
        .filter_map(|found| if let Found::Bad { name, why } = found { Some((name, why)) } else { None })
        .collect();
    assert_eq!(bad.len(), 5, "{bad:?}");
    assert!(look(&mut directory, &known).is_empty(), "told once");
    directory.close();
    assert_eq!(fs::read(&target).unwrap(), bytes);
    let left = place.names();
    assert!(
        before
            .iter()
            .filter(|name| !name.ends_with("6.seg") && !name.ends_with("1.lock"))
            .all(|name| left.contains(name)),
        "{left:?}"
    );
}

#[test]
fn a_directory_that_others_may_look_into_is_refused() {
    let place = Place_::new("open");
    fs::create_dir(&place.0).unwrap();
    for mode in [0o777, 0o755, 0o750, 0o701] {
        fs::set_permissions(&place.0, fs::Permissions::from_mode(mode)).unwrap();
        let refused = Directory::open(&place.0, &Disk, 1).err().unwrap();
        assert!(refused.to_string().contains("others may look into it"), "{refused}");
    }
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o700)).unwrap();
    let link = Place_::new("open-link");
    symlink(&place.0, &link.0).unwrap();
    assert!(Directory::open(&link.0, &Disk, 1).is_err());
    fs::remove_file(&link.0).unwrap();
    fs::write(&link.0, "").unwrap();
    assert!(Directory::open(&link.0, &Disk, 1).is_err());
    fs::remove_file(&link.0).unwrap();
    Directory::open(&place.0.join("new/inner"), &Disk, 1).unwrap();
    let mode = fs::metadata(place.0.join("new/inner")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn all_files_are_private_and_hold_no_credential() {
    let place = Place_::new("private");
    let mut directory = Directory::open(&place.0, &Disk, 1).unwrap();
    let mut spool = directory.spool(lane("a"), &settings(&place.0, 1 << 20));
    spool.append(&whole(&stored(&origin(1), 0..5)), &note(0), false, Instant::now()).unwrap();
    let label = lane("a").label;
    directory.write_state(&[LaneState { fingerprint: 1, label, waiting: 1, in_flight: 0 }]).unwrap();
    assert_eq!(place.names().len(), 3);
    for name in place.names() {
        let path = place.0.join(name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains("secret") && !text.contains("hidden") && !text.contains("somebody"));
    }
}

#[test]
fn eight_processes_share_a_directory_and_each_orphan_is_adopted_once() {
    let place = Place_::new("eight");
    let delivered: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=8_u64)
            .map(|process| {
                let path = &place.0;
                scope.spawn(move || {
                    let (mut all, known) = (Vec::new(), [lane("a").fingerprint]);
                    for life in 0..20 {
                        let incarnation = u128::from(process * 100 + life);
                        let mut directory = Directory::open(path, &Disk, incarnation).unwrap();
                        let mut spool = directory.spool(lane("a"), &settings(path, 1 << 20));
                        let base = incarnation as u64 * 100;
                        for batch in 0..3 {
                            let stored = stored(&origin(incarnation), base + batch * 10..base + batch * 10 + 4);
                            spool.append(&whole(&stored), &note(batch), false, Instant::now()).unwrap();
                        }
                        let taken = spool.next(Instant::now()).unwrap();
                        all.extend(sequences(&taken.stored));
                        spool.settle(taken.place);
                        for mut source in orphans(look(&mut directory, &known)) {
                            all.extend(drain(&mut *source));
                        }
                    }
                    all
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut delivered = delivered;
    let mut directory = Directory::open(&place.0, &Disk, 1).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let sources = orphans(look(&mut directory, &[lane("a").fingerprint]));
        if sources.is_empty() || Instant::now() > deadline {
            break;
        }
        sources.into_iter().for_each(|mut source| delivered.extend(drain(&mut *source)));
    }
    directory.close();
    delivered.sort_unstable();
    let expected = (1..=8).flat_map(|process| {
        (0..20).flat_map(move |life| {
            (0..3).flat_map(move |batch| (0..4).map(move |n| (process * 100 + life) * 100 + batch * 10 + n))
        })
    });
    assert_eq!(delivered, expected.collect::<Vec<u64>>());
    assert!(place.names().is_empty(), "{:?}", place.names());
}

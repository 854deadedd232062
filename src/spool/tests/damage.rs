//! Whatever becomes of a file: no panic, no record that nobody wrote, and all that is whole is delivered or counted.

use super::*;

/// Sizes that are no multiples of anything.
const BATCHES: [std::ops::Range<u64>; 5] = [0..3, 3..4, 4..11, 11..13, 13..20];

/// Name and bytes of the file, and where the batches begin and end.
fn parts() -> (String, Vec<u8>, Vec<usize>) {
    let batches: Vec<_> = BATCHES.into_iter().map(|numbers| stored(&origin(1), numbers)).collect();
    let (name, bytes) = segment_of(&batches);
    let mut bounds = vec![super::super::format::u32_at(&bytes, 12) as usize];
    bounds.extend((1..=5).map(|count| segment_of(&batches[..count]).1.len()));
    (name, bytes, bounds)
}

/// What was delivered, found and damaged.
fn outcome(name: &str, bytes: &[u8]) -> (Vec<u64>, u64, u64) {
    let ram = Ram::default();
    ram.put(name, bytes);
    let (_directory, mut sources, _) = adopt(&ram);
    let (mut delivered, mut found, mut damaged) = (Vec::new(), 0, 0);
    for source in &mut sources {
        delivered.extend(drain(&mut **source));
        assert!(source.is_done() && source.owed() == 0);
        found += source.found();
        damaged += source.damaged().iter().sum::<u64>();
    }
    assert_eq!(found, delivered.len() as u64 + damaged, "what was found is delivered or damaged");
    assert!(found <= 20 && delivered.is_sorted_by(|one, other| one < other), "{found} {delivered:?}");
    (delivered, found, damaged)
}

/// The batches whose bytes are all before this place.
fn whole_before(begins: &[usize], end: usize) -> Vec<u64> {
    (0..5).filter(|batch| begins[batch + 1] <= end).flat_map(|batch| BATCHES[batch].clone()).collect()
}

#[test]
fn a_file_that_is_whole_is_read_to_the_end() {
    let (name, bytes, begins) = parts();
    assert_eq!(outcome(&name, &bytes), ((0..20).collect(), 20, 0));
    assert_eq!(*begins.last().unwrap(), bytes.len());
}

#[test]
fn a_file_that_is_cut_or_overwritten_from_any_byte_on_gives_all_before_it() {
    let (name, bytes, begins) = parts();
    let mut random = fastrand::Rng::with_seed(1);
    for at in (0..bytes.len()).step_by(if cfg!(debug_assertions) { 3 } else { 1 }) {
        let mut cut = bytes.clone();
        cut.truncate(at);
        let fill = |byte: &mut dyn FnMut() -> u8| {
            let mut filled = bytes.clone();
            filled[at..].fill_with(byte);
            filled
        };
        for spoilt in [cut, fill(&mut || 0), fill(&mut || 0xFF), fill(&mut || random.u8(..))] {
            let (delivered, ..) = outcome(&name, &spoilt);
            let expected = if at < begins[0] { Vec::new() } else { whole_before(&begins, at) };
            // The last bytes of a batch may be such as were put there, or only fill it up.
            assert!(delivered.starts_with(&expected) && delivered.len() <= expected.len() + 7, "{at}: {delivered:?}");
            if !(begins[0]..bytes.len()).contains(&at) {
                assert_eq!(delivered, expected, "{at}");
            }
        }
    }
}

#[test]
fn a_bit_that_flips_costs_its_own_batch_at_most_and_the_count_is_exact() {
    let (name, bytes, begins) = parts();
    for at in 0..bytes.len() {
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 1 << (at % 8);
        let (delivered, found, _) = outcome(&name, &spoilt);
        if at < begins[0] {
            // Without its head nothing tells what the salt was; a cursor that is spoilt counts as none.
            assert!(delivered.is_empty() || delivered.len() == 20, "{at}: {delivered:?}");
            let in_slots = (64..160).contains(&at) || (60..64).contains(&at);
            assert_eq!(delivered.len() == 20, in_slots, "{at}");
            continue;
        }
        let hit = (0..5).find(|batch| at < begins[batch + 1]).unwrap();
        let expected: Vec<_> = (0..20).filter(|number| !BATCHES[hit].contains(number)).collect();
        assert!(delivered == expected || delivered.len() == 20, "{at}: {delivered:?}");
        let in_last_head = (begins[4]..begins[4] + super::super::format::BATCH_HEAD).contains(&at);
        assert!(found == 20 || in_last_head, "{at}: the next batch tells how many are missing, {found}");
    }
}

#[test]
fn a_cursor_that_is_spoilt_brings_back_what_is_settled_and_never_loses_anything() {
    let (name, bytes, _) = parts();
    let ram = Ram::default();
    ram.put(&name, &bytes);
    {
        let (_directory, mut sources, _) = adopt(&ram);
        for _ in 0..3 {
            let taken = sources[0].next(Instant::now()).unwrap();
            sources[0].settle(taken.place);
        }
    }
    let bytes = ram.read(&name).unwrap();
    assert_eq!(outcome(&name, &bytes).0, (11..20).collect::<Vec<_>>());
    for at in 64..160 {
        for bit in 0..8 {
            let mut spoilt = bytes.clone();
            spoilt[at] ^= 1 << bit;
            let (delivered, found, damaged) = outcome(&name, &spoilt);
            assert!(delivered.ends_with(&(11..20).collect::<Vec<_>>()), "{at}: {delivered:?}");
            assert_eq!((found, damaged), (delivered.len() as u64, 0));
        }
    }
}

#[test]
fn several_places_at_once_cost_no_batch_that_is_whole() {
    let (name, bytes, begins) = parts();
    for seed in 0..4_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut spoilt = bytes.clone();
        let mut hit = [false; 5];
        for _ in 0..random.usize(1..4) {
            let at = random.usize(begins[0]..bytes.len());
            spoilt[at] ^= random.u8(1..);
            hit[(0..5).find(|batch| at < begins[batch + 1]).unwrap()] = true;
        }
        let (delivered, found, _) = outcome(&name, &spoilt);
        let expected = (0..5).filter(|batch| !hit[*batch]).flat_map(|batch| BATCHES[batch].clone());
        assert!(expected.clone().all(|number| delivered.contains(&number)), "seed {seed}: {delivered:?}");
        assert!(hit[4] || found == 20, "seed {seed}: {found}");
    }
}

#[test]
fn a_file_with_damage_is_kept_aside_and_others_are_removed() {
    let (name, mut bytes, begins) = parts();
    bytes[begins[2] + 200] ^= 1;
    let ram = Ram::default();
    ram.put(&name, &bytes);
    let (directory, mut sources, bad) = adopt(&ram);
    assert_eq!(drain(&mut *sources[0]).len(), 13);
    assert!(bad.is_empty());
    drop((sources, directory));
    assert_eq!(
        ram.names().iter().filter(|name| !name.ends_with(".lock")).cloned().collect::<Vec<_>>(),
        [format!("{name}.bad")]
    );
}

#[test]
fn what_looks_like_batches_inside_a_record_is_never_taken_for_some() {
    for shift in 0..8 {
        let ram = Ram::default();
        let now = Instant::now();
        let name = {
            let directory = Directory::open(Path::new("x"), &ram, 1).unwrap();
            let mut spool = directory.spool(lane("a"), &settings(Path::new("x"), 1 << 30));
            for (numbers, number) in BATCHES.into_iter().zip(0..) {
                spool.append(&whole(&stored(&origin(1), numbers)), &note(number), false, now).unwrap();
            }
            let name = ram.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
            // Somebody reads the file as it is, and logs what he read: the same salt, and the same batches.
            let (real, mut with_copy) = (ram.read(&name).unwrap(), Stored::new(origin(1), now));
            let callsite = Callsite::Inline { target: "evil", module: None, file: None, line: None };
            let frame = Frame::of(callsite, Severity::Info, 0, |w| {
                w.fields.bytes(Key::named("copy"), &[&vec![0; shift][..], &real, &real[real.len() / 2..]].concat());
            });
            with_copy.push(None, frame.bytes(), 100, 100, 1);
            spool.append(&whole(&with_copy), &note(5), false, now).unwrap();
            spool.append(&whole(&stored(&origin(1), 20..22)), &note(6), false, now).unwrap();
            name
        };
        let mut bytes = ram.read(&name).unwrap();
        let at = parts().1.len();
        assert!(bytes.len() > 2 * at);
        bytes[at] ^= 1;
        ram.put(&name, &bytes);
        let (_directory, mut sources, _) = adopt(&ram);
        assert_eq!(drain(&mut *sources[0]), (0..22).collect::<Vec<_>>());
        assert_eq!((sources[0].found(), sources[0].damaged().iter().sum::<u64>()), (23, 1));
    }
}

#[test]
fn a_newer_version_is_left_as_it_is() {
    let (name, mut bytes, _) = parts();
    bytes[8] += 1;
    let ram = Ram::default();
    ram.put(&name, &bytes);
    let (mut directory, mut sources, _) = adopt(&ram);
    assert!(sources[0].next(Instant::now()).is_none() && sources[0].is_done());
    drop(sources);
    let told = look(&mut directory, &[lane("a").fingerprint]);
    assert!(matches!(&told[..], [Found::Bad { why, .. }] if why.contains("newer version")));
    assert!(look(&mut directory, &[lane("a").fingerprint]).is_empty());
    assert_eq!(ram.read(&name), Some(bytes));
}

#[test]
fn files_that_hold_nothing_of_ours_are_survived() {
    let (name, bytes, _) = parts();
    for foreign in [&b""[..], b"x", &[0; 4096], &[0xFF; 4096], &bytes[..64], b"LGCHSEG\n", &[b'\n'; 100_000]] {
        let (delivered, found, damaged) = outcome(&name, foreign);
        assert_eq!((delivered, found, damaged), (vec![], 0, 0));
    }
}

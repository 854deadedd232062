//! Any order of calls and deaths, compared with a list: each batch oldest first, with all its records, until it is settled.
//!
//! The seeds are fixed, and a failure names its own.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Waiting,
    Taken,
    Settled,
}

/// A batch as it should be: its number, which is its first sequence, and how many records it has.
#[derive(Clone, Debug)]
struct Modelled {
    number: u64,
    records: u64,
    is: Is,
    place: Place,
}

/// The batches of one owner, oldest first.
type Model = Vec<Modelled>;

/// Takes the next batch of both.
fn next(source: &mut dyn Source, model: &mut Model) {
    let expected = model.iter_mut().find(|batch| batch.is == Is::Waiting);
    assert_eq!(source.peek(), expected.as_ref().map(|batch| (batch.number, batch.number as i64 * 1_000)));
    match (source.next(Instant::now()), expected) {
        (Some(taken), Some(batch)) => {
            assert_eq!((taken.number, taken.place), (batch.number, batch.place));
            assert!(sequences(&taken.stored).into_iter().eq(batch.number..batch.number + batch.records));
            batch.is = Is::Taken;
        }
        (taken, expected) => assert!(taken.is_none() && expected.is_none(), "{expected:?} is missing, or one too many"),
    }
}

/// Settles a batch that is taken, or puts it back.
fn end(source: &mut dyn Source, model: &mut Model, random: &mut fastrand::Rng) {
    let taken = model.iter_mut().filter(|batch| batch.is == Is::Taken).collect::<Vec<_>>();
    let Some(batch) = random.choice(taken) else { return };
    if random.u8(..3) > 0 {
        source.settle(batch.place);
        batch.is = Is::Settled;
    } else {
        source.put_back(batch.place);
        batch.is = Is::Waiting;
    }
}

/// Gives up the oldest segment of which nothing is taken.
fn drop_oldest(source: &mut dyn Source, model: &mut Model) {
    let mut segments: Vec<_> = model.iter().map(|batch| batch.place.segment).collect();
    segments.dedup();
    let is = |segment: u64, is: Is| model.iter().any(|batch| batch.place.segment == segment && batch.is == is);
    let oldest = segments.into_iter().find(|&segment| is(segment, Is::Waiting) && !is(segment, Is::Taken));
    let mut expected = 0;
    for batch in model.iter_mut().filter(|batch| Some(batch.place.segment) == oldest && batch.is == Is::Waiting) {
        batch.is = Is::Settled;
        expected += batch.records;
    }
    let dropped = source.drop_oldest().map(|counts| counts.iter().sum());
    assert_eq!(dropped, oldest.map(|_| expected), "{model:?}");
}

fn check(source: &mut dyn Source, model: &Model) {
    let waiting = model.iter().filter(|batch| batch.is == Is::Waiting).map(|batch| batch.records).sum::<u64>();
    assert_eq!(source.owed(), waiting);
    assert_eq!(source.is_done(), model.iter().all(|batch| batch.is == Is::Settled));
    assert_eq!(source.damaged(), [0; 6]);
}

/// The owner dies: in each segment, what is settled up to the first that is not stays so.
fn die(model: &mut Model) {
    let mut open = None;
    for batch in model {
        if batch.is != Is::Settled {
            open = Some(batch.place.segment);
        }
        if open == Some(batch.place.segment) {
            batch.is = Is::Waiting;
        }
    }
}

/// Numbers of batches by owner.
const OWNER: u64 = 1_000_000;

fn run(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (ram, path) = (Ram::default(), Path::new("x"));
    let mut dead = Vec::<Model>::new();
    let mut adopted = Vec::<(Box<dyn Source>, Model)>::new();
    for incarnation in 1..=random.u64(2..5) {
        let mut directory = Directory::open(path, &ram, u128::from(incarnation)).unwrap();
        // Small segments, so that there are many.
        let mut spool = directory.spool(lane("a"), &settings(path, random.usize(8_000..60_000)));
        let (mut model, mut number) = (Model::new(), incarnation * OWNER);
        for _ in 0..random.usize(5..80) {
            match random.u8(..14) {
                0..5 => {
                    let records = random.u64(1..20);
                    let (stored, held) = (stored(&origin(1), number..number + records), random.u8(..4) == 0);
                    match spool.append(&whole(&stored), &note(number), held, Instant::now()) {
                        Ok(place) => {
                            let is = if held { Is::Taken } else { Is::Waiting };
                            model.push(Modelled { number, records, is, place });
                            number += records;
                        }
                        Err(Refused::Full) => drop_oldest(&mut spool, &mut model),
                        Err(error) => panic!("{error:?}"),
                    }
                }
                5..7 => next(&mut spool, &mut model),
                7..10 => end(&mut spool, &mut model, &mut random),
                10 => {
                    spool.tick(Instant::now());
                }
                11 => {
                    for mut source in orphans(look(&mut directory, &[lane("a").fingerprint])) {
                        let Some((first, _)) = source.peek() else {
                            assert!(source.is_done(), "only what is still open to be written may be empty");
                            continue;
                        };
                        let owner = dead.iter().position(|model| model[0].number / OWNER == first / OWNER).unwrap();
                        adopted.push((source, dead.remove(owner)));
                    }
                }
                _ => {
                    if let Some((source, model)) = adopted.first_mut() {
                        match random.u8(..8) {
                            0..4 => next(&mut **source, model),
                            _ => end(&mut **source, model, &mut random),
                        }
                        assert_eq!(source.is_done(), model.iter().all(|batch| batch.is == Is::Settled));
                    }
                }
            }
            check(&mut spool, &model);
        }
        dead.extend(adopted.drain(..).map(|(_, model)| model).chain([model]).filter_map(|mut model| {
            die(&mut model);
            model.iter().any(|batch| batch.is != Is::Settled).then_some(model)
        }));
    }
    let mut directory = Directory::open(path, &ram, u128::MAX).unwrap();
    let mut sources = orphans(look(&mut directory, &[lane("a").fingerprint]));
    for source in &mut sources {
        let Some((first, _)) = source.peek() else { continue };
        let model = dead.iter_mut().find(|model| model[0].number / OWNER == first / OWNER).unwrap();
        while !source.is_done() {
            next(&mut **source, model);
            end(&mut **source, model, &mut random);
        }
        check(&mut **source, model);
    }
    assert!(dead.iter().flatten().all(|batch| batch.is == Is::Settled), "{dead:?}");
    drop(sources);
    directory.close();
    assert!(ram.names().is_empty(), "{:?}", ram.names());
}

#[test]
fn any_order_of_calls_and_deaths_gives_what_the_model_says() {
    for seed in 0..if cfg!(debug_assertions) { 400 } else { 4_000 } {
        let ran = std::panic::catch_unwind(|| run(seed));
        assert!(ran.is_ok(), "seed {seed}");
    }
}

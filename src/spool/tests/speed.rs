//! How fast it is: `cargo test --release --lib speed -- --ignored --nocapture`.

use super::*;

#[test]
#[ignore = "a measurement"]
fn spill_and_replay() {
    let place = Place_::new("speed");
    let directory = Directory::open(&place.0, &Disk, 1).unwrap();
    let mut spool = directory.spool(lane("a"), &settings(&place.0, 512 << 20));
    let (origin, now) = (origin(1), Instant::now());
    let batch = stored_of(&origin, 0..5_000, |number| format!("record {number} {}", "x".repeat(120)));
    let mib = |bytes: u64, begun: Instant| bytes as f64 / begun.elapsed().as_secs_f64() / 1e6;
    let begun = Instant::now();
    for number in 0..200 {
        spool.append(&whole(&batch), &note(number), false, now).unwrap();
    }
    let bytes: u64 = place.segments().iter().map(|path| path.metadata().unwrap().len()).sum();
    eprintln!("spilled {} MB in batches of {} kB: {:.0} MB/s", bytes / 1_000_000, bytes / 200_000, mib(bytes, begun));
    let begun = Instant::now();
    let mut records = 0;
    while let Some(taken) = spool.next(now) {
        records += taken.stored.len();
        spool.settle(taken.place);
    }
    eprintln!("read and settled {records} records: {:.0} MB/s", mib(bytes, begun));
    assert_eq!(records, 1_000_000);
}

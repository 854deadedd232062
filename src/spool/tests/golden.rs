//! A segment as the first version wrote it is read for ever.

use std::fs;

use super::super::format::{BATCH_HEAD, u32_at};
use super::*;

const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/spool-1.seg");

fn batches() -> [Stored; 3] {
    [stored(&origin(1), 0..4), stored(&origin(1), 4..5), stored(&origin(1), 5..12)]
}

#[test]
fn the_first_version_is_read() {
    let ram = Ram::default();
    ram.put(&segment_of(&[stored(&origin(1), 0..1)]).0, GOLDEN);
    let (_directory, mut sources, _) = adopt(&ram);
    let first = sources[0].next(Instant::now()).unwrap();
    assert_eq!((first.number, first.sealed, first.tried, first.mode), (0, 0, true, Mode::Plain));
    assert_eq!(first.stored.origin(), &origin(1));
    let record = whole(&first.stored).records().next().unwrap();
    assert_eq!((record.target(), record.thread()), ("logchute::frame::properties", "writer"));
    assert!(record.file().is_some_and(|file| file.ends_with("properties.rs")) && record.line().is_some());
    sources[0].put_back(first.place);
    assert_eq!(drain(&mut *sources[0]), (0..12).collect::<Vec<_>>());
}

/// `cargo test --lib golden -- --ignored` writes a new one, which belongs beside the old one, and the seeds of `fuzz/`.
#[test]
#[ignore = "writes files"]
fn write_golden() {
    let writer = std::thread::Builder::new().name("writer".into());
    let bytes = writer.spawn(|| segment_of(&batches()).1).unwrap().join().unwrap();
    fs::create_dir_all("fuzz/corpus/segment").unwrap();
    let start = u32_at(&bytes, 12) as usize;
    let payload = &bytes[start + BATCH_HEAD..start + BATCH_HEAD + u32_at(&bytes, start + 8) as usize];
    fs::write("fuzz/corpus/segment/whole", &bytes).unwrap();
    fs::write("fuzz/corpus/segment/cut", &bytes[..bytes.len() - 100]).unwrap();
    fs::write("fuzz/corpus/segment/payload", [&[4], payload].concat()).unwrap();
    if !fs::exists("tests/golden/spool-1.seg").unwrap() || GOLDEN.is_empty() {
        fs::write("tests/golden/spool-1.seg", &bytes).unwrap();
    }
}

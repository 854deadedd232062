//! What a spool promises, asked of the disk itself in a directory of the test's own.

mod basics;
mod damage;
mod faults;
mod golden;
mod model;
mod shared;
mod speed;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::ram::Ram;
use super::*;
use crate::batch::{Batch, Origin, Places};
use crate::config::{SpoolSettings, SpoolUse};
use crate::frame::{Callsite, Frame, Key, Severity};
use crate::resource::Resource;

/// A directory that is removed at the end.
pub(super) struct Place_(pub(super) PathBuf);

impl Place_ {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("logchute-spool-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    /// The names of all files in it, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&self.0)
            .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    pub(super) fn segments(&self) -> Vec<PathBuf> {
        self.names().iter().filter(|name| name.ends_with(".seg")).map(|name| self.0.join(name)).collect()
    }
}

impl Drop for Place_ {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn origin(incarnation: u128) -> Arc<Origin> {
    let mut resource = Resource::new("shop");
    resource.set("pod", format!("shop-{incarnation}"));
    Arc::new(Origin { incarnation, resource })
}

pub(super) fn lane(name: &str) -> LaneId {
    LaneId::of("loki", &format!("http://somebody:secret@{name}:3100/push?token=hidden"), None)
}

pub(super) fn settings(dir: &Path, bytes: usize) -> SpoolSettings {
    SpoolSettings { dir: dir.to_owned(), bytes, when: SpoolUse::Overflow, fsync: None }
}

/// A batch of records whose messages and sequences are these numbers.
pub(super) fn stored(origin: &Arc<Origin>, numbers: std::ops::Range<u64>) -> Stored {
    stored_of(origin, numbers, |number| format!("record {number}"))
}

pub(super) fn stored_of(origin: &Arc<Origin>, numbers: std::ops::Range<u64>, text: impl Fn(u64) -> String) -> Stored {
    let mut stored = Stored::new(Arc::clone(origin), Instant::now());
    let sites = crate::frame::properties::sites();
    for number in numbers {
        let callsite = match number % 4 {
            3 => Callsite::Inline { target: "log", module: None, file: Some("main.rs"), line: Some(7) },
            n => Callsite::Static(sites[n as usize]),
        };
        let severity = Severity::ALL[(number % 6) as usize];
        let frame = Frame::of(callsite, severity, number as i64, |w| {
            w.fields.message_str(&text(number));
            w.fields.u64(Key::named("n"), number);
        });
        stored.push(frame.callsite(), frame.bytes(), number, number as i64, 1);
    }
    stored
}

pub(super) fn whole(stored: &Stored) -> Batch<'_> {
    Batch::new(stored, Places::Range(0, stored.len()))
}

pub(super) fn note(number: u64) -> Note {
    Note { number, sealed: number as i64 * 1_000, tried: number.is_multiple_of(2) }
}

/// The sequences of a batch, each checked against its message.
pub(super) fn sequences(stored: &Stored) -> Vec<u64> {
    whole(stored)
        .records()
        .map(|record| {
            let sequence = record.id().sequence;
            assert_eq!(
                record.fields().find(|field| field.key == "n").unwrap().value,
                crate::frame::Value::U64(sequence)
            );
            assert!(record.message().starts_with(&format!("record {sequence}")), "{:?}", record.message());
            assert_eq!((record.unix_nanos(), record.severity() as u64), (sequence as i64, sequence % 6));
            sequence
        })
        .collect()
}

/// Looks until there is nothing more to see.
pub(super) fn look(directory: &mut Directory, known: &[u64]) -> Vec<Found> {
    let mut found = Vec::new();
    for _ in 0..10_000 {
        found.extend(directory.look(known, Instant::now()));
        if directory.seen_all() {
            return found;
        }
    }
    panic!("it never ends");
}

pub(super) fn orphans(found: Vec<Found>) -> Vec<Box<dyn Source>> {
    found
        .into_iter()
        .filter_map(|found| if let Found::Orphan { source, .. } = found { Some(source) } else { None })
        .collect()
}

/// A segment of a lane `a`, whose owner is dead, with these batches of its origin 1.
pub(super) fn segment_of(batches: &[Stored]) -> (String, Vec<u8>) {
    let ram = Ram::default();
    let directory = Directory::open(Path::new("x"), &ram, 1).unwrap();
    let mut spool = directory.spool(lane("a"), &settings(Path::new("x"), 1 << 30));
    for (batch, number) in batches.iter().zip(0..) {
        spool.append(&whole(batch), &note(number), false, Instant::now()).unwrap();
    }
    let name = ram.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let bytes = ram.read(&name).unwrap();
    (name, bytes)
}

/// A directory, what it gave for the lane, and the names of bad files with the reasons.
type Adopted = (Directory, Vec<Box<dyn Source>>, Vec<(String, String)>);

/// What comes of a directory with this file: its sources, and all that was found.
pub(super) fn adopt(ram: &Ram) -> Adopted {
    let mut directory = Directory::open(Path::new("x"), ram, u128::MAX).unwrap();
    let (mut sources, mut bad) = (Vec::new(), Vec::new());
    for found in look(&mut directory, &[lane("a").fingerprint]) {
        match found {
            Found::Orphan { source, .. } => sources.push(source),
            Found::Bad { name, why } => bad.push((name, why)),
            _ => {}
        }
    }
    (directory, sources, bad)
}

/// Takes and settles all; returns the sequences.
pub(super) fn drain(source: &mut dyn Source) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some(taken) = source.next(Instant::now()) {
        all.extend(sequences(&taken.stored));
        source.settle(taken.place);
    }
    all
}

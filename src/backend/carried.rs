//! Frames that were made to need no callsite, as those that come back from disk: every backend encodes them to the same
//! bytes, so that a resend of a later process is known again by its store.

use std::sync::Arc;
use std::time::Instant;

use tracing::Metadata;
use tracing::callsite::Callsite as _;

use super::corpus::{self, INCARNATION, TIME, resource};
use super::{Backend, Batch, Mode, RecordRef, SCHEMES, Value, generated};
use crate::batch::{Origin, Places, Stored};
use crate::frame::portable::{Site, inline, write_site};
use crate::frame::properties::{random_frame, sites};
use crate::frame::{Callsite, Frame, Key, RecordId, Writer};

macro_rules! site {
    ($name:literal, $target:literal, $($field:tt)*) => {
        tracing::callsite! {
            name: $name, kind: tracing::metadata::Kind::EVENT, target: $target, level: tracing::Level::INFO,
            fields: $($field)*
        }
        .metadata()
    };
}

/// Callsites with names that the records have: two of one target, and two that stores have to escape.
fn all_sites() -> Vec<&'static Metadata<'static>> {
    let mut all = vec![
        site!("one", "shop", message, user_id, path, text, bytes, v, error),
        site!("two", "shop", error, message, pod, "message", a, b),
        site!("three", "shop::cart \"x\"\n", a.b, a, text, level, service_name, user_id),
        site!("four", "", message),
    ];
    all.extend(sites());
    all
}

/// The record as an event of that callsite would have written it: its fields by index where the callsite has their name.
fn at_site(record: &RecordRef<'_>, site: &'static Metadata<'static>) -> Frame {
    let names: Vec<_> = site.fields().iter().map(|field| field.name()).collect();
    let field = |writer: &mut Writer<'_>, key: &str, value: Value<'_>| {
        let key = match names.iter().position(|name| *name == key) {
            Some(at) => Key::indexed(at, || names[at]),
            None => Key::named(key),
        };
        match value {
            Value::Bool(value) => writer.fields.bool(key, value),
            Value::I64(value) => writer.fields.i64(key, value),
            Value::U64(value) => writer.fields.u64(key, value),
            Value::I128(value) => writer.fields.i128(key, value),
            Value::U128(value) => writer.fields.u128(key, value),
            Value::F64(value) => writer.fields.f64(key, value),
            Value::Str(value) | Value::Error(value) => writer.fields.str(key, value),
            Value::Bytes(value) => writer.fields.bytes(key, value),
            Value::Json(value) => writer.fields.json(key, value),
        }
    };
    Frame::of(Callsite::Static(site), record.severity(), TIME, |writer| {
        let fields: Vec<_> = record.fields().collect();
        let (before, behind) = fields.split_at(fields.len() / 2);
        before.iter().for_each(|one| field(writer, one.key, one.value));
        writer.fields.message_str(record.message());
        behind.iter().for_each(|one| field(writer, one.key, one.value));
        if record.is_own() {
            writer.own();
        }
        record.spans().for_each(|name| writer.span(name, 0, &[]));
    })
}

/// Events of all those callsites, in turn: what the tests of all backends have, what is made at random, and what reaches
/// the limits of a frame.
fn frames() -> Vec<Frame> {
    let sites = all_sites();
    let given = corpus::ordinary().into_iter().chain(corpus::nasty().into_iter().map(|one| one.frame));
    let given = given.chain(generated::random_records(21, 200).0);
    let events = given.zip(sites.iter().cycle()).map(|(frame, site)| {
        let id = RecordId { incarnation: INCARNATION, sequence: 1 };
        at_site(&RecordRef::new(frame.callsite(), frame.bytes(), TIME, id), site)
    });
    let random = (0..200).map(|seed| random_frame(&mut fastrand::Rng::with_seed(seed)));
    let long = "ä\"\u{1}".repeat(4_000);
    let longest = sites.iter().map(|&site| {
        Frame::of(Callsite::Static(site), super::Severity::Error, TIME, |writer| {
            for at in 0..140_usize {
                let index = at % site.fields().len();
                writer.fields.str(Key::indexed(index, || "unused"), &long[..1_000]);
                writer.fields.str(Key::named(&format!("k{at}")), &long[..100]);
            }
            writer.fields.message_str(&long);
        })
    });
    events.chain(random).chain(longest).collect()
}

/// A batch of them as they are, or carried elsewhere and back.
fn stored(frames: &[Frame], is_carried: bool) -> Stored {
    let origin = Arc::new(Origin { incarnation: INCARNATION, resource: resource() });
    let mut stored = Stored::new(origin, Instant::now());
    for (frame, sequence) in frames.iter().zip(1_u64..) {
        let nanos = TIME + sequence as i64 * 1_000;
        let Some(callsite) = frame.callsite().filter(|_| is_carried) else {
            stored.push(frame.callsite(), frame.bytes(), sequence, nanos, 100);
            continue;
        };
        let (mut site, mut bytes) = (Vec::new(), Vec::new());
        write_site(callsite, &mut site);
        inline(frame.bytes(), &Site::read(&site).unwrap(), &mut bytes);
        stored.push(None, &bytes, sequence, nanos, 100);
    }
    stored
}

#[track_caller]
fn same(backend: &dyn Backend, frames: &[Frame]) {
    let (was, is) = (stored(frames, false), stored(frames, true));
    let whole =
        |stored: &Stored, mode| backend.encode(&Batch::new(stored, Places::Range(0, stored.len())).in_mode(mode));
    for mode in [Mode::Plain, Mode::Fallback, Mode::Replay] {
        if whole(&was, mode) == whole(&is, mode) {
            continue;
        }
        for at in 0..frames.len() {
            let one = |stored: &Stored| {
                let payload = backend.encode(&Batch::new(stored, Places::Range(at, at + 1)).in_mode(mode));
                payload.bytes().to_vec()
            };
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(2_000).collect::<String>();
            let (was, is) = (one(&was), one(&is));
            assert!(was == is, "record {at} in mode {mode:?} was\n{}\nand is\n{}", shown(&was), shown(&is));
        }
        panic!("a batch in mode {mode:?} differs, and none of its records alone");
    }
}

#[test]
fn s8_what_comes_back_from_disk_is_encoded_to_the_same_bytes() {
    let frames = frames();
    assert!(frames.iter().all(|frame| frame.callsite().is_some()), "none stays as it is");
    for scheme in SCHEMES {
        // The others are by-names.
        for name in
            scheme.names.iter().filter(|name| !matches!(**name, "es" | "fluent" | "google_cloud" | "stackdriver"))
        {
            let url = match *name {
                "forward" | "syslog" => "tcp://localhost:1",
                "gcl" => "gcl://my-project",
                _ => "http://localhost:1",
            };
            let backend = scheme.built(name, url, &["user_id", "a"], &[("AXIOM_DATASET", "prod")]);
            println!("{name}");
            frames.chunks(500).for_each(|part| same(&*backend, part));
        }
    }
}

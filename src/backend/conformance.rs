//! What the pipeline relies on in every backend, as one check for its tests.

use std::time::{Duration, Instant};

use super::{Backend, Payload, RecordId, RecordRef, Reply, Resource, Severity, Verdict};
use crate::batch::{Batch, Batcher, Limits, Places, Stored};
use crate::frame::{Callsite, Frame, Key, Writer};

/// Checks that a backend keeps the promises of [`Backend`]; panics where it does not.
///
/// - It has a name in lower case, and an `http` or `https` URL without user and password.
/// - The same records give the same bytes, and each part of a batch can be encoded by itself.
/// - No record makes it panic: empty, huge, of every kind of value, with names that mean something to stores.
/// - A record costs something, a long one at least its message.
/// - No reply makes its judgement panic, none that is not 2xx is an `Ack`, 503 is tried again and 413 is not
///   sent again as it was.
pub(crate) fn conformance(backend: &dyn Backend) {
    let name = backend.facts().name();
    assert!(!name.is_empty() && !name.contains(char::is_uppercase), "{name:?} is no name");
    let url = backend.url();
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    assert!(host.is_some_and(|host| !host.is_empty() && !host.contains('@')), "{url:?} is no URL without a user");
    encodes(backend);
    judges(backend);
}

fn encodes(backend: &dyn Backend) {
    let frames = frames();
    let mut resource = Resource::new("service");
    resource.set("pod", "p");
    let stored = stored(backend, &frames);
    let bytes = |from, to| {
        let batch = Batch::new(&stored, Places::Range(from, to), 1, &resource);
        let Payload::Http { body, content_type, .. } = backend.encode(&batch);
        let Payload::Http { body: again, .. } = backend.encode(&batch);
        assert!(body == again, "the same records gave other bytes");
        assert!(!body.is_empty() && content_type.contains('/'), "a payload needs a body and a type");
        let places: Vec<_> = (from..to).collect();
        let Payload::Http { body: listed, .. } =
            backend.encode(&Batch::new(&stored, Places::List(&places), 1, &resource));
        assert!(body == listed, "the same records, listed one by one, gave other bytes");
    };
    bytes(0, frames.len());
    bytes(0, frames.len() / 2);
    bytes(frames.len() / 2, frames.len());
    (0..frames.len()).for_each(|at| bytes(at, at + 1));
}

fn frames() -> Vec<Frame> {
    let frame = |message: &str, write: &dyn Fn(&mut Writer<'_>)| {
        let callsite = Callsite::Inline { target: "conformance", module: None, file: None, line: None };
        Frame::of(callsite, Severity::Error, 1_795_507_200_000_000_000, |writer| {
            writer.fields.message(format_args!("{message}"));
            write(writer);
        })
    };
    let names = ["", "message", "time", "level", "id", "_id", "@timestamp", "a.b", "a_b", "\0\"\n", &"k".repeat(500)];
    vec![
        frame("", &|_| {}),
        frame("plain", &|w| w.span("span", 0, &[])),
        frame(&"\u{1}\"ä".repeat(100_000), &|w| w.fields.str(Key::named("v"), &"\\".repeat(300_000))),
        frame("values", &|w| {
            w.fields.bool(Key::named("bool"), true);
            w.fields.i64(Key::named("i64"), i64::MIN);
            w.fields.u64(Key::named("u64"), u64::MAX);
            w.fields.i128(Key::named("i128"), i128::MIN);
            w.fields.u128(Key::named("u128"), u128::MAX);
            w.fields.f64(Key::named("nan"), f64::NAN);
            w.fields.f64(Key::named("inf"), -f64::INFINITY);
            w.fields.bytes(Key::named("bytes"), &[0, 255]);
            w.fields.json(Key::named("json"), r#"{"a":[1]}"#);
            w.fields.error(Key::named("error"), "error", &std::fmt::Error);
        }),
        frame("names", &|w| names.iter().for_each(|name| w.fields.str(Key::named(name), name))),
        frame("many", &|w| (0..1_000).for_each(|i| w.fields.i64(Key::named(&format!("f{i}")), i))),
    ]
}

fn stored(backend: &dyn Backend, frames: &[Frame]) -> Stored {
    let now = Instant::now();
    let mut batcher =
        Batcher::new(Limits { cost: usize::MAX, records: usize::MAX, bytes: usize::MAX, linger: Duration::ZERO });
    for (frame, sequence) in frames.iter().zip(1..) {
        let id = RecordId { incarnation: 1, sequence };
        let record = RecordRef::new(frame.callsite(), frame.bytes(), frame.nanos(), id);
        let cost = backend.cost(&record);
        assert!(cost > 0 && cost >= record.message().len() / 2, "cost {cost} is far too low");
        let sealed = batcher.add(frame, id, frame.nanos(), cost, now);
        assert!(sealed.is_none(), "no limit is reached");
    }
    batcher.seal().unwrap_or_else(|| unreachable!("records were added"))
}

fn judges(backend: &dyn Backend) {
    let bodies: [&[u8]; 5] = [b"", b"{}", b"{\"errors\":true,\"items\":[]}", b"\xff\xfe\0", &[b'['; 65_536]];
    for status in 100..=599 {
        for body in bodies {
            let verdict = backend.judge(&Reply::new(status, body));
            assert!(verdict != Verdict::Ack || (200..300).contains(&status), "{status} is no success");
        }
    }
    let of = |status| backend.judge(&Reply::new(status, ""));
    assert!(matches!(of(503), Verdict::Retry { .. }), "503 is {:?}", of(503));
    assert!(!matches!(of(413), Verdict::Retry { .. } | Verdict::Ack), "413 is {:?}", of(413));
}

//! What every backend must satisfy, whatever the records and whatever the store answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::check_reply::check_reply;
use super::{Backend, Batch, Heard, Login, Payload, Reply, Resource, Verdict};
use crate::batch::{Batcher, Limits, Mode, Origin, Places, Stored};
use crate::frame::{Callsite, Frame, Key, RecordId, RecordRef, Severity, Writer};

/// Checks what every backend must satisfy, for a unit test beside yours.
///
/// - Encoding never panics: extreme values, control characters, names that are empty, long or taken, no message,
///   128 fields and spans, values that were cut, records of a mebibyte, times before 1970.
/// - The same records make the same bytes each time, whatever was encoded in between. That and all of the above also holds
///   in [`Mode::Fallback`](crate::backend::Mode::Fallback) and [`Mode::Replay`](crate::backend::Mode::Replay).
/// - The content type is bare, `type/subtype`: some stores refuse parameters.
/// - What [`Backend::cost`] says of records is at least half of what they take, so that no batch is sealed far too late.
/// - What [`check_reply`] asks for holds for any status from 100 to 599 with an empty, a short, and a full body that says
///   nothing. To 429 and 503 with such a body [`Backend::judge`] answers [`Verdict::Retry`] with the wait that the store
///   asked for, to 200 and 204 [`Verdict::Ack`], or `Retry` where a store always answers with a body. No such reply makes
///   it name a record.
/// - The dialogue of a backend whose payloads are framed never panics over what a store says, and hears the same however
///   that is cut.
///
/// # Panics
///
/// Where the backend does not satisfy it, with what it got and gave.
///
/// # Examples
///
/// ```
/// use logchute::backend::Ndjson;
///
/// logchute::testing::conformance(&Ndjson::new("http://localhost/logs"));
/// ```
#[track_caller]
pub fn conformance(backend: &dyn Backend) {
    let frames = frames();
    let origin = Arc::new(Origin { incarnation: INCARNATION, resource: resource() });
    let nameless = Arc::new(Origin { incarnation: INCARNATION, resource: Resource::new("") });
    let mut single = Vec::new();
    for (what, frame) in &frames {
        let stored = stored(backend, &[frame], &origin);
        single.push(encode(backend, &stored, Places::Range(0, 1), what));
        // Enough of them that what a request has once does not count.
        let copies = (64 * 1024 / frame.bytes().len()).clamp(1, 16);
        check_cost(backend, &vec![frame; copies], &origin, what);
    }
    // All at once, halves as after a split, and some as after a partial success.
    // Not the huge ones: that takes seconds, and tells no more.
    let all: Vec<_> = frames.iter().map(|(_, frame)| frame).filter(|frame| frame.bytes().len() < 64 * 1024).collect();
    let stored = stored(backend, &all, &origin);
    let (half, odd) = (all.len() / 2, (0..all.len()).filter(|place| place % 2 == 1).collect::<Vec<_>>());
    for places in
        [Places::Range(0, all.len()), Places::Range(0, half), Places::Range(half, all.len()), Places::List(&odd)]
    {
        encode(backend, &stored, places, "all records");
    }
    let without = self::stored(backend, &all, &nameless);
    encode(backend, &without, Places::Range(0, all.len()), "a resource without a name");
    for ((what, frame), first) in frames.iter().zip(single) {
        let stored = self::stored(backend, &[frame], &origin);
        let again = backend.encode(&Batch::new(&stored, Places::Range(0, 1)));
        assert!(first == again, "{what}: other bytes after others were encoded, and the same in other modes");
    }
    check_verdicts(backend);
    check_speech(backend);
}

/// Noise, whole and byte by byte.
#[track_caller]
fn check_speech(backend: &dyn Backend) {
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..1_000 {
        let login = if round % 2 == 0 { Login::new() } else { Login::new().token("key").user("user", "password") };
        // Few different bytes as often as many: structure is rare in noise.
        let most = 1 << random.u32(1..=8);
        let said: Vec<u8> = (0..random.usize(..64)).map(|_| random.u32(..most) as u8).collect();
        let heard = |piece| {
            let mut speech = backend.speech(&login);
            let (mut left, mut all) = (Vec::new(), Vec::new());
            for piece in std::iter::once(&[][..]).chain(said.chunks(piece)) {
                left.extend_from_slice(piece);
                loop {
                    let mut rest = left.as_slice();
                    let heard = speech.hear(&mut rest, &mut Vec::new());
                    let used = left.len().checked_sub(rest.len()).expect("more is left than there was");
                    left.drain(..used);
                    match heard {
                        Heard::More | Heard::Ready => {}
                        // The connection is closed over it.
                        Heard::Refused(_) | Heard::Garbled(_) => {
                            all.push(heard);
                            return all;
                        }
                        heard => all.push(heard),
                    }
                    if used == 0 || left.is_empty() {
                        break;
                    }
                }
            }
            all
        };
        assert_eq!(heard(64), heard(1), "{said:?} is heard as something else byte by byte");
    }
}

/// The payload in plain mode, after a look at those in the others.
#[track_caller]
fn encode(backend: &dyn Backend, stored: &Stored, places: Places<'_>, what: &str) -> Payload {
    let batch = Batch::new(stored, places);
    let plain = encode_in(backend, &batch, what);
    for mode in [Mode::Fallback, Mode::Replay] {
        encode_in(backend, &batch.in_mode(mode), what);
    }
    plain
}

/// The payload, which is the same the second time.
#[track_caller]
fn encode_in(backend: &dyn Backend, batch: &Batch<'_>, what: &str) -> Payload {
    let payload = backend.encode(batch);
    assert!(payload == backend.encode(batch), "{what}: other bytes the second time, in mode {:?}", batch.mode());
    let Payload::Http { content_type, .. } = &payload else { return payload };
    let bare = content_type.split_once('/').is_some_and(|(kind, subtype)| {
        let is_token =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(&b));
        is_token(kind) && is_token(subtype)
    });
    assert!(bare, "{content_type:?} is no bare content type");
    payload
}

#[track_caller]
fn check_cost(backend: &dyn Backend, frames: &[&Frame], origin: &Arc<Origin>, what: &str) {
    let stored = stored(backend, frames, origin);
    let batch = Batch::new(&stored, Places::Range(0, stored.len()));
    let payload = backend.encode(&batch);
    let body = payload.bytes();
    let cost: usize = batch.records().map(|record| backend.cost(&record)).sum();
    assert!(
        cost >= body.len() / 2,
        "{what}: {} of them take {} bytes, but are said to cost {cost}",
        frames.len(),
        body.len()
    );
}

#[track_caller]
fn check_verdicts(backend: &dyn Backend) {
    let full = "x".repeat(64 * 1024);
    let bodies: [&[u8]; 5] = [b"", b"it is not that simple", b"{}", b"\xff\xfe\0", full.as_bytes()];
    for status in 100..600 {
        for body in bodies {
            let mut reply = Reply::new(status, body);
            reply.retry_after = Some(Duration::from_secs(7));
            let verdict = check_reply(backend, &reply);
            let asked = Verdict::Retry { after: reply.retry_after };
            let as_it_must = match (status, &verdict) {
                (429 | 503, verdict) => *verdict == asked,
                (200 | 204, Verdict::Ack | Verdict::Retry { .. }) => true,
                // Nothing that was said names a record.
                (
                    _,
                    Verdict::Items { .. }
                    | Verdict::ResumeAfter(_)
                    | Verdict::StoppedAt { .. }
                    | Verdict::AckWithLoss { .. }
                    | Verdict::TooFarBehind { .. }
                    | Verdict::Ask(_),
                ) => false,
                _ => true,
            };
            let said = String::from_utf8_lossy(&body[..body.len().min(40)]);
            assert!(as_it_must, "{verdict:?} to status {status} with {said:?}");
        }
    }
}

const INCARNATION: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;

fn resource() -> Resource {
    let mut resource = Resource::new("checkout \"}\n");
    for (key, value) in
        [("namespace", "prod"), ("pod", "checkout-7d9f"), ("message", "taken"), ("quote\"", "\0\u{2028}")]
    {
        resource.set(key, value);
    }
    resource
}

fn stored(backend: &dyn Backend, frames: &[&Frame], origin: &Arc<Origin>) -> Stored {
    let (now, linger) = (Instant::now(), Duration::ZERO);
    let mut batcher =
        Batcher::new(Arc::clone(origin), Limits { cost: usize::MAX, records: usize::MAX, bytes: usize::MAX, linger });
    for (frame, sequence) in frames.iter().zip(0..) {
        let id = RecordId { incarnation: INCARNATION, sequence };
        let cost = backend.cost(&RecordRef::new(frame.callsite(), frame.bytes(), frame.nanos(), id));
        let sealed = batcher.add(frame, id, frame.nanos(), cost, now);
        assert!(sealed.is_none(), "a cost of {cost} is beyond all limits");
    }
    batcher.seal().expect("there are frames")
}

/// 2026-11-24T08:00:00.123456789Z.
const TIME: i64 = 1_795_507_200_123_456_789;

fn frame_at(nanos: i64, severity: Severity, write: impl FnOnce(&mut Writer<'_>)) -> Frame {
    let callsite = Callsite::Inline { target: "shop::cart", module: None, file: Some("src/cart.rs"), line: Some(12) };
    Frame::of(callsite, severity, nanos, write)
}

/// Records that have broken a store, or something on the way to it.
fn frames() -> Vec<(String, Frame)> {
    let mut all: Vec<(String, Frame)> = Vec::new();
    let mut add = |what: String, write: &mut dyn FnMut(&mut Writer<'_>)| {
        all.push((what, frame_at(TIME, Severity::Info, |w| write(w))));
    };
    add("nothing at all".into(), &mut |_| {});
    let texts = (0..=255_u8).map(|byte| char::from(byte).to_string()).chain(
        [
            "\r\n",
            "\"},{\"",
            "{\"a\":1}",
            "a=b c=\"d\"",
            "\u{1b}[31m",
            "\u{2028}\u{202e}\u{feff}\u{ffff}",
            "👨‍👩‍👧‍👦",
            "\\u0000",
        ]
        .map(str::to_owned),
    );
    let texts: Vec<String> = texts.collect();
    for text in &texts {
        add(format!("{text:?} everywhere"), &mut |w| {
            w.fields.message(format_args!("{text}"));
            w.fields.str(Key::named("text"), text);
            w.fields.bytes(Key::named("bytes"), text.as_bytes());
            w.fields.str(Key::named(text), "under that name");
            w.span(text, 0, &[]);
        });
    }
    add("extreme numbers".into(), &mut |w| {
        let floats =
            [f64::NAN, f64::INFINITY, -f64::INFINITY, -0.0, f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1), 1e16];
        floats.iter().enumerate().for_each(|(n, value)| w.fields.f64(Key::named(&format!("f{n}")), *value));
        w.fields.i64(Key::named("i64"), i64::MIN);
        w.fields.u64(Key::named("u64"), u64::MAX);
        w.fields.i128(Key::named("i128"), i128::MIN);
        w.fields.u128(Key::named("u128"), u128::MAX);
        w.fields.bool(Key::named("bool"), false);
    });
    let names =
        ["", "message", "level", "time", "timestamp", "@timestamp", "_id", "_msg", "_time", "id", "span", "target"];
    let more =
        ["service_name", "labels", "__proto__", "a.b", "a_b", "a-b", "1st", "Größe", "trace_id", "a", "a.original_len"];
    add("names that are taken".into(), &mut |w| {
        names.iter().chain(&more).for_each(|name| w.fields.str(Key::named(name), "theirs"));
        names.iter().chain(&more).for_each(|name| w.fields.str(Key::named(name), "theirs again"));
    });
    add("nested values".into(), &mut |w| {
        for (n, json) in
            ["null", "\"t\"", "-1.5e-7", "[]", "{}", r#"{"a":[1,{"b":"\u0000"}],"a":2}"#].iter().enumerate()
        {
            w.fields.json(Key::named(&format!("j{n}")), json);
        }
        w.fields.json(Key::named("deep"), &format!("{}1{}", "[".repeat(100), "]".repeat(100)));
    });
    add("an error with causes".into(), &mut |w| {
        let error = std::io::Error::other("the \"card\"\nwas refused");
        w.fields.error(Key::named("error"), "error", &error);
    });
    let many = |n: usize| format!("{n}-{}", "long\"name\u{1}".repeat(20));
    let mut span = crate::frame::FieldsWriter::for_span();
    (0..50).for_each(|n| span.str(Key::named(&many(n)), "of the span"));
    let (count, span) = span.into_parts();
    add("more fields and spans than are kept".into(), &mut |w| {
        (0..200).for_each(|n| w.fields.i64(Key::named(&many(n)), -1));
        (0..200).for_each(|n| w.span(&many(n), count, &span));
    });
    add("fields of spans".into(), &mut |w| (0..5).for_each(|n| w.span(&many(n), count, &span)));
    let large = "\u{1}\"ä".repeat(100_000);
    add("values that are cut".into(), &mut |w| {
        w.fields.message(format_args!("{large}"));
        w.fields.str(Key::named("text"), &large);
        w.fields.bytes(Key::named("bytes"), large.as_bytes());
    });
    add("a mebibyte".into(), &mut |w| {
        (0..10).for_each(|n| w.fields.str(Key::named(&format!("f{n}")), &large));
        w.fields.message(format_args!("{large}"));
    });
    add("one that is logchute's own".into(), &mut |w| {
        w.fields.message(format_args!("37 records dropped"));
        w.own();
    });
    for severity in Severity::ALL {
        all.push((format!("{severity}"), frame_at(TIME, severity, |w| w.fields.message(format_args!("{severity}")))));
    }
    for nanos in [i64::MIN, -1, 0, i64::MAX] {
        all.push((
            format!("time {nanos}"),
            frame_at(nanos, Severity::Warn, |w| w.fields.message(format_args!("when"))),
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Encoding, Facts, Loki, Ndjson};

    #[test]
    fn the_backends_here_conform() {
        conformance(&Ndjson::new("http://localhost/logs"));
        conformance(&Ndjson::new("http://localhost:9428/insert/jsonline"));
        conformance(&Loki::new("http://localhost:3100").encoding(Encoding::Protobuf));
        conformance(&Loki::new("http://localhost:3100").encoding(Encoding::Json));
    }

    /// A backend with one thing wrong.
    struct Wrong(fn(&Batch<'_>) -> Payload, fn(&Reply) -> Verdict, usize);

    impl Backend for Wrong {
        fn facts(&self) -> Facts {
            Facts::new("wrong")
        }
        fn url(&self) -> &str {
            "http://localhost"
        }
        fn cost(&self, record: &RecordRef<'_>) -> usize {
            record.message().len() * self.2
        }
        fn encode(&self, batch: &Batch<'_>) -> Payload {
            self.0(batch)
        }
        fn judge(&self, reply: &Reply) -> Verdict {
            self.1(reply)
        }
    }

    fn lines(batch: &Batch<'_>) -> Payload {
        Payload::post("text/plain", batch.records().flat_map(|record| record.message().bytes()).collect())
    }

    #[test]
    fn what_is_wrong_is_found() {
        conformance(&Wrong(lines, Verdict::of_status, 1));
        let random: fn(&Batch<'_>) -> Payload =
            |_| Payload::post("text/plain", fastrand::u64(..).to_le_bytes().to_vec());
        let typed: fn(&Batch<'_>) -> Payload = |batch| match lines(batch) {
            Payload::Http { body, .. } => Payload::post("text/plain; charset=utf-8", body),
            framed => framed,
        };
        let careless: fn(&Batch<'_>) -> Payload =
            |batch| Payload::post("text/plain", batch.records().map(|record| record.message().as_bytes()[0]).collect());
        let moody: fn(&Batch<'_>) -> Payload = |batch| match batch.mode() {
            Mode::Replay => Payload::post("text/plain", fastrand::u64(..).to_le_bytes().to_vec()),
            _ => lines(batch),
        };
        let surprised: fn(&Batch<'_>) -> Payload = |batch| match batch.mode() {
            Mode::Fallback => unreachable!(),
            _ => lines(batch),
        };
        let hasty: fn(&Reply) -> Verdict = |_| Verdict::Ack;
        let strict: fn(&Reply) -> Verdict = |reply| match reply.status {
            200 => Verdict::Reject("no body".to_owned()),
            _ => Verdict::of_status(reply),
        };
        let wrong = [
            Wrong(random, Verdict::of_status, 1),
            Wrong(typed, Verdict::of_status, 1),
            Wrong(careless, Verdict::of_status, 1),
            Wrong(moody, Verdict::of_status, 1),
            Wrong(surprised, Verdict::of_status, 1),
            Wrong(lines, hasty, 1),
            Wrong(lines, strict, 1),
            Wrong(lines, Verdict::of_status, 0),
        ];
        for (n, wrong) in wrong.iter().enumerate() {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| conformance(wrong)));
            assert!(outcome.is_err(), "number {n} passed");
        }
    }
}

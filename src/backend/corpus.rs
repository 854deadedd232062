//! Records for the tests of all backends: ordinary ones for golden files, and nasty ones with what must
//! come back of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Backend, Resource, Value};
use crate::batch::{Batch, Batcher, Limits, Origin, Places, Stored};
use crate::frame::{Callsite, Frame, Key, RecordId, Severity, Writer};

/// 2026-11-24T08:00:00.123456789Z.
pub(super) const TIME: i64 = 1_795_507_200_123_456_789;
pub(super) const INCARNATION: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;

/// A record that has a callsite of its own and no thread name that depends on the test.
pub(super) fn frame(severity: Severity, message: &str, write: impl FnOnce(&mut Writer<'_>) + Send) -> Frame {
    on_the_worker(|| frame_here(severity, message, write))
}

fn frame_here(severity: Severity, message: &str, write: impl FnOnce(&mut Writer<'_>)) -> Frame {
    let callsite = Callsite::Inline { target: "shop", module: None, file: Some("src/main.rs"), line: Some(12) };
    Frame::of(callsite, severity, TIME, |writer| {
        writer.fields.message(format_args!("{message}"));
        write(writer);
    })
}

/// Does it in a thread whose name does not depend on the test.
fn on_the_worker<R: Send>(make: impl FnOnce() -> R + Send) -> R {
    let worker = std::thread::Builder::new().name("worker-1".to_owned());
    std::thread::scope(|scope| worker.spawn_scoped(scope, make).unwrap().join().unwrap())
}

pub(super) fn resource() -> Resource {
    let mut resource = Resource::new("checkout");
    for (key, value) in [("namespace", "prod"), ("container", "app"), ("pod", "checkout-7d9f\"x"), ("region", "eu")] {
        resource.set(key, value);
    }
    resource
}

/// The body for these records: ids count from 1, times from [`TIME`] by a microsecond.
pub(super) fn body(backend: &dyn Backend, frames: &[Frame]) -> Vec<u8> {
    body_of(backend, frames, &resource())
}

/// As [`body`], but without a second look at whether a resend is the same: for bodies of which there are many.
pub(super) fn body_once(backend: &dyn Backend, frames: &[Frame]) -> Vec<u8> {
    with_batch(backend, frames, &resource(), |batch| backend.encode(batch).bytes().to_vec())
}

pub(super) fn body_of(backend: &dyn Backend, frames: &[Frame], resource: &Resource) -> Vec<u8> {
    with_batch(backend, frames, resource, |batch| {
        let payload = backend.encode(batch);
        assert!(payload == backend.encode(batch), "a resend must be the same bytes");
        payload.bytes().to_vec()
    })
}

pub(super) fn with_batch<R>(
    backend: &dyn Backend,
    frames: &[Frame],
    resource: &Resource,
    use_it: impl FnOnce(&Batch<'_>) -> R,
) -> R {
    let stored = stored(backend, frames, resource);
    use_it(&Batch::new(&stored, Places::Range(0, stored.len())))
}

/// The body for one of these records, at that time.
pub(super) fn body_at(backend: &dyn Backend, frames: &[Frame], nanos: i64) -> Vec<u8> {
    let limits = Limits { cost: usize::MAX, records: usize::MAX, bytes: usize::MAX, linger: Duration::ZERO };
    let mut batcher = Batcher::new(origin(&resource()), limits);
    batcher.add(&frames[0], RecordId { incarnation: INCARNATION, sequence: 1 }, nanos, 0, Instant::now());
    let stored = batcher.seal().unwrap();
    backend.encode(&Batch::new(&stored, Places::Range(0, 1))).bytes().to_vec()
}

fn origin(resource: &Resource) -> Arc<Origin> {
    Arc::new(Origin { incarnation: INCARNATION, resource: resource.clone() })
}

fn stored(backend: &dyn Backend, frames: &[Frame], resource: &Resource) -> Stored {
    let now = Instant::now();
    let limits = Limits { cost: usize::MAX, records: usize::MAX, bytes: usize::MAX, linger: Duration::ZERO };
    let mut batcher = Batcher::new(origin(resource), limits);
    for (frame, sequence) in frames.iter().zip(1_u64..) {
        let id = RecordId { incarnation: INCARNATION, sequence };
        let nanos = TIME + sequence as i64 * 1_000;
        let record = crate::frame::RecordRef::new(frame.callsite(), frame.bytes(), nanos, id);
        let cost = backend.cost(&record);
        assert!(batcher.add(frame, id, nanos, cost, now).is_none());
    }
    batcher.seal().unwrap()
}

/// Ordinary records, for golden files: each kind of value, spans, two levels, what is cut and left out.
pub(super) fn ordinary() -> Vec<Frame> {
    let mut span = crate::frame::FieldsWriter::for_span();
    span.str(Key::named("request_id"), "r-1");
    span.i64(Key::named("user_id"), 7);
    let (count, span) = span.into_parts();
    vec![
        frame(Severity::Info, "request completed", |w| {
            w.fields.i64(Key::named("user_id"), 42);
            w.fields.f64(Key::named("latency_ms"), 12.7);
            w.fields.str(Key::named("path"), "/api/v1/items");
            w.fields.str(Key::named("method"), "GET");
            w.span("db", 0, &[]);
            w.span("request", count, &span);
        }),
        frame(Severity::Error, "could not \"pay\"\nat line 2", |w| {
            let error = std::io::Error::other("card \u{7} refused");
            w.fields.error(Key::named("error"), "error", &error);
            w.fields.bool(Key::named("retry"), false);
            w.fields.u64(Key::named("big"), u64::MAX);
            w.fields.i128(Key::named("huge"), i128::MIN);
            w.fields.f64(Key::named("ratio"), f64::NAN);
            w.fields.bytes(Key::named("raw"), &[0, 255, 10]);
            w.fields.json(Key::named("cart"), r#"{"items":[1,2],"note":"a\nb"}"#);
        }),
        frame(Severity::Info, "", |w| {
            w.own();
            w.fields.str(Key::named("message"), "not the message");
            w.fields.str(Key::named("pod"), "of the record");
            w.fields.str(Key::named("http.method"), "PUT");
            w.fields.str(Key::named("http_method"), "POST");
            w.fields.str(Key::named(""), "no name");
        }),
    ]
}

/// What must come back of a nasty record, under names as the program gave them.
pub(super) struct Nasty {
    pub(super) frame: Frame,
    pub(super) message: String,
    /// Name in the store, and the value as text.
    pub(super) fields: Vec<(String, String)>,
}

/// One record for each thing that might go wrong, and what comes back of it.
pub(super) fn nasty() -> Vec<Nasty> {
    let mut all = Vec::new();
    let mut texts: Vec<String> = (0..=255_u8).map(|byte| char::from(byte).to_string()).collect();
    texts.extend(
        [
            "",
            "\r\n",
            "x\n{\"delete\":{}}",
            "\"},{\"",
            "a=b level=error",
            "{\"message\":\"json\"}",
            "\u{1b}[31mred\u{1b}[0m",
            "\u{2028}\u{2029}\u{202e}\u{feff}\u{fffd}\u{ffff}",
            "😀👨‍👩‍👧‍👦",
            "${jndi:ldap://x}",
            "%s%n' OR 1=1 --<script>",
            "\\u0000\\",
        ]
        .map(str::to_owned),
    );
    texts.push("e\u{301}".repeat(1 + 1000));
    for text in texts {
        all.push(Nasty {
            frame: frame(Severity::Info, &text, |w| {
                w.fields.str(Key::named("text"), &text);
                w.fields.bytes(Key::named("bytes"), text.as_bytes());
            }),
            message: text.clone(),
            fields: vec![("text".to_owned(), text.clone()), ("bytes".to_owned(), base64(text.as_bytes()))],
        });
    }
    let all_bytes: Vec<u8> = (0..=255).collect();
    let many: Vec<String> = (0..600).map(|n| format!("\"m{n:03}\":{n}")).collect();
    let many = format!("{{{}}}", many.join(","));
    let values: [(Value<'_>, &str); 31] = [
        (Value::Bool(true), "true"),
        (Value::I64(i64::MIN), "-9223372036854775808"),
        (Value::I64(i64::MAX), "9223372036854775807"),
        (Value::I64((1 << 53) - 1), "9007199254740991"),
        (Value::I64(1 << 53), "9007199254740992"),
        (Value::I64((1 << 53) + 1), "9007199254740993"),
        (Value::I64(0), "0"),
        (Value::U64(u64::MAX), "18446744073709551615"),
        (Value::I128(i128::MIN), "-170141183460469231731687303715884105728"),
        (Value::I128(i128::MAX), "170141183460469231731687303715884105727"),
        (Value::I128(u64::MAX as i128 + 1), "18446744073709551616"),
        (Value::I128(i64::MIN as i128 - 1), "-9223372036854775809"),
        (Value::U128(u128::MAX), "340282366920938463463374607431768211455"),
        (Value::F64(f64::NAN), "NaN"),
        (Value::F64(f64::INFINITY), "inf"),
        (Value::F64(-f64::INFINITY), "-inf"),
        (Value::F64(0.0), "0.0"),
        (Value::F64(-0.0), "-0.0"),
        (Value::F64(5e-324), "5e-324"),
        (Value::F64(f64::MAX), "1.7976931348623157e+308"),
        (Value::F64(0.1), "0.1"),
        (Value::F64(1e16), "1e+16"),
        (Value::Json("{\"a\":[1,\"\\n\"]}"), "{\"a\":[1,\"\\n\"]}"),
        (Value::Json("null"), "null"),
        (Value::Json("{}"), "{}"),
        (Value::Json(r#"{"":{"":null}}"#), r#"{"":{"":null}}"#),
        (Value::Json(r#"{"b":{"c":1},"b.c":""}"#), r#"{"b":{"c":1},"b.c":""}"#),
        (Value::Json(r#"{"_msg":1,"_stream":2,"_time":3}"#), r#"{"_msg":1,"_stream":2,"_time":3}"#),
        (Value::Json(&many), &many),
        (Value::Bytes(&all_bytes), ""),
        (Value::Bytes(&[0xC3, 0x28, 0xED, 0xA0, 0x80]), "wyjtoIA="),
    ];
    for (value, text) in values {
        let text = if text.is_empty() { base64(&all_bytes) } else { text.to_owned() };
        all.push(Nasty {
            frame: frame(Severity::Warn, "value", |w| put(w, "value", value)),
            message: "value".to_owned(),
            fields: vec![("value".to_owned(), text)],
        });
    }
    for (key, stored) in [
        ("", "field_"),
        ("message", "field_message"),
        ("level", "field_level"),
        ("id", "field_id"),
        ("_msg", "field__msg"),
        ("_time", "field__time"),
        ("truncated", "field_truncated"),
        ("timestamp", "timestamp"),
        ("@timestamp", "@timestamp"),
        ("_id", "_id"),
        ("__proto__", "__proto__"),
        ("logging.googleapis.com/trace", "logging.googleapis.com/trace"),
        ("nul\0 \"quote\"\n", "nul\0 \"quote\"\n"),
        ("ключ", "ключ"),
        ("1x", "1x"),
    ] {
        all.push(Nasty {
            frame: frame(Severity::Debug, "key", |w| put(w, key, Value::Str("own"))),
            message: "key".to_owned(),
            fields: vec![(stored.to_owned(), "own".to_owned())],
        });
    }
    all
}

/// Records whose names and texts are put together at random from pieces that mean something somewhere, and
/// how many fields of different names each has.
pub(super) fn random(seed: u64, records: usize) -> Vec<(Frame, usize)> {
    const PIECES: [&str; 20] = [
        "a",
        "b",
        ".",
        "_",
        "-",
        "1",
        "field_",
        "key_",
        "message",
        "original_len",
        "truncated",
        "level",
        "id",
        "é",
        "\0",
        "\"",
        "\n",
        "\\",
        "}",
        "",
    ];
    let mut random = fastrand::Rng::with_seed(seed);
    let mut record = || {
        let mut text = |most: usize| -> String {
            (0..random.usize(0..=most)).map(|_| PIECES[random.usize(..PIECES.len())]).collect()
        };
        let fields: Vec<_> = (0..12).map(|_| (text(3), text(20))).collect();
        let message = text(20);
        let names: std::collections::BTreeSet<_> = fields.iter().map(|(name, _)| name.clone()).collect();
        let write = |w: &mut Writer| fields.iter().for_each(|(name, value)| put(w, name, Value::Str(value)));
        (frame_here(Severity::Info, &message, write), names.len())
    };
    on_the_worker(|| (0..records).map(|_| record()).collect())
}

/// Calls `each` with so many replies that a store might send on a bad day: real ones cut short, with bits turned,
/// repeated, with large numbers in them, nested deep.
pub(super) fn mutated(seed: u64, count: usize, real: &[&str], mut each: impl FnMut(&[u8])) {
    const ODD: [&str; 8] =
        ["18446744073709551616", "-1", "1e999", "null", "\"", "[[[[[[[[[[[[[[[[", "{\"a\":", "\u{fffd}"];
    let mut random = fastrand::Rng::with_seed(seed);
    each(&b"[".repeat(60_000));
    for _ in 0..count {
        let mut body = random.choice(real).map_or(Vec::new(), |text| text.as_bytes().to_vec());
        for _ in 0..random.usize(0..4) {
            let at = random.usize(0..=body.len());
            match random.u8(0..6) {
                0 => body.truncate(at),
                1 => {
                    if let Some(byte) = body.get_mut(at) {
                        *byte ^= 1 << random.u8(0..8);
                    }
                }
                2 => {
                    let odd = random.choice(ODD).unwrap_or_default();
                    body.splice(at..at, odd.bytes());
                }
                3 => {
                    let digits = random.u64(..).to_string();
                    let end = (at + random.usize(0..4)).min(body.len());
                    body.splice(at..end, digits.bytes());
                }
                4 => body.extend_from_within(at..),
                _ => drop(body.drain(..at.min(3))),
            }
        }
        each(&body);
    }
}

pub(super) fn put(writer: &mut Writer, key: &str, value: Value<'_>) {
    let (fields, key) = (&mut writer.fields, Key::named(key));
    match value {
        Value::Bool(value) => fields.bool(key, value),
        Value::I64(value) => fields.i64(key, value),
        Value::U64(value) => fields.u64(key, value),
        Value::I128(value) => fields.i128(key, value),
        Value::U128(value) => fields.u128(key, value),
        Value::F64(value) => fields.f64(key, value),
        Value::Str(value) => fields.str(key, value),
        Value::Bytes(value) => fields.bytes(key, value),
        Value::Json(value) => fields.json(key, value),
        Value::Error(value) => fields.fmt(key, format_args!("{value}")),
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Compares with the file of that name in `tests/golden`, or writes it where `UPDATE_GOLDEN` is set.
pub(super) fn golden(name: &str, body: &[u8]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, body).unwrap();
    }
    let expected = std::fs::read(&path).unwrap();
    let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
    assert!(body == expected, "{name} differs; UPDATE_GOLDEN=1 rewrites it\n{}\n{}", show(body), show(&expected));
}

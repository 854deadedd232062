//! Records made at random, with what must come back of them: the same ones for each seed.
//!
//! Every type of value, names that mean something to some store, fields that meet (twice in a record, or in it and in
//! its spans), nested values, spans without fields, every severity. Names and values stay within the limits of a frame,
//! so that nothing is cut or left out.

// Each backend's tests use what its format can carry.
#![allow(dead_code)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use fastrand::Rng;

use super::corpus::TIME;
use crate::frame::{Callsite, FieldsWriter, Frame, Key, Severity, Sink};

/// A value as the program gave it.
#[derive(Clone, Debug)]
pub(super) enum Given {
    Bool(bool),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    Text(String),
    Error(String),
    Bytes(Vec<u8>),
    /// JSON text.
    Json(String),
}

/// What must come back of a record.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) thread: &'static str,
    pub(super) target: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    /// Names, innermost first.
    pub(super) spans: Vec<String>,
    /// By the names that the program gave: its own, and those of its spans that no nearer one hides.
    pub(super) fields: BTreeMap<String, Given>,
}

/// So many records, and what must come back of each.
pub(super) fn random_records(seed: u64, count: usize) -> (Vec<Frame>, Vec<Expected>) {
    // A frame bears the name of the thread on which it is written.
    let make = move || {
        let mut random = Rng::with_seed(seed);
        (0..count).map(|_| record(&mut random)).unzip()
    };
    std::thread::Builder::new().name(THREAD.to_owned()).spawn(make).unwrap().join().unwrap()
}

const THREAD: &str = "worker-1";

/// Shows a hundred thousand records to `check`, a thousand at a time, each with what must come back of it.
///
/// In two threads, so it takes half the time where there are two cores.
pub(super) fn each_of_a_hundred_thousand(seed: u64, check: impl Fn(&[Frame], &[Expected]) + Sync) {
    let part = |parts: std::ops::Range<u64>| {
        for part in parts {
            let mut random = Rng::with_seed(seed << 32 | part);
            let (frames, expected): (Vec<_>, Vec<_>) = (0..1_000).map(|_| record(&mut random)).unzip();
            check(&frames, &expected);
        }
    };
    std::thread::scope(|scope| {
        for parts in [0..50, 50..100] {
            std::thread::Builder::new().name(THREAD.to_owned()).spawn_scoped(scope, || part(parts)).unwrap();
        }
    });
}

fn record(random: &mut Rng) -> (Frame, Expected) {
    let severity = Severity::ALL[random.usize(..Severity::ALL.len())];
    let message = text(random);
    let target = ["shop", "shop::cart", "hyper::client \"x\"", ""][random.usize(..4)];
    let file = [Some("src/main.rs"), Some("src/a \"b\"/\u{e9}.rs"), None][random.usize(..3)];
    let line = [Some(1), Some(12), Some(u32::MAX), None][random.usize(..4)];
    let own: Vec<(String, Given)> = (0..random.usize(..10)).map(|_| (name(random), Given::random(random))).collect();
    let spans: Vec<(String, Vec<(String, Given)>)> = (0..random.usize(..4))
        .map(|_| {
            let fields = (0..random.usize(..4)).map(|_| (name(random), Given::random(random))).collect();
            (["request", "db \"x\"", "a:b"][random.usize(..3)].to_owned(), fields)
        })
        .collect();

    let callsite = Callsite::Inline { target, module: None, file, line };
    let frame = Frame::of(callsite, severity, TIME, |writer| {
        // The message may stand anywhere among the fields.
        let at = random.usize(..=own.len());
        own[..at].iter().for_each(|(key, given)| given.write(&mut writer.fields, key));
        writer.fields.message(format_args!("{message}"));
        own[at..].iter().for_each(|(key, given)| given.write(&mut writer.fields, key));
        for (span, fields) in &spans {
            let mut kept = FieldsWriter::for_span();
            fields.iter().for_each(|(key, given)| given.write(&mut kept, key));
            let (count, bytes) = kept.into_parts();
            writer.span(span, count, &bytes);
        }
    });

    // From the outermost, so that what is nearer takes its place.
    let mut fields = BTreeMap::new();
    spans.iter().rev().for_each(|(_, of_span)| fields.extend(of_span.iter().cloned()));
    fields.extend(own);
    let expected = Expected {
        severity,
        message,
        thread: THREAD,
        target: target.to_owned(),
        file: file.map(str::to_owned),
        line,
        spans: spans.into_iter().map(|(span, _)| span).collect(),
        fields,
    };
    (frame, expected)
}

/// Put together from pieces that mean something somewhere; at most 128 bytes.
fn name(random: &mut Rng) -> String {
    const PIECES: [&str; 48] = [
        "a",
        "b",
        "user",
        "order",
        "count",
        "x",
        "1",
        "é",
        "ключ",
        "名",
        "\0",
        "\n",
        "\"",
        "\\",
        "}",
        " ",
        "*",
        "$",
        "@",
        ".",
        "..",
        "_",
        "__",
        "-",
        ":",
        "/",
        "field_",
        "key_",
        "field_2",
        "message",
        "_msg",
        "timestamp",
        "@timestamp",
        "time",
        "level",
        "severity",
        "status",
        "host",
        "service",
        "service_name",
        "log",
        "log.level",
        "error",
        "id",
        "_id",
        "trace_id",
        "span_id",
        "truncated",
    ];
    let few = random.usize(..=4).min(random.usize(..=4));
    (0..few).map(|_| PIECES[random.usize(..PIECES.len())]).collect()
}

fn text(random: &mut Rng) -> String {
    const PIECES: [&str; 16] = [
        "order placed",
        " ",
        "\n",
        "\r",
        "\t",
        "\"",
        "\\",
        "\0",
        "\u{7f}",
        "é",
        "😀",
        "\u{2028}",
        "\u{feff}",
        "{\"a\":1}",
        "a=b",
        "</script>",
    ];
    let pieces = if random.u8(..50) == 0 { 400 } else { 12 };
    (0..random.usize(..pieces)).map(|_| PIECES[random.usize(..PIECES.len())]).collect()
}

fn nested(random: &mut Rng, depth: usize) -> serde_json::Value {
    match random.u8(..if depth == 0 { 5 } else { 7 }) {
        0 => serde_json::Value::Null,
        1 => random.bool().into(),
        2 => random.i64(..).into(),
        3 => (random.i32(..) >> random.u8(..31)).into(),
        4 => text(random).into(),
        5 => (0..random.usize(..4)).map(|_| nested(random, depth - 1)).collect(),
        _ => {
            let members = (0..random.usize(..4)).map(|_| (name(random), nested(random, depth - 1)));
            serde_json::Value::Object(members.collect())
        }
    }
}

/// An error of which nothing is known but its text: its debug form begins with no name of a type.
struct Error(String);

impl std::error::Error for Error {}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"\"")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Given {
    fn random(random: &mut Rng) -> Self {
        // Few bits as often as many, so that all sizes occur.
        let bits = |random: &mut Rng| random.u128(..) >> random.u32(..128);
        match random.u8(..12) {
            0 => Self::Bool(random.bool()),
            1 => Self::I64(bits(random) as i64),
            2 => Self::U64(bits(random) as u64),
            3 => Self::I128(bits(random) as i128),
            4 => Self::U128(bits(random)),
            5 => Self::F64(f64::from_bits(random.u64(..))),
            6 => Self::F64([0.0, -0.0, 0.1, 1e16, f64::NAN, f64::INFINITY, -f64::INFINITY][random.usize(..7)]),
            7 => Self::Error(text(random)),
            8 => Self::Bytes((0..random.usize(..40)).map(|_| random.u8(..)).collect()),
            9 => Self::Json(nested(random, 3).to_string()),
            _ => Self::Text(text(random)),
        }
    }

    fn write<S: Sink>(&self, writer: &mut FieldsWriter<S>, key: &str) {
        let named = Key::named(key);
        match self {
            Self::Bool(value) => writer.bool(named, *value),
            Self::I64(value) => writer.i64(named, *value),
            Self::U64(value) => writer.u64(named, *value),
            Self::I128(value) => writer.i128(named, *value),
            Self::U128(value) => writer.u128(named, *value),
            Self::F64(value) => writer.f64(named, *value),
            Self::Text(value) => writer.str(named, value),
            Self::Error(value) => writer.error(named, key, &Error(value.clone())),
            Self::Bytes(value) => writer.bytes(named, value),
            Self::Json(value) => writer.json(named, value),
        }
    }

    /// The integer, if it is one of whatever width.
    pub(super) fn integer(&self) -> Option<String> {
        self.digits(&mut itoa::Buffer::new()).map(str::to_owned)
    }

    /// The digits of an integer, if it is one of whatever width.
    pub(super) fn digits<'b>(&self, buffer: &'b mut itoa::Buffer) -> Option<&'b str> {
        match self {
            Self::I64(value) => Some(buffer.format(*value)),
            Self::U64(value) => Some(buffer.format(*value)),
            Self::I128(value) => Some(buffer.format(*value)),
            Self::U128(value) => Some(buffer.format(*value)),
            _ => None,
        }
    }

    /// Whether it is what a store shows that knows nothing but texts.
    pub(super) fn is_text(&self, shown: &str) -> bool {
        match self {
            Self::Bool(value) => shown == if *value { "true" } else { "false" },
            Self::F64(value) if value.is_nan() => shown == "NaN",
            // An infinity is `inf`, and all others are what the standard library reads.
            Self::F64(value) => shown.parse().is_ok_and(|shown: f64| shown.to_bits() == value.to_bits()),
            Self::Text(value) | Self::Error(value) => shown == value,
            Self::Bytes(value) => base64(shown).as_ref() == Some(value),
            Self::Json(value) => same_json(shown, value),
            integer => Some(shown) == integer.digits(&mut itoa::Buffer::new()),
        }
    }

    /// Whether it is what `json.rs` promises, given as it stands in the text of the body: numbers that 64 bits and JSON
    /// can hold are numbers, all else is a text.
    pub(super) fn is_json(&self, raw: &str) -> bool {
        let wide = |value: i128| i64::try_from(value).is_err() && u64::try_from(value).is_err();
        let is_quoted = match self {
            Self::Bool(_) | Self::I64(_) | Self::U64(_) => false,
            Self::I128(value) => wide(*value),
            Self::U128(value) => u64::try_from(*value).is_err(),
            Self::F64(value) => !value.is_finite(),
            Self::Json(value) => return same_json(raw, value),
            Self::Text(_) | Self::Error(_) | Self::Bytes(_) => true,
        };
        if is_quoted { unquoted(raw).is_some_and(|text| self.is_text(&text)) } else { self.is_text(raw) }
    }
}

/// The text in a JSON string.
pub(super) fn unquoted(raw: &str) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Text<'t>(#[serde(borrow)] Cow<'t, str>);
    serde_json::from_str::<Text<'_>>(raw).ok().map(|text| text.0)
}

fn same_json(one: &str, other: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text);
    // Most are written as they were given.
    parsed(one).is_ok_and(|found| one == other || parsed(other).is_ok_and(|given| found == given))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

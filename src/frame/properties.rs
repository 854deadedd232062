//! For any fields: what comes back is what was given, and where keys meet the right one stays.
//!
//! The seeds are fixed, and a failure names its own.

use tracing::Metadata;
use tracing::callsite::Callsite as _;

use super::tests::{frame, named, read};
use super::{Callsite, FieldsWriter, Frame, KEY_MAX, Key, Severity, Value};

/// A value as the program has it.
#[derive(Clone, Debug)]
enum Given {
    Bool(bool),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    Text(String),
    Shown(String),
    Bytes(Vec<u8>),
    Json(String),
}

impl Given {
    fn random(random: &mut fastrand::Rng) -> Self {
        // Few bits as often as many, so that all sizes occur.
        let bits = |random: &mut fastrand::Rng| random.u128(..) >> random.u32(..128);
        match random.u8(..10) {
            0 => Self::Bool(random.bool()),
            1 => Self::I64(bits(random) as i64),
            2 => Self::U64(bits(random) as u64),
            3 => Self::I128(bits(random) as i128),
            4 => Self::U128(bits(random)),
            5 => Self::F64(f64::from_bits(random.u64(..))),
            6 => Self::Text(text(random)),
            7 => Self::Shown(text(random)),
            8 => Self::Bytes((0..length(random)).map(|_| random.u8(..)).collect()),
            _ => Self::Json(serde_json::to_string(&vec![text(random)]).unwrap()),
        }
    }

    fn write<S: super::Sink>(&self, w: &mut FieldsWriter<S>, key: Key<'_>) {
        match self {
            Self::Bool(value) => w.bool(key, *value),
            Self::I64(value) => w.i64(key, *value),
            Self::U64(value) => w.u64(key, *value),
            Self::I128(value) => w.i128(key, *value),
            Self::U128(value) => w.u128(key, *value),
            Self::F64(value) => w.f64(key, *value),
            Self::Text(value) => w.str(key, value),
            Self::Shown(value) => w.fmt(key, format_args!("{value}")),
            Self::Bytes(value) => w.bytes(key, value),
            Self::Json(value) => w.json(key, value),
        }
    }

    fn is(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Bool(given), Value::Bool(value)) => *given == value,
            (Self::F64(given), Value::F64(value)) => given.to_bits() == value.to_bits(),
            (Self::Text(given) | Self::Shown(given), Value::Str(value)) => given == value,
            (Self::Bytes(given), Value::Bytes(value)) => given == value,
            (Self::Json(given), Value::Json(value)) => given == value,
            (Self::I64(given), value) => Self::I128((*given).into()).is(value),
            (Self::U64(given), value) => Self::U128((*given).into()).is(value),
            // An integer may come back as any type that can hold it.
            (Self::I128(given), Value::I64(value)) => *given == i128::from(value),
            (Self::I128(given), Value::U64(value)) => *given == i128::from(value),
            (Self::I128(given), Value::I128(value)) => *given == value,
            (Self::U128(given), Value::U64(value)) => *given == u128::from(value),
            (Self::U128(given), Value::U128(value)) => *given == value,
            _ => false,
        }
    }
}

/// Mostly short, seldom long.
fn length(random: &mut fastrand::Rng) -> usize {
    let most = 1 << random.u32(..10);
    random.usize(..most)
}

fn text(random: &mut fastrand::Rng) -> String {
    (0..length(random)).map(|_| if random.bool() { random.char(' '..'~') } else { random.char(..) }).collect()
}

/// Keys from a small set, so that they meet, and from all that there is.
fn key(random: &mut fastrand::Rng) -> String {
    match random.bool() {
        true => random.alphabetic().to_string(),
        false => text(random).chars().take(KEY_MAX / 4).collect(),
    }
}

/// Callsites of events: with the usual names, with one twice, and with one that is longer than a key may be.
pub(crate) fn sites() -> [&'static Metadata<'static>; 3] {
    [
        tracing::callsite! { name: "usual", kind: tracing::metadata::Kind::EVENT, fields: message, a, b, user.id }.metadata(),
        tracing::callsite! { name: "twice", kind: tracing::metadata::Kind::EVENT, fields: a, b, message, a }.metadata(),
        tracing::callsite! {
            name: "long", kind: tracing::metadata::Kind::EVENT, target: "a target \"with\" ümlauts", level: tracing::Level::INFO, fields:
            "a_name_that_goes_on_and_on_for_more_than_a_hundred_and_twenty_eight_bytes_as_no_name_of_a_field_in_any_program_ever_should_if_you_ask_me", b
        }
        .metadata(),
    ]
}

/// A frame of one of these callsites: its fields by index or by name, or an error, and spans.
pub(crate) fn random_frame(random: &mut fastrand::Rng) -> Frame {
    let callsite = sites()[random.usize(..3)];
    let names: Vec<_> = callsite.fields().iter().map(|field| field.name()).collect();
    let severity = Severity::ALL[random.usize(..6)];
    Frame::of(Callsite::Static(callsite), severity, random.i64(..), |w| {
        let fields = random.usize(..12);
        let message_at = random.usize(..14);
        for at in 0..fields {
            if at == message_at {
                w.fields.message_str(&text(random));
            }
            let index = random.usize(..names.len());
            match random.u8(..8) {
                0 => Given::random(random).write(&mut w.fields, named(&key(random))),
                1 => {
                    let error = std::io::Error::other(std::fmt::Error);
                    w.fields.error(Key::indexed(index, || names[index]), names[index], &error);
                }
                _ => Given::random(random).write(&mut w.fields, Key::indexed(index, || names[index])),
            }
        }
        if random.u8(..20) == 0 {
            w.fields.message_str(&"x".repeat(super::VALUE_MAX + random.usize(..9)));
        } else if random.bool() {
            w.fields.message_str(&text(random));
        }
        if random.bool() {
            w.own();
        }
        for _ in 0..random.usize(..4) {
            let mut writer = FieldsWriter::for_span();
            (0..random.usize(..5)).for_each(|_| Given::random(random).write(&mut writer, named(&key(random))));
            let (count, bytes) = writer.into_parts();
            w.span(&text(random), count, &bytes);
        }
    })
}

#[test]
fn any_fields_of_any_spans_come_back_by_the_rule_of_collision() {
    for seed in 0..if cfg!(miri) { 20 } else { 5_000 } {
        let mut random = fastrand::Rng::with_seed(seed);
        let some = |random: &mut fastrand::Rng, most| -> Vec<(String, Given)> {
            (0..random.usize(..most)).map(|_| (key(random), Given::random(random))).collect()
        };
        let own = some(&mut random, 20);
        let spans: Vec<_> = (0..random.usize(..6)).map(|_| (text(&mut random), some(&mut random, 12))).collect();
        let message = text(&mut random);
        let message_at = random.usize(..=own.len());
        let frame = frame(|w| {
            for (at, (key, value)) in own.iter().enumerate() {
                if at == message_at {
                    w.fields.message(format_args!("{message}"));
                }
                value.write(&mut w.fields, named(key));
            }
            if message_at == own.len() {
                w.fields.message_str(&message);
            }
            for (name, fields) in &spans {
                let mut writer = FieldsWriter::for_span();
                fields.iter().for_each(|(key, value)| value.write(&mut writer, named(key)));
                let (count, bytes) = writer.into_parts();
                w.span(name, count, &bytes);
            }
        });
        let record = read(&frame);
        assert_eq!((record.message(), record.fields_left_out()), (message.as_str(), 0), "seed {seed}");
        let cut = |name: &str| name[..super::CharBoundary::floor_char_boundary_at(name, 255)].to_owned();
        assert!(record.spans().eq(spans.iter().map(|(name, _)| cut(name)).collect::<Vec<_>>()), "seed {seed}");

        // In each place the last of a key, and of all places the first.
        let mut expected: Vec<(&str, &Given)> = Vec::new();
        for place in std::iter::once(&own).chain(spans.iter().map(|(_, fields)| fields)) {
            let before = expected.len();
            for (at, (key, value)) in place.iter().enumerate() {
                let later = place[at + 1..].iter().any(|(other, _)| other == key);
                if !later && !expected[..before].iter().any(|(other, _)| other == key) {
                    expected.push((key, value));
                }
            }
        }
        let found: Vec<_> = record.fields().collect();
        assert_eq!(found.len(), expected.len(), "seed {seed}");
        for (found, (key, given)) in found.iter().zip(expected) {
            assert!(found.key == key && given.is(found.value), "seed {seed}: {key:?} {given:?} came back as {found:?}");
        }
    }
}

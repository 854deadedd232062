//! What a frame promises: every value back as it was given, caps that hold, and no bytes that do harm.

use std::fmt;

use tracing::Metadata;
use tracing::callsite::Callsite as _;

use super::limits::{FRAME_MAX, VALUE_MAX};
use super::{CUT_MARK, Callsite, FieldsWriter, Frame, KEY_MAX, Key, RecordId, RecordRef, Severity, Value, Writer};

const ID: RecordId = RecordId { incarnation: 1, sequence: 2 };

fn site() -> &'static Metadata<'static> {
    tracing::callsite! {
        name: "site", kind: tracing::metadata::Kind::EVENT, fields: message, a, b, c
    }
    .metadata()
}

fn frame(write: impl FnOnce(&mut Writer<'_>)) -> Frame {
    Frame::of(Callsite::Static(site()), Severity::Warn, 7, write)
}

fn read(frame: &Frame) -> RecordRef<'_> {
    RecordRef::new(frame.callsite(), frame.bytes(), frame.nanos(), ID)
}

fn named(name: &str) -> Key<'_> {
    Key::named(name)
}

fn at(index: u8) -> Key<'static> {
    Key::indexed(usize::from(index), || "not looked at")
}

/// All fields as `key=value`, in order.
fn shown(record: &RecordRef<'_>) -> Vec<String> {
    record.fields().map(|field| format!("{}={:?}", field.key, field.value)).collect()
}

fn value(write: impl FnOnce(&mut FieldsWriter<super::slot::Slot>), check: impl FnOnce(Value<'_>, Option<u64>)) {
    let frame = frame(|w| write(&mut w.fields));
    let record = read(&frame);
    let mut fields = record.fields();
    let field = fields.next().expect("one field");
    assert_eq!((field.key, fields.next().map(|f| f.key.to_owned())), ("k", None));
    check(field.value, field.original_len);
}

#[test]
fn every_value_comes_back_as_it_was_given() {
    let k = || named("k");
    for given in [true, false] {
        value(|w| w.bool(k(), given), |v, _| assert_eq!(v, Value::Bool(given)));
    }
    for given in [i64::MIN, -1, 0, 1, i64::MAX, (1 << 53) - 1, 1 << 53, (1 << 53) + 1] {
        value(|w| w.i64(k(), given), |v, _| assert_eq!(v, Value::I64(given)));
        value(|w| w.i128(k(), given.into()), |v, _| assert_eq!(v, Value::I64(given)));
    }
    for given in [0, 1, u64::MAX, i64::MAX as u64 + 1] {
        value(|w| w.u64(k(), given), |v, _| assert_eq!(v, Value::U64(given)));
        value(|w| w.u128(k(), given.into()), |v, _| assert_eq!(v, Value::U64(given)));
    }
    for given in [i128::MIN, i128::from(i64::MIN) - 1, i128::from(u64::MAX) + 1, i128::MAX] {
        value(|w| w.i128(k(), given), |v, _| assert_eq!(v, Value::I128(given)));
    }
    value(|w| w.i128(k(), u64::MAX.into()), |v, _| assert_eq!(v, Value::U64(u64::MAX)));
    for given in [u128::MAX, u128::from(u64::MAX) + 1] {
        value(|w| w.u128(k(), given), |v, _| assert_eq!(v, Value::U128(given)));
    }
    for given in [f64::NAN, f64::INFINITY, -f64::INFINITY, -0.0, 0.0, 5e-324, f64::MAX, f64::MIN_POSITIVE, 12.7] {
        value(
            |w| w.f64(k(), given),
            |v, _| {
                let Value::F64(back) = v else { panic!("{v:?}") };
                assert_eq!(back.to_bits(), given.to_bits());
            },
        );
    }
    for given in ["", "\0", "a\r\nb", "\u{2028}\u{202e}\u{feff}\u{7f}", "😀", &"x".repeat(5000)] {
        value(|w| w.str(k(), given), |v, len| assert_eq!((v, len), (Value::Str(given), None)));
        value(|w| w.fmt(k(), format_args!("{given}")), |v, len| assert_eq!((v, len), (Value::Str(given), None)));
    }
    let bytes: Vec<u8> = (0..=255).collect();
    value(|w| w.bytes(k(), &bytes), |v, len| assert_eq!((v, len), (Value::Bytes(&bytes), None)));
    value(|w| w.json(k(), r#"{"a":[1]}"#), |v, len| assert_eq!((v, len), (Value::Json(r#"{"a":[1]}"#), None)));
}

#[test]
fn head_thread_and_both_kinds_of_callsite_read_back() {
    let by_reference = frame(|w| w.fields.message(format_args!("hello")));
    let record = read(&by_reference);
    assert_eq!((record.message(), record.severity(), record.unix_nanos()), ("hello", Severity::Warn, 7));
    assert_eq!((record.target(), record.line()), (site().target(), site().line()));
    assert!(!record.thread().is_empty() && std::thread::current().name().unwrap().starts_with(record.thread()));
    assert!(!record.is_own());

    let inline = Callsite::Inline { target: "t::u", module: None, file: Some("f.rs"), line: Some(9) };
    let mut frame = Frame::blank();
    let mut writer = Writer::over(&mut frame);
    writer.begin(inline, Severity::Fatal, -1);
    writer.own();
    writer.fields.i64(named("n"), 5);
    writer.fields.message(format_args!("{}-{}", 1, 2));
    writer.fields.bool(named("after"), true);
    writer.finish();
    let record = read(&frame);
    assert_eq!((record.target(), record.module(), record.file(), record.line()), ("t::u", None, Some("f.rs"), Some(9)));
    assert_eq!((record.message(), record.severity(), record.unix_nanos()), ("1-2", Severity::Fatal, -1));
    assert!(record.is_own());
    assert_eq!(shown(&record), ["n=I64(5)", "after=Bool(true)"]);
}

#[test]
fn event_beats_span_inner_beats_outer_later_beats_earlier() {
    let span = |fields: &[(&str, i64)]| {
        let mut writer = FieldsWriter::for_span();
        fields.iter().for_each(|(key, value)| writer.i64(named(key), *value));
        writer.into_parts()
    };
    let (inner, outer) = (span(&[("a", 20), ("s", 21), ("s", 22)]), span(&[("a", 30), ("s", 31), ("o", 32)]));
    let frame = frame(|w| {
        w.fields.i64(named("e"), 1);
        w.fields.i64(at(1), 2);
        w.fields.message(format_args!("m"));
        w.fields.i64(named("e"), 3);
        w.span("inner", inner.0, &inner.1);
        w.span("outer", outer.0, &outer.1);
    });
    let record = read(&frame);
    assert_eq!(shown(&record), ["a=I64(2)", "e=I64(3)", "s=I64(22)", "o=I64(32)"]);
    assert_eq!(record.spans().collect::<Vec<_>>(), ["inner", "outer"]);
}

#[test]
fn a_name_that_stands_twice_in_a_callsite_is_read_once() {
    let twice = tracing::callsite! {
        name: "twice", kind: tracing::metadata::Kind::EVENT, fields: message, a, a
    };
    let mut frame = Frame::blank();
    let mut writer = Writer::over(&mut frame);
    writer.begin(Callsite::Static(twice.metadata()), Severity::Info, 0);
    writer.fields.i64(at(1), 1);
    writer.fields.i64(at(2), 2);
    writer.finish();
    assert_eq!(shown(&read(&frame)), ["a=I64(2)"]);
}

/// Writes its text in pieces of `size` bytes or a little more, at char boundaries.
struct Pieces<'a>(&'a str, usize);

impl fmt::Display for Pieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while !rest.is_empty() {
            let cut = (self.1..).find(|&at| at >= rest.len() || rest.is_char_boundary(at)).unwrap().min(rest.len());
            f.write_str(&rest[..cut])?;
            rest = &rest[cut..];
        }
        Ok(())
    }
}

#[test]
fn message_and_value_are_cut_at_256_kib_mark_included_however_they_are_written() {
    for unit in ["x", "ä", "€", "😀"] {
        // The shift lets the limit fall on each byte of a character.
        for shift in 0..4 {
            let text = format!("{}{}", &"abc"[..shift.min(3)], unit.repeat(VALUE_MAX / unit.len() + 3));
            for size in [1, 7, 4096, VALUE_MAX - CUT_MARK.len(), VALUE_MAX - 2, text.len()] {
                let frame = frame(|w| {
                    w.fields.message(format_args!("{}", Pieces(&text, size)));
                    w.fields.fmt(named("k"), format_args!("{}", Pieces(&text, size)));
                    w.fields.str(named("s"), &text);
                });
                let record = read(&frame);
                let fields: Vec<_> = record.fields().collect();
                let kept = |text: Value<'_>| match text {
                    Value::Str(text) => text.to_owned(),
                    other => panic!("{other:?}"),
                };
                assert_eq!(fields.len(), 2);
                assert_eq!(record.message_original_len(), Some(text.len() as u64));
                for (kept, len) in [
                    (record.message().to_owned(), record.message_original_len()),
                    (kept(fields[0].value), fields[0].original_len),
                    (kept(fields[1].value), fields[1].original_len),
                ] {
                    assert_eq!(len, Some(text.len() as u64));
                    assert!(kept.len() <= VALUE_MAX && kept.len() > VALUE_MAX - unit.len());
                    assert!(text.starts_with(kept.strip_suffix(CUT_MARK).unwrap()));
                }
            }
        }
    }
    let exact = "x".repeat(VALUE_MAX);
    let frame = frame(|w| w.fields.message(format_args!("{exact}")));
    assert_eq!((read(&frame).message().len(), read(&frame).message_original_len()), (VALUE_MAX, None));
}

#[test]
fn bytes_and_nested_values_are_cut_too() {
    let bytes = vec![0xFF; VALUE_MAX];
    value(
        |w| w.bytes(named("k"), &bytes),
        |v, len| {
            let Value::Bytes(kept) = v else { panic!("{v:?}") };
            assert!(kept.len().div_ceil(3) * 4 <= VALUE_MAX, "as base64 it is within the limit");
            assert_eq!(len, Some(VALUE_MAX as u64));
        },
    );
    let json = format!("[{}1]", "1,".repeat(VALUE_MAX / 2));
    value(
        |w| w.json(named("k"), &json),
        |v, len| {
            assert!(matches!(v, Value::Str(text) if text.len() == VALUE_MAX), "no longer JSON, so it is text");
            assert_eq!(len, Some(json.len() as u64));
        },
    );
}

#[test]
fn a_frame_stays_within_a_mebibyte_and_the_message_has_room_to_the_last() {
    let large = "y".repeat(VALUE_MAX);
    for first in [true, false] {
        let mut span = FieldsWriter::for_span();
        (0..100).for_each(|i| span.str(named(&format!("s{i}")), &large));
        let (count, span) = span.into_parts();
        let frame = frame(|w| {
            if first {
                w.fields.message(format_args!("{}", "m".repeat(3000)));
            }
            for i in 0..20 {
                w.fields.str(named(&format!("f{i}")), &large);
                w.fields.bytes(named(&format!("b{i}")), large.as_bytes());
                w.fields.json(named(&format!("j{i}")), "[1]");
            }
            if !first {
                w.fields.message(format_args!("{}", "m".repeat(3000)));
            }
            (0..10).for_each(|_| w.span("outer", count, &span));
        });
        assert!(frame.bytes().len() <= FRAME_MAX, "{}", frame.bytes().len());
        let record = read(&frame);
        assert_eq!(record.message(), "m".repeat(3000));
        assert!(record.fields().count() >= 4);
        assert!(record.fields_left_out() > 50);
    }
}

#[test]
fn of_more_than_128_fields_the_rest_is_counted() {
    let mut span = FieldsWriter::for_span();
    (0..200_i64).for_each(|i| span.i64(named(&format!("s{i}")), i));
    let (count, span) = span.into_parts();
    assert_eq!(count, 200);
    for own in [0_usize, 100, 128, 200] {
        let frame = frame(|w| {
            (0..own).for_each(|i| w.fields.bool(named(&format!("f{i}")), true));
            w.span("s", count, &span);
        });
        let record = read(&frame);
        assert_eq!(record.fields().count(), 128);
        assert_eq!(usize::from(record.fields_left_out()), own + 200 - 128);
    }
}

#[test]
fn a_recursion_of_spans_cannot_grow_a_frame() {
    let frame = frame(|w| (0..5_000).for_each(|_| w.span(&"s".repeat(300), 1, &[0xFF, 1, b'k', 1])));
    let record = read(&frame);
    assert_eq!((record.spans().count(), record.fields_left_out()), (128, 5_000 - 128));
    assert!(record.spans().all(|name| name.len() == 255));
    assert_eq!(shown(&record), ["k=Bool(true)"]);
}

#[test]
fn keys_are_cut_to_128_bytes() {
    let long = "ä".repeat(32_768);
    let frame = frame(|w| {
        w.fields.bool(named(""), true);
        w.fields.bool(named(&long), true);
        w.fields.bool(Key::indexed(255, || "no index"), true);
    });
    let record = read(&frame);
    let keys: Vec<_> = record.fields().map(|field| field.key).collect();
    assert_eq!((keys[0], keys[2]), ("", "no index"));
    assert!(
        keys[1].len() <= KEY_MAX && keys[1].len() > KEY_MAX - 4 && long.starts_with(keys[1].split_once('…').unwrap().0)
    );
}

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not read")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn an_error_is_its_message_its_type_and_its_chain() {
    let error = Outer("x".parse::<u8>().unwrap_err());
    let frame = frame(|w| w.fields.error(Key::indexed(1, || "a"), "a", &error));
    assert_eq!(
        shown(&read(&frame)),
        [
            r#"a=Error("could not read")"#,
            r#"a.type=Str("Outer")"#,
            r#"a.chain=Json("[\"invalid digit found in string\"]")"#
        ]
    );
}

/// An error whose every method panics, and whose cause is itself.
struct Broken(bool);

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("some text, then ")?;
        assert!(!self.0, "out of {}", "order");
        f.write_str("no panic")
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        assert!(!self.0, "no source either");
        Some(self)
    }
}

#[test]
fn a_formatter_that_panics_leaves_a_mark_and_nothing_else() {
    let large = "z".repeat(400);
    let frame = frame(|w| {
        w.fields.message(format_args!("{large}{:?}", Broken(true)));
        w.fields.fmt(named("d"), format_args!("{:?}", Broken(true)));
        w.fields.error(named("e"), "e", &Broken(true));
        w.fields.error(named("circle"), "circle", &Broken(false));
    });
    let record = read(&frame);
    let mark = "<panicked: out of order>";
    assert_eq!(record.message(), mark);
    let fields = shown(&record);
    assert_eq!(
        &fields[..4],
        [
            format!("d=Str({mark:?})"),
            format!("e=Error({mark:?})"),
            r#"e.type=Str("some")"#.to_owned(),
            r#"circle=Error("some text, then no panic")"#.to_owned(),
        ]
    );
    assert_eq!(fields.len(), 6, "a circle of causes ends");
}

#[test]
fn beyond_the_slot_it_reads_the_same() {
    for len in 0..300 {
        let text = "q".repeat(len);
        let frame = frame(|w| {
            w.fields.i64(at(1), -5);
            w.fields.message(format_args!("{text}"));
            w.fields.str(at(2), "end");
            w.span("s", 1, &[0xFF, 1, b'k', 1]);
        });
        let record = read(&frame);
        assert_eq!(frame.boxed_bytes(), if frame.bytes().len() > 231 { frame.bytes().len() } else { 0 });
        assert_eq!(record.message(), text);
        assert_eq!(shown(&record), ["a=I64(-5)", r#"b=Str("end")"#, "k=Bool(true)"]);
    }
}

/// Reads all that can be read.
fn read_all(callsite: Option<&'static Metadata<'static>>, bytes: &[u8]) {
    let record = RecordRef::new(callsite, bytes, 0, ID);
    let texts = [Some(record.message()), Some(record.thread()), Some(record.target()), record.module(), record.file()];
    std::hint::black_box((texts, record.line(), record.message_original_len(), record.fields_left_out()));
    assert!(record.spans().count() <= 128);
    assert!(record.fields().count() <= 128);
    std::hint::black_box((record.severity(), record.is_own(), record.encoded_hint(), format!("{record:?}")));
}

#[test]
fn no_bytes_make_a_reader_panic_or_spin() {
    let inline = Callsite::Inline { target: "t", module: Some("m"), file: Some("f"), line: Some(1) };
    for callsite in [inline, Callsite::Static(site())] {
        let mut frame = Frame::blank();
        let mut writer = Writer::over(&mut frame);
        writer.begin(callsite, Severity::Info, 1);
        writer.fields.u128(named("u"), u128::MAX);
        writer.fields.message(format_args!("{}", "m".repeat(40)));
        writer.fields.bytes(named("b"), &[0, 255]);
        writer.fields.error(named("e"), "e", &Broken(false));
        writer.span("s", 1, &[0xFF, 1, b'k', 1]);
        writer.finish();
        let whole = frame.bytes();
        for cut in 0..=whole.len() {
            read_all(frame.callsite(), &whole[..cut]);
        }
        let mut flipped = whole.to_vec();
        for at in 0..whole.len() {
            for bit in 0..8 {
                flipped[at] ^= 1 << bit;
                read_all(frame.callsite(), &flipped);
                read_all(None, &flipped);
                flipped[at] ^= 1 << bit;
            }
            for byte in [0, 0x7F, 0xFF] {
                let there = std::mem::replace(&mut flipped[at], byte);
                read_all(frame.callsite(), &flipped);
                flipped[at] = there;
            }
        }
    }
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.usize(..300)).map(|_| random.u8(..)).collect();
        read_all(Some(site()), &bytes);
        read_all(None, &bytes);
    }
    // A million bytes that look like fields, or like spans with fields.
    let mut fields = vec![0; FRAME_MAX];
    fields[20..24].copy_from_slice(&(FRAME_MAX as u32).to_le_bytes());
    read_all(Some(site()), &fields);
    fields[20..24].copy_from_slice(&25_u32.to_le_bytes());
    read_all(Some(site()), &fields);
}

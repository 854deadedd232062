use std::collections::{BTreeMap, BTreeSet};

use super::super::conformance::conformance;
use super::super::corpus::{
    self, TIME, body, body_of, body_once, frame, nasty, ordinary, put, random, resource, with_batch,
};
use super::super::generated::{Given, each_of_a_hundred_thousand};
use super::super::{Resource, Value, flat};
use super::*;
use crate::frame::{Frame, Severity};

fn syslog() -> Syslog {
    Syslog { process: 4242, ..Syslog::new("tcp://localhost") }
}

/// A message, taken apart by the letter of RFC 5424 §6.
#[derive(Debug)]
struct Message {
    priority: u8,
    time: String,
    host: String,
    app: String,
    process: String,
    kind: String,
    element: String,
    parameters: BTreeMap<String, String>,
    text: String,
}

impl Message {
    fn of(message: &str) -> Self {
        let (priority, rest) = message.strip_prefix('<').unwrap().split_once('>').unwrap();
        let mut parts = rest.splitn(7, ' ');
        assert_eq!(parts.next(), Some("1"));
        let mut part = |most: usize| {
            let part = parts.next().unwrap();
            assert!((1..=most).contains(&part.len()) && part.bytes().all(|byte| matches!(byte, 33..=126)), "{part:?}");
            part.to_owned()
        };
        let (time, host, app, process, kind) = (part(27), part(255), part(48), part(128), part(32));
        let mut rest = parts.next().unwrap().strip_prefix('[').unwrap();
        let (element, after) = rest.split_once(' ').unwrap();
        rest = after;
        let mut parameters = BTreeMap::new();
        loop {
            let (name, after) = rest.split_once("=\"").unwrap();
            let is_allowed = |byte: u8| matches!(byte, 33..=126) && !b"=]\" ".contains(&byte);
            assert!((1..=32).contains(&name.len()) && name.bytes().all(is_allowed), "{name:?}");
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => match chars.next().unwrap().1 {
                        special @ ('"' | '\\' | ']') => value.push(special),
                        other => panic!("an escape that is none: {other:?}"),
                    },
                    (_, ']') => panic!("a bracket that is not escaped: {after:?}"),
                    (_, char) => value.push(char),
                }
            };
            assert!(parameters.insert(name.to_owned(), value).is_none(), "{name:?} twice");
            rest = &after[end + 1..];
            match rest.strip_prefix(' ') {
                Some(next) => rest = next,
                None => break,
            }
        }
        let rest = rest.strip_prefix(']').unwrap();
        let text = if rest.is_empty() { "" } else { rest.strip_prefix(' ').unwrap() };
        Self {
            priority: priority.parse().unwrap(),
            time,
            host,
            app,
            process,
            kind,
            element: element.to_owned(),
            parameters,
            text: text.to_owned(),
        }
    }
}

/// Messages by octet counting.
fn counted(bytes: &[u8]) -> Vec<Message> {
    let mut rest = std::str::from_utf8(bytes).unwrap();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (len, after) = rest.split_once(' ').unwrap();
        assert!(!len.starts_with('0'));
        let (message, after) = after.split_at(len.parse().unwrap());
        all.push(Message::of(message));
        rest = after;
    }
    all
}

fn lines(bytes: &[u8]) -> Vec<Message> {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.ends_with('\n') && !text.contains('\0') && !text.contains('\r'));
    text.split_terminator('\n').map(Message::of).collect()
}

#[test]
fn the_body_is_the_golden_one() {
    corpus::golden("syslog.octet", &body(&syslog(), &ordinary()));
    let local = syslog().framing(Framing::Newline).facility(Facility::Local0);
    corpus::golden("syslog.newline", &body(&local, &ordinary()));
}

#[test]
fn the_head_says_who_speaks_and_how_severe_it_is() {
    let mut resource = Resource::new("order service é");
    resource.set("pod", "shop-7d9f");
    let frames: Vec<Frame> = Severity::ALL.map(|severity| frame(severity, "m", |_| {})).to_vec();
    let all = counted(&body_of(&syslog(), &frames, &resource));
    assert_eq!(all.iter().map(|message| message.priority).collect::<Vec<_>>(), [15, 15, 14, 12, 11, 10]);
    let first = &all[0];
    assert_eq!(
        (&*first.host, &*first.app, &*first.process, &*first.kind, &*first.element),
        ("shop-7d9f", "order_service__", "4242", "shop", "logchute@32473")
    );
    // Truncated, not rounded: all digits stand in the structured data.
    assert_eq!(first.time, "2026-11-24T08:00:00.123457Z");
    assert_eq!(first.parameters["time"], "2026-11-24T08:00:00.123457789Z");
    resource.set("host", "web-1");
    let other = syslog().facility(Facility::Local7).enterprise_number(7);
    let other = &counted(&body_of(&other, &frames, &resource))[5];
    assert_eq!((other.priority, &*other.host, &*other.element), (23 * 8 + 2, "web-1", "logchute@7"));
    let none = &counted(&body_of(&syslog(), &frames, &Resource::new("")))[0];
    assert_eq!((&*none.host, &*none.app), ("-", "-"));
    assert!(first.parameters["level"] == "trace" && all[1].parameters["level"] == "debug");
}

/// Without the white space at its end.
fn ended(text: &str) -> &str {
    text.trim_end_matches(|char: char| char.is_ascii_whitespace() || char == '\u{b}')
}

/// With line breaks as values have them.
fn breaks(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r")
}

#[test]
fn nasty_records_come_back_as_they_were_by_counted_octets() {
    let all = nasty();
    let frames: Vec<Frame> = all.iter().map(|nasty| nasty.frame.clone()).collect();
    let messages = counted(&body(&syslog().message_bytes(1 << 20), &frames));
    assert_eq!(messages.len(), all.len());
    for (nasty, message) in all.iter().zip(&messages) {
        assert_eq!(message.text, ended(&nasty.message));
        for (key, text) in &nasty.fields {
            assert_eq!(message.parameters[&*name::allowed(key)], breaks(text), "{key:?}");
        }
    }
}

#[test]
fn nasty_records_come_back_on_one_line_each_with_their_line_breaks_replaced() {
    let all = nasty();
    let frames: Vec<Frame> = all.iter().map(|nasty| nasty.frame.clone()).collect();
    let messages = lines(&body(&syslog().framing(Framing::Newline).message_bytes(1 << 20), &frames));
    assert_eq!(messages.len(), all.len());
    let line = |text: &str| breaks(text).replace('\0', "#000");
    for (nasty, message) in all.iter().zip(&messages) {
        assert_eq!(message.text, line(ended(&nasty.message)));
        for (key, text) in &nasty.fields {
            assert_eq!(message.parameters[&*name::allowed(key)], line(text), "{key:?}");
        }
    }
}

#[test]
fn an_independent_reader_finds_random_records_as_they_were() {
    each_of_a_hundred_thousand(0x5e, |frames, expected| {
        let messages = counted(&body_once(&syslog().message_bytes(1 << 20), frames));
        assert_eq!(messages.len(), expected.len());
        for (message, expected) in messages.iter().zip(expected) {
            assert_eq!(message.text, ended(&expected.message));
            let parameters = &message.parameters;
            let text = |name: &str| parameters.get(name).map(String::as_str);
            assert_eq!(text("level"), Some(expected.severity.as_str()));
            assert_eq!(text("thread"), Some(expected.thread));
            assert_eq!(text("target"), Some(&*expected.target));
            assert_eq!(text("file"), expected.file.as_deref());
            assert_eq!(text("line").map(|line| line.parse().unwrap()), expected.line);
            // Names that keep as they are; all others are there under a name of their own.
            let is_kept = |key: &str| {
                name::is_plain(key) && !flat::RESERVED.contains(&key) && !matches!(key, "truncated" | "original_len")
            };
            for (key, given) in expected.fields.iter().filter(|(key, _)| is_kept(key)) {
                let found = &parameters[key];
                let is = match given {
                    Given::Text(value) | Given::Error(value) => *found == breaks(value),
                    given => given.is_text(found),
                };
                assert!(is, "{key:?} is {given:?}, not {found:?}");
            }
            let optional = [expected.file.is_some(), expected.line.is_some(), !expected.spans.is_empty()];
            let optional = optional.into_iter().filter(|&has| has).count();
            // Five of every record, and the service with its four attributes, which no field replaces.
            assert_eq!(parameters.len(), 5 + optional + expected.fields.len() + 5, "{:?}", parameters.keys());
        }
    });
}

#[test]
fn names_that_would_meet_are_kept_apart() {
    let long = "a".repeat(40);
    let frames = [frame(Severity::Info, "m", |w| {
        for key in ["a b", "a=b", "a_b", &format!("{long}1"), &format!("{long}2"), "na me", "level\u{e9}", "=", "]"] {
            put(w, key, Value::Str(key));
        }
    })];
    let message = counted(&body(&syslog(), &frames)).remove(0);
    assert_eq!(message.parameters["a_b"], "a_b");
    let values: BTreeSet<_> = message.parameters.values().map(String::as_str).collect();
    for key in ["a b", "a=b", &format!("{long}1"), &format!("{long}2"), "na me", "level\u{e9}", "=", "]"] {
        assert!(values.contains(key), "{key:?} is not in {:?}", message.parameters);
    }
    for (seed, (frame, fields)) in random(5, 2_000).into_iter().enumerate() {
        let message = counted(&body(&syslog(), &[frame])).remove(0);
        // Time, level, target, file, line, thread, id; the service and four attributes.
        assert_eq!(message.parameters.len(), 7 + fields + 5, "{seed}: {:?}", message.parameters);
    }
}

#[test]
fn a_message_is_cut_to_what_servers_take_and_says_so() {
    let long = "x]".repeat(20_000);
    let frames = [
        frame(Severity::Info, &long, |w| put(w, "v", Value::Str(&long))),
        frame(Severity::Info, "after", |_| {}),
        frame(Severity::Info, "many", |w| {
            for at in 0..120 {
                put(w, &format!("{at}{}", "k".repeat(60)), Value::Str("\"\\]"));
            }
        }),
    ];
    for (most, given) in [(8192, None), (2048, Some(100)), (20_000, Some(20_000))] {
        for framing in [Framing::OctetCounting, Framing::Newline] {
            let backend = given.map_or_else(syslog, |most| syslog().message_bytes(most)).framing(framing);
            let bytes = body(&backend, &frames);
            let messages = if framing == Framing::Newline { lines(&bytes) } else { counted(&bytes) };
            let of_cut = &messages[0].parameters;
            assert_eq!((&*of_cut["truncated"], &*of_cut["original_len"]), ("true", "40000"));
            assert!(messages[0].text.ends_with("…[cut]"));
            assert_eq!(messages[1].text, "after");
            assert_eq!(messages[1].parameters["target"], "shop");
            let of_many = &messages[2].parameters;
            assert!(of_many.len() > 120 || of_many["fields_left_out"] == "120", "{of_many:?}");
            for bytes in bytes.split(|&byte| byte == b'\n') {
                assert!(bytes.len() <= most + 6 || framing == Framing::OctetCounting);
            }
            let longest = longest(&bytes, framing);
            assert!(longest <= most && longest > most / 4, "{longest} of {most}");
        }
    }
}

fn longest(bytes: &[u8], framing: Framing) -> usize {
    let text = std::str::from_utf8(bytes).unwrap();
    if framing == Framing::Newline {
        return text.split('\n').map(str::len).max().unwrap();
    }
    let (mut rest, mut most) = (text, 0);
    while let Some((len, after)) = rest.split_once(' ') {
        let len: usize = len.parse().unwrap();
        most = most.max(len);
        rest = &after[len..];
    }
    most
}

#[test]
fn lengths_of_any_number_of_digits_are_right() {
    let frames: Vec<Frame> = [0, 600, 20, 5_000, 700, 9, 7_000, 7_000, 1, 1]
        .map(|len| frame(Severity::Info, &"m".repeat(len), |_| {}))
        .to_vec();
    let messages = counted(&body(&syslog(), &frames));
    assert_eq!(messages.iter().map(|message| message.text.len()).collect::<Vec<_>>()[..4], [0, 600, 20, 5_000]);
    assert!(messages.iter().all(|message| message.parameters["target"] == "shop"));
}

#[test]
fn structured_data_is_no_longer_than_rsyslog_can_count() {
    let backend = syslog().message_bytes(1 << 20);
    for (bytes, is_cut) in [(15_000, false), (16_500, true), (200_000, true)] {
        let frame = frame(Severity::Info, "short", |w| {
            ["a", "b", "c", "d"].into_iter().for_each(|key| put(w, key, Value::Str(&"x".repeat(bytes))));
        });
        let body = body(&backend, &[frame]);
        let message = counted(&body).remove(0);
        let all: usize = message.parameters.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        assert!(all < 65_000 && all > 30_000, "{all}");
        assert_eq!(message.parameters.contains_key("truncated"), is_cut, "{bytes}");
        assert_eq!(message.text, "short");
    }
}

#[test]
fn times_before_1970_and_extreme_ones_have_a_form() {
    for nanos in [-1, i64::MIN, i64::MAX, TIME] {
        let bytes = corpus::body_at(&syslog(), &[frame(Severity::Info, "m", |_| {})], nanos);
        let message = counted(&bytes).remove(0);
        assert_eq!((message.time.len(), message.parameters["time"].len()), (27, 30));
        assert_eq!(message.time[..26], message.parameters["time"][..26]);
    }
}

#[test]
fn a_url_says_where_to_and_how() {
    for (url, reached) in [("tcp://h", "tcp://h:601"), ("tls://h", "tls://h:6514"), ("tcp://h:514", "tcp://h:514")] {
        assert_eq!(SCHEME.built("syslog", url, &[], &[]).url(), reached);
    }
    let built = SCHEME.built("syslog", "tcp://h?framing=newline&facility=local2&message_bytes=4096", &[], &[]);
    assert_eq!(lines(&body(&*built, &ordinary()))[0].priority, 18 * 8 + 6);
    for query in ["framing=x", "facility=kern", "message_bytes=1", "message_bytes=x", "more=1", "framing"] {
        let url = format!("tcp://h?{query}");
        let setup = super::super::Setup { name: "syslog", url: &url, variable: None, promoted: &[], lookup: &|_| None };
        assert!((SCHEME.build)(&setup).is_err(), "{query}");
    }
}

#[test]
fn it_conforms() {
    conformance(&syslog());
    conformance(&syslog().framing(Framing::Newline).message_bytes(1 << 20));
}

#[test]
fn cost_is_close_to_what_a_record_takes() {
    let backend = syslog();
    body(&backend, &ordinary());
    let special = "]\"".repeat(500);
    let mut frames = ordinary();
    frames.push(frame(Severity::Info, &special, |w| put(w, "v", Value::Str(&special))));
    for frame in &frames {
        let frames = std::slice::from_ref(frame);
        let cost = with_batch(&backend, frames, &resource(), |batch| backend.cost(&batch.records().next().unwrap()));
        let size = body(&backend, frames).len();
        assert!(cost * 100 >= size * 90 && cost * 100 <= size * 115, "cost {cost}, size {size}");
    }
}

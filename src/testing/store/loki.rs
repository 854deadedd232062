//! Pushes to Loki, as JSON and as protobuf, read as strictly as Loki reads them.
//!
//! The protobuf reader knows nothing of the writer in `backend/`, so that neither can hide a fault of
//! the other. The messages are those of Loki's `pkg/push/push.proto`:
//!
//! ```text
//! PushRequest { 1: repeated Stream }
//! Stream      { 1: string labels, 2: repeated Entry, 3: uint64 hash }
//! Entry       { 1: Timestamp { 1: int64 seconds, 2: int32 nanos }, 2: string line, 3: repeated Pair }
//! Pair        { 1: string name, 2: string value }
//! ```

use serde_json::Value;

use super::received::{Pairs, Received};

/// Why a body could not be read.
type Fault = String;

/// The records of a JSON push.
pub(super) fn json(body: &[u8]) -> Result<Vec<Received>, Fault> {
    let push: Value = serde_json::from_slice(body).map_err(|cause| cause.to_string())?;
    let mut records = Vec::new();
    for stream in push["streams"].as_array().ok_or("no streams")? {
        let labels = texts(&stream["stream"])?;
        labels.iter().try_for_each(|(name, _)| check_name(name))?;
        for entry in stream["values"].as_array().ok_or("a stream without values")? {
            // Loki refuses a time that is a number, and metadata whose values are not texts.
            let nanos = entry[0].as_str().and_then(|nanos| nanos.parse().ok());
            let line = entry[1].as_str().ok_or_else(|| format!("no text as the line in {entry}"))?;
            let metadata = entry.get(2).map_or(Ok(Vec::new()), texts)?;
            let nanos = nanos.ok_or_else(|| format!("no text of nanoseconds in {entry}"))?;
            records.push(Received::from_loki(nanos, line, &labels, &metadata));
        }
    }
    Ok(records)
}

fn texts(object: &Value) -> Result<Pairs, Fault> {
    let keys = object.as_object().ok_or_else(|| format!("{object} is no object"))?;
    let text = |(key, value): (&String, &Value)| match value {
        Value::String(value) => Ok((key.clone(), value.clone())),
        other => Err(format!("{key} is {other}, but must be a text")),
    };
    keys.iter().map(text).collect()
}

/// The records of a protobuf push that was unpacked already.
pub(super) fn protobuf(body: &[u8]) -> Result<Vec<Received>, Fault> {
    let mut records = Vec::new();
    for stream in Message(body).all(1) {
        let stream = stream?;
        let labels = labels(Message(stream).text(1)?)?;
        for entry in Message(stream).all(2) {
            let entry = Message(entry?);
            let time = Message(entry.bytes(1)?);
            let nanos = i128::from(time.integer(1)?) * 1_000_000_000 + i128::from(time.integer(2)?);
            let nanos = i64::try_from(nanos).map_err(|_| format!("{nanos} ns since 1970 is no time"))?;
            let pair = |pair: Result<&[u8], Fault>| -> Result<(String, String), Fault> {
                let pair = Message(pair?);
                Ok((pair.text(1)?.to_owned(), pair.text(2)?.to_owned()))
            };
            let metadata = entry.all(3).map(pair).collect::<Result<Pairs, _>>()?;
            records.push(Received::from_loki(nanos, entry.text(2)?, &labels, &metadata));
        }
    }
    Ok(records)
}

/// How many records a protobuf push has, without a look into them.
pub(super) fn count(body: &[u8]) -> usize {
    Message(body).all(1).flatten().map(|stream| Message(stream).all(2).flatten().count()).sum()
}

/// An encoded protobuf message.
#[derive(Clone, Copy)]
struct Message<'a>(&'a [u8]);

enum Field<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which none of these messages has.
    Fixed,
}

impl<'a> Message<'a> {
    /// The fields in their order; ends after the first fault.
    fn fields(self) -> impl Iterator<Item = Result<(u64, Field<'a>), Fault>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let field = next(&mut rest);
            if field.is_none() {
                rest = &[];
            }
            Some(field.ok_or_else(|| "protobuf that breaks off or has an unknown wire type".to_owned()))
        })
    }

    /// All fields of that number, which must be messages or texts.
    fn all(self, number: u64) -> impl Iterator<Item = Result<&'a [u8], Fault>> {
        self.fields().filter_map(move |field| match field {
            Ok((found, Field::Bytes(bytes))) if found == number => Some(Ok(bytes)),
            Ok((found, _)) if found == number => Some(Err(format!("field {number} has another type"))),
            Ok(_) => None,
            Err(fault) => Some(Err(fault)),
        })
    }

    /// The last field of that number, as protobuf has it; empty if there is none.
    fn bytes(self, number: u64) -> Result<&'a [u8], Fault> {
        self.all(number).last().unwrap_or(Ok(&[]))
    }

    fn text(self, number: u64) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes(number)?).map_err(|cause| format!("field {number}: {cause}"))
    }

    fn integer(self, number: u64) -> Result<i64, Fault> {
        let mut last = 0;
        for field in self.fields() {
            match field? {
                (found, Field::Integer(integer)) if found == number => last = integer as i64,
                (found, _) if found == number => return Err(format!("field {number} is no integer")),
                _ => {}
            }
        }
        Ok(last)
    }
}

/// Takes a field off the front.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(rest)?;
    let field = match key & 7 {
        0 => Field::Integer(varint(rest)?),
        1 => rest.split_off(..8).map(|_| Field::Fixed)?,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Field::Bytes(rest.split_off(..length)?)
        }
        5 => rest.split_off(..4).map(|_| Field::Fixed)?,
        _ => return None,
    };
    Some((key >> 3, field))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Reads `{name="value", …}`, whose values are quoted as in Go.
fn labels(text: &str) -> Result<Pairs, Fault> {
    let fault = || format!("couldn't parse labels: {text}");
    let mut rest = text.trim().strip_prefix('{').ok_or_else(fault)?.trim_start();
    let mut labels = Vec::new();
    while !rest.starts_with('}') {
        let (name, value) = rest.split_once('=').ok_or_else(fault)?;
        check_name(name.trim())?;
        let value = value.trim_start().strip_prefix('"').ok_or_else(fault)?;
        let (value, after) = unquote(value).ok_or_else(fault)?;
        labels.push((name.trim().to_owned(), value));
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err(fault()),
        }
    }
    if rest == "}" { Ok(labels) } else { Err(fault()) }
}

fn check_name(name: &str) -> Result<(), Fault> {
    let first = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let valid = name.as_bytes().first().is_some_and(first) && name.bytes().all(|b| b.is_ascii_digit() || first(&b));
    if valid { Ok(()) } else { Err(format!("couldn't parse labels: {name:?} is no name")) }
}

/// The text up to the closing quote, its escapes resolved, and what stands behind the quote.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        let byte = *rest.split_off_first()?;
        match byte {
            b'"' => {
                let after = &text[text.len() - rest.len()..];
                return Some((String::from_utf8(value).ok()?, after));
            }
            b'\n' => return None,
            b'\\' => escape(&mut rest, &mut value)?,
            byte => value.push(byte),
        }
    }
}

/// One escape of Go's string literals (<https://go.dev/ref/spec#String_literals>), without its backslash.
fn escape(rest: &mut &[u8], value: &mut Vec<u8>) -> Option<()> {
    let byte = *rest.split_off_first()?;
    let number = |digits: usize, radix: u32, rest: &mut &[u8]| {
        let digits = std::str::from_utf8(rest.split_off(..digits)?).ok()?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, radix).ok())?
    };
    value.push(match byte {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' | b'"' => byte,
        b'x' => number(2, 16, rest)? as u8,
        b'0'..=b'7' => {
            let mut low = number(2, 8, rest)?;
            low += u32::from(byte - b'0') * 64;
            u8::try_from(low).ok()?
        }
        b'u' | b'U' => {
            let char = char::from_u32(number(if byte == b'u' { 4 } else { 8 }, 16, rest)?)?;
            value.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        _ => return None,
    });
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the description of the wire format: `{app="pb"}`, one entry `hello pb` at 1,700,000,000.000000005 s
    /// with `trace_id` = `0af7`, byte by byte.
    const PUSH: &[u8] = b"\x0a\x38\
        \x0a\x0a{app=\"pb\"}\
        \x12\x2a\
        \x0a\x08\x08\x80\xe2\xcf\xaa\x06\x10\x05\
        \x12\x08hello pb\
        \x1a\x14\x0a\x08trace_id\x12\x080af70af7";

    #[test]
    fn protobuf_is_read_byte_by_byte() {
        let [record] = &protobuf(PUSH).unwrap()[..] else { panic!("one record") };
        assert_eq!(record.time_nanos, Some(1_700_000_000_000_000_005));
        assert_eq!(record.message, "hello pb");
        assert_eq!(record.get("app"), Some(&"pb".into()));
        assert_eq!(record.get("trace_id"), Some(&"0af70af7".into()));
        assert_eq!(count(PUSH), 1);
    }

    #[test]
    fn protobuf_that_breaks_off_is_a_fault_and_never_a_panic() {
        for end in 1..PUSH.len() {
            assert!(protobuf(&PUSH[..end]).is_err(), "cut after {end} bytes");
        }
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        let stream = b"\x0a\x02{}\x18\x07\x21AAAAAAAA\x2dBBBB\x12\x03\x12\x01x";
        let mut push = vec![0x0a, stream.len() as u8];
        push.extend_from_slice(stream);
        assert_eq!(protobuf(&push).unwrap()[0].message, "x");
    }

    #[test]
    fn labels_are_unquoted_as_go_does() {
        let text = r#"{a="b\"}, c=\\", _d1 = "\n\t\x41\101\u00e4\U0001F600ö" , e=""}"#;
        let expected = [("a", "b\"}, c=\\"), ("_d1", "\n\tAA\u{e4}\u{1f600}ö"), ("e", "")];
        let expected: Pairs = expected.map(|(name, value)| (name.into(), value.into())).into();
        assert_eq!(labels(text).unwrap(), expected);
        assert_eq!(labels("{}").unwrap(), []);
    }

    #[test]
    fn labels_that_loki_refuses_are_a_fault() {
        for text in
            ["", "{", r#"{a="b""#, r#"{a.b="c"}"#, r#"{1a="c"}"#, r#"{a=b}"#, r#"{a="\q"}"#, r#"{a="b" c="d"}"#, "{} x"]
        {
            assert!(labels(text).is_err(), "{text}");
        }
    }

    #[test]
    fn json_gives_the_same_record_as_protobuf() {
        let push = br#"{"streams":[{"stream":{"app":"pb"},"values":[["1700000000000000005","hello pb",{"trace_id":"0af70af7"}]]}]}"#;
        assert_eq!(json(push), protobuf(PUSH));
    }

    #[test]
    fn json_that_loki_refuses_is_a_fault() {
        for push in [
            r#"{}"#,
            r#"{"streams":[{"stream":{"a":1},"values":[]}]}"#,
            r#"{"streams":[{"stream":{"a.b":"c"},"values":[]}]}"#,
            r#"{"streams":[{"stream":{},"values":[[1,"x"]]}]}"#,
            r#"{"streams":[{"stream":{},"values":[["1","x",{"n":1}]]}]}"#,
        ] {
            assert!(json(push.as_bytes()).is_err(), "{push}");
        }
    }

    #[test]
    fn level_and_id_have_places_of_their_own() {
        let push = br#"{"streams":[{"stream":{"level":"warn","app":"a"},"values":[["1","x",{"id":"7","level":"own","app":"b"}]]}]}"#;
        let record = &json(push).unwrap()[0];
        assert_eq!((record.level.as_str(), record.id.as_deref()), ("warn", Some("7")));
        assert_eq!(record.get("level_extracted"), Some(&"own".into()));
        assert_eq!(record.get("app_extracted"), Some(&"b".into()));
    }
}

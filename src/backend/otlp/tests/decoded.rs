//! Requests as OpenTelemetry's own types read them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Request;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use super::super::super::Resource;
use super::super::super::corpus::{body_of, body_once, resource};
use super::super::super::generated::Given;
use super::super::{Encoding, Otlp};
use crate::frame::Frame;

/// A record and the scope in which it stands.
pub(super) struct Record {
    pub(super) scope: String,
    pub(super) record: LogRecord,
    pub(super) attributes: BTreeMap<String, Option<Any>>,
}

impl Record {
    pub(super) fn message(&self) -> &str {
        match self.record.body.as_ref().and_then(|body| body.value.as_ref()) {
            Some(Any::StringValue(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    /// An attribute as text: texts as they are, all else as it is written in Rust.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        Some(match self.attributes.get(name)?.as_ref()? {
            Any::StringValue(text) => text.clone(),
            Any::IntValue(value) => value.to_string(),
            Any::BoolValue(value) => value.to_string(),
            other => format!("{other:?}"),
        })
    }
}

/// What both encodings say of the resource and of the records, which must be the same.
pub(super) fn decoded_of(
    otlp: &Otlp,
    frames: &[Frame],
    resource: &Resource,
) -> (BTreeMap<String, String>, Vec<Record>) {
    let mut request = from_protobuf(&body_of(&otlp.clone().encoding(Encoding::Protobuf), frames, resource));
    let mut in_json = from_json(&body_of(&otlp.clone().encoding(Encoding::Json), frames, resource));
    // Bytes differ where anything does, -0.0 and 0.0 too; all NaN are one.
    for request in [&mut request, &mut in_json] {
        each_value(request, &mut |value| {
            if let Any::DoubleValue(double) = value
                && double.is_nan()
            {
                *double = f64::NAN;
            }
        });
    }
    assert!(request.encode_to_vec() == in_json.encode_to_vec(), "{request:#?}\n{in_json:#?}");
    parts(request)
}

/// The records that protobuf alone holds.
pub(super) fn protobuf_of(otlp: &Otlp, frames: &[Frame]) -> Vec<Record> {
    parts(from_protobuf(&body_once(&otlp.clone().encoding(Encoding::Protobuf), frames))).1
}

fn parts(mut request: Request) -> (BTreeMap<String, String>, Vec<Record>) {
    assert_eq!(request.resource_logs.len(), 1);
    let of_one = request.resource_logs.remove(0);
    let attributes = once_each(of_one.resource.expect("a resource").attributes);
    let texts = attributes.into_iter().map(|(name, value)| match value {
        Some(Any::StringValue(value)) => (name, value),
        other => panic!("{name}: {other:?}"),
    });
    let mut records = Vec::new();
    for scope in of_one.scope_logs {
        let name = scope.scope.expect("a scope").name;
        for mut record in scope.log_records {
            let attributes = once_each(std::mem::take(&mut record.attributes));
            records.push(Record { scope: name.clone(), record, attributes });
        }
    }
    (texts.collect(), records)
}

pub(super) fn decoded(otlp: &Otlp, frames: &[Frame]) -> Vec<Record> {
    decoded_of(otlp, frames, &resource()).1
}

fn once_each(pairs: Vec<KeyValue>) -> BTreeMap<String, Option<Any>> {
    let mut all = BTreeMap::new();
    for pair in pairs {
        let twice = all.insert(pair.key.clone(), pair.value.expect("a value").value);
        assert!(twice.is_none(), "{:?} twice", pair.key);
    }
    all
}

fn from_protobuf(body: &[u8]) -> Request {
    Request::decode(body).expect("a request")
}

/// OpenTelemetry's types know no double that is a text, as protobuf's JSON has those that are not finite, and
/// `serde_json` does not read all digits of one: so they are read here.
fn from_json(body: &[u8]) -> Request {
    const MARK: &str = "a double: ";
    // Within a text the quotes would have a backslash before them.
    const KEY: &str = "{\"doubleValue\":";
    let body = str::from_utf8(body).expect("text");
    let mut marked = String::with_capacity(body.len());
    for (at, part) in body.split(KEY).enumerate() {
        let (double, rest) = if at == 0 { ("", part) } else { part.split_at(part.find('}').expect("its end")) };
        if at > 0 {
            marked.push_str(&format!("{{\"stringValue\":\"{MARK}{}\"", double.trim_matches('"')));
        }
        marked.push_str(rest);
    }
    let mut request = serde_json::from_str(&marked).expect("a request");
    each_value(&mut request, &mut |value| {
        if let Any::StringValue(text) = value
            && let Some(double) = text.strip_prefix(MARK)
        {
            *value = Any::DoubleValue(double.parse().expect("a double"));
        }
    });
    request
}

fn each_value(request: &mut Request, change: &mut impl FnMut(&mut Any)) {
    fn within(value: &mut AnyValue, change: &mut impl FnMut(&mut Any)) {
        let Some(value) = &mut value.value else { return };
        match value {
            Any::ArrayValue(array) => array.values.iter_mut().for_each(|value| within(value, change)),
            Any::KvlistValue(list) => {
                list.values.iter_mut().for_each(|pair| within(pair.value.as_mut().expect("a value"), change));
            }
            other => change(other),
        }
    }
    for of_one in &mut request.resource_logs {
        for record in of_one.scope_logs.iter_mut().flat_map(|scope| &mut scope.log_records) {
            for pair in &mut record.attributes {
                within(pair.value.as_mut().expect("a value"), change);
            }
        }
    }
}

/// Whether it is what was given, with its type.
pub(super) fn is(given: &Given, found: Option<&Any>) -> bool {
    match (given, found) {
        (Given::Bool(value), Some(Any::BoolValue(found))) => value == found,
        (Given::F64(value), Some(Any::DoubleValue(found))) => {
            value.to_bits() == found.to_bits() || value.is_nan() && found.is_nan()
        }
        (Given::Text(text) | Given::Error(text), Some(Any::StringValue(found))) => text == found,
        (Given::Bytes(bytes), Some(Any::BytesValue(found))) => bytes == found,
        (Given::Json(json), found) => is_json(&serde_json::from_str(json).unwrap(), found),
        (integer, found) => integer.integer().is_some_and(|digits| match found {
            Some(Any::IntValue(value)) => value.to_string() == digits,
            Some(Any::StringValue(found)) => *found == digits && digits.parse::<i64>().is_err(),
            _ => false,
        }),
    }
}

pub(super) fn is_json(json: &serde_json::Value, found: Option<&Any>) -> bool {
    use serde_json::Value as Json;
    match (json, found) {
        (Json::Null, None) => true,
        (Json::Bool(value), Some(Any::BoolValue(found))) => value == found,
        (Json::Number(value), Some(Any::IntValue(found))) => value.as_i64() == Some(*found),
        (Json::Number(value), Some(Any::DoubleValue(found))) => value.is_f64() && value.as_f64() == Some(*found),
        (Json::Number(value), Some(Any::StringValue(found))) => !value.is_i64() && value.to_string() == *found,
        (Json::String(value), Some(Any::StringValue(found))) => value == found,
        (Json::Array(values), Some(Any::ArrayValue(found))) => {
            values.len() == found.values.len()
                && values.iter().zip(&found.values).all(|(value, found)| is_json(value, found.value.as_ref()))
        }
        (Json::Object(members), Some(Any::KvlistValue(found))) => {
            let found = once_each(found.values.clone());
            members.len() == found.len()
                && members
                    .iter()
                    .all(|(name, value)| found.get(name).is_some_and(|found| is_json(value, found.as_ref())))
        }
        _ => false,
    }
}

//! Readers of pushes that know nothing of the writers: Loki's protobuf by `prost`, its JSON by `serde_json`, labels by hand.

use std::collections::BTreeMap;

use prost::Message;

// The types of Loki's `pkg/push/push.proto`.
#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct StreamAdapter {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct EntryAdapter {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<LabelPair>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

pub(super) type Pairs = BTreeMap<String, String>;

#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) labels: Pairs,
    pub(super) nanos: i64,
    pub(super) line: String,
    pub(super) metadata: Pairs,
}

impl Entry {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }
}

fn once_each(pairs: impl Iterator<Item = (String, String)>) -> Pairs {
    let mut all = Pairs::new();
    for (name, value) in pairs {
        assert!(all.insert(name.clone(), value).is_none(), "{name:?} twice");
    }
    all
}

/// Reads labels as Prometheus writes them.
fn labels(text: &str) -> Pairs {
    let mut rest = text.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
        let (mut unquoted, mut chars) = (String::new(), value.char_indices());
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => match chars.next().unwrap().1 {
                    'n' => unquoted.push('\n'),
                    'x' => {
                        let digits: String = chars.by_ref().take(2).map(|(_, digit)| digit).collect();
                        unquoted.push(char::from(u8::from_str_radix(&digits, 16).unwrap()));
                    }
                    other => unquoted.push(other),
                },
                (_, char) => {
                    assert_ne!(char, '\n');
                    unquoted.push(char);
                }
            }
        };
        pairs.push((name.to_owned(), unquoted));
        rest = value[end + 1..].strip_prefix(", ").unwrap_or_default();
    }
    once_each(pairs.into_iter())
}

pub(super) fn parse_protobuf(body: &[u8]) -> Vec<Entry> {
    let push = PushRequest::decode(&*snap::raw::Decoder::new().decompress_vec(body).unwrap()).unwrap();
    let mut entries = Vec::new();
    for stream in push.streams {
        for entry in stream.entries {
            let time = entry.timestamp.unwrap();
            entries.push(Entry {
                labels: labels(&stream.labels),
                nanos: (i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)) as i64,
                line: entry.line,
                metadata: once_each(entry.metadata.into_iter().map(|pair| (pair.name, pair.value))),
            });
        }
    }
    entries
}

pub(super) fn parse_json(body: &[u8]) -> Vec<Entry> {
    // Into a vector of pairs, so that two equal keys would be seen.
    struct Object(Vec<(String, String)>);
    impl<'de> serde::Deserialize<'de> for Object {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Object;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object of strings")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                    let mut pairs = Vec::new();
                    while let Some(pair) = map.next_entry()? {
                        pairs.push(pair);
                    }
                    Ok(Object(pairs))
                }
            }
            deserializer.deserialize_map(Visit)
        }
    }
    #[derive(serde::Deserialize)]
    struct Push {
        streams: Vec<Streams>,
    }
    #[derive(serde::Deserialize)]
    struct Streams {
        stream: Object,
        values: Vec<(String, String, Object)>,
    }
    let push: Push = serde_json::from_slice(body).unwrap();
    let mut entries = Vec::new();
    for stream in push.streams {
        let labels = once_each(stream.stream.0.into_iter());
        for (time, line, metadata) in stream.values {
            let metadata = once_each(metadata.0.into_iter());
            entries.push(Entry { labels: labels.clone(), nanos: time.parse().unwrap(), line, metadata });
        }
    }
    entries
}

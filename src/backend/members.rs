//! JSON lines taken apart by an independent parser, for the tests of what is written here.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object as they stand in the text; two equal keys are an error.
pub(super) struct Members(pub(super) BTreeMap<String, Box<RawValue>>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnceEach;
        impl<'de> Visitor<'de> for OnceEach {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if members.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("{key:?} twice")));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(OnceEach)
    }
}

impl Members {
    /// A value as text: strings without quotes and escapes, all else as it stands.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let raw = self.0.get(key)?.get();
        Some(if raw.starts_with('"') { serde_json::from_str(raw).unwrap() } else { raw.to_owned() })
    }
}

/// The objects of a body, one on each line.
pub(super) fn lines(body: &[u8]) -> Vec<Members> {
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.ends_with('\n'));
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.split_terminator('\n').map(parse).collect()
}

//! Objects in a store that makes a field `outer.inner` of each of their members.
//!
//! VictoriaLogs does, and then drops the whole record, with a success, where it has more than 1,000 fields
//! (`-insert.maxFieldsPerLine`); of two fields of one name it keeps one. So a nested value is handed to it as an object only
//! where neither can come of it, and else as JSON text: nothing in it is lost, and it is one field.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The most members, in all objects of a record together: 128 fields, 128 lengths of what was cut, 128 attributes of the
/// resource and what every record has make less than 400 fields besides.
const MEMBERS_MAX: usize = 500;

/// Frames hold no deeper nesting than sixteen levels; bytes that only look like one shall not exhaust the stack.
const DEPTH_MAX: usize = 32;

/// Names with dots that logchute, or the store, has for something else.
const OURS: [&str; 3] = ["logchute.own", "scope.name", "scope.version"];

/// What is left of a record for members of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    members: usize,
    longest_name: usize,
}

impl Room {
    /// Of a whole record; the store takes names of so many bytes.
    pub(super) const fn new(longest_name: usize) -> Self {
        Self { members: MEMBERS_MAX, longest_name }
    }

    /// Whether the field of that name may hold the value as it is; `others` are names of other fields.
    ///
    /// What is no object may: it is one field.
    #[cold]
    pub(super) fn takes<'n>(&mut self, name: &str, json: &str, others: impl Iterator<Item = &'n str>) -> bool {
        if !json.trim_start().starts_with('{') {
            return true;
        }
        // It may have been renamed, and another one may be.
        let given = name.strip_prefix("field_").unwrap_or(name);
        let is_below = |other: &str, name| other.strip_prefix(name).is_some_and(|rest: &str| rest.starts_with('.'));
        let clashes = |other: &str| is_below(other, name) || is_below(other, given);
        if OURS.into_iter().any(clashes) || { others }.any(clashes) {
            return false;
        }
        let mut found = Found::default();
        found.look(json, 0, 0);
        let fits = found.members <= self.members && name.len() + found.longest <= self.longest_name;
        if !fits || (found.has_dots && has_twice(json)) {
            return false;
        }
        self.members -= found.members;
        true
    }
}

/// What there is in an object.
#[derive(Default)]
struct Found {
    /// Members, those of objects in it included.
    members: usize,
    /// Bytes of the longest `.outer.inner`.
    longest: usize,
    /// The name of a member may look like that of a member of a member.
    has_dots: bool,
}

impl Found {
    fn look(&mut self, json: &str, above: usize, depth: usize) {
        for (name, value) in &members(json, depth) {
            self.members += 1;
            self.longest = self.longest.max(above + 1 + name.len());
            self.has_dots |= name.contains('.');
            self.look(value.get(), above + 1 + name.len(), depth + 1);
        }
    }
}

/// Whether two members, in whatever object, get one name.
fn has_twice(json: &str) -> bool {
    fn look(json: &str, above: &str, depth: usize, names: &mut HashSet<String>) -> bool {
        members(json, depth).iter().any(|(name, value)| {
            let name = format!("{above}.{name}");
            let is_twice = look(value.get(), &name, depth + 1, names);
            // The name of an object is that of no field, but a store that keeps it as text makes it one.
            is_twice || !names.insert(name)
        })
    }
    look(json, "", 0, &mut HashSet::new())
}

/// The members of what is an object, and of anything else none.
fn members(json: &str, depth: usize) -> Vec<(String, &RawValue)> {
    if depth > DEPTH_MAX || !json.trim_start().starts_with('{') {
        return Vec::new();
    }
    serde_json::from_str::<Members<'_>>(json).map(|members| members.0).unwrap_or_default()
}

/// Members of an object, as they stand in the text.
pub(super) struct Members<'j>(pub(super) Vec<(String, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        deserializer.deserialize_map(All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(name: &str, json: &str, others: &[&str]) -> bool {
        Room::new(128).takes(name, json, others.iter().copied())
    }

    fn object(members: usize) -> String {
        let members: Vec<String> = (0..members).map(|n| format!("\"m{n}\":{{\"x\":null}}")).collect();
        format!("{{{}}}", members.join(","))
    }

    #[test]
    fn objects_of_a_record_have_five_hundred_members_together() {
        // Each member is an object with one.
        assert!(takes("a", &object(250), &[]) && !takes("a", &object(251), &[]));
        let mut room = Room::new(128);
        let mut take = |members| room.takes("a", &object(members), std::iter::empty());
        assert!(take(200) && !take(51) && take(50) && !take(1));
        assert!(room.takes("a", &format!("[{}]", object(1_000)), std::iter::empty()), "an array is one field");
    }

    #[test]
    fn the_longest_name_has_as_many_bytes_as_the_store_takes() {
        let nested = |len: usize| format!(" {{\"é\":{{\"{}\":1}}}}", "j".repeat(len));
        assert!(takes(&"k".repeat(100), &nested(24), &[]), "100 + 1 + 2 + 1 + 24");
        assert!(!takes(&"k".repeat(100), &nested(25), &[]));
        assert!(!Room::new(122).takes(&"k".repeat(100), &nested(24), std::iter::empty()));
    }

    #[test]
    fn no_member_gets_the_name_of_a_field() {
        assert!(takes("a", r#"{"b":1}"#, &["b", "ab", "a-b", "a"]));
        assert!(!takes("a", r#"{"b":1}"#, &["a.b"]));
        assert!(!takes("field_id", r#"{"b":1}"#, &["id.b"]), "which is renamed as well, perhaps");
        assert!(!takes("logchute", r#"{"own":true}"#, &[]));
    }

    #[test]
    fn no_two_members_get_one_name() {
        assert!(takes("a", r#"{"b":{"c":1},"b.d":2,"":3,".":4}"#, &[]));
        assert!(!takes("a", r#"{"b":{"c":1},"b.c":2}"#, &[]));
        assert!(!takes("a", r#"{"b.c":2,"b":{"c":{}}}"#, &[]));
        assert!(!takes("a", r#"{"":{"b":1},".b":2}"#, &[]));
    }

    #[test]
    fn what_is_no_json_is_one_field() {
        for text in ["", "{", "null", "{\"a\":", "[1", "\"{\""] {
            assert!(takes("a", text, &["a.b"]) || text.starts_with('{'), "{text}");
        }
        assert!(takes("a", &"{\"a\":".repeat(100_000), &[]));
    }

    /// What VictoriaLogs makes of an object: its fields, by the names that it gives them.
    fn fields(value: &serde_json::Value, above: &str, all: &mut Vec<(String, String)>) {
        let serde_json::Value::Object(members) = value else {
            return all.push((above.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        };
        for (name, value) in members {
            let name = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
            fields(value, &name, all);
        }
    }

    /// Objects and names that are too much for it, or meet.
    fn records() -> Vec<crate::frame::Frame> {
        use crate::backend::corpus::{frame, put};
        use crate::backend::{Severity, Value};
        let (many, ten) = (object(600), object(5));
        let mut all = vec![
            frame(Severity::Info, "many members", |w| put(w, "a", Value::Json(&many))),
            frame(Severity::Info, "many objects", |w| {
                (0..128).for_each(|n| put(w, &format!("f{n}"), Value::Json(&ten)));
            }),
            frame(Severity::Info, "members and fields", |w| {
                put(w, "a", Value::Json(r#"{"b":{"c":"one"}}"#));
                put(w, "a.b", Value::Json(r#"{"c":"two"}"#));
                put(w, "x", Value::Json(r#"{"y":{"z":"three"},"y.z":"four"}"#));
            }),
        ];
        all.extend([1, 2, 64].map(|wide| {
            frame(Severity::Info, "long names", |w| {
                let name = "é".repeat(wide) + &"k".repeat(128 - 2 * wide);
                put(w, &name, Value::Json(r#"{"j":"five"}"#));
                put(w, &"n".repeat(128 - 2 * wide + 1), Value::Str("six"));
            })
        }));
        all
    }

    #[test]
    fn no_backend_hands_victorialogs_what_it_would_drop() {
        let backends: Vec<Box<dyn crate::backend::Backend>> = vec![
            Box::new(crate::backend::Ndjson::new("http://h/insert/jsonline")),
            #[cfg(feature = "elasticsearch")]
            Box::new(crate::backend::Elasticsearch::new("http://h/insert/elasticsearch")),
            #[cfg(feature = "splunk")]
            Box::new(crate::backend::Splunk::new("http://h/insert/splunk")),
        ];
        for backend in backends {
            let frames = records();
            let body = crate::backend::corpus::body(&*backend, &frames);
            let lines = std::str::from_utf8(&body).unwrap().lines().filter(|line| !line.starts_with("{\"create\""));
            let (mut texts, mut count) = (String::new(), 0);
            for line in lines {
                let (mut all, mut names) = (Vec::new(), HashSet::new());
                fields(&serde_json::from_str(line).unwrap(), "", &mut all);
                assert!(all.len() <= 1_000, "{}: {} fields", backend.url(), all.len());
                for (name, text) in all {
                    assert!(name.len() <= 128, "{}: {name:?}", backend.url());
                    texts.push_str(&text);
                    assert!(names.insert(name.clone()), "{}: {name:?} twice", backend.url());
                }
                count += 1;
            }
            assert_eq!(count, frames.len(), "{}", backend.url());
            for text in ["one", "two", "three", "four", "five", "six"] {
                assert!(texts.contains(text), "{}: {text} is gone", backend.url());
            }
        }
    }
}

//! Names as Elasticsearch takes them, and what it and we need for something else.
//!
//! A dot in a name makes an object of what stands before it: `a.b` is the member `b` of `a`. So a record with a value
//! `a` and a value `a.b` is refused, and an index in which `log` is a text refuses `log.level` ever after. Names with an
//! empty or blank part (`.a`, `a.`, `a..b`, ` `) are refused as well. What is renamed gets a name without dots.

use std::borrow::Cow;

use super::super::flat::{self, Names};
use super::super::{Field, Resource, Value};

/// Values that each document may have, and that no field may be.
const VALUES: [&str; 14] = [
    "@timestamp",
    "ecs.version",
    "event.id",
    "log.level",
    "log.logger",
    "log.origin.file.line",
    "log.origin.file.name",
    "logchute.fields",
    "logchute.level",
    "logchute.service",
    "message",
    "process.thread.name",
    "service.name",
    "span.name",
];

/// Objects in objects that each document may have, here or at another time: no field may be a value of that name.
const INNER_OBJECTS: [&str; 6] =
    ["kubernetes.container", "kubernetes.node", "kubernetes.pod", "log.origin", "log.origin.file", "process.thread"];

/// The objects that these are in, and further ones; the last two are those of Elasticsearch's own template for
/// `logs-*-*`, and of what agents write into the same index.
const OBJECTS: [&str; 15] = [
    "@timestamp",
    "ecs",
    "error",
    "event",
    "host",
    "kubernetes",
    "labels",
    "log",
    "logchute",
    "process",
    "service",
    "span",
    "trace",
    "data_stream",
    "agent",
];

/// What Elasticsearch keeps about each document.
const METADATA: [&str; 18] = [
    "_data_stream_timestamp",
    "_doc_count",
    "_feature",
    "_field_names",
    "_id",
    "_ignored",
    "_ignored_source",
    "_index",
    "_meta",
    "_nested_path",
    "_primary_term",
    "_routing",
    "_seq_no",
    "_size",
    "_source",
    "_tier",
    "_type",
    "_version",
];

const WITH_DOTS: [&str; 20] = flat::joined(VALUES, INNER_OBJECTS);
const WITHOUT_DOTS: [&str; 29] = flat::joined(flat::RESERVED, OBJECTS);
const LEAVES: [&str; 18] = flat::joined(VALUES, ["truncated", "original_len", "fields_left_out", "logchute.own"]);

/// Names that no field may have: of all that look alike, so that most others are told from them at a glance.
static DOTTED: Names<'static> = Names::new(&WITH_DOTS);
static PLAIN: Names<'static> = Names::new(&WITHOUT_DOTS);
static UNDERSCORED: Names<'static> = Names::new(&METADATA);

/// Values below which no field may be.
static VALUE: Names<'static> = Names::new(&LEAVES);

/// Whether no field may have the name, whoever speaks. A plain name is one without dots.
#[inline]
pub(super) fn is_reserved(name: &str, is_plain: bool) -> bool {
    if !is_plain {
        return DOTTED.position(name).is_some();
    }
    PLAIN.position(name).is_some() || (name.starts_with('_') && UNDERSCORED.position(name).is_some())
}

/// Whether the store takes no such name: a part of it is empty or blank.
#[inline]
pub(super) fn is_odd(name: &str, is_plain: bool) -> bool {
    if is_plain { is_blank(name) } else { name.split('.').any(is_blank) }
}

#[inline]
fn is_blank(part: &str) -> bool {
    let is_seen = |byte: &u8| byte.is_ascii_graphic();
    !part.as_bytes().first().is_some_and(is_seen) && part.chars().all(|char| char.is_whitespace() || char.is_control())
}

/// Whether it is a member of what is a value, here or in a set of names.
pub(super) fn is_below_a_value(name: &str, values: &Names<'_>) -> bool {
    objects(name).any(|object| VALUE.position(object).is_some() || values.position(object).is_some())
}

/// The objects that the name is a member of: `a` and `a.b` of `a.b.c`.
pub(super) fn objects(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').map(|(at, _)| &name[..at])
}

/// Whether a record cannot have values of both names.
pub(super) fn same(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.as_bytes().starts_with(short.as_bytes()) && long.as_bytes().get(short.len()).is_none_or(|&next| next == b'.')
}

/// The name by which people look for a field there.
#[inline]
pub(super) fn known_as<'f>(field: &Field<'f>) -> Cow<'f, str> {
    const MEMBER: &str = ".message";
    match (field.key, field.value) {
        // Its type and its causes are `KEY.type` and `KEY.chain`.
        (key, Value::Error(_)) if !key.is_empty() && key.len() + MEMBER.len() <= crate::frame::KEY_MAX => {
            Cow::Owned([key, MEMBER].concat())
        }
        // The schema has no place for a nested value there; it is renamed.
        ("error", Value::Json(_)) => Cow::Borrowed("error"),
        ("error", _) => Cow::Borrowed("error.message"),
        ("trace_id", _) => Cow::Borrowed("trace.id"),
        ("span_id", _) => Cow::Borrowed("span.id"),
        (key, _) => Cow::Borrowed(key),
    }
}

/// Without dots.
pub(super) fn tame(name: &str) -> Cow<'_, str> {
    if name.contains('.') { Cow::Owned(name.replace('.', "_")) } else { Cow::Borrowed(name) }
}

/// The attributes of a resource, by the names that they have in a document, each once.
///
/// What Kubernetes calls its own is `kubernetes.…`, as agents have it. Names with dots stay as they are, being those of
/// OpenTelemetry, which are ECS's by now; all others are `labels.NAME`.
pub(super) fn attributes(resource: &Resource) -> Vec<(String, &str)> {
    let mut all: Vec<(String, &str)> = Vec::new();
    for (key, value) in resource.attributes() {
        let known = match key {
            "namespace" => "kubernetes.namespace",
            "pod" => "kubernetes.pod.name",
            "node" => "kubernetes.node.name",
            "container" => "kubernetes.container.name",
            "host" => "host.name",
            _ => key,
        };
        let is_free = |name: &str| {
            !is_reserved(name, false)
                && !is_odd(name, false)
                && !is_below_a_value(name, &Names::of(Vec::new()))
                && !all.iter().any(|(other, _)| same(other, name))
        };
        let label = format!("labels.{}", key.replace(['.', '*', '\\'], "_"));
        let name = if known.contains('.') && is_free(known) { known.to_owned() } else { label };
        if is_free(&name) {
            all.push((name, value));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_be_an_object_as_well() {
        for (one, other) in [("a", "a"), ("a", "a.b"), ("a.b", "a.b.c"), ("é", "é.x")] {
            assert!(same(one, other) && same(other, one), "{one} {other}");
        }
        for (one, other) in [("a", "b"), ("a", "ab"), ("a.b", "a.c"), ("a.b", "a.bc"), ("", "a")] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn names_with_an_empty_part_are_odd() {
        for name in ["", " ", ".", ".a", "a.", "a..b", "a. .b", "\u{a0}", "\u{a0}.a"] {
            assert!(is_odd(name, !name.contains('.')), "{name:?}");
        }
        for name in ["a", "a.b", "@", "-", "_a", " a", "a b. c", "é"] {
            assert!(!is_odd(name, !name.contains('.')), "{name:?}");
        }
    }

    #[test]
    fn attributes_have_the_names_by_which_agents_write_them() {
        let mut resource = Resource::new("shop");
        for key in
            ["namespace", "pod", "node", "container", "host", "region", "service.version", "a*b", "message.x", "log"]
        {
            resource.set(key, key);
        }
        resource.set("", "nameless");
        resource.set("service.name.x", "below a value");
        let names: Vec<_> = attributes(&resource).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "kubernetes.namespace",
                "kubernetes.pod.name",
                "kubernetes.node.name",
                "kubernetes.container.name",
                "host.name",
                "labels.region",
                "service.version",
                "labels.a_b",
                "labels.message_x",
                "labels.log",
                "labels.service_name_x",
            ]
        );
    }
}

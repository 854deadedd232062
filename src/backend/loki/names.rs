//! Names as Loki takes them.
//!
//! Loki turns the names of structured metadata into label names: `a.b` and `a-b` become `a_b`, `1x` becomes
//! `key_1x`. Two keys that become the same would overwrite one another. How a leading `_` and several in a
//! row are treated differs between its versions, so names are the same here if they are by either way.

/// Whether every version of Loki leaves the name as it is.
#[inline]
pub(super) fn is_plain(name: &str) -> bool {
    let mut before = b'_';
    for &byte in name.as_bytes() {
        if !(byte.is_ascii_alphanumeric() || byte == b'_') || (byte == b'_' && before == b'_') {
            return false;
        }
        before = byte;
    }
    name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
}

/// Whether a version of Loki takes the two names for one.
pub(super) fn same(one: &str, other: &str) -> bool {
    // From the end, where names that begin alike differ soon.
    normal(one).rev().eq(normal(other).rev()) || collapsed(one).eq(collapsed(other))
}

fn normal(name: &str) -> impl DoubleEndedIterator<Item = u8> {
    let prefix = if name.starts_with(|first: char| first.is_ascii_digit()) { "key_" } else { "" };
    prefix.bytes().chain(name.chars().map(valid))
}

/// Last byte first.
fn collapsed(name: &str) -> impl Iterator<Item = u8> {
    let first = name.chars().next().map_or(b'_', valid);
    let prefix = if first.is_ascii_digit() {
        "key_"
    } else if first == b'_' {
        "key"
    } else {
        ""
    };
    let mut before = b'x';
    let once = move |&byte: &u8| {
        let is_another = byte == b'_' && before == b'_';
        before = byte;
        !is_another
    };
    name.chars().rev().map(valid).chain(prefix.bytes().rev()).filter(once)
}

fn valid(char: char) -> u8 {
    if char.is_ascii_alphanumeric() { char as u8 } else { b'_' }
}

/// The name of a label for a field: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub(super) fn label(field: &str) -> String {
    let mut label: String = field.chars().map(|char| char::from(valid(char))).collect();
    if !label.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        label.insert_str(0, "field_");
    }
    // Names with two in front are Loki's own.
    if label.starts_with("__") {
        label.insert_str(0, "field");
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_loki_would_merge_are_the_same() {
        for (one, other) in
            [("a.b", "a_b"), ("a-b", "a.b"), ("1x", "key_1x"), ("_x", "key_x"), ("a__b", "a_b"), ("ключ", "____")]
        {
            assert!(same(one, other) && same(other, one), "{one} {other}");
            assert!(!is_plain(one));
        }
        for (one, other) in [("a", "b"), ("a.b", "a.c"), ("x", "key_x"), ("a_b", "ab"), ("", "a")] {
            assert!(!same(one, other), "{one} {other}");
        }
        assert!(["a", "a_b", "x1", "key_x", "A"].into_iter().all(is_plain));
        assert!(!is_plain(""));
    }

    #[test]
    fn labels_have_names_that_loki_takes() {
        for (field, expected) in [
            ("http.method", "http_method"),
            ("1x", "field_1x"),
            ("", "field_"),
            ("__name__", "field__name__"),
            ("é", "_"),
        ] {
            assert_eq!(label(field), expected);
        }
    }
}

//! rsyslog: reads the file to which it appends what it got, by TCP and TLS alike.

#[cfg(feature = "syslog")]
mod doctor;
#[cfg(feature = "syslog")]
mod syslog;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lines;
use crate::server::variable;

pub(crate) struct Rsyslog {
    directory: PathBuf,
}

impl Rsyslog {
    /// Where `RSYSLOG_DIR` says. Where it listens is in `RSYSLOG_URL` and `RSYSLOG_TLS_URL`.
    pub(crate) fn from_env() -> Self {
        Self::at(variable("RSYSLOG_DIR"))
    }

    pub(crate) fn at(directory: impl AsRef<Path>) -> Self {
        Self { directory: directory.as_ref().to_owned() }
    }

    /// All messages, as far as they are written: `facility`, `severity` (a digit), `time`, `host`, `app`, `process`,
    /// `kind`, `structured` (as it was sent), `message`, all of them texts, `-` where there was nothing.
    pub(crate) fn messages(&self) -> Vec<Value> {
        lines::read(&self.directory.join("messages.jsonl"))
    }
}

/// Structured data as RFC 5424 has it: what stands in brackets, by its id, with its parameters. None where it is
/// malformed, or where a name is there twice.
pub(crate) fn structured(text: &str) -> Option<BTreeMap<String, BTreeMap<String, String>>> {
    let mut elements = BTreeMap::new();
    let mut rest = if text == "-" { "" } else { text };
    while !rest.is_empty() {
        rest = rest.strip_prefix('[')?;
        let end = rest.find([' ', ']'])?;
        let id = rest[..end].to_owned();
        rest = &rest[end..];
        let mut parameters = BTreeMap::new();
        while let Some(parameter) = rest.strip_prefix(' ') {
            let (name, value) = parameter.split_once("=\"")?;
            let (value, after) = quoted(value)?;
            if parameters.insert(name.to_owned(), value).is_some() {
                return None;
            }
            rest = after;
        }
        rest = rest.strip_prefix(']')?;
        if elements.insert(id, parameters).is_some() {
            return None;
        }
    }
    Some(elements)
}

/// The value up to its quotation mark, and what follows. `"`, `\` and `]` have a `\` before them, which stands for itself
/// before anything else.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' if text[at + 1..].starts_with(['"', '\\', ']']) => value.extend(chars.next().map(|(_, char)| char)),
            char => value.push(char),
        }
    }
    None
}

#[test]
fn structured_data_is_read_without_its_escapes() {
    let texts = |pairs: &[(&str, &str)]| pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    let read = structured(r#"[a@1 x="1" y="q\"b\\c\]d\n="][b]"#);
    let expected =
        [("a@1".to_owned(), texts(&[("x", "1"), ("y", r#"q"b\c]d\n="#)])), ("b".to_owned(), BTreeMap::new())];
    assert_eq!(read, Some(expected.into()));
    assert_eq!(structured("-"), Some(BTreeMap::new()));
    for malformed in ["[", "[a", r#"[a x="1]"#, r#"[a x="1" x="2"]"#, "[a][a]", "text", r#"[a x="1"] more"#] {
        assert_eq!(structured(malformed), None, "{malformed}");
    }
}

#[test]
#[ignore = "needs rsyslog: tests/servers/rsyslog.sh"]
fn messages_in_both_framings_are_read() {
    use crate::http::{address, send};
    for counted in [true, false] {
        let text = crate::server::unique();
        let message = format!("<11>1 2026-11-24T08:00:00.5Z web-1 shop 7 kind [a@1 x=\"1\"] {text}");
        let frame = if counted { format!("{} {message}", message.len()) } else { format!("{message}\n") };
        send(address(&variable("RSYSLOG_URL")), frame);
        let all = || Rsyslog::from_env().messages();
        let found = crate::there_and_back::until(|| all().into_iter().find(|found| found["message"] == text));
        let expected = serde_json::json!({
            "facility": "user", "severity": "3", "time": "2026-11-24T08:00:00.5Z", "host": "web-1", "app": "shop",
            "process": "7", "kind": "kind", "structured": "[a@1 x=\"1\"]", "message": text,
        });
        assert_eq!(found, expected);
    }
}

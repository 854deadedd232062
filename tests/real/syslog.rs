//! What comes back of a record that went by syslog, whichever server has it: names and values as structured data has
//! them, and of a message that is longer than a server takes the beginning.

use logchute::Destination;
use logchute::backend::{Framing, Syslog};

use crate::corpus::TAKEN;
use crate::given::Given;

/// The element that has the fields.
pub(crate) const ELEMENT: &str = "logchute@32473";

/// What a message has besides: where it was made and by whom, and what was cut of it.
pub(crate) const ADDS: [&str; 13] = [
    "container",
    "file",
    "host",
    "line",
    "module",
    "namespace",
    "node",
    "original_len",
    "pod",
    "span",
    "target",
    "thread",
    "truncated",
];

/// rsyslog takes no octet-counted message of more than 200,000 bytes, whatever it is set to.
const MESSAGE_BYTES: usize = 190_000;

pub(crate) fn destination(url: &str, framing: Framing) -> Destination {
    Syslog::new(url).framing(framing).message_bytes(MESSAGE_BYTES).into()
}

/// A text on one line, where that is what tells one message from the next.
pub(crate) fn text(given: &str, framing: Framing) -> String {
    match framing {
        Framing::Newline => given.replace('\n', "\\n").replace('\r', "\\r").replace('\0', "#000"),
        _ => given.to_owned(),
    }
}

/// A message; the long ones of the corpus are cut once, to half of what is permitted.
pub(crate) fn message(given: &str, framing: Framing) -> String {
    const MARK: &str = "…[cut]";
    if given.len() < MESSAGE_BYTES {
        // White space at the end is left away.
        return text(given.trim_end_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']), framing);
    }
    let mut end = MESSAGE_BYTES / 2 - MARK.len();
    while !given.is_char_boundary(end) {
        end -= 1;
    }
    text(&given[..end], framing) + MARK
}

/// The name in structured data, in which each character that may not stand there is `_`.
pub(crate) fn field(key: &str, given: &Given) -> Vec<(String, Given)> {
    let name = if TAKEN.contains(&key) { format!("field_{key}") } else { key.to_owned() };
    let one = |char: char| if matches!(char, '!'..='~') && !"=]\"".contains(char) { char } else { '_' };
    vec![(name.chars().map(one).collect(), given.clone())]
}

/// Whether that text is the value. Line breaks in it are `\n` and `\r`.
pub(crate) fn is(given: &Given, found: &str, framing: Framing) -> bool {
    match given {
        Given::Text(value) => text(value, framing).replace('\n', "\\n").replace('\r', "\\r") == found,
        given => given.is_text(found),
    }
}

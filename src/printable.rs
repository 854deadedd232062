//! What a terminal may be shown: text in which nothing can move the cursor, recolour, reorder or hide a line.

use std::fmt::Write as _;

/// Whether a terminal, or the eye in front of it, may take this character for something else than text:
/// C0 and C1 controls and DEL (escape sequences begin with ESC or U+009B), the marks that reorder a line
/// (U+202A to U+202E, U+2066 to U+2069), and the line and paragraph separators.
pub(crate) fn is_hostile(char: char) -> bool {
    matches!(char,
        '\0'..='\x1F' | '\x7F'..='\u{9F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// Appends `text` with every hostile character escaped, those in `kept` excepted.
pub(crate) fn escape(out: &mut String, text: &str, kept: &[char]) {
    let mut plain = 0;
    for (at, char) in text.char_indices() {
        if is_hostile(char) && !kept.contains(&char) {
            out.push_str(&text[plain..at]);
            escape_char(out, char);
            plain = at + char.len_utf8();
        }
    }
    out.push_str(&text[plain..]);
}

/// Appends the escaped form of one character, as Rust would write it.
pub(crate) fn escape_char(out: &mut String, char: char) {
    match char {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ if char.is_ascii() => {
            let _ = write!(out, "\\x{:02x}", u32::from(char));
        }
        _ => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(char));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b2_no_control_character_reaches_a_terminal() {
        for char in (0..=0x2FFF).chain([0xFEFF]).filter_map(char::from_u32) {
            let mut out = String::new();
            escape(&mut out, &format!("a{char}b"), &[]);
            assert!(!out.chars().any(|c| c.is_control()), "U+{:04X} came through as {out:?}", u32::from(char));
            let marks = matches!(char, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
            assert_eq!(out != format!("a{char}b"), char.is_control() || marks || char == '\u{FEFF}');
        }
    }

    #[test]
    fn what_is_kept_stays_and_the_rest_is_readable() {
        let mut out = String::new();
        escape(&mut out, "a\n\tb\u{1b}[31mc\u{202e}ö", &['\n', '\t']);
        assert_eq!(out, "a\n\tb\\x1b[31mc\\u{202e}ö");
    }
}

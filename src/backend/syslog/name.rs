//! Names as structured data may have them: at most 32 printable ASCII characters without `=`, space, `]` and `"`
//! (RFC 5424 §6.3.3).

use std::borrow::Cow;

pub(super) const LONGEST: usize = 32;

/// Whether a name may stand there as it is.
#[inline]
pub(super) fn is_plain(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(is_allowed)
}

#[inline]
const fn is_allowed(byte: u8) -> bool {
    matches!(byte, 33..=126) && !matches!(byte, b'=' | b']' | b'"')
}

/// The name as it stands there: `_` for each character that may not, and of a longer one the beginning and a sum.
pub(super) fn allowed(name: &str) -> Cow<'_, str> {
    if is_plain(name) {
        return Cow::Borrowed(name);
    }
    let one = |char: char| if u8::try_from(char).is_ok_and(is_allowed) { char } else { '_' };
    let mut made: String = name.chars().map(one).collect();
    if made.len() > LONGEST {
        // FNV-1a, over what was given: two long names that begin alike stay different.
        let sum = name.bytes().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        made.truncate(LONGEST - 9);
        made.push_str(&format!("~{sum:08x}"));
    }
    if made.is_empty() {
        made.push('_');
    }
    Cow::Owned(made)
}

/// Whether two names stand there as the same one.
pub(super) fn same(one: &str, other: &str) -> bool {
    // Most differ early, which is found without making either.
    let begin = |name: &str| {
        let mut begin = [0; LONGEST - 9];
        for (to, char) in begin.iter_mut().zip(name.chars()) {
            *to = u8::try_from(char).ok().filter(|&byte| is_allowed(byte)).unwrap_or(b'_');
        }
        begin
    };
    one == other || (begin(one) == begin(other) && allowed(one) == allowed(other))
}

/// A part of the head: what is no printable ASCII is `_`, and it is cut; `-` where there is nothing.
pub(super) fn head(text: &str, most: usize) -> String {
    let one = |char: char| if matches!(char, '!'..='~') { char } else { '_' };
    let made: String = text.chars().map(one).take(most).collect();
    if made.is_empty() { "-".to_owned() } else { made }
}

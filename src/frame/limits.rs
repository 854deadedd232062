//! How large a record may be, and what stands where it was cut.

use crate::fnv::fnv;

/// The message and each value: 256 KiB, the mark included. It is also the line limit of Loki
/// (`max_line_size`) and of VictoriaLogs (`-insert.maxLineSizeBytes`).
pub(crate) const VALUE_MAX: usize = 256 * 1024;
/// A whole record.
pub(crate) const FRAME_MAX: usize = 1024 * 1024;
/// What fields leave of it, so that a message that comes after them still has room.
pub(crate) const MESSAGE_ROOM: usize = 8 * 1024;
/// Fields may fill a frame to here.
pub(crate) const FIELDS_END_MAX: usize = FRAME_MAX - MESSAGE_ROOM;
/// Fields of a record, those of its spans included.
pub(crate) const FIELDS_MAX: usize = 128;
/// Spans of a record, counted from the innermost; deeper nesting is a recursion, and its outer end is left out.
pub(crate) const SPANS_MAX: usize = 128;
/// A field's name. VictoriaLogs (`maxFieldNameSize`) drops the whole record for a longer one.
pub(crate) const KEY_MAX: usize = 128;
/// Arrays and objects inside one another in a nested value.
pub(crate) const DEPTH_MAX: usize = 16;
/// Ends a text that was cut.
pub(crate) const CUT_MARK: &str = "…[cut]";
/// Stands in place of what was nested too deep.
const DEEP_MARK: &[u8] = "\"…[nested too deep]\"".as_bytes();

/// The largest index at which a text may be cut.
pub(crate) trait CharBoundary {
    fn floor_char_boundary_at(&self, at: usize) -> usize;
}

impl CharBoundary for str {
    fn floor_char_boundary_at(&self, at: usize) -> usize {
        if at >= self.len() {
            return self.len();
        }
        (0..=at).rev().find(|&at| self.is_char_boundary(at)).unwrap_or(0)
    }
}

/// A key of at most `most` bytes: cut ones end with a checksum, so that two of them stay different.
pub(crate) fn cut_key(key: &str, most: usize, buffer: &mut String) {
    let sum = fnv(key.bytes());
    buffer.clear();
    buffer.push_str(&key[..key.floor_char_boundary_at(most.saturating_sub(3 + 8))]);
    buffer.push('…');
    buffer.push_str(&format!("{:08x}", (sum >> 32) as u32 ^ sum as u32));
}

/// Copies JSON text, with a mark in place of every array or object that is nested deeper than
/// [`DEPTH_MAX`].
///
/// Returns `None` where nothing had to be replaced.
pub(crate) fn cut_nesting(json: &str) -> Option<String> {
    let mut out: Option<Vec<u8>> = None;
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (at, &byte) in json.as_bytes().iter().enumerate() {
        let was_deep = depth > DEPTH_MAX;
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            match byte {
                b'"' => in_text = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth > DEPTH_MAX || was_deep {
            let out = out.get_or_insert_with(|| json.as_bytes()[..at].to_vec());
            if !was_deep {
                out.extend_from_slice(DEEP_MARK);
            }
        } else if let Some(out) = &mut out {
            out.push(byte);
        }
    }
    out.map(|out| String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_cut_below_the_sixteenth_level_and_stays_json() {
        let shallow = format!("{}1{}", "[".repeat(16), "]".repeat(16));
        assert_eq!(cut_nesting(&shallow), None);
        let deep = format!(r#"{{"a":{}1{},"b":"[[\"{{"}}"#, "[".repeat(1000), "]".repeat(1000));
        let cut = cut_nesting(&deep).unwrap();
        let value: serde_json::Value = serde_json::from_str(&cut).unwrap();
        assert_eq!(value["b"], "[[\"{");
        let mut inner = &value["a"];
        let mut depth = 1;
        while let Some(next) = inner.get(0) {
            inner = next;
            depth += 1;
        }
        assert_eq!((depth, inner.as_str()), (16, Some("…[nested too deep]")));
    }

    #[test]
    fn long_keys_that_begin_alike_stay_different() {
        let (mut one, mut two) = (String::new(), String::new());
        cut_key(&format!("{}1", "k".repeat(65_536)), KEY_MAX, &mut one);
        cut_key(&format!("{}2", "k".repeat(65_536)), KEY_MAX, &mut two);
        assert_ne!(one, two);
        assert_eq!(one.len(), KEY_MAX);
    }
}

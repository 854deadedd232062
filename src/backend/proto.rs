//! Protobuf, written straight into the body.

/// Appends a base-128 number.
#[inline]
pub(super) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Bytes that [`varint`] takes.
#[inline]
pub(super) const fn varint_len(number: u64) -> usize {
    (70 - (number | 1).leading_zeros() as usize) / 7
}

/// A number that is not the default; signed ones of type `int32` or `int64` go in as `as u64`.
#[inline]
pub(super) fn number(out: &mut Vec<u8>, field: u8, number: u64) {
    if number != 0 {
        out.push(field << 3);
        varint(out, number);
    }
}

/// A string or bytes; an empty one is the default, but in a repeated field it counts, so it is written.
#[inline]
pub(super) fn text(out: &mut Vec<u8>, field: u8, text: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Bytes that [`text`] takes.
#[inline]
pub(super) const fn text_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// A message in a message. `len_bytes` is a guess at the bytes that its length will take: right ones save
/// that the message is moved once it is complete.
#[inline]
pub(super) fn nested<R>(out: &mut Vec<u8>, field: u8, len_bytes: usize, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    out.push(field << 3 | 2);
    let at = out.len();
    out.resize(at + len_bytes, 0);
    let result = write(out);
    let len = (out.len() - at - len_bytes) as u64;
    if varint_len(len) != len_bytes {
        out.splice(at..at + len_bytes, std::iter::repeat_n(0, varint_len(len)));
    }
    let mut left = len;
    let last = at + varint_len(len) - 1;
    for byte in &mut out[at..last] {
        *byte = left as u8 | 0x80;
        left >>= 7;
    }
    out[last] = left as u8;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_message_is_right_whatever_length_was_guessed() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            for guess in 1..=4 {
                let mut out = Vec::new();
                nested(&mut out, 3, guess, |out| out.resize(out.len() + len, 7));
                let mut expected = vec![3 << 3 | 2];
                prost::encoding::encode_varint(len as u64, &mut expected);
                expected.resize(expected.len() + len, 7);
                assert!(out == expected, "{len} {guess}");
            }
        }
    }

    #[test]
    fn numbers_are_as_an_independent_writer_has_them() {
        for number in (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit]).chain([u64::MAX]) {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            varint(&mut ours, number);
            prost::encoding::encode_varint(number, &mut theirs);
            assert_eq!(ours, theirs);
            assert_eq!(varint_len(number), theirs.len());
        }
    }
}

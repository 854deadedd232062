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

/// A number of eight bytes; in a oneof the default counts too, so it is written.
#[cfg(feature = "otlp")]
#[inline]
pub(super) fn fixed64(out: &mut Vec<u8>, field: u8, number: u64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&number.to_le_bytes());
}

/// A number of four bytes.
#[cfg(feature = "otlp")]
#[inline]
pub(super) fn fixed32(out: &mut Vec<u8>, field: u8, number: u32) {
    out.push(field << 3 | 5);
    out.extend_from_slice(&number.to_le_bytes());
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

/// Reads the fields of a message one by one.
#[cfg(feature = "otlp")]
pub(super) struct Reader<'a> {
    left: &'a [u8],
    is_cut: bool,
}

/// The value of a field.
#[cfg(feature = "otlp")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// One of fixed length.
    Fixed,
}

#[cfg(feature = "otlp")]
impl<'a> Reader<'a> {
    /// With `is_cut` the end may be missing: what there is of the last field is taken for all of it.
    pub(super) fn new(message: &'a [u8], is_cut: bool) -> Self {
        Self { left: message, is_cut }
    }

    /// The next field and its value, `Some(None)` at the end, `None` where it is no message.
    #[allow(clippy::option_option, reason = "the outer one is for the question mark")]
    pub(super) fn next_field(&mut self) -> Option<Option<(u64, Field<'a>)>> {
        if self.left.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.take(8).map(|_| Field::Fixed)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                let len = if self.is_cut { len.min(self.left.len()) } else { len };
                Field::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Field::Fixed)?,
            _ => return None,
        };
        Some(Some((tag >> 3, value))).filter(|_| tag >> 3 > 0)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(len)?;
        self.left = left;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for at in 0..10 {
            let (&byte, left) = self.left.split_first()?;
            self.left = left;
            number |= u64::from(byte & 0x7F) << (7 * at);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
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

    #[cfg(feature = "otlp")]
    #[test]
    fn fields_are_read_as_an_independent_writer_has_them() {
        let mut message = Vec::new();
        prost::encoding::int64::encode(1, &-1, &mut message);
        prost::encoding::fixed64::encode(2, &7, &mut message);
        prost::encoding::string::encode(300, &"text".to_owned(), &mut message);
        prost::encoding::fixed32::encode(4, &7, &mut message);
        let mut reader = Reader::new(&message, false);
        let expected =
            [(1, Field::Number(u64::MAX)), (2, Field::Fixed), (300, Field::Bytes(b"text")), (4, Field::Fixed)];
        for field in expected {
            assert_eq!(reader.next_field(), Some(Some(field)));
        }
        assert_eq!(reader.next_field(), Some(None));
        let mut ours = Vec::new();
        fixed64(&mut ours, 2, 7);
        fixed32(&mut ours, 4, 7);
        let mut theirs = Vec::new();
        prost::encoding::fixed64::encode(2, &7, &mut theirs);
        prost::encoding::fixed32::encode(4, &7, &mut theirs);
        assert_eq!(ours, theirs);
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn what_is_no_message_is_not_read() {
        for bad in [&[0x0A, 5, 1][..], &[0x0A], &[0x09, 1], &[0x0B], &[0x80; 11], &[0x02, 0], &[0x0A, 0xFF, 0xFF]] {
            assert_eq!(Reader::new(bad, false).next_field(), None, "{bad:?}");
        }
        assert_eq!(Reader::new(&[0x0A, 5, 1], true).next_field(), Some(Some((1, Field::Bytes(&[1])))));
    }
}

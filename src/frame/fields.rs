//! The fields and spans in a frame, read in place.

use tracing::Metadata;

use super::read::{Field, RecordRef, Value};
use super::{ABSENT, FIELDS_MAX, KEY_INLINE, tag};

#[inline]
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Takes numbers and texts off the front; `None` once there is nothing left to take.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(*taken)
    }

    #[inline]
    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn callsite_text(&mut self) -> Option<&'a str> {
        match self.array().map(u16::from_le_bytes)? {
            ABSENT => None,
            len => self.take(usize::from(len)).map(text),
        }
    }
}

/// The fields that stand in one place, as they come.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) callsite: Option<&'static Metadata<'static>>,
    /// Where the message stands among them, and how many bytes to pass over.
    pub(super) message: (usize, usize),
}

impl<'a> Entries<'a> {
    pub(super) fn of_span(fields: &'a [u8]) -> Self {
        Self { reader: Reader { bytes: fields, at: 0 }, callsite: None, message: (usize::MAX, 0) }
    }
}

impl<'a> Entries<'a> {
    /// The next field as it stands: name, tag without the mark of a cut, value, and length where it was cut.
    #[inline(always)]
    pub(super) fn next_raw(&mut self) -> Option<(Name<'a>, u8, Raw<'a>, Option<u64>)> {
        let reader = &mut self.reader;
        if reader.at == self.message.0 {
            reader.at = reader.at.saturating_add(self.message.1);
            self.message.0 = usize::MAX;
        }
        let key = match reader.u8()? {
            KEY_INLINE => {
                let len = reader.u8()?;
                Name::Inline(reader.take(usize::from(len))?)
            }
            index => Name::Callsite(self.callsite?.fields().iter().nth(usize::from(index))?.name()),
        };
        let tag = reader.u8()?;
        let value = match tag & !tag::CUT {
            tag::FALSE => Raw::Value(Value::Bool(false)),
            tag::TRUE => Raw::Value(Value::Bool(true)),
            tag::I64 => Raw::Value(Value::I64(i64::from_le_bytes(reader.array()?))),
            tag::U64 => Raw::Value(Value::U64(u64::from_le_bytes(reader.array()?))),
            tag::I128 => Raw::Value(Value::I128(i128::from_le_bytes(reader.array()?))),
            tag::U128 => Raw::Value(Value::U128(u128::from_le_bytes(reader.array()?))),
            tag::F64 => Raw::Value(Value::F64(f64::from_le_bytes(reader.array()?))),
            tag::BYTES => {
                let len = reader.u32()? as usize;
                Raw::Value(Value::Bytes(reader.take(len)?))
            }
            tag::STR | tag::ERROR | tag::JSON => {
                let len = reader.u32()? as usize;
                Raw::Text(reader.take(len)?)
            }
            _ => return None,
        };
        let original_len = if tag & tag::CUT == 0 { None } else { Some(reader.u64()?) };
        Some((key, tag & !tag::CUT, value, original_len))
    }
}

/// The name of a field: only that of a callsite is known to be text.
#[derive(Clone, Copy)]
pub(super) enum Name<'a> {
    Callsite(&'static str),
    Inline(&'a [u8]),
}

impl<'a> Name<'a> {
    #[inline]
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Callsite(name) => name.as_bytes(),
            Self::Inline(bytes) => bytes,
        }
    }
}

/// A value whose text is not known to be one.
#[derive(Clone, Copy)]
pub(crate) enum Raw<'a> {
    /// Anything but a text.
    Value(Value<'a>),
    /// Text, error or nested value.
    Text(&'a [u8]),
}

impl<'a> Iterator for Entries<'a> {
    type Item = Field<'a>;

    // Inlined to the last: returned from a call, a field of 80 bytes would be copied at each step.
    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        let (key, tag, value, original_len) = self.next_raw()?;
        let value = match (value, tag) {
            (Raw::Value(value), _) => value,
            (Raw::Text(bytes), tag::JSON) => Value::Json(text(bytes)),
            (Raw::Text(bytes), tag::ERROR) => Value::Error(text(bytes)),
            (Raw::Text(bytes), _) => Value::Str(text(bytes)),
        };
        let key = match key {
            Name::Callsite(name) => name,
            Name::Inline(bytes) => text(bytes),
        };
        Some(Field { key, value, original_len })
    }
}

/// As many of these fields as are within `most` and `room` bytes: their number and their bytes.
pub(super) fn fields_prefix(fields: &[u8], most: usize, room: usize) -> (usize, &[u8]) {
    let mut entries = Entries::of_span(fields);
    let (mut count, mut end) = (0, 0);
    while count < most && entries.next().is_some() && entries.reader.at <= room {
        (count, end) = (count + 1, entries.reader.at);
    }
    (count, &fields[..end])
}

/// Whether the field of that key, which stands behind an error, tells that error's type or causes.
fn is_part_of_error(error: &str, key: &str) -> bool {
    matches!(key.strip_prefix(error), Some(".type" | ".chain"))
}

/// The fields of `old` whose keys do not occur in `new`: their number and their bytes.
///
/// With an error go its type and its causes, which the error in its place need not have.
pub(crate) fn fields_without(old: &[u8], new: &[u8]) -> (usize, Vec<u8>) {
    let mut kept = Vec::with_capacity(old.len() + new.len());
    let (mut count, mut start) = (0, 0);
    let mut replaced_error = None;
    let mut entries = Entries::of_span(old);
    while let Some(field) = entries.next() {
        let end = entries.reader.at;
        if replaced_error.is_some_and(|error| is_part_of_error(error, field.key)) {
        } else if Entries::of_span(new).any(|other| other.key == field.key) {
            replaced_error = matches!(field.value, Value::Error(_)).then_some(field.key);
        } else {
            replaced_error = None;
            kept.extend_from_slice(&old[start..end]);
            count += 1;
        }
        start = end;
    }
    (count, kept)
}

/// The names of a record's spans, innermost first.
#[derive(Clone, Copy)]
pub struct Spans<'a> {
    pub(super) reader: Reader<'a>,
    /// No frame of ours has more; bytes that only look like one shall not keep a reader busy.
    pub(super) left: usize,
}

impl<'a> Spans<'a> {
    #[inline]
    pub(super) fn next_with_fields(&mut self) -> Option<(&'a str, &'a [u8])> {
        self.left = self.left.checked_sub(1)?;
        let len = self.reader.u8()?;
        let name = text(self.reader.take(usize::from(len))?);
        let len = self.reader.u32()? as usize;
        Some((name, self.reader.take(len)?))
    }
}

impl<'a> Iterator for Spans<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        self.next_with_fields().map(|(name, _)| name)
    }
}

/// The fields of a record; see [`RecordRef::fields`].
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    pub(super) record: RecordRef<'a>,
    pub(super) now: Entries<'a>,
    pub(super) spans: Spans<'a>,
    /// 0 while `now` are the record's own fields, then the position of the span whose fields they are.
    pub(super) spans_begun: usize,
    /// As in [`Spans`].
    pub(super) left: usize,
    pub(super) may_repeat: bool,
    /// The error that was just left out because another field takes its place.
    pub(super) replaced_error: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// The record that they belong to.
    #[inline]
    pub(crate) fn record(&self) -> RecordRef<'a> {
        self.record
    }

    /// Whether another field takes the place of this one, which is the last that `now` gave.
    ///
    /// With an error go its type and its causes, which the field in its place need not have.
    #[inline(never)]
    fn is_replaced(&mut self, key: &'a str, is_error: bool) -> bool {
        if self.replaced_error.is_some_and(|error| is_part_of_error(error, key)) {
            return true;
        }
        let replaced = self.is_replaced_by_name(key);
        self.replaced_error = (replaced && is_error).then_some(key);
        replaced
    }

    fn is_replaced_by_name(&self, key: &str) -> bool {
        let has = |entries: Entries<'a>| entries.take(FIELDS_MAX).any(|field| field.key == key);
        if self.spans_begun == 0 {
            return self.may_repeat && has(self.now);
        }
        let mut inner_spans = self.record.spans();
        has(self.record.own_entries())
            || (1..self.spans_begun)
                .any(|_| inner_spans.next_with_fields().is_some_and(|(_, fields)| has(Entries::of_span(fields))))
            || has(self.now)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    // Inlined to the last: returned from a call, a field of 80 bytes would be copied at each step.
    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            match self.now.next() {
                Some(field) => {
                    self.left = self.left.checked_sub(1)?;
                    let may_be_replaced = self.may_repeat || self.spans_begun > 0;
                    if !may_be_replaced || !self.is_replaced(field.key, matches!(field.value, Value::Error(_))) {
                        return Some(field);
                    }
                }
                None => {
                    let (_, fields) = self.spans.next_with_fields()?;
                    self.now = Entries::of_span(fields);
                    self.spans_begun += 1;
                    self.replaced_error = None;
                }
            }
        }
    }
}

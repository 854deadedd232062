//! Reads frames in place. Every length is checked: what does not add up reads as absent, never as a panic.

use tracing::Metadata;

use super::callsite::repeats_a_name;
use super::fields::{Entries, Fields, Raw, Reader, Spans, text};
use super::{
    FIELDS_MAX, FLAG_INLINE_CALLSITE, FLAG_MESSAGE_CUT, FLAG_NAMED_KEYS, FLAG_OWN, HEAD, SPANS_MAX, Severity, tag,
};

/// What tells one record from all others, the same on every attempt and after a restart.
///
/// # Examples
///
/// ```
/// use logchute::backend::RecordId;
///
/// let id = RecordId { incarnation: 0xAB, sequence: 3 };
/// assert_eq!(id.to_string(), "000000000000000000000000000000ab-0000000000000003");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// A random number of the process, or rather of the pipeline in it.
    pub incarnation: u128,
    /// Its place in the pipeline's order.
    pub sequence: u64,
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}-{:016x}", self.incarnation, self.sequence)
    }
}

/// The value of a field, with the type that it had in the program.
///
/// # Examples
///
/// ```
/// use logchute::backend::Value;
///
/// fn is_number(value: Value<'_>) -> bool {
///     matches!(value, Value::I64(_) | Value::U64(_) | Value::I128(_) | Value::U128(_) | Value::F64(_))
/// }
///
/// assert!(is_number(Value::F64(0.5)) && !is_number(Value::Str("0.5")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A truth value.
    Bool(bool),
    /// An integer that fits `i64`.
    I64(i64),
    /// An unsigned integer of 64 bits.
    U64(u64),
    /// An integer below `i64::MIN`, or a signed one above `u64::MAX`.
    I128(i128),
    /// An integer above `u64::MAX`.
    U128(u128),
    /// A floating-point number; may be NaN or infinite.
    F64(f64),
    /// A text, or the text form of a value that has no other.
    Str(&'a str),
    /// Bytes that need not be text.
    Bytes(&'a [u8]),
    /// A nested value, as JSON text.
    Json(&'a str),
    /// The message of an error; its type and causes are fields of their own, `KEY.type` and `KEY.chain`.
    Error(&'a str),
}

/// A field: its name, its value, and the length that the value had where it was cut.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Field<'a> {
    /// The name, at most 128 bytes.
    pub key: &'a str,
    /// The value.
    pub value: Value<'a>,
    /// Bytes of the value as it was given, where that was more than is kept.
    pub original_len: Option<u64>,
}

/// A record, borrowed from the bytes that its calling thread wrote.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    callsite: Option<&'static Metadata<'static>>,
    bytes: &'a [u8],
    nanos: i64,
    id: RecordId,
}

impl<'a> RecordRef<'a> {
    /// `nanos` is the time as the worker numbered it, which is the time in the bytes or slightly after.
    #[inline]
    pub(crate) fn new(callsite: Option<&'static Metadata<'static>>, bytes: &'a [u8], nanos: i64, id: RecordId) -> Self {
        Self { callsite, bytes, nanos, id }
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z, different for neighbours.
    #[must_use]
    #[inline]
    pub fn unix_nanos(&self) -> i64 {
        self.nanos
    }

    /// What tells it from all other records.
    #[must_use]
    #[inline]
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// Its level.
    #[must_use]
    #[inline]
    pub fn severity(&self) -> Severity {
        Severity::from_number(self.byte(8))
    }

    /// Whether logchute wrote it itself, to announce a loss.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.byte(9) & FLAG_OWN != 0
    }

    /// The message; empty where there is none.
    #[must_use]
    #[inline]
    pub fn message(&self) -> &'a str {
        text(self.message_bytes())
    }

    /// Bytes of the message as it was given, where that was more than is kept.
    #[must_use]
    pub fn message_original_len(&self) -> Option<u64> {
        if self.byte(9) & FLAG_MESSAGE_CUT == 0 {
            return None;
        }
        let (at, len) = self.message_place();
        Some(Reader { bytes: self.bytes, at: at.saturating_add(len) }.u64().unwrap_or(0))
    }

    /// How many fields were left out because the record had too many, or too long ones.
    #[must_use]
    pub fn fields_left_out(&self) -> u16 {
        u16::from_le_bytes([self.byte(10), self.byte(11)])
    }

    /// The name of the thread that made it.
    #[must_use]
    #[inline]
    pub fn thread(&self) -> &'a str {
        let len = usize::from(self.byte(HEAD));
        text(self.bytes.get(HEAD + 1..HEAD + 1 + len).unwrap_or_default())
    }

    /// The target; the module path where none was given.
    #[must_use]
    #[inline]
    pub fn target(&self) -> &'a str {
        match self.callsite {
            Some(callsite) => callsite.target(),
            None => self.inline_callsite().0.unwrap_or_default(),
        }
    }

    /// The module path.
    #[must_use]
    pub fn module(&self) -> Option<&'a str> {
        self.callsite.map_or_else(|| self.inline_callsite().1, |callsite| callsite.module_path())
    }

    /// The source file.
    #[must_use]
    #[inline]
    pub fn file(&self) -> Option<&'a str> {
        self.callsite.map_or_else(|| self.inline_callsite().2, |callsite| callsite.file())
    }

    /// The line in the source file.
    #[must_use]
    #[inline]
    pub fn line(&self) -> Option<u32> {
        self.callsite.map_or_else(|| self.inline_callsite().3, |callsite| callsite.line())
    }

    /// A safe guess at how many bytes a text format makes of it.
    #[inline]
    pub(crate) fn encoded_hint(&self) -> usize {
        let callsite = self.callsite.map_or(0, |site| site.target().len() + site.file().map_or(0, str::len));
        self.bytes.len() * 5 / 4 + callsite + 192
    }

    /// The names of its spans, innermost first.
    #[must_use]
    #[inline]
    pub fn spans(&self) -> Spans<'a> {
        Spans { reader: Reader { bytes: self.bytes, at: self.number(20) }, left: SPANS_MAX }
    }

    /// The fields: its own, then those of its spans from the innermost outwards, each name once.
    ///
    /// Where a name occurs more than once, the record's own value beats that of a span, an inner span
    /// beats an outer one, and of two in the same place the later one stays.
    #[must_use]
    #[inline]
    pub fn fields(&self) -> Fields<'a> {
        let own = self.own_entries();
        let may_repeat = self.byte(9) & FLAG_NAMED_KEYS != 0 || self.callsite.is_some_and(repeats_a_name);
        Fields {
            record: *self,
            now: own,
            spans: self.spans(),
            spans_begun: 0,
            left: FIELDS_MAX,
            may_repeat,
            replaced_error: None,
        }
    }

    /// Calls `each` with the name and the value of every field, those included whose place another one
    /// takes: cheaper than [`fields`](Self::fields), for who wants to know how long they are.
    #[inline]
    pub(crate) fn weigh_fields(&self, mut each: impl FnMut(&'a [u8], Raw<'a>)) {
        self.weigh_fields_and_nested(|key, _, value| each(key, value));
    }

    /// The same; `each` is also told whether the value is a nested one.
    #[inline]
    pub(crate) fn weigh_fields_and_nested(&self, mut each: impl FnMut(&'a [u8], bool, Raw<'a>)) {
        let mut own = self.own_entries();
        let mut left = FIELDS_MAX;
        while let Some((key, kind, value, _)) = own.next_raw() {
            each(key.bytes(), kind == tag::JSON, value);
            left -= 1;
            if left == 0 {
                return;
            }
        }
        let mut spans = self.spans();
        while let Some((_, fields)) = spans.next_with_fields() {
            let mut entries = Entries::of_span(fields);
            while let Some((key, kind, value, _)) = entries.next_raw() {
                each(key.bytes(), kind == tag::JSON, value);
                left -= 1;
                if left == 0 {
                    return;
                }
            }
        }
    }

    /// Bytes of the message.
    #[inline]
    pub(crate) fn message_bytes(&self) -> &'a [u8] {
        let (at, len) = self.message_place();
        self.bytes.get(at..at.saturating_add(len)).unwrap_or_default()
    }

    /// Bytes of the name of the thread.
    #[inline]
    pub(crate) fn thread_len(&self) -> usize {
        usize::from(self.byte(HEAD))
    }

    /// The bytes of the frame.
    #[inline]
    pub(crate) fn frame(&self) -> &'a [u8] {
        self.bytes
    }

    /// The callsite, where it is one of `tracing`.
    #[inline]
    pub(crate) fn callsite(&self) -> Option<&'static Metadata<'static>> {
        self.callsite
    }

    /// All fields that there are, those included whose place another one takes.
    pub(crate) fn all_fields(&self) -> impl Iterator<Item = Field<'a>> {
        let mut spans = self.spans();
        let of_spans = std::iter::from_fn(move || spans.next_with_fields()).flat_map(|(_, f)| Entries::of_span(f));
        self.own_entries().chain(of_spans).take(FIELDS_MAX)
    }

    #[inline]
    pub(super) fn own_entries(&self) -> Entries<'a> {
        let end = self.number(20).min(self.bytes.len());
        let (message, len) = self.message_place();
        let tail = if self.byte(9) & FLAG_MESSAGE_CUT == 0 { 0 } else { size_of::<u64>() };
        Entries {
            reader: Reader { bytes: self.bytes.get(..end).unwrap_or_default(), at: self.fields_at() },
            callsite: self.callsite,
            message: (message, len.saturating_add(tail)),
        }
    }

    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    #[inline]
    fn number(&self, at: usize) -> usize {
        Reader { bytes: self.bytes, at }.u32().unwrap_or(0) as usize
    }

    #[inline]
    fn message_place(&self) -> (usize, usize) {
        (self.number(12), self.number(16))
    }

    #[inline]
    fn fields_at(&self) -> usize {
        let after_thread = HEAD + 1 + usize::from(self.byte(HEAD));
        if self.byte(9) & FLAG_INLINE_CALLSITE == 0 { after_thread } else { self.inline_callsite().4 }
    }

    fn inline_callsite(&self) -> (Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<u32>, usize) {
        let mut reader = Reader { bytes: self.bytes, at: HEAD + 1 + usize::from(self.byte(HEAD)) };
        let (target, module, file) = (reader.callsite_text(), reader.callsite_text(), reader.callsite_text());
        let line = reader.u32().filter(|&line| line > 0);
        (target, module, file, line, reader.at)
    }
}

impl std::fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordRef")
            .field("id", &self.id)
            .field("severity", &self.severity())
            .field("message", &self.message())
            .finish_non_exhaustive()
    }
}

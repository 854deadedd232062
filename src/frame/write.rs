//! Writes frames: the only place that knows the layout from the writing side.

use std::error::Error;
use std::fmt::{self, Write as _};

use super::fields::fields_prefix;
use super::limits::cut_key;
use super::slot::{Frame, Sink, Slot};
use super::text::{JSON_WRITTEN, LeadingIdentifier, Text, guarded, source_of};
use super::{
    ABSENT, CUT_MARK, Callsite, CharBoundary as _, FIELDS_END_MAX, FIELDS_MAX, FLAG_INLINE_CALLSITE, FLAG_MESSAGE_CUT,
    FLAG_NAMED_KEYS, FLAG_OWN, FRAME_MAX, HEAD, KEY_INLINE, KEY_MAX, SPANS_MAX, Severity, VALUE_MAX, cut_nesting, tag,
    thread,
};
use crate::contain::quietly;

/// A key: its place in the callsite's field names, where it has one, and its name.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    index: Option<u8>,
    name: &'a str,
}

impl<'a> Key<'a> {
    pub(crate) fn named(name: &'a str) -> Self {
        Self { index: None, name }
    }

    /// A name of the frame's callsite, by its place there. The name itself is asked for only where it is needed.
    #[inline]
    pub(crate) fn indexed(index: usize, name: impl FnOnce() -> &'a str) -> Self {
        if index < usize::from(KEY_INLINE) {
            Self { index: Some(index as u8), name: "" }
        } else {
            Self { index: None, name: name() }
        }
    }
}

/// Writes fields one after the other; what exceeds a limit is cut or left out, and said to be so.
pub(crate) struct FieldsWriter<S> {
    sink: S,
    fields: usize,
    left_out: u16,
    named_keys: bool,
    message: (usize, usize),
    message_cut: bool,
}

impl FieldsWriter<Vec<u8>> {
    /// For the fields of a span.
    pub(crate) fn for_span() -> Self {
        Self::over(Vec::new())
    }

    /// How many fields were given, those that were left out included, and the bytes of the others.
    pub(crate) fn into_parts(self) -> (usize, Vec<u8>) {
        (self.fields + usize::from(self.left_out), self.sink)
    }
}

impl<S: Sink> FieldsWriter<S> {
    #[inline]
    fn over(sink: S) -> Self {
        Self { sink, fields: 0, left_out: 0, named_keys: false, message: (0, 0), message_cut: false }
    }

    /// Writes a field of fixed length: `whole` is the index, the tag and the value.
    #[inline(always)]
    fn fixed<const N: usize>(&mut self, key: Key<'_>, mut whole: [u8; N]) {
        if let Some(index) = key.index {
            whole[0] = index;
            if self.fields < FIELDS_MAX && self.sink.try_put(whole, &[]) {
                self.fields += 1;
                return;
            }
        }
        self.fixed_anywhere(key, &whole[1..]);
    }

    #[inline(never)]
    fn fixed_anywhere(&mut self, key: Key<'_>, tagged: &[u8]) {
        if self.begin(tagged.len()) {
            self.key(key);
            self.sink.put(tagged);
        }
    }

    #[inline]
    fn begin(&mut self, room: usize) -> bool {
        // A key and the lengths take less than twice its limit.
        let fits = self.fields < FIELDS_MAX && self.sink.len() + room + 2 * KEY_MAX <= FIELDS_END_MAX;
        if fits {
            self.fields += 1;
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
        fits
    }

    #[inline]
    fn key(&mut self, key: Key<'_>) {
        match key.index {
            Some(index) => self.sink.put(&[index]),
            None => self.named_key(key.name),
        }
    }

    fn named_key(&mut self, name: &str) {
        self.named_keys = true;
        let mut shorter = String::new();
        let name = if name.len() > KEY_MAX {
            cut_key(name, KEY_MAX, &mut shorter);
            &shorter
        } else {
            name
        };
        self.sink.put(&[KEY_INLINE, name.len() as u8]);
        self.sink.put(name.as_bytes());
    }

    #[inline]
    pub(crate) fn bool(&mut self, key: Key<'_>, value: bool) {
        self.fixed(key, [0, if value { tag::TRUE } else { tag::FALSE }]);
    }

    #[inline]
    pub(crate) fn i64(&mut self, key: Key<'_>, value: i64) {
        self.fixed(key, tagged::<8, 10>(tag::I64, value.to_le_bytes()));
    }

    #[inline]
    pub(crate) fn u64(&mut self, key: Key<'_>, value: u64) {
        self.fixed(key, tagged::<8, 10>(tag::U64, value.to_le_bytes()));
    }

    #[inline]
    pub(crate) fn f64(&mut self, key: Key<'_>, value: f64) {
        self.fixed(key, tagged::<8, 10>(tag::F64, value.to_le_bytes()));
    }

    pub(crate) fn i128(&mut self, key: Key<'_>, value: i128) {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => self.i64(key, value),
            (_, Ok(value)) => self.u64(key, value),
            _ => self.fixed(key, tagged::<16, 18>(tag::I128, value.to_le_bytes())),
        }
    }

    pub(crate) fn u128(&mut self, key: Key<'_>, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.u64(key, value),
            Err(_) => self.fixed(key, tagged::<16, 18>(tag::U128, value.to_le_bytes())),
        }
    }

    #[inline(always)]
    pub(crate) fn str(&mut self, key: Key<'_>, value: &str) {
        if let Some(index) = key.index {
            let [a, b, c, d] = (value.len() as u32).to_le_bytes();
            let head = [index, tag::STR, a, b, c, d];
            if self.fields < FIELDS_MAX && self.sink.try_put(head, value.as_bytes()) {
                self.fields += 1;
                return;
            }
        }
        self.str_anywhere(key, value);
    }

    #[inline(never)]
    fn str_anywhere(&mut self, key: Key<'_>, value: &str) {
        self.text(key, tag::STR, |out| out.write_str(value));
    }

    /// Formats a value in place. A formatter that panics leaves `<panicked: MESSAGE>`.
    ///
    /// Where all that the formatter wrote is one [`Json`](crate::Json), the value is nested, not a text.
    pub(crate) fn fmt(&mut self, key: Key<'_>, value: fmt::Arguments<'_>) {
        JSON_WRITTEN.set(0);
        let start = self.sink.len();
        self.text(key, tag::STR, |out| guarded(out, value));
        let json = JSON_WRITTEN.replace(0);
        if json > 0 {
            self.make_json(key, start, json);
        }
    }

    #[cold]
    fn make_json(&mut self, key: Key<'_>, start: usize, len: usize) {
        let written = &self.sink.bytes()[start..];
        // Key, tag and length stand before the text; a text that was cut has its original length behind it.
        let Some(text) = written.len().checked_sub(len).map(|at| &written[at..]) else { return };
        let length_before = written.len().checked_sub(len + 4).and_then(|at| written[at..].first_chunk());
        if length_before != Some(&(len as u32).to_le_bytes()) {
            return;
        }
        let text = String::from_utf8_lossy(text).into_owned();
        self.sink.truncate(start);
        self.fields -= 1;
        self.json(key, &text);
    }

    /// Bytes that need not be text.
    pub(crate) fn bytes(&mut self, key: Key<'_>, value: &[u8]) {
        // Stores get them as base64, which is a third longer.
        let limit = (VALUE_MAX / 4 * 3).min(FIELDS_END_MAX.saturating_sub(self.sink.len() + 4 * KEY_MAX));
        if !self.begin(value.len().min(limit)) {
            return;
        }
        self.key(key);
        let kept = &value[..value.len().min(limit)];
        self.sink.put(&[tag::BYTES | if kept.len() < value.len() { tag::CUT } else { 0 }]);
        self.sink.put(&(kept.len() as u32).to_le_bytes());
        self.sink.put(kept);
        if kept.len() < value.len() {
            self.sink.put(&(value.len() as u64).to_le_bytes());
        }
    }

    /// A nested value as JSON text. Where it is too long it becomes a text that is cut.
    pub(crate) fn json(&mut self, key: Key<'_>, json: &str) {
        let cut = cut_nesting(json);
        let json = cut.as_deref().unwrap_or(json);
        let fits = json.len() <= VALUE_MAX && self.sink.len() + json.len() + 4 * KEY_MAX <= FIELDS_END_MAX;
        self.text(key, if fits { tag::JSON } else { tag::STR }, |out| out.write_str(json));
    }

    /// An error: its message under `key`, its type under `key.type`, its causes under `key.chain`.
    pub(crate) fn error(&mut self, key: Key<'_>, name: &str, error: &(dyn Error + 'static)) {
        self.text(key, tag::ERROR, |out| guarded(out, format_args!("{error}")));
        let mut kind = LeadingIdentifier::default();
        quietly(|| _ = write!(kind, "{error:?}"));
        let base = name;
        let mut name = format!("{base}.type");
        if !kind.name.is_empty() {
            self.str(Key::named(&name), &kind.name);
        }
        let mut chain = Vec::new();
        let mut next = source_of(error);
        while let Some(cause) = next.filter(|_| chain.len() < super::limits::DEPTH_MAX) {
            let mut text = Vec::new();
            let _ = guarded(&mut Text::new(&mut text, FRAME_MAX), format_args!("{cause}"));
            chain.push(serde_json::Value::String(String::from_utf8_lossy(&text).into_owned()));
            next = source_of(cause);
        }
        if !chain.is_empty() {
            name.truncate(base.len());
            name.push_str(".chain");
            self.json(Key::named(&name), &serde_json::Value::Array(chain).to_string());
        }
    }

    /// The message, formatted in place; a second one is left out, and counted like a field.
    #[inline]
    pub(crate) fn message(&mut self, text: fmt::Arguments<'_>) {
        match text.as_str() {
            Some(text) => self.message_str(text),
            None => self.message_with(|out| guarded(out, text)),
        }
    }

    /// The message as it is; a second one is left out, and counted like a field.
    #[inline]
    pub(crate) fn message_str(&mut self, text: &str) {
        self.message_with(|out| out.write_str(text));
    }

    #[inline]
    fn message_with(&mut self, write: impl FnOnce(&mut Text<'_, S>) -> fmt::Result) {
        if self.message.0 != 0 {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let start = self.sink.len();
        let mut out = Text::new(&mut self.sink, FRAME_MAX);
        let _ = write(&mut out);
        self.message = (start, out.kept);
        if let Some(original) = out.original() {
            self.message_cut = true;
            self.sink.put(&(original as u64).to_le_bytes());
        }
    }

    fn text(&mut self, key: Key<'_>, tag: u8, write: impl FnOnce(&mut Text<'_, S>) -> fmt::Result) {
        if !self.begin(CUT_MARK.len()) {
            return;
        }
        self.key(key);
        let head = self.sink.len();
        self.sink.put(&[tag, 0, 0, 0, 0]);
        let mut out = Text::new(&mut self.sink, FIELDS_END_MAX);
        let _ = write(&mut out);
        let (kept, original) = (out.kept, out.original());
        self.sink.patch(head + 1, &(kept as u32).to_le_bytes());
        if let Some(original) = original {
            self.sink.patch(head, &[tag | tag::CUT]);
            self.sink.put(&(original as u64).to_le_bytes());
        }
    }
}

/// Room for an index, the tag, the value.
#[inline]
fn tagged<const V: usize, const N: usize>(tag: u8, value: [u8; V]) -> [u8; N] {
    let mut whole = [tag; N];
    whole[2..].copy_from_slice(&value);
    whole
}

/// Writes one frame: callsite and head, then the message and fields in any order, then spans.
pub(crate) struct Writer<'f> {
    pub(crate) fields: FieldsWriter<Slot<'f>>,
    flags: u8,
    spans_at: usize,
    spans: usize,
}

impl<'f> Writer<'f> {
    /// Writes into a blank frame.
    #[inline(always)]
    pub(crate) fn over(frame: &'f mut Frame) -> Self {
        Self { fields: FieldsWriter::over(Slot::over(frame)), flags: 0, spans_at: 0, spans: 0 }
    }

    /// Writes where and when the record was made; `nanos` since the epoch.
    #[inline]
    pub(crate) fn begin(&mut self, callsite: Callsite<'_>, severity: Severity, nanos: i64) {
        let mut head = [severity as u8; 9];
        head[..8].copy_from_slice(&nanos.to_le_bytes());
        self.fields.sink.begin(head, thread::name());
        match callsite {
            Callsite::Static(metadata) => self.fields.sink.refer_to(metadata),
            Callsite::Inline { .. } => self.begin_inline(callsite),
        }
    }

    fn begin_inline(&mut self, callsite: Callsite<'_>) {
        self.flags |= FLAG_INLINE_CALLSITE;
        let sink = &mut self.fields.sink;
        if let Callsite::Inline { target, module, file, line } = callsite {
            for text in [Some(target), module, file] {
                let Some(text) = text else {
                    sink.put(&ABSENT.to_le_bytes());
                    continue;
                };
                let text = &text[..text.floor_char_boundary_at(CALLSITE_TEXT_MAX)];
                sink.put(&(text.len() as u16).to_le_bytes());
                sink.put(text.as_bytes());
            }
            sink.put(&line.unwrap_or(0).to_le_bytes());
        }
    }

    /// Marks a record that logchute wrote itself.
    pub(crate) fn own(&mut self) {
        self.flags |= FLAG_OWN;
    }

    /// Appends the fields of a span; called from the innermost span outwards, after the last field.
    #[inline]
    pub(crate) fn span(&mut self, name: &str, count: usize, fields: &[u8]) {
        let writer = &mut self.fields;
        if self.spans_at == 0 {
            self.spans_at = writer.sink.len();
        }
        let name = &name[..name.floor_char_boundary_at(255)];
        let head_end = writer.sink.len() + name.len() + 5;
        self.spans += 1;
        if self.spans > SPANS_MAX || head_end > FRAME_MAX {
            writer.left_out = writer.left_out.saturating_add(u16::try_from(count).unwrap_or(u16::MAX));
            return;
        }
        let room = FRAME_MAX - head_end;
        let (kept, fields) = if writer.fields + count <= FIELDS_MAX && fields.len() <= room {
            (count, fields)
        } else {
            fields_prefix(fields, FIELDS_MAX - writer.fields.min(FIELDS_MAX), room)
        };
        writer.fields += kept;
        writer.left_out = writer.left_out.saturating_add(u16::try_from(count - kept.min(count)).unwrap_or(u16::MAX));
        writer.sink.put(&[name.len() as u8]);
        writer.sink.put(name.as_bytes());
        writer.sink.put(&(fields.len() as u32).to_le_bytes());
        writer.sink.put(fields);
    }

    /// Completes the frame.
    #[inline(always)]
    pub(crate) fn finish(mut self) {
        let writer = &mut self.fields;
        let end = writer.sink.len();
        let mut head = [0; HEAD - 9];
        head[0] = self.flags
            | if writer.named_keys { FLAG_NAMED_KEYS } else { 0 }
            | if writer.message_cut { FLAG_MESSAGE_CUT } else { 0 };
        head[1..3].copy_from_slice(&writer.left_out.to_le_bytes());
        head[3..7].copy_from_slice(&(writer.message.0 as u32).to_le_bytes());
        head[7..11].copy_from_slice(&(writer.message.1 as u32).to_le_bytes());
        let spans_at = if self.spans_at == 0 { end } else { self.spans_at };
        head[11..15].copy_from_slice(&(spans_at as u32).to_le_bytes());
        writer.sink.finish(head);
    }
}

/// A callsite's target, module or file is cut to this many bytes.
const CALLSITE_TEXT_MAX: usize = 4096;

//! Writes frames: the only place that knows the layout from the writing side.

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Write as _};

use tracing::Metadata;

use super::read::fields_prefix;
use super::{
    ABSENT, CUT_MARK, Callsite, CharBoundary as _, FIELDS_END_MAX, FIELDS_MAX, FLAG_INLINE_CALLSITE, FLAG_MESSAGE_CUT,
    FLAG_NAMED_KEYS, FLAG_OWN, FRAME_MAX, HEAD, KEY_INLINE, KEY_MAX, SPANS_MAX, Severity, VALUE_MAX, cut_key,
    cut_nesting, tag, thread,
};
use crate::contain::{contained, let_go, quietly};

/// Bytes of a frame that travel inside its queue slot; a longer frame travels in one box.
const INLINE: usize = 231;

/// A scratch above this size is given back to the allocator instead of being kept by its thread.
const SCRATCH_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A record on its way through the queue: 256 bytes, plus one box where it is long.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Frame {
    callsite: Option<&'static Metadata<'static>>,
    boxed: Option<Box<[u8]>>,
    len: u8,
    inline: [u8; INLINE],
}

const _: () = assert!(size_of::<Frame>() == 256);

impl Frame {
    /// An empty one, to be written where it stands: it is too large to be handed around.
    #[inline(always)]
    pub(crate) fn blank() -> Self {
        Self { callsite: None, boxed: None, len: 0, inline: [0; INLINE] }
    }

    /// A frame of these fields, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn of(
        callsite: Callsite<'_>,
        severity: Severity,
        nanos: i64,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Self {
        let mut frame = Self::blank();
        let mut writer = Writer::over(&mut frame);
        writer.begin(callsite, severity, nanos);
        write(&mut writer);
        writer.finish();
        frame
    }

    #[inline]
    pub(crate) fn callsite(&self) -> Option<&'static Metadata<'static>> {
        self.callsite
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.boxed {
            Some(boxed) => boxed,
            None => &self.inline[..usize::from(self.len)],
        }
    }

    /// Bytes outside the slot.
    #[inline]
    pub(crate) fn boxed_bytes(&self) -> usize {
        self.boxed.as_ref().map_or(0, |boxed| boxed.len())
    }

    #[inline]
    pub(crate) fn severity(&self) -> Severity {
        Severity::from_number(self.bytes().get(8).copied().unwrap_or(0))
    }

    /// Nanoseconds since the epoch at which it was made.
    #[inline]
    pub(crate) fn nanos(&self) -> i64 {
        self.bytes().first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
    }
}

thread_local! {
    /// Bytes that [`Json`](crate::Json) wrote when it was last formatted on this thread.
    static JSON_WRITTEN: Cell<usize> = const { Cell::new(0) };
}

/// Notes that a formatter wrote nested JSON of that length.
pub(crate) fn note_json(len: usize) {
    JSON_WRITTEN.set(len);
}

/// Where encoded bytes go.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);
    /// Puts both, at the cost of one.
    #[inline]
    fn put_two<const N: usize>(&mut self, head: [u8; N], bytes: &[u8]) {
        self.put(&head);
        self.put(bytes);
    }
    fn len(&self) -> usize;
    fn bytes(&self) -> &[u8];
    /// Overwrites bytes that were put before.
    fn patch(&mut self, at: usize, bytes: &[u8]);
    /// Takes back all from `len` on.
    fn truncate(&mut self, len: usize);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
    fn len(&self) -> usize {
        self.len()
    }
    fn bytes(&self) -> &[u8] {
        self
    }
    fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(there) = self.get_mut(at..at + bytes.len()) {
            there.copy_from_slice(bytes);
        }
    }
    fn truncate(&mut self, len: usize) {
        self.truncate(len);
    }
}

/// First the slot, and once that is full this thread's scratch.
pub(crate) struct Slot<'f> {
    frame: &'f mut Frame,
    len: usize,
    /// How far the slot may be filled; nothing once the spill is in use.
    limit: usize,
    spill: Vec<u8>,
}

impl Slot<'_> {
    #[cold]
    #[inline(never)]
    fn spill(&mut self, bytes: &[u8]) {
        if self.limit > 0 {
            self.limit = 0;
            // In a destructor of another thread-local the scratch may be gone: then a fresh one serves.
            self.spill = SCRATCH.try_with(Cell::take).unwrap_or_default();
            self.spill.clear();
            self.spill.extend_from_slice(&self.frame.inline[..self.len]);
        }
        self.spill.extend_from_slice(bytes);
    }

    /// Puts what was spilled into the frame, and keeps the scratch for the next one.
    #[cold]
    #[inline(never)]
    fn box_spill(&mut self) {
        let spill = std::mem::take(&mut self.spill);
        self.frame.boxed = Some(spill.as_slice().into());
        if spill.capacity() <= SCRATCH_MAX {
            let _ = SCRATCH.try_with(|cell| cell.set(spill));
        }
    }
}

impl Sink for Slot<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.frame.inline.get_mut(self.len..end) {
            Some(room) if end <= self.limit => room.copy_from_slice(bytes),
            _ => self.spill(bytes),
        }
        self.len = end;
    }

    #[inline]
    fn put_two<const N: usize>(&mut self, head: [u8; N], bytes: &[u8]) {
        let end = self.len + N + bytes.len();
        match self.frame.inline.get_mut(self.len..end).and_then(|room| room.split_first_chunk_mut::<N>()) {
            Some((first, rest)) if end <= self.limit => {
                *first = head;
                rest.copy_from_slice(bytes);
                self.len = end;
            }
            _ => {
                self.put(&head);
                self.put(bytes);
            }
        }
    }

    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    fn bytes(&self) -> &[u8] {
        if self.limit > 0 { &self.frame.inline[..self.len] } else { &self.spill }
    }

    #[inline]
    fn patch(&mut self, at: usize, bytes: &[u8]) {
        let all = if self.limit > 0 { &mut self.frame.inline[..] } else { &mut self.spill[..] };
        if let Some(there) = all.get_mut(at..at + bytes.len()) {
            there.copy_from_slice(bytes);
        }
    }

    fn truncate(&mut self, len: usize) {
        self.spill.truncate(len);
        self.len = len;
    }
}

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
    #[inline]
    fn fixed<const N: usize>(&mut self, key: Key<'_>, mut whole: [u8; N]) {
        if !self.begin(N) {
        } else if let Some(index) = key.index {
            whole[0] = index;
            self.sink.put(&whole);
        } else {
            self.named_key(key.name);
            self.sink.put(&whole[1..]);
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

    #[inline]
    pub(crate) fn str(&mut self, key: Key<'_>, value: &str) {
        if value.len() > 4096 {
            self.text(key, tag::STR, |out| out.write_str(value));
        } else if self.begin(value.len()) {
            let len = (value.len() as u32).to_le_bytes();
            let mut head = [0, tag::STR, len[0], len[1], len[2], len[3]];
            if let Some(index) = key.index {
                head[0] = index;
                self.sink.put_two(head, value.as_bytes());
            } else {
                self.named_key(key.name);
                let [_, head @ ..] = head;
                self.sink.put_two::<5>(head, value.as_bytes());
            }
        }
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

/// Formats; where the formatter panics, what it wrote is replaced by a mark with the panic's message.
fn guarded<S: Sink>(out: &mut Text<'_, S>, value: fmt::Arguments<'_>) -> fmt::Result {
    match contained(|| out.write_fmt(value)) {
        Ok(done) => done,
        Err(panic) => {
            out.restart();
            let written = write!(out, "<panicked: {}>", panic_message(panic.as_ref()));
            let_go(panic);
            written
        }
    }
}

/// The cause of an error; none where its own code panics.
fn source_of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    let mut source = None;
    quietly(|| source = error.source());
    source
}

/// The text of a panic, where it has one.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// A text under way: counts all of it, keeps what fits and ends it with a mark where it did not.
struct Text<'s, S> {
    sink: &'s mut S,
    start: usize,
    room: usize,
    kept: usize,
    total: usize,
    full: bool,
}

impl<'s, S: Sink> Text<'s, S> {
    /// `end` is how far the frame may reach.
    fn new(sink: &'s mut S, end: usize) -> Self {
        let start = sink.len();
        // Eight bytes for the original length follow.
        let room = VALUE_MAX.min(end.saturating_sub(start + 8)).max(CUT_MARK.len());
        Self { sink, start, room, kept: 0, total: 0, full: false }
    }

    fn original(&self) -> Option<usize> {
        self.full.then_some(self.total)
    }

    fn restart(&mut self) {
        self.sink.truncate(self.start);
        (self.kept, self.total, self.full) = (0, 0, false);
    }

    #[cold]
    fn fill(&mut self, text: &str) {
        self.full = true;
        let room = self.room - CUT_MARK.len();
        if self.kept > room {
            let kept = &self.sink.bytes()[self.start..];
            let is_boundary = |at: &usize| kept[*at] & 0xC0 != 0x80;
            self.kept = (0..=room).rev().find(is_boundary).unwrap_or(0);
            self.sink.truncate(self.start + self.kept);
        } else {
            let more = &text[..text.floor_char_boundary_at(room - self.kept)];
            self.sink.put(more.as_bytes());
            self.kept += more.len();
        }
        self.sink.put(CUT_MARK.as_bytes());
        self.kept += CUT_MARK.len();
    }
}

impl<S: Sink> fmt::Write for Text<'_, S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.total += text.len();
        if self.full {
        } else if self.kept + text.len() <= self.room {
            self.sink.put(text.as_bytes());
            self.kept += text.len();
        } else {
            self.fill(text);
        }
        Ok(())
    }
}

/// Takes the identifier with which a `Debug` form begins (`ParseIntError { kind: … }`), and then stops it.
#[derive(Default)]
struct LeadingIdentifier {
    name: String,
}

impl fmt::Write for LeadingIdentifier {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            let part_of_it =
                char == '_' || if self.name.is_empty() { char.is_alphabetic() } else { char.is_alphanumeric() };
            if !part_of_it || self.name.len() >= KEY_MAX {
                return Err(fmt::Error);
            }
            self.name.push(char);
        }
        Ok(())
    }
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
        let sink = Slot { frame, len: HEAD, limit: INLINE, spill: Vec::new() };
        Self { fields: FieldsWriter::over(sink), flags: 0, spans_at: 0, spans: 0 }
    }

    /// Writes where and when the record was made; `nanos` since the epoch.
    #[inline]
    pub(crate) fn begin(&mut self, callsite: Callsite<'_>, severity: Severity, nanos: i64) {
        let sink = &mut self.fields.sink;
        sink.frame.inline[..8].copy_from_slice(&nanos.to_le_bytes());
        sink.frame.inline[8] = severity as u8;
        // The length and all that a name may take, in one move; what the name does not use is written over.
        let name = thread::name();
        sink.frame.inline[HEAD..HEAD + name.len()].copy_from_slice(&name);
        sink.len = HEAD + 1 + usize::from(name[0]);
        match callsite {
            Callsite::Static(metadata) => sink.frame.callsite = Some(metadata),
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
        let end = writer.sink.len;
        let mut head = [0; HEAD - 9];
        head[0] = self.flags
            | if writer.named_keys { FLAG_NAMED_KEYS } else { 0 }
            | if writer.message_cut { FLAG_MESSAGE_CUT } else { 0 };
        head[1..3].copy_from_slice(&writer.left_out.to_le_bytes());
        head[3..7].copy_from_slice(&(writer.message.0 as u32).to_le_bytes());
        head[7..11].copy_from_slice(&(writer.message.1 as u32).to_le_bytes());
        let spans_at = if self.spans_at == 0 { end } else { self.spans_at };
        head[11..15].copy_from_slice(&(spans_at as u32).to_le_bytes());
        if writer.sink.limit > 0 {
            writer.sink.frame.inline[9..HEAD].copy_from_slice(&head);
            writer.sink.frame.len = end as u8;
        } else {
            writer.sink.patch(9, &head);
            writer.sink.box_spill();
        }
    }
}

/// A callsite's target, module or file is cut to this many bytes.
const CALLSITE_TEXT_MAX: usize = 4096;

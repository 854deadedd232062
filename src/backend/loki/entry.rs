//! What stands in an entry besides time and line: its structured metadata, within Loki's limits.
//!
//! `target`, `file`, `line`, `thread`, `span` and `id`, then the fields of the record, then attributes of the
//! resource; every value as text. Keys beyond the limit are folded into one, `more`, a JSON object. Where all
//! is too long the longest values are cut, and the record says so.

use super::super::flat::{self, Form, Ids, Names};
use super::super::{RecordRef, Resource, Value, json};
use super::labels::{self, Labels, Promoted, Stream};
use super::names;

/// Loki takes 128 keys (`max_structured_metadata_entries_count`), and adds `detected_level` itself.
const KEYS_MAX: usize = 126;
/// Loki takes 64 KiB of names and values (`max_structured_metadata_size`). Names may grow by four bytes in
/// its hands (`1x` becomes `key_1x`), and it adds a key.
const BYTES_MAX: usize = 60 * 1024;

/// The two ways to write a push.
pub(super) trait Wire {
    /// Writes all but metadata, for which it calls `entry`.
    fn push(out: &mut Vec<u8>, streams: &[Stream<'_>], entry: impl FnMut(&mut Vec<u8>, &(RecordRef<'_>, Promoted)));

    /// Writes a key and its value.
    fn pair(out: &mut Vec<u8>, name: &str, value: &str, is_first: bool);
}

pub(super) struct Json;
pub(super) struct Protobuf;

/// Texts that are put together, kept between records.
#[derive(Default)]
pub(super) struct Scratch {
    spans: Vec<u8>,
    more: Vec<u8>,
    ids: Ids,
}

/// Attributes of the resource that are no labels anyway.
pub(super) struct Attributes<'r> {
    names: Names<'r>,
    values: Vec<&'r str>,
    /// The place of each among the promoted names.
    promoted: Vec<Option<usize>>,
    /// Places of those that are not plain.
    odd: Vec<usize>,
}

impl<'r> Attributes<'r> {
    /// Attributes whose names stand for something else already are not shown, nor any beyond the 128th.
    pub(super) fn new(resource: &'r Resource, labels: &Labels) -> Self {
        let is_shown = |name: &str| {
            !name.is_empty()
                && !labels::is_reserved(name, names::is_plain(name))
                && (labels.position(name).is_some() || !labels.has_label(name, false))
        };
        let mut shown: Vec<(&str, &str)> = Vec::new();
        for (name, value) in resource.attributes().filter(|(name, _)| is_shown(name)) {
            if shown.len() < u128::BITS as usize && !shown.iter().any(|(other, _)| names::same(other, name)) {
                shown.push((name, value));
            }
        }
        let (names, values): (Vec<_>, Vec<_>) = shown.into_iter().unzip();
        Self {
            promoted: names.iter().map(|name| labels.position(name)).collect(),
            odd: (0..names.len()).filter(|&at| !names::is_plain(names[at])).collect(),
            names: Names::of(names),
            values,
        }
    }

    /// What they count in each record.
    pub(super) fn bytes(&self) -> usize {
        self.names.iter().map(str::len).sum::<usize>() + self.values.iter().map(|value| value.len()).sum::<usize>()
    }

    /// The place of the one that Loki takes for the same name.
    #[inline]
    fn position(&self, name: &str, is_plain: bool) -> Option<usize> {
        if !is_plain {
            return self.names.iter().position(|other| names::same(other, name));
        }
        let odd = || self.odd.iter().copied().find(|&at| names::same(self.names.get(at), name));
        self.names.position(name).or_else(odd)
    }
}

/// Writes the metadata of a record.
pub(super) fn write<W: Wire>(
    out: &mut Vec<u8>,
    record: &RecordRef<'_>,
    promoted: Promoted,
    labels: &Labels,
    attributes: &Attributes<'_>,
    scratch: &mut Scratch,
) {
    let start = out.len();
    let mut cap = usize::MAX;
    while cap >= 32 {
        let mut metadata = Metadata::<W>::new(out, promoted, labels, attributes, std::mem::take(&mut scratch.more));
        metadata.write(record, cap, &mut scratch.spans, &mut scratch.ids);
        let bytes = metadata.bytes;
        scratch.more = metadata.more;
        if bytes <= BYTES_MAX {
            return;
        }
        out.truncate(start);
        cap = cap.min(BYTES_MAX) / 2;
    }
    // The resource itself is too long.
    let lost = record.fields().count() + usize::from(record.fields_left_out());
    W::pair(out, "id", &record.id().to_string(), true);
    W::pair(out, "truncated", "true", false);
    W::pair(out, "fields_left_out", &lost.to_string(), false);
}

/// Metadata under way.
struct Metadata<'m, 'r, W> {
    out: &'m mut Vec<u8>,
    promoted: Promoted,
    labels: &'m Labels,
    attributes: &'m Attributes<'r>,
    keys: usize,
    bytes: usize,
    /// Members of the object into which keys beyond the limit are folded.
    more: Vec<u8>,
    /// A bit for each attribute of the resource whose name a field has.
    replaced: u128,
    wire: std::marker::PhantomData<W>,
}

impl<'m, 'r, W: Wire> Metadata<'m, 'r, W> {
    fn new(
        out: &'m mut Vec<u8>,
        promoted: Promoted,
        labels: &'m Labels,
        attributes: &'m Attributes<'r>,
        mut more: Vec<u8>,
    ) -> Self {
        more.clear();
        let wire = std::marker::PhantomData;
        Self { out, promoted, labels, attributes, keys: 0, bytes: 0, more, replaced: 0, wire }
    }

    fn write(&mut self, record: &RecordRef<'_>, cap: usize, spans: &mut Vec<u8>, ids: &mut Ids) {
        self.text("target", record.target(), cap);
        if let Some(file) = record.file() {
            self.text("file", file, cap);
        }
        if let Some(line) = record.line() {
            self.text("line", itoa::Buffer::new().format(line), cap);
        }
        self.text("thread", record.thread(), cap);
        spans.clear();
        flat::span_path(spans, record.spans(), |out, name| out.extend_from_slice(name.as_bytes()));
        if !spans.is_empty() {
            self.text("span", str::from_utf8(spans).unwrap_or_default(), cap);
        }
        self.text("id", ids.text(record.id()), usize::MAX);
        flat::fill(self, record.fields(), cap, record.message_original_len());
        for at in 0..self.attributes.values.len() {
            if self.replaced >> at & 1 == 0 && !self.is_label(self.attributes.promoted[at]) {
                let (name, value) = (self.attributes.names.get(at), self.attributes.values[at]);
                self.folded(name, Value::Str(value), cap);
            }
        }
        if !self.more.is_empty() {
            self.more.push(b'}');
            let more = std::mem::take(&mut self.more);
            self.text("more", str::from_utf8(&more).unwrap_or_default(), usize::MAX);
            self.more = more;
        }
    }

    /// Whether the promoted name at that place is a label of this record, and no metadata.
    #[inline]
    fn is_label(&self, place: Option<usize>) -> bool {
        place.is_some_and(|place| self.promoted.whole >> place & 1 != 0)
    }

    /// What every record has.
    #[inline]
    fn text(&mut self, name: &str, text: &str, cap: usize) {
        if text.len() > cap {
            return self.text(name, &flat::cut(text, cap), cap);
        }
        W::pair(self.out, name, text, self.keys == 0);
        self.keys += 1;
        self.bytes += name.len() + text.len();
    }

    /// A value that is put into `more` where there are too many.
    #[inline]
    fn folded(&mut self, name: &str, value: Value<'_>, cap: usize) {
        if self.keys < KEYS_MAX - 1 {
            json::with_text(value, |text| self.text(name, text, cap));
            return;
        }
        if let Value::Str(text) = value
            && text.len() > cap
        {
            return self.folded(name, Value::Str(&flat::cut(text, cap)), cap);
        }
        self.more.push(if self.more.is_empty() { b'{' } else { b',' });
        json::string(&mut self.more, name);
        self.more.push(b':');
        json::value(&mut self.more, value);
    }
}

impl<W: Wire> Form for Metadata<'_, '_, W> {
    #[inline]
    fn has(&self, name: &str, is_plain: bool) -> bool {
        match self.labels.position(name) {
            Some(place) => self.promoted.cut >> place & 1 != 0,
            None => labels::is_reserved(name, is_plain) || self.labels.has_label(name, is_plain),
        }
    }

    fn same(&self, one: &str, other: &str) -> bool {
        names::same(one, other)
    }

    #[inline]
    fn is_plain(&self, name: &str) -> bool {
        names::is_plain(name) || self.is_label(self.labels.position(name))
    }

    #[inline]
    fn put(&mut self, name: &str, is_plain: bool, value: Value<'_>) {
        if let Some(place) = self.attributes.position(name, is_plain) {
            self.replaced |= 1 << place;
        }
        if self.is_label(self.labels.position(name)) {
            return;
        }
        self.folded(name, value, usize::MAX);
    }
}

//! Which stream a record belongs to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::super::flat::{self, Names};
use super::super::{Batch, Mode, RecordRef, Resource, Severity, json};
use super::names;
use crate::frame::CharBoundary as _;

/// Labels that a stream may have besides promoted ones; the last two are for records that come late.
pub(super) const BASE: [&str; 7] =
    ["service_name", "namespace", "container", "level", "overflow", "replay", "replay_hour"];
/// Loki allows 15 labels (`max_label_names_per_series`), of which `service_name` is none: these, with
/// `namespace`, `container`, `level`, and the two of records that come late.
const PROMOTED_MAX: usize = 10;
/// Loki's `max_label_value_length`.
const VALUE_MAX: usize = 2048;
/// Streams with promoted labels that are admitted. Six levels without, and six in overflow, make 1,000 in all;
/// Loki allows a tenant 5,000 (`max_global_streams_per_user`), and other processes need some. Those of records that come
/// late are not counted: they are few, and soon over.
const STREAMS_MAX: usize = 1_000 - 12;

/// In nanoseconds.
const HOUR: i64 = 60 * 60 * 1_000_000_000;

/// The names that are promoted to labels, and the streams that they led to.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Name of the field, and of the label.
    promoted: Vec<(String, String)>,
    /// Hashes of the promoted labels of each stream. It only grows, so that a batch that is encoded again
    /// has the labels that it had. No lock: a fork could leave one locked in the child for good.
    admitted: ArcSwap<HashSet<u64>>,
}

impl Clone for Labels {
    /// Another pipeline: its streams are counted on their own.
    fn clone(&self) -> Self {
        Self { promoted: self.promoted.clone(), admitted: ArcSwap::default() }
    }
}

/// Which of the promoted names are labels of a record: a bit for each.
#[derive(Clone, Copy, Default)]
pub(super) struct Promoted {
    /// The label says it all.
    pub(super) whole: u16,
    /// The label's value was cut.
    pub(super) cut: u16,
}

/// Records with the same labels.
pub(super) struct Stream<'r> {
    pub(super) labels: Vec<(String, String)>,
    pub(super) records: Vec<(RecordRef<'r>, Promoted)>,
}

impl Labels {
    pub(super) fn promote(&mut self, field: String) {
        let label = names::label(&field);
        let is_taken = BASE.contains(&&*label) || self.promoted.iter().any(|(_, other)| *other == label);
        if !is_taken && self.promoted.len() < PROMOTED_MAX {
            self.promoted.push((field, label));
        }
    }

    /// The place of a promoted field.
    #[inline]
    pub(super) fn position(&self, field: &str) -> Option<usize> {
        self.promoted.iter().position(|(name, _)| name == field)
    }

    /// Whether one of the labels has this name, or one that Loki takes for it.
    pub(super) fn has_label(&self, name: &str, is_plain: bool) -> bool {
        let is = |label: &str| label == name || (!(is_plain && names::is_plain(label)) && names::same(label, name));
        self.promoted.iter().any(|(_, label)| is(label))
    }

    /// The streams of a batch, in the order in which they first appear.
    ///
    /// Records that come late have streams of their own, one for each hour of their time: Loki takes none that is more
    /// than an hour older than the newest of its stream, and other processes send such records at the same time,
    /// older ones and newer ones.
    pub(super) fn streams<'r>(&self, batch: &Batch<'r>) -> Vec<Stream<'r>> {
        if batch.mode() != Mode::Replay {
            return self.grouped(batch.records(), Streams::new(batch.resource()), batch.resource());
        }
        let mut hours: BTreeMap<i64, Vec<RecordRef<'r>>> = BTreeMap::new();
        for record in batch.records() {
            hours.entry(record.unix_nanos().div_euclid(HOUR)).or_default().push(record);
        }
        let of_hour = |(hour, records): (i64, Vec<RecordRef<'r>>)| {
            let streams = Streams::replaying(hour, batch.resource());
            self.grouped(records.into_iter(), streams, batch.resource())
        };
        hours.into_iter().flat_map(of_hour).collect()
    }

    fn grouped<'r>(
        &self,
        records: impl Iterator<Item = RecordRef<'r>>,
        mut streams: Streams<'r>,
        resource: &Resource,
    ) -> Vec<Stream<'r>> {
        for record in records {
            let severity = record.severity();
            let (values, mut promoted) = self.values(&record, resource);
            let place = if values.iter().all(Option::is_none) {
                streams.of_level(severity)
            } else if let Some(place) = streams.of_values(severity, values, self) {
                place
            } else {
                promoted = Promoted::default();
                streams.in_overflow(severity)
            };
            streams.all[place].records.push((record, promoted));
        }
        streams.all
    }

    /// The values of the promoted names, as far as the record or the resource has them.
    fn values(&self, record: &RecordRef<'_>, resource: &Resource) -> (Vec<Option<String>>, Promoted) {
        let mut values = Vec::new();
        let mut promoted = Promoted::default();
        if self.promoted.is_empty() {
            return (values, promoted);
        }
        values.resize(self.promoted.len(), None);
        let mut take = |place: usize, value: &str, is_whole: bool| {
            let kept = cut(value);
            if !kept.is_empty() {
                let bit = if is_whole && kept.len() == value.len() { &mut promoted.whole } else { &mut promoted.cut };
                *bit |= 1 << place;
                values[place] = Some(kept.to_owned());
            }
        };
        let mut of_record = 0_u16;
        for field in record.fields() {
            if let Some(place) = self.position(field.key) {
                of_record |= 1 << place;
                json::with_text(field.value, |text| take(place, text, field.original_len.is_none()));
            }
        }
        for (place, (name, _)) in self.promoted.iter().enumerate() {
            if of_record >> place & 1 == 0
                && let Some(value) = resource.get(name)
            {
                take(place, value, true);
            }
        }
        (values, promoted)
    }

    /// Whether there may be a stream of these labels.
    fn admit(&self, severity: Severity, promoted: &[(String, String)]) -> bool {
        let mut hasher = DefaultHasher::new();
        (severity, promoted).hash(&mut hasher);
        let hash = hasher.finish();
        let admitted = self.admitted.load();
        if admitted.contains(&hash) || admitted.len() >= STREAMS_MAX {
            return admitted.contains(&hash);
        }
        self.admitted.rcu(|admitted| {
            let mut admitted = HashSet::clone(admitted);
            admitted.insert(hash);
            Arc::new(admitted)
        });
        true
    }
}

/// The streams of a batch under way.
struct Streams<'r> {
    all: Vec<Stream<'r>>,
    /// Labels that all have.
    base: Vec<(String, String)>,
    by_level: [Option<usize>; 6],
    overflow: [Option<usize>; 6],
    /// By level and promoted values; `None` where there may be no such stream.
    by_values: HashMap<(Severity, Values), Option<usize>>,
}

/// The values of the promoted names.
type Values = Vec<Option<String>>;

impl<'r> Streams<'r> {
    fn new(resource: &Resource) -> Self {
        let names = ["namespace", "container"];
        let of_resource = names.iter().filter_map(|name| Some((*name, resource.get(name)?)));
        let base = std::iter::once(("service_name", resource.service_name())).chain(of_resource);
        // An empty value is no label for Loki.
        let base = base.filter(|(_, value)| !value.is_empty());
        Self {
            all: Vec::new(),
            base: base.map(|(name, value)| (name.to_owned(), cut(value).to_owned())).collect(),
            by_level: [None; 6],
            overflow: [None; 6],
            by_values: HashMap::new(),
        }
    }

    /// For records that come late, of that hour since 1970.
    fn replaying(hour: i64, resource: &Resource) -> Self {
        const TO_THE_HOUR: usize = "2026-11-24T08".len();
        let mut time = Vec::new();
        json::rfc3339(&mut time, hour.saturating_mul(HOUR));
        time.truncate(TO_THE_HOUR);
        let mut streams = Self::new(resource);
        streams.base.push(("replay".to_owned(), "true".to_owned()));
        streams.base.push(("replay_hour".to_owned(), String::from_utf8_lossy(&time).into_owned()));
        streams
    }

    fn open(&mut self, severity: Severity, more: impl IntoIterator<Item = (String, String)>) -> usize {
        let mut labels = self.base.clone();
        labels.push(("level".to_owned(), severity.as_str().to_owned()));
        labels.extend(more);
        self.all.push(Stream { labels, records: Vec::new() });
        self.all.len() - 1
    }

    /// The stream without promoted labels.
    fn of_level(&mut self, severity: Severity) -> usize {
        let place = self.by_level[severity as usize].unwrap_or_else(|| self.open(severity, None));
        *self.by_level[severity as usize].insert(place)
    }

    /// The stream of these values, unless there are too many streams.
    fn of_values(&mut self, severity: Severity, values: Values, labels: &Labels) -> Option<usize> {
        let key = (severity, values);
        if let Some(place) = self.by_values.get(&key) {
            return *place;
        }
        let named = key.1.iter().zip(&labels.promoted);
        let named: Vec<_> = named.filter_map(|(value, (_, label))| Some((label.clone(), value.clone()?))).collect();
        let place = labels.admit(severity, &named).then(|| self.open(severity, named));
        self.by_values.insert(key, place);
        place
    }

    /// The stream of all for which there are too many.
    fn in_overflow(&mut self, severity: Severity) -> usize {
        let label = ("overflow".to_owned(), "true".to_owned());
        let place = self.overflow[severity as usize].unwrap_or_else(|| self.open(severity, Some(label)));
        *self.overflow[severity as usize].insert(place)
    }
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary_at(VALUE_MAX)]
}

/// `{name="value", …}`, with values as Go writes them.
pub(super) fn quoted(labels: &[(String, String)]) -> String {
    let mut text = String::from("{");
    for (at, (name, value)) in labels.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { ", " });
        text.push_str(name);
        text.push_str("=\"");
        for char in value.chars() {
            match char {
                '"' | '\\' => text.extend(['\\', char]),
                '\n' => text.push_str("\\n"),
                '\0'..='\x1f' | '\x7f' => text.push_str(&format!("\\x{:02x}", u32::from(char))),
                _ => text.push(char),
            }
        }
        text.push('"');
    }
    text.push('}');
    text
}

/// What Loki has besides: labels, and the field into which others are folded.
const ALL_RESERVED: [&str; 20] =
    flat::joined(flat::RESERVED, ["more", "namespace", "container", "overflow", "replay", "replay_hour"]);

/// Names that a field may not have in any stream.
pub(super) const RESERVED: Names<'static> = Names::new(&ALL_RESERVED);

/// Whether a name is one of them, or one that Loki takes for it.
#[inline]
pub(super) fn is_reserved(name: &str, is_plain: bool) -> bool {
    RESERVED.position(name).is_some() || (!is_plain && RESERVED.iter().any(|own| names::same(own, name)))
}

const _: () = assert!(PROMOTED_MAX <= u16::BITS as usize);

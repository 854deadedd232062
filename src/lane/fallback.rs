//! What is owed to a store that is away, shown on stdout or stderr meanwhile.
//!
//! It stays owed: this counts nothing and settles nothing. Each record is shown once, in the order of their numbers, those
//! that come meanwhile as well; a record that the tee shows on the same stream is not shown again, nor one of an
//! earlier process. A line says where it begins, and one where it ends. The number up to which all was shown is all that
//! is remembered, so whatever comes back from elsewhere is known.
//!
//! Nothing here waits for who reads the stream, but for a moment at the end.

use std::time::{Duration, Instant};

use super::Lane;
use super::job::Job;
use crate::batch::{Batch, Places, Stored};
use crate::clock;
use crate::frame::{Callsite, Frame, RecordId, RecordRef, Severity};
use crate::tee::{FallbackTee, Stream, TeeTo};

/// A store that is not well for this long is away: most failures are over before.
const AWAY: Duration = Duration::from_secs(1);

/// Bytes that are shown in one round of the worker.
const ROUND: usize = 64 * 1024;

/// Between two rounds while more is to be shown.
const SOON: Duration = Duration::from_millis(1);

/// What the end waits for who reads, for all lanes together.
pub(crate) const AT_THE_END: Duration = Duration::from_millis(100);

pub(super) struct Fallback {
    tee: FallbackTee,
    /// Since when the store is not well.
    since: Option<Instant>,
    /// Records with lower numbers were shown, here or by the tee.
    from: u64,
    /// How many were shown here since it began; `None` while nothing is to be shown.
    shown: Option<u64>,
    /// Whether there is more than one round shows.
    has_more: bool,
}

/// Whether the tee shows a record on that stream.
pub(crate) type Teed<'a> = &'a dyn Fn(Stream, &RecordRef<'_>) -> bool;

impl Fallback {
    pub(super) fn new(to: TeeTo) -> Self {
        Self { tee: FallbackTee::new(to), since: None, from: 0, shown: None, has_more: false }
    }

    /// When the next round is wanted.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.has_more.then(|| now + SOON)
    }
}

impl Lane {
    pub(crate) fn has_fallback(&self) -> bool {
        self.fallback.is_some()
    }

    /// One round: shows some of what is owed, if the store is away.
    pub(crate) fn show_owed(&mut self, teed: Teed<'_>, now: Instant) {
        // While it is taken out a panic leaves none: what made it panic would do so each time.
        let Some(mut fallback) = self.fallback.take() else { return };
        if self.pace.is_well() {
            self.end_showing(&mut fallback, "takes records again");
            fallback.since = None;
            fallback.tee.mended();
            fallback.tee.write(None);
        } else if now >= *fallback.since.get_or_insert(now) + AWAY {
            fallback.has_more = self.show(&mut fallback, teed, ROUND, None);
        }
        self.fallback = Some(fallback);
    }

    /// The pipeline ends: shows what is owed and was not shown, as it may be the last chance. What goes to disk has
    /// others, so of that no more is shown than can be without a wait.
    pub(crate) fn show_last(&mut self, teed: Teed<'_>, until: Instant) {
        let Some(mut fallback) = self.fallback.take() else { return };
        let until = if self.has_spool() { Instant::now() } else { until };
        let mut has_more = true;
        while has_more {
            has_more = self.show(&mut fallback, teed, ROUND, Some(until)) && Instant::now() < until;
        }
        let is_left = fallback.tee.waiting() > 0 || !self.owed_from(fallback.from).is_empty();
        let left = if is_left { " (there was no time for all of them)" } else { "" };
        self.end_showing(&mut fallback, &format!("had not taken all records at the end{left}"));
        fallback.tee.write(Some(until));
    }

    /// Shows what is owed, up to some bytes; says whether there is more.
    fn show(&self, fallback: &mut Fallback, teed: Teed<'_>, most: usize, until: Option<Instant>) -> bool {
        if !fallback.tee.write(until) || fallback.tee.is_broken() {
            return false;
        }
        let resource = &self.parts.origin.resource;
        for parts in self.owed_from(fallback.from) {
            let records = parts.iter().flat_map(Batch::records);
            let mut records: Vec<_> = records.filter(|record| record.id().sequence >= fallback.from).collect();
            records.sort_unstable_by_key(|record| record.id().sequence);
            for record in records {
                fallback.from = record.id().sequence.saturating_add(1);
                if !record.is_own() && teed(fallback.tee.stream(), &record) {
                    continue;
                }
                if fallback.shown.is_none() {
                    let text = "does not take records: what is owed to it is shown from here on, and stays owed";
                    self.mark(fallback, Severity::Warn, text);
                }
                *fallback.shown.get_or_insert(0) += 1;
                fallback.tee.add(&record, resource);
                if fallback.tee.waiting() >= most {
                    return fallback.tee.write(until);
                }
            }
        }
        fallback.tee.write(until);
        false
    }

    /// What this process owes, from that number on: batches by their first number, in the parts that are owed.
    fn owed_from(&self, from: u64) -> Vec<Vec<Batch<'_>>> {
        let is_new = |stored: &Stored| {
            let is_own = stored.origin().incarnation == self.parts.origin.incarnation;
            is_own && stored.len() > 0 && stored.sequence(stored.len() - 1) >= from
        };
        let jobs = self.flights.jobs().chain(self.backlog.waiting()).filter(|job| is_new(job.stored()));
        let jobs = jobs.map(|job: &Job| (job.stored().sequence(0), job.parts().collect()));
        let open = self.batcher.open().filter(|open| is_new(open));
        let open = open.map(|open| (open.sequence(0), vec![Batch::new(open, Places::Range(0, open.len()))]));
        let mut all: Vec<(u64, Vec<Batch<'_>>)> = jobs.chain(open).collect();
        all.sort_unstable_by_key(|(first, _)| *first);
        all.into_iter().map(|(_, parts)| parts).collect()
    }

    fn end_showing(&self, fallback: &mut Fallback, how: &str) {
        fallback.has_more = false;
        if let Some(shown) = fallback.shown.take() {
            let text = format!("{how}; {shown} record(s) that were owed to it were shown, which settled none of them");
            self.mark(fallback, Severity::Info, &text);
        }
    }

    /// A line of our own among the records.
    fn mark(&self, fallback: &mut Fallback, severity: Severity, text: &str) {
        let callsite = Callsite::Inline { target: "logchute", module: None, file: None, line: None };
        let (nanos, name) = (clock::nanos(), &self.parts.name);
        let frame = Frame::of(callsite, severity, nanos, |writer| {
            writer.fields.message(format_args!("{name} {text}"));
            writer.own();
        });
        let id = RecordId { incarnation: self.parts.origin.incarnation, sequence: 0 };
        let record = RecordRef::new(frame.callsite(), frame.bytes(), nanos, id);
        fallback.tee.add(&record, &self.parts.origin.resource);
    }
}

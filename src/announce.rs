//! Losses are told: one line on stderr and one record in the stream for each reason and period.

use std::time::{Duration, Instant};

use crate::capture::Record;
use crate::frame::Severity;
use crate::ledger::{Losses, Reason};
use crate::queue::Queue;
use crate::voice::Voice;

/// The same loss is told again after this long, if there was more of it.
const PERIOD: Duration = Duration::from_secs(60);
/// How often the counters are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One place where records are dropped: the queue, or a lane.
#[derive(Default)]
struct Place {
    told: Losses,
    told_at: [Option<Instant>; Reason::ALL.len()],
}

#[derive(Default)]
pub(crate) struct Announcer {
    looked: Option<Instant>,
    queue: Place,
    lanes: Vec<Place>,
}

impl Announcer {
    /// Compares the counters with what was told; says what is new on stderr, and returns it as records.
    ///
    /// With `all` nothing is held back until its period is over.
    pub(crate) fn look<'l>(
        &mut self,
        queue: &Queue,
        lanes: impl Iterator<Item = (&'l str, &'l Losses)>,
        voice: &Voice,
        all: bool,
        now: Instant,
    ) -> Vec<Record> {
        if !all && self.looked.is_some_and(|at| now < at + LOOK_EVERY) {
            return Vec::new();
        }
        self.looked = Some(now);
        let mut records = Vec::new();
        self.queue.look(None, &queue.losses(), voice, all, now, &mut records);
        for (index, (name, losses)) in lanes.enumerate() {
            if self.lanes.len() <= index {
                self.lanes.push(Place::default());
            }
            self.lanes[index].look(Some(name), losses, voice, all, now, &mut records);
        }
        records
    }
}

impl Place {
    fn look(
        &mut self,
        destination: Option<&str>,
        losses: &Losses,
        voice: &Voice,
        all: bool,
        now: Instant,
        records: &mut Vec<Record>,
    ) {
        for reason in Reason::ALL {
            let count = losses.of(reason) - self.told.of(reason);
            let told_at = &mut self.told_at[reason as usize];
            if count == 0 || (!all && told_at.is_some_and(|at| now < at + PERIOD)) {
                continue;
            }
            *told_at = Some(now);
            // Of those nobody knows how many were the parent's, see `capture/home.rs`.
            let up_to = if reason == Reason::Fork { "up to " } else { "" };
            let mut record = Record::new(Severity::Warn, format!("{up_to}{count} records dropped: {reason}"))
                .target("logchute")
                .field("reason", reason.as_str())
                .field("count", count);
            let mut severities = String::new();
            for severity in Severity::ALL.into_iter().rev() {
                let more = losses.of_severity(reason, severity) - self.told.of_severity(reason, severity);
                if more > 0 {
                    record = record.field(format!("count.{severity}"), more);
                    severities.push_str(&format!(" {severity} {more}"));
                    self.told.add(reason, severity, more);
                }
            }
            let at = destination.map_or(String::new(), |name| format!(" for {name}"));
            voice.always(&format!(
                "{up_to}{count} records dropped{at}: {reason} ({}); {}",
                severities.trim(),
                reason.remedy()
            ));
            if let Some(name) = destination {
                record = record.field("destination", name.to_owned());
            }
            records.push(record.field("remedy", reason.remedy()));
        }
    }
}

//! What became of every record: counters by stage, reason and severity, and the equations that they must meet.
//!
//! Each number is counted where the thing happens. None is obtained by subtraction, so that
//! [`Ledger::balances`] can fail.

use std::fmt;
use std::time::Duration;

use crate::backend::Delivery;
use crate::frame::Severity;

/// Why a record was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Reason {
    /// The queue had no room: records come faster than the worker takes them.
    QueueFull = 0,
    /// It came after `shutdown`.
    Shutdown,
    /// Records began inside records, deeper than four.
    Reentrant,
    /// Code of the application or of another layer panicked while the record was captured.
    Capture,
    /// The destination's memory backlog had no room: its store is away, or too slow.
    BacklogFull,
    /// The destination's share of the spool had no room.
    SpoolFull,
    /// The disk of the spool was full, and the memory backlog as well.
    DiskFull,
    /// What an earlier process had written to the spool or the ring could not be read.
    Damaged,
    /// A forked child logged it before the child had a pipeline of its own. An upper bound: what the parent's threads
    /// logged since its worker looked at its queue last, at most 50 milliseconds before the fork, is in it.
    Fork,
    /// It was still owed when the limit of the shutdown was over.
    Deadline,
    /// It was owed for longer than the destination's `retry_for`.
    Expired,
    /// It is older than what the store still keeps, which would have been lost there without a word.
    TooOld,
    /// Code of a backend panicked over it, or the worker died five times in a minute.
    Worker,
    /// It could not be written to the tee, where that is the only place.
    Tee,
}

impl Reason {
    /// All reasons; the position of each is its number.
    pub const ALL: [Self; 14] = [
        Self::QueueFull,
        Self::Shutdown,
        Self::Reentrant,
        Self::Capture,
        Self::BacklogFull,
        Self::SpoolFull,
        Self::DiskFull,
        Self::Damaged,
        Self::Fork,
        Self::Deadline,
        Self::Expired,
        Self::TooOld,
        Self::Worker,
        Self::Tee,
    ];

    /// As the ledger's JSON has it, for instance `queue_full`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Shutdown => "shutdown",
            Self::Reentrant => "reentrant",
            Self::Capture => "capture",
            Self::BacklogFull => "backlog_full",
            Self::SpoolFull => "spool_full",
            Self::DiskFull => "disk_full",
            Self::Damaged => "damaged",
            Self::Fork => "fork",
            Self::Deadline => "deadline",
            Self::Expired => "expired",
            Self::TooOld => "too_old",
            Self::Worker => "worker",
            Self::Tee => "tee",
        }
    }

    /// What to change so that it happens no more.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::QueueFull => "raise LOGCHUTE_QUEUE_BYTES, or set LOGCHUTE_OVERFLOW=block:50ms to wait for room",
            Self::Shutdown => "log before shutdown() is called",
            Self::Reentrant => "do not log without end inside Debug, Display or Drop",
            Self::Capture => "mend the code that panicked while it was logged",
            Self::BacklogFull => "raise LOGCHUTE_BACKLOG_BYTES, or set LOGCHUTE_SPOOL_DIR to keep them on disk",
            Self::SpoolFull => "raise LOGCHUTE_SPOOL_BYTES, or free some of the disk, of which the spool takes a fifth",
            Self::DiskFull => "free some of the disk of LOGCHUTE_SPOOL_DIR",
            Self::Damaged => "look at the disk of LOGCHUTE_SPOOL_DIR; what is damaged is kept there as *.bad",
            Self::Fork => "call after_fork() first in a forked child",
            Self::Deadline => "raise LOGCHUTE_SHUTDOWN, or look at why the store does not answer",
            Self::Expired => "raise LOGCHUTE_RETRY_FOR",
            Self::TooOld => "the store takes no records of that age; look at why it was away for so long",
            Self::Worker => "this is a defect of the backend or of logchute; please report it with the panic's message",
            Self::Tee => "look at why stdout or stderr refuses writes, or set LOGCHUTE_TEE=off",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str().replace('_', " "))
    }
}

/// Dropped records by reason and severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    counts: [[u64; 6]; Reason::ALL.len()],
}

impl Losses {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Those of one reason.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.counts[reason as usize].iter().sum()
    }

    /// Those of one reason and severity.
    #[must_use]
    pub fn of_severity(&self, reason: Reason, severity: Severity) -> u64 {
        self.counts[reason as usize][severity as usize]
    }

    pub(crate) fn add(&mut self, reason: Reason, severity: Severity, count: u64) {
        self.counts[reason as usize][severity as usize] += count;
    }

    fn json(&self) -> serde_json::Value {
        let reasons = Reason::ALL.into_iter().filter(|&reason| self.of(reason) > 0).map(|reason| {
            let severities = Severity::ALL.into_iter().filter(|&severity| self.of_severity(reason, severity) > 0);
            let counts = severities.map(|severity| (severity.to_string(), self.of_severity(reason, severity).into()));
            (reason.as_str().to_owned(), serde_json::Value::Object(counts.collect()))
        });
        serde_json::Value::Object(reasons.collect())
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dropped", self.total())?;
        let mut open = " (";
        for reason in Reason::ALL.into_iter().filter(|&reason| self.of(reason) > 0) {
            write!(f, "{open}{reason}")?;
            for severity in Severity::ALL.into_iter().rev() {
                match self.of_severity(reason, severity) {
                    0 => {}
                    count => write!(f, " {severity} {count}")?,
                }
            }
            open = "; ";
        }
        if open == "; " { write!(f, ")") } else { Ok(()) }
    }
}

/// What became of the records at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestinationLedger {
    /// The destination's name.
    pub name: String,
    /// How sure `delivered` is: with [`Delivery::BestEffort`] it counts what the system took to send, as the store never
    /// says that it has it.
    pub delivery: Delivery,
    /// Taken over from an earlier process, as far as it was found: files are opened one after the other.
    pub adopted: u64,
    /// Held back by the destination's own filter.
    pub filtered: u64,
    /// The store has them.
    pub delivered: u64,
    /// Of those delivered: with all fields in one, because the store refused them as they were.
    pub fallback: u64,
    /// The store refused them.
    pub rejected: u64,
    /// Given up, by reason.
    pub dropped: Losses,
    /// Held in memory until the store has them.
    pub owed_memory: u64,
    /// Held on disk alone until the store has them; what is in memory as well is counted there.
    pub owed_disk: u64,
}

impl DestinationLedger {
    pub(crate) fn new(name: String, delivery: Delivery) -> Self {
        Self {
            name,
            delivery,
            adopted: 0,
            filtered: 0,
            delivered: 0,
            fallback: 0,
            rejected: 0,
            dropped: Losses::default(),
            owed_memory: 0,
            owed_disk: 0,
        }
    }

    fn settled_and_owed(&self) -> u64 {
        self.filtered + self.delivered + self.rejected + self.dropped.total() + self.owed_memory + self.owed_disk
    }
}

/// A snapshot of what became of all records.
///
/// ```text
/// queue             emitted = dropped + queued + drained
/// each destination  drained + adopted = filtered + delivered + rejected + dropped + owed_memory + owed_disk
/// ```
///
/// The one in a [`Report`] balances once no thread is logging. One that is taken while threads log
/// may differ by the records that are on their way at that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Passed the filter and were handed over, those in `own` included.
    pub emitted: u64,
    /// Written by logchute itself, to announce losses in the stream.
    pub own: u64,
    /// In the queue.
    pub queued: u64,
    /// Taken from the queue by the worker.
    pub drained: u64,
    /// Dropped before they reached the queue, by reason.
    pub dropped: Losses,
    /// One for each destination; none where the tee is the only place.
    pub destinations: Vec<DestinationLedger>,
}

impl Ledger {
    /// Whether the equations hold, to the record.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.emitted == self.dropped.total() + self.queued + self.drained
            && self.destinations.iter().all(|to| self.drained + to.adopted == to.settled_and_owed())
    }

    /// Records that were dropped or rejected anywhere.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let at = |to: &DestinationLedger| to.rejected + to.dropped.total();
        self.dropped.total() + self.destinations.iter().map(at).sum::<u64>()
    }

    /// Records that are queued, or owed at some destination.
    #[must_use]
    pub fn unsettled(&self) -> u64 {
        let at = |to: &DestinationLedger| to.owed_memory + to.owed_disk;
        self.queued + self.destinations.iter().map(at).sum::<u64>()
    }

    /// All of it as one JSON object.
    ///
    /// # Examples
    ///
    /// ```
    /// let handle = logchute::Builder::new().start()?;
    /// assert!(handle.ledger().to_json().starts_with(r#"{"emitted":0,"own":0,"queue":{"#));
    /// # Ok::<(), logchute::Error>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let destinations = self.destinations.iter().map(|to| {
            format!(
                r#"{{"name":{},"delivery":"{}","adopted":{},"filtered":{},"delivered":{},"fallback":{},"rejected":{},"dropped":{},"owed_memory":{},"owed_disk":{}}}"#,
                serde_json::Value::from(to.name.as_str()),
                to.delivery.as_str(),
                to.adopted,
                to.filtered,
                to.delivered,
                to.fallback,
                to.rejected,
                to.dropped.json(),
                to.owed_memory,
                to.owed_disk
            )
        });
        format!(
            r#"{{"emitted":{},"own":{},"queue":{{"queued":{},"drained":{},"dropped":{}}},"destinations":[{}],"balances":{}}}"#,
            self.emitted,
            self.own,
            self.queued,
            self.drained,
            self.dropped.json(),
            destinations.collect::<Vec<_>>().join(","),
            self.balances()
        )
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "emitted {}", self.emitted)?;
        if self.own > 0 {
            write!(f, " ({} own)", self.own)?;
        }
        write!(f, " = {} + {} queued + {} drained", self.dropped, self.queued, self.drained)?;
        for to in &self.destinations {
            write!(f, "\n{}: {} drained", to.name, self.drained)?;
            if to.adopted > 0 {
                write!(f, " + {} adopted", to.adopted)?;
            }
            write!(
                f,
                " = {} filtered + {} delivered{} + {} rejected + {} + {} owed in memory + {} on disk",
                to.filtered,
                to.delivered,
                if to.delivery == Delivery::BestEffort { " by best effort" } else { "" },
                to.rejected,
                to.dropped,
                to.owed_memory,
                to.owed_disk
            )?;
            if to.fallback > 0 {
                write!(f, " ({} of those delivered with all fields in one)", to.fallback)?;
            }
        }
        if self.balances() { Ok(()) } else { write!(f, "\nDOES NOT BALANCE") }
    }
}

/// How a flush or a shutdown ended.
#[derive(Clone, Debug)]
#[must_use = "it says whether anything is still owed"]
pub struct Report {
    ledger: Ledger,
    settled: bool,
    took: Duration,
}

impl Report {
    pub(crate) fn new(ledger: Ledger, settled: bool, took: Duration) -> Self {
        Self { ledger, settled, took }
    }

    /// The ledger at the end.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether every record that was handed over before the call was settled within the limit:
    /// delivered, rejected, dropped or filtered, but no longer owed, in memory or on disk. What an earlier process owed does
    /// not count here.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// How long it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.settled { "settled" } else { "not settled" };
        write!(f, "{how} after {:.3} s\n{}", self.took.as_secs_f64(), self.ledger)
    }
}

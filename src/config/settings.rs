//! Every setting, checked: what the pipeline is started with.

use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use super::Destination;
use crate::resource::Resource;
use crate::tee::TeeTo;
pub(crate) use crate::voice::Hook;

/// What happens to a record for which the queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// It is dropped and counted; the calling thread goes on at once.
    DropNewest,
    /// The calling thread waits for room, at most this long; then the record is dropped and counted.
    Block(Duration),
}

/// What happens when a destination owes more than its memory backlog holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BacklogOverflow {
    /// The oldest batch is dropped and counted: in an outage the newest records matter most.
    DropOldest,
    /// New records are dropped and counted: how an incident began is kept.
    DropNewest,
}

/// Whether payloads are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Sent as they are; Loki's protobuf is always compressed with snappy.
    #[default]
    None,
    /// With gzip at level 1, where the backend's store takes it.
    Gzip,
}

/// What goes to the spool, where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpoolUse {
    /// What a destination owes beyond half of its memory backlog, and at the end all that it owes.
    #[default]
    Overflow,
    /// What a destination owes at the end, and nothing before.
    Exit,
    /// Every batch before it is sent: what is sealed survives the process, whatever happens to it.
    Always,
}

/// What is done about the signals that ask a process to end, SIGTERM and SIGINT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signals {
    /// Nothing: without a handler of the application's own, the process ends at once, and what it owes is lost with it.
    #[default]
    Off,
    /// What is owed is sent at once, and goes to the spool where there is one; the process goes on. For applications that
    /// have a handler of their own.
    Flush,
    /// All is delivered that can be within [`Builder::shutdown_limit`](crate::Builder::shutdown_limit), as at any other
    /// end; then the process exits with 128 and the number of the signal. A second signal ends it at once.
    Exit,
}

/// A destination's share of a spool directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpoolSettings {
    pub(crate) dir: PathBuf,
    pub(crate) bytes: usize,
    pub(crate) when: SpoolUse,
    /// The longest time that what was written may wait for the disk itself; `None`: the system decides.
    pub(crate) fsync: Option<Duration>,
}

/// What holds for one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaneSettings {
    pub(crate) backlog_bytes: usize,
    pub(crate) backlog_overflow: BacklogOverflow,
    pub(crate) batch_bytes: usize,
    pub(crate) in_flight: usize,
    pub(crate) linger: Duration,
    pub(crate) timeout: Duration,
    pub(crate) retry_for: Duration,
    pub(crate) compression: Compression,
    pub(crate) spool: Option<SpoolSettings>,
    /// Where what is owed is shown while the store is away.
    pub(crate) fallback: Option<TeeTo>,
    /// The file that keeps records which the store rejected.
    pub(crate) quarantine: Option<PathBuf>,
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self {
            backlog_bytes: 16 << 20,
            backlog_overflow: BacklogOverflow::DropOldest,
            batch_bytes: 1 << 20,
            in_flight: 4,
            linger: Duration::from_millis(200),
            timeout: Duration::from_secs(10),
            retry_for: Duration::from_secs(24 * 60 * 60),
            compression: Compression::None,
            spool: None,
            fallback: None,
            quarantine: None,
        }
    }
}

/// All settings, with defaults filled in and cross-checked.
pub(crate) struct Settings {
    pub(crate) destinations: Vec<Destination>,
    /// One for each destination, in their order.
    pub(crate) lanes: Vec<LaneSettings>,
    pub(crate) resource: Resource,
    /// What destinations without a filter of their own get.
    pub(crate) filter: Targets,
    pub(crate) spans: Targets,
    pub(crate) tee: Option<TeeTo>,
    pub(crate) tee_filter: Targets,
    pub(crate) queue_bytes: usize,
    pub(crate) overflow: Overflow,
    pub(crate) shutdown: Duration,
    pub(crate) ring_dir: Option<PathBuf>,
    pub(crate) signals: Signals,
    pub(crate) hook: Option<Hook>,
    /// Diagnostics that were found while the settings were read; said once the pipeline runs.
    pub(crate) remarks: Vec<String>,
}

//! Every setting, checked: what the pipeline is started with.

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

/// What holds for one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneSettings {
    pub(crate) backlog_bytes: usize,
    pub(crate) backlog_overflow: BacklogOverflow,
    pub(crate) batch_bytes: usize,
    pub(crate) in_flight: usize,
    pub(crate) linger: Duration,
    pub(crate) timeout: Duration,
    pub(crate) retry_for: Duration,
    pub(crate) compression: Compression,
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
    pub(crate) hook: Option<Hook>,
    /// Diagnostics that were found while the settings were read; said once the pipeline runs.
    pub(crate) remarks: Vec<String>,
}

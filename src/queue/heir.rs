//! What lanes owe from a ring, who takes it over from an earlier process's, and what is found there.
#![cfg_attr(
    not(all(feature = "crash-proof", target_os = "linux")),
    allow(dead_code, reason = "where there is no ring")
)]

use tracing_subscriber::filter::Targets;

use crate::spool::Source;

/// What a lane owes, as a ring says it to whoever comes next.
#[derive(Default)]
pub(crate) struct Owed {
    pub(crate) fingerprint: u64,
    /// Before this place in the ring, nothing is owed from there.
    pub(crate) settled: u64,
    /// Of what was before that, records that wait in memory alone, and those that are on their way from there.
    pub(crate) waiting: u64,
    pub(crate) in_flight: u64,
}

/// What was in memory alone when a process died.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) fingerprint: u64,
    /// The place of its destination among the heirs, if it is one of them.
    pub(crate) heir: Option<usize>,
    pub(crate) at_least: u64,
    /// Those that the store may have.
    pub(crate) in_flight: u64,
}

/// A destination that may take over what an earlier process owed it.
pub(crate) struct Heir {
    pub(crate) fingerprint: u64,
    /// Which records it wants.
    pub(crate) wanted: Targets,
    /// The most that a batch of it holds.
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// What was found in one ring.
#[derive(Default)]
pub(crate) struct Inheritance {
    /// With each share the place of its heir among those that were given.
    pub(crate) shares: Vec<(usize, Box<dyn Source>)>,
    /// What a person should know.
    pub(crate) remarks: Vec<String>,
    /// Whether there may be another ring.
    pub(crate) more: bool,
}

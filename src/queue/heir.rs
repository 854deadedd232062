//! Who takes over what the ring of an earlier process owes, and what is found there.
#![cfg_attr(
    not(all(feature = "crash-proof", target_os = "linux")),
    allow(dead_code, reason = "where there is no ring")
)]

use tracing_subscriber::filter::Targets;

use crate::spool::Source;

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

//! How the pipeline is, in one call.

use std::time::Duration;

/// What a record survives from the moment at which it was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acceptance {
    /// Nothing but the loss of its store for a while: it is in memory, and is lost if the process is killed before the
    /// store has it.
    Memory,
    /// The death of the process, whatever kills it: it is in the [ring](crate::Builder::ring_dir).
    ProcessCrash,
    /// A loss of power as well, from `fsync` after its batch was sealed.
    Disk {
        /// See [`Builder::fsync`](crate::Builder::fsync).
        fsync: Duration,
    },
}

/// How a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DestinationState {
    /// The last request went well, or there was none yet.
    Well,
    /// Its store is away or busy: records are kept, and sent again.
    Retrying,
    /// The store says that the configuration is wrong (address, path, credential, tenant): records are kept, and it
    /// is asked rarely.
    Held,
}

/// One destination's health.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestinationHealth {
    /// The destination's name.
    pub name: String,
    /// How it is.
    pub state: DestinationState,
    /// What failed last, while it is not well.
    pub last_failure: Option<String>,
    /// How many requests may be under way at a time once it is well: what the store was found to take, from 1 to
    /// [`Builder::in_flight`](crate::Builder::in_flight).
    pub in_flight: usize,
    /// Why nothing goes to the [spool](crate::Builder::spool_dir) for now, where there is one: what is owed is kept in memory
    /// alone meanwhile. It is tried again twice a second. Does not count in [`Health::is_well`].
    pub spool: Option<String>,
}

/// How the worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerState {
    /// It runs, or there is none because no destination needs one.
    Running,
    /// It died five times within a minute: for the rest of that minute records are dropped, and counted.
    Degraded,
    /// The pipeline was shut down.
    Stopped,
}

/// The health of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// What survives when a record was handed over.
    pub acceptance: Acceptance,
    /// The worker.
    pub worker: WorkerState,
    /// How often the worker was restarted after a panic.
    pub restarts: u64,
    /// The destinations.
    pub destinations: Vec<DestinationHealth>,
}

impl Health {
    /// Whether the worker runs and all destinations are well.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.worker == WorkerState::Running
            && self.destinations.iter().all(|destination| destination.state == DestinationState::Well)
    }
}

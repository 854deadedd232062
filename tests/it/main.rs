//! The promises, each kept against a scripted store: a module per promise, a test per row of the matrix.
//!
//! Every test compares three counts: what it emitted, what the store received, and what the ledger says.

mod ask;
mod backlog;
mod common;
mod deaths;
mod delivery;
#[cfg(feature = "elasticsearch")]
mod elasticsearch;
mod feedback;
mod flush;
#[cfg(feature = "forward")]
mod forward;
mod hostile;
mod lanes;
mod ledger;
#[cfg(feature = "otlp")]
mod otlp;
mod overflow;
mod poison;
mod quarantine;
mod retry;
#[cfg(target_os = "linux")]
mod ring;
mod splunk;
#[cfg(unix)]
mod spool;
mod syslog;
#[cfg(feature = "google_cloud")]
mod tokens;
mod verdicts;

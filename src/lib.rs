//! logchute
#![forbid(unsafe_code)]
mod announce;
pub mod backend;
mod batch;
mod capture;
mod config;
mod error;
mod exit;
mod flush;
mod frame;
mod handle;
mod health;
mod lane;
mod ledger;
mod mute;
mod printable;
mod queue;
mod resource;
mod tee;
#[cfg(feature = "testing")]
pub mod testing;
mod voice;
mod wire;
mod worker;
pub use capture::{FieldValue, Json, Record, json};
pub use config::{BacklogOverflow, Builder, Compression, Destination, Overflow, init, settings_table};
pub use error::Error;
pub use frame::Severity;
pub use handle::{Guard, Handle};
pub use health::{Acceptance, DestinationHealth, DestinationState, Health, WorkerState};
pub use lane::Schedule;
pub use ledger::{DestinationLedger, Ledger, Losses, Reason, Report};
pub use resource::Resource;
pub use tee::{Format, Stream, TeeTo};

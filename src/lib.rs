//! logchute
#![forbid(unsafe_code)]
pub mod backend;
mod batch;
mod config;
mod error;
mod frame;
mod ledger;
mod mute;
mod resource;
mod tee;
mod wire;
pub use config::{BacklogOverflow, Compression, Destination, Overflow};
pub use error::Error;
pub use frame::Severity;
pub use ledger::{DestinationLedger, Ledger, Losses, Reason, Report};
pub use resource::Resource;

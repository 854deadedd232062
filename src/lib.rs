//! logchute
#![forbid(unsafe_code)]
pub mod backend;
mod batch;
mod config;
mod error;
mod frame;
mod handle;
mod lane;
mod ledger;
mod mute;
mod printable;
mod resource;
mod tee;
mod voice;
mod wire;
pub use config::{BacklogOverflow, Compression, Destination, Overflow};
pub use error::Error;
pub use frame::Severity;
pub use handle::Guard;
pub use lane::Schedule;
pub use ledger::{DestinationLedger, Ledger, Losses, Reason, Report};
pub use resource::Resource;

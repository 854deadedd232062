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
#[doc(hidden)]
pub use config::settings_table;
pub use config::{BacklogOverflow, Builder, Compression, Destination, Overflow, init};
pub use error::Error;
pub use frame::Severity;
pub use handle::Guard;
pub use lane::Schedule;
pub use ledger::{DestinationLedger, Ledger, Losses, Reason, Report};
pub use resource::Resource;
pub use tee::{Format, Stream, TeeTo};

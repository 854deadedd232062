//! logchute
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![forbid(unsafe_code)]
pub mod backend;
mod batch;
mod error;
mod frame;
mod ledger;
mod mute;
mod resource;
pub use error::Error;
pub use frame::Severity;
pub use ledger::{DestinationLedger, Ledger, Losses, Reason, Report};
pub use resource::Resource;

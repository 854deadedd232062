//! From what the user says to what the pipeline is started with: builder and environment, checked.

mod builder;
mod check;
mod chosen;
mod destination;
mod env;
mod filter;
mod foreign;
mod init;
mod keep;
mod lanes;
mod list;
mod names;
mod reader;
mod settings;
#[cfg(test)]
mod tests;
mod units;
mod url;

pub use builder::Builder;
pub use destination::Destination;
pub(crate) use filter::parse as parse_filter;
pub use init::{diagnose, init};
pub use list::settings_table;
pub use settings::{BacklogOverflow, Compression, Overflow, Signals, SpoolUse};
pub(crate) use settings::{LaneSettings, Settings, SpoolSettings};

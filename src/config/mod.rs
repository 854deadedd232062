//! stub
mod settings;
pub use settings::{BacklogOverflow, Compression, Overflow};
pub(crate) use settings::{Hook, Settings};
/// One store.
pub struct Destination;

//! For tests: a store that runs inside the test and does what the test says.
//!
//! [`Store`] listens on loopback, answers from a script (each status, silence, resets, garbage, nothing
//! at all) and keeps what it received. It shares no code with the backends, so that what one of them
//! writes is read by something else.
//!
//! It is enabled by the feature `testing`, meant for a `[dev-dependencies]` line.

mod store;

pub use store::{Answer, Gate, Received, Request, Store};

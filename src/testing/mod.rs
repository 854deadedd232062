//! For tests: what a piece of code logs, and a store that runs inside the test and does what the test says.
//!
//! [`capture`] keeps what this thread logs while it is alive, with nothing to install and no network.
//!
//! [`Store`] listens on loopback, answers from a script (each status, silence, resets, garbage, nothing
//! at all) and keeps what it received. It shares no code with the backends, so that what one of them
//! writes is read by something else.
//!
//! [`conformance`] checks a backend of your own, and [`check_reply`] its verdict on any reply, for a fuzzer.
//!
//! It is enabled by the feature `testing`, meant for a `[dev-dependencies]` line.

mod capture;
mod store;

pub use crate::backend::check_reply::check_reply;
pub use crate::backend::conformance::conformance;
// For `tests/death` alone.
#[doc(hidden)]
pub use crate::crash::arm_crash;
// For `benches/herd.rs` alone.
#[doc(hidden)]
pub use crate::lane::herd::{Herd, peak_over_mean};
pub use capture::{Attached, Capture, CaptureHandle, capture};
pub use store::{Answer, Gate, Received, Request, Store};

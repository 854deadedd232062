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
// For `fuzz/` alone.
#[doc(hidden)]
pub use crate::spool::fuzz::check_spool;
pub use capture::{Attached, Capture, CaptureHandle, capture};
pub use store::{Answer, Gate, Received, Request, Store};

/// Reads any bytes as the file of a [ring](crate::Builder::ring_dir) whose process died, for a fuzzer; returns how many
/// records came of it.
///
/// # Panics
///
/// If what is found cannot be.
///
/// # Examples
///
/// ```
/// assert_eq!(logchute::testing::recover_ring(b"no ring"), 0);
/// ```
#[cfg(all(feature = "crash-proof", target_os = "linux"))]
pub fn recover_ring(bytes: &[u8]) -> usize {
    crate::queue::recover_any(bytes)
}

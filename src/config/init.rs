//! The one line.

use std::sync::{Mutex, PoisonError, Weak};

use super::Builder;
use crate::error::Error;
use crate::exit::Core;
use crate::handle::{Guard, Handle};

/// The pipeline that `init` made.
static FIRST: Mutex<Weak<Core>> = Mutex::new(Weak::new());

/// Everything from the environment: starts a pipeline, and makes it the global `tracing` subscriber and `log` logger.
///
/// Without `LOGCHUTE_URL` or `LOGCHUTE_LANES` records go to the tee alone: as text to stderr, or as `LOGCHUTE_TEE` says. A second
/// call returns the pipeline of the first. The settings are listed in the README.
///
/// # Errors
///
/// [`Error::Setting`] if a variable is malformed, [`Error::AlreadyInstalled`] if another global subscriber is set,
/// [`Error::Spawn`] if no thread can be had. That a store cannot be reached is no error: the pipeline starts,
/// reports and keeps.
///
/// # Examples
///
/// ```
/// let _logs = logchute::init()?;
/// tracing::info!(user = 42, "order placed");
/// log::info!("order paid");
/// assert!(logchute::init()?.ledger().emitted >= 2); // the same pipeline
/// # Ok::<(), logchute::Error>(())
/// ```
pub fn init() -> Result<Guard, Error> {
    let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(core) = first.upgrade() {
        return Ok(Guard::new(Handle::from_core(core)));
    }
    let guard = Builder::from_env()?.start()?;
    guard.install(tracing_subscriber::registry())?;
    *first = std::sync::Arc::downgrade(guard.core());
    Ok(guard)
}

//! The one line.

use super::Builder;
use crate::error::Error;
use crate::handle::Guard;

/// Starts a pipeline with everything from the environment.
///
/// # Errors
///
/// [`Error::Setting`] if a variable of ours is malformed, [`Error::Spawn`] if no thread can be had.
pub fn init() -> Result<Guard, Error> {
    Builder::from_env()?.start()
}

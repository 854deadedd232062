//! What a user holds while the pipeline runs.

use crate::config::Settings;
use crate::error::Error;

/// Flushes when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it flushes"]
pub struct Guard;

#[allow(clippy::unnecessary_wraps)]
pub(crate) fn start(_settings: Settings) -> Result<Guard, Error> {
    Ok(Guard)
}

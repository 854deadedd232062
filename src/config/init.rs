//! The one line.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::Builder;
use crate::doctor::Diagnosis;
use crate::error::Error;
use crate::exit::Core;
use crate::handle::{Guard, Handle};
use crate::process;

/// The pipeline that `init` made.
static FIRST: Mutex<Weak<Core>> = Mutex::new(Weak::new());

/// Everything from the environment: starts a pipeline, and makes it the global `tracing` subscriber and `log` logger.
///
/// Without `LOGCHUTE_URL` or `LOGCHUTE_LANES` records go to the tee alone: as text to stderr, or as `LOGCHUTE_TEE` says. A second
/// call returns the pipeline of the first, in a forked child after [`Handle::after_fork`]. The settings are listed in the README.
///
/// # Errors
///
/// [`Error::Setting`] if a variable is malformed, [`Error::AlreadyInstalled`] if another global subscriber is set,
/// [`Error::Spawn`] if no thread can be had. That a store cannot be reached is no error: the pipeline starts,
/// reports and keeps.
///
/// With `LOGCHUTE_DOCTOR=1` it calls the [doctor](Handle::doctor) before it returns.
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
    let mut first = if process::is_child() {
        // A thread of the parent may have held it at the fork, and nobody releases it any more.
        FIRST.try_lock().map_err(|_| Error::AlreadyInstalled("tracing subscriber"))?
    } else {
        FIRST.lock().unwrap_or_else(PoisonError::into_inner)
    };
    if let Some(core) = first.upgrade() {
        core.after_fork()?;
        return Ok(Guard::new(Handle::from_core(core)));
    }
    let builder = Builder::from_env()?;
    let calls_doctor = builder.doctor;
    let guard = builder.start()?;
    guard.install(tracing_subscriber::registry())?;
    if calls_doctor {
        let diagnosis = guard.doctor().to_string();
        diagnosis.lines().for_each(|line| guard.core().voice().always(line));
    }
    *first = Arc::downgrade(guard.core());
    Ok(guard)
}

/// Looks at what the environment says, without installing anything: starts a pipeline, calls the
/// [doctor](crate::Handle::doctor), and ends it. Settings that are refused are part of what it finds.
///
/// Blocks until every store has answered, at most for `LOGCHUTE_TIMEOUT` and two seconds. `cargo run --example doctor`
/// does this and no more. `LOGCHUTE_DOCTOR=1` makes [`init`] do it.
///
/// # Examples
///
/// ```
/// // No variable is set here.
/// let diagnosis = logchute::diagnose();
/// assert_eq!(diagnosis.examinations()[0].settings, ["LOGCHUTE_URL"]);
/// ```
pub fn diagnose() -> Diagnosis {
    let said = Arc::<Mutex<Vec<String>>>::default();
    let hears = Arc::clone(&said);
    let hear = move |line: &str| {
        hears.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim_start_matches("logchute: ").to_owned())
    };
    match Builder::from_env().and_then(|builder| builder.no_tee().on_diagnostic(hear).start()) {
        Ok(logs) => {
            let remarks = std::mem::take(&mut *said.lock().unwrap_or_else(PoisonError::into_inner));
            let diagnosis = logs.doctor().with_remarks(remarks);
            // The record is not waited for: whether it arrives has been told.
            let _ = logs.shutdown(Duration::ZERO);
            diagnosis
        }
        Err(error) => Diagnosis::of_error(&error),
    }
}

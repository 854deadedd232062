//! What can go wrong before records flow. Nothing that happens later is an `Error`: it is in the ledger.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// Why a pipeline could not start, or a setting could not be changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of range or malformed, so nothing was started or changed.
    #[non_exhaustive]
    Setting {
        /// The builder method or the environment variable that set it.
        name: Cow<'static, str>,
        /// The value as it was given; masked where it is a secret.
        value: String,
        /// What the value must be.
        must: Cow<'static, str>,
    },
    /// Another global subscriber was installed first. Compose with [`layer()`](crate::Handle::layer) instead.
    AlreadyInstalled(&'static str),
    /// The system refused the worker thread.
    Spawn(io::Error),
}

impl Error {
    /// A setting that was refused.
    pub(crate) fn setting(
        name: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        must: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Setting { name: name.into(), value: value.to_string(), must: must.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, value, must } => write!(f, "{name} is {value:?}, but must be {must}"),
            Self::AlreadyInstalled(what) => write!(
                f,
                "a global {what} is already set; add `handle.layer()` to that one instead of calling `install` or `init`"
            ),
            Self::Spawn(_) => write!(f, "the system refused the worker thread (limit of processes or memory?)"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Spawn(cause) => Some(cause),
            _ => None,
        }
    }
}

//! How a backend is named in `LOGCHUTE_URL` and built from it; each backend's file has its own entry.

use super::{Backend, loki, ndjson};
use crate::error::Error;

/// One backend as the settings see it.
pub(crate) struct Scheme {
    /// What stands before `+http` or `+https` in the URL, and as a bare name; the first is the usual one.
    pub(crate) names: &'static [&'static str],
    /// Variables of that store's own world, first found wins; used where the URL is a bare name, or where
    /// our own variable for the same thing is unset.
    pub(crate) url_variables: &'static [&'static str],
    pub(crate) user_variables: &'static [&'static str],
    pub(crate) password_variables: &'static [&'static str],
    pub(crate) tenant_variables: &'static [&'static str],
    /// Builds it from the name that was used, the `http` or `https` URL, and the names of fields that
    /// `LOGCHUTE_LABELS` promotes to labels.
    pub(crate) build: Build,
}

type Build = fn(name: &str, url: &str, promoted: &[String]) -> Result<Box<dyn Backend>, Error>;

/// All backends.
pub(crate) const SCHEMES: &[&Scheme] = &[&loki::SCHEME, &ndjson::SCHEME];

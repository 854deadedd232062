//! How a backend is named in `LOGCHUTE_URL` and built from it; each backend's file has its own entry.

// Which of it is used depends on the backends that are compiled in.
#![cfg_attr(not(all(feature = "elasticsearch", feature = "otlp")), allow(dead_code))]

use super::Backend;
use crate::error::Error;

/// The modules of all backends, their names in the URL, the feature that compiles each in, what they make public, and
/// the list of their schemes: one line each. A backend has one `SCHEME`, and may have more of them, in brackets.
macro_rules! backends {
    ($(
        $(#[cfg(feature = $feature:literal)])?
        $module:ident($($name:literal),+): $($public:ident),+ $([$($more:ident),+])?;
    )+) => {
        $($(#[cfg(feature = $feature)])? mod $module;)+
        $($(#[cfg(feature = $feature)])? pub use self::$module::{$($public),+};)+

        /// What stands first in the URL, by module; the first name is the usual one.
        mod names {
            $(pub(super) const fn $module() -> &'static [&'static str] {
                &[$($name),+]
            })+
        }

        /// All backends that are compiled in.
        pub(crate) const SCHEMES: &[&Scheme] = &[
            $($(#[cfg(feature = $feature)])? &self::$module::SCHEME, $($(&self::$module::$more,)+)?)+
        ];

        /// Those that are not: their names, and the feature.
        pub(crate) const ABSENT: &[(&[&str], &str)] = &[
            $($(#[cfg(not(feature = $feature))] (names::$module(), $feature),)?)+
        ];
    };
}
pub(super) use backends;

/// One backend as the settings see it.
pub(crate) struct Scheme {
    /// What stands first in the URL, and as a bare name; the first is the usual one. Those of a backend are in the list
    /// of backends, so that they are known where it is not compiled in.
    pub(crate) names: &'static [&'static str],
    /// What follows the name in the URL.
    pub(crate) written: &'static [Written],
    /// The URL of a bare name where no variable gives one.
    pub(crate) default_url: Option<&'static str>,
    /// Variables of that store's own world. Of those that say the same the first that can be used wins, and one of ours
    /// goes before all of them. What is wrong with one is told, and never an error. URLs are looked at only where ours is a bare name.
    pub(crate) foreign: &'static [Foreign],
    /// Builds it.
    pub(crate) build: fn(&Setup<'_>) -> Result<Box<dyn Backend>, Error>,
}

/// How the URL of a backend may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// `NAME+http://…` or `NAME+https://…`; the backend sees `http://…` or `https://…`.
    Http,
    /// `NAME://host:port`, `NAME+tcp://…` or `NAME+tls://…`; the backend sees `tcp://…` or `tls://…`.
    Stream,
    /// `NAME://something` that is no address; the backend sees it with its own name before it.
    Own,
}

/// A variable of another world.
#[derive(Clone, Copy)]
pub(crate) struct Foreign {
    pub(crate) name: &'static str,
    pub(crate) says: Says,
}

/// What a variable of another world says.
#[derive(Clone, Copy)]
pub(crate) enum Says {
    /// Where the store is; the function makes a URL as [`Setup::url`] has it of the value, or says what it should be.
    Url(fn(&str) -> Result<String, &'static str>),
    Token,
    User,
    Password,
    Tenant,
    /// `name=value,name=value`, percent-encoded.
    Headers,
    /// Paths of PEM files.
    Ca,
    Cert,
    Key,
    /// In milliseconds.
    Timeout,
    /// `gzip` or `none`.
    Compression,
}

impl Foreign {
    pub(crate) const fn new(name: &'static str, says: Says) -> Self {
        Self { name, says }
    }

    /// A whole URL, taken as it is.
    pub(crate) const fn url(name: &'static str) -> Self {
        Self::new(name, Says::Url(|url| Ok(url.to_owned())))
    }
}

/// What a backend is built from.
pub(crate) struct Setup<'a> {
    /// The name that was used, one of [`Scheme::names`].
    pub(crate) name: &'a str,
    /// See [`Written`].
    pub(crate) url: &'a str,
    /// The variable of another world that gave the URL, if one did.
    pub(crate) variable: Option<&'static str>,
    /// Names of fields that `LOGCHUTE_LABELS` promotes to labels.
    pub(crate) promoted: &'a [String],
    /// Reads any other variable of that world, trimmed; `None` where it is unset or empty.
    pub(crate) lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Scheme {
    /// The backend as `LOGCHUTE_URL` would make it, with these variables of its world.
    #[cfg(test)]
    pub(super) fn built(
        &self,
        name: &str,
        url: &str,
        promoted: &[&str],
        variables: &[(&str, &str)],
    ) -> Box<dyn Backend> {
        let promoted: Vec<String> = promoted.iter().map(|&field| field.to_owned()).collect();
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        (self.build)(&Setup { name, url, variable: None, promoted: &promoted, lookup: &lookup }).expect("it is built")
    }
}

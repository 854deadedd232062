//! Credentials: how a destination shows who it is. None of them is ever printed.

use std::fmt;
use std::path::PathBuf;

/// A value that is not shown, or the file that holds it.
#[derive(Clone)]
pub(crate) struct Secret(Source);

#[derive(Clone)]
enum Source {
    Value(#[allow(dead_code)] String),
    File(PathBuf),
}

impl Secret {
    pub(crate) fn value(value: impl Into<String>) -> Self {
        Self(Source::Value(value.into()))
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Value(_) => f.write_str("***"),
            Source::File(path) => write!(f, "*** (file {})", path.display()),
        }
    }
}

/// What is shown to the store to be let in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) token: Option<Secret>,
    pub(crate) user: Option<Secret>,
    pub(crate) password: Option<Secret>,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) tenant: Option<Secret>,
}

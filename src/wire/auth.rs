//! Credentials: how a destination shows who it is. None of them is ever printed.

use std::fmt;
use std::path::PathBuf;

/// A value that must not be seen, given as it is or as the file that holds it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    Value(String),
    /// Read again when it changes, and when the store says that the credential is not valid.
    File(PathBuf),
}

impl Secret {
    pub(crate) fn value(value: impl Into<String>) -> Self {
        Self::Value(value.into())
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("[masked]"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What is sent along with each request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) token: Option<Secret>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) tenant: Option<String>,
}

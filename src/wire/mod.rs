//! From a payload to a reply: one HTTP request over a connection of our own.
//!
//! Promised: one deadline over name, connection, handshake, request and reply; at most 64 KiB of a reply
//! are kept, and they are not unpacked; a credential goes to the configured URL and nowhere else, is never shown, and is not sent
//! in plain text unless the user allows it; what can be checked without the network is checked at start.
//! What the lane gets is a [`Reply`](crate::backend::Reply), or a [`Failure`] whose text says what to change.
//!
//! Left to others: what a reply means (`backend/`), when to try again (`lane/`). Nothing here sends twice, except that
//! a request of which not one byte was written, because a kept connection turned out to be closed, goes out
//! over a new one; the HTTP client does that by itself.
//!
//! These are the only files that name `reqwest` or `rustls`.

mod auth;
mod failure;
mod http;
mod mask;
mod names;
mod resolve;
mod retry_after;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod url;

use std::fmt;
use std::path::PathBuf;

pub(crate) use auth::{Credentials, Secret};
pub(crate) use failure::{Failure, FailureKind};
pub(crate) use http::Client;
pub(crate) use names::Names;

use crate::backend::{Facts, TokenAs};
use crate::config::Compression;

/// What a [`Client`] is made from.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) url: String,
    pub(crate) credentials: Credentials,
    /// What errors call the settings.
    pub(crate) names: Names,
    /// PEM file with the only CAs to trust; the platform's where there is none.
    pub(crate) ca: Option<PathBuf>,
    /// PEM files with the client certificate, its chain after it, and its key.
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// A credential may go over plain http to another machine.
    pub(crate) allow_http: bool,
    pub(crate) compression: Compression,
    /// The backend says that its store takes gzip.
    pub(crate) takes_gzip: bool,
    /// How the backend's store is shown a token, and the header of its tenants.
    pub(crate) token_as: TokenAs,
    pub(crate) tenant_header: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        let facts = Facts::new("");
        Self {
            url: String::new(),
            credentials: Credentials::default(),
            names: Names::default(),
            ca: None,
            cert: None,
            key: None,
            allow_http: false,
            compression: Compression::default(),
            takes_gzip: facts.takes_gzip(),
            token_as: facts.token_as(),
            tenant_header: facts.tenant_header(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing has checked the URL yet: it may hold a password.
        f.debug_struct("Options")
            .field("url", &url::masked(&self.url))
            .field("credentials", &self.credentials)
            .field("ca", &self.ca)
            .field("cert", &self.cert)
            .field("key", &self.key)
            .field("allow_http", &self.allow_http)
            .field("compression", &self.compression)
            .field("takes_gzip", &self.takes_gzip)
            .finish()
    }
}

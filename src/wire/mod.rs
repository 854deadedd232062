//! From a payload to a reply: one HTTP request over a connection of our own, or bytes on a connection that is kept,
//! and what its store acknowledges (`stream/`).
//!
//! Promised of both: one deadline over name, connection, handshake, request and reply; of a reply no more is kept than the backend
//! declares, 64 KiB mostly, and that is not unpacked; a credential goes to the configured URL and nowhere else, is never shown, and is not sent
//! in plain text unless the user allows it; what can be checked without the network is checked at start.
//! What the lane gets is a [`Reply`](crate::backend::Reply), or a [`Failure`] whose text says what to change.
//!
//! Left to others: what a reply means (`backend/`), when to try again (`lane/`). Nothing here sends twice, except that
//! a request of which not one byte was written, because a kept connection turned out to be closed, goes out
//! over a new one; the HTTP client does that by itself.
//!
//! These are the only files that name `reqwest` or `rustls`.

mod auth;
mod client;
mod failure;
mod http;
mod limits;
mod mask;
mod names;
#[cfg(not(feature = "tls"))]
mod no_tls;
mod resolve;
mod retry_after;
mod shared;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
mod url;

use std::fmt;
use std::path::PathBuf;

pub(crate) use auth::{Credentials, Secret};
pub(crate) use client::Client;
pub(crate) use failure::{Failure, FailureKind};
pub(crate) use names::Names;
pub(crate) use shared::{Holder, refuse_shared};

use crate::backend::{Facts, TokenAs};
use crate::config::Compression;
use crate::error::Error;

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
    /// What is read of a reply. A hostile or broken store can send more than there is memory.
    pub(crate) reply_bytes: usize,
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
            reply_bytes: facts.most_reply_bytes(),
        }
    }
}

impl Options {
    /// What would be shown to the network on the way there, where the user does not permit that.
    fn exposed(&self, target: &url::Target) -> Option<String> {
        if self.is_open(target) { self.credentials.exposed() } else { None }
    }

    /// Whether the network can read what goes there, and the user does not permit that.
    fn is_open(&self, target: &url::Target) -> bool {
        !target.https && !target.loopback && !self.allow_http
    }

    fn shown(&self) -> auth::Shown {
        auth::Shown { token: self.token_as, tenant: self.tenant_header }
    }

    /// Why its credentials and files cannot be used, if they cannot; no secret is in it.
    ///
    /// For those that are passed over where they are of no use. What is wrong with those that the user gave to us is told
    /// by [`Client::new`].
    pub(crate) fn unusable(&self) -> Option<String> {
        if let Ok(target) = url::check(&self.url)
            && let Some(what) = self.exposed(&target)
        {
            let permits = self.names.in_words_of_the_user("LOGCHUTE_ALLOW_HTTP");
            return Some(format!("{what} would go over plain http to another machine, which {permits}=true permits"));
        }
        let error = self.credentials.read(self.shown()).err().or_else(|| self.refused_files())?;
        Some(match error {
            Error::Setting { value, must, .. } if value.contains("***") => format!("it must be {must}"),
            Error::Setting { value, must, .. } => format!("{value:?} must be {must}"),
            other => other.to_string(),
        })
    }

    fn refused_files(&self) -> Option<Error> {
        #[cfg(feature = "tls")]
        return tls::config(self, false).err();
        #[cfg(not(feature = "tls"))]
        no_tls::check(self, false).err()
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

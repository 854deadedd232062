//! What a lane sends with: by HTTP, or on a connection, as the URL of its backend says.

use std::fmt;
use std::time::Duration;

use futures_util::future::Either;

use super::{Failure, Names, Options, http, stream, url};
use crate::backend::{Login, Payload, Reply, Speech, Tokens};
use crate::error::Error;

/// Speaks to one store.
pub(crate) enum Client {
    Http(http::Client),
    Stream(stream::Client),
}

impl Client {
    /// Checks everything that can be checked without the network, and reads the files.
    pub(crate) fn new(options: Options) -> Result<Self, Error> {
        let names = options.names.clone();
        let client = if url::is_stream(&options.url) {
            stream::Client::new(options).map(Self::Stream)
        } else {
            http::Client::new(options).map(Self::Http)
        };
        client.map_err(|why| names.tell(why))
    }

    /// One attempt, over after `timeout` whatever happens: name, connection, handshake, request and reply share it.
    ///
    /// `speech` makes the dialogue of a new connection, if one is needed. Nothing runs before the future is polled, on a
    /// Tokio runtime. Dropping the future closes the connection.
    pub(crate) fn send(
        &self,
        payload: Payload,
        timeout: Duration,
        speech: &dyn Fn(&Login<'_>) -> Box<dyn Speech>,
    ) -> impl Future<Output = Result<Reply, Failure>> + use<> {
        match self {
            Self::Http(client) => Either::Left(client.send(payload, timeout)),
            Self::Stream(client) => Either::Right(client.send(payload, timeout, speech)),
        }
    }

    /// Whether tokens could be shown with requests: by HTTP, where the user gave no credential.
    pub(crate) fn takes_tokens(&self) -> bool {
        matches!(self, Self::Http(client) if !client.authorizes())
    }

    /// Shows tokens from there with each request.
    pub(crate) fn with_tokens(self, source: Box<dyn Tokens>) -> Result<Self, Error> {
        match self {
            Self::Http(client) => client.with_tokens(source).map(Self::Http),
            stream => Ok(stream),
        }
    }

    /// Whether there is another credential than the one of that number, which the store refused: one that is in use by
    /// now, or that a file holds, or that the next request fetches.
    pub(crate) fn refresh(&self, refused: u64) -> bool {
        match self {
            Self::Http(client) => client.refresh(refused),
            Self::Stream(client) => client.refresh(refused),
        }
    }

    /// Why a credential file could not be read the last time; the credential before it is still in use.
    pub(crate) fn complaint(&self) -> Option<String> {
        match self {
            Self::Http(client) => client.complaint(),
            Self::Stream(client) => client.complaint(),
        }
    }

    /// Where payloads go, as it may be printed.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Http(client) => client.url(),
            Self::Stream(client) => client.url(),
        }
    }

    /// What the user calls the settings.
    pub(crate) fn names(&self) -> &Names {
        match self {
            Self::Http(client) => client.names(),
            Self::Stream(client) => client.names(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url()).finish_non_exhaustive()
    }
}

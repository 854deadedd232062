//! One destination by HTTP: its client, which credential goes with a request, and what an attempt is made from.

mod attempt;
mod setup;
mod sheet;
mod upload;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Method, Url};

pub(super) use self::attempt::Attempt;
pub(super) use self::setup::{build, tls};
use super::auth::Auth;
use super::failure::{Failure, FailureKind};
use super::limits::deadline;
use super::resolve::{Hung, Resolver};
use super::tokens::Purse;
use super::{Names, Options, url};
use crate::backend::{Payload, Reply, TokenAs, Tokens};
use crate::config::Compression;
use crate::error::Error;

/// Speaks to one store. Its connections belong to the runtime on which its attempts were polled.
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    shown: Arc<str>,
    https: bool,
    gzip: bool,
    reply_bytes: usize,
    auth: Mutex<Auth>,
    names: Names,
    hung: Arc<Hung>,
    /// Where the user gave no credential, and the backend has a source of tokens.
    tokens: Option<Arc<Purse>>,
    token_as: TokenAs,
    /// The setting that must be changed before a token may be sent, and to what.
    exposes: bool,
    authorizes: bool,
}

impl Client {
    /// Checks everything that can be checked without the network, and reads the files.
    pub(super) fn new(options: Options) -> Result<Self, Error> {
        let target = url::check(&options.url)?;
        let exposes = options.is_open(&target);
        if let Some(what) = options.exposed(&target) {
            return Err(exposed(&what, &target.shown));
        }
        let authorizes = options.credentials.authorizes();
        let builder = tls(reqwest::Client::builder(), &options, target.https)?;
        let shown = options.shown();
        let names = options.names.clone();
        let auth = Auth::new(options.credentials, options.names, shown, Instant::now())?;
        let resolver = Resolver::default();
        let hung = Arc::clone(&resolver.hung);
        // No proxy can reach this machine's loopback for us, and a credential for it must not go to one.
        let http = build(builder, resolver, target.loopback).map_err(|why| {
            let must = format!("one that the HTTP client can be set up for ({why})");
            Error::setting("url", &target.shown, must)
        })?;
        Ok(Self {
            http,
            url: target.url,
            shown: target.shown.into(),
            https: target.https,
            gzip: options.compression == Compression::Gzip && options.takes_gzip,
            reply_bytes: options.reply_bytes,
            auth: Mutex::new(auth),
            names,
            hung,
            tokens: None,
            token_as: options.token_as,
            exposes,
            authorizes,
        })
    }

    /// Whether each request carries a credential that the user gave.
    pub(crate) fn authorizes(&self) -> bool {
        self.authorizes
    }

    /// Shows tokens from there with each request.
    pub(crate) fn with_tokens(mut self, source: Box<dyn Tokens>) -> Result<Self, Error> {
        if self.exposes {
            return Err(self.names.tell(exposed("a token", &self.shown)));
        }
        self.tokens = Some(Arc::new(Purse::new(source, self.token_as)));
        Ok(self)
    }

    /// One attempt, over after `timeout` whatever happens: name, connection, handshake, request and reply share it.
    ///
    /// Nothing runs before the future is polled, on a Tokio runtime. Dropping the future closes the connection.
    pub(crate) fn send(
        &self,
        payload: Payload,
        timeout: Duration,
    ) -> impl Future<Output = Result<Reply, Failure>> + use<> {
        let (headers, number) = {
            let mut auth = self.auth();
            let (headers, number) = auth.ready(Instant::now());
            (headers.clone(), number)
        };
        let attempt = Attempt {
            http: self.http.clone(),
            method: Method::POST,
            url: self.url.clone(),
            shown: Arc::clone(&self.shown),
            https: self.https,
            named: "LOGCHUTE_URL",
            gzip: self.gzip,
            reply_bytes: self.reply_bytes,
            hung: Arc::clone(&self.hung),
            headers,
        };
        let purse = self.tokens.as_ref().map(|purse| (Arc::clone(purse), purse.edition()));
        async move {
            if let Some((purse, edition)) = purse {
                return with_token(attempt, payload, &purse, edition, timeout).await;
            }
            let mut reply = attempt.run(payload, timeout).await?;
            reply.credential = number;
            Ok(reply)
        }
    }

    /// Whether there is another credential than the one of that number, which the store refused: one that is in use by
    /// now, or that a file holds, or that the next request fetches.
    pub(crate) fn refresh(&self, refused: u64) -> bool {
        match &self.tokens {
            Some(purse) => purse.refuse(refused),
            None => self.auth().replace(refused),
        }
    }

    /// Why a credential could not be read or fetched the last time; the one before it is still in use.
    pub(crate) fn complaint(&self) -> Option<String> {
        match &self.tokens {
            Some(purse) => purse.complaint(),
            None => self.auth().complaint().map(str::to_owned),
        }
    }

    #[cfg(test)]
    pub(super) fn purse(&self) -> &Purse {
        self.tokens.as_deref().expect("there is a source of tokens")
    }

    /// Where payloads go, as it may be printed: without the values of the query.
    pub(crate) fn url(&self) -> &str {
        &self.shown
    }

    /// What the user calls the settings.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    fn auth(&self) -> MutexGuard<'_, Auth> {
        self.auth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.shown).finish_non_exhaustive()
    }
}

/// A token that lives shorter than it takes to fetch it is not told apart from one that is refused.
async fn with_token(
    mut attempt: Attempt,
    payload: Payload,
    purse: &Purse,
    edition: u64,
    timeout: Duration,
) -> Result<Reply, Failure> {
    let deadline = deadline(timeout);
    let (name, value, number) = purse.token(deadline).await?;
    if purse.edition() != edition {
        let text = "what was learnt with the token goes into the request, which is made anew".to_owned();
        return Err(Failure { kind: FailureKind::Outdated, text });
    }
    attempt.headers.insert(name, value);
    let left = deadline.saturating_duration_since(tokio::time::Instant::now());
    let mut reply = attempt.run(payload, left).await?;
    reply.credential = number;
    if (200..300).contains(&reply.status) {
        purse.accept(number);
    }
    Ok(reply)
}

fn exposed(what: &str, url: &str) -> Error {
    let must = format!(
        "https, because {what} is sent with each request; plain http shows it to the network, which allow_http \
         (LOGCHUTE_ALLOW_HTTP) permits"
    );
    Error::setting("url", url, must)
}

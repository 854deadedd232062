//! Tokens that expire: the errands that fetch one, and the one that is in use.
//!
//! Promised: one fetch at a time, within the deadline of the request that needs the token; a token is replaced ahead of
//! its end, and kept while that fails; one that the store refused is never shown again. An errand goes to https, to
//! this machine, or, if it says so, to the metadata service: by plain HTTP, at a link-local address, past any proxy.
//! The servers of other errands are trusted by the platform's roots, whatever CA the store has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant as Deadline;

use super::failure::{Failure, FailureKind};
use super::http::{Attempt, build, tls};
use super::resolve::Resolver;
use super::{Options, mask, url};
use crate::backend::{Errand, Payload, Reply, Step, Token, TokenAs, Tokens};
use crate::contain::contained;
use crate::error::Error;

/// A source that asks for more than that has lost its way.
const MOST_ERRANDS: usize = 16;

/// How soon after an early fetch, or one that failed while the token was still good, the next one may begin. A metadata
/// server gives the same token until a few minutes before its end.
const AGAIN: Duration = Duration::from_secs(5);

/// Beyond any that is handed out, and within what the clock can hold.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is read of an answer; a token has a few KiB at most.
const ANSWER: usize = 64 * 1024;

/// Shorter ones are found by chance in any text.
const SHORTEST_SECRET: usize = 4;

/// The token in use, and where the next one comes from.
pub(super) struct Purse {
    token_as: TokenAs,
    held: Mutex<Held>,
    /// Locked by who fetches.
    source: tokio::sync::Mutex<Box<dyn Tokens>>,
}

#[derive(Default)]
struct Held {
    token: Option<Current>,
    /// Counts tokens.
    number: u64,
    /// Counts fetches, those that failed too.
    fetches: u64,
    /// Counts fetches that told something of which requests are made.
    edition: u64,
    /// The token, or the one before it, was refused, and none was accepted since.
    doubted: bool,
    /// What was said of the token that was refused last.
    hopeful: bool,
    complaint: Option<String>,
}

struct Current {
    value: HeaderValue,
    renew: Instant,
    dies: Instant,
}

impl Purse {
    pub(super) fn new(source: Box<dyn Tokens>, token_as: TokenAs) -> Self {
        Self { token_as, held: Mutex::default(), source: tokio::sync::Mutex::new(source) }
    }

    /// A header for a request and the number of the token in it, which is fetched first where there is none.
    pub(super) async fn token(&self, deadline: Deadline) -> Result<(HeaderName, HeaderValue, u64), Failure> {
        let name = match self.token_as {
            // By HTTP there is no dialogue.
            TokenAs::Authorization(_) | TokenAs::Speech => AUTHORIZATION,
            TokenAs::Header(name) => HeaderName::from_static(name),
        };
        let (held, is_due, fetches) = self.look();
        let (value, number) = match held {
            Some(held) if !is_due => held,
            Some(held) => match self.source.try_lock() {
                // It is good for a while. A server that does not answer must leave time for the request itself.
                Ok(mut source) => {
                    let now = Deadline::now();
                    let half = now + deadline.saturating_duration_since(now) / 2;
                    self.fetch(&mut **source, half).await.unwrap_or(held)
                }
                Err(_) => held,
            },
            None => {
                let Ok(mut source) = tokio::time::timeout_at(deadline, self.source.lock()).await else {
                    let text = "there is no token for the store yet: another request still waits for one".to_owned();
                    return Err(Failure { kind: FailureKind::Token, text });
                };
                match self.look() {
                    (Some(held), ..) => held,
                    // Who had to wait for a fetch that failed does not try again at once.
                    (None, _, now) if now != fetches => {
                        let text = self.complaint().unwrap_or_else(|| "there is no token for the store".to_owned());
                        return Err(Failure { kind: FailureKind::Token, text });
                    }
                    _ => self.fetch(&mut **source, deadline).await?,
                }
            }
        };
        Ok((name, value, number))
    }

    /// The token that may be shown, whether another one should be fetched, and how many fetches there were.
    fn look(&self) -> (Option<(HeaderValue, u64)>, bool, u64) {
        let (held, now) = (self.held(), Instant::now());
        let good = held.token.as_ref().filter(|token| now < token.dies);
        let is_due = good.is_some_and(|token| now >= token.renew);
        (good.map(|token| (token.value.clone(), held.number)), is_due, held.fetches)
    }

    async fn fetch(&self, source: &mut dyn Tokens, deadline: Deadline) -> Result<(HeaderValue, u64), Failure> {
        let result = run(source, deadline).await.and_then(|(token, asked)| Ok((self.header(&token)?, token, asked)));
        let (mut held, now) = (self.held(), Instant::now());
        held.fetches += 1;
        match result {
            Ok((value, token, asked)) => {
                held.number += 1;
                held.edition += u64::from(token.outdates);
                held.complaint = None;
                let lives = token.lives.min(LONGEST_LIFE);
                let dies = asked + lives;
                let renew = (dies - token.renew.min(lives / 4)).max(now + AGAIN.min(lives / 4));
                held.token = Some(Current { value: value.clone(), renew, dies });
                Ok((value, held.number))
            }
            Err(failure) => {
                held.complaint = Some(failure.text.clone());
                if let Some(token) = &mut held.token {
                    token.renew = now + AGAIN;
                }
                Err(failure)
            }
        }
    }

    fn header(&self, token: &Token) -> Result<HeaderValue, Failure> {
        let text = match self.token_as {
            TokenAs::Authorization(word) => format!("{word} {}", token.value),
            TokenAs::Header(_) => token.value.clone(),
            TokenAs::Speech => format!("Bearer {}", token.value),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            let text = "the token for the store that was fetched is none: it holds line breaks or the like".to_owned();
            Failure { kind: FailureKind::Token, text }
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The store took a request with that token.
    pub(super) fn accept(&self, number: u64) {
        let mut held = self.held();
        held.doubted &= held.number != number;
    }

    /// The store refused that token. Says whether another one may fare better: not so where this one had been fetched
    /// because the one before it was refused.
    pub(super) fn refuse(&self, number: u64) -> bool {
        let mut held = self.held();
        if held.number != number {
            return true;
        }
        // Several requests may have carried it, and are refused one after the other.
        if held.token.take().is_some() {
            held.hopeful = !std::mem::replace(&mut held.doubted, true);
        }
        held.hopeful
    }

    /// How often a fetch told something that requests are made of.
    pub(super) fn edition(&self) -> u64 {
        self.held().edition
    }

    /// Why the last fetch failed, if it did.
    pub(super) fn complaint(&self) -> Option<String> {
        self.held().complaint.clone()
    }

    /// So much time goes by for the token in use.
    #[cfg(test)]
    pub(super) fn pass(&self, time: Duration) {
        let mut held = self.held();
        let token = held.token.as_mut().expect("there is a token");
        (token.renew, token.dies) = (token.renew - time, token.dies - time);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All errands of a fetch; with the token, when it was asked for.
async fn run(source: &mut dyn Tokens, deadline: Deadline) -> Result<(Token, Instant), Failure> {
    let other = |text: String| Failure { kind: FailureKind::Token, text };
    let (mut reply, mut asked) = (None, Instant::now());
    for _ in 0..MOST_ERRANDS {
        let step = contained(|| source.next(reply.as_ref(), SystemTime::now()))
            .map_err(|message| other(format!("the source of tokens panicked: {message}")))?
            .map_err(other)?;
        match step {
            Step::Token(token) => return Ok((token, asked)),
            Step::Ask(errand) => {
                asked = Instant::now();
                reply = Some(ask(errand, deadline).await?);
            }
        }
    }
    Err(other(format!("no token after {MOST_ERRANDS} requests for one")))
}

/// One errand. There is about one an hour, so each has a client of its own, and no connection is kept.
async fn ask(errand: Errand, deadline: Deadline) -> Result<Reply, Failure> {
    let hint = errand.hint;
    let (attempt, payload, secrets) = prepared(errand).map_err(|why| Failure {
        kind: FailureKind::Token,
        text: format!("no token for the store can be fetched: {why}"),
    })?;
    let left = deadline.saturating_duration_since(Deadline::now());
    // It may stand in a text.
    let left = Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    let mut reply = attempt.run(payload, left).await.map_err(|failure| Failure {
        // The hint first: it is for the usual cause.
        text: match hint {
            "" => format!("no token for the store: {failure}"),
            hint => format!("no token for the store; {hint}: {failure}"),
        },
        kind: FailureKind::Token,
    })?;
    if !(200..300).contains(&reply.status) {
        secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET).for_each(|secret| {
            mask::replace(&mut reply.body, secret.as_bytes());
        });
    }
    Ok(reply)
}

fn prepared(errand: Errand) -> Result<(Attempt, Payload, Vec<String>), Error> {
    let named = errand.named;
    let renamed = |error: Error| match error {
        Error::Setting { value, must, .. } => Error::setting(named, value, must),
        other => other,
    };
    let target = url::check_errand(&errand.url, errand.metadata).map_err(renamed)?;
    if !target.https && !target.loopback && !errand.metadata {
        let must = "https: what is sent there to get a token is a secret";
        return Err(Error::setting(named, target.shown, must));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in errand.headers {
        let mut value = HeaderValue::from_str(&value).map_err(|_| {
            Error::setting(named, &target.shown, format!("asked with a header {name} without control characters"))
        })?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    let builder = tls(reqwest::Client::builder(), &Options::default(), target.https).map_err(renamed)?;
    let resolver = Resolver::new(errand.metadata);
    let hung = Arc::clone(&resolver.hung);
    let http = build(builder, resolver, target.loopback || errand.metadata)
        .map_err(|why| Error::setting(named, &target.shown, format!("one that there is an HTTP client for ({why})")))?;
    let (method, (content_type, body)) = match errand.body {
        Some(body) => (Method::POST, body),
        None => (Method::GET, ("", Vec::new())),
    };
    let attempt = Attempt {
        http,
        method,
        url: target.url,
        shown: target.shown.into(),
        https: target.https,
        named,
        gzip: false,
        reply_bytes: ANSWER,
        hung,
        headers,
    };
    Ok((attempt, Payload::post(content_type, body), errand.secrets))
}

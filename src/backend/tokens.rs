//! Tokens that expire: what has to be asked for one, and what the answers say, without asking.
//!
//! [`Tokens`] is a state machine. It gives [`Errand`]s, the client runs them and gives it their replies, until it has a
//! [`Token`]. The client keeps that, shows it with each request, fetches the next one before it ends or when the
//! store refuses it, and runs one fetch at a time. A backend that has a source of tokens says so by
//! [`Backend::tokens`](super::Backend::tokens); a token, a user or an `Authorization` header that the user set goes before it.
//!
//! Nothing here shows a secret in its `Debug` form.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::Reply;

/// How long before its end a token is replaced, unless it says otherwise.
const RENEW: Duration = Duration::from_secs(60);

/// Where tokens come from, step by step. Not yet stable, see the [module](super).
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use logchute::backend::{Errand, Reply, Step, Token, Tokens};
///
/// /// A server that answers a GET with the bare token, which lives for ten minutes.
/// struct Bare;
///
/// impl Tokens for Bare {
///     fn next(&mut self, reply: Option<&Reply>, _now: SystemTime) -> Result<Step, String> {
///         match reply {
///             None => Ok(Step::Ask(Errand::get("https://tokens.example.com/mine", "TOKENS_URL"))),
///             Some(reply) if reply.status == 200 => {
///                 Ok(Step::Token(Token::new(reply.text(), Duration::from_secs(600))))
///             }
///             Some(reply) => Err(format!("tokens.example.com refuses a token: status {}", reply.status)),
///         }
///     }
/// }
///
/// let step = Bare.next(Some(&Reply::new(200, "canary")), SystemTime::now());
/// assert!(matches!(&step, Ok(Step::Token(_))) && !format!("{step:?}").contains("canary"));
/// ```
pub trait Tokens: Send {
    /// What to do next. `reply` answers the errand of the step before; without one a fetch begins, whatever was
    /// under way. Errands that bring no reply are not told: the fetch has failed.
    ///
    /// Files are read here, so that a new one is used at the next fetch.
    ///
    /// # Errors
    ///
    /// Why there is no token, for the person who has to mend it: what failed, and which setting to change.
    fn next(&mut self, reply: Option<&Reply>, now: SystemTime) -> Result<Step, String>;
}

/// What a fetch needs next.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// This request; [`Tokens::next`] is given its reply.
    Ask(Errand),
    /// Nothing: here is the token.
    Token(Token),
}

/// A request on the way to a token.
///
/// It goes to an `https` URL, or to `http` on this machine; with [`metadata`](Self::metadata) also by plain `http` to a
/// link-local address, and never through a proxy.
pub struct Errand {
    pub(crate) url: String,
    pub(crate) named: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Content type and body of a POST.
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
    pub(crate) secrets: Vec<String>,
    pub(crate) metadata: bool,
    pub(crate) hint: &'static str,
}

impl Errand {
    /// A GET. `named` is the setting that gave the URL; errors tell the user to look there.
    #[must_use]
    pub fn get(url: impl Into<String>, named: &'static str) -> Self {
        Self { url: url.into(), named, headers: Vec::new(), body: None, secrets: Vec::new(), metadata: false, hint: "" }
    }

    /// A POST with this body.
    #[must_use]
    pub fn post(url: impl Into<String>, named: &'static str, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { body: Some((content_type, body)), ..Self::get(url, named) }
    }

    /// With this header, whose name is in lower case.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The body holds this secret, which is taken out of a refusal that quotes it. Headers are taken out anyway.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// It goes to the metadata service of a cloud machine, which speaks plain HTTP at a link-local address.
    #[must_use]
    pub fn metadata(mut self) -> Self {
        self.metadata = true;
        self
    }

    /// What to say where nobody can be reached there: another way to a token, perhaps.
    #[must_use]
    pub fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("Errand")
            .field("url", &url)
            .field("named", &self.named)
            .field("headers", &names)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

/// A token and how long it lives.
pub struct Token {
    pub(crate) value: String,
    pub(crate) lives: Duration,
    pub(crate) renew: Duration,
    pub(crate) outdates: bool,
}

impl Token {
    /// A token that lives so long from when its errand was sent. It is replaced 60 seconds before its end, or after
    /// three quarters of its life where that is later.
    #[must_use]
    pub fn new(value: impl Into<String>, lives: Duration) -> Self {
        Self { value: value.into(), lives, renew: RENEW, outdates: false }
    }

    /// Replaces it so long before its end instead.
    #[must_use]
    pub fn renew_before_end(mut self, before: Duration) -> Self {
        self.renew = before;
        self
    }

    /// This fetch has also told something that requests are made of, such as the project that the token is for. Those
    /// that were encoded before are not sent, but encoded again.
    #[must_use]
    pub fn outdates_requests(mut self) -> Self {
        self.outdates = true;
        self
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("value", &"***").field("lives", &self.lives).finish_non_exhaustive()
    }
}

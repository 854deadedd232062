//! What is said on a connection besides payloads: a handshake before the first one, and what the store answers.
//!
//! A dialogue knows no socket. It is handed what the store said, and says what that means and what is to be
//! answered, so that a test can hold it against any words, cut in any place.

use std::fmt;

/// The backend's half of the dialogue on one connection, made by [`Backend::speech`](super::Backend::speech) for each
/// connection anew. Not yet stable, see the [module](super).
///
/// # Examples
///
/// A store that greets, and then names each payload that it has taken, one a line:
///
/// ```
/// use logchute::backend::{Heard, Speech};
///
/// struct Lines;
///
/// impl Speech for Lines {
///     fn hear(&mut self, said: &mut &[u8], _answer: &mut Vec<u8>) -> Heard {
///         let Some(end) = said.iter().position(|&byte| byte == b'\n') else { return Heard::More };
///         let line = String::from_utf8_lossy(&said[..end]).into_owned();
///         *said = &said[end + 1..];
///         if line == "welcome" { Heard::Ready } else { Heard::Acked(line) }
///     }
/// }
///
/// let mut said: &[u8] = b"welcome\nbatch-1\nbat";
/// let mut answer = Vec::new();
/// assert_eq!(Lines.hear(&mut said, &mut answer), Heard::Ready);
/// assert_eq!(Lines.hear(&mut said, &mut answer), Heard::Acked("batch-1".to_owned()));
/// assert_eq!(Lines.hear(&mut said, &mut answer), Heard::More);
/// assert_eq!(said, b"bat");
/// ```
pub trait Speech: Send {
    /// Hears what the store said, moves `said` behind what was understood, and puts what is to be answered into
    /// `answer`.
    ///
    /// It is called once with nothing when the connection stands, for protocols in which the client begins or in which
    /// no words are needed, then whenever more came. What was left of `said` stands first the next time. Of a store
    /// that says more than 64 KiB over one payload the connection is closed.
    fn hear(&mut self, said: &mut &[u8], answer: &mut Vec<u8>) -> Heard;
}

/// What the store's words mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// Nothing yet: more of them are needed.
    More,
    /// The handshake is over, payloads may follow. Later it says nothing.
    Ready,
    /// The store has taken the payload that [`Payload::framed`](super::Payload::framed) gave this name.
    Acked(String),
    /// It does not let us in, and why; the reply that is judged has status 401 and this body.
    Refused(String),
    /// It does not speak this protocol, and what it may speak instead. The connection is closed and tried again later.
    Garbled(String),
}

/// What is shown to the store to be let in.
///
/// # Examples
///
/// ```
/// use logchute::backend::Login;
///
/// let login = Login::new().token("canary").user("app", "canary");
/// assert_eq!(login.user, Some("app"));
/// assert!(!format!("{login:?}").contains("canary"));
/// ```
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct Login<'a> {
    /// The token, or the key that both sides share.
    pub token: Option<&'a str>,
    /// The user; there is a password where there is one.
    pub user: Option<&'a str>,
    /// The user's password.
    pub password: Option<&'a str>,
}

impl<'a> Login<'a> {
    /// Nothing to show.
    #[must_use]
    pub const fn new() -> Self {
        Self { token: None, user: None, password: None }
    }

    /// With a token.
    #[must_use]
    pub const fn token(mut self, token: &'a str) -> Self {
        self.token = Some(token);
        self
    }

    /// With a user.
    #[must_use]
    pub const fn user(mut self, user: &'a str, password: &'a str) -> Self {
        (self.user, self.password) = (Some(user), Some(password));
        self
    }
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("token", &self.token.map(|_| "***"))
            .field("user", &self.user)
            .field("password", &self.password.map(|_| "***"))
            .finish()
    }
}

/// No handshake, and nothing that the store says matters, unless it shows that another protocol is spoken there.
pub(super) struct Silent;

impl Speech for Silent {
    fn hear(&mut self, said: &mut &[u8], _answer: &mut Vec<u8>) -> Heard {
        // A status line, and the head of an alert, with which servers of TLS answer what is no TLS.
        let why = match *said {
            [b'H', b'T', b'T', b'P', b'/', ..] => "it speaks HTTP; does LOGCHUTE_URL name the right port?",
            [0x15, 0x03, ..] => "it speaks TLS: LOGCHUTE_URL must say +tls",
            _ => {
                *said = &[];
                return Heard::Ready;
            }
        };
        Heard::Garbled(why.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_store_that_confirms_nothing_matter_only_where_they_are_of_another_protocol() {
        let heard = |mut said: &[u8]| Silent.hear(&mut said, &mut Vec::new());
        assert_eq!((heard(b""), heard(b"welcome")), (Heard::Ready, Heard::Ready));
        for said in [&b"HTTP/1.1 400 Bad Request\r\n"[..], &[0x15, 0x03, 0x01, 0, 2]] {
            assert!(matches!(heard(said), Heard::Garbled(why) if why.contains("LOGCHUTE_URL")));
        }
    }
}

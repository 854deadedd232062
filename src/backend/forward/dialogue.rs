//! The handshake of the shared key, and acknowledgements.
//!
//! ```text
//! server  ["HELO", {"nonce": N, "auth": A, "keepalive": true}]
//! client  ["PING", hostname, salt, hex(sha512(salt ‖ hostname ‖ N ‖ key)), user, hex(sha512(A ‖ user ‖ password))]
//! server  ["PONG", ok, reason, its hostname, hex(sha512(salt ‖ its hostname ‖ N ‖ key))]
//! ```
//!
//! N and A are bytes, which Fluentd sends as such and Fluent Bit as a text that is none. All of PING is text: Fluent Bit
//! closes the connection over bytes. A server that asks for no key says nothing at first.

use std::hash::{BuildHasher as _, RandomState};

use ring::digest;

use super::super::msgpack::{self, Item, Lack, item, skip};
use super::super::{Heard, Login, Speech};

/// A message of the handshake or an acknowledgement takes some hundred bytes.
const LONGEST: usize = 16 * 1024;

pub(super) struct Dialogue {
    hostname: String,
    key: Option<String>,
    user: Option<(String, String)>,
    step: Step,
}

enum Step {
    Begin,
    Greeting,
    /// With what the server's proof is computed.
    Proof {
        salt: String,
        nonce: Vec<u8>,
    },
    Open,
}

/// What the server can say.
enum Message<'s> {
    Hello { nonce: &'s [u8], auth: &'s [u8] },
    Pong { ok: bool, reason: &'s [u8], hostname: &'s [u8], digest: &'s [u8] },
    Ack(&'s [u8]),
    Nil,
    Other,
}

impl Dialogue {
    pub(super) fn new(login: &Login<'_>, hostname: &str) -> Self {
        let pair = |user: &str| (user.to_owned(), login.password.unwrap_or_default().to_owned());
        Self {
            hostname: hostname.to_owned(),
            key: login.token.map(str::to_owned),
            user: login.user.map(pair),
            step: Step::Begin,
        }
    }

    fn begin(&mut self) -> Heard {
        match (&self.key, &self.user) {
            (None, Some(_)) => {
                Heard::Refused("a user belongs to a shared key: set LOGCHUTE_TOKEN to that of the server".to_owned())
            }
            (None, None) => {
                self.step = Step::Open;
                Heard::Ready
            }
            (Some(_), _) => {
                self.step = Step::Greeting;
                Heard::More
            }
        }
    }

    fn greeted(&mut self, nonce: &[u8], auth: &[u8], answer: &mut Vec<u8>) -> Heard {
        let salt = salt();
        let key = self.key.as_deref().unwrap_or_default();
        let proof = hash(&[salt.as_bytes(), self.hostname.as_bytes(), nonce, key.as_bytes()]);
        let (user, of_user) = match &self.user {
            Some((user, password)) if !auth.is_empty() => {
                (user.as_str(), hash(&[auth, user.as_bytes(), password.as_bytes()]))
            }
            _ => ("", String::new()),
        };
        answer.push(0x96);
        for part in ["PING", &self.hostname, &salt, &proof, user, &of_user] {
            msgpack::text(answer, part);
        }
        self.step = Step::Proof { salt, nonce: nonce.to_vec() };
        Heard::More
    }

    fn proven(&mut self, ok: bool, reason: &[u8], hostname: &[u8], digest: &[u8]) -> Heard {
        let Step::Proof { salt, nonce } = &self.step else { return garbled() };
        if !ok {
            let reason: String = String::from_utf8_lossy(reason).chars().take(200).collect();
            return Heard::Refused(format!(
                "the server refused the login: {reason}; check LOGCHUTE_TOKEN, its shared key, and LOGCHUTE_USER and \
                 LOGCHUTE_PASSWORD where it wants them"
            ));
        }
        let key = self.key.as_deref().unwrap_or_default();
        if hash(&[salt.as_bytes(), hostname, nonce, key.as_bytes()]).as_bytes() != digest {
            return Heard::Refused(
                "the server does not prove that it knows the shared key: LOGCHUTE_TOKEN is not its key, or that is another \
                 server"
                    .to_owned(),
            );
        }
        self.step = Step::Open;
        Heard::Ready
    }
}

impl Speech for Dialogue {
    fn hear(&mut self, said: &mut &[u8], answer: &mut Vec<u8>) -> Heard {
        if matches!(self.step, Step::Begin) {
            let begun = self.begin();
            if begun != Heard::More {
                return begun;
            }
        }
        let mut rest = *said;
        let message = match message(&mut rest) {
            Ok(message) => message,
            Err(Lack::More) if said.len() < LONGEST => return Heard::More,
            Err(_) => return garbled(),
        };
        *said = rest;
        match (&self.step, message) {
            (Step::Greeting, Message::Hello { nonce, auth }) => self.greeted(nonce, auth, answer),
            (Step::Open, Message::Hello { .. }) => Heard::Refused(
                "the server asks for a shared key: set LOGCHUTE_TOKEN, and LOGCHUTE_USER and LOGCHUTE_PASSWORD if it wants \
                 them"
                .to_owned(),
            ),
            (Step::Proof { .. }, Message::Pong { ok, reason, hostname, digest }) => {
                self.proven(ok, reason, hostname, digest)
            }
            (Step::Open, Message::Pong { ok: false, reason, .. }) => {
                Heard::Refused(String::from_utf8_lossy(reason).chars().take(200).collect())
            }
            (Step::Open, Message::Ack(chunk)) => Heard::Acked(String::from_utf8_lossy(chunk).into_owned()),
            (Step::Open, Message::Nil) => Heard::More,
            _ => garbled(),
        }
    }
}

fn garbled() -> Heard {
    Heard::Garbled(
        "is that the port of a Forward input? If it speaks TLS, LOGCHUTE_URL must begin with forward+tls://".to_owned(),
    )
}

/// Takes one message from the front, once all of it is there.
fn message<'s>(said: &mut &'s [u8]) -> Result<Message<'s>, Lack> {
    let mut whole = *said;
    skip(&mut whole)?;
    let mut inside = std::mem::replace(said, whole);
    match item(&mut inside)? {
        Item::Nil => Ok(Message::Nil),
        Item::Map(members) => Ok(of_map(inside, members, "ack").flatten().map_or(Message::Other, Message::Ack)),
        Item::Array(members) => Ok(array(inside, members).unwrap_or(Message::Other)),
        _ => Ok(Message::Other),
    }
}

fn array(mut inside: &[u8], members: u32) -> Option<Message<'_>> {
    match (item(&mut inside).ok()?, members) {
        (Item::Text(b"HELO"), 2..) => {
            let Item::Map(options) = item(&mut inside).ok()? else { return None };
            let text = |key| of_map(inside, options, key).flatten().unwrap_or_default();
            Some(Message::Hello { nonce: text("nonce"), auth: text("auth") })
        }
        (Item::Text(b"PONG"), 3..) => {
            let Item::Bool(ok) = item(&mut inside).ok()? else { return None };
            let mut left = members - 2;
            let mut text = || {
                left = left.checked_sub(1)?;
                match item(&mut inside).ok()? {
                    Item::Text(text) => Some(text),
                    _ => None,
                }
            };
            let (reason, hostname, digest) = (text(), text(), text());
            Some(Message::Pong {
                ok,
                reason: reason.unwrap_or_default(),
                hostname: hostname.unwrap_or_default(),
                digest: digest.unwrap_or_default(),
            })
        }
        _ => None,
    }
}

/// The text under that key of a map; `Some(None)` if it is there and no text.
fn of_map<'s>(mut inside: &'s [u8], members: u32, key: &str) -> Option<Option<&'s [u8]>> {
    for _ in 0..members {
        let name = item(&mut inside).ok()?;
        if name == Item::Text(key.as_bytes()) {
            return Some(match item(&mut inside).ok()? {
                Item::Text(text) => Some(text),
                _ => None,
            });
        }
        skip(&mut inside).ok()?;
    }
    None
}

/// Text, different each time.
fn salt() -> String {
    // The standard library keys its hashers with the system's randomness.
    let keyed = RandomState::new();
    format!("{:016x}{:016x}", keyed.hash_one(0), keyed.hash_one(1))
}

/// In hexadecimal digits.
fn hash(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA512);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;

//! What services that hand out tokens answer.

use std::time::Duration;

use serde_json::Value as Json;

use super::key_file::text;
use crate::backend::{Reply, Token};

/// The life of a token where nobody says it: what Google gives.
pub(super) const LIVES: Duration = Duration::from_secs(3600);

/// Whose token was asked for, and at which host, in words.
pub(super) struct Asked {
    pub(super) whose: String,
    pub(super) host: String,
}

impl Asked {
    pub(super) fn at(self, url: &str) -> Self {
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?', '#']).next();
        let host = authority.unwrap_or_default().rsplit('@').next().unwrap_or_default().to_owned();
        Self { host, ..self }
    }
}

/// The token in an answer of OAuth.
pub(super) fn granted(asked: &Asked, reply: &Reply) -> Result<Token, String> {
    let answer = answer(asked, reply)?;
    let token = text(&answer, "access_token").ok_or_else(|| no_token(asked, "access_token"))?;
    let lives = answer.get("expires_in").and_then(Json::as_u64).map_or(LIVES, Duration::from_secs);
    Ok(Token::new(token, lives))
}

pub(super) fn no_token(Asked { whose, host }: &Asked, key: &str) -> String {
    format!("{host} gave no token for {whose}: there is no {key} in its answer")
}

/// An answer, or what it refuses: OAuth has `error` and `error_description`, other services of Google a status with
/// a message.
pub(super) fn answer(Asked { whose, host }: &Asked, reply: &Reply) -> Result<Json, String> {
    let answer: Json = serde_json::from_slice(&reply.body).unwrap_or_default();
    if (200..300).contains(&reply.status) {
        return Ok(answer);
    }
    let error = answer.get("error").unwrap_or(&Json::Null);
    let said = match (error.as_str(), text(&answer, "error_description"), text(error, "message")) {
        (Some(error), Some(why), _) => format!("{error}: {why}"),
        (Some(error), None, _) => error.to_owned(),
        (None, _, Some(message)) => message.to_owned(),
        _ => reply.text().trim().to_owned(),
    };
    let said: String = said.chars().filter(|char| !char.is_control()).take(300).collect();
    let status = reply.status;
    Err(match status {
        400 | 401 | 403 => format!("{whose} was refused by {host} (status {status}): {said}"),
        _ => format!("{host} gave no token for {whose} (status {status}): {said}"),
    })
}

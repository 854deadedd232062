//! A file of credentials: what it must have, and the first request that it leads to.

use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value as Json;

use super::granted::LIVES;
use super::jwt::{self, Claim};
use crate::backend::Errand;
use crate::file;

/// All that is asked for.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/logging.write";

/// A token that is exchanged for one of a service account needs more than that account's own scope.
const SCOPE_TO_IMPERSONATE: &str = "https://www.googleapis.com/auth/cloud-platform";

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const TOKEN_URI_NAMED: &str = "the token_uri of the credentials (GOOGLE_APPLICATION_CREDENTIALS)";

/// A key file has 2.4 KB.
const LARGEST: u64 = 64 * 1024;

/// A service account to speak for.
pub(super) struct Impersonate {
    pub(super) url: String,
    pub(super) lives: Duration,
}

/// A file of credentials; an error says what it must be.
pub(super) fn read(path: &Path) -> Result<Json, String> {
    let bytes = file::read(path, LARGEST).map_err(|why| format!("a file that can be read ({why})"))?;
    // What the parser says may quote the file.
    let file: Option<Json> = serde_json::from_slice(&bytes).ok();
    file.filter(Json::is_object)
        .ok_or_else(|| "a file of credentials in JSON, as Google's console and gcloud write it".to_owned())
}

pub(super) fn text<'a>(json: &'a Json, key: &str) -> Option<&'a str> {
    json.get(key)?.as_str().filter(|text| !text.is_empty())
}

pub(super) fn kind_of(file: &Json) -> &'static str {
    match text(file, "type") {
        Some("service_account") => "the service account key",
        Some("external_account") => "the workload identity",
        _ => "the credentials",
    }
}

/// The first request that a file leads to, and the account to speak for in the end; an error says what the file must be.
pub(super) fn first(file: &Json, now: SystemTime) -> Result<(Errand, Option<Impersonate>), String> {
    let kind = text(file, "type").unwrap_or_default();
    let need =
        |key: &str| text(file, key).ok_or_else(|| format!("a file of credentials of type {kind} with its {key}"));
    let bad = |why: &str| format!("a file of credentials that can be used ({why})");
    match kind {
        "service_account" => {
            let url = text(file, "token_uri").unwrap_or(TOKEN_URI);
            let claim = Claim {
                issuer: need("client_email")?,
                audience: url,
                scope: SCOPE,
                key_id: text(file, "private_key_id"),
            };
            let assertion = jwt::signed(&claim, need("private_key")?, now).map_err(bad)?;
            let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
            let errand = form(url, TOKEN_URI_NAMED, &[("grant_type", grant), ("assertion", &assertion)]);
            Ok((errand.secret(assertion), None))
        }
        "authorized_user" => {
            let (secret, refresh) = (need("client_secret")?, need("refresh_token")?);
            let form = form(
                text(file, "token_uri").unwrap_or(TOKEN_URI),
                TOKEN_URI_NAMED,
                &[
                    ("grant_type", "refresh_token"),
                    ("client_id", need("client_id")?),
                    ("client_secret", secret),
                    ("refresh_token", refresh),
                ],
            );
            Ok((form.secret(secret).secret(refresh), None))
        }
        "external_account" => exchange(file),
        other => {
            Err(bad(&format!("its type is {other:?}; service_account, external_account and authorized_user are known")))
        }
    }
}

/// The exchange of a subject token (RFC 8693).
fn exchange(file: &Json) -> Result<(Errand, Option<Impersonate>), String> {
    let need = |key: &str| {
        text(file, key).ok_or_else(|| format!("a file of credentials of type external_account with its {key}"))
    };
    let subject = subject(file.get("credential_source").unwrap_or(&Json::Null))?;
    let account = text(file, "service_account_impersonation_url").map(|url| {
        let lives = file.get("service_account_impersonation").and_then(|more| more.get("token_lifetime_seconds"));
        Impersonate { url: url.to_owned(), lives: lives.and_then(Json::as_u64).map_or(LIVES, Duration::from_secs) }
    });
    let mut errand = form(
        need("token_url")?,
        "the credentials' token_url",
        &[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", need("audience")?),
            ("scope", if account.is_some() { SCOPE_TO_IMPERSONATE } else { SCOPE }),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", need("subject_token_type")?),
            ("subject_token", &subject),
        ],
    );
    if let (Some(id), Some(secret)) = (text(file, "client_id"), text(file, "client_secret")) {
        errand = errand.header("authorization", format!("Basic {}", BASE64.encode(format!("{id}:{secret}"))));
    }
    Ok((errand.secret(subject), account))
}

/// The subject token, from the file that the source names: as it is, or a member of an object.
fn subject(source: &Json) -> Result<String, String> {
    let bad = |why: String| format!("a file of credentials whose credential_source can be used ({why})");
    let Some(path) = text(source, "file") else {
        return Err(bad("it names no file; subject tokens from elsewhere are not supported".to_owned()));
    };
    let bytes = file::read(Path::new(path), LARGEST).map_err(|why| bad(format!("{path}: {why}")))?;
    let content = String::from_utf8(bytes).map_err(|_| bad(format!("{path} is no text")))?;
    let format = source.get("format").unwrap_or(&Json::Null);
    let token = match text(format, "type") {
        Some("json") => {
            let key = text(format, "subject_token_field_name").unwrap_or_default();
            let object: Option<Json> = serde_json::from_str(&content).ok();
            object.as_ref().and_then(|object| text(object, key)).map(str::to_owned)
        }
        _ => Some(content.trim().to_owned()).filter(|token| !token.is_empty()),
    };
    token.ok_or_else(|| bad(format!("there is no subject token in {path}")))
}

/// A POST of a form.
fn form(url: &str, named: &'static str, pairs: &[(&str, &str)]) -> Errand {
    let mut body = Vec::new();
    for (key, value) in pairs {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(key.as_bytes());
        body.push(b'=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                body.push(byte);
            } else {
                body.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
        }
    }
    Errand::post(url, named, "application/x-www-form-urlencoded", body)
}

//! Where tokens for Google's services come from: a file of credentials, or the metadata server of the machine.
//!
//! | source | on the way to the token |
//! |---|---|
//! | file of type `service_account` | a claim signed with its key, posted to its `token_uri` |
//! | file of type `authorized_user` | its refresh token, posted to `token_uri` |
//! | file of type `external_account` | a subject token from a file, exchanged at `token_url`; then that of a service account, if the file says so |
//! | metadata server | a GET; once, also for the project and the place of the machine, as far as they are not set |
//!
//! A file is read at each fetch. Which one it is follows Google's own libraries: `GOOGLE_APPLICATION_CREDENTIALS`, else
//! `application_default_credentials.json` in gcloud's folder, else the metadata server.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value as Json, json};

use super::jwt::{self, Claim};
use super::resource::Learnt;
use crate::backend::{Errand, Reply, Step, Token, Tokens};
use crate::error::Error;
use crate::file;

pub(super) const METADATA_HOST: &str = "metadata.google.internal";

/// All that is asked for.
const SCOPE: &str = "https://www.googleapis.com/auth/logging.write";

/// A token that is exchanged for one of a service account needs more than that account's own scope.
const SCOPE_TO_IMPERSONATE: &str = "https://www.googleapis.com/auth/cloud-platform";

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const TOKEN_URI_NAMED: &str = "the credentials' token_uri";

/// The life of a token where nobody says it: what Google gives.
const LIVES: Duration = Duration::from_secs(3600);

/// The metadata server gives the same token until about 300 seconds before its end, so there is none to be had sooner
/// than that (vector's `src/gcp.rs` renews 200 seconds before the end as well).
const RENEW_METADATA: Duration = Duration::from_secs(200);

/// A key file has 2.4 KB.
const LARGEST: u64 = 64 * 1024;

const NO_METADATA: &str = "outside of Google Cloud set GOOGLE_APPLICATION_CREDENTIALS to a file of credentials, or \
                           LOGCHUTE_TOKEN";

/// Where credentials are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    File {
        path: PathBuf,
        /// The setting that names it.
        named: &'static str,
    },
    /// Host and port of the metadata server.
    Metadata(String),
}

/// What is not set, and the metadata server may know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) project: bool,
    pub(super) place: bool,
}

impl Source {
    pub(super) fn file(path: PathBuf, named: &'static str) -> Self {
        Self::File { path, named }
    }

    pub(super) fn metadata(host: &str) -> Self {
        Self::Metadata(host.to_owned())
    }

    /// What the variables of Google's world say.
    pub(super) fn found(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        if let Some(path) = lookup("GOOGLE_APPLICATION_CREDENTIALS") {
            return Self::file(path.into(), "GOOGLE_APPLICATION_CREDENTIALS");
        }
        let folder = lookup("CLOUDSDK_CONFIG")
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(&lookup("HOME")?).join(".config/gcloud")));
        let path = folder.map(|folder| folder.join("application_default_credentials.json"));
        match path.filter(|path| path.is_file()) {
            Some(path) => Self::file(path, "gcloud's file of credentials"),
            None => Self::Metadata(lookup("GCE_METADATA_HOST").unwrap_or_else(|| METADATA_HOST.to_owned())),
        }
    }

    /// Whether the project can be known without being set.
    pub(super) fn knows_project(&self) -> bool {
        matches!(self, Self::Metadata(_))
    }

    /// The project that the file names.
    pub(super) fn project(&self) -> Result<Option<String>, Error> {
        let Self::File { path, named } = self else { return Ok(None) };
        let file = read(path).map_err(|must| Error::setting(*named, path.display(), must))?;
        Ok(text(&file, "project_id").or_else(|| text(&file, "quota_project_id")).map(str::to_owned))
    }

    /// Checks all that can be checked without asking anyone.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Self::File { path, named } = self else { return Ok(()) };
        let checked = read(path).and_then(|file| first(&file, SystemTime::now()).map(|_| ()));
        checked.map_err(|must| Error::setting(*named, path.display(), must))
    }
}

/// The fetch of a token.
pub(super) struct GoogleTokens {
    source: Source,
    wanted: Wanted,
    learnt: Arc<OnceLock<Learnt>>,
    awaited: Awaited,
}

/// What the next reply is about.
enum Awaited {
    Nothing,
    /// A token of OAuth; with whose it is, and with the account that it is to be exchanged for.
    Grant {
        asked: Asked,
        then: Option<Impersonate>,
    },
    /// The token of the service account in place of which we speak.
    Account {
        asked: Asked,
        lives: Duration,
    },
    /// The token of the metadata server.
    Machine {
        host: String,
    },
    /// Something else that it knows.
    Fact {
        host: String,
        token: Token,
        at: usize,
        learnt: Learnt,
    },
}

/// Whose token was asked for, and at which host, in words.
struct Asked {
    whose: String,
    host: String,
}

impl Asked {
    fn at(self, url: &str) -> Self {
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?', '#']).next();
        let host = authority.unwrap_or_default().rsplit('@').next().unwrap_or_default().to_owned();
        Self { host, ..self }
    }
}

/// A service account to speak for.
struct Impersonate {
    url: String,
    lives: Duration,
}

/// What the metadata server is asked besides, where it goes, and whether it is part of the place.
type Fact = (&'static str, fn(&mut Learnt, String), bool);

const FACTS: [Fact; 4] = [
    ("project/project-id", |learnt, value| learnt.project = Some(value), false),
    ("instance/attributes/cluster-name", |learnt, value| learnt.cluster = Some(value), true),
    ("instance/attributes/cluster-location", |learnt, value| learnt.location = Some(value), true),
    // As `projects/NUMBER/zones/ZONE`.
    ("instance/zone", |learnt, value| learnt.zone = value.rsplit('/').next().map(str::to_owned), true),
];

impl GoogleTokens {
    pub(super) fn new(source: Source, wanted: Wanted, learnt: Arc<OnceLock<Learnt>>) -> Self {
        Self { source, wanted, learnt, awaited: Awaited::Nothing }
    }

    fn begin(&mut self, now: SystemTime) -> Result<Step, String> {
        let (errand, awaited) = match &self.source {
            Source::Metadata(host) => {
                let errand = metadata(host, "instance/service-accounts/default/token");
                (errand, Awaited::Machine { host: host.clone() })
            }
            Source::File { path, named } => {
                let refuse = |must| format!("{named} is {path:?}, but must be {must}");
                let file = read(path).map_err(refuse)?;
                let whose = format!("{} in {named} ({})", kind_of(&file), path.display());
                let (errand, then) = first(&file, now).map_err(refuse)?;
                let asked = Asked { whose, host: String::new() }.at(&errand.url);
                (errand, Awaited::Grant { asked, then })
            }
        };
        self.awaited = awaited;
        Ok(Step::Ask(errand))
    }

    /// What else the metadata server is asked, from that place on; in the end the token.
    fn facts(&mut self, host: String, token: Token, from: usize, learnt: Learnt) -> Step {
        let is_wanted = |(_, _, place): &Fact| if *place { self.wanted.place } else { self.wanted.project };
        let next = (from..FACTS.len()).find(|&at| is_wanted(&FACTS[at])).filter(|_| self.learnt.get().is_none());
        if let Some(at) = next {
            let errand = metadata(&host, FACTS[at].0);
            self.awaited = Awaited::Fact { host, token, at, learnt };
            return Step::Ask(errand);
        }
        let has_learnt = from > 0 && self.learnt.set(learnt).is_ok();
        Step::Token(if has_learnt { token.outdates_requests() } else { token })
    }
}

impl Tokens for GoogleTokens {
    fn next(&mut self, reply: Option<&Reply>, now: SystemTime) -> Result<Step, String> {
        let Some(reply) = reply else { return self.begin(now) };
        match std::mem::replace(&mut self.awaited, Awaited::Nothing) {
            Awaited::Nothing => self.begin(now),
            Awaited::Grant { asked, then: None } => granted(&asked, reply).map(Step::Token),
            Awaited::Grant { asked, then: Some(Impersonate { url, lives }) } => {
                let token = granted(&asked, reply)?;
                let body = json!({"scope": [SCOPE], "lifetime": format!("{}s", lives.as_secs())}).to_string();
                let errand = Errand::post(
                    &url,
                    "the credentials' service_account_impersonation_url",
                    "application/json",
                    body.into(),
                )
                .header("authorization", format!("Bearer {}", token.value));
                self.awaited = Awaited::Account { asked: asked.at(&url), lives };
                Ok(Step::Ask(errand))
            }
            Awaited::Account { asked, lives } => {
                let answer = answer(&asked, reply)?;
                let token = text(&answer, "accessToken").ok_or_else(|| no_token(&asked, "accessToken"))?;
                // It lives as long as was asked for: Google refuses a request for more than it gives.
                Ok(Step::Token(Token::new(token, lives)))
            }
            Awaited::Machine { host } => {
                let whose = "the service account of this machine".to_owned();
                let token = granted(&Asked { whose, host: host.clone() }, reply)?;
                Ok(self.facts(host, token.renew_before_end(RENEW_METADATA), 0, Learnt::default()))
            }
            Awaited::Fact { host, token, at, mut learnt } => {
                let value = reply.text().trim().to_owned();
                let (path, put, is_place) = FACTS[at];
                let is_told = reply.status == 200 && !value.is_empty() && value.len() <= 256;
                if is_told {
                    put(&mut learnt, value);
                } else if !is_place {
                    return Err(format!(
                        "the metadata server at {host} does not tell the project (status {} to {path}); name it, as in \
                         LOGCHUTE_URL=gcl://PROJECT",
                        reply.status
                    ));
                }
                Ok(self.facts(host, token, at + 1, learnt))
            }
        }
    }
}

fn metadata(host: &str, path: &str) -> Errand {
    Errand::get(format!("http://{host}/computeMetadata/v1/{path}"), "GCE_METADATA_HOST")
        .header("metadata-flavor", "Google")
        .metadata()
        .hint(NO_METADATA)
}

/// A file of credentials; an error says what it must be.
fn read(path: &Path) -> Result<Json, String> {
    let bytes = file::read(path, LARGEST).map_err(|why| format!("a file that can be read ({why})"))?;
    // What the parser says may quote the file.
    let file: Option<Json> = serde_json::from_slice(&bytes).ok();
    file.filter(Json::is_object)
        .ok_or_else(|| "a file of credentials in JSON, as Google's console and gcloud write it".to_owned())
}

fn text<'a>(json: &'a Json, key: &str) -> Option<&'a str> {
    json.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn kind_of(file: &Json) -> &'static str {
    match text(file, "type") {
        Some("service_account") => "the service account key",
        Some("external_account") => "the workload identity",
        _ => "the credentials",
    }
}

/// The first request that a file leads to, and the account to speak for in the end; an error says what the file must be.
fn first(file: &Json, now: SystemTime) -> Result<(Errand, Option<Impersonate>), String> {
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

/// The token in an answer of OAuth.
fn granted(asked: &Asked, reply: &Reply) -> Result<Token, String> {
    let answer = answer(asked, reply)?;
    let token = text(&answer, "access_token").ok_or_else(|| no_token(asked, "access_token"))?;
    let lives = answer.get("expires_in").and_then(Json::as_u64).map_or(LIVES, Duration::from_secs);
    Ok(Token::new(token, lives))
}

fn no_token(Asked { whose, host }: &Asked, key: &str) -> String {
    format!("{host} gave no token for {whose}: there is no {key} in its answer")
}

/// An answer, or what it refuses: OAuth has `error` and `error_description`, other services of Google a status with
/// a message.
fn answer(Asked { whose, host }: &Asked, reply: &Reply) -> Result<Json, String> {
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

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

use serde_json::json;

use super::granted::{Asked, answer, granted, no_token};
use super::key_file::{Impersonate, SCOPE, first, kind_of, read, text};
use super::resource::Learnt;
use crate::backend::{Errand, Reply, Step, Token, Tokens};
use crate::error::Error;

pub(super) const METADATA_HOST: &str = "metadata.google.internal";

/// The metadata server gives the same token until about 300 seconds before its end, so there is none to be had sooner
/// than that (vector's `src/gcp.rs` renews 200 seconds before the end as well).
const RENEW_METADATA: Duration = Duration::from_secs(200);

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

//! Google Cloud Logging: `POST https://logging.googleapis.com/v2/entries:write`, in JSON.
//!
//! ```text
//! {"partialSuccess":true,"logName":"projects/my-project/logs/checkout","resource":{…},"labels":{…},"entries":[
//!  {"insertId":"…","timestamp":"2026-11-24T08:00:00.123456789Z","severity":"INFO",
//!   "sourceLocation":{"file":"src/main.rs","line":"12","function":"shop::cart"},
//!   "jsonPayload":{"target":"shop","message":"order placed","thread":"main","span":"request:checkout","user":42},
//!   "trace":"projects/my-project/traces/…","spanId":"…"}]}
//! ```
//!
//! Log, monitored resource and labels stand once in a request (`resource.rs`), entries are written by `entry.rs`, nested
//! values by `nested.rs`; what answers mean says `judge.rs`, where tokens come from `credentials.rs`.
//!
//! A resend is the same to the byte. The store takes two entries of one `insertId` and time for the same when they are
//! queried; what is routed on to BigQuery, Pub/Sub or a bucket of files holds both.

mod credentials;
mod entry;
mod granted;
mod judge;
mod jwt;
mod key_file;
mod nested;
mod resource;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use self::credentials::{GoogleTokens, Source, Wanted};
use self::resource::{Head, Learnt, escaped_log};
use super::flat::Ids;
use super::sites::Sites;
use super::{Backend, Batch, Delivery, Facts, Payload, RecordRef, Reply, Scheme, Setup, Tokens, Verdict, Written};
use crate::error::Error;

/// The service of all regions.
const ENDPOINT: &str = "https://logging.googleapis.com";

/// Of 10 MB that a request may have (<https://cloud.google.com/logging/quotas>).
const BATCH_BYTES: usize = 5_000_000;

/// No number is documented; Google's own agents send up to this.
const BATCH_RECORDS: usize = 1_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Google Cloud Logging.
///
/// Tokens come from the metadata server, as on GKE, Compute Engine and Cloud Run, unless there is a
/// [`key_file`](Self::key_file), or a token that the user set on the destination. The account needs the role
/// `roles/logging.logWriter`.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, GoogleCloud};
///
/// let google = GoogleCloud::new("my-project").log("checkout").cluster("c1", "europe-west1");
/// assert_eq!(google.url(), "https://logging.googleapis.com/v2/entries:write");
///
/// let private = GoogleCloud::new("my-project").endpoint("https://logging-mine.p.googleapis.com");
/// assert_eq!(private.url(), "https://logging-mine.p.googleapis.com/v2/entries:write");
/// ```
#[derive(Clone, Debug)]
pub struct GoogleCloud {
    url: String,
    target: Target,
    source: Source,
}

/// Where entries belong, as far as it is set.
#[derive(Clone, Debug, Default)]
struct Target {
    project: Option<String>,
    /// Escaped as it stands in a log's name.
    log: Option<String>,
    /// Name and location.
    cluster: Option<(String, String)>,
    /// Type and labels.
    resource: Option<(String, Vec<(String, String)>)>,
    /// What the metadata server told.
    learnt: Arc<OnceLock<Learnt>>,
}

impl GoogleCloud {
    /// Sends to the logs of this project.
    ///
    /// Where the name is empty it is that of the project in which the program runs, as the metadata server has it, or
    /// that of the key file. Where neither tells one, nothing is sent, and that is told.
    #[must_use]
    pub fn new(project: impl Into<String>) -> Self {
        let project = Some(project.into()).filter(|project| !project.is_empty());
        Self {
            url: format!("{ENDPOINT}/v2/entries:write"),
            target: Target { project, ..Target::default() },
            source: Source::metadata(credentials::METADATA_HOST),
        }
    }

    /// The base URL of the service. Default: `https://logging.googleapis.com`.
    #[must_use]
    pub fn endpoint(mut self, url: impl AsRef<str>) -> Self {
        self.url = format!("{}/v2/entries:write", url.as_ref().trim_end_matches('/'));
        self
    }

    /// The id of the log. Default: the name of the service.
    ///
    /// Letters, digits and `/_.-`, at most 511 of them; any other character becomes `_`.
    #[must_use]
    pub fn log(mut self, id: impl AsRef<str>) -> Self {
        self.target.log = Some(escaped_log(id.as_ref()));
        self
    }

    /// Name and location of the GKE cluster. Default: the attributes `k8s.cluster.name` and `cloud.availability_zone`
    /// or `cloud.region` of the resource, or what the metadata server says, if it is what hands out tokens.
    ///
    /// Records of a pod belong to the monitored resource `k8s_container` where both are known.
    #[must_use]
    pub fn cluster(mut self, name: impl Into<String>, location: impl Into<String>) -> Self {
        self.target.cluster = Some((name.into(), location.into()));
        self
    }

    /// The monitored resource, its type and its labels; `project_id` is added. Default: `k8s_container` where pod, namespace
    /// and cluster are known, else `generic_task`.
    ///
    /// The service refuses types and labels that it does not know.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::backend::GoogleCloud;
    ///
    /// let run = GoogleCloud::new("p").resource("cloud_run_revision", [("service_name", "shop"), ("location", "europe-west1")]);
    /// # drop(run);
    /// ```
    #[must_use]
    pub fn resource<K: Into<String>, V: Into<String>>(
        mut self,
        kind: impl Into<String>,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let labels = labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.target.resource = Some((kind.into(), labels));
        self
    }

    /// The path of a file of credentials: the key of a service account, workload identity federation (a subject token
    /// from a file), or what `gcloud auth application-default login` writes. Default: the metadata server.
    ///
    /// It is read at start, and again for each token, so that it may be replaced.
    #[must_use]
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.source = Source::file(path.into(), "key_file");
        self
    }

    /// Host and port of the metadata server. Default: `metadata.google.internal`.
    #[must_use]
    pub fn metadata_host(mut self, host: impl AsRef<str>) -> Self {
        self.source = Source::metadata(host.as_ref());
        self
    }
}

impl Backend for GoogleCloud {
    fn facts(&self) -> Facts {
        Facts::new("google_cloud")
            .delivery(Delivery::EffectivelyOnce)
            .batch_bytes(BATCH_BYTES)
            .batch_records(BATCH_RECORDS)
            // The retention of a bucket, 30 days by default: what is older is accepted, and not stored.
            .oldest(30 * DAY)
            .newest(DAY)
            // A thousand entries that are refused, each with a sentence.
            .reply_bytes(512 * 1024)
            .gzip()
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn cost(&self, record: &RecordRef<'_>) -> usize {
        // All that does not depend on the record.
        const FRAME: usize =
            r#"{"insertId":"","timestamp":"","severity":"INFO","jsonPayload":{"target":"","message":"","thread":""}},"#
                .len()
                + 49
                + 30;
        // Names of files and targets have few escapes.
        let site = record.target().len()
            + record.file().map_or(0, |file| file.len() + r#","sourceLocation":{"file":"","line":"1234"}"#.len())
            + record.module().map_or(0, |module| module.len() + r#","function":"""#.len());
        FRAME + site + super::cost::in_json(record, r#","span":"""#)
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let head = Head::new(&self.target, batch.resource());
        let mut body = Vec::with_capacity(batch.cost() + head.text.len() + 2);
        body.extend_from_slice(&head.text);
        let (mut ids, mut sites) = (Ids::default(), Sites::default());
        for (place, record) in batch.records().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            entry::write(&mut body, &record, &mut ids, &mut sites, &head);
        }
        body.extend_from_slice(b"]}");
        Payload::post("application/json", body)
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        if (400..500).contains(&reply.status)
            && !matches!(reply.status, 401 | 408 | 413 | 425 | 429)
            && self.target.project().is_none()
        {
            let why = "the project is not known: name it, as in LOGCHUTE_URL=gcl://PROJECT or GOOGLE_CLOUD_PROJECT";
            return Verdict::Hold(why.to_owned());
        }
        judge::judge(reply, BATCH_RECORDS)
    }

    fn tokens(&self) -> Result<Option<Box<dyn Tokens>>, Error> {
        self.source.check()?;
        let is_set = self.target.resource.is_some() || self.target.cluster.is_some();
        let wanted = Wanted { project: self.target.project.is_none(), place: !is_set };
        let tokens = GoogleTokens::new(self.source.clone(), wanted, Arc::clone(&self.target.learnt));
        Ok(Some(Box::new(tokens)))
    }
}

pub(super) const SCHEME: Scheme = Scheme {
    names: super::names::google_cloud(),
    written: &[Written::Own, Written::Http],
    default_url: Some("gcl://"),
    // Those of Google's own world say a project or a path, and are looked up below.
    foreign: &[],
    build: |setup| build(setup).map(|google| Box::new(google) as Box<dyn Backend>),
};

/// `gcl://PROJECT/LOG`, or `http(s)://host:port/PROJECT/LOG`; both parts may be left out, LOG may hold slashes.
fn build(setup: &Setup<'_>) -> Result<GoogleCloud, Error> {
    let (scheme, rest) = setup.url.split_once("://").unwrap_or(("", setup.url));
    let (endpoint, rest) = match scheme {
        "http" | "https" => {
            let (host, rest) = rest.split_once('/').unwrap_or((rest, ""));
            (Some(format!("{scheme}://{host}")), rest)
        }
        _ => (None, rest),
    };
    let (project, log) = rest.trim_end_matches('/').split_once('/').unwrap_or((rest.trim_end_matches('/'), ""));
    let source = Source::found(setup.lookup);
    let named = "url";
    let (project, named) = ["GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"]
        .into_iter()
        .filter(|_| project.is_empty())
        .find_map(|name| Some(((setup.lookup)(name)?, name)))
        .unwrap_or((project.to_owned(), named));
    // Google's form is stricter; what matters here is that it can stand in a log's name.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-:.".contains(&byte);
    if project.len() > 128 || !project.bytes().all(is_plain) {
        let must = "gcl://PROJECT or gcl://PROJECT/LOG, with the id of a project: letters, digits, '-', ':' and '.'";
        return Err(Error::setting(named, project, must));
    }
    let project = if project.is_empty() { source.project()?.unwrap_or_default() } else { project };
    if project.is_empty() && !source.knows_project() {
        let must = "gcl://PROJECT, or GOOGLE_CLOUD_PROJECT must be set, as the credentials do not tell the project";
        return Err(Error::setting(named, setup.url, must));
    }
    let mut google = GoogleCloud::new(project);
    google.source = source;
    if let Some(endpoint) = endpoint {
        google = google.endpoint(endpoint);
    }
    Ok(if log.is_empty() { google } else { google.log(log) })
}

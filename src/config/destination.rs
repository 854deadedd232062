//! One store to send to: a backend, and what is said about it besides.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use super::check::Given;
use super::chosen::Chosen;
use super::settings::{BacklogOverflow, Compression, SpoolUse};
use crate::backend::Backend;
use crate::error::Error;
use crate::lane::Schedule;
use crate::tee::TeeTo;
use crate::voice::mask_url;
use crate::wire::{Holder, Options, Secret};

/// Longest name of a destination: it stands in the ledger and in every diagnostic.
const NAME_MAX: usize = 64;

/// One store to send to. A backend alone is one already; this adds name, filter, credentials, and what is
/// to hold for it alone.
///
/// # Examples
///
/// ```
/// use logchute::{Builder, Destination, backend::{Loki, Ndjson}};
///
/// let audit = Destination::new(Ndjson::new("https://audit.example.com/insert/jsonline"))
///     .name("audit")
///     .filter("off,my_app::audit=info")
///     .token("canary");
/// assert!(!format!("{audit:?}").contains("canary"));
///
/// let builder = Builder::new().send_to(Loki::new("http://loki:3100")).send_to(audit);
/// # drop(builder);
/// ```
#[must_use = "a destination does nothing until it is given to `Builder::send_to`"]
pub struct Destination {
    pub(crate) backend: Box<dyn Backend>,
    /// Empty until the settings are checked, where the user gave none.
    pub(crate) name: String,
    pub(super) filter: Option<Given<String>>,
    /// What `filter` means; there once the settings are checked.
    pub(crate) targets: Option<Targets>,
    /// Credentials and files; the URL is the backend's, and the rest is added when the pipeline starts.
    pub(crate) reach: Options,
    pub(crate) schedule: Option<Box<dyn Schedule>>,
    pub(super) chosen: Chosen,
    /// What variables of its store's own world say, which give way to what anyone says to us.
    pub(super) foreign: Chosen,
}

impl Destination {
    /// The store that this backend speaks to.
    pub fn new(backend: impl Backend) -> Self {
        Self::boxed(Box::new(backend))
    }

    pub(crate) fn boxed(backend: Box<dyn Backend>) -> Self {
        Self {
            backend,
            name: String::new(),
            filter: None,
            targets: None,
            reach: Options::default(),
            schedule: None,
            chosen: Chosen::default(),
            foreign: Chosen::default(),
        }
    }

    /// What the ledger and diagnostics call it. Default: the name of its backend, then `loki2` and so on.
    ///
    /// At most 64 letters, digits, `-`, `_` and `.`; a name that another destination has is refused by
    /// [`Builder::start`](crate::Builder::start).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Which records it gets, in directives such as `info,hyper=warn`. Default: what
    /// [`Builder::filter`](crate::Builder::filter) says.
    ///
    /// What it holds back is counted as filtered.
    pub fn filter(mut self, directives: impl Into<String>) -> Self {
        self.filter = Some(Given::by("filter", directives.into()));
        self
    }

    /// A bearer token. Default: none.
    ///
    /// Refused at start beside a user and password, and over plain http to another machine, see [`allow_http`](Self::allow_http).
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.reach.credentials.token = Some(Secret::value(token));
        self
    }

    /// The path of a file that holds a bearer token; it is read again when it changes.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.reach.credentials.token = Some(Secret::file(path));
        self
    }

    /// The user of basic authentication. Default: none.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.reach.credentials.user = Some(Secret::value(user));
        self
    }

    /// The password of basic authentication. Default: none.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.reach.credentials.password = Some(Secret::value(password));
        self
    }

    /// The path of a file that holds the password; it is read again when it changes.
    pub fn password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.reach.credentials.password = Some(Secret::file(path));
        self
    }

    /// A further header of each request. Its value is treated as a secret: it is not shown, and the same one for a
    /// destination at another host is refused at start. Headers that are known to hold none may go anywhere: those of
    /// tenants, `Accept`, `User-Agent`, and VictoriaLogs' `VL-…`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.reach.credentials.headers.push((name.into(), Secret::value(value)));
        self
    }

    /// The tenant, for stores that have tenants (Loki's `X-Scope-OrgID`). Default: none.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.reach.credentials.tenant = Some(Secret::value(tenant));
        self
    }

    /// The path of a PEM file with the certificates that are trusted. Default: the platform's roots.
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.reach.ca = Some(path.into());
        self
    }

    /// The path of a PEM file with the client certificate; needs a [`key`](Self::key). Default: none.
    pub fn cert(mut self, path: impl Into<PathBuf>) -> Self {
        self.reach.cert = Some(path.into());
        self
    }

    /// The path of a PEM file with the key of the client certificate. Default: none.
    pub fn key(mut self, path: impl Into<PathBuf>) -> Self {
        self.reach.key = Some(path.into());
        self
    }

    /// Permits credentials over plain http to another machine, where anyone on the way can read them.
    /// Default: refused at start.
    pub fn allow_http(mut self) -> Self {
        self.reach.allow_http = true;
        self
    }

    /// The waits between attempts. Default: 0.5 to 60 seconds, growing, with full jitter.
    ///
    /// A wait that the store asks for goes before it, and half as much again at most, so that not all clients of a store
    /// come back at the moment it names; [`retry_for`](Self::retry_for) limits all of them together.
    pub fn retry(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Memory for what this store has not taken yet, 64 KiB to 64 GiB and not less than a batch. Default: what
    /// [`Builder::backlog_bytes`](crate::Builder::backlog_bytes) says.
    ///
    /// When it is full, [`backlog_overflow`](Self::backlog_overflow) says who is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use logchute::{BacklogOverflow, Builder, Destination, backend::Ndjson};
    ///
    /// let audit = Destination::new(Ndjson::new("http://localhost:9428"))
    ///     .backlog_bytes(256 << 20)
    ///     .backlog_overflow(BacklogOverflow::DropNewest)
    ///     .retry_for(Duration::from_secs(7 * 24 * 3600));
    /// # let _ = &audit;
    ///
    /// let small = Destination::new(Ndjson::new("http://localhost:9428")).backlog_bytes(1);
    /// let refused = Builder::new().send_to(small).start().unwrap_err();
    /// assert_eq!(refused.to_string(), "backlog_bytes is \"1\", but must be from 64KiB to 64GiB");
    /// ```
    pub fn backlog_bytes(mut self, bytes: usize) -> Self {
        self.chosen.backlog_bytes = Some(Given::by("backlog_bytes", bytes));
        self
    }

    /// Who is dropped, and counted, when more is owed than the backlog holds. Default: what
    /// [`Builder::backlog_overflow`](crate::Builder::backlog_overflow) says.
    pub fn backlog_overflow(mut self, overflow: BacklogOverflow) -> Self {
        self.chosen.backlog_overflow = Some(overflow);
        self
    }

    /// The largest request, before compression: 1 KiB to 64 MiB. Default: what
    /// [`Builder::batch_bytes`](crate::Builder::batch_bytes) says.
    ///
    /// A store whose own limit is lower gets smaller ones.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.chosen.batch_bytes = Some(Given::by("batch_bytes", bytes));
        self
    }

    /// The most requests under way at a time, 1 to 64. Default: what [`Builder::in_flight`](crate::Builder::in_flight) says.
    ///
    /// With 1, records arrive in order.
    pub fn in_flight(mut self, requests: usize) -> Self {
        self.chosen.in_flight = Some(Given::by("in_flight", requests));
        self
    }

    /// How long a record may wait for its batch to fill, at most 5 minutes. Default: what
    /// [`Builder::linger`](crate::Builder::linger) says.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.chosen.linger = Some(Given::by("linger", linger));
        self
    }

    /// Limit of one attempt from the connection to the end of the reply: 1 millisecond to 1 hour. Default: what
    /// [`Builder::timeout`](crate::Builder::timeout) says.
    ///
    /// An attempt that takes longer is given up and made again.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.chosen.timeout = Some(Given::by("timeout", timeout));
        self
    }

    /// How long a batch is tried again, at most 365 days. Default: what
    /// [`Builder::retry_for`](crate::Builder::retry_for) says.
    ///
    /// After that it is dropped as expired; with zero, after its first attempt that fails.
    pub fn retry_for(mut self, limit: Duration) -> Self {
        self.chosen.retry_for = Some(Given::by("retry_for", limit));
        self
    }

    /// Compression of requests, where the store takes it. Default: what
    /// [`Builder::compression`](crate::Builder::compression) says.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.chosen.compression = Some(compression);
        self
    }

    /// A directory that keeps on disk what does not fit into memory, and what could not be delivered at the end. Default:
    /// what [`Builder::spool_dir`](crate::Builder::spool_dir) says.
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.chosen.spool_dir = Some(Given::by("spool_dir", dir.into()));
        self
    }

    /// The most that is kept there, 1 MiB to 1 TiB. Default: what
    /// [`Builder::spool_bytes`](crate::Builder::spool_bytes) says.
    pub fn spool_bytes(mut self, bytes: usize) -> Self {
        self.chosen.spool_bytes = Some(Given::by("spool_bytes", bytes));
        self
    }

    /// What goes there. Default: what [`Builder::spool`](crate::Builder::spool) says.
    pub fn spool(mut self, when: SpoolUse) -> Self {
        self.chosen.spool = Some(Given::by("spool", when));
        self
    }

    /// How long what was written there may wait for the disk itself, 1 millisecond to 1 hour. Default: what
    /// [`Builder::fsync`](crate::Builder::fsync) says.
    pub fn fsync(mut self, within: Duration) -> Self {
        self.chosen.fsync = Some(Given::by("fsync", Some(within)));
        self
    }

    /// Shows what is owed on stdout or stderr while the store is away. Default: what
    /// [`Builder::fallback`](crate::Builder::fallback) says.
    pub fn fallback(mut self, to: TeeTo) -> Self {
        self.chosen.fallback = Some(Some(to));
        self
    }

    /// A file that keeps records which the store rejected. Default: what
    /// [`Builder::quarantine`](crate::Builder::quarantine) says.
    pub fn quarantine(mut self, file: impl Into<PathBuf>) -> Self {
        self.chosen.quarantine = Some(Given::by("quarantine", file.into()));
        self
    }

    /// What it holds that is for one host alone; its name is there once all have one.
    pub(super) fn holder(&self) -> Holder<'_> {
        Holder {
            destination: &self.name,
            url: self.backend.url(),
            names: &self.reach.names,
            credentials: &self.reach.credentials,
        }
    }

    /// Checks what can be checked without a client, and returns remarks.
    pub(super) fn check(&mut self) -> Result<Vec<String>, Error> {
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
        if self.name.len() > NAME_MAX || !self.name.chars().all(is_plain) {
            let must = format!("at most {NAME_MAX} letters, digits, '-', '_' and '.'");
            return Err(Error::setting("name", &self.name, must));
        }
        match (&self.reach.cert, &self.reach.key) {
            (Some(cert), None) => return Err(Error::setting("cert", cert.display(), "set together with key")),
            (None, Some(key)) => return Err(Error::setting("key", key.display(), "set together with cert")),
            _ => {}
        }
        let Some(Given { value, by }) = &self.filter else { return Ok(Vec::new()) };
        let (targets, remarks) = super::filter::parse(by.clone(), value)?;
        self.targets = Some(targets);
        Ok(remarks)
    }
}

/// Gives every destination a name that no other one has.
pub(super) fn name_all(destinations: &mut [Destination]) -> Result<(), Error> {
    let mut taken: Vec<String> = Vec::new();
    for destination in destinations.iter().filter(|destination| !destination.name.is_empty()) {
        if taken.contains(&destination.name) {
            return Err(Error::setting("name", &destination.name, "another name than every other destination's"));
        }
        taken.push(destination.name.clone());
    }
    for destination in destinations.iter_mut().filter(|destination| destination.name.is_empty()) {
        let kind = destination.backend.facts().name();
        let mut names = (1..).map(|count| if count == 1 { kind.to_owned() } else { format!("{kind}{count}") });
        let name = names.find(|name| !taken.contains(name)).unwrap_or_default();
        taken.push(name.clone());
        destination.name = name;
    }
    Ok(())
}

impl<B: Backend> From<B> for Destination {
    fn from(backend: B) -> Self {
        Self::new(backend)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("backend", &self.backend.facts().name())
            .field("url", &mask_url(self.backend.url()))
            .field("name", &self.name)
            .field("filter", &self.filter.as_ref().map(|filter| &filter.value))
            .field("credentials", &self.reach.credentials)
            .field("ca", &self.reach.ca)
            .field("cert", &self.reach.cert)
            .field("key", &self.reach.key)
            .field("allow_http", &self.reach.allow_http)
            .field("own_schedule", &self.schedule.is_some())
            .field("chosen", &self.chosen)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Loki, Ndjson};

    fn names(mut destinations: Vec<Destination>) -> Result<Vec<String>, Error> {
        name_all(&mut destinations)?;
        Ok(destinations.into_iter().map(|destination| destination.name).collect())
    }

    #[test]
    fn each_destination_gets_a_name_of_its_own() {
        let loki = || Destination::new(Loki::new("http://loki"));
        let ndjson = Destination::new(Ndjson::new("http://vl"));
        assert_eq!(
            names(vec![loki(), loki(), ndjson, loki().name("loki2"), loki()]).unwrap(),
            ["loki", "loki3", "ndjson", "loki2", "loki4"]
        );
        let refused = names(vec![loki().name("a"), loki().name("a")]).unwrap_err();
        assert!(matches!(refused, Error::Setting { name, value, .. } if name == "name" && value == "a"));
    }

    #[test]
    fn odd_names_and_half_a_certificate_are_refused() {
        let loki = || Destination::new(Loki::new("http://loki"));
        for (mut destination, setting) in [
            (loki().name("a b"), "name"),
            (loki().name("a\n"), "name"),
            (loki().name("x".repeat(65)), "name"),
            (loki().cert("/c"), "cert"),
            (loki().key("/k"), "key"),
            (loki().filter("loud=yes"), "filter"),
        ] {
            assert!(matches!(destination.check(), Err(Error::Setting { name, .. }) if name == setting));
        }
    }

    #[test]
    fn b8_debug_shows_no_secret() {
        let destination = Destination::new(Loki::new("https://user:canary@loki/?key=canary"))
            .token("canary")
            .password("canary")
            .header("x-key", "canary");
        assert!(!format!("{destination:?}").contains("canary"), "{destination:?}");
    }
}

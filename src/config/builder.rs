//! Settings by code, and how all of them are checked: a value that makes no sense is refused, never bent.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::check::{Given, check_key};
use super::chosen::{self, Chosen, GIB, HOUR, KIB, MIB, MS};
use super::destination::name_all;
use super::env::{self, Env};
use super::settings::{BacklogOverflow, Compression, Hook, LaneSettings, Overflow, Settings, Signals};
use super::{Destination, filter};
use crate::error::Error;
use crate::handle::Guard;
use crate::queue::Ring;
use crate::resource::{Resource, Surroundings};
use crate::tee::TeeTo;
use crate::wire::refuse_shared;

/// Says where records go and how, and starts the pipeline. It installs nothing: that is
/// `install`, or `layer()` in a registry of your own.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use logchute::{Builder, Overflow, backend::Loki};
///
/// let builder = Builder::new()
///     .send_to(Loki::new("http://loki:3100"))
///     .service("checkout")
///     .label("env", "prod")
///     .overflow(Overflow::Block(Duration::from_millis(50)));
/// # drop(builder);
/// ```
#[must_use = "nothing happens until `start` is called"]
pub struct Builder {
    pub(super) destinations: Vec<Destination>,
    pub(super) service: Option<Given<String>>,
    pub(super) labels: Vec<Given<(String, String)>>,
    pub(super) filter: Given<String>,
    pub(super) spans: Given<String>,
    pub(super) tee: Option<TeeTo>,
    pub(super) tee_filter: Option<TeeFilter>,
    pub(super) queue_bytes: Given<usize>,
    pub(super) overflow: Given<Overflow>,
    /// What destinations get that say nothing else.
    pub(super) chosen: Chosen,
    pub(super) shutdown: Given<Duration>,
    pub(super) ring_dir: Option<Given<PathBuf>>,
    pub(super) signals: Signals,
    pub(super) hook: Option<Hook>,
    pub(super) remarks: Vec<String>,
    /// Whether `init` calls the doctor.
    pub(super) doctor: bool,
}

/// Directives for the tee, or what `RUST_LOG` was found to say.
#[derive(Clone, Debug)]
pub(super) enum TeeFilter {
    Directives(String),
    Parsed(Box<tracing_subscriber::filter::Targets>),
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// All defaults: no destination and no tee, and nothing from `LOGCHUTE_*` but the name of the service.
    pub fn new() -> Self {
        Self {
            destinations: Vec::new(),
            service: None,
            labels: Vec::new(),
            filter: Given::by("filter", "info".into()),
            spans: Given::by("spans", "info".into()),
            tee: None,
            tee_filter: None,
            queue_bytes: Given::by("queue_bytes", 8 * MIB),
            overflow: Given::by("overflow", Overflow::DropNewest),
            chosen: Chosen::default(),
            shutdown: Given::by("shutdown_limit", Duration::from_secs(5)),
            ring_dir: None,
            signals: Signals::Off,
            hook: None,
            remarks: Vec::new(),
            doctor: false,
        }
    }

    /// What the environment says; setters that are called afterwards override it, and [`send_to`](Self::send_to) adds to it.
    /// What a lane says for itself (`LOGCHUTE_AUDIT_LINGER`) stays.
    ///
    /// Unlike with [`new`](Self::new) there is a tee, in text on stderr, unless `LOGCHUTE_TEE` says otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if a `LOGCHUTE_` variable is malformed or out of range. What is odd but harmless,
    /// an unknown name for instance, is a diagnostic once the pipeline runs.
    ///
    /// # Examples
    ///
    /// ```
    /// let builder = logchute::Builder::from_env()?.service("checkout");
    /// # drop(builder);
    /// # Ok::<(), logchute::Error>(())
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        env::builder(&Env::of_process())
    }

    /// Adds a store to send to: a backend, or a [`Destination`] that says more. Default: none.
    ///
    /// Each has its own filter, backlog and retries, so that one that is away holds no other up. What is said here
    /// about batches, backlog, requests and patience holds for each that does not say otherwise itself
    /// ([`Destination::linger`] and its neighbours). A credential belongs to one host: the same token, password or
    /// secret header for destinations at two hosts is refused at start.
    pub fn send_to(mut self, to: impl Into<Destination>) -> Self {
        self.destinations.push(to.into());
        self
    }

    /// The name of the service. Default: what `LOGCHUTE_SERVICE` or `OTEL_SERVICE_NAME` says, else the name of the executable.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(Given::by("service", name.into()));
        self
    }

    /// A fact about this process that goes with every record, in place of one of that key that was found by itself.
    ///
    /// Keep its values few: a store may make a label of it.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push(Given::by("label", (key.into(), value.into())));
        self
    }

    /// Which records are sent, in directives such as `info,hyper=warn`. Default: `info`.
    pub fn filter(mut self, directives: impl Into<String>) -> Self {
        self.filter = Given::by("filter", directives.into());
        self
    }

    /// Whose spans give their fields to the records inside them. Default: `info`.
    ///
    /// Apart from [`filter`](Self::filter), so that `warn` there does not take `request_id` from every error.
    pub fn spans(mut self, directives: impl Into<String>) -> Self {
        self.spans = Given::by("spans", directives.into());
        self
    }

    /// Copies records to stdout or stderr. Default: no copy; with [`from_env`](Self::from_env) text on stderr.
    pub fn tee(mut self, to: TeeTo) -> Self {
        self.tee = Some(to);
        self
    }

    /// No copy on stdout or stderr.
    pub fn no_tee(mut self) -> Self {
        self.tee = None;
        self
    }

    /// Which records the tee shows. Default: those that [`filter`](Self::filter) lets pass; with
    /// [`from_env`](Self::from_env) what `RUST_LOG` says.
    pub fn tee_filter(mut self, directives: impl Into<String>) -> Self {
        self.tee_filter = Some(TeeFilter::Directives(directives.into()));
        self
    }

    /// Memory of the queue between the application and the worker, 64 KiB to 1 GiB. Default: 8 MiB.
    ///
    /// Half of it is taken at start. When it is full, [`overflow`](Self::overflow) says what happens.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = Given::by("queue_bytes", bytes);
        self
    }

    /// What happens to a record for which the queue has no room. Default: it is dropped and counted.
    ///
    /// With [`Overflow::Block`] its thread waits, from 1 millisecond to 1 hour at most. Records then stay in the queue
    /// while the backlog of any destination is full, so that one that is away may hold up the others.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Given::by("overflow", overflow);
        self
    }

    /// Memory for what a store has not taken yet, for each destination: 64 KiB to 64 GiB and not less than a batch.
    /// Default: 16 MiB.
    ///
    /// When it is full, [`backlog_overflow`](Self::backlog_overflow) says who is dropped.
    pub fn backlog_bytes(mut self, bytes: usize) -> Self {
        self.chosen.backlog_bytes = Some(Given::by("backlog_bytes", bytes));
        self
    }

    /// Who is dropped, and counted, when a destination owes more than its backlog holds. Default: the oldest.
    pub fn backlog_overflow(mut self, overflow: BacklogOverflow) -> Self {
        self.chosen.backlog_overflow = Some(overflow);
        self
    }

    /// The largest request, before compression: 1 KiB to 64 MiB. Default: 1 MiB.
    ///
    /// A store whose own limit is lower gets smaller ones.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.chosen.batch_bytes = Some(Given::by("batch_bytes", bytes));
        self
    }

    /// The most requests under way at a time for each destination, 1 to 64. Default: 4.
    ///
    /// How many there are is found out: it begins with 4, or fewer where fewer are allowed; one more while the store is as
    /// quick as usual and there is more to send, fewer when all answers become slow, half as many when it fails.
    /// [`Health`](crate::Health) shows the present number.
    ///
    /// With 1, records arrive in order. Otherwise they are in order once sorted by time and id, and after an outage those
    /// that just came do not wait until all that is owed has been sent.
    pub fn in_flight(mut self, requests: usize) -> Self {
        self.chosen.in_flight = Some(Given::by("in_flight", requests));
        self
    }

    /// How long a record may wait for its batch to fill, at most 5 minutes. Default: 200 milliseconds.
    ///
    /// Longer means fewer, larger requests, and more to lose when the process is killed.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.chosen.linger = Some(Given::by("linger", linger));
        self
    }

    /// Limit of one attempt from the connection to the end of the reply: 1 millisecond to 1 hour. Default: 10 seconds.
    ///
    /// An attempt that takes longer is given up and made again.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.chosen.timeout = Some(Given::by("timeout", timeout));
        self
    }

    /// How long a batch is tried again, at most 365 days. Default: 24 hours.
    ///
    /// After that it is dropped as expired; with zero, after its first attempt that fails.
    pub fn retry_for(mut self, limit: Duration) -> Self {
        self.chosen.retry_for = Some(Given::by("retry_for", limit));
        self
    }

    /// How long the end of the process may be held up to deliver what is owed, at most 1 hour. Default: 5 seconds.
    ///
    /// What is still owed then is dropped, counted and told on stderr.
    pub fn shutdown_limit(mut self, limit: Duration) -> Self {
        self.shutdown = Given::by("shutdown_limit", limit);
        self
    }

    /// Compression of requests, where the store takes it. Default: none.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.chosen.compression = Some(compression);
        self
    }

    /// Told of each diagnostic line of logchute itself, instead of stderr. Called on any thread, rarely.
    ///
    /// A panic in it is caught. What it logs through `tracing` or `log` may be about logchute's own trouble to
    /// log, so better count or print there.
    pub fn on_diagnostic(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Checks the settings, starts the worker thread and returns the guard that stops it.
    ///
    /// That a store can be reached is not checked: records are kept until it can.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if a value is malformed or out of range, [`Error::Spawn`] if no thread can be had.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::{Builder, Error, backend::Ndjson};
    ///
    /// let refused = Builder::new().send_to(Ndjson::new("http://localhost:9428")).queue_bytes(0).start();
    /// assert!(matches!(&refused, Err(Error::Setting { name, .. }) if name == "queue_bytes"));
    /// ```
    pub fn start(self) -> Result<Guard, Error> {
        crate::handle::start(self.settings()?)
    }

    /// All settings, checked; facts about the process come from its surroundings.
    pub(crate) fn settings(self) -> Result<Settings, Error> {
        self.settings_in(&Env::of_process(), Path::new("/"), std::env::current_exe().ok().as_deref())
    }

    pub(super) fn settings_in(mut self, env: &Env, root: &Path, executable: Option<&Path>) -> Result<Settings, Error> {
        self.check()?;
        let lanes = self.destinations.iter().map(|to| self.lane_of(to)).collect::<Result<Vec<_>, _>>()?;
        let mut remarks = std::mem::take(&mut self.remarks);
        let mut parse = |given: &Given<String>| {
            let (targets, odd) = filter::parse(given.by.clone(), &given.value)?;
            remarks.extend(odd);
            Ok::<_, Error>(targets)
        };
        let filter = parse(&self.filter)?;
        let spans = parse(&self.spans)?;
        let tee_filter = match self.tee_filter {
            None => filter.clone(),
            Some(TeeFilter::Parsed(targets)) => *targets,
            Some(TeeFilter::Directives(directives)) => parse(&Given::by("tee_filter", directives))?,
        };
        for destination in &mut self.destinations {
            remarks.extend(destination.check()?);
        }
        name_all(&mut self.destinations)?;
        refuse_shared(self.destinations.iter().map(Destination::holder))?;
        if self.destinations.is_empty() && self.tee.is_none() {
            remarks.push("there is neither a destination nor a tee: records are counted, and go nowhere".into());
        }

        let chosen: Vec<_> = self.destinations.iter().map(|to| to.chosen.or(&self.chosen)).collect();
        remarks.extend(chosen::idle(chosen.iter()));

        let lookup = |name: &str| env.lookup(name);
        let service = self.service.as_ref().map(|given| given.value.as_str());
        let (mut resource, odd) = Resource::detect(service, Surroundings { lookup: &lookup, root, executable });
        remarks.extend(odd);
        for Given { value: (key, value), .. } in self.labels {
            resource.set(key, value);
        }
        Ok(Settings {
            destinations: self.destinations,
            lanes,
            resource,
            filter,
            spans,
            tee: self.tee,
            tee_filter,
            queue_bytes: self.queue_bytes.value,
            overflow: self.overflow.value,
            shutdown: self.shutdown.value,
            ring_dir: self.ring_dir.map(|given| given.value),
            signals: self.signals,
            hook: self.hook,
            remarks,
        })
    }

    /// What holds for that destination: what it says itself, else what is said here, else what its world's own
    /// variables say.
    fn lane_of(&self, destination: &Destination) -> Result<LaneSettings, Error> {
        destination.chosen.or(&self.chosen).or(&destination.foreign).settings()
    }

    /// Refuses what is out of range.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.queue_bytes.bytes_in(64 * KIB..=GIB)?;
        self.chosen.check()?;
        for destination in &self.destinations {
            self.lane_of(destination)?;
        }
        if self.destinations.is_empty() {
            self.chosen.settings()?;
        }
        self.shutdown.time_in(Duration::ZERO..=HOUR)?;
        if let Some(dir) = &self.ring_dir {
            dir.not_empty()?;
            if !Ring::IS_THERE {
                let must = if cfg!(feature = "crash-proof") {
                    "unset: outside Linux there is no ring"
                } else {
                    "unset: it needs the feature `crash-proof`, which is not compiled in"
                };
                return Err(Error::setting(dir.by.clone(), dir.value.display(), must));
            }
        }
        if let Overflow::Block(limit) = self.overflow.value {
            Given::by(self.overflow.by.clone(), limit).time_in(MS..=HOUR)?;
        }
        let is_no_name = |name: &str| name.trim().is_empty() || name.contains(char::is_control);
        if let Some(service) = self.service.as_ref().filter(|service| is_no_name(&service.value)) {
            return Err(Error::setting(service.by.clone(), &service.value, "a name without control characters"));
        }
        for Given { value: (key, value), by } in &self.labels {
            check_key(by, key)?;
            if value.contains(char::is_control) {
                return Err(Error::setting(by.clone(), format!("{key}={value}"), "free of control characters"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("destinations", &self.destinations)
            .field("service", &self.service)
            .field("labels", &self.labels)
            .field("filter", &self.filter)
            .field("tee", &self.tee)
            .finish_non_exhaustive()
    }
}

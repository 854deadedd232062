//! stub
mod init;
mod settings;
use crate::{Error, Guard, backend::Backend, lane::Schedule, wire::Credentials};
pub use init::init;
pub use settings::{BacklogOverflow, Compression, Overflow};
pub(crate) use settings::{Hook, Settings};
use std::path::PathBuf;
use tracing_subscriber::filter::Targets;
pub(crate) fn parse_filter(name: &'static str, text: &str) -> Result<Targets, Error> {
    text.parse().map_err(|e| Error::setting(name, text, format!("{e}")))
}
/// One store.
pub struct Destination {
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) name: String,
    pub(crate) filter: Option<Targets>,
    pub(crate) credentials: Credentials,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) allow_http: bool,
    pub(crate) schedule: Option<Box<dyn Schedule>>,
}
impl<B: Backend> From<B> for Destination {
    fn from(b: B) -> Self {
        let name = b.facts().name().into();
        Self {
            backend: Box::new(b),
            name,
            filter: None,
            credentials: Credentials::default(),
            ca: None,
            cert: None,
            key: None,
            allow_http: false,
            schedule: None,
        }
    }
}
/// b
pub struct Builder {
    s: Settings,
}
impl Builder {
    /// n
    pub fn new() -> Self {
        let d = std::time::Duration::from_secs;
        Self {
            s: Settings {
                destinations: vec![],
                resource: crate::Resource::new("test"),
                filter: Targets::new().with_default(tracing::Level::INFO),
                spans: Targets::new().with_default(tracing::Level::INFO),
                tee: None,
                tee_filter: Targets::new(),
                queue_bytes: 8 << 20,
                overflow: Overflow::DropNewest,
                backlog_bytes: 16 << 20,
                backlog_overflow: BacklogOverflow::DropOldest,
                batch_bytes: 1 << 20,
                in_flight: 4,
                linger: std::time::Duration::from_millis(200),
                timeout: d(10),
                retry_for: d(86400),
                shutdown: d(5),
                compression: Compression::None,
                hook: None,
                remarks: vec![],
            },
        }
    }
    /// n
    pub fn from_env() -> Result<Self, Error> {
        Ok(Self::new())
    }
    /// n
    pub fn send_to(mut self, to: impl Into<Destination>) -> Self {
        self.s.destinations.push(to.into());
        self
    }
    /// n
    pub fn overflow(mut self, o: Overflow) -> Self {
        self.s.overflow = o;
        self
    }
    /// n
    pub fn start(self) -> Result<Guard, Error> {
        crate::handle::start(self.s)
    }
}

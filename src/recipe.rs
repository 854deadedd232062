//! What a pipeline is built from: once at start, and again in each forked child.
//!
//! [`Recipe::build`] makes all that belongs to one process: queue, lanes with clients of their own, books, worker. What
//! stays the same in a child is shared: the backends, which are pure, and the filters.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::batch::Origin;
use crate::capture::{Filters, Heirs, Home, Intake, LiveFilter};
use crate::config::{Compression, Destination, LaneSettings, Overflow, Settings, Signals};
use crate::contain::quietly;
use crate::error::Error;
use crate::flush::Control;
use crate::health::{DestinationHealth, DestinationState};
use crate::lane::{Lane, LaneParts, Schedule};
use crate::numbers::Numbers;
use crate::process;
use crate::queue::{Queue, Ring};
use crate::resource::Resource;
use crate::spool::LaneId;
use crate::tee::{Direct, TeeTo, WorkerTee};
use crate::voice::{Hook, Voice};
use crate::wire::{self, Client, Secret};
use crate::worker::{Disks, Rings, Worker};

/// Everything that a pipeline is built from.
pub(crate) struct Recipe {
    destinations: Vec<Ingredients>,
    /// One for each of them.
    ids: Vec<LaneId>,
    resource: Resource,
    filters: Arc<LiveFilter>,
    tee: Option<TeeTo>,
    queue_bytes: usize,
    overflow: Overflow,
    ring_dir: Option<PathBuf>,
    signals: Signals,
    hook: Option<Hook>,
}

/// One destination.
struct Ingredients {
    name: String,
    backend: Arc<dyn Backend>,
    /// All that a client needs: a new one has connections of its own.
    reach: wire::Options,
    schedule: Option<SharedSchedule>,
    settings: LaneSettings,
}

/// A pipeline that is not running yet.
pub(crate) struct Built {
    pub(crate) intake: Arc<Intake>,
    pub(crate) control: Arc<Control>,
    /// None without a destination: then there is nothing to do for one.
    pub(crate) worker: Option<Worker>,
}

impl Recipe {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut lane_filters = Vec::new();
        let mut destinations = Vec::new();
        for (mut destination, lane) in settings.destinations.into_iter().zip(settings.lanes) {
            lane_filters.push(destination.targets.take());
            destinations.push(Ingredients::new(destination, lane));
        }
        let filters = LiveFilter::new(Filters {
            events: settings.filter,
            spans: settings.spans,
            tee: settings.tee.map(|_| settings.tee_filter),
            lanes: lane_filters,
        });
        let mut ids = Vec::new();
        for to in &destinations {
            ids.push(to.id(&ids));
        }
        Self {
            destinations,
            ids,
            resource: settings.resource,
            filters: Arc::new(filters),
            tee: settings.tee,
            queue_bytes: settings.queue_bytes,
            overflow: settings.overflow,
            ring_dir: settings.ring_dir,
            signals: settings.signals,
            hook: settings.hook,
        }
    }

    /// How long an attempt of the slowest destination may take.
    pub(crate) fn longest_attempt(&self) -> Duration {
        self.destinations.iter().map(|to| to.settings.timeout).max().unwrap_or_default()
    }

    pub(crate) fn signals(&self) -> Signals {
        self.signals
    }

    pub(crate) fn voice(&self) -> Arc<Voice> {
        Arc::new(Voice::new(self.hook.clone()))
    }

    /// Builds a pipeline with an incarnation, connections and tokens of its own; `heirs` build those of children.
    pub(crate) fn build(&self, heirs: Option<Arc<dyn Heirs>>) -> Result<Built, Error> {
        let voice = self.voice();
        let origin = Arc::new(Origin { incarnation: Numbers::random_incarnation(), resource: self.resource.clone() });
        let lanes = self.destinations.iter().enumerate();
        let mut lanes = lanes.map(|(index, to)| to.lane(index, &origin, &voice)).collect::<Result<Vec<_>, _>>()?;
        let disks = self.disks(&origin, &mut lanes, &voice);
        let has_lanes = !lanes.is_empty();
        let (direct, tee) = if has_lanes {
            (None, self.tee.map(|to| WorkerTee::new(to, Arc::clone(&origin))))
        } else {
            (Some(Direct::new(self.tee, Arc::clone(&origin))), None)
        };
        let queue = if has_lanes { self.queue(&origin, &voice) } else { Queue::new(0, self.overflow) };
        let intake = Arc::new(Intake { queue, filters: Arc::clone(&self.filters), direct, home: Home::here(heirs) });
        let control = Arc::new(Control::default());
        open_books(&control, &lanes);
        let worker = has_lanes.then(|| {
            let (intake, control) = (Arc::clone(&intake), Arc::clone(&control));
            let worker = Worker::new(intake, control, voice, lanes, tee, origin.incarnation).with_disks(disks);
            match &self.ring_dir {
                Some(dir) => worker.with_rings(Rings::new(dir, self.ids.iter().map(|id| id.fingerprint).collect())),
                None => worker,
            }
        });
        Ok(Built { intake, control, worker })
    }

    /// The directories that the lanes spool to; one that cannot be used is told, and tried again.
    fn disks(&self, origin: &Origin, lanes: &mut [Lane], voice: &Voice) -> Disks {
        let mut disks = Disks::new(origin.incarnation, matches!(self.overflow, Overflow::Block(_)));
        for ((index, to), id) in self.destinations.iter().enumerate().zip(&self.ids) {
            if let Some(spool) = &to.settings.spool {
                disks.share(index, id.clone(), spool);
            }
        }
        disks.open(lanes, voice, Instant::now());
        disks
    }

    /// The ring where one was asked for and can be had.
    fn queue(&self, origin: &Origin, voice: &Voice) -> Queue {
        if let Some(dir) = &self.ring_dir {
            match Ring::make(dir, origin.incarnation, &origin.resource, self.queue_bytes) {
                Ok((ring, remark)) => {
                    remark.into_iter().for_each(|remark| voice.always(&remark));
                    return Queue::with_ring(ring, self.overflow);
                }
                Err(why) => voice.always(&format!(
                    "there is no crash-proof ring, so what is accepted is lost if the process is killed: {why} (LOGCHUTE_RING_DIR)"
                )),
            }
        }
        Queue::new(self.queue_bytes, self.overflow)
    }
}

impl Ingredients {
    fn new(mut destination: Destination, settings: LaneSettings) -> Self {
        let facts = destination.backend.facts();
        if settings.compression == Compression::Gzip && facts.takes_gzip() {
            // The last time that it can be changed: from here on it is shared.
            destination.backend.compress();
        }
        let facts = destination.backend.facts();
        let reach = wire::Options {
            url: destination.backend.url().to_owned(),
            compression: settings.compression,
            takes_gzip: facts.takes_gzip(),
            token_as: facts.token_as(),
            tenant_header: facts.tenant_header(),
            reply_bytes: facts.most_reply_bytes(),
            ..destination.reach
        };
        Self {
            name: destination.name,
            backend: Arc::from(destination.backend),
            reach,
            schedule: destination.schedule.map(SharedSchedule::new),
            settings,
        }
    }

    /// What tells it from all other destinations, in this process and the next: it stands in files.
    fn id(&self, others: &[LaneId]) -> LaneId {
        let (backend, url) = (self.backend.facts().name(), self.backend.url());
        let tenant = self.reach.credentials.tenant.as_ref().and_then(Secret::as_value);
        let id = LaneId::of(backend, url, tenant);
        // Two destinations may speak to one store, each with a filter of its own.
        if others.contains(&id) {
            return LaneId::of(backend, url, Some(&format!("{} {}", tenant.unwrap_or_default(), self.name)));
        }
        id
    }

    fn lane(&self, index: usize, origin: &Arc<Origin>, voice: &Arc<Voice>) -> Result<Lane, Error> {
        let mut client = Client::new(self.reach.clone())?;
        if client.takes_tokens()
            && let Some(source) = self.backend.tokens()?
        {
            client = client.with_tokens(source)?;
        }
        Ok(Lane::new(LaneParts {
            index,
            name: self.name.clone(),
            backend: Arc::clone(&self.backend),
            client,
            schedule: self.schedule.as_ref().and_then(SharedSchedule::begin),
            origin: Arc::clone(origin),
            settings: self.settings.clone(),
            voice: Arc::clone(voice),
        }))
    }
}

/// A schedule of the user's, which the recipe keeps for a child while the worker of this process uses it.
#[derive(Clone)]
struct SharedSchedule(Arc<Mutex<Box<dyn Schedule>>>);

impl SharedSchedule {
    fn new(schedule: Box<dyn Schedule>) -> Self {
        Self(Arc::new(Mutex::new(schedule)))
    }

    /// For a lane that begins. `None`, for the default one, where the worker of the parent was inside of it at the moment
    /// of the fork: nobody ends that any more.
    fn begin(&self) -> Option<Box<dyn Schedule>> {
        let Ok(mut schedule) = self.0.try_lock() else { return None };
        if process::is_child() {
            // The failures so far are the parent's. A panic in it is the worker's to deal with, at the first reset of its own.
            quietly(|| schedule.reset());
        }
        drop(schedule);
        Some(Box::new(self.clone()))
    }

    /// Never waited for: one lane uses it.
    fn lock(&self) -> MutexGuard<'_, Box<dyn Schedule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Schedule for SharedSchedule {
    fn next(&mut self, random: f64) -> Option<Duration> {
        self.lock().next(random)
    }

    fn reset(&mut self) {
        self.lock().reset();
    }
}

/// One page for each lane, so that the ledger names all destinations from the start.
fn open_books(control: &Control, lanes: &[Lane]) {
    let mut books = control.books();
    for lane in lanes {
        let name = lane.name().to_owned();
        books.destinations.push(lane.new_books());
        let mut health =
            DestinationHealth { name, state: DestinationState::Well, last_failure: None, in_flight: 0, spool: None };
        lane.publish_health(&mut health);
        books.health.push(health);
    }
}

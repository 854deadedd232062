//! What is admitted: the union of what the destinations and the tee want, changeable while records flow.
//!
//! Whether a callsite is admitted depends on its target and level alone, so `tracing` may remember the answer:
//! the interest is `always` or `never`, and the level hint is true. Events and spans are filtered apart:
//! otherwise a filter of `warn` would take the request's fields from every error.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tracing::dispatcher::{self, Dispatch, WeakDispatch};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter};

use super::{Intake, twins};
use crate::process;

/// The filters of one pipeline.
#[derive(Clone)]
pub(crate) struct Filters {
    /// Of every destination that has none of its own.
    pub(crate) events: Targets,
    pub(crate) spans: Targets,
    pub(crate) tee: Option<Targets>,
    /// Of each destination, in their order; `None` where `events` counts.
    pub(crate) lanes: Vec<Option<Targets>>,
}

impl Filters {
    /// Whether any place wants a record of that target and level.
    pub(crate) fn admit(&self, target: &str, level: Level) -> bool {
        let wants = |filter: &Targets| filter.would_enable(target, &level);
        self.tee.as_ref().is_some_and(wants) || (0..self.lanes.len()).any(|lane| wants(self.of_lane(lane)))
    }

    pub(crate) fn of_lane(&self, lane: usize) -> &Targets {
        self.lanes.get(lane).and_then(Option::as_ref).unwrap_or(&self.events)
    }

    /// Whether all places want the same, so that what was admitted need not be asked again.
    pub(crate) fn agree(&self) -> bool {
        let first = self.of_lane(0);
        self.tee.is_none() && (1..self.lanes.len()).all(|lane| self.of_lane(lane) == first)
    }

    /// The finest level that an event may have to be admitted.
    pub(crate) fn event_level(&self) -> LevelFilter {
        let lanes = (0..self.lanes.len()).map(|lane| max_level(self.of_lane(lane)));
        lanes.chain(self.tee.as_ref().map(max_level)).max().unwrap_or(LevelFilter::OFF)
    }
}

/// The finest level that any directive lets pass.
pub(crate) fn max_level(filter: &Targets) -> LevelFilter {
    let levels = filter.iter().map(|(_, level)| level);
    levels.chain(filter.default_level()).max().unwrap_or(LevelFilter::OFF)
}

/// The filters as they are now; read without a lock.
pub(crate) struct LiveFilter {
    filters: ArcSwap<Filters>,
    /// The subscribers that the layer is part of.
    subscribers: Mutex<Vec<WeakDispatch>>,
}

impl LiveFilter {
    pub(crate) fn new(filters: Filters) -> Self {
        Self { filters: ArcSwap::from_pointee(filters), subscribers: Mutex::default() }
    }

    #[inline]
    pub(crate) fn now(&self) -> Guard<Arc<Filters>> {
        self.filters.load()
    }

    /// `None` in a forked child where a thread of the parent held it: nobody releases it any more.
    fn subscribers(&self) -> Option<MutexGuard<'_, Vec<WeakDispatch>>> {
        if process::is_child() {
            return self.subscribers.try_lock().ok();
        }
        Some(self.subscribers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_part_of(&self, subscriber: &Dispatch) {
        let Some(mut subscribers) = self.subscribers() else { return };
        subscribers.retain(|subscriber| subscriber.upgrade().is_some());
        subscribers.push(subscriber.downgrade());
    }

    /// Replaces the filter of destinations that have none of their own.
    pub(crate) fn set_events(&self, events: Targets) {
        self.filters.rcu(|filters| Filters { events: events.clone(), ..Filters::clone(filters) });
        let of_ours = |all: MutexGuard<'_, Vec<_>>| all.iter().find_map(WeakDispatch::upgrade);
        let subscriber = self.subscribers().and_then(of_ours);
        // Where there is only one subscriber, tracing asks that of the current thread in its place: a thread that has
        // none would mute every callsite of the process.
        match subscriber {
            Some(subscriber) => dispatcher::with_default(&subscriber, tracing::callsite::rebuild_interest_cache),
            None => tracing::callsite::rebuild_interest_cache(),
        }
    }
}

/// The per-layer filter.
pub(super) struct LayerFilter(pub(super) Arc<Intake>);

impl LayerFilter {
    fn admits(&self, metadata: &Metadata<'_>) -> bool {
        let filters = self.0.filters.now();
        let (target, level) = (metadata.target(), *metadata.level());
        let as_span = || filters.spans.would_enable(target, &level);
        match (metadata.is_event(), metadata.is_span()) {
            (true, _) => filters.admit(target, level),
            (false, true) => as_span(),
            // `enabled!` asks for either.
            (false, false) => filters.admit(target, level) || as_span(),
        }
    }
}

/// The name under which `tracing-log` asks whether a log record is wanted. Of those it then passes on, whose name is
/// another one, the layer looks at the target again.
const BRIDGED_RECORD: &str = "log record";

/// Whether it is no more than a question, as of `enabled!` and `log_enabled!`, with no event or span behind it.
fn is_question(metadata: &Metadata<'_>) -> bool {
    metadata.name().starts_with("enabled ") || metadata.name() == BRIDGED_RECORD
}

impl<S: Subscriber> Filter<S> for LayerFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        // The registry keeps a "no" for the event that it expects next, and would keep that one from us: the next one
        // may well be an event that we always want. Here a "no" changes no answer, another layer has said "yes".
        is_question(metadata) || self.admits(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !self.admits(metadata) {
            return Interest::never();
        }
        twins::remember(metadata);
        Interest::always()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let filters = self.0.filters.now();
        Some(filters.event_level().max(max_level(&filters.spans)))
    }
}

//! Twins: with tracing's `log` features an event is also a log record, made at the same place.
//!
//! Where both our layer and our logger are there, only the event counts. Callsites that the layer admitted
//! are remembered by the address of their file's name, which both forms share, and their line.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

type Places = HashSet<(usize, u32)>;

/// Not made at its first use: a fork in that moment would leave it half made in the child, which then waits for ever.
static ADMITTED: ArcSwapOption<Places> = ArcSwapOption::const_empty();

fn is_admitted(place: (usize, u32)) -> bool {
    ADMITTED.load().as_ref().is_some_and(|places| places.contains(&place))
}

fn place(file: Option<&str>, line: Option<u32>) -> Option<(usize, u32)> {
    Some((file?.as_ptr() as usize, line?))
}

/// Remembers a callsite that the layer admits; once for each callsite and change of a filter.
pub(super) fn remember(callsite: &Metadata<'_>) {
    if let Some(place) = place(callsite.file(), callsite.line())
        && !is_admitted(place)
    {
        ADMITTED.rcu(|places| {
            let mut places = places.as_deref().cloned().unwrap_or_default();
            places.insert(place);
            Some(Arc::new(places))
        });
    }
}

/// Whether an event that `tracing-log` made of a log record stands for an event that the layer has (feature log-always).
#[cold]
pub(super) fn is_bridged_twin(event: &Event<'_>) -> bool {
    #[derive(Default)]
    struct Origin {
        file: Option<usize>,
        line: Option<u32>,
    }
    impl Visit for Origin {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "log.file" {
                self.file = Some(value.as_ptr() as usize);
            }
        }
        fn record_u64(&mut self, field: &Field, value: u64) {
            if field.name() == "log.line" {
                self.line = u32::try_from(value).ok();
            }
        }
        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }
    let mut origin = Origin::default();
    event.record(&mut origin);
    origin.file.zip(origin.line).is_some_and(is_admitted)
}

/// Whether a log record was made by a tracing event, or a span, that a layer of ours has: of this kind, in the subscriber
/// that this thread has now.
pub(super) fn is_twin<L: 'static>(record: &log::Record<'_>) -> bool {
    // The macros of `log` give a static name. What `tracing` makes of its events does not, and a record of each may come
    // from one line: a macro of the application that calls both facades.
    record.file_static().is_none()
        && place(record.file(), record.line()).is_some_and(is_admitted)
        && tracing::dispatcher::get_default(|subscriber| subscriber.is::<L>())
}

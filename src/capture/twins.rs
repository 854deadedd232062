//! Twins: with tracing's `log` features an event is also a log record, made at the same place.
//!
//! Where both our layer and our logger are there, only the event counts. Callsites that the layer admitted
//! are remembered by the address of their file's name, which both forms share, and their line.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use tracing::Metadata;

type Places = HashSet<(usize, u32)>;

static ADMITTED: LazyLock<ArcSwap<Places>> = LazyLock::new(ArcSwap::default);

fn place(file: Option<&str>, line: Option<u32>) -> Option<(usize, u32)> {
    Some((file?.as_ptr() as usize, line?))
}

/// Remembers a callsite that the layer admits; once for each callsite and change of a filter.
pub(super) fn remember(callsite: &Metadata<'_>) {
    if let Some(place) = place(callsite.file(), callsite.line())
        && !ADMITTED.load().contains(&place)
    {
        ADMITTED.rcu(|places| {
            let mut places = Places::clone(places);
            places.insert(place);
            Arc::new(places)
        });
    }
}

/// Whether a log record was made by a tracing event, or a span, that a layer of ours has: of this kind, in the subscriber
/// that this thread has now.
pub(super) fn is_twin<L: 'static>(record: &log::Record<'_>) -> bool {
    // The macros of `log` give a static name. What `tracing` makes of its events does not, and a record of each may come
    // from one line: a macro of the application that calls both facades.
    record.file_static().is_none()
        && place(record.file(), record.line()).is_some_and(|place| ADMITTED.load().contains(&place))
        && tracing::dispatcher::get_default(|subscriber| subscriber.is::<L>())
}

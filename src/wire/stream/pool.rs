//! Connections that wait for their next payload.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;

use super::super::limits::IDLE;
use super::connection::Connection;

#[derive(Default)]
pub(super) struct Pool(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// The latest last.
    idle: Vec<(Connection, Instant)>,
    /// Whether somebody drops the old ones.
    is_tended: bool,
}

impl Pool {
    /// The one that was used last, if it is still open.
    pub(super) async fn take(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.lock().idle.pop()?;
            if since.elapsed() < IDLE && connection.still_there().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// Keeps it for the next payload. Must be called on a Tokio runtime.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection) {
        let mut kept = self.lock();
        kept.idle.push((connection, Instant::now()));
        let is_tended = std::mem::replace(&mut kept.is_tended, true);
        drop(kept);
        if !is_tended {
            // A runtime that is being shut down drops it at once.
            tokio::spawn(Tender(Some(Arc::downgrade(self))).tend());
        }
    }

    /// When the oldest has been kept for long enough.
    fn tidy(&self) -> Option<Instant> {
        let mut kept = self.lock();
        kept.idle.retain(|(_, since)| since.elapsed() < IDLE);
        kept.is_tended = !kept.idle.is_empty();
        kept.idle.first().map(|(_, since)| *since + IDLE)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops connections that were idle for too long, and all of them when the runtime ends that they belong to.
struct Tender(Option<Weak<Pool>>);

impl Tender {
    async fn tend(mut self) {
        while let Some(until) = self.pool().and_then(|pool| pool.tidy()) {
            tokio::time::sleep_until(until).await;
        }
        // Another one may have begun meanwhile, whose connections are not to be dropped with this one.
        self.0 = None;
    }

    fn pool(&self) -> Option<Arc<Pool>> {
        self.0.as_ref()?.upgrade()
    }
}

impl Drop for Tender {
    fn drop(&mut self) {
        if let Some(pool) = self.pool() {
            let gone = std::mem::take(&mut *pool.lock());
            drop(gone);
        }
    }
}

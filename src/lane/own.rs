//! A lane's own spool: what is written there, who gives way when it is full, and why nothing is written for a while.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use super::disk::Adopted;
use crate::batch::Batch;
use crate::config::{BacklogOverflow, SpoolSettings};
use crate::spool::{Note, Place, Refused, Source, Spool};

/// Why nothing is written for a while.
pub(super) enum Trouble {
    /// The share of the spool is used up.
    Full,
    Disk(io::Error),
}

/// What a lane asks of its own spool beside what any source can do.
pub(crate) trait Write: Source {
    /// See [`Spool::append`].
    fn append(&mut self, batch: &Batch<'_>, note: &Note, held: bool, now: Instant) -> Result<Place, Refused>;
    /// See [`Spool::take_back`].
    fn take_back(&mut self, place: Place) {
        self.settle(place);
    }
    /// See [`Spool::tick`].
    fn tick(&mut self, now: Instant) -> Option<io::Error>;
    /// See [`Spool::close`].
    fn close(&mut self) -> Option<io::Error>;
}

impl Write for Spool {
    fn append(&mut self, batch: &Batch<'_>, note: &Note, held: bool, now: Instant) -> Result<Place, Refused> {
        Self::append(self, batch, note, held, now)
    }

    fn take_back(&mut self, place: Place) {
        Self::take_back(self, place);
    }

    fn tick(&mut self, now: Instant) -> Option<io::Error> {
        Self::tick(self, now)
    }

    fn close(&mut self) -> Option<io::Error> {
        Self::close(self)
    }
}

pub(super) struct Own {
    pub(super) spool: Box<dyn Write>,
    pub(super) settings: SpoolSettings,
    /// Who gives way when it is full.
    pub(super) overflow: BacklogOverflow,
    /// The number behind the newest batch that was written.
    pub(super) written: u64,
    pub(super) trouble: Option<Trouble>,
    /// Nothing is written before then.
    pub(super) again: Option<Instant>,
    /// Number and sealing time of the batch that would be read next.
    pub(super) front: Option<(u64, Instant)>,
}

impl Own {
    pub(super) fn may_write(&self, now: Instant) -> bool {
        self.again.is_none_or(|again| now >= again)
    }

    /// Keeps in mind what would be read next.
    pub(super) fn look(&mut self, epoch: &Epoch) {
        self.front = self.spool.peek().map(|(number, sealed)| (number, epoch.instant(sealed)));
    }

    /// Appends, and gives up what is oldest on disk where that has to give way.
    pub(super) fn append(
        &mut self,
        batch: &Batch<'_>,
        note: &Note,
        adopted: &mut VecDeque<Adopted>,
        dropped: &mut [u64; 6],
        now: Instant,
    ) -> Result<Place, Trouble> {
        loop {
            match self.spool.append(batch, note, true, now) {
                Ok(place) => return Ok(place),
                Err(Refused::Disk(error)) => return Err(Trouble::Disk(error)),
                Err(Refused::Full) => {
                    if self.overflow == BacklogOverflow::DropNewest {
                        return Err(Trouble::Full);
                    }
                    let oldest = adopted.iter_mut().find_map(|adopted| adopted.source.drop_oldest());
                    let Some(lost) = oldest.or_else(|| self.spool.drop_oldest()) else { return Err(Trouble::Full) };
                    dropped.iter_mut().zip(lost).for_each(|(all, more)| *all += more);
                }
            }
        }
    }
}

/// A point in time by both clocks. What is written carries a date; between it and now runs the clock that nobody sets.
pub(super) struct Epoch {
    pub(super) at: Instant,
    pub(super) nanos: i64,
}

impl Epoch {
    pub(super) fn nanos(&self, at: Instant) -> i64 {
        let after = at.saturating_duration_since(self.at).as_nanos() as i64;
        let before = self.at.saturating_duration_since(at).as_nanos() as i64;
        self.nanos.saturating_add(after).saturating_sub(before)
    }

    pub(super) fn instant(&self, nanos: i64) -> Instant {
        let apart = Duration::from_nanos(nanos.abs_diff(self.nanos));
        let at = if nanos < self.nanos { self.at.checked_sub(apart) } else { self.at.checked_add(apart) };
        at.unwrap_or(self.at)
    }
}

/// Whether it is for want of room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

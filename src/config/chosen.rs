//! What may be said about one destination alone, or about all of them: batches, backlog, disk, requests and patience.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::check::Given;
use super::names::PREFIX;
use super::settings::{BacklogOverflow, Compression, LaneSettings, SpoolSettings, SpoolUse};
use super::units::show_bytes;
use crate::error::Error;
use crate::tee::TeeTo;

pub(super) const KIB: usize = 1 << 10;
pub(super) const MIB: usize = 1 << 20;
pub(super) const GIB: usize = 1 << 30;
pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What was said; all that was not is `None`.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    pub(super) backlog_bytes: Option<Given<usize>>,
    pub(super) backlog_overflow: Option<BacklogOverflow>,
    pub(super) batch_bytes: Option<Given<usize>>,
    pub(super) in_flight: Option<Given<usize>>,
    pub(super) linger: Option<Given<Duration>>,
    pub(super) timeout: Option<Given<Duration>>,
    pub(super) retry_for: Option<Given<Duration>>,
    pub(super) compression: Option<Compression>,
    pub(super) spool_dir: Option<Given<PathBuf>>,
    pub(super) spool_bytes: Option<Given<usize>>,
    pub(super) spool: Option<Given<SpoolUse>>,
    /// `Some(None)`: none, whatever holds for the others.
    pub(super) fsync: Option<Given<Option<Duration>>>,
    pub(super) fallback: Option<Option<TeeTo>>,
    pub(super) quarantine: Option<Given<PathBuf>>,
}

impl Chosen {
    /// These, and those where these are silent.
    pub(super) fn or(&self, those: &Self) -> Self {
        fn first<T: Clone>(this: &Option<T>, that: &Option<T>) -> Option<T> {
            this.as_ref().or(that.as_ref()).cloned()
        }
        Self {
            backlog_bytes: first(&self.backlog_bytes, &those.backlog_bytes),
            backlog_overflow: first(&self.backlog_overflow, &those.backlog_overflow),
            batch_bytes: first(&self.batch_bytes, &those.batch_bytes),
            in_flight: first(&self.in_flight, &those.in_flight),
            linger: first(&self.linger, &those.linger),
            timeout: first(&self.timeout, &those.timeout),
            retry_for: first(&self.retry_for, &those.retry_for),
            compression: first(&self.compression, &those.compression),
            spool_dir: first(&self.spool_dir, &those.spool_dir),
            spool_bytes: first(&self.spool_bytes, &those.spool_bytes),
            spool: first(&self.spool, &those.spool),
            fsync: first(&self.fsync, &those.fsync),
            fallback: first(&self.fallback, &those.fallback),
            quarantine: first(&self.quarantine, &those.quarantine),
        }
    }

    /// Refuses what is out of range by itself.
    pub(super) fn check(&self) -> Result<(), Error> {
        fn each<T>(given: &Option<Given<T>>, check: impl Fn(&Given<T>) -> Result<T, Error>) -> Result<(), Error> {
            given.as_ref().map_or(Ok(()), |given| check(given).map(drop))
        }
        each(&self.batch_bytes, |bytes| bytes.bytes_in(KIB..=64 * MIB))?;
        // On 32 bits the largest number is the limit.
        each(&self.backlog_bytes, |bytes| bytes.bytes_in(64 * KIB..=GIB.saturating_mul(64)))?;
        each(&self.spool_bytes, |bytes| bytes.bytes_in(MIB..=GIB.saturating_mul(1024)))?;
        if let Some(Given { value: Some(fsync), by }) = &self.fsync {
            Given::by(by.clone(), *fsync).time_in(MS..=HOUR)?;
        }
        each(&self.spool_dir, Given::not_empty)?;
        each(&self.quarantine, Given::not_empty)?;
        each(&self.in_flight, |requests| requests.count_in(1..=64))?;
        each(&self.linger, |linger| linger.time_in(Duration::ZERO..=5 * MINUTE))?;
        each(&self.timeout, |timeout| timeout.time_in(MS..=HOUR))?;
        each(&self.retry_for, |limit| limit.time_in(Duration::ZERO..=365 * DAY))
    }

    /// Names of what was said about the spool.
    pub(super) fn of_spool(&self) -> impl Iterator<Item = &Cow<'static, str>> {
        let fsync = self.fsync.as_ref().filter(|given| given.value.is_some());
        let names = [
            self.spool_bytes.as_ref().map(|given| &given.by),
            self.spool.as_ref().map(|given| &given.by),
            fsync.map(|given| &given.by),
        ];
        names.into_iter().flatten()
    }

    /// With defaults filled in, if all of it goes together.
    pub(super) fn settings(&self) -> Result<LaneSettings, Error> {
        fn or<T: Copy>(given: &Option<Given<T>>, default: T) -> T {
            given.as_ref().map_or(default, |given| given.value)
        }
        self.check()?;
        let default = LaneSettings::default();
        let settings = LaneSettings {
            backlog_bytes: or(&self.backlog_bytes, default.backlog_bytes),
            backlog_overflow: self.backlog_overflow.unwrap_or(default.backlog_overflow),
            batch_bytes: or(&self.batch_bytes, default.batch_bytes),
            in_flight: or(&self.in_flight, default.in_flight),
            linger: or(&self.linger, default.linger),
            timeout: or(&self.timeout, default.timeout),
            retry_for: or(&self.retry_for, default.retry_for),
            compression: self.compression.unwrap_or_default(),
            spool: self.spool_dir.as_ref().map(|dir| SpoolSettings {
                dir: dir.value.clone(),
                bytes: or(&self.spool_bytes, 256 * MIB),
                when: or(&self.spool, SpoolUse::default()),
                fsync: or(&self.fsync, None),
            }),
            fallback: self.fallback.flatten(),
            quarantine: self.quarantine.as_ref().map(|file| file.value.clone()),
        };
        if let (Some(spool), Some(given)) = (&settings.spool, &self.spool_bytes) {
            // Whole batches go there.
            if spool.bytes < settings.batch_bytes {
                let must = format!("at least as large as a batch ({})", show_bytes(settings.batch_bytes));
                return Err(Error::setting(given.by.clone(), show_bytes(spool.bytes), must));
            }
        }
        let (backlog, batch) = (show_bytes(settings.backlog_bytes), show_bytes(settings.batch_bytes));
        // A batch that fails could not be kept for its next attempt.
        match (&self.backlog_bytes, &self.batch_bytes) {
            _ if settings.backlog_bytes >= settings.batch_bytes => Ok(settings),
            (Some(given), _) => {
                let must = format!("at least as large as a batch ({batch})");
                Err(Error::setting(given.by.clone(), backlog, must))
            }
            (None, given) => {
                let by = given.as_ref().map_or("batch_bytes".into(), |given| given.by.clone());
                let must = format!("at most as large as the backlog ({backlog}), or that larger");
                Err(Error::setting(by, batch, must))
            }
        }
    }
}

/// What was said about a spool and is of use to no destination, as none of those that it holds for has a directory.
pub(super) fn idle<'a>(all: impl Iterator<Item = &'a Chosen> + Clone) -> Vec<String> {
    let used: Vec<_> = all.clone().filter(|chosen| chosen.spool_dir.is_some()).flat_map(Chosen::of_spool).collect();
    let idle: BTreeSet<_> = all.flat_map(Chosen::of_spool).filter(|name| !used.contains(name)).collect();
    let tell = |name: &Cow<'static, str>| {
        let dir = if name.starts_with(PREFIX) { "LOGCHUTE_SPOOL_DIR" } else { "spool_dir" };
        format!("{name} is set, but {dir} is not, so nothing is kept on disk")
    };
    idle.into_iter().map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(by: &'static str, value: usize) -> Option<Given<usize>> {
        Some(Given::by(by, value))
    }

    #[test]
    fn the_nearer_word_counts_and_silence_takes_the_other() {
        let near = Chosen { batch_bytes: bytes("near", 2 * MIB), ..Chosen::default() };
        let far = Chosen { batch_bytes: bytes("far", 3 * MIB), in_flight: bytes("far", 7), ..Chosen::default() };
        let got = near.or(&far).settings().unwrap();
        assert_eq!((got.batch_bytes, got.in_flight, got.backlog_bytes), (2 * MIB, 7, 16 * MIB));
    }

    #[test]
    fn a_batch_above_the_backlog_is_refused_under_a_name_that_was_given() {
        let refused = |chosen: Chosen| match chosen.settings() {
            Err(Error::Setting { name, value, .. }) => (name.into_owned(), value),
            other => panic!("{other:?}"),
        };
        let batch = Chosen { batch_bytes: bytes("a_batch", 32 * MIB), ..Chosen::default() };
        assert_eq!(refused(batch.clone()), ("a_batch".into(), "32MiB".into()));
        let both = Chosen { backlog_bytes: bytes("a_backlog", 8 * MIB), ..batch };
        assert_eq!(refused(both), ("a_backlog".into(), "8MiB".into()));
        let backlog = Chosen { backlog_bytes: bytes("a_backlog", 512 * KIB), ..Chosen::default() };
        assert_eq!(refused(backlog), ("a_backlog".into(), "512KiB".into()));
    }
}

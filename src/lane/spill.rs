//! What goes to disk, when, and what comes back from it.
//!
//! By day: batches beyond half of the memory backlog, oldest first, so that what is on disk is older than what waits in
//! memory; or each one when it is sealed. At the end, and when the ring needs its room: all that is owed. What
//! cannot be written stays in memory, as if there were no disk, until it can.

use std::time::{Duration, Instant};

use super::disk::Disk;
use super::job::Job;
use super::own::Write;
use super::{Lane, LaneSettings};
use crate::clock;
use crate::config::BacklogOverflow;
use crate::ledger::Reason;
use crate::spool::Source;
use crate::voice::Topic;

/// Batches on disk that are given up in one look, as each is read for it.
const EXPIRE_AT_ONCE: usize = 8;

/// How soon it is looked again for batches that could go to disk, where there was none.
const RELIEVE_AGAIN: Duration = Duration::from_millis(10);

/// How fast a disk takes at least what is owed at the end, in bytes a second, and what is granted it beside.
const BYTES_PER_SECOND: usize = 50_000_000;
const TO_CLOSE: Duration = Duration::from_millis(50);

impl Lane {
    /// Gives the lane its share of a spool. With `waits` a full queue makes callers wait, and nothing is given up to make
    /// room.
    pub(crate) fn set_spool(&mut self, spool: Box<dyn Write>, waits: bool) {
        let LaneSettings { spool: settings, backlog_overflow, .. } = &self.parts.settings;
        let overflow = if waits { BacklogOverflow::DropNewest } else { *backlog_overflow };
        if let Some(settings) = settings.clone() {
            self.backlog.disk.set_own(spool, settings, overflow);
            self.disk_trouble = None;
        }
    }

    /// Its spool cannot be had, for now.
    pub(crate) fn miss_spool(&mut self, why: String) {
        self.disk_trouble = Some(why);
    }

    /// How soon what was handed over survives a loss of power, where it does.
    pub(crate) fn safe_after(&self) -> Option<Duration> {
        let settings = self.parts.settings.spool.as_ref().filter(|_| self.backlog.disk.takes_all())?;
        settings.fsync.filter(|_| self.disk_trouble.is_none())
    }

    pub(crate) fn has_spool(&self) -> bool {
        self.backlog.disk.has_spool()
    }

    /// Where it is, for a person.
    pub(crate) fn dir(&self) -> String {
        let settings = self.parts.settings.spool.as_ref();
        settings.map_or_else(String::new, |spool| spool.dir.display().to_string())
    }

    /// Takes over what an earlier process owed to the same store.
    pub(crate) fn adopt(&mut self, source: Box<dyn Source>, now: Instant) {
        self.backlog.disk.adopt(source, now);
    }

    /// Whether one more batch may be read from disk: of all that was read half of the memory is full at most, and with that
    /// three quarters. One always may.
    pub(super) fn may_read(&self) -> bool {
        let flights = self.flights.under_way().map(|flight| &flight.job);
        let in_memory = flights.chain(self.backlog.waiting()).chain(self.backlog.disk.waiting());
        let read = in_memory.filter(|job| job.is_read() && !job.is_at_fault()).map(|job| job.stored().held_bytes());
        // How large the next one is cannot be seen before it is read.
        let (count, bytes, next) =
            read.fold((0, 0, 0), |(count, sum, largest), bytes| (count + 1, sum + bytes, bytes.max(largest)));
        let most = self.parts.settings.backlog_bytes;
        let held = self.other_bytes() + self.backlog.waiting_bytes();
        count == 0 || (count < self.in_flight && bytes + next <= most / 2 && held + next <= most / 4 * 3)
    }

    /// Whether one more request may be begun while others are in flight: where there is a disk these leave half of the memory
    /// to what comes, as they cannot go there.
    pub(super) fn may_hold_more(&self) -> bool {
        let most = self.parts.settings.backlog_bytes;
        !self.backlog.disk.is_used_by_day() || self.flights.held_bytes() < most / 8 * 3
    }

    /// Whether a live one may be begun after one that is for what is owed for longer.
    pub(super) fn leaves_memory_to_live(&self) -> bool {
        let most = self.parts.settings.backlog_bytes;
        !self.backlog.disk.is_used_by_day() || self.flights.held_bytes() < most / 4
    }

    /// The memory is half full: the oldest batches go to disk until it is no more.
    #[cold]
    pub(super) fn relieve(&mut self, bytes: usize, now: Instant) {
        // What did not help a moment ago is not tried for each record.
        if self.relieved_in_vain.is_some_and(|at| now.saturating_duration_since(at) < RELIEVE_AGAIN) {
            return;
        }
        self.spill(bytes, now, |job, disk| {
            job.can_leave() && (!job.copies().is_empty() || disk.takes(job.number, now))
        });
        self.relieved_in_vain = self.backlog.is_pressed(bytes).then_some(now);
        self.tell_of_disk(now);
    }

    /// There is no room for a record: all that waits may go to disk before anything is lost, the open batch last. Says
    /// whether there is room now.
    #[cold]
    pub(super) fn spill_for(&mut self, bytes: usize, now: Instant) -> bool {
        if !self.backlog.disk.takes_by_day(now) {
            return false;
        }
        self.spill(bytes, now, |job, _| job.must_not_stay());
        if !self.backlog.fits(bytes) {
            self.seal(now);
            self.spill(bytes, now, |job, _| job.must_not_stay());
        }
        self.tell_of_disk(now);
        self.backlog.fits(bytes)
    }

    /// What was put into the open batch goes to disk at once, as there is no room for it in memory.
    pub(super) fn seal_to_disk(&mut self, now: Instant) {
        let Some(sealed) = self.batcher.seal() else { return };
        let mut job = self.new_job(sealed, now);
        let is_kept = self.write_those_before(job.number, now) && self.backlog.disk.write(&mut job, false, now);
        self.tell_of_disk(now);
        self.backlog.set_other_bytes(self.other_bytes());
        if !is_kept && self.make_room(job.stored().held_bytes()) {
            self.backlog.push(job);
        } else if !is_kept {
            self.give_up(&mut job, self.backlog.disk.reason());
        }
    }

    /// Batches for which that holds go to disk, oldest first, until no more than half of the memory is full.
    fn spill(&mut self, bytes: usize, now: Instant, may_go: impl Fn(&Job, &Disk) -> bool) {
        let waiting = self.backlog.disk.take_waiting(|_| true);
        for job in waiting {
            if may_go(&job, &self.backlog.disk) {
                self.backlog.disk.put_back(&job);
            } else {
                self.backlog.disk.wait(job);
            }
        }
        self.backlog.set_other_bytes(self.other_bytes());
        while self.backlog.is_pressed(bytes) {
            let disk = &self.backlog.disk;
            let oldest = self.backlog.waiting().position(|job| may_go(job, disk));
            let Some(mut job) = oldest.and_then(|at| self.backlog.remove(at)) else { break };
            if !job.copies().is_empty() {
                self.backlog.disk.put_back(&job);
                continue;
            }
            self.hold.say_none_in_memory();
            if !self.write_those_before(job.number, now) || !self.backlog.disk.write(&mut job, false, now) {
                self.backlog.put_back(job);
                break;
            }
        }
    }

    /// Gives up what is on disk, and has been owed for too long.
    pub(super) fn expire_on_disk(&mut self, limit: Duration, now: Instant) {
        for mut job in self.backlog.disk.take_waiting(|job| now >= job.sealed() + limit) {
            self.give_up(&mut job, Reason::Expired);
            self.put_back(job);
        }
        if self.pace.is_well() || limit.is_zero() {
            return;
        }
        for _ in 0..EXPIRE_AT_ONCE {
            let disk = &mut self.backlog.disk;
            let is_over = |since: Instant| now >= since + limit;
            let own = disk.front().is_some_and(|(_, sealed)| is_over(sealed));
            let adopted = || disk.adopted_since().is_some_and(is_over);
            let job = if own {
                disk.read_own(now)
            } else if adopted() {
                disk.next_adopted(true, now)
            } else {
                None
            };
            let Some(mut job) = job else { return };
            self.give_up(&mut job, Reason::Expired);
            self.put_back(job);
        }
    }

    /// Writes all that was sealed and stands in memory alone, what is in flight as well, and goes on; until then at most.
    pub(crate) fn spool_all(&mut self, until: Instant, now: Instant) {
        if self.has_spool() {
            self.write_where(|_| true, until, now);
        }
    }

    /// The ring needs the room of records up to that one: all batches that hold such go to disk. Says whether that is so.
    pub(crate) fn yield_ring(&mut self, position: u64, now: Instant) -> bool {
        if !self.has_spool() {
            return false;
        }
        let is_within = |stored: &crate::batch::Stored| stored.len() > 0 && stored.sequence(0) <= position;
        if self.batcher.open().is_some_and(is_within) {
            self.seal(now);
        }
        self.write_where(|job| is_within(job.stored()), now + Duration::from_secs(1), now)
    }

    /// One request at a time promises the order of arrival, to the next process as well: what was sent in vain and stays in
    /// memory goes to disk before what is newer.
    pub(super) fn write_those_before(&mut self, number: u64, now: Instant) -> bool {
        self.in_flight > 1 || self.write_where(|job| job.number < number, now + Duration::from_secs(1), now)
    }

    /// Writes those jobs of this process's that stand in memory alone; says whether none of them does any more.
    fn write_where(&mut self, which: impl Fn(&Job) -> bool, until: Instant, now: Instant) -> bool {
        let begun = clock::now();
        let (waiting, disk) = self.backlog.waiting_and_disk();
        let is_due = |job: &&mut Job| job.copies().is_empty() && which(job);
        let mut jobs: Vec<_> = self.flights.jobs_mut().chain(waiting).filter(is_due).collect();
        jobs.sort_by_key(|job| job.number);
        if !jobs.is_empty() {
            self.hold.say_none_in_memory();
        }
        let is_done = jobs
            .into_iter()
            .all(|job| now + clock::now().saturating_duration_since(begun) < until && disk.write(job, true, now));
        self.tell_of_disk(now);
        is_done
    }

    /// What it takes to write all that stands in memory alone.
    pub(crate) fn time_to_spool(&self) -> Duration {
        if !self.has_spool() {
            return Duration::ZERO;
        }
        let jobs = self.flights.jobs().chain(self.backlog.waiting()).filter(|job| job.copies().is_empty());
        let bytes: usize = jobs.map(|job| job.stored().held_bytes()).sum();
        let open = self.batcher.open().map_or(0, |open| open.held_bytes());
        TO_CLOSE + Duration::from_secs_f64((bytes + open) as f64 / BYTES_PER_SECOND as f64)
    }

    pub(crate) fn is_well(&self) -> bool {
        self.pace.is_well()
    }

    /// The last act: what is owed stays on disk where there is one, and what cannot be written until then in the ring if there
    /// is one, and is lost otherwise.
    pub(crate) fn close(&mut self, reason: Reason, until: Instant) {
        let now = clock::now();
        self.seal(now);
        self.hold.say_none_in_memory();
        let mut jobs: Vec<Job> = std::mem::take(&mut self.flights).into_iter().map(|flight| flight.job).collect();
        jobs.extend(std::iter::from_fn(|| self.backlog.pop_memory()));
        jobs.extend(self.backlog.disk.take_waiting(|_| true));
        jobs.sort_by_key(|job| (job.is_adopted(), job.number));
        for mut job in jobs.into_iter().filter(|job| !job.is_settled()) {
            if !job.copies().is_empty() {
                self.settled_on_disk += job.copied_in_vain();
                self.backlog.disk.put_back(&job);
            } else if (clock::now() >= until || !self.backlog.disk.write(&mut job, false, now))
                && !self.leave_in_ring(&mut job)
            {
                self.give_up(&mut job, reason);
            }
        }
        self.backlog.disk.close();
        self.tell_of_disk(now);
        self.hear_of_disk();
        self.backlog.disk.let_go();
    }

    /// Writes down what was lost and found on disk.
    pub(super) fn hear_of_disk(&mut self) {
        let news = self.backlog.disk.news();
        self.counts.adopted += news.adopted;
        for (reason, counts) in news.dropped {
            for (severity, count) in crate::frame::Severity::ALL.into_iter().zip(counts) {
                self.counts.dropped.add(reason, severity, count);
            }
        }
    }

    pub(super) fn tell_of_disk(&mut self, now: Instant) {
        let (topic, name) = (Topic::at("spool", self.parts.index), &self.parts.name);
        match self.backlog.disk.complaint() {
            Some(why) if self.disk_trouble.as_ref() != Some(&why) => {
                self.parts.voice.say(
                    topic,
                    || format!("what is owed to {name} is kept in memory alone for now: {why} (LOGCHUTE_SPOOL_DIR, LOGCHUTE_SPOOL_BYTES)"),
                    now,
                );
                self.disk_trouble = Some(why);
            }
            None if self.disk_trouble.take().is_some() => {
                let dir = self.dir();
                self.parts.voice.recovered(topic, || format!("what is owed to {name} goes to {dir} again"));
            }
            _ => {}
        }
    }

    /// A batch that the store would refuse by now where live records go is sent to a place of its own, unless it may be
    /// at the store already.
    pub(super) fn may_replay(&self, job: &Job) -> bool {
        let Some(after) = self.replays_after else { return false };
        // Of what an earlier process left, newer records are at the store by the time it comes there: ours.
        let after = if job.is_adopted() { after.min(self.reorder_within / 2) } else { after };
        !job.may_be_there && job.stored().len() > 0 && job.stored().nanos(0) < clock::nanos_ago(after)
    }
}

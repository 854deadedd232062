//! The worker's side of the spool: whose directories are looked through, what is written before an end, and what is told.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Flush, Worker};
use crate::clock;
use crate::config::SpoolSettings;
use crate::flush::Ticket;
use crate::lane::Lane;
use crate::ledger::{DestinationLedger, Ledger, Reason};
use crate::spool::{self, Directory, Found, LaneId, LaneState};
use crate::voice::{Topic, Voice};

/// What is left of a limit for the last act, and at most a quarter of it: what is lost is told, and what is kept is on
/// disk, by the deadline. A machine that is busy may let this thread wait as long again.
const TO_CLOSE: Duration = Duration::from_millis(100);

/// How long the last act may take beyond the deadline; who waits for it waits twice that.
const BEYOND: Duration = Duration::from_millis(50);

/// How long the lanes hurry after [`Control::spool_now`](crate::flush::Control::spool_now), and what writing may take.
const HURRY: Duration = Duration::from_secs(5);

/// How often orphans are looked for, and how soon a directory that cannot be opened is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const OPEN_EVERY: Duration = Duration::from_secs(1);

/// How often it is written down at most that more is owed.
const STATE_EVERY: Duration = Duration::from_millis(100);

/// The directories of a pipeline's spools.
#[derive(Default)]
pub(crate) struct Disks {
    incarnation: u128,
    /// A full queue makes callers wait.
    waits: bool,
    all: Vec<Disk>,
    /// Stands in for the disk itself.
    #[cfg(test)]
    pub(crate) fs: Option<std::sync::Arc<dyn spool::Fs>>,
}

/// A directory, and the lanes that have a share of it.
struct Disk {
    path: PathBuf,
    shares: Vec<Share>,
    directory: Option<Directory>,
    /// When it is opened, or looked through, again.
    due: Instant,
    is_looking: bool,
    state: Vec<LaneState>,
    state_at: Option<Instant>,
}

struct Share {
    lane: usize,
    id: LaneId,
    settings: SpoolSettings,
}

impl Disks {
    pub(crate) fn new(incarnation: u128, waits: bool) -> Self {
        Self { incarnation, waits, ..Self::default() }
    }

    /// A lane is to have a share of a directory.
    pub(crate) fn share(&mut self, lane: usize, id: LaneId, settings: &SpoolSettings) {
        let at = self.all.iter().position(|disk| disk.path == settings.dir).unwrap_or_else(|| {
            let (path, due) = (settings.dir.clone(), clock::now());
            self.all.push(Disk {
                path,
                shares: Vec::new(),
                directory: None,
                due,
                is_looking: false,
                state: Vec::new(),
                state_at: None,
            });
            self.all.len() - 1
        });
        self.all[at].shares.push(Share { lane, id, settings: settings.clone() });
    }

    /// Opens what is not open yet and due, and gives the lanes their spools.
    pub(crate) fn open(&mut self, lanes: &mut [Lane], voice: &Voice, now: Instant) {
        for (place, disk) in self.all.iter_mut().enumerate() {
            if disk.directory.is_some() || now < disk.due {
                continue;
            }
            let dir = disk.path.display();
            #[cfg(test)]
            let opened = match &self.fs {
                Some(fs) => Directory::open(&disk.path, &**fs, self.incarnation),
                None => open(&disk.path, self.incarnation),
            };
            #[cfg(not(test))]
            let opened = open(&disk.path, self.incarnation);
            match opened {
                Ok(directory) => {
                    for share in &disk.shares {
                        lanes[share.lane]
                            .set_spool(Box::new(directory.spool(share.id.clone(), &share.settings)), self.waits);
                    }
                    disk.directory = Some(directory);
                    voice.recovered(Topic::at("spool directory", place), || format!("{dir} can be used again"));
                }
                Err(error) => {
                    let why = format!("{dir} cannot be used: {error}");
                    let said = || format!("what is owed is kept in memory alone: {why} (LOGCHUTE_SPOOL_DIR)");
                    voice.say(Topic::at("spool directory", place), said, now);
                    disk.shares.iter().for_each(|share| lanes[share.lane].miss_spool(why.clone()));
                    disk.due = now + OPEN_EVERY;
                }
            }
        }
    }

    /// Opens directories, and looks through them for what earlier processes left, a few milliseconds at a time; `tell`
    /// hears of all that was come upon.
    pub(crate) fn look(
        &mut self,
        lanes: &mut [Lane],
        voice: &Voice,
        now: Instant,
        mut tell: impl FnMut(&Found, &Path),
    ) {
        self.open(lanes, voice, now);
        for disk in &mut self.all {
            let Some(directory) = disk.directory.as_mut().filter(|_| disk.is_looking || now >= disk.due) else {
                continue;
            };
            let known: Vec<u64> = disk.shares.iter().map(|share| share.id.fingerprint).collect();
            for found in directory.look(&known, now) {
                tell(&found, &disk.path);
                if let Found::Orphan { fingerprint, source } = found
                    && let Some(share) = disk.shares.iter().find(|share| share.id.fingerprint == fingerprint)
                {
                    let lane = &mut lanes[share.lane];
                    let (name, dir) = (lane.name(), disk.path.display());
                    voice.say(
                        Topic::at("adopted", share.lane),
                        || format!("what an earlier process owed to {name} was found in {dir}, and is sent"),
                        now,
                    );
                    lane.adopt(source, now);
                }
            }
            disk.is_looking = !directory.seen_all();
            disk.due = now + LOOK_EVERY;
        }
    }

    /// Writes down what would be lost with the process: at once where that became less, so that the next one never says
    /// of a record that it was lost that was not.
    pub(crate) fn write_state(&mut self, lanes: &[Lane], now: Instant) {
        for disk in &mut self.all {
            let Some(directory) = &mut disk.directory else { continue };
            // It walks all that is owed, so once a round.
            let at_risk: Vec<_> = disk.shares.iter().map(|share| lanes[share.lane].at_risk()).collect();
            let is_less = |(is, was): (&(u64, u64), &LaneState)| is.0 < was.waiting;
            let is_due = disk.state_at.is_none_or(|at| now >= at + STATE_EVERY);
            if is_due || at_risk.iter().zip(&disk.state).any(is_less) {
                let state = |(share, (waiting, in_flight)): (&Share, _)| {
                    let LaneId { fingerprint, label } = share.id.clone();
                    LaneState { fingerprint, label, waiting, in_flight }
                };
                let states: Vec<_> = disk.shares.iter().zip(at_risk).map(state).collect();
                if states != disk.state && directory.write_state(&states).is_ok() {
                    (disk.state, disk.state_at) = (states, Some(now));
                }
            }
        }
    }

    /// Somebody waits: a process that just ended may have left something.
    pub(crate) fn look_soon(&mut self, now: Instant) {
        self.all.iter_mut().for_each(|disk| disk.due = now);
    }

    /// The end: nothing is lost from here on.
    pub(crate) fn close(&mut self) {
        self.all.drain(..).filter_map(|disk| disk.directory).for_each(Directory::close);
    }
}

#[cfg(unix)]
fn open(path: &Path, incarnation: u128) -> io::Result<Directory> {
    Directory::open(path, &spool::Disk, incarnation)
}

#[cfg(not(unix))]
fn open(_: &Path, _: u128) -> io::Result<Directory> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "a spool needs Unix"))
}

impl Worker {
    pub(super) fn look_for_orphans(&mut self, now: Instant) {
        let Self { disks, lanes, voice, .. } = self;
        disks.look(lanes, voice, now, |found, path| tell(found, path, voice, now));
    }

    pub(super) fn write_state(&mut self, now: Instant) {
        // What is in a ring is not lost, and is told by who finds it.
        if !self.intake.queue.has_places() {
            self.disks.write_state(&self.lanes, now);
        }
    }

    /// When a flush is over, settled or not.
    pub(super) fn over_at(&self, flush: &Flush) -> Instant {
        let Ticket { deadline, leaving, .. } = *flush.ticket;
        let kept = if leaving { TO_CLOSE.min(flush.ticket.limit() / 4) } else { Duration::ZERO };
        deadline.checked_sub(kept).unwrap_or(deadline)
    }

    /// When what is owed must go to disk to be there before the deadline: at most half of the limit is spent on it.
    pub(super) fn spool_by(&self, flush: &Flush) -> Instant {
        let over = self.over_at(flush);
        if !flush.ticket.leaving {
            return over;
        }
        let longest = self.lanes.iter().map(|lane| lane.time_to_spool()).max().unwrap_or_default();
        over.checked_sub(longest.min(flush.ticket.limit() / 2)).unwrap_or(over)
    }

    /// Before an end: lanes whose store is not well write what they owe at once, as nobody knows how long there is, and
    /// the others while there is time. All go on trying.
    pub(super) fn spool_in_time(&mut self, now: Instant) {
        if self.spool_at.take_if(|accepted| self.drained >= *accepted).is_some() {
            for lane in &mut self.lanes {
                lane.seal_for_flush(now);
                lane.spool_all(now + HURRY, now);
            }
        }
        let leaving = |flush: &&Flush| flush.ticket.leaving;
        let Some(deadline) = self.flushes.iter().filter(leaving).map(|flush| flush.ticket.deadline).min() else {
            return;
        };
        let is_late = self.flushes.iter().filter(leaving).any(|flush| now >= self.spool_by(flush));
        let is_marked = self.flushes.iter().filter(leaving).any(|flush| flush.marks.is_some());
        for lane in &mut self.lanes {
            if is_late || (is_marked && !lane.is_well()) {
                lane.spool_all(deadline + BEYOND, now);
            }
        }
    }

    /// What came into the queue before it closed and was not drained in time: to disk where there is one.
    /// What is in a ring stays there.
    pub(super) fn drain_last(&mut self, until: Instant) {
        if self.intake.queue.has_places() {
            return;
        }
        while self.lanes.iter().any(|lane| lane.has_spool())
            && Instant::now() < until
            && self.drain(Instant::now(), true) > 0
        {}
        self.drop_queued(Reason::Deadline);
    }

    /// What the end leaves on disk, in one line for each destination.
    pub(super) fn kept(&self, ledger: &Ledger) -> Vec<String> {
        let on_disk = |(lane, to): (_, &DestinationLedger)| {
            let lane: &Lane = lane;
            (lane, to.name.clone(), to.owed_disk - lane.left_in_ring())
        };
        let kept = self.lanes.iter().zip(&ledger.destinations).map(on_disk).filter(|&(_, _, count)| count > 0);
        let line = |name: &str, count: u64, dir: &str| {
            format!(
                "{count} records for {name} are kept in {dir}; the next process that is given this directory sends them"
            )
        };
        let ring = self.left_in_ring(ledger);
        kept.map(|(lane, name, count)| line(&name, count, &lane.dir())).chain(ring).collect()
    }

    /// Somebody wants what is owed to be safe now.
    pub(super) fn see_spool_now(&mut self, now: Instant) {
        if self.control.take_spool_now() {
            self.accepted = self.intake.queue.accepted(self.accepted);
            self.spool_at = Some(self.accepted);
            self.lanes.iter_mut().for_each(|lane| lane.hurry(now + HURRY, now));
        }
    }
}

/// What was come upon that is not sent.
fn tell(found: &Found, path: &Path, voice: &Voice, now: Instant) {
    let dir = path.display();
    match found {
        Found::Orphan { .. } => {}
        Found::Unknown { label, records, segments } => voice.always(&format!(
            "{records} records in {segments} file(s) in {dir} are for {label}, which is no destination of this process: they are \
             kept until a process comes that has it"
        )),
        Found::Bad { name, why } => {
            let said = || format!("{name} in {dir} is not read: {why}");
            voice.say(Topic::new("bad file in the spool"), said, now);
        }
        Found::Lost { label, at_least, in_flight, .. } => voice.always(&died(label, *at_least, *in_flight)),
    }
}

/// What was in memory alone when an earlier process died.
pub(super) fn died(label: &str, at_least: u64, in_flight: u64) -> String {
    if at_least == 0 {
        return format!(
            "an earlier process died while {in_flight} records were on their way to {label}, which may or may not have them"
        );
    }
    format!(
        "at least {at_least} records for {label} were lost with an earlier process, which died; {in_flight} more were on \
         their way there"
    )
}

/// How long the last act may go on.
pub(super) fn until(deadline: Instant) -> Instant {
    deadline + BEYOND
}

#[cfg(all(test, unix, feature = "testing"))]
mod tests {
    use std::fs;
    use std::sync::{Arc, Mutex};
    use std::thread;

    use super::*;
    use crate::capture::Record;
    use crate::config::{Builder, Destination};
    use crate::frame::Severity;
    use crate::testing::Store;

    fn dir(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("logchute-worker-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    fn until(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < deadline, "not within 30 s: {what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_is_owed_is_on_disk_soon_after_somebody_asked_for_that_and_the_pipeline_goes_on() {
        let (dir, store) = (dir("now"), Store::refusing());
        let to = Destination::new(store.backend()).spool_dir(&dir).linger(Duration::from_secs(60));
        let logs = Builder::new().send_to(to).on_diagnostic(|_: &str| {}).start().unwrap();
        let is_there =
            || fs::read_dir(&dir).unwrap().any(|file| file.unwrap().path().extension().is_some_and(|it| it == "seg"));
        (0..100).for_each(|_| logs.emit(Record::new(Severity::Info, "x")));
        assert!(!is_there());
        logs.core().make_haste();
        until("it is on disk", is_there);
        store.come_back();
        logs.emit(Record::new(Severity::Info, "y"));
        let report = logs.shutdown(Duration::from_secs(30));
        assert!(report.settled() && report.ledger().balances(), "{report}");
        assert_eq!(store.count(), 101);
        let _ = fs::remove_dir_all(&dir);
    }

    #[test]
    fn what_died_with_an_earlier_process_is_told_and_an_end_that_lost_nothing_is_not() {
        let (dir, store) = (dir("lost"), Store::new());
        let start = || {
            let said = Arc::new(Mutex::new(Vec::new()));
            let there = Arc::clone(&said);
            let to = Destination::new(store.backend()).spool_dir(&dir);
            let hear = move |line: &str| there.lock().unwrap().push(line.to_owned());
            (Builder::new().send_to(to).on_diagnostic(hear).start().unwrap(), said)
        };
        let mut dead = open(&dir, 7).unwrap();
        let id = LaneId::of("ndjson", &store.url(), None);
        let state = LaneState { fingerprint: id.fingerprint, label: id.label, waiting: 12, in_flight: 3 };
        dead.write_state(&[state]).unwrap();
        drop(dead);
        let (logs, said) = start();
        until("it is told", || {
            said.lock().unwrap().iter().any(|line| line.contains("at least 12 records for ndjson at"))
        });
        logs.emit(Record::new(Severity::Info, "x"));
        assert!(logs.shutdown(Duration::from_secs(30)).settled());
        drop(logs);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "its own state is gone, and what was told");
        let (logs, said) = start();
        assert!(logs.flush(Duration::from_secs(30)).settled());
        assert!(logs.shutdown(Duration::from_secs(30)).settled());
        assert_eq!(*said.lock().unwrap(), [""; 0]);
        let _ = fs::remove_dir_all(&dir);
    }
}

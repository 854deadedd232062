//! Where a story happens: directories of its own, one store that lives through all of it, and the processes one by one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use logchute::testing::Store;

use crate::counts::Counts;
use crate::ends::Way;
use crate::process::Process;
use crate::record::{THREADS, service};
use crate::support::Victim;

/// How long the last process may take to bring what the dead have left.
const ADOPTION: Duration = Duration::from_secs(40);

/// What outlives a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// Nothing but a note of how much was lost.
    Memory,
    /// Each batch that was sealed: `LOGCHUTE_SPOOL=always`.
    Spool,
    /// Each record.
    Ring,
    /// Each record, with a spool for what the ring does not hold.
    RingAndSpool,
    /// The same, and each batch goes there.
    RingAndAlways,
}

impl Keeps {
    pub(crate) const fn ring(self) -> bool {
        matches!(self, Self::Ring | Self::RingAndSpool | Self::RingAndAlways)
    }

    /// How often one process may bring a record: what it finds in a ring may be found in a spool as well, where a process
    /// died between the one and the other.
    pub(crate) const fn copies(self) -> usize {
        match self {
            Self::RingAndSpool | Self::RingAndAlways => 2,
            Self::Memory | Self::Spool | Self::Ring => 1,
        }
    }

    const fn spool(self) -> Option<&'static str> {
        match self {
            Self::Memory => Some("exit"),
            Self::Spool | Self::RingAndAlways => Some("always"),
            Self::RingAndSpool => Some("overflow"),
            Self::Ring => None,
        }
    }
}

pub(crate) const QUEUE: u64 = 1 << 20;
pub(crate) const BACKLOG: u64 = 1 << 20;
pub(crate) const BATCH: u64 = 128 << 10;
pub(crate) const IN_FLIGHT: u64 = 4;

pub(crate) struct Scene {
    pub(crate) seed: u64,
    pub(crate) store: Store,
    pub(crate) keeps: Keeps,
    dir: PathBuf,
    /// Beside those that all victims get.
    vars: Vec<(&'static str, String)>,
    /// Processes so far.
    runs: u64,
    /// How each began and what it said, for whoever has to find out why.
    heard: Vec<String>,
    /// Records of which processes said that they were lost with another one.
    pub(crate) told_lost: u64,
    /// And of which they said that they were on their way.
    pub(crate) told_in_flight: u64,
}

impl Scene {
    pub(crate) fn new(seed: u64, keeps: Keeps, store: Store) -> Self {
        Self::inside(&scratch(), seed, keeps, store)
    }

    pub(crate) fn inside(parent: &Path, seed: u64, keeps: Keeps, store: Store) -> Self {
        static SCENES: AtomicU64 = AtomicU64::new(0);
        let number = SCENES.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("logchute-death-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for this test");
        Self { seed, store, keeps, dir, vars: Vec::new(), runs: 0, heard: Vec::new(), told_lost: 0, told_in_flight: 0 }
    }

    pub(crate) fn var(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.vars.push((name, value.into()));
        self
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn ring(&self) -> PathBuf {
        self.dir.join("ring")
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.dir.join("spool")
    }

    pub(crate) const fn runs(&self) -> u64 {
        self.runs
    }

    pub(crate) fn counts(&self, run: u64) -> [u64; THREADS as usize] {
        Counts::read(&self.counts_file(run))
    }

    pub(crate) fn safe(&self, run: u64) -> u64 {
        Counts::read_safe(&self.counts_file(run))
    }

    fn counts_file(&self, run: u64) -> PathBuf {
        self.dir.join(format!("accepted-{run}"))
    }

    /// The next victim; its run is counted from here on.
    pub(crate) fn victim(&mut self, role: &str, way: &Way, delay: Duration) -> Victim {
        let run = self.runs;
        self.runs += 1;
        let mut victim = Victim::new(role)
            .env("SEED", self.seed.to_string())
            .env("RUN", run.to_string())
            .env("COUNTS", self.counts_file(run))
            .env("WAY", way.word())
            .env("DELAY", delay.as_micros().to_string())
            // The value in the query is no part of what tells one destination from another, and says who delivered.
            .env("LOGCHUTE_URL", format!("ndjson+{}/ndjson?by={run}", self.store.url()))
            .env("LOGCHUTE_SERVICE", service(run))
            .env("LOGCHUTE_TEE", "off")
            // A call that returns has been accepted.
            .env("LOGCHUTE_OVERFLOW", "block:1h")
            .env("LOGCHUTE_LINGER", "5ms")
            .env("LOGCHUTE_SHUTDOWN", "10s")
            .env("LOGCHUTE_QUEUE_BYTES", QUEUE.to_string())
            .env("LOGCHUTE_BACKLOG_BYTES", BACKLOG.to_string())
            .env("LOGCHUTE_BATCH_BYTES", BATCH.to_string())
            .env("LOGCHUTE_IN_FLIGHT", IN_FLIGHT.to_string());
        if self.keeps.ring() {
            victim = victim.env("LOGCHUTE_RING_DIR", self.ring());
        }
        if let Some(when) = self.keeps.spool() {
            victim = victim.env("LOGCHUTE_SPOOL_DIR", self.spool()).env("LOGCHUTE_SPOOL", when);
        }
        self.vars.iter().fold(victim, |victim, (name, value)| victim.env(name, value))
    }

    /// A process that logs and then dies; what it said.
    pub(crate) fn dies(&mut self, way: &Way, delay: Duration) -> String {
        let found = self.files();
        let mut process = Process::start(self.victim("logs", way, delay));
        let said = match way {
            Way::Kill => {
                process.began();
                // It is killed at a time of chance: this wait is what is tested.
                thread::sleep(delay);
                process.killed()
            }
            _ => process.ended_by(way),
        };
        self.hear(&format!("by {way:?} after {delay:?}"), &found, &said);
        said
    }

    fn hear(&mut self, how: &str, found: &BTreeSet<PathBuf>, said: &str) {
        let names = |files: &BTreeSet<PathBuf>| -> String {
            files.iter().filter_map(|file| file.file_name()).map(|name| format!("    {}\n", name.display())).collect()
        };
        self.told_lost += told(said, "at least ");
        self.told_in_flight += told(said, "which died; ") + told(said, "died while ");
        let (run, found, left) = (self.runs - 1, names(found), names(&self.files()));
        self.heard.push(format!("run {run} ended {how}\n  found\n{found}  left\n{left}  said\n{said}"));
    }

    /// A process that takes over what is there, delivers it and ends well.
    pub(crate) fn ends_well(&mut self) -> Last {
        let left = self.files();
        let mut process = Process::start(self.victim("last", &Way::Kill, Duration::ZERO));
        process.began();
        let deadline = Instant::now() + ADOPTION;
        let mut late = Vec::new();
        while Instant::now() < deadline {
            let now = self.files();
            let is_aside = |file: &&PathBuf| file.extension().is_some_and(|end| end == "bad");
            late = left.intersection(&now).filter(|file| !is_aside(file)).cloned().collect();
            if late.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        process.let_go();
        let last = Last::of(self.runs - 1, &mut process);
        self.hear("well", &left, &format!("{}{:#}", last.said, last.ledger));
        assert!(late.is_empty(), "still there after {ADOPTION:?}: {late:#?}; the process said:\n{}", last.said);
        last
    }

    /// All that is in the directories of ring and spool.
    pub(crate) fn files(&self) -> BTreeSet<PathBuf> {
        fn add(dir: &Path, all: &mut BTreeSet<PathBuf>) {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => add(&entry.path(), all),
                    _ => _ = all.insert(entry.path()),
                }
            }
        }
        let mut all = BTreeSet::new();
        add(&self.ring(), &mut all);
        add(&self.spool(), &mut all);
        all
    }

    /// After an end in good order nothing is left behind, but for what is set aside of a death in the middle of a write.
    pub(crate) fn assert_nothing_left(&self) {
        let is_aside = |file: &PathBuf| file.extension().is_some_and(|end| end == "bad");
        let left: Vec<_> = self.files().into_iter().filter(|file| !is_aside(file)).collect();
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}\nkept for you to look at: {}", self.heard.join("\n"), self.dir.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// In memory where the system has such a place, as a ring should be.
pub(crate) fn scratch() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { PathBuf::from(env!("CARGO_TARGET_TMPDIR")) }
}

/// The numbers behind those words, of "at least N records … were lost with an earlier process, which died; N more …", or
/// "died while N records …".
fn told(said: &str, before: &str) -> u64 {
    let number = |line: &str| -> Option<u64> { line.split_once(before)?.1.split_once(' ')?.0.parse().ok() };
    said.lines().filter_map(number).sum()
}

/// How the last process ended.
pub(crate) struct Last {
    pub(crate) run: u64,
    pub(crate) said: String,
    pub(crate) ledger: serde_json::Value,
}

impl Last {
    pub(crate) fn of(run: u64, process: &mut Process) -> Self {
        let mut ledger = serde_json::Value::Null;
        while let Some(line) = process.line() {
            if let Some(json) = line.strip_prefix("ledger ") {
                ledger = serde_json::from_str(json).expect("a ledger");
            }
        }
        let (status, said) = process.ended();
        assert!(status.success() && !ledger.is_null(), "{status}, ledger {ledger}; it said:\n{said}");
        Self { run, said, ledger }
    }

    pub(crate) fn count(&self, pointer: &str) -> u64 {
        self.ledger.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("{pointer}"))
    }
}

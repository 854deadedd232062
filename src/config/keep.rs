//! Settings by code about what is kept, or shown, where memory and the store are not enough; see `builder.rs`.

use std::path::PathBuf;
use std::time::Duration;

use super::Builder;
use super::check::Given;
use super::settings::{Signals, SpoolUse};
use crate::tee::TeeTo;

/// What outlives an outage, or the process.
impl Builder {
    /// A directory that keeps on disk what does not fit into memory, and at the end what could not be delivered: the next
    /// process that is given the same directory and the same store delivers it. Default: none.
    ///
    /// It is created where it is missing, with mode 0700, and must be ours alone; where it cannot be used, records stay in
    /// memory and that is told once. Several processes may share it. [`spool`](Self::spool) says what goes there and
    /// [`spool_bytes`](Self::spool_bytes) how much.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use logchute::{Builder, SpoolUse, backend::Loki};
    ///
    /// let builder = Builder::new()
    ///     .send_to(Loki::new("http://loki:3100"))
    ///     .spool_dir("/var/spool/checkout")
    ///     .spool_bytes(1 << 30)
    ///     .spool(SpoolUse::Always)
    ///     .fsync(Duration::from_secs(1));
    /// # drop(builder);
    ///
    /// let refused = Builder::new().spool_dir("/var/spool/checkout").spool_bytes(1).start().unwrap_err();
    /// assert_eq!(refused.to_string(), "spool_bytes is \"1\", but must be from 1MiB to 1TiB");
    /// ```
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.chosen.spool_dir = Some(Given::by("spool_dir", dir.into()));
        self
    }

    /// The most that each destination keeps there, 1 MiB to 1 TiB. Default: 256 MiB.
    ///
    /// It is never more than a fifth of what is free on the disk, and must hold a batch. When it is full,
    /// [`backlog_overflow`](Self::backlog_overflow) says who is dropped.
    pub fn spool_bytes(mut self, bytes: usize) -> Self {
        self.chosen.spool_bytes = Some(Given::by("spool_bytes", bytes));
        self
    }

    /// What goes there. Default: what is owed beyond half of the memory backlog, and all that is owed at the end.
    pub fn spool(mut self, when: SpoolUse) -> Self {
        self.chosen.spool = Some(Given::by("spool", when));
        self
    }

    /// How long what was written there may wait for the disk itself, 1 millisecond to 1 hour. Default: as the system
    /// decides, half a minute or so, which a loss of power takes with it.
    pub fn fsync(mut self, within: Duration) -> Self {
        self.chosen.fsync = Some(Given::by("fsync", Some(within)));
        self
    }

    /// Shows what a destination owes on stdout or stderr while its store is away; the records stay owed. Default: no.
    ///
    /// Away is a store that has not been well for a second. Each record is shown once, the oldest first, and those that the
    /// tee shows on the same stream are not shown again; a line says where that begins and where it ends. Where nobody
    /// reads the stream, less is shown, and nothing waits for it. What is owed when the process ends is shown as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::{Builder, Format, Stream, TeeTo, backend::Loki};
    ///
    /// let aside = TeeTo::new(Stream::Stderr, Format::Json);
    /// let builder = Builder::new().send_to(Loki::new("http://loki:3100")).fallback(aside);
    /// # drop(builder);
    /// assert_eq!(aside.to_string(), "stderr:json", "as LOGCHUTE_FALLBACK has it");
    /// ```
    pub fn fallback(mut self, to: TeeTo) -> Self {
        self.chosen.fallback = Some(Some(to));
        self
    }

    /// A file that keeps records which a store rejected, as lines of JSON with the reason. Default: none.
    ///
    /// A line is `{"rejected":TIME,"destination":NAME,"reason":TEXT,"record":{…}}`, with the record as
    /// [`Ndjson`](crate::backend::Ndjson) has it. The file has mode 0600; destinations and processes may share it. At 16 MiB
    /// it becomes `FILE.1`, in place of an older one. What a store refuses without saying which it is (Loki, and OTLP's
    /// partial success) cannot be kept, unless that is all of a request. A file that cannot be written is told, and costs
    /// nothing but the copies.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::{Builder, Destination, Record, Severity, testing::{Answer, Store}};
    ///
    /// let file = std::env::temp_dir().join(format!("rejected-{}.jsonl", std::process::id()));
    /// let store = Store::answering([Answer::status(400).body("no such field")]);
    /// let logs = Builder::new().send_to(store.backend()).quarantine(&file).start()?;
    /// logs.emit(Record::new(Severity::Warn, "odd").field("user", 42));
    /// assert!(logs.shutdown(std::time::Duration::from_secs(5)).settled());
    /// let kept = std::fs::read_to_string(&file)?;
    /// assert!(kept.contains("no such field") && kept.contains("\"message\":\"odd\"") && kept.contains("\"user\":42"));
    /// # std::fs::remove_file(&file)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn quarantine(mut self, file: impl Into<PathBuf>) -> Self {
        self.chosen.quarantine = Some(Given::by("quarantine", file.into()));
        self
    }

    /// A directory for the crash-proof ring, best on a tmpfs: every record that was accepted survives the death of the
    /// process, and the next process that is given the same directory delivers it. Needs the feature `crash-proof`, and Linux.
    /// Default: none, and what is in memory dies with the process.
    ///
    /// The ring takes the place of the queue. Its file has [`queue_bytes`](Self::queue_bytes), the next power of two below
    /// where that is none, and a sixteenth more for the places in the program from which records come. A record stays there
    /// until each destination has settled it, or has it in its [spool](Self::spool_dir). One that is longer than a quarter of
    /// the ring is dropped as `queue_full`. While more than half is owed and cannot go to a spool, the oldest is kept in memory
    /// alone; [`Health::acceptance`](crate::Health::acceptance) says so, and the next process tells how much of that was lost
    /// if this one died. With [`Overflow::Block`](crate::Overflow::Block) all stays in the ring, and callers wait for room.
    ///
    /// The directory is made if there is none (mode 0700), and must belong to this process's user alone. Where no ring can be
    /// made there, the queue is in memory as without it, and that is told on stderr.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::{Builder, backend::Loki};
    ///
    /// let refused = Builder::new().send_to(Loki::new("http://loki:3100")).ring_dir("").start().unwrap_err();
    /// assert_eq!(refused.to_string(), "ring_dir is \"\", but must be a path, or not set at all");
    /// ```
    pub fn ring_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.ring_dir = Some(Given::by("ring_dir", dir.into()));
        self
    }

    /// What is done about SIGTERM and SIGINT. Default: nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::{Builder, Signals, backend::Loki};
    ///
    /// let builder = Builder::new().send_to(Loki::new("http://loki:3100")).signals(Signals::Exit);
    /// # drop(builder);
    /// assert_eq!(Signals::default(), Signals::Off);
    /// ```
    pub fn signals(mut self, signals: Signals) -> Self {
        self.signals = signals;
        self
    }
}

//! One process: its lanes and its directory, and what the worker does to them, in that order.

use std::sync::Arc;
use std::time::Duration;

use super::env::{Env, Pending};
use super::store::{self, Sums, ask, who};
use crate::backend::Facts;
use crate::batch::Origin;
use crate::config::{BacklogOverflow, Compression, LaneSettings, SpoolSettings};
use crate::frame::{Callsite, Frame, Key, RecordRef, Severity};
use crate::lane::job::Job;
use crate::lane::{Lane, LaneParts, Outcome};
use crate::ledger::{DestinationLedger, Reason};
use crate::numbers::Numbers;
use crate::resource::Resource;
use crate::spool::{Found, LaneId};
use crate::voice::Voice;
use crate::wire::{Client, Options};
use crate::worker::Disks;

/// What a process is configured to.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// Its destinations.
    pub(super) to: Vec<usize>,
    pub(super) spool: Option<SpoolSettings>,
    pub(super) backlog_bytes: usize,
    pub(super) overflow: BacklogOverflow,
    pub(super) in_flight: usize,
    pub(super) retry_for: Duration,
    pub(super) oldest: Option<Duration>,
    pub(super) replays_after: Option<Duration>,
    pub(super) reorder_within: Option<Duration>,
    /// Bytes of a record at most, in most cases.
    pub(super) record_bytes: usize,
    /// Records of a thousand that a store refuses.
    pub(super) poison: u32,
    /// A full queue makes callers wait.
    pub(super) waits: bool,
}

pub(super) struct Process {
    pub(super) number: usize,
    pub(super) config: Config,
    pub(super) lanes: Vec<Lane>,
    ids: Vec<LaneId>,
    disks: Disks,
    voice: Arc<Voice>,
    numbers: Numbers,
    who: u64,
    pub(super) pending: Vec<Pending>,
    pub(super) books: Vec<DestinationLedger>,
    taken: u64,
    stored: Vec<u64>,
    refused: Vec<u64>,
    /// Of each lane the numbers of the records that stood in memory alone after the last round.
    pub(super) memory: Vec<Vec<(u64, u64)>>,
    /// Records from this number on came in this round.
    pub(super) fresh: u64,
    is_closing: Option<u64>,
    /// What the disk had failed at when it began.
    pub(super) failed_before: (u64, u64),
}

impl Process {
    pub(super) fn start(env: &mut Env, number: usize, config: Config, dies_after: u64) -> Self {
        let incarnation = number as u128 + 1;
        let mut resource = Resource::new("shop");
        resource.set("pod", format!("shop-{number}"));
        let who = who(&resource);
        let origin = Arc::new(Origin { incarnation, resource });
        let fs = env.fs.of(number, dies_after);
        let failed_before = env.fs.failed();
        let mut disks = Disks::new(incarnation, config.waits);
        disks.fs = Some(Arc::new(fs));
        let voice = Arc::new(Voice::new(Some(Arc::new(|_: &str| {}))));
        let ids: Vec<_> = config.to.iter().map(|&to| LaneId::of("sim", &env.dests[to].url, None)).collect();
        let mut lanes = Vec::new();
        for (index, &to) in config.to.iter().enumerate() {
            let url = env.dests[to].url.clone();
            let mut facts = Facts::new("sim");
            facts = config.oldest.map_or(facts.clone(), |age| facts.oldest(age));
            facts = config.replays_after.map_or(facts.clone(), |age| facts.replays_after(age));
            facts = config.reorder_within.map_or(facts.clone(), |span| facts.reorder_within(span));
            let lane = Lane::new(LaneParts {
                index,
                name: format!("lane{to}"),
                backend: Arc::new(Sums { desk: env.dests[to].desk.clone(), facts }),
                client: Client::new(Options { url, ..Options::default() }).unwrap(),
                schedule: None,
                origin: Arc::clone(&origin),
                settings: LaneSettings {
                    backlog_bytes: config.backlog_bytes,
                    backlog_overflow: config.overflow,
                    batch_bytes: 32 * 1024,
                    in_flight: config.in_flight,
                    linger: Duration::from_millis(500),
                    timeout: Duration::from_secs(10),
                    retry_for: config.retry_for,
                    compression: Compression::None,
                    spool: config.spool.clone(),
                    ..LaneSettings::default()
                },
                voice: Arc::clone(&voice),
            });
            if let Some(spool) = &config.spool {
                disks.share(index, ids[index].clone(), spool);
            }
            lanes.push(lane);
        }
        disks.open(&mut lanes, &voice, env.at());
        let books = lanes.iter().map(Lane::new_books).collect();
        let count = lanes.len();
        Self {
            number,
            lanes,
            ids,
            disks,
            voice,
            numbers: Numbers::new(incarnation, false),
            who,
            pending: Vec::new(),
            books,
            taken: 0,
            stored: vec![0; count],
            refused: vec![0; count],
            memory: vec![Vec::new(); count],
            fresh: 0,
            is_closing: None,
            failed_before,
            config,
        }
    }

    /// One round of the worker's, with so many new records; says when the next one is due.
    pub(super) fn round(&mut self, env: &mut Env, records: usize) -> u64 {
        let now = env.at();
        self.look(env);
        self.fresh = self.taken;
        for _ in 0..records {
            if self.config.waits && !self.lanes.iter_mut().all(Lane::has_room) {
                break;
            }
            self.say(env);
        }
        if let Some(deadline) = self.is_closing {
            self.lanes.iter_mut().for_each(|lane| _ = lane.seal_for_flush(now));
            let is_late = env.now >= self.spool_by(deadline);
            for lane in &mut self.lanes {
                if is_late || !lane.is_well() {
                    lane.spool_all(env.instant(deadline) + Duration::from_millis(50), now);
                }
            }
        }
        let mut begun = Vec::new();
        for (lane, &to) in self.lanes.iter_mut().zip(&self.config.to) {
            let before: Vec<u64> = lane.flights.jobs().map(|job| job.id).collect();
            env.dests[to].desk.take();
            lane.tick(now, drop);
            let requests = env.dests[to].desk.take();
            let flights = lane.flights.jobs().map(|job| job.id).filter(|id| !before.contains(id)).collect::<Vec<_>>();
            env.truth.check(flights.len() == requests.len(), || "a request was begun that is not in flight".into());
            begun.extend(flights.into_iter().zip(requests).map(|(job, items)| (lane.parts.index, to, job, items)));
        }
        self.disks.write_state(&self.lanes, now);
        self.publish(env);
        for (lane, to, job, items) in begun {
            env.truth.disk_failures = env.fs.failed().0 as u32;
            let Env { dests, truth, random, now, .. } = env;
            let answer = ask(&mut dests[to], truth, self.number, &items, *now, random);
            env.say(|| {
                let (first, count) = (items.first().map(|item| item.id), items.len());
                format!("p{} lane{to} sends {count} from {first:?} of job {job}: {:?}", self.number, answer.result)
            });
            let due = env.now + answer.after.as_nanos() as u64;
            self.pending.push(Pending { lane, job, due, items, answer });
        }
        let due = self.lanes.iter_mut().filter_map(|lane| lane.due(now)).map(|due| env.nanos(due));
        due.chain(self.pending.iter().map(|pending| pending.due)).min().unwrap_or(u64::MAX)
    }

    /// Requests whose answer came.
    pub(super) fn end_requests(&mut self, env: &mut Env) {
        let (due, later) = std::mem::take(&mut self.pending).into_iter().partition(|pending| pending.due <= env.now);
        self.pending = later;
        for Pending { lane, job, answer, .. } in due {
            self.stored[lane] += answer.stored;
            self.refused[lane] += answer.refused;
            self.lanes[lane].end(Outcome { lane, job, result: answer.result }, env.at());
        }
    }

    fn look(&mut self, env: &mut Env) {
        let (number, now) = (self.number, env.at());
        self.disks.look(&mut self.lanes, &self.voice, now, |found, _| {
            env.say(|| format!("p{number} finds {}", told(found)));
            match found {
                Found::Lost { label, at_least, .. } => {
                    for dest in &mut env.dests {
                        if LaneId::of("sim", &dest.url, None).label == *label {
                            dest.told_lost += at_least;
                        }
                    }
                }
                Found::Bad { name, why } => {
                    let is_excused = env.power_lost || env.fs.failed().0 > 0 || env.died;
                    env.truth.check(is_excused, || format!("{name} is bad: {why}"));
                    env.is_bad = true;
                }
                Found::Orphan { .. } | Found::Unknown { .. } => {}
            }
        });
    }

    fn say(&mut self, env: &mut Env) {
        let random = &mut env.random;
        let site = match random.usize(..4) {
            3 => Callsite::Inline { target: "log", module: None, file: Some("main.rs"), line: Some(7) },
            n => Callsite::Static(crate::frame::properties::sites()[n]),
        };
        let severity = Severity::ALL[if random.u8(..20) == 0 { 4 } else { random.usize(..4) }];
        let bytes = match random.u8(..100) {
            0 => random.usize(..30_000),
            1..10 => random.usize(..4_000),
            _ => random.usize(..self.config.record_bytes),
        };
        let text = "x".repeat(bytes);
        let poison = if random.u32(..1_000) < self.config.poison { random.u8(1..8) } else { 0 };
        let date = env.date();
        let frame = Frame::of(site, severity, date, |w| {
            w.fields.message_str(&text);
            w.fields.u64(Key::named("n"), self.taken);
        });
        let (id, nanos) = self.numbers.next(date, None);
        let sum = store::sum(&RecordRef::new(frame.callsite(), frame.bytes(), nanos, id), self.who);
        let to = self.config.to.iter().fold(0, |to, dest| to | 1 << dest);
        env.truth.say(id, sum, poison, to);
        self.taken += 1;
        for lane in &mut self.lanes {
            lane.take(&frame, id, nanos, env.at());
        }
    }

    /// Writes the books, and compares them with what was seen outside.
    pub(super) fn publish(&mut self, env: &mut Env) {
        let (process, taken) = (self.number, self.taken);
        for at in 0..self.lanes.len() {
            let (lane, books) = (&mut self.lanes[at], &mut self.books[at]);
            lane.publish(books);
            let gone = books.filtered + books.delivered + books.rejected + books.dropped.total();
            let all = gone + books.owed_memory + books.owed_disk;
            let (stored, refused) = (self.stored[at], self.refused[at]);
            env.truth
                .check(taken + books.adopted == all, || format!("process {process}: {taken} taken, and {books:?}"));
            env.truth.check(books.delivered == stored, || format!("process {process}: {stored} stored, and {books:?}"));
            env.truth.check(books.rejected == refused, || format!("process {process}: {refused} refused, {books:?}"));
            let memory = &mut self.memory[at];
            memory.clear();
            let jobs = lane.flights.jobs().chain(lane.backlog.waiting()).filter(|job| job.copies().is_empty());
            let open = lane.batcher.open();
            memory.extend(jobs.map(Job::stored).chain(open).map(|it| (it.sequence(0), it.sequence(it.len() - 1))));
            let read = lane.flights.jobs().chain(lane.backlog.waiting()).chain(lane.backlog.disk.waiting());
            let largest = read.filter(|job| job.is_read()).map(|job| job.stored().held_bytes()).max().unwrap_or(0);
            let other = lane.other_bytes();
            lane.backlog.set_other_bytes(other);
            let (held, most) = (lane.backlog.held_bytes(), self.config.backlog_bytes);
            // The batch that was opened last may have reserved up to three times what it holds, and one that is read back
            // comes whatever there is.
            let most = most + 3 * most / 8 + largest;
            env.truth.check(held <= most, || format!("process {process} holds {held} bytes of {most}"));
        }
        let (own, budget) =
            (format!("{:032x}-", process + 1), self.config.spool.as_ref().map_or(0, |spool| spool.bytes));
        for id in &self.ids {
            let begin = format!("{own}{:016x}", id.fingerprint);
            let is_own = |name: &str| name.starts_with(&begin) && name.ends_with(".seg");
            let bytes: u64 = env.fs.files().iter().filter(|(name, _)| is_own(name)).map(|(_, len)| len).sum();
            env.truth.check(bytes <= budget as u64, || format!("process {process} has {bytes} of {budget} on disk"));
        }
    }

    fn spool_by(&self, deadline: u64) -> u64 {
        let longest = self.lanes.iter().map(Lane::time_to_spool).max().unwrap_or_default();
        let limit = Duration::from_secs(5);
        deadline - 50_000_000 - longest.min(limit / 2).as_nanos() as u64
    }

    /// Somebody asks it to end.
    pub(super) fn begin_to_end(&mut self, env: &Env) {
        let deadline = env.now + 5_000_000_000;
        self.lanes.iter_mut().for_each(|lane| lane.hurry(env.instant(deadline), env.at()));
        self.disks.look_soon(env.at());
        self.is_closing = Some(deadline);
    }

    /// Whether it is time for the last act.
    pub(super) fn is_over(&mut self, env: &Env) -> bool {
        let is_late = self.is_closing.is_some_and(|deadline| env.now >= deadline - 50_000_000);
        let is_settled = self.lanes.iter().all(|lane| lane.has_settled(u64::MAX));
        is_late
            || (is_settled && self.lanes.iter_mut().filter_map(|lane| lane.leave_adopted().then_some(())).count() == 0)
    }

    /// The last act.
    pub(super) fn close(&mut self, env: &mut Env) {
        let until = env.instant(self.is_closing.unwrap_or(env.now) + 50_000_000);
        self.lanes.iter_mut().for_each(|lane| lane.close(Reason::Deadline, until));
        self.disks.close();
        self.publish(env);
        for books in &self.books {
            env.truth.check(books.owed_memory == 0, || format!("owed in memory after the end: {books:?}"));
        }
    }

    /// It is gone, in order.
    pub(super) fn leave(mut self) {
        self.lanes.clear();
    }

    pub(super) fn owes_nothing(&self) -> bool {
        let owes = |books: &DestinationLedger| books.owed_memory + books.owed_disk > 0;
        !self.books.iter().any(owes)
    }
}

fn told(found: &Found) -> String {
    match found {
        Found::Orphan { fingerprint, .. } => format!("an orphan for {fingerprint:x}"),
        Found::Unknown { label, records, segments } => format!("{records} in {segments} for {label}"),
        Found::Bad { name, why } => format!("{name}: {why}"),
        Found::Lost { label, at_least, in_flight, .. } => {
            format!("{at_least} lost and {in_flight} in flight to {label}")
        }
    }
}

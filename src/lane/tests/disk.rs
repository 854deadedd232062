//! A lane and its disk: what goes there, when, and in which order it comes back. The disk is a shelf in memory that is
//! full, or fails, when a test says so.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::batch::Mode;
use crate::config::{SpoolSettings, SpoolUse};
use crate::lane::own::Write;
use crate::spool::{Note, Place, Refused, Source, Taken};

const KIB: usize = 1024;

/// Of a batch of ten of a test's records, about.
const BATCH: usize = 10;

#[derive(Default)]
struct Boards {
    kept: BTreeMap<u64, Kept>,
    next: u64,
    /// Batches for which there is room.
    room: Option<usize>,
    fails: Option<ErrorKind>,
    written: usize,
    found: u64,
    damaged: [u64; 6],
}

struct Kept {
    origin: Arc<Origin>,
    records: Vec<(u64, i64)>,
    mode: Mode,
    note: (u64, i64, bool),
    is_taken: bool,
}

#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Boards>>);

impl Shelf {
    fn boards(&self) -> std::sync::MutexGuard<'_, Boards> {
        self.0.try_lock().expect("one thread looks once at a time")
    }

    /// What an earlier process left: so many batches of so many records.
    fn left(batches: u64, records: u64) -> Self {
        let shelf = Self::default();
        let origin = Arc::new(Origin { incarnation: 7, resource: Resource::new("before") });
        for at in 0..batches {
            let records = (0..records).map(|place| (at * records + place, 1)).collect();
            let kept =
                Kept { origin: Arc::clone(&origin), records, mode: Mode::Plain, note: (at, 1, false), is_taken: false };
            shelf.boards().kept.insert(at, kept);
        }
        shelf.boards().found = batches * records;
        shelf
    }

    fn len(&self) -> usize {
        self.boards().kept.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn hello() -> Frame {
    let callsite = Callsite::Inline { target: "shop", module: None, file: None, line: None };
    Frame::of(callsite, Severity::Info, 1, |writer| writer.fields.message(format_args!("hello")))
}

impl Source for Shelf {
    fn next(&mut self, now: Instant) -> Option<Taken> {
        let mut boards = self.boards();
        let (&at, kept) = boards.kept.iter_mut().find(|(_, kept)| !kept.is_taken)?;
        kept.is_taken = true;
        let mut stored = Stored::new(Arc::clone(&kept.origin), now);
        let frame = hello();
        kept.records.iter().for_each(|&(sequence, nanos)| stored.push(None, frame.bytes(), sequence, nanos, 1));
        let (number, sealed, tried) = kept.note;
        Some(Taken { stored, mode: kept.mode, tried, number, sealed, place: Place { segment: 0, at } })
    }

    fn peek(&mut self) -> Option<(u64, i64)> {
        let boards = self.boards();
        let kept = boards.kept.values().find(|kept| !kept.is_taken)?;
        Some((kept.note.0, kept.note.1))
    }

    fn put_back(&mut self, place: Place) {
        let was_taken = std::mem::take(&mut self.boards().kept.get_mut(&place.at).unwrap().is_taken);
        assert!(was_taken);
    }

    fn settle(&mut self, place: Place) {
        assert!(self.boards().kept.remove(&place.at).is_some(), "settled twice");
    }

    fn owed(&self) -> u64 {
        self.boards().kept.values().filter(|kept| !kept.is_taken).map(|kept| kept.records.len() as u64).sum()
    }

    fn found(&mut self) -> u64 {
        std::mem::take(&mut self.boards().found)
    }

    fn damaged(&mut self) -> [u64; 6] {
        std::mem::take(&mut self.boards().damaged)
    }

    fn drop_oldest(&mut self) -> Option<[u64; 6]> {
        let mut boards = self.boards();
        let at = *boards.kept.iter().find(|(_, kept)| !kept.is_taken)?.0;
        let mut lost = [0; 6];
        lost[Severity::Info as usize] = boards.kept.remove(&at)?.records.len() as u64;
        Some(lost)
    }

    fn is_done(&self) -> bool {
        self.is_empty()
    }
}

impl Write for Shelf {
    fn append(&mut self, batch: &Batch<'_>, note: &Note, held: bool, _: Instant) -> Result<Place, Refused> {
        let mut boards = self.boards();
        if let Some(kind) = boards.fails {
            return Err(Refused::Disk(kind.into()));
        }
        if boards.room.is_some_and(|room| boards.kept.len() >= room) {
            return Err(Refused::Full);
        }
        let records = batch.records().map(|record| (record.id().sequence, 1)).collect();
        let origin = Arc::new(Origin { incarnation: 1, resource: batch.resource().clone() });
        let (at, note) = (boards.next, (note.number, note.sealed, note.tried));
        boards.next += 1;
        boards.written += 1;
        boards.kept.insert(at, Kept { origin, records, mode: batch.mode(), note, is_taken: held });
        Ok(Place { segment: 0, at })
    }

    fn tick(&mut self, _: Instant) -> Option<std::io::Error> {
        None
    }

    fn close(&mut self) -> Option<std::io::Error> {
        None
    }
}

impl Desk {
    fn spooling(when: SpoolUse, in_flight: usize, overflow: BacklogOverflow) -> (Self, Shelf) {
        let spool = SpoolSettings { dir: "/spool".into(), bytes: 1 << 20, when, fsync: None };
        let mut desk = Self::of(LaneSettings {
            backlog_bytes: 64 * KIB,
            backlog_overflow: overflow,
            batch_bytes: 10 * KIB,
            in_flight,
            linger: Duration::ZERO,
            spool: Some(spool),
            ..LaneSettings::default()
        });
        let shelf = Shelf::default();
        let kept = shelf.clone();
        desk.lane.set_spool(Box::new(kept), false);
        (desk, shelf)
    }

    /// The store is away, and so many batches come.
    fn outage(&mut self, batches: usize) {
        for _ in 0..batches {
            self.emit_together(BATCH);
            self.refuse_all();
            self.balance();
        }
    }

    fn refuse_all(&mut self) {
        for id in self.under_way() {
            self.fail(id);
        }
    }

    fn under_way(&self) -> Vec<u64> {
        self.lane.flights.jobs().map(|job| job.id).collect()
    }

    fn held(&self) -> usize {
        self.lane.backlog.held_bytes()
    }

    /// Delivered, owed in memory, owed on disk, dropped; they balance.
    fn balance(&mut self) -> (u64, u64, u64, u64) {
        let mut books = self.lane.new_books();
        self.lane.publish(&mut books);
        let ledger = Ledger {
            emitted: self.sequence,
            drained: self.sequence,
            destinations: vec![books.clone()],
            ..Ledger::default()
        };
        assert!(ledger.balances(), "{ledger}");
        (books.delivered, books.owed_memory, books.owed_disk, books.dropped.total())
    }

    fn dropped(&self, reason: Reason) -> u64 {
        self.lane.counts.dropped.of(reason)
    }

    /// The store takes all; gives the sequences as they came there.
    fn drain_all(&mut self) -> Vec<(u128, u64)> {
        let mut came = Vec::new();
        for _ in 0..1_000 {
            self.pass(Duration::from_secs(70));
            let Some(id) = self.under_way().first().copied() else { break };
            let job = self.lane.flights.jobs().find(|job| job.id == id).unwrap();
            came.extend(job.next().records().map(|record| (record.id().incarnation, record.id().sequence)));
            self.answer(id, 200, "");
            self.balance();
        }
        came
    }
}

const OLDEST: BacklogOverflow = BacklogOverflow::DropOldest;
const NEWEST: BacklogOverflow = BacklogOverflow::DropNewest;

#[test]
fn what_is_beyond_half_of_the_memory_goes_to_disk_and_comes_back_in_order() {
    for in_flight in [1, 4] {
        let (mut desk, shelf) = Desk::spooling(SpoolUse::Overflow, in_flight, OLDEST);
        desk.outage(200);
        // One batch more than half may be there until the next look.
        assert!(desk.held() <= 64 * KIB / 2 + 4 * KIB, "{}", desk.held());
        let (_, memory, disk, dropped) = desk.balance();
        assert!(disk > memory && dropped == 0, "{memory} in memory, {disk} on disk, {dropped} dropped");
        assert!(!desk.lane.has_settled(200), "what is on disk is owed");
        let came = desk.drain_all();
        assert_eq!(desk.balance(), (2_000, 0, 0, 0));
        assert!(shelf.is_empty(), "what was delivered is settled there");
        assert!(desk.lane.has_settled(200));
        let mut all: Vec<_> = came.iter().map(|(_, sequence)| *sequence).collect();
        if in_flight > 1 {
            all.sort_unstable();
        }
        assert_eq!(all, (0..2_000).collect::<Vec<_>>(), "once each, and in order with one request at a time");
    }
}

#[test]
fn a_read_batch_is_in_memory_once_and_few_are_at_a_time() {
    let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, 4, OLDEST);
    desk.outage(200);
    for _ in 0..50 {
        desk.pass(Duration::from_secs(70));
        let read = desk.lane.flights.jobs().chain(desk.lane.backlog.waiting()).filter(|job| job.is_read()).count();
        assert!(read <= 4, "{read} were read");
        assert!(desk.held() <= 64 * KIB, "{}", desk.held());
        let first = desk.under_way()[0];
        desk.answer(first, 200, "");
    }
}

#[test]
fn a_full_spool_gives_up_what_is_oldest_or_what_is_newest_once_the_memory_is_full() {
    let (mut desk, shelf) = Desk::spooling(SpoolUse::Overflow, 1, OLDEST);
    shelf.boards().room = Some(20);
    desk.outage(200);
    let (_, memory, disk, dropped) = desk.balance();
    assert_eq!((disk, desk.dropped(Reason::SpoolFull)), (200, dropped));
    let came = desk.drain_all();
    let last = came.last().unwrap().1;
    assert_eq!((last, came.len() as u64), (1_999, memory + disk));

    let (mut desk, shelf) = Desk::spooling(SpoolUse::Overflow, 1, NEWEST);
    shelf.boards().room = Some(20);
    desk.outage(200);
    let (_, memory, disk, dropped) = desk.balance();
    assert_eq!((disk, desk.dropped(Reason::SpoolFull)), (200, dropped));
    assert!(desk.held() > 60 * KIB, "the memory is used up as well: {}", desk.held());
    let came: Vec<_> = desk.drain_all().iter().map(|(_, sequence)| *sequence).collect();
    assert_eq!(came.len() as u64, memory + disk);
    // Records are not of one size, so that one may fit where another did not.
    let last = *came.last().unwrap();
    assert!(came.is_sorted() && last < memory + disk + 10, "{last} is the last of {}", came.len());
}

#[test]
fn s3_a_disk_that_fails_leaves_the_memory_says_so_and_is_used_again_once_it_does_not() {
    for (kind, reason) in [
        (ErrorKind::StorageFull, Reason::DiskFull),
        (ErrorKind::QuotaExceeded, Reason::DiskFull),
        (ErrorKind::FileTooLarge, Reason::DiskFull),
        (ErrorKind::PermissionDenied, Reason::BacklogFull),
        (ErrorKind::ReadOnlyFilesystem, Reason::BacklogFull),
    ] {
        let (mut desk, shelf) = Desk::spooling(SpoolUse::Overflow, 1, OLDEST);
        let complaint = |desk: &Desk| {
            let (name, state) = (String::new(), DestinationState::Well);
            let mut health = DestinationHealth { name, state, last_failure: None, in_flight: 0, spool: None };
            desk.lane.publish_health(&mut health);
            health.spool
        };
        shelf.boards().fails = Some(kind);
        desk.outage(200);
        let (.., disk, dropped) = desk.balance();
        assert_eq!((disk, desk.dropped(reason)), (0, dropped));
        assert!(dropped > 0 && desk.held() <= 64 * KIB);
        assert!(complaint(&desk).is_some_and(|text| text.starts_with("/spool cannot be written: ")));
        shelf.boards().fails = None;
        desk.pass(MS(500));
        assert!(desk.balance().2 > 0, "without a record that comes");
        assert_eq!(complaint(&desk), None);
        assert!(desk.held() <= 64 * KIB / 2);
    }
}

#[test]
fn a_spool_for_everything_has_each_batch_before_it_is_sent_and_writes_none_twice() {
    let (mut desk, shelf) = Desk::spooling(SpoolUse::Always, 1, OLDEST);
    desk.emit();
    assert_eq!(shelf.len(), 1);
    assert_eq!(desk.balance(), (0, 1, 0, 0), "in memory as well, and counted once");
    desk.answer(0, 200, "");
    assert!(shelf.is_empty());
    desk.outage(100);
    assert!(desk.held() <= 64 * KIB / 2 + 4 * KIB, "{}", desk.held());
    assert_eq!(shelf.boards().written, 101);
    assert_eq!(desk.drain_all().len(), 1_000);
    assert_eq!(shelf.boards().written, 101);
    assert!(shelf.is_empty());
}

#[test]
fn at_the_end_all_that_is_owed_is_on_disk_what_is_in_flight_as_well() {
    for when in [SpoolUse::Overflow, SpoolUse::Exit, SpoolUse::Always] {
        let (mut desk, shelf) = Desk::spooling(when, 2, OLDEST);
        if when == SpoolUse::Exit {
            desk.outage(5);
            assert!(shelf.is_empty(), "nothing before the end");
        } else {
            desk.outage(50);
        }
        desk.pass(Duration::from_secs(70));
        assert!(!desk.under_way().is_empty());
        desk.add();
        desk.lane.close(Reason::Deadline, Instant::now() + Duration::from_secs(10));
        assert_eq!(desk.balance(), (0, 0, desk.sequence, 0));
        let boards = shelf.boards();
        let mut all: Vec<_> = boards.kept.values().flat_map(|kept| &kept.records).map(|(number, _)| *number).collect();
        all.sort_unstable();
        assert_eq!(all, (0..desk.sequence).collect::<Vec<_>>());
    }
}

#[test]
fn what_cannot_be_written_at_the_end_is_lost_to_the_deadline() {
    let (mut desk, shelf) = Desk::spooling(SpoolUse::Overflow, 1, OLDEST);
    desk.outage(50);
    let (_, memory, disk, _) = desk.balance();
    shelf.boards().fails = Some(ErrorKind::StorageFull);
    desk.lane.close(Reason::Deadline, Instant::now() + Duration::from_secs(10));
    assert_eq!((desk.balance(), desk.dropped(Reason::Deadline)), ((0, 0, disk, memory), memory));

    let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, 1, OLDEST);
    desk.outage(50);
    let (_, memory, disk, _) = desk.balance();
    desk.lane.close(Reason::Deadline, Instant::now());
    assert_eq!(desk.balance(), (0, 0, disk, memory), "nor in time");
}

#[test]
fn a_batch_of_which_a_part_is_settled_is_counted_by_the_record_at_the_end() {
    let (mut desk, shelf) = Desk::spooling(SpoolUse::Always, 1, OLDEST);
    desk.emit_together(BATCH);
    // Halved, and the first half is taken.
    desk.answer(0, 413, "");
    desk.answer(0, 200, "");
    assert_eq!(desk.balance(), (5, 5, 0, 0));
    desk.lane.close(Reason::Deadline, Instant::now() + Duration::from_secs(10));
    assert_eq!(desk.balance(), (5, 0, 5, 0));
    assert_eq!(shelf.len(), 1);

    // Without a copy, the part alone is written, as it is owed.
    let (mut desk, shelf) = Desk::spooling(SpoolUse::Exit, 1, OLDEST);
    desk.emit_together(BATCH);
    desk.answer(0, 413, "");
    desk.answer(0, 413, "");
    desk.answer(0, 200, "");
    assert_eq!(desk.balance(), (2, 8, 0, 0));
    desk.lane.close(Reason::Deadline, Instant::now() + Duration::from_secs(10));
    assert_eq!(desk.balance(), (2, 0, 8, 0));
    assert_eq!(shelf.boards().kept.values().map(|kept| kept.records.len()).collect::<Vec<_>>(), [3, 5]);
}

#[test]
fn a_batch_that_the_store_stumbles_over_is_not_forgotten_for_the_memory_s_sake() {
    let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, 1, OLDEST);
    desk.emit_together(BATCH);
    desk.fail_by(0, FailureKind::Timeout);
    for _ in 0..50 {
        desk.emit_together(BATCH);
    }
    desk.pass(Duration::from_secs(70));
    desk.fail_by(0, FailureKind::Timeout);
    desk.pass(Duration::from_secs(70));
    let flight = desk.lane.flights.iter().next().unwrap();
    assert_eq!((flight.job.id, flight.payload_bytes), (0, BATCH / 2), "it is halved");
}

#[test]
fn what_an_earlier_process_left_takes_turns_with_live_records_and_holds_up_no_flush() {
    for in_flight in [1, 4] {
        let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, in_flight, OLDEST);
        let left = Shelf::left(100, 10);
        desk.lane.adopt(Box::new(left.clone()), desk.now);
        desk.tick();
        assert_eq!(
            desk.balance(),
            (0, desk.under_way().len() as u64 * 10, 1_000 - desk.under_way().len() as u64 * 10, 0)
        );
        for _ in 0..20 {
            desk.add();
            let mark = desk.lane.seal_for_flush(desk.now);
            desk.pass(MS(10));
            // Two answers are enough for whatever came before it.
            for _ in 0..in_flight + 1 {
                let first = desk.under_way()[0];
                desk.answer(first, 200, "");
            }
            assert!(desk.lane.has_settled(mark), "with {in_flight}");
            desk.balance();
        }
        let came = desk.drain_all();
        assert!(came.iter().all(|(incarnation, _)| *incarnation == 7), "under the ids that it had");
        assert_eq!((desk.balance(), left.is_empty()), ((1_020, 0, 0, 0), true));
        assert_eq!(desk.lane.counts.adopted, 1_000);
    }
}

#[test]
fn what_was_adopted_and_cannot_be_read_is_counted_and_stays_in_balance() {
    let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, 1, OLDEST);
    let left = Shelf::left(3, 10);
    desk.lane.adopt(Box::new(left.clone()), desk.now);
    desk.balance();
    let lost = left.boards().kept.remove(&1).unwrap().records.len() as u64;
    left.boards().damaged[Severity::Info as usize] = lost;
    assert_eq!(desk.balance(), (0, 0, 20, 10));
    assert_eq!(desk.drain_all().len(), 20);
    assert_eq!((desk.balance(), desk.dropped(Reason::Damaged)), ((20, 0, 0, 10), 10));
}

#[test]
fn adopted_records_that_are_not_sent_stay_where_they_are() {
    let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, 2, OLDEST);
    let left = Shelf::left(10, 10);
    desk.lane.adopt(Box::new(left.clone()), desk.now);
    desk.tick();
    desk.refuse_all();
    desk.pass(Duration::from_secs(70));
    assert!(desk.balance().1 > 0, "some are in memory");
    desk.lane.close(Reason::Deadline, Instant::now() + Duration::from_secs(10));
    assert_eq!(desk.balance(), (0, 0, 100, 0));
    assert!(left.boards().kept.values().all(|kept| !kept.is_taken));
}

#[test]
fn what_is_on_disk_expires_by_its_seal_and_what_was_adopted_by_its_adoption() {
    let day = Duration::from_secs(24 * 3600);
    let (mut desk, shelf) = Desk::spooling(SpoolUse::Overflow, 1, OLDEST);
    desk.outage(50);
    let left = Shelf::left(5, 10);
    desk.now += day / 2;
    desk.lane.adopt(Box::new(left.clone()), desk.now);
    desk.tick();
    desk.refuse_all();
    desk.now += day / 2 - Duration::from_secs(1);
    for _ in 0..20 {
        desk.tick();
        desk.refuse_all();
    }
    assert_eq!(desk.balance().3, 0);
    desk.now += Duration::from_secs(2);
    for _ in 0..20 {
        desk.tick();
        desk.refuse_all();
    }
    assert_eq!((desk.balance().3, shelf.is_empty(), left.is_empty()), (500, true, false));
    desk.now += day / 2;
    for _ in 0..20 {
        desk.tick();
        desk.refuse_all();
    }
    assert_eq!((desk.balance().3, left.is_empty()), (550, true));
    assert_eq!(desk.dropped(Reason::Expired), 550);
}

#[test]
fn the_ring_gets_the_room_of_all_that_is_within_it() {
    let (mut desk, shelf) = Desk::spooling(SpoolUse::Overflow, 2, OLDEST);
    (0..5).for_each(|_| desk.emit_together(BATCH));
    assert_eq!(desk.under_way().len(), 2);
    assert!(desk.lane.yield_ring(25, desk.now));
    assert_eq!(shelf.len(), 3, "two in flight, and the one that holds the record");
    assert_eq!(desk.balance(), (0, 50, 0, 0), "all of them are in memory as well");
    shelf.boards().fails = Some(ErrorKind::StorageFull);
    assert!(desk.lane.yield_ring(25, desk.now), "those are written already");
    assert!(!desk.lane.yield_ring(30, desk.now));
    shelf.boards().fails = None;
    assert_eq!(desk.drain_all().len(), 50);
    assert!(shelf.is_empty());
}

#[test]
fn what_was_written_behind_newer_batches_waits_in_memory_for_its_turn() {
    let (mut desk, shelf) = Desk::spooling(SpoolUse::Overflow, 1, OLDEST);
    desk.emit_together(BATCH);
    // The first is in flight all the while, and others are on disk before it.
    (0..50).for_each(|_| desk.emit_together(BATCH));
    assert!(!shelf.is_empty() && desk.under_way() == [0]);
    desk.lane.spool_all(desk.now + MS(1_000), desk.now);
    desk.fail(0);
    desk.outage(50);
    assert!(!desk.lane.has_settled(1));
    let came: Vec<_> = desk.drain_all().iter().map(|(_, sequence)| *sequence).collect();
    assert_eq!(came, (0..1_010).collect::<Vec<_>>());
    assert!(shelf.is_empty());
}

#[test]
fn what_is_too_old_for_where_live_records_go_is_replayed_and_holds_them_up_no_more() {
    let hour = Duration::from_secs(3_600);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let nanos = |age: Duration| (now - age).as_nanos() as i64;
    for (age, tried, mode) in
        [(hour, false, Mode::Replay), (hour, true, Mode::Plain), (Duration::from_secs(40 * 60), false, Mode::Plain)]
    {
        let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, 4, OLDEST);
        desk.lane.replays_after = Some(Duration::from_secs(50 * 60));
        desk.lane.reorder_within = hour;
        desk.now += age;
        let mut stored = Stored::new(Arc::clone(&desk.lane.parts.origin), desk.now - age);
        stored.push(None, hello().bytes(), 0, nanos(age), 1);
        let mut old = Job::new(0, stored, desk.now - age);
        old.may_be_there = tried;
        (desk.lane.next_number, desk.sequence) = (1, 1);
        desk.lane.backlog.push(old);
        desk.emit();
        let modes: Vec<_> = desk.lane.flights.jobs().map(|job| (job.id, job.next_mode())).collect();
        // The one that just came goes first only where the other is in nobody's way.
        let live_first = mode == Mode::Replay;
        assert_eq!(modes[usize::from(live_first)], (0, mode), "{age:?}, {tried}");
        assert_eq!(modes.len(), 2);
    }
}

#[test]
fn what_was_adopted_is_replayed_where_our_own_records_would_be_before_it() {
    let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, 4, OLDEST);
    desk.lane.replays_after = Some(Duration::from_secs(50 * 60));
    desk.lane.reorder_within = Duration::from_secs(3_600);
    let age = Duration::from_secs(40 * 60);
    let left = Shelf::left(1, 1);
    let nanos = (SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - age).as_nanos() as i64;
    left.boards().kept.get_mut(&0).unwrap().records[0].1 = nanos;
    desk.lane.adopt(Box::new(left), desk.now);
    desk.tick();
    assert_eq!(desk.lane.flights.jobs().next().unwrap().next_mode(), Mode::Replay);
}

#[test]
fn what_would_be_lost_with_the_process_is_what_is_not_on_disk() {
    let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, 2, OLDEST);
    (0..5).for_each(|_| desk.emit_together(BATCH));
    desk.add();
    assert_eq!(desk.lane.at_risk(), (31, 20));
    desk.lane.spool_all(desk.now + MS(1_000), desk.now);
    assert_eq!(desk.lane.at_risk(), (1, 0));
}

#[test]
fn what_comes_within_a_moment_goes_to_disk_as_it_is_sealed() {
    let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, 4, OLDEST);
    // As much of the memory as may be is in flight, where it stays.
    (0..4).for_each(|_| desk.emit_together(120));
    assert!(desk.lane.other_bytes() > 16 * KIB, "{}", desk.lane.other_bytes());
    (0..5_000).for_each(|_| desk.add());
    let (_, memory, disk, dropped) = desk.balance();
    assert_eq!(dropped, 0, "{memory} in memory, {disk} on disk");
    assert!(desk.held() <= 64 * KIB);
}

#[test]
fn what_stands_on_disk_is_not_lost_with_the_memory() {
    let (mut desk, shelf) = Desk::spooling(SpoolUse::Exit, 1, OLDEST);
    desk.outage(20);
    desk.lane.spool_all(desk.now + MS(1_000), desk.now);
    assert_eq!(shelf.len(), 20);
    shelf.boards().fails = Some(ErrorKind::StorageFull);
    desk.outage(200);
    let (_, _, disk, dropped) = desk.balance();
    assert!(disk > 100 && dropped > 0, "{disk} on disk, {dropped} dropped");
    let came = desk.drain_all();
    assert_eq!(came.iter().filter(|(_, sequence)| *sequence < 200).count(), 200);
}

#[test]
fn nothing_is_lost_for_want_of_memory_while_the_disk_has_room() {
    for (in_flight, overflow) in [(1, OLDEST), (1, NEWEST), (4, OLDEST), (4, NEWEST)] {
        let (mut desk, shelf) = Desk::spooling(SpoolUse::Overflow, in_flight, overflow);
        for _ in 0..60 {
            desk.emit_together(100);
            desk.refuse_all();
        }
        assert!(desk.balance().2 > 0, "an outage is on disk");
        desk.pass(Duration::from_secs(70));
        // The store is back and slow, and as much comes as it takes; in the middle of it some requests fail.
        for round in 0..100 {
            (0..100).for_each(|_| desk.add());
            desk.pass(MS(10));
            let Some(&first) = desk.under_way().first() else { continue };
            if round % 10 == 3 {
                desk.fail_by(first, FailureKind::Reset);
                desk.pass(Duration::from_secs(70));
            } else {
                desk.answer(first, 200, "");
            }
            let (.., dropped) = desk.balance();
            assert_eq!(dropped, 0, "in round {round} with {in_flight}: {} of {} bytes held", desk.held(), 64 * KIB);
            // What is open may have reserved more than it holds.
            assert!(desk.held() <= 64 * KIB + 3 * 8 * KIB, "{}", desk.held());
        }
        desk.drain_all();
        assert_eq!(desk.balance(), (desk.sequence, 0, 0, 0));
        assert!(shelf.is_empty());
    }
}

#[test]
fn what_waits_for_an_answer_without_end_leaves_new_records_their_way_to_disk() {
    let (mut desk, _) = Desk::spooling(SpoolUse::Overflow, 4, NEWEST);
    for _ in 0..200 {
        desk.emit_together(BATCH);
        // The store has them, and is asked; each holds its memory.
        for id in desk.under_way() {
            if desk.lane.flights.iter().any(|flight| flight.job.id == id && flight.asking.is_none()) {
                desk.answer(id, 200, "ask");
            }
        }
        let (.., dropped) = desk.balance();
        assert_eq!(dropped, 0, "{} bytes held", desk.held());
    }
}

//! What the ring of a dead process owes goes to whoever comes next, once, and any file that lies there is survived.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::super::header::HEAD_BYTES;
use super::super::order::place;
use super::super::{Orphans, Ring};
use super::INCARNATION;
use crate::batch::{Batch, Places, Stored};
use crate::capture::Record;
use crate::config::Overflow;
use crate::frame::properties::{random_frame, sites};
use crate::frame::{Callsite, Frame, Key, RecordId, RecordRef, Severity};
use crate::health::Acceptance;
use crate::ledger::Reason;
use crate::numbers::Numbers;
use crate::queue::heir::Inheritance;
use crate::queue::{Heir, Lost, Owed, Queue};
use crate::resource::Resource;
use crate::spool::Source;

const OPS: u64 = 0x0123;
const AUDIT: u64 = 0x4567;

/// A directory of this test's, removed again at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("logchute-ring-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn ring_file(&self) -> PathBuf {
        self.0.join(format!("{INCARNATION:032x}.ring"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn queue(dir: &Path, bytes: usize) -> Queue {
    let mut resource = Resource::new("shop");
    resource.set("pod", "web-1");
    let (ring, _) = Ring::make(dir, INCARNATION, &resource, bytes).unwrap();
    let queue = Queue::with_ring(ring, Overflow::DropNewest);
    queue.release(&[owed(OPS, 0), owed(AUDIT, 0)], 0);
    queue
}

/// That lane owes nothing before that place.
fn owed(fingerprint: u64, settled: u64) -> Owed {
    Owed { fingerprint, settled, ..Owed::default() }
}

fn say(queue: &Queue, text: &str) {
    offer(queue, Record::new(Severity::Info, text.to_owned()).target("shop").into_own_frame());
}

fn offer(queue: &Queue, frame: Frame) {
    let severity = frame.severity();
    queue.offer(frame, severity, false);
}

fn heir(fingerprint: u64) -> Heir {
    let wanted = Targets::new().with_default(LevelFilter::TRACE);
    Heir { fingerprint, wanted, records: usize::MAX, bytes: 1 << 20 }
}

fn look(dir: &Dir, heirs: &[Heir]) -> Inheritance {
    Orphans::new(&dir.0).look(heirs, &mut |lost| panic!("{lost:?}"))
}

fn messages(stored: &Stored) -> Vec<String> {
    records(stored, |record| record.message().to_owned())
}

fn records<T>(stored: &Stored, of: impl Fn(RecordRef<'_>) -> T) -> Vec<T> {
    Batch::new(stored, Places::Range(0, stored.len())).records().map(of).collect()
}

/// All that a share gives; each batch is settled.
fn take_all(share: &mut dyn Source) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(taken) = share.next(Instant::now()) {
        all.extend(messages(&taken.stored));
        share.settle(taken.place);
    }
    all
}

/// Drains and numbers as the worker does.
fn drain(queue: &Queue, numbers: &mut Numbers, most: usize) -> Vec<(RecordId, i64)> {
    let mut drain = queue.drain();
    let mut all = Vec::new();
    while all.len() < most
        && let Some(frame) = drain.next()
    {
        let (id, nanos) = numbers.next(frame.nanos(), drain.position());
        drain.number(frame.nanos(), nanos);
        all.push((id, nanos));
    }
    all
}

#[test]
fn what_was_accepted_is_found_by_the_next_process_with_what_wrote_it() {
    let dir = Dir::new("found");
    let dying = queue(&dir.0, 1 << 16);
    assert_eq!(dying.acceptance(), Acceptance::ProcessCrash);
    ["one", "two", "three"].iter().for_each(|text| say(&dying, text));
    drop(dying);
    let mut found = look(&dir, &[heir(OPS), heir(AUDIT)]);
    assert!(found.remarks.is_empty(), "{:?}", found.remarks);
    assert_eq!(found.shares.iter().map(|(heir, _)| *heir).collect::<Vec<_>>(), [0, 1]);
    let share = &mut found.shares[0].1;
    assert_eq!((share.found(), share.found(), share.owed(), share.damaged()), (3, 0, 3, [0; 6]));
    let taken = share.next(Instant::now()).unwrap();
    assert_eq!((messages(&taken.stored), taken.tried), (vec!["one".into(), "two".into(), "three".into()], true));
    let origin = taken.stored.origin();
    assert_eq!((origin.incarnation, origin.resource.get("pod")), (INCARNATION, Some("web-1")));
    assert_eq!((share.owed(), share.is_done()), (0, false));
    share.put_back(taken.place);
    assert_eq!((take_all(&mut **share).len(), share.is_done()), (3, true));
    assert_eq!(dir.files().len(), 1);
    found.shares[1].1.found();
    assert_eq!(take_all(&mut *found.shares[1].1).len(), 3);
    assert!(dir.files().is_empty());
}

#[test]
fn any_frame_tells_the_same_when_it_comes_back() {
    let dir = Dir::new("same");
    let dying = queue(&dir.0, 8 << 20);
    let mut random = fastrand::Rng::with_seed(11);
    let given: Vec<_> = (0..500).map(|_| random_frame(&mut random)).collect();
    given.iter().for_each(|frame| offer(&dying, frame.clone()));
    assert_eq!(dying.losses().total(), 0);
    drop(dying);
    let mut found = look(&dir, &[heir(OPS)]);
    let mut back = Vec::new();
    while let Some(taken) = found.shares[0].1.next(Instant::now()) {
        back.extend(records(&taken.stored, |record| told(&record)));
    }
    let id = RecordId { incarnation: 0, sequence: 0 };
    let given: Vec<_> =
        given.iter().map(|frame| told(&RecordRef::new(frame.callsite(), frame.bytes(), 0, id))).collect();
    assert!(back == given);
}

/// All that a record says, but for its id and time.
fn told(record: &RecordRef<'_>) -> String {
    let fields: Vec<_> = record.fields().map(|field| format!("{field:?}")).collect();
    let spans: Vec<_> = record.spans().collect();
    let place = (record.target(), record.module(), record.file(), record.line());
    format!("{:?} {} {place:?} {} {fields:?} {spans:?}", record.severity(), record.thread(), record.message())
}

#[test]
fn records_keep_the_ids_and_times_that_they_were_given_or_would_have_been() {
    let dir = Dir::new("numbers");
    let dying = queue(&dir.0, 1 << 16);
    let at = |nanos: i64| Frame::of(Callsite::Static(sites()[0]), Severity::Info, nanos, |w| w.fields.message_str("x"));
    // Equal times, a small step back, and a clock that was set back by two seconds.
    for nanos in [5_000_000_000, 5_000_000_000, 4_999_999_999, 3_000_000_000, 3_000_000_000, 3_000_000_000] {
        offer(&dying, at(nanos));
    }
    let (mut numbers, mut whole) = (Numbers::new(INCARNATION, true), Vec::new());
    whole.extend(drain(&dying, &mut numbers, 4));
    // What was not drained is numbered by nobody before the process dies.
    let positions = {
        let mut rest = dying.drain();
        [(); 2].map(|()| (rest.next().unwrap().nanos(), rest.position()))
    };
    whole.extend(positions.map(|(nanos, position)| numbers.next(nanos, position)));
    drop(dying);
    // As if they had not been drained: the file says how far that had come.
    let file = fs::OpenOptions::new().write(true).open(dir.ring_file()).unwrap();
    let fourth = whole[4].0.sequence;
    file.write_all_at(&fourth.to_ne_bytes(), place::DRAINED as u64 * 8).unwrap();
    let mut found = look(&dir, &[heir(OPS)]);
    let taken = found.shares[0].1.next(Instant::now()).unwrap();
    assert_eq!(records(&taken.stored, |record| (record.id(), record.unix_nanos())), whole);
}

#[test]
fn each_destination_gets_what_it_owed_and_wants() {
    let dir = Dir::new("each");
    let dying = queue(&dir.0, 1 << 16);
    ["a", "b", "c", "d"].iter().for_each(|text| say(&dying, text));
    offer(&dying, Record::new(Severity::Debug, "fine").target("shop::audit").into_own_frame());
    let given = drain(&dying, &mut Numbers::new(INCARNATION, true), 9);
    let place = |at: usize| given[at].0.sequence;
    dying.release(&[owed(OPS, place(1)), owed(AUDIT, place(3))], place(1));
    drop(dying);
    let audit = Heir { wanted: Targets::new().with_target("shop::audit", LevelFilter::DEBUG), ..heir(AUDIT) };
    let mut found = look(&dir, &[audit, heir(OPS)]);
    let mut all: Vec<_> = found.shares.iter_mut().map(|(heir, share)| (*heir, take_all(&mut **share))).collect();
    all.sort();
    assert_eq!(all, [(0, vec!["fine".to_owned()]), (1, ["b", "c", "d", "fine"].map(str::to_owned).to_vec())]);
}

#[test]
fn batches_keep_within_the_limits_of_the_destination() {
    let dir = Dir::new("limits");
    let dying = queue(&dir.0, 1 << 18);
    (0..100).for_each(|number| say(&dying, &format!("{number:0100}")));
    drop(dying);
    let mut found = look(&dir, &[Heir { records: 7, ..heir(OPS) }, Heir { bytes: 1000, ..heir(AUDIT) }]);
    for (at, (_, share)) in found.shares.iter_mut().enumerate() {
        let mut total = 0;
        while let Some(taken) = share.next(Instant::now()) {
            let bytes: usize = records(&taken.stored, |record| record.message().len()).iter().sum();
            assert!(if at == 0 { taken.stored.len() <= 7 } else { bytes <= 1000 });
            assert_eq!(share.peek().is_none(), total + taken.stored.len() == 100);
            total += taken.stored.len();
        }
        assert_eq!(total, 100);
    }
}

#[test]
fn s8_the_ring_of_a_process_that_lives_is_left_alone() {
    let dir = Dir::new("lives");
    let living = queue(&dir.0, 1 << 16);
    say(&living, "mine");
    let found = look(&dir, &[heir(OPS)]);
    assert!(found.shares.is_empty() && found.remarks.is_empty());
    // Nor is one that was adopted adopted twice.
    drop(living);
    let first = look(&dir, &[heir(OPS), heir(AUDIT)]);
    assert_eq!((first.shares.len(), look(&dir, &[heir(OPS)]).shares.len()), (2, 0));
}

#[test]
fn d2_a_death_during_adoption_repeats_nothing_that_was_settled() {
    let dir = Dir::new("again");
    let dying = queue(&dir.0, 1 << 16);
    (0..10).for_each(|number| say(&dying, &number.to_string()));
    drop(dying);
    let mut all = Vec::new();
    for _ in 0..5 {
        let mut found = look(&dir, &[Heir { records: 2, ..heir(OPS) }, heir(AUDIT)]);
        let taken = found.shares[0].1.next(Instant::now()).unwrap();
        all.extend(messages(&taken.stored));
        found.shares[0].1.settle(taken.place);
        // The next one is under way at that moment.
        found.shares[0].1.next(Instant::now());
    }
    assert_eq!(all, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    let mut found = look(&dir, &[heir(OPS), heir(AUDIT)]);
    assert_eq!(found.shares.len(), 1);
    let (heir, share) = &mut found.shares[0];
    assert_eq!((*heir, share.found(), take_all(&mut **share).len()), (1, 10, 10));
    assert!(dir.files().is_empty());
}

#[test]
fn what_is_owed_to_a_destination_that_is_not_there_is_kept_and_told_once() {
    let dir = Dir::new("absent");
    let dying = queue(&dir.0, 1 << 16);
    ["a", "b"].iter().for_each(|text| say(&dying, text));
    drop(dying);
    let mut orphans = Orphans::new(&dir.0);
    let mut found = orphans.look(&[heir(OPS)], &mut |_| {});
    assert_eq!(found.remarks.len(), 1);
    assert!(found.remarks[0].starts_with("2 records for a destination"), "{}", found.remarks[0]);
    found.shares[0].1.found();
    assert_eq!(take_all(&mut *found.shares[0].1).len(), 2);
    drop(found);
    let found = orphans.look(&[heir(OPS)], &mut |_| {});
    assert!(found.shares.is_empty() && found.remarks.is_empty());
    // It is there again in a later process.
    let mut found = look(&dir, &[heir(OPS), heir(AUDIT)]);
    assert_eq!(found.shares.len(), 1);
    found.shares[0].1.found();
    assert_eq!(take_all(&mut *found.shares[0].1).len(), 2);
    assert!(dir.files().is_empty());
}

#[test]
fn what_was_in_memory_alone_is_told_once_also_where_its_destination_is_not_there() {
    let dir = Dir::new("alone");
    let dying = queue(&dir.0, 1 << 16);
    ["a", "b", "c"].iter().for_each(|text| say(&dying, text));
    let third = drain(&dying, &mut Numbers::new(INCARNATION, true), 9)[2].0.sequence;
    let alone = |fingerprint, waiting, in_flight| Owed { fingerprint, settled: third, waiting, in_flight };
    dying.release(&[alone(OPS, 5, 9), alone(AUDIT, 0, 2)], third);
    assert_eq!(dying.acceptance(), Acceptance::Memory);
    // What is about to stand on disk is not said to be lost.
    dying.release(&[alone(OPS, 2, 0), alone(AUDIT, 1, 1)], third);
    dying.none_in_memory(0);
    drop(dying);
    let mut told = Vec::new();
    let found = Orphans::new(&dir.0).look(&[heir(AUDIT)], &mut |lost| told.push(lost));
    assert_eq!(told, [Lost { fingerprint: AUDIT, heir: Some(0), at_least: 1, in_flight: 1 }]);
    assert_eq!((found.shares.len(), found.remarks.len()), (1, 1), "what the ring has is owed still");
    drop(found);
    let file = fs::OpenOptions::new().write(true).open(dir.ring_file()).unwrap();
    file.write_all_at(&7_u64.to_ne_bytes(), (place::LANES + 2) as u64 * 8).unwrap();
    drop(file);
    told.clear();
    let found = Orphans::new(&dir.0).look(&[heir(AUDIT)], &mut |lost| told.push(lost));
    assert_eq!(told, [Lost { fingerprint: OPS, heir: None, at_least: 7, in_flight: 0 }]);
    drop(found);
    assert_eq!(look(&dir, &[heir(AUDIT)]).shares.len(), 1, "and nothing is told again");
}

#[test]
fn a_ring_from_which_nothing_is_owed_leaves_no_file() {
    let dir = Dir::new("clean");
    let ending = queue(&dir.0, 1 << 16);
    say(&ending, "sent");
    drain(&ending, &mut Numbers::new(INCARNATION, true), 9);
    let end = ending.drained_to().unwrap();
    ending.release(&[owed(OPS, end), owed(AUDIT, end)], end);
    ending.close();
    say(&ending, "late");
    assert_eq!(ending.losses().of(Reason::Shutdown), 1);
    ending.end();
    assert!(dir.files().is_empty());
}

#[test]
fn p12_a_file_that_is_no_ring_is_set_aside_and_not_more_than_a_few_are_kept() {
    let dir = Dir::new("bad");
    let dying = queue(&dir.0, 1 << 16);
    say(&dying, "there");
    drop(dying);
    let whole = fs::read(dir.ring_file()).unwrap();
    fs::remove_file(dir.ring_file()).unwrap();
    let cuts = [0, 1, 95, 96, HEAD_BYTES, HEAD_BYTES + 3, whole.len() / 2, whole.len() - 1];
    for (number, cut) in cuts.into_iter().enumerate() {
        fs::write(dir.0.join(format!("{number:032x}.ring")), &whole[..cut]).unwrap();
    }
    let found = look(&dir, &[heir(OPS)]);
    assert_eq!((found.shares.len(), found.remarks.len()), (0, cuts.len()), "{:?}", found.remarks);
    assert_eq!(dir.files().len(), 4);
    assert!(dir.files().iter().all(|name| name.ends_with(".ring.bad")));
}

#[test]
fn s9_a_ring_of_a_newer_version_is_left_as_it_is() {
    let dir = Dir::new("newer");
    drop(queue(&dir.0, 1 << 16));
    fs::write(dir.0.join("ab.ring"), [*b"logchute", 7_u64.to_ne_bytes()].concat().repeat(300)).unwrap();
    let mut orphans = Orphans::new(&dir.0);
    let found = orphans.look(&[heir(OPS)], &mut |_| {});
    assert!(found.remarks.len() == 1 && found.remarks[0].contains("newer version"), "{:?}", found.remarks);
    assert!(orphans.look(&[heir(OPS)], &mut |_| {}).remarks.is_empty());
    assert_eq!(dir.files(), ["ab.ring"]);
}

#[test]
fn s7_what_was_planted_is_left_alone_and_its_target_untouched() {
    let dir = Dir::new("planted");
    drop(queue(&dir.0, 1 << 16));
    let target = dir.0.join("target");
    fs::write(&target, "precious").unwrap();
    symlink(&target, dir.0.join("a.ring")).unwrap();
    fs::hard_link(&target, dir.0.join("b.ring")).unwrap();
    fs::create_dir(dir.0.join("c.ring")).unwrap();
    let fifo = dir.0.join("d.ring");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let found = look(&dir, &[heir(OPS)]);
    assert_eq!((found.shares.len(), found.remarks.len()), (0, 4), "{:?}", found.remarks);
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert_eq!(dir.files(), ["a.ring", "b.ring", "c.ring", "d.ring", "target"]);
}

#[test]
fn s7_a_directory_that_others_may_enter_is_refused_and_so_is_a_link_to_one() {
    let dir = Dir::new("open");
    fs::create_dir(&dir.0).unwrap();
    let make = |path: &Path| Ring::make(path, INCARNATION, &Resource::new("shop"), 1 << 16).map(|_| ()).unwrap_err();
    for mode in [0o755, 0o777, 0o770] {
        fs::set_permissions(&dir.0, fs::Permissions::from_mode(mode)).unwrap();
        assert!(make(&dir.0).contains("must be 0700"), "{}", make(&dir.0));
        assert!(look(&dir, &[heir(OPS)]).remarks.len() == 1);
    }
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o700)).unwrap();
    let link = dir.0.join("link");
    symlink(&dir.0, &link).unwrap();
    make(&link);
    let file = dir.0.join("file");
    fs::write(&file, "").unwrap();
    make(&file);
    make(&file.join("below"));
    assert_eq!(dir.files(), ["file", "link"]);
}

#[test]
fn p11_the_file_and_its_directory_are_private_and_no_name_is_taken_twice() {
    let dir = Dir::new("private");
    let first = queue(&dir.0.join("made"), 1 << 16);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.0.join("made")), 0o700);
    assert_eq!(mode(&dir.0.join("made").join(format!("{INCARNATION:032x}.ring"))), 0o600);
    let planted = dir.0.join("made").join(format!("{:032x}.ring-new", 5));
    symlink("/nowhere", &planted).unwrap();
    assert!(Ring::make(&dir.0.join("made"), 5, &Resource::new("shop"), 1 << 16).is_err());
    assert!(planted.is_symlink());
    drop(first);
}

#[test]
fn callsites_for_which_the_dictionary_has_no_room_stand_in_their_frames() {
    let dir = Dir::new("sites");
    let dying = queue(&dir.0, 1 << 16);
    let known = Frame::of(Callsite::Static(sites()[0]), Severity::Info, 0, |w| w.fields.i64(Key::indexed(1, || ""), 1));
    offer(&dying, known.clone());
    // More than a dictionary of that ring holds.
    let more: Vec<&'static tracing::Metadata<'static>> = (0..400).map(|_| leaked(sites()[1])).collect();
    for callsite in &more {
        offer(
            &dying,
            Frame::of(Callsite::Static(callsite), Severity::Info, 0, |w| w.fields.i64(Key::indexed(0, || ""), 2)),
        );
    }
    offer(&dying, known);
    assert_eq!(dying.losses().total(), 0);
    drop(dying);
    let mut found = look(&dir, &[heir(OPS)]);
    let mut fields = Vec::new();
    while let Some(taken) = found.shares[0].1.next(Instant::now()) {
        fields.extend(records(&taken.stored, |record| {
            record.fields().map(|field| format!("{}={:?}", field.key, field.value)).collect::<String>()
        }));
    }
    assert_eq!(fields.len(), 402);
    assert_eq!((&*fields[0], &*fields[401]), ("a=I64(1)", "a=I64(1)"));
    assert!(fields[1..401].iter().all(|field| field == "a=I64(2)"));
}

/// Another callsite that says the same.
fn leaked(of: &'static tracing::Metadata<'static>) -> &'static tracing::Metadata<'static> {
    of
}

#[test]
fn a_full_ring_refuses_below_warn_first_and_goes_on_when_something_is_released() {
    let dir = Dir::new("full");
    let queue = queue(&dir.0, 1 << 16);
    while queue.losses().total() == 0 {
        say(&queue, &"x".repeat(500));
    }
    let (used, size) = queue.ring_used().unwrap();
    assert!((size / 10 * 9 - 700..=size / 10 * 9).contains(&used), "{used} of {size}");
    offer(&queue, Record::new(Severity::Warn, "last").into_own_frame());
    assert_eq!((queue.losses().total(), queue.losses().of(Reason::QueueFull)), (1, 1));
    let accepted = queue.accepted(0);
    assert_eq!(queue.queued() as u64, accepted);
    let given = drain(&queue, &mut Numbers::new(INCARNATION, true), usize::MAX);
    assert_eq!((given.len() as u64, queue.queued()), (accepted, 0));
    say(&queue, &"x".repeat(500));
    assert_eq!(queue.losses().total(), 2);
    queue.release(&[], given[9].0.sequence);
    say(&queue, &"x".repeat(500));
    assert_eq!((queue.losses().total(), queue.accepted(accepted)), (2, accepted + 1));
}

#[test]
fn who_waits_for_room_in_a_ring_gets_it_when_something_is_released() {
    let dir = Dir::new("waits");
    let (ring, _) = Ring::make(&dir.0, INCARNATION, &Resource::new("shop"), 1 << 16).unwrap();
    let limit = std::time::Duration::from_secs(60);
    let queue = Queue::with_ring(ring, Overflow::Block(limit));
    let mut pushed = 0;
    while queue.ring_used().is_some_and(|(used, size)| used < size / 10 * 9 - 600) {
        say(&queue, &"x".repeat(500));
        pushed += 1;
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            for _ in 0..20 {
                queue.offer(Record::new(Severity::Info, "x".repeat(500)).into_own_frame(), Severity::Info, true);
            }
        });
        while !waiting.is_finished() {
            pushed -= drain(&queue, &mut Numbers::new(INCARNATION, true), 3).len() as i64;
            queue.release(&[], u64::MAX);
            std::thread::yield_now();
        }
    });
    pushed -= drain(&queue, &mut Numbers::new(INCARNATION, true), usize::MAX).len() as i64;
    assert_eq!((pushed, queue.losses().total()), (-20, 0));
}

/// `cargo test --release --lib --features crash-proof recovery_of_eight -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn recovery_of_eight_mib_is_quick() {
    let dir = Dir::new("quick");
    let dying = queue(&dir.0, 8 << 20);
    while dying.losses().total() == 0 {
        let frame =
            Frame::of(Callsite::Static(sites()[0]), Severity::Info, 1, |w| w.fields.message_str(&"x".repeat(100)));
        offer(&dying, frame);
    }
    let records = dying.accepted(0);
    drop(dying);
    let begun = Instant::now();
    let mut found = look(&dir, &[heir(OPS)]);
    let looked = begun.elapsed();
    let mut read = 0;
    while let Some(taken) = found.shares[0].1.next(Instant::now()) {
        read += taken.stored.len();
        found.shares[0].1.settle(taken.place);
    }
    println!("{records} records of 8 MiB: found in {looked:?}, all read in {:?}", begun.elapsed());
    assert_eq!(read as u64, records);
}

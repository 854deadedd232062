//! S6: what ten thousand dead processes have left holds up no new record and costs no memory; all of it arrives.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use logchute::backend::Ndjson;
use logchute::testing::{Answer, Store};
use logchute::{Builder, Destination, Record, Severity, SpoolUse};

use crate::ends::Way;
use crate::process::Process;
use crate::record::Key;
use crate::scene::{Keeps, Last, Scene};
use crate::support::{Case, Victim, case};
use crate::victim::{Orders, report, say, tell, variable};

/// Records in a segment.
const EACH: usize = 3;
/// Pipelines of one process that leaves segments behind, each with a few open files.
const AT_ONCE: usize = 50;

/// Until the first new record is there, and slack for a busy machine.
const FIRST: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_secs(2);
/// By which the peak of memory may be above that of a process that finds nothing.
const GROWTH_KIB: u64 = 16 << 10;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("s6::a_thousand_old_segments", || story(1_000)),
        case("long::s6::ten_thousand_old_segments", || story(10_000)).ignored("takes long"),
    ]
}

fn story(segments: usize) {
    let arrived: Arc<Mutex<Option<Instant>>> = Arc::default();
    let seen = Arc::clone(&arrived);
    let store = Store::with(move |request| {
        if request.records().iter().any(|record| Key::of(&record.message).is_some()) {
            seen.lock().unwrap().get_or_insert_with(Instant::now);
        }
        Answer::ok()
    });
    store.go_away();
    let mut scene = Scene::new(fastrand::u64(..), Keeps::Spool, store);
    litter_all(&scene, segments);
    scene.store.come_back();

    let baseline = peak_where_nothing_is(scene.seed);
    assert_eq!(scene.files().iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).count(), segments);
    let began = Instant::now();
    let old = scene.files();
    let victim = scene.victim("first", &Way::Kill, Duration::ZERO);
    let mut process = Process::start(victim);
    process.began();
    let deadline = Instant::now() + Duration::from_secs(300);
    while !scene.files().is_disjoint(&old) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    process.let_go();
    let (peak, last) = peak_and_last(&mut process);
    let took = arrived.lock().unwrap().expect("the first new record has arrived") - began;
    println!("s6: {segments} segments, first new record after {took:?}, peak {peak} KiB, without them {baseline} KiB");
    assert!(took <= FIRST + SLACK, "the first new record took {took:?}");
    assert!(peak <= baseline + GROWTH_KIB, "{peak} KiB at the peak, {baseline} KiB where nothing is found");
    scene.assert_nothing_left();
    let messages: BTreeSet<String> = scene.store.messages().into_iter().filter(|it| it.starts_with("old ")).collect();
    assert_eq!(messages.len(), segments * EACH, "all of them arrive");
    assert_eq!(last.count("/destinations/0/adopted"), (segments * EACH) as u64, "{}", last.ledger);
    assert_eq!(last.ledger["balances"], true, "{}", last.ledger);
}

fn peak_where_nothing_is(seed: u64) -> u64 {
    let mut scene = Scene::new(seed, Keeps::Spool, Store::new());
    let mut process = Process::start(scene.victim("first", &Way::Kill, Duration::ZERO));
    process.began();
    process.let_go();
    peak_and_last(&mut process).0
}

fn peak_and_last(process: &mut Process) -> (u64, Last) {
    let peak = process.line().and_then(|line| line.strip_prefix("peak ")?.parse().ok()).expect("a peak");
    (peak, Last::of(0, process))
}

/// Each segment in a directory of its own first, so that nobody looks through those of others while it is made.
fn litter_all(scene: &Scene, segments: usize) {
    let apart = scene.dir().join("apart");
    for from in (0..segments).step_by(AT_ONCE) {
        let to = segments.min(from + AT_ONCE);
        let victim = Victim::new("litter")
            .env("FROM", from.to_string())
            .env("TO", to.to_string())
            .env("APART", &apart)
            .env("TO_URL", format!("{}/ndjson?by=litter", scene.store.url()));
        let mut process = Process::start(victim);
        process.ended_by(&Way::UnderscoreExit);
    }
    make_private(&scene.spool());
    for dir in fs::read_dir(apart).expect("it was made").flatten() {
        for file in fs::read_dir(dir.path()).expect("a directory").flatten() {
            fs::rename(file.path(), scene.spool().join(file.file_name())).expect("it moves");
        }
    }
}

pub(crate) fn make_private(dir: &Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).expect("a directory");
}

/// The victim that leaves segments behind: many pipelines, none of which gets anything delivered.
pub(crate) fn litter() -> Result<(), Box<dyn Error>> {
    let (apart, url): (PathBuf, String) = (variable("APART"), variable("TO_URL"));
    let mut all = Vec::new();
    for number in variable::<usize>("FROM")..variable("TO") {
        let dir = apart.join(number.to_string());
        make_private(&dir);
        let destination = Destination::new(Ndjson::new(&url)).linger(Duration::ZERO);
        let builder = Builder::new().spool_dir(&dir).spool(SpoolUse::Always).service("old");
        let logs = builder.send_to(destination).start()?;
        for n in 0..EACH {
            logs.emit(Record::new(Severity::Info, format!("old {number} {n}")));
        }
        all.push((dir, logs));
    }
    let on_disk = |logs: &logchute::Guard| logs.ledger().destinations[0].owed_disk == EACH as u64;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !all.iter().all(|(_, logs)| on_disk(logs)) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    Way::UnderscoreExit.go();
    Ok(())
}

/// The victim that finds them.
pub(crate) fn first(orders: &Orders) -> Result<(), Box<dyn Error>> {
    let logs = logchute::init()?;
    say(orders, &logs, 0, 0);
    tell("began");
    crate::victim::until_let_go(|| _ = logs.flush(Duration::from_millis(100)));
    tell(&format!("peak {}", peak_kib()));
    report(&logs);
    Ok(())
}

/// The most memory that was resident so far.
pub(crate) fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

//! S3: the disk of the spool has no room: a tmpfs of 4 MiB of which somebody else leaves 0 to 1,024 pages, takes even
//! those while the victim writes, and frees all of it again. The application goes on, each loss is counted, and the
//! spool is used again.
//!
//! The mounts are in a namespace of this test's own, which needs no root where the system allows that.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use logchute::testing::Store;

use crate::auditor::Audit;
use crate::ends::Way;
use crate::process::Process;
use crate::record::THREADS;
use crate::scene::{Keeps, Last, Scene, scratch};
use crate::support::{Case, Victim, case};
use crate::victim::{Orders, report, say, tell, variable};

const PAGE: u64 = 4 << 10;
const PAGES: u64 = 1024;
/// Records of each thread in each of three phases: before the disk is full, while it is, and when it is free again.
const EACH: u64 = 150;
/// Until it is used again, and slack for a busy machine.
const RESUMES: Duration = Duration::from_secs(1 + 2);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("s3::a_full_disk_at_32_sizes", || sweep(32)),
        case("long::s3::a_full_disk_at_1024_sizes", || sweep(PAGES)).ignored("takes long"),
    ]
}

/// Runs itself inside of new namespaces, where it may mount.
fn sweep(sizes: u64) {
    let unshare = |flags: &str| {
        let mut command = Command::new("unshare");
        command.arg(flags);
        command
    };
    // Root needs no user namespace, and some systems allow none.
    let allowed = ["-Urm", "-m"].into_iter().find(|flags| {
        let mounts = unshare(flags).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
        mounts.is_ok_and(|output| output.status.success())
    });
    let Some(flags) = allowed else {
        println!("skipped: nobody may mount a tmpfs here, neither root nor in a user namespace");
        return;
    };
    let mut command = unshare(flags);
    command.arg(std::env::current_exe().expect("a path"));
    let victim = Victim::of(command).env("VICTIM", "in_namespace").env("SIZES", sizes.to_string());
    let mut process = Process::start(victim);
    while let Some(line) = process.line_within(Duration::from_secs(300)) {
        println!("{line}");
    }
    let (status, said) = process.ended();
    assert!(status.success(), "{said}");
}

pub(crate) fn in_namespace() -> Result<(), Box<dyn Error>> {
    let place = scratch().join(format!("logchute-full-{}", std::process::id()));
    fs::create_dir_all(&place)?;
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m,mode=755", "none"]).arg(&place).status()?;
    assert!(mounted.success(), "it may mount here");
    let sizes: u64 = variable("SIZES");
    // The last ones twice as far apart as they would be otherwise, so that 0 and 1,024 are both there.
    for size in 0..sizes {
        let pages = if sizes == PAGES { size } else { size * PAGES / (sizes - 1).max(1) };
        println!("{pages} pages");
        story(&place, pages);
    }
    Command::new("umount").arg(&place).status()?;
    fs::remove_dir(&place)?;
    Ok(())
}

/// What somebody else has on the same disk.
struct Filler<'a>(&'a Path);

impl Filler<'_> {
    fn leave(&self, pages: u64) {
        let mut file = File::create(self.0.join("filler")).expect("a file");
        let page = [1_u8; PAGE as usize];
        // Its own directory entry and the tmpfs's root are not counted in pages.
        for _ in 0..PAGES.saturating_sub(pages) {
            if file.write_all(&page).is_err() {
                break;
            }
        }
    }

    fn fill(&self) {
        let mut file = File::options().append(true).create(true).open(self.0.join("filler")).expect("a file");
        while file.write_all(&[1_u8; PAGE as usize]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("it is there");
    }
}

fn story(place: &Path, pages: u64) {
    // With little memory beside the disk, some is lost, and counted; with more, nothing.
    let small = pages % 2 == 1;
    let mut scene = Scene::new(pages, Keeps::Spool, Store::refusing())
        .var("LOGCHUTE_SPOOL_DIR", place.join("spool").to_string_lossy().into_owned())
        .var("LOGCHUTE_OVERFLOW", "drop_newest")
        .var("LOGCHUTE_QUEUE_BYTES", "8MiB")
        .var("LOGCHUTE_BACKLOG_BYTES", if small { "128KiB" } else { "16MiB" });
    let filler = Filler(place);
    filler.leave(pages);
    let mut process = Process::start(scene.victim("full", &Way::Kill, Duration::ZERO));
    process.began();
    filler.fill();
    process.say("go");
    process.began();
    filler.free();
    let freed = Instant::now();
    process.say("go");
    process.began();
    let used =
        || fs::read_dir(place.join("spool")).into_iter().flatten().flatten().any(|file| is_segment(&file.path()));
    while !used() {
        assert!(freed.elapsed() < RESUMES, "{pages} pages: there is room again, and no use is made of it");
        thread::sleep(Duration::from_millis(10));
    }
    scene.store.come_back();
    process.let_go();
    let last = Last::of(0, &mut process);
    let left: Vec<PathBuf> = fs::read_dir(place.join("spool")).unwrap().flatten().map(|file| file.path()).collect();
    assert!(left.is_empty(), "{pages} pages: left behind: {left:#?}");
    let _ = fs::remove_dir_all(place.join("spool"));
    let audit = Audit::of(&scene);
    let dropped = dropped(&last);
    assert_eq!(last.ledger["balances"], true, "{pages} pages: {:#}", last.ledger);
    assert_eq!(audit.lost().len() as u64, dropped, "{pages} pages: what is lost is counted: {:#}", last.ledger);
    assert!(small || dropped == 0, "{pages} pages: there was memory enough: {:#}", last.ledger);
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "seg") && fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}

fn dropped(last: &Last) -> u64 {
    let of = |pointer: &str| -> u64 {
        let reasons = last.ledger.pointer(pointer).and_then(serde_json::Value::as_object).expect("reasons");
        let severities = reasons.values().filter_map(serde_json::Value::as_object);
        severities.flat_map(|counts| counts.values()).filter_map(serde_json::Value::as_u64).sum()
    };
    of("/queue/dropped") + of("/destinations/0/dropped")
}

/// Three phases, each of which the test begins.
pub(crate) fn victim(orders: &Orders) -> Result<(), Box<dyn Error>> {
    let logs = logchute::init()?;
    let mut lines = std::io::stdin().lock().lines();
    for phase in 0..3 {
        for n in phase * EACH..(phase + 1) * EACH {
            for thread in 0..THREADS {
                say(orders, &logs, thread, n);
            }
        }
        // All of it has come to the spool, or has not.
        let _ = logs.flush(Duration::from_millis(50));
        tell("began");
        let _ = lines.next();
    }
    report(&logs);
    Ok(())
}

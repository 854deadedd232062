//! S7: files that somebody else has put where ours are to be. None of them is followed, written or waited for; the
//! application's records arrive, and what is refused is told.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use logchute::testing::Store;

use crate::ends::Way;
use crate::process::Process;
use crate::record::THREADS;
use crate::scene::{Keeps, Last, Scene};
use crate::segments::make_private;
use crate::support::{Case, case};
use crate::victim::LAST;

/// What must stay as it is.
const PRECIOUS: &[u8] = b"not yours";

/// Puts something where a directory of ours is to be; says whether this machine let it.
type Plant = fn(dir: &Path, target: &Path) -> bool;

/// Instead of the whole directory: it is refused, and memory has to do.
const DIRECTORIES: &[(&str, Plant)] = &[
    ("a_symlink", |dir, target| symlink(target, dir).is_ok()),
    ("a_dangling_symlink", |dir, target| symlink(target.join("nowhere"), dir).is_ok()),
    ("a_file", |dir, _| fs::write(dir, PRECIOUS).is_ok()),
    ("a_fifo", |dir, _| fifo(dir)),
    ("open_to_all", |dir, _| {
        make_private(dir);
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).is_ok()
    }),
    ("open_to_a_group", |dir, _| {
        make_private(dir);
        fs::set_permissions(dir, fs::Permissions::from_mode(0o770)).is_ok()
    }),
    // Only root can give a directory away.
    ("of_another_owner", |dir, _| {
        make_private(dir);
        std::os::unix::fs::chown(dir, Some(65534), Some(65534)).is_ok()
    }),
];

/// In place of a file of ours, whose content stands at `target` by then.
const FILES: &[(&str, Plant)] = &[
    ("a_symlink", |file, target| symlink(target, file).is_ok()),
    ("a_dangling_symlink", |file, target| symlink(target.join("nowhere"), file).is_ok()),
    ("a_hard_link", |file, target| fs::hard_link(target, file).is_ok()),
    ("a_fifo", |file, _| fifo(file)),
    ("a_directory", |file, _| fs::create_dir(file).is_ok()),
    ("an_empty_file", |file, _| fs::write(file, b"").is_ok()),
    ("noise", |file, _| fs::write(file, vec![0xA5; 100_000]).is_ok()),
    ("of_another_owner", |file, target| {
        fs::copy(target, file).is_ok() && std::os::unix::fs::chown(file, Some(65534), Some(65534)).is_ok()
    }),
    ("unreadable", |file, target| {
        fs::copy(target, file).is_ok() && fs::set_permissions(file, fs::Permissions::from_mode(0o000)).is_ok()
    }),
];

/// Names that mean nothing to us, or nearly something.
const NAMES: [&str; 8] = [
    ".seg",
    "..seg",
    "x.lock",
    "0-0-0.seg",
    "00000000000000000000000000000000-0000000000000000-00000000.seg",
    "00000000000000000000000000000000.lock",
    "00000000000000000000000000000000.state",
    "1-1-1.ring",
];

fn fifo(path: &Path) -> bool {
    Command::new("mkfifo").arg("-m600").arg(path).status().is_ok_and(|status| status.success())
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, keeps) in [("spool", Keeps::Spool), ("Ring", Keeps::Ring)] {
        for &(name, plant) in DIRECTORIES {
            cases.push(case(format!("s7::{what}_dir::{name}"), move || instead_of_directory(keeps, plant)));
        }
        for &(name, plant) in FILES {
            cases.push(case(format!("s7::{what}_files::{name}"), move || instead_of_files(keeps, plant)));
        }
        cases.push(case(format!("s7::{what}_names"), move || names(keeps)));
    }
    cases
}

fn place(scene: &Scene) -> PathBuf {
    if scene.keeps == Keeps::Ring { scene.ring() } else { scene.spool() }
}

fn instead_of_directory(keeps: Keeps, plant: Plant) {
    let scene = Scene::new(7, keeps, Store::new());
    let (dir, target) = (place(&scene), scene.dir().join("target"));
    make_private(&target);
    fs::write(target.join("precious"), PRECIOUS).unwrap();
    if !plant(&dir, &target) {
        println!("skipped: this machine does not let it be planted");
        return;
    }
    let last = runs_well(scene, |scene| {
        let there: Vec<_> = fs::read_dir(scene.dir().join("target")).unwrap().flatten().collect();
        assert_eq!(there.len(), 1, "nothing was put there: {there:?}");
        assert_eq!(fs::read(there[0].path()).unwrap(), PRECIOUS);
        if let Ok(entries) = fs::read_dir(place(scene)) {
            assert!(fs::symlink_metadata(place(scene)).unwrap().is_symlink() || entries.count() == 0, "nor here");
        }
    });
    assert!(last.said.contains(dir.to_str().unwrap()), "it is told: {}", last.said);
}

/// Each file that a dead process has left is replaced in turn.
fn instead_of_files(keeps: Keeps, plant: Plant) {
    for which in 0.. {
        let mut scene = Scene::new(7, keeps, Store::refusing());
        scene.dies(&Way::Kill, Duration::from_millis(20));
        scene.store.come_back();
        let Some(file) = scene.files().into_iter().nth(which) else {
            assert!(which > 0, "it has left something");
            return;
        };
        let target = scene.dir().join("target");
        fs::rename(&file, &target).unwrap();
        if !plant(&file, &target) {
            println!("skipped: this machine does not let it be planted");
            return;
        }
        let before = (fs::read(&target).unwrap(), fs::metadata(&target).unwrap().permissions());
        runs_well(scene, |scene| {
            let target = scene.dir().join("target");
            let after = (fs::read(&target).unwrap(), fs::metadata(&target).unwrap().permissions());
            assert!(before == after, "what is behind {} was touched", file.display());
            assert!(!target.join("nowhere").exists());
        });
    }
}

fn names(keeps: Keeps) {
    let scene = Scene::new(7, keeps, Store::new());
    let dir = place(&scene);
    make_private(&dir);
    let long = "x".repeat(250);
    let odd: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(b"\xFF\xFE.seg".to_vec());
    for name in NAMES.into_iter().map(Into::into).chain([long.into(), odd]) {
        fs::write(dir.join(name), PRECIOUS).unwrap();
    }
    fs::create_dir_all(dir.join("directory.seg/x.seg")).unwrap();
    runs_well(scene, |_| {});
}

/// A process that starts there delivers what it logs, and ends well. Of what it finds nothing is asked.
fn runs_well(mut scene: Scene, check: impl FnOnce(&Scene)) -> Last {
    let run = scene.runs();
    let mut process = Process::start(scene.victim("last", &Way::Kill, Duration::ZERO));
    process.began();
    let expected = (LAST * THREADS) as usize;
    let service = crate::record::service(run);
    // Its own, whatever else arrives: waited for by its end, which is bounded.
    process.let_go();
    let last = Last::of(run, &mut process);
    let own = scene.store.records().into_iter().filter(|record| {
        record.get("service_name") == Some(&service.as_str().into()) && record.get("logchute.own").is_none()
    });
    assert_eq!(own.count(), expected, "{}\n{:#}", last.said, last.ledger);
    assert_eq!(last.ledger["balances"], true, "{:#}", last.ledger);
    check(&scene);
    last
}

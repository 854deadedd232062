//! D7: the kernel ends the process because its control group is out of memory. Version 1 or 2, whichever can be written.

use std::fs;
use std::path::{Path, PathBuf};

use crate::auditor::Tally;
use crate::ends::Way;
use crate::kills::{Weather, delay, judge};
use crate::scene::{Keeps, Scene};

/// 64 MiB, of which the victim's own files in memory are a part.
const LIMIT: &str = "67108864";

/// A memory control group, removed with its last process.
struct Group {
    dir: PathBuf,
    kills: &'static str,
}

impl Group {
    /// None where this machine lets nobody make one.
    fn new() -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("logchute-{}-{:x}", std::process::id(), fastrand::u32(..));
        let tries = [
            (root.join("memory").join(&name), "memory.limit_in_bytes", "memory.oom_control"),
            (root.join(&name), "memory.max", "memory.events"),
            (root.join("unified").join(&name), "memory.max", "memory.events"),
        ];
        tries.into_iter().find_map(|(dir, limit, kills)| {
            fs::create_dir(&dir).ok()?;
            let group = Self { dir, kills };
            // Where there is nothing of that name, the group has no controller of memory.
            let usable = group.dir.join(limit).exists() && fs::write(group.dir.join(limit), LIMIT).is_ok();
            // Swap would only make it slow.
            let _ = fs::write(group.dir.join("memory.swap.max"), "0");
            usable.then_some(group)
        })
    }

    /// How many processes the kernel has killed in it.
    fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.dir.join(self.kills)).unwrap_or_default();
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no count in {events:?}"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.dir);
    }
}

pub(crate) fn story(seed: u64, keeps: Keeps) -> Tally {
    let Some(group) = Group::new() else {
        println!("skipped: no memory control group can be made here, neither in version 1 nor 2");
        return Tally::default();
    };
    let mut scene =
        Scene::new(seed, keeps, Weather::Slow.store(seed)).var("GROUP", group.dir.to_string_lossy().into_owned());
    scene.dies(&Way::OutOfMemory, delay(seed, 0));
    assert_eq!(group.kills(), 1, "it was the kernel that killed it");
    judge(scene)
}

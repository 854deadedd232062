//! What is seen from outside.

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::Duration;

use logchute::testing::{Answer, Store};
use serde_json::Value;

use crate::parents::{CHILDREN, FORKS};
use crate::support::{Case, End, Victim, case};

const SLACK: Duration = Duration::from_secs(2);

fn run(role: &str, store: &Store, settings: &[(&str, &str)]) -> End {
    let mut victim = Victim::new(role)
        .env("LOGCHUTE_URL", format!("ndjson+{}/ndjson", store.url()))
        .env("LOGCHUTE_TEE", "off")
        // One connection for each process.
        .env("LOGCHUTE_IN_FLIGHT", "1")
        .env("LOGCHUTE_SHUTDOWN", "10s");
    for (name, value) in settings {
        victim = victim.env(name, value);
    }
    let end = victim.run();
    end.assert_well();
    end
}

/// What the processes said of themselves.
fn said(end: &End) -> Vec<Value> {
    end.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The ledgers of all processes of that name.
fn ledgers(end: &End, who: &str) -> Vec<Value> {
    let of = |said: &Value| {
        assert!(said["settled"] == true && said["ledger"]["balances"] == true, "{end:#?}");
        said["ledger"].clone()
    };
    said(end).iter().filter(|said| said["who"] == who).map(of).collect()
}

fn delivered(ledger: &Value) -> u64 {
    ledger["destinations"][0]["delivered"].as_u64().unwrap()
}

fn strayed(ledger: &Value) -> u64 {
    ledger["queue"]["dropped"]["fork"]["info"].as_u64().unwrap_or(0)
}

fn own(ledger: &Value) -> u64 {
    ledger["own"].as_u64().unwrap()
}

/// Messages that begin so, sorted.
fn messages(store: &Store, who: &str) -> Vec<String> {
    let mut messages: Vec<_> = store.messages().into_iter().filter(|message| message.starts_with(who)).collect();
    messages.sort();
    messages
}

fn numbered(who: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{who} {n:04}")).collect()
}

/// The incarnations of records whose messages begin so.
fn incarnations(store: &Store, who: &str) -> BTreeSet<String> {
    let of = store.records().into_iter().filter(|record| record.message.starts_with(who));
    of.map(|record| record.id.unwrap()[..32].to_owned()).collect()
}

fn status(end: &End) -> i64 {
    said(end).iter().find_map(|said| said["status"].as_i64()).unwrap_or_else(|| panic!("{end:#?}"))
}

/// A child that loses nothing, with a connection and ids of its own, while the parent keeps what it has.
fn whole(role: &str) {
    whole_with(role, &[]);
}

fn whole_with(role: &str, settings: &[(&str, &str)]) {
    let store = Store::new();
    let end = run(role, &store, settings);
    assert_eq!(messages(&store, "child"), numbered("child", 1_000), "{end:#?}");
    assert_eq!(messages(&store, "parent"), numbered("parent", 2));
    let (child, parent) = (&ledgers(&end, "child")[0], &ledgers(&end, "parent")[0]);
    assert_eq!((delivered(child), strayed(child)), (1_000, 0), "{child}");
    assert_eq!(delivered(parent), 2, "{parent}");
    assert_eq!(store.connections(), 2, "the parent's is its own");
    assert!(incarnations(&store, "child").is_disjoint(&incarnations(&store, "parent")));
    assert_eq!(status(&end), 0);
    // Where there is no tmpfs.
    let told: Vec<_> = end.said().into_iter().filter(|line| !line.contains("is not on tmpfs")).collect();
    assert_eq!(told, [""; 0], "nothing was lost, so there is nothing to say");
}

/// A directory that is gone with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let tmpfs = Some(PathBuf::from("/dev/shm")).filter(|dir| dir.is_dir());
        let dir = tmpfs.unwrap_or_else(std::env::temp_dir).join(format!("logchute-fork-{}-{name}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
        Self(dir)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// With a ring, and with a spool: children have files of their own there.
#[cfg(target_os = "linux")]
fn with_files() -> Vec<Case> {
    let mut cases = Vec::new();
    for role in ["after_fork", "noticed", "at_once_with_a_ring"] {
        cases.push(case(format!("with_a_ring_a_child_loses_nothing_whether_it_is_aware_or_not::{role}"), move || {
            let dir = Dir::new(&format!("ring-{role}"));
            whole_with(role, &[("LOGCHUTE_RING_DIR", dir.path())]);
            assert!(dir.is_empty(), "nothing is owed, so no file is left");
        }));
    }
    cases.push(case("with_a_spool_and_a_ring_eight_children_lose_nothing", || {
        let (ring, spool) = (Dir::new("ring-pre-fork"), Dir::new("spool-pre-fork"));
        let settings =
            [("LOGCHUTE_RING_DIR", ring.path()), ("LOGCHUTE_SPOOL_DIR", spool.path()), ("LOGCHUTE_SPOOL", "always")];
        let store = Store::new();
        let end = run("pre_fork", &store, &settings);
        assert_eq!(ledgers(&end, "child").len(), CHILDREN, "{end:#?}");
        assert_eq!(messages(&store, "child").len(), CHILDREN * 500, "{end:#?}");
        assert_eq!(store.distinct(), CHILDREN * 500 + 2, "no two have the same id");
    }));
    for what in ["LOGCHUTE_RING_DIR", "LOGCHUTE_SPOOL_DIR"] {
        cases.push(case(format!("what_a_dead_parent_owed_is_taken_over_while_its_child_lives::{what}"), move || {
            let (dir, marks) = (Dir::new(what), Dir::new(&format!("marks-{what}")));
            let gone = marks.0.join("gone");
            let store = Store::refusing();
            // Its records are refused, and it is gone; the child goes on, and sends what it finds once the store is back.
            let settings = [(what, dir.path()), ("LOGCHUTE_SHUTDOWN", "500ms"), ("GONE", gone.to_str().unwrap())];
            std::thread::scope(|scope| {
                let comes_back = || {
                    let patience = std::time::Instant::now() + Duration::from_secs(30);
                    while !gone.exists() {
                        assert!(std::time::Instant::now() < patience, "the parent does not end");
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    store.come_back();
                };
                scope.spawn(comes_back);
                run("outlived", &store, &settings);
            });
            assert_eq!(messages(&store, "parent"), numbered("parent", 10));
            assert_eq!(messages(&store, "child"), numbered("child", 1));
        }));
    }
    cases
}

pub(crate) fn all() -> Vec<Case> {
    let mut cases = vec![
        case("after_fork_loses_nothing_from_the_first_record_on", || whole("after_fork")),
        case("init_in_a_child_is_after_fork", || whole("init_in_the_child")),
        case("a_child_is_noticed_by_the_silence_of_the_worker_and_loses_nothing_from_then_on", || whole("noticed")),
        case("what_a_child_logs_before_it_is_noticed_is_counted_as_fork_and_told", || {
            let store = Store::new();
            let end = run("at_once", &store, &[]);
            let child = &ledgers(&end, "child")[0];
            assert!(strayed(child) > 0, "a thousand records take less than 0.2 s: {child}");
            assert_eq!(delivered(child) - own(child) + strayed(child), 1_010, "{child}");
            assert_eq!(messages(&store, "child").len() as u64, delivered(child) - own(child));
            assert!(messages(&store, "child").contains(&"child 1009".to_owned()));
            let told = end.said();
            assert!(told.iter().any(|line| line.contains("records dropped: fork") && line.contains("after_fork()")));
            assert_eq!(delivered(&ledgers(&end, "parent")[0]), 2, "the parent sends nothing of it");
        }),
        case("a_child_that_ends_before_it_is_noticed_tells_what_it_lost", || {
            let store = Store::new();
            let end = run("gone_before_it_is_noticed", &store, &[]);
            let told: Vec<_> = end.said();
            assert_eq!(told.len(), 1, "{end:#?}");
            assert!(told[0].starts_with("at the end up to 10 records of a child were dropped: fork"), "{end:#?}");
            assert_eq!((messages(&store, "child").len(), messages(&store, "parent").len()), (0, 2));
        }),
        case("grandchildren_have_pipelines_of_their_own", || {
            let store = Store::new();
            let end = run("generations", &store, &[]);
            for (who, count) in [("child", 20), ("grandchild", 10), ("of_unheard", 10), ("parent", 2)] {
                assert_eq!(messages(&store, who), numbered(who, count), "{end:#?}");
                let ledger = &ledgers(&end, who)[0];
                assert_eq!((delivered(ledger), strayed(ledger)), (count as u64, 0), "{who}: {ledger}");
                assert_eq!(incarnations(&store, who).len(), 1, "{who}");
            }
            assert_eq!(store.connections(), 4);
            assert_eq!(store.distinct(), 42);
        }),
    ];
    #[cfg(target_os = "linux")]
    cases.extend(with_files());
    for role in ["pre_fork", "pre_fork_unaware"] {
        cases.push(case(format!("eight_children_with_two_threads_each::{role}"), move || {
            let store = Store::new();
            let end = run(role, &store, &[]);
            let children = ledgers(&end, "child");
            assert_eq!(children.len(), CHILDREN, "{end:#?}");
            assert!(children.iter().all(|child| (delivered(child), strayed(child)) == (500, 0)), "{children:#?}");
            assert_eq!(messages(&store, "child").len(), CHILDREN * 500);
            assert_eq!(store.distinct(), CHILDREN * 500 + 2, "no two have the same id");
            assert_eq!(incarnations(&store, "child").len(), CHILDREN);
            assert_eq!(store.connections(), CHILDREN + 1);
        }));
    }
    cases.push(case("forks_while_four_threads_log_neither_hang_nor_cost_the_parent_a_record", || {
        let store = Store::counting();
        let end = run("busy", &store, &[("LOGCHUTE_OVERFLOW", "block:10s"), ("LOGCHUTE_IN_FLIGHT", "4")]);
        let said = said(&end);
        let counts = said.iter().find(|said| said.get("logged").is_some()).unwrap_or_else(|| panic!("{end:#?}"));
        let (logged, from_children) = (counts["logged"].as_u64().unwrap(), counts["from_children"].as_u64().unwrap());
        assert_eq!(from_children, FORKS as u64 / 2 * 3);
        let parent = &ledgers(&end, "parent")[0];
        assert_eq!(delivered(parent) - own(parent), logged, "{parent}");
        // A child that was not aware may announce what the parent's threads logged at the moment of the fork as well.
        let least = logged + from_children;
        assert!((least..=least + FORKS as u64).contains(&(store.count() as u64)), "{} {least}", store.count());
    }));
    cases.push(case("a_full_queue_of_the_parent_holds_up_no_child", || {
        let store = Store::with(|_| Answer::silence());
        let settings =
            [("LOGCHUTE_OVERFLOW", "block:1h"), ("LOGCHUTE_QUEUE_BYTES", "64KiB"), ("LOGCHUTE_BACKLOG_BYTES", "1MiB")];
        assert_eq!(status(&run("full", &store, &settings)), 0);
    }));
    cases.push(case("without_a_pipeline_of_its_own_no_call_of_a_child_waits", || {
        let store = Store::new();
        let end = run("calls", &store, &[]);
        assert_eq!(status(&end), 0, "{end:#?}");
        assert_eq!(messages(&store, "").len(), 2, "{end:#?}");
    }));
    cases.push(case("the_doctor_comes_to_a_child", || {
        let store = Store::new();
        let end = run("doctor", &store, &[]);
        assert_eq!((status(&end), store.connections()), (0, 2), "{end:#?}");
    }));
    cases.push(case("what_was_shut_down_before_the_fork_stays_so", || {
        let store = Store::new();
        run("shut_down_before", &store, &[]);
        assert_eq!((store.count(), store.connections()), (1, 1));
    }));
    cases.push(case(
        "a_child_that_logged_nothing_waits_for_nothing_at_its_exit_and_any_other_for_its_own_limit",
        || {
            let limit = Duration::from_secs(3);
            for (role, most) in [("silent_child", Duration::ZERO), ("logging_child", limit)] {
                let store = Store::with(|_| Answer::silence());
                let end = run(role, &store, &[("LOGCHUTE_SHUTDOWN", "3s")]);
                let took = said(&end).iter().find_map(|said| said["millis"].as_u64()).unwrap();
                assert!(Duration::from_millis(took) < most + SLACK, "{role}: {end:#?}");
                assert_eq!(status(&end), 0);
            }
        },
    ));
    cases.push(case("a_tee_alone_is_written_whole_by_children_of_threads_that_write_it", || {
        let end = Victim::new("tee_alone").env("LOGCHUTE_TEE", "stdout:json").run();
        end.assert_well();
        let lines = said(&end);
        assert_eq!(lines.len(), end.stdout.lines().count(), "a line is torn");
        let count = |what: &str| {
            let fits = |line: &&Value| line["message"].as_str().is_some_and(|message| message.starts_with(what));
            lines.iter().filter(fits).count()
        };
        assert_eq!(count("child"), 50 * 20);
        assert_eq!(count(&format!("logged {}", count("busy"))), 1, "all that the threads logged is there");
    }));
    cases.push(case(
        "a_signal_ends_a_child_with_a_pipeline_and_two_end_one_without_and_neither_ends_the_parent",
        || {
            for (role, count) in [("signal_once", 10), ("signal_twice", 0)] {
                let store = Store::new();
                let end = run(role, &store, &[("LOGCHUTE_SIGNALS", "exit")]);
                assert_eq!(status(&end), 128 + 15, "{role}: {end:#?}");
                assert_eq!(messages(&store, "child"), numbered("child", count), "{role}: {end:#?}");
                assert_eq!(messages(&store, "parent"), numbered("parent", 2));
            }
        },
    ));
    for (way, code, aware) in [
        ("return", 3, true),
        ("exit", 3, true),
        ("panic", 101, true),
        ("panic_at_once", 101, false),
        ("_exit", 3, true),
        ("exec", 3, true),
        ("exec_at_once", 3, false),
        ("killed", -9, true),
    ] {
        cases.push(case(format!("a_child_ends::{way}"), move || {
            let store = Store::new();
            let end = run(way, &store, &[]);
            assert_eq!(status(&end), code, "{end:#?}");
            let (mine, theirs) = (messages(&store, "child"), messages(&store, "parent"));
            assert_eq!(mine, numbered("child", if aware { 10 } else { 0 }), "{end:#?}");
            assert_eq!((theirs.len(), messages(&store, "the parent goes on").len()), (2, 1), "{end:#?}");
            let fatal = store.records().into_iter().filter(|record| record.level == "fatal").count();
            assert_eq!(fatal, usize::from(code == 101), "{end:#?}");
        }));
    }
    cases
}

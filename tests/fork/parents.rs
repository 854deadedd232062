//! The victims: parents that log, fork, and wait for their children.

use std::ops::Range;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use logchute::{Guard, Handle, Severity};
use signal_hook::consts::SIGTERM;
use signal_hook::low_level::raise;

use super::calls::{end_now, fork, kill, say, wait};

/// A child that lives longer hangs.
const WATCHDOG: Duration = Duration::from_secs(10);
/// After this the parent's worker was not heard of for long enough, whatever it was doing at the fork.
const UNHEARD: Duration = Duration::from_millis(300);
pub(crate) const CHILDREN: usize = 8;
pub(crate) const FORKS: usize = 200;

/// By both facades in turn.
fn log(who: &str, numbers: Range<usize>) {
    for n in numbers {
        if n % 2 == 0 {
            tracing::info!("{who} {n:04}");
        } else {
            log::info!("{who} {n:04}");
        }
    }
}

/// Says what became of the records of this process, once all is settled.
fn report(who: &str, logs: &Handle) {
    let report = logs.flush(Duration::from_secs(30));
    let ledger = report.ledger();
    say(&format!(r#"{{"who":"{who}","settled":{},"ledger":{}}}"#, report.settled(), ledger.to_json()));
}

fn parent() -> Guard {
    let logs = logchute::init().unwrap();
    log("parent", 0..1);
    let _ = logs.flush(Duration::from_secs(30));
    logs
}

/// Forks; the child does `child` and returns `None`, to end in whatever way its caller does.
fn with_child(child: impl FnOnce()) -> Option<i32> {
    match fork() {
        0 => {
            child();
            None
        }
        pid => Some(pid),
    }
}

/// The rest of a parent that has one child.
fn finish(logs: &Handle, child: i32) -> ExitCode {
    let status = match wait(child, WATCHDOG) {
        Ok(status) => status,
        Err(hung) => {
            eprintln!("{hung}");
            return ExitCode::FAILURE;
        }
    };
    log("parent", 1..2);
    report("parent", logs);
    say(&format!(r#"{{"status":{status}}}"#));
    ExitCode::SUCCESS
}

pub(crate) fn victim(role: &str) -> ExitCode {
    match role {
        "after_fork" => {
            let logs = parent();
            assert!(logs.after_fork().is_ok(), "nothing to do in the parent");
            let child = with_child(|| {
                logs.after_fork().unwrap();
                log("child", 0..1_000);
                report("child", &logs);
            });
            child.map_or(ExitCode::SUCCESS, |child| finish(&logs, child))
        }
        "init_in_the_child" => {
            let logs = parent();
            let child = with_child(|| {
                let logs = logchute::init().unwrap();
                log("child", 0..1_000);
                report("child", &logs);
            });
            child.map_or(ExitCode::SUCCESS, |child| finish(&logs, child))
        }
        "at_once_with_a_ring" => {
            let logs = parent();
            let child = with_child(|| {
                log("child", 0..1_000);
                report("child", &logs);
            });
            child.map_or(ExitCode::SUCCESS, |child| finish(&logs, child))
        }
        "outlived" => {
            let logs = logchute::init().unwrap();
            log("parent", 0..10);
            let parent = std::process::id();
            let _ = with_child(|| {
                logs.after_fork().unwrap();
                log("child", 0..1);
                let patience = Instant::now() + 3 * WATCHDOG;
                while std::os::unix::process::parent_id() == parent && Instant::now() < patience {
                    thread::sleep(Duration::from_millis(5));
                }
                std::fs::write(std::env::var("GONE").unwrap(), "").unwrap();
                // Who flushes looks for what others left.
                while logs.ledger().destinations[0].adopted < 10 && Instant::now() < patience {
                    let _ = logs.flush(Duration::from_millis(200));
                }
                let _ = logs.flush(WATCHDOG);
            });
            ExitCode::SUCCESS
        }
        "noticed" => {
            let logs = parent();
            let child = with_child(|| {
                thread::sleep(UNHEARD);
                log("child", 0..1_000);
                report("child", &logs);
            });
            child.map_or(ExitCode::SUCCESS, |child| finish(&logs, child))
        }
        "at_once" => {
            let logs = parent();
            let child = with_child(|| {
                log("child", 0..1_000);
                thread::sleep(UNHEARD);
                log("child", 1_000..1_010);
                report("child", &logs);
            });
            child.map_or(ExitCode::SUCCESS, |child| finish(&logs, child))
        }
        "gone_before_it_is_noticed" => {
            let logs = parent();
            let child = with_child(|| log("child", 0..10));
            child.map_or(ExitCode::SUCCESS, |child| finish(&logs, child))
        }
        "generations" => {
            let logs = parent();
            let Some(child) = with_child(|| ()) else {
                logs.after_fork().unwrap();
                log("child", 0..10);
                // Otherwise what was handed over right before the fork counts as the grandchild's as well.
                let _ = logs.flush(WATCHDOG);
                let Some(grandchild) = with_child(|| ()) else {
                    thread::sleep(UNHEARD);
                    log("grandchild", 0..10);
                    report("grandchild", &logs);
                    return ExitCode::SUCCESS;
                };
                assert_eq!(wait(grandchild, WATCHDOG), Ok(0));
                // One from a child that never logged.
                let Some(unheard) = with_child(|| ()) else {
                    let Some(of_unheard) = with_child(|| ()) else {
                        logs.after_fork().unwrap();
                        log("of_unheard", 0..10);
                        report("of_unheard", &logs);
                        return ExitCode::SUCCESS;
                    };
                    assert_eq!(wait(of_unheard, WATCHDOG), Ok(0));
                    return ExitCode::SUCCESS;
                };
                assert_eq!(wait(unheard, WATCHDOG), Ok(0));
                log("child", 10..20);
                report("child", &logs);
                return ExitCode::SUCCESS;
            };
            finish(&logs, child)
        }
        "pre_fork" | "pre_fork_unaware" => pre_fork(role == "pre_fork"),
        "busy" => busy(),
        "full" => full(),
        "calls" => {
            let logs = parent();
            let child = with_child(|| {
                let began = Instant::now();
                let report = logs.flush(Duration::from_secs(60));
                assert!(report.settled() && report.ledger().emitted == 0, "{report}");
                assert_eq!(logs.ledger(), logchute::Ledger::default());
                assert!(!logs.health().is_well() && logs.health().destinations.is_empty());
                assert!(logs.set_filter("debug").is_ok() && logs.set_filter("=").is_err());
                assert!(logs.shutdown(Duration::from_secs(60)).settled());
                assert!(began.elapsed() < WATCHDOG);
                log("refused", 0..1);
                thread::sleep(UNHEARD);
                log("refused", 1..2);
                assert!(logs.after_fork().is_ok(), "it was shut down, and stays so");
                log("refused", 2..3);
            });
            child.map_or(ExitCode::SUCCESS, |child| finish(&logs, child))
        }
        "doctor" => {
            let logs = parent();
            let child = with_child(|| assert!(logs.doctor().is_well()));
            child.map_or(ExitCode::SUCCESS, |child| finish(&logs, child))
        }
        "shut_down_before" => {
            let logs = parent();
            let _ = logs.shutdown(Duration::from_secs(30));
            let child = with_child(|| {
                let _ = logs.after_fork();
                thread::sleep(UNHEARD);
                log("refused", 0..3);
            });
            child.map_or(ExitCode::SUCCESS, |child| {
                assert_eq!(wait(child, WATCHDOG), Ok(0));
                ExitCode::SUCCESS
            })
        }
        "silent_child" | "logging_child" => {
            let logs = logchute::init().unwrap();
            log("parent", 0..1);
            let began = Instant::now();
            let child = with_child(|| {
                if role == "logging_child" {
                    logs.after_fork().unwrap();
                    log("child", 0..1);
                }
            });
            let Some(child) = child else { std::process::exit(0) };
            let status = wait(child, WATCHDOG);
            say(&format!(r#"{{"status":{},"millis":{}}}"#, status.unwrap(), began.elapsed().as_millis()));
            end_now(0)
        }
        "tee_alone" => tee_alone(),
        "signal_once" | "signal_twice" => {
            let logs = parent();
            let child = with_child(|| {
                if role == "signal_once" {
                    logs.after_fork().unwrap();
                    log("child", 0..10);
                }
                raise(SIGTERM).unwrap();
                if role == "signal_twice" {
                    raise(SIGTERM).unwrap();
                }
                thread::sleep(3 * WATCHDOG);
            });
            child.map_or(ExitCode::FAILURE, |child| finish(&logs, child))
        }
        end => ends(end),
    }
}

/// A server that forks its workers before they work.
fn pre_fork(aware: bool) -> ExitCode {
    let logs = parent();
    let mut children = Vec::new();
    for child in 0..CHILDREN {
        match fork() {
            0 => {
                if aware {
                    logs.after_fork().unwrap();
                } else {
                    thread::sleep(UNHEARD);
                }
                thread::scope(|scope| {
                    for thread in 0..2 {
                        scope.spawn(move || log(&format!("child {child}.{thread}"), 0..250));
                    }
                });
                report("child", &logs);
                return ExitCode::SUCCESS;
            }
            pid => children.push(pid),
        }
    }
    for child in children {
        assert_eq!(wait(child, 3 * WATCHDOG), Ok(0));
    }
    log("parent", 1..2);
    report("parent", &logs);
    ExitCode::SUCCESS
}

/// Threads that do something again and again until they are stopped.
struct Busy {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    fn start(work: impl Fn(u64) + Clone + Send + 'static) -> Self {
        let (stop, count, running) = (Arc::default(), Arc::default(), Arc::new(Barrier::new(5)));
        let threads = (0..4)
            .map(|_| {
                let (stop, count) = (Arc::<AtomicBool>::clone(&stop), Arc::<AtomicU64>::clone(&count));
                let (running, work) = (Arc::clone(&running), work.clone());
                thread::spawn(move || {
                    running.wait();
                    while !stop.load(Ordering::Relaxed) {
                        work(count.fetch_add(1, Ordering::Relaxed));
                    }
                })
            })
            .collect();
        running.wait();
        Self { stop, count, threads }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.count.load(Ordering::Relaxed)
    }
}

/// Forks again and again while four threads log as fast as they can.
fn busy() -> ExitCode {
    let logs = parent();
    // Each in 64 is an ERROR, which wakes the worker.
    let work = |n: u64| if n.is_multiple_of(64) { tracing::error!("busy {n}") } else { tracing::info!("busy {n}") };
    let busy = Busy::start(work);
    let mut from_children = 0;
    for round in 0..FORKS {
        let pid = fork();
        if pid == 0 {
            match round % 4 {
                0 => end_now(0),
                1 => {
                    logs.after_fork().unwrap();
                    log("child", 0..3);
                    assert!(logs.flush(Duration::from_secs(8)).settled());
                    std::process::exit(0)
                }
                2 => {
                    tracing::error!("into the void");
                    std::process::exit(0)
                }
                _ => {
                    // Another thread of the child asks for the pipeline at the same moment.
                    thread::sleep(UNHEARD);
                    let other = thread::spawn(|| log("child", 0..1));
                    log("child", 1..3);
                    other.join().unwrap();
                    let report = logs.flush(Duration::from_secs(8));
                    assert!(report.settled() && report.ledger().balances(), "{report}");
                    std::process::exit(0)
                }
            }
        }
        from_children += if round % 2 == 1 { 3 } else { 0 };
        match wait(pid, WATCHDOG) {
            Ok(0) => {}
            other => {
                eprintln!("round {round}: {other:?}");
                return ExitCode::FAILURE;
            }
        }
    }
    let from_threads = busy.stop();
    report("parent", &logs);
    say(&format!(r#"{{"logged":{},"from_children":{from_children}}}"#, from_threads + 1));
    ExitCode::SUCCESS
}

/// The queue is full, and callers wait for room in it, when the child is forked.
fn full() -> ExitCode {
    let logs = logchute::init().unwrap();
    let waiting = Busy::start(|n| tracing::info!("{n} {}", "x".repeat(4_000)));
    let mut before = 0;
    loop {
        thread::sleep(Duration::from_millis(100));
        let now = waiting.count.load(Ordering::Relaxed);
        if now == before {
            break;
        }
        before = now;
    }
    let child = with_child(|| {
        tracing::info!("{}", "y".repeat(4_000));
        let _ = logs.flush(Duration::from_secs(60));
    });
    let Some(child) = child else { end_now(0) };
    say(&format!(r#"{{"status":{}}}"#, wait(child, WATCHDOG).unwrap()));
    end_now(0)
}

/// No destination: threads write to stdout, and hold its lock nearly all the time.
fn tee_alone() -> ExitCode {
    let logs = logchute::init().unwrap();
    let filler = "x".repeat(3_000);
    let busy = Busy::start(move |n| tracing::info!(filler, "busy {n}"));
    for round in 0..50 {
        let pid = fork();
        if pid == 0 {
            if round % 2 == 0 {
                logs.after_fork().unwrap();
            }
            let other = thread::spawn(move || log(&format!("child {round}.1"), 0..10));
            log(&format!("child {round}.0"), 0..10);
            other.join().unwrap();
            let ledger = logs.ledger();
            if ledger.emitted != 20 || ledger.lost() > 0 || !ledger.balances() {
                say(&format!("round {round}: {ledger}"));
                std::process::exit(1);
            }
            std::process::exit(0);
        }
        let ended = wait(pid, WATCHDOG);
        if ended != Ok(0) {
            eprintln!("round {round}: {ended:?}");
            return ExitCode::FAILURE;
        }
    }
    let count = busy.stop();
    say(&format!(r#"{{"message":"logged {count}"}}"#));
    ExitCode::SUCCESS
}

/// A child with ten records that ends in that way.
fn ends(way: &str) -> ExitCode {
    let logs = parent();
    let Some(child) = with_child(|| ()) else {
        if way != "panic_at_once" && way != "exec_at_once" {
            logs.after_fork().unwrap();
            log("child", 0..10);
        }
        match way {
            "return" => return ExitCode::from(3),
            "exit" => std::process::exit(3),
            "panic" | "panic_at_once" => panic!("the child's last words"),
            "_exit" => {
                let _ = logs.flush(WATCHDOG);
                end_now(3)
            }
            "exec" | "exec_at_once" => {
                let _ = logs.flush(WATCHDOG);
                let error = Command::new("/bin/sh").args(["-c", "exit 3"]).exec();
                panic!("{error}")
            }
            "killed" => {
                let _ = logs.flush(WATCHDOG);
                say("ready");
                loop {
                    thread::sleep(WATCHDOG);
                }
            }
            _ => unreachable!("{way}"),
        }
    };
    if way == "killed" {
        // Its store has all ten once it says so; the parent cannot hear that, the test does.
        thread::sleep(Duration::from_secs(1));
        kill(child, libc::SIGKILL);
    }
    let emitted = || logs.emit(logchute::Record::new(Severity::Info, "the parent goes on"));
    emitted();
    finish(&logs, child)
}

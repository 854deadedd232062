//! SIGTERM and SIGINT, in each mode, with a store that is up, away, silent or slow.
//!
//! Mode `exit`: the process ends within its limit, with 128 and the signal's number; with the store up nothing is lost.
//! Mode `flush`: what is owed is sent at once, and the process goes on. Whatever other handlers there are still run.

#[cfg(unix)]
mod support;

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    if let Some(role) = support::role() {
        return victims::victim(&role);
    }
    support::run(cases::all());
    std::process::ExitCode::SUCCESS
}

#[cfg(unix)]
mod cases {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;
    use std::time::Duration;

    use logchute::testing::{Answer, Store};

    use super::support::{Case, End, Victim, case};
    use super::victims::RECORDS;

    /// `LOGCHUTE_SHUTDOWN`, what the end may take beyond it, and slack for a busy machine.
    const LIMIT: Duration = Duration::from_secs(1);
    const BEYOND: Duration = Duration::from_millis(200);
    const SLACK: Duration = Duration::from_secs(2);

    const TERM: i32 = 128 + 15;
    const INT: i32 = 128 + 2;

    fn store(what: &str) -> Store {
        match what {
            "up" => Store::new(),
            "refused" => Store::refusing(),
            "silent" => Store::with(|_| Answer::silence()),
            "a_byte_a_second" => Store::with(|_| Answer::drip(Duration::from_secs(1))),
            _ => unreachable!("{what}"),
        }
    }

    fn victim(role: &str, mode: &str, store: &Store) -> Victim {
        with_settings(Victim::new(role), mode, store)
    }

    fn with_settings(victim: Victim, mode: &str, store: &Store) -> Victim {
        victim
            .env("LOGCHUTE_URL", format!("ndjson+{}/ndjson", store.url()))
            .env("LOGCHUTE_SHUTDOWN", format!("{}ms", LIMIT.as_millis()))
            .env("LOGCHUTE_SIGNALS", mode)
            .env("LOGCHUTE_TEE", "off")
    }

    fn assert_all(store: &Store, end: &End) {
        let mut messages = store.messages();
        messages.sort();
        assert_eq!(messages, (0..RECORDS).map(|n| format!("record {n:03}")).collect::<Vec<_>>(), "{end:#?}");
    }

    fn exit(what: &str, role: &str, code: i32) {
        let store = store(what);
        let limit = if what == "up" { "10s" } else { "1s" };
        let end = victim(role, "exit", &store).env("LOGCHUTE_SHUTDOWN", limit).run();
        assert_eq!(end.status.code(), Some(code), "{end:#?}");
        if what == "up" {
            assert_all(&store, &end);
            assert_eq!(end.stderr, "", "nothing was lost, so there is nothing to say");
        } else {
            assert!(end.took < LIMIT + BEYOND + SLACK, "{end:#?}");
            assert!(end.took > LIMIT / 2, "it did not even try: {end:#?}");
            let lost = format!("at the end {RECORDS} records were lost");
            assert!(end.said().iter().any(|line| line.starts_with(&lost)), "{end:#?}");
        }
    }

    fn flush(what: &str) {
        let store = store(what);
        // Nothing but the signal sends them.
        let end = victim("goes_on", "flush", &store).env("LOGCHUTE_LINGER", "5m").run();
        end.assert_well();
        assert!(end.stdout.contains("goes on"), "{end:#?}");
        assert!(end.took < LIMIT + BEYOND + SLACK, "{end:#?}");
        if what == "up" {
            assert!(end.stdout.contains("all is settled"), "{end:#?}");
            assert_eq!(store.count(), RECORDS + 1, "{end:#?}");
        }
        assert!(!end.said().iter().any(|line| line.contains("LOGCHUTE_SIGNALS")), "it has a handler: {end:#?}");
    }

    pub(super) fn all() -> Vec<Case> {
        let mut cases = Vec::new();
        for what in ["up", "refused", "silent", "a_byte_a_second"] {
            cases.push(case(format!("d5_exit::{what}"), move || exit(what, "term", TERM)));
            cases.push(case(format!("flush::{what}"), move || flush(what)));
        }
        cases.push(case("sigint_is_answered_as_well", || exit("up", "int", INT)));
        cases.push(case("off_leaves_signals_alone", || {
            for mode in ["off", ""] {
                let end = victim("term", mode, &Store::new()).run();
                assert_eq!(end.status.signal(), Some(15), "{end:#?}");
            }
        }));
        cases.push(case("a_second_signal_ends_at_once", || {
            for (role, code) in [("term_term", TERM), ("term_int", INT)] {
                let end = victim(role, "exit", &store("silent")).env("LOGCHUTE_SHUTDOWN", "1m").run();
                assert_eq!(end.status.code(), Some(code), "{end:#?}");
                assert!(end.took < SLACK, "{end:#?}");
            }
        }));
        cases.push(case("a_signal_that_is_ignored_stays_ignored", || {
            let store = Store::new();
            let exe = std::env::current_exe().unwrap();
            let mut ignoring = Command::new("/bin/sh");
            ignoring.arg("-c").arg(format!("trap '' TERM; exec '{}'", exe.display())).env("VICTIM", "term_then_int");
            let end = with_settings(Victim::of(ignoring), "exit", &store).run();
            assert_eq!(end.status.code(), Some(INT), "{end:#?}");
            assert!(end.stdout.contains("goes on"), "{end:#?}");
            assert_all(&store, &end);
        }));
        cases.push(case("handlers_of_the_application_run_as_before_whether_set_before_or_after", || {
            let store = Store::new();
            let end = victim("handlers", "flush", &store).run();
            end.assert_well();
            assert!(end.stdout.contains("raw, before, after"), "{end:#?}");
            let end = victim("raw_handler", "exit", &store).run();
            assert_eq!((end.status.code(), end.stdout.as_str()), (Some(TERM), "raw\n"), "{end:#?}");
        }));
        cases.push(case("signals_of_tokio_in_the_same_process_still_come", || {
            let store = Store::new();
            let end = victim("tokio", "flush", &store).run();
            end.assert_well();
            assert!(end.stdout.contains("tokio"), "{end:#?}");
            assert_all(&store, &end);
            let store = Store::new();
            let end = victim("tokio_waits", "exit", &store).run();
            assert_eq!(end.status.code(), Some(TERM), "{end:#?}");
            assert_all(&store, &end);
        }));
        cases.push(case("flush_where_nothing_else_would_end_the_process_is_told", || {
            let end = victim("flush_alone", "flush", &Store::new()).run();
            end.assert_well();
            let told: Vec<_> = end.said().into_iter().filter(|line| line.contains("LOGCHUTE_SIGNALS=exit")).collect();
            assert!(
                told.len() == 1 && told[0].starts_with("nothing ends this process at SIGTERM and SIGINT"),
                "{end:#?}"
            );
        }));
        cases.push(case("with_the_tee_alone_the_process_ends_as_well", || {
            let end = Victim::new("term").env("LOGCHUTE_SIGNALS", "exit").env("LOGCHUTE_TEE", "stdout:json").run();
            assert_eq!(end.status.code(), Some(TERM), "{end:#?}");
            assert_eq!(end.stdout.lines().filter(|line| line.contains("record ")).count(), RECORDS, "{end:#?}");
        }));
        cases.push(case("a_flood_from_four_threads_does_not_hold_up_the_end", || {
            let store = Store::counting();
            let end = victim("flood", "exit", &store).env("LOGCHUTE_SHUTDOWN", "5s").run();
            assert_eq!(end.status.code(), Some(TERM), "{end:#?}");
            assert!(end.took < Duration::from_secs(5) + BEYOND + SLACK, "{end:#?}");
            let before: usize = end.stdout.trim().parse().unwrap();
            assert!(store.count() >= before, "{} of {before}: {end:#?}", store.count());
        }));
        cases.push(case("a_signal_during_a_return_from_main_does_not_hang", || {
            let end = victim("term_at_return", "exit", &store("silent")).run();
            assert!(matches!(end.status.code(), Some(0 | TERM)), "{end:#?}");
            assert!(end.took < LIMIT + BEYOND + SLACK, "{end:#?}");
        }));
        let as_pid_1 = case("pid_1_ends_with_the_code_of_the_signal", || {
            let store = Store::new();
            let mut unshare = Command::new("unshare");
            unshare.args(["--user", "--map-root-user", "--pid", "--fork"]).arg(std::env::current_exe().unwrap());
            let end = with_settings(Victim::of(unshare), "exit", &store).env("VICTIM", "term_as_pid_1").run();
            assert_eq!(end.status.code(), Some(TERM), "{end:#?}");
            assert_all(&store, &end);
        });
        cases.push(as_pid_1.ignored("needs namespaces of users and processes (unshare)"));
        cases
    }
}

#[cfg(unix)]
mod victims {
    use std::process::ExitCode;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    use signal_hook::low_level::raise;

    use super::support::ending;

    pub(super) const RECORDS: usize = 200;

    fn log() {
        for n in 0..RECORDS {
            if n % 2 == 0 {
                tracing::info!("record {n:03}");
            } else {
                log::info!("record {n:03}");
            }
        }
    }

    /// Sends the signal to the process, as anyone else would.
    fn kill(signal: &str) {
        let line = format!("kill -{signal} {}", std::process::id());
        let done = std::process::Command::new("/bin/sh").args(["-c", &line]).status().unwrap();
        assert!(done.success());
    }

    fn sleep() -> ! {
        loop {
            thread::sleep(Duration::from_secs(60));
        }
    }

    fn until(what: impl Fn() -> bool) {
        let patience = Instant::now() + Duration::from_secs(10);
        while !what() {
            assert!(Instant::now() < patience);
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn flagged() -> Arc<AtomicBool> {
        let came = Arc::<AtomicBool>::default();
        for signal in [SIGTERM, SIGINT] {
            flag::register(signal, Arc::clone(&came)).unwrap();
        }
        came
    }

    fn has_come(came: &AtomicBool) -> bool {
        came.load(Ordering::Acquire)
    }

    /// A handler that no library knows of; it says so on stdout.
    #[allow(unsafe_code)]
    fn set_raw_handler() {
        extern "C" fn handler(_: libc::c_int) {
            // SAFETY: `write` may be called in a handler; pointer and length are those of the text.
            unsafe { libc::write(1, b"raw\n".as_ptr().cast(), 4) };
        }
        let handler: extern "C" fn(libc::c_int) = handler;
        // SAFETY: the handler has the type that `signal` asks for, and does nothing that a handler may not do.
        let before = unsafe { libc::signal(SIGTERM, handler as libc::sighandler_t) };
        assert_ne!(before, libc::SIG_ERR);
    }

    pub(super) fn victim(role: &str) -> ExitCode {
        match role {
            "term" | "int" | "term_as_pid_1" | "tokio_waits" => {
                assert!(role != "term_as_pid_1" || std::process::id() == 1);
                let _logs = logchute::init().unwrap();
                log();
                ending();
                if role == "tokio_waits" {
                    let runtime = tokio::runtime::Runtime::new().unwrap();
                    runtime.block_on(async {
                        let mut stream =
                            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap();
                        tokio::task::spawn_blocking(|| kill("TERM"));
                        stream.recv().await
                    });
                }
                match role {
                    "term_as_pid_1" => raise(SIGTERM).unwrap(),
                    _ => kill(if role == "int" { "INT" } else { "TERM" }),
                }
                sleep()
            }
            "term_term" | "term_int" => {
                let _logs = logchute::init().unwrap();
                log();
                ending();
                // Each is over when `raise` returns.
                raise(SIGTERM).unwrap();
                raise(if role == "term_int" { SIGINT } else { SIGTERM }).unwrap();
                unreachable!("the second one ends the process")
            }
            "term_then_int" => {
                let _logs = logchute::init().unwrap();
                log();
                raise(SIGTERM).unwrap();
                println!("goes on");
                ending();
                kill("INT");
                sleep()
            }
            "goes_on" => {
                let came = flagged();
                let logs = logchute::init().unwrap();
                log();
                assert_eq!(logs.ledger().destinations[0].delivered, 0);
                ending();
                kill("TERM");
                until(|| has_come(&came));
                println!("goes on");
                let delivered = |count: usize| logs.ledger().destinations[0].delivered == count as u64;
                let patience = Instant::now() + Duration::from_secs(1);
                while !delivered(RECORDS) && Instant::now() < patience {
                    thread::sleep(Duration::from_millis(5));
                }
                if delivered(RECORDS) {
                    // From here on nothing waits for its batch to fill.
                    tracing::info!("after the signal");
                    until(|| delivered(RECORDS + 1));
                    println!("all is settled");
                }
                // The end has its own limit, whatever was tried before.
                ending();
                ExitCode::SUCCESS
            }
            "handlers" => {
                set_raw_handler();
                let before = flagged();
                let _logs = logchute::init().unwrap();
                let after = flagged();
                kill("TERM");
                until(|| has_come(&before) && has_come(&after));
                println!("raw, before, after");
                ExitCode::SUCCESS
            }
            "raw_handler" => {
                set_raw_handler();
                let _logs = logchute::init().unwrap();
                kill("TERM");
                sleep()
            }
            "tokio" => {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(async {
                    let mut stream = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
                    let _logs = logchute::init().unwrap();
                    log();
                    tokio::task::spawn_blocking(|| kill("TERM"));
                    stream.recv().await.unwrap();
                    println!("tokio");
                });
                ExitCode::SUCCESS
            }
            "flush_alone" => {
                let _logs = logchute::init().unwrap();
                kill("TERM");
                ExitCode::SUCCESS
            }
            "flood" => {
                let _logs = logchute::init().unwrap();
                for _ in 0..4 {
                    thread::spawn(|| {
                        loop {
                            tracing::info!("again");
                            thread::yield_now();
                        }
                    });
                }
                log();
                println!("{RECORDS}");
                ending();
                kill("TERM");
                sleep()
            }
            "term_at_return" => {
                let _logs = logchute::init().unwrap();
                log();
                ending();
                thread::spawn(|| kill("TERM"));
                ExitCode::SUCCESS
            }
            _ => unreachable!("{role}"),
        }
    }
}

//! Tests that need a process of their own: the test binary starts itself as a *victim*, which is told by a variable
//! what to do, and sees from outside how that ends.
//!
//! `harness = false`, because a victim's `main` must be its own: how it returns is what is tested.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// Says to a victim what it is.
const ROLE: &str = "VICTIM";

/// No victim lives longer.
const WATCHDOG: Duration = Duration::from_secs(90);

/// How many cases run at a time: nearly all of their time they wait.
const AT_A_TIME: usize = 8;

/// What a victim prints when its end begins.
const ENDING: &str = "ending";

/// What this process is to do as a victim; none: it is the test.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Called by the victim right before its end: the clock starts.
pub(crate) fn ending() {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{ENDING}");
    let _ = out.flush();
}

pub(crate) struct Victim(Command);

impl Victim {
    /// This test binary in that role, without settings of this machine.
    pub(crate) fn new(role: &str) -> Self {
        let exe = std::env::current_exe().unwrap();
        Self::of(Command::new(exe)).env(ROLE, role)
    }

    /// Any other program, without settings of this machine.
    pub(crate) fn of(mut command: Command) -> Self {
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["LOGCHUTE_", "OTEL_", "RUST_"].iter().any(|ours| text.starts_with(ours)) {
                command.env_remove(&name);
            }
        }
        Self(command)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// For a test that starts and ends it by itself.
    pub(crate) fn command(self) -> Command {
        self.0
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> End {
        let mut child =
            self.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child");
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (closed, is_closed) = channel();
        let reader = thread::spawn(move || {
            let (mut stdout, mut began) = (String::new(), None);
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if line == ENDING {
                    began = Some(Instant::now());
                } else {
                    stdout.push_str(&line);
                    stdout.push('\n');
                }
            }
            let _ = closed.send(());
            (stdout, began)
        });
        let stderr = thread::spawn(move || {
            let mut stderr = Vec::new();
            let _ = err.read_to_end(&mut stderr);
            String::from_utf8_lossy(&stderr).into_owned()
        });
        let hung = is_closed.recv_timeout(WATCHDOG).is_err();
        if hung {
            let _ = child.kill();
        }
        let status = child.wait().unwrap();
        let ended = Instant::now();
        let (stdout, began) = reader.join().unwrap();
        let end = End {
            status,
            stdout,
            stderr: stderr.join().unwrap(),
            took: began.map_or(Duration::ZERO, |began| ended - began),
        };
        assert!(!hung, "it hung, and was killed after {WATCHDOG:?}: {end:#?}");
        end
    }
}

/// How a victim ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// From [`ending`] to the end.
    pub(crate) took: Duration,
}

impl End {
    /// Lines that logchute said, without its prefix.
    pub(crate) fn said(&self) -> Vec<&str> {
        self.stderr.lines().filter_map(|line| line.strip_prefix("logchute: ")).collect()
    }

    #[track_caller]
    pub(crate) fn assert_well(&self) {
        assert!(self.status.success(), "{self:#?}");
    }
}

pub(crate) struct Case {
    name: String,
    ignored: Option<&'static str>,
    run: Box<dyn Fn() + Send + Sync>,
}

pub(crate) fn case(name: impl Into<String>, run: impl Fn() + Send + Sync + 'static) -> Case {
    Case { name: name.into(), ignored: None, run: Box::new(run) }
}

impl Case {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs only when `--ignored` asks for it.
    pub(crate) fn ignored(mut self, why: &'static str) -> Self {
        self.ignored = Some(why);
        self
    }
}

/// Runs the cases as the standard harness would, several at a time. Understands names, `--exact`, `--skip`,
/// `--ignored`, `--include-ignored` and `--list`.
pub(crate) fn run(cases: Vec<Case>) {
    let (mut names, mut skip, mut args) = (Vec::new(), Vec::new(), std::env::args().skip(1));
    let flags: Vec<String> = std::env::args().skip(1).filter(|arg| arg.starts_with("--")).collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--skip" => skip.extend(args.next()),
            "--test-threads" | "--format" | "--color" | "--logfile" | "-Z" => drop(args.next()),
            _ if arg.starts_with('-') => {}
            _ => names.push(arg),
        }
    }
    let fits = |name: &str, part: &String| if has("--exact") { name == part } else { name.contains(part.as_str()) };
    let wanted = |case: &&Case| {
        (names.is_empty() || names.iter().any(|part| fits(&case.name, part)))
            && !skip.iter().any(|part| fits(&case.name, part))
    };
    let cases: Vec<&Case> = cases.iter().filter(wanted).collect();
    if has("--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return;
    }
    let runs = |case: &Case| has("--include-ignored") || case.ignored.is_some() == has("--ignored");
    println!("\nrunning {} tests", cases.len());
    let (next, failed, passed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !runs(case) {
                println!("test {} ... ignored, {}", case.name, case.ignored.unwrap_or("as others were asked for"));
            } else if catch_unwind(AssertUnwindSafe(|| (case.run)())).is_ok() {
                passed.fetch_add(1, Ordering::Relaxed);
                println!("test {} ... ok", case.name);
            } else {
                failed.fetch_add(1, Ordering::Relaxed);
                println!("test {} ... FAILED", case.name);
            }
        }
    };
    thread::scope(|scope| {
        (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work)));
    });
    let (failed, passed) = (failed.into_inner(), passed.into_inner());
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; {} ignored; finished in {:.2}s\n",
        cases.len() - passed - failed,
        began.elapsed().as_secs_f64()
    );
    if failed > 0 {
        std::process::exit(101);
    }
}

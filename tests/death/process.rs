//! A victim as the test sees it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::ends::Way;
use crate::support::Victim;

/// No victim needs longer for anything.
const WATCHDOG: Duration = Duration::from_secs(30);

pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    stdin: Option<ChildStdin>,
}

impl Process {
    pub(crate) fn start(victim: Victim) -> Self {
        let mut command = victim.command();
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child");
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (line, lines) = channel();
        thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        let stderr = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = err.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let stdin = child.stdin.take();
        Self { child, lines, stderr: Some(stderr), stdin }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line; none where its output ends before.
    ///
    /// # Panics
    ///
    /// Where it says nothing for a minute.
    pub(crate) fn line(&mut self) -> Option<String> {
        self.line_within(WATCHDOG)
    }

    pub(crate) fn line_within(&mut self, limit: Duration) -> Option<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Some(line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                let said = self.kill();
                panic!("a victim hung for {limit:?} and was killed; it said:\n{said}");
            }
        }
    }

    /// Waits until it has logged.
    pub(crate) fn began(&mut self) {
        let line = self.line();
        if line.as_deref() != Some("began") {
            let said = self.kill();
            panic!("a victim did not begin, but said {line:?} and:\n{said}");
        }
    }

    /// Writes a line to its stdin.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it was not let go");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// It may end now.
    pub(crate) fn let_go(&mut self) {
        self.stdin = None;
    }

    fn kill(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stderr.take().map(|stderr| stderr.join().unwrap()).unwrap_or_default()
    }

    /// Kills it; what it said until then.
    pub(crate) fn killed(mut self) -> String {
        let _ = self.child.kill();
        self.ended().1
    }

    /// Waits for its end; how it ended and what it said.
    pub(crate) fn ended(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + WATCHDOG;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                break status;
            }
            if Instant::now() >= deadline {
                let said = self.kill();
                panic!("a victim did not end within {WATCHDOG:?} and was killed; it said:\n{said}");
            }
            thread::sleep(Duration::from_millis(1));
        };
        (status, self.kill())
    }

    /// Waits for an end of that kind, and for no other.
    pub(crate) fn ended_by(&mut self, way: &Way) -> String {
        let (status, said) = self.ended();
        assert_eq!((status.signal(), status.code()), way.status(), "an end by {way:?}; it said:\n{said}");
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

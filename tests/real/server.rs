//! A server by its script in `tests/servers/`: one that the environment names, or one of a test's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What the script printed, as `VICTORIALOGS_URL`, when the server that all tests share was started.
pub(crate) fn variable(name: &str) -> String {
    let script = name.split('_').next().unwrap_or(name).to_lowercase();
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: export what {} prints", path(&script).display()))
}

/// The script of that name.
pub(crate) fn path(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/servers/{script}.sh"))
}

#[derive(Clone, Copy)]
pub(crate) enum Signal {
    Term,
    Kill,
}

/// A server that a test starts, ends and starts again at the same address with its data. Both are gone with it.
pub(crate) struct Server {
    script: &'static str,
    directory: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Server {
    /// Starts it, and installs it before where that is needed.
    pub(crate) fn start(script: &'static str) -> Self {
        let directory = std::env::temp_dir().join(format!("logchute-{script}-{}", unique()));
        let mut server = Self { script, directory, variables: BTreeMap::new() };
        server.run(None);
        server
    }

    /// What the script printed, without the server's name: `URL`.
    pub(crate) fn variable(&self, name: &str) -> &str {
        let name = format!("{}_{name}", self.script.to_uppercase());
        self.variables.get(&name).unwrap_or_else(|| panic!("{} prints no {name}", path(self.script).display()))
    }

    /// Ends the process, and returns when it is gone.
    pub(crate) fn end(&self, signal: Signal) {
        let pid = self.variable("PID");
        assert!(kill(signal, pid) && is_gone(pid), "{} {pid} does not end", self.script);
    }

    /// Starts it again, after its end, and returns when it is ready.
    pub(crate) fn start_again(&mut self) {
        let port = self.variable("PORT").to_owned();
        self.run(Some(&port));
    }

    fn run(&mut self, port: Option<&str>) {
        // The shell reads what the script quoted, and shows it without quotes.
        let mut command = Command::new("bash");
        command.args(["-c", r#"lines=$("$0" start) && set -a && eval "$lines" && env -0"#]).arg(path(self.script));
        command
            .env("SERVERS_DIR", &self.directory)
            .env("SERVERS_TTL", "600")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        if let Some(port) = port {
            command.env("SERVERS_PORT", port);
        }
        let output = command.output().expect("bash");
        assert!(output.status.success(), "{} did not start", self.script);
        let prefix = format!("{}_", self.script.to_uppercase());
        let text = String::from_utf8(output.stdout).expect("variables of text");
        let variables = text.split('\0').filter_map(|line| line.split_once('='));
        self.variables = variables
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.variables.get(&format!("{}_PID", self.script.to_uppercase()));
        // An end of the test's own may have been the last thing that happened to it.
        if let Some(pid) = pid.filter(|pid| runs_in(pid, &self.directory)) {
            let _ = kill(Signal::Kill, pid) && is_gone(pid);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Whether the process is that server still: its output goes to the log in its directory.
fn runs_in(pid: &str, directory: &Path) -> bool {
    std::fs::read_link(Path::new("/proc").join(pid).join("fd/1")).is_ok_and(|log| log == directory.join("server.log"))
}

fn kill(signal: Signal, pid: &str) -> bool {
    let signal = match signal {
        Signal::Term => "-TERM",
        Signal::Kill => "-KILL",
    };
    Command::new("kill").args([signal, pid]).status().is_ok_and(|status| status.success())
}

/// Waits for the process to be gone; whether it is, within 30 seconds.
fn is_gone(pid: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Path::new("/proc").join(pid).exists() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Different for each call and each run, in 32 hex digits.
pub(crate) fn unique() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    let half = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}

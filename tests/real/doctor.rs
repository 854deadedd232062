//! What the doctor says of a real server, right and wrong, to a process that is set up by variables as a service is.

use std::process::{Command, Stdio};

/// That role of this binary: prints the diagnosis of what its variables describe.
const ROLE: &str = "LOGCHUTE_TEST_DIAGNOSE";

/// What comes before each diagnosis and after it, among the lines of the test harness.
const MARK: &str = "\u{1}diagnosis\u{1}";

#[test]
#[ignore = "a role, played for other tests"]
fn diagnose() {
    if std::env::var_os(ROLE).is_some() {
        println!("{MARK}{}{MARK}", logchute::diagnose());
    }
}

/// A doctor's visit to that URL with further variables.
pub(crate) struct Visit {
    what: String,
    said: String,
}

pub(crate) fn visit(url: impl AsRef<str>, variables: &[(&str, &str)]) -> Visit {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    // No test is named `x::doctor::diagnose` but this one.
    command.args(["--exact", "doctor::diagnose", "--ignored", "--nocapture"]).env_clear();
    // No file of credentials is in that home.
    command.envs([(ROLE, "1"), ("NO_PROXY", "*"), ("HOME", "/nonexistent"), ("LOGCHUTE_TIMEOUT", "3s")]);
    command.env("LOGCHUTE_URL", url.as_ref()).envs(variables.iter().copied());
    let output = command.stdin(Stdio::null()).output().expect("this binary");
    let text = String::from_utf8(output.stdout).expect("text");
    let said = text.split(MARK).nth(1).unwrap_or_else(|| panic!("no diagnosis: {text}")).to_owned();
    Visit { what: format!("{} {variables:?}", url.as_ref()), said }
}

impl Visit {
    #[track_caller]
    pub(crate) fn well(&self) {
        assert!(self.said.contains("\n  well: the store took the record"), "{}: {}", self.what, self.said);
    }

    /// The store confirms nothing, and nothing speaks against it.
    #[track_caller]
    pub(crate) fn sent(&self) {
        let told = self.said.contains("\n  sent: ") && self.said.contains("confirms nothing");
        assert!(told && !self.said.contains("well: "), "{}: {}", self.what, self.said);
    }

    /// It failed there, says `cause`, and points to that setting before all others.
    #[track_caller]
    pub(crate) fn told(&self, step: &str, cause: &str, setting: &str) {
        let line = |with: &str| self.said.lines().find(|line| line.contains(with)).unwrap_or_default();
        let failed = line("FAILED").trim().trim_end_matches("FAILED").trim();
        let first = line("  look at: ").trim_start().trim_start_matches("look at: ").split(", ").next();
        let found = (failed, first.unwrap_or_default());
        assert!(line("  wrong: ").contains(cause), "{}: {cause}: {}", self.what, self.said);
        assert_eq!(found, (step, setting), "{}: {}", self.what, self.said);
    }
}

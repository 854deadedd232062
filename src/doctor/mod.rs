//! The doctor: sends one marked record to each destination, at once and in a request of its own, looks at how far it came,
//! and says in words what is wrong and which setting to change.
//!
//! The record goes the way of all others, by the same client, so what is found is what records meet: proxies, name
//! servers, certificates, credentials and paths included. It is one of logchute's own: it is counted in the ledger as
//! such, and where the store does not take it, it is owed and sent again like any other.

mod explain;
mod said;

use std::fmt;

use crate::error::Error;
use crate::visit::Seen;

/// A step on the way to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// The settings make sense, the pipeline runs, and there is a token where one has to be fetched.
    SetUp,
    /// The host's name has an address.
    Resolve,
    /// Somebody listens there.
    Connect,
    /// TLS, where the URL asks for it.
    Handshake,
    /// The record was sent.
    Post,
    /// The store answered, and took it.
    Answer,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 6] = [Self::SetUp, Self::Resolve, Self::Connect, Self::Handshake, Self::Post, Self::Answer];

    /// In a word, for instance `connect`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SetUp => "set up",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Handshake => "handshake",
            Self::Post => "post",
            Self::Answer => "answer",
        }
    }
}

/// What the doctor found at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examination {
    /// The destination's name; empty where there is none yet.
    pub destination: String,
    /// Where records go, without secrets.
    pub url: String,
    /// The step at which it failed.
    pub failed: Option<Step>,
    /// What was found, and what to change.
    pub text: String,
    /// The settings that the cause points to, most likely first.
    pub settings: Vec<String>,
    /// What is not wrong yet, but will be: a clock that is off.
    pub remarks: Vec<String>,
    /// What its backend declares: name and value.
    pub facts: Vec<(&'static str, String)>,
    /// Whether the store said that it took the record. False where it failed, and where the store never says it (syslog).
    pub confirmed: bool,
}

/// What the doctor found.
///
/// # Examples
///
/// ```
/// use logchute::{Builder, Step, testing::Store};
///
/// let store = Store::new();
/// let logs = Builder::new().send_to(store.backend()).start()?;
/// let diagnosis = logs.doctor();
/// assert!(diagnosis.is_well(), "{diagnosis}");
///
/// let logs = Builder::new().start()?;
/// let diagnosis = logs.doctor();
/// assert_eq!(diagnosis.examinations()[0].failed, Some(Step::SetUp));
/// assert!(diagnosis.to_string().contains("LOGCHUTE_URL"));
/// # Ok::<(), logchute::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it says what is wrong"]
pub struct Diagnosis {
    examinations: Vec<Examination>,
    remarks: Vec<String>,
}

impl Diagnosis {
    /// One for each destination; one without a name where the pipeline itself is at fault.
    #[must_use]
    pub fn examinations(&self) -> &[Examination] {
        &self.examinations
    }

    /// What was odd about the settings, though nothing was refused: names that are not known, for instance.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    pub(crate) fn with_remarks(self, remarks: Vec<String>) -> Self {
        Self { remarks, ..self }
    }

    /// Whether every store took its record, or, where it never says so, seems to have; see [`Examination::confirmed`].
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.examinations.iter().all(|examination| examination.failed.is_none())
    }

    /// What is wrong with settings that were refused.
    pub(crate) fn of_error(error: &Error) -> Self {
        let mut examination = Examination::before(error.to_string());
        if let Error::Setting { name, .. } = error {
            examination.settings.push(name.clone().into_owned());
        }
        Self { examinations: vec![examination], remarks: Vec::new() }
    }

    /// There is no destination.
    pub(crate) fn without_destination() -> Self {
        let text = "no destination is set, so records go to the tee alone; set LOGCHUTE_URL to the store's, such as \
                    loki+http://loki:3100, or give one to send_to";
        let mut examination = Examination::before(text.to_owned());
        examination.settings.push("LOGCHUTE_URL".to_owned());
        Self { examinations: vec![examination], remarks: Vec::new() }
    }

    /// What the lanes saw; `lanes` are the names of all.
    pub(crate) fn of(lanes: &[String], seen: &[Seen]) -> Self {
        let examine = |name: &String| match seen.iter().find(|seen| seen.destination == *name) {
            Some(seen) => explain::explain(seen),
            None => {
                let text = "the worker did not come to it in time: it is busy, held up by the backend's own code, or the \
                            pipeline was shut down";
                Examination { destination: name.clone(), ..Examination::before(text.to_owned()) }
            }
        };
        Self { examinations: lanes.iter().map(examine).collect(), remarks: Vec::new() }
    }
}

impl Examination {
    fn before(text: String) -> Self {
        Self {
            destination: String::new(),
            url: String::new(),
            failed: Some(Step::SetUp),
            text,
            settings: Vec::new(),
            remarks: Vec::new(),
            facts: Vec::new(),
            confirmed: false,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, examination) in self.examinations.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{examination}")?;
        }
        self.remarks.iter().try_for_each(|remark| write!(f, "\nnote: {remark}"))
    }
}

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.destination, &*self.url) {
            ("", _) => write!(f, "logchute")?,
            (name, "") => write!(f, "{name}")?,
            (name, url) => write!(f, "{name} at {url}")?,
        }
        for (name, value) in &self.facts {
            write!(f, "\n  {name}: {value}")?;
        }
        let steps = Step::ALL.into_iter().take_while(|step| self.failed.is_none_or(|failed| *step <= failed));
        for step in steps {
            let how = match step {
                _ if self.failed == Some(step) => "FAILED",
                Step::Answer if !self.confirmed => "none",
                _ => "ok",
            };
            write!(f, "\n  {:<10} {how}", step.as_str())?;
        }
        let verdict = match self.failed {
            Some(_) => "wrong",
            None if self.confirmed => "well",
            None => "sent",
        };
        write!(f, "\n  {verdict}: {}", self.text)?;
        for remark in &self.remarks {
            write!(f, "\n  note: {remark}")?;
        }
        if !self.settings.is_empty() {
            write!(f, "\n  look at: {}", self.settings.join(", "))?;
        }
        Ok(())
    }
}

//! How a variable is read: trimmed, empty as unset, and refused under the name that the user knows.
//!
//! Everywhere else a setting is called by its plain name, `LOGCHUTE_TOKEN`; a reader of a lane makes
//! `LOGCHUTE_AUDIT_TOKEN` of it, in what it reads and in what it says.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::PathBuf;

use super::check::Given;
use super::env::Env;
use super::filter;
use super::list;
use super::names::PREFIX;
use crate::error::Error;
use crate::resource::{Pair, pairs};
use crate::wire::Secret;

const PAIRS: &str = "name=value,name=value, with %2C for a comma and %25 for a percent sign in a value";

/// A parser of a value; what it refuses, it says what that must be.
pub(super) type Parse<T> = fn(&str) -> Result<T, &'static str>;

/// Reads variables and collects remarks.
pub(super) struct Reader<'a> {
    pub(super) env: &'a Env,
    remarks: &'a RefCell<Vec<String>>,
    /// The lane whose variables are read, as it is called in their names; `None` for those of no lane.
    lane: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a Env, remarks: &'a RefCell<Vec<String>>) -> Self {
        Self { env, remarks, lane: None }
    }

    /// One of the variables of that lane.
    pub(super) fn of_lane(&self, lane: &str) -> Self {
        Self { env: self.env, remarks: self.remarks, lane: Some(lane.to_ascii_uppercase()) }
    }

    /// One of the variables of no lane, from which settings are inherited.
    pub(super) fn of_all(&self) -> Self {
        Self { env: self.env, remarks: self.remarks, lane: None }
    }

    pub(super) fn remark(&self, remark: String) {
        self.remarks.borrow_mut().push(remark);
    }

    /// What the names of its variables begin with.
    pub(super) fn prefix(&self) -> Cow<'static, str> {
        self.lane.as_ref().map_or(PREFIX.into(), |lane| format!("{PREFIX}{lane}_").into())
    }

    /// The variable of that setting.
    pub(super) fn name(&self, setting: &'static str) -> Cow<'static, str> {
        debug_assert!(list::find(setting).is_some(), "{setting} is in the list of settings");
        match (&self.lane, setting.strip_prefix(PREFIX)) {
            (Some(lane), Some(short)) => format!("{PREFIX}{lane}_{short}").into(),
            _ => setting.into(),
        }
    }

    /// A value that was refused; not shown where it may be a secret.
    pub(super) fn refused(&self, setting: &'static str, value: &str, must: impl Into<Cow<'static, str>>) -> Error {
        let secret = list::find(setting).is_none_or(|setting| setting.secret);
        Error::setting(self.name(setting), if secret { "***" } else { value }, must)
    }

    /// The text of a variable of ours, without white space around it: a value that comes from a file through a
    /// Kubernetes Secret often ends with a line break.
    pub(super) fn text(&self, setting: &'static str) -> Result<Option<&'a str>, Error> {
        let Some(raw) = self.env.raw(&self.name(setting)) else { return Ok(None) };
        let must = "text in UTF-8";
        let text = raw.to_str().ok_or_else(|| self.refused(setting, &raw.to_string_lossy(), must))?.trim();
        Ok((!text.is_empty()).then_some(text))
    }

    pub(super) fn parsed<T>(&self, setting: &'static str, parse: Parse<T>) -> Result<Option<T>, Error> {
        let text = self.text(setting)?;
        text.map(|text| parse(text).map_err(|must| self.refused(setting, text, must))).transpose()
    }

    /// The same, with the name of the variable.
    pub(super) fn given<T>(&self, setting: &'static str, parse: Parse<T>) -> Result<Option<Given<T>>, Error> {
        Ok(self.parsed(setting, parse)?.map(|value| Given::by(self.name(setting), value)))
    }

    pub(super) fn directives(&self, setting: &'static str) -> Result<Option<Given<String>>, Error> {
        let Some(text) = self.text(setting)? else { return Ok(None) };
        filter::parse(self.name(setting), text)?;
        Ok(Some(Given::by(self.name(setting), text.to_owned())))
    }

    /// Text is trimmed, so that a line break at its end makes no other name; what is no text may be a path all the same.
    pub(super) fn path(&self, setting: &'static str) -> Option<PathBuf> {
        let raw = self.env.raw(&self.name(setting))?;
        let path = raw.to_str().map_or(raw, |text| OsStr::new(text.trim()));
        (!path.is_empty()).then(|| path.into())
    }

    /// The same, with the name of the variable.
    pub(super) fn given_path(&self, setting: &'static str) -> Option<Given<PathBuf>> {
        self.path(setting).map(|path| Given::by(self.name(setting), path))
    }

    /// The path that the `_FILE` twin of a variable gives.
    fn twin(&self, setting: &'static str) -> Result<Option<PathBuf>, Error> {
        debug_assert!(list::find(setting).is_some_and(|setting| setting.twin));
        let name = self.name(setting);
        let twin = format!("{name}_FILE");
        let Some(path) = self.env.raw(&twin).map(PathBuf::from) else { return Ok(None) };
        if self.text(setting)?.is_some() {
            let must = format!("unset where {name} is set, or the other way round");
            return Err(Error::setting(twin, path.display(), must));
        }
        Ok(Some(path))
    }

    /// A value that is not shown, or the file that holds it.
    pub(super) fn secret(&self, setting: &'static str) -> Result<Option<Secret>, Error> {
        if let Some(path) = self.twin(setting)? {
            return Ok(Some(Secret::file(path)));
        }
        match self.text(setting)? {
            Some(text) if text.contains(char::is_control) => {
                Err(self.refused(setting, text, "free of control characters"))
            }
            text => Ok(text.map(Secret::value)),
        }
    }

    /// `LOGCHUTE_HEADERS`, or its file.
    pub(super) fn headers(&self) -> Result<Vec<(String, Secret)>, Error> {
        const HEADERS: &str = "LOGCHUTE_HEADERS";
        let (name, text) = match self.twin(HEADERS)? {
            None => (self.name(HEADERS), self.text(HEADERS)?.map(str::to_owned)),
            Some(path) => {
                let name = format!("{}_FILE", self.name(HEADERS));
                let text = std::fs::read_to_string(&path).map_err(|why| {
                    Error::setting(name.clone(), path.display(), format!("a file that can be read ({why})"))
                })?;
                (name.into(), Some(text))
            }
        };
        headers(text.as_deref().unwrap_or_default(), &[',', '\n'])
            .map_err(|why| Error::setting(name, "***", format!("{PAIRS}; {why}")))
    }

    /// The text of a variable of another world.
    pub(super) fn foreign(&self, name: &str) -> Option<String> {
        let raw = self.env.raw(name)?;
        let Some(text) = raw.to_str() else {
            self.remark(format!("{name} is ignored: it is not text in UTF-8"));
            return None;
        };
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

/// Headers of a text; why it holds none is said without showing any of it, as all of it may be secret.
pub(super) fn headers(text: &str, separators: &[char]) -> Result<Vec<(String, Secret)>, String> {
    let header = |(header, value): Pair| {
        let value = value.ok_or("a name has no value")?;
        // `Authorization: Bearer abc==` would otherwise make a name of the secret, and names are shown.
        if !header.chars().all(|char| char.is_ascii_alphanumeric() || "!#$&'*+-.^_`|~%".contains(char)) {
            return Err("a name is none (a colon or a space in it?)");
        }
        if value.contains(char::is_control) {
            return Err("there is a control character in it");
        }
        Ok((header, Secret::value(value)))
    };
    pairs(text, separators)?.into_iter().map(header).collect::<Result<_, _>>().map_err(str::to_owned)
}

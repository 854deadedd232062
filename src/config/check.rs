//! Values with the name under which they were given, and the ranges that they must be in.

use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::units::{show_bytes, show_duration};
use crate::error::Error;

/// A value, and the builder method or the variable that gave it.
#[derive(Clone, Debug)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) by: Cow<'static, str>,
}

/// Refuses what is no key of a label.
pub(super) fn check_key(by: &str, key: &str) -> Result<(), Error> {
    let by = || by.to_owned();
    let is_part = |char: char| char.is_alphanumeric() || "_.-/".contains(char);
    if key.is_empty() || !key.chars().all(is_part) {
        return Err(Error::setting(by(), key, "a key of letters, digits, '_', '.', '-' and '/'"));
    }
    if ["service_name", "service.name", "level"].contains(&key) {
        return Err(Error::setting(by(), key, "another key: service and level of a record are labels already"));
    }
    Ok(())
}

impl<T> Given<T> {
    pub(super) fn by(by: impl Into<Cow<'static, str>>, value: T) -> Self {
        Self { value, by: by.into() }
    }
}

impl Given<usize> {
    pub(super) fn bytes_in(&self, range: RangeInclusive<usize>) -> Result<usize, Error> {
        self.within(range, |bytes| show_bytes(*bytes))
    }

    pub(super) fn count_in(&self, range: RangeInclusive<usize>) -> Result<usize, Error> {
        self.within(range, usize::to_string)
    }
}

impl Given<PathBuf> {
    pub(super) fn not_empty(&self) -> Result<PathBuf, Error> {
        if self.value.as_os_str().is_empty() {
            return Err(Error::setting(self.by.clone(), "", "a path, or not set at all"));
        }
        Ok(self.value.clone())
    }
}

impl Given<Duration> {
    pub(super) fn time_in(&self, range: RangeInclusive<Duration>) -> Result<Duration, Error> {
        self.within(range, |time| show_duration(*time))
    }
}

impl<T: PartialOrd + Copy + Debug> Given<T> {
    fn within(&self, range: RangeInclusive<T>, show: impl Fn(&T) -> String) -> Result<T, Error> {
        if range.contains(&self.value) {
            return Ok(self.value);
        }
        let must = format!("from {} to {}", show(range.start()), show(range.end()));
        Err(Error::setting(self.by.clone(), show(&self.value), must))
    }
}

//! The environment and the builder, from what a user writes to the settings that come out.

mod builders;
mod credentials;
mod foreign;
mod lanes;
#[cfg(feature = "otlp")]
mod otlp;
mod urls;
mod values;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use tracing::Level;

use super::env::{self, Env};
use super::list::SETTINGS;
use super::settings::{BacklogOverflow, Compression, Overflow, Settings, Signals, SpoolSettings, SpoolUse};
use super::{Builder, Destination};
use crate::backend::{Loki, Ndjson, Scheme};
use crate::error::Error;
use crate::tee::{Format, Stream, TeeTo};

type Variables<'a> = &'a [(&'a str, &'a str)];

fn from_env(variables: Variables<'_>) -> Result<Builder, Error> {
    env::builder(&environment(variables))
}

/// With the backends that the tests made up beside those that are compiled in.
fn environment(variables: Variables<'_>) -> Env {
    static SCHEMES: LazyLock<Vec<&'static Scheme>> =
        LazyLock::new(|| crate::backend::SCHEMES.iter().copied().chain(foreign::SCHEMES.iter().copied()).collect());
    let mut env = Env::of(variables.iter().copied());
    env.schemes = &SCHEMES;
    env
}

fn start(builder: Builder, variables: Variables<'_>) -> Result<Settings, Error> {
    builder.settings_in(&Env::of(variables.iter().copied()), Path::new("/nowhere"), Some(Path::new("/bin/shop")))
}

fn settings(variables: Variables<'_>) -> Settings {
    start(from_env(variables).unwrap(), variables).unwrap()
}

/// The name, the value and the expectation of a refusal.
fn refusal(variables: Variables<'_>) -> (String, String, String) {
    match from_env(variables) {
        Err(Error::Setting { name, value, must }) => (name.into_owned(), value, must.into_owned()),
        other => panic!("{variables:?} gave {other:?}"),
    }
}

/// The one remark.
fn remark(variables: Variables<'_>) -> String {
    let remarks = settings(variables).remarks;
    assert_eq!(remarks.len(), 1, "{variables:?} gave {remarks:?}");
    remarks.into_iter().next().unwrap()
}

const URL: (&str, &str) = ("LOGCHUTE_URL", "loki+http://loki:3100");

/// All that may be seen of these variables: the refusal, or remarks and debug output. The name of a header is shown, so
/// there is a flag for whether one stands there.
fn seen(variables: Variables<'_>) -> (String, bool) {
    let said = match from_env(variables) {
        Ok(builder) => {
            let debug = format!("{builder:?}");
            start(builder, variables).map_or_else(|error| error.to_string(), |it| it.remarks.join("")) + &debug
        }
        Err(error) => error.to_string(),
    };
    let has_header = said.contains("headers: [(");
    (said, has_header)
}

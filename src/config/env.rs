//! Settings from the environment.
//!
//! A malformed value of ours is an error that says name, value and what was expected; one of another world
//! (`RUST_LOG`, `OTEL_*`, `LOKI_*`) is a remark, and is ignored. Empty is unset. Only this file and its neighbours read
//! the environment, and once: what is read is a copy, so that tests never set a variable of the process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::builder::TeeFilter;
use super::check::{Given, check_key};
use super::reader::Reader;
use super::{Builder, filter, lanes, names, units};
use crate::backend::{SCHEMES, Scheme};
use crate::error::Error;
use crate::resource::pairs;
use crate::tee::{Format, Stream, TeeTo};

const TEE: &str = "off, or stdout or stderr with the format text or json, such as stderr:text (ecs and klog are not in \
                   this version)";
const LABELS: &str =
    "key=value or a bare key, separated by commas, with %2C for a comma and %25 for a percent sign in a value";

/// The variables of a process.
pub(super) struct Env {
    variables: BTreeMap<String, OsString>,
    /// The backends that a URL may name: all that are compiled in, and in tests some that are made for them.
    pub(super) schemes: &'static [&'static Scheme],
}

impl Env {
    pub(super) fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    pub(super) fn of<K: Into<OsString>, V: Into<OsString>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let named = |(name, value): (K, V)| (name.into().to_string_lossy().into_owned(), value.into());
        let variables = variables.into_iter().map(named).filter(|(_, value)| !value.is_empty()).collect();
        Self { variables, schemes: SCHEMES }
    }

    pub(super) fn raw(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str)
    }

    /// The value, where it is set and text.
    pub(super) fn lookup(&self, name: &str) -> Option<String> {
        self.raw(name)?.to_str().map(str::to_owned)
    }
}

/// A builder with all that the environment says.
pub(super) fn builder(env: &Env) -> Result<Builder, Error> {
    let remarks = RefCell::default();
    let reader = Reader::new(env, &remarks);
    let mut builder = Builder::new();
    let lanes = lanes::named(&reader)?;
    for remark in env.variables.keys().filter_map(|name| names::remark(name, &lanes)) {
        reader.remark(remark);
    }

    overwrite(&mut builder.filter, reader.directives("LOGCHUTE_FILTER")?);
    overwrite(&mut builder.spans, reader.directives("LOGCHUTE_SPANS")?);
    builder.service = reader.text("LOGCHUTE_SERVICE")?.map(|name| Given::by("LOGCHUTE_SERVICE", name.to_owned()));
    let promoted = labels(&reader, &mut builder)?;

    builder.tee = reader.parsed("LOGCHUTE_TEE", tee)?.unwrap_or(Some(TeeTo::new(Stream::Stderr, Format::Text)));
    if let Some(directives) = reader.foreign("RUST_LOG") {
        let (targets, remark) = filter::parse_lenient("RUST_LOG", &directives);
        builder.tee_filter = targets.map(|targets| TeeFilter::Parsed(Box::new(targets)));
        remark.into_iter().for_each(|remark| reader.remark(remark));
    }

    builder.doctor = reader.parsed("LOGCHUTE_DOCTOR", units::switch)?.unwrap_or(false);
    overwrite(&mut builder.queue_bytes, reader.given("LOGCHUTE_QUEUE_BYTES", units::bytes)?);
    overwrite(&mut builder.overflow, reader.given("LOGCHUTE_OVERFLOW", units::overflow)?);
    overwrite(&mut builder.shutdown, reader.given("LOGCHUTE_SHUTDOWN", units::duration)?);
    builder.ring_dir = reader.given_path("LOGCHUTE_RING_DIR");
    builder.signals = reader.parsed("LOGCHUTE_SIGNALS", units::signals)?.unwrap_or_default();
    builder.chosen = lanes::chosen(&reader)?;
    builder.destinations = lanes::destinations(&reader, &lanes, &promoted)?;
    // Names in a message are those of the variables, so what is out of range is told here and not at `start`.
    builder.check()?;
    builder.remarks = remarks.into_inner();
    Ok(builder)
}

fn overwrite<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// Constant labels go into the builder; the names of all are returned, for backends whose stores have labels.
fn labels(reader: &Reader<'_>, builder: &mut Builder) -> Result<Vec<String>, Error> {
    const NAME: &str = "LOGCHUTE_LABELS";
    let Some(text) = reader.text(NAME)? else { return Ok(Vec::new()) };
    let given = pairs(text, &[',']).map_err(|why| reader.refused(NAME, text, format!("{LABELS}; {why}")))?;
    let mut promoted = Vec::new();
    for (key, value) in given {
        check_key(NAME, &key)?;
        promoted.push(key.clone());
        if let Some(value) = value {
            builder.labels.push(Given::by(NAME, (key, value)));
        }
    }
    Ok(promoted)
}

pub(super) fn tee(text: &str) -> Result<Option<TeeTo>, &'static str> {
    if text == "off" {
        return Ok(None);
    }
    let (stream, format) = text.split_once(':').unwrap_or((text, "text"));
    let stream = match stream {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return Err(TEE),
    };
    let format = match format {
        "text" => Format::Text,
        "json" => Format::Json,
        _ => return Err(TEE),
    };
    Ok(Some(TeeTo::new(stream, format)))
}

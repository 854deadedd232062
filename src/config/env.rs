//! Settings from the environment.
//!
//! A malformed value of ours is an error that says name, value and what was expected; one of another world
//! (`RUST_LOG`, `OTEL_*`, `LOKI_*`) is a remark, and is ignored. Empty is unset. Only this file and its neighbours read
//! the environment, and once: what is read is a copy, so that tests never set a variable of the process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::builder::TeeFilter;
use super::check::{Given, check_key};
use super::names::{self, PREFIX};
use super::{Builder, Destination, filter, list, units, url};
use crate::backend::{Says, Scheme};
use crate::error::Error;
use crate::resource::{Pair, pairs};
use crate::tee::{Format, Stream, TeeTo};
use crate::voice::mask_url;
use crate::wire::{Names, Secret};

const TEE: &str = "off, or stdout or stderr with the format text or json, such as stderr:text (ecs and klog are not in \
                   this version)";
const PAIRS: &str = "name=value,name=value, with %2C for a comma and %25 for a percent sign in a value";
const LABELS: &str =
    "key=value or a bare key, separated by commas, with %2C for a comma and %25 for a percent sign in a value";

/// The variables of a process.
pub(super) struct Env(BTreeMap<String, OsString>);

impl Env {
    pub(super) fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    pub(super) fn of<K: Into<OsString>, V: Into<OsString>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let named = |(name, value): (K, V)| (name.into().to_string_lossy().into_owned(), value.into());
        Self(variables.into_iter().map(named).filter(|(_, value)| !value.is_empty()).collect())
    }

    fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    /// The value, where it is set and text.
    pub(super) fn lookup(&self, name: &str) -> Option<String> {
        self.raw(name)?.to_str().map(str::to_owned)
    }
}

/// Reads variables and collects remarks.
pub(super) struct Reader<'a> {
    env: &'a Env,
    remarks: RefCell<Vec<String>>,
}

impl<'a> Reader<'a> {
    fn new(env: &'a Env) -> Self {
        Self { env, remarks: RefCell::default() }
    }

    pub(super) fn remark(&self, remark: String) {
        self.remarks.borrow_mut().push(remark);
    }

    /// The text of a variable of ours, without white space around it: a value that comes from a file through a
    /// Kubernetes Secret often ends with a line break.
    fn text(&self, name: &'static str) -> Result<Option<&'a str>, Error> {
        debug_assert!(list::find(name).is_some(), "{name} is in the list of settings");
        let Some(raw) = self.env.raw(name) else { return Ok(None) };
        let text = raw.to_str().ok_or_else(|| refused(name, &raw.to_string_lossy(), "text in UTF-8"))?.trim();
        Ok((!text.is_empty()).then_some(text))
    }

    fn parsed<T>(&self, name: &'static str, parse: fn(&str) -> Result<T, &'static str>) -> Result<Option<T>, Error> {
        let text = self.text(name)?;
        text.map(|text| parse(text).map_err(|must| refused(name, text, must))).transpose()
    }

    /// Overwrites a setting where its variable is set.
    fn given<T>(
        &self,
        setting: &mut Given<T>,
        name: &'static str,
        parse: fn(&str) -> Result<T, &'static str>,
    ) -> Result<(), Error> {
        if let Some(value) = self.parsed(name, parse)? {
            *setting = Given::by(name, value);
        }
        Ok(())
    }

    fn directives(&self, setting: &mut Given<String>, name: &'static str) -> Result<(), Error> {
        if let Some(text) = self.text(name)? {
            filter::parse(name, text)?;
            *setting = Given::by(name, text.to_owned());
        }
        Ok(())
    }

    fn path(&self, name: &'static str) -> Option<PathBuf> {
        debug_assert!(list::find(name).is_some());
        self.env.raw(name).map(PathBuf::from)
    }

    /// The path that the `_FILE` twin of a variable gives.
    fn twin(&self, name: &'static str) -> Result<Option<PathBuf>, Error> {
        debug_assert!(list::find(name).is_some_and(|setting| setting.twin));
        let twin = format!("{name}_FILE");
        let Some(path) = self.env.raw(&twin).map(PathBuf::from) else { return Ok(None) };
        if self.text(name)?.is_some() {
            return Err(Error::setting(
                twin,
                path.display(),
                format!("unset where {name} is set, or the other way round"),
            ));
        }
        Ok(Some(path))
    }

    /// A value that is not shown, or the file that holds it.
    fn secret(&self, name: &'static str) -> Result<Option<Secret>, Error> {
        if let Some(path) = self.twin(name)? {
            return Ok(Some(Secret::file(path)));
        }
        match self.text(name)? {
            Some(text) if text.contains(char::is_control) => Err(refused(name, text, "free of control characters")),
            text => Ok(text.map(Secret::value)),
        }
    }

    /// `LOGCHUTE_HEADERS`, or its file.
    fn headers(&self) -> Result<Vec<(String, Secret)>, Error> {
        const NAME: &str = "LOGCHUTE_HEADERS";
        let (name, text) = match self.twin(NAME)? {
            None => (NAME.to_owned(), self.text(NAME)?.map(str::to_owned)),
            Some(path) => {
                let name = format!("{NAME}_FILE");
                let text = std::fs::read_to_string(&path).map_err(|why| {
                    Error::setting(name.clone(), path.display(), format!("a file that can be read ({why})"))
                })?;
                (name, Some(text))
            }
        };
        let refuse = |why: &str| Error::setting(name.clone(), "***", format!("{PAIRS}; {why}"));
        let given = pairs(text.as_deref().unwrap_or_default(), &[',', '\n']).map_err(|why| refuse(&why))?;
        let header = |(header, value): Pair| {
            let value = value.ok_or_else(|| refuse("a name has no value"))?;
            // `Authorization: Bearer abc==` would otherwise make a name of the secret, and names are shown.
            if !header.chars().all(|char| char.is_ascii_alphanumeric() || "!#$&'*+-.^_`|~%".contains(char)) {
                return Err(refuse("a name is none (a colon or a space in it?)"));
            }
            if value.contains(char::is_control) {
                return Err(refuse("there is a control character in it"));
            }
            Ok((header, Secret::value(value)))
        };
        given.into_iter().map(header).collect()
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

    /// Remarks on variables that are named as if they were ours.
    fn unknown_names(&self) {
        // Lanes are not in this version, which is told once and not again for each variable of each lane.
        let lanes = self.env.lookup("LOGCHUTE_LANES").unwrap_or_default().to_uppercase();
        let lanes: Vec<String> = lanes
            .split(',')
            .map(|lane| format!("{PREFIX}{}_", lane.trim()))
            .filter(|lane| lane.len() > PREFIX.len() + 1)
            .collect();
        let of_no_lane = |name: &&String| !lanes.iter().any(|lane| name.starts_with(lane.as_str()));
        for remark in self.env.0.keys().filter(of_no_lane).filter_map(|name| names::remark(name)) {
            self.remark(remark);
        }
    }
}

/// A value that was refused; not shown where it may be a secret.
fn refused(name: &'static str, value: &str, must: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    let secret = list::find(name).is_none_or(|setting| setting.secret);
    Error::setting(name, if secret { "***" } else { value }, must)
}

/// A builder with all that the environment says.
pub(super) fn builder(env: &Env) -> Result<Builder, Error> {
    let mut reader = Reader::new(env);
    let mut builder = Builder::new();
    reader.unknown_names();

    reader.directives(&mut builder.filter, "LOGCHUTE_FILTER")?;
    reader.directives(&mut builder.spans, "LOGCHUTE_SPANS")?;
    builder.service = reader.text("LOGCHUTE_SERVICE")?.map(|name| Given::by("LOGCHUTE_SERVICE", name.to_owned()));
    let promoted = labels(&reader, &mut builder)?;

    builder.tee = reader.parsed("LOGCHUTE_TEE", tee)?.unwrap_or(Some(TeeTo::new(Stream::Stderr, Format::Text)));
    if let Some(directives) = reader.foreign("RUST_LOG") {
        let (targets, remark) = filter::parse_lenient("RUST_LOG", &directives);
        builder.tee_filter = targets.map(|targets| TeeFilter::Parsed(Box::new(targets)));
        remark.into_iter().for_each(|remark| reader.remark(remark));
    }

    builder.doctor = reader.parsed("LOGCHUTE_DOCTOR", units::switch)?.unwrap_or(false);
    reader.given(&mut builder.queue_bytes, "LOGCHUTE_QUEUE_BYTES", units::bytes)?;
    reader.given(&mut builder.overflow, "LOGCHUTE_OVERFLOW", units::overflow)?;
    reader.given(&mut builder.backlog_bytes, "LOGCHUTE_BACKLOG_BYTES", units::bytes)?;
    reader.given(&mut builder.batch_bytes, "LOGCHUTE_BATCH_BYTES", units::bytes)?;
    reader.given(&mut builder.in_flight, "LOGCHUTE_IN_FLIGHT", units::count)?;
    reader.given(&mut builder.linger, "LOGCHUTE_LINGER", units::duration)?;
    reader.given(&mut builder.timeout, "LOGCHUTE_TIMEOUT", units::duration)?;
    reader.given(&mut builder.retry_for, "LOGCHUTE_RETRY_FOR", units::duration)?;
    reader.given(&mut builder.shutdown, "LOGCHUTE_SHUTDOWN", units::duration)?;
    if let Some(policy) = reader.parsed("LOGCHUTE_BACKLOG_OVERFLOW", units::backlog_overflow)? {
        builder.backlog_overflow = policy;
    }
    if let Some(compression) = reader.parsed("LOGCHUTE_COMPRESSION", units::compression)? {
        builder.compression = compression;
    }

    builder.destinations.extend(destination(&mut reader, &promoted)?);
    // Names in a message are those of the variables, so what is out of range is told here and not at `start`.
    builder.check()?;
    builder.remarks = reader.remarks.into_inner();
    Ok(builder)
}

/// Constant labels go into the builder; the names of all are returned, for backends whose stores have labels.
fn labels(reader: &Reader<'_>, builder: &mut Builder) -> Result<Vec<String>, Error> {
    const NAME: &str = "LOGCHUTE_LABELS";
    let Some(text) = reader.text(NAME)? else { return Ok(Vec::new()) };
    let given = pairs(text, &[',']).map_err(|why| refused(NAME, text, format!("{LABELS}; {why}")))?;
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

fn tee(text: &str) -> Result<Option<TeeTo>, &'static str> {
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

/// The destination that `LOGCHUTE_URL` names, with its credentials. These are read in any case, so that a
/// malformed one is told even while no URL is set.
fn destination(reader: &mut Reader<'_>, promoted: &[String]) -> Result<Option<Destination>, Error> {
    let token = reader.secret("LOGCHUTE_TOKEN")?;
    let user = reader.secret("LOGCHUTE_USER")?;
    let password = reader.secret("LOGCHUTE_PASSWORD")?;
    let tenant = reader.secret("LOGCHUTE_TENANT")?;
    let headers = reader.headers()?;
    let (ca, cert, key) = (reader.path("LOGCHUTE_CA"), reader.path("LOGCHUTE_CERT"), reader.path("LOGCHUTE_KEY"));
    let allow_http = reader.parsed("LOGCHUTE_ALLOW_HTTP", units::switch)?.unwrap_or(false);
    match (&cert, &key) {
        (Some(cert), None) => {
            return Err(Error::setting("LOGCHUTE_CERT", cert.display(), "set together with LOGCHUTE_KEY"));
        }
        (None, Some(key)) => {
            return Err(Error::setting("LOGCHUTE_KEY", key.display(), "set together with LOGCHUTE_CERT"));
        }
        _ => {}
    }
    for (name, path) in [("LOGCHUTE_CA", &ca), ("LOGCHUTE_CERT", &cert), ("LOGCHUTE_KEY", &key)] {
        if let (Some(path), false) = (path, cfg!(feature = "tls")) {
            let must = "unset: it needs the feature `tls`, which is not compiled in";
            return Err(Error::setting(name, path.display(), must));
        }
    }
    let Some(given) = reader.text("LOGCHUTE_URL")? else {
        let credential =
            [("TOKEN", token.is_some()), ("PASSWORD", password.is_some()), ("HEADERS", !headers.is_empty())];
        if let Some((name, _)) = credential.into_iter().find(|(_, set)| *set) {
            reader.remark(format!("{PREFIX}{name} is set, but {PREFIX}URL is not, so nothing is sent anywhere"));
        }
        return Ok(None);
    };
    let mut names = Names::of_environment(mask_url(given));
    let (backend, scheme) = url::backend(given, promoted, reader, &mut names)?;
    let mut to = Destination::boxed(backend);
    to.reach.names = names;
    let has_credential = [&token, &user, &password].into_iter().any(Option::is_some)
        || headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let credentials = &mut to.reach.credentials;
    (credentials.token, credentials.user, credentials.password) = (token, user, password);
    (credentials.tenant, credentials.headers) = (tenant, headers);
    (to.reach.ca, to.reach.cert, to.reach.key, to.reach.allow_http) = (ca, cert, key, allow_http);
    foreign_credentials(reader, scheme, has_credential, &mut to);
    Ok(Some(to))
}

/// What ours leave unsaid and that store's own variables say.
fn foreign_credentials(reader: &Reader<'_>, scheme: &Scheme, has_credential: bool, to: &mut Destination) {
    let first = |is_meant: fn(&Says) -> bool| {
        scheme.foreign.iter().filter(|foreign| is_meant(&foreign.says)).find_map(|foreign| {
            let (name, value) = (foreign.name, reader.foreign(foreign.name)?);
            if value.contains(char::is_control) {
                reader.remark(format!("{name} is ignored: there is a control character in it"));
                return None;
            }
            Some((name, value))
        })
    };
    if !has_credential && let Some((name, token)) = first(|says| matches!(says, Says::Token)) {
        to.reach.names.replace("token", name);
        to.reach.credentials.token = Some(Secret::value(token));
    } else if !has_credential {
        match (first(|says| matches!(says, Says::User)), first(|says| matches!(says, Says::Password))) {
            (Some((user_name, user)), Some((password_name, password))) => {
                to.reach.names.replace("user", user_name);
                to.reach.names.replace("password", password_name);
                to.reach.credentials.user = Some(Secret::value(user));
                to.reach.credentials.password = Some(Secret::value(password));
            }
            (None, None) => {}
            (Some((name, _)), None) => reader.remark(format!("{name} is ignored: there is no password to it")),
            (None, Some((name, _))) => reader.remark(format!("{name} is ignored: there is no user to it")),
        }
    }
    // A tenant may also have been given as the header that the store knows it by.
    let header = to.backend.facts().tenant_header();
    let is_tenant = |(name, _): &(String, Secret)| name.eq_ignore_ascii_case(header);
    if to.reach.credentials.tenant.is_none()
        && !to.reach.credentials.headers.iter().any(is_tenant)
        && let Some((name, tenant)) = first(|says| matches!(says, Says::Tenant))
    {
        to.reach.names.replace("tenant", name);
        to.reach.credentials.tenant = Some(Secret::value(tenant));
    }
}

//! Credentials: from a value or a file to request headers, without ever being shown.
//!
//! A file is looked at again when it may have changed, because tokens in containers are rotated under the same path.
//! While it cannot be read the last value stays in use: a rotation must not interrupt what works.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::Names;
use crate::backend::TokenAs;
use crate::error::Error;
use crate::file;

/// Headers that say how the request is framed or what its body is. A setting that changed them would break each request.
const OURS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that are known to name a place or a format and no secret, so they may go over plain http.
const HARMLESS: &[&str] =
    &["x-scope-orgid", "accountid", "projectid", "host", "user-agent", "accept", "metadata-flavor"];

/// VictoriaLogs' request options (`VL-Stream-Fields` …).
const HARMLESS_PREFIX: &str = "vl-";

/// How often files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);

/// What is wrong with a file that is larger is not its token.
const LARGEST: u64 = 64 * 1024;

/// A value that is not shown, or the file that holds it.
#[derive(Clone)]
pub(crate) struct Secret(Source);

#[derive(Clone)]
enum Source {
    Value(String),
    File(PathBuf),
}

impl Secret {
    /// The value itself.
    pub(crate) fn value(value: impl Into<String>) -> Self {
        Self(Source::Value(value.into()))
    }

    /// The file that holds the value. One line break at its end is not part of it.
    pub(crate) fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// What it is, unless a file says that.
    pub(crate) fn as_value(&self) -> Option<&str> {
        match &self.0 {
            Source::Value(value) => Some(value),
            Source::File(_) => None,
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::Value(_) => None,
            Source::File(path) => Some(path),
        }
    }

    /// The value, now; `setting` is the builder method for a value.
    pub(super) fn read(&self, setting: &str) -> Result<String, Error> {
        match &self.0 {
            Source::Value(value) => Ok(value.clone()),
            Source::File(path) => {
                let refuse = |must: String| Error::setting(named(setting, self), path.display(), must);
                let bytes =
                    file::read(path, LARGEST).map_err(|why| refuse(format!("a file that can be read ({why})")))?;
                let mut text = String::from_utf8(bytes).map_err(|_| refuse("a file that holds text".into()))?;
                if text.ends_with('\n') {
                    text.pop();
                    if text.ends_with('\r') {
                        text.pop();
                    }
                }
                Ok(text)
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Value(_) => f.write_str("***"),
            Source::File(path) => write!(f, "*** (file {})", path.display()),
        }
    }
}

/// What is shown to the store to be let in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    /// `Authorization: Bearer …`
    pub(crate) token: Option<Secret>,
    /// With a password: `Authorization: Basic …`
    pub(crate) user: Option<Secret>,
    pub(crate) password: Option<Secret>,
    /// Any other header.
    pub(crate) headers: Vec<(String, Secret)>,
    /// `X-Scope-OrgID: …`
    pub(crate) tenant: Option<Secret>,
}

impl Credentials {
    /// The setting that must not go over plain http to another machine.
    pub(super) fn exposed(&self) -> Option<String> {
        if self.token.is_some() {
            return Some("a token".into());
        }
        if self.user.is_some() || self.password.is_some() {
            return Some("a password".into());
        }
        let secret = self.headers.iter().find(|(name, _)| !is_harmless(&name.to_ascii_lowercase()))?;
        Some(format!("the header {}", secret.0))
    }

    /// Whether a request carries a credential of the user's.
    pub(super) fn authorizes(&self) -> bool {
        let is_one = |(name, _): &(String, Secret)| name.eq_ignore_ascii_case("authorization");
        self.token.is_some() || self.user.is_some() || self.password.is_some() || self.headers.iter().any(is_one)
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.token, &self.user, &self.password, &self.tenant]
            .into_iter()
            .flatten()
            .chain(self.headers.iter().map(|(_, secret)| secret))
    }

    /// The request headers, from what values and files hold now.
    pub(super) fn read(&self, shown: Shown) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        for (place, (name, secret)) in self.headers.iter().enumerate() {
            // A name that is none may be a header with its value, so it is not shown.
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                let which = format!("*** (header {} of {})", place + 1, self.headers.len());
                return Err(Error::setting("headers", which, "a valid header name, then its value"));
            };
            if OURS.contains(&name.as_str()) {
                return Err(Error::setting("headers", name, "a header that logchute does not set itself"));
            }
            let value = header_value("headers", &format!("{name}: ***"), secret, &secret.read("headers")?)?;
            if headers.insert(name.clone(), value).is_some() {
                return Err(Error::setting("headers", name, "named once"));
            }
        }
        if let Some(tenant) = &self.tenant {
            let value = tenant.read("tenant")?;
            filled("tenant", tenant, &value)?;
            let value = header_value("tenant", "***", tenant, &value)?;
            let header = HeaderName::from_static(shown.tenant);
            if headers.insert(header.clone(), value).is_some() {
                let must = format!("unset where headers (LOGCHUTE_HEADERS) hold {header}");
                return Err(Error::setting("tenant", "***", must));
            }
        }
        if let Some((header, value)) = self.authorization(shown.token)?
            && headers.insert(header.clone(), value).is_some()
        {
            return Err(Error::setting(
                "headers",
                header,
                "unset where token (LOGCHUTE_TOKEN) or user (LOGCHUTE_USER) is set",
            ));
        }
        Ok(headers)
    }

    fn authorization(&self, shown: TokenAs) -> Result<Option<(HeaderName, HeaderValue)>, Error> {
        match (&self.token, &self.user, &self.password) {
            (None, None, None) => Ok(None),
            (Some(token), None, None) => {
                let value = token.read("token")?;
                filled("token", token, &value)?;
                // Also catches "Bearer abc", which would be sent as "Bearer Bearer abc".
                if value.contains(|c: char| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
                    let must = "the bare token on one line, without the word Bearer, spaces or control characters";
                    return Err(Error::setting(named("token", token), token, must));
                }
                let (header, value) = match shown {
                    TokenAs::Speech => {
                        let must = "unset, because this store is shown one on a connection, and its URL is one of HTTP";
                        return Err(Error::setting(named("token", token), token, must));
                    }
                    TokenAs::Authorization(word) => (AUTHORIZATION, format!("{word} {value}")),
                    TokenAs::Header(name) => (HeaderName::from_static(name), value),
                };
                Ok(Some((header, header_value("token", "***", token, &value)?)))
            }
            (Some(token), ..) => Err(Error::setting(
                named("token", token),
                token,
                "unset where user (LOGCHUTE_USER) or password (LOGCHUTE_PASSWORD) is set: a request carries one of them",
            )),
            (None, Some(user), Some(password)) => {
                let (name, word) = (user.read("user")?, password.read("password")?);
                filled("user", user, &name)?;
                // RFC 7617 §2: the first colon ends the user's name.
                if name.contains(|c: char| c == ':' || c.is_control()) {
                    return Err(Error::setting(
                        named("user", user),
                        user,
                        "a name without colon and control characters",
                    ));
                }
                if word.contains(char::is_control) {
                    return Err(Error::setting(
                        named("password", password),
                        password,
                        "one line without control characters",
                    ));
                }
                let pair = STANDARD.encode(format!("{name}:{word}"));
                Ok(Some((AUTHORIZATION, header_value("user", "***", user, &format!("Basic {pair}"))?)))
            }
            (None, Some(user), None) => Err(Error::setting(
                named("user", user),
                user,
                "set together with password (LOGCHUTE_PASSWORD) or password_file (LOGCHUTE_PASSWORD_FILE)",
            )),
            (None, None, Some(password)) => {
                Err(Error::setting(named("password", password), password, "set together with user (LOGCHUTE_USER)"))
            }
        }
    }
}

/// Whether a header of this name, in lower case, holds no secret.
pub(super) fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name) || name.starts_with(HARMLESS_PREFIX)
}

/// The setting's name: `token` or `token_file`.
pub(super) fn named(setting: &str, secret: &Secret) -> String {
    match secret.path() {
        Some(_) if setting != "headers" => format!("{setting}_file"),
        _ => setting.to_owned(),
    }
}

pub(super) fn filled(setting: &str, secret: &Secret, value: &str) -> Result<(), Error> {
    if value.is_empty() { Err(Error::setting(named(setting, secret), secret, "not empty")) } else { Ok(()) }
}

fn header_value(setting: &str, masked: &str, secret: &Secret, value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        let must = "free of line breaks and other control characters: it is sent as a header";
        Error::setting(named(setting, secret), masked, must)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// How the backend's store is shown credentials.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) token: TokenAs,
    pub(super) tenant: &'static str,
}

/// Credentials in use: as they are shown, and what the files looked like when they were read.
pub(super) struct Auth<T = HeaderMap> {
    credentials: Credentials,
    names: Names,
    read: Read<T>,
    ready: T,
    /// Counts those that were ready.
    number: u64,
    stamps: Vec<Stamp>,
    looked: Instant,
    complaint: Option<String>,
}

/// Makes of credentials what is shown.
type Read<T> = Box<dyn Fn(&Credentials) -> Result<T, Error> + Send>;

/// Enough to see that a file was written or replaced.
type Stamp = Option<(Option<SystemTime>, u64)>;

impl Auth {
    /// Shown as headers.
    pub(super) fn new(credentials: Credentials, names: Names, shown: Shown, now: Instant) -> Result<Self, Error> {
        Self::shown_by(move |credentials| credentials.read(shown), credentials, names, now)
    }
}

impl<T: PartialEq> Auth<T> {
    /// Shown as `read` makes it of them.
    pub(super) fn shown_by(
        read: impl Fn(&Credentials) -> Result<T, Error> + Send + 'static,
        credentials: Credentials,
        names: Names,
        now: Instant,
    ) -> Result<Self, Error> {
        // Stamps before contents: a file that changes in between is read once more, not missed.
        let stamps = stamps(&credentials);
        let ready = read(&credentials)?;
        Ok(Self { credentials, names, read: Box::new(read), ready, number: 0, stamps, looked: now, complaint: None })
    }

    /// What is shown with a request, and its number; files that changed are read first.
    pub(super) fn ready(&mut self, now: Instant) -> (&T, u64) {
        if !self.stamps.is_empty() && now.saturating_duration_since(self.looked) >= LOOK {
            self.looked = now;
            if stamps(&self.credentials) != self.stamps {
                self.refresh();
            }
        }
        (&self.ready, self.number)
    }

    /// Whether there is another credential than the one of that number, which was refused; the files are read again.
    pub(super) fn replace(&mut self, refused: u64) -> bool {
        // Of several requests at once the first that is refused has read the files for the others.
        refused != self.number || self.refresh()
    }

    /// Reads the files again, and says whether that gave another credential.
    fn refresh(&mut self) -> bool {
        let stamps = stamps(&self.credentials);
        match (self.read)(&self.credentials) {
            Ok(read) => {
                (self.stamps, self.complaint) = (stamps, None);
                let changed = read != self.ready;
                self.ready = read;
                self.number += u64::from(changed);
                changed
            }
            // The stamps stay as they were, so that the next look tries again.
            Err(why) => {
                self.complaint = Some(self.names.tell(why).to_string());
                false
            }
        }
    }

    /// Why the files could not be read the last time.
    pub(super) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }
}

fn stamps(credentials: &Credentials) -> Vec<Stamp> {
    let stamp = |path| std::fs::metadata(path).ok().map(|meta| (meta.modified().ok(), meta.len()));
    credentials.secrets().filter_map(Secret::path).map(stamp).collect()
}

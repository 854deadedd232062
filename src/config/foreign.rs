//! What the variables of a store's own world say, where ours are silent: credentials, files, patience and compression.
//! Where the store is, they say in `url.rs`.
//!
//! Of those that say the same the first that can be used wins, and one of ours goes before all of them. What is wrong
//! with one of them is a remark that shows no secret, never an error: nobody set it for us.

use std::time::Duration;

use super::Destination;
use super::check::Given;
use super::chosen::{HOUR, MS};
use super::reader::{self, Reader};
use super::units;
use crate::backend::{Facts, Says, Scheme, TokenAs};
use crate::voice::mask_url;
use crate::wire::{Credentials, Options, Secret};

/// Adds it to a destination that has all of ours already.
pub(super) fn add(reader: &Reader<'_>, scheme: &'static Scheme, to: &mut Destination) {
    let facts = to.backend.facts();
    let world = World { reader, scheme, facts: &facts };
    world.headers(to);
    world.credential(to);
    world.tenant(to);
    world.files(to);
    world.patience(to);
}

struct World<'a> {
    reader: &'a Reader<'a>,
    scheme: &'static Scheme,
    facts: &'a Facts,
}

impl World<'_> {
    /// The variables that are meant, in their order, with their values.
    fn all(&self, is_meant: fn(&Says) -> bool) -> impl Iterator<Item = (&'static str, String)> {
        let meant = self.scheme.foreign.iter().filter(move |foreign| is_meant(&foreign.says));
        meant.filter_map(|foreign| Some((foreign.name, self.reader.foreign(foreign.name)?)))
    }

    fn ignore(&self, name: &str, why: &str) {
        self.reader.remark(format!("{name} is ignored: {why}"));
    }

    /// Whether these alone would do for this destination; if not, that is told.
    fn can_use(&self, name: &str, to: &Destination, reach: Options) -> bool {
        let reach = Options {
            url: to.backend.url().to_owned(),
            names: to.reach.names.clone(),
            allow_http: to.reach.allow_http,
            token_as: self.facts.token_as(),
            tenant_header: self.facts.tenant_header(),
            ..reach
        };
        let why = reach.unusable();
        why.iter().for_each(|why| self.ignore(name, why));
        why.is_none()
    }

    fn can_show(&self, name: &str, to: &Destination, credentials: &Credentials) -> bool {
        self.can_use(name, to, Options { credentials: credentials.clone(), ..Options::default() })
    }

    /// Whether a header of that name is what a token or a password is shown by.
    fn is_authorization(&self, name: &str) -> bool {
        let token = match self.facts.token_as() {
            TokenAs::Authorization(_) | TokenAs::Speech => "authorization",
            TokenAs::Header(header) => header,
        };
        ["authorization", token].iter().any(|header| name.eq_ignore_ascii_case(header))
    }

    fn headers(&self, to: &mut Destination) {
        if !to.reach.credentials.headers.is_empty() {
            return;
        }
        let found = self.all(|says| matches!(says, Says::Headers)).find_map(|(name, text)| {
            let headers = reader::headers(&text, &[',']).map_err(|why| self.ignore(name, &why)).ok()?;
            let credentials = Credentials { headers, ..Credentials::default() };
            self.can_show(name, to, &credentials).then_some((name, credentials.headers))
        });
        let Some((name, mut headers)) = found else { return };
        let ours = &to.reach.credentials;
        let (has_credential, has_tenant) =
            (ours.token.is_some() || ours.user.is_some() || ours.password.is_some(), ours.tenant.is_some());
        headers.retain(|(header, _)| {
            let is_tenant = header.eq_ignore_ascii_case(self.facts.tenant_header());
            !(has_credential && self.is_authorization(header) || has_tenant && is_tenant)
        });
        to.reach.names.replace("headers", name);
        to.reach.credentials.headers = headers;
    }

    fn credential(&self, to: &mut Destination) {
        let ours = &to.reach.credentials;
        let has_one = ours.token.is_some() || ours.user.is_some() || ours.password.is_some();
        if has_one || ours.headers.iter().any(|(name, _)| self.is_authorization(name)) {
            return;
        }
        let token = self.all(|says| matches!(says, Says::Token)).find_map(|(name, token)| {
            let credentials = Credentials { token: Some(Secret::value(token)), ..Credentials::default() };
            self.can_show(name, to, &credentials).then_some((name, credentials.token))
        });
        if let Some((name, token)) = token {
            to.reach.names.replace("token", name);
            to.reach.credentials.token = token;
            return;
        }
        let user = self.all(|says| matches!(says, Says::User)).next();
        let password = self.all(|says| matches!(says, Says::Password)).next();
        match (user, password) {
            (Some((user_name, user)), Some((name, password))) => {
                let (user, password) = (Some(Secret::value(user)), Some(Secret::value(password)));
                let credentials = Credentials { user, password, ..Credentials::default() };
                if self.can_show(name, to, &credentials) {
                    to.reach.names.replace("user", user_name);
                    to.reach.names.replace("password", name);
                    (to.reach.credentials.user, to.reach.credentials.password) =
                        (credentials.user, credentials.password);
                }
            }
            (Some((name, _)), None) => self.ignore(name, "there is no password to it"),
            (None, Some((name, _))) => self.ignore(name, "there is no user to it"),
            (None, None) => {}
        }
    }

    fn tenant(&self, to: &mut Destination) {
        // A tenant may also have been given as the header that the store knows it by.
        let header = self.facts.tenant_header();
        let ours = &to.reach.credentials;
        if ours.tenant.is_some() || ours.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header)) {
            return;
        }
        let tenant = self.all(|says| matches!(says, Says::Tenant)).find_map(|(name, tenant)| {
            let credentials = Credentials { tenant: Some(Secret::value(tenant)), ..Credentials::default() };
            self.can_show(name, to, &credentials).then_some((name, credentials.tenant))
        });
        if let Some((name, tenant)) = tenant {
            to.reach.names.replace("tenant", name);
            to.reach.credentials.tenant = tenant;
        }
    }

    fn files(&self, to: &mut Destination) {
        if to.reach.ca.is_none() {
            let found = self.all(|says| matches!(says, Says::Ca)).find_map(|(name, path)| {
                let reach = Options { ca: Some(path.into()), ..Options::default() };
                self.can_use(name, to, reach.clone()).then_some((name, reach.ca))
            });
            if let Some((name, ca)) = found {
                to.reach.names.replace("ca", name);
                to.reach.ca = ca;
            }
        }
        if to.reach.cert.is_some() || to.reach.key.is_some() {
            return;
        }
        let cert = self.all(|says| matches!(says, Says::Cert)).next();
        let key = self.all(|says| matches!(says, Says::Key)).next();
        match (cert, key) {
            (Some((name, cert)), Some((key_name, key))) => {
                let reach = Options { cert: Some(cert.into()), key: Some(key.into()), ..Options::default() };
                if self.can_use(name, to, reach.clone()) {
                    to.reach.names.replace("cert", name);
                    to.reach.names.replace("key", key_name);
                    (to.reach.cert, to.reach.key) = (reach.cert, reach.key);
                }
            }
            (Some((name, _)), None) => self.ignore(name, "there is no key to it"),
            (None, Some((name, _))) => self.ignore(name, "there is no certificate to it"),
            (None, None) => {}
        }
    }

    /// How long an attempt may take, and compression. Code may still say otherwise, so they stand apart.
    fn patience(&self, to: &mut Destination) {
        let is_said = |setting| {
            let said = |reader: &Reader<'_>| reader.env.raw(&reader.name(setting)).is_some();
            said(self.reader) || said(&self.reader.of_all())
        };
        if !is_said("LOGCHUTE_TIMEOUT") {
            const MUST: &str = "a whole number of milliseconds, from 1 to 3600000 (an hour)";
            to.foreign.timeout = self.all(|says| matches!(says, Says::Timeout)).find_map(|(name, text)| {
                let given = text.parse().ok().map(|millis| Given::by(name, Duration::from_millis(millis)));
                let given = given.filter(|given| given.time_in(MS..=HOUR).is_ok());
                self.or_odd(given, name, &text, MUST)
            });
        }
        if !is_said("LOGCHUTE_COMPRESSION") {
            to.foreign.compression = self
                .all(|says| matches!(says, Says::Compression))
                .find_map(|(name, text)| self.or_odd(units::compression(&text).ok(), name, &text, units::COMPRESSION));
        }
    }

    fn or_odd<T>(&self, value: Option<T>, name: &str, text: &str, must: &str) -> Option<T> {
        if value.is_none() {
            self.ignore(name, &format!("it is {:?}, but must be {must}", mask_url(text)));
        }
        value
    }
}

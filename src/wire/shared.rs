//! A credential goes to one host: who runs a store must not get what opens another one.
//!
//! Tokens, passwords and headers that may hold a secret are compared, by their values and by the files that hold them,
//! and whatever the setting that gave them. Users, tenants and client certificates are not: the first two are no
//! secrets, and of a certificate no host ever sees the key.

use std::path::PathBuf;

use reqwest::Url;

use super::Names;
use super::auth::{Credentials, is_harmless};
use super::url;
use crate::error::Error;

/// A destination, and what it holds.
#[derive(Clone, Copy)]
pub(crate) struct Holder<'a> {
    pub(crate) destination: &'a str,
    pub(crate) url: &'a str,
    pub(crate) names: &'a Names,
    pub(crate) credentials: &'a Credentials,
}

/// One secret of a destination, as far as it can be read. It is never shown.
struct Held<'a> {
    holder: Holder<'a>,
    host: String,
    setting: String,
    value: Option<String>,
    path: Option<PathBuf>,
}

/// Refuses a credential that is given for destinations at two hosts. A host has one owner, whatever the port.
pub(crate) fn refuse_shared<'a>(holders: impl Iterator<Item = Holder<'a>>) -> Result<(), Error> {
    let mut seen: Vec<Held<'_>> = Vec::new();
    for holder in holders {
        // What cannot be spoken to is refused by its client, with a reason.
        let Some(host) = host(holder.url) else { continue };
        let mine: Vec<_> = held(holder, &host).collect();
        for secret in &mine {
            let is_other = |other: &&Held<'_>| other.host != host && other.is_same(secret);
            if let Some(other) = seen.iter().find(is_other) {
                return Err(refusal(other, secret));
            }
        }
        seen.extend(mine);
    }
    Ok(())
}

fn held<'a>(holder: Holder<'a>, host: &str) -> impl Iterator<Item = Held<'a>> {
    let Credentials { token, user: _, password, headers, tenant: _ } = holder.credentials;
    let plain = [("token", token), ("password", password)];
    let plain = plain.into_iter().filter_map(|(setting, secret)| Some((setting, secret.as_ref()?, None)));
    let headers = headers.iter().map(|(name, secret)| ("headers", secret, Some(name.to_ascii_lowercase())));
    let headers = headers.filter(|(.., name)| name.as_ref().is_some_and(|name| !is_harmless(name)));
    let host = host.to_owned();
    plain.chain(headers).map(move |(setting, secret, header)| Held {
        holder,
        host: host.clone(),
        setting: if setting == "headers" { setting.to_owned() } else { super::auth::named(setting, secret) },
        value: secret.read(setting).ok().and_then(|value| bare(value, header.as_deref())),
        path: secret.path().map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned())),
    })
}

/// Without the word before it (`Bearer`, `ApiKey`), so that a token is known in a header as well.
fn bare(value: String, header: Option<&str>) -> Option<String> {
    let value = match header {
        Some("authorization" | "proxy-authorization") => value.rsplit(' ').next().unwrap_or_default().to_owned(),
        _ => value,
    };
    Some(value).filter(|value| !value.trim().is_empty())
}

impl Held<'_> {
    fn is_same(&self, other: &Self) -> bool {
        let same_value = self.value.is_some() && self.value == other.value;
        same_value || (self.path.is_some() && self.path == other.path)
    }

    /// Where it goes.
    fn place(&self) -> String {
        format!("destination {} at {}", self.holder.destination, self.host)
    }
}

fn refusal(first: &Held<'_>, second: &Held<'_>) -> Error {
    let (names, setting) = (second.holder.names, second.setting.as_str());
    let (given_by, also_by) = (names.of(setting), first.holder.names.of(&first.setting));
    let own = names.own(setting);
    let hint = if own == given_by { String::new() } else { format!("; set {own}") };
    let must = format!(
        "for one host alone: {} would be shown what is {also_by} of {}, and could use it there{hint}",
        second.place(),
        first.place()
    );
    Error::setting(given_by, "***", must)
}

/// Where a URL leads, in one spelling; all names of this machine are one.
fn host(url: &str) -> Option<String> {
    if url::check(url).is_ok_and(|target| target.loopback) {
        return Some("localhost".into());
    }
    let host = Url::parse(url).ok()?.host_str()?.trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Secret;

    const A: &str = "https://a.example/x";
    const B: &str = "https://b.example/x";

    fn token(secret: Secret) -> Credentials {
        Credentials { token: Some(secret), ..Credentials::default() }
    }

    fn password(word: &str) -> Credentials {
        Credentials { user: Some(Secret::value("me")), password: Some(Secret::value(word)), ..Credentials::default() }
    }

    fn header(name: &str, value: &str) -> Credentials {
        Credentials { headers: vec![(name.into(), Secret::value(value))], ..Credentials::default() }
    }

    fn outcome(first: (&str, &Credentials), second: (&str, &Credentials)) -> Result<(), String> {
        let names = Names::default();
        let holder = |destination, (url, credentials)| Holder { destination, url, names: &names, credentials };
        refuse_shared([holder("ops", first), holder("audit", second)].into_iter()).map_err(|why| why.to_string())
    }

    #[test]
    fn one_credential_for_two_hosts_is_refused_however_it_is_given() {
        let value = || token(Secret::value("canary"));
        let (key, bearer) = (header("X-Key", "canary"), header("Authorization", "Bearer canary"));
        for (first, second, setting) in [
            (value(), value(), "token"),
            (value(), password("canary"), "password"),
            (password("canary"), value(), "token"),
            (value(), key.clone(), "headers"),
            (bearer.clone(), value(), "token"),
            (key, bearer, "headers"),
        ] {
            let refused = outcome((A, &first), (B, &second)).unwrap_err();
            assert!(refused.starts_with(&format!("{setting} is \"***\"")), "{refused}");
            for part in ["destination ops at a.example", "destination audit at b.example"] {
                assert!(refused.contains(part), "{refused}");
            }
            assert!(!refused.contains("canary"), "{refused}");
        }
    }

    #[test]
    fn one_file_is_one_credential_also_while_it_cannot_be_read() {
        let file = || token(Secret::file("/no/such/canary"));
        let refused = outcome((A, &file()), (B, &file())).unwrap_err();
        assert!(refused.starts_with("token_file is \"***\""), "{refused}");
        assert_eq!(outcome((A, &file()), (B, &token(Secret::file("/no/such/other")))), Ok(()));
    }

    #[test]
    fn what_a_file_holds_is_compared_with_a_value() {
        let path = std::env::temp_dir().join(format!("logchute-shared-{}", std::process::id()));
        std::fs::write(&path, "canary\n").unwrap();
        let refused = outcome((A, &token(Secret::file(&path))), (B, &token(Secret::value("canary"))));
        std::fs::remove_file(&path).unwrap();
        assert!(refused.unwrap_err().contains("token_file of destination ops"));
    }

    #[test]
    fn one_host_may_have_it_twice_and_what_is_no_secret_may_go_anywhere() {
        let value = || token(Secret::value("canary"));
        for (first, second) in [
            (A, "https://a.example:8443/y"),
            (A, "https://A.EXAMPLE./"),
            ("tcp://a.example:1", "tls://A.example:2"),
            ("http://localhost:1", "http://127.0.0.1:2"),
            ("http://[::1]:1", "http://127.0.0.2"),
        ] {
            assert_eq!(outcome((first, &value()), (second, &value())), Ok(()), "{first} {second}");
        }
        let tenant = Credentials { tenant: Some(Secret::value("acme")), ..Credentials::default() };
        for (first, second) in [
            (password("one"), password("two")),
            (tenant.clone(), tenant),
            (header("VL-Stream-Fields", "service"), header("VL-Stream-Fields", "service")),
            (header("x-key", ""), header("x-key", "")),
            (value(), token(Secret::value("other"))),
        ] {
            assert_eq!(outcome((A, &first), (B, &second)), Ok(()), "{first:?} {second:?}");
        }
        assert!(outcome(("tls://a.example:1", &value()), ("tls://b.example:1", &value())).is_err());
    }

    #[test]
    fn the_variable_that_would_mend_it_is_named() {
        let mut names = Names::of_environment("LOGCHUTE_AUDIT_", "elasticsearch".into());
        names.replace("token", "ELASTIC_API_KEY");
        let (shared, code) = (token(Secret::value("canary")), Names::default());
        let holders = [
            Holder { destination: "ops", url: A, names: &code, credentials: &shared },
            Holder { destination: "audit", url: B, names: &names, credentials: &shared },
        ];
        let refused = refuse_shared(holders.into_iter()).unwrap_err().to_string();
        assert_eq!(
            refused,
            "ELASTIC_API_KEY is \"***\", but must be for one host alone: destination audit at b.example would be shown what \
             is token of destination ops at a.example, and could use it there; set LOGCHUTE_AUDIT_TOKEN"
        );
    }
}

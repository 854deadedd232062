//! `LOGCHUTE_URL`: which backend, and where its store is.

use super::names::{PREFIX, distance};
use super::reader::Reader;
use crate::backend::{ABSENT, Backend, Says, Scheme, Setup, Written};
use crate::error::Error;
use crate::voice::mask_url;
use crate::wire::Names;

const URL: &str = "LOGCHUTE_URL";

/// The backend, and the scheme that it belongs to. A variable that gave the URL in place of ours goes into `names`.
pub(super) fn backend(
    given: &str,
    promoted: &[String],
    reader: &Reader<'_>,
    names: &mut Names,
) -> Result<(Box<dyn Backend>, &'static Scheme), Error> {
    let refuse =
        |must: String| Error::setting(reader.name(URL), mask_url(given), must.replace(PREFIX, &reader.prefix()));
    let schemes = reader.env.schemes;
    let (head, rest) = given.split_once("://").map_or((given, None), |(head, rest)| (head, Some(rest)));
    let head = head.to_ascii_lowercase();
    let (kind, transport) = match head.split_once('+') {
        Some((kind, transport)) => (kind, Some(transport)),
        None => (&*head, None),
    };
    let Some(scheme) = schemes.iter().find(|scheme| scheme.names.contains(&kind)) else {
        if matches!(kind, "http" | "https") {
            let examples =
                over_http(schemes).map(|kind| format!("{kind}+{kind_of}://", kind_of = head)).collect::<Vec<_>>();
            return Err(refuse(format!("a URL that says which backend is meant: one of {}", examples.join(", "))));
        }
        if let Some((_, feature)) = ABSENT.iter().find(|(names, _)| names.contains(&kind)) {
            return Err(refuse(format!(
                "one of the backends of this build ({}): {kind} needs the feature `{feature}`, which is not compiled in",
                listed(schemes)
            )));
        }
        let nearest =
            kinds(schemes).min_by_key(|known| distance(kind, known)).filter(|known| distance(kind, known) <= 2);
        let hint = nearest.map_or_else(String::new, |known| format!(" (did you mean {known}?)"));
        return Err(refuse(format!(
            "one of the backends of this version: {}{hint}, such as {}",
            listed(schemes),
            example(reader)
        )));
    };
    let (url, variable) = match rest {
        Some(rest) => (written(scheme, kind, transport, rest).ok_or_else(|| refuse(forms(scheme, kind)))?, None),
        None => foreign(scheme, reader, names).ok_or_else(|| {
            let names = scheme.foreign.iter().filter(|foreign| matches!(foreign.says, Says::Url(_)));
            let names = names.map(|foreign| foreign.name).collect::<Vec<_>>();
            let form = forms(scheme, kind);
            refuse(match names[..] {
                [] => format!("a whole URL, such as {form}"),
                _ => format!("a whole URL ({form}), or {} must be set", names.join(" or ")),
            })
        })?,
    };
    if let Some(why) = wrong(&url) {
        return Err(refuse(why.into()));
    }
    let setup = Setup { name: kind, url: &url, variable, promoted, lookup: &|name| reader.foreign(name) };
    let backend = (scheme.build)(&setup).map_err(|why| names.tell(why))?;
    Ok((backend, scheme))
}

/// The URL as the backend sees it, if it may be written so.
fn written(scheme: &Scheme, kind: &str, transport: Option<&str>, rest: &str) -> Option<String> {
    let has = |form| scheme.written.contains(&form);
    let transport = match transport {
        Some("http" | "https") if has(Written::Http) => transport,
        Some("tcp" | "tls") if has(Written::Stream) => transport,
        None if has(Written::Own) => Some(kind),
        None if has(Written::Stream) => Some("tcp"),
        _ => None,
    };
    Some(format!("{}://{rest}", transport?))
}

/// How a URL of that backend looks.
fn forms(scheme: &Scheme, kind: &str) -> String {
    let form = |form: &Written| match form {
        Written::Http => format!("{kind}+http://host:port or {kind}+https://host:port"),
        Written::Stream => format!("{kind}://host:port or {kind}+tls://host:port"),
        Written::Own => format!("{kind}://name"),
    };
    scheme.written.iter().map(form).collect::<Vec<_>>().join(" or ")
}

/// The URL as the store's own tools have it, and the variable that gave it; else the usual one.
fn foreign(scheme: &Scheme, reader: &Reader<'_>, names: &mut Names) -> Option<(String, Option<&'static str>)> {
    let given = scheme.foreign.iter().find_map(|foreign| {
        let Says::Url(url_of) = foreign.says else { return None };
        let (name, value) = (foreign.name, reader.foreign(foreign.name)?);
        let url = url_of(&value).and_then(|url| wrong(&url).map_or(Ok(url), Err));
        match url {
            Ok(url) => {
                names.replace("url", name);
                Some((url, Some(name)))
            }
            Err(must) => {
                reader.remark(format!("{name} is {:?} and is ignored: it must be {must}", mask_url(&value)));
                None
            }
        }
    });
    given.or_else(|| Some((scheme.default_url?.to_owned(), None)))
}

/// What is wrong with it at first sight; the client looks closer when the pipeline is started.
fn wrong(url: &str) -> Option<&'static str> {
    let Some((transport, rest)) = url.split_once("://") else { return Some("an http or https URL") };
    let is_tls = transport.eq_ignore_ascii_case("https") || transport == "tls";
    let is_address = is_tls || transport.eq_ignore_ascii_case("http") || transport == "tcp";
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if url.contains(|char: char| char.is_whitespace() || char.is_control()) {
        Some("free of white space and control characters")
    } else if authority.contains('@') {
        Some(
            "free of user and password: they belong into LOGCHUTE_USER and LOGCHUTE_PASSWORD, or LOGCHUTE_PASSWORD_FILE",
        )
    } else if is_address && (authority.is_empty() || authority.starts_with(':')) {
        Some("a URL with a host")
    } else if is_tls && !cfg!(feature = "tls") {
        Some("a URL without TLS: https and tls need the feature `tls`, which is not compiled in")
    } else {
        None
    }
}

fn kinds(schemes: &[&'static Scheme]) -> impl Iterator<Item = &'static str> {
    schemes.iter().flat_map(|scheme| scheme.names.iter().copied())
}

fn over_http(schemes: &[&'static Scheme]) -> impl Iterator<Item = &'static str> {
    let over_http = schemes.iter().filter(|scheme| scheme.written.contains(&Written::Http));
    over_http.flat_map(|scheme| scheme.names.iter().copied())
}

fn listed(schemes: &[&'static Scheme]) -> String {
    kinds(schemes).collect::<Vec<_>>().join(", ")
}

/// A URL as it may be given.
pub(super) fn example(reader: &Reader<'_>) -> String {
    format!("{}+http://host:port", over_http(reader.env.schemes).next().unwrap_or_default())
}

//! `LOGCHUTE_URL`: which backend, and where its store is.

use super::env::Reader;
use super::names::distance;
use crate::backend::{Backend, SCHEMES, Scheme};
use crate::error::Error;
use crate::voice::mask_url;
use crate::wire::Names;

const URL: &str = "LOGCHUTE_URL";

/// The backend, and the scheme that it belongs to. A variable that gave the URL in place of ours goes into `names`.
pub(super) fn backend(
    given: &str,
    promoted: &[String],
    reader: &mut Reader<'_>,
    names: &mut Names,
) -> Result<(Box<dyn Backend>, &'static Scheme), Error> {
    let refuse = |must: String| Error::setting(URL, mask_url(given), must);
    let (kind, url) = match given.split_once("://") {
        None => (given.to_ascii_lowercase(), None),
        Some((head, rest)) => {
            let head = head.to_ascii_lowercase();
            let (kind, http) = head.split_once('+').unwrap_or(("", &head));
            if kind.is_empty() {
                let examples = kinds().map(|kind| format!("{kind}+{http}://")).collect::<Vec<_>>().join(", ");
                return Err(refuse(match http {
                    "http" | "https" => format!("a URL that says which backend is meant: one of {examples}"),
                    _ => format!("one of the backends {}, such as {}", listed(), example()),
                }));
            }
            if http != "http" && http != "https" {
                return Err(refuse(format!("{kind}+http:// or {kind}+https://")));
            }
            (kind.to_owned(), Some(format!("{http}://{rest}")))
        }
    };
    let Some(scheme) = SCHEMES.iter().find(|scheme| scheme.names.contains(&kind.as_str())) else {
        let nearest = kinds().min_by_key(|known| distance(&kind, known)).filter(|known| distance(&kind, known) <= 2);
        let hint = nearest.map_or_else(String::new, |known| format!(" (did you mean {known}?)"));
        return Err(refuse(format!("one of the backends of this version: {}{hint}, such as {}", listed(), example())));
    };
    let url = match url {
        Some(url) => url,
        None => foreign(scheme, reader, names).ok_or_else(|| match scheme.url_variables {
            [] => refuse(format!("a whole URL, such as {kind}+http://host:port/path")),
            names => refuse(format!("a whole URL ({kind}+http://host:port), or {} must be set", names.join(" or "))),
        })?,
    };
    if let Some(why) = wrong(&url) {
        return Err(refuse(why.into()));
    }
    Ok(((scheme.build)(&kind, &url, promoted)?, scheme))
}

/// The URL as the store's own tools have it.
fn foreign(scheme: &Scheme, reader: &mut Reader<'_>, names: &mut Names) -> Option<String> {
    scheme.url_variables.iter().find_map(|&name| {
        let url = reader.foreign(name)?;
        match wrong(&url) {
            None => {
                names.replace("url", name);
                Some(url)
            }
            Some(why) => {
                reader.remark(format!("{name} is {:?} and is ignored: it must be {why}", mask_url(&url)));
                None
            }
        }
    })
}

/// What is wrong with it at first sight; the client looks closer when the pipeline is started.
fn wrong(url: &str) -> Option<&'static str> {
    let Some((http, rest)) = url.split_once("://") else { return Some("an http or https URL") };
    let is_https = http.eq_ignore_ascii_case("https");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !is_https && !http.eq_ignore_ascii_case("http") {
        Some("an http or https URL")
    } else if url.contains(|char: char| char.is_whitespace() || char.is_control()) {
        Some("free of white space and control characters")
    } else if authority.contains('@') {
        Some(
            "free of user and password: they belong into LOGCHUTE_USER and LOGCHUTE_PASSWORD, or LOGCHUTE_PASSWORD_FILE",
        )
    } else if authority.is_empty() || authority.starts_with(':') {
        Some("a URL with a host")
    } else if is_https && !cfg!(feature = "tls") {
        Some("an http URL: https needs the feature `tls`, which is not compiled in")
    } else {
        None
    }
}

fn kinds() -> impl Iterator<Item = &'static str> {
    SCHEMES.iter().flat_map(|scheme| scheme.names.iter().copied())
}

fn listed() -> String {
    kinds().collect::<Vec<_>>().join(", ")
}

fn example() -> String {
    format!("{}+http://host:port", kinds().next().unwrap_or_default())
}

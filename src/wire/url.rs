//! Which URLs are spoken to, and how a URL is shown.

use std::net::{Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::error::Error;

/// Longer than any URL that a proxy or store accepts (their limits are at 4 to 16 KiB).
const LONGEST: usize = 8 * 1024;

/// A URL that was checked.
pub(super) struct Target {
    /// For a connection: as if it were one of HTTP, because hosts are read so only there.
    pub(super) url: Url,
    /// As it may be printed: [`shown`].
    pub(super) shown: String,
    /// `https` or `tls`.
    pub(super) https: bool,
    /// The port of `tcp` and `tls`.
    pub(super) stream: Option<u16>,
    /// This machine: what is sent there crosses no network.
    pub(super) loopback: bool,
}

/// Refuses what cannot or must not be spoken to.
pub(super) fn check(raw: &str) -> Result<Target, Error> {
    if raw.len() > LONGEST {
        let value = format!("({} bytes)", raw.len());
        return Err(Error::setting("url", value, format!("at most {LONGEST} bytes long")));
    }
    let refuse = |must: &'static str| Err(Error::setting("url", masked(raw), must));
    // The parser would drop tabs and line breaks without a word, and take `http:host` for `http://host`.
    if raw.chars().any(char::is_control) {
        return refuse("free of control characters");
    }
    let Some((scheme, rest)) = raw.split_once("://") else {
        return refuse("of the form http://host:port/path, https://host:port/path, tcp://host:port or tls://host:port");
    };
    let Some((_, http)) = SCHEMES.iter().find(|(known, _)| scheme.eq_ignore_ascii_case(known)) else {
        return refuse("an http or https URL, or one of tcp or tls where the backend speaks on a connection");
    };
    if rest.is_empty() || rest.starts_with(['/', '\\', '?', '#', ':']) {
        return refuse("a URL with a host");
    }
    if rest.starts_with('[') && rest.split(']').next().is_some_and(|host| host.contains('%')) {
        return refuse("without an IPv6 zone (the part after %): use a name or an address that needs none");
    }
    let parse =
        |text: &str| Url::parse(text).map_err(|why| Error::setting("url", masked(raw), format!("a valid URL ({why})")));
    let url = parse(&format!("{http}://{rest}"))?;
    let stream = if is_stream(raw) {
        match parse(raw)?.port() {
            // Port 80 is none to the other one.
            Some(port) => Some(port),
            None => return refuse("a URL with a port, such as tcp://host:24224"),
        }
    } else {
        None
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "without user and password: use user and password (LOGCHUTE_USER, LOGCHUTE_PASSWORD or \
             LOGCHUTE_PASSWORD_FILE), or token (LOGCHUTE_TOKEN)",
        );
    }
    let (v4, v6, name) = match url.host_str() {
        None | Some("") => return refuse("a URL with a host"),
        Some(host) => {
            let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).and_then(|host| host.parse().ok());
            let v4 = host.parse().ok().or_else(|| v6.and_then(|v6: Ipv6Addr| v6.to_ipv4_mapped()));
            (v4, v6, host)
        }
    };
    if v4.is_some_and(serves_metadata_v4) || v6.is_some_and(serves_metadata_v6) || v6.is_some_and(is_link_local) {
        return refuse(
            "another address: link-local ones are refused, because the metadata service of cloud machines, \
             which hands out credentials, is among them",
        );
    }
    let loopback = v4.is_some_and(|v4| v4.is_loopback())
        || v6.is_some_and(|v6| v6.is_loopback())
        || name.eq_ignore_ascii_case("localhost");
    let https = url.scheme() == "https";
    let shown = match stream {
        None => shown(&url),
        Some(port) => {
            format!("{}://{}:{port}", if https { "tls" } else { "tcp" }, url.host_str().unwrap_or_default())
        }
    };
    Ok(Target { url, shown, https, stream, loopback })
}

/// The schemes, and that of HTTP beside each that hides as much.
const SCHEMES: [(&str, &str); 4] = [("http", "http"), ("https", "https"), ("tcp", "http"), ("tls", "https")];

/// Whether it is spoken to on a connection that is no HTTP.
pub(super) fn is_stream(raw: &str) -> bool {
    let scheme = raw.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("tcp") || scheme.eq_ignore_ascii_case("tls")
}

/// 169.254.0.0/16, where cloud machines serve their credentials.
pub(super) fn serves_metadata_v4(address: Ipv4Addr) -> bool {
    address.is_link_local()
}

/// The same service of AWS over IPv6.
pub(super) fn serves_metadata_v6(address: Ipv6Addr) -> bool {
    address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
}

/// fe80::/10: means nothing without a zone, and zones are refused.
fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// Without user, password and the values of the query: stores take keys there.
fn shown(url: &Url) -> String {
    let mut shown = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        shown.push_str(&format!(":{port}"));
    }
    shown.push_str(url.path());
    for (place, pair) in url.query().into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if place == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) => {
                shown.push_str(name);
                shown.push_str("=***");
            }
            // A bare word may be the key itself.
            None => shown.push_str("***"),
        }
    }
    shown
}

/// The same for what may be no URL at all: nothing before an `@` nor after a `?` is shown, wherever it stands, because a
/// password that holds `/` or `:` is exactly what makes a URL malformed.
pub(super) fn masked(raw: &str) -> String {
    let (scheme, rest) = raw.split_once("://").map_or(("", raw), |(scheme, rest)| (scheme, rest));
    let (hidden, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("***@", rest));
    let (rest, query) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..at], "?***"),
        None => (rest, ""),
    };
    let scheme = if scheme.contains('@') { "***" } else { scheme };
    let colon = if raw.contains("://") { "://" } else { "" };
    format!("{scheme}{colon}{hidden}{rest}{query}").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        check(url).err().unwrap_or_else(|| panic!("accepted {url:?}")).to_string()
    }

    #[test]
    fn b7_what_is_no_http_url_is_refused() {
        for url in [
            "",
            "loki:3100",
            "file:///etc/passwd",
            "gopher://host/",
            "ftp://host",
            "http:host",
            "http://",
            "http:///path",
            "https://:3100",
            "http://?q=1",
            "http://#",
            "http://ho st",
            "http://ho\nst",
            "http://host/\u{0}",
            "http://host:99999",
            "http://[::1",
        ] {
            assert!(refusal(url).starts_with("url is "), "{}", refusal(url));
        }
    }

    #[test]
    fn b7_user_and_password_in_a_url_are_refused_and_not_shown() {
        for url in [
            "http://me:canary@host/",
            "https://canary@host/",
            "http://me:can/ary@host/",
            "http://me:c?canary@host/",
            "http://me:c#canary@host:x/",
            "canary@host://x",
            "http://:canary@/",
            "me:canary@host",
        ] {
            let said = refusal(url);
            assert!(!said.contains("canary"), "{said}");
        }
        let said = refusal("http://me:canary@host/");
        assert!(said.contains("LOGCHUTE_PASSWORD_FILE") && said.contains("***@host"), "{said}");
    }

    #[test]
    fn b7_addresses_of_the_metadata_service_are_refused_however_they_are_written() {
        for url in [
            "http://169.254.169.254/",
            "https://169.254.0.1/",
            "http://0xA9FEA9FE/",
            "http://2852039166/",
            "http://0251.0376.0251.0376/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
        ] {
            assert!(refusal(url).contains("link-local"), "{url}");
        }
    }

    #[test]
    fn b7_ipv6_zone_and_long_url_are_refused_with_a_reason() {
        assert!(refusal("http://[fe80::1%25eth0]:3100/").contains("IPv6 zone"));
        let said = refusal(&format!("http://host/{}", "x".repeat(10 * 1024)));
        assert!(said.contains("8192 bytes") && said.len() < 200, "{said}");
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (url, loopback) in [
            ("http://localhost:1", true),
            ("http://LOCALHOST", true),
            ("http://127.0.0.1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:80", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
            ("http://127.0.0.1.example", false),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(check(url).unwrap().loopback, loopback, "{url}");
        }
    }

    #[test]
    fn b7_query_values_are_not_shown() {
        let target = check("https://host:8443/in/put?key=canary&canary&stream=a#canary").unwrap();
        assert_eq!(target.shown, "https://host:8443/in/put?key=***&***&stream=***");
        assert!(!refusal("http://host:x/?key=canary").contains("canary"));
    }
}

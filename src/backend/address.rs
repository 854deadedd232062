//! The URL of a backend that speaks on a connection, in its parts.

/// `tcp://host:port` or `tls://host:port`, and what followed it.
pub(super) struct Address<'u> {
    /// With the port.
    pub(super) url: String,
    /// What stands between the `/` after the host and the `?`.
    pub(super) path: &'u str,
    /// Name and value of each part of the query.
    pub(super) query: Vec<(&'u str, &'u str)>,
}

impl<'u> Address<'u> {
    /// `tcp_port` and `tls_port` are taken where the URL has none. What is no URL stays as it is; the pipeline's start
    /// refuses it.
    pub(super) fn new(given: &'u str, tcp_port: u16, tls_port: u16) -> Self {
        let (rest, query) = given.split_once('?').unwrap_or((given, ""));
        let query = query.split('&').filter(|part| !part.is_empty());
        let query = query.map(|part| part.split_once('=').unwrap_or((part, ""))).collect();
        let (scheme, after) = rest.split_once("://").unwrap_or(("", rest));
        let (host, path) = after.split_once('/').unwrap_or((after, ""));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let port = if scheme.eq_ignore_ascii_case("tls") { tls_port } else { tcp_port };
        let url = if scheme.is_empty() || host.is_empty() || has_port {
            rest[..rest.len() - path.len()].trim_end_matches('/').to_owned()
        } else {
            format!("{scheme}://{host}:{port}")
        };
        Self { url, path, query }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_added_where_there_is_none() {
        for (given, url, path) in [
            ("tcp://host", "tcp://host:1", ""),
            ("tls://host/", "tls://host:2", ""),
            ("TLS://host/a.b", "TLS://host:2", "a.b"),
            ("tcp://host:7/a/b?x=/", "tcp://host:7", "a/b"),
            ("tcp://[::1]", "tcp://[::1]:1", ""),
            ("tcp://[::1]:7/t", "tcp://[::1]:7", "t"),
            ("host", "host", ""),
            ("tcp://", "tcp:", ""),
        ] {
            let address = Address::new(given, 1, 2);
            assert_eq!((&*address.url, address.path), (url, path), "{given}");
        }
        assert_eq!(Address::new("tcp://h?a=1&b&c=", 1, 2).query, [("a", "1"), ("b", ""), ("c", "")]);
    }
}

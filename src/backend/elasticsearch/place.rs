//! Where documents go: the URL of the bulk API, and the index or data stream.

use super::super::json;

/// What is written where nobody names an index: a data stream where there is a template for `logs-*-*`, as
/// Elasticsearch brings one, and otherwise an index.
const USUAL: &str = "logs-app-default";

const BULK: &str = "/_bulk";
const DATE: &str = "{date}";

/// Where VictoriaLogs has the same API. It knows no index and no ids, and must be told which field is which.
const VICTORIALOGS: &str = "/insert/elasticsearch";
const VICTORIALOGS_FIELDS: [(&str, &str); 3] =
    [("_msg_field", "message"), ("_time_field", "@timestamp"), ("_stream_fields", "service.name")];

/// What is needed of each answer: of each document what became of it, and of a refused one why. Everything else, the
/// names and numbers of stored documents, would make it ten times as long.
const FILTER: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason,\
                      items.*.error.caused_by.reason";

/// A URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) url: String,
    /// Said for each document; `None` where the URL says it for all, or the store knows none.
    pub(super) index: Option<Index>,
    pub(super) is_victorialogs: bool,
}

/// The name of an index or data stream, with the day of each record in place of `{date}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index(String);

impl Index {
    /// What it is called for a record of that time.
    pub(super) fn on(&self, unix_nanos: i64) -> String {
        let mut time = Vec::new();
        json::rfc3339(&mut time, unix_nanos);
        let date = String::from_utf8_lossy(&time[..10]).replace('-', ".");
        self.0.replace(DATE, &date)
    }
}

impl Place {
    /// See [`Elasticsearch::new`](super::Elasticsearch::new).
    pub(super) fn of(url: &str) -> Self {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let query = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("filter_path="));
        let mut query: Vec<String> = query.map(str::to_owned).collect();
        let bare = address.trim_end_matches('/');
        let base = bare.strip_suffix(BULK).unwrap_or(bare);
        if base.ends_with(VICTORIALOGS) {
            let is_said = |part: &String| VICTORIALOGS_FIELDS.iter().any(|(name, _)| is_parameter(part, name));
            if !query.iter().any(is_said) {
                query.extend(VICTORIALOGS_FIELDS.iter().map(|(name, field)| format!("{name}={field}")));
            }
            return Self { url: joined(base, &query), index: None, is_victorialogs: true };
        }
        query.push(FILTER.to_owned());
        let path_at = base.find("://").map_or(0, |at| at + 3);
        let path_at = base[path_at..].find('/').map_or(base.len(), |at| path_at + at);
        let last_at = base.rfind('/').filter(|&at| at >= path_at);
        // A path that ends in a slash is a prefix, and names no index.
        let name_at = last_at.filter(|_| bare != base || !address.ends_with('/'));
        match name_at {
            None => Self::each(base, Index(USUAL.to_owned()), &query),
            Some(at) if base[at..].contains(DATE) => Self::each(&base[..at], Index(base[at + 1..].to_owned()), &query),
            Some(_) => Self { url: joined(base, &query), index: None, is_victorialogs: false },
        }
    }

    /// With the index said for each document where it differs, and otherwise in the URL, which some proxies insist on.
    fn each(base: &str, index: Index, query: &[String]) -> Self {
        if index.0.contains(DATE) {
            Self { url: joined(base, query), index: Some(index), is_victorialogs: false }
        } else {
            Self { url: joined(&format!("{base}/{}", index.0), query), index: None, is_victorialogs: false }
        }
    }

    /// The index, `{date}` and all; `None` where the store knows none.
    fn name(&self) -> Option<&str> {
        let path = self.url.split('?').next()?.strip_suffix(BULK)?;
        match &self.index {
            Some(index) => Some(&index.0),
            None => path.rsplit('/').next().filter(|_| !self.is_victorialogs),
        }
    }

    /// What the name of the index must be, where it is not: Elasticsearch would refuse each document.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let name = self.name()?.replace(DATE, "2026.11.24");
        let forbidden = |char: char| char.is_uppercase() || char.is_whitespace() || "\\/*?\"<>|,#:{}".contains(char);
        (name.contains(forbidden) || name.starts_with(['-', '_', '+', '.']) || name.len() > 255).then_some(
            "a URL whose last part is an index or data stream: lower case, without \\ / * ? \" < > | , # : and blanks, \
             not beginning with - _ + or a dot, at most 255 bytes; {date} in it is the day of each record",
        )
    }
}

fn joined(base: &str, query: &[String]) -> String {
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{base}{BULK}{mark}{}", query.join("&"))
}

fn is_parameter(part: &str, name: &str) -> bool {
    part.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// The URL of a deployment of Elastic Cloud: `NAME:` and in base64 `HOST[:PORT]$ELASTICSEARCH[:PORT]$KIBANA`.
pub(super) fn of_cloud_id(id: &str) -> Result<String, &'static str> {
    use base64::Engine as _;
    const MUST: &str = "a cloud id as Elastic Cloud shows it: a name, a colon, and base64";
    let (_, coded) = id.rsplit_once(':').ok_or(MUST)?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(coded.trim()).map_err(|_| MUST)?;
    let text = String::from_utf8(bytes).map_err(|_| MUST)?;
    let mut parts = text.split('$').map(str::trim);
    let (host, deployment) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let with_port = |text: &str| match text.split_once(':') {
        Some((name, port)) => (name.to_owned(), Some(port.to_owned())),
        None => (text.to_owned(), None),
    };
    let ((host, port), (deployment, own_port)) = (with_port(host), with_port(deployment));
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    };
    let port = own_port.or(port).filter(|port| port != "443");
    if !is_name(&host) || !is_name(&deployment) || port.as_ref().is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(MUST);
    }
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("https://{deployment}.{host}{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_path_is_the_index() {
        for (given, base, index) in [
            ("https://h:9200", "https://h:9200/logs-app-default/_bulk?", None),
            ("https://h:9200/", "https://h:9200/logs-app-default/_bulk?", None),
            ("https://h:9200/_bulk", "https://h:9200/logs-app-default/_bulk?", None),
            ("https://h:9200/logs-shop-prod", "https://h:9200/logs-shop-prod/_bulk?", None),
            ("https://h:9200/logs-shop-prod/_bulk", "https://h:9200/logs-shop-prod/_bulk?", None),
            ("https://h/es/", "https://h/es/logs-app-default/_bulk?", None),
            ("https://h/es/logs", "https://h/es/logs/_bulk?", None),
            ("https://h/es/a-{date}", "https://h/es/_bulk?", Some("a-{date}")),
            ("https://h/{date}.b/_bulk", "https://h/_bulk?", Some("{date}.b")),
            ("https://h/logs?pipeline=p", "https://h/logs/_bulk?pipeline=p&", None),
            ("https://h/logs?filter_path=took&pipeline=p&", "https://h/logs/_bulk?pipeline=p&", None),
        ] {
            let place = Place::of(given);
            assert_eq!(place.url, format!("{base}{FILTER}"), "{given}");
            assert_eq!(place.index, index.map(|index| Index(index.to_owned())), "{given}");
            assert!(!place.is_victorialogs && place.fault().is_none(), "{given}");
        }
    }

    #[test]
    fn victorialogs_is_told_which_field_is_which() {
        let added = "_msg_field=message&_time_field=@timestamp&_stream_fields=service.name";
        for (given, url) in [
            ("http://h:9428/insert/elasticsearch", format!("http://h:9428/insert/elasticsearch/_bulk?{added}")),
            ("http://h/p/insert/elasticsearch/", format!("http://h/p/insert/elasticsearch/_bulk?{added}")),
            (
                "http://h/insert/elasticsearch/_bulk?debug=1",
                format!("http://h/insert/elasticsearch/_bulk?debug=1&{added}"),
            ),
            (
                "http://h/insert/elasticsearch/_bulk?_msg_field=m",
                "http://h/insert/elasticsearch/_bulk?_msg_field=m".to_owned(),
            ),
        ] {
            let place = Place::of(given);
            assert_eq!(place, Place { url, index: None, is_victorialogs: true }, "{given}");
            assert_eq!(place.fault(), None);
        }
    }

    #[test]
    fn a_name_that_no_index_can_have_is_found() {
        for bad in ["https://h/Logs", "https://h/_logs", "https://h/a%7Bb/x*", "https://h/{day}", "https://h/-{date}"] {
            assert!(Place::of(bad).fault().is_some(), "{bad}");
        }
    }

    #[test]
    fn the_date_is_that_of_the_record_in_utc() {
        let index = Index("logs-{date}-x".to_owned());
        assert_eq!(index.on(1_795_507_200_123_456_789), "logs-2026.11.24-x");
        assert_eq!(index.on(-1), "logs-1969.12.31-x");
    }

    #[test]
    fn a_cloud_id_names_a_host() {
        // us-east-1.aws.found.io$4fa8821e75634032bed1cf22110e2f97$4fa8821e75634032bed1cf22110e2f96
        let id = "my:us-east-1.aws.found.io:dXMtZWFzdC0xLmF3cy5mb3VuZC5pbyQ0ZmE4ODIxZTc1NjM0MDMyYmVkMWNmMjIxMTBlMmY5NyQ0ZmE4ODIxZTc1NjM0MDMyYmVkMWNmMjIxMTBlMmY5Ng==";
        assert_eq!(of_cloud_id(id).unwrap(), "https://4fa8821e75634032bed1cf22110e2f97.us-east-1.aws.found.io");
        let coded = |text: &str| {
            use base64::Engine as _;
            format!("n:{}", base64::engine::general_purpose::STANDARD.encode(text))
        };
        assert_eq!(of_cloud_id(&coded("host:9243$es$kb")).unwrap(), "https://es.host:9243");
        assert_eq!(of_cloud_id(&coded("host:443$es:9244$kb")).unwrap(), "https://es.host:9244");
        for bad in ["", "name", "name:%%", &coded("host"), &coded("host:x$es"), &coded("$es"), &coded("ho/st$es")] {
            assert!(of_cloud_id(bad).is_err(), "{bad}");
        }
    }
}

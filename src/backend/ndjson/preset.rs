//! What is known of the stores that take JSON objects over HTTP: one row for each.
//!
//! Sources: VictoriaLogs was tried (1.51); the others are as their makers document them, and OpenObserve's limits as its
//! sources have them (`ZO_INGEST_ALLOWED_UPTO`, `ZO_COLS_PER_RECORD_LIMIT`).

use std::time::Duration;

use super::super::flat::{self, Names};
use super::super::line::{Number, Shape, Values};
use super::super::{Facts, TokenAs};

/// Which store takes the lines, for what differs between them: names of fields, framing, limits and what replies say.
///
/// [`Ndjson::new`](super::Ndjson::new) knows most of them by their URL.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Backend, Ndjson, Preset};
///
/// let openobserve = Ndjson::preset(Preset::OpenObserve, "https://logs.example.com");
/// assert_eq!(openobserve.url(), "https://logs.example.com/api/default/default/_json");
/// assert_eq!(openobserve.facts().name(), "openobserve");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// Any other: one object a line, any 2xx stores all of it.
    Plain,
    /// Axiom: the time is `_time`; 200 says how many events failed.
    Axiom,
    /// Better Stack: the time is `dt`.
    BetterStack,
    /// New Relic's Log API: an array in which the resource stands once, at most 1 MB a request, 48 hours.
    NewRelic,
    /// OpenObserve: the time is `_timestamp`; 200 says how many records failed.
    OpenObserve,
    /// VictoriaLogs' JSON lines: at most 256 KiB a line.
    VictoriaLogs,
}

/// How the objects of a batch stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each ends with a line feed.
    Lines,
    /// A JSON array.
    Array,
    /// `[{"common":{"attributes":{…}},"logs":[…]}]`: the resource stands in front, and not in each object.
    Common,
}

/// What is known of a store.
pub(super) struct Row {
    pub(super) shape: Shape<'static>,
    pub(super) framing: Framing,
    pub(super) facts: Facts,
    /// The path where the URL has none.
    pub(super) path: &'static str,
}

/// VictoriaLogs drops a longer line (`-insert.maxLineSizeBytes`, 262,144 by default), and perhaps lines after it, with
/// status 200. Some room is left.
const VICTORIALOGS_LINE: usize = 250_000;

/// New Relic takes 1,000,000 bytes a request, and does not say whether that is before or after compression.
const NEW_RELIC_BODY: usize = 950_000;
const NEW_RELIC_LINE: usize = 900_000;

static AXIOM_RESERVED: Names<'static> = Names::new(&flat::joined::<14, 1, 15>(flat::RESERVED, ["_sysTime"]));
static BETTER_STACK_RESERVED: Names<'static> = Names::new(&flat::joined::<14, 1, 15>(flat::RESERVED, ["dt"]));
static NEW_RELIC_RESERVED: Names<'static> = Names::new(&flat::joined::<14, 1, 15>(flat::RESERVED, ["timestamp"]));
static OPENOBSERVE_RESERVED: Names<'static> = Names::new(&flat::joined::<14, 1, 15>(flat::RESERVED, ["_timestamp"]));

const HOUR: Duration = Duration::from_secs(3600);

impl Preset {
    /// The one that a URL is known to belong to.
    pub(super) fn of(url: &str) -> Self {
        let (host, path) = host_and_path(url);
        let host = host.to_ascii_lowercase();
        let is_of = |domain: &str| host.strip_suffix(domain).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
        let mut parts = path.trim_start_matches('/').rsplit('/');
        let last = parts.next().unwrap_or_default();
        if path.ends_with("/insert/jsonline") {
            Self::VictoriaLogs
        } else if matches!(last, "_json" | "_multi") && parts.nth(2) == Some("api") {
            // /api/ORGANISATION/STREAM/_json
            Self::OpenObserve
        } else if is_of("axiom.co") {
            Self::Axiom
        } else if is_of("betterstackdata.com") || host == "in.logs.betterstack.com" {
            Self::BetterStack
        } else if is_of("newrelic.com") && path.ends_with("/log/v1") {
            Self::NewRelic
        } else {
            Self::Plain
        }
    }

    pub(super) const fn row(self) -> Row {
        const PLAIN: Shape<'static> = Shape::PLAIN;
        const LINES: Framing = Framing::Lines;
        match self {
            Self::Plain => Row { shape: PLAIN, framing: LINES, facts: Facts::new("ndjson").gzip(), path: "" },
            Self::Axiom => Row {
                shape: Shape { open: b"{\"_time\":\"", reserved: &AXIOM_RESERVED, ..PLAIN },
                framing: LINES,
                // A personal token needs the organisation beside it.
                facts: Facts::new("axiom").gzip().tenant("x-axiom-org-id"),
                path: "",
            },
            Self::BetterStack => Row {
                shape: Shape { open: b"{\"dt\":\"", reserved: &BETTER_STACK_RESERVED, ..PLAIN },
                framing: LINES,
                facts: Facts::new("betterstack").gzip(),
                path: "",
            },
            Self::NewRelic => Row {
                shape: Shape {
                    open: b"{\"timestamp\":",
                    number: Some((Number::Millis, b",\"time\":\"")),
                    // It knows no arrays.
                    values: Values::Flat,
                    reserved: &NEW_RELIC_RESERVED,
                    most: NEW_RELIC_LINE,
                    ..PLAIN
                },
                framing: Framing::Common,
                facts: Facts::new("newrelic")
                    .gzip()
                    .batch_bytes(NEW_RELIC_BODY)
                    .oldest(Duration::from_secs(48 * HOUR.as_secs()))
                    .token(TokenAs::Header("api-key")),
                path: "/log/v1",
            },
            Self::OpenObserve => Row {
                shape: Shape {
                    open: b"{\"_timestamp\":",
                    number: Some((Number::Micros, b",\"time\":\"")),
                    reserved: &OPENOBSERVE_RESERVED,
                    ..PLAIN
                },
                framing: Framing::Array,
                // Five hours back unless `ZO_INGEST_ALLOWED_UPTO` says otherwise. It tells what it refuses for that, so
                // nothing is held back here.
                facts: Facts::new("openobserve").gzip().newest(Duration::from_secs(24 * HOUR.as_secs())),
                path: "/api/default/default/_json",
            },
            Self::VictoriaLogs => Row {
                shape: Shape { most: VICTORIALOGS_LINE, values: Values::Flattened, ..PLAIN },
                framing: LINES,
                facts: Facts::new("victorialogs").gzip().newest(Duration::from_secs(48 * HOUR.as_secs())),
                path: "/insert/jsonline",
            },
        }
    }

    /// The URL to which records go, of the one that was given.
    pub(super) fn url(self, url: String) -> String {
        let url = with_path(url, self.row().path);
        if self == Self::VictoriaLogs { told_which_field_is_which(url) } else { url }
    }
}

/// The URL with this path, where it has none.
pub(crate) fn with_path(mut url: String, path: &str) -> String {
    if path.is_empty() || !url.contains("://") || !host_and_path(&url).1.trim_matches('/').is_empty() {
        return url;
    }
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let query = url.split_off(end);
    url.truncate(url.trim_end_matches('/').len());
    format!("{url}{path}{query}")
}

/// VictoriaLogs is told in the query, unless that names a field already.
fn told_which_field_is_which(url: String) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let names_fields = ["_msg_field=", "_time_field=", "_stream_fields="]
        .iter()
        .any(|name| query.split('&').any(|part| part.starts_with(name)));
    if names_fields {
        return url;
    }
    let joint = match (url.contains('?'), query) {
        (false, _) => "?",
        (true, "") => "",
        _ => "&",
    };
    format!("{url}{joint}_msg_field=message&_time_field=time&_stream_fields=service_name")
}

/// Without user, port, query and fragment.
pub(crate) fn host_and_path(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // The port, but no part of an address in brackets.
    let host = host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    (host, path)
}

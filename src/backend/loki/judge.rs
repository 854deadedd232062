//! What Loki's answers mean.
//!
//! A 400 is one of three things: some entries were refused and all others stored; nothing was stored; or
//! the tenant is wrong. Only the text tells. `Retry-After` is never set. The texts are those of Loki's
//! `pkg/validation`, `pkg/ingester/stream.go` and `pkg/loghttp/push`.

use super::super::{Reply, Verdict};

/// Texts of a reply after which all other entries were stored.
const PARTLY: [&str; 10] = [
    "entry for stream",
    "entry with timestamp",
    "total ignored:",
    "timestamp too old",
    "timestamp too new",
    "max entry size",
    "label names; limit",
    "structured metadata too",
    "too many structured metadata",
    "out of order",
];

/// Texts of a reply that concerns the request as a whole, so that no part of it would fare better; the last two
/// are VictoriaLogs' words for a tenant that is no number and for a wrong path.
const WHOLE: [&str; 7] = [
    "multiple org ids present",
    "unsupported character",
    "no org id",
    "mime:",
    "content-encoding",
    "cannot parse common params",
    "unsupported path requested",
];

/// What is told of entries that are older than the newest of their stream by more than half of `max_chunk_age`. A reply
/// counts those of one stream, the last of the push that was looked at; others may have been refused as well.
const BEHIND: &str = "entry too far behind";

const STREAM_LIMIT: &str = "maximum active stream limit";

pub(in super::super) fn judge(reply: &Reply) -> Verdict {
    let text = reply.text();
    // Versions differ in capitals.
    let lower = text.to_lowercase();
    let has = |part: &str| lower.contains(part);
    let said = || format!("status {}: {}", reply.status, text.trim().chars().take(300).collect::<String>());
    match reply.status {
        // The status for a blocked tenant is configurable (`block_ingestion_status_code`, 260 by default), and
        // what was sent is discarded: so nothing counts as delivered until the block is lifted.
        260 => Verdict::Hold(said()),
        200..=299 if has("ingestion blocked") => Verdict::Hold(said()),
        400 | 401 if WHOLE.iter().any(|part| has(part)) => Verdict::Hold(said()),
        400 if has(BEHIND) => Verdict::TooFarBehind { refused: refused(&lower), reason: said() },
        400 if PARTLY.iter().any(|part| has(part)) => {
            Verdict::AckWithLoss { rejected: refused(&lower), reason: said() }
        }
        // Waiting does not help, and the entries of streams that exist were stored.
        429 if has(STREAM_LIMIT) => Verdict::AckWithLoss { rejected: refused(&lower), reason: said() },
        // A push that `grpc_server_max_recv_msg_size` forbids; it would fail for ever.
        500..=599 if has("larger than max") => Verdict::Split,
        // All others go by the status: 413 Split, 429 (rate limits) and 5xx Retry, 403, 404, 405 and 415 Hold,
        // 400 (does not parse, nothing stored) and 422 (no stream in it) Reject. After a rate limit per stream the
        // other streams are stored; Loki knows their entries again.
        _ => Verdict::of_status(reply),
    }
}

/// How many entries a reply says were refused, at least one.
fn refused(text: &str) -> usize {
    let after = |part: &'static str| {
        text.split(part).skip(1).filter_map(|rest| {
            let rest = rest.trim_start();
            let digits = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
            rest[..digits].parse::<usize>().ok()
        })
    };
    let counted: usize = after("total ignored:").fold(0, usize::saturating_add);
    if counted > 0 {
        return counted;
    }
    // One error for each entry, or for each stream; equal ones as `7 errors like: …`.
    let named = ["entry for stream", "entry with timestamp", "max entry size", "label names; limit", STREAM_LIMIT];
    let named = named.iter().map(|part| text.matches(part).count()).max().unwrap_or(0).max(1);
    let before_like =
        text.rsplit(" errors like:").skip(1).filter_map(|part| part.rsplit([' ', ';', '\n']).next()?.parse().ok());
    let alike: usize = before_like.map(|count: usize| count.saturating_sub(1)).fold(0, usize::saturating_add);
    named.saturating_add(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Verdict {
        judge(&Reply::new(status, body))
    }

    fn rejected(status: u16, body: &str) -> usize {
        match verdict(status, body) {
            Verdict::AckWithLoss { rejected, reason } | Verdict::TooFarBehind { refused: rejected, reason } => {
                assert!(reason.starts_with(&format!("status {status}: ")));
                rejected
            }
            other => panic!("{other:?}"),
        }
    }

    fn holds(status: u16, body: &str) -> bool {
        matches!(verdict(status, body), Verdict::Hold(_))
    }

    fn rejects(status: u16, body: &str) -> bool {
        matches!(verdict(status, body), Verdict::Reject(_))
    }

    #[test]
    fn n1_success_is_204_and_other_2xx() {
        assert_eq!(verdict(204, ""), Verdict::Ack);
        assert_eq!(verdict(200, ""), Verdict::Ack);
    }

    #[test]
    fn n1_blocked_ingestion_is_kept_though_the_status_is_2xx() {
        let body = "ingestion blocked for user fake until '2026-12-01' with status code '260'";
        assert!(holds(260, body) && holds(260, "") && holds(200, body));
    }

    #[test]
    fn n1_a_400_that_names_entries_stored_the_others() {
        let old = "entry for stream '{app=\"a\"}' has timestamp too old: 2020-01-01T00:00:00Z, oldest acceptable timestamp is: …";
        assert_eq!(rejected(400, old), 1);
        assert_eq!(rejected(400, &format!("{old}\n{old}")), 2);
        assert_eq!(rejected(400, "entry for stream '{a=\"b\"}' has timestamp too new: 2030-01-01T00:00:00Z"), 1);
        let long =
            "Max entry size '262144' bytes exceeded for stream '{}' while adding an entry with length '262145' bytes";
        assert_eq!((rejected(400, long), rejected(400, &format!("5 errors like: {long}; {old}"))), (1, 5));
        assert_eq!(rejected(400, "stream '{…}' has 16 label names; limit 15"), 1);
        assert_eq!(
            rejected(400, "stream '{…}' has structured metadata too large: '70000' bytes, limit: '65536' bytes"),
            1
        );
        assert_eq!(rejected(400, "stream '{…}' has too many structured metadata labels: '200', limit: '128'"), 1);
    }

    #[test]
    fn n1_entries_too_far_behind_go_again_elsewhere() {
        let far = "entry with timestamp 2026-11-24 08:00:00 +0000 UTC ignored, reason: 'entry too far behind, entry \
                   timestamp is: …, oldest acceptable timestamp is: …',\nuser 'fake', total ignored: 3 out of 10 for \
                   stream: {app=\"a\"}";
        for (body, count) in [(far.to_owned(), 3), (format!("{far}; {far}"), 6)] {
            assert!(matches!(verdict(400, &body), Verdict::TooFarBehind { .. }));
            assert_eq!(rejected(400, &body), count);
        }
        // Rates are waited for, and what is refused for its age alone would be refused in any stream.
        assert_eq!(verdict(429, far), Verdict::Retry { after: None });
        let old = "entry for stream '{app=\"a\"}' has timestamp too old: 2020-01-01T00:00:00Z";
        assert!(matches!(verdict(400, old), Verdict::AckWithLoss { rejected: 1, .. }));
    }

    #[test]
    fn n1_a_400_that_did_not_parse_stored_nothing() {
        for body in [
            "loghttp.PushRequest.Streams: []loghttp.LogProtoStream: unmarshalerDecoder: Value looks like Number/Boolean/None",
            "couldn't parse labels: 1:5: parse error: unexpected character inside braces: '.'",
            "snappy: corrupt input",
            "proto: wrong wireType = 0 for field Labels",
            "",
        ] {
            assert!(rejects(400, body), "{body}");
        }
    }

    #[test]
    fn n1_what_concerns_the_whole_request_is_held() {
        assert!(holds(400, "multiple org IDs present"));
        assert!(holds(400, "tenant ID 'a/b' contains unsupported character '/'"));
        assert!(holds(400, "mime: no media type") && holds(400, "Content-Encoding \"zstd\" not supported"));
        assert!(holds(401, "no org id"));
        assert!(holds(400, "cannot parse common params from request: cannot parse accountID from \"name\""));
        assert!(holds(400, "unsupported path requested: \"/insert/loki\""));
        assert!(holds(403, "") && holds(404, "404 page not found") && holds(405, "") && holds(415, ""));
        assert_eq!(verdict(401, "Unauthorized"), Verdict::Refresh);
    }

    #[test]
    fn n1_too_large_is_halved_and_empty_is_rejected() {
        assert_eq!(verdict(413, "request body too large"), Verdict::Split);
        let grpc =
            "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5002500 vs. 4194304)";
        assert_eq!(verdict(500, grpc), Verdict::Split);
        assert_eq!(verdict(503, grpc), Verdict::Split);
        assert!(rejects(422, "error at least one valid stream is required for ingestion"));
    }

    #[test]
    fn n1_rate_limits_are_waited_for_but_a_stream_limit_is_not() {
        let rate = "Ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '10' lines";
        assert_eq!(verdict(429, rate), Verdict::Retry { after: None });
        let per_stream =
            "entry with timestamp … ignored, reason: 'Per stream rate limit exceeded', total ignored: 1 out of 2";
        assert_eq!(verdict(429, per_stream), Verdict::Retry { after: None });
        let streams = "maximum active stream limit exceeded when trying to create stream {a=\"b\"}, reduce the number of active streams";
        assert_eq!(rejected(429, streams), 1);
        assert_eq!(rejected(429, &format!("{streams}; {streams}")), 2);
    }

    #[test]
    fn n1_other_failures_are_tried_again() {
        for (status, body) in [(500, "empty ring"), (500, "context deadline exceeded"), (502, ""), (503, ""), (504, "")]
        {
            assert_eq!(verdict(status, body), Verdict::Retry { after: None });
        }
    }
}

//! What the answers of receivers mean.
//!
//! A success may carry a count of records that were refused; which ones it does not say, and they must not be sent
//! again. All other answers are a `google.rpc.Status` in the encoding of the request, or of the receiver's choice, or
//! plain text: the status decides, but for what only the text tells. The texts are those of the Collector's
//! `confighttp`, of Loki, and of VictoriaLogs.

use serde_json::Value as Json;

use super::super::loki;
use super::super::{Reply, Verdict, proto};

/// The most of a body that is read; a longer one is cut there.
const CUT_AT: usize = 64 * 1024;

pub(super) fn judge(reply: &Reply) -> Verdict {
    match reply.status {
        200..=299 => success(reply),
        400 => {
            let lower = reply.text().to_lowercase();
            // The Collector's answer to a body above `max_request_body_size`, and that of VictoriaLogs to one above
            // `-opentelemetry.maxRequestSize`.
            let is_too_large = ["too large", "too big data size"].iter().any(|part| lower.contains(part));
            if is_too_large && !lower.contains("structured metadata") {
                Verdict::Split
            // VictoriaLogs' answer to JSON: every record would be found at fault.
            } else if lower.contains("json encoding isn't supported") {
                Verdict::Hold(said(reply))
            } else {
                other(reply)
            }
        }
        _ => other(reply),
    }
}

/// Loki's texts, which occur in no other receiver's answers; without them the status decides.
fn other(reply: &Reply) -> Verdict {
    let mut readable = reply.clone();
    readable.body = message(reply).into_bytes();
    match loki::judge(&readable) {
        // By this intake there is no stream of its own for them.
        Verdict::TooFarBehind { refused, reason } => Verdict::AckWithLoss { rejected: refused, reason },
        verdict => verdict,
    }
}

fn said(reply: &Reply) -> String {
    format!("status {}: {}", reply.status, message(reply).chars().take(300).collect::<String>())
}

fn success(reply: &Reply) -> Verdict {
    // Not an answer of a receiver but of a web server: nothing was stored.
    if reply.body.trim_ascii_start().starts_with(b"<") {
        return Verdict::Hold(format!("status {}, but with a web page: no OTLP receiver is at this URL", reply.status));
    }
    let Some(partial) = partial_success(&reply.body) else { return loki::judge(reply) };
    let rejected = usize::try_from(partial.rejected.max(0)).unwrap_or(usize::MAX);
    let why: String = partial.why.trim().chars().take(300).collect();
    match (rejected, why.is_empty()) {
        (0, true) => Verdict::Ack,
        (0, false) => Verdict::AckWithLoss { rejected, reason: format!("the receiver warns: {why}") },
        (_, true) => Verdict::AckWithLoss { rejected, reason: "the receiver does not say why".to_owned() },
        (_, false) => Verdict::AckWithLoss { rejected, reason: why },
    }
}

/// `ExportLogsPartialSuccess { int64 rejected_log_records = 1; string error_message = 2 }`
#[derive(Default)]
struct Partial {
    rejected: i64,
    why: String,
}

/// What an `ExportLogsServiceResponse { ExportLogsPartialSuccess partial_success = 1 }` says, if it is one that says it.
fn partial_success(body: &[u8]) -> Option<Partial> {
    let is_cut = body.len() >= CUT_AT;
    // No message begins with this byte, which would open a group.
    if body.trim_ascii_start().starts_with(b"{") {
        return match serde_json::from_slice::<Json>(body) {
            Ok(response) => partial_in_json(&response),
            Err(_) if is_cut => partial_in_cut_json(&String::from_utf8_lossy(body)),
            Err(_) => None,
        };
    }
    let mut found = None;
    let mut response = proto::Reader::new(body, is_cut);
    while let Some((field, value)) = response.next_field()? {
        if let (1, proto::Field::Bytes(partial)) = (field, value) {
            found = Some(partial);
        }
    }
    let mut read = Partial::default();
    let mut partial = proto::Reader::new(found?, is_cut);
    while let Some((field, value)) = partial.next_field()? {
        match (field, value) {
            (1, proto::Field::Number(rejected)) => read.rejected = rejected as i64,
            (2, proto::Field::Bytes(why)) => read.why = String::from_utf8_lossy(why).into_owned(),
            _ => {}
        }
    }
    Some(read)
}

fn partial_in_json(response: &Json) -> Option<Partial> {
    // Names as they are in protobuf are allowed as well.
    let partial = response.get("partialSuccess").or_else(|| response.get("partial_success"))?;
    let rejected = partial.get("rejectedLogRecords").or_else(|| partial.get("rejected_log_records"));
    let rejected = rejected.and_then(|rejected| match rejected {
        Json::String(digits) => digits.parse().ok(),
        number => number.as_i64(),
    });
    let why = partial.get("errorMessage").or_else(|| partial.get("error_message"));
    let why = why.and_then(Json::as_str).unwrap_or_default().to_owned();
    Some(Partial { rejected: rejected.unwrap_or(0), why })
}

/// The count in an answer whose message is longer than what is read of it.
fn partial_in_cut_json(text: &str) -> Option<Partial> {
    let after = text.split_once("\"rejectedLogRecords\"")?.1;
    let digits = after.trim_start_matches([' ', ':', '"', '\n']);
    let digits = digits.split(|char: char| !char.is_ascii_digit()).next()?;
    Some(Partial { rejected: digits.parse().ok()?, why: text.to_owned() })
}

/// The message of a `google.rpc.Status { int32 code = 1; string message = 2 }`, or the text that stands in its place.
fn message(reply: &Reply) -> String {
    let from_json = || {
        let status: Json = serde_json::from_slice(&reply.body).ok()?;
        Some(status.get("message")?.as_str()?.to_owned())
    };
    let from_protobuf = || {
        let mut status = proto::Reader::new(&reply.body, reply.body.len() >= CUT_AT);
        let mut found = None;
        while let Some((field, value)) = status.next_field()? {
            if let (2, proto::Field::Bytes(text)) = (field, value) {
                found = Some(String::from_utf8_lossy(text).into_owned());
            }
        }
        found
    };
    from_json().or_else(from_protobuf).unwrap_or_else(|| reply.text().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
    use prost::Message as _;

    use super::*;

    fn verdict(status: u16, body: impl AsRef<[u8]>) -> Verdict {
        judge(&Reply::new(status, body.as_ref()))
    }

    fn partial(rejected: i64, why: &str) -> [Vec<u8>; 2] {
        let partial = ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: why.to_owned() };
        let response = ExportLogsServiceResponse { partial_success: Some(partial) };
        [response.encode_to_vec(), serde_json::to_vec(&response).unwrap()]
    }

    /// `google.rpc.Status`.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
    }

    /// As protobuf, as JSON, and as plain text.
    fn status(message: &str) -> [Vec<u8>; 3] {
        let json = serde_json::json!({"code": 3, "message": message, "details": []});
        let status = Status { code: 3, message: message.to_owned() };
        [status.encode_to_vec(), json.to_string().into_bytes(), message.as_bytes().to_vec()]
    }

    #[test]
    fn n1_success_has_many_forms() {
        for (code, body) in [
            (200, ""),
            (200, "{}"),
            (200, r#"{"partialSuccess":{}}"#),
            (200, r#"{"partialSuccess":null}"#),
            (200, "\n\0"),
            (201, ""),
            (202, "accepted"),
            (204, ""),
        ] {
            assert_eq!(verdict(code, body), Verdict::Ack, "{code} {body:?}");
        }
        partial(0, "").iter().for_each(|body| assert_eq!(verdict(200, body), Verdict::Ack));
    }

    #[test]
    fn n2_refused_records_are_counted_and_never_sent_again() {
        let loss = |rejected, reason: &str| Verdict::AckWithLoss { rejected, reason: reason.to_owned() };
        for body in partial(3, "too old") {
            assert_eq!(verdict(200, body), loss(3, "too old"));
        }
        for body in partial(3, "") {
            assert_eq!(verdict(200, body), loss(3, "the receiver does not say why"));
        }
        for body in partial(0, "use another endpoint") {
            assert_eq!(verdict(200, body), loss(0, "the receiver warns: use another endpoint"));
        }
        assert_eq!(verdict(200, r#"{"partialSuccess":{"rejectedLogRecords":2,"errorMessage":"e"}}"#), loss(2, "e"));
        for body in partial(-5, "") {
            assert_eq!(verdict(200, body), Verdict::Ack, "a count below zero is none");
        }
    }

    #[test]
    fn n2_a_count_is_read_though_its_reason_is_longer_than_what_is_kept_of_an_answer() {
        for mut body in partial(7, &"x".repeat(200_000)) {
            body.truncate(64 * 1024);
            assert!(matches!(verdict(200, body), Verdict::AckWithLoss { rejected: 7, .. }));
        }
    }

    #[test]
    fn n1_a_web_page_stored_nothing() {
        for page in ["<!doctype html><title>Grafana</title>", "\n <html>"] {
            assert!(matches!(verdict(200, page), Verdict::Hold(why) if why.contains("web page")));
        }
    }

    #[test]
    fn n1_too_large_is_halved_whatever_the_status() {
        for said in
            ["http: request body too large", "too big data size exceeding -opentelemetry.maxRequestSize=67108864 bytes"]
        {
            for body in status(said) {
                assert_eq!(verdict(400, body), Verdict::Split);
            }
        }
        for body in
            status("rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5 vs. 4)")
        {
            assert_eq!(verdict(503, body), Verdict::Split);
        }
        assert_eq!(verdict(413, ""), Verdict::Split);
    }

    #[test]
    fn n1_lokis_partial_400_stored_the_rest() {
        let far = "entry with timestamp 2026-11-24 08:00:00 +0000 UTC ignored, reason: 'entry too far behind', \
                   user 'fake', total ignored: 3 out of 10 for stream: {app=\"a\"}";
        for body in status(far) {
            match verdict(400, body) {
                Verdict::AckWithLoss { rejected: 3, reason } => assert!(reason.starts_with("status 400: entry with")),
                other => panic!("{other:?}"),
            }
        }
        let large = "stream '{…}' has structured metadata too large: '70000' bytes, limit: '65536' bytes";
        for body in status(large) {
            assert!(matches!(verdict(400, body), Verdict::AckWithLoss { rejected: 1, .. }));
        }
    }

    #[test]
    fn n1_what_did_not_parse_is_rejected_in_the_receivers_words() {
        for body in status("proto: ExportLogsServiceRequest: illegal tag 0") {
            assert_eq!(
                verdict(400, body),
                Verdict::Reject("status 400: proto: ExportLogsServiceRequest: illegal tag 0".to_owned())
            );
        }
        assert!(matches!(verdict(422, ""), Verdict::Reject(_)), "Loki's answer to an empty request");
    }

    #[test]
    fn n1_what_concerns_the_settings_is_held() {
        for body in status("no org id") {
            assert!(matches!(verdict(401, body), Verdict::Hold(_)));
        }
        assert_eq!(verdict(401, "invalid token"), Verdict::Refresh);
        for code in [403, 404, 405, 415, 301] {
            assert!(matches!(verdict(code, ""), Verdict::Hold(_)), "{code}");
        }
        for said in [
            "unsupported path requested: \"/v1/logs\"",
            "cannot parse common params from request: cannot parse \"name\" as uint32",
        ] {
            assert!(matches!(verdict(400, said), Verdict::Hold(why) if why.contains(said)));
        }
        let json = "json encoding isn't supported for opentelemetry format. Use protobuf encoding";
        assert!(matches!(verdict(400, json), Verdict::Hold(why) if why.contains("Use protobuf")));
    }

    #[test]
    fn n1_what_may_pass_is_tried_again_after_the_wait_that_was_asked_for() {
        let after = Some(Duration::from_secs(3));
        for code in [408, 429, 500, 502, 503, 504] {
            let mut reply = Reply::new(code, "");
            reply.retry_after = after;
            assert_eq!(judge(&reply), Verdict::Retry { after }, "{code}");
        }
    }

    #[test]
    fn no_answer_makes_it_panic_or_count_what_nobody_said() {
        let mut real: Vec<Vec<u8>> = Vec::new();
        for (rejected, why) in [(0, ""), (1, "a"), (i64::MAX, "b"), (-1, "c")] {
            real.extend(partial(rejected, why));
        }
        real.extend(status("entry with timestamp ignored, total ignored: 3 out of 10"));
        real.push(format!("{{\"partialSuccess\":{}", "[".repeat(10_000)).into_bytes());
        real.push(br#"{"partialSuccess":{"rejectedLogRecords":"99999999999999999999999999"}}"#.to_vec());
        let mut random = fastrand::Rng::with_seed(23);
        for _ in 0..100_000 {
            let mut body = real[random.usize(..real.len())].clone();
            for _ in 0..random.usize(..4) {
                match random.u8(..4) {
                    0 => body.truncate(random.usize(..=body.len())),
                    1 if !body.is_empty() => {
                        let at = random.usize(..body.len());
                        body[at] ^= 1 << random.u8(..8);
                    }
                    2 => body.insert(random.usize(..=body.len()), random.u8(..)),
                    _ => body.extend_from_within(..random.usize(..=body.len().min(200))),
                }
            }
            let status = [200, 204, 400, 429, 500, 503][random.usize(..6)];
            let verdict = verdict(status, &body);
            let names_a_record = matches!(verdict, Verdict::Items { .. } | Verdict::ResumeAfter(_) | Verdict::Ask(_));
            assert!(!names_a_record, "{verdict:?}");
        }
    }
}

//! What the collector's answers mean: `{"text":…,"code":N,"invalid-event-number":i,"ackId":a}`.
//!
//! It goes through a request one envelope after the other. Where it stops at one with a 400, those before are indexed,
//! and those behind were not looked at.

use serde_json::Value;

use super::super::ndjson::{is_about_the_request, said};
use super::super::{Payload, Reply, Verdict};

/// `ack` is where the indexer is asked, if it is to be.
pub(super) fn judge(ack: Option<&str>, reply: &Reply) -> Verdict {
    let told: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match (reply.status, ack) {
        (200..=299, Some(ack)) if told["acks"].is_object() => acknowledged(ack, &told["acks"]),
        (200..=299, ack) => taken(ack, &told, reply),
        (400, _) => refused(&told, reply),
        // 1 to 4: the token is disabled, missing or wrong. Another one may be in its file already.
        (401 | 403, _) => Verdict::Refresh,
        // 413 Split; 429 (26 and 27: queue or channel full), 5xx (8, 9, 23: error, busy, shutting down) Retry; 404, 405 and
        // 415 Hold.
        _ => Verdict::of_status(reply),
    }
}

fn taken(ack: Option<&str>, told: &Value, reply: &Reply) -> Verdict {
    match (ack, told["ackId"].as_u64(), told["code"].as_u64()) {
        (Some(ack), Some(id), _) => question(ack, id),
        // It took them, and says that its queue or the channel's acknowledgements are nearly full.
        (.., Some(24 | 25)) => Verdict::AckWithLoss { rejected: 0, reason: said(reply) },
        // A token without `useACK` names no id: there is nothing to ask for.
        _ => Verdict::of_status(reply),
    }
}

/// `{"acks":{"7":true}}`. A `true` is forgotten once it was told, and then is `false` for ever.
fn acknowledged(ack: &str, acks: &Value) -> Verdict {
    let mut open = acks.as_object().into_iter().flatten().filter(|(_, is_indexed)| **is_indexed != true);
    match (open.next(), acks.as_object().is_some_and(|acks| !acks.is_empty())) {
        (None, true) => Verdict::Ack,
        (Some((id, _)), _) => id.parse().map_or(Verdict::Retry { after: None }, |id| question(ack, id)),
        (None, false) => Verdict::Retry { after: None },
    }
}

fn question(ack: &str, id: u64) -> Verdict {
    Verdict::Ask(Payload::post("application/json", format!("{{\"acks\":[{id}]}}").into_bytes()).to(ack))
}

fn refused(told: &Value, reply: &Reply) -> Verdict {
    let at = told["invalid-event-number"].as_u64().and_then(|at| usize::try_from(at).ok());
    match (told["code"].as_u64(), at) {
        // Splunk Cloud says so of a request that is too large, too. Nothing of it is stored, so halves do no harm.
        (Some(6), Some(0)) => Verdict::Split,
        // Not the form of an event; no event; an event that is blank; fields that cannot be indexed.
        (Some(6 | 12 | 13 | 15), Some(at)) => Verdict::StoppedAt { at, reason: said(reply) },
        // No such index, or not for this token: all envelopes name the same one, so each would be refused. The number that
        // comes with it was seen one too high.
        (Some(7), _) => Verdict::Hold(said(reply)),
        // No channel, or none that is valid; no acknowledgements for this token; a token in the query; a token that is
        // invalid or disabled; no channel in Splunk Cloud.
        (Some(10 | 11 | 14 | 16 | 21 | 22 | 28), _) => Verdict::Hold(said(reply)),
        (None, _) if is_about_the_request(&reply.text()) => Verdict::Hold(said(reply)),
        // 5, no data; and versions that do not say where they stopped.
        _ => Verdict::Reject(said(reply)),
    }
}

//! What the stores that take JSON objects answer.
//!
//! By the status alone, but for three things: two answers of VictoriaLogs that are about the request and not about a
//! record; 402 of Better Stack, whose quota is used up; and what OpenObserve and Axiom say within a 200.

use serde_json::Value;

use super::super::verdict::{is_no_path, wants_tls};
use super::super::{Reply, Verdict};
use super::Preset;

pub(super) fn judge(preset: Preset, reply: &Reply) -> Verdict {
    match (preset, reply.status) {
        (_, 400) if is_about_the_request(&reply.text()) => Verdict::Hold(said(reply)),
        (Preset::BetterStack, 402) => Verdict::Hold(said(reply)),
        (Preset::OpenObserve, 200..=299) => lost(reply, openobserve(&reply.body)),
        (Preset::Axiom, 200..=299) => lost(reply, axiom(&reply.body)),
        _ => Verdict::of_status(reply),
    }
}

/// Words for a wrong path, for a port where TLS is spoken, and those of VictoriaLogs for a tenant (`AccountID`,
/// `ProjectID`) that is no number. By the status every record would be looked at for the fault, and rejected.
pub(crate) fn is_about_the_request(text: &str) -> bool {
    is_no_path(text) || wants_tls(text) || text.contains("as uint32")
}

pub(crate) fn said(reply: &Reply) -> String {
    let text: String = reply.text().trim().chars().take(300).collect();
    format!("status {}: {text}", reply.status)
}

/// How many records failed, and why the first of them did.
type Failed = (u64, String);

fn lost(reply: &Reply, failed: Option<Failed>) -> Verdict {
    match failed {
        Some((failed, reason)) if failed > 0 => {
            let rejected = usize::try_from(failed).unwrap_or(usize::MAX);
            Verdict::AckWithLoss { rejected, reason: reason.chars().take(300).collect() }
        }
        _ => Verdict::of_status(reply),
    }
}

/// `{"code":200,"status":[{"name":"default","successful":2,"failed":1,"error":"Too old data, …"}]}`
fn openobserve(body: &[u8]) -> Option<Failed> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let failed = |stream: &Value| stream["failed"].as_u64().unwrap_or(0);
    let streams = said["status"].as_array()?;
    let first = streams.iter().find(|stream| failed(stream) > 0)?;
    Some((streams.iter().map(failed).fold(0, u64::saturating_add), text(&first["error"])))
}

/// `{"ingested":2,"failed":1,"failures":[{"timestamp":"…","error":"…"}],"processedBytes":16}`
fn axiom(body: &[u8]) -> Option<Failed> {
    let said: Value = serde_json::from_slice(body).ok()?;
    Some((said["failed"].as_u64()?, text(&said["failures"][0]["error"])))
}

fn text(value: &Value) -> String {
    value.as_str().filter(|text| !text.trim().is_empty()).unwrap_or("it does not say why").to_owned()
}

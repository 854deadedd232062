//! What the answers of Google Cloud Logging mean.
//!
//! With `partialSuccess` a 400 or 403 may be about single entries: then all others are stored, and a
//! `WriteLogEntriesPartialErrors` among the details names the refused ones, as a map of index (a text) to status. The
//! same statuses without it mean that nothing was stored. A reply is read up to 512 KiB: of a map that is cut, what was not
//! read counts as not stored. A record that is sent again for that is recognised by its `insertId`.

use serde_json::{Deserializer, Value as Json};

use crate::backend::{Reply, Verdict};

/// The field that holds the map.
const ERRORS: &str = "\"logEntryErrors\"";

/// Codes of gRPC that may pass, or that a change of settings mends: 4 deadline exceeded, 7 permission denied, 8 resource
/// exhausted, 10 aborted, 13 internal, 14 unavailable, 16 unauthenticated.
const MAY_PASS: [i64; 7] = [4, 7, 8, 10, 13, 14, 16];

/// `most` is the most entries that a request may have.
pub(super) fn judge(reply: &Reply, most: usize) -> Verdict {
    match reply.status {
        400 | 403 => {}
        _ => return Verdict::of_status(reply),
    }
    let text = reply.text();
    if let Some((_, map)) = text.split_once(ERRORS) {
        return items(map, most).unwrap_or_else(|| Verdict::of_status(reply));
    }
    let lower = text.to_lowercase();
    let has = |part: &str| lower.contains(part);
    let said = || format!("status {}: {}", reply.status, text.trim().chars().take(300).collect::<String>());
    match reply.status {
        400 if has("payload size exceeds") || has("request too large") || has("request is too large") => Verdict::Split,
        // No part of the request would fare better.
        400 if has("failed_precondition") || has("api_key_invalid") || has("billing") => Verdict::Hold(said()),
        _ => Verdict::of_status(reply),
    }
}

/// What the map says of each entry; `text` begins behind its name. Nothing where it is whole and names only entries that no
/// request can have had: that proves of none that it is stored.
fn items(text: &str, most: usize) -> Option<Verdict> {
    let (named, whole) = read(text);
    if named.is_empty() {
        // The first entry alone fills the reply, or the map is none: smaller requests have smaller replies.
        return Some(Verdict::Split);
    }
    let (mut retry, mut rejected) = (Vec::new(), Vec::new());
    let mut is_named = vec![false; most];
    for (at, code, reason) in named {
        // One that no request can have had, or that was named before.
        if at >= most || std::mem::replace(&mut is_named[at], true) {
            continue;
        }
        if MAY_PASS.contains(&code) {
            retry.push(at);
        } else {
            rejected.push((at, reason));
        }
    }
    if !whole {
        // The lane leaves out places that the batch does not have.
        retry.extend((0..most).filter(|&at| !is_named[at]));
    }
    let names_any = !retry.is_empty() || !rejected.is_empty();
    names_any.then_some(Verdict::Items { retry, rejected, fallback: Vec::new() })
}

/// Places, codes and reasons, and whether that is all of the map.
fn read(text: &str) -> (Vec<(usize, i64, String)>, bool) {
    let mut named = Vec::new();
    let Some(mut rest) = after(text, ':').and_then(|rest| after(rest, '{')) else { return (named, false) };
    loop {
        if after(rest, '}').is_some() {
            return (named, true);
        }
        let mut keys = Deserializer::from_str(rest).into_iter::<String>();
        let Some(Ok(key)) = keys.next() else { return (named, false) };
        let Some(value) = after(&rest[keys.byte_offset()..], ':') else { return (named, false) };
        let mut values = Deserializer::from_str(value).into_iter::<Json>();
        let status = values.next().and_then(Result::ok);
        let (Some(status), Ok(place)) = (status, key.trim().parse()) else { return (named, false) };
        let code = status.get("code").and_then(Json::as_i64).unwrap_or_default();
        let message = status.get("message").and_then(Json::as_str).unwrap_or_default();
        let message: String = message.chars().take(300).collect();
        named.push((place, code, format!("code {code}: {message}")));
        rest = &value[values.byte_offset()..];
        rest = after(rest, ',').unwrap_or(rest);
    }
}

/// What stands behind that character, if it is the next one.
fn after(text: &str, char: char) -> Option<&str> {
    text.trim_start().strip_prefix(char)
}

//! What the store said, short enough to stand in a sentence: the reason within its JSON, the title of its web page.

use serde_json::Value;

use crate::backend::{Reply, Verdict};

/// The most characters of it that are shown.
const MOST: usize = 300;

/// Members in which stores and proxies put the reason, most telling first.
const REASONS: [&str; 6] = ["reason", "message", "text", "detail", "error", "errors"];

/// The status and the reason.
pub(super) fn said(reply: &Reply, verdict: &Verdict) -> String {
    let text = reply.text();
    let text = text.trim();
    let read = serde_json::from_str(text).ok().and_then(|json| reason_in(&json)).or_else(|| title(text));
    let of_verdict = match verdict {
        Verdict::Hold(why) | Verdict::Reject(why) => why.trim(),
        _ => "",
    };
    match (read, of_verdict) {
        // The backend has understood more of it than its words: which item it was about, or what stood in its protobuf.
        (_, why) if !why.is_empty() && (text.is_empty() || !why.contains(&*beginning(text, 20))) => plain(why),
        (Some(read), _) => format!("status {}: {}", reply.status, plain(&read)),
        (None, _) if text.is_empty() => format!("status {}", reply.status),
        (None, _) => format!("status {}: {}", reply.status, plain(text)),
    }
}

/// The first reason in a JSON document, as deep as it may stand there.
fn reason_in(json: &Value) -> Option<String> {
    match json {
        Value::Array(values) => values.iter().find_map(reason_in),
        Value::Object(members) => {
            let told = REASONS.iter().filter_map(|name| members.get(*name)).find_map(|value| match value {
                Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
                inner => reason_in(inner),
            });
            told.or_else(|| members.values().find_map(reason_in))
        }
        _ => None,
    }
}

/// That of a web page.
fn title(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let len = lower[start..].find("</title>")?;
    Some(format!("a web page, \"{}\"", text[start..start + len].trim()))
}

/// In one line.
fn plain(text: &str) -> String {
    let words = text.split(|char: char| char.is_whitespace() || char.is_control()).filter(|word| !word.is_empty());
    beginning(&words.collect::<Vec<_>>().join(" "), MOST)
}

fn beginning(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> String {
        let reply = Reply::new(status, body);
        said(&reply, &Verdict::of_status(&reply))
    }

    #[test]
    fn of_json_the_reason_is_shown_and_of_a_web_page_its_title() {
        assert_eq!(
            of(400, r#"{"error":"no handler found for uri [/x]"}"#),
            "status 400: no handler found for uri [/x]"
        );
        assert_eq!(of(400, r#"{"error":{"type":"a","reason":"b"},"status":400}"#), "status 400: b");
        let items = r#"{"errors":true,"items":[{"create":{"status":403,"error":{"type":"t","reason":"blocked"}}}]}"#;
        assert_eq!(of(200, items), "status 200: blocked");
        let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>";
        assert_eq!(of(502, page), "status 502: a web page, \"502 Bad Gateway\"");
        assert_eq!((of(404, ""), of(404, "not\n found\u{1b}")), ("status 404".into(), "status 404: not found".into()));
        assert!(of(400, &"x".repeat(1000)).len() < 320);
    }

    #[test]
    fn what_the_backend_understood_goes_before_the_words() {
        let reply = Reply::new(400, &b"\x08\x03\x12\x04oops"[..]);
        assert_eq!(said(&reply, &Verdict::Hold("status 400: oops".into())), "status 400: oops");
        let reply = Reply::new(200, r#"{"errors":true}"#);
        assert_eq!(said(&reply, &Verdict::Hold("status 404 t: no such index".into())), "status 404 t: no such index");
    }
}

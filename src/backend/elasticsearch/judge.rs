//! What the answers mean.
//!
//! Status 200 says that the request was read; each document has its own status, in the order of the request. With
//! `create` and an id of ours a 409 is a success: the document is there, from an attempt whose answer was lost. That is
//! also why whatever the answer does not say can be asked again: of a reply that was cut, or has too few items, what was
//! read is believed, and the rest is sent once more.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::super::{Reply, Verdict};

/// The most characters of a reason that are kept.
const REASON: usize = 300;

/// `most` is how many records a request has at most.
pub(super) fn judge(reply: &Reply, most: usize) -> Verdict {
    let said = || {
        let text = reply.text();
        format!("status {}: {}", reply.status, text.trim().chars().take(REASON).collect::<String>())
    };
    match reply.status {
        200..=299 => items(reply, most),
        // It ends by itself, or by the hand of whoever frees the disk: nothing is wrong with what is sent.
        403 if reply.text().contains("cluster_block_exception") => Verdict::Retry { after: reply.retry_after },
        // Words for a query or a path that is wrong; the others are about a record. The last two are VictoriaLogs'.
        400 if ["unrecognized parameter", "no handler found", "unsupported path requested", "as uint32"]
            .iter()
            .any(|words| reply.text().contains(words)) =>
        {
            Verdict::Hold(said())
        }
        // Content type.
        406 => Verdict::Hold(said()),
        501 => Verdict::Reject(said()),
        _ => Verdict::of_status(reply),
    }
}

/// What became of each document.
fn items(reply: &Reply, most: usize) -> Verdict {
    // The usual answer, without a look at each item: `{"errors":false,"items":[…]}`, perhaps with `took` before it.
    let text = reply.text();
    let begin = text.get(..text.len().min(64)).unwrap_or_default();
    if begin.contains("\"errors\":false") && !text.contains("\"error\":") {
        return Verdict::Ack;
    }
    let read = Bulk::read(&reply.body);
    // Nothing of what a bulk request is answered with: a proxy's page, or VictoriaLogs, which answers with nothing when
    // it could not read the body. Nothing is known to be stored.
    if read.items.is_empty() {
        let is_fine = read.errors == Some(false) && read.is_whole;
        return if is_fine { Verdict::Ack } else { Verdict::Retry { after: reply.retry_after } };
    }
    let (mut retry, mut rejected, mut fallback) = (Vec::new(), Vec::new(), Vec::new());
    for (at, item) in read.items.iter().enumerate() {
        match item.outcome() {
            Outcome::Stored => {}
            Outcome::Again => retry.push(at),
            Outcome::Rejected => rejected.push((at, item.reason())),
            Outcome::Fallback => fallback.push((at, item.reason())),
            // All that is not named counts as stored, so the request as a whole is kept: what is there already will be
            // recognised.
            Outcome::Hold => return Verdict::Hold(item.reason()),
        }
    }
    if retry.is_empty() && rejected.is_empty() && fallback.is_empty() {
        // All that were read are there. Where nothing failed the others are as well.
        return if read.errors == Some(false) { Verdict::Ack } else { Verdict::ResumeAfter(read.items.len()) };
    }
    if read.errors != Some(false) {
        retry.extend(read.items.len()..most);
    }
    Verdict::Items { retry, rejected, fallback }
}

enum Outcome {
    Stored,
    Again,
    Rejected,
    Fallback,
    Hold,
}

/// What is said of one document.
struct Item {
    /// 0 where there is none.
    status: u16,
    kind: String,
    why: String,
    has_error: bool,
}

impl Item {
    /// `{"create":{"status":400,"error":{"type":"…","reason":"…","caused_by":{"reason":"…"}}}}`
    fn of(json: &Json) -> Self {
        let inner = json.as_object().and_then(|item| item.values().next()).unwrap_or(&Json::Null);
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let error = &inner["error"];
        let (reason, cause) = (text(&error["reason"]), text(&error["caused_by"]["reason"]));
        let why = match error {
            // As Elasticsearch had it once, and some that speak like it have it still.
            Json::String(text) => text.clone(),
            _ if cause.is_empty() || reason.contains(&cause) => reason,
            _ => format!("{reason}: {cause}"),
        };
        Self {
            status: inner["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0),
            kind: text(&error["type"]),
            why,
            has_error: !error.is_null(),
        }
    }

    fn outcome(&self) -> Outcome {
        // They concern the request or the index, though they come as a fault of each document.
        let is_about_the_place = ["invalid_index_name_exception", "index_closed_exception"].contains(&&*self.kind)
            || ["pipeline with id [", "no write index is defined"].iter().any(|words| self.why.contains(words));
        match self.status {
            // OpenObserve says 200 and that there was an error.
            200..=299 if !self.has_error => Outcome::Stored,
            200..=299 => Outcome::Fallback,
            409 if self.kind.is_empty() || self.kind.contains("version_conflict") => Outcome::Stored,
            400 if is_about_the_place => Outcome::Hold,
            // The cluster has no shard left for a new index: nothing is wrong with the document, and those of other
            // indices go on.
            400 if self.why.contains("this action would add [") => Outcome::Again,
            400 => Outcome::Fallback,
            403 if self.kind == "cluster_block_exception" => Outcome::Again,
            401 | 403 | 404 => Outcome::Hold,
            501 => Outcome::Rejected,
            408 | 409 | 425 | 429 | 500..=599 => Outcome::Again,
            402..=499 => Outcome::Rejected,
            // No status is known to say that the document is stored, or that it never will be.
            _ => Outcome::Again,
        }
    }

    fn reason(&self) -> String {
        let why: String = self.why.chars().take(REASON).collect();
        format!("status {} {}: {why}", self.status, self.kind)
    }
}

/// As much of a reply as there is.
#[derive(Default)]
struct Bulk {
    errors: Option<bool>,
    items: Vec<Item>,
    is_whole: bool,
}

impl Bulk {
    fn read(body: &[u8]) -> Self {
        let mut bulk = Self::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        // What was read before an error stays.
        bulk.is_whole = json.deserialize_map(Members(&mut bulk)).is_ok();
        bulk
    }
}

struct Members<'b>(&'b mut Bulk);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what a bulk request is answered with")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "errors" => self.0.errors = map.next_value::<Json>()?.as_bool(),
                // A second list would have other places.
                "items" if self.0.items.is_empty() => map.next_value_seed(Items(&mut self.0.items))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Items<'i>(&'i mut Vec<Item>);

impl<'de> serde::de::DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<Json>()? {
            self.0.push(Item::of(&item));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOST: usize = 5;

    fn verdict(status: u16, body: &str) -> Verdict {
        judge(&Reply::new(status, body), MOST)
    }

    fn item(status: u16, kind: &str, reason: &str) -> String {
        match kind {
            "" => format!(r#"{{"create":{{"status":{status}}}}}"#),
            _ => format!(r#"{{"create":{{"status":{status},"error":{{"type":"{kind}","reason":"{reason}"}}}}}}"#),
        }
    }

    fn reply(items: &[String]) -> String {
        format!(r#"{{"errors":true,"items":[{}]}}"#, items.join(","))
    }

    const STORED: (u16, &str) = (201, "");
    const THERE: (u16, &str) = (409, "version_conflict_engine_exception");

    fn of(items: &[(u16, &str)]) -> Verdict {
        verdict(200, &reply(&items.iter().map(|(status, kind)| item(*status, kind, "why")).collect::<Vec<_>>()))
    }

    #[test]
    fn n1_a_reply_without_errors_is_a_success_however_it_is_written() {
        for body in [
            r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#,
            // VictoriaLogs.
            r#"{"took":0,"errors":false,"items":[{"create":{"status":201}}]}"#,
            // Without the filter.
            r#"{"took":30,"errors":false,"items":[{"create":{"_index":"a","_id":"1","_version":1,"result":"created",
               "_shards":{"total":2,"successful":1,"failed":0},"status":201}}]}"#,
            "{ \"errors\" : false, \"items\" : [ {\"index\": {\"status\": 200}} ] }",
            r#"{"errors":false,"items":[]}"#,
            // Cut, which says nothing against it.
            r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"sta"#,
        ] {
            assert_eq!(verdict(200, body), Verdict::Ack, "{body}");
        }
    }

    #[test]
    fn n1_success_without_a_word_about_the_documents_is_none() {
        for body in
            ["", "  \n", "OK", "<html>login</html>", "{}", "[]", "null", r#"{"errors":true}"#, r#"{"items":[]}"#]
        {
            assert_eq!(verdict(200, body), Verdict::Retry { after: None }, "{body}");
        }
        assert_eq!(verdict(204, ""), Verdict::Retry { after: None });
    }

    #[test]
    fn n1_a_document_that_is_there_already_was_delivered() {
        assert_eq!(of(&[THERE, STORED, THERE]), Verdict::ResumeAfter(3));
        // Of the third nothing was read.
        let body = reply(&[item(409, THERE.1, "there"), item(201, "", ""), item(409, THERE.1, "there")]);
        assert_eq!(verdict(200, &body[..body.len() - 10]), Verdict::ResumeAfter(2));
        // Another conflict than that of our own id says nothing of the document.
        let Verdict::Items { retry, .. } = of(&[STORED, (409, "resource_already_exists_exception")]) else { panic!() };
        assert_eq!(retry, [1, 2, 3, 4]);
    }

    #[test]
    fn n1_each_document_has_a_status_of_its_own() {
        let mapping = "mapper_parsing_exception";
        let items =
            [STORED, (400, mapping), (429, "es_rejected_execution_exception"), THERE, (503, "unavailable_shards")];
        let Verdict::Items { retry, rejected, fallback } = of(&items) else { panic!() };
        assert_eq!((retry, rejected), (vec![2, 4], vec![]));
        assert_eq!(fallback, [(1, "status 400 mapper_parsing_exception: why".to_owned())]);

        let Verdict::Items { retry, rejected, fallback } = of(&[(413, "too_large"), (501, "x"), (0, "x"), (500, "x")])
        else {
            panic!()
        };
        assert_eq!((retry, fallback), (vec![2, 3, 4], vec![]));
        assert_eq!(rejected.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1]);

        for kind in ["document_parsing_exception", "illegal_argument_exception", "strict_dynamic_mapping_exception"] {
            assert!(matches!(of(&[(400, kind)]), Verdict::Items { fallback, .. } if fallback.len() == 1), "{kind}");
        }
    }

    #[test]
    fn n1_what_the_store_did_not_say_is_asked_again() {
        let body = reply(&[item(201, "", ""), item(400, "mapper_parsing_exception", "why"), item(201, "", "")]);
        for cut in 0..body.len() - 1 {
            let stored_after = |at: usize| body.match_indices("}}").nth(at).map_or(usize::MAX, |(found, _)| found + 2);
            let seen = [stored_after(0), stored_after(1) + 1, stored_after(2)].iter().filter(|&&at| at <= cut).count();
            match verdict(200, &body[..cut]) {
                Verdict::Retry { .. } => assert_eq!(seen, 0, "{}", &body[..cut]),
                Verdict::ResumeAfter(1) => assert_eq!(seen, 1, "{}", &body[..cut]),
                Verdict::Items { retry, rejected, fallback } => {
                    assert_eq!((fallback.len(), rejected.len()), (1, 0));
                    assert_eq!(retry, (seen..MOST).collect::<Vec<_>>(), "{}", &body[..cut]);
                }
                other => panic!("{other:?} to {}", &body[..cut]),
            }
        }
        // One item less than documents: the rest is not known either.
        let Verdict::Items { retry, .. } = of(&[STORED, (400, "x")]) else { panic!() };
        assert_eq!(retry, [2, 3, 4]);
    }

    #[test]
    fn n1_an_error_with_a_good_status_is_an_error() {
        let openobserve = r#"{"took":1,"errors":false,"items":[{"index":{"status":200,"error":{"type":"t","reason":"r"}}},
                             {"index":{"status":200}}]}"#;
        let fallback = vec![(0, "status 200 t: r".to_owned())];
        assert_eq!(verdict(200, openobserve), Verdict::Items { retry: vec![], rejected: vec![], fallback });
    }

    #[test]
    fn n1_a_wrong_place_is_kept_and_not_rejected() {
        for kind in ["index_not_found_exception", "security_exception"] {
            for status in [401, 403, 404] {
                assert!(matches!(of(&[STORED, (status, kind)]), Verdict::Hold(_)), "{status} {kind}");
            }
        }
        for about_the_place in ["invalid_index_name_exception", "index_closed_exception"] {
            assert!(matches!(of(&[(400, about_the_place)]), Verdict::Hold(_)));
        }
        for words in ["pipeline with id [x] does not exist", "no write index is defined for alias [x]"] {
            let body = reply(&[item(400, "illegal_argument_exception", words)]);
            assert!(matches!(verdict(200, &body), Verdict::Hold(why) if why.contains(words)), "{words}");
        }
        assert!(matches!(of(&[(403, "cluster_block_exception")]), Verdict::Items { .. }));
    }

    #[test]
    fn n1_an_index_that_cannot_be_made_costs_no_record() {
        let full = "Validation Failed: 1: this action would add [2] total shards, but this cluster currently has \
                    [1000]/[1000] maximum shards open;";
        for (kind, why) in [("validation_exception", full), ("illegal_argument_exception", full)] {
            let Verdict::Items { retry, rejected, fallback } =
                verdict(200, &reply(&[item(201, "", ""), item(400, kind, why), item(201, "", "")]))
            else {
                panic!("{kind}")
            };
            assert_eq!((retry.first(), rejected, fallback), (Some(&1), vec![], vec![]), "{kind}");
        }
    }

    #[test]
    fn n1_the_reason_is_the_one_that_helps() {
        let body = r#"{"errors":true,"items":[{"create":{"status":400,"error":{"type":"t","reason":"failed to parse",
                      "caused_by":{"reason":"field name cannot be an empty string"}}}},
                      {"create":{"status":400,"error":"as a text"}}]}"#;
        let Verdict::Items { fallback, .. } = verdict(200, body) else { panic!() };
        assert_eq!(fallback[0].1, "status 400 t: failed to parse: field name cannot be an empty string");
        assert_eq!(fallback[1].1, "status 400 : as a text");
    }

    #[test]
    fn n1_requests_as_a_whole() {
        let holds = |status, body: &str| matches!(verdict(status, body), Verdict::Hold(_));
        let rejects = |status, body: &str| matches!(verdict(status, body), Verdict::Reject(_));
        let error = |kind: &str, reason: &str| format!(r#"{{"error":{{"type":"{kind}","reason":"{reason}"}}}}"#);
        assert!(rejects(
            400,
            &error("illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]")
        ));
        assert!(holds(
            400,
            &error("illegal_argument_exception", "request [/_bulk] contains unrecognized parameter: [x]")
        ));
        assert!(holds(400, "unsupported path requested: \"/insert/elasticsearch/x/_bulk\""));
        assert_eq!(verdict(401, &error("security_exception", "missing authentication credentials")), Verdict::Refresh);
        assert!(holds(403, &error("security_exception", "action [indices:data/write/bulk] is unauthorized")));
        let full = error("cluster_block_exception", "index [a] blocked by: [FORBIDDEN/12/index read-only]");
        assert_eq!(verdict(403, &full), Verdict::Retry { after: None });
        assert!(holds(404, &error("index_not_found_exception", "no such index [a]")));
        assert!(holds(405, "") && holds(406, "Content-Type header [x] is not supported") && holds(301, ""));
        assert_eq!(verdict(413, ""), Verdict::Split);
        assert!(rejects(501, ""));
        for status in [429, 500, 502, 503, 504] {
            let mut reply = Reply::new(status, error("es_rejected_execution_exception", "rejected"));
            reply.retry_after = Some(Duration::from_secs(3));
            assert_eq!(judge(&reply, MOST), Verdict::Retry { after: reply.retry_after });
        }
    }

    #[test]
    fn n1_mutated_replies_get_a_verdict_that_can_be() {
        let store = super::super::Elasticsearch::new("http://localhost/logs");
        let kinds = ["", "mapper_parsing_exception", "version_conflict_engine_exception", "cluster_block_exception"];
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..100_000 {
            let count = random.usize(..6);
            let items: Vec<_> = (0..count)
                .map(|_| item([200, 201, 400, 404, 409, 429, 500][random.usize(..7)], kinds[random.usize(..4)], "why"))
                .collect();
            let mut body = reply(&items).into_bytes();
            match random.u8(..6) {
                0 => body.truncate(random.usize(..body.len())),
                1 => (0..3).for_each(|_| {
                    let at = random.usize(..body.len());
                    body[at] ^= 1 << random.u8(..8);
                }),
                2 => {
                    let (from, to) = (random.usize(..body.len()), random.usize(..body.len()));
                    let part = body[from.min(to)..from.max(to)].to_vec();
                    let at = random.usize(..body.len());
                    body.splice(at..at, part);
                }
                3 => {
                    let at = random.usize(..body.len());
                    let piece: &[u8] = [&b"[[[[[[[["[..], b"99999999999999999999999", b"-1e999", b"null", b"\xff\0"]
                        [random.usize(..5)];
                    let piece = piece.repeat(random.usize(1..200));
                    body.splice(at..at, piece);
                }
                _ => {}
            }
            let status = if random.u8(..8) == 0 { random.u16(100..600) } else { 200 };
            crate::testing::check_reply(&store, &Reply::new(status, body));
        }
    }
}

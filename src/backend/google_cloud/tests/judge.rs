//! What the answers mean, whole, cut and broken.

use super::*;

#[test]
fn what_the_store_answers_means() {
    let judge = |status, body: &str| google().judge(&Reply::new(status, body));
    assert_eq!(judge(200, "{}"), Verdict::Ack);
    assert_eq!(judge(401, r#"{"error":{"code":401,"status":"UNAUTHENTICATED"}}"#), Verdict::Refresh);
    for (status, body) in [
        (
            403,
            r#"{"error":{"code":403,"message":"Permission 'logging.logEntries.create' denied","status":"PERMISSION_DENIED"}}"#,
        ),
        (403, r#"{"error":{"code":403,"details":[{"reason":"SERVICE_DISABLED"}]}}"#),
        (404, ""),
        (400, r#"{"error":{"code":400,"status":"FAILED_PRECONDITION"}}"#),
        (400, r#"{"error":{"code":400,"details":[{"reason":"API_KEY_INVALID"}]}}"#),
    ] {
        assert!(matches!(judge(status, body), Verdict::Hold(_)), "{status} {body}");
    }
    assert!(matches!(judge(400, r#"{"error":{"code":400,"status":"INVALID_ARGUMENT"}}"#), Verdict::Reject(_)));
    assert_eq!(
        judge(400, r#"{"error":{"message":"Request payload size exceeds the limit: 10485760 bytes."}}"#),
        Verdict::Split
    );
    assert_eq!(judge(413, ""), Verdict::Split);
    for status in [429, 500, 502, 503, 504] {
        assert_eq!(judge(status, ""), Verdict::Retry { after: None });
    }
    let unknown = GoogleCloud::new("").judge(&Reply::new(400, "invalid project"));
    assert!(matches!(unknown, Verdict::Hold(why) if why.contains("gcl://PROJECT")));
}

/// As the service writes it, with blanks and line feeds.
fn partial(errors: &[(usize, i64)]) -> String {
    let errors: Vec<_> = errors
        .iter()
        .map(|(at, code)| format!("          \"{at}\": {{\n            \"code\": {code},\n            \"message\": \"why {at}\"\n          }}"))
        .collect();
    format!(
        "{{\n  \"error\": {{\n    \"code\": 400,\n    \"message\": \"m\",\n    \"status\": \"INVALID_ARGUMENT\",\n    \"details\": [\n      {{\n        \
         \"@type\": \"type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors\",\n        \"logEntryErrors\": {{\n{}\n        }}\n      }}\n    ]\n  }}\n}}\n",
        errors.join(",\n")
    )
}

#[test]
fn entries_that_are_named_are_rejected_or_sent_again_and_all_others_are_stored() {
    for status in [400, 403] {
        let verdict = google().judge(&Reply::new(status, partial(&[(0, 3), (7, 14), (9, 7), (5000, 3)])));
        let Verdict::Items { retry, rejected, fallback } = verdict else { panic!("{verdict:?}") };
        assert_eq!((retry, rejected, fallback), (vec![7, 9], vec![(0, "code 3: why 0".to_owned())], vec![]));
    }
}

#[test]
fn of_a_reply_that_was_cut_nothing_counts_as_stored_that_was_not_read() {
    let whole = partial(&[(2, 3), (4, 3), (6, 3)]);
    for length in 0..whole.len() {
        match google().judge(&Reply::new(400, &whole.as_bytes()[..length])) {
            Verdict::Items { retry, rejected, .. } => {
                let is_complete = rejected.len() == 3 && retry.is_empty();
                let accounted = retry.len() + rejected.len() == 1000;
                assert!(is_complete || accounted, "{length}: {} and {rejected:?}", retry.len());
                assert!(rejected.iter().all(|(at, _)| !retry.contains(at)));
            }
            Verdict::Split | Verdict::Reject(_) => assert!(length < whole.find("\"4\"").unwrap()),
            other => panic!("{length}: {other:?}"),
        }
    }
}

#[test]
fn a_map_that_names_only_entries_that_were_never_sent_counts_none_as_stored() {
    let far = partial(&[(1000, 3), (5000, 14)]);
    assert!(matches!(google().judge(&Reply::new(400, far.clone())), Verdict::Reject(_)));
    assert!(matches!(google().judge(&Reply::new(403, far.clone())), Verdict::Hold(_)));
    // An entry that is named twice is one.
    let twice = partial(&[(3, 3), (3, 3)]);
    let Verdict::Items { rejected, .. } = google().judge(&Reply::new(400, twice)) else { panic!("not by entry") };
    assert_eq!(rejected.len(), 1);
    // Where it is cut, what was not read may name any.
    let cut = far[..far.len() - 30].to_owned();
    let Verdict::Items { retry, rejected, .. } = google().judge(&Reply::new(400, cut)) else { panic!("not by entry") };
    assert_eq!((retry.len(), rejected.len()), (1000, 0));
}

#[test]
fn no_reply_however_broken_makes_it_panic_or_take_long() {
    let mut random = fastrand::Rng::with_seed(4);
    let real =
        [partial(&[(0, 3), (1, 7), (999, 13)]), partial(&[]), r#"{"error":{"code":401}}"#.to_owned(), "{}".to_owned()];
    for _ in 0..100_000 {
        let mut bytes = real[random.usize(..real.len())].clone().into_bytes();
        for _ in 0..random.usize(..4) {
            let at = random.usize(..bytes.len().max(1)).min(bytes.len());
            match random.u8(..5) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
                2 => drop(bytes.splice(at..at, *b"99999999999999999999999")),
                3 => drop(bytes.splice(at..at, [b'['; 300])),
                _ => drop(bytes.splice(at..at, *br#""logEntryErrors":{""#)),
            }
        }
        let status = [200, 400, 401, 403, 413, 500][random.usize(..6)];
        if let Verdict::Items { retry, rejected, .. } = google().judge(&Reply::new(status, bytes)) {
            assert!(retry.iter().chain(rejected.iter().map(|(at, _)| at)).all(|&at| at < 1000));
        }
    }
    let deep = format!("{{\"logEntryErrors\":{{\"0\":{}", "[".repeat(64_000));
    assert_eq!(google().judge(&Reply::new(400, deep)), Verdict::Split);
}

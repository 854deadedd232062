//! From what a lane saw to words: the cause, and the setting to change.

use std::time::Duration;

use super::said::said;
use super::{Examination, Step};
use crate::backend::{Reply, Verdict, is_no_path, wants_tls};
use crate::visit::{Outcome, Seen};
use crate::wire::FailureKind;

/// A clock that is off by less is no cause of anything: replies tell the time in whole seconds, and take a while.
const SKEW: u64 = 30;

const TOOK: &str = "the store took the record";

pub(super) fn explain(seen: &Seen) -> Examination {
    // What the store said may look like the name of a setting.
    let (failed, text, quoted) = match &seen.outcome {
        Outcome::Failed(failure) => (Some(step_of(failure.kind)), failure.text.clone(), String::new()),
        Outcome::Panicked(message) => (
            Some(Step::Post),
            format!("the backend panicked over the record: {message}; this is a defect of the backend"),
            message.clone(),
        ),
        Outcome::Answered { reply, verdict, .. } => {
            let said = said(reply, verdict);
            let (failed, text) = answered(seen, reply, verdict, &said);
            (failed, text, said)
        }
    };
    let mut examination = Examination {
        destination: seen.destination.clone(),
        url: seen.url.clone(),
        failed,
        text: seen.names.in_words_of_the_user(&text),
        settings: Vec::new(),
        remarks: Vec::new(),
        facts: seen.facts.clone(),
        confirmed: failed.is_none() && seen.confirms,
    };
    if let Outcome::Answered { verdict, ahead, .. } = &seen.outcome {
        examination.remarks.extend(remark(verdict));
        if let Some(skew) = ahead.filter(|seconds| seconds.unsigned_abs() > SKEW) {
            see_clock(&mut examination, skew, seen.newest);
        }
    }
    if examination.failed.is_some() {
        examination.settings = settings_in(&seen.names.in_words_of_the_user(&text.replace(&*quoted, "")));
    }
    examination
}

fn step_of(kind: FailureKind) -> Step {
    match kind {
        // The way to the store was not tried yet.
        FailureKind::Token => Step::SetUp,
        FailureKind::Resolve => Step::Resolve,
        FailureKind::Connect => Step::Connect,
        FailureKind::Tls => Step::Handshake,
        FailureKind::Timeout | FailureKind::Reset | FailureKind::Other | FailureKind::Outdated => Step::Answer,
    }
}

/// What an answer means.
fn answered(seen: &Seen, reply: &Reply, verdict: &Verdict, said: &str) -> (Option<Step>, String) {
    let status = reply.status;
    let is_http = is_http(seen);
    let took = if is_http { format!("{TOOK} (status {status})") } else { TOOK.to_owned() };
    let wrong = |what: String| (Some(Step::Answer), what);
    match verdict {
        Verdict::Ack if !seen.confirms => (
            None,
            "the record was written to a connection that held, but this store confirms nothing: look there whether it \
             arrived, by its text, \"a record to see whether records arrive\""
                .to_owned(),
        ),
        Verdict::Ack | Verdict::AckWithLoss { rejected: 0, .. } => (None, took),
        Verdict::Ask(_) => {
            (None, format!("the store has the record and says later whether it keeps it (status {status})"))
        }
        Verdict::ResumeAfter(1..) => (None, format!("{TOOK} ({said})")),
        // There was one record; places of others are those that a full request would have had.
        Verdict::Items { rejected, retry, fallback } => match (rejected.first(), !retry.contains(&0), fallback.first())
        {
            (Some((_, why)), ..) => wrong(format!("the store refused the record: {why}")),
            (None, false, _) => {
                wrong(format!("the store could not take the record just now ({said}); it is sent again"))
            }
            (None, true, Some((_, why))) => (
                None,
                format!(
                    "the store refused the fields of the record, which is sent again with all of them in one field: {why}"
                ),
            ),
            (None, true, None) => (None, took),
        },
        Verdict::TooFarBehind { reason, .. } => wrong(format!(
            "the store has newer records and does not take this one after them; it is sent again in their place for such: \
             {reason}"
        )),
        Verdict::AckWithLoss { reason, .. } => {
            wrong(format!("the store answered well and dropped the record: {reason}"))
        }
        // On a connection the backend's own words say what to set.
        Verdict::Refresh if !is_http => wrong(format!("the store does not let us in: {}", reply.text())),
        // Stores tell in many ways, and with several statuses, that they want to know the tenant, or another one.
        Verdict::Refresh | Verdict::Hold(_) | Verdict::Reject(_) if is_about_the_tenant(said) => wrong(format!(
            "the store wants to know the tenant, or does not take the one it was given ({said}); check LOGCHUTE_TENANT, or \
             what names it in LOGCHUTE_HEADERS"
        )),
        Verdict::Hold(_) | Verdict::Reject(_) if wants_tls(&reply.text()) => {
            wrong(format!("TLS is spoken at that port ({said}): LOGCHUTE_URL must say https:// in place of http://"))
        }
        Verdict::Hold(_) | Verdict::Reject(_) if is_no_path(&reply.text()) => wrong(no_intake(&seen.url, said)),
        Verdict::Refresh => wrong(format!(
            "the store does not know who is asking ({said}): the credential is missing, wrong or expired, or meant for \
             another store; check LOGCHUTE_TOKEN, or LOGCHUTE_USER and LOGCHUTE_PASSWORD"
        )),
        Verdict::Split => wrong(format!(
            "even one record is too large a request for the store, or for a proxy before it ({said}); raise the limit there \
             (nginx: client_max_body_size), then see LOGCHUTE_BATCH_BYTES"
        )),
        Verdict::Retry { .. } => wrong(match status {
            429 => format!(
                "the store takes no more at the moment ({said}): it limits the rate of this tenant or credential; raise the \
                 limit there, or send less (LOGCHUTE_FILTER)"
            ),
            500..=599 => format!(
                "the store, or a proxy before it, is not well ({said}); the record is kept and sent again, and LOGCHUTE_URL \
                 seems to lead to the right place"
            ),
            _ => format!("the store cannot take the record just now ({said}); it is kept and sent again"),
        }),
        Verdict::Reject(_) | Verdict::StoppedAt { .. } | Verdict::ResumeAfter(0) => wrong(format!(
            "the store does not understand what it was sent ({said}): does LOGCHUTE_URL name the right backend, and the \
             path of its intake?"
        )),
        Verdict::Hold(_) => wrong(held(seen, status, said)),
    }
}

/// Whether it is not spoken to on a connection of its own, where there is no status.
fn is_http(seen: &Seen) -> bool {
    seen.url.starts_with("http")
}

fn no_intake(url: &str, said: &str) -> String {
    let hint = if said.contains("unsupported path requested") {
        " These are the words of VictoriaLogs, whose paths begin with /insert/ (see docs/stores/victorialogs.md)"
    } else {
        ""
    };
    format!(
        "there is no such intake at {url} ({said}): is the path, or the base URL before it, right in LOGCHUTE_URL, and is \
         it the backend for this store?{hint}"
    )
}

fn held(seen: &Seen, status: u16, said: &str) -> String {
    let url = &seen.url;
    match status {
        403 => format!(
            "the store knows who is asking, but does not permit it to write ({said}); give the credential that right, or \
             use another (LOGCHUTE_TOKEN, LOGCHUTE_USER)"
        ),
        404 => no_intake(url, said),
        200..=299 if said.contains("web page") => {
            format!(
                "{url} is not a log store's ({said}): is LOGCHUTE_URL right, and does a login page stand before it?"
            )
        }
        405 => format!("{url} takes no POST ({said}): is the path right in LOGCHUTE_URL?"),
        407 => format!(
            "the proxy wants a user and password ({said}); put them into HTTP_PROXY or HTTPS_PROXY, or name the store's host \
             in NO_PROXY"
        ),
        406 | 415 => format!(
            "the store does not take the format ({said}): does LOGCHUTE_URL name the right backend, and the path of its \
             intake?"
        ),
        300..=399 => format!(
            "{url} sends elsewhere ({said}), which is not followed, as it would take records and credential along; set \
             LOGCHUTE_URL to where it leads"
        ),
        _ if ["index_closed", "no such index"].iter().any(|words| said.contains(words)) => format!(
            "the index does not take documents as it is ({said}): open or create it there, or name another in LOGCHUTE_URL"
        ),
        _ => format!(
            "the store, or what stands before it, refuses the request as it is set up ({said}); check LOGCHUTE_URL and the credentials"
        ),
    }
}

fn is_about_the_tenant(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    // The last is what VictoriaLogs says of a name, as its tenants are numbers.
    ["org id", "orgid", "tenant", "accountid", "projectid", "as uint32"].iter().any(|word| said.contains(word))
}

fn remark(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::AckWithLoss { rejected: 0, reason } => Some(format!("the store warns: {reason}")),
        _ => None,
    }
}

/// What a clock that is off does.
fn see_clock(examination: &mut Examination, ahead: i64, newest: Option<Duration>) {
    let off = Duration::from_secs(ahead.unsigned_abs());
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    let told = format!(
        "this machine's clock is {off:?} {direction} that of the store, so records stand at the wrong time there, and \
         beyond some limit are refused or lost; set the clock right (NTP) here or there"
    );
    if examination.failed.is_none() && ahead > 0 && newest.is_some_and(|newest| off > newest) {
        (examination.failed, examination.confirmed) = (Some(Step::Answer), false);
        examination.text =
            format!("the store takes records that are {:?} ahead at most, and {told}", newest.unwrap_or_default());
    } else {
        examination.remarks.push(told);
    }
}

/// The settings that a text names, each once.
fn settings_in(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in text.split(|char: char| !(char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_')) {
        let is_setting = word.contains('_') && word.len() > 4 && !word.starts_with('_') && !word.ends_with('_');
        if is_setting && !found.iter().any(|known| known == word) {
            found.push(word.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Names;

    fn seen(status: u16, body: &str, verdict: Verdict, ahead: Option<i64>) -> Seen {
        Seen {
            destination: "loki".into(),
            url: "http://loki:3100/loki/api/v1/push".into(),
            names: Names::default(),
            facts: vec![("delivery", "effectively once".into())],
            newest: Some(Duration::from_secs(600)),
            confirms: true,
            outcome: Outcome::Answered { reply: Reply::new(status, body), verdict, ahead },
        }
    }

    /// The settings that it points to.
    fn points_to(status: u16, body: &str) -> Vec<String> {
        let verdict = Verdict::of_status(&Reply::new(status, body));
        let found = explain(&seen(status, body, verdict, None));
        assert_eq!(found.failed, Some(Step::Answer), "{found}");
        assert!(found.text.contains(&status.to_string()), "{found}");
        found.settings
    }

    #[test]
    fn each_status_points_to_its_setting() {
        assert_eq!(points_to(401, ""), ["LOGCHUTE_TOKEN", "LOGCHUTE_USER", "LOGCHUTE_PASSWORD"]);
        assert_eq!(points_to(401, "no org id"), ["LOGCHUTE_TENANT", "LOGCHUTE_HEADERS"]);
        assert_eq!(points_to(400, "cannot parse \"a\" as uint32"), ["LOGCHUTE_TENANT", "LOGCHUTE_HEADERS"]);
        assert_eq!(points_to(403, ""), ["LOGCHUTE_TOKEN", "LOGCHUTE_USER"]);
        assert_eq!(points_to(404, "404 page not found"), ["LOGCHUTE_URL"]);
        assert_eq!(points_to(405, ""), ["LOGCHUTE_URL"]);
        assert_eq!(points_to(407, ""), ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]);
        assert_eq!(points_to(400, "bad"), ["LOGCHUTE_URL"]);
        assert_eq!(points_to(413, ""), ["LOGCHUTE_BATCH_BYTES"]);
        assert_eq!(points_to(415, ""), ["LOGCHUTE_URL"]);
        assert_eq!(points_to(429, "slow down"), ["LOGCHUTE_FILTER"]);
        assert_eq!(points_to(429, "the limit of this tenant"), ["LOGCHUTE_FILTER"]);
        assert_eq!(points_to(404, "MAX_DEPTH of A_PROXY"), ["LOGCHUTE_URL"]);
        assert_eq!(points_to(200, "<html><title>Sign in</title>"), ["LOGCHUTE_URL"]);
        assert_eq!(points_to(503, ""), ["LOGCHUTE_URL"]);
        assert_eq!(points_to(307, ""), ["LOGCHUTE_URL"]);
    }

    #[test]
    fn a_store_that_confirms_nothing_is_not_said_to_have_taken_it() {
        let mut found = seen(200, "", Verdict::Ack, None);
        (found.url, found.confirms) = ("tcp://host:601".into(), false);
        let found = explain(&found);
        assert!(found.failed.is_none() && !found.confirmed && found.text.contains("confirms nothing"), "{found}");
        assert!(found.to_string().contains("sent: ") && !found.to_string().contains("well: "), "{found}");
    }

    #[test]
    fn what_is_well_points_to_nothing_but_may_have_a_note() {
        let found = explain(&seen(204, "", Verdict::Ack, Some(3)));
        assert_eq!((found.failed, found.settings.len(), found.remarks.len()), (None, 0, 0), "{found}");
        let warned = Verdict::AckWithLoss { rejected: 0, reason: "deprecated".into() };
        assert_eq!(explain(&seen(200, "", warned, None)).remarks, ["the store warns: deprecated"]);
        let lost = Verdict::AckWithLoss { rejected: 1, reason: "too old".into() };
        assert_eq!(explain(&seen(200, "", lost, None)).failed, Some(Step::Answer));
    }

    #[test]
    fn a_clock_that_is_off_is_told_and_is_a_fault_beyond_the_limit_of_the_store() {
        for ahead in [-7200, 90] {
            let found = explain(&seen(204, "", Verdict::Ack, Some(ahead)));
            assert!(found.failed.is_none() && found.remarks[0].contains("clock"), "{found}");
        }
        let found = explain(&seen(204, "", Verdict::Ack, Some(7200)));
        assert_eq!(found.failed, Some(Step::Answer));
        assert!(found.text.contains("600s ahead at most") && found.text.contains("7200s ahead of"), "{found}");
    }

    #[test]
    fn settings_are_found_in_a_text() {
        let text = "check LOGCHUTE_URL (LOGCHUTE_URL), HTTPS_PROXY, and the PEM file; X_ or _Y or A_B";
        assert_eq!(settings_in(text), ["LOGCHUTE_URL", "HTTPS_PROXY"]);
    }
}

//! What must hold of a verdict, whatever the store answered.

use std::time::Duration;

use super::{Backend, Payload, Reply, Verdict};

/// The longest wait that a store may ask for.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// What a reason may add to the words of the store, and a question to the names in it.
const OWN_WORDS: usize = 1024;

/// Checks what must hold of a backend's verdict on any reply, and returns the verdict: for a test that has many replies,
/// made at random or by a fuzzer.
///
/// - [`Backend::judge`] does not panic, and says the same the second time.
/// - To 413 it answers [`Verdict::Split`]; to 429 and 503, with which a store says that it is busy, anything but
///   [`Verdict::Reject`]; to 200 and 204 without a body [`Verdict::Ack`] or [`Verdict::Retry`]; and [`Verdict::Ack`] to
///   nothing but 2xx.
/// - [`Verdict::Items`] names at least one record, as otherwise all of them would count as stored, and no more than the
///   reply has bytes or a batch has records, whichever is more. (The places that it names may be any: the lane leaves out
///   those that the batch does not have.)
/// - No wait is longer than the one that the reply asked for, or a minute.
/// - A reason says something. All that a verdict holds in text is not much longer than what the store said, so that a
///   reply cannot fill the memory.
/// - The path of [`Verdict::Ask`] begins with `/` and is made of visible ASCII, whatever the store wants to be asked for.
///
/// # Panics
///
/// Where one of these does not hold, with the reply and the verdict.
///
/// # Examples
///
/// ```
/// use logchute::backend::{Ndjson, Reply, Verdict};
/// use logchute::testing::check_reply;
///
/// let verdict = check_reply(&Ndjson::new("http://localhost/logs"), &Reply::new(413, "too much"));
/// assert_eq!(verdict, Verdict::Split);
/// ```
#[track_caller]
pub fn check_reply(backend: &dyn Backend, reply: &Reply) -> Verdict {
    let verdict = backend.judge(reply);
    let wrong = |what: &str| -> ! {
        let (status, size) = (reply.status, reply.body.len());
        let said: String = reply.text().chars().take(200).collect();
        let verdict: String = format!("{verdict:?}").chars().take(500).collect();
        panic!("{what}: {verdict} to status {status} with {size} bytes, {said:?}");
    };
    if backend.judge(reply) != verdict {
        wrong("another verdict the second time, after");
    }
    let is_right = match (reply.status, &verdict) {
        (413, verdict) => *verdict == Verdict::Split,
        (429 | 503, Verdict::Reject(_)) => false,
        (200 | 204, verdict) if reply.body.is_empty() => matches!(verdict, Verdict::Ack | Verdict::Retry { .. }),
        (status, Verdict::Ack) => (200..300).contains(&status),
        _ => true,
    };
    if !is_right {
        wrong("the status does not allow it");
    }
    let (mut places, mut words) = (0, 0);
    let mut add = |reason: &str| {
        if reason.trim().is_empty() {
            wrong("a reason that says nothing");
        }
        words += reason.len();
    };
    match &verdict {
        Verdict::Items { retry, rejected, fallback } => {
            places = retry.len() + rejected.len() + fallback.len();
            rejected.iter().chain(fallback).for_each(|(_, reason)| add(reason));
            if places == 0 {
                wrong("no record is named");
            }
        }
        Verdict::AckWithLoss { reason, .. }
        | Verdict::TooFarBehind { reason, .. }
        | Verdict::StoppedAt { reason, .. }
        | Verdict::Reject(reason)
        | Verdict::Hold(reason) => add(reason),
        Verdict::Retry { after: Some(after) } if *after > reply.retry_after.unwrap_or(WAIT_MAX).max(WAIT_MAX) => {
            wrong("too long a wait");
        }
        Verdict::Ask(question) => {
            words += question.bytes().len();
            match question {
                Payload::Http { path: Some(path), .. } => {
                    words += path.len();
                    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
                        wrong("no path and query");
                    }
                }
                Payload::Http { .. } | Payload::Framed { .. } => {}
            }
        }
        _ => {}
    }
    // Each place is named by at least a byte, or stands for a record of which a reply that was cut says nothing.
    if places > reply.body.len().max(most(backend)) {
        wrong("more records than the reply can name");
    }
    // Bytes that are no text take three times their length as text.
    if words > 3 * reply.body.len() + OWN_WORDS * (places + 1) {
        wrong("more text than the reply explains");
    }
    verdict
}

/// How many records a batch may have; 0 where no limit is known.
fn most(backend: &dyn Backend) -> usize {
    match backend.facts().most_records() {
        usize::MAX => 0,
        most => most,
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::backend::{Batch, Facts};

    /// A backend that says this of every reply.
    struct Says(fn(&Reply) -> Verdict);

    impl Backend for Says {
        fn facts(&self) -> Facts {
            Facts::new("says").batch_records(10)
        }
        fn url(&self) -> &str {
            "http://localhost"
        }
        fn encode(&self, _: &Batch<'_>) -> Payload {
            Payload::post("text/plain", Vec::new())
        }
        fn judge(&self, reply: &Reply) -> Verdict {
            (self.0)(reply)
        }
    }

    fn passes(status: u16, body: &str, says: fn(&Reply) -> Verdict) -> bool {
        catch_unwind(AssertUnwindSafe(|| check_reply(&Says(says), &Reply::new(status, body)))).is_ok()
    }

    fn items(retry: Vec<usize>, rejected: Vec<(usize, String)>) -> Verdict {
        Verdict::Items { retry, rejected, fallback: Vec::new() }
    }

    #[test]
    fn a_verdict_that_the_reply_does_not_bear_out_is_found() {
        let body = "refused";
        assert!(passes(400, body, Verdict::of_status) && passes(204, "", Verdict::of_status));
        assert!(!passes(400, body, |_| panic!("it does not parse")));
        assert!(!passes(400, body, |_| Verdict::StoppedAt {
            at: fastrand::usize(..),
            reason: "it stopped".to_owned()
        }));
        assert!(!passes(413, body, |_| Verdict::Reject("too large".to_owned())));
        assert!(!passes(503, body, |_| Verdict::Reject("busy".to_owned())));
        assert!(!passes(409, body, |_| Verdict::Ack) && !passes(302, body, |_| Verdict::Ack));
        assert!(!passes(200, "", |_| Verdict::Hold("no body".to_owned())));
        assert!(!passes(400, body, |_| Verdict::Reject(" ".to_owned())));
        assert!(!passes(429, body, |_| Verdict::Retry { after: Some(Duration::from_secs(61)) }));
    }

    #[test]
    fn records_and_words_that_no_reply_of_this_size_can_name_are_found() {
        let body = "refused";
        assert!(passes(200, body, |_| items((0..10).collect(), Vec::new())));
        assert!(!passes(200, body, |_| items((0..11).collect(), Vec::new())));
        assert!(!passes(200, body, |_| items(Vec::new(), Vec::new())));
        assert!(passes(200, body, |reply| items(Vec::new(), vec![(usize::MAX, reply.text().into_owned())])));
        assert!(!passes(200, body, |reply| items(Vec::new(), vec![(0, reply.text().repeat(1000))])));
    }

    #[test]
    fn a_question_that_no_url_can_hold_is_found() {
        let ask = |reply: &Reply| Verdict::Ask(Payload::post("text/plain", Vec::new()).to(reply.text().into_owned()));
        assert!(passes(200, "/ack?channel=1", ask));
        assert!(!passes(200, "ack", ask) && !passes(200, "/ack?channel=1 2", ask) && !passes(200, "/ack\r\n", ask));
    }
}

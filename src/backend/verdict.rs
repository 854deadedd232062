//! What came back, and what it means for the batch.

use std::borrow::Cow;
use std::time::Duration;

use super::Payload;

/// What came back: the status, what the store asked for, and the beginning of the body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The wait that the store asked for, from 0 to 60 seconds.
    pub retry_after: Option<Duration>,
    /// The beginning of the body: 64 KiB, unless [`Facts::reply_bytes`](super::Facts::reply_bytes) says otherwise.
    pub body: Vec<u8>,
    /// How far this machine's clock is ahead of the store's, in seconds, where the store told the time.
    pub(crate) ahead: Option<i64>,
    /// Which of the credentials that were in use, one after the other, the request carried.
    pub(crate) credential: u64,
}

impl Reply {
    /// A reply, for tests of a backend.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, retry_after: None, body: body.into(), ahead: None, credential: 0 }
    }

    /// The body as text, with a replacement character where it is none.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// What a reply means for the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// All of it is stored.
    Ack,
    /// Done, but the store kept only part of it, and does not say which.
    AckWithLoss {
        /// How many records it refused.
        rejected: usize,
        /// Why.
        reason: String,
    },
    /// The store has newer records by now and refused some of these for that; all others are stored, and it does not say
    /// which.
    ///
    /// All go again at once in [`Mode::Replay`](super::Mode::Replay), as it is worse to lose some than to have others
    /// twice. Where they were in that mode already, or the backend declares no
    /// [`Facts::replays_after`](super::Facts::replays_after), this is [`AckWithLoss`](Self::AckWithLoss).
    TooFarBehind {
        /// How many records it says that it refused; there may be more.
        refused: usize,
        /// Why.
        reason: String,
    },
    /// The same again later: after `after` where the store asked for that.
    Retry {
        /// The wait that the store asked for; at most a minute is kept.
        after: Option<Duration>,
    },
    /// Each record for itself, by its place in the batch; all that are not named are stored.
    Items {
        /// Again later.
        retry: Vec<usize>,
        /// Refused for good, and why.
        rejected: Vec<(usize, String)>,
        /// Refused as they are, and why; again at once in [`Mode::Fallback`](super::Mode::Fallback), or in
        /// [`Mode::Replay`](super::Mode::Replay) where the backend declares
        /// [`Facts::replays_after`](super::Facts::replays_after). A record that is named here once more is rejected.
        fallback: Vec<(usize, String)>,
    },
    /// Not settled yet: the store answers later, to this request, whose reply is judged like the first one.
    ///
    /// It is asked after a quarter of a second, then at growing intervals of at most ten. [`Ack`](Self::Ack),
    /// [`AckWithLoss`](Self::AckWithLoss) and [`Items`](Self::Items) settle the batch; after any other verdict, and
    /// where the question got no answer, it is asked again; after five minutes the batch is sent again. Such batches do
    /// not count as requests in flight.
    Ask(Payload),
    /// The records before this one are stored; it and the rest are to be sent again.
    ResumeAfter(usize),
    /// The store went through the records one by one and stopped: those before `at` are stored, the one there is
    /// refused for good, and those behind it were not looked at and are sent again.
    ///
    /// A place beyond the batch proves nothing, and counts as [`Reject`](Self::Reject).
    StoppedAt {
        /// The place in the batch of the record at fault, from 0.
        at: usize,
        /// Why it is refused.
        reason: String,
    },
    /// Too large: in halves. A single record for which this is the answer is rejected.
    Split,
    /// Something in it is refused: halved until the record at fault is found, which is then rejected.
    Reject(String),
    /// The credential is not valid (any more): read it again.
    Refresh,
    /// The configuration is wrong: all is kept, the store is asked rarely, and the user is told.
    Hold(String),
}

impl Verdict {
    /// What the status alone says.
    ///
    /// | status | verdict |
    /// |---|---|
    /// | 2xx | [`Ack`](Self::Ack) |
    /// | 408, 425, 429, 5xx | [`Retry`](Self::Retry) |
    /// | 413 | [`Split`](Self::Split) |
    /// | 401 | [`Refresh`](Self::Refresh) |
    /// | 403, 404, 405, 407, 415, 3xx, 1xx | [`Hold`](Self::Hold) |
    /// | other 4xx | [`Reject`](Self::Reject) |
    ///
    /// But for two things that no store for logs says of a record: a success with a web page as its body, and a 400 whose
    /// text says that there is no such path (OpenSearch, VictoriaLogs) or that TLS is spoken at this port. Both are
    /// [`Hold`](Self::Hold): whatever is sent there would be lost.
    #[must_use]
    pub fn of_status(reply: &Reply) -> Self {
        let said = || {
            let text = reply.text();
            let text: String = text.trim().chars().take(300).collect();
            if text.is_empty() {
                format!("status {}", reply.status)
            } else {
                format!("status {}: {text}", reply.status)
            }
        };
        match reply.status {
            200..=299 if is_web_page(&reply.body) => {
                Self::Hold(format!("status {}, but with a web page: no log store is at this URL", reply.status))
            }
            200..=299 => Self::Ack,
            400 if is_no_path(&reply.text()) || wants_tls(&reply.text()) => Self::Hold(said()),
            408 | 425 | 429 | 500..=599 => Self::Retry { after: reply.retry_after },
            413 => Self::Split,
            401 => Self::Refresh,
            403 | 404 | 405 | 407 | 415 => Self::Hold(said()),
            400..=499 => Self::Reject(said()),
            _ => Self::Hold(said()),
        }
    }
}

/// Whether this is HTML: what a web server shows to a browser.
fn is_web_page(body: &[u8]) -> bool {
    let begin = body.trim_ascii_start();
    let begins = |with: &str| begin.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with.as_bytes()));
    begins("<!doctype html") || begins("<html")
}

/// Whether a 400 is about the path: the words of VictoriaLogs, and of OpenSearch and Elasticsearch.
pub(crate) fn is_no_path(text: &str) -> bool {
    text.contains("unsupported path requested") || text.contains("no handler found for uri")
}

/// Whether a 400 says that TLS is spoken at this port: the words of Go's servers, nginx and Apache.
pub(crate) fn wants_tls(text: &str) -> bool {
    ["HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port", "speaking plain HTTP to an SSL"]
        .iter()
        .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_store_says_of_a_record_is_held() {
        let holds = |status, body: &str| matches!(Verdict::of_status(&Reply::new(status, body)), Verdict::Hold(_));
        assert!(holds(200, "\n<!DOCTYPE html><title>Login</title>") && holds(200, "<HTML>"));
        assert!(!holds(200, "") && !holds(200, "{}") && !holds(200, "<ok/>"));
        assert!(holds(400, "Client sent an HTTP request to an HTTPS server.\n"));
        assert!(holds(400, "<center>The plain HTTP request was sent to HTTPS port</center>"));
        assert!(holds(400, r#"{"error":"no handler found for uri [/v1/logs] and method [POST]"}"#));
        assert!(holds(400, "unsupported path requested: \"/\"") && !holds(400, "timestamp too old"));
    }
}

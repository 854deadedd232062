//! One attempt with a payload, over by its deadline whatever happens.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Request, Response, Url};

use super::super::failure::{self, Failure, FailureKind, Phase, Place};
use super::super::limits::{PATIENCE, deadline};
use super::super::resolve::{Hung, Way};
use super::super::{mask, retry_after};
use super::sheet::{Sheet, elsewhere, header};
use super::upload::{CONNECTING, SENDING, Shared};
use crate::backend::{Payload, Reply};

pub(in crate::wire) struct Attempt {
    pub(in crate::wire) http: reqwest::Client,
    pub(in crate::wire) method: Method,
    pub(in crate::wire) url: Url,
    pub(in crate::wire) shown: Arc<str>,
    pub(in crate::wire) https: bool,
    /// The setting that gave the URL.
    pub(in crate::wire) named: &'static str,
    pub(in crate::wire) gzip: bool,
    pub(in crate::wire) reply_bytes: usize,
    pub(in crate::wire) hung: Arc<Hung>,
    pub(in crate::wire) headers: HeaderMap,
}

impl Attempt {
    pub(in crate::wire) async fn run(self, payload: Payload, timeout: Duration) -> Result<Reply, Failure> {
        let host = self.url.host_str().unwrap_or_default();
        let place = Place { url: &self.shown, host, https: self.https, named: self.named };
        let Payload::Http { path, content_type, content_encoding, body } = payload else {
            let text = format!("{} is spoken to by HTTP, but its backend made frames for a connection", self.shown);
            return Err(Failure { kind: FailureKind::Other, text });
        };
        let is_get = self.method == Method::GET;
        let url = path.map_or_else(|| self.url.clone(), |path| elsewhere(&self.url, &path));
        let mut headers = self.headers.clone();
        if !is_get {
            headers.insert(CONTENT_TYPE, header(content_type));
        }
        let (sheet, held) = Sheet::new(url, headers, content_encoding, body, self.gzip);
        let way = Arc::default();
        let deadline = deadline(timeout);

        let answer = std::pin::pin!(tokio::time::timeout_at(deadline, self.execute(&sheet, &way)));
        let mut response = match answer.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure::of(&error, place)),
            Err(_) => {
                let phase = match held.phase() {
                    CONNECTING if way.is_resolving() => Phase::Resolving,
                    // Of a request without a body nobody tells when it is sent.
                    CONNECTING if is_get => Phase::Unknown,
                    CONNECTING => {
                        way.hung(&self.hung);
                        Phase::Connecting
                    }
                    SENDING => Phase::Sending,
                    _ => Phase::Waiting,
                };
                return Err(failure::late(place, phase, timeout));
            }
        };

        let status = response.status().as_u16();
        let now = SystemTime::now();
        let (retry_after, ahead) =
            (retry_after::read(response.headers(), now), retry_after::ahead(response.headers(), now));
        let mut body = Vec::new();
        let broken = match tokio::time::timeout_at(deadline, read(&mut response, &mut body, self.reply_bytes)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(failure::of(&error, place)),
            Err(_) => Some(failure::late(place, Phase::Reading(status), timeout)),
        };
        mask::mask(&mut body, &self.headers, &self.url);
        match broken {
            // The body may hold what became of each record, so without it nothing is known to be stored. A refusal
            // stands by its status alone, and so does the wait that it asks for.
            Some(failure) if (200..300).contains(&status) => Err(failure),
            _ => {
                let mut reply = Reply::new(status, body);
                (reply.retry_after, reply.ahead) = (retry_after, ahead);
                Ok(reply)
            }
        }
    }

    /// Of the addresses of one family the client leaves one only when it refuses. From one that does not answer we go
    /// on to the next; nothing of the request has been written by then.
    async fn execute(&self, sheet: &Sheet, way: &Arc<Way>) -> Result<Response, reqwest::Error> {
        if self.method == Method::GET {
            return way.lead(self.http.execute(self.request(sheet))).await;
        }
        let mut patience = PATIENCE;
        loop {
            let answer = std::pin::pin!(way.lead(self.http.execute(self.request(sheet))));
            let stuck = std::pin::pin!(stuck(&sheet.shared, way, patience));
            match select(answer, stuck).await {
                Either::Left((answer, _)) => return answer,
                Either::Right(_) => way.hung(&self.hung),
            }
            // So that a handshake that is merely slow comes to its end as well.
            patience *= 2;
        }
    }

    fn request(&self, sheet: &Sheet) -> Request {
        let mut request = Request::new(self.method.clone(), sheet.url.clone());
        request.headers_mut().clone_from(&sheet.headers);
        *request.body_mut() = Some(reqwest::Body::wrap(sheet.upload()));
        request
    }
}

/// Until a connection has had enough time, and there is an address to try instead.
async fn stuck(shared: &Shared, way: &Way, patience: Duration) {
    while shared.is_connecting() {
        let now = tokio::time::Instant::now();
        match way.patient_until(patience) {
            Some(until) if until <= now => return,
            Some(until) => tokio::time::sleep_until(until).await,
            // The name may still be resolved.
            None => tokio::time::sleep(patience / 8).await,
        }
    }
    std::future::pending().await
}

/// Reads to the end, so that the connection can be used again, or to the limit, after which it is closed.
async fn read(response: &mut Response, body: &mut Vec<u8>, most: usize) -> Result<(), reqwest::Error> {
    while body.len() < most
        && let Some(chunk) = response.chunk().await?
    {
        let room = most - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(())
}

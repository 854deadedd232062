//! The client of one destination, and one attempt with it.

use std::fmt;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body::{Frame, SizeHint};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, Response, Url};

use super::auth::Auth;
use super::failure::{self, Failure, FailureKind, Phase, Place};
use super::resolve::{Hung, Resolver, Way};
use super::{Names, Options};
use super::{mask, retry_after, url};
use crate::backend::{Payload, Reply};
use crate::config::Compression;
use crate::error::Error;

/// A kept connection may be closed by whatever stands between, and the shortest usual limit is a minute.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// How long an address that swallows packets is waited for, if the name has others. The client knows no such limit that is
/// not one on names and handshakes as well, and the system's own is two minutes. One lost packet is sent again by then.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// So that a batch never holds up draining for long: a MiB of NDJSON takes about a millisecond, and a tenth of its size remains.
const GZIP_LEVEL: u32 = 1;

/// Speaks to one store. Its connections belong to the runtime on which its attempts were polled.
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    shown: Arc<str>,
    https: bool,
    gzip: bool,
    reply_bytes: usize,
    auth: Mutex<Auth>,
    names: Names,
    hung: Arc<Hung>,
}

impl Client {
    /// Checks everything that can be checked without the network, and reads the files.
    pub(crate) fn new(options: Options) -> Result<Self, Error> {
        let names = options.names.clone();
        Self::checked(options).map_err(|why| names.tell(why))
    }

    fn checked(options: Options) -> Result<Self, Error> {
        let target = url::check(&options.url)?;
        if let Some(what) = options.exposed(&target) {
            let must = format!(
                "https, because {what} is sent with each request; plain http shows it to the network, which allow_http \
                 (LOGCHUTE_ALLOW_HTTP) permits"
            );
            return Err(Error::setting("url", target.shown, must));
        }
        let builder = tls(reqwest::Client::builder(), &options, target.https)?;
        let shown = options.shown();
        let names = options.names.clone();
        let auth = Auth::new(options.credentials, options.names, shown, Instant::now())?;
        let resolver = Resolver::default();
        let hung = Arc::clone(&resolver.hung);
        let mut builder = builder
            .user_agent(concat!("logchute/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            // A redirect would take records and token wherever the answer says; it is a reply like any other.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Cargo unifies features: when the application turns these on for its own client, ours has them too.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .retry(reqwest::retry::never())
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .dns_resolver(Arc::new(resolver));
        if target.loopback {
            // No proxy can reach this machine's loopback for us, and a credential for it must not go to one.
            builder = builder.no_proxy();
        }
        let http = build(builder).map_err(|why| {
            let must = format!("one that the HTTP client can be set up for ({why})");
            Error::setting("url", &target.shown, must)
        })?;
        Ok(Self {
            http,
            url: target.url,
            shown: target.shown.into(),
            https: target.https,
            gzip: options.compression == Compression::Gzip && options.takes_gzip,
            reply_bytes: options.reply_bytes,
            auth: Mutex::new(auth),
            names,
            hung,
        })
    }

    /// One attempt, over after `timeout` whatever happens: name, connection, handshake, request and reply share it.
    ///
    /// Nothing runs before the future is polled, on a Tokio runtime. Dropping the future closes the connection.
    pub(crate) fn send(
        &self,
        payload: Payload,
        timeout: Duration,
    ) -> impl Future<Output = Result<Reply, Failure>> + use<> {
        let headers = self.auth().ready(Instant::now()).clone();
        let attempt = Attempt {
            http: self.http.clone(),
            url: self.url.clone(),
            shown: Arc::clone(&self.shown),
            https: self.https,
            gzip: self.gzip,
            reply_bytes: self.reply_bytes,
            hung: Arc::clone(&self.hung),
            headers,
        };
        attempt.run(payload, timeout)
    }

    /// Reads credential files again, and says whether that gave another credential.
    pub(crate) fn refresh(&self) -> bool {
        self.auth().refresh()
    }

    /// Why a credential file could not be read the last time; the credential before it is still in use.
    pub(crate) fn complaint(&self) -> Option<String> {
        self.auth().complaint().map(str::to_owned)
    }

    /// Where payloads go, as it may be printed: without the values of the query.
    pub(crate) fn url(&self) -> &str {
        &self.shown
    }

    /// What the user calls the settings.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    fn auth(&self) -> MutexGuard<'_, Auth> {
        self.auth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.shown).finish_non_exhaustive()
    }
}

#[cfg(feature = "tls")]
fn tls(builder: reqwest::ClientBuilder, options: &Options, https: bool) -> Result<reqwest::ClientBuilder, Error> {
    let files =
        super::tls::Files { ca: options.ca.as_deref(), cert: options.cert.as_deref(), key: options.key.as_deref() };
    // Also where the URL is plain http: without it the client would look for the process's own provider, and panic.
    Ok(builder.tls_backend_preconfigured(super::tls::config(files, https)?))
}

#[cfg(not(feature = "tls"))]
fn tls(builder: reqwest::ClientBuilder, options: &Options, https: bool) -> Result<reqwest::ClientBuilder, Error> {
    no_tls(options, https)?;
    Ok(builder)
}

/// Refuses what needs TLS.
#[cfg(not(feature = "tls"))]
pub(super) fn no_tls(options: &Options, wanted: bool) -> Result<(), Error> {
    for (name, path) in [("ca", &options.ca), ("cert", &options.cert), ("key", &options.key)] {
        if let Some(path) = path {
            return Err(Error::setting(
                name,
                path.display(),
                "unset, because logchute was built without its feature `tls`",
            ));
        }
    }
    if wanted {
        return Err(Error::setting(
            "url",
            url::masked(&options.url),
            "one without TLS, because logchute was built without its feature `tls`",
        ));
    }
    Ok(())
}

/// Builds the client.
fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    // Built without `tls` we cannot say which provider to use, and where the application's features brought rustls in
    // without one, the client panics. An application must not die of that.
    let build = std::panic::AssertUnwindSafe(|| builder.build());
    match std::panic::catch_unwind(build) {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(why)) => Err(why.without_url().to_string()),
        Err(_) => Err("it panicked: is a TLS provider missing?".into()),
    }
}

struct Attempt {
    http: reqwest::Client,
    url: Url,
    shown: Arc<str>,
    https: bool,
    gzip: bool,
    reply_bytes: usize,
    hung: Arc<Hung>,
    headers: HeaderMap,
}

impl Attempt {
    async fn run(self, payload: Payload, timeout: Duration) -> Result<Reply, Failure> {
        let place = Place { url: &self.shown, host: self.url.host_str().unwrap_or_default(), https: self.https };
        let Payload::Http { path, content_type, content_encoding, body } = payload else {
            let text = format!("{} is spoken to by HTTP, but its backend made frames for a connection", self.shown);
            return Err(Failure { kind: FailureKind::Other, text });
        };
        let url = path.map_or_else(|| self.url.clone(), |path| elsewhere(&self.url, &path));
        let (sheet, held) = self.sheet(url, content_type, content_encoding, body);
        let way = Arc::default();
        let deadline = deadline(timeout);

        let answer = std::pin::pin!(tokio::time::timeout_at(deadline, self.execute(&sheet, &way)));
        let mut response = match answer.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure::of(&error, place)),
            Err(_) => {
                let phase = match held.0.phase.load(Ordering::Relaxed) {
                    CONNECTING if way.is_resolving() => Phase::Resolving,
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
        let mut request = Request::new(Method::POST, sheet.url.clone());
        request.headers_mut().clone_from(&sheet.headers);
        let upload = Upload { shared: Arc::clone(&sheet.shared), length: sheet.length, sent: 0 };
        *request.body_mut() = Some(reqwest::Body::wrap(upload));
        request
    }

    fn sheet(
        &self,
        url: Url,
        content_type: &'static str,
        content_encoding: Option<&'static str>,
        body: Vec<u8>,
    ) -> (Sheet, Held) {
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, header(content_type));
        let (body, content_encoding) = match content_encoding {
            None if self.gzip => match gzip(&body) {
                Ok(packed) => (packed, Some("gzip")),
                Err(_) => (body, None),
            },
            already => (body, already),
        };
        if let Some(encoding) = content_encoding {
            headers.insert(CONTENT_ENCODING, header(encoding));
        }
        let length = body.len();
        let shared = Arc::new(Shared { phase: AtomicU8::new(CONNECTING), body: Mutex::new(body) });
        (Sheet { url, headers, length, shared: Arc::clone(&shared) }, Held(shared))
    }
}

/// A limit beyond what the clock can hold is no limit.
pub(super) fn deadline(timeout: Duration) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600))
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

/// What each request of an attempt is made from.
struct Sheet {
    url: Url,
    headers: HeaderMap,
    length: usize,
    shared: Arc<Shared>,
}

/// The same host, another path and query.
fn elsewhere(url: &Url, path_and_query: &str) -> Url {
    let (path, query) =
        path_and_query.split_once('?').map_or((path_and_query, None), |(path, query)| (path, Some(query)));
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(query);
    url
}

/// A backend's constant. One that is no header value is a mistake in that backend, which its store then tells us.
fn header(value: &'static str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

/// The same bytes each time: the header holds no time.
fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let packed = Vec::with_capacity(body.len() / 4 + 64);
    let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(body)?;
    encoder.finish()
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

const CONNECTING: u8 = 0;
const SENDING: u8 = 1;
const WAITING: u8 = 2;

/// What an attempt and its connection share.
struct Shared {
    /// How far the request came. The client itself does not say, and "timed out" alone helps nobody.
    phase: AtomicU8,
    body: Mutex<Vec<u8>>,
}

impl Shared {
    fn reached(&self, phase: u8) {
        self.phase.fetch_max(phase, Ordering::Relaxed);
    }

    fn is_connecting(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == CONNECTING
    }

    fn body(&self) -> MutexGuard<'_, Vec<u8>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the attempt: when it is over, so is the body, whatever the connection still does.
struct Held(Arc<Shared>);

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.body() = Vec::new();
    }
}

/// The body as the connection takes it, piece by piece.
///
/// hyper sends what it has buffered before it closes a connection, also when nobody waits for the answer any more. A
/// store that stops reading would so keep each body of each attempt in memory. Pieces are copies for that reason: the
/// rest can be taken back, and what a connection keeps is bounded by [`PIECE`]. The copy is lost in the noise beside
/// what the system does with the same bytes (loopback takes 1.4 GiB a second with pieces of 8 KiB and of a MiB).
struct Upload {
    shared: Arc<Shared>,
    length: usize,
    sent: usize,
}

/// Large enough for few allocations. hyper holds at most 16 of them, and writes those with one system call.
const PIECE: usize = 8 * 1024;

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        // Asked for by the connection, so there is one.
        self.shared.reached(SENDING);
        if self.sent == self.length {
            return Poll::Ready(None);
        }
        let end = self.length.min(self.sent + PIECE);
        let Some(piece) = self.shared.body().get(self.sent..end).map(<[u8]>::to_vec) else {
            return Poll::Ready(Some(Err(io::Error::other("the attempt is over"))));
        };
        self.sent = end;
        let piece = if end == self.length {
            Bytes::from_owner(Last { piece, shared: Arc::clone(&self.shared) })
        } else {
            Bytes::from(piece)
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        // False for an empty body, which would else go out without its length.
        self.length > 0 && self.sent == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.length - self.sent) as u64)
    }
}

/// The last piece. The connection drops it when the system has taken its last byte.
struct Last {
    piece: Vec<u8>,
    shared: Arc<Shared>,
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        self.shared.reached(WAITING);
    }
}

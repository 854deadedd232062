//! Payloads on connections that are kept: `tcp://host:port` and `tls://host:port`.
//!
//! Promised as for HTTP: one deadline over name, connection, TLS, handshake, payload and ack; what a store says is
//! bounded; credentials go to the configured host alone, and over plain tcp to another machine only where the user
//! allows it; a failure says what to change.
//!
//! - One payload is under way on a connection at a time, so there are at most as many connections as payloads in flight.
//! - A connection is kept for 30 seconds after its last payload. Before it is used again it is looked at: one that the
//!   store has closed is replaced. It goes with the runtime on which it was opened.
//! - A payload without an ack counts as taken when the system has taken all of it and the store, as far as can be
//!   seen at that moment, has not left. What it had not read when it left is lost: there is nothing by which to tell.
//! - A store that closes three connections in a row during the handshake is taken to refuse the login: some say no more.
//! - No proxy is used; the variables for them are about HTTP.
//!
//! What the words on a connection mean says the backend: [`Speech`].

mod connection;
mod keys;
mod pool;
mod reach;
mod told;

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::connection::{Broken, Connection};
use self::keys::Keys;
use self::pool::Pool;
use self::reach::Reach;
use self::told::Phase;
use super::auth::Auth;
use super::failure::{Failure, FailureKind};
use super::limits::deadline;
use super::{Names, Options, mask, url};
use crate::backend::{Heard, Login, Payload, Reply, Speech, TokenAs};
use crate::contain::contained;
use crate::error::Error;

/// So many connections in a row that end during the handshake mean that the login is refused.
const SILENT_REFUSALS: u32 = 3;

/// How long a store that confirms nothing is given to close a new connection over its first payload, as one does that
/// speaks TLS or another protocol: seen after the way there and back. Otherwise all that it throws away would count as
/// delivered. At most a quarter of the attempt's limit.
const OBJECTS_WITHIN: Duration = Duration::from_millis(250);

/// Speaks to one store on connections.
pub(crate) struct Client {
    link: Arc<Link>,
    auth: Mutex<Auth<Keys>>,
    names: Names,
}

/// What attempts share.
struct Link {
    shown: Arc<str>,
    reach: Reach,
    pool: Arc<Pool>,
    /// Connections in a row that the store closed during the handshake.
    ended: AtomicU32,
}

impl Client {
    /// Checks everything that can be checked without the network, and reads the files.
    pub(super) fn new(options: Options) -> Result<Self, Error> {
        let target = url::check(&options.url)?;
        let Some(port) = target.stream else {
            return Err(Error::setting("url", target.shown, "a tcp or tls URL"));
        };
        keys::check(&options.credentials, options.token_as == TokenAs::Speech)?;
        if let Some(what) = options.exposed(&target) {
            let must = format!(
                "tls, because {what} is proven on each connection; over plain tcp the network sees the proof, from which a \
                 weak one can be guessed, and every record; allow_http (LOGCHUTE_ALLOW_HTTP) permits that"
            );
            return Err(Error::setting("url", target.shown, must));
        }
        let shown: Arc<str> = target.shown.into();
        let reach = Reach::new(&options, target.url.host_str().unwrap_or_default(), port, target.https)?;
        let names = options.names.clone();
        let auth = Auth::shown_by(Keys::read, options.credentials, options.names, Instant::now())?;
        let link = Link { shown, reach, pool: Arc::default(), ended: AtomicU32::new(0) };
        Ok(Self { link: Arc::new(link), auth: Mutex::new(auth), names })
    }

    /// One attempt, over after `timeout` whatever happens.
    pub(crate) fn send(
        &self,
        payload: Payload,
        timeout: Duration,
        speech: &dyn Fn(&Login<'_>) -> Box<dyn Speech>,
    ) -> impl Future<Output = Result<Reply, Failure>> + use<> {
        let (keys, number) = {
            let mut auth = self.auth();
            let (keys, number) = auth.ready(Instant::now());
            (keys.clone(), number)
        };
        // The backend may be the user's code.
        let speech = contained(|| speech(&keys.login()));
        let attempt = Attempt { link: Arc::clone(&self.link), keys, phase: Cell::new(Phase::Looking) };
        async move {
            let mut reply = attempt.run(payload, timeout, speech).await?;
            reply.credential = number;
            Ok(reply)
        }
    }

    /// Whether there is another credential than the one of that number, which the store refused.
    pub(crate) fn refresh(&self, refused: u64) -> bool {
        self.auth().replace(refused)
    }

    /// Why a credential file could not be read the last time; the credential before it is still in use.
    pub(crate) fn complaint(&self) -> Option<String> {
        self.auth().complaint().map(str::to_owned)
    }

    /// Where payloads go.
    pub(crate) fn url(&self) -> &str {
        &self.link.shown
    }

    /// What the user calls the settings.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    fn auth(&self) -> MutexGuard<'_, Auth<Keys>> {
        self.auth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connection was found to be.
enum End {
    Reply(Reply),
    Failure(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

struct Attempt {
    link: Arc<Link>,
    keys: Keys,
    phase: Cell<Phase>,
}

impl Attempt {
    async fn run(
        self,
        payload: Payload,
        timeout: Duration,
        speech: Result<Box<dyn Speech>, String>,
    ) -> Result<Reply, Failure> {
        let shown = &*self.link.shown;
        let Payload::Framed { bytes, ack } = payload else {
            let text = format!("{shown} is spoken to on a connection, but its backend made an HTTP request");
            return Err(Failure { kind: FailureKind::Other, text });
        };
        let speech = speech.map_err(|message| told::panicked(shown, &message))?;
        let patience = OBJECTS_WITHIN.min(timeout / 4);
        match tokio::time::timeout_at(deadline(timeout), self.deliver(&bytes, ack.as_deref(), speech, patience)).await {
            Ok(Ok(reply) | Err(End::Reply(reply))) => Ok(reply),
            Ok(Err(End::Failure(failure))) => Err(failure),
            Err(_) => {
                if let Phase::Connecting(address) = self.phase.get() {
                    self.link.reach.hung(address);
                }
                Err(told::late(shown, self.phase.get(), timeout))
            }
        }
    }

    async fn deliver(
        &self,
        bytes: &[u8],
        ack: Option<&str>,
        speech: Box<dyn Speech>,
        patience: Duration,
    ) -> Result<Reply, End> {
        let kept = self.link.pool.take().await;
        let is_new = kept.is_none();
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.open(speech).await?,
        };
        self.phase.set(Phase::Sending);
        connection.begin();
        if let Err(broken) = connection.write(bytes).await {
            // Why it left it may have said before.
            return Err(match connection.last_words().await {
                Some(Heard::Refused(why)) => self.refused(&why),
                _ => told::broken(&self.link.shown, Phase::Sending, &broken).into(),
            });
        }
        self.phase.set(Phase::Waiting);
        match ack {
            Some(ack) => self.acked(&mut connection, ack).await?,
            None => {
                let objection = if is_new { connection.objection(patience).await } else { Ok(()) };
                let well = match objection {
                    Ok(()) => connection.still_there().await,
                    objection => objection,
                };
                well.map_err(|broken| match broken {
                    Broken::Heard(Heard::Refused(why)) => self.refused(&why),
                    broken => told::broken(&self.link.shown, Phase::Left, &broken).into(),
                })?;
            }
        }
        self.link.pool.keep(connection);
        Ok(Reply::new(200, []))
    }

    /// A new connection, on which payloads may follow.
    async fn open(&self, speech: Box<dyn Speech>) -> Result<Connection, End> {
        let shown = &self.link.shown;
        let trying = |address: Option<IpAddr>| {
            self.phase.set(address.map_or(Phase::Resolving, Phase::Connecting));
        };
        let stream = self.link.reach.connect(trying, shown).await?;
        self.phase.set(Phase::Securing);
        let socket = self.link.reach.secure(stream).await.map_err(|why| told::insecure(shown, &why))?;
        self.phase.set(Phase::Greeting);
        let mut connection = Connection::new(socket, speech);
        match connection.hear(true).await {
            Ok(Heard::Ready) => {
                self.link.ended.store(0, Ordering::Relaxed);
                Ok(connection)
            }
            Ok(Heard::Refused(why)) => Err(self.refused(&why)),
            Ok(heard) => Err(told::broken(shown, Phase::Greeting, &Broken::Heard(heard)).into()),
            Err(broken) => {
                let is_end = matches!(broken, Broken::Closed | Broken::Io(_));
                if is_end && self.link.ended.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT_REFUSALS {
                    return Err(self.refused(
                        "it closes each connection during the handshake, as some stores do when the key is wrong; check \
                         LOGCHUTE_TOKEN, LOGCHUTE_USER and LOGCHUTE_PASSWORD, and the store's own log",
                    ));
                }
                Err(told::broken(shown, Phase::Greeting, &broken).into())
            }
        }
    }

    /// Waits until the store names the payload.
    async fn acked(&self, connection: &mut Connection, ack: &str) -> Result<(), End> {
        loop {
            match connection.hear(false).await {
                Ok(Heard::Acked(name)) if name == ack => return Ok(()),
                Ok(Heard::Refused(why)) => return Err(self.refused(&why)),
                Ok(Heard::Ready | Heard::More) => {}
                Ok(heard) => return Err(told::broken(&self.link.shown, Phase::Waiting, &Broken::Heard(heard)).into()),
                Err(broken) => return Err(told::broken(&self.link.shown, Phase::Waiting, &broken).into()),
            }
        }
    }

    fn refused(&self, why: &str) -> End {
        let mut body = why.as_bytes().to_vec();
        mask::mask_all(&mut body, self.keys.secrets());
        End::Reply(Reply::new(401, body))
    }
}

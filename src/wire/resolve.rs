//! Host names to addresses, by the system's resolver.
//!
//! The HTTP client would do the same by itself. Done here, a failure is known to be one of the resolver, a
//! timeout can say that it was the name that took so long, a name cannot lead to the metadata service, and an address
//! that swallowed a connection is tried after the others.
//!
//! Nothing is remembered of an answer: each new connection asks again, so that a store may move.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;
use tokio::time::Instant;

#[cfg(not(test))]
use self::system as lookup;
#[cfg(test)]
use super::testing::lookup;
use super::url::{serves_metadata_v4, serves_metadata_v6};
use crate::mute;

/// One that hangs does not keep the next from starting.
const THREADS: usize = 2;

/// Resolves on threads of its own, which end when there is nothing to resolve: the system's resolver may hang for half a
/// minute. The runtime's blocking threads would do, but for a system that refuses a thread: there the runtime panics.
#[derive(Default)]
pub(super) struct Resolver {
    pub(super) hung: Arc<Hung>,
    desk: Arc<Mutex<Desk>>,
}

#[derive(Default)]
struct Desk {
    questions: VecDeque<Question>,
    threads: usize,
}

/// A name, and who waits for its addresses. While the resolver hangs, each attempt asks anew; questions for whose answer
/// nobody waits any more are passed over.
struct Question {
    host: String,
    answer: oneshot::Sender<io::Result<Vec<SocketAddr>>>,
}

impl Resolver {
    /// The addresses of a host; those that swallowed a connection come last.
    pub(super) fn addresses(
        &self,
        host: String,
    ) -> impl Future<Output = Result<Vec<SocketAddr>, Unresolved>> + Send + use<> {
        let answer = ask(&self.desk, &host);
        let hung = Arc::clone(&self.hung);
        async move {
            let found = answer.await.unwrap_or_else(|_| Err(no_answer())).and_then(|mut addresses| {
                addresses.retain(allowed);
                if addresses.is_empty() { Err(only_metadata()) } else { Ok(addresses) }
            });
            let mut addresses = found.map_err(|why| Unresolved { host, why })?;
            hung.put_last(&mut addresses);
            Ok(addresses)
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let way = WAY.try_with(Arc::clone).unwrap_or_default();
        let found = self.addresses(name.as_str().to_owned());
        let busy = Busy::new(way);
        Box::pin(async move {
            let addresses = found.await?;
            busy.0.answered(&addresses);
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn ask(desk: &Arc<Mutex<Desk>>, host: &str) -> oneshot::Receiver<io::Result<Vec<SocketAddr>>> {
    let (answer, receiver) = oneshot::channel();
    let mut at = lock(desk);
    at.questions.retain(|question| !question.answer.is_closed());
    at.questions.push_back(Question { host: host.to_owned(), answer });
    if at.threads < THREADS {
        let shared = Arc::clone(desk);
        match thread::Builder::new().name("logchute-dns".into()).spawn(move || answer_all(&shared)) {
            Ok(_) => at.threads += 1,
            // Where there is a thread already, that one comes to it.
            Err(_) if at.threads > 0 => {}
            Err(why) => {
                if let Some(question) = at.questions.pop_back() {
                    let _ = question.answer.send(Err(why));
                }
            }
        }
    }
    receiver
}

/// Until there are no questions left.
fn answer_all(desk: &Mutex<Desk>) {
    // What the resolver logs, if it is one that logs, is ours: each send would cause the next.
    mute::this_thread();
    loop {
        let question = {
            let mut at = lock(desk);
            let Some(question) = at.questions.pop_front() else {
                at.threads -= 1;
                return;
            };
            question
        };
        if !question.answer.is_closed() {
            let _ = question.answer.send(lookup(&question.host));
        }
    }
}

pub(super) fn system(host: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((host, 0).to_socket_addrs()?.collect())
}

fn no_answer() -> io::Error {
    io::Error::other("the resolver gave no answer")
}

fn only_metadata() -> io::Error {
    io::Error::other("no address but those of a metadata service")
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn allowed(address: &SocketAddr) -> bool {
    match address.ip().to_canonical() {
        std::net::IpAddr::V4(v4) => !serves_metadata_v4(v4),
        std::net::IpAddr::V6(v6) => !serves_metadata_v6(v6),
    }
}

/// The resolver's answer, known by its type in the chain of causes.
#[derive(Debug)]
pub(super) struct Unresolved {
    /// That of the store, or of the proxy before it.
    pub(super) host: String,
    why: io::Error,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl std::error::Error for Unresolved {}

tokio::task_local! {
    /// Of the attempt that polls the client. What the client connects for an attempt, it connects as part of it.
    static WAY: Arc<Way>;
}

/// What one attempt knows of its way to an address. Several go at once through one resolver.
#[derive(Default)]
pub(super) struct Way {
    resolving: AtomicUsize,
    first: Mutex<Option<First>>,
}

/// The addresses that the client tries first, one of each family, where that family has another.
struct First {
    since: Instant,
    addresses: Vec<IpAddr>,
}

impl Way {
    /// Runs what resolves names for this attempt.
    pub(super) async fn lead<F: Future>(self: &Arc<Self>, client: F) -> F::Output {
        WAY.scope(Arc::clone(self), client).await
    }

    pub(super) fn is_resolving(&self) -> bool {
        self.resolving.load(Ordering::Relaxed) > 0
    }

    /// When a connection that does not stand has had enough time, if there is an address to try instead. While names
    /// are resolved that is not known.
    pub(super) fn patient_until(&self, patience: Duration) -> Option<Instant> {
        if self.is_resolving() {
            return None;
        }
        lock(&self.first).as_ref().map(|first| first.since + patience)
    }

    /// No connection came about: the next one is tried elsewhere.
    pub(super) fn hung(&self, hung: &Hung) {
        for address in lock(&self.first).take().into_iter().flat_map(|first| first.addresses) {
            hung.add(address);
        }
    }

    fn answered(&self, addresses: &[SocketAddr]) {
        let first = |v6| {
            let mut family = addresses.iter().map(SocketAddr::ip).filter(|ip| ip.is_ipv6() == v6);
            let first = family.next()?;
            family.any(|other| other != first).then_some(first)
        };
        let addresses: Vec<_> = [true, false].into_iter().filter_map(first).collect();
        *lock(&self.first) = (!addresses.is_empty()).then(|| First { since: Instant::now(), addresses });
    }
}

/// Addresses where a connection neither came about nor failed, the latest at the end.
#[derive(Default)]
pub(super) struct Hung(Mutex<VecDeque<IpAddr>>);

/// More than a name has addresses, mostly.
const HUNG: usize = 16;

impl Hung {
    pub(super) fn add(&self, address: IpAddr) {
        let mut all = lock(&self.0);
        all.retain(|&other| other != address);
        if all.len() == HUNG {
            all.pop_front();
        }
        all.push_back(address);
    }

    /// The rest stays in the resolver's order, which has its reasons.
    fn put_last(&self, addresses: &mut [SocketAddr]) {
        let all = lock(&self.0);
        addresses.sort_by_key(|address| all.iter().position(|&ip| ip == address.ip()).map_or(0, |place| place + 1));
    }
}

struct Busy(Arc<Way>);

impl Busy {
    fn new(way: Arc<Way>) -> Self {
        way.resolving.fetch_add(1, Ordering::Relaxed);
        Self(way)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.resolving.fetch_sub(1, Ordering::Relaxed);
    }
}

//! Host names to addresses, by the system's resolver.
//!
//! The HTTP client would do the same by itself. Done here, a failure is known to be one of the resolver, a
//! timeout can say that it was the name that took so long, and a name cannot lead to the metadata service.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

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
    /// How many names are being resolved.
    pub(super) busy: Arc<AtomicUsize>,
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

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let busy = Busy::new(&self.busy);
        let host = name.as_str().to_owned();
        let answer = ask(&self.desk, &host);
        Box::pin(async move {
            let _busy = busy;
            let found = answer.await.unwrap_or_else(|_| Err(no_answer())).and_then(|mut addresses| {
                addresses.retain(allowed);
                if addresses.is_empty() { Err(only_metadata()) } else { Ok(addresses) }
            });
            match found {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(why) => Err(Unresolved { host, why }.into()),
            }
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

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
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

struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(busy: &Arc<AtomicUsize>) -> Self {
        busy.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(busy))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

//! Host names to addresses, by the system's resolver.
//!
//! The HTTP client would do the same by itself. Done here, a failure is known to be one of the resolver, a
//! timeout can say that it was the name that took so long, and a name cannot lead to the metadata service.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::task::JoinHandle;

use super::url::{serves_metadata_v4, serves_metadata_v6};

/// Resolves on the runtime's blocking threads: the system's resolver may hang for half a minute.
#[derive(Default)]
pub(super) struct Resolver {
    /// How many names are being resolved.
    pub(super) busy: Arc<AtomicUsize>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let busy = Busy::new(&self.busy);
        Box::pin(async move {
            let _busy = busy;
            let host = name.as_str().to_owned();
            let lookup = Lookup(tokio::task::spawn_blocking(move || {
                (host.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>)
            }));
            let mut addresses = lookup.await?.map_err(Unresolved)?;
            addresses.retain(allowed);
            if addresses.is_empty() {
                return Err(Unresolved(io::Error::other("no address but those of a metadata service")).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn allowed(address: &SocketAddr) -> bool {
    match address.ip().to_canonical() {
        std::net::IpAddr::V4(v4) => !serves_metadata_v4(v4),
        std::net::IpAddr::V6(v6) => !serves_metadata_v6(v6),
    }
}

/// The resolver's answer, known by its type in the chain of causes.
#[derive(Debug)]
pub(super) struct Unresolved(pub(super) io::Error);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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

/// Taken back when nobody waits for it any more. While the resolver hangs, each attempt asks anew; without this
/// the questions would pile up behind the few blocking threads.
struct Lookup(JoinHandle<io::Result<Vec<SocketAddr>>>);

impl Future for Lookup {
    type Output = Result<io::Result<Vec<SocketAddr>>, tokio::task::JoinError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.0.abort();
    }
}

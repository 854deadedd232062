//! A scripted store on loopback.
//!
//! `mod.rs` is what a test holds; `answer.rs` and `gate.rs` are what it scripts, `request.rs` and
//! `received.rs` what it gets back. Behind them, `listener.rs` takes connections, `serve.rs` follows the
//! script on one of them, `http.rs` and `loki.rs` read what comes in, `shared.rs` holds it.

mod answer;
mod gate;
mod http;
mod listener;
mod loki;
mod received;
mod request;
mod serve;
mod shared;
#[cfg(test)]
mod tests;
mod time;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use answer::Answer;
pub use gate::Gate;
pub use received::Received;
pub use request::Request;

use listener::{Listener, Reserved};
use shared::{Script, Shared};

use crate::backend::{Loki, Ndjson};

/// Any free port of loopback.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An HTTP/1.1 server on loopback that answers as the test says and keeps what it received.
///
/// Its threads end when it is dropped. No single answer and no wait for a next request takes longer than
/// 120 seconds; a body, also unpacked, may have up to 256 MiB. It logs nothing.
///
/// # Panics
///
/// What makes a store panics where no port can be had.
///
/// # Examples
///
/// ```
/// use logchute::testing::Store;
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// let store = Store::new();
///
/// let body = "{\"level\":\"info\",\"message\":\"hello\",\"user\":42}\n";
/// let mut client = TcpStream::connect(store.addr())?;
/// write!(client, "POST /ndjson HTTP/1.1\r\nHost: here\r\nConnection: close\r\n")?;
/// write!(client, "Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
///
/// assert!(answer.starts_with("HTTP/1.1 200 "));
/// assert_eq!(store.messages(), ["hello"]);
/// assert_eq!(store.records()[0].get("user"), Some(&42.into()));
/// assert_eq!(store.records()[0].to_string(), "INFO  hello user=42");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Store {
    addr: SocketAddr,
    shared: Arc<Shared>,
    place: Mutex<Place>,
}

/// What is at the store's port.
#[derive(Default)]
enum Place {
    Open(Listener),
    Refusing(Reserved),
    /// On the way from one to the other, or at the end.
    #[default]
    Nothing,
}

impl Store {
    /// A store that answers every request with [`Answer::ok`].
    #[must_use]
    pub fn new() -> Self {
        Self::answering([])
    }

    /// A store that gives the first request the first answer, and so on; then [`Answer::ok`] to all others.
    ///
    /// What counts is when the first byte of a request arrives, over all connections. A request that breaks off on
    /// its way has used up its answer.
    #[must_use]
    pub fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::open(Script::List { answers: answers.into_iter().collect(), strict: false }, false)
    }

    /// The same, and any request after the last answer of the script is surplus, which
    /// [`assert_no_surplus`](Self::assert_no_surplus) does not let pass.
    #[must_use]
    pub fn strict(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::open(Script::List { answers: answers.into_iter().collect(), strict: true }, false)
    }

    /// A store that looks at each request before it answers. Several connections may ask at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use logchute::testing::{Answer, Store};
    ///
    /// let store = Store::with(|request| match request.records().iter().any(|record| record.message == "poison") {
    ///     true => Answer::status(400).body("poison"),
    ///     false => Answer::ok(),
    /// });
    /// # drop(store);
    /// ```
    #[must_use]
    pub fn with(decide: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::open(Script::Closure(Box::new(decide)), false)
    }

    /// A store that keeps numbers and nothing else, for a million records and more: [`count`](Self::count),
    /// [`request_count`](Self::request_count), [`bytes`](Self::bytes). Lines are counted, not read.
    #[must_use]
    pub fn counting() -> Self {
        Self::open(Script::NONE, true)
    }

    /// A store that is away: its port is its own, but refuses connections until it [comes
    /// back](Self::come_back).
    #[must_use]
    pub fn refusing() -> Self {
        Self::reserve(ANYWHERE, Script::NONE, false).unwrap_or_else(|cause| panic!("no port on loopback: {cause}"))
    }

    /// A store like [`new`](Self::new) at this address.
    ///
    /// # Errors
    ///
    /// Where the address is taken.
    pub fn start_at(addr: SocketAddr) -> io::Result<Self> {
        let store = Self::reserve(addr, Script::NONE, false)?;
        store.listen()?;
        Ok(store)
    }

    fn open(script: Script, counting: bool) -> Self {
        let store = Self::reserve(ANYWHERE, script, counting).and_then(|store| store.listen().map(|()| store));
        store.unwrap_or_else(|cause| panic!("no port on loopback: {cause}"))
    }

    fn reserve(addr: SocketAddr, script: Script, counting: bool) -> io::Result<Self> {
        let reserved = Reserved::at(addr)?;
        let (addr, shared) = (reserved.addr()?, Arc::new(Shared::new(script, counting)));
        Ok(Self { addr, shared, place: Mutex::new(Place::Refusing(reserved)) })
    }

    fn listen(&self) -> io::Result<()> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *place) {
            Place::Refusing(reserved) => *place = Place::Open(reserved.listen(&self.shared)?),
            other => *place = other,
        }
        Ok(())
    }

    /// Ends the outage of a store that is [away](Self::refusing); nothing happens to one that is not.
    ///
    /// # Panics
    ///
    /// Where the system refuses a thread.
    pub fn come_back(&self) {
        self.listen().unwrap_or_else(|cause| panic!("{} stays closed: {cause}", self.addr));
    }

    /// Begins an outage: ends all connections and refuses new ones until the store [comes
    /// back](Self::come_back). What was received is kept, and the script goes on then.
    ///
    /// # Panics
    ///
    /// Where the port cannot be kept.
    pub fn go_away(&self) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *place) {
            Place::Open(listener) => {
                listener.stop();
                self.shared.disconnect_all();
                let reserved = Reserved::at(self.addr);
                *place = Place::Refusing(reserved.unwrap_or_else(|cause| panic!("{} is lost: {cause}", self.addr)));
            }
            other => *place = other,
        }
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it is, as an address.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A backend that sends NDJSON here, to the path `/ndjson`.
    #[must_use]
    pub fn backend(&self) -> Ndjson {
        Ndjson::new(format!("{}/ndjson", self.url()))
    }

    /// A backend that pushes here as if this was Loki.
    #[must_use]
    pub fn loki(&self) -> Loki {
        Loki::new(self.url())
    }

    /// The requests that were received, by the arrival of their first bytes, each read as far as its answer wanted it.
    ///
    /// A request that waits for its answer is among them, one that is still on its way is not.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.values().cloned().collect()
    }

    /// The records of all requests that were answered 2xx, in the order of those answers.
    ///
    /// A record that was sent twice and accepted twice is there twice.
    #[must_use]
    pub fn records(&self) -> Vec<Received> {
        self.each(Received::clone).collect()
    }

    /// The messages of [`records`](Self::records).
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.each(|record| record.message.clone()).collect()
    }

    /// The ids of [`records`](Self::records), of those that have one.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.each(|record| record.id.clone()).flatten().collect()
    }

    /// How many different ids there are among [`records`](Self::records).
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.ids().into_iter().collect::<BTreeSet<_>>().len()
    }

    fn each<T>(&self, take: impl Fn(&Received) -> T) -> impl Iterator<Item = T> {
        let accepted: Vec<Request> = {
            let state = self.shared.state();
            state.accepted.iter().filter_map(|order| state.requests.get(order)).cloned().collect()
        };
        accepted.into_iter().flat_map(move |request| request.records().iter().map(&take).collect::<Vec<_>>())
    }

    /// How many records were accepted, duplicates included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.state().records
    }

    /// How many requests were received.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.shared.state().arrived
    }

    /// How many bytes the bodies of these requests had, as they came.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.state().bytes
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// How many requests came after the last answer of a [strict](Self::strict) script.
    #[must_use]
    pub fn surplus(&self) -> usize {
        self.shared.state().surplus
    }

    /// Checks that a [strict](Self::strict) script was enough.
    ///
    /// # Panics
    ///
    /// If there were more requests than answers.
    #[track_caller]
    pub fn assert_no_surplus(&self) {
        match self.surplus() {
            0 => {}
            surplus => {
                panic!("{surplus} requests more than the script has answers; all of them: {:#?}", self.requests())
            }
        }
    }

    /// Waits until so many records were accepted, at most for `limit`; says whether they were.
    pub fn wait_for(&self, count: usize, limit: Duration) -> bool {
        self.shared.wait(limit, |state| state.records >= count)
    }

    /// Waits until so many requests were received, at most for `limit`; says whether they were.
    ///
    /// They need not have been answered yet.
    pub fn wait_for_requests(&self, count: usize, limit: Duration) -> bool {
        self.shared.wait(limit, |state| state.arrived >= count)
    }

    /// Forgets requests and records, and begins to count them (and their bytes) anew. The script goes on.
    pub fn forget(&self) {
        let mut state = self.shared.state();
        state.requests.clear();
        state.accepted.clear();
        (state.arrived, state.records, state.bytes) = (0, 0, 0);
    }
}

// A closure of the script may be anything; a test that catches a panic can still ask the store about it.
impl std::panic::RefUnwindSafe for Store {}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let place = std::mem::take(&mut *self.place.lock().unwrap_or_else(PoisonError::into_inner));
        if let Place::Open(listener) = place {
            listener.stop();
        }
        self.shared.end();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, records) = (self.request_count(), self.count());
        f.debug_struct("Store")
            .field("addr", &self.addr)
            .field("requests", &requests)
            .field("records", &records)
            .finish()
    }
}

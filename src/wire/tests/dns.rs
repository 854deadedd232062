//! Names: unknown, slow, moved, and with addresses that lead nowhere.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock, mpsc};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::super::FailureKind;
use super::super::http::Client;
use super::super::testing::{LONG, Seen, Server, alone, named, options, payload, runtime, send};
use crate::backend::Ndjson;
use crate::{Builder, Reason, Record, Severity};

/// Over what the row of the matrix allows.
const SLACK: Duration = Duration::from_secs(2);

fn unknown() -> io::Error {
    io::Error::other("failed to lookup address information: Name or service not known")
}

fn at(ip: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(ip.into(), 0)
}

/// One request, after which the connection is closed.
fn once(mut stream: TcpStream) -> Seen {
    let seen = Seen::read(&mut stream);
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
    seen
}

/// A name whose lookup hangs while the gate is held, and tells of each time it is looked up.
fn hanging(gate: &Arc<RwLock<()>>) -> (String, mpsc::Receiver<()>) {
    let (asked, is_asked) = mpsc::channel();
    let (asked, gate) = (Mutex::new(asked), Arc::clone(gate));
    let host = named(move || {
        let _ = asked.lock().unwrap().send(());
        drop(gate.read());
        Err(unknown())
    });
    (host, is_asked)
}

#[test]
fn n7_an_unknown_name_is_told_with_its_setting() {
    let host = named(|| Err(unknown()));
    let failure = send(options(format!("http://{host}:3100/in")), LONG).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Resolve);
    for part in [&format!("the host of http://{host}:3100/in"), "Name or service not known", "LOGCHUTE_URL"] {
        assert!(failure.text.contains(part), "{failure}");
    }
}

#[test]
fn n7_an_unknown_name_is_asked_for_again_and_nothing_is_lost() {
    let server = Server::one(once);
    let count = AtomicUsize::new(0);
    let host = named(move || match count.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Err(unknown()),
        _ => Ok(vec![at([127, 0, 0, 1])]),
    });
    let diary = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&diary);
    let logs = Builder::new()
        .no_tee()
        .send_to(Ndjson::new(format!("http://{host}:{}/in", server.address.port())))
        .on_diagnostic(move |line| told.lock().unwrap().push(line.to_owned()))
        .start()
        .unwrap();
    logs.emit(Record::new(Severity::Info, "found in the end"));
    let report = logs.shutdown(LONG);
    assert!(report.settled() && report.ledger().balances() && report.ledger().lost() == 0, "{report}");
    assert!(String::from_utf8_lossy(&server.end()[0].body).contains("found in the end"));
    let diary = diary.lock().unwrap();
    assert!(diary.iter().any(|line| line.contains(&host) && line.contains("cannot be resolved")), "{diary:?}");
}

#[test]
fn n7_a_lookup_that_hangs_ends_with_the_attempt_and_does_not_hold_up_the_next() {
    let gate = Arc::new(RwLock::new(()));
    let held = gate.write().unwrap();
    let server = Server::one(once);
    let (count, open) = (AtomicUsize::new(0), Arc::clone(&gate));
    let host = named(move || {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            drop(open.read());
        }
        Ok(vec![at([127, 0, 0, 1])])
    });
    let client = Client::new(options(format!("http://{host}:{}/in", server.address.port()))).unwrap();
    runtime().block_on(async {
        let (timeout, begun) = (Duration::from_millis(300), Instant::now());
        let failure = client.send(payload("1"), timeout).await.unwrap_err();
        assert!(begun.elapsed() < timeout + SLACK);
        assert_eq!(failure.kind, FailureKind::Resolve);
        assert!(failure.text.contains(&host) && failure.text.contains("was not resolved within 300ms"), "{failure}");
        assert_eq!(client.send(payload("2"), LONG).await.unwrap().status, 204);
    });
    assert_eq!(server.end()[0].body, b"2");
    drop(held);
}

#[test]
fn n7_lookups_that_all_hang_take_two_threads_and_are_well_again_after_it() {
    let gate = Arc::new(RwLock::new(()));
    let held = gate.write().unwrap();
    let (host, asked) = hanging(&gate);
    let client = Client::new(options(format!("http://{host}:1/in"))).unwrap();
    runtime().block_on(async {
        for _ in 0..5 {
            let failure = client.send(payload("1"), Duration::from_millis(50)).await.unwrap_err();
            assert!(failure.text.contains("was not resolved within"), "{failure}");
        }
        // Two hang, and nobody waits for the others any more.
        asked.recv_timeout(LONG).unwrap();
        asked.recv_timeout(LONG).unwrap();
        assert!(asked.try_recv().is_err());
        drop(held);
        let failure = client.send(payload("2"), LONG).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Resolve, "{failure}");
    });
}

#[test]
fn n7_an_attempt_that_connects_is_not_told_as_one_that_resolves() {
    // Two attempts of one client: what the one waits for says nothing about the other.
    let gate = Arc::new(RwLock::new(()));
    let held = gate.write().unwrap();
    let hole = Hole::at([127, 0, 0, 1], 0);
    let (count, open) = (AtomicUsize::new(0), Arc::clone(&gate));
    let host = named(move || {
        if count.fetch_add(1, Ordering::Relaxed) > 0 {
            drop(open.read());
        }
        Ok(vec![at([127, 0, 0, 1])])
    });
    let client = Client::new(options(format!("http://{host}:{}/in", hole.port()))).unwrap();
    let both = [(); 2].map(|()| client.send(payload("1"), Duration::from_millis(500)));
    let ends = runtime().block_on(futures_util::future::join_all(both));
    let mut texts: Vec<_> = ends.into_iter().map(|end| end.unwrap_err().text).collect();
    texts.sort_by_key(|text| text.contains("was not resolved"));
    assert!(texts[0].contains("no connection to") && texts[1].contains("was not resolved"), "{texts:?}");
    drop(held);
}

#[test]
fn n7_a_lookup_that_hangs_holds_up_neither_callers_nor_shutdown() {
    let gate = Arc::new(RwLock::new(()));
    let held = gate.write().unwrap();
    let (host, asked) = hanging(&gate);
    let logs = Builder::new()
        .no_tee()
        .linger(Duration::ZERO)
        .send_to(Ndjson::new(format!("http://{host}:3100/in")))
        .on_diagnostic(|_| {})
        .start()
        .unwrap();
    logs.emit(Record::new(Severity::Info, "first"));
    asked.recv_timeout(LONG).unwrap();
    for _ in 0..100 {
        logs.emit(Record::new(Severity::Info, "more"));
    }
    let (limit, begun) = (Duration::from_millis(300), Instant::now());
    let report = logs.shutdown(limit);
    drop(logs);
    assert!(begun.elapsed() < limit + SLACK, "{:?}", begun.elapsed());
    let ledger = report.ledger();
    assert!(!report.settled() && ledger.balances(), "{report}");
    let deadline: u64 = ledger.destinations.iter().map(|to| to.dropped.of(Reason::Deadline)).sum();
    assert_eq!(deadline, 101, "{report}");
    drop(held);
}

#[test]
fn n7_each_connection_resolves_anew() {
    let (first, second) = (Server::one(once), Server::one(once));
    let ports = [first.address.port(), second.address.port()];
    let addresses = Mutex::new([first.address, second.address].into_iter());
    // Without a port in the URL that of the answer counts, so that two servers can have one name.
    let host = named(move || Ok(vec![addresses.lock().unwrap().next().unwrap()]));
    let client = Client::new(options(format!("http://{host}/in"))).unwrap();
    runtime().block_on(async {
        assert_eq!(client.send(payload("1"), LONG).await.unwrap().status, 204, "{ports:?}");
        assert_eq!(client.send(payload("2"), LONG).await.unwrap().status, 204, "{ports:?}");
    });
    assert_eq!([&first.end()[0].body, &second.end()[0].body], [b"1", b"2"]);
}

#[test]
fn n7_a_name_of_metadata_addresses_is_refused() {
    let metadata = [at([169, 254, 169, 254]), at(Ipv6Addr::from_bits(0xfd00_0ec2_u128 << 96 | 0x254))];
    let mapped = at(std::net::Ipv4Addr::new(169, 254, 170, 2).to_ipv6_mapped());
    let host = named(move || Ok(vec![metadata[0], metadata[1], mapped]));
    let failure = send(options(format!("http://{host}:1/in")), LONG).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Resolve);
    assert!(failure.text.contains("no address but those of a metadata service"), "{failure}");
    assert!(failure.text.contains(&host), "{failure}");

    let server = Server::one(once);
    let host = named(move || Ok(vec![metadata[0], at([127, 0, 0, 1])]));
    let url = format!("http://{host}:{}/in", server.address.port());
    assert_eq!(send(options(url), LONG).unwrap().status, 204);
    server.end();
}

/// An address that drops each SYN: its queue of connections is full, and nobody accepts.
pub(super) struct Hole {
    listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Hole {
    pub(super) fn at(ip: impl Into<IpAddr>, port: u16) -> Self {
        Self::try_at(SocketAddr::new(ip.into(), port)).unwrap()
    }

    pub(super) fn try_at(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.bind(&address.into())?;
        socket.listen(0)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        let knock = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
        Ok(Self { _queued: std::iter::from_fn(|| knock().ok()).collect(), listener })
    }

    pub(super) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }
}

/// Sends to a name with these addresses, of which the server's is one.
fn delivered_to_the_good_one(server: Server<Seen>, addresses: Vec<SocketAddr>) {
    let host = named(move || Ok(addresses.clone()));
    let begun = Instant::now();
    let reply = send(options(format!("http://{host}:{}/in", server.address.port())), LONG).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", begun.elapsed());
    assert_eq!(reply.status, 204);
    assert_eq!(server.end()[0].body, b"hello");
}

#[test]
fn n7_behind_a_v6_blackhole_the_v4_address_is_found() {
    let server = Server::one(once);
    // A machine without IPv6 refuses the address, which is the easier case.
    let _hole = Hole::try_at(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), server.address.port()));
    delivered_to_the_good_one(server, vec![at(Ipv6Addr::LOCALHOST), at([127, 0, 0, 1])]);
}

// Elsewhere 127.0.0.2 has to be set up first.
#[cfg(target_os = "linux")]
#[test]
fn n7_behind_a_blackhole_another_address_of_its_family_is_found() {
    let server = Server::one(once);
    let _hole = Hole::at([127, 0, 0, 2], server.address.port());
    delivered_to_the_good_one(server, vec![at([127, 0, 0, 2]), at([127, 0, 0, 1])]);
}

#[cfg(target_os = "linux")]
#[test]
fn n7_after_a_timeout_that_is_shorter_the_next_attempt_goes_elsewhere() {
    let server = Server::new(vec![Box::new(once), Box::new(once)]);
    let holes = [[127, 0, 0, 2], [127, 0, 0, 3]].map(|ip| Hole::at(ip, server.address.port()));
    let host = named(|| Ok([[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 1]].map(at).to_vec()));
    let client = Client::new(options(format!("http://{host}:{}/in", server.address.port()))).unwrap();
    runtime().block_on(async {
        for _ in &holes {
            let failure = client.send(payload("lost"), Duration::from_millis(300)).await.unwrap_err();
            assert!(failure.text.contains("no connection to"), "{failure}");
        }
        // Found, and not looked for anew with the next connection.
        for body in ["1", "2"] {
            assert_eq!(client.send(payload(body), Duration::from_secs(2)).await.unwrap().status, 204);
        }
    });
    assert_eq!(server.end().iter().map(|seen| seen.body[0]).collect::<Vec<_>>(), b"12");
}

/// See the next test.
#[test]
fn sends_through_an_unknown_proxy() {
    if let Ok(url) = std::env::var("WIRE_URL") {
        let failure = send(options(url), LONG).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Resolve);
        for part in ["the proxy before http://store.invalid:3100/in", &"p".repeat(64), "HTTP_PROXY", "NO_PROXY"] {
            assert!(failure.text.contains(part), "{failure}");
        }
    }
}

#[test]
fn n7_an_unknown_proxy_is_told_as_that() {
    // A label of more than 63 bytes cannot be asked for, so no name server is needed to say no.
    let proxy = format!("http://{}.invalid:3128", "p".repeat(64));
    let test = "wire::tests::dns::sends_through_an_unknown_proxy";
    alone(test, &[("HTTP_PROXY", &proxy), ("WIRE_URL", "http://store.invalid:3100/in")]);
}

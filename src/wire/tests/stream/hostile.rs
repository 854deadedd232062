//! Servers that stall, babble, leave and pretend.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::super::super::testing::{LONG, Script, Server, named as host_named, runtime, to_the_end};
use super::super::super::{Failure, FailureKind};
use super::super::dns::Hole;
use super::{SHORT, at, bare, client, kind, line, lines, mute, named, polite, send, to};
use crate::backend::{Heard, Login, Reply, Speech};
use crate::wire::stream::Client;

const SLACK: Duration = Duration::from_secs(2);

/// What a server comes to that says this after it was greeted with a payload.
fn answered(words: &'static [u8]) -> (FailureKind, String) {
    let server = Server::one(move |mut stream: TcpStream| {
        stream.write_all(b"welcome\n").unwrap();
        line(&stream);
        let _ = stream.write_all(words);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        to_the_end(&mut stream);
    });
    let result = send(&server, LONG);
    server.end();
    kind(result)
}

/// Over by the deadline; the server is left to itself.
fn in_time<T>(server: &Server<T>) -> (FailureKind, String) {
    let begun = Instant::now();
    let result = send(server, SHORT);
    assert!(begun.elapsed() < SHORT + SLACK, "{:?}", begun.elapsed());
    kind(result)
}

#[test]
fn nobody_listens_is_told() {
    let server = Server::<()>::new(Vec::new());
    let options = at(&server);
    server.end();
    let result = runtime().block_on(Client::new(options).unwrap().send(named("a"), LONG, &lines));
    let (kind, text) = kind(result);
    assert_eq!(kind, FailureKind::Connect);
    assert!(text.contains("nobody listens at tcp://127.0.0.1:") && text.contains("LOGCHUTE_URL"), "{text}");
}

#[test]
fn an_unknown_name_is_told() {
    let host = host_named(|| Err(std::io::Error::other("Name or service not known")));
    let client = Client::new(to(format!("tcp://{host}:24224"))).unwrap();
    let (kind, text) = kind(runtime().block_on(client.send(named("a"), LONG, &lines)));
    assert_eq!(kind, FailureKind::Resolve);
    assert!(text.contains("cannot be resolved (Name or service not known)"), "{text}");
}

#[test]
fn a_black_hole_is_left_at_the_deadline() {
    let hole = Hole::at([127, 0, 0, 1], 0);
    let client = Client::new(to(format!("tcp://127.0.0.1:{}", hole.port()))).unwrap();
    let begun = Instant::now();
    let (kind, text) = kind(runtime().block_on(client.send(named("a"), SHORT, &lines)));
    assert!(begun.elapsed() < SHORT + SLACK);
    assert_eq!(kind, FailureKind::Connect);
    assert!(text.contains("no connection to tcp://127.0.0.1:") && text.contains("firewall"), "{text}");
}

#[test]
fn an_address_that_swallows_is_left_for_the_next_and_comes_last_from_then_on() {
    let server = Server::new(vec![polite(1), polite(1)]);
    let port = server.address.port();
    let _hole = Hole::at([127, 0, 0, 2], port);
    let addresses = || [[127, 0, 0, 2], [127, 0, 0, 1]].map(|ip| (ip, 0).into()).to_vec();
    let host = host_named(move || Ok(addresses()));
    let client = Client::new(to(format!("tcp://{host}:{port}"))).unwrap();
    runtime().block_on(async { client.send(named("a"), LONG, &lines).await.unwrap() });
    // Well within the time that the first address would be waited for.
    let begun = Instant::now();
    runtime().block_on(async { client.send(named("b"), LONG, &lines).await.unwrap() });
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(server.end(), [["a"], ["b"]]);
}

#[test]
fn a_handshake_that_hangs_is_left_at_the_deadline() {
    for words in ["", "welc"] {
        let server = Server::one(move |mut stream: TcpStream| {
            stream.write_all(words.as_bytes()).unwrap();
            to_the_end(&mut stream)
        });
        let (kind, text) = in_time(&server);
        assert_eq!(kind, FailureKind::Timeout);
        assert!(text.contains("did not finish the handshake") && text.contains("LOGCHUTE_TOKEN"), "{text}");
        // Not a byte of the records was shown.
        assert_eq!(server.end(), [0]);
    }
}

#[test]
fn a_store_that_never_acknowledges_is_left_at_the_deadline() {
    for words in ["", "ack", "ack a", "welcome\n"] {
        let server = Server::one(move |mut stream: TcpStream| {
            stream.write_all(b"welcome\n").unwrap();
            line(&stream);
            stream.write_all(words.as_bytes()).unwrap();
            to_the_end(&mut stream)
        });
        let (kind, text) = in_time(&server);
        assert_eq!(kind, FailureKind::Timeout);
        assert!(text.contains("did not acknowledge them within 300ms"), "{text}");
        server.end();
    }
}

#[test]
fn a_store_that_never_reads_is_left_at_the_deadline() {
    let (late, told) = std::sync::mpsc::channel::<()>();
    let server = Server::one(move |mut stream: TcpStream| {
        told.recv().unwrap_err();
        to_the_end(&mut stream)
    });
    let payload = bare(&"x".repeat(64 * 1024 * 1024));
    let begun = Instant::now();
    let result = runtime().block_on(client(&server).send(payload, SHORT, &mute));
    assert!(begun.elapsed() < SHORT + SLACK);
    drop(late);
    let (kind, text) = kind(result);
    assert_eq!(kind, FailureKind::Timeout);
    assert!(text.contains("did not read all of the records"), "{text}");
    assert!(server.end()[0] < 32 * 1024 * 1024);
}

#[test]
fn a_store_that_drips_forever_is_left_at_the_deadline() {
    // A byte now and then, and never an end of line.
    let server = Server::one(|mut stream: TcpStream| {
        stream.write_all(b"welcome\n").unwrap();
        while stream.write_all(b"a").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let (kind, text) = in_time(&server);
    assert_eq!(kind, FailureKind::Timeout, "{text}");
    server.end();
}

#[test]
fn a_store_that_talks_without_end_is_left_after_64_kib() {
    for words in [vec![b'x'; 4096], b"welcome\n".repeat(512)] {
        let server = Server::one(move |mut stream: TcpStream| {
            stream.write_all(b"welcome\n").unwrap();
            line(&stream);
            let mut said = 0;
            while stream.write_all(&words).is_ok() {
                said += words.len();
                assert!(said < 64 * 1024 * 1024, "still read");
            }
        });
        let (kind, text) = kind(send(&server, LONG));
        assert_eq!(kind, FailureKind::Other);
        assert!(text.contains("64 KiB"), "{text}");
        server.end();
    }
}

#[test]
fn an_ack_for_something_else_is_no_ack_and_ends_the_connection() {
    let (kind, text) = answered(b"ack b\n");
    assert_eq!(kind, FailureKind::Other);
    assert!(text.contains("acknowledged what was not sent (\"b\")"), "{text}");
}

#[test]
fn garbage_is_told() {
    let (kind, text) = answered(b"\x15\x03\x01\0\n");
    assert_eq!(kind, FailureKind::Other);
    assert!(text.contains("protocol of its backend: is it a store?"), "{text}");
}

#[test]
fn an_end_before_the_ack_is_a_reset() {
    for words in [&b""[..], b"ack", b"ack a"] {
        let (kind, text) = answered(words);
        assert_eq!(kind, FailureKind::Reset);
        assert!(text.contains("before it acknowledged"), "{text}");
    }
}

#[test]
fn a_dialogue_that_panics_ends_the_attempt_and_nothing_else() {
    struct Bomb;
    impl Speech for Bomb {
        fn hear(&mut self, _: &mut &[u8], _: &mut Vec<u8>) -> Heard {
            panic!("boom")
        }
    }
    let late = |_: &Login<'_>| Box::new(Bomb) as Box<dyn Speech>;
    let early = |_: &Login<'_>| -> Box<dyn Speech> { panic!("boom") };
    let server = Server::one(|mut stream: TcpStream| to_the_end(&mut stream));
    let client = client(&server);
    let results: [Result<Reply, Failure>; 2] = runtime()
        .block_on(async { [client.send(named("a"), LONG, &early).await, client.send(named("a"), LONG, &late).await] });
    for result in results {
        assert!(kind(result).1.contains("panicked over its dialogue: boom"));
    }
    server.end();
}

#[test]
fn why_a_store_left_while_it_was_written_to_is_heard() {
    let script: Script<()> = Box::new(|mut stream| {
        stream.write_all(b"welcome\n").unwrap();
        line(&stream);
        stream.write_all(b"ack a\n").unwrap();
        line(&stream);
        stream.write_all(b"no more\n").unwrap();
    });
    let server = Server::new(vec![script]);
    let client = client(&server);
    let reply = runtime().block_on(async {
        client.send(named("a"), LONG, &lines).await.unwrap();
        client.send(named("b"), LONG, &lines).await.unwrap()
    });
    assert_eq!((reply.status, &*reply.text()), (401, "more"));
    server.end();
}

//! Connections over TLS: those that must not be trusted, and those that must.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::super::super::testing::{Dir, LONG, Server, runtime, to_the_end};
use super::super::super::{FailureKind, Options};
use super::super::tls::{config, issued, issuer, trusting};
use super::{Lines, bare, kind, lines, mute, named, to};
use crate::backend::{Login, Speech};
use crate::wire::stream::Client;

type Dialogue<'d> = &'d dyn Fn(&Login<'_>) -> Box<dyn Speech>;

/// A TLS server that greets, and acknowledges so many payloads. Gives back what it saw, which is nothing where the
/// handshake failed.
fn serve(config: ServerConfig, payloads: usize) -> Server<Vec<String>> {
    let config = Arc::new(config);
    Server::one(move |stream: TcpStream| {
        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        let mut seen = Vec::new();
        if tls.write_all(b"welcome\n").and_then(|()| tls.flush()).is_err() {
            while tls.conn.wants_write() && tls.conn.write_tls(&mut tls.sock).is_ok() {}
            let _ = tls.sock.shutdown(std::net::Shutdown::Write);
            to_the_end(&mut tls.sock);
            return seen;
        }
        // HTTP was not agreed on.
        assert_eq!(tls.conn.alpn_protocol(), None);
        for _ in 0..payloads {
            let (mut name, mut one) = (String::new(), [0]);
            while tls.read(&mut one).is_ok_and(|count| count == 1) && one != *b"\n" {
                name.push(char::from(one[0]));
            }
            writeln!(tls, "ack {name}").and_then(|()| tls.flush()).unwrap();
            seen.push(name);
        }
        to_the_end(&mut tls);
        seen
    })
}

fn at(server: &Server<Vec<String>>, host: &str) -> Options {
    to(format!("tls://{host}:{}", server.address.port()))
}

#[test]
fn n12_payloads_share_a_tls_connection_with_a_certificate_of_the_given_ca() {
    let (dir, by) = (Dir::new(), issuer());
    for (tls13, host) in [(true, "localhost"), (false, "localhost"), (true, "127.0.0.1")] {
        let server = serve(config(&issued(&by, host, false), None, tls13), 2);
        let client = Client::new(Options { ca: trusting(&dir, &by), ..at(&server, host) }).unwrap();
        runtime().block_on(async {
            for name in ["a", "b"] {
                assert_eq!(client.send(named(name), LONG, &lines).await.unwrap().status, 200);
            }
        });
        assert_eq!(server.end(), [["a", "b"]]);
    }
}

#[test]
fn n12_what_cannot_be_trusted_is_told_and_shown_nothing() {
    let (dir, by) = (Dir::new(), issuer());
    for (host, expired, ca, words) in [
        ("localhost", false, issuer(), "no CA that is trusted here"),
        ("other.example", false, by, "made for another host"),
    ] {
        let signer = if host == "localhost" { &issuer() } else { &ca };
        let server = serve(config(&issued(signer, host, expired), None, true), 0);
        let client = Client::new(Options { ca: trusting(&dir, &ca), ..at(&server, "localhost") }).unwrap();
        let (kind, text) = kind(runtime().block_on(client.send(named("a"), LONG, &lines)));
        assert_eq!(kind, FailureKind::Tls, "{text}");
        assert!(text.contains(words), "{text}");
        assert!(server.end()[0].is_empty());
    }
}

#[test]
fn n12_plain_words_at_a_tls_url_are_told() {
    let (dir, by) = (Dir::new(), issuer());
    for words in ["welcome to the machine\n", ""] {
        let server = Server::one(move |mut stream: TcpStream| {
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(words.as_bytes()).unwrap();
            let _ = stream.shutdown(std::net::Shutdown::Write);
            to_the_end(&mut stream);
            Vec::<String>::new()
        });
        let client = Client::new(Options { ca: trusting(&dir, &by), ..at(&server, "localhost") }).unwrap();
        let (kind, text) = kind(runtime().block_on(client.send(named("a"), LONG, &lines)));
        assert_eq!(kind, FailureKind::Tls);
        assert!(text.contains("without +tls"), "{text}");
        server.end();
    }
}

#[test]
fn n12_a_client_certificate_that_is_wanted_and_missing_is_told_also_where_nothing_is_acknowledged() {
    let (dir, by, clients) = (Dir::new(), issuer(), issuer());
    for tls13 in [true, false] {
        for (speech, payload) in [(&lines as Dialogue<'_>, named("a")), (&mute, bare("a"))] {
            let server = serve(config(&issued(&by, "localhost", false), Some(&clients), tls13), 0);
            let client = Client::new(Options { ca: trusting(&dir, &by), ..at(&server, "localhost") }).unwrap();
            let result = runtime().block_on(client.send(payload, LONG, speech));
            // TLS 1.3 tells only after the handshake: what is written without an ack may be gone by then.
            if let Err(failure) = result {
                assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
                assert!(failure.text.contains("LOGCHUTE_CERT"), "{failure}");
            }
            assert!(server.end()[0].is_empty());
        }
    }
    let mine = issued(&clients, "app", false);
    let (cert, key) = (dir.file("cert.pem", mine.0.pem()), dir.file("key.pem", mine.1.serialize_pem()));
    let server = serve(config(&issued(&by, "localhost", false), Some(&clients), true), 1);
    let options = Options { ca: trusting(&dir, &by), cert: Some(cert), key: Some(key), ..at(&server, "localhost") };
    let client = Client::new(options).unwrap();
    assert_eq!(runtime().block_on(client.send(named("a"), LONG, &|_| Box::new(Lines))).unwrap().status, 200);
    assert_eq!(server.end(), [["a"]]);
}

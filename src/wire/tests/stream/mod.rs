//! What connections promise, against servers that misbehave.
//!
//! The protocol here: the server greets with `welcome`, names what it has taken with `ack NAME`, and shows the door with
//! `no REASON`, a line each.

mod hostile;
mod kept;
mod login;
#[cfg(feature = "tls")]
mod tls;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::super::stream::Client;
use super::super::testing::{LONG, Script, Server, options, runtime};
use super::super::{Failure, FailureKind, Options};
use crate::backend::{Heard, Login, Payload, Reply, Speech, TokenAs};

pub(super) const SHORT: Duration = Duration::from_millis(300);

pub(super) struct Lines;

impl Speech for Lines {
    fn hear(&mut self, said: &mut &[u8], answer: &mut Vec<u8>) -> Heard {
        let Some(end) = said.iter().position(|&byte| byte == b'\n') else { return Heard::More };
        let line = String::from_utf8_lossy(&said[..end]).into_owned();
        *said = &said[end + 1..];
        match line.split_once(' ') {
            None if line == "welcome" => Heard::Ready,
            None if line == "ping" => {
                answer.extend_from_slice(b"pong\n");
                Heard::More
            }
            Some(("ack", name)) => Heard::Acked(name.to_owned()),
            Some(("no", why)) => Heard::Refused(why.to_owned()),
            _ => Heard::Garbled("is it a store?".to_owned()),
        }
    }
}

pub(super) fn lines(_: &Login<'_>) -> Box<dyn Speech> {
    Box::new(Lines)
}

/// Nothing is said, as with syslog.
pub(super) struct Mute;

impl Speech for Mute {
    fn hear(&mut self, said: &mut &[u8], _: &mut Vec<u8>) -> Heard {
        *said = &[];
        Heard::Ready
    }
}

pub(super) fn mute(_: &Login<'_>) -> Box<dyn Speech> {
    Box::new(Mute)
}

pub(super) fn named(name: &str) -> Payload {
    Payload::framed(format!("{name}\n").into_bytes(), Some(name.to_owned()))
}

pub(super) fn bare(text: &str) -> Payload {
    Payload::framed(format!("{text}\n").into_bytes(), None)
}

pub(super) fn at<T>(server: &Server<T>) -> Options {
    to(format!("tcp://{}", server.address))
}

pub(super) fn to(url: impl Into<String>) -> Options {
    Options { token_as: TokenAs::Speech, ..options(url) }
}

pub(super) fn client<T>(server: &Server<T>) -> Client {
    Client::new(at(server)).unwrap()
}

/// One attempt with a client of its own, on a runtime of its own.
pub(super) fn send<T>(server: &Server<T>, timeout: Duration) -> Result<Reply, Failure> {
    runtime().block_on(client(server).send(named("a"), timeout, &lines))
}

pub(super) fn line(stream: &TcpStream) -> String {
    let mut line = String::new();
    let mut one = [0];
    let mut stream = stream;
    while stream.read(&mut one).unwrap() == 1 && one != *b"\n" {
        line.push(char::from(one[0]));
    }
    line
}

/// Greets, and acknowledges so many payloads, then waits for the end.
pub(super) fn polite(payloads: usize) -> Script<Vec<String>> {
    Box::new(move |mut stream| {
        stream.write_all(b"welcome\n").unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut seen = Vec::new();
        for _ in 0..payloads {
            let name = lines.next().unwrap().unwrap();
            writeln!(stream, "ack {name}").unwrap();
            seen.push(name);
        }
        // The client's end, or a reset if it left something unread.
        assert!(!matches!(lines.next(), Some(Ok(_))), "more than was asked for");
        seen
    })
}

pub(super) fn kind(result: Result<Reply, Failure>) -> (FailureKind, String) {
    let failure = result.expect_err("no failure");
    (failure.kind, failure.text)
}

#[test]
fn a_payload_is_delivered_when_the_store_names_it() {
    let server = Server::new(vec![polite(1)]);
    let reply = send(&server, LONG).unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(server.end(), [["a"]]);
}

#[test]
fn words_may_come_byte_by_byte_and_are_answered() {
    let server = Server::one(|mut stream: TcpStream| {
        stream.set_nodelay(true).unwrap();
        let mut slowly = |text: &str| {
            for byte in text.bytes() {
                stream.write_all(&[byte]).unwrap();
            }
        };
        slowly("ping\n");
        slowly("welcome\nping\n");
        let said = [line(&stream), line(&stream), line(&stream)];
        let mut stream = stream;
        stream.write_all(b"ack a\n").unwrap();
        said
    });
    assert_eq!(send(&server, LONG).unwrap().status, 200);
    let mut said = server.end().remove(0);
    // The answer to what came during the payload may stand before or behind it.
    said.sort();
    assert_eq!(said, ["a", "pong", "pong"]);
}

#[test]
fn what_is_no_stream_is_refused_and_so_is_a_url_without_a_port() {
    for (url, must) in [
        ("http://localhost:1", "a tcp or tls URL"),
        ("tcp://localhost", "a URL with a port"),
        ("tcp://user:canary@localhost:1", "without user and password"),
        ("tcp://169.254.169.254:1", "link-local"),
        ("tcp://0xA9FEA9FE:1", "link-local"),
        ("tls://[fe80::1]:1", "link-local"),
        ("tcp://:1", "a URL with a host"),
        ("tcp://localhost:70000", "a valid URL"),
    ] {
        let said = Client::new(to(url)).err().unwrap_or_else(|| panic!("accepted {url}")).to_string();
        assert!(said.contains(must) && !said.contains("canary"), "{said}");
    }
    for (url, shown) in [
        ("tcp://localhost:80", "tcp://localhost:80"),
        ("TCP://LOCALHOST:24224/tag?x=canary", "tcp://localhost:24224"),
        ("tcp://[::1]:601", "tcp://[::1]:601"),
    ] {
        assert_eq!(Client::new(to(url)).unwrap().url(), shown);
    }
}

#[test]
fn an_http_payload_is_refused_with_a_reason() {
    let client = Client::new(to("tcp://127.0.0.1:1")).unwrap();
    let result = runtime().block_on(client.send(super::super::testing::payload("x"), LONG, &lines));
    assert!(kind(result).1.contains("its backend made an HTTP request"));
}

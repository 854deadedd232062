//! Being let in, or not.

use std::io::Write as _;
use std::net::TcpStream;

use super::super::super::testing::{Dir, LONG, Script, Server, runtime, to_the_end};
use super::super::super::{Credentials, FailureKind, Options, Secret};
use super::{at, client, kind, lines, named, polite, send, to};
use crate::backend::{Heard, Login, Speech, TokenAs};
use crate::wire::stream::Client;

fn with_token(token: Secret) -> Credentials {
    Credentials { token: Some(token), ..Credentials::default() }
}

/// Begins with the token.
fn shown(login: &Login<'_>) -> Box<dyn Speech> {
    struct Shown(Option<String>);
    impl Speech for Shown {
        fn hear(&mut self, said: &mut &[u8], answer: &mut Vec<u8>) -> Heard {
            if let Some(token) = self.0.take() {
                answer.extend_from_slice(format!("{token}\n").as_bytes());
            }
            super::Lines.hear(said, answer)
        }
    }
    Box::new(Shown(Some(login.token.unwrap_or_default().to_owned())))
}

#[test]
fn a_refusal_is_a_reply_of_status_401_without_the_secret() {
    let server = Server::one(|mut stream: TcpStream| {
        stream.write_all(b"no, canary is not the key\n".as_slice()).unwrap();
        to_the_end(&mut stream)
    });
    let options = Options { credentials: with_token(Secret::value("canary")), ..at(&server) };
    let speech = |_: &Login<'_>| -> Box<dyn Speech> {
        struct No;
        impl Speech for No {
            fn hear(&mut self, said: &mut &[u8], _: &mut Vec<u8>) -> Heard {
                if !said.ends_with(b"\n") {
                    return Heard::More;
                }
                Heard::Refused(String::from_utf8_lossy(std::mem::take(said)).into_owned())
            }
        }
        Box::new(No)
    };
    let reply = runtime().block_on(Client::new(options).unwrap().send(named("a"), LONG, &speech)).unwrap();
    assert_eq!((reply.status, reply.text().trim()), (401, "no, *** is not the key"));
    server.end();
}

#[test]
fn three_closed_handshakes_in_a_row_are_a_refusal_and_one_that_succeeds_ends_the_row() {
    let slam = || -> Script<Vec<String>> { Box::new(|_| Vec::new()) };
    let server = Server::new(vec![slam(), slam(), polite(1), slam(), slam(), slam(), slam(), polite(1)]);
    let client = client(&server);
    let attempt = || {
        // Each on a runtime of its own, so that no connection is kept.
        runtime().block_on(client.send(named("a"), LONG, &lines))
    };
    let mut ends = Vec::new();
    for _ in 0..8 {
        ends.push(match attempt() {
            Ok(reply) if reply.status == 401 => {
                assert!(reply.text().contains("LOGCHUTE_TOKEN"), "{}", reply.text());
                "refused"
            }
            Ok(_) => "delivered",
            Err(failure) => {
                assert_eq!(failure.kind, FailureKind::Reset, "{failure}");
                assert!(failure.text.contains("during the handshake"), "{failure}");
                "closed"
            }
        });
    }
    assert_eq!(ends, ["closed", "closed", "delivered", "closed", "closed", "refused", "refused", "delivered"]);
    server.end();
}

#[test]
fn a_key_that_was_rotated_is_read_again() {
    let dir = Dir::new();
    let file = dir.file("key", "old\n");
    let script = || -> Script<String> {
        Box::new(|mut stream| {
            let key = super::line(&stream);
            stream.write_all(b"no entry\n").unwrap();
            to_the_end(&mut stream);
            key
        })
    };
    let server = Server::new(vec![script(), script()]);
    let client = Client::new(Options { credentials: with_token(Secret::file(&file)), ..at(&server) }).unwrap();
    let attempt = || runtime().block_on(client.send(named("a"), LONG, &shown)).unwrap().status;
    assert_eq!(attempt(), 401);
    assert!(!client.refresh(), "it has not changed");
    dir.file("key", "new key\n");
    assert!(client.refresh() && client.complaint().is_none());
    assert_eq!(attempt(), 401);
    std::fs::remove_file(&file).unwrap();
    assert!(!client.refresh() && client.complaint().unwrap().contains("can be read"));
    assert_eq!(server.end(), ["old", "new key"]);
}

#[test]
fn b8_a_credential_does_not_go_over_plain_tcp_to_another_machine_unless_allowed() {
    let canary = || with_token(Secret::value("canary"));
    let refused = |options: Options| Client::new(options).err().expect("accepted").to_string();
    let said = refused(Options { credentials: canary(), ..to("tcp://fluentd:24224") });
    assert!(said.contains("must be tls") && said.contains("LOGCHUTE_ALLOW_HTTP") && !said.contains("canary"), "{said}");
    for options in [to("tcp://localhost:24224"), Options { allow_http: true, ..to("tcp://fluentd:24224") }] {
        assert!(Client::new(Options { credentials: canary(), ..options }).is_ok());
    }
    #[cfg(feature = "tls")]
    assert!(Client::new(Options { credentials: canary(), ..to("tls://fluentd:24224") }).is_ok());
}

#[test]
fn what_has_no_place_on_a_connection_is_refused_at_start() {
    let secret = || Some(Secret::value("canary"));
    let none = Credentials::default;
    for (credentials, token_as, setting) in [
        (Credentials { tenant: secret(), ..none() }, TokenAs::Speech, "tenant"),
        (Credentials { headers: vec![("x".into(), Secret::value("canary"))], ..none() }, TokenAs::Speech, "headers"),
        (Credentials { user: secret(), ..none() }, TokenAs::Speech, "user"),
        (Credentials { password: secret(), ..none() }, TokenAs::Speech, "password"),
        (with_token(Secret::value("")), TokenAs::Speech, "token"),
        (with_token(Secret::value("a\nb")), TokenAs::Speech, "token"),
        (with_token(Secret::value("canary")), TokenAs::Authorization("Bearer"), "token"),
        (Credentials { user: secret(), password: secret(), ..none() }, TokenAs::Authorization("Bearer"), "user"),
    ] {
        let options = Options { credentials, token_as, ..to("tcp://localhost:1") };
        let said = Client::new(options).err().expect("accepted").to_string();
        assert!(said.starts_with(setting) && !said.contains("canary"), "{said}");
    }
    // A shared key, and a user with a password beside it, belong together here.
    let all = Credentials { token: secret(), user: secret(), password: secret(), ..none() };
    assert!(Client::new(Options { credentials: all, ..to("tcp://localhost:1") }).is_ok());
}

#[test]
fn a_closed_connection_after_the_handshake_is_no_refusal() {
    for _ in 0..4 {
        let server = Server::one(|mut stream: TcpStream| {
            stream.write_all(b"welcome\n").unwrap();
            super::line(&stream)
        });
        assert_eq!(kind(send(&server, LONG)).0, FailureKind::Reset);
        server.end();
    }
}

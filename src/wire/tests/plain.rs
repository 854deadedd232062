//! Requests, credentials and proxies.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::super::http::Client;
use super::super::testing::{Dir, LONG, Script, Seen, Server, alone, answering, options, payload, runtime, send};
use super::super::{Credentials, FailureKind, Options, Secret};
use crate::backend::Payload;
use crate::config::Compression;

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn with(credentials: Credentials) -> Options {
    Options { credentials, ..options("http://127.0.0.1:1/") }
}

fn refusal(options: Options) -> String {
    Client::new(options).expect_err("accepted").to_string()
}

fn header(name: &str, value: &str) -> Credentials {
    Credentials { headers: vec![(name.into(), Secret::value(value))], ..Credentials::default() }
}

fn token(value: &str) -> Credentials {
    Credentials { token: Some(Secret::value(value)), ..Credentials::default() }
}

#[test]
fn a_payload_arrives_as_the_backend_wrote_it() {
    let server = answering("HTTP/1.1 207 Some\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nyo");
    let reply = send(options(server.url()), LONG).unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (207, &b"yo"[..]));
    assert_eq!(reply.retry_after, Some(Duration::from_secs(7)));
    let seen = &server.end()[0];
    assert!(seen.head.starts_with("POST /in HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.body, b"hello");
    assert_eq!(seen.header("content-type"), Some("text/plain"));
    assert_eq!(seen.header("content-length"), Some("5"));
    assert_eq!(seen.header("user-agent"), Some(concat!("logchute/", env!("CARGO_PKG_VERSION"))));
    for absent in ["accept-encoding", "content-encoding", "referer", "authorization", "transfer-encoding", "expect"] {
        assert_eq!(seen.header(absent), None, "{absent}");
    }
}

#[test]
fn an_empty_payload_says_its_length() {
    let server = answering(OK);
    let client = Client::new(options(server.url())).unwrap();
    assert_eq!(runtime().block_on(client.send(payload(""), LONG)).unwrap().status, 204);
    assert_eq!(server.end()[0].header("content-length"), Some("0"));
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    // Three more requests come over the one connection; another connection would be refused.
    let server = Server::one(|mut stream| {
        Seen::read(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        for _ in 0..3 {
            assert_eq!(Seen::read(&mut stream).body, b"again");
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").unwrap();
        }
    });
    let client = Client::new(options(server.url())).unwrap();
    runtime().block_on(async {
        assert_eq!(client.send(payload("first"), LONG).await.unwrap().body, b"ok");
        for _ in 0..3 {
            assert_eq!(client.send(payload("again"), LONG).await.unwrap().body, b"ok");
        }
    });
    server.end();
}

#[test]
fn several_requests_are_in_flight_at_once() {
    // No answer before all have arrived.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let store = std::thread::spawn(move || {
        let mut streams: Vec<_> = (0..4).map(|_| listener.accept().unwrap().0).collect();
        let mut bodies: Vec<_> = streams.iter_mut().map(|stream| Seen::read(stream).body).collect();
        streams.iter_mut().for_each(|stream| stream.write_all(OK.as_bytes()).unwrap());
        bodies.sort();
        bodies
    });
    let client = Client::new(options(url)).unwrap();
    let all = ["1", "2", "3", "4"].map(|body| client.send(payload(body), LONG));
    for reply in runtime().block_on(futures_util::future::join_all(all)) {
        assert_eq!(reply.unwrap().status, 204);
    }
    assert_eq!(store.join().unwrap(), ["1", "2", "3", "4"].map(|body| body.as_bytes().to_vec()));
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_costs_no_request() {
    let (close, closed) = mpsc::channel::<()>();
    let first: Script<Vec<u8>> = Box::new(move |mut stream| {
        let body = Seen::read(&mut stream).body;
        stream.write_all(OK.as_bytes()).unwrap();
        closed.recv().unwrap();
        body
    });
    let second: Script<Vec<u8>> = Box::new(|mut stream| {
        let body = Seen::read(&mut stream).body;
        stream.write_all(OK.as_bytes()).unwrap();
        body
    });
    let server = Server::new(vec![first, second]);
    let client = Client::new(options(server.url())).unwrap();
    runtime().block_on(async {
        client.send(payload("1"), LONG).await.unwrap();
        close.send(()).unwrap();
        // Either the client has seen the end already, or the attempt fails as a reset one and is made again by the lane.
        while let Err(failure) = client.send(payload("2"), LONG).await {
            assert_eq!(failure.kind, FailureKind::Reset, "{failure}");
        }
    });
    assert_eq!(server.end(), [b"1", b"2"]);
}

#[test]
fn a_body_is_compressed_where_the_user_asks_and_the_store_takes_it() {
    let text = "the same line again\n".repeat(1000);
    for (compression, takes_gzip, encoded, expected) in [
        (Compression::Gzip, true, None, Some("gzip")),
        (Compression::Gzip, false, None, None),
        (Compression::None, true, None, None),
        (Compression::Gzip, true, Some("snappy"), Some("snappy")),
    ] {
        let server = answering(OK);
        let client = Client::new(Options { compression, takes_gzip, ..options(server.url()) }).unwrap();
        let mut sent = Payload::post("text/plain", text.clone().into());
        if let Some(encoding) = encoded {
            sent = sent.encoded(encoding);
        }
        runtime().block_on(client.send(sent, LONG)).unwrap();
        let seen = &server.end()[0];
        assert_eq!(seen.header("content-encoding"), expected);
        if expected == Some("gzip") {
            let mut unpacked = String::new();
            flate2::read::GzDecoder::new(seen.body.as_slice()).read_to_string(&mut unpacked).unwrap();
            assert!(unpacked == text && seen.body.len() < text.len() / 10);
        } else {
            assert_eq!(seen.body, text.as_bytes());
        }
    }
}

#[test]
fn credentials_become_headers() {
    let dir = Dir::new();
    let basic = Credentials {
        user: Some(Secret::value("Aladdin")),
        password: Some(Secret::file(dir.file("password", "open sesame\r\n"))),
        tenant: Some(Secret::value("team-a")),
        headers: vec![("x-key".into(), Secret::value("über"))],
        ..Credentials::default()
    };
    let server = answering(OK);
    send(Options { credentials: basic, ..options(server.url()) }, LONG).unwrap();
    let seen = &server.end()[0];
    assert_eq!(seen.header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    assert_eq!(seen.header("x-scope-orgid"), Some("team-a"));
    assert_eq!(seen.header("x-key"), Some("über"));

    let server = answering(OK);
    send(Options { credentials: token("abc.d-e_f=="), ..options(server.url()) }, LONG).unwrap();
    assert_eq!(server.end()[0].header("authorization"), Some("Bearer abc.d-e_f=="));
}

#[test]
fn a_token_file_is_read_again_when_asked_and_a_lost_file_keeps_the_last_token() {
    let dir = Dir::new();
    let path = dir.file("token", "first\n");
    let script = |mut stream: std::net::TcpStream| {
        let mut tokens = Vec::new();
        for _ in 0..3 {
            tokens.push(Seen::read(&mut stream).header("authorization").unwrap().to_owned());
            stream.write_all(OK.as_bytes()).unwrap();
        }
        tokens
    };
    let server = Server::one(script);
    let credentials = Credentials { token: Some(Secret::file(&path)), ..Credentials::default() };
    let client = Client::new(Options { credentials, ..options(server.url()) }).unwrap();
    runtime().block_on(async {
        client.send(payload("1"), LONG).await.unwrap();
        assert!(!client.refresh());
        dir.file("token", "second");
        assert!(client.refresh());
        client.send(payload("2"), LONG).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!client.refresh());
        let complaint = client.complaint().unwrap();
        assert!(complaint.contains("token_file") && complaint.contains(path.to_str().unwrap()), "{complaint}");
        client.send(payload("3"), LONG).await.unwrap();
    });
    assert_eq!(server.end()[0], ["Bearer first", "Bearer second", "Bearer second"]);
}

#[test]
fn a_changed_file_is_noticed_at_a_look_a_second() {
    let dir = Dir::new();
    let path = dir.file("token", "first");
    let credentials = Credentials { token: Some(Secret::file(&path)), ..Credentials::default() };
    let start = Instant::now();
    let shown =
        super::super::auth::Shown { token: crate::backend::TokenAs::Authorization("Bearer"), tenant: "x-scope-orgid" };
    let mut auth = super::super::auth::Auth::new(credentials, Default::default(), shown, start).unwrap();
    // Another length, so that the test does not hang on how fine the file system's clock is.
    dir.file("token", "the second");
    let at = |auth: &mut super::super::auth::Auth, ms| {
        let headers = auth.ready(start + Duration::from_millis(ms));
        headers["authorization"].to_str().unwrap().to_owned()
    };
    assert_eq!(at(&mut auth, 999), "Bearer first");
    assert_eq!(at(&mut auth, 1000), "Bearer the second".replace("the second", "first"));
    assert!(auth.complaint().unwrap().contains("bare token"));
    dir.file("token", "third");
    assert_eq!(at(&mut auth, 2000), "Bearer third");
    assert_eq!(auth.complaint(), None);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(at(&mut auth, 3000), "Bearer third");
    dir.file("token", "the-fourth");
    assert_eq!(at(&mut auth, 4000), "Bearer the-fourth");
}

#[test]
fn b7_what_cannot_be_a_header_is_refused_and_not_shown() {
    let dir = Dir::new();
    for bad in ["can\rary", "can\nary", "canary\r\nX-Evil: 1", "canary\0", "\u{7f}canary"] {
        let tenant = Credentials { tenant: Some(Secret::value(bad)), ..Credentials::default() };
        let basic = |user: &str, word: &str| Credentials {
            user: Some(Secret::value(user)),
            password: Some(Secret::value(word)),
            ..Credentials::default()
        };
        for (credentials, setting) in [
            (token(bad), "token"),
            (header("x-key", bad), "headers"),
            (header(bad, "canary"), "headers"),
            (tenant, "tenant"),
            (basic(bad, "canary"), "user"),
            (basic("me", bad), "password"),
        ] {
            let said = refusal(with(credentials));
            assert!(said.starts_with(setting) && !said.contains("ary"), "{said}");
        }
    }
    for bad in ["Bearer canary", "", " canary", "canary canary", "canary\u{e9}"] {
        let said = refusal(with(token(bad)));
        assert!(said.starts_with("token is") && !said.contains("canary"), "{said}");
    }
    for name in ["", "x key", "x:key", "Content-Length", "transfer-encoding", "Accept-Encoding", "content-type"] {
        assert!(refusal(with(header(name, "canary"))).starts_with("headers is"), "{name}");
    }
    for (name, content, why) in [
        ("binary", &b"\xff\xfe"[..], "holds text"),
        ("empty", b"", "not empty"),
        ("line-break", b"\n", "not empty"),
        ("two-lines", b"canary\ncanary\n", "one line"),
        ("long", &[b'x'; 70_000], "larger than"),
    ] {
        let file = Credentials { token: Some(Secret::file(dir.file(name, content))), ..Credentials::default() };
        let said = refusal(with(file));
        assert!(said.starts_with("token_file is") && said.contains(name) && said.contains(why), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
    for missing in [dir.path().join("missing"), dir.path().to_path_buf()] {
        let file = Credentials { token: Some(Secret::file(missing)), ..Credentials::default() };
        assert!(refusal(with(file)).starts_with("token_file is"));
    }
}

#[test]
fn b7_credentials_that_contradict_each_other_are_refused() {
    let (some, none) = (|| Some(Secret::value("canary")), || None);
    for (token, user, password, setting) in [
        (some(), some(), some(), "token"),
        (some(), some(), none(), "token"),
        (some(), none(), some(), "token"),
        (none(), some(), none(), "user"),
        (none(), none(), some(), "password"),
        (none(), Some(Secret::value("can:ary")), some(), "user"),
    ] {
        let said = refusal(with(Credentials { token, user, password, ..Credentials::default() }));
        assert!(said.starts_with(&format!("{setting} is")) && !said.contains("canary"), "{said}");
    }
    let mut both = header("Authorization", "canary");
    both.token = some();
    assert!(refusal(with(both)).starts_with("headers is"));
    let mut both = header("X-Scope-OrgID", "canary");
    both.tenant = some();
    assert!(refusal(with(both)).starts_with("tenant is"));
    let mut twice = header("x-key", "canary");
    twice.headers.push(("X-Key".into(), Secret::value("canary")));
    assert!(refusal(with(twice)).contains("named once"));
}

#[test]
fn b7_a_credential_goes_over_plain_http_to_this_machine_only_unless_allowed() {
    let basic =
        Credentials { user: Some(Secret::value("me")), password: Some(Secret::value("x")), ..Credentials::default() };
    for credentials in [token("canary"), basic, header("X-Api-Key", "canary"), header("Authorization", "canary")] {
        let at = |url: &str| Options { credentials: credentials.clone(), ..options(url) };
        let said = refusal(at("http://loki:3100/?key=canary"));
        assert!(said.starts_with("url is") && said.contains("LOGCHUTE_ALLOW_HTTP"), "{said}");
        assert!(!said.contains("canary"), "{said}");
        assert!(Client::new(at("http://localhost:3100")).is_ok());
        assert!(Client::new(at("http://[::1]:3100")).is_ok());
        assert!(Client::new(Options { allow_http: true, ..at("http://loki:3100") }).is_ok());
    }
    // Where records go, or how they are read, is no secret.
    for name in ["VL-Stream-Fields", "AccountID", "X-Scope-OrgID"] {
        assert!(Client::new(Options { credentials: header(name, "1"), ..options("http://vlogs:9428") }).is_ok());
    }
    let tenant = Credentials { tenant: Some(Secret::value("a")), ..Credentials::default() };
    assert!(Client::new(Options { credentials: tenant, ..options("http://loki:3100") }).is_ok());
}

#[test]
fn b8_no_secret_is_shown() {
    let credentials = || Credentials {
        token: Some(Secret::value("canary")),
        headers: vec![("x-key".into(), Secret::value("canary"))],
        tenant: Some(Secret::value("canary")),
        ..Credentials::default()
    };
    let url = "http://127.0.0.1:1/in?key=canary&canary";
    let options = Options { credentials: credentials(), ..options(url) };
    let client = Client::new(options.clone()).unwrap();
    let failure = runtime().block_on(client.send(payload("hello"), LONG)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Connect);
    let shown = format!(
        "{:?} {:?} {} {client:?} {} {failure:?} {failure}",
        options.credentials,
        Secret::value("canary"),
        Secret::value("canary"),
        client.url()
    );
    assert!(!shown.contains("canary"), "{shown}");
    for url in [url, "http://me:canary@host/"] {
        let shown = format!("{:?}", Options { url: url.into(), ..options.clone() });
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn a_refused_port_is_told_with_its_setting() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let failure = send(options(format!("http://127.0.0.1:{port}/in?k=v")), LONG).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Connect);
    assert!(failure.text.contains(&format!("nobody listens at http://127.0.0.1:{port}/in?k=***")), "{failure}");
    assert!(failure.text.contains("LOGCHUTE_URL"), "{failure}");
}

#[test]
fn n7_a_name_that_does_not_exist_is_told() {
    // A label of more than 63 bytes cannot be asked for, so no name server is needed to say no.
    let host = format!("{}.invalid", "x".repeat(64));
    let failure = send(options(format!("http://{host}:3100/")), LONG).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Resolve, "{failure}");
    assert!(failure.text.contains(&host) && failure.text.contains("LOGCHUTE_URL"), "{failure}");
}

/// Sends to `WIRE_URL`, in a process with proxy settings; see the next test.
#[test]
fn sends_once() {
    if let Ok(url) = std::env::var("WIRE_URL") {
        assert_eq!(send(options(url), LONG).unwrap().status, 204);
    }
}

#[test]
fn b7_the_usual_variables_choose_a_proxy_but_never_for_this_machine() {
    let test = "wire::tests::plain::sends_once";
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let proxy = answering(OK);
        let there = format!("http://me:word@{}", proxy.address);
        alone(test, &[(name, &there), ("WIRE_URL", "http://store.invalid:3100/in")]);
        let seen = &proxy.end()[0];
        assert!(seen.head.starts_with("POST http://store.invalid:3100/in HTTP/1.1\r\n"), "{}", seen.head);
        assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6d29yZA=="));
    }
    // Nobody listens at this proxy, so only direct requests arrive.
    let dead = "http://127.0.0.1:1";
    let store = answering(OK);
    alone(test, &[("HTTP_PROXY", dead), ("ALL_PROXY", dead), ("WIRE_URL", &store.url())]);
    assert!(store.end()[0].head.starts_with("POST /in "));
}

#[test]
fn a_large_body_arrives_whole() {
    let body = "0123456789abcdef".repeat(4 * 65536);
    let server = answering(OK);
    let client = Client::new(options(server.url())).unwrap();
    assert_eq!(runtime().block_on(client.send(payload(&body), LONG)).unwrap().status, 204);
    assert!(server.end()[0].body == body.as_bytes());
}

#[cfg(not(feature = "tls"))]
#[test]
fn b7_what_needs_tls_is_refused_without_it() {
    let file = Some(std::path::PathBuf::from("x.pem"));
    for (refused, setting) in [
        (options("https://host/"), "url"),
        (Options { ca: file.clone(), ..options("http://host/") }, "ca"),
        (Options { cert: file.clone(), ..options("http://host/") }, "cert"),
        (Options { key: file, ..options("http://host/") }, "key"),
    ] {
        let said = refusal(refused);
        assert!(said.starts_with(&format!("{setting} is")) && said.contains("feature `tls`"), "{said}");
    }
}

//! Servers that stall, flood, redirect and pretend.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::super::http::Client;
use super::super::testing::{LONG, Seen, Server, answering, options, payload, runtime, send, to_the_end};
use super::super::{Credentials, FailureKind, Options, Secret};
use crate::backend::Payload;

const SHORT: Duration = Duration::from_millis(300);

/// Sends, then keeps the runtime going until the server is done with the connection: it must see it closed.
fn send_to<T: Send + 'static>(
    server: Server<T>,
    body: Payload,
    timeout: Duration,
) -> (Result<crate::backend::Reply, super::super::Failure>, T) {
    let client = Client::new(options(server.url())).unwrap();
    let begun = Instant::now();
    let result = runtime().block_on(async {
        let result = client.send(body, timeout).await;
        let seen = tokio::task::spawn_blocking(|| server.end()).await.unwrap();
        (result, seen.into_iter().next().unwrap())
    });
    assert!(begun.elapsed() < timeout + Duration::from_secs(2), "the deadline was not kept");
    result
}

#[test]
fn n4_a_store_that_never_reads_is_left_at_the_deadline() {
    let length = 32 * 1024 * 1024;
    let (late, told) = mpsc::channel::<()>();
    let server = Server::one(move |mut stream| {
        told.recv().unwrap_err();
        to_the_end(&mut stream)
    });
    let client = Client::new(options(server.url())).unwrap();
    let (failure, read) = runtime().block_on(async {
        let failure = client.send(Payload::post("text/plain", vec![b'x'; length]), SHORT).await.unwrap_err();
        drop(late);
        (failure, tokio::task::spawn_blocking(|| server.end()[0]).await.unwrap())
    });
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.text.contains("did not read the request within 300ms"), "{failure}");
    // What the system and the connection had buffered still arrives, no more.
    assert!(read < length / 2, "{read} of {length} bytes were sent");
}

#[test]
fn n4_a_store_that_never_answers_is_left_at_the_deadline() {
    let server = Server::one(|mut stream| {
        Seen::read(&mut stream);
        to_the_end(&mut stream)
    });
    let (result, _) = send_to(server, payload("hello"), SHORT);
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(
        failure.text.contains("did not answer within 300ms") && failure.text.contains("LOGCHUTE_TIMEOUT"),
        "{failure}"
    );
}

/// Writes the beginning, then a little at a time until the other side has closed.
fn dripping(beginning: &'static str, drop: &'static str) -> Server<()> {
    Server::one(move |mut stream| {
        Seen::read(&mut stream);
        stream.write_all(beginning.as_bytes()).unwrap();
        // Waits for what never comes; not to force an order, but to be slow.
        let (_keep, never) = mpsc::channel::<()>();
        while never.recv_timeout(Duration::from_millis(10)).is_err() && stream.write_all(drop.as_bytes()).is_ok() {}
    })
}

#[test]
fn n4_a_store_that_drips_is_left_at_the_deadline() {
    let (result, ()) = send_to(dripping("HTTP/1.1 200 OK\r\nX-Long: ", "x"), payload("hello"), SHORT);
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.text.contains("did not answer"), "{failure}");

    let (result, ()) =
        send_to(dripping("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", "x"), payload("hello"), SHORT);
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.text.contains("status 200 but did not finish"), "{failure}");
}

#[test]
fn n4_a_refusal_stands_though_its_body_never_ends() {
    let head = "HTTP/1.1 429 Slow down\r\nRetry-After: 9\r\nContent-Length: 100000\r\n\r\nwait";
    let (result, ()) = send_to(dripping(head, "x"), payload("hello"), SHORT);
    let reply = result.unwrap();
    assert_eq!((reply.status, reply.retry_after), (429, Some(Duration::from_secs(9))));
    assert!(reply.body.starts_with(b"wait"));
}

#[test]
fn n4_an_endless_body_is_cut_at_64_kib_and_the_connection_closed() {
    for head in ["Content-Length: 10000000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n", "\r\n"] {
        let server = Server::one(move |mut stream| {
            Seen::read(&mut stream);
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).unwrap();
            let part =
                if head.contains("chunked") { format!("1000\r\n{}\r\n", "x".repeat(4096)) } else { "x".repeat(4096) };
            while stream.write_all(part.as_bytes()).is_ok() {}
        });
        let (result, ()) = send_to(server, payload("hello"), LONG);
        let reply = result.unwrap();
        assert_eq!((reply.status, reply.body.len()), (200, 64 * 1024));
        assert!(reply.body.iter().all(|&byte| byte == b'x'));
    }
}

#[test]
fn p10_a_reply_with_headers_without_end_fails() {
    for (part, head) in [("X-Many: 1\r\n", ""), ("xxxxxxxxxxxxxxxx", "X-Long: ")] {
        let server = Server::one(move |mut stream| {
            Seen::read(&mut stream);
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes());
            while stream.write_all(part.repeat(1000).as_bytes()).is_ok() {}
        });
        let (result, ()) = send_to(server, payload("hello"), LONG);
        let failure = result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Other, "{failure}");
        assert!(failure.text.contains("more headers"), "{failure}");
    }
    // Informational answers are skipped, but not past the deadline.
    let (result, ()) = send_to(dripping("", "HTTP/1.1 102 Processing\r\n\r\n"), payload("hello"), SHORT);
    assert_eq!(result.unwrap_err().kind, FailureKind::Timeout);
}

#[test]
fn n5_a_body_is_not_unpacked() {
    let mut bomb = Vec::new();
    let mut packed = flate2::write::GzEncoder::new(&mut bomb, flate2::Compression::fast());
    packed.write_all(&vec![0; 2 * 1024 * 1024]).unwrap();
    packed.finish().unwrap();
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, gzip"] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", bomb.len());
        let server = answering([head.as_bytes(), &bomb].concat());
        assert!(send(options(server.url()), LONG).unwrap().body == bomb, "{encoding}");
        assert_eq!(server.end()[0].header("accept-encoding"), None);
    }
}

#[test]
fn n6_a_redirect_is_a_reply_and_the_token_goes_nowhere_else() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let other = format!("http://{}/", elsewhere.local_addr().unwrap());
    for status in [300, 301, 302, 303, 305, 307, 308] {
        for to in [other.as_str(), "http://169.254.169.254/", "/in", "file:///etc/passwd", "//evil.invalid/", "\u{1}"] {
            let server = answering(format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"));
            let credentials = Credentials { token: Some(Secret::value("canary")), ..Credentials::default() };
            let result = send(Options { credentials, ..options(server.url()) }, LONG);
            match result {
                Ok(reply) => assert_eq!(reply.status, status),
                // A header that is none ends the reply.
                Err(failure) => assert!(to == "\u{1}" && !failure.text.contains("canary"), "{failure}"),
            }
            // One connection was served, and the listener is closed: going round in a circle would have failed.
            assert_eq!(server.end()[0].header("authorization"), Some("Bearer canary"));
        }
    }
    assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn n3_a_connection_that_breaks_off_is_told() {
    for answer in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        let server = Server::one(move |mut stream| {
            Seen::read(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let failure = send(options(server.url()), LONG).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Reset, "{answer:?}: {failure}");
        server.end();
    }
    // Unread bytes in its buffer make the system answer with a reset.
    let server = Server::one(|mut stream| stream.read_exact(&mut [0]).unwrap());
    let failure = send(options(server.url()), LONG).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Reset, "{failure}");
    server.end();
}

#[test]
fn what_is_no_http_is_told() {
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{16}",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
    ] {
        let server = answering(answer);
        let failure = send(options(server.url()), LONG).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Other, "{answer:?}: {failure}");
        assert!(failure.text.contains("did not answer in HTTP/1.1") && failure.text.contains("https://"), "{failure}");
        server.end();
    }
}

#[test]
fn an_attempt_that_is_dropped_closes_its_connection() {
    let (reached, here) = mpsc::channel();
    let server = Server::one(move |mut stream| {
        Seen::read(&mut stream);
        reached.send(()).unwrap();
        to_the_end(&mut stream)
    });
    let client = Client::new(options(server.url())).unwrap();
    runtime().block_on(async {
        let mut attempt = Box::pin(client.send(payload("hello"), LONG));
        let here = tokio::task::spawn_blocking(move || here.recv().unwrap());
        tokio::select! {
            _ = &mut attempt => panic!("answered"),
            _ = here => {}
        }
        drop(attempt);
        tokio::task::spawn_blocking(|| server.end()).await.unwrap();
    });
}

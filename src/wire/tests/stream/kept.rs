//! Connections that are kept: used again, found closed, dropped.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use super::super::super::FailureKind;
use super::super::super::testing::{LONG, Script, Server, runtime, to_the_end};
use super::{bare, client, kind, line, lines, mute, named, polite, to};
use crate::wire::stream::Client;

#[test]
fn payloads_share_a_connection() {
    let server = Server::new(vec![polite(3)]);
    let client = client(&server);
    runtime().block_on(async {
        for name in ["a", "b", "c"] {
            assert_eq!(client.send(named(name), LONG, &lines).await.unwrap().status, 200);
        }
    });
    assert_eq!(server.end(), [["a", "b", "c"]]);
}

#[test]
fn payloads_at_once_have_a_connection_each_which_are_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let store = std::thread::spawn(move || {
        // No ack before all have arrived.
        let mut streams: Vec<TcpStream> = (0..3)
            .map(|_| {
                let mut stream = listener.accept().unwrap().0;
                stream.write_all(b"welcome\n").unwrap();
                stream
            })
            .collect();
        for _ in 0..2 {
            let mut names: Vec<String> = streams.iter().map(line).collect();
            streams.iter_mut().zip(&names).for_each(|(stream, name)| writeln!(stream, "ack {name}").unwrap());
            names.sort();
            assert_eq!(names, ["a", "b", "c"]);
        }
    });
    let client = Client::new(to(url)).unwrap();
    runtime().block_on(async {
        for _ in 0..2 {
            let all = ["a", "b", "c"].map(|name| client.send(named(name), LONG, &lines));
            for reply in futures_util::future::join_all(all).await {
                assert_eq!(reply.unwrap().status, 200);
            }
        }
    });
    store.join().unwrap();
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_costs_no_payload() {
    let (closed, is_closed) = mpsc::channel::<()>();
    let first: Script<Vec<String>> = Box::new(move |mut stream| {
        stream.write_all(b"welcome\n").unwrap();
        let name = line(&stream);
        writeln!(stream, "ack {name}").unwrap();
        drop(stream);
        closed.send(()).unwrap();
        vec![name]
    });
    let server = Server::new(vec![first, polite(1)]);
    let client = client(&server);
    runtime().block_on(async {
        client.send(named("a"), LONG, &lines).await.unwrap();
        // This thread waits, so the runtime has not looked at the connection since.
        is_closed.recv().unwrap();
        client.send(named("b"), LONG, &lines).await.unwrap();
    });
    assert_eq!(server.end(), [["a"], ["b"]]);
}

#[test]
fn without_acks_too_a_store_that_has_left_is_noticed_before_anything_is_written() {
    let ((close, may_close), (closed, is_closed)) = (mpsc::channel::<()>(), mpsc::channel::<()>());
    let first: Script<String> = Box::new(move |stream| {
        let text = line(&stream);
        may_close.recv().unwrap();
        drop(stream);
        closed.send(()).unwrap();
        text
    });
    let second: Script<String> = Box::new(|mut stream| {
        let text = line(&stream);
        to_the_end(&mut stream);
        text
    });
    let server = Server::new(vec![first, second]);
    let client = client(&server);
    runtime().block_on(async {
        assert_eq!(client.send(bare("a"), LONG, &mute).await.unwrap().status, 200);
        close.send(()).unwrap();
        is_closed.recv().unwrap();
        assert_eq!(client.send(bare("b"), LONG, &mute).await.unwrap().status, 200);
    });
    assert_eq!(server.end(), ["a", "b"]);
}

#[test]
fn without_acks_a_store_that_leaves_while_it_is_written_to_is_a_failure() {
    // What the system has buffered it takes; a payload that is larger must be read, and is not.
    let server = Server::one(|mut stream: TcpStream| {
        stream.read_exact(&mut [0; 1024]).unwrap();
    });
    let client = client(&server);
    let payload = bare(&"x".repeat(32 * 1024 * 1024));
    let (kind, text) = kind(runtime().block_on(client.send(payload, LONG, &mute)));
    assert_eq!(kind, FailureKind::Reset);
    assert!(text.contains("while records were written") && text.contains("LOGCHUTE_BATCH_BYTES"), "{text}");
    server.end();
}

#[test]
fn a_connection_is_dropped_after_half_a_minute_without_a_payload() {
    let server = Server::new(vec![polite(1), polite(1)]);
    let client = client(&server);
    runtime().block_on(async {
        client.send(named("a"), LONG, &lines).await.unwrap();
        tokio::time::pause();
        // The server waits for the end of the first connection before it takes the second one.
        tokio::time::advance(Duration::from_secs(31)).await;
        tokio::task::yield_now().await;
        tokio::time::resume();
        client.send(named("b"), LONG, &lines).await.unwrap();
    });
    assert_eq!(server.end(), [["a"], ["b"]]);
}

#[test]
fn connections_go_with_their_runtime_and_the_next_one_opens_new_ones() {
    let server = Server::new(vec![polite(2), polite(1)]);
    let client = client(&server);
    let first = runtime();
    first.block_on(async {
        client.send(named("a"), LONG, &lines).await.unwrap();
        client.send(named("b"), LONG, &lines).await.unwrap();
    });
    first.shutdown_background();
    // The second script begins when the first connection has ended.
    runtime().block_on(async { client.send(named("c"), LONG, &lines).await.unwrap() });
    assert_eq!(server.end(), [vec!["a", "b"], vec!["c"]]);
}

#[test]
fn an_attempt_that_is_dropped_closes_its_connection() {
    let (begun, has_begun) = mpsc::channel::<()>();
    let server = Server::one(move |mut stream: TcpStream| {
        stream.write_all(b"welcome\n").unwrap();
        let name = line(&stream);
        begun.send(()).unwrap();
        (name, to_the_end(&mut stream))
    });
    let client = client(&server);
    runtime().block_on(async {
        let sending = std::pin::pin!(client.send(named("a"), LONG, &lines));
        let begun = std::pin::pin!(tokio::task::spawn_blocking(move || has_begun.recv().unwrap()));
        futures_util::future::select(sending, begun).await;
    });
    assert_eq!(server.end(), [("a".to_owned(), 0)]);
}

//! A whole pipeline to a server that speaks Fluent Forward, in this process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use logchute::backend::Forward;
use logchute::{Builder, Compression, Record, Severity};

const LONG: Duration = Duration::from_secs(20);

/// Reads until the text is there, and what stands behind it up to that length.
fn until(stream: &mut TcpStream, seen: &mut Vec<u8>, text: &[u8], more: usize) -> Vec<u8> {
    loop {
        if let Some(at) = seen.windows(text.len()).position(|part| part == text)
            && seen.len() >= at + text.len() + more
        {
            return seen[at + text.len()..at + text.len() + more].to_vec();
        }
        let mut part = [0; 4096];
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "the connection ended");
        seen.extend_from_slice(&part[..count]);
    }
}

/// Reads a message, and gives back the chunk that it wants to have acknowledged.
fn message(stream: &mut TcpStream) -> (Vec<u8>, Vec<u8>) {
    let mut seen = Vec::new();
    // A text of 33 to 255 bytes, whose length stands before it.
    let len = until(stream, &mut seen, b"\xa5chunk\xd9", 1)[0];
    let chunk = until(stream, &mut seen, b"\xa5chunk\xd9", 1 + usize::from(len)).split_off(1);
    until(stream, &mut seen, b"\xa4size", 1);
    (seen, chunk)
}

fn acknowledge(stream: &mut TcpStream, chunk: &[u8]) {
    let ack = [&b"\x81\xa3ack\xd9"[..], &[chunk.len() as u8], chunk].concat();
    stream.write_all(&ack).unwrap();
}

fn server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn a_server_that_leaves_without_an_ack_gets_the_same_message_again() {
    let (listener, url) = server();
    let store = std::thread::spawn(move || {
        let first = message(&mut listener.accept().unwrap().0).1;
        let mut stream = listener.accept().unwrap().0;
        let (seen, again) = message(&mut stream);
        acknowledge(&mut stream, &again);
        let _ = stream.read(&mut [0]);
        (first == again, seen)
    });
    let logs = Builder::new().no_tee().send_to(Forward::new(&url)).on_diagnostic(|_| {}).start().unwrap();
    logs.emit(Record::new(Severity::Error, "hello").field("n", 7));
    let report = logs.shutdown(LONG);
    let ledger = report.ledger();
    assert!(report.settled() && ledger.balances() && ledger.destinations[0].delivered == 1, "{report}");
    drop(logs);
    let (is_same, seen) = store.join().unwrap();
    assert!(is_same, "another chunk the second time");
    assert!(seen.windows(5).any(|part| part == b"hello"));
}

#[test]
fn the_compression_of_the_pipeline_is_that_of_the_entries() {
    let (listener, url) = server();
    let store = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let (seen, chunk) = message(&mut stream);
        acknowledge(&mut stream, &chunk);
        let _ = stream.read(&mut [0]);
        seen
    });
    let logs = Builder::new().no_tee().compression(Compression::Gzip).send_to(Forward::new(&url)).start().unwrap();
    logs.emit(Record::new(Severity::Error, "hello hello hello hello"));
    assert!(logs.shutdown(LONG).settled());
    drop(logs);
    let seen = store.join().unwrap();
    assert!(!seen.windows(5).any(|part| part == b"hello"), "it is not compressed");
}

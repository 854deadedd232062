//! What the store promises to the tests that rely on it. The clients are plain sockets, so that each byte counts.

mod faults;
mod formats;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::*;

/// Longer than any of this takes; never waited for in full.
const LIMIT: Duration = Duration::from_secs(30);

const NDJSON: &str = "application/x-ndjson";
const PUSH: &str = "/loki/api/v1/push";

fn connect(store: &Store) -> TcpStream {
    let client = TcpStream::connect(store.addr()).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client
}

fn request(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: here\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// What comes back until the store closes the connection.
fn exchange(store: &Store, request: &[u8]) -> io::Result<Vec<u8>> {
    let (mut client, mut answer) = (connect(store), Vec::new());
    client.write_all(request)?;
    client.read_to_end(&mut answer)?;
    Ok(answer)
}

fn post_as(store: &Store, path: &str, headers: &str, body: &[u8]) -> u16 {
    let answer = exchange(store, &request(path, &format!("Connection: close\r\n{headers}"), body)).unwrap();
    status(&answer)
}

fn post(store: &Store, body: &str) -> u16 {
    post_as(store, "/ndjson", &format!("Content-Type: {NDJSON}\r\n"), body.as_bytes())
}

fn status(answer: &[u8]) -> u16 {
    let answer = String::from_utf8_lossy(answer);
    answer.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("{answer:?}"))[..3].parse().unwrap()
}

fn message(text: &str) -> String {
    format!("{{\"message\":\"{text}\"}}\n")
}

/// Reads an answer with a length from a connection that stays open.
fn next_answer(client: &mut TcpStream) -> String {
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let mut answer = String::from_utf8(answer).unwrap();
    let length =
        answer.split("Content-Length: ").nth(1).map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    client.take(length).read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn answers_come_in_the_order_of_the_script_and_then_all_is_well() {
    let store = Store::answering([Answer::unavailable(), Answer::status(400).body("no"), Answer::ok()]);
    let statuses: Vec<_> = ["a", "b", "c", "d"].iter().map(|text| post(&store, &message(text))).collect();
    assert_eq!(statuses, [503, 400, 200, 200]);
    assert_eq!(store.messages(), ["c", "d"], "only what was accepted is kept as a record");
    let asked: Vec<_> = store.requests().iter().map(|request| request.records()[0].message.clone()).collect();
    assert_eq!(asked, ["a", "b", "c", "d"]);
    assert!(store.requests().iter().map(Request::status).eq(statuses.into_iter().map(Some)));
    assert_eq!((store.count(), store.request_count(), store.connections()), (2, 4, 4));
}

#[test]
fn busy_asks_for_whole_seconds() {
    let store = Store::answering([Answer::busy(Duration::from_millis(20)), Answer::busy(Duration::from_millis(2_900))]);
    for expected in ["0", "2"] {
        let answer = exchange(&store, &request("/", "Connection: close\r\n", b"")).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 429 ") && answer.contains(&format!("Retry-After: {expected}\r\n")),
            "{answer}"
        );
    }
}

#[test]
fn all_is_well_is_204_on_the_push_path_of_loki_alone() {
    let store = Store::new();
    assert_eq!(post_as(&store, PUSH, "Content-Type: application/json\r\n", br#"{"streams":[]}"#), 204);
    assert_eq!(post(&store, ""), 200);
}

#[test]
fn a_strict_script_tells_of_surplus_requests_and_others_do_not() {
    let strict = Store::strict([Answer::ok()]);
    assert_eq!(post(&strict, &message("a")), 200);
    strict.assert_no_surplus();
    assert_eq!(post(&strict, &message("b")), 200);
    assert_eq!(strict.surplus(), 1);
    assert!(std::panic::catch_unwind(|| strict.assert_no_surplus()).is_err());

    let easy = Store::answering([]);
    post(&easy, &message("a"));
    easy.assert_no_surplus();
}

#[test]
fn a_closure_sees_the_records_and_refuses_the_poison() {
    let store = Store::with(|request| match request.records().iter().any(|record| record.message == "poison") {
        true => Answer::status(400),
        false => Answer::ok(),
    });
    assert_eq!(post(&store, &(message("good") + &message("poison"))), 400);
    assert_eq!(post(&store, &message("good")), 200);
    assert_eq!(store.messages(), ["good"]);
}

#[test]
fn a_gate_holds_an_answer_back_until_it_is_opened() {
    let gate = Gate::new();
    let store = Store::answering([Answer::held(&gate), Answer::ok()]);
    thread::scope(|scope| {
        let first = scope.spawn(|| post(&store, &message("first")));
        assert!(store.wait_for_requests(1, LIMIT));
        assert_eq!(store.requests()[0].status(), None, "it has arrived and waits");
        assert_eq!(post(&store, &message("second")), 200);
        assert_eq!(store.messages(), ["second"]);
        gate.open();
        assert_eq!(first.join().unwrap(), 200);
    });
    assert_eq!(store.messages(), ["second", "first"], "records are in the order of the answers");
    assert_eq!(store.requests()[0].records()[0].message, "first", "requests are in the order of arrival");
}

#[test]
fn a_record_is_there_before_its_client_can_ask_for_it() {
    let store = Store::new();
    for count in 1..=100 {
        assert_eq!(post(&store, &message("x")), 200);
        assert_eq!(store.count(), count);
    }
}

#[test]
fn waiting_ends_with_the_count_or_with_the_limit() {
    let store = Store::new();
    assert!(!store.wait_for(1, Duration::ZERO));
    thread::scope(|scope| {
        scope.spawn(|| post(&store, &(message("a") + &message("b"))));
        assert!(store.wait_for(2, LIMIT));
    });
}

#[test]
fn connections_are_used_again_for_bodies_of_either_kind() {
    let store = Store::answering([Answer::ok().body("one"), Answer::status(404), Answer::ok()]);
    let mut client = connect(&store);
    let head = format!("POST /ndjson?a=b HTTP/1.1\r\nHost: here\r\nX-Twice: 1\r\nContent-Type: {NDJSON}\r\n");
    let line = message("in chunks");
    let (left, right) = line.split_at(7);
    let (left, right) = (format!("{:x}\r\n{left}\r\n", left.len()), format!("{:X};ext=1\r\n{right}\r\n", right.len()));
    write!(client, "{head}Transfer-Encoding: chunked\r\n\r\n{left}{right}0\r\nTrailer: x\r\n\r\n").unwrap();
    assert!(next_answer(&mut client).ends_with("\r\n\r\none"));
    write!(client, "{head}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert_eq!(next_answer(&mut client), "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"{}\n").unwrap();
    assert!(next_answer(&mut client).starts_with("HTTP/1.1 404 "));
    // Two at once.
    let request = request("/ndjson", "Content-Type: application/json\r\n", message("x").as_bytes());
    client.write_all(&request.repeat(2)).unwrap();
    assert!(next_answer(&mut client).starts_with("HTTP/1.1 200 "));
    assert!(next_answer(&mut client).starts_with("HTTP/1.1 200 "));
    assert_eq!(store.messages(), ["in chunks", "x", "x"]);
    assert_eq!(store.connections(), 1);
    let first = &store.requests()[0];
    assert_eq!((first.path(), first.header("x-twice"), first.body()), ("/ndjson?a=b", Some("1"), line.as_bytes()));
}

#[test]
fn statuses_without_a_body_are_sent_without_a_length() {
    let store = Store::answering([Answer::status(204).body("x"), Answer::status(304).body("x"), Answer::status(199)]);
    for status in [204, 304, 199] {
        let mut client = connect(&store);
        client.write_all(&request("/", "Connection: close\r\n", b"")).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, format!("HTTP/1.1 {status} scripted\r\n\r\n"));
    }
}

#[tokio::test]
async fn a_real_client_gets_along_with_it() {
    let store = Store::answering([Answer::busy(Duration::from_secs(7)).body("slow down"), Answer::ok()]);
    let client = reqwest::Client::builder().no_proxy();
    // The client wants a provider even where nothing is encrypted, and takes the process's unless it is given one.
    #[cfg(feature = "tls")]
    let client = client.tls_backend_preconfigured({
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        config.unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
    });
    let client = client.build().unwrap();
    let body = message("x").repeat(10_000);
    let send = || client.post(store.url() + "/ndjson").header("Content-Type", NDJSON).body(body.clone()).send();
    let busy = send().await.unwrap();
    assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(busy.text().await.unwrap(), "slow down");
    assert_eq!(send().await.unwrap().bytes().await.unwrap(), "");
    assert_eq!((store.count(), store.connections()), (10_000, 1));
}

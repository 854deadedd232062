//! Answers that a store should never give, and stores that go away.

use std::sync::mpsc;

use flate2::read::MultiGzDecoder;

use super::*;

#[test]
fn a_closure_may_reset_what_it_has_read() {
    let store = Store::with(|_| Answer::reset());
    let answer = exchange(&store, &request("/", "", b"body"));
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn reset_is_a_reset_and_keeps_the_head() {
    let store = Store::answering([Answer::reset(), Answer::reset()]);
    for body in [&b""[..], &[b'x'; 1_000]] {
        let answer = exchange(&store, &request("/here?now=1", "", body));
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
    let requests = store.requests();
    assert_eq!((requests[0].method(), requests[0].path(), requests[0].status()), ("POST", "/here?now=1", None));
}

#[test]
fn reset_after_takes_that_many_bytes_or_the_whole_request() {
    let whole = request("/", "", b"the body");
    for bytes in [0, 1, 20, whole.len() - 1, whole.len(), 100_000] {
        let store = Store::answering([Answer::reset_after(bytes)]);
        let answer = exchange(&store, &whole);
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionReset, "after {bytes} bytes");
        assert_eq!(store.requests()[0].body(), &whole[..bytes.min(whole.len())]);
    }
}

#[test]
fn close_reads_the_request_and_says_nothing() {
    let store = Store::answering([Answer::close()]);
    assert_eq!(exchange(&store, &request("/", "", message("lost").as_bytes())).unwrap(), b"");
    assert_eq!((store.count(), store.requests()[0].status()), (0, None));
}

#[test]
fn close_after_head_keeps_the_records_though_the_answer_is_torn() {
    let store = Store::answering([Answer::close_after_head()]);
    let answer = exchange(&store, &request("/", &format!("Content-Type: {NDJSON}\r\n"), message("kept").as_bytes()));
    let answer = String::from_utf8(answer.unwrap()).unwrap();
    assert!(answer.contains("Content-Length: 27\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(store.messages(), ["kept"]);
}

#[test]
fn a_cut_answer_counts_where_its_head_is_whole() {
    let head = "HTTP/1.1 200 scripted\r\nContent-Length: 4\r\n\r\n".len();
    for (bytes, kept) in [(0, 0), (head - 1, 0), (head, 1), (head + 2, 1)] {
        let store = Store::answering([Answer::ok().body("body").cut_after(bytes)]);
        let mut client = connect(&store);
        client.write_all(&request("/", &format!("Content-Type: {NDJSON}\r\n"), message("x").as_bytes())).unwrap();
        let mut answer = vec![0; bytes];
        client.read_exact(&mut answer).unwrap();
        assert!(client.read(&mut [0]).is_err(), "no more than {bytes} bytes, then a reset");
        assert_eq!(store.count(), kept, "after {bytes} bytes");
    }
}

#[test]
fn silence_reads_all_and_ends_when_the_store_is_dropped() {
    let store = Store::answering([Answer::silence(), Answer::silence()]);
    let mut clients = [connect(&store), connect(&store)];
    for client in &mut clients {
        // More than sockets buffer, so that this ends only because the store reads.
        client.write_all(&request("/", "", &vec![b'x'; 16 << 20])).unwrap();
    }
    assert!(store.wait_for_requests(2, LIMIT));
    assert_eq!(store.requests()[0].body().len(), 16 << 20);
    drop(store);
    for client in &mut clients {
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_store_that_never_reads_lets_the_client_get_stuck_until_it_is_dropped() {
    let store = Store::answering([Answer::never_read()]);
    let mut client = connect(&store);
    let (told, tell) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || told.send(client.write_all(&request("/", "", &vec![b'x'; 64 << 20]))));
        assert!(store.wait_for_requests(1, LIMIT));
        assert!(tell.try_recv().is_err());
        assert_eq!((store.requests()[0].method(), store.requests()[0].body()), ("", &b""[..]));
        drop(store);
        assert!(tell.recv_timeout(LIMIT).unwrap().is_err());
    });
}

#[test]
fn closed_gates_and_slow_answers_do_not_hold_the_end_up() {
    let (gate, hour) = (Gate::new(), Duration::from_secs(3_600));
    let store = Store::answering([Answer::held(&gate), Answer::drip(hour), Answer::endless_headers()]);
    let mut clients = [connect(&store), connect(&store), connect(&store)];
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(&request("/", "", b"")).unwrap();
        assert!(store.wait_for_requests(number + 1, LIMIT));
    }
    let addr = store.addr();
    drop(store);
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_drip_is_an_answer_in_the_end() {
    let store = Store::answering([Answer::drip(Duration::from_micros(1)).with_status(201).body("slow")]);
    let answer = exchange(&store, &request("/", "Connection: close\r\n", b"")).unwrap();
    assert_eq!(status(&answer), 201);
    assert!(answer.ends_with(b"\r\n\r\nslow"));
}

#[test]
fn headers_without_end_never_become_an_answer() {
    let store = Store::answering([Answer::endless_headers()]);
    let mut client = connect(&store);
    client.write_all(&request("/", &format!("Content-Type: {NDJSON}\r\n"), message("x").as_bytes())).unwrap();
    let mut answer = Vec::new();
    (&client).take(1 << 20).read_to_end(&mut answer).unwrap();
    assert_eq!((status(&answer), answer.len()), (200, 1 << 20));
    assert!(!answer.windows(4).any(|end| end == b"\r\n\r\n"));
    assert_eq!(store.count(), 0);
}

#[test]
fn a_body_without_end_is_announced_or_comes_in_chunks() {
    let tera = 1_000_000_000_000;
    let store = Store::answering([
        Answer::endless_body(tera),
        Answer::endless_body(tera).chunked(),
        Answer::endless_body(70_000),
    ]);
    for (announced, begins) in
        [("Content-Length: 1000000000000\r\n\r\n", "xxx"), ("Transfer-Encoding: chunked\r\n\r\n", "10000\r\nxxx")]
    {
        let mut client = connect(&store);
        client.write_all(&request("/", "", b"")).unwrap();
        let mut answer = String::new();
        client.take(1 << 20).read_to_string(&mut answer).unwrap();
        assert!(answer.contains(&format!("{announced}{begins}")), "{}", &answer[..200]);
    }
    let answer = exchange(&store, &request("/", "", b"")).unwrap();
    assert_eq!(answer.iter().filter(|byte| **byte == b'x').count(), 70_000);
}

#[test]
fn garbage_and_redirects_are_sent_as_they_are() {
    let store = Store::answering([Answer::garbage(*b"\0\xFFno"), Answer::redirect(307, "file:///etc/passwd")]);
    assert_eq!(exchange(&store, &request("/", "", b"")).unwrap(), b"\0\xFFno");
    let answer = exchange(&store, &request("/", "Connection: close\r\n", b"")).unwrap();
    assert!(String::from_utf8(answer).unwrap().contains("Location: file:///etc/passwd\r\n"));
}

#[test]
fn bombs_are_small_until_they_are_unpacked() {
    let store = Store::answering(["gzip", "gzip, gzip", "zstd"].map(Answer::bomb));
    let bodies = [(); 3].map(|()| {
        let answer = exchange(&store, &request("/", "Connection: close\r\n", b"")).unwrap();
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        answer[head..].to_vec()
    });
    let unpack = |body: &[u8], most: u64| {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(body).take(most).read_to_end(&mut unpacked).unwrap();
        unpacked
    };
    assert!(bodies.iter().all(|body| body.len() <= 17 << 10), "{:?}", bodies.each_ref().map(Vec::len));
    assert!(unpack(&bodies[0], 1 << 30).len() >= 15 << 20);
    let inner = unpack(&bodies[1], 1 << 30);
    assert!(inner.len() > 500 << 10);
    assert_eq!(unpack(&inner, 2 << 20), vec![0; 2 << 20]);
    // No zstd is at hand: the blocks say how long they are, behind six bytes of head.
    let length: usize =
        bodies[2][6..].chunks(4).map(|block| u32::from_le_bytes([block[0], block[1], block[2], 0]) as usize >> 3).sum();
    assert_eq!(length, 512 << 20);
}

#[test]
fn what_is_no_http_is_refused_and_on_record() {
    let store = Store::answering([Answer::ok()]);
    assert_eq!(status(&exchange(&store, b"\x16\x03\x01 this is TLS\r\n\r\n").unwrap()), 400);
    assert!(store.requests()[0].fault().is_some());
}

#[test]
fn an_outage_refuses_connections_at_the_same_address_until_it_ends() {
    let store = Store::refusing();
    let refused = || TcpStream::connect(store.addr()).unwrap_err().kind();
    assert_eq!(refused(), io::ErrorKind::ConnectionRefused);
    store.come_back();
    let mut client = connect(&store);
    client.write_all(&request("/", &format!("Content-Type: {NDJSON}\r\n"), message("before").as_bytes())).unwrap();
    next_answer(&mut client);
    store.go_away();
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the outage ends what was connected");
    assert_eq!(refused(), io::ErrorKind::ConnectionRefused);
    store.come_back();
    post(&store, &message("after"));
    assert_eq!(store.messages(), ["before", "after"]);
}

#[test]
fn a_store_starts_where_another_one_was() {
    let first = Store::new();
    let addr = first.addr();
    assert!(Store::start_at(addr).is_err());
    drop(first);
    let second = Store::start_at(addr).unwrap();
    assert_eq!(second.url(), format!("http://{addr}"));
    assert_eq!(post(&second, &message("x")), 200);
}

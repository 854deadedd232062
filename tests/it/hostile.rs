//! Servers that do everything but answer: nothing is lost, nothing goes elsewhere, and memory stays flat.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use logchute::testing::{Answer, Store};
use logchute::{Overflow, Reason, Severity};

use crate::common::{
    LONG, Plain, SLACK, all_there, alone, books, dropped, emit, exactly_once, log, ms, record, resident, settle, to,
    until,
};

/// The store is hostile to the first requests and then well: what is said afterwards.
fn survive(answers: Vec<Answer>, records: usize, timeout: Duration) -> Store {
    let store = Store::answering(answers);
    let (builder, diary) = to(Plain::to(&store).quick());
    let logs = builder.timeout(timeout).start().unwrap();
    emit(&logs, records);
    let report = settle(&logs);
    assert_eq!(books(&report), (records as u64, 0, 0), "{report}");
    all_there(&store.records(), 1, records);
    let told = diary.about("does not take records");
    assert!(told.len() <= 1 && diary.lines().len() <= 2, "{:?}", diary.lines());
    store
}

#[test]
fn n3_reset_at_any_byte_of_the_request_loses_nothing() {
    for bytes in [0, 1, 10, 50, 100, 150, 199, 200, 201, 300, 511, 512, 1_024, 4_096, 65_536] {
        let store = survive(vec![Answer::reset_after(bytes); 2], 200, LONG);
        exactly_once(&store, 1, 200);
    }
    survive(vec![Answer::reset(); 3], 10, LONG);
}

#[test]
fn n3_reset_at_any_byte_of_the_answer_loses_nothing() {
    // The whole answer has 44 bytes.
    for bytes in 0..48 {
        survive(vec![Answer::ok().body("stored").cut_after(bytes)], 5, LONG);
    }
}

#[test]
fn n3_a_connection_that_is_closed_without_an_answer_loses_nothing() {
    let store = survive(vec![Answer::close(); 3], 100, LONG);
    exactly_once(&store, 1, 100);
    survive(vec![Answer::close_after_head(); 2], 100, LONG);
}

#[test]
fn n3_silence_ends_at_the_timeout() {
    let begun = Instant::now();
    // A busy machine may run out of time on a good answer as well, so that some come twice.
    survive(vec![Answer::silence(); 2], 100, ms(150));
    assert!(begun.elapsed() < ms(300) + SLACK);
}

#[test]
fn n3_a_store_that_is_away_gets_everything_when_it_is_back() {
    let store = Store::refusing();
    let logs = to(Plain::to(&store).quick()).0.start().unwrap();
    log(&logs, 4, 250, |_| {});
    assert!(!logs.flush(ms(50)).settled());
    store.come_back();
    let report = logs.flush(LONG);
    assert!(report.settled(), "{report}");
    // And again, in the midst of it.
    store.go_away();
    for seq in 251..=500 {
        logs.emit(record(1, seq));
    }
    assert!(!logs.flush(ms(50)).settled());
    store.come_back();
    let report = settle(&logs);
    assert_eq!(books(&report), (1_250, 0, 0), "{report}");
    assert_eq!((store.count(), store.distinct()), (1_250, 1_250));
}

#[test]
fn n3_refused_for_the_life_of_the_process_means_flat_memory_and_exact_books() {
    alone("hostile::n3_refused_for_the_life_of_the_process_means_flat_memory_and_exact_books", || {
        const EACH: usize = 20_000;
        let store = Store::refusing();
        let (builder, diary) = to(Plain::to(&store));
        let logs = builder.backlog_bytes(1 << 20).queue_bytes(1 << 20).start().unwrap();
        log(&logs, 4, 500, |_| {});
        let before = resident();
        log(&logs, 4, EACH, |_| {});
        let begun = Instant::now();
        let report = logs.flush(ms(200));
        assert!(!report.settled() && begun.elapsed() < ms(200) + SLACK);
        assert!(report.ledger().balances(), "{report}");
        let grown = resident().saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes more");
        let begun = Instant::now();
        let report = logs.shutdown(ms(200));
        assert!(begun.elapsed() < ms(200) + SLACK, "{:?}", begun.elapsed());
        assert!(!report.settled());
        let ledger = report.ledger();
        assert!(ledger.balances(), "{report}");
        assert_eq!(ledger.unsettled(), 0, "{report}");
        assert_eq!(ledger.emitted - ledger.own, 4 * (EACH as u64 + 500), "{report}");
        assert_eq!(ledger.lost(), ledger.emitted, "{report}");
        assert!(dropped(&report, Reason::BacklogFull) > 0 && dropped(&report, Reason::Deadline) > 0, "{report}");
        let told = diary.about("does not take records");
        assert!(told.len() == 1 && told[0].contains("nobody listens"), "{told:?}");
        assert_eq!(diary.about("at the end ").len(), 1);
        assert!(diary.lines().len() <= 6, "{:?}", diary.lines());
        assert_eq!((store.count(), store.connections()), (0, 0));
    });
}

#[test]
fn n4_a_store_that_does_not_read_ends_at_the_timeout() {
    // More than the system's buffers take.
    let store = Store::answering([Answer::never_read()]);
    let (builder, _) = to(Plain::to(&store).quick());
    let builder = builder.timeout(ms(400)).batch_bytes(16 << 20).backlog_bytes(128 << 20);
    let logs = builder.overflow(Overflow::Block(LONG)).start().unwrap();
    let text = "x".repeat(200_000);
    for _ in 0..60 {
        logs.emit(logchute::Record::new(Severity::Warn, text.clone()));
    }
    let report = settle(&logs);
    // On a busy machine the next attempt may run out of time as well, when all of it is there.
    assert_eq!((books(&report), store.distinct()), ((60, 0, 0), 60), "{report}");
}

#[test]
fn n4_an_answer_that_drips_ends_at_the_timeout() {
    // The head is complete only after 40 × 50 ms.
    survive(vec![Answer::drip(ms(50)); 2], 20, ms(200));
    survive(vec![Answer::drip(ms(50)).with_status(503); 2], 20, ms(200));
    // One that is in time is an answer like any other.
    let store = survive(vec![Answer::drip(ms(1)).body("stored")], 20, LONG);
    exactly_once(&store, 1, 20);
    assert_eq!(store.request_count(), 1);
}

#[test]
fn n4_endless_headers_and_bodies_cost_neither_memory_nor_records() {
    alone("hostile::n4_endless_headers_and_bodies_cost_neither_memory_nor_records", || {
        survive(vec![], 20, LONG);
        let before = resident();
        let store = survive(vec![Answer::endless_headers(); 2], 20, LONG);
        exactly_once(&store, 1, 20);
        let ten_gb = Answer::endless_body(10_000_000_000);
        let begun = Instant::now();
        // Taken by its status as soon as 64 KiB were read.
        for answer in [ten_gb.clone(), ten_gb.clone().chunked()] {
            let store = survive(vec![answer], 20, LONG);
            exactly_once(&store, 1, 20);
            assert_eq!(store.request_count(), 1);
        }
        for answer in [ten_gb.clone().with_status(503), ten_gb.chunked().with_status(503)] {
            let store = survive(vec![answer], 20, LONG);
            exactly_once(&store, 1, 20);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let grown = resident().saturating_sub(before);
        assert!(grown < 16 << 20, "{grown} bytes more");
    });
}

#[test]
fn n5_a_body_that_unpacks_to_half_a_gigabyte_is_not_unpacked() {
    alone("hostile::n5_a_body_that_unpacks_to_half_a_gigabyte_is_not_unpacked", || {
        survive(vec![], 20, LONG);
        let bombs = ["gzip", "gzip, gzip", "zstd", "br", "deflate", "nonsense"].map(Answer::bomb);
        let before = resident();
        for bomb in bombs {
            let store = survive(vec![bomb.clone().with_status(500), bomb], 20, LONG);
            exactly_once(&store, 1, 20);
            assert_eq!(store.request_count(), 2);
            assert!(store.requests().iter().all(|request| request.header("accept-encoding").is_none()));
        }
        let grown = resident().saturating_sub(before);
        assert!(grown < 16 << 20, "{grown} bytes more");
    });
}

#[test]
fn n4_what_is_not_http_is_a_failure_like_any_other() {
    let garbage: [&[u8]; 9] = [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc nonsense\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        &[0xFF; 4096],
    ];
    for bytes in garbage {
        let store = survive(vec![Answer::garbage(bytes); 2], 20, LONG);
        exactly_once(&store, 1, 20);
    }
}

#[test]
fn n6_redirects_are_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let there = elsewhere.local_addr().unwrap();
    for status in [300, 301, 302, 303, 307, 308] {
        let other = format!("http://{there}/");
        for location in [&*other, "//169.254.169.254/", "http://169.254.169.254/", "/plain", "file:///etc/passwd"] {
            let store = Store::answering([Answer::redirect(status, location)]);
            let destination = Plain::to(&store).quick().token("canary").header("x-key", "canary");
            let (builder, diary) = to(destination);
            let logs = builder.start().unwrap();
            emit(&logs, 10);
            let _ = logs.flush(ms(1));
            until("it is told", || !diary.about(&format!("status {status}")).is_empty());
            assert_eq!(store.request_count(), 1, "{status} {location}");
            let report = settle(&logs);
            assert_eq!(books(&report), (10, 0, 0), "{report}");
            exactly_once(&store, 1, 10);
            assert!(store.requests().iter().all(|request| request.path() == "/plain"));
            assert!(diary.about("canary").is_empty());
        }
    }
    assert!(elsewhere.accept().is_err(), "somebody followed");
}

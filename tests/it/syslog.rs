//! Syslog by TCP: nobody says what arrived, and the ledger does not claim to know.

use std::io::Read as _;
use std::net::TcpListener;
use std::thread;

use logchute::backend::{Delivery, Framing, Syslog};

use crate::common::{emit, settle, to};

#[test]
fn what_a_store_without_acknowledgement_got_is_told_as_best_effort() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let got = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let logs = to(Syslog::new(url).framing(Framing::Newline)).0.start().unwrap();
    emit(&logs, 100);
    let report = settle(&logs);
    let ledger = report.ledger();
    assert_eq!(ledger.destinations[0].delivery, Delivery::BestEffort);
    assert!(ledger.to_string().contains("100 delivered by best effort"), "{ledger}");
    let json: serde_json::Value = serde_json::from_str(&ledger.to_json()).unwrap();
    assert_eq!(json["destinations"][0]["delivery"], "best_effort");
    // The connection ends with the pipeline.
    drop(logs);
    assert_eq!(got.join().unwrap().lines().count(), 100);
}

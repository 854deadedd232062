//! OTLP: what no real receiver answers on demand.

use logchute::Destination;
use logchute::backend::{Encoding, Otlp};
use logchute::testing::{Answer, Request, Store};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use prost::Message as _;

use crate::common::{Every, books, emit, ms, settle, to};

fn destination(store: &Store) -> Destination {
    Destination::new(Otlp::new(store.url())).retry(Every(ms(1)))
}

/// How many records there are in a request.
fn records(request: &Request) -> usize {
    let request = ExportLogsServiceRequest::decode(request.unpacked()).unwrap();
    request.resource_logs.iter().flat_map(|of_one| &of_one.scope_logs).map(|scope| scope.log_records.len()).sum()
}

fn partial(rejected_log_records: i64, why: &str) -> Vec<u8> {
    let partial = ExportLogsPartialSuccess { rejected_log_records, error_message: why.to_owned() };
    ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
}

#[test]
fn n2_what_a_receiver_refused_is_counted_told_and_not_sent_again() {
    for (rejected, counted) in [(3, 3), (10, 10), (i64::MAX, 10)] {
        let store = Store::strict([Answer::ok().body(partial(rejected, "they are too old"))]);
        let (builder, diary) = to(destination(&store));
        let logs = builder.start().unwrap();
        emit(&logs, 10);
        let report = settle(&logs);
        assert_eq!(books(&report), (10 - counted, counted, 0), "{report}");
        assert!(!diary.about("they are too old").is_empty(), "{:?}", diary.lines());
        store.assert_no_surplus();
        assert_eq!(store.requests().iter().map(records).sum::<usize>(), 10);
    }
}

#[test]
fn n2_a_warning_is_told_and_all_are_delivered() {
    let store = Store::strict([Answer::ok().body(partial(0, "this endpoint will go away"))]);
    let (builder, diary) = to(destination(&store));
    let logs = builder.start().unwrap();
    emit(&logs, 10);
    let report = settle(&logs);
    assert_eq!(books(&report), (10, 0, 0), "{report}");
    assert!(!diary.about("this endpoint will go away").is_empty(), "{:?}", diary.lines());
    store.assert_no_surplus();
}

#[test]
fn a_request_that_is_too_large_for_a_receiver_is_halved_until_it_is_not() {
    for (status, said) in [
        (400, "http: request body too large"),
        (413, ""),
        (503, "grpc: received message larger than max (5002500 vs. 4194304)"),
    ] {
        let store = Store::with(move |request| match records(request) {
            0..=3 => Answer::ok(),
            _ => Answer::status(status).body(said),
        });
        let (builder, _) = to(destination(&store));
        let logs = builder.start().unwrap();
        emit(&logs, 20);
        let report = settle(&logs);
        assert_eq!(books(&report), (20, 0, 0), "{status}: {report}");
        let taken: usize = store.requests().iter().map(records).filter(|&records| records <= 3).sum();
        assert_eq!(taken, 20);
    }
}

#[test]
fn a_resend_is_the_same_to_the_byte() {
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let store = Store::strict([Answer::unavailable(), Answer::status(500), Answer::close(), Answer::ok()]);
        let (builder, _) = to(Destination::new(Otlp::new(store.url()).encoding(encoding)).retry(Every(ms(1))));
        let logs = builder.start().unwrap();
        emit(&logs, 10);
        let report = settle(&logs);
        assert_eq!(books(&report), (10, 0, 0), "{report}");
        let requests = store.requests();
        assert_eq!(requests.len(), 4);
        assert!(requests.iter().all(|request| request.body() == requests[0].body()));
        assert!(requests.iter().all(|request| request.path() == "/v1/logs"));
        store.assert_no_surplus();
    }
}

//! The variables of OpenTelemetry's exporters, as far as they are for logs.

use super::*;

const OTLP: (&str, &str) = ("LOGCHUTE_URL", "otlp");

#[test]
fn a_bare_name_goes_where_opentelemetry_would_with_what_it_would_bring() {
    let url = |variables: &[(&str, &str)]| {
        let got = settings(&[&[OTLP], variables].concat());
        assert!(got.remarks.is_empty(), "{:?}", got.remarks);
        got.destinations[0].backend.url().to_owned()
    };
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1/base/");
    let logs = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://localhost:2/as/it/is");
    assert_eq!(url(&[]), "http://localhost:4318/v1/logs");
    assert_eq!(url(&[base]), "http://localhost:1/base/v1/logs");
    assert_eq!(url(&[base, logs]), "http://localhost:2/as/it/is");

    let got = settings(&[
        OTLP,
        base,
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "9000"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ]);
    assert!(got.remarks.is_empty(), "{:?}", got.remarks);
    assert_eq!((got.lanes[0].timeout, got.lanes[0].compression), (Duration::from_millis(1500), Compression::Gzip));
    let headers = &got.destinations[0].reach.credentials.headers;
    assert_eq!(headers.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["api-key"]);
}

#[test]
fn grpc_is_refused_where_the_url_is_one_of_opentelemetrys_and_else_ignored() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let (name, value, must) = refusal(&[OTLP, grpc, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")]);
    assert_eq!((&*name, &*value), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"));
    assert!(must.contains("http/protobuf") && must.contains("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"), "{must}");
    let got = settings(&[("LOGCHUTE_URL", "otlp+http://collector:4318"), grpc]);
    assert_eq!(got.destinations[0].backend.url(), "http://collector:4318/v1/logs");
}

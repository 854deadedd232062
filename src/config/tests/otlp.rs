//! Which URL the variables of OpenTelemetry's exporters give; what else they say is in `foreign.rs`.

use super::*;

const OTLP: (&str, &str) = ("LOGCHUTE_URL", "otlp");

#[test]
fn a_bare_name_goes_where_opentelemetry_would() {
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

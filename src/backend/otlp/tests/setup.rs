//! Which receiver, by which URL and variables, in which encoding.

use super::*;

#[test]
fn a_base_url_and_the_url_of_logs_are_the_same() {
    for (given, url) in [
        ("http://h:4318", "http://h:4318/v1/logs"),
        ("http://h:4318/", "http://h:4318/v1/logs"),
        ("http://h:4318/v1/logs", "http://h:4318/v1/logs"),
        ("http://h:4318/v1/logs/", "http://h:4318/v1/logs"),
        ("https://h/otlp?a=b", "https://h/otlp/v1/logs?a=b"),
        ("https://h?", "https://h/v1/logs"),
    ] {
        assert_eq!(Otlp::new(given).url(), url);
    }
}

#[test]
fn stores_are_known_by_their_path() {
    let json = |base: &str| {
        let payload = with_batch(&Otlp::new(base).encoding(Encoding::Json), &ordinary(), &resource(), |batch| {
            Otlp::new(base).encoding(Encoding::Json).encode(batch)
        });
        matches!(payload, Payload::Http { content_type: "application/json", .. })
    };
    assert!(json("http://collector:4318") && json("http://loki:3100/otlp"));
    assert!(!json("http://vl:9428/insert/opentelemetry"), "VictoriaLogs takes protobuf only");
    assert!(loki().is_loki() && Otlp::new("http://gw/prefix/otlp?x=/api/").is_loki());
    assert!(!Otlp::new("http://h/api/v2/otlp").is_loki() && !otlp().is_loki());
    assert_eq!((loki().facts().most_bytes(), otlp().facts().most_bytes()), (1 << 20, 4 << 20));
}

fn built(
    name: &str,
    url: &str,
    variable: Option<&'static str>,
    variables: &[(&str, &str)],
) -> Result<(String, bool), Error> {
    let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let backend = build(&Setup { name, url, variable, promoted: &[], lookup: &lookup })?;
    let is_json = body(&*backend, &ordinary()).starts_with(b"{");
    Ok((backend.url().to_owned(), is_json))
}

#[test]
fn variables_of_opentelemetry_say_where_and_how() {
    let base = Some("OTEL_EXPORTER_OTLP_ENDPOINT");
    let logs = Some("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT");
    let of = |name, url, variable, variables: &[_]| built(name, url, variable, variables).unwrap();
    let json = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    assert_eq!(of("otlp", "http://h:4318", base, &[]), ("http://h:4318/v1/logs".to_owned(), false));
    assert_eq!(of("otlp", "http://h:4318/mine", logs, &[]), ("http://h:4318/mine".to_owned(), false));
    assert!(of("otlp", "http://h", base, &json).1 && of("otlp", "http://h", None, &json).1);
    assert!(of("otlp-json", "http://h", None, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).1);
    let both = [("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"), json[0]];
    assert!(!of("otlp", "http://h", base, &both).1, "the variable for logs goes first");
    assert!(!of("otlp", "http://h", base, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke")]).1);
    assert_eq!(SCHEME.built("otlp", SCHEME.default_url.unwrap(), &[], &[]).url(), "http://localhost:4318/v1/logs");
}

#[test]
fn grpc_at_a_url_of_opentelemetry_is_refused_in_words() {
    let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let refused = built("otlp", "http://h:4317", Some("OTEL_EXPORTER_OTLP_ENDPOINT"), &grpc).unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\"") && said.contains("http/protobuf"), "{said}");
    // Somebody else's setting says nothing about a URL of ours.
    assert_eq!(built("otlp", "http://h:4318", None, &grpc).unwrap(), ("http://h:4318/v1/logs".to_owned(), false));
}

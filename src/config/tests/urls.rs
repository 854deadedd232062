//! `LOGCHUTE_URL`: which backend, and where.

use super::*;

#[test]
fn urls_name_backend_and_place() {
    for (given, kind, url) in [
        ("loki+http://host:3100", "loki", "http://host:3100/loki/api/v1/push"),
        ("loki-json+http://host:3100/x", "loki", "http://host:3100/x/loki/api/v1/push"),
        ("LOKI+HTTP://host", "loki", "http://host/loki/api/v1/push"),
        ("ndjson+http://[::1]:9428/logs?a=b", "ndjson", "http://[::1]:9428/logs?a=b"),
    ] {
        let got = settings(&[("LOGCHUTE_URL", given)]);
        assert_eq!((got.destinations[0].backend.facts().name(), got.destinations[0].backend.url()), (kind, url));
    }
}

#[test]
fn b7_urls_that_cannot_be_meant_are_refused_with_a_reason() {
    for (given, must) in [
        ("http://host:3100", "loki+http://"),
        ("https://host:3100", "ndjson+https://"),
        ("file:///etc/passwd", "one of the backends"),
        ("gopher://host", "one of the backends"),
        ("lokki+http://host", "did you mean loki?"),
        ("graylog+http://host", "one of the backends of this version"),
        ("loki+ftp://host", "loki+http://host:port or loki+https://host:port"),
        ("loki+http://", "a URL with a host"),
        ("loki+http://:3100", "a URL with a host"),
        ("loki+http:///x", "a URL with a host"),
        ("loki+http://ho st", "white space"),
        ("localhost:3100", "one of the backends"),
        ("ndjson", "a whole URL"),
        ("loki", "LOKI_URL or LOKI_ADDR must be set"),
    ] {
        let (name, value, wanted) = refusal(&[("LOGCHUTE_URL", given)]);
        assert_eq!((&*name, &*value), ("LOGCHUTE_URL", given));
        assert!(wanted.contains(must), "{given}: {wanted}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn what_needs_tls_says_that_it_is_not_compiled_in() {
    for variable in [("LOGCHUTE_URL", "loki+https://host"), ("LOGCHUTE_CA", "/ca.pem")] {
        assert!(refusal(&[variable]).2.contains("the feature `tls`, which is not compiled in"));
    }
}

#[test]
fn a_backend_that_is_not_compiled_in_names_its_feature() {
    let absent = crate::backend::ABSENT;
    for (names, feature) in absent {
        for name in *names {
            for given in [format!("{name}+https://host"), format!("{name}://host"), (*name).to_owned()] {
                let (variable, value, must) = refusal(&[("LOGCHUTE_URL", &given)]);
                assert_eq!((&*variable, &*value), ("LOGCHUTE_URL", &*given));
                let expected = format!("{name} needs the feature `{feature}`, which is not compiled in");
                assert!(must.ends_with(&expected), "{given}: {must}");
            }
        }
    }
    let of = |kind: &str| absent.iter().find(|(names, _)| names.contains(&kind)).map(|(_, feature)| *feature);
    for (kind, feature, is_there) in [
        ("datadog", "datadog", cfg!(feature = "datadog")),
        ("opensearch", "elasticsearch", cfg!(feature = "elasticsearch")),
        ("fluent", "forward", cfg!(feature = "forward")),
        ("gcl", "google_cloud", cfg!(feature = "google_cloud")),
        ("otlp-json", "otlp", cfg!(feature = "otlp")),
        ("splunk", "splunk", cfg!(feature = "splunk")),
        ("syslog", "syslog", cfg!(feature = "syslog")),
    ] {
        assert_eq!(of(kind), (!is_there).then_some(feature));
    }
    assert_eq!((of("loki"), of("axiom")), (None, None));
}

#[test]
fn b8_user_and_password_in_a_url_are_refused_and_not_shown() {
    let (_, value, must) = refusal(&[("LOGCHUTE_URL", "loki+https://me:canary@host/x?token=canary")]);
    assert_eq!(value, "loki+https://***@host/x?token=***");
    assert!(must.contains("LOGCHUTE_PASSWORD_FILE"));
    let (_, value, _) = refusal(&[("LOGCHUTE_URL", "https://me:canary@host")]);
    assert!(!value.contains("canary"));
}

#[test]
fn a_stream_is_plain_tcp_unless_it_says_tls() {
    let tls = if cfg!(feature = "tls") { Some("tls://host:24224") } else { None };
    for (given, url) in [
        ("flow://host:24224", Some("tcp://host:24224")),
        ("FLOW://host", Some("tcp://host")),
        ("flow+tcp://[::1]:1/tag", Some("tcp://[::1]:1/tag")),
        ("flow+tls://host:24224", tls),
        ("flow+http://host", None),
        ("flow+flow://host", None),
    ] {
        let got = from_env(&[("LOGCHUTE_URL", given)]).map(|it| it.destinations[0].backend.url().to_owned());
        assert_eq!(got.as_deref().ok(), url, "{given}: {got:?}");
    }
    let (_, _, must) = refusal(&[("LOGCHUTE_URL", "flow+http://host")]);
    assert_eq!(must, "flow://host:port or flow+tls://host:port");
}

#[test]
fn what_is_no_address_is_left_to_its_backend() {
    let got = settings(&[("LOGCHUTE_URL", "cloud://my-project")]);
    assert_eq!(got.destinations[0].backend.url(), "cloud://my-project");
    assert!(refusal(&[("LOGCHUTE_URL", "cloud+http://x")]).2.contains("cloud://name"));
    // A bare name is the usual place.
    assert_eq!(settings(&[("LOGCHUTE_URL", "cloud")]).destinations[0].backend.url(), "cloud://usual");
}

//! What values mean: defaults, units, ranges, and what is refused.

use std::ffi::OsString;

use super::*;
use crate::config::settings::LaneSettings;

#[test]
fn nothing_set_gives_the_defaults_and_a_tee_alone() {
    let got = settings(&[]);
    assert!(got.destinations.is_empty() && got.remarks.is_empty(), "{:?}", got.remarks);
    assert_eq!(got.tee, Some(TeeTo::new(Stream::Stderr, Format::Text)));
    assert_eq!((got.queue_bytes, got.overflow), (8 << 20, Overflow::DropNewest));
    assert_eq!((got.shutdown, got.resource.service_name()), (Duration::from_secs(5), "shop"));
    let lane = LaneSettings {
        backlog_bytes: 16 << 20,
        backlog_overflow: BacklogOverflow::DropOldest,
        batch_bytes: 1 << 20,
        in_flight: 4,
        linger: Duration::from_millis(200),
        timeout: Duration::from_secs(10),
        retry_for: Duration::from_secs(86_400),
        compression: Compression::None,
        spool: None,
        fallback: None,
        quarantine: None,
    };
    assert_eq!(settings(&[URL]).lanes, [lane]);
    for filter in [&got.filter, &got.spans, &got.tee_filter] {
        assert!(filter.would_enable("x", &Level::INFO) && !filter.would_enable("x", &Level::DEBUG));
    }
}

#[test]
fn empty_is_unset() {
    let empty: Vec<_> = SETTINGS.iter().map(|setting| (setting.name, "")).collect();
    let got = settings(&empty);
    assert!(got.destinations.is_empty() && got.remarks.is_empty(), "{:?}", got.remarks);
    let blank: Vec<_> = SETTINGS.iter().filter(|s| !s.method.ends_with("ca")).map(|s| (s.name, " \n")).collect();
    let blank: Vec<_> =
        blank.into_iter().filter(|(name, _)| !["LOGCHUTE_CERT", "LOGCHUTE_KEY"].contains(name)).collect();
    assert!(settings(&blank).destinations.is_empty());
}

#[test]
fn the_defaults_of_the_list_are_those_of_the_code() {
    for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
        let default = setting.default.trim_matches('`');
        // These say in words what another setting or the platform gives.
        if ["LOGCHUTE_URL", "LOGCHUTE_SERVICE", "RUST_LOG", "LOGCHUTE_CA"].contains(&setting.name) {
            continue;
        }
        let (got, unset) = (settings(&[URL, (setting.name, default)]), settings(&[URL]));
        let facts = |it: &Settings| {
            (
                (it.filter.to_string(), it.spans.to_string(), it.tee, it.queue_bytes, it.overflow),
                it.lanes.clone(),
                it.shutdown,
            )
        };
        assert_eq!(facts(&got), facts(&unset), "{}", setting.name);
    }
}

#[test]
fn every_setting_is_read() {
    let got = settings(&[
        URL,
        ("LOGCHUTE_FILTER", "warn,my_app=debug"),
        ("LOGCHUTE_SPANS", "debug"),
        ("LOGCHUTE_SERVICE", "checkout"),
        ("LOGCHUTE_LABELS", "env=prod, region=a%2Cb ,tenant_id"),
        ("LOGCHUTE_TEE", "stdout:json"),
        ("RUST_LOG", "error"),
        ("LOGCHUTE_QUEUE_BYTES", "1MiB"),
        ("LOGCHUTE_OVERFLOW", "block:50ms"),
        ("LOGCHUTE_BACKLOG_BYTES", "32 MiB"),
        ("LOGCHUTE_BACKLOG_OVERFLOW", "drop_newest"),
        ("LOGCHUTE_BATCH_BYTES", "512KiB"),
        ("LOGCHUTE_IN_FLIGHT", "1\n"),
        ("LOGCHUTE_LINGER", "0"),
        ("LOGCHUTE_TIMEOUT", "1m30s"),
        ("LOGCHUTE_RETRY_FOR", "1h"),
        ("LOGCHUTE_SHUTDOWN", "250ms"),
        ("LOGCHUTE_COMPRESSION", "gzip"),
    ]);
    assert!(got.remarks.is_empty(), "{:?}", got.remarks);
    assert_eq!(got.filter, "warn,my_app=debug".parse().unwrap());
    assert!(got.spans.would_enable("x", &Level::DEBUG) && !got.tee_filter.would_enable("x", &Level::WARN));
    assert_eq!(got.resource.service_name(), "checkout");
    let attributes: Vec<_> = got.resource.attributes().collect();
    assert_eq!(attributes, [("env", "prod"), ("region", "a,b")]);
    assert_eq!(got.tee, Some(TeeTo::new(Stream::Stdout, Format::Json)));
    assert_eq!((got.queue_bytes, got.shutdown), (1 << 20, Duration::from_millis(250)));
    assert_eq!(got.overflow, Overflow::Block(Duration::from_millis(50)));
    let lane = LaneSettings {
        backlog_bytes: 32 << 20,
        backlog_overflow: BacklogOverflow::DropNewest,
        batch_bytes: 512 << 10,
        in_flight: 1,
        linger: Duration::ZERO,
        timeout: Duration::from_secs(90),
        retry_for: Duration::from_secs(3600),
        compression: Compression::Gzip,
        ..LaneSettings::default()
    };
    assert_eq!(got.lanes, [lane]);
    assert_eq!((got.destinations.len(), &*got.destinations[0].name), (1, "loki"));
    assert_eq!(got.destinations[0].backend.url(), "http://loki:3100/loki/api/v1/push");
}

#[test]
fn a_malformed_value_names_variable_value_and_what_it_must_be() {
    for (name, value, must) in [
        ("LOGCHUTE_FILTER", "inf", "did you mean info?"),
        ("LOGCHUTE_SPANS", "a=b=c", "target=level"),
        ("LOGCHUTE_LABELS", "=x", "key=value"),
        ("LOGCHUTE_LABELS", "a=%zz", "%2C"),
        ("LOGCHUTE_TEE", "stderr:klog", "text or json"),
        ("LOGCHUTE_TEE", "file", "stdout or stderr"),
        ("LOGCHUTE_QUEUE_BYTES", "8M", "8MiB"),
        ("LOGCHUTE_OVERFLOW", "block:50", "block:50ms"),
        ("LOGCHUTE_BACKLOG_BYTES", "lots", "bytes"),
        ("LOGCHUTE_BACKLOG_OVERFLOW", "block", "drop_oldest"),
        ("LOGCHUTE_BATCH_BYTES", "-1", "bytes"),
        ("LOGCHUTE_IN_FLIGHT", "four", "whole number"),
        ("LOGCHUTE_LINGER", "200", "unit"),
        ("LOGCHUTE_TIMEOUT", "10 s", "unit"),
        ("LOGCHUTE_RETRY_FOR", "1y", "unit"),
        ("LOGCHUTE_SHUTDOWN", "soon", "unit"),
        ("LOGCHUTE_COMPRESSION", "zstd", "none or gzip"),
        ("LOGCHUTE_ALLOW_HTTP", "perhaps", "true or false"),
        ("LOGCHUTE_SERVICE", "a\tb", "control characters"),
    ] {
        let (named, shown, wanted) = refusal(&[(name, value)]);
        assert_eq!((&*named, &*shown), (name, value));
        assert!(wanted.contains(must), "{name}={value}: {wanted}");
    }
    for (labels, key) in [("a,b c", "b c"), ("level=x", "level"), ("service_name", "service_name")] {
        assert_eq!(refusal(&[("LOGCHUTE_LABELS", labels)]).1, key);
    }
}

#[test]
fn out_of_range_is_refused_under_the_name_that_gave_it() {
    for (name, value, must) in [
        ("LOGCHUTE_QUEUE_BYTES", "1KiB", "from 64KiB to 1GiB"),
        ("LOGCHUTE_QUEUE_BYTES", "2GiB", "from 64KiB to 1GiB"),
        ("LOGCHUTE_BATCH_BYTES", "65MiB", "from 1KiB to 64MiB"),
        ("LOGCHUTE_IN_FLIGHT", "0", "from 1 to 64"),
        ("LOGCHUTE_IN_FLIGHT", "65", "from 1 to 64"),
        ("LOGCHUTE_LINGER", "1h", "from 0ms to 5m"),
        ("LOGCHUTE_TIMEOUT", "0ms", "from 1ms to 1h"),
        ("LOGCHUTE_RETRY_FOR", "400d", "from 0ms to 365d"),
        ("LOGCHUTE_SHUTDOWN", "2h", "from 0ms to 1h"),
        ("LOGCHUTE_BACKLOG_BYTES", "512KiB", "at least as large as a batch (1MiB)"),
    ] {
        assert_eq!(refusal(&[(name, value)]), (name.into(), value.into(), must.into()));
    }
    assert_eq!(refusal(&[("LOGCHUTE_OVERFLOW", "block:2h")]).0, "LOGCHUTE_OVERFLOW");
    type Change = fn(Builder) -> Builder;
    let changes: [(&str, Change); 10] = [
        ("queue_bytes", |it| it.queue_bytes(0)),
        ("batch_bytes", |it| it.batch_bytes(1023)),
        ("batch_bytes", |it| it.batch_bytes(32 << 20)),
        ("backlog_bytes", |it| it.batch_bytes(32 << 20).backlog_bytes(16 << 20)),
        ("in_flight", |it| it.in_flight(0)),
        ("timeout", |it| it.timeout(Duration::ZERO)),
        ("overflow", |it| it.overflow(Overflow::Block(Duration::ZERO))),
        ("service", |it| it.service(" ")),
        ("label", |it| it.label("a b", "c")),
        ("filter", |it| it.filter("inf")),
    ];
    for (name, change) in changes {
        let refused = start(change(Builder::new()), &[]).err();
        assert!(matches!(&refused, Some(Error::Setting { name: named, .. }) if named == name), "{name}: {refused:?}");
    }
}

#[cfg(unix)]
#[test]
fn what_is_not_text_is_refused_or_told() {
    use std::os::unix::ffi::OsStringExt as _;
    let odd = || OsString::from_vec(vec![b'c', 0xFF]);
    for (name, shown) in [("LOGCHUTE_SERVICE", "c\u{FFFD}"), ("LOGCHUTE_PASSWORD", "***")] {
        let refused = env::builder(&Env::of([(name, odd())])).unwrap_err();
        assert!(matches!(&refused, Error::Setting { name: named, value, must }
            if named == name && value == shown && must.contains("UTF-8")));
    }
    let builder = env::builder(&Env::of([("RUST_LOG", odd())])).unwrap();
    assert!(matches!(&builder.remarks[..], [one] if one.contains("RUST_LOG")));
    let builder = env::builder(&Env::of([(OsString::from_vec(b"LOGCHUTE_\xFF".to_vec()), odd())])).unwrap();
    assert_eq!(builder.remarks.len(), 1);
}

#[test]
fn rust_log_governs_the_tee_alone() {
    let got = settings(&[("RUST_LOG", "my_app=debug"), ("LOGCHUTE_FILTER", "warn")]);
    assert!(got.tee_filter.would_enable("my_app", &Level::DEBUG) && !got.tee_filter.would_enable("x", &Level::ERROR));
    assert!(!got.filter.would_enable("my_app", &Level::INFO));
    let got = settings(&[("LOGCHUTE_FILTER", "warn")]);
    assert_eq!(got.tee_filter, got.filter);
}

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
    let blank: Vec<_> = SETTINGS.iter().map(|setting| (setting.name, " \n")).collect();
    let got = settings(&blank);
    assert!(got.destinations.is_empty() && got.remarks.is_empty(), "{:?}", got.remarks);
    assert_eq!(got.ring_dir, None);
    assert_eq!(settings(&[&blank[1..], &[URL]].concat()).lanes, [LaneSettings::default()]);
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
                (it.shutdown, it.signals),
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
        ("LOGCHUTE_SPOOL_DIR", "/var/spool/shop\n"),
        ("LOGCHUTE_SPOOL_BYTES", "1GiB"),
        ("LOGCHUTE_SPOOL", "always"),
        ("LOGCHUTE_FSYNC", "1s"),
        ("LOGCHUTE_FALLBACK", "stderr:json"),
        ("LOGCHUTE_QUARANTINE", "/var/spool/rejected.jsonl"),
        ("LOGCHUTE_SIGNALS", "exit"),
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
        spool: Some(SpoolSettings {
            dir: "/var/spool/shop".into(),
            bytes: 1 << 30,
            when: SpoolUse::Always,
            fsync: Some(Duration::from_secs(1)),
        }),
        fallback: Some(TeeTo::new(Stream::Stderr, Format::Json)),
        quarantine: Some("/var/spool/rejected.jsonl".into()),
    };
    assert_eq!(got.signals, Signals::Exit);
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
        ("LOGCHUTE_SPOOL_BYTES", "1T", "bytes"),
        ("LOGCHUTE_SPOOL", "yes", "overflow, exit or always"),
        ("LOGCHUTE_FSYNC", "on", "off, or a duration with its unit"),
        ("LOGCHUTE_FSYNC", "5", "such as 1s"),
        ("LOGCHUTE_FALLBACK", "stdout:ecs", "text or json"),
        ("LOGCHUTE_SIGNALS", "term", "off, flush or exit"),
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
        ("LOGCHUTE_SPOOL_BYTES", "512KiB", "from 1MiB to 1TiB"),
        ("LOGCHUTE_SPOOL_BYTES", "2TiB", "from 1MiB to 1TiB"),
        ("LOGCHUTE_FSYNC", "0ms", "from 1ms to 1h"),
        ("LOGCHUTE_FSYNC", "2h", "from 1ms to 1h"),
    ] {
        assert_eq!(refusal(&[(name, value)]), (name.into(), value.into(), must.into()));
    }
    assert_eq!(refusal(&[("LOGCHUTE_OVERFLOW", "block:2h")]).0, "LOGCHUTE_OVERFLOW");
    type Change = fn(Builder) -> Builder;
    let changes: [(&str, Change); 15] = [
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
        ("spool_bytes", |it| it.spool_bytes(1023 << 10)),
        ("spool_dir", |it| it.spool_dir("")),
        ("quarantine", |it| it.quarantine("")),
        ("fsync", |it| it.fsync(Duration::ZERO)),
        ("ring_dir", |it| it.ring_dir("")),
    ];
    for (name, change) in changes {
        let refused = start(change(Builder::new()), &[]).err();
        assert!(matches!(&refused, Some(Error::Setting { name: named, .. }) if named == name), "{name}: {refused:?}");
    }
}

#[test]
fn a_spool_that_holds_no_batch_is_refused() {
    let batch = [("LOGCHUTE_BATCH_BYTES", "8MiB"), ("LOGCHUTE_SPOOL_BYTES", "4MiB")];
    assert!(from_env(&batch).is_ok(), "there is no spool");
    let refused = refusal(&[&batch[..], &[("LOGCHUTE_SPOOL_DIR", "/spool")]].concat());
    assert_eq!(refused, ("LOGCHUTE_SPOOL_BYTES".into(), "4MiB".into(), "at least as large as a batch (8MiB)".into()));
}

#[test]
fn a_word_about_a_spool_that_is_none_is_told() {
    for (name, value) in [("LOGCHUTE_SPOOL_BYTES", "1GiB"), ("LOGCHUTE_SPOOL", "always"), ("LOGCHUTE_FSYNC", "1s")] {
        let told = format!("{name} is set, but LOGCHUTE_SPOOL_DIR is not, so nothing is kept on disk");
        assert_eq!(remark(&[URL, (name, value)]), told);
        assert!(settings(&[URL, (name, value), ("LOGCHUTE_SPOOL_DIR", "/spool")]).remarks.is_empty());
    }
    assert!(settings(&[URL, ("LOGCHUTE_FSYNC", "off")]).remarks.is_empty(), "as without it");
    let remarks = start(Builder::new().send_to(Loki::new("http://loki")).spool(SpoolUse::Exit), &[]).unwrap().remarks;
    assert_eq!(remarks, ["spool is set, but spool_dir is not, so nothing is kept on disk"]);
}

#[test]
fn a_ring_needs_its_feature() {
    let ring = [URL, ("LOGCHUTE_RING_DIR", "/dev/shm/shop")];
    if cfg!(feature = "crash-proof") {
        assert_eq!(settings(&ring).ring_dir.as_deref(), Some(Path::new("/dev/shm/shop")));
    } else {
        let (name, value, must) = refusal(&ring);
        assert_eq!((&*name, &*value), ("LOGCHUTE_RING_DIR", "/dev/shm/shop"));
        assert!(must.contains("feature `crash-proof`, which is not compiled in"), "{must}");
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

//! The environment and the builder, from what a user writes to the settings that come out.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use tracing::Level;

use super::env::{self, Env};
use super::list::SETTINGS;
use super::settings::{BacklogOverflow, Compression, Overflow, Settings};
use super::{Builder, Destination};
use crate::backend::{Loki, Ndjson};
use crate::error::Error;
use crate::tee::{Format, Stream, TeeTo};

type Variables<'a> = &'a [(&'a str, &'a str)];

fn from_env(variables: Variables<'_>) -> Result<Builder, Error> {
    env::builder(&Env::of(variables.iter().copied()))
}

fn start(builder: Builder, variables: Variables<'_>) -> Result<Settings, Error> {
    builder.settings_in(&Env::of(variables.iter().copied()), Path::new("/nowhere"), Some(Path::new("/bin/shop")))
}

fn settings(variables: Variables<'_>) -> Settings {
    start(from_env(variables).unwrap(), variables).unwrap()
}

/// The name, the value and the expectation of a refusal.
fn refusal(variables: Variables<'_>) -> (String, String, String) {
    match from_env(variables) {
        Err(Error::Setting { name, value, must }) => (name.into_owned(), value, must.into_owned()),
        other => panic!("{variables:?} gave {other:?}"),
    }
}

/// The one remark.
fn remark(variables: Variables<'_>) -> String {
    let remarks = settings(variables).remarks;
    assert_eq!(remarks.len(), 1, "{variables:?} gave {remarks:?}");
    remarks.into_iter().next().unwrap()
}

const URL: (&str, &str) = ("LOGCHUTE_URL", "loki+http://loki:3100");

#[test]
fn nothing_set_gives_the_defaults_and_a_tee_alone() {
    let got = settings(&[]);
    assert!(got.destinations.is_empty() && got.remarks.is_empty(), "{:?}", got.remarks);
    assert_eq!(got.tee, Some(TeeTo::new(Stream::Stderr, Format::Text)));
    assert_eq!(
        (got.queue_bytes, got.lanes.backlog_bytes, got.lanes.batch_bytes, got.lanes.in_flight),
        (8 << 20, 16 << 20, 1 << 20, 4)
    );
    assert_eq!((got.lanes.linger, got.lanes.timeout), (Duration::from_millis(200), Duration::from_secs(10)));
    assert_eq!((got.lanes.retry_for, got.shutdown), (Duration::from_secs(86_400), Duration::from_secs(5)));
    assert_eq!((got.overflow, got.lanes.backlog_overflow), (Overflow::DropNewest, BacklogOverflow::DropOldest));
    assert_eq!((got.compression, got.resource.service_name()), (Compression::None, "shop"));
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
        let (got, unset) = (settings(&[(setting.name, default)]), settings(&[]));
        let facts = |it: &Settings| {
            (
                (it.filter.to_string(), it.spans.to_string(), it.tee, it.queue_bytes, it.overflow),
                it.lanes,
                (it.shutdown, it.compression),
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
    assert_eq!(
        (got.queue_bytes, got.lanes.backlog_bytes, got.lanes.batch_bytes, got.lanes.in_flight),
        (1 << 20, 32 << 20, 512 << 10, 1)
    );
    assert_eq!(got.overflow, Overflow::Block(Duration::from_millis(50)));
    assert_eq!((got.lanes.backlog_overflow, got.compression), (BacklogOverflow::DropNewest, Compression::Gzip));
    let ms = Duration::from_millis;
    assert_eq!(
        (got.lanes.linger, got.lanes.timeout, got.lanes.retry_for, got.shutdown),
        (ms(0), ms(90_000), ms(3_600_000), ms(250))
    );
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
    let changes: [(&str, Change); 9] = [
        ("queue_bytes", |it| it.queue_bytes(0)),
        ("batch_bytes", |it| it.batch_bytes(1023)),
        ("backlog_bytes", |it| it.batch_bytes(32 << 20)),
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
        ("elasticsearch+http://host", "one of the backends of this version"),
        ("loki+ftp://host", "loki+http:// or loki+https://"),
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
        assert!(refusal(&[variable]).2.contains("needs the feature `tls`"));
    }
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
fn a_bare_name_takes_the_url_and_credentials_of_that_world() {
    let variables = [
        ("LOGCHUTE_URL", "loki"),
        ("LOKI_ADDR", "http://there:3100/loki/api/v1/push"),
        ("LOKI_USERNAME", "me"),
        ("LOKI_PASSWORD", "canary"),
        ("LOKI_TENANT_ID", "t1"),
    ];
    let got = settings(&variables);
    let to = &got.destinations[0];
    assert_eq!(to.backend.url(), "http://there:3100/loki/api/v1/push");
    let credentials = &to.reach.credentials;
    assert!(credentials.user.is_some() && credentials.password.is_some() && credentials.tenant.is_some());
    // A token of ours is instead of theirs, not beside them.
    let mut ours = variables.to_vec();
    ours.push(("LOGCHUTE_TOKEN", "t"));
    let credentials = &settings(&ours).destinations[0].reach.credentials;
    assert!(credentials.token.is_some() && credentials.user.is_none() && credentials.password.is_none());
}

#[test]
fn what_another_world_has_wrong_is_a_remark() {
    let odd = ("LOKI_URL", "https://me:canary@host");
    let got = settings(&[("LOGCHUTE_URL", "loki"), odd, ("LOKI_ADDR", "http://there/loki/api/v1/push")]);
    assert_eq!(got.destinations[0].backend.url(), "http://there/loki/api/v1/push");
    assert!(matches!(&got.remarks[..], [one] if one.contains("LOKI_URL") && !one.contains("canary")));
    assert!(remark(&[URL, ("LOKI_USERNAME", "me")]).contains("LOKI_USERNAME"));
    assert!(remark(&[("RUST_LOG", "info,a[s{f}]=debug")]).contains("a[s{f}]=debug"));
    assert!(remark(&[("OTEL_RESOURCE_ATTRIBUTES", "a")]).contains("OTEL_RESOURCE_ATTRIBUTES"));
}

#[test]
fn rust_log_governs_the_tee_alone() {
    let got = settings(&[("RUST_LOG", "my_app=debug"), ("LOGCHUTE_FILTER", "warn")]);
    assert!(got.tee_filter.would_enable("my_app", &Level::DEBUG) && !got.tee_filter.would_enable("x", &Level::ERROR));
    assert!(!got.filter.would_enable("my_app", &Level::INFO));
    let got = settings(&[("LOGCHUTE_FILTER", "warn")]);
    assert_eq!(got.tee_filter, got.filter);
}

#[test]
fn unknown_and_later_names_are_told_once_and_service_links_never() {
    assert!(remark(&[("LOGCHUTE_ULR", "x")]).ends_with("LOGCHUTE_URL"));
    assert!(remark(&[("LOGCHUTE_SPOOL_DIR", "/x")]).contains("not in this version"));
    assert!(
        remark(&[("LOGCHUTE_LANES", "ops,audit"), ("LOGCHUTE_AUDIT_URL", "x"), ("LOGCHUTE_OPS_TOKEN", "x")])
            .contains("LOGCHUTE_LANES")
    );
    let links = settings(&[
        ("LOGCHUTE_SERVICE_HOST", "10.0.0.7"),
        ("LOGCHUTE_SERVICE_PORT", "80"),
        ("LOGCHUTE_PORT", "tcp://10.0.0.7:80"),
        ("LOGCHUTE_PORT_80_TCP_ADDR", "10.0.0.7"),
    ]);
    assert!(links.remarks.is_empty(), "{:?}", links.remarks);
}

#[test]
fn a_credential_without_a_url_is_told() {
    assert!(remark(&[("LOGCHUTE_TOKEN", "canary")]).contains("LOGCHUTE_URL is not"));
}

#[test]
fn b8_no_secret_is_shown_by_an_error_or_by_debug() {
    for (name, value) in [
        ("LOGCHUTE_TOKEN", "can\rary"),
        ("LOGCHUTE_PASSWORD", "can\nary"),
        ("LOGCHUTE_HEADERS", "canary"),
        ("LOGCHUTE_HEADERS", "x-key=canary%0d%0aevil: 1"),
        ("LOGCHUTE_HEADERS", "x-key=canary%"),
        ("LOGCHUTE_HEADERS", "authorization: Bearer canary=="),
        ("LOGCHUTE_HEADERS", "x-key=can\rary"),
    ] {
        let (named, shown, must) = refusal(&[URL, (name, value)]);
        assert_eq!((&*named, &*shown), (name, "***"));
        assert!(!must.contains("ary"), "{must}");
    }
    let builder = from_env(&[
        URL,
        ("LOGCHUTE_PASSWORD", "canary"),
        ("LOGCHUTE_USER", "me"),
        ("LOGCHUTE_HEADERS", "x-key=canary,x-other=a%2Cb"),
    ])
    .unwrap();
    assert!(!format!("{builder:?}").contains("canary"), "{builder:?}");
    let headers = &builder.destinations[0].reach.credentials.headers;
    assert_eq!(headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-key", "x-other"]);
}

#[test]
fn twins_take_files_and_exclude_the_value() {
    let file = std::env::temp_dir().join(format!("logchute-headers-{}", std::process::id()));
    std::fs::write(&file, "x-one=1\nx-two=2,x-three=3\n").unwrap();
    let path = file.to_str().unwrap();
    let got = settings(&[URL, ("LOGCHUTE_HEADERS_FILE", path), ("LOGCHUTE_TOKEN_FILE", "/run/token")]);
    assert_eq!(got.destinations[0].reach.credentials.headers.len(), 3);
    assert!(format!("{:?}", got.destinations[0]).contains("/run/token"));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(refusal(&[URL, ("LOGCHUTE_HEADERS_FILE", path)]).0, "LOGCHUTE_HEADERS_FILE");
    let (name, value, must) = refusal(&[URL, ("LOGCHUTE_TOKEN_FILE", "/run/token"), ("LOGCHUTE_TOKEN", "canary")]);
    assert_eq!((&*name, &*value), ("LOGCHUTE_TOKEN_FILE", "/run/token"));
    assert!(must.contains("LOGCHUTE_TOKEN is set") && !must.contains("canary"));
}

#[cfg(feature = "tls")]
#[test]
fn half_a_client_certificate_is_refused() {
    assert_eq!(refusal(&[URL, ("LOGCHUTE_CERT", "/c.pem")]).0, "LOGCHUTE_CERT");
    let got = settings(&[URL, ("LOGCHUTE_CERT", "/c.pem"), ("LOGCHUTE_KEY", "/k.pem"), ("LOGCHUTE_CA", "/ca.pem")]);
    assert_eq!(got.destinations[0].reach.ca.as_deref(), Some(Path::new("/ca.pem")));
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
fn setters_override_the_environment_and_send_to_adds() {
    let variables =
        [URL, ("LOGCHUTE_QUEUE_BYTES", "1MiB"), ("LOGCHUTE_SERVICE", "env"), ("LOGCHUTE_LABELS", "a=1,b=1")];
    let builder = from_env(&variables).unwrap().queue_bytes(2 << 20).service("code").label("b", "2").no_tee();
    let got = start(builder.send_to(Ndjson::new("http://vl:9428")), &variables).unwrap();
    assert_eq!((got.queue_bytes, got.resource.service_name(), got.tee), (2 << 20, "code", None));
    assert_eq!((got.resource.get("a"), got.resource.get("b")), (Some("1"), Some("2")));
    assert_eq!(got.destinations.iter().map(|to| to.name.as_str()).collect::<Vec<_>>(), ["loki", "ndjson"]);
}

#[test]
fn a_builder_is_independent_of_our_variables_but_knows_where_it_runs() {
    let variables = [URL, ("LOGCHUTE_QUEUE_BYTES", "1MiB"), ("POD_NAME", "web-1"), ("RUST_LOG", "trace")];
    let loki = Destination::new(Loki::new("http://loki")).filter("warn");
    let got = start(Builder::new().send_to(loki).send_to(Loki::new("http://other")), &variables).unwrap();
    assert_eq!((got.queue_bytes, got.tee, got.resource.get("pod")), (8 << 20, None, Some("web-1")));
    assert_eq!(got.destinations[0].targets, Some("warn".parse().unwrap()));
    assert_eq!((&got.destinations[1].targets, &*got.destinations[1].name), (&None, "loki2"));
    assert!(got.remarks.is_empty() && !got.tee_filter.would_enable("x", &Level::DEBUG));
}

#[test]
fn a_builder_that_leads_nowhere_says_so() {
    let remarks = start(Builder::new(), &[]).unwrap().remarks;
    assert!(matches!(&remarks[..], [one] if one.contains("go nowhere")), "{remarks:?}");
}

#[test]
fn the_hook_is_kept() {
    let got = start(Builder::new().on_diagnostic(|_| {}), &[]).unwrap();
    assert!(got.hook.is_some());
}

#[test]
fn no_value_makes_it_panic_or_shows_a_secret() {
    let pieces = [
        "loki",
        "+http",
        "://",
        "canary",
        "@",
        ":",
        "/",
        "?",
        "=",
        "%",
        "%2",
        "%zz",
        ",",
        "[",
        "]",
        "{",
        "ä",
        "\u{202e}",
        "\n",
        "9",
        "99999999999999999999",
        "MiB",
        "ms",
        "block:",
        "info",
        "off",
        "-",
        ".",
        "#",
        "&",
        " ",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let setting = &SETTINGS[random.usize(..SETTINGS.len())];
        let value: String = (0..random.usize(..8)).map(|_| pieces[random.usize(..pieces.len())]).collect();
        let url = (random.bool() && setting.name != URL.0).then_some(URL);
        let variables: Vec<_> = [(setting.name, value.as_str())].into_iter().chain(url).collect();
        let said = match from_env(&variables) {
            Ok(builder) => {
                let debug = format!("{builder:?}");
                start(builder, &variables).map_or_else(|error| error.to_string(), |it| it.remarks.join("")) + &debug
            }
            Err(error) => error.to_string(),
        };
        // The name of a header is shown.
        let is_name = setting.name == "LOGCHUTE_HEADERS" && said.contains("headers: [(");
        assert!(!setting.secret || is_name || !said.contains("canary"), "{variables:?}: {said}");
    }
}

//! Variables of other worlds: what is taken of them, and that nothing in them is an error.

use super::*;
use crate::backend::{Foreign, Says, Written};

#[test]
fn a_bare_name_takes_the_url_and_credentials_of_that_world() {
    let variables = [
        ("LOGCHUTE_URL", "loki"),
        ("LOKI_ADDR", "http://localhost:3100/loki/api/v1/push"),
        ("LOKI_USERNAME", "me"),
        ("LOKI_PASSWORD", "canary"),
        ("LOKI_TENANT_ID", "t1"),
    ];
    let got = settings(&variables);
    let to = &got.destinations[0];
    assert_eq!(to.backend.url(), "http://localhost:3100/loki/api/v1/push");
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

/// A world that has a variable for everything, and for some of it two.
const ACME: Scheme = Scheme {
    names: &["acme"],
    written: &[Written::Http],
    default_url: Some("http://localhost:4318"),
    foreign: &[
        Foreign::url("ACME_LOGS_URL"),
        Foreign::new("ACME_URL", Says::Url(|url| Ok(format!("{url}/logs")))),
        Foreign::new("ACME_TOKEN", Says::Token),
        Foreign::new("ACME_USER", Says::User),
        Foreign::new("ACME_PASSWORD", Says::Password),
        Foreign::new("ACME_TENANT", Says::Tenant),
        Foreign::new("ACME_LOGS_HEADERS", Says::Headers),
        Foreign::new("ACME_HEADERS", Says::Headers),
        Foreign::new("ACME_CA", Says::Ca),
        Foreign::new("ACME_CERT", Says::Cert),
        Foreign::new("ACME_KEY", Says::Key),
        Foreign::new("ACME_LOGS_TIMEOUT", Says::Timeout),
        Foreign::new("ACME_TIMEOUT", Says::Timeout),
        Foreign::new("ACME_COMPRESSION", Says::Compression),
    ],
    build: |setup| Ok(Box::new(Ndjson::new(setup.url))),
};

const FLOW: Scheme =
    Scheme { names: &["flow"], written: &[Written::Stream], default_url: None, foreign: &[], build: ACME.build };

const CLOUD: Scheme = Scheme {
    names: &["cloud"],
    written: &[Written::Own],
    default_url: Some("cloud://usual"),
    foreign: &[],
    build: ACME.build,
};

pub(super) const SCHEMES: &[&Scheme] = &[&ACME, &FLOW, &CLOUD];

const THERE: (&str, &str) = ("LOGCHUTE_URL", "acme+http://127.0.0.1:1/x");

fn headers(got: &Settings) -> Vec<String> {
    got.destinations[0].reach.credentials.headers.iter().map(|(name, _)| name.clone()).collect()
}

#[test]
fn a_bare_name_takes_the_first_url_that_can_be_used_else_the_usual_one() {
    let url = |variables: &[(&str, &str)]| {
        let got = settings(&[&[("LOGCHUTE_URL", "acme")], variables].concat());
        (got.destinations[0].backend.url().to_owned(), got.remarks.len())
    };
    let (logs, all) = (("ACME_LOGS_URL", "http://logs:1"), ("ACME_URL", "http://all:1"));
    assert_eq!(url(&[]), ("http://localhost:4318".into(), 0));
    assert_eq!(url(&[all]), ("http://all:1/logs".into(), 0));
    assert_eq!(url(&[all, logs]), ("http://logs:1".into(), 0));
    assert_eq!(url(&[all, ("ACME_LOGS_URL", "")]), ("http://all:1/logs".into(), 0));
    assert_eq!(url(&[all, ("ACME_LOGS_URL", "http://a b")]), ("http://all:1/logs".into(), 1));
}

#[test]
fn headers_are_percent_decoded_and_the_first_variable_that_has_any_counts() {
    let variables = [THERE, ("ACME_LOGS_HEADERS", "api-key=a%2Cb%20c, x-other = 1"), ("ACME_HEADERS", "x-not-this=1")];
    let got = settings(&variables);
    assert!(got.remarks.is_empty(), "{:?}", got.remarks);
    assert_eq!(headers(&got), ["api-key", "x-other"]);
    let got = settings(&[&variables[..], &[("LOGCHUTE_HEADERS", "x-ours=1")]].concat());
    assert_eq!((headers(&got), got.remarks.len()), (vec!["x-ours".into()], 0));
}

#[test]
fn b8_headers_that_cannot_be_sent_are_told_and_not_shown() {
    for bad in [
        "canary",
        "api-key: canary",
        "api-key=canary%zz",
        "api-key=canary%0d%0aevil: 1",
        "=canary",
        "x=canary,X=canary",
        "content-length=canary",
        "x-key=can\nary",
    ] {
        let said = remark(&[THERE, ("ACME_HEADERS", bad)]);
        assert!(said.starts_with("ACME_HEADERS is ignored: ") && !said.contains("ary"), "{said}");
        let got = settings(&[THERE, ("ACME_LOGS_HEADERS", bad), ("ACME_HEADERS", "x-good=1")]);
        assert_eq!((headers(&got), got.remarks.len()), (vec!["x-good".into()], 1));
    }
}

#[test]
fn a_header_gives_way_to_what_we_were_told_about_the_same() {
    let theirs = ("ACME_HEADERS", "Authorization=Bearer a,X-Scope-OrgID=b,x-more=c");
    assert_eq!(headers(&settings(&[THERE, theirs])).len(), 3);
    assert_eq!(headers(&settings(&[THERE, theirs, ("LOGCHUTE_TOKEN", "t")])), ["X-Scope-OrgID", "x-more"]);
    let got = settings(&[THERE, theirs, ("LOGCHUTE_TENANT", "t")]);
    assert_eq!(headers(&got), ["Authorization", "x-more"]);
    // Of theirs, what is said once is not said again.
    let got = settings(&[THERE, theirs, ("ACME_TOKEN", "t"), ("ACME_TENANT", "t")]);
    assert!(got.remarks.is_empty() && got.destinations[0].reach.credentials.token.is_none());
    assert!(got.destinations[0].reach.credentials.tenant.is_none());
}

#[test]
fn ours_win_over_a_token_and_a_password_of_that_world() {
    let theirs = [THERE, ("ACME_TOKEN", "t"), ("ACME_USER", "u"), ("ACME_PASSWORD", "p")];
    let has = |variables: &[(&str, &str)]| {
        let got = settings(&[&theirs, variables].concat());
        assert!(got.remarks.is_empty(), "{:?}", got.remarks);
        let held = &got.destinations[0].reach.credentials;
        (held.token.is_some(), held.user.is_some(), held.headers.len())
    };
    assert_eq!(has(&[]), (true, false, 0));
    assert_eq!(has(&[("LOGCHUTE_USER", "u"), ("LOGCHUTE_PASSWORD", "p")]), (false, true, 0));
    assert_eq!(has(&[("LOGCHUTE_HEADERS", "authorization=x")]), (false, false, 1));
    assert_eq!(has(&[("LOGCHUTE_HEADERS", "x-other=x")]), (true, false, 1));
}

#[test]
fn b8_a_credential_that_cannot_be_used_is_told_and_not_shown() {
    for variables in [
        &[("ACME_TOKEN", "Bearer canary")] as &[_],
        &[("ACME_TOKEN", "can\nary")],
        &[("ACME_USER", "c:anary"), ("ACME_PASSWORD", "canary")],
        &[("ACME_USER", "canary")],
        &[("ACME_PASSWORD", "canary")],
        &[("ACME_TENANT", "can\rary")],
    ] {
        let said = remark(&[&[THERE], variables].concat());
        assert!(said.starts_with("ACME_") && said.contains(" is ignored: ") && !said.contains("ary"), "{said}");
    }
}

#[test]
fn b8_a_credential_of_that_world_does_not_go_over_plain_http() {
    let far = ("LOGCHUTE_URL", "acme+http://logs.example");
    for theirs in [("ACME_TOKEN", "canary"), ("ACME_HEADERS", "api-key=canary")] {
        let said = remark(&[far, theirs]);
        assert!(said.contains("plain http") && said.contains("LOGCHUTE_ALLOW_HTTP=true"), "{said}");
        let allowed = settings(&[far, theirs, ("LOGCHUTE_ALLOW_HTTP", "true")]);
        assert!(allowed.remarks.is_empty() && !format!("{:?}", allowed.destinations).contains("canary"));
    }
    assert!(settings(&[far, ("ACME_TENANT", "acme")]).remarks.is_empty(), "a tenant is no secret");
}

#[test]
fn files_that_cannot_be_read_are_told_and_passed_over() {
    for (variables, parts) in [
        (&[("ACME_CA", "/no/such/ca.pem")] as &[_], ["ACME_CA is ignored", "/no/such/ca.pem"]),
        (&[("ACME_CERT", "/no/such/c.pem"), ("ACME_KEY", "/no/such/k.pem")], ["ACME_CERT is ignored", ".pem"]),
        (&[("ACME_CERT", "/c.pem")], ["ACME_CERT is ignored", "no key"]),
        (&[("ACME_KEY", "/k.pem")], ["ACME_KEY is ignored", "no certificate"]),
    ] {
        let said = remark(&[&[THERE], variables].concat());
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        let got = settings(&[&[THERE], variables].concat());
        let reach = &got.destinations[0].reach;
        assert!(reach.ca.is_none() && reach.cert.is_none() && reach.key.is_none());
    }
}

#[cfg(feature = "tls")]
#[test]
fn files_of_that_world_are_taken_where_ours_are_not_set() {
    let made = rcgen::generate_simple_self_signed(["host".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = std::env::temp_dir().join(format!("logchute-foreign-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) = (file("cert", made.cert.pem()), file("key", made.signing_key.serialize_pem()));
    let theirs = [THERE, ("ACME_CA", &*cert), ("ACME_CERT", &*cert), ("ACME_KEY", &*key)];
    let got = settings(&theirs);
    assert!(got.remarks.is_empty(), "{:?}", got.remarks);
    let reach = &got.destinations[0].reach;
    assert_eq!([&reach.ca, &reach.cert], [&Some(cert.clone().into()), &Some(cert.clone().into())]);
    assert_eq!(reach.key, Some(key.clone().into()));
    let got =
        settings(&[&theirs[..], &[("LOGCHUTE_CA", "/ours"), ("LOGCHUTE_CERT", "/c"), ("LOGCHUTE_KEY", "/k")]].concat());
    let reach = &got.destinations[0].reach;
    assert_eq!([&reach.ca, &reach.cert, &reach.key], ["/ours", "/c", "/k"].map(|path| Some(path.into())).each_ref());
    std::fs::remove_file(cert).unwrap();
    std::fs::remove_file(key).unwrap();
}

#[test]
fn timeout_and_compression_give_way_to_ours_and_to_code() {
    let theirs = [THERE, ("ACME_LOGS_TIMEOUT", "1500"), ("ACME_TIMEOUT", "2000"), ("ACME_COMPRESSION", "gzip")];
    let of = |got: Settings| {
        assert!(got.remarks.is_empty(), "{:?}", got.remarks);
        (got.lanes[0].timeout, got.lanes[0].compression)
    };
    let (ms, second) = (Duration::from_millis, Duration::from_secs(1));
    assert_eq!(of(settings(&theirs)), (ms(1500), Compression::Gzip));
    let ours = [&theirs[..], &[("LOGCHUTE_TIMEOUT", "1s"), ("LOGCHUTE_COMPRESSION", "none")]].concat();
    assert_eq!(of(settings(&ours)), (second, Compression::None));
    let code = from_env(&theirs).unwrap().timeout(second).compression(Compression::None);
    assert_eq!(of(start(code, &theirs).unwrap()), (second, Compression::None));
}

#[test]
fn odd_timeouts_and_compressions_are_told() {
    for (name, value, must) in [
        ("ACME_TIMEOUT", "10s", "milliseconds"),
        ("ACME_TIMEOUT", "0", "from 1"),
        ("ACME_TIMEOUT", "99999999999999999999", "milliseconds"),
        ("ACME_COMPRESSION", "zstd", "none or gzip"),
    ] {
        let said = remark(&[THERE, (name, value)]);
        assert!(said.starts_with(&format!("{name} is ignored: it is {value:?}")) && said.contains(must), "{said}");
    }
    let got = settings(&[THERE, ("ACME_LOGS_TIMEOUT", "x"), ("ACME_TIMEOUT", "2000")]);
    assert_eq!((got.lanes[0].timeout, got.remarks.len()), (Duration::from_secs(2), 1));
    assert!(settings(&[THERE, ("ACME_TIMEOUT", "x"), ("LOGCHUTE_TIMEOUT", "1s")]).remarks.is_empty());
}

#[test]
fn empty_is_unset_in_other_worlds_as_well() {
    let empty: Vec<_> = ACME.foreign.iter().flat_map(|foreign| [(foreign.name, ""), (foreign.name, " ")]).collect();
    let got = settings(&[&[("LOGCHUTE_URL", "acme")], &empty[..]].concat());
    assert!(got.remarks.is_empty(), "{:?}", got.remarks);
}

#[test]
fn no_value_of_another_world_is_an_error_or_shows_a_secret() {
    let pieces =
        ["canary", "=", ",", "%", "%0a", ":", " ", "\n", "ä", "\u{202e}", "http://", "@", "/", "?", "9", "gzip"];
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..5_000 {
        let mut variables = vec![("LOGCHUTE_URL".to_owned(), "acme".to_owned())];
        for _ in 0..3 {
            let foreign = &ACME.foreign[random.usize(..ACME.foreign.len())];
            let value = (0..random.usize(..6)).map(|_| pieces[random.usize(..pieces.len())]).collect();
            variables.push((foreign.name.to_owned(), value));
        }
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let is_secret = |says: &Says| matches!(says, Says::Token | Says::Password | Says::Headers);
        let holds_secret =
            |name: &str| ACME.foreign.iter().any(|foreign| foreign.name == name && is_secret(&foreign.says));
        let only_secrets = variables.iter().all(|(name, value)| holds_secret(name) || !value.contains("canary"));
        let builder = from_env(&variables).unwrap_or_else(|error| panic!("{variables:?}: {error}"));
        start(builder, &variables).unwrap_or_else(|error| panic!("{variables:?}: {error}"));
        let (said, is_name) = seen(&variables);
        assert!(!only_secrets || is_name || !said.contains("canary"), "{variables:?}: {said}");
    }
}

/// For each backend that is compiled in.
#[test]
fn every_variable_that_a_backend_names_is_taken_or_told() {
    let good = |says: &Says| match says {
        Says::Headers => Some("x-a=b"),
        Says::Timeout => Some("1500"),
        Says::Compression => Some("gzip"),
        Says::Token | Says::User | Says::Password | Says::Tenant => Some("good"),
        // Files, and where the store is, have tests of their own.
        Says::Url(_) | Says::Ca | Says::Cert | Says::Key => None,
    };
    for scheme in crate::backend::SCHEMES.iter().copied().chain([&ACME]) {
        let name = scheme.names[0];
        let url = match scheme.written[0] {
            Written::Http => format!("{name}+http://127.0.0.1:1/x"),
            Written::Stream => format!("{name}://127.0.0.1:1"),
            Written::Own => format!("{name}://x"),
        };
        for foreign in scheme.foreign {
            if let Some(value) = good(&foreign.says) {
                let is_half = |other: &&Foreign| match foreign.says {
                    Says::User => matches!(other.says, Says::Password),
                    Says::Password => matches!(other.says, Says::User),
                    _ => false,
                };
                let half = scheme.foreign.iter().find(is_half).map(|other| (other.name, value));
                let variables: Vec<_> =
                    [("LOGCHUTE_URL", &*url), (foreign.name, value)].into_iter().chain(half).collect();
                let got = settings(&variables);
                let (to, held) = (&got.destinations[0], &got.destinations[0].reach.credentials);
                let is_taken = match foreign.says {
                    Says::Token => held.token.is_some(),
                    Says::User | Says::Password => held.user.is_some() && held.password.is_some(),
                    Says::Tenant => held.tenant.is_some(),
                    Says::Headers => held.headers.len() == 1,
                    Says::Timeout => got.lanes[0].timeout == Duration::from_millis(1500),
                    _ => got.lanes[0].compression == Compression::Gzip,
                };
                assert!(is_taken && got.remarks.is_empty(), "{}: {:?} {to:?}", foreign.name, got.remarks);
            }
            if !matches!(foreign.says, Says::Url(_)) {
                let said = remark(&[("LOGCHUTE_URL", &url), (foreign.name, "can\u{1}ary %zz")]);
                assert!(said.starts_with(foreign.name) && !said.contains("\u{1}ary"), "{said}");
            }
        }
    }
}

#[cfg(feature = "otlp")]
#[test]
fn otlp_is_set_up_by_the_variables_of_its_sdk() {
    let variables = [
        ("LOGCHUTE_URL", "otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/base"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary%3D,x-tenant=acme"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "api-key=of-logs"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip"),
    ];
    let got = settings(&variables);
    assert!(got.remarks.is_empty(), "{:?}", got.remarks);
    assert_eq!(got.destinations[0].backend.url(), "http://127.0.0.1:4318/base/v1/logs");
    assert_eq!(headers(&got), ["api-key"]);
    assert_eq!((got.lanes[0].timeout, got.lanes[0].compression), (Duration::from_millis(2500), Compression::Gzip));
    // Two lanes at two hosts must not get the same key of them.
    let lanes = [
        ("LOGCHUTE_LANES", "ops,audit"),
        ("LOGCHUTE_OPS_URL", "otlp+http://ops.example:4318"),
        ("LOGCHUTE_AUDIT_URL", "otlp+http://audit.example:4318"),
        ("LOGCHUTE_ALLOW_HTTP", "true"),
    ];
    let variables = [&lanes, &variables[2..3]].concat();
    let refused = start(from_env(&variables).unwrap(), &variables).err().unwrap().to_string();
    assert!(refused.starts_with("OTEL_EXPORTER_OTLP_HEADERS is \"***\""), "{refused}");
    assert!(refused.contains("set LOGCHUTE_AUDIT_HEADERS") && !refused.contains("canary"), "{refused}");
}

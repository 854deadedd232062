//! `LOGCHUTE_LANES`: names, what each lane has, what it inherits, and what it must not.

use super::*;

const LANES: (&str, &str) = ("LOGCHUTE_LANES", "ops,audit");
const OPS: (&str, &str) = ("LOGCHUTE_OPS_URL", "loki+http://127.0.0.1:3100");
const AUDIT: (&str, &str) = ("LOGCHUTE_AUDIT_URL", "ndjson+http://127.0.0.1:9428/x");

fn with<'a>(more: Variables<'a>) -> Vec<(&'a str, &'a str)> {
    [&[LANES, OPS, AUDIT], more].concat()
}

#[test]
fn each_lane_is_a_destination_of_its_name() {
    let got = settings(&[("LOGCHUTE_LANES", " ops , audit, "), OPS, AUDIT]);
    assert!(got.remarks.is_empty(), "{:?}", got.remarks);
    let facts = |to: &Destination| (to.name.clone(), to.backend.facts().name(), to.backend.url().to_owned());
    assert_eq!(
        got.destinations.iter().map(facts).collect::<Vec<_>>(),
        [
            ("ops".into(), "loki", "http://127.0.0.1:3100/loki/api/v1/push".into()),
            ("audit".into(), "ndjson", "http://127.0.0.1:9428/x".into()),
        ]
    );
    let more = start(from_env(&with(&[])).unwrap().send_to(Ndjson::new("http://vl")), &[]).unwrap();
    assert_eq!(more.destinations.iter().map(|to| to.name.as_str()).collect::<Vec<_>>(), ["ops", "audit", "ndjson"]);
}

#[test]
fn a_lane_says_it_itself_or_inherits_it() {
    let got = settings(&with(&[
        ("LOGCHUTE_FILTER", "warn"),
        ("LOGCHUTE_AUDIT_FILTER", "off,my_app::audit=info"),
        ("LOGCHUTE_BATCH_BYTES", "256KiB"),
        ("LOGCHUTE_LINGER", "1s"),
        ("LOGCHUTE_AUDIT_BATCH_BYTES", "512KiB"),
        ("LOGCHUTE_AUDIT_BACKLOG_BYTES", "64MiB"),
        ("LOGCHUTE_AUDIT_BACKLOG_OVERFLOW", "drop_newest"),
        ("LOGCHUTE_AUDIT_IN_FLIGHT", "1"),
        ("LOGCHUTE_AUDIT_TIMEOUT", "30s"),
        ("LOGCHUTE_AUDIT_RETRY_FOR", "7d"),
        ("LOGCHUTE_AUDIT_COMPRESSION", "gzip"),
    ]));
    assert!(got.remarks.is_empty(), "{:?}", got.remarks);
    assert_eq!(got.filter, "warn".parse().unwrap());
    let [ops, audit] = &got.destinations[..] else { panic!() };
    assert_eq!((&ops.targets, &audit.targets), (&None, &Some("off,my_app::audit=info".parse().unwrap())));
    let seconds = Duration::from_secs;
    let [ops, audit] = &got.lanes[..] else { panic!() };
    assert_eq!((ops.batch_bytes, ops.linger, ops.in_flight), (256 << 10, seconds(1), 4));
    assert_eq!((audit.batch_bytes, audit.linger, audit.in_flight), (512 << 10, seconds(1), 1));
    assert_eq!((audit.backlog_bytes, audit.backlog_overflow), (64 << 20, BacklogOverflow::DropNewest));
    assert_eq!((audit.timeout, audit.retry_for, audit.compression), (seconds(30), seconds(604_800), Compression::Gzip));
    // Code overrides what is said for all, and what a lane says for itself is nearer.
    let code = from_env(&with(&[("LOGCHUTE_AUDIT_LINGER", "2s")])).unwrap().linger(seconds(3));
    let lingers: Vec<_> = start(code, &[]).unwrap().lanes.iter().map(|lane| lane.linger).collect();
    assert_eq!(lingers, [seconds(3), seconds(2)]);
}

#[test]
fn a_lane_has_its_own_words_about_the_disk_or_inherits_them() {
    let got = settings(&with(&[
        ("LOGCHUTE_SPOOL_DIR", "/spool"),
        ("LOGCHUTE_FSYNC", "1s"),
        ("LOGCHUTE_FALLBACK", "stderr"),
        ("LOGCHUTE_QUARANTINE", "/rejected"),
        ("LOGCHUTE_AUDIT_SPOOL_DIR", "/audit"),
        ("LOGCHUTE_AUDIT_SPOOL_BYTES", "1GiB"),
        ("LOGCHUTE_AUDIT_SPOOL", "always"),
        ("LOGCHUTE_AUDIT_FSYNC", "off"),
        ("LOGCHUTE_AUDIT_FALLBACK", "off"),
        ("LOGCHUTE_AUDIT_QUARANTINE", "/audited"),
    ]));
    assert!(got.remarks.is_empty(), "{:?}", got.remarks);
    let [ops, audit] = &got.lanes[..] else { panic!() };
    let (bytes, second) = (256 << 20, Duration::from_secs(1));
    let spool = SpoolSettings { dir: "/spool".into(), bytes, when: SpoolUse::Overflow, fsync: Some(second) };
    assert_eq!(ops.spool, Some(spool));
    let spool = SpoolSettings { dir: "/audit".into(), bytes: 1 << 30, when: SpoolUse::Always, fsync: None };
    assert_eq!(audit.spool, Some(spool));
    assert_eq!((ops.fallback, audit.fallback), (Some(TeeTo::new(Stream::Stderr, Format::Text)), None));
    assert_eq!((&ops.quarantine, &audit.quarantine), (&Some("/rejected".into()), &Some("/audited".into())));
}

#[test]
fn words_about_a_spool_are_told_where_they_are_of_use_to_no_lane() {
    let of_all = ("LOGCHUTE_SPOOL_BYTES", "1GiB");
    let got = settings(&with(&[of_all, ("LOGCHUTE_AUDIT_SPOOL_DIR", "/audit")]));
    assert!(got.remarks.is_empty(), "{:?}", got.remarks);
    let told = "LOGCHUTE_SPOOL_BYTES is set, but LOGCHUTE_SPOOL_DIR is not, so nothing is kept on disk";
    assert_eq!(remark(&with(&[of_all])), told, "once, not for each lane");
    let own = ("LOGCHUTE_AUDIT_SPOOL", "exit");
    let told = remark(&with(&[own, ("LOGCHUTE_OPS_SPOOL_DIR", "/ops")]));
    assert!(told.starts_with("LOGCHUTE_AUDIT_SPOOL is set, but LOGCHUTE_SPOOL_DIR is not"), "{told}");
}

#[test]
fn a_permission_and_the_trusted_certificates_are_inherited() {
    let got = settings(&with(&[("LOGCHUTE_ALLOW_HTTP", "true"), ("LOGCHUTE_AUDIT_ALLOW_HTTP", "no")]));
    let allow: Vec<_> = got.destinations.iter().map(|to| to.reach.allow_http).collect();
    assert_eq!(allow, [true, false]);
    if cfg!(feature = "tls") {
        let got = settings(&with(&[("LOGCHUTE_CA", "/all.pem"), ("LOGCHUTE_AUDIT_CA", "/audit.pem")]));
        let roots: Vec<_> = got.destinations.iter().map(|to| to.reach.ca.clone().unwrap()).collect();
        assert_eq!(roots, [Path::new("/all.pem"), Path::new("/audit.pem")]);
    }
}

#[test]
fn each_lane_has_credentials_of_its_own() {
    let got = settings(&with(&[
        ("LOGCHUTE_OPS_TOKEN", "canary-1"),
        ("LOGCHUTE_AUDIT_USER", "me"),
        ("LOGCHUTE_AUDIT_PASSWORD_FILE", "/run/password"),
        ("LOGCHUTE_AUDIT_HEADERS", "x-key=canary-2"),
        ("LOGCHUTE_AUDIT_TENANT", "acme"),
    ]));
    let [ops, audit] = &got.destinations[..] else { panic!() };
    let (ops, audit) = (&ops.reach.credentials, &audit.reach.credentials);
    assert!(ops.token.is_some() && ops.user.is_none() && ops.headers.is_empty() && ops.tenant.is_none());
    assert!(audit.token.is_none() && audit.user.is_some() && audit.password.is_some() && audit.tenant.is_some());
    assert_eq!(audit.headers.len(), 1);
    assert!(!format!("{:?}", got.destinations).contains("canary"));
}

#[test]
fn b8_credentials_and_url_of_no_lane_are_refused_and_not_shown() {
    for (name, value, shown) in [
        ("LOGCHUTE_URL", "loki+http://me:canary@host", "loki+http://***@host"),
        ("LOGCHUTE_TOKEN", "canary", "***"),
        ("LOGCHUTE_TOKEN_FILE", "/run/token", "/run/token"),
        ("LOGCHUTE_USER", "me", "me"),
        ("LOGCHUTE_PASSWORD", "canary", "***"),
        ("LOGCHUTE_HEADERS", "x-key=canary", "***"),
        ("LOGCHUTE_TENANT", "acme", "acme"),
        ("LOGCHUTE_CERT", "/c.pem", "/c.pem"),
        ("LOGCHUTE_KEY", "/k.pem", "/k.pem"),
    ] {
        let (named, value, must) = refusal(&with(&[(name, value)]));
        assert_eq!((&*named, &*value), (name, shown));
        let own = |lane: &str| name.replace("LOGCHUTE_", lane);
        assert!(must.contains(&own("LOGCHUTE_OPS_")) && must.contains(&own("LOGCHUTE_AUDIT_")), "{must}");
    }
}

#[test]
fn a_credential_for_two_hosts_is_refused_and_not_shown() {
    let far = [
        LANES,
        ("LOGCHUTE_OPS_URL", "acme+http://ops.example"),
        ("LOGCHUTE_AUDIT_URL", "acme+http://audit.example"),
        ("LOGCHUTE_ALLOW_HTTP", "true"),
    ];
    for (secrets, name, parts) in [
        (
            &[("LOGCHUTE_OPS_TOKEN", "canary"), ("LOGCHUTE_AUDIT_TOKEN", "canary")] as &[_],
            "LOGCHUTE_AUDIT_TOKEN",
            ["LOGCHUTE_OPS_TOKEN of destination ops at ops.example", "destination audit at audit.example"],
        ),
        (
            &[("LOGCHUTE_OPS_TOKEN_FILE", "/run/canary"), ("LOGCHUTE_AUDIT_TOKEN_FILE", "/run/canary")],
            "LOGCHUTE_AUDIT_TOKEN_FILE",
            ["LOGCHUTE_OPS_TOKEN_FILE of destination ops at ops.example", "destination audit at audit.example"],
        ),
        (
            &[("ACME_TOKEN", "canary")],
            "ACME_TOKEN",
            ["ACME_TOKEN of destination ops at ops.example", "set LOGCHUTE_AUDIT_TOKEN"],
        ),
        (
            &[("ACME_HEADERS", "api-key=canary")],
            "ACME_HEADERS",
            ["ACME_HEADERS of destination ops at ops.example", "set LOGCHUTE_AUDIT_HEADERS"],
        ),
    ] {
        let variables = [&far, secrets].concat();
        let refused = start(from_env(&variables).unwrap(), &variables).err().unwrap().to_string();
        assert!(refused.starts_with(&format!("{name} is \"***\"")), "{refused}");
        assert!(parts.iter().all(|part| refused.contains(part)) && !refused.contains("canary"), "{refused}");
    }
    // One of them has its own, or both are one host.
    let variables = [&far[..], &[("ACME_TOKEN", "canary"), ("LOGCHUTE_AUDIT_TOKEN", "other")]].concat();
    assert_eq!(settings(&variables).destinations.len(), 2);
    let here = with(&[("LOGCHUTE_OPS_TOKEN", "canary"), ("LOGCHUTE_AUDIT_TOKEN", "canary")]);
    assert_eq!(settings(&here).destinations.len(), 2);
}

#[test]
fn a_credential_for_two_hosts_is_refused_in_code_as_well() {
    let to = |host: &str| Destination::new(Ndjson::new(format!("http://{host}"))).token("canary").allow_http();
    let refused = start(Builder::new().send_to(to("a.example")).send_to(to("b.example")), &[]).err().unwrap();
    let refused = refused.to_string();
    for part in ["token is \"***\"", "destination ndjson at a.example", "destination ndjson2 at b.example"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(!refused.contains("canary"), "{refused}");
    assert!(start(Builder::new().send_to(to("a.example")).send_to(to("a.example:81")), &[]).is_ok());
}

#[test]
fn names_that_could_be_mistaken_are_refused() {
    for (lanes, must) in [
        ("Ops", "\"Ops\" is none"),
        ("ops,a-b", "\"a-b\" is none"),
        ("2nd", "\"2nd\" is none"),
        ("a_b", "\"a_b\" is none"),
        ("ops audit", "\"ops audit\" is none"),
        ("äa", "is none"),
        ("ops,audit,ops", "ops is there twice"),
        (",", "at least one name"),
        ("queue", "queue is how LOGCHUTE_QUEUE_BYTES begins"),
        ("service", "service is how LOGCHUTE_SERVICE begins"),
        ("in", "in is how LOGCHUTE_IN_FLIGHT begins"),
        ("lanes", "lanes is how LOGCHUTE_LANES begins"),
        ("spool", "spool is how LOGCHUTE_SPOOL_DIR begins"),
        ("port", "LOGCHUTE_PORT, which Kubernetes sets"),
    ] {
        let (name, value, wanted) = refusal(&[("LOGCHUTE_LANES", lanes), OPS, AUDIT]);
        assert_eq!((&*name, &*value), ("LOGCHUTE_LANES", lanes));
        assert!(wanted.contains(must), "{lanes}: {wanted}");
    }
    // No first word of any setting can be a lane, whatever settings there will be.
    for setting in SETTINGS.iter().filter_map(|setting| setting.name.strip_prefix("LOGCHUTE_")) {
        let first = setting.split('_').next().unwrap().to_ascii_lowercase();
        assert_eq!(refusal(&[("LOGCHUTE_LANES", &first)]).0, "LOGCHUTE_LANES", "{first}");
    }
    for lane in ["ops", "a", "queues", "o11y", "urls"] {
        let url = format!("LOGCHUTE_{}_URL", lane.to_uppercase());
        assert_eq!(settings(&[("LOGCHUTE_LANES", lane), (&url, "ndjson+http://host")]).destinations[0].name, lane);
    }
}

#[test]
fn a_lane_without_a_url_is_refused() {
    for url in [&[] as &[_], &[("LOGCHUTE_AUDIT_URL", " ")]] {
        let (name, _, must) = refusal(&[&[LANES, OPS], url].concat());
        assert_eq!(name, "LOGCHUTE_AUDIT_URL");
        assert!(must.contains("LOGCHUTE_LANES names the lane audit") && must.contains("+http://host:port"), "{must}");
    }
}

#[test]
fn what_a_lane_has_wrong_is_refused_under_its_own_name() {
    for (name, value, must) in [
        ("LOGCHUTE_AUDIT_URL", "nsjson+http://host", "did you mean ndjson?"),
        ("LOGCHUTE_AUDIT_URL", "ndjson+http://me:x@host", "LOGCHUTE_AUDIT_PASSWORD_FILE"),
        ("LOGCHUTE_AUDIT_FILTER", "inf", "did you mean info?"),
        ("LOGCHUTE_AUDIT_LINGER", "1h", "from 0ms to 5m"),
        ("LOGCHUTE_AUDIT_IN_FLIGHT", "0", "from 1 to 64"),
        ("LOGCHUTE_AUDIT_TIMEOUT", "10", "unit"),
        ("LOGCHUTE_AUDIT_RETRY_FOR", "400d", "from 0ms to 365d"),
        ("LOGCHUTE_AUDIT_BATCH_BYTES", "32MiB", "at most as large as the backlog (16MiB)"),
        ("LOGCHUTE_AUDIT_BACKLOG_BYTES", "512KiB", "at least as large as a batch (1MiB)"),
        ("LOGCHUTE_AUDIT_BACKLOG_OVERFLOW", "block", "drop_oldest"),
        ("LOGCHUTE_AUDIT_COMPRESSION", "zstd", "none or gzip"),
        ("LOGCHUTE_AUDIT_SPOOL_BYTES", "1KiB", "from 1MiB to 1TiB"),
        ("LOGCHUTE_AUDIT_SPOOL", "never", "overflow, exit or always"),
        ("LOGCHUTE_AUDIT_FSYNC", "2h", "from 1ms to 1h"),
        ("LOGCHUTE_AUDIT_FALLBACK", "journal", "stdout or stderr"),
        ("LOGCHUTE_AUDIT_ALLOW_HTTP", "perhaps", "true or false"),
        ("LOGCHUTE_AUDIT_TOKEN", "can\rary", "control characters"),
        ("LOGCHUTE_AUDIT_HEADERS", "canary", "name=value"),
    ] {
        let (named, shown, wanted) = refusal(&[LANES, OPS, AUDIT, (name, value)]);
        let is_secret = value.starts_with("can");
        assert_eq!(&*named, name);
        assert!(shown == if is_secret { "***".into() } else { value.replace("me:x@", "***@") }, "{shown}");
        assert!(wanted.contains(must) && !wanted.contains("ary"), "{name}={value}: {wanted}");
    }
}

#[test]
fn what_only_the_wire_finds_is_told_under_the_name_of_the_lane() {
    let refused = |more: Variables<'_>| {
        let variables = with(more);
        let got = settings(&variables);
        let failed = got.destinations.into_iter().map(|to| {
            let url = to.backend.url().to_owned();
            crate::wire::Client::new(crate::wire::Options { url, ..to.reach }).err()
        });
        failed.flatten().map(|error| error.to_string()).collect::<Vec<_>>()
    };
    assert!(refused(&[]).is_empty());
    let said = refused(&[("LOGCHUTE_AUDIT_USER", "me")]);
    assert!(
        matches!(&said[..], [one] if one.starts_with("LOGCHUTE_AUDIT_USER is")
        && one.contains("LOGCHUTE_AUDIT_PASSWORD_FILE")),
        "{said:?}"
    );
    let said = refused(&[("LOGCHUTE_AUDIT_TOKEN_FILE", "/no/such/file")]);
    assert!(matches!(&said[..], [one] if one.starts_with("LOGCHUTE_AUDIT_TOKEN_FILE is")), "{said:?}");
}

#[test]
fn names_of_lanes_are_known_and_slips_are_told_with_the_nearest() {
    for (name, told) in [
        ("LOGCHUTE_AUDIT_TOKN", "the nearest known name is LOGCHUTE_AUDIT_TOKEN"),
        ("LOGCHUTE_AUDTI_FILTER", "the nearest known name is LOGCHUTE_AUDIT_FILTER"),
        ("LOGCHUTE_AUDIT_CA_FILE", "the nearest known name is LOGCHUTE_AUDIT_CA"),
        ("LOGCHUTE_AUDIT_QUEUE_BYTES", "LOGCHUTE_QUEUE_BYTES holds for the whole process"),
        ("LOGCHUTE_AUDIT_LABELS", "LOGCHUTE_LABELS holds for the whole process"),
        ("LOGCHUTE_AUDIT_SHUTDOWN", "LOGCHUTE_SHUTDOWN holds for the whole process"),
        ("LOGCHUTE_AUDIT_SPOL_DIR", "the nearest known name is LOGCHUTE_AUDIT_SPOOL_DIR"),
        ("LOGCHUTE_AUDIT_RING_DIR", "LOGCHUTE_RING_DIR holds for the whole process"),
        ("LOGCHUTE_AUDIT_SIGNALS", "LOGCHUTE_SIGNALS holds for the whole process"),
        ("LOGCHUTE_MIRROR_URL", "LOGCHUTE_LANES does not name a lane mirror"),
    ] {
        let said = remark(&with(&[(name, "x")]));
        assert!(said.starts_with(name) && said.contains(told), "{said}");
    }
    let links = with(&[("LOGCHUTE_AUDIT_SERVICE_HOST", "10.0.0.7"), ("LOGCHUTE_AUDIT_PORT_80_TCP_ADDR", "10.0.0.7")]);
    assert!(settings(&links).remarks.is_empty());
    assert!(remark(&[("LOGCHUTE_AUDIT_URL", "x")]).contains("LOGCHUTE_LANES does not name a lane audit"));
}

#[test]
fn unknown_names_are_told_once_and_service_links_never() {
    assert!(remark(&[("LOGCHUTE_ULR", "x")]).ends_with("LOGCHUTE_URL"));
    let links = settings(&[
        ("LOGCHUTE_SERVICE_HOST", "10.0.0.7"),
        ("LOGCHUTE_SERVICE_PORT", "80"),
        ("LOGCHUTE_PORT", "tcp://10.0.0.7:80"),
        ("LOGCHUTE_PORT_80_TCP_ADDR", "10.0.0.7"),
    ]);
    assert!(links.remarks.is_empty(), "{:?}", links.remarks);
}

#[test]
fn no_value_of_a_lane_makes_it_panic_or_shows_a_secret() {
    let pieces =
        ["loki", "ndjson+http", "://", "canary", "@", ":", "/", "=", "%", ",", "ä", "\n", "9", "MiB", "info", " "];
    let mut random = fastrand::Rng::with_seed(13);
    let in_lanes: Vec<_> = SETTINGS.iter().filter(|setting| setting.lanes != crate::config::list::Lanes::No).collect();
    for _ in 0..5_000 {
        let setting = in_lanes[random.usize(..in_lanes.len())];
        let name = setting.name.replace("LOGCHUTE_", if random.bool() { "LOGCHUTE_AUDIT_" } else { "LOGCHUTE_" });
        let value: String = (0..random.usize(..6)).map(|_| pieces[random.usize(..pieces.len())]).collect();
        let more = [(name.as_str(), value.as_str())];
        let variables = with(&more);
        let (said, has_header) = seen(&variables);
        let is_name = setting.name == "LOGCHUTE_HEADERS" && has_header;
        assert!(!setting.secret || is_name || !said.contains("canary"), "{variables:?}: {said}");
    }
}

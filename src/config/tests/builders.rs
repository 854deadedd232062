//! Settings by code, alone and on top of the environment.

use super::*;

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
fn a_destination_has_its_own_words_about_the_disk() {
    let stderr = TeeTo::new(Stream::Stderr, Format::Text);
    let audit = Destination::new(Ndjson::new("http://vl"))
        .spool_dir("/audit")
        .spool_bytes(8 << 20)
        .spool(SpoolUse::Exit)
        .fsync(Duration::from_secs(2))
        .fallback(stderr)
        .quarantine("/audited");
    let builder = Builder::new().spool_dir("/all").quarantine("/rejected").signals(Signals::Flush);
    let got = start(builder.send_to(Loki::new("http://loki")).send_to(audit), &[]).unwrap();
    assert!(got.remarks.is_empty() && got.signals == Signals::Flush, "{:?}", got.remarks);
    let spool = |dir: &str, bytes, when, fsync| Some(SpoolSettings { dir: dir.into(), bytes, when, fsync });
    let [loki, audit] = &got.lanes[..] else { panic!() };
    assert_eq!(loki.spool, spool("/all", 256 << 20, SpoolUse::Overflow, None));
    assert_eq!(audit.spool, spool("/audit", 8 << 20, SpoolUse::Exit, Some(Duration::from_secs(2))));
    assert_eq!((loki.fallback, audit.fallback), (None, Some(stderr)));
    assert_eq!((&loki.quarantine, &audit.quarantine), (&Some("/rejected".into()), &Some("/audited".into())));
}

#[test]
fn the_hook_is_kept() {
    let got = start(Builder::new().on_diagnostic(|_| {}), &[]).unwrap();
    assert!(got.hook.is_some());
}

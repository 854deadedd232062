//! Several destinations by environment: each gets what is its own, with its own credentials.

use logchute::testing::{Answer, Request, Store};

use super::support::{Case, End, Victim, case};
use super::{CANARY, url};

/// A store that lets in who shows this.
fn behind(header: &'static str, value: &'static str) -> Store {
    Store::with(move |request: &Request| match request.header(header) {
        Some(shown) if shown == value => Answer::ok(),
        _ => Answer::status(403),
    })
}

fn run(ops: &Store, audit: &Store, more: &[(&str, &str)]) -> End {
    let victim = Victim::new("lanes")
        .env("LOGCHUTE_TEE", "off")
        .env("LOGCHUTE_LANES", "ops,audit")
        .env("LOGCHUTE_OPS_URL", url(ops))
        .env("LOGCHUTE_AUDIT_URL", format!("loki-json+{}", audit.url()));
    more.iter().fold(victim, |victim, (name, value)| victim.env(name, value)).run()
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("each_lane_gets_what_it_wants_and_shows_its_own_credential", || {
            let (ops, audit) = (behind("authorization", "Bearer of-ops"), behind("x-audit", "of-audit"));
            let end = run(
                &ops,
                &audit,
                &[
                    ("LOGCHUTE_FILTER", "warn"),
                    ("LOGCHUTE_OPS_TOKEN", "of-ops"),
                    ("LOGCHUTE_AUDIT_HEADERS", "x-audit=of-audit"),
                    ("LOGCHUTE_AUDIT_FILTER", "off,shop::audit=info"),
                    ("LOGCHUTE_AUDIT_COMPRESSION", "gzip"),
                ],
            );
            end.assert_well();
            assert_eq!(end.stderr, "");
            assert_eq!(ops.messages(), ["out of stock"]);
            assert_eq!(audit.messages(), ["price changed"]);
            let shows = |store: &Store, header: &str| store.requests().iter().any(|it| it.header(header).is_some());
            assert!(!shows(&ops, "x-audit") && !shows(&audit, "authorization"));
            assert!(shows(&audit, "content-encoding") && !shows(&ops, "content-encoding"));
        }),
        case("a_lane_that_is_away_keeps_nothing_from_the_other", || {
            let (ops, audit) = (Store::refusing(), Store::new());
            let end = run(&ops, &audit, &[("LOGCHUTE_SHUTDOWN", "300ms")]);
            end.assert_well();
            // Loki has a stream for each level, so that order is not promised.
            let mut messages = audit.messages();
            messages.sort();
            assert_eq!(messages, ["order placed", "out of stock", "price changed"]);
            // What it did not get is told, and under which name it is to be found.
            assert!(end.stderr.contains("ops") && end.stderr.contains("LOGCHUTE_OPS_URL"), "{end:#?}");
        }),
        case("the_doctor_names_the_settings_of_the_lane", || {
            let (ops, audit) = (Store::new(), behind("x-audit", "of-audit"));
            let end = run(&ops, &audit, &[("LOGCHUTE_DOCTOR", "1"), ("LOGCHUTE_SHUTDOWN", "300ms")]);
            end.assert_well();
            assert!(end.stderr.contains("LOGCHUTE_AUDIT_TOKEN"), "{end:#?}");
            assert!(!end.stderr.contains("LOGCHUTE_OPS_") && !end.stderr.contains("LOGCHUTE_TOKEN"), "{end:#?}");
        }),
        case("what_is_misspelt_for_a_lane_is_told", || {
            let (ops, audit) = (Store::new(), Store::new());
            let end =
                run(&ops, &audit, &[("LOGCHUTE_AUDIT_TOKN", CANARY), ("LOGCHUTE_AUDIT_SERVICE_HOST", "10.0.0.1")]);
            end.assert_well();
            let told =
                "LOGCHUTE_AUDIT_TOKN is not known and is ignored; the nearest known name is LOGCHUTE_AUDIT_TOKEN";
            assert_eq!(end.said(), [told]);
        }),
        case("b8_no_secret_of_a_lane_is_shown", || {
            let refusing = || Store::with(|_| Answer::status(401).body(format!("who is {CANARY}?")));
            let (ops, audit) = (refusing(), refusing());
            let secrets = [
                ("LOGCHUTE_OPS_TOKEN", CANARY),
                ("LOGCHUTE_AUDIT_USER", "me"),
                ("LOGCHUTE_AUDIT_PASSWORD", CANARY),
                ("LOGCHUTE_AUDIT_HEADERS", "x-key=s3cr3t-canary"),
                ("LOGCHUTE_SHUTDOWN", "300ms"),
            ];
            let end = run(&ops, &audit, &secrets);
            end.assert_well();
            assert!(ops.request_count() > 0 && audit.request_count() > 0);
            assert!(![&end.stdout, &end.stderr].iter().any(|text| text.contains(CANARY)), "{end:#?}");
        }),
    ]
}

/// One record that only the default filter of the destinations lets pass, one that any does, one of the auditor's.
pub(super) fn victim() {
    println!("{:?}", logchute::Builder::from_env().unwrap());
    let logs = logchute::init().unwrap();
    tracing::info!(target: "shop", "order placed");
    tracing::warn!(target: "shop", "out of stock");
    tracing::info!(target: "shop::audit", "price changed");
    println!("{:?} {:?}", *logs, logs.health());
}

//! The doctor at VictoriaLogs. What it cannot know: Splunk's intake takes any token, and Datadog's asks for no key.

use crate::doctor::visit;
use crate::server::variable;

fn url() -> String {
    variable("VICTORIALOGS_URL")
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn each_right_url_is_well() {
    for (backend, path) in [
        ("loki", "/insert"),
        ("loki", "/insert/loki/api/v1/push"),
        ("victorialogs", ""),
        ("ndjson", "/insert/jsonline"),
        #[cfg(feature = "elasticsearch")]
        ("elasticsearch", "/insert/elasticsearch"),
        #[cfg(feature = "otlp")]
        ("otlp", "/insert/opentelemetry"),
        #[cfg(feature = "splunk")]
        ("splunk", "/insert/splunk"),
        #[cfg(feature = "datadog")]
        ("datadog", "/insert/datadog"),
    ] {
        visit(format!("{backend}+{}{path}", url()), &[("LOGCHUTE_TOKEN", "any")]).well();
    }
    #[cfg(feature = "tls")]
    visit(
        format!("loki+{}/insert", variable("VICTORIALOGS_TLS_URL")),
        &[("LOGCHUTE_CA", &variable("VICTORIALOGS_CA"))],
    )
    .well();
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn a_base_url_without_its_path_and_a_wrong_path_are_told() {
    for (backend, path) in [
        ("loki", ""),
        ("loki", "/insert/jsonline"),
        ("ndjson", ""),
        ("ndjson", "/insert"),
        #[cfg(feature = "elasticsearch")]
        ("elasticsearch", ""),
        #[cfg(feature = "elasticsearch")]
        ("elasticsearch", "/insert/elasticsearch/logs"),
        #[cfg(feature = "otlp")]
        ("otlp", ""),
        #[cfg(feature = "otlp")]
        ("otlp", "/insert/opentelemetry/v1/traces"),
        #[cfg(feature = "splunk")]
        ("splunk", "/insert/splunk/services/collector/raw"),
        #[cfg(feature = "datadog")]
        ("datadog", "/insert/datadog/v1/input"),
    ] {
        let visit = visit(format!("{backend}+{}{path}", url()), &[]);
        visit.told("answer", "there is no such intake", "LOGCHUTE_URL");
        visit.told("answer", "begin with /insert/", "LOGCHUTE_URL");
    }
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn the_wrong_backend_for_a_path_is_told() {
    let to = format!("ndjson+{}/insert/loki/api/v1/push", url());
    visit(to, &[]).told("answer", "name the right backend", "LOGCHUTE_URL");
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn a_tenant_that_is_a_name_is_told() {
    let to = format!("loki+{}/insert", url());
    visit(to, &[("LOGCHUTE_TENANT", "acme")]).told("answer", "the tenant", "LOGCHUTE_TENANT");
    let to = format!("ndjson+{}/insert/jsonline", url());
    visit(to, &[("LOGCHUTE_HEADERS", "AccountID=acme")]).told("answer", "LOGCHUTE_HEADERS", "LOGCHUTE_TENANT");
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn plain_text_to_the_tls_port_is_told() {
    let to = format!("loki+{}/insert", variable("VICTORIALOGS_TLS_URL").replace("https:", "http:"));
    visit(to, &[]).told("answer", "TLS is spoken at that port", "LOGCHUTE_URL");
}

#[test]
#[cfg(feature = "tls")]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn tls_to_the_plain_port_and_a_ca_that_is_not_known_are_told() {
    let ca = variable("VICTORIALOGS_CA");
    let to = format!("loki+{}/insert", url().replace("http:", "https:"));
    visit(to, &[("LOGCHUTE_CA", &ca)]).told("handshake", "does not speak TLS", "LOGCHUTE_URL");
    let to = format!("loki+{}/insert", variable("VICTORIALOGS_TLS_URL"));
    visit(to, &[]).told("handshake", "signed by no CA", "LOGCHUTE_CA");
}

#[test]
#[cfg(feature = "syslog")]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn syslog_is_sent_and_to_the_tls_port_it_is_told() {
    visit(format!("syslog+{}", variable("VICTORIALOGS_SYSLOG_URL")), &[]).sent();
    let to = format!("syslog+{}", variable("VICTORIALOGS_SYSLOG_TLS_URL").replace("tls:", "tcp:"));
    visit(to, &[]).told("answer", "must then say +tls", "LOGCHUTE_URL");
}

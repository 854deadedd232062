//! The doctor at the OpenTelemetry Collector.

use crate::doctor::visit;
use crate::server::variable;

fn http() -> String {
    variable("OTELCOL_URL")
}

#[test]
#[cfg(feature = "otlp")]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn otlp_is_well_at_its_port() {
    visit(format!("otlp+{}", http()), &[]).well();
    visit(format!("otlp-json+{}", http()), &[]).well();
    visit("otlp", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &http())]).well();
}

#[test]
#[cfg(feature = "otlp")]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn a_wrong_path_is_told_by_the_variable_that_gave_it() {
    for path in ["/opentelemetry", "/v1/traces"] {
        visit(format!("otlp+{}{path}", http()), &[]).told("answer", "there is no such intake", "LOGCHUTE_URL");
    }
    // That one is taken as it is.
    let variable = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
    visit("otlp", &[(variable, &http())]).told("answer", "there is no such intake", variable);
}

#[test]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn another_backend_is_told() {
    visit(format!("loki+{}", http()), &[]).told("answer", "is it the backend for this store", "LOGCHUTE_URL");
}

#[test]
#[cfg(feature = "forward")]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn forward_is_well_at_its_port_and_told_at_that_of_otlp() {
    visit(format!("forward+{}", variable("OTELCOL_FORWARD_URL")), &[]).well();
    let to = format!("forward+{}", http().replace("http:", "tcp:"));
    visit(to, &[]).told("answer", "speaks another protocol", "LOGCHUTE_URL");
}

#[test]
#[cfg(feature = "otlp")]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn otlp_to_the_port_of_forward_is_told() {
    let to = format!("otlp+{}", variable("OTELCOL_FORWARD_URL").replace("tcp:", "http:"));
    visit(to, &[]).told("answer", "no port for HTTP", "LOGCHUTE_URL");
}

#[test]
#[cfg(feature = "syslog")]
#[ignore = "needs the Collector: tests/servers/otelcol.sh"]
fn syslog_is_sent_and_to_the_port_of_forward_it_is_told() {
    visit(format!("syslog+{}", variable("OTELCOL_SYSLOG_URL")), &[]).sent();
    let to = format!("syslog+{}", variable("OTELCOL_FORWARD_URL"));
    visit(to, &[]).told("answer", "another protocol", "LOGCHUTE_URL");
}

//! The doctor at rsyslog, which confirms nothing: what it throws away without closing the connection, nobody knows.

use crate::doctor::visit;
use crate::server::variable;

#[test]
#[ignore = "needs rsyslog: tests/servers/rsyslog.sh"]
fn a_record_is_said_to_be_sent_and_no_more() {
    visit(format!("syslog+{}", variable("RSYSLOG_URL")), &[]).sent();
    #[cfg(feature = "tls")]
    visit(format!("syslog+{}", variable("RSYSLOG_TLS_URL")), &[("LOGCHUTE_CA", &variable("RSYSLOG_CA"))]).sent();
}

#[test]
#[ignore = "needs rsyslog: tests/servers/rsyslog.sh"]
fn plain_text_to_the_tls_port_is_told() {
    let to = format!("syslog+{}", variable("RSYSLOG_TLS_URL").replace("tls:", "tcp:"));
    visit(to, &[]).told("answer", "must then say +tls", "LOGCHUTE_URL");
}

#[test]
#[cfg(feature = "tls")]
#[ignore = "needs rsyslog: tests/servers/rsyslog.sh"]
fn tls_to_the_plain_port_and_a_ca_that_is_not_known_are_told() {
    let to = format!("syslog+{}", variable("RSYSLOG_URL").replace("tcp:", "tls:"));
    let ca = variable("RSYSLOG_CA");
    visit(to, &[("LOGCHUTE_CA", &ca)]).told("handshake", "that is no TLS port", "LOGCHUTE_URL");
    let to = format!("syslog+{}", variable("RSYSLOG_TLS_URL"));
    visit(to, &[]).told("handshake", "signed by no CA", "LOGCHUTE_CA");
}

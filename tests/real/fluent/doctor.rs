//! The doctor at Fluent's own server, at all four ports.

use crate::doctor::visit;
use crate::server::variable;

fn to(port: &str) -> String {
    format!("forward+{}", variable(&format!("FLUENT_{port}_URL")))
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn each_port_is_well_with_what_it_asks_for() {
    let [key, user, password] = ["FLUENT_KEY", "FLUENT_USER", "FLUENT_PASSWORD"].map(variable);
    let key = ("LOGCHUTE_TOKEN", &*key);
    visit(to("FORWARD"), &[]).well();
    visit(to("KEY"), &[key]).well();
    visit(to("USER"), &[key, ("LOGCHUTE_USER", &user), ("LOGCHUTE_PASSWORD", &password)]).well();
    #[cfg(feature = "tls")]
    visit(to("TLS"), &[key, ("LOGCHUTE_CA", &variable("FLUENT_CA"))]).well();
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn a_login_that_is_missing_or_wrong_is_told() {
    let [key, user] = ["FLUENT_KEY", "FLUENT_USER"].map(variable);
    let key = ("LOGCHUTE_TOKEN", &*key);
    visit(to("KEY"), &[]).told("answer", "asks for a shared key", "LOGCHUTE_TOKEN");
    visit(to("KEY"), &[("LOGCHUTE_TOKEN", "another")]).told("answer", "shared key mismatch", "LOGCHUTE_TOKEN");
    let wrong = [key, ("LOGCHUTE_USER", &user), ("LOGCHUTE_PASSWORD", "another")];
    visit(to("USER"), &wrong).told("answer", "password mismatch", "LOGCHUTE_TOKEN");
    visit(to("USER"), &[key]).told("answer", "missing authentication", "LOGCHUTE_TOKEN");
    visit(to("FORWARD"), &[key]).told("answer", "asks for no login", "LOGCHUTE_TOKEN");
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn plain_text_to_the_tls_port_is_told() {
    let to = to("TLS").replace("tls:", "tcp:");
    visit(to, &[]).told("answer", "must then say +tls", "LOGCHUTE_URL");
}

#[test]
#[cfg(feature = "tls")]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn tls_to_the_plain_port_and_a_ca_that_is_not_known_are_told() {
    let ca = variable("FLUENT_CA");
    let plain = to("FORWARD").replace("tcp:", "tls:");
    visit(plain, &[("LOGCHUTE_CA", &ca)]).told("handshake", "is that a TLS port", "LOGCHUTE_URL");
    visit(to("TLS"), &[]).told("handshake", "signed by no CA", "LOGCHUTE_CA");
}

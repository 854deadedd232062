//! N12: handshakes that must fail, and those that must not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;

use super::super::http::Client;
use super::super::testing::{Dir, LONG, Seen, Server, alone, answering, options, payload, runtime, send, to_the_end};
use super::super::{Credentials, Failure, FailureKind, Options, Secret};
use crate::backend::Reply;

const OK: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

pub(super) type Issuer = CertifiedIssuer<'static, KeyPair>;

pub(super) fn issuer() -> Issuer {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this host, and its key.
pub(super) fn issued(by: &Issuer, host: &str, expired: bool) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    if expired {
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    }
    (params.signed_by(&key, by).unwrap(), key)
}

pub(super) fn config(
    (certificate, key): &(rcgen::Certificate, KeyPair),
    clients: Option<&Issuer>,
    tls13: bool,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = if tls13 { &[&rustls::version::TLS13] } else { &[&rustls::version::TLS12] };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(by) => {
            let mut roots = RootCertStore::empty();
            roots.add(by.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()
}

/// A TLS server of one request. Gives back what of HTTP it saw, which is nothing where the handshake failed.
fn serve(config: ServerConfig) -> Server<Option<Seen>> {
    let config = Arc::new(config);
    Server::one(move |stream: TcpStream| {
        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        while tls.conn.is_handshaking() {
            if tls.conn.complete_io(&mut tls.sock).is_err() {
                // The reason is sent before the connection is closed, and all is read so that it is not lost by a reset.
                while tls.conn.wants_write() && tls.conn.write_tls(&mut tls.sock).is_ok() {}
                let _ = tls.sock.shutdown(std::net::Shutdown::Write);
                to_the_end(&mut tls.sock);
                return None;
            }
        }
        let seen = Seen::read(&mut tls);
        tls.write_all(OK).unwrap();
        tls.flush().unwrap();
        let _ = tls.read(&mut [0]);
        Some(seen)
    })
}

fn at(server: &Server<Option<Seen>>, host: &str) -> Options {
    // The token must not be seen by whoever has not proven who he is.
    let credentials = Credentials { token: Some(Secret::value("canary")), ..Credentials::default() };
    Options { credentials, ..options(format!("https://{host}:{}/in", server.address.port())) }
}

pub(super) fn trusting(dir: &Dir, by: &Issuer) -> Option<PathBuf> {
    Some(dir.file("ca.pem", by.pem()))
}

/// The text of a handshake that failed, and proof that nothing was told to the other side.
fn failed(server: Server<Option<Seen>>, options: Options) -> String {
    let failure = send(options, LONG).expect_err("accepted");
    assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
    assert!(!failure.text.contains("canary"), "{failure}");
    assert!(server.end()[0].is_none());
    failure.text
}

fn delivered(server: Server<Option<Seen>>, result: Result<Reply, Failure>) {
    assert_eq!(result.unwrap().status, 204);
    let seen = server.end().remove(0).unwrap();
    assert_eq!(seen.header("authorization"), Some("Bearer canary"));
    assert_eq!(seen.body, b"hello");
}

#[test]
fn n12_a_certificate_of_the_given_ca_is_accepted() {
    let (dir, by) = (Dir::new(), issuer());
    for (tls13, host) in [(true, "localhost"), (false, "localhost"), (true, "127.0.0.1")] {
        let server = serve(config(&issued(&by, host, false), None, tls13));
        let options = Options { ca: trusting(&dir, &by), ..at(&server, host) };
        let result = send(options, LONG);
        delivered(server, result);
    }
    // One file may hold several.
    let server = serve(config(&issued(&by, "localhost", false), None, true));
    let both = dir.file("both.pem", format!("comment\n{}\n{}", issuer().pem(), by.pem()));
    let result = send(Options { ca: Some(both), ..at(&server, "localhost") }, LONG);
    delivered(server, result);
}

#[test]
fn n12_an_expired_certificate_is_told() {
    let (dir, by) = (Dir::new(), issuer());
    let server = serve(config(&issued(&by, "localhost", true), None, true));
    let options = Options { ca: trusting(&dir, &by), ..at(&server, "localhost") };
    let text = failed(server, options);
    assert!(text.contains("has expired") && text.contains("clock"), "{text}");
}

#[test]
fn n12_a_certificate_for_another_host_is_told() {
    let (dir, by) = (Dir::new(), issuer());
    let server = serve(config(&issued(&by, "loki.example", false), None, true));
    let options = Options { ca: trusting(&dir, &by), ..at(&server, "localhost") };
    let text = failed(server, options);
    assert!(text.contains("another host") && text.contains("loki.example") && text.contains("LOGCHUTE_URL"), "{text}");
}

#[test]
fn n12_an_unknown_ca_is_told() {
    let (dir, by) = (Dir::new(), issuer());
    let server = serve(config(&issued(&by, "localhost", false), None, true));
    let options = Options { ca: trusting(&dir, &issuer()), ..at(&server, "localhost") };
    let text = failed(server, options);
    assert!(text.contains("no CA that is trusted here") && text.contains("LOGCHUTE_CA"), "{text}");
}

#[test]
fn n12_a_self_signed_certificate_is_accepted_only_as_its_own_ca() {
    let dir = Dir::new();
    let made = |ca| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = ca;
        (params.self_signed(&key).unwrap(), key)
    };
    let one = made(IsCa::NoCa);
    let server = serve(config(&one, None, true));
    let options = Options { ca: trusting(&dir, &issuer()), ..at(&server, "localhost") };
    assert!(failed(server, options).contains("LOGCHUTE_CA"));

    let server = serve(config(&one, None, true));
    let ca = dir.file("self.pem", one.0.pem());
    let result = send(Options { ca: Some(ca), ..at(&server, "localhost") }, LONG);
    delivered(server, result);

    // What `openssl req -x509` makes when nothing is said about it.
    let one = made(IsCa::Ca(BasicConstraints::Unconstrained));
    let server = serve(config(&one, None, true));
    let ca = dir.file("self.pem", one.0.pem());
    let options = Options { ca: Some(ca), ..at(&server, "localhost") };
    let text = failed(server, options);
    assert!(text.contains("CA:FALSE"), "{text}");
}

#[test]
fn n12_plain_http_at_a_tls_url_is_told_and_never_spoken() {
    let (dir, by) = (Dir::new(), issuer());
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let server = Server::one(move |mut stream: TcpStream| {
            let mut first = [0];
            stream.read_exact(&mut first).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = stream.shutdown(std::net::Shutdown::Write);
            to_the_end(&mut stream);
            // A handshake record, not the P of POST.
            assert_eq!(first, [22]);
            None
        });
        let options = Options { ca: trusting(&dir, &by), ..at(&server, "localhost") };
        let text = failed(server, options);
        assert!(text.contains("http://"), "{text}");
    }
}

#[test]
fn n12_tls_at_a_plain_url_is_told() {
    // What a TLS server says to a POST: an alert.
    let server = answering([21, 3, 3, 0, 2, 2, 10]);
    let failure = send(options(server.url()), LONG).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Other);
    assert!(failure.text.contains("https://"), "{failure}");
    server.end();
}

#[test]
fn n12_a_client_certificate_is_shown_where_it_is_wanted() {
    let (dir, by, clients) = (Dir::new(), issuer(), issuer());
    let pair = issued(&by, "localhost", false);
    let mine = issued(&clients, "app", false);
    let (cert, key) = (dir.file("cert.pem", mine.0.pem()), dir.file("key.pem", mine.1.serialize_pem()));
    // The same key as SEC1: what a PKCS#8 file of this curve wraps, after 29 bytes that name the curve.
    let sec1 = pem("EC PRIVATE KEY", &mine.1.serialize_der()[29..]);
    let sec1 = dir.file("sec1.pem", sec1);
    for tls13 in [true, false] {
        for key in [&key, &sec1] {
            let server = serve(config(&pair, Some(&clients), tls13));
            let options = Options {
                ca: trusting(&dir, &by),
                cert: Some(cert.clone()),
                key: Some(key.clone()),
                ..at(&server, "localhost")
            };
            let result = send(options, LONG);
            delivered(server, result);
        }
        let server = serve(config(&pair, Some(&clients), tls13));
        let options = Options { ca: trusting(&dir, &by), ..at(&server, "localhost") };
        let text = failed(server, options);
        assert!(text.contains("client certificate") && text.contains("LOGCHUTE_CERT"), "{text}");
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[test]
fn n12_no_common_version_is_told() {
    // A TLS 1.0 server: it answers with the alert protocol_version.
    let server = Server::one(|mut stream: TcpStream| {
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(&[21, 3, 1, 0, 2, 2, 70]).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        to_the_end(&mut stream);
        None
    });
    let (dir, by) = (Dir::new(), issuer());
    let options = Options { ca: trusting(&dir, &by), ..at(&server, "localhost") };
    let text = failed(server, options);
    assert!(text.contains("TLS 1.2 or 1.3"), "{text}");
}

#[test]
fn files_that_are_no_certificate_or_key_are_refused_by_setting_and_name() {
    let (dir, by) = (Dir::new(), issuer());
    let (certificate, key) = issued(&by, "localhost", false);
    let cert = dir.file("cert.pem", certificate.pem());
    let key_file = dir.file("key.pem", key.serialize_pem());
    let other = dir.file("other.pem", KeyPair::generate().unwrap().serialize_pem());
    let secret = key.serialize_pem().lines().nth(1).unwrap().to_owned();
    let half = key.serialize_pem().replace("-----END", "");
    let broken = |label: &str| pem(label, b"\x30\x03\x02\x01\x01");

    let files = [
        ("ca", Some(dir.path().join("missing.pem")), None, None, "missing.pem"),
        ("ca", Some(dir.path().to_path_buf()), None, None, "regular file"),
        ("ca", Some(dir.file("empty.pem", "")), None, None, "empty.pem"),
        ("ca", Some(dir.file("text.pem", "no PEM at all")), None, None, "text.pem"),
        ("ca", Some(dir.file("key-as-ca.pem", key.serialize_pem())), None, None, "CERTIFICATE"),
        ("ca", Some(dir.file("broken.pem", broken("CERTIFICATE"))), None, None, "certificate 1"),
        (
            "ca",
            Some(dir.file("bad64.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")),
            None,
            None,
            "bad64",
        ),
        ("cert", None, Some(cert.clone()), None, "together with key"),
        ("key", None, None, Some(key_file.clone()), "together with cert"),
        ("cert", None, Some(dir.file("nothing.pem", "")), Some(key_file.clone()), "nothing.pem"),
        ("key", None, Some(cert.clone()), Some(cert.clone()), "PRIVATE KEY"),
        ("key", None, Some(cert.clone()), Some(other), "other.pem"),
        ("key", None, Some(cert.clone()), Some(dir.file("half.pem", half)), "half.pem"),
        ("key", None, Some(cert.clone()), Some(dir.file("rsa.pem", broken("RSA PRIVATE KEY"))), "rsa.pem"),
        (
            "key",
            None,
            Some(cert.clone()),
            Some(dir.file("locked.pem", broken("ENCRYPTED PRIVATE KEY"))),
            "not encrypted",
        ),
    ];
    for (setting, ca, cert, key, said) in files {
        // Also where the URL needs none of them: a file that is named and cannot be used is a mistake.
        for url in ["https://localhost/", "http://localhost/"] {
            let options = Options { ca: ca.clone(), cert: cert.clone(), key: key.clone(), ..options(url) };
            // With the CA of the platform the outcome would hang on the machine.
            let options = Options { ca: options.ca.or_else(|| trusting(&dir, &by)), ..options };
            let error = Client::new(options).expect_err(said).to_string();
            assert!(error.starts_with(&format!("{setting} is")) && error.contains(said), "{error}");
            assert!(!error.contains(&secret), "{error}");
        }
    }
}

/// Makes a client, in a process that finds no CAs; see the next test.
#[test]
fn finds_no_ca() {
    if std::env::var_os("WIRE_NO_CA").is_some() {
        let error = Client::new(options("https://localhost/")).unwrap_err().to_string();
        assert!(error.contains("ca-certificates") && error.starts_with("ca is"), "{error}");
        // Plain http needs none.
        let client = Client::new(options("http://127.0.0.1:1/")).unwrap();
        assert!(runtime().block_on(client.send(payload("hello"), LONG)).is_err());
    }
}

#[cfg(all(unix, not(target_vendor = "apple")))]
#[test]
fn n12_a_machine_without_cas_is_told_at_start() {
    let nowhere = Dir::new();
    let there = nowhere.path().join("none");
    let there = there.to_str().unwrap();
    let variables = [("WIRE_NO_CA", "1"), ("SSL_CERT_FILE", there), ("SSL_CERT_DIR", there)];
    alone("wire::tests::tls::finds_no_ca", &variables);
}

#[test]
fn an_https_request_goes_through_a_proxy_by_a_tunnel() {
    let proxy = answering("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    let there = format!("http://{}", proxy.address);
    alone("wire::tests::tls::is_refused_by_the_proxy", &[("HTTPS_PROXY", &there), ("WIRE_TUNNEL", "1")]);
    let seen = &proxy.end()[0];
    assert!(seen.head.starts_with("CONNECT store.invalid:443 HTTP/1.1\r\n"), "{}", seen.head);
    assert!(!seen.head.contains("canary"));
}

#[test]
fn is_refused_by_the_proxy() {
    if std::env::var_os("WIRE_TUNNEL").is_some() {
        let (dir, by) = (Dir::new(), issuer());
        let credentials = Credentials { token: Some(Secret::value("canary")), ..Credentials::default() };
        let options = Options { credentials, ca: trusting(&dir, &by), ..options("https://store.invalid/in") };
        let failure = send(options, LONG).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Connect);
        assert!(failure.text.contains("HTTPS_PROXY"), "{failure}");
    }
}

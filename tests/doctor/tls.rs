//! Certificates and ports that are not what the URL says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use logchute::testing::Store;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Case, case};
use crate::{diagnosed, failed, loki, told};

type Issuer = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn issuer() -> Issuer {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server whose certificate is for that host; answers nothing but handshakes.
fn tls_server(by: &Issuer, host: &str, expired: bool) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    if expired {
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    }
    let certificate = params.signed_by(&key, by).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let (listener, config) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(config));
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && tls.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let _ = tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    address
}

/// The file of a CA, gone with this value.
pub(crate) struct Pem(pub(crate) PathBuf);

impl Pem {
    pub(crate) fn of(by: &Issuer) -> Self {
        let path =
            std::env::temp_dir().join(format!("logchute-doctor-{}-{}.pem", std::process::id(), fastrand::u64(..)));
        std::fs::write(&path, by.pem()).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Pem {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) fn tls() -> Vec<Case> {
    vec![
        case("a_certificate_for_another_host_is_told", || {
            let (by, pem) = {
                let by = issuer();
                let pem = Pem::of(&by);
                (by, pem)
            };
            let server = tls_server(&by, "other.example", false);
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(format!("https://{server}"))), ("LOGCHUTE_CA", pem.path())]);
            told(&end, "handshake", "made for another host", "LOGCHUTE_URL");
        }),
        case("an_expired_certificate_is_told", || {
            let by = issuer();
            let pem = Pem::of(&by);
            let server = tls_server(&by, "127.0.0.1", true);
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(format!("https://{server}"))), ("LOGCHUTE_CA", pem.path())]);
            assert!(failed(&end) == "handshake" && end.stdout.contains("has expired"), "{end:#?}");
        }),
        case("an_unknown_ca_is_told", || {
            let pem = Pem::of(&issuer());
            let server = tls_server(&issuer(), "127.0.0.1", false);
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(format!("https://{server}"))), ("LOGCHUTE_CA", pem.path())]);
            told(&end, "handshake", "signed by no CA that is trusted here", "LOGCHUTE_CA");
        }),
        case("tls_to_a_plain_port_is_told", || {
            let (store, pem) = (Store::new(), Pem::of(&issuer()));
            let url = loki(store.url().replace("http://", "https://"));
            let end = diagnosed(&[("LOGCHUTE_URL", &url), ("LOGCHUTE_CA", pem.path())]);
            told(&end, "handshake", "does not speak TLS", "LOGCHUTE_URL");
        }),
        case("plain_text_to_a_tls_port_is_told", || {
            let server = tls_server(&issuer(), "127.0.0.1", false);
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(format!("http://{server}")))]);
            told(&end, "answer", "If it speaks TLS", "LOGCHUTE_URL");
        }),
        case("a_machine_without_ca_files_is_told", || {
            let nowhere = "/nonexistent/logchute";
            let end = diagnosed(&[
                ("LOGCHUTE_URL", "loki+https://127.0.0.1:9"),
                ("SSL_CERT_FILE", nowhere),
                ("SSL_CERT_DIR", nowhere),
            ]);
            told(&end, "set up", "ca-certificates", "LOGCHUTE_CA");
        }),
    ]
}

//! The doctor: for each thing that goes wrong on the way to a store, the cause in words and the setting to change.
//!
//! Each case is a process of its own that reads the environment as a service would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use logchute::Builder;
use logchute::testing::{Answer, Store};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

mod support;
use support::{Case, End, Victim, case};

fn main() -> ExitCode {
    match support::role().as_deref() {
        Some("diagnose") => {
            let diagnosis = logchute::diagnose();
            println!("{diagnosis}");
            ExitCode::from(u8::from(!diagnosis.is_well()))
        }
        Some("serve") => {
            let logs = logchute::init().unwrap();
            log::info!("served");
            drop(logs);
            ExitCode::SUCCESS
        }
        Some(other) => panic!("there is no role {other}"),
        None => {
            support::run([settings(), way(), answers(), tls(), well()].into_iter().flatten().collect());
            ExitCode::SUCCESS
        }
    }
}

/// What the doctor says with these variables, in a process that knows no proxy.
fn diagnosed(variables: &[(&str, &str)]) -> End {
    let victim = Victim::new("diagnose").env("NO_PROXY", "*").env("LOGCHUTE_TIMEOUT", "3s");
    variables.iter().fold(victim, |victim, (name, value)| victim.env(name, value)).run()
}

/// The step that failed.
fn failed(end: &End) -> &str {
    let line = end.stdout.lines().find(|line| line.ends_with("FAILED"));
    line.map_or("none", |line| line.trim_end_matches("FAILED").trim())
}

/// It fails at that step, says `cause`, and points to `setting`.
#[track_caller]
fn told(end: &End, step: &str, cause: &str, setting: &str) {
    assert_eq!(end.status.code(), Some(1), "{end:#?}");
    assert_eq!(failed(end), step, "{end:#?}");
    let wrong = end.stdout.lines().find(|line| line.trim_start().starts_with("wrong: ")).unwrap_or_default();
    assert!(wrong.contains(cause), "{cause}: {end:#?}");
    let look = end.stdout.lines().find(|line| line.trim_start().starts_with("look at: ")).unwrap_or_default();
    assert!(
        look.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).any(|word| word == setting),
        "{setting}: {end:#?}"
    );
    assert_eq!(end.stderr, "", "all is part of the diagnosis");
}

fn loki(to: impl std::fmt::Display) -> String {
    format!("loki+{to}")
}

fn settings() -> Vec<Case> {
    vec![
        case("an_unset_url_is_told", || {
            told(&diagnosed(&[]), "set up", "no destination is set", "LOGCHUTE_URL");
        }),
        case("an_unknown_scheme_is_told_with_those_that_there_are", || {
            let end = diagnosed(&[("LOGCHUTE_URL", "lokki+http://host")]);
            told(&end, "set up", "did you mean loki?", "LOGCHUTE_URL");
        }),
        case("a_malformed_setting_is_told", || {
            let end = diagnosed(&[("LOGCHUTE_URL", "loki+http://host"), ("LOGCHUTE_LINGER", "soon")]);
            told(&end, "set up", "soon", "LOGCHUTE_LINGER");
        }),
        case("a_name_that_is_not_known_is_a_note", || {
            let store = Store::new();
            let url = loki(store.url());
            let end = diagnosed(&[("LOGCHUTE_URL", &url), ("LOGCHUTE_TOKN", "x")]);
            end.assert_well();
            assert!(end.stdout.contains("note: LOGCHUTE_TOKN is not known"), "{end:#?}");
        }),
    ]
}

fn way() -> Vec<Case> {
    vec![
        case("a_name_that_does_not_resolve_is_told", || {
            let end = diagnosed(&[("LOGCHUTE_URL", "loki+http://store.invalid:3100")]);
            told(&end, "resolve", "cannot be resolved", "LOGCHUTE_URL");
        }),
        case("a_refused_port_is_told", || {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(format!("http://{port}")))]);
            told(&end, "connect", "nobody listens", "LOGCHUTE_URL");
        }),
        case("a_black_hole_is_told", || {
            let hole = BlackHole::new();
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(format!("http://{}", hole.address)))]);
            told(&end, "connect", "swallows packets", "LOGCHUTE_URL");
        }),
        case("a_store_that_never_answers_is_told", || {
            let store = Store::answering([Answer::silence()]);
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(store.url()))]);
            told(&end, "answer", "did not answer within 3s", "LOGCHUTE_TIMEOUT");
        }),
        case("a_proxy_that_wants_a_password_is_told", || {
            let proxy = Store::answering([Answer::status(407), Answer::status(407)]);
            let victim = Victim::new("diagnose").env("HTTP_PROXY", proxy.url()).env("HTTPS_PROXY", proxy.url());
            let end = victim.env("NO_PROXY", "").env("LOGCHUTE_URL", "loki+http://store.invalid").run();
            told(&end, "answer", "status 407", "HTTP_PROXY");
        }),
    ]
}

/// A port at which packets vanish: its queue of connections is full, and nobody takes one.
struct BlackHole {
    address: SocketAddr,
    _kept: (socket2::Socket, Vec<TcpStream>),
}

impl BlackHole {
    fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let filling: Vec<TcpStream> = (0..8).map_while(connect).collect();
        Self { address, _kept: (socket, filling) }
    }
}

fn answers() -> Vec<Case> {
    let answer = |name: &'static str, answer: Answer, cause: &'static str, setting: &'static str| {
        case(name, move || {
            let store = Store::with({
                let answer = answer.clone();
                move |_| answer.clone()
            });
            told(&diagnosed(&[("LOGCHUTE_URL", &loki(store.url()))]), "answer", cause, setting);
        })
    };
    vec![
        answer("status_401_is_told", Answer::status(401), "does not know who is asking", "LOGCHUTE_TOKEN"),
        answer("status_403_is_told", Answer::status(403), "does not permit it", "LOGCHUTE_TOKEN"),
        answer("status_404_is_told", Answer::status(404).body("404 page not found"), "base URL", "LOGCHUTE_URL"),
        answer("a_missing_tenant_is_told", Answer::status(401).body("no org id"), "the tenant", "LOGCHUTE_TENANT"),
        answer(
            "a_wrong_tenant_is_told",
            Answer::status(400).body("multiple org IDs present"),
            "the tenant",
            "LOGCHUTE_TENANT",
        ),
        answer(
            "a_body_of_the_wrong_shape_is_told",
            Answer::status(400).body("what?"),
            "does not understand",
            "LOGCHUTE_URL",
        ),
        answer("status_413_is_told", Answer::status(413), "too large", "LOGCHUTE_BATCH_BYTES"),
        answer("status_429_is_told", Answer::status(429), "limits the rate", "LOGCHUTE_FILTER"),
        answer("status_503_is_told", Answer::unavailable(), "is not well", "LOGCHUTE_URL"),
        case("a_clock_that_is_off_is_told", || {
            let yesterday = httpdate::fmt_http_date(std::time::SystemTime::now() - Duration::from_secs(86_400));
            let store = Store::with(move |_| Answer::status(204).header("Date", yesterday.clone()));
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(store.url()))]);
            // Loki takes nothing that is more than ten minutes ahead.
            assert!(failed(&end) == "answer" && end.stdout.contains("clock is 8640"), "{end:#?}");
            let url = format!("ndjson+{}", store.url());
            let end = diagnosed(&[("LOGCHUTE_URL", &url)]);
            assert!(end.status.success() && end.stdout.contains("note: this machine's clock is 8640"), "{end:#?}");
        }),
    ]
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
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
struct Pem(PathBuf);

impl Pem {
    fn of(by: &Issuer) -> Self {
        let path =
            std::env::temp_dir().join(format!("logchute-doctor-{}-{}.pem", std::process::id(), fastrand::u64(..)));
        std::fs::write(&path, by.pem()).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Pem {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn tls() -> Vec<Case> {
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

fn well() -> Vec<Case> {
    vec![
        case("a_store_that_is_well_gets_one_marked_record", || {
            let store = Store::new();
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(store.url())), ("LOGCHUTE_FILTER", "error")]);
            end.assert_well();
            let records = store.records();
            assert_eq!(records.len(), 1);
            assert!(records[0].get("logchute.doctor").or(records[0].get("logchute_doctor")).is_some(), "{records:?}");
            for fact in ["delivery: effectively once", "largest request: 1,048,576 bytes", "oldest record: 7 days"] {
                assert!(end.stdout.contains(fact), "{fact}: {end:#?}");
            }
        }),
        case("the_record_stands_in_the_ledger_as_one_of_our_own", || {
            let (well, away) = (Store::new(), Store::refusing());
            let builder = Builder::new().send_to(well.backend()).send_to(away.backend()).on_diagnostic(|_: &str| {});
            let logs = builder.start().unwrap();
            let diagnosis = logs.doctor();
            let found: Vec<_> = diagnosis.examinations().iter().map(|found| found.failed).collect();
            assert_eq!(found, [None, Some(logchute::Step::Connect)], "{diagnosis}");
            let ledger = logs.ledger();
            assert_eq!((ledger.emitted, ledger.own, ledger.drained), (1, 1, 1), "{ledger}");
            assert_eq!((ledger.destinations[0].delivered, ledger.destinations[1].owed_memory), (1, 1), "{ledger}");
            assert!(ledger.balances(), "{ledger}");
            // It is owed like any other, and arrives when the store is back.
            away.come_back();
            let report = logs.shutdown(Duration::from_secs(30));
            assert!(report.settled() && report.ledger().balances(), "{report}");
            assert_eq!((well.count(), away.count()), (1, 1), "{report}");
            let after = logs.doctor();
            assert!(after.to_string().contains("shut down"), "{after}");
        }),
        case("init_calls_the_doctor_where_it_is_asked_to", || {
            let store = Store::new();
            let victim = |url: &str| {
                Victim::new("serve").env("LOGCHUTE_TEE", "off").env("LOGCHUTE_DOCTOR", "1").env("LOGCHUTE_URL", url)
            };
            let end = victim(&loki(store.url())).run();
            end.assert_well();
            assert!(end.said().iter().any(|line| line.contains("well: the store took the record")), "{end:#?}");
            assert_eq!(store.count(), 2);
            let end = victim("loki+http://127.0.0.1:9").env("LOGCHUTE_SHUTDOWN", "0").run();
            end.assert_well();
            assert!(end.said().iter().any(|line| line.contains("nobody listens")), "{end:#?}");
        }),
    ]
}

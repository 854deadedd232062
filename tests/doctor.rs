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
            let all = [settings(), way(), answers(), tls(), lanes(), unconfirmed(), forward(), google_cloud(), well()];
            support::run(all.into_iter().flatten().collect());
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
        answer(
            "a_rate_limit_of_a_tenant_is_not_taken_for_a_wrong_tenant",
            Answer::status(429).body("limit of tenant a reached"),
            "limits the rate",
            "LOGCHUTE_FILTER",
        ),
        answer(
            "a_path_that_the_store_answers_with_400_is_told",
            Answer::status(400).body(r#"{"error":"no handler found for uri [/loki/api/v1/push] and method [POST]"}"#),
            "there is no such intake",
            "LOGCHUTE_URL",
        ),
        answer(
            "plain_text_to_a_tls_port_that_answers_in_http_is_told",
            Answer::status(400).body("Client sent an HTTP request to an HTTPS server."),
            "TLS is spoken at that port",
            "LOGCHUTE_URL",
        ),
        answer(
            "a_web_page_in_place_of_a_store_is_not_called_well",
            Answer::status(200).body("<!DOCTYPE html><title>Sign in</title>"),
            "web page",
            "LOGCHUTE_URL",
        ),
        case("what_a_store_says_is_not_taken_for_a_setting", || {
            let store = Store::with(|_| Answer::status(400).body("MAX_LINE_SIZE or LOGCHUTE_SERVICE"));
            let end = diagnosed(&[("LOGCHUTE_URL", &loki(store.url()))]);
            assert!(end.stdout.contains("look at: LOGCHUTE_URL\n"), "{end:#?}");
        }),
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

/// The variables of a lane are named as the user set them, each destination for itself.
fn lanes() -> Vec<Case> {
    vec![case("each_lane_is_told_by_its_own_variables", || {
        let (well, refuses) = (Store::new(), Store::with(|_| Answer::status(401)));
        let end = diagnosed(&[
            ("LOGCHUTE_LANES", "ops,audit,third"),
            ("LOGCHUTE_OPS_URL", "loki+http://store.invalid"),
            ("LOGCHUTE_AUDIT_URL", &loki(refuses.url())),
            ("LOGCHUTE_THIRD_URL", &loki(well.url())),
        ]);
        assert_eq!(end.status.code(), Some(1), "{end:#?}");
        let looks: Vec<_> = end.stdout.lines().filter_map(|line| line.trim().strip_prefix("look at: ")).collect();
        assert_eq!(looks, ["LOGCHUTE_OPS_URL", "LOGCHUTE_AUDIT_TOKEN, LOGCHUTE_AUDIT_USER, LOGCHUTE_AUDIT_PASSWORD"]);
        assert!(end.stdout.contains("well: the store took the record"), "{end:#?}");
    })]
}

/// A server on a connection: does that with each, and then leaves.
#[cfg(any(feature = "syslog", feature = "forward"))]
fn on_each_connection(does: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(does));
    address
}

#[cfg(feature = "syslog")]
fn unconfirmed() -> Vec<Case> {
    /// Reads all that comes, after it said `words`; an empty one leaves after the first bytes.
    fn reads_and_says(words: &'static [u8], stays: bool) -> SocketAddr {
        on_each_connection(move |mut stream| {
            let mut some = [0; 4096];
            let _ = stream.read(&mut some);
            let _ = stream.write_all(words);
            while stays && stream.read(&mut some).is_ok_and(|count| count > 0) {}
        })
    }
    let syslog = |address: SocketAddr| diagnosed(&[("LOGCHUTE_URL", &format!("syslog+tcp://{address}"))]);
    vec![
        case("a_store_that_confirms_nothing_is_not_called_well", move || {
            let end = syslog(reads_and_says(b"", true));
            end.assert_well();
            let is_said = end.stdout.contains("sent: ") && end.stdout.contains("confirms nothing");
            assert!(is_said && !end.stdout.contains("well: ") && end.stdout.contains("answer     none"), "{end:#?}");
        }),
        case("a_store_that_leaves_over_the_first_record_is_told", move || {
            told(&syslog(reads_and_says(b"", false)), "answer", "say +tls", "LOGCHUTE_URL");
        }),
        case("an_alert_of_tls_in_answer_to_plain_syslog_is_told", move || {
            let end = syslog(reads_and_says(&[0x15, 3, 3, 0, 2, 2, 10], true));
            told(&end, "answer", "it speaks TLS", "LOGCHUTE_URL");
        }),
        case("a_web_server_in_answer_to_syslog_is_told", move || {
            let end = syslog(reads_and_says(b"HTTP/1.1 400 Bad Request\r\n\r\n", true));
            told(&end, "answer", "it speaks HTTP", "LOGCHUTE_URL");
        }),
    ]
}

#[cfg(not(feature = "syslog"))]
fn unconfirmed() -> Vec<Case> {
    Vec::new()
}

#[cfg(feature = "forward")]
fn forward() -> Vec<Case> {
    vec![
        case("a_forward_input_that_leaves_without_an_ack_is_told", || {
            let address = on_each_connection(|mut stream| {
                let _ = stream.read(&mut [0; 4096]);
            });
            let end = diagnosed(&[("LOGCHUTE_URL", &format!("forward+tcp://{address}"))]);
            told(&end, "answer", "say +tls", "LOGCHUTE_URL");
        }),
        case("a_forward_input_that_acknowledges_nothing_is_told", || {
            let address =
                on_each_connection(|mut stream| while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {});
            let end = diagnosed(&[("LOGCHUTE_URL", &format!("forward+tcp://{address}"))]);
            told(&end, "answer", "did not acknowledge", "LOGCHUTE_URL");
        }),
    ]
}

#[cfg(not(feature = "forward"))]
fn forward() -> Vec<Case> {
    Vec::new()
}

#[cfg(feature = "google_cloud")]
fn google_cloud() -> Vec<Case> {
    fn gcl(variables: &[(&str, &str)]) -> End {
        let all = [&[("LOGCHUTE_URL", "gcl://p"), ("HOME", "/nonexistent")], variables].concat();
        diagnosed(&all)
    }
    /// A file of credentials; gone with the value.
    fn file(text: &str) -> Pem {
        let file = Pem(std::env::temp_dir().join(format!("logchute-doctor-{}.json", fastrand::u64(..))));
        std::fs::write(&file.0, text).unwrap();
        file
    }
    vec![
        case("a_machine_without_credentials_and_metadata_server_is_told", || {
            let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
            let end = gcl(&[("GCE_METADATA_HOST", &closed)]);
            told(&end, "set up", "outside of Google Cloud set", "GOOGLE_APPLICATION_CREDENTIALS");
            assert!(end.stdout.contains("look at: GOOGLE_APPLICATION_CREDENTIALS"), "it comes first: {end:#?}");
        }),
        case("a_metadata_server_that_never_answers_is_told_in_time", || {
            let hole = BlackHole::new();
            let end = gcl(&[("GCE_METADATA_HOST", &hole.address.to_string())]);
            told(&end, "set up", "outside of Google Cloud set", "GOOGLE_APPLICATION_CREDENTIALS");
        }),
        case("a_key_file_that_is_none_is_told", || {
            let end = gcl(&[("GOOGLE_APPLICATION_CREDENTIALS", file("{\"type\":").path())]);
            told(&end, "set up", "a file of credentials in JSON", "GOOGLE_APPLICATION_CREDENTIALS");
        }),
        case("a_token_server_that_refuses_is_told", || {
            for refuses in [true, false] {
                let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
                let answers = Store::with(|_| Answer::status(400).body(r#"{"error":"invalid_grant"}"#));
                let uri = if refuses { answers.url() } else { format!("http://{closed}") };
                let text = format!(
                    r#"{{"type":"authorized_user","client_id":"a","client_secret":"canary","refresh_token":"canary","token_uri":"{uri}/token"}}"#
                );
                let file = file(&text);
                let end = gcl(&[("GOOGLE_APPLICATION_CREDENTIALS", file.path())]);
                let cause = if refuses { "invalid_grant" } else { "nobody listens" };
                told(&end, "set up", cause, "GOOGLE_APPLICATION_CREDENTIALS");
                assert!(!end.stdout.contains("canary"), "{end:#?}");
            }
        }),
    ]
}

#[cfg(not(feature = "google_cloud"))]
fn google_cloud() -> Vec<Case> {
    Vec::new()
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

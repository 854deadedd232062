//! What is not told by an HTTP status: connections of frames, and tokens that cannot be had.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use logchute::testing::{Answer, Store};

use crate::support::{Case, End, case};
use crate::tls::Pem;
use crate::{BlackHole, diagnosed, told};

/// A server on a connection: does that with each, and then leaves.
#[cfg(any(feature = "syslog", feature = "forward"))]
pub(crate) fn on_each_connection(does: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(does));
    address
}

#[cfg(feature = "syslog")]
pub(crate) fn unconfirmed() -> Vec<Case> {
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
pub(crate) fn unconfirmed() -> Vec<Case> {
    Vec::new()
}

#[cfg(feature = "forward")]
pub(crate) fn forward() -> Vec<Case> {
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
pub(crate) fn forward() -> Vec<Case> {
    Vec::new()
}

#[cfg(feature = "google_cloud")]
pub(crate) fn google_cloud() -> Vec<Case> {
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
pub(crate) fn google_cloud() -> Vec<Case> {
    Vec::new()
}

//! Reads back from VictoriaLogs, with nothing of logchute in between.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) struct VictoriaLogs {
    /// Host and port.
    host: String,
}

impl VictoriaLogs {
    /// Where `VICTORIALOGS_URL` says.
    pub(crate) fn from_env() -> Self {
        let url =
            std::env::var("VICTORIALOGS_URL").expect("VICTORIALOGS_URL, as tests/servers/victorialogs.sh prints it");
        let host = url.strip_prefix("http://").expect("an http URL").trim_end_matches('/');
        Self { host: host.to_owned() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// All records that match, in no order, each value as text.
    pub(crate) fn query(&self, logsql: &str) -> Vec<BTreeMap<String, String>> {
        self.post("/internal/force_flush", "");
        let form = logsql.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let found = self.post("/select/logsql/query", &format!("query={form}"));
        found.lines().map(|line| serde_json::from_str(line).expect("an object of texts")).collect()
    }

    /// In HTTP/1.0, so that the body ends where the connection does.
    fn post(&self, path: &str, form: &str) -> String {
        let mut connection = TcpStream::connect(&self.host).expect("VictoriaLogs listens");
        connection.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        write!(
            connection,
            "POST {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            self.host,
            form.len()
        )
        .expect("the request is sent");
        let mut reply = String::new();
        connection.read_to_string(&mut reply).expect("a reply of text");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
        assert!(head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')), "{path}: {reply}");
        body.to_owned()
    }
}

/// Nanoseconds since 1970 of a time like `2026-11-24T08:09:10.123456789Z`; VictoriaLogs leaves zeros at the end away.
pub(crate) fn unix_nanos(time: &str) -> Option<i64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(str::parse::<i64>);
    let (hours, minutes, seconds) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;

    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: i64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let months: i64 = lengths.iter().take(usize::try_from(month - 1).ok()?).sum();
    let days = years + months + day - 1;
    Some((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000_000_000 + fraction)
}

/// Different for each run.
pub(crate) fn random() -> [u8; 16] {
    let half = || RandomState::new().build_hasher().finish().to_be_bytes();
    let mut random = [0; 16];
    random[..8].copy_from_slice(&half());
    random[8..].copy_from_slice(&half());
    random
}

#[test]
fn times_are_read_to_the_nanosecond() {
    assert_eq!(unix_nanos("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(unix_nanos("2026-11-24T08:20:07.362615923Z"), Some(1_795_508_407_362_615_923));
    assert_eq!(unix_nanos("2024-02-29T23:59:59.5Z"), Some(1_709_251_199_500_000_000));
}

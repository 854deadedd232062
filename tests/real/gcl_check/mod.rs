//! Google Cloud Logging, of which there is no server to be had: Google's own protobuf types judge a request instead.

#[cfg(feature = "google_cloud")]
mod google_cloud;

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::server::path;

/// How many entries the body of an `entries:write` request has, or what is wrong with it.
pub(crate) fn check(body: &[u8]) -> Result<usize, String> {
    let mut checker = Command::new(path("gcl_check"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gcl_check.sh");
    // One that refuses early may not read all.
    let _ = checker.stdin.take().expect("its input").write_all(body);
    let output = checker.wait_with_output().expect("gcl_check.sh");
    let said = String::from_utf8_lossy(&output.stdout);
    match said.strip_prefix("ok ").and_then(|rest| rest.split(' ').next()?.parse().ok()) {
        Some(entries) if output.status.success() => Ok(entries),
        _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
#[ignore = "needs Google's types: tests/servers/gcl_check.sh install"]
fn a_body_is_taken_or_refused() {
    let body = |entry: &str| {
        let head = r#""logName":"projects/p/logs/shop","resource":{"type":"global"}"#;
        format!(r#"{{{head},"entries":[{{"severity":"INFO",{entry}}}]}}"#)
    };
    let check = |entry| check(body(entry).as_bytes());
    assert_eq!(check(r#""jsonPayload":{"message":"hello"}"#), Ok(1));
    assert!(check(r#""jsonPayload":{"message":"hello"},"unknown":1"#).unwrap_err().contains("unknown"));
    assert!(check(r#""insertId":"1""#).unwrap_err().contains("no payload"));
}

//! One request on a connection of its own, with nothing of logchute in between.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// The address of a URL like `http://127.0.0.1:9428`, or `tcp://…`.
pub(crate) fn address(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or_else(|| panic!("{url:?} is no URL"));
    rest.split('/').next().unwrap_or(rest)
}

/// The body of a reply with a status of success, which must be text.
///
/// In HTTP/1.0, so that the body ends where the connection does.
pub(crate) fn post(address: &str, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> String {
    request(address, "POST", path, content_type, body)
}

/// The same with another method.
pub(crate) fn request(address: &str, method: &str, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> String {
    let body = body.as_ref();
    let mut connection = connect(address);
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(&[head.as_bytes(), body].concat()).expect("the request is sent");
    let mut reply = String::new();
    connection.read_to_string(&mut reply).expect("a reply of text");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
    assert!(head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')), "{path}: {reply}");
    body.to_owned()
}

/// Sends bytes over TCP, without TLS.
pub(crate) fn send(address: &str, bytes: impl AsRef<[u8]>) {
    connect(address).write_all(bytes.as_ref()).expect("the bytes are sent");
}

fn connect(address: &str) -> TcpStream {
    let connection = TcpStream::connect(address).unwrap_or_else(|cause| panic!("{address}: {cause}"));
    connection.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    connection
}

//! One connection: requests in, answers out, as the script has it.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::How;
use super::http::{Head, Wire};
use super::shared::{LONGEST, Shared};
use super::{Answer, Request};

static BLOCK: [u8; 64 << 10] = [b'x'; 64 << 10];

/// What becomes of the connection after an answer.
enum Next {
    Request,
    Close,
    Reset,
}

/// Serves a connection until one side has enough of it.
pub(super) fn connection(shared: &Shared, stream: &Arc<TcpStream>) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(LONGEST));
    let _ = stream.set_write_timeout(Some(LONGEST));
    let mut wire = Wire::new(stream);
    while !shared.is_ending() && wire.begins() {
        match exchange(shared, stream, &mut wire) {
            Ok(Next::Request) => {}
            Ok(Next::Close) | Err(_) => return,
            Ok(Next::Reset) => {
                // Without lingering, closing means a reset, whatever was read or sent before.
                let _ = socket2::SockRef::from(&**stream).set_linger(Some(Duration::ZERO));
                return;
            }
        }
    }
}

fn exchange(shared: &Shared, stream: &TcpStream, wire: &mut Wire<'_>) -> io::Result<Next> {
    let order = shared.begin();
    let scripted = shared.scripted(order);
    // Some answers are about how much of the request is read.
    match scripted.as_ref().map(|answer| &answer.how) {
        Some(How::NeverRead) => {
            shared.arrive(&Request::unread(order, Head::default(), Vec::new()));
            shared.pause(LONGEST);
            return Ok(Next::Close);
        }
        Some(How::ResetAfter(bytes)) => {
            let body = wire.first(*bytes);
            shared.arrive(&Request::unread(order, Head::default(), body));
            return Ok(Next::Reset);
        }
        _ => {}
    }
    let broken = |cause: io::Error| {
        if cause.kind() == io::ErrorKind::InvalidData {
            let mut request = Request::broken(order, cause.to_string());
            shared.arrive(&request);
            shared.settle(&mut request, 400);
            let _ = (&*stream).write_all(&Answer::status(400).header("Connection", "close").head(400));
        }
        cause
    };
    let head = wire.head().map_err(broken)?;
    if let Some(How::Reset) = scripted.as_ref().map(|answer| &answer.how) {
        shared.arrive(&Request::unread(order, head, Vec::new()));
        return Ok(Next::Reset);
    }
    let body = wire.body(&head).map_err(broken)?;
    let keeps_alive = head.keeps_alive();
    let mut request = if shared.counting { Request::unread } else { Request::read }(order, head, body);
    shared.arrive(&request);
    let answer = scripted.unwrap_or_else(|| shared.decide(&request));
    if let Some(gate) = &answer.gate
        && !shared.pass(gate)
    {
        return Ok(Next::Close);
    }
    match respond(shared, stream, wire, &mut request, &answer)? {
        Next::Request if !keeps_alive || answer.has_header("Connection") => Ok(Next::Close),
        next => Ok(next),
    }
}

fn respond(
    shared: &Shared,
    mut stream: &TcpStream,
    wire: &mut Wire<'_>,
    request: &mut Request,
    answer: &Answer,
) -> io::Result<Next> {
    let status = answer.status_on(request.is_loki());
    let mut bytes = answer.head(status);
    let head = bytes.len();
    if request.method() != "HEAD" {
        bytes.extend_from_slice(answer.content(status));
    }
    let deadline = Instant::now() + LONGEST;
    match answer.how {
        How::Whole => {
            shared.settle(request, status);
            stream.write_all(&bytes)?;
            return Ok(Next::Request);
        }
        How::Cut(length) => {
            if length >= head {
                shared.settle(request, status);
            }
            stream.write_all(&bytes[..length.min(bytes.len())])?;
            return Ok(Next::Reset);
        }
        How::CloseAfterHead => {
            shared.settle(request, status);
            stream.write_all(&bytes[..head])?;
        }
        How::Drip(interval) => {
            for (sent, byte) in bytes.iter().enumerate() {
                if sent + 1 == head {
                    shared.settle(request, status);
                }
                stream.write_all(&[*byte])?;
                if !shared.pause(interval) {
                    return Ok(Next::Close);
                }
            }
            return Ok(Next::Request);
        }
        How::EndlessHeaders => {
            stream.write_all(format!("HTTP/1.1 {status} scripted\r\n").as_bytes())?;
            let headers = "X-More: and more\r\n".repeat(1 << 10);
            while !shared.is_ending() && Instant::now() < deadline {
                stream.write_all(headers.as_bytes())?;
            }
        }
        How::EndlessBody { bytes: mut left, chunked } => {
            shared.settle(request, status);
            stream.write_all(&bytes[..head])?;
            while left > 0 && !shared.is_ending() && Instant::now() < deadline {
                let block = &BLOCK[..BLOCK.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
                if chunked {
                    write!(stream, "{:x}\r\n", block.len())?;
                }
                stream.write_all(block)?;
                if chunked {
                    stream.write_all(b"\r\n")?;
                }
                left -= block.len() as u64;
            }
            if chunked && left == 0 {
                stream.write_all(b"0\r\n\r\n")?;
            }
        }
        How::Garbage => stream.write_all(answer.bytes())?,
        How::Silence => wire.drain(),
        How::NeverRead => {
            shared.pause(LONGEST);
        }
        How::Close => {}
        How::Reset | How::ResetAfter(_) => return Ok(Next::Reset),
    }
    Ok(Next::Close)
}

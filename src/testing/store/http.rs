//! Requests as they come from a connection: HTTP/1.1, bodies by length or in chunks.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// The most that a body, or what it unpacks to, may have; far above any store's limit.
pub(super) const BODY_MAX: u64 = 256 << 20;
/// The most that a head may have, and a line between chunks.
const HEAD_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 128;
const BLOCK: usize = 16 << 10;

/// The head of a request.
#[derive(Default)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    http_1_0: bool,
}

impl Head {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn says(&self, name: &str, word: &str) -> bool {
        self.header(name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    }

    /// Whether the client expects to use the connection again.
    pub(super) fn keeps_alive(&self) -> bool {
        !self.says("connection", "close") && (!self.http_1_0 || self.says("connection", "keep-alive"))
    }
}

/// A connection, read no further than somebody asks for.
pub(super) struct Wire<'a> {
    stream: &'a TcpStream,
    /// What was read and not used yet begins at `used`.
    buffer: Vec<u8>,
    used: usize,
}

impl<'a> Wire<'a> {
    pub(super) const fn new(stream: &'a TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), used: 0 }
    }

    /// Waits for the first byte of a request without taking it; says no when there will be none.
    pub(super) fn begins(&self) -> bool {
        !self.unused().is_empty() || matches!(patiently(|| self.stream.peek(&mut [0])), Ok(1..))
    }

    fn unused(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    /// Reads at most so many bytes more.
    fn fill(&mut self, most: usize) -> io::Result<()> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let (start, mut stream) = (self.buffer.len(), self.stream);
        self.buffer.resize(start + most, 0);
        let read = patiently(|| stream.read(&mut self.buffer[start..]));
        self.buffer.truncate(start + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The first `bytes` of a request, or all of it where it is shorter.
    pub(super) fn first(&mut self, bytes: usize) -> Vec<u8> {
        while self.unused().len() < bytes && !is_whole(self.unused()) {
            if self.fill(bytes - self.unused().len()).is_err() {
                break;
            }
        }
        let end = self.buffer.len().min(self.used + bytes);
        self.buffer[self.used..end].to_vec()
    }

    /// Reads a head.
    pub(super) fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some((head, length)) = parse(self.unused())? {
                self.used += length;
                return Ok(head);
            }
            if self.unused().len() > HEAD_MAX {
                return Err(invalid("a head of more than 64 KiB"));
            }
            self.fill(BLOCK)?;
        }
    }

    /// Reads the body that the head announces.
    pub(super) fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.says("expect", "100-continue") {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = Vec::new();
        if head.says("transfer-encoding", "chunked") {
            self.chunks(&mut body)?;
        } else if let Some(length) = head.header("content-length") {
            let length = length.parse().map_err(|_| invalid("a Content-Length that is no number"))?;
            self.exactly(length, &mut body)?;
        }
        Ok(body)
    }

    fn exactly(&mut self, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
        if body.len() as u64 + length > BODY_MAX {
            return Err(invalid("a body of more than 256 MiB"));
        }
        let have = self.unused().len().min(length as usize);
        body.extend_from_slice(&self.unused()[..have]);
        self.used += have;
        let missing = length - have as u64;
        match self.stream.take(missing).read_to_end(body)? as u64 {
            read if read == missing => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let size = loop {
                match httparse::parse_chunk_size(self.unused()) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        self.used += line;
                        break size;
                    }
                    Ok(httparse::Status::Partial) if self.unused().len() <= HEAD_MAX => self.fill(BLOCK)?,
                    _ => return Err(invalid("a chunk without a size")),
                }
            };
            if size == 0 {
                // Trailers, which nobody needs, and the empty line that ends them.
                while !self.line()?.is_empty() {}
                return Ok(());
            }
            self.exactly(size, body)?;
            if !self.line()?.is_empty() {
                return Err(invalid("a chunk that is longer than its size"));
            }
        }
    }

    /// Takes a line, without its end.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.unused().windows(2).position(|pair| pair == b"\r\n") {
                let line = self.unused()[..end].to_vec();
                self.used += end + 2;
                return Ok(line);
            }
            if self.unused().len() > HEAD_MAX {
                return Err(invalid("a line of more than 64 KiB"));
            }
            self.fill(BLOCK)?;
        }
    }

    /// Reads and forgets until the client goes away.
    pub(super) fn drain(&mut self) {
        let _ = io::copy(&mut self.stream, &mut io::sink());
    }
}

/// The head at the beginning of these bytes and its length, once all of it is there.
fn parse(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(bytes).map_err(invalid)? else { return Ok(None) };
    let head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        path: request.path.unwrap_or_default().to_owned(),
        headers: request
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
            .collect(),
        http_1_0: request.version == Some(0),
    };
    Ok(Some((head, length)))
}

/// Whether these bytes hold a request to its end.
fn is_whole(bytes: &[u8]) -> bool {
    let Ok(Some((head, length))) = parse(bytes) else { return false };
    match head.header("content-length").map(str::parse::<usize>) {
        Some(Ok(body)) => bytes.len() >= length.saturating_add(body),
        Some(Err(_)) => true,
        None => !head.says("transfer-encoding", "chunked") || bytes.ends_with(b"\r\n0\r\n\r\n"),
    }
}

/// Again, where a signal came in between: a program under test may take any number of them.
fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

//! What the store does with one request.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};

use super::Gate;

/// The size of a [bomb](Answer::bomb)'s body, unless more than one layer makes it smaller.
const BOMB: usize = 16 << 10;

/// What a [`Store`](super::Store) does with one request.
///
/// Records count as accepted, and are kept, where the head of a 2xx answer goes out complete, whatever
/// happens after that. So [`close_after_head`](Self::close_after_head) is a store that took the records
/// and whose answer got lost.
///
/// # Examples
///
/// ```
/// use logchute::testing::{Answer, Store};
/// use std::time::Duration;
///
/// let store = Store::answering([
///     Answer::busy(Duration::from_secs(1)),
///     Answer::status(400).body("no such field"),
///     Answer::reset(),
///     Answer::ok(),
/// ]);
/// assert_eq!(store.count(), 0);
/// ```
#[derive(Clone, Debug)]
#[must_use = "an answer does nothing until it stands in a store's script"]
pub struct Answer {
    /// None: 200, or 204 where Loki would say so.
    status: Option<u16>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    pub(super) how: How,
    pub(super) gate: Option<Gate>,
}

/// How an answer goes out, if it does.
#[derive(Clone, Debug)]
pub(super) enum How {
    Whole,
    Reset,
    ResetAfter(usize),
    Cut(usize),
    Close,
    CloseAfterHead,
    Silence,
    NeverRead,
    Drip(Duration),
    EndlessHeaders,
    EndlessBody { bytes: u64, chunked: bool },
    Garbage,
}

impl Answer {
    const fn new(status: Option<u16>, how: How) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), how, gate: None }
    }

    /// 200, or 204 on the push path of Loki: all is well.
    pub const fn ok() -> Self {
        Self::new(None, How::Whole)
    }

    /// This status, with an empty body.
    ///
    /// A status from 100 to 199 is sent as such: to a client it announces an answer, which then never comes.
    pub const fn status(status: u16) -> Self {
        Self::new(Some(status), How::Whole)
    }

    /// 429 with a `Retry-After` in whole seconds, rounded down: HTTP has no fractions there, so anything
    /// below a second is sent as `0`.
    pub fn busy(retry_after: Duration) -> Self {
        Self::status(429).header("Retry-After", retry_after.as_secs().to_string())
    }

    /// 503.
    pub const fn unavailable() -> Self {
        Self::status(503)
    }

    /// This status with a `Location`.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::status(status).header("Location", location)
    }

    /// Resets the connection as soon as the head of the request has arrived.
    pub const fn reset() -> Self {
        Self::new(None, How::Reset)
    }

    /// Resets the connection after so many bytes of the request, counted from the first of its head.
    ///
    /// A request that is shorter is reset at its end. A store that decides [by a closure](super::Store::with)
    /// has read the whole request by then, and resets.
    pub const fn reset_after(bytes: usize) -> Self {
        Self::new(None, How::ResetAfter(bytes))
    }

    /// Reads the whole request and closes the connection without an answer.
    pub const fn close() -> Self {
        Self::new(None, How::Close)
    }

    /// Sends the head of the answer, which announces a body, and closes the connection in its stead.
    pub fn close_after_head() -> Self {
        Self::new(None, How::CloseAfterHead).body("the part that never arrives")
    }

    /// Reads everything and never answers, until the client goes away or the store is dropped.
    pub const fn silence() -> Self {
        Self::new(None, How::Silence)
    }

    /// Does not even read, until the store is dropped: a body above what the system's socket buffers hold
    /// gets stuck on its way.
    ///
    /// Of such a request nothing is known, so [`requests`](super::Store::requests) has it without method,
    /// path and body. A store that decides [by a closure](super::Store::with) has read the request by then.
    pub const fn never_read() -> Self {
        Self::new(None, How::NeverRead)
    }

    /// Sends the answer, its head included, one byte per `interval`.
    pub const fn drip(interval: Duration) -> Self {
        Self::new(None, How::Drip(interval))
    }

    /// Sends headers without end, so that the head never becomes complete.
    pub const fn endless_headers() -> Self {
        Self::new(None, How::EndlessHeaders)
    }

    /// A body of so many bytes, announced by `Content-Length`; made up as it is sent, so 10 GB cost nothing.
    pub const fn endless_body(bytes: u64) -> Self {
        Self::new(Some(200), How::EndlessBody { bytes, chunked: false })
    }

    /// These bytes instead of anything that HTTP knows; then the connection is closed.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(None, How::Garbage).body(bytes)
    }

    /// 200 with a body of zeros that was compressed to almost nothing, with `encoding` as its `Content-Encoding`.
    ///
    /// `zstd` is 16 KiB that unpack to 512 MiB. `gzip` is 16 KiB that unpack to 16 MiB, which is the most that
    /// gzip can do; `gzip, gzip` (one inside the other, applied in that order) is a few KiB that unpack to
    /// 512 MiB. Any other encoding gets the bytes of `gzip` under its name.
    pub fn bomb(encoding: &str) -> Self {
        let body = match (encoding, encoding.split(',').count()) {
            ("zstd", _) => zstd_zeros(),
            (_, 1) => gzip_zeros(BOMB),
            // A member of zeros, over and over, is itself what gzip packs best.
            (_, layers) => (1..layers).fold(gzip_zeros(512 << 10), |inner, _| gzip(&inner)),
        };
        Self::status(200).header("Content-Encoding", encoding).body(body)
    }

    /// [`ok`](Self::ok), once the gate is open.
    pub fn held(gate: &Gate) -> Self {
        Self::ok().when(gate)
    }

    /// The same, once the gate is open. The request has been read and stands in
    /// [`requests`](super::Store::requests) by then, without a status.
    pub fn when(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// With this body instead.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With this header as well, sent as it is. `Content-Length` is added where it is not given here.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this status instead, for answers that begin without one: a [`drip`](Self::drip) of a 503.
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Of an [endless body](Self::endless_body): in chunks, so that its length is not announced.
    pub const fn chunked(mut self) -> Self {
        if let How::EndlessBody { bytes, .. } = self.how {
            self.how = How::EndlessBody { bytes, chunked: true };
        }
        self
    }

    /// Sends only so many bytes of this answer, counted from the first of its head, and resets the connection.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.how = How::Cut(bytes);
        self
    }

    pub(super) fn status_on(&self, loki: bool) -> u16 {
        self.status.unwrap_or(if loki { 204 } else { 200 })
    }

    /// The body as it goes out: statuses that have none get none, whatever the script says.
    pub(super) fn content(&self, status: u16) -> &[u8] {
        if bodiless(status) { &[] } else { &self.body }
    }

    /// The bytes of a [garbage](Self::garbage) answer.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    /// The status line and the headers, with the empty line that ends them.
    pub(super) fn head(&self, status: u16) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {status} scripted\r\n");
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        match self.how {
            How::EndlessBody { chunked: true, .. } => head += "Transfer-Encoding: chunked\r\n",
            _ if bodiless(status) || self.has_header("Content-Length") => {}
            How::EndlessBody { bytes, .. } => {
                let _ = write!(head, "Content-Length: {bytes}\r\n");
            }
            _ => {
                let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
            }
        }
        head += "\r\n";
        head.into_bytes()
    }
}

/// RFC 9110 §6.4.1: answers of these kinds have no body, and a length would be misread.
const fn bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to a `Vec` does not fail.
    let _ = packer.write_all(bytes);
    packer.finish().unwrap_or_default()
}

/// About `size` bytes of gzip that unpack to a thousand times as many zeros. A gzip file may consist of many
/// members (RFC 1952 §2.2), so one of them is packed and then repeated.
fn gzip_zeros(size: usize) -> Vec<u8> {
    let member = gzip(&vec![0; 1 << 20]);
    member.repeat((size / member.len()).max(1))
}

/// 16 KiB of zstd that unpack to 512 MiB (RFC 8878 §3.1.1): blocks of one repeated byte take four bytes each,
/// whatever their length, which may be up to 128 KiB.
fn zstd_zeros() -> Vec<u8> {
    const BLOCK: u32 = 128 << 10;
    const KIND_REPEATED: u32 = 1;
    let blocks = BOMB / 4;
    // Magic number; no checksum, no content size; a window of 128 KiB (2^(10 + 7)).
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 7 << 3];
    for block in 1..=blocks {
        let head = BLOCK << 3 | KIND_REPEATED << 1 | u32::from(block == blocks);
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

//! The body of a request on its way, how far it came, and that nothing of it outlives its attempt.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

pub(super) const CONNECTING: u8 = 0;
pub(super) const SENDING: u8 = 1;
const WAITING: u8 = 2;

/// What an attempt and its connection share.
pub(super) struct Shared {
    /// How far the request came. The client itself does not say, and "timed out" alone helps nobody.
    phase: AtomicU8,
    body: Mutex<Vec<u8>>,
}

impl Shared {
    /// The body, until what is held with it is dropped.
    pub(super) fn hold(body: Vec<u8>) -> (Arc<Self>, Held) {
        let shared = Arc::new(Self { phase: AtomicU8::new(CONNECTING), body: Mutex::new(body) });
        (Arc::clone(&shared), Held(shared))
    }

    fn reached(&self, phase: u8) {
        self.phase.fetch_max(phase, Ordering::Relaxed);
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == CONNECTING
    }

    fn body(&self) -> MutexGuard<'_, Vec<u8>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the attempt: when it is over, so is the body, whatever the connection still does.
pub(super) struct Held(Arc<Shared>);

impl Held {
    /// How far the request came.
    pub(super) fn phase(&self) -> u8 {
        self.0.phase.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.body() = Vec::new();
    }
}

/// The body as the connection takes it, piece by piece.
///
/// hyper sends what it has buffered before it closes a connection, also when nobody waits for the answer any more. A
/// store that stops reading would so keep each body of each attempt in memory. Pieces are copies for that reason: the
/// rest can be taken back, and what a connection keeps is bounded by [`PIECE`]. The copy is lost in the noise beside
/// what the system does with the same bytes (loopback takes 1.4 GiB a second with pieces of 8 KiB and of a MiB).
pub(super) struct Upload {
    shared: Arc<Shared>,
    length: usize,
    sent: usize,
}

impl Upload {
    pub(super) fn new(shared: &Arc<Shared>, length: usize) -> Self {
        Self { shared: Arc::clone(shared), length, sent: 0 }
    }
}

/// Large enough for few allocations. hyper holds at most 16 of them, and writes those with one system call.
const PIECE: usize = 8 * 1024;

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        // Asked for by the connection, so there is one.
        self.shared.reached(SENDING);
        if self.sent == self.length {
            return Poll::Ready(None);
        }
        let end = self.length.min(self.sent + PIECE);
        let Some(piece) = self.shared.body().get(self.sent..end).map(<[u8]>::to_vec) else {
            return Poll::Ready(Some(Err(io::Error::other("the attempt is over"))));
        };
        self.sent = end;
        let piece = if end == self.length {
            Bytes::from_owner(Last { piece, shared: Arc::clone(&self.shared) })
        } else {
            Bytes::from(piece)
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        // False for an empty body, which would else go out without its length.
        self.length > 0 && self.sent == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.length - self.sent) as u64)
    }
}

/// The last piece. The connection drops it when the system has taken its last byte.
struct Last {
    piece: Vec<u8>,
    shared: Arc<Shared>,
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        self.shared.reached(WAITING);
    }
}

//! One connection: its socket, the dialogue on it, and what was said but not understood yet.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::backend::{Heard, Speech};
use crate::contain::contained;

/// Plain or TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// What is read over one payload. A hostile or broken store can say more than there is memory.
const MOST: usize = 64 * 1024;

/// Read at once. What stores say is a line or two.
const CHUNK: usize = 4 * 1024;

pub(super) struct Connection {
    socket: Box<dyn Socket>,
    speech: Box<dyn Speech>,
    said: Vec<u8>,
    /// Bytes that the store said since the last payload began.
    heard: usize,
    chunk: Box<[u8; CHUNK]>,
}

/// Why a connection is of no use any more.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    /// The store closed it.
    Closed,
    /// It said more than [`MOST`].
    Talks,
    /// It said what is out of place.
    Heard(Heard),
    /// Code of the backend panicked over what it said.
    Panicked(String),
}

impl Connection {
    pub(super) fn new(socket: Box<dyn Socket>, speech: Box<dyn Speech>) -> Self {
        Self { socket, speech, said: Vec::new(), heard: 0, chunk: Box::new([0; CHUNK]) }
    }

    /// A payload begins: what the store says from here on is about it.
    pub(super) fn begin(&mut self) {
        self.heard = 0;
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let written = async {
            self.socket.write_all(bytes).await?;
            // TLS holds back what the system did not take at once.
            self.socket.flush().await
        };
        written.await.map_err(Broken::Io)
    }

    /// Waits until what the store says means something. `at_first` asks the dialogue before anything was said.
    pub(super) async fn hear(&mut self, at_first: bool) -> Result<Heard, Broken> {
        let mut ask = at_first || !self.said.is_empty();
        loop {
            if ask {
                let heard = self.understand().await?;
                if heard != Heard::More {
                    return Ok(heard);
                }
            }
            let count = self.read().await.map_err(Broken::Io)?;
            self.take_in(count)?;
            ask = true;
        }
    }

    /// Waits so long for the store to leave, or to say what is out of place, over the first payload. One that confirms
    /// nothing still shows in this way that it speaks another protocol.
    pub(super) async fn objection(&mut self, limit: Duration) -> Result<(), Broken> {
        let objects = async {
            loop {
                let count = self.read().await.map_err(Broken::Io)?;
                self.take_in(count)?;
                match self.understand().await? {
                    Heard::More | Heard::Ready => {}
                    heard => return Err(Broken::Heard(heard)),
                }
            }
        };
        tokio::time::timeout(limit, objects).await.unwrap_or(Ok(()))
    }

    /// Whether the store has not left, as far as can be seen now. Words that mean nothing here are passed over.
    pub(super) async fn still_there(&mut self) -> Result<(), Broken> {
        // The system knows more than the runtime, which looks there only while nothing else is to be done.
        tokio::task::yield_now().await;
        while let Some(count) = self.read_now().await {
            self.take_in(count.map_err(Broken::Io)?)?;
            match self.understand().await? {
                Heard::More | Heard::Ready => {}
                heard => return Err(Broken::Heard(heard)),
            }
        }
        Ok(())
    }

    /// What the store said before it left, if that means something.
    pub(super) async fn last_words(&mut self) -> Option<Heard> {
        tokio::task::yield_now().await;
        while let Some(Ok(count)) = self.read_now().await {
            self.take_in(count).ok()?;
            match self.understand().await.ok()? {
                Heard::More | Heard::Ready => {}
                heard => return Some(heard),
            }
        }
        None
    }

    async fn read(&mut self) -> io::Result<usize> {
        let Self { socket, chunk, .. } = self;
        poll_fn(|cx| {
            let mut into = ReadBuf::new(&mut chunk[..]);
            Pin::new(&mut **socket).poll_read(cx, &mut into).map_ok(|()| into.filled().len())
        })
        .await
    }

    /// What is there already; `None` if nothing is.
    async fn read_now(&mut self) -> Option<io::Result<usize>> {
        let Self { socket, chunk, .. } = self;
        poll_fn(|cx| {
            let mut into = ReadBuf::new(&mut chunk[..]);
            Poll::Ready(match Pin::new(&mut **socket).poll_read(cx, &mut into) {
                Poll::Pending => None,
                Poll::Ready(read) => Some(read.map(|()| into.filled().len())),
            })
        })
        .await
    }

    fn take_in(&mut self, count: usize) -> Result<(), Broken> {
        if count == 0 {
            return Err(Broken::Closed);
        }
        self.heard += count;
        if self.heard > MOST {
            return Err(Broken::Talks);
        }
        self.said.extend_from_slice(&self.chunk[..count]);
        Ok(())
    }

    async fn understand(&mut self) -> Result<Heard, Broken> {
        loop {
            let Self { speech, said, .. } = self;
            let mut answer = Vec::new();
            let mut left = said.as_slice();
            let heard = contained(|| speech.hear(&mut left, &mut answer)).map_err(Broken::Panicked)?;
            let used = said.len().saturating_sub(left.len());
            said.drain(..used);
            if !answer.is_empty() {
                self.write(&answer).await?;
            }
            // What is left may be understood without more of it.
            if heard != Heard::More || used == 0 || self.said.is_empty() {
                return Ok(heard);
            }
        }
    }
}

//! The store's port: open, or kept but closed, so that connections are refused and nobody else takes it.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::serve;
use super::shared::{Running, Shared};

/// A port that is ours. The system refuses connections to a socket that is bound and does not listen.
pub(super) struct Reserved(Socket);

impl Reserved {
    pub(super) fn at(addr: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        // Without it a port stays taken for a minute by the connections that it had. On Windows it means
        // something else, and is not needed.
        #[cfg(not(windows))]
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        Ok(Self(socket))
    }

    pub(super) fn addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Opens the port.
    pub(super) fn listen(self, shared: &Arc<Shared>) -> io::Result<Listener> {
        self.0.listen(1_024)?;
        let socket = Arc::new(TcpListener::from(self.0));
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("store".into()).spawn({
            let (socket, stopping, shared) = (Arc::clone(&socket), Arc::clone(&stopping), Arc::clone(shared));
            move || accept(&socket, &stopping, &shared)
        })?;
        Ok(Listener { socket, stopping, thread })
    }
}

/// A port that takes connections, each on a thread of its own.
pub(super) struct Listener {
    socket: Arc<TcpListener>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Listener {
    /// Closes the port; connections that it has taken go on.
    pub(super) fn stop(self) {
        self.stopping.store(true, SeqCst);
        // Linux wakes `accept` at that. Where a system does not, one more connection does.
        if SockRef::from(&*self.socket).shutdown(std::net::Shutdown::Both).is_err()
            && let Ok(addr) = self.socket.local_addr()
        {
            let _ = TcpStream::connect_timeout(&addr, Duration::from_secs(1));
        }
        let _ = self.thread.join();
    }
}

fn accept(socket: &TcpListener, stopping: &AtomicBool, shared: &Arc<Shared>) {
    loop {
        let accepted = socket.accept();
        if stopping.load(SeqCst) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: that does not get better at once.
            shared.pause(Duration::from_millis(10));
            continue;
        };
        let stream = Arc::new(stream);
        shared.connect(&stream);
        let (running, shared) = (Running::new(shared), Arc::clone(shared));
        // Without a thread the connection is closed.
        let _ = thread::Builder::new().name("store".into()).spawn(move || {
            // Dropped in reverse: who sees no thread running finds no connection open.
            let (_running, stream) = (running, stream);
            serve::connection(&shared, &stream);
        });
    }
}

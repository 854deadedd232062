//! A server that does what a test says, one connection after the other, and files for a test.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::http::Client;
use super::{Credentials, Failure, Options};
use crate::backend::{Payload, Reply};
use crate::config::Compression;

/// Longer than any test takes: a test that reaches it has failed.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// What a test does with one connection.
pub(super) type Script<T> = Box<dyn FnOnce(TcpStream) -> T + Send>;

pub(super) struct Server<T> {
    pub(super) address: SocketAddr,
    thread: JoinHandle<Vec<T>>,
}

impl<T: Send + 'static> Server<T> {
    /// One script a connection; a connection too many is refused.
    pub(super) fn new(scripts: Vec<Script<T>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let run = |script: Script<T>| {
                let stream = listener.accept().unwrap().0;
                // A test that hangs says where.
                stream.set_read_timeout(Some(LONG)).unwrap();
                stream.set_write_timeout(Some(LONG)).unwrap();
                script(stream)
            };
            scripts.into_iter().map(run).collect()
        });
        Self { address, thread }
    }

    pub(super) fn one(script: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        Self::new(vec![Box::new(script)])
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    /// What the scripts returned.
    pub(super) fn end(self) -> Vec<T> {
        self.thread.join().unwrap()
    }
}

/// A server of one connection that reads a request, answers, and waits for the other side to close.
pub(super) fn answering(answer: impl Into<Vec<u8>>) -> Server<Seen> {
    let answer = answer.into();
    Server::one(move |mut stream| {
        let seen = Seen::read(&mut stream);
        // The client may close in the middle of a long answer.
        let _ = stream.write_all(&answer);
        to_the_end(&mut stream);
        seen
    })
}

/// How many bytes come before the other side closes.
pub(super) fn to_the_end(stream: &mut impl Read) -> usize {
    let (mut sum, mut part) = (0, vec![0; 64 * 1024]);
    loop {
        match stream.read(&mut part) {
            Ok(0) => return sum,
            Ok(some) => sum += some,
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection stays open"),
            Err(_) => return sum,
        }
    }
}

/// A request as it arrived.
pub(super) struct Seen {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn read(stream: &mut impl Read) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut seen = Self { head, body: Vec::new() };
        let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
        seen.body = vec![0; length];
        stream.read_exact(&mut seen.body).unwrap();
        seen
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

type Lookup = Arc<dyn Fn() -> io::Result<Vec<SocketAddr>> + Send + Sync>;

static LOOKUPS: Mutex<BTreeMap<String, Lookup>> = Mutex::new(BTreeMap::new());

/// A host name of its own for a test, which is looked up so.
pub(super) fn named(lookup: impl Fn() -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> String {
    let mut all = LOOKUPS.lock().unwrap();
    let host = format!("store-{}.test", all.len());
    all.insert(host.clone(), Arc::new(lookup));
    host
}

/// What `resolve.rs` asks in place of the system.
pub(super) fn lookup(host: &str) -> io::Result<Vec<SocketAddr>> {
    let scripted = LOOKUPS.lock().unwrap().get(host).cloned();
    scripted.map_or_else(|| super::resolve::system(host), |lookup| lookup())
}

pub(super) fn options(url: impl Into<String>) -> Options {
    Options {
        names: super::Names::default(),
        url: url.into(),
        credentials: Credentials::default(),
        ca: None,
        cert: None,
        key: None,
        allow_http: false,
        compression: Compression::None,
        takes_gzip: true,
        ..Options::default()
    }
}

pub(super) fn payload(body: &str) -> Payload {
    Payload::post("text/plain", body.into())
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build().unwrap()
}

/// One attempt on a runtime of its own, which closes what is left of the connection.
pub(super) fn send(options: Options, timeout: Duration) -> Result<Reply, Failure> {
    let client = Client::new(options).unwrap();
    runtime().block_on(client.send(payload("hello"), timeout))
}

/// A directory that goes with the test.
pub(super) struct Dir(PathBuf);

impl Dir {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("logchute-wire-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs one test of this binary by itself, with these variables and no proxy settings but those.
pub(super) fn alone(test: &str, variables: &[(&str, &str)]) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let output = command.args(["--exact", test, "--nocapture"]).envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

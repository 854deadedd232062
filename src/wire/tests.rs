//! What the wire promises, against a server that misbehaves.

mod dns;
mod hostile;
mod plain;
mod stream;
#[cfg(feature = "tls")]
mod tls;

//! The way to the store: its addresses, a connection to one of them, and TLS on it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;

use super::super::Options;
use super::super::failure::Failure;
use super::super::limits::PATIENCE;
use super::super::resolve::Resolver;
use super::connection::Socket;
use super::told;
use crate::error::Error;

pub(super) struct Reach {
    host: String,
    /// Where the host is written as an address.
    address: Option<IpAddr>,
    port: u16,
    resolver: Resolver,
    #[cfg(feature = "tls")]
    tls: Option<(tokio_rustls::TlsConnector, rustls_pki_types::ServerName<'static>)>,
}

impl Reach {
    /// `host` as URLs have it.
    pub(super) fn new(options: &Options, host: &str, port: u16, tls: bool) -> Result<Self, Error> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        #[cfg(not(feature = "tls"))]
        super::super::no_tls::check(options, tls)?;
        Ok(Self {
            host: bare.to_owned(),
            address: bare.parse().ok(),
            port,
            resolver: Resolver::default(),
            #[cfg(feature = "tls")]
            tls: connector(options, bare, tls)?,
        })
    }

    /// A connection to one of the addresses. `trying` is told how far that is: `None` while the name is resolved.
    ///
    /// An address that swallows packets is left for the next one after a while.
    pub(super) async fn connect(&self, trying: impl Fn(Option<IpAddr>), shown: &str) -> Result<TcpStream, Failure> {
        trying(None);
        let addresses = match self.address {
            Some(address) => vec![SocketAddr::new(address, self.port)],
            None => {
                let found = self.resolver.addresses(self.host.clone()).await;
                let mut found = found.map_err(|why| told::unresolved(shown, &why))?;
                found.iter_mut().for_each(|address| address.set_port(self.port));
                found
            }
        };
        let mut last = io::Error::other("the name has no address");
        for (place, address) in addresses.iter().enumerate() {
            trying(Some(address.ip()));
            let connecting = TcpStream::connect(address);
            let connected = if place + 1 == addresses.len() {
                connecting.await
            } else {
                tokio::time::timeout(PATIENCE, connecting).await.unwrap_or_else(|_| {
                    self.hung(address.ip());
                    Err(io::ErrorKind::TimedOut.into())
                })
            };
            match connected {
                Ok(stream) => {
                    // A payload is written as a whole, and its last piece must not wait for an acknowledgement. Where
                    // that cannot be set it is only slower.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(why) => last = why,
            }
        }
        Err(told::unreachable(shown, &last))
    }

    /// That address did not answer: the others are tried before it the next time.
    pub(super) fn hung(&self, address: IpAddr) {
        self.resolver.hung.add(address);
    }

    /// TLS, where the URL asks for it.
    #[cfg(feature = "tls")]
    pub(super) async fn secure(&self, stream: TcpStream) -> io::Result<Box<dyn Socket>> {
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), stream).await?)),
        }
    }

    #[cfg(not(feature = "tls"))]
    pub(super) async fn secure(&self, stream: TcpStream) -> io::Result<Box<dyn Socket>> {
        Ok(Box::new(stream))
    }
}

#[cfg(feature = "tls")]
fn connector(
    options: &Options,
    host: &str,
    tls: bool,
) -> Result<Option<(tokio_rustls::TlsConnector, rustls_pki_types::ServerName<'static>)>, Error> {
    // Files that are set are read, and refused, also where they are of no use.
    let mut config = super::super::tls::config(options, tls)?;
    if !tls {
        return Ok(None);
    }
    // What is spoken is not HTTP.
    config.alpn_protocols.clear();
    let name = host.to_owned().try_into().map_err(|_| {
        Error::setting(
            "url",
            super::super::url::masked(&options.url),
            "one with a host that a certificate can be made for",
        )
    })?;
    Ok(Some((std::sync::Arc::new(config).into(), name)))
}

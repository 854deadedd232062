//! TLS as we want it, whatever the process has set up for itself: ring, TLS 1.2 and 1.3, the platform's roots or
//! only the given ones.
//!
//! rustls has a default provider per process. It belongs to the application: asking for it panics where two are
//! compiled in and none is chosen, and setting it would take the choice away.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::BuilderVerifierExt;

use super::Options;
use crate::error::Error;
use crate::file;

/// A bundle of all public CAs has a quarter of a MiB.
const LARGEST: u64 = 8 * 1024 * 1024;

/// Reads the files. `used` says whether there will be a handshake: without one the platform's roots are not asked for.
pub(super) fn config(options: &Options, used: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| Error::setting("url", "https", format!("spoken with TLS 1.2 or 1.3 ({why})")))?;
    let builder = match &options.ca {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None if used => builder.with_platform_verifier().map_err(|why| {
            let must = format!(
                "the PEM file with the CA that signed the store's certificate, because this machine has none installed \
                 (in a container: install ca-certificates; {why})"
            );
            Error::setting("ca", "", must)
        })?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    let mut config = match (&options.cert, &options.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates("cert", cert)?;
            let secret = private_key(key)?;
            builder.with_client_auth_cert(chain, secret).map_err(|why| {
                let must = format!("the private key of the certificate in {} ({why})", cert.display());
                Error::setting("key", key.display(), must)
            })?
        }
        (Some(cert), None) => return Err(Error::setting("cert", cert.display(), "set together with key")),
        (None, Some(key)) => return Err(Error::setting("key", key.display(), "set together with cert")),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for (place, certificate) in certificates("ca", path)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|why| {
            let must = format!("a PEM file of CA certificates (certificate {}: {why})", place + 1);
            Error::setting("ca", path.display(), must)
        })?;
    }
    Ok(roots)
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refuse = |why: String| {
        let must = format!("a PEM file with at least one CERTIFICATE ({why})");
        Error::setting(setting, path.display(), must)
    };
    let pem = file::read(path, LARGEST).map_err(refuse)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|why| refuse(why.to_string()))?;
    if found.is_empty() { Err(refuse("there is none".into())) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    // What the PEM reader says may quote the file, and the file is a key: its reason is not shown.
    let refuse = |why: &str| {
        let must = format!("a PEM file with a PRIVATE KEY that is not encrypted: PKCS#8, PKCS#1 or SEC1 ({why})");
        Error::setting("key", path.display(), must)
    };
    let pem = file::read(path, LARGEST).map_err(|why| refuse(&why))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| refuse("there is none"))
}

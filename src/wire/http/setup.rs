//! How the HTTP client is set up, for the store and for what hands out tokens.

use std::sync::Arc;

use super::super::Options;
use super::super::limits::IDLE;
use super::super::resolve::Resolver;
use crate::error::Error;

#[cfg(feature = "tls")]
pub(in crate::wire) fn tls(
    builder: reqwest::ClientBuilder,
    options: &Options,
    https: bool,
) -> Result<reqwest::ClientBuilder, Error> {
    // Also where the URL is plain http: without it the client would look for the process's own provider, and panic.
    Ok(builder.tls_backend_preconfigured(super::super::tls::config(options, https)?))
}

#[cfg(not(feature = "tls"))]
pub(in crate::wire) fn tls(
    builder: reqwest::ClientBuilder,
    options: &Options,
    https: bool,
) -> Result<reqwest::ClientBuilder, Error> {
    super::super::no_tls::check(options, https)?;
    Ok(builder)
}

/// Builds a client, of the store or of what hands out tokens; `direct` says that no proxy is asked.
pub(in crate::wire) fn build(
    builder: reqwest::ClientBuilder,
    resolver: Resolver,
    direct: bool,
) -> Result<reqwest::Client, String> {
    let mut builder = builder
        .user_agent(concat!("logchute/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        // A redirect would take records and token wherever the answer says; it is a reply like any other.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // Cargo unifies features: when the application turns these on for its own client, ours has them too.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .retry(reqwest::retry::never())
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .dns_resolver(Arc::new(resolver));
    if direct {
        builder = builder.no_proxy();
    }
    // Built without `tls` we cannot say which provider to use, and where the application's features brought rustls in
    // without one, the client panics. An application must not die of that.
    let build = std::panic::AssertUnwindSafe(|| builder.build());
    match std::panic::catch_unwind(build) {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(why)) => Err(why.without_url().to_string()),
        Err(_) => Err("it panicked: is a TLS provider missing?".into()),
    }
}

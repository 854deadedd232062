//! stub
use crate::{Error, backend::*, config::Compression};
use std::{path::PathBuf, time::Duration};
pub(crate) mod auth;
pub(crate) use auth::{Credentials, Secret};
pub(crate) struct Options {
    pub url: String,
    pub credentials: Credentials,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub allow_http: bool,
    pub compression: Compression,
    pub takes_gzip: bool,
}
pub(crate) struct Client {
    url: String,
    c: reqwest::Client,
}
pub(crate) struct Failure {
    pub text: String,
}
impl Client {
    pub(crate) fn new(o: Options) -> Result<Self, Error> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self { url: o.url, c: reqwest::Client::builder().tcp_nodelay(true).build().unwrap() })
    }
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
    pub(crate) fn refresh(&mut self) -> bool {
        false
    }
    pub(crate) fn send(
        &self,
        p: Payload,
        t: Duration,
    ) -> impl Future<Output = Result<Reply, Failure>> + 'static + use<> {
        let Payload::Http { content_type, body, .. } = p;
        let r = self.c.post(&self.url).header("content-type", content_type).body(body).timeout(t).send();
        async move {
            let r = r.await.map_err(|e| Failure { text: e.to_string() })?;
            let s = r.status().as_u16();
            let b = r.bytes().await.map_err(|e| Failure { text: e.to_string() })?;
            Ok(Reply::new(s, b.to_vec()))
        }
    }
}

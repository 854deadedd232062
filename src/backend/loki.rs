//! stub
use super::{Backend, Batch, Facts, Payload, Scheme};
/// Encoding of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// protobuf
    Protobuf,
    /// json
    Json,
}
/// Loki.
#[derive(Clone, Debug)]
pub struct Loki {
    url: String,
}
impl Loki {
    /// url
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }
}
impl Backend for Loki {
    fn facts(&self) -> Facts {
        Facts::new("loki")
    }
    fn url(&self) -> &str {
        &self.url
    }
    fn encode(&self, _batch: &Batch<'_>) -> Payload {
        Payload::post("application/json", Vec::new())
    }
}
pub(super) const SCHEME: Scheme = Scheme {
    names: &["loki", "loki-json"],
    url_variables: &["LOKI_URL", "LOKI_ADDR"],
    user_variables: &["LOKI_USERNAME"],
    password_variables: &["LOKI_PASSWORD"],
    tenant_variables: &["LOKI_TENANT_ID", "LOKI_ORG_ID"],
    build: |_, url, _| Ok(Box::new(Loki::new(url))),
};

//! stub
use super::{Backend, Batch, Facts, Payload, Scheme};
/// Newline-delimited JSON over HTTP.
#[derive(Clone, Debug)]
pub struct Ndjson {
    url: String,
}
impl Ndjson {
    /// url
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }
}
impl Backend for Ndjson {
    fn facts(&self) -> Facts {
        Facts::new("ndjson").gzip()
    }
    fn url(&self) -> &str {
        &self.url
    }
    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let mut body = Vec::new();
        for r in batch.records() {
            let mut map = serde_json::Map::new();
            map.insert("message".into(), r.message().into());
            map.insert("level".into(), r.severity().as_str().into());
            map.insert("id".into(), r.id().to_string().into());
            for f in r.fields() {
                map.insert(f.key.into(), format!("{:?}", f.value).into());
            }
            serde_json::to_writer(&mut body, &map).unwrap();
            body.push(b'\n');
        }
        Payload::post("application/x-ndjson", body)
    }
}
pub(super) const SCHEME: Scheme = Scheme {
    names: &["ndjson"],
    url_variables: &[],
    user_variables: &[],
    password_variables: &[],
    tenant_variables: &[],
    build: |_, url, _| Ok(Box::new(Ndjson::new(url))),
};

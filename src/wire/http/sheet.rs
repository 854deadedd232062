//! What each request of an attempt is made from: where it goes, its headers and its body.

use std::io::{self, Write};
use std::sync::Arc;

use reqwest::Url;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use super::upload::{Held, Shared, Upload};

/// So that a batch never holds up draining for long: a MiB of NDJSON takes about a millisecond, and a tenth of its size remains.
const GZIP_LEVEL: u32 = 1;

/// Of an attempt that goes on to another address, each request is the same.
pub(super) struct Sheet {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    length: usize,
    pub(super) shared: Arc<Shared>,
}

impl Sheet {
    /// The body is compressed if `pack` says so and it is not already.
    pub(super) fn new(
        url: Url,
        mut headers: HeaderMap,
        content_encoding: Option<&'static str>,
        body: Vec<u8>,
        pack: bool,
    ) -> (Self, Held) {
        let (body, content_encoding) = match content_encoding {
            None if pack => match gzip(&body) {
                Ok(packed) => (packed, Some("gzip")),
                Err(_) => (body, None),
            },
            already => (body, already),
        };
        if let Some(encoding) = content_encoding {
            headers.insert(CONTENT_ENCODING, header(encoding));
        }
        let length = body.len();
        let (shared, held) = Shared::hold(body);
        (Self { url, headers, length, shared }, held)
    }

    pub(super) fn upload(&self) -> Upload {
        Upload::new(&self.shared, self.length)
    }
}

/// The same host, another path and query.
pub(super) fn elsewhere(url: &Url, path_and_query: &str) -> Url {
    let (path, query) =
        path_and_query.split_once('?').map_or((path_and_query, None), |(path, query)| (path, Some(query)));
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(query);
    url
}

/// A backend's constant. One that is no header value is a mistake in that backend, which its store then tells us.
pub(super) fn header(value: &'static str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

/// The same bytes each time: the header holds no time.
fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let packed = Vec::with_capacity(body.len() / 4 + 64);
    let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(body)?;
    encoder.finish()
}

//! Takes out of a reply what was a secret in the request.
//!
//! Stores and proxies quote what they refuse ("unknown key abc"), and of a reply an excerpt is shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::HeaderMap;

use super::auth::is_harmless;

/// Shorter ones are found by chance in any text.
const SHORTEST: usize = 4;

/// Query parameters with such a part in their name hold a secret.
const SECRET_KEYS: [&str; 6] = ["key", "token", "secret", "pass", "auth", "sig"];

/// Replaces every secret that the request carried by `***`.
pub(super) fn mask(body: &mut Vec<u8>, headers: &HeaderMap, url: &Url) {
    if body.is_empty() {
        return;
    }
    let mut secrets = Vec::new();
    for (name, value) in headers.iter().filter(|(name, _)| !is_harmless(name.as_str())) {
        secrets.push(value.as_bytes().to_vec());
        // Without the word before it: `Bearer`, `Basic`.
        let bare = value.as_bytes().rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        secrets.push(bare.to_vec());
        if let (true, Ok(pair)) = (name == reqwest::header::AUTHORIZATION, STANDARD.decode(bare)) {
            let colon = pair.iter().position(|byte| *byte == b':');
            secrets.extend(colon.map(|at| pair[at + 1..].to_vec()));
        }
    }
    for (key, value) in url.query_pairs() {
        let key = key.to_ascii_lowercase();
        if SECRET_KEYS.iter().any(|part| key.contains(part)) {
            secrets.push(value.into_owned().into_bytes());
        }
    }
    mask_all(body, secrets);
}

/// Replaces these.
pub(super) fn mask_all(body: &mut Vec<u8>, mut secrets: Vec<Vec<u8>>) {
    secrets.retain(|secret| secret.len() >= SHORTEST);
    // The longer first, as it may hold a shorter one.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    for secret in secrets {
        replace(body, &secret);
    }
}

fn replace(body: &mut Vec<u8>, secret: &[u8]) {
    let mut from = 0;
    while let Some(at) = body[from..].windows(secret.len()).position(|part| part == secret) {
        body.splice(from + at..from + at + secret.len(), *b"***");
        from += at + 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b8_what_the_store_quotes_of_a_secret_is_taken_out() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Basic bWU6Y2FuYXJ5".parse().unwrap());
        headers.insert("x-key", "canary-2".parse().unwrap());
        headers.insert("x-scope-orgid", "acme".parse().unwrap());
        let url = Url::parse("http://host/?api_key=canary%203&_stream_fields=service").unwrap();
        for (body, shown) in [
            ("bad Basic bWU6Y2FuYXJ5, canarycanary!", "bad ***, ******!"),
            ("key canary-2 or canary 3 for acme and service", "key *** or *** for acme and service"),
            ("bWU6Y2FuYXJ5", "***"),
            ("canar", "canar"),
            ("", ""),
        ] {
            let mut body = body.as_bytes().to_vec();
            mask(&mut body, &headers, &url);
            assert_eq!(String::from_utf8(body).unwrap(), shown);
        }
    }
}

//! The signed claim by which the key of a service account gets a token (RFC 7523): RS256, signed by ring.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

/// The longest that Google takes.
const LIVES: Duration = Duration::from_secs(3600);

/// Who claims what.
pub(super) struct Claim<'a> {
    pub(super) issuer: &'a str,
    /// The URL that the claim is sent to.
    pub(super) audience: &'a str,
    pub(super) scope: &'a str,
    pub(super) key_id: Option<&'a str>,
}

/// The claim, signed with a key in PEM. What is wrong with the key is said without quoting it.
pub(super) fn signed(claim: &Claim<'_>, pem: &str, now: SystemTime) -> Result<String, &'static str> {
    let key = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err("its private_key is no PRIVATE KEY in PEM"),
    };
    let key = key.map_err(|_| "its private_key is no RSA key of 2048 bits or more")?;
    let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut header = json!({"alg": "RS256", "typ": "JWT"});
    if let Some(id) = claim.key_id {
        header["kid"] = id.into();
    }
    let claims = json!({
        "iss": claim.issuer,
        "scope": claim.scope,
        "aud": claim.audience,
        "iat": issued,
        "exp": issued + LIVES.as_secs(),
    });
    let mut text = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| "its private_key does not sign")?;
    text.push('.');
    BASE64URL.encode_string(signature, &mut text);
    Ok(text)
}

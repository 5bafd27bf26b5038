//! Signed claims: JWTs with HS256, which the control plane's API verifies with the same secret (CONTRACT §3.8).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::Value;

use crate::config::Secret;

/// Signs tokens.
pub struct Signer(hmac::Key);

impl Signer {
    /// A signer with the secret that the API verifies with.
    pub fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()))
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> Secret {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = encode(br#"{"typ":"JWT","alg":"HS256"}"#);
        let signed = format!("{header}.{}", encode(claims.to_string().as_bytes()));
        let tag = hmac::sign(&self.0, signed.as_bytes());
        Secret::from(format!("{signed}.{}", encode(tag.as_ref())))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

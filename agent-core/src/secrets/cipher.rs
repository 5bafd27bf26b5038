//! The control plane's encryption of values: AES-256-GCM under the SHA-256 of a text that its services share
//! (CONTRACT §3.8).

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::Value;

use crate::config::Secret;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Envelope;

/// A shorter text is refused, by the control plane's services too.
const SHORTEST_KEY: usize = 32;

/// Encrypts and decrypts values.
pub struct Cipher {
    key: LessSafeKey,
    /// What `encryption_key_hash` says of this key. Numerically it *is* the key, so it is compared and never written.
    key_hash: String,
}

/// Why a value could not be decrypted. None of these tells anything of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// This worker has no key at all.
    #[error("this worker has no `security.encryption_key`")]
    NoKey,
    /// It was encrypted with another key, and says so.
    #[error("it was encrypted with another key than this worker's `security.encryption_key`")]
    OtherKey,
    /// It is not a ciphertext.
    #[error("it is not an encrypted value")]
    Malformed,
    /// Another key, or a value that was changed.
    #[error("it cannot be decrypted with this worker's `security.encryption_key`")]
    Refused,
    /// What was encrypted is not JSON.
    #[error("what was encrypted is not JSON")]
    NotJson,
}

impl Cipher {
    /// A cipher with this key.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the key is shorter than 32 characters.
    pub fn new(key: &Secret) -> Result<Self> {
        let text = key.expose();
        let length = text.chars().count();
        if length < SHORTEST_KEY {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("`security.encryption_key` has {length} characters"),
            )
            .hint(format!(
                "it takes at least {SHORTEST_KEY}, the same as the control plane's other services"
            )));
        }
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let unusable =
            |_| Error::new(ErrorKind::System, "the encryption key cannot be used by this machine's cipher");
        let key = UnboundKey::new(&AES_256_GCM, digest.as_ref()).map_err(unusable)?;
        let key_hash = digest.as_ref().iter().fold(String::new(), |mut hash, byte| {
            // Writing to a String cannot fail.
            write!(hash, "{byte:02x}").ok();
            hash
        });
        Ok(Self { key: LessSafeKey::new(key), key_hash })
    }

    /// Encrypts `value`: base64 of a fresh nonce, the ciphertext and its tag.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where the operating system has no random numbers.
    pub fn seal(&self, value: &Value) -> Result<String> {
        let unsealed = || Error::new(ErrorKind::System, "cannot encrypt a value");
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| unsealed())?;
        let mut body = value.to_string().into_bytes();
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body)
            .map_err(|_| unsealed())?;
        Ok(STANDARD.encode([&nonce, body.as_slice(), tag.as_ref()].concat()))
    }

    /// Decrypts what [`Cipher::seal`], here or in another service, has made.
    pub fn open(&self, envelope: &Envelope) -> std::result::Result<Value, Unopened> {
        if envelope.key_hash.as_deref().is_some_and(|hash| !hash.eq_ignore_ascii_case(&self.key_hash)) {
            return Err(Unopened::OtherKey);
        }
        let text = envelope.value.as_str().ok_or(Unopened::Malformed)?;
        let mut bytes = STANDARD.decode(text).map_err(|_| Unopened::Malformed)?;
        let (nonce, body) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or(Unopened::Malformed)?;
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), body);
        serde_json::from_slice(opened.map_err(|_| Unopened::Refused)?).map_err(|_| Unopened::NotJson)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn cipher(key: &str) -> Cipher {
        Cipher::new(&Secret::from(key.to_owned())).unwrap()
    }

    fn envelope(value: Value, key_hash: Option<&str>) -> Envelope {
        Envelope { value, key_hash: key_hash.map(str::to_owned) }
    }

    #[test]
    fn what_is_sealed_is_opened_and_never_twice_the_same() {
        let cipher = cipher(KEY);
        for value in [json!("s3cr3t"), json!({"a": [1, null, "ü"]}), json!("")] {
            let sealed = cipher.seal(&value).unwrap();
            assert_ne!(sealed, cipher.seal(&value).unwrap());
            assert_eq!(cipher.open(&envelope(sealed.into(), None)), Ok(value));
        }
    }

    #[test]
    fn a_value_that_another_implementation_encrypted_is_opened() {
        // Made with the algorithm of the contract in Python (cryptography, AESGCM).
        let made_elsewhere = "AAECAwQFBgcICQoLY50sLs5BwZ0lmTwv+T6W16H/GFkGT3MgFoN/";
        let opened = cipher(KEY).open(&envelope(json!(made_elsewhere), None));
        assert_eq!(opened, Ok(json!("swordfish")));
    }

    #[test]
    fn another_key_and_a_changed_value_are_refused_and_told_apart() {
        let sealed = cipher(KEY).seal(&json!("s3cr3t")).unwrap();
        let other = cipher("another key of at least thirty-two characters");
        let hash = &cipher(KEY).key_hash;
        assert_eq!(other.open(&envelope(json!(sealed), None)), Err(Unopened::Refused));
        assert_eq!(other.open(&envelope(json!(sealed), Some(hash))), Err(Unopened::OtherKey));
        let upper = hash.to_uppercase();
        assert_eq!(cipher(KEY).open(&envelope(json!(sealed), Some(&upper))), Ok(json!("s3cr3t")));
        let mut changed = STANDARD.decode(&sealed).unwrap();
        changed[14] ^= 1;
        let changed = json!(STANDARD.encode(changed));
        assert_eq!(cipher(KEY).open(&envelope(changed, None)), Err(Unopened::Refused));
        for malformed in [json!("short"), json!("AAAA"), json!(7), json!("not base64!")] {
            assert_eq!(cipher(KEY).open(&envelope(malformed, None)), Err(Unopened::Malformed));
        }
    }

    #[test]
    fn a_short_key_is_refused_without_being_shown() {
        let error = Cipher::new(&Secret::from("tooshort".to_owned())).unwrap_err();
        assert_eq!(error.to_string(), "`security.encryption_key` has 8 characters");
        assert!(error.hint_text().unwrap().contains("at least 32"));
    }
}

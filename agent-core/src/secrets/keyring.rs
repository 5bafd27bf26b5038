//! What this process can decrypt and sign with, and what of its own must never be seen.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Cipher, Masker, Patterns, Signer, Unmaskable, Unopened};
use crate::config::{Secret, SecurityConfig, ServersConfig};
use crate::error::Result;
use crate::model::Envelope;

/// What is told once is remembered so many times; an agent that lives long must not grow.
const REMEMBERED: usize = 10_000;

/// The secrets of the agent itself. Shared by all executions.
#[derive(Debug, Default)]
pub struct Keyring {
    cipher: Option<Cipher>,
    signer: Option<Signer>,
    /// Whether the API asks for tokens at all.
    tokens_optional: bool,
    own: Patterns,
    masker: Option<Arc<Masker>>,
    /// Names of which was told that they cannot be covered.
    told: Mutex<HashSet<String>>,
}

impl Keyring {
    /// The keys as configured.
    ///
    /// # Errors
    /// Where the encryption key is too short.
    pub fn new(security: &SecurityConfig, servers: &ServersConfig) -> Result<Self> {
        let mut own = Patterns::default();
        let mut hide = |name: &str, secret: &str| {
            if let Err(why) = own.add(secret) {
                tracing::info!("{name} is not covered in logs and results: {why}");
            }
        };
        let secrets = [
            ("`security.encryption_key`", &security.encryption_key),
            ("`security.jwt_secret`", &security.jwt_secret),
        ];
        for (name, secret) in secrets {
            if let Some(secret) = secret {
                hide(name, secret.expose());
            }
        }
        let urls = [
            ("the password in `database.url`", &servers.database_url),
            ("the password in `message_queue.url`", &servers.broker_url),
        ];
        for (name, url) in urls {
            for password in url.as_ref().map(passwords).unwrap_or_default() {
                hide(name, &password);
            }
        }
        let masker = own.clone().masker().map(Arc::new);
        Ok(Self {
            cipher: security.encryption_key.as_ref().map(Cipher::new).transpose()?,
            signer: security.jwt_secret.as_ref().map(Signer::new),
            tokens_optional: security.enable_auth == Some(false),
            own,
            masker,
            told: Mutex::default(),
        })
    }

    /// Decrypts a value.
    pub fn open(&self, envelope: &Envelope) -> std::result::Result<serde_json::Value, Unopened> {
        self.cipher.as_ref().ok_or(Unopened::NoKey)?.open(envelope)
    }

    /// What encrypts, where there is a key.
    pub const fn cipher(&self) -> Option<&Cipher> {
        self.cipher.as_ref()
    }

    /// What signs tokens, where there is a secret.
    pub const fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// Whether an action can do without the token that it is to have: the API asks nobody for one.
    pub const fn tokens_optional(&self) -> bool {
        self.tokens_optional
    }

    /// What covers the agent's own secrets; made once.
    pub const fn masker(&self) -> Option<&Arc<Masker>> {
        self.masker.as_ref()
    }

    /// What covers `secrets` and the agent's own.
    pub fn masker_with(&self, mut secrets: Patterns) -> Option<Arc<Masker>> {
        if secrets.is_empty() {
            return self.masker.clone();
        }
        secrets.extend(&self.own);
        secrets.masker().map(Arc::new)
    }

    /// Says that a secret cannot be covered: once, for its executions may be many.
    pub fn tell_uncovered(&self, name: &str, why: Unmaskable) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < REMEMBERED && told.insert(name.to_owned()) {
            tracing::warn!("{name} is not covered in logs and results: {why}");
        }
    }
}

/// The passwords that a URL holds, as they are written and as they are meant.
fn passwords(url: &Secret) -> Vec<String> {
    let url = url.expose();
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (place, query) = after_scheme.split_once('?').unwrap_or((after_scheme, ""));
    let authority = place.rsplit_once('@').map(|(account, _)| account);
    let of_account = authority.and_then(|account| account.split_once(':')).map(|(_, password)| password);
    let of_query = query.split('&').filter_map(|pair| pair.strip_prefix("password="));
    let mut passwords = Vec::new();
    for written in of_account.into_iter().chain(of_query).filter(|password| !password.is_empty()) {
        let meant = unescaped(written);
        if meant != written {
            passwords.push(meant);
        }
        passwords.push(written.to_owned());
    }
    passwords
}

/// Text with its percent escapes undone.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().filter(|_| *first == b'%');
        let escaped = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found_wherever_a_url_has_them() {
        let of = |url: &str| passwords(&Secret::from(url.to_owned()));
        assert_eq!(of("postgres://attune:s3cr3t@db:5432/attune"), ["s3cr3t"]);
        assert_eq!(of("amqp://attune:p%40ss%2Fw@mq/%2f"), ["p@ss/w", "p%40ss%2Fw"]);
        assert_eq!(of("postgres://db/attune?user=u&password=of-the-query"), ["of-the-query"]);
        assert_eq!(of("postgres://attune:p@ss@db/attune"), ["p@ss"]);
        assert_eq!(of("postgres://db/attune"), [""; 0]);
        assert_eq!(of("postgres://attune:@db/attune"), [""; 0]);
        assert_eq!(of("nonsense"), [""; 0]);
    }

    #[test]
    fn the_agents_own_secrets_are_covered_and_short_ones_are_not() {
        let secret = |text: &str| Some(Secret::from(text.to_owned()));
        let security = SecurityConfig {
            encryption_key: secret("0123456789abcdef0123456789abcdef"),
            jwt_secret: secret("of-the-signature"),
            enable_auth: None,
        };
        let servers = ServersConfig {
            database_url: secret("postgres://a:of-the-database@db/attune"),
            schema: "attune".to_owned(),
            database_ca: None,
            database_connections: 5,
            broker_url: secret("amqp://guest:guest@mq"),
            broker_ca: None,
        };
        let keyring = Keyring::new(&security, &servers).unwrap();
        let masker = keyring.masker().unwrap();
        let text = "guest of-the-database of-the-signature 0123456789abcdef0123456789abcdef";
        assert_eq!(masker.mask_text(text), "guest *** *** ***");
        let mut more = Patterns::default();
        more.add("of-an-execution").unwrap();
        let both = keyring.masker_with(more).unwrap();
        assert_eq!(both.mask_text("of-an-execution of-the-database"), "*** ***");
    }
}

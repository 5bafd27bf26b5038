//! The token with which an action speaks to the control plane's API: a JWT, signed with HS256 (CONTRACT §3.8).

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::hmac;
use serde::Serialize;
use serde_json::Value;

use crate::config::Secret;
use crate::model::{ExecutionId, Origin, Ref};

/// A token outlives its execution by this: what an action says last may be on its way.
const MARGIN: Duration = Duration::from_mins(1);

/// Whom the API takes an execution for that nobody is named for, as the reference does.
const NOBODY: i64 = 1;

/// Signs tokens.
pub struct Signer(hmac::Key);

/// Whom a token is for.
#[derive(Debug, Clone, Copy)]
pub struct Bearer<'a> {
    /// Which execution.
    pub execution: ExecutionId,
    /// What runs.
    pub action: &'a Ref,
    /// On whose behalf.
    pub origin: &'a Origin,
    /// Its time limit.
    pub timeout: Duration,
}

/// The claims, in the order in which the reference writes them.
#[derive(Serialize)]
struct Claims<'a> {
    sub: String,
    login: String,
    iat: i64,
    exp: i64,
    token_type: &'static str,
    scope: &'static str,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    execution_id: i64,
    action_ref: &'a str,
    permission_set_refs: &'a [String],
    standard_access_action_refs: BTreeSet<&'a str>,
    /// One for each of the actions, in their order, repetitions included.
    standard_access_pack_refs: Vec<&'a str>,
}

impl Signer {
    /// A signer with the secret that the API verifies with.
    pub fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()))
    }

    /// The token of `bearer`, as of `now`.
    pub fn sign(&self, bearer: &Bearer<'_>, now: Timestamp) -> Secret {
        let Origin { identity, permission_sets, workflow_action, .. } = bearer.origin;
        let actions: BTreeSet<&str> =
            workflow_action.iter().map(Ref::as_str).chain([bearer.action.as_str()]).collect();
        let packs = actions.iter().filter_map(|action| action.split('.').next()).collect();
        let lifetime = i64::try_from((bearer.timeout + MARGIN).as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            sub: identity.unwrap_or(NOBODY).to_string(),
            login: format!("execution:{}", bearer.execution),
            iat: now.as_second(),
            exp: now.as_second().saturating_add(lifetime),
            token_type: "execution",
            scope: "execution",
            metadata: Metadata {
                execution_id: bearer.execution.0,
                action_ref: bearer.action.as_str(),
                permission_set_refs: permission_sets,
                standard_access_action_refs: actions,
                standard_access_pack_refs: packs,
            },
        };
        self.sign_claims(&serde_json::json!(claims))
    }

    /// A token that says this.
    pub(crate) fn sign_claims(&self, claims: &Value) -> Secret {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!(
            "{}.{}",
            encode(br#"{"typ":"JWT","alg":"HS256"}"#),
            encode(claims.to_string().as_bytes())
        );
        let tag = hmac::sign(&self.0, signed.as_bytes());
        Secret::from(format!("{signed}.{}", encode(tag.as_ref())))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_has_the_contracts_header_and_claims_and_verifies() {
        let origin = Origin {
            identity: Some(7),
            permission_sets: vec!["core.reader".to_owned()],
            workflow_action: Some("mine.flow".parse().unwrap()),
            cause: None,
        };
        let action = "mine.act".parse().unwrap();
        let bearer = Bearer {
            execution: ExecutionId(42),
            action: &action,
            origin: &origin,
            timeout: Duration::from_secs(300),
        };
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let token =
            Signer::new(&Secret::from("dev-secret-dev-secret-dev-secret".to_owned())).sign(&bearer, now);
        let parts: Vec<_> = token.expose().split('.').collect();
        let part = |number: usize| -> Vec<u8> {
            URL_SAFE_NO_PAD.decode(parts[number]).expect("base64 without padding")
        };
        assert_eq!(part(0), br#"{"typ":"JWT","alg":"HS256"}"#);
        let expected = json!({
            "sub": "7", "login": "execution:42", "iat": 1_700_000_000, "exp": 1_700_000_360,
            "token_type": "execution", "scope": "execution",
            "metadata": {
                "execution_id": 42, "action_ref": "mine.act", "permission_set_refs": ["core.reader"],
                "standard_access_action_refs": ["mine.act", "mine.flow"],
                "standard_access_pack_refs": ["mine", "mine"]
            }
        });
        assert_eq!(serde_json::from_slice::<Value>(&part(1)).unwrap(), expected);
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"dev-secret-dev-secret-dev-secret");
        hmac::verify(&key, format!("{}.{}", parts[0], parts[1]).as_bytes(), &part(2)).unwrap();
    }

    #[test]
    fn an_execution_of_nobody_is_the_first_identitys() {
        let (origin, action) = (Origin::default(), "mine.act".parse().unwrap());
        let bearer =
            Bearer { execution: ExecutionId(1), action: &action, origin: &origin, timeout: Duration::ZERO };
        let token = Signer::new(&Secret::from(String::new())).sign(&bearer, Timestamp::UNIX_EPOCH);
        let claims = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1).unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&claims).unwrap()["sub"], "1");
    }
}

//! The worker's own token for the API's internal endpoints (CONTRACT §3.8).

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::config::Secret;
use crate::model::WorkerId;
use crate::secrets::Signer;

/// How long a token is good for.
const LIFETIME: Duration = Duration::from_hours(1);

/// How much of that is left when the next one is made: longer than any request takes, and than clocks differ.
const MARGIN: Duration = Duration::from_mins(10);

/// Makes tokens, one at a time.
pub(super) struct WorkerToken {
    signer: Signer,
    login: String,
    worker: OnceLock<WorkerId>,
    current: Mutex<Option<Issued>>,
}

struct Issued {
    token: Secret,
    expires: i64,
}

impl WorkerToken {
    pub(super) fn new(secret: &Secret) -> Self {
        Self {
            signer: Signer::new(secret),
            login: format!("worker:worker-{}", Uuid::new_v4()),
            worker: OnceLock::new(),
            current: Mutex::default(),
        }
    }

    pub(super) fn identify(&self, worker: WorkerId) {
        // A process is one worker for as long as it lives.
        self.worker.get_or_init(|| worker);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A token that is good for a while from `now` on.
    pub(super) fn bearer(&self, now: Timestamp) -> Secret {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let enough = now.as_second() + seconds(MARGIN);
        if let Some(issued) = current.as_ref().filter(|issued| issued.expires > enough) {
            return issued.token.clone();
        }
        let expires = now.as_second() + seconds(LIFETIME);
        let token = self.sign(now.as_second(), expires);
        *current = Some(Issued { token: token.clone(), expires });
        token
    }

    /// `token` was not taken: the next one is another.
    pub(super) fn discard(&self, token: &Secret) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|issued| issued.token.expose() == token.expose()) {
            *current = None;
        }
    }

    fn sign(&self, issued: i64, expires: i64) -> Secret {
        let worker = self.worker.get().map_or(0, |worker| worker.0);
        let claims = json!({
            "sub": "1", "login": self.login, "iat": issued, "exp": expires, "token_type": "worker",
            "scope": "internal_files", "metadata": {"worker_id": worker}
        });
        self.signer.sign_claims(&claims)
    }
}

impl fmt::Debug for WorkerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkerToken")
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::Value;

    use super::*;

    fn claims(token: &Secret) -> Value {
        let claims = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice(&claims).unwrap()
    }

    #[test]
    fn a_token_is_renewed_before_it_expires_and_names_the_worker() {
        let tokens = WorkerToken::new(&Secret::from("secret".to_owned()));
        tokens.identify(WorkerId(7));
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let first = tokens.bearer(at(0));
        let said = claims(&first);
        assert_eq!(said["exp"], 1_700_003_600);
        assert_eq!((&said["sub"], &said["token_type"]), (&json!("1"), &json!("worker")));
        assert_eq!((&said["scope"], &said["metadata"]), (&json!("internal_files"), &json!({"worker_id": 7})));
        assert!(said["login"].as_str().unwrap().starts_with("worker:worker-"));
        assert_eq!(tokens.bearer(at(2900)).expose(), first.expose(), "it is good for long enough");
        let second = tokens.bearer(at(3001));
        assert_eq!(claims(&second)["exp"], 1_700_006_601);
    }

    #[test]
    fn a_token_that_was_not_taken_is_replaced() {
        let tokens = WorkerToken::new(&Secret::from("secret".to_owned()));
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let refused = tokens.bearer(now);
        tokens.discard(&refused);
        let later = Timestamp::from_second(1_700_000_001).unwrap();
        assert_ne!(tokens.bearer(later).expose(), refused.expose());
    }
}

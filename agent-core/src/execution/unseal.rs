//! Opening what is sealed, before anything is started: secrets go back to their places in the parameters, keys become
//! parameters, and the token is signed. From then on it is known what must be covered.
//!
//! A key that is not encrypted becomes a parameter like any other: it is covered only where the action declares that
//! parameter secret. A key that cannot be opened fails the executions that need it, and no others: an action needs a key if its schema
//! declares a parameter of that name, and the execution has no value of its own for it.

use std::sync::Arc;

use super::Workshop;
use super::plan::timeout;
use crate::config::Secret;
use crate::model::{Outcome, Reason, SealedKey, WorkOrder};
use crate::secrets::{Bearer, Keyring, Masker, Patterns, at, put};

/// What was opened beside the parameters.
#[derive(Debug)]
pub(super) struct Unsealed {
    /// What covers every secret of this execution, and the agent's own.
    pub(super) masker: Option<Arc<Masker>>,
    /// The token for the API.
    pub(super) token: Option<Secret>,
    /// Places in the result that are secret.
    pub(super) outputs: Vec<String>,
}

/// Opens what is sealed in `order`, or says why it cannot be run.
pub(super) fn unseal(order: &mut WorkOrder, workshop: &Workshop) -> Result<Unsealed, Box<Outcome>> {
    let keyring = &workshop.keyring;
    let outputs = std::mem::take(&mut order.sealed.outputs);
    if let Some(path) = outputs.first()
        && keyring.cipher().is_none()
    {
        let error =
            format!("the action returns a secret at `{path}`, and this worker has no key to keep it with");
        return Err(unavailable(error));
    }
    let mut secrets = Patterns::default();
    add_keys(order, keyring, &mut secrets)?;
    restore(order, keyring, &mut secrets)?;
    declared(order, keyring, &mut secrets);
    let token = token(order, workshop)?;
    if let Some(token) = &token {
        // A token is never too short.
        secrets.add(token.expose()).ok();
    }
    Ok(Unsealed { masker: keyring.masker_with(secrets), token, outputs })
}

/// Keys become parameters. They go over a default of the same name, never over a value that the execution was given.
fn add_keys(order: &mut WorkOrder, keyring: &Keyring, secrets: &mut Patterns) -> Result<(), Box<Outcome>> {
    for key in std::mem::take(&mut order.sealed.keys) {
        let SealedKey { reference, name, encrypted, declared, envelope } = key;
        let value = match if encrypted { keyring.open(&envelope) } else { Ok(envelope.value) } {
            Ok(value) => value,
            Err(why) if declared => {
                let error = format!(
                    "the key `{reference}`, which is the parameter `{name}`, cannot be opened: {why}"
                );
                return Err(unavailable(error));
            }
            Err(why) => {
                tracing::warn!(
                    execution = order.execution.0,
                    key = reference,
                    "a key that the action does not declare cannot be opened and is left out: {why}"
                );
                continue;
            }
        };
        // One that is stored in the clear is configuration, which results and logs are to show as it is.
        if encrypted {
            secrets.add_json(&value, &mut |why| {
                keyring.tell_uncovered(&format!("the key `{reference}`"), why);
            });
        }
        order.parameters.insert(name, value);
    }
    Ok(())
}

/// Secrets go back to where they were taken from.
fn restore(order: &mut WorkOrder, keyring: &Keyring, secrets: &mut Patterns) -> Result<(), Box<Outcome>> {
    for sealed in std::mem::take(&mut order.sealed.parameters) {
        let path = &sealed.json_path;
        let not_restored = |why: &dyn std::fmt::Display| {
            unavailable(format!("the secret parameter at `{path}` cannot be restored: {why}"))
        };
        let value = keyring.open(&sealed.envelope).map_err(|why| not_restored(&why))?;
        let name = format!("the secret parameter at `{path}` of {}", order.action.reference);
        secrets.add_json(&value, &mut |why| keyring.tell_uncovered(&name, why));
        put(&mut order.parameters, path, value).map_err(|why| not_restored(&why))?;
    }
    Ok(())
}

/// What the schema declares secret is one, wherever its value came from.
fn declared(order: &WorkOrder, keyring: &Keyring, secrets: &mut Patterns) {
    let flags = order.action.parameters.0.iter().filter(|(_, spec)| spec.secret);
    let of_schema = flags.filter_map(|(name, _)| Some((name, order.parameters.get(name)?)));
    let of_places =
        order.sealed.inputs.iter().filter_map(|place| Some((place, at(&order.parameters, place)?)));
    for (place, value) in of_schema.chain(of_places) {
        let name = format!("the secret parameter `{place}` of {}", order.action.reference);
        secrets.add_json(value, &mut |why| keyring.tell_uncovered(&name, why));
    }
}

/// The token of an execution that is permitted anything.
fn token(order: &WorkOrder, workshop: &Workshop) -> Result<Option<Secret>, Box<Outcome>> {
    let (origin, keyring) = (&order.origin, &workshop.keyring);
    if origin.permission_sets.is_empty() {
        return Ok(None);
    }
    let Some(signer) = keyring.signer() else {
        if keyring.tokens_optional() {
            return Ok(None);
        }
        let error = "the execution is to have a token for the API, and `security.jwt_secret` is not set";
        return Err(Box::new(Outcome::without_process(Reason::TokenUnavailable, error)));
    };
    if origin.identity.is_none() {
        tracing::warn!(
            execution = order.execution.0,
            "an execution that nobody is named for gets the token of the first identity"
        );
    }
    let bearer = Bearer {
        execution: order.execution,
        action: &order.action.reference,
        origin,
        timeout: timeout(order, workshop.limits.timeout),
    };
    Ok(Some(bearer.token(signer, jiff::Timestamp::now())))
}

fn unavailable(error: String) -> Box<Outcome> {
    Box::new(Outcome::without_process(Reason::SecretUnavailable, error))
}

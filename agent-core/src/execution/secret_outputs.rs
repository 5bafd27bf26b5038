//! Secrets that an action returns, where its schema says that it does: they are kept encrypted beside the result, and
//! a marker stands in their place (CONTRACT §3.8).

use super::plan::Plan;
use crate::model::{Outcome, OutputFormat, SealedOutput};
use crate::secrets::{Keyring, Patterns, take};

/// Whether the action's standard output is to be seen by nobody: it holds secrets at places that are known only once all
/// of it has been read.
pub(super) fn withheld(plan: &Plan) -> bool {
    !plan.unsealed.outputs.is_empty() && plan.output != OutputFormat::Text
}

/// Takes the secrets out of the data, and covers them wherever else they are in the outcome.
pub(super) fn seal(mut outcome: Outcome, plan: &Plan, keyring: &Keyring) -> Outcome {
    if !withheld(plan) {
        return outcome;
    }
    let Some(data) = outcome.data_mut() else { return outcome.without_stdout() };
    let (mut sealed, mut patterns, mut lost) = (Vec::new(), Patterns::default(), Vec::new());
    for path in &plan.unsealed.outputs {
        let Some(value) = take(data, path) else { continue };
        let name = format!("the secret output `{path}` of {}", plan.action);
        patterns.add_json(&value, &mut |why| keyring.tell_uncovered(&name, why));
        // That there is a key was made sure of before anything was started.
        match keyring.cipher().map(|cipher| cipher.seal(&value)) {
            Some(Ok(ciphertext)) => sealed.push(SealedOutput { path: path.clone(), ciphertext }),
            Some(Err(error)) => lost.push(format!("`{path}`: {error}")),
            None => lost.push(format!("`{path}`: there is no encryption key")),
        }
    }
    if !lost.is_empty() {
        outcome = outcome.with_output(Err(format!("secret outputs could not be kept: {}", lost.join("; "))));
    }
    let outcome = outcome.with_sealed(sealed);
    match patterns.masker() {
        Some(masker) => outcome.masked(&masker),
        None => outcome,
    }
}

//! What must not leak: what the agent can decrypt and sign, what it covers wherever people look, and what an action's
//! environment starts from.

mod child_environment;
mod cipher;
mod forms;
mod keyring;
mod masker;
mod places;
mod stream;
mod token;

pub use child_environment::{ChildEnvironment, HIDDEN_NAMES, HIDDEN_PREFIXES, HiddenVariables};
pub use cipher::{Cipher, Unopened};
pub use forms::{COMMON, Patterns, Unmaskable};
pub use keyring::Keyring;
pub use masker::{MASK, Masker, SHORTEST};
pub use places::{NoPlace, at, marker, put, secret_places, take};
pub use stream::MaskedStream;
pub use token::{Bearer, Signer};

//! What must not leak.

mod child_environment;

pub use child_environment::{ChildEnvironment, HIDDEN_NAMES, HIDDEN_PREFIXES, HiddenVariables};

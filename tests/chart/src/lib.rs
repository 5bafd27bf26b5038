//! The Helm chart, rendered by both engines of Helm, for whoever tests what comes of it.
//!
//! Each set of values is rendered once by each engine, whoever asks first ([`engines`]); what came of it are [`objects`].
//! `cargo xtask test` installs the tools. What fails ends the test with a sentence.

pub mod driver;
pub mod engines;
pub mod objects;

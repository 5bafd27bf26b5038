//! The Helm chart: rendered by both engines of Helm, checked against the API schemas of Kubernetes, and for what it means.
//!
//! Each set of values is rendered once by each engine, whoever asks first (`engines`); the tests ask what came of it
//! (`objects`). `cargo xtask test` installs the tools.

mod driver;
mod engines;
mod objects;

mod access;
mod every_case;
mod golden;
mod mistakes;
mod names;
mod pools;
mod quickref;
mod quickstart;
mod scaling;

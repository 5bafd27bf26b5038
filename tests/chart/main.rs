//! The Helm chart: rendered by both engines of Helm, checked against the API schemas of Kubernetes, and for what it means.
//!
//! How it is rendered is the library's business (`chart_tests`); the tests ask what came of it.

mod access;
mod every_case;
mod golden;
mod mistakes;
mod names;
mod of_release;
mod pools;
mod quickref;
mod quickstart;
mod scaling;
mod upgrades;

//! One file a verb.

pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod detect_only;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod health;
pub(crate) mod install;
pub(crate) mod migrate;
pub(crate) mod pack;
pub(crate) mod probe;
pub(crate) mod reasons;
pub(crate) mod run;
pub(crate) mod submit;
pub(crate) mod wait;

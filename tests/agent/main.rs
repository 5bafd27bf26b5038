//! The built binary, run as a user runs it. One file a behaviour; every test has a control plane of its own.

mod cancel;
mod concurrency;
mod config;
mod crash;
mod credentials;
mod demo;
mod doctor;
mod drain;
mod environments;
mod exec;
mod finality;
mod health;
mod inheritance;
mod init;
mod install;
mod limits;
mod lingering;
mod mistakes;
#[path = "../mixed_pack.rs"]
mod mixed_pack;
mod output;
mod parameters;
mod probe;
mod processes;
mod secrets;
mod stopped;
mod stopping;
mod submit;
mod support;
mod try_image;
mod version;

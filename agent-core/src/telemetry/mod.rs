//! How anyone sees what the agent does.

pub mod health;
mod logs;

pub use logs::init_logs;

//! How anyone sees what the agent does.

mod logs;

pub use logs::init_logs;

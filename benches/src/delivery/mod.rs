//! What delivery is measured with: servers that keep what they are told, one worker, and a hand that dispatches.

pub mod process;
pub mod stage;

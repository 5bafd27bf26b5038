//! Arbitrary bytes as a message from the control plane, and as the payload of each type that a worker reads.
//!
//! `cargo +nightly fuzz run messages` in `agent-core/`.

#![no_main]

use agent_core::control_plane::attune::messages::{Incoming, read};
use libfuzzer_sys::fuzz_target;

/// The types that have a payload of their own.
const TYPES: [&str; 4] = ["ExecutionRequested", "ExecutionCancelRequested", "PackRegistered", "PackDeleted"];

fuzz_target!(|bytes: &[u8]| {
    let _ = read(bytes);
    for message_type in TYPES {
        let mut body = format!("{{\"message_type\":\"{message_type}\",\"payload\":").into_bytes();
        body.extend_from_slice(bytes);
        body.push(b'}');
        if let Ok(Incoming::Other(other)) = read(&body) {
            // The payload may close the envelope and name the type anew, and then it is another.
            assert_ne!(other, message_type);
        }
    }
});

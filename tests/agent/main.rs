//! The built binary, run as a user runs it.

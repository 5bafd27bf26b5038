//! What a worker is and does.

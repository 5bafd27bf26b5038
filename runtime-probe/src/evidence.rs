//! Evidence.

use crate::program::Program;
use crate::report::Evidence;
use crate::search::Slot;
use crate::tree::Tree;

/// A version and how it is known.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) version: String,
    pub(crate) evidence: Evidence,
    /// The implementation that the evidence belongs to.
    pub(crate) program: usize,
}

/// Reads.
pub(crate) fn read(_tree: &Tree, _program: &Program, _slot: Slot) -> Option<Finding> {
    None
}

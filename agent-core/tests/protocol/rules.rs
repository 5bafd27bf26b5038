//! The rules of the protocol. The correct one keeps them all; each wrong variant breaks one.

/// What the protocol relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A dispatch is acknowledged when its claim is answered, not before.
    ClaimBeforeAck,
    /// A claim names the worker and the attempt that it expects.
    ClaimComparesAttempt,
    /// A claim expects `scheduled`.
    ClaimComparesStatus,
    /// A claim without an answer is repeated with its key, and granted to the holder of that key.
    ClaimKeepsItsKey,
    /// … even when a cancellation was asked for in between.
    ClaimIsGrantedWhileCanceling,
    /// What ends is in the journal before it is in the row.
    JournalBeforeFinish,
    /// A finish expects `running` or `canceling`, this worker and this key.
    FinishCompares,
    /// A finish that finds its own work done says so, and not that somebody else was faster.
    FinishKnowsItsOwn,
    /// A starting worker ends what runs under its name and is not in its journal.
    SettleAtStart,
    /// So does a worker that is denied a claim, or a hand-back, by a row that is its own under a key it does not know.
    SettleAtDenial,
    /// Nothing is handed back while a claim of it has no answer.
    ClaimBeforeHandBack,
    /// A hand-back is in the journal before it is in the row.
    JournalBeforeHandBack,
    /// A hand-back ends with a published request whenever the row is `requested`, whoever made it so.
    HandBackAsksAgain,
    /// A cancellation expects the state that it was decided on. This rule is the API's, and not ours to keep.
    CancelCompares,
    /// A drained worker starts again some day, if only because a dispatch came too late for its drain. Nor is this one the
    /// agent's to keep; where it does not hold, the executor has to give up on what stays `scheduled`.
    DrainedStartsAgain,
}

/// The protocol, whole or with one rule broken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    broken: Option<Rule>,
}

impl Protocol {
    /// As it is meant to be.
    pub(crate) const WHOLE: Self = Self { broken: None };

    pub(crate) const fn without(rule: Rule) -> Self {
        Self { broken: Some(rule) }
    }

    pub(crate) fn keeps(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}

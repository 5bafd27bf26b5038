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
    /// What is handed back while its claim has no answer names the key of that claim, which is undone if it was granted.
    HandBackNamesItsClaim,
    /// What is kept for the next life while its claim has no answer becomes another attempt, so that the claim comes too late.
    KeptIsAnotherAttempt,
    /// A hand-back is in the journal before it is in the row.
    JournalBeforeHandBack,
    /// A hand-back ends with a published request whenever the row is `requested`, whoever made it so.
    HandBackAsksAgain,
    /// A cancellation expects the state that it was decided on. This rule is the API's, and not ours to keep.
    CancelCompares,
    /// What was claimed, has not begun and is to be cancelled is not handed back, but ended.
    CancelledIsNotHandedBack,
    /// A worker that takes work asks again for what is `requested` and in nobody's hands: the executor forgets what it had to
    /// reject.
    AsksForWhatWasRejected,
    /// A worker that takes work takes up what is scheduled for one that does not, and what is scheduled for itself without a
    /// dispatch.
    TakesUpWhatIsLeft,
    /// Some worker starts again some day. This one is not the agent's to keep.
    SomebodyStartsAgain,
}

/// The protocol, whole or with one rule broken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    broken: Option<Rule>,
    /// Whether workers look for what others lost. Without that, each other rule is seen to be needed by itself, and the executor
    /// has to remember what nobody could take.
    rescues: bool,
}

impl Protocol {
    /// As it is meant to be.
    pub(crate) const WHOLE: Self = Self { broken: None, rescues: true };

    /// As it is meant to be, but that nobody looks for what others lost.
    pub(crate) const WITHOUT_RESCUE: Self = Self { rescues: false, ..Self::WHOLE };

    pub(crate) fn without(rule: Rule) -> Self {
        let about_rescue = matches!(
            rule,
            Rule::AsksForWhatWasRejected | Rule::TakesUpWhatIsLeft | Rule::SomebodyStartsAgain
        );
        Self { broken: Some(rule), rescues: about_rescue }
    }

    pub(crate) const fn rescues(self) -> bool {
        self.rescues
    }

    pub(crate) fn keeps(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}

//! What a control says of a subject.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;

use super::{Kept, Remedy};
use crate::verdict::{Outcome, Strength};

/// A verdict on one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What was found.
    pub outcome: Outcome,
    /// What it rests on.
    pub strength: Strength,
    /// The fact that was found, in `PascalCase`, such as `NamespaceWithoutDefaultDeny`.
    pub reason: &'static str,
    /// The fact in a sentence, for people.
    pub message: Cow<'static, str>,
    /// When the verdict may change by itself.
    pub recheck_at: Option<Timestamp>,
    /// What would make the subject pass.
    pub remedy: Option<Box<Remedy>>,
    /// What to tell a person to do, where no remedy can be carried out.
    pub proposal: Option<Cow<'static, str>>,
    /// What to record at this `Pass`, so that it can be put back.
    pub keep: Option<Arc<Kept>>,
    /// Who accepts the failure. The engine says so, no control.
    pub accepted: Option<Box<Acceptance>>,
}

/// The exception that accepts a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// Its kind, namespace and name, for people.
    pub by: String,
    /// Whether somebody approved it; nobody has where the glass was broken.
    pub approved: bool,
}

impl Verdict {
    /// The same, without the room that its texts grew into: there are as many of them as failures.
    #[must_use]
    pub(crate) fn fitted(mut self) -> Self {
        let texts = [Some(&mut self.message), self.proposal.as_mut()];
        for text in texts.into_iter().flatten() {
            if let Cow::Owned(text) = text {
                text.shrink_to_fit();
            }
        }
        self
    }

    /// A verdict without remedy.
    pub fn new(
        outcome: Outcome,
        strength: Strength,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            outcome,
            strength,
            reason,
            message: message.into(),
            recheck_at: None,
            remedy: None,
            proposal: None,
            keep: None,
            accepted: None,
        }
    }

    /// The rule holds.
    pub fn pass(
        strength: Strength,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Outcome::Pass, strength, reason, message)
    }

    /// The rule does not hold.
    pub fn fail(
        strength: Strength,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Outcome::Fail, strength, reason, message)
    }

    /// Nobody can tell.
    pub fn unknown(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Outcome::Unknown, Strength::Declared, reason, message)
    }

    /// The rule has nothing to say.
    pub fn not_applicable(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Outcome::NotApplicable, Strength::Declared, reason, message)
    }

    /// With a remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(Box::new(remedy));
        self
    }

    /// With words for a person.
    #[must_use]
    pub fn propose(mut self, proposal: impl Into<Cow<'static, str>>) -> Self {
        self.proposal = Some(proposal.into());
        self
    }

    /// The same of a failure alone.
    #[must_use]
    pub fn propose_if_failing(self, proposal: impl FnOnce(&Self) -> String) -> Self {
        if self.outcome != Outcome::Fail {
            return self;
        }
        let proposal = proposal(&self);
        self.propose(proposal)
    }

    /// With a value to record.
    #[must_use]
    pub fn keeping(mut self, kept: Kept) -> Self {
        self.keep = Some(Arc::new(kept));
        self
    }

    /// To be judged again at `at` even if nothing changes.
    #[must_use]
    pub const fn recheck(mut self, at: Timestamp) -> Self {
        self.recheck_at = Some(at);
        self
    }
}

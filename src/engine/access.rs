//! Effective rights beside what the API server says of them.

use jiff::Timestamp;

use super::{Engine, Measure};
use crate::analysis::{
    Analysis as _, Derived,
    rights::{Rights, spot},
};

/// What the API server said about a few questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLook {
    /// When.
    pub at: Timestamp,
    /// Its answers; none where it may not be asked.
    pub answers: Vec<AccessAnswer>,
}

/// What the API server said about one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessAnswer {
    /// The question.
    pub question: spot::Question,
    /// What effective rights say.
    pub expected: bool,
    /// What the API server says, or why it does not.
    pub allowed: Result<bool, String>,
}

impl AccessAnswer {
    /// Whether the API server says otherwise.
    pub fn differs(&self) -> bool {
        self.allowed
            .as_ref()
            .is_ok_and(|allowed| *allowed != self.expected)
    }
}

impl Engine {
    /// What to ask the API server, with what effective rights say; empty while these are not known.
    pub fn access_questions(&self) -> Vec<(spot::Question, bool)> {
        let known = self.analyses.has(Derived::Rights)
            && self.inventory.freshness.all_usable(Rights::READS);
        let questions = known.then(spot::questions).into_iter().flatten();
        let rights = || self.analyses.rights();
        questions
            .map(|question| (question, question.is_allowed(&self.inventory, rights())))
            .collect()
    }

    /// Drops the answers about what changed since the question was asked, and counts the others.
    pub(super) fn compare(&mut self, look: &mut AccessLook) {
        let now = self.access_questions();
        look.answers.retain(|answer| {
            let mut same = now.iter();
            same.any(|(question, expected)| {
                *question == answer.question && *expected == answer.expected
            })
        });
        for answer in &look.answers {
            let result = match &answer.allowed {
                Err(_) => "Unanswered",
                Ok(_) if answer.differs() => "Differs",
                Ok(_) => "Agrees",
            };
            self.out.measures.push(Measure::AccessCheck { result });
        }
    }
}

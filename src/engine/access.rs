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

impl AccessLook {
    /// The same, with what was answered in the look before where this one has no answer: that the API server could not be
    /// asked mends nothing.
    #[must_use]
    pub fn after(mut self, before: Option<&Self>) -> Self {
        for answer in self
            .answers
            .iter_mut()
            .filter(|answer| answer.allowed.is_err())
        {
            let mut known = before.into_iter().flat_map(|look| &look.answers);
            let known = known.find(|known| {
                known.question == answer.question && known.expected == answer.expected
            });
            if let Some(known) = known {
                answer.allowed.clone_from(&known.allowed);
            }
        }
        self
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_asked_again_stays_as_it_was_answered() {
        let question = spot::questions().next().unwrap();
        let look = |allowed: Result<bool, &str>| AccessLook {
            at: Timestamp::UNIX_EPOCH,
            answers: vec![AccessAnswer {
                question,
                expected: false,
                allowed: allowed.map_err(str::to_owned),
            }],
        };
        let found = look(Ok(true));
        assert_eq!(look(Err("timeout")).after(Some(&found)), found);
        assert_eq!(look(Ok(false)).after(Some(&found)), look(Ok(false)));
        let none = AccessLook {
            answers: Vec::new(),
            ..found.clone()
        };
        assert_eq!(
            none.clone().after(Some(&found)),
            none,
            "the right was taken away"
        );
    }
}

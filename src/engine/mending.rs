//! Whose change ended a failure: a write of ours may mend more than what it was meant for.

use std::collections::BTreeSet;

use crate::{
    controls::{Subject, Target},
    inventory::{Kind, Sym},
};

/// What changed since the last round, while writes of ours were under way.
#[derive(Debug, Default)]
pub(super) struct Mending {
    ours: BTreeSet<(Kind, Sym)>,
    others: BTreeSet<(Kind, Sym)>,
}

impl Mending {
    /// Notes that an object changed, by a write of `ours` or by somebody else's.
    pub(super) fn note(&mut self, target: &Target, ours: bool) {
        let changed = (target.kind, target.namespace.clone());
        if ours {
            self.ours.insert(changed);
        } else {
            self.others.insert(changed);
        }
    }

    /// Forgets what changed.
    pub(super) fn clear(&mut self) {
        self.ours.clear();
        self.others.clear();
    }

    /// Whether a subject that passes now, by a rule that reads these kinds, does so because of
    /// writes of ours, and of nothing else.
    pub(super) fn is_ours(
        &self,
        subject: &Subject,
        mut inputs: impl Iterator<Item = Kind>,
    ) -> bool {
        if self.ours.is_empty() {
            return false;
        }
        let concerns = |changed: &BTreeSet<(Kind, Sym)>, kind: Kind| {
            let mut changed = changed.iter().filter(|(of, _)| *of == kind);
            changed.any(|(_, namespace)| {
                let anywhere = namespace.is_empty() || subject.namespace.is_empty();
                anywhere || *namespace == subject.namespace
            })
        };
        let mut by_us = false;
        inputs.all(|kind| {
            by_us |= concerns(&self.ours, kind);
            !concerns(&self.others, kind)
        }) && by_us
    }
}

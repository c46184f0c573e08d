//! What a round judges, and in which order.

use super::{
    Engine, Now,
    rule::{Rule, RuleId},
};
use crate::{analysis::Derived, controls::Touched, evidence::words::Cause};

/// Subjects that are judged as a part of a whole population in one round, before what just changed
/// gets its turn again.
pub(super) const MOST_JUDGED: usize = 5_000;

impl Engine {
    /// Judges what is uncertain: first what changed, and of what is judged as a whole only a part.
    /// The rest follows at once, in rounds of its own: so a full pass neither holds up what changes
    /// meanwhile, nor has its records in memory all together.
    pub(super) fn judge(&mut self, now: Now) {
        let mut left = MOST_JUDGED;
        // Introducing an instance may bring back what was kept, and with it another verdict.
        for _ in 0..3 {
            let whole = self.judge_changes(now);
            // Where the last round stopped, so that each gets its turn.
            let next = whole.partition_point(|id| *id <= self.judged_last);
            for &id in whole.iter().cycle().skip(next).take(whole.len()) {
                if left == 0 {
                    self.uncertain.insert(id);
                } else {
                    left = left.saturating_sub(self.evaluate(id, now));
                    self.judged_last = id;
                }
            }
            for (id, subject, cause) in std::mem::take(&mut self.again) {
                self.dirty(id, Touched::Subject(subject), cause);
            }
            if self.is_settled() || left == 0 {
                break;
            }
        }
    }

    /// Judges what changed, and returns the rules of which everything is to be judged.
    fn judge_changes(&mut self, now: Now) -> Vec<RuleId> {
        let mut whole = Vec::new();
        for id in std::mem::take(&mut self.uncertain) {
            let later = self.rules.get_mut(&id).and_then(Rule::put_off);
            let all = |engine: &Self| engine.rules.get(&id).is_some_and(|r| r.dirty.all.is_some());
            if !all(self) {
                self.evaluate(id, now);
            }
            if let Some((rule, cause)) = self.rules.get_mut(&id).zip(later) {
                rule.dirty.mark(Touched::All, cause);
            }
            if all(self) {
                whole.push(id);
            }
        }
        whole
    }

    /// Whether the last round has judged all there was to judge.
    pub fn is_settled(&self) -> bool {
        self.uncertain.is_empty()
    }

    /// Has the analyses work out what has changed.
    pub(super) fn settle(&mut self) {
        let (rules, uncertain) = (&mut self.rules, &mut self.uncertain);
        let rights_changed = &mut self.people.rights_changed;
        self.analyses
            .settle(&self.inventory, &mut |derived, subjects| {
                *rights_changed |= derived == Derived::Rights;
                for (id, rule) in rules.iter_mut() {
                    rule.affect(derived, &subjects);
                    if !rule.dirty.is_empty() {
                        uncertain.insert(*id);
                    }
                }
            });
        for lost in self.analyses.take_lost() {
            self.judge_all_of(lost);
        }
    }

    /// Has everything judged again that rests on an analysis.
    fn judge_all_of(&mut self, derived: Derived) {
        for (id, rule) in &mut self.rules {
            if rule.control.info().derives.contains(&derived) {
                rule.dirty.mark(Touched::All, Cause::Object);
                self.uncertain.insert(*id);
            }
        }
    }
}

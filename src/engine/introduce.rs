//! What a term says first of each control: its subjects, against what the log knew of them.

use std::sync::Arc;

use super::{Engine, Now, absorb::caused, record::Moves, rule::RuleId};
use crate::{
    controls::{Subject, Verdict},
    evidence::{
        body::{Body, Population},
        words::{Cause, End},
    },
    inventory::Sym,
    verdict::Outcome,
};

impl Engine {
    /// Says for the first time in this term what an instance found, against what was known.
    pub(super) fn introduce(&mut self, id: u32, now: Now) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        if !self.leading || !instance.filled || instance.introduced || instance.key.suspended {
            return;
        }
        instance.introduced = true;
        self.scopes_changed = true;
        let (names, control) = (instance.policies.clone(), instance.key.control);
        let mut moves = Moves::default();
        for (subject, verdict) in self.members(id) {
            self.introduce_row(id, &names, &subject, &verdict, &mut moves);
        }
        for gone in self.memory.forget(&names, control) {
            moves.left.push(gone);
        }
        self.say_moves(id, moves);
        for name in &names {
            self.status_soon(name, now);
        }
    }

    /// The subjects of an instance, and what is said of each.
    pub(super) fn members(&self, id: u32) -> Vec<(Subject, Arc<Verdict>)> {
        let Some(instance) = self.instances.get(&id) else {
            return Vec::new();
        };
        let table = self.rules.get(&instance.rule).map(|rule| rule.table.iter());
        let members = table.into_iter().flatten();
        members
            .filter(|(subject, _)| instance.holds(subject))
            .map(|(subject, said)| (subject.clone(), Arc::clone(&said.verdict)))
            .collect()
    }

    /// One subject of an instance that is introduced.
    fn introduce_row(
        &mut self,
        id: u32,
        names: &[Sym],
        subject: &Subject,
        verdict: &Verdict,
        moves: &mut Moves,
    ) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let (rule, control) = (instance.rule, instance.key.control);
        let known = self.memory.row(names, control, subject);
        self.memory.taken(names, control, subject);
        let is_new = known.is_none();
        // What the log said last, though the policy was suspended since.
        let lapsed = known.as_ref().filter(|known| known.lapsed);
        let lapsed = lapsed.map(|known| known.outcome);
        let known = known.filter(|known| !known.lapsed);
        let row = instance.rows.get_mut(subject);
        let mut deviation = row.and_then(|row| {
            row.unseen &= known.is_none();
            // What can't be seen has not ended.
            if let (Outcome::Unknown, None, Some(known)) = (verdict.outcome, &row.deviation, &known)
            {
                row.deviation.clone_from(&known.deviation);
            }
            row.deviation.as_mut()
        });
        let before = known.as_ref().map(|known| known.outcome);
        let mut cause = deviation.as_ref().map_or(Cause::Policy, |open| open.cause);
        let closed = known.as_ref().and_then(|known| known.deviation.clone());
        if let (Some(open), Some(known)) = (&mut deviation, &known) {
            match &known.deviation {
                // It failed when we last looked, and has gone on failing as far as we know.
                Some(deviation) => **open = deviation.clone(),
                None if known.outcome == Outcome::Excepted => open.cause = Cause::Exception,
                // It passed when we last looked: it drifted while nobody did.
                None if known.outcome != Outcome::Fail => open.cause = Cause::Object,
                None => {}
            }
            cause = open.cause;
        }
        let open = deviation.map(|deviation| deviation.clone());
        self.recall_kept(rule, subject, cause);
        if is_new {
            moves.joined.push(self.subject_ref(subject));
        }
        if before.or(lapsed).unwrap_or(Outcome::Pass) != verdict.outcome {
            let ended =
                closed
                    .as_ref()
                    .filter(|_| open.is_none())
                    .map(|closed| match verdict.outcome {
                        Outcome::Excepted => End::Excepted,
                        _ if closed.mended => End::PutBack,
                        _ => End::FixedByOthers,
                    });
            let cause = if before.is_some() {
                caused(before, verdict.outcome, Cause::Object)
            } else {
                cause
            };
            let deviation = open.or(closed);
            self.say_transition(
                id,
                subject,
                before,
                verdict,
                cause,
                ended,
                deviation.as_ref(),
            );
        }
        self.say_kept(rule, subject);
        self.replan(id, subject);
    }

    /// Brings back what the log says was kept of a subject.
    fn recall_kept(&mut self, rule: RuleId, subject: &Subject, cause: Cause) {
        let Some(rule_of) = self.rules.get_mut(&rule) else {
            return;
        };
        let Some(said) = rule_of.table.get_mut(subject) else {
            return;
        };
        if said.kept.is_none()
            && let Some(kept) = self.memory.kept(rule_of.key.control, subject)
        {
            said.kept = Some(Arc::new(kept));
            // With what was kept there may be a remedy.
            self.again.push((rule, subject.clone(), cause));
        }
    }

    /// Says what an instance holds to a policy that joins it.
    pub(super) fn introduce_to(&mut self, id: u32, policy: &Sym) {
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let control = instance.key.control;
        let members = self.members(id);
        let population = Population {
            policies: vec![policy.clone()],
            control: control.into(),
            joined: members
                .iter()
                .map(|(subject, _)| self.subject_ref(subject))
                .collect(),
            left: Vec::new(),
        };
        for batch in population.batches() {
            self.say(Body::Population(batch));
        }
        for (subject, verdict) in members {
            let to = verdict.outcome;
            if to == Outcome::Pass {
                continue;
            }
            let row = self.instances.get(&id).and_then(|i| i.rows.get(&subject));
            let deviation = row.and_then(|row| row.deviation.clone());
            let said = self.transition(id, &subject, None, Some(to), &verdict, Cause::Policy);
            if let Some(mut said) = said {
                said.policies = vec![policy.clone()];
                said.opened = deviation.as_ref().map(|open| open.opened);
                said.deviation = deviation.map(|open| open.id);
                self.say_turn(id, said);
            }
        }
    }
}

//! From what a rule says to the tables of its instances: outcomes, deviations, counts.

use std::{sync::Arc, time::Duration};

use super::{
    Engine, Now,
    instance::{Deviation, Drift, Row, has_row},
    record::{Moves, deviation_id},
    rule::{Judged, RuleId, Sight, View, in_namespace},
};
use crate::{
    controls::{Subject, Verdict},
    evidence::words::{Cause, End},
    telemetry::spans,
    verdict::{Counts, Outcome},
};

impl Engine {
    /// Judges what is dirty in one rule and takes what that changed into its instances. Returns
    /// how many subjects it judged.
    pub(super) fn evaluate(&mut self, id: RuleId, now: Now) -> usize {
        self.update_sight(id, now);
        let Some(rule) = self.rules.get_mut(&id) else {
            return 0;
        };
        if rule.blind.is_some() {
            return 0;
        }
        let control = rule.key.control;
        self.close_gap(control, now);
        let Some(rule) = self.rules.get_mut(&id) else {
            return 0;
        };
        let view = View {
            inventory: &self.inventory,
            analyses: &self.analyses,
            observed: &self.observed,
            exceptions: &self.people.exceptions,
            now: now.wall,
        };
        let before = rule.sight();
        let span = spans::judge(control).entered();
        let (count, judged) = rule.judge_dirty(view);
        span.record("subjects", count).record("news", judged.len());
        drop(span);
        let (sight, fresh) = (rule.sight(), std::mem::take(&mut rule.fresh));
        let concerned = if judged.is_empty() && sight == before {
            fresh.clone()
        } else {
            rule.instances.clone()
        };
        for judged in judged.iter().filter(|judged| judged.news) {
            let verdict = judged.verdict.as_ref();
            let at = verdict.and_then(|verdict| verdict.recheck_at);
            self.timers.recheck(id, &judged.subject, at);
        }
        for instance in concerned {
            let judged = (!fresh.contains(&instance)).then_some(&*judged);
            self.take(instance, judged, &sight, now);
        }
        for judged in judged.iter().filter(|judged| judged.news) {
            self.say_kept(id, &judged.subject);
        }
        count
    }

    /// Takes what a rule said into one instance, or its whole table into one that is new.
    fn take(&mut self, id: u32, judged: Option<&[Judged]>, sight: &Sight, now: Now) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let before = instance.counts;
        instance.sight = sight.clone();
        if let Some(judged) = judged {
            let moves = self.absorb_all(id, judged, now);
            self.say_moves(id, moves);
        } else {
            instance.filled = true;
            self.fill(id, now);
        }
        self.refresh_counts(id, before, now);
    }

    /// Takes all that its rule says into an instance that is new.
    fn fill(&mut self, id: u32, now: Now) {
        let rule = self.instances.get(&id).map(|instance| instance.rule);
        let Some(rule) = rule.and_then(|rule| self.rules.get(&rule)) else {
            return;
        };
        let table = rule.table.iter();
        let all: Vec<Judged> = table
            .map(|(subject, said)| Judged {
                subject: subject.clone(),
                cause: Cause::Policy,
                before: None,
                verdict: Some(Arc::clone(&said.verdict)),
                news: true,
            })
            .collect();
        self.absorb_all(id, &all, now);
        if let Some(instance) = self.instances.get_mut(&id) {
            // Whoever is not among its subjects has nothing to inherit.
            instance.inherited.clear();
            instance.pack();
        }
        self.introduce(id, now);
    }

    fn absorb_all(&mut self, id: u32, judged: &[Judged], now: Now) -> Moves {
        let mut moves = Moves::default();
        for judged in judged {
            self.absorb(id, judged, &mut moves, now);
        }
        self.note_scopes(id, judged);
        moves
    }

    /// Notes which of the namespaces that were just judged an instance covers.
    fn note_scopes(&mut self, id: u32, judged: &[Judged]) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let Some(rule) = self.rules.get(&instance.rule) else {
            return;
        };
        // Neighbours in the table are neighbours in a namespace.
        let mut last = None;
        for Judged { subject, .. } in judged {
            let namespace = &subject.namespace;
            if last != Some(namespace) {
                let populated = in_namespace(&rule.table, namespace).next().is_some();
                instance.note_scope(&self.inventory, namespace, populated);
            }
            last = Some(namespace);
        }
    }

    /// Begins or ends an interval in which a rule can't be judged.
    fn update_sight(&mut self, id: RuleId, now: Now) {
        let Some(rule) = self.rules.get_mut(&id) else {
            return;
        };
        let blinded = rule.blinded_by(&self.inventory);
        let was = rule.blind.take();
        rule.blind = match (&blinded, &was) {
            (Some(why), Some((_, since))) => Some((why.clone(), *since)),
            (Some(why), None) => Some((why.clone(), now.wall)),
            (None, _) => None,
        };
        let settled = rule.settled;
        let said = match (was, blinded) {
            (None, Some(why)) if settled => Some(rule.gap(now.wall, None, why)),
            (None, Some(_)) => None,
            (Some(_), None) => {
                // Everything may have changed meanwhile; what failed then drifted then.
                rule.dirty.all = Some(if settled {
                    Cause::Object
                } else {
                    Cause::Policy
                });
                None
            }
            (Some((old, _)), Some(new)) if old != new => None,
            (Some(_), Some(_)) | (None, None) => return,
        };
        let (instances, sight) = (rule.instances.clone(), rule.sight());
        if let Some(said) = said {
            self.say(said);
        }
        for id in instances {
            let Some(instance) = self.instances.get_mut(&id) else {
                continue;
            };
            instance.sight = sight.clone();
            for name in instance.policies.clone() {
                self.status_soon(&name, now);
                self.out.changed.insert(name);
            }
        }
    }

    /// Takes one verdict into the table of one instance.
    fn absorb(&mut self, id: u32, judged: &Judged, moves: &mut Moves, now: Now) {
        let subject = &judged.subject;
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        if !judged.news {
            // What the verdict says is the same; who may act on it may not be.
            let fails = instance.rows.get(subject);
            if fails.is_some_and(|row| row.verdict.outcome == Outcome::Fail) {
                self.replan(id, subject);
            }
            return;
        }
        let before = judged.before.as_ref();
        let before = before.filter(|_| instance.holds(subject));
        match (&judged.verdict, before) {
            (Some(verdict), before) if instance.covers(&self.inventory, subject) => {
                self.absorb_verdict(id, judged, before, verdict, moves, now);
            }
            (Some(_), Some(before)) => {
                self.absorb_leave(id, subject, before, End::ScopeChanged, moves);
            }
            (None, Some(before)) => {
                self.absorb_leave(id, subject, before, End::SubjectGone, moves);
            }
            (_, None) => return,
        }
        self.replan(id, subject);
    }

    fn absorb_verdict(
        &mut self,
        id: u32,
        judged: &Judged,
        before: Option<&Arc<Verdict>>,
        verdict: &Arc<Verdict>,
        moves: &mut Moves,
        now: Now,
    ) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let subject = &judged.subject;
        let old = instance.rows.remove(subject);
        let inherited = instance.inherited.remove(subject);
        let outcome = verdict.outcome;
        let cause = caused(before.map(|verdict| verdict.outcome), outcome, judged.cause);
        let unchanged = before.is_some_and(|b| {
            let same = b.outcome == outcome && b.reason == verdict.reason;
            same && b.accepted == verdict.accepted
        });
        let before = before.map(|verdict| verdict.outcome);
        let unseen = match &old {
            Some(row) => row.unseen,
            None => before.is_none() && cause == Cause::Policy,
        };
        // It may have failed for as long as there was a policy: only now it is seen.
        let cause = match outcome {
            Outcome::Fail if unseen && before == Some(Outcome::Unknown) => Cause::Visibility,
            _ => cause,
        };
        let deviation = old.as_ref().and_then(|row| row.deviation.clone());
        let opens = outcome == Outcome::Fail && deviation.is_none();
        let next = match (outcome, &deviation) {
            (Outcome::Fail, Some(open)) => Some(open.clone()),
            (Outcome::Fail, None) => Some(Deviation {
                id: deviation_id(&instance.key, subject, now.wall),
                opened: now.wall,
                cause,
                mended: false,
                before: inherited.filter(|_| cause == Cause::Policy),
            }),
            // What can't be seen has not ended.
            (Outcome::Unknown, open) => open.clone(),
            _ => None,
        };
        let closes = deviation.is_some() && next.is_none();
        if let Some(before) = before {
            instance.counts.remove(before);
        }
        instance.counts.add(outcome);
        // A new subject is not a change of an old one: it didn't drift.
        let drifted =
            opens && before == Some(Outcome::Pass) && matches!(cause, Cause::Object | Cause::Time);
        if drifted && let Some(opened) = &next {
            instance.last_drift = Some(Drift {
                at: now.wall,
                deviation: opened.id.clone(),
                ended: None,
            });
        }
        let by_us = || {
            let mended = deviation.as_ref().is_some_and(|open| open.mended);
            mended || self.mending.is_ours(subject, instance.info.inputs())
        };
        let ended = closes.then(|| how_it_ended(outcome, cause, by_us));
        if let (Some(end), Some(deviation)) = (ended, &deviation) {
            instance.end_drift(deviation, end);
        }
        if has_row(outcome) {
            let same_outcome = old.as_ref().filter(|_| before == Some(outcome));
            let row = Row {
                since: old
                    .as_ref()
                    .filter(|_| unchanged)
                    .map_or(now.wall, |row| row.since),
                noticed: same_outcome.map_or(now.received, |row| row.noticed),
                standings: old.map(|row| row.standings).unwrap_or_default(),
                deviation: next.clone(),
                verdict: Arc::clone(verdict),
                unseen: unseen && outcome == Outcome::Unknown,
            };
            instance.rows.insert(subject.clone(), row);
        }
        if !instance.introduced {
            return;
        }
        if before.is_none() {
            moves.joined.push(self.subject_ref(subject));
        }
        if unchanged || (before.is_none() && outcome == Outcome::Pass) {
            return;
        }
        let open = next.or(deviation);
        self.say_transition(id, subject, before, verdict, cause, ended, open.as_ref());
        if drifted {
            self.measure_drift(id, now);
        }
        self.notice_transition(id, subject, before, verdict);
    }

    fn absorb_leave(
        &mut self,
        id: u32,
        subject: &Subject,
        before: &Verdict,
        end: End,
        moves: &mut Moves,
    ) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        instance.counts.remove(before.outcome);
        let deviation = instance.rows.remove(subject).and_then(|row| row.deviation);
        self.flights.settle(id, subject);
        if !instance.introduced {
            return;
        }
        let end = match &deviation {
            Some(deviation) if deviation.mended => End::PutBack,
            Some(_)
                if end == End::SubjectGone
                    && self.mending.is_ours(subject, instance.info.inputs()) =>
            {
                End::PutBack
            }
            _ => end,
        };
        if let Some(deviation) = &deviation {
            instance.end_drift(deviation, end);
        }
        moves.left.push(self.subject_ref(subject));
        if let Some(deviation) = deviation {
            self.say_end(id, subject, before, Cause::Object, end, deviation);
        }
    }

    fn refresh_counts(&mut self, id: u32, before: Counts, now: Now) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let outcome = instance.outcome();
        let outcome_changed = instance.last_outcome != Some(outcome);
        if outcome_changed {
            instance.last_outcome = Some(outcome);
            instance.outcome_since = now.wall;
        }
        let excepted = before.of(Outcome::Excepted) != instance.counts.of(Outcome::Excepted);
        let control = instance.key.control;
        let urgent = outcome_changed
            || excepted
            || before.of(Outcome::Fail) != instance.counts.of(Outcome::Fail)
            || before.of(Outcome::Unknown) != instance.counts.of(Outcome::Unknown);
        if before == instance.counts && !urgent {
            return;
        }
        let policies = instance.policies.clone();
        if excepted {
            self.excepted_changed(control, now);
        }
        for name in policies {
            if urgent {
                self.status_soon(&name, now);
            } else {
                self.status_by(&name, now.mono + Duration::from_mins(5));
            }
            self.out.changed.insert(name);
        }
    }
}

/// Why an outcome changed: whatever else changes at the same time, only an exception makes a
/// failure accepted, or no longer so.
pub(super) const fn caused(before: Option<Outcome>, after: Outcome, cause: Cause) -> Cause {
    match (before, after) {
        (Some(Outcome::Fail), Outcome::Excepted) | (Some(Outcome::Excepted), Outcome::Fail) => {
            Cause::Exception
        }
        _ => cause,
    }
}

fn how_it_ended(outcome: Outcome, cause: Cause, by_us: impl FnOnce() -> bool) -> End {
    match (outcome, cause) {
        (Outcome::Excepted, _) => End::Excepted,
        (_, Cause::Policy | Cause::Catalogue) => End::DefinitionChanged,
        _ if by_us() => End::PutBack,
        _ => End::FixedByOthers,
    }
}

//! From verdicts to evidence: transitions, deviations, joins and leaves.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Engine, Measure, Notice, NoticeKind, Now, digest,
    instance::{Deviation, Instance, Judged, Row, View},
    plan::Standing,
};
use crate::{
    controls::{Kept, Subject, Verdict},
    evidence::{
        body::{self, Body, Gap, Population, SubjectRef, Transition},
        words::{Cause, End},
    },
    inventory::{Inventory, Kind, Sym},
    verdict::{Outcome, Severity},
};

/// Label of a namespace that names its owner.
pub const OWNER_LABEL: &str = "probity.dev/owner";

/// Joins and leaves of one evaluation.
#[derive(Default)]
struct Moves {
    joined: Vec<SubjectRef>,
    left: Vec<SubjectRef>,
}

impl Engine {
    /// Judges what is dirty in one instance and records what that changed.
    pub(super) fn evaluate(&mut self, id: u32, now: Now) {
        self.update_blindness(id, now);
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        if instance.blind.is_some() || instance.dirty.is_empty() {
            return;
        }
        let first = !instance.settled;
        let view = View {
            inventory: &self.inventory,
            analyses: &self.analyses,
            observed: &self.observed,
            now: now.wall,
        };
        let judged = instance.evaluate(view);
        instance.settled = true;
        let before = (instance.counts, instance.outcome());
        let mut moves = Moves::default();
        for judged in judged {
            self.absorb(id, judged, &mut moves, now);
        }
        self.say_moves(id, moves);
        if first {
            self.introduce(id, now);
        }
        self.refresh_counts(id, before.0, now);
    }

    /// Begins or ends an interval in which an instance can't be judged.
    fn update_blindness(&mut self, id: u32, now: Now) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let blinded = instance.blinded_by(&self.inventory);
        let was = instance.blind.take();
        instance.blind = match (&blinded, &was) {
            (Some(why), Some((_, since))) => Some((why.clone(), *since)),
            (Some(why), None) => Some((why.clone(), now.wall)),
            (None, _) => None,
        };
        let control = instance.key.control;
        let (names, settled) = (instance.names(), instance.settled);
        match (was, blinded) {
            (None, Some(why)) if settled => self.say(Body::Gap(Gap {
                scope: control.to_owned(),
                from: now.wall,
                to: None,
                cause: why,
            })),
            (Some((why, from)), None) => {
                // Everything may have changed meanwhile; what failed then drifted then.
                instance.dirty.all = Some(if settled {
                    Cause::Object
                } else {
                    Cause::Policy
                });
                if settled {
                    self.say(Body::Gap(Gap {
                        scope: control.to_owned(),
                        from,
                        to: Some(now.wall),
                        cause: why,
                    }));
                }
            }
            _ => return,
        }
        for name in names {
            self.status_soon(&name, now);
        }
    }

    /// Takes one verdict into the table.
    fn absorb(&mut self, id: u32, judged: Judged, moves: &mut Moves, now: Now) {
        let Judged {
            subject,
            cause,
            verdict,
            left,
        } = judged;
        match verdict {
            Some(verdict) => self.absorb_verdict(id, &subject, cause, verdict, moves, now),
            None => self.absorb_leave(id, &subject, left.unwrap_or(End::SubjectGone), moves, now),
        }
        self.replan(id, &subject);
    }

    fn absorb_verdict(
        &mut self,
        id: u32,
        subject: &Subject,
        cause: Cause,
        verdict: Verdict,
        moves: &mut Moves,
        now: Now,
    ) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let old = instance.rows.remove(subject);
        self.timers.recheck(id, subject, verdict.recheck_at);
        let outcome = verdict.outcome;
        let before = old.as_ref().map(|row| row.verdict.outcome);
        let unchanged = old.as_ref().is_some_and(|row| {
            row.verdict.outcome == outcome && row.verdict.reason == verdict.reason
        });
        // A new subject is not a change of an old one: it didn't drift.
        let kept = keep(&verdict, old.as_ref());
        let newly_kept = kept != old.as_ref().and_then(|row| row.kept.clone());
        let deviation = old.as_ref().and_then(|row| row.deviation.clone());
        let opens = outcome == Outcome::Fail && deviation.is_none();
        let next = match (outcome, &deviation) {
            (Outcome::Fail, Some(open)) => Some(open.clone()),
            (Outcome::Fail, None) => Some(Deviation {
                id: deviation_id(&instance.key, subject, now.wall),
                opened: now.wall,
                cause,
                mended: false,
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
        let drifted = opens
            && before.is_some_and(|before| before == Outcome::Pass)
            && matches!(cause, Cause::Object | Cause::Time);
        if drifted {
            instance.last_drift = Some((now.wall, None));
        }
        let ended = closes.then(|| how_it_ended(outcome, cause, deviation.as_ref()));
        if let (Some(end), Some((_, how))) = (ended, &mut instance.last_drift) {
            *how = Some(end);
        }
        let row = Row {
            since: old
                .as_ref()
                .filter(|_| unchanged)
                .map_or(now.wall, |row| row.since),
            standing: old
                .as_ref()
                .map_or(Standing::Quiet, |row| row.standing.clone()),
            deviation: next.clone(),
            noticed: old
                .as_ref()
                .filter(|_| before == Some(outcome))
                .map_or(now.received, |row| row.noticed),
            kept,
            verdict,
        };
        instance.rows.insert(subject.clone(), row);
        if newly_kept {
            self.say_kept(id, subject);
        }
        if !self
            .instances
            .get(&id)
            .is_some_and(|instance| instance.introduced)
        {
            return;
        }
        if before.is_none() {
            moves.joined.push(self.subject_ref(subject));
        }
        if unchanged || (before.is_none() && outcome == Outcome::Pass) {
            return;
        }
        let open = next.or(deviation);
        self.say_transition(id, subject, before, cause, ended, open.as_ref());
        if drifted {
            self.measure_drift(id, now);
        }
        self.notice_transition(id, subject, before, outcome);
    }

    fn absorb_leave(&mut self, id: u32, subject: &Subject, end: End, moves: &mut Moves, now: Now) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let Some(row) = instance.rows.remove(subject) else {
            return;
        };
        instance.counts.remove(row.verdict.outcome);
        self.timers.recheck(id, subject, None);
        self.flights.settle(id, subject);
        let introduced = instance.introduced;
        if !introduced {
            return;
        }
        moves.left.push(self.subject_ref(subject));
        if let Some(deviation) = row.deviation {
            let end = if deviation.mended { End::PutBack } else { end };
            if let Some(instance) = self.instances.get_mut(&id)
                && let Some((_, how)) = &mut instance.last_drift
            {
                *how = Some(end);
            }
            let said = self.transition(
                id,
                subject,
                Some(row.verdict.outcome),
                None,
                &row.verdict,
                Cause::Object,
            );
            if let Some(mut said) = said {
                said.ended = Some(end);
                said.opened = Some(deviation.opened);
                said.deviation = Some(deviation.id);
                self.say(Body::Transition(said));
            }
        }
        let _ = now;
    }

    fn refresh_counts(&mut self, id: u32, before: crate::verdict::Counts, now: Now) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let outcome = instance.outcome();
        let outcome_changed = instance.last_outcome != Some(outcome);
        if outcome_changed {
            instance.last_outcome = Some(outcome);
            instance.outcome_since = now.wall;
        }
        let urgent = outcome_changed
            || before.of(Outcome::Fail) != instance.counts.of(Outcome::Fail)
            || before.of(Outcome::Unknown) != instance.counts.of(Outcome::Unknown);
        if before == instance.counts && !urgent {
            return;
        }
        for name in instance.names() {
            if urgent {
                self.status_soon(&name, now);
            } else {
                self.status_by(&name, now.mono + Duration::from_mins(5));
            }
            self.out.changed.insert(name);
        }
    }

    /// Says for the first time in this term what an instance found, against what was known.
    pub(super) fn introduce(&mut self, id: u32, now: Now) {
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        if !self.leading || !instance.settled || instance.introduced {
            return;
        }
        instance.introduced = true;
        let (names, control) = (instance.names(), instance.key.control);
        let subjects: Vec<Subject> = instance.rows.keys().cloned().collect();
        let mut moves = Moves::default();
        for subject in subjects {
            let known = self.memory.row(&names, control, &subject);
            self.memory.taken(&names, control, &subject);
            let Some(row) = self
                .instances
                .get_mut(&id)
                .and_then(|i| i.rows.get_mut(&subject))
            else {
                continue;
            };
            let outcome = row.verdict.outcome;
            let before = known.as_ref().map(|known| known.outcome);
            let mut cause = row
                .deviation
                .as_ref()
                .map_or(Cause::Policy, |open| open.cause);
            let closed = known.as_ref().and_then(|known| known.deviation.clone());
            if let (Some(open), Some(known)) = (&mut row.deviation, &known) {
                match &known.deviation {
                    // It failed when we last looked, and has gone on failing as far as we know.
                    Some(deviation) => *open = deviation.clone(),
                    // It passed when we last looked: it drifted while nobody did.
                    None => open.cause = Cause::Object,
                }
                cause = open.cause;
            }
            if let Some(kept) = self.memory.kept(&names, control, &subject)
                && row.kept.is_none()
            {
                row.kept = Some(kept);
                // With what was kept there may be a remedy.
                self.again.push((id, subject.clone(), cause));
            }
            let open = row.deviation.clone();
            if known.is_none() {
                moves.joined.push(self.subject_ref(&subject));
            }
            let same = before.unwrap_or(Outcome::Pass) == outcome;
            if !same {
                let ended = (closed.is_some() && open.is_none()).then(|| {
                    let mended = closed.as_ref().is_some_and(|closed| closed.mended);
                    if mended {
                        End::PutBack
                    } else {
                        End::FixedByOthers
                    }
                });
                let cause = if before.is_some() {
                    Cause::Object
                } else {
                    cause
                };
                self.say_transition(id, &subject, before, cause, ended, open.or(closed).as_ref());
            }
            self.say_kept(id, &subject);
            self.replan(id, &subject);
        }
        for gone in self.memory.forget(&names, control) {
            moves.left.push(gone);
        }
        self.say_moves(id, moves);
        let _ = now;
    }

    /// Says what an instance holds to a policy that joins it.
    pub(super) fn introduce_to(&mut self, id: u32, policy: &Sym) {
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let control = instance.key.control;
        let rows: Vec<_> = instance
            .rows
            .iter()
            .map(|(subject, row)| (subject.clone(), row.verdict.clone(), row.deviation.clone()))
            .collect();
        let population = Population {
            policies: vec![policy.clone()],
            control: control.into(),
            joined: rows
                .iter()
                .map(|(subject, ..)| self.subject_ref(subject))
                .collect(),
            left: Vec::new(),
        };
        for batch in population.batches() {
            self.say(Body::Population(batch));
        }
        for (subject, verdict, deviation) in rows {
            let to = verdict.outcome;
            if to == Outcome::Pass {
                continue;
            }
            let said = self.transition(id, &subject, None, Some(to), &verdict, Cause::Policy);
            if let Some(mut said) = said {
                said.policies = vec![policy.clone()];
                said.opened = deviation.as_ref().map(|open| open.opened);
                said.deviation = deviation.map(|open| open.id);
                self.say(Body::Transition(said));
            }
        }
    }

    fn say_moves(&mut self, id: u32, moves: Moves) {
        if moves.joined.is_empty() && moves.left.is_empty() {
            return;
        }
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let population = Population {
            policies: instance.names(),
            control: instance.key.control.into(),
            joined: moves.joined,
            left: moves.left,
        };
        for batch in population.batches() {
            self.say(Body::Population(batch));
        }
    }

    /// Records what a put-back would restore, where a policy enforces.
    pub(super) fn say_kept(&mut self, id: u32, subject: &Subject) {
        // A follower says nothing; it must not believe later that it had.
        if !self.leading {
            return;
        }
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let control = instance.key.control;
        if !instance
            .policies
            .iter()
            .any(|name| self.enforces(name, control))
        {
            return;
        }
        let Some(kept) = instance.rows.get(subject).and_then(|row| row.kept.as_ref()) else {
            return;
        };
        if !self.memory.remember_kept(control, subject, kept) {
            return;
        }
        let said = body::Kept {
            control: control.into(),
            subject: self.subject_ref(subject),
            field: "kept".to_owned(),
            value: super::memory::kept_value(kept).into(),
        };
        self.say(Body::Kept(said));
    }

    fn say_transition(
        &mut self,
        id: u32,
        subject: &Subject,
        from: Option<Outcome>,
        cause: Cause,
        ended: Option<End>,
        deviation: Option<&Deviation>,
    ) {
        let Some(row) = self.instances.get(&id).and_then(|i| i.rows.get(subject)) else {
            return;
        };
        let (verdict, to) = (row.verdict.clone(), row.verdict.outcome);
        let Some(mut said) = self.transition(id, subject, from, Some(to), &verdict, cause) else {
            return;
        };
        said.ended = ended;
        said.opened = deviation.map(|open| open.opened);
        said.deviation = deviation.map(|open| open.id.clone());
        self.say(Body::Transition(said));
    }

    fn transition(
        &self,
        id: u32,
        subject: &Subject,
        from: Option<Outcome>,
        to: Option<Outcome>,
        verdict: &Verdict,
        cause: Cause,
    ) -> Option<Transition> {
        let instance = self.instances.get(&id)?;
        let info = instance.control.info();
        Some(Transition {
            policies: instance.names(),
            control: info.id.into(),
            rule_version: info.rule_version,
            params_hash: instance.key.params_hash.to_string(),
            scope_hash: instance.key.scope_hash.to_string(),
            subject: self.subject_ref(subject),
            owner: self.owner(subject),
            from,
            to,
            strength: verdict.strength,
            reason: verdict.reason.into(),
            message: verdict.message.to_string(),
            severity: self.severity(instance),
            cause,
            ended: None,
            opened: None,
            deviation: None,
        })
    }

    /// The severity for which the strictest of the policies asks.
    pub(super) fn severity(&self, instance: &Instance) -> Severity {
        let asked = instance.policies.iter().filter_map(|name| {
            let control = self.policies.get(name)?.control(instance.key.control)?;
            Some(control.severity)
        });
        asked.max().unwrap_or(instance.control.info().severity)
    }

    /// The subject's owner, from its namespace's label.
    pub(super) fn owner(&self, subject: &Subject) -> Option<Sym> {
        let namespace = self
            .inventory
            .meta(Kind::Namespace, "", &subject.namespace)?;
        namespace
            .labels
            .get(&self.config.owner_label)
            .map(Into::into)
    }

    pub(super) fn subject_ref(&self, subject: &Subject) -> SubjectRef {
        subject_ref(&self.inventory, subject)
    }

    fn measure_drift(&mut self, id: u32, now: Now) {
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let control = instance.key.control;
        for policy in instance.names() {
            self.out.measures.push(Measure::Drift { policy, control });
        }
        self.out.measures.push(Measure::Detected(now.received));
    }

    fn notice_transition(
        &mut self,
        id: u32,
        subject: &Subject,
        before: Option<Outcome>,
        after: Outcome,
    ) {
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let Some(row) = instance.rows.get(subject) else {
            return;
        };
        let (kind, reason) = match (before, after) {
            (_, Outcome::Fail) => (NoticeKind::Warning, "ControlFailed"),
            (Some(Outcome::Fail), Outcome::Pass) => (NoticeKind::Normal, "ControlPassed"),
            (Some(_), Outcome::Unknown) => (NoticeKind::Warning, "ControlUnknown"),
            _ => return,
        };
        let note = if row.verdict.message.is_empty() {
            format!("{}: {}", instance.key.control, row.verdict.reason)
        } else {
            format!("{}: {}", instance.key.control, row.verdict.message)
        };
        self.out.notices.push(Notice {
            subject: Some(subject.clone()),
            policy: instance.policies.first().cloned(),
            kind,
            reason,
            action: "Judge",
            note,
        });
    }

    /// Ends all deviations of an instance for one policy that no longer uses it.
    pub(super) fn close_for(&mut self, id: u32, policy: &Sym, end: End, now: Now) {
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        if !instance.introduced {
            return;
        }
        let open: Vec<(Subject, Deviation)> = instance
            .rows
            .iter()
            .filter_map(|(subject, row)| Some((subject.clone(), row.deviation.clone()?)))
            .collect();
        for (subject, deviation) in open {
            let Some(row) = self.instances.get(&id).and_then(|i| i.rows.get(&subject)) else {
                continue;
            };
            let (verdict, from) = (row.verdict.clone(), row.verdict.outcome);
            if let Some(mut said) =
                self.transition(id, &subject, Some(from), None, &verdict, Cause::Policy)
            {
                said.policies = vec![policy.clone()];
                said.ended = Some(end);
                said.opened = Some(deviation.opened);
                said.deviation = Some(deviation.id);
                self.say(Body::Transition(said));
            }
        }
        let _ = now;
    }
}

/// A subject as entries name it.
pub(super) fn subject_ref(inventory: &Inventory, subject: &Subject) -> SubjectRef {
    let namespace = subject.object_namespace();
    let meta = subject
        .object_kind()
        .and_then(|kind| inventory.meta(kind, namespace, &subject.name));
    SubjectRef {
        group: subject.group().into(),
        kind: subject.kind_name().into(),
        namespace: (!namespace.is_empty()).then(|| namespace.into()),
        name: subject.name.clone(),
        uid: meta.map_or_else(|| "".into(), |meta| meta.uid.to_string().into()),
    }
}

/// What is kept after a verdict: the newest passing value, else the last one.
fn keep(verdict: &Verdict, old: Option<&Row>) -> Option<Kept> {
    match verdict.outcome {
        Outcome::Pass => verdict.keep.as_deref().cloned(),
        _ => old.and_then(|row| row.kept.clone()),
    }
}

fn how_it_ended(outcome: Outcome, cause: Cause, deviation: Option<&Deviation>) -> End {
    match (outcome, cause) {
        (Outcome::Excepted, _) => End::Excepted,
        (_, Cause::Policy | Cause::Catalogue) => End::DefinitionChanged,
        _ if deviation.is_some_and(|deviation| deviation.mended) => End::PutBack,
        _ => End::FixedByOthers,
    }
}

fn deviation_id(key: &super::instance::Key, subject: &Subject, opened: Timestamp) -> String {
    let subject = subject.to_string();
    let whole = digest(&serde_json::json!([
        key.control,
        key.params_hash,
        key.scope_hash,
        subject,
        opened.to_string(),
    ]));
    whole.chars().take(16).collect()
}

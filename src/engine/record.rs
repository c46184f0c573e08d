//! What the log is told: transitions, the ends of deviations, joins and leaves.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{
    Engine, Measure, Notice, NoticeKind, Now,
    instance::{Deviation, Instance, Key},
    memory::Known,
    rule::RuleId,
};
use crate::{
    controls::{Subject, Verdict},
    evidence::{
        Record,
        body::{self, Accepted, Body, Population, SubjectRef, Transition},
        words::{Cause, End},
    },
    inventory::{Inventory, Kind, Sym},
    verdict::{Outcome, Severity},
};

/// Label of a namespace that names its owner.
pub const OWNER_LABEL: &str = "probity.dev/owner";

/// Joins and leaves of one evaluation.
#[derive(Default)]
pub(super) struct Moves {
    pub(super) joined: Vec<SubjectRef>,
    pub(super) left: Vec<SubjectRef>,
}

impl Engine {
    pub(super) fn say_moves(&mut self, id: u32, moves: Moves) {
        if moves.joined.is_empty() && moves.left.is_empty() {
            return;
        }
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let population = Population {
            policies: instance.policies.clone(),
            control: instance.key.control.into(),
            joined: moves.joined,
            left: moves.left,
        };
        for batch in population.batches() {
            self.say(Body::Population(batch));
        }
    }

    /// Records what a put-back would restore, where a policy enforces, and what was seen happen.
    pub(super) fn say_kept(&mut self, rule: RuleId, subject: &Subject) {
        // A follower says nothing; it must not believe later that it had.
        let Some(rule) = self.rules.get(&rule).filter(|_| self.leading) else {
            return;
        };
        let Some(kept) = rule.kept(subject) else {
            return;
        };
        let control = rule.key.control;
        let instances = rule.instances.iter();
        let enforced = instances
            .filter_map(|id| self.instances.get(id))
            .filter(|instance| instance.holds(subject))
            .flat_map(|instance| &instance.policies)
            .any(|name| self.enforces(name, control));
        // Of what is no object nothing can be put back: what is kept of it is what was seen, which is evidence in itself.
        let seen = subject.object_kind().is_none();
        if !(enforced || seen) || !self.memory.remember_kept(control, subject, kept) {
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

    /// Says that the deviation of a subject has ended because it is no subject any more.
    pub(super) fn say_end(
        &mut self,
        id: u32,
        subject: &Subject,
        verdict: &Verdict,
        cause: Cause,
        end: End,
        deviation: Deviation,
    ) {
        let from = Some(verdict.outcome);
        if let Some(mut said) = self.transition(id, subject, from, None, verdict, cause) {
            said.ended = Some(end);
            said.opened = Some(deviation.opened);
            said.deviation = Some(deviation.id);
            self.say_turn(id, said);
        }
    }

    /// Says that a failure ended with the suspension of a policy that nobody noticed when it began.
    pub(super) fn say_forgotten(&mut self, policy: &Sym, control: &str, known: Known) {
        let used = self.policies.get(policy).and_then(|p| p.control(control));
        let instance = used.and_then(|used| self.instances.get(&used.instance));
        let (Some(instance), Some(deviation)) = (instance, known.deviation) else {
            return;
        };
        let said = Transition {
            policies: vec![policy.clone()],
            control: instance.info.id.into(),
            rule_version: Some(instance.info.rule_version),
            params_hash: Some(instance.key.params_hash.to_string()),
            scope_hash: Some(instance.key.scope_hash.to_string()),
            subject: known.reference,
            owner: None,
            from: Some(known.outcome),
            to: None,
            strength: instance.info.strength,
            reason: "Suspended".into(),
            message: "the policy is suspended".to_owned(),
            severity: self.severity(instance),
            cause: Cause::Policy,
            ended: Some(End::PolicySuspended),
            opened: Some(deviation.opened),
            deviation: Some(deviation.id),
            accepted: None,
        };
        self.say(Body::Transition(said));
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "a transition has this many parts"
    )]
    pub(super) fn say_transition(
        &mut self,
        id: u32,
        subject: &Subject,
        from: Option<Outcome>,
        verdict: &Verdict,
        cause: Cause,
        ended: Option<End>,
        deviation: Option<&Deviation>,
    ) {
        let to = Some(verdict.outcome);
        let Some(mut said) = self.transition(id, subject, from, to, verdict, cause) else {
            return;
        };
        said.ended = ended;
        said.opened = deviation.map(|open| open.opened);
        said.deviation = deviation.map(|open| open.id.clone());
        self.say_turn(id, said);
    }

    /// Says a transition; its definition only if the log of this term doesn't hold it for these policies.
    pub(super) fn say_turn(&mut self, id: u32, mut said: Transition) {
        if self.leading
            && let Some(instance) = self.instances.get_mut(&id)
        {
            let unknown = |policy: &&Sym| !instance.defined.contains(policy);
            let unknown: Vec<Sym> = said.policies.iter().filter(unknown).cloned().collect();
            if unknown.is_empty() {
                (said.rule_version, said.params_hash, said.scope_hash) = (None, None, None);
            } else if said.to.is_some() {
                instance.defined.extend(unknown);
            }
        }
        self.say(Body::Transition(said));
    }

    pub(super) fn transition(
        &self,
        id: u32,
        subject: &Subject,
        from: Option<Outcome>,
        to: Option<Outcome>,
        verdict: &Verdict,
        cause: Cause,
    ) -> Option<Transition> {
        let instance = self.instances.get(&id)?;
        let info = instance.info;
        let accepted = verdict.accepted.as_deref();
        let accepted = accepted.filter(|_| to == Some(Outcome::Excepted));
        Some(Transition {
            policies: instance.policies.clone(),
            control: info.id.into(),
            rule_version: Some(info.rule_version),
            params_hash: Some(instance.key.params_hash.to_string()),
            scope_hash: Some(instance.key.scope_hash.to_string()),
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
            accepted: accepted.map(|found| Accepted {
                approved: found.approved,
                by: found.by.as_str().into(),
            }),
        })
    }

    /// The severity for which the strictest of the policies asks.
    pub(super) fn severity(&self, instance: &Instance) -> Severity {
        let asked = instance.policies.iter().filter_map(|name| {
            let control = self.policies.get(name)?.control(instance.key.control)?;
            Some(control.severity)
        });
        asked.max().unwrap_or(instance.info.severity)
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

    pub(super) fn measure_drift(&mut self, id: u32, now: Now) {
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let control = instance.key.control;
        let policies = instance.policies.iter().cloned();
        let drifts = policies.map(|policy| Measure::Drift { policy, control });
        self.out.measures.extend(drifts);
        self.out.measures.push(Measure::Detected {
            control,
            received: now.received,
        });
    }

    /// Tells people something of a policy as a whole.
    pub(super) fn notice_policy(
        &mut self,
        policy: &Sym,
        kind: NoticeKind,
        reason: &'static str,
        note: String,
    ) {
        self.out.notices.push(Notice {
            subject: None,
            policy: Some(policy.clone()),
            kind,
            reason,
            action: "Reconcile",
            note,
        });
    }

    pub(super) fn notice_transition(
        &mut self,
        id: u32,
        subject: &Subject,
        before: Option<Outcome>,
        verdict: &Verdict,
    ) {
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let (kind, reason) = match (before, verdict.outcome) {
            (_, Outcome::Fail) => (NoticeKind::Warning, "ControlFailed"),
            (Some(Outcome::Fail), Outcome::Pass) => (NoticeKind::Normal, "ControlPassed"),
            (Some(_), Outcome::Unknown) => (NoticeKind::Warning, "ControlUnknown"),
            (Some(Outcome::Fail), Outcome::Excepted) => (NoticeKind::Normal, "ControlExcepted"),
            _ => return,
        };
        let said = if verdict.message.is_empty() {
            verdict.reason
        } else {
            &verdict.message
        };
        let notice = Notice {
            subject: Some(subject.clone()),
            policy: instance.policies.first().cloned(),
            kind,
            reason,
            action: "Judge",
            note: format!("{}: {said}", instance.key.control),
        };
        self.out.notices.push(notice);
    }

    /// Ends all deviations and memberships of an instance for one policy that no longer uses it.
    pub(super) fn close_for(&mut self, id: u32, policy: &Sym, end: End) {
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        if !instance.introduced {
            return;
        }
        let control = instance.key.control.into();
        let open: Vec<(Subject, Deviation)> = instance
            .rows
            .iter()
            .filter_map(|(subject, row)| Some((subject.clone(), row.deviation.clone()?)))
            .collect();
        for (subject, deviation) in open {
            let Some(row) = self.instances.get(&id).and_then(|i| i.rows.get(&subject)) else {
                continue;
            };
            let from = Some(row.verdict.outcome);
            let said = self.transition(id, &subject, from, None, &row.verdict, Cause::Policy);
            if let Some(mut said) = said {
                said.policies = vec![policy.clone()];
                said.ended = Some(end);
                said.opened = Some(deviation.opened);
                said.deviation = Some(deviation.id);
                self.say_turn(id, said);
            }
        }
        let left = self.members(id);
        let population = Population {
            policies: vec![policy.clone()],
            control,
            joined: Vec::new(),
            left: left
                .iter()
                .map(|(subject, _)| self.subject_ref(subject))
                .collect(),
        };
        for batch in population.batches() {
            self.say(Body::Population(batch));
        }
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

/// What is said, as it is recorded at a time. A deviation that opens then needs no time of its own.
pub(super) fn at(time: Timestamp, mut body: Body) -> Record {
    if let Body::Transition(said) = &mut body
        && said.opened == Some(time)
    {
        said.opened = None;
    }
    Record { time, body }
}

/// What names a deviation for ever: what was judged, and when it began to fail.
pub(super) fn deviation_id(key: &Key, subject: &Subject, opened: Timestamp) -> String {
    let mut hash = Sha256::new();
    let Subject {
        namespace, name, ..
    } = subject;
    let of = [key.control, &key.params_hash, &key.scope_hash];
    for part in of.iter().chain(&[subject.kind_name(), namespace, name]) {
        hash.update(part);
        hash.update([0]); // no part has one
    }
    hash.update(opened.as_nanosecond().to_be_bytes());
    super::hex(&hash.finalize()[..8])
}

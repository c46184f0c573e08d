//! Carrying remedies out, step by step: archive, dry run, intent, write, outcome.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    Engine, Measure, Notice, NoticeKind, Now, digest,
    flights::{Action, ActionResult, Failure, FailureKind, Flight, Step},
    plan::{Hold, Standing},
};
use crate::{
    controls::{Remedy, Subject, Target},
    evidence::{
        body::{ActionOutcome, Body, Intent, SubjectRef},
        words::{self},
    },
    inventory::Sym,
};

/// How long the watch may take to show a write before the subject is planned anew.
const SETTLE: Duration = Duration::from_secs(10);

impl Engine {
    /// Begins to carry out the remedy of a row.
    pub(super) fn begin(&mut self, id: u32, subject: &Subject, policies: Vec<Sym>, now: Now) {
        let Some(row) = self.instances.get(&id).and_then(|i| i.rows.get(subject)) else {
            return;
        };
        let Some(remedy) = row.verdict.remedy.as_deref() else {
            return;
        };
        let remedy = Arc::new(remedy.clone());
        let target = remedy.target();
        let meta = self
            .inventory
            .meta(target.kind, &target.namespace, &target.name);
        let was_ours =
            matches!(&*remedy, Remedy::Create { owners: Some(owners), .. } if owners.ours);
        // The server has held this very object, or accepted this very content, before.
        let known = was_ours || self.flights.is_accepted(&content_digest(&remedy));
        let step = match &*remedy {
            Remedy::Delete { .. } => Step::Archive,
            // Whether it would help depends on what else there is now.
            Remedy::Start { .. } => Step::DryRun,
            _ if known => Step::Write,
            _ => Step::DryRun,
        };
        let flight = Flight {
            instance: id,
            subject: subject.clone(),
            policies,
            uid: meta.map(|meta| meta.uid),
            resource_version: meta.map(|meta| meta.rv),
            remedy,
            step,
            caused_at: now.received,
            noticed: row.noticed,
            archived: None,
            settling: false,
            reserved: now.mono,
        };
        self.reserve(&flight, now);
        let action = self.next_action_id(now);
        self.flights.start(action, flight);
        self.advance(action, step, now);
    }

    /// Sends a remedy on to its next step. A write gets a new id, that of its intent.
    fn advance(&mut self, id: u64, step: Step, now: Now) {
        let Some(flight) = self.flights.get(id) else {
            return;
        };
        let asked = if step == Step::Write {
            self.still_asked_for(flight, now).map(Some)
        } else {
            Ok(None)
        };
        let policies = match asked {
            Ok(policies) => policies,
            Err(hold) => return self.give_up(id, &hold, now),
        };
        // Answers to dry runs come in any order, and the log's intents are numbered in theirs.
        let id = if step == Step::Write {
            let intent = self.next_action_id(now);
            self.flights.renumber(id, intent);
            intent
        } else {
            id
        };
        let Some(flight) = self.flights.get_mut(id) else {
            return;
        };
        flight.step = step;
        if let Some(policies) = policies {
            flight.policies = policies;
        }
        let action = Action {
            id,
            step,
            remedy: Arc::clone(&flight.remedy),
            uid: flight.uid,
            resource_version: flight.resource_version,
            caused_at: flight.caused_at,
        };
        if step == Step::Write {
            self.intend(id);
        }
        self.out.actions.push(action);
    }

    /// Counts a write that is tried, so that no more are tried at once than may be written.
    fn reserve(&mut self, flight: &Flight, now: Now) {
        let Some(instance) = self.instances.get(&flight.instance) else {
            return;
        };
        let control = instance.key.control;
        for policy in &flight.policies {
            let budget = self.budgets.entry(policy.clone()).or_default();
            budget.spend(now.mono);
            let brake = self.brakes.entry((policy.clone(), control)).or_default();
            brake.reserve(&flight.subject, now.mono);
        }
    }

    /// Gives back what was reserved for a remedy that was not written after all.
    fn give_back(&mut self, flight: &Flight) {
        let control = self.instances.get(&flight.instance).map(|i| i.key.control);
        for policy in &flight.policies {
            if let Some(budget) = self.budgets.get_mut(policy) {
                budget.give_back(flight.reserved);
            }
            let brake = control.and_then(|c| self.brakes.get_mut(&(policy.clone(), c)));
            if let Some(brake) = brake {
                brake.give_back(&flight.subject, flight.reserved);
            }
        }
    }

    /// Records the intent of a write.
    fn intend(&mut self, id: u64) {
        let Some(flight) = self.flights.get_mut(id) else {
            return;
        };
        let (policies, subject) = (flight.policies.clone(), flight.subject.clone());
        let (remedy, archived) = (Arc::clone(&flight.remedy), flight.archived.take());
        let Some(instance) = self.instances.get_mut(&flight.instance) else {
            return;
        };
        let control = instance.key.control;
        let row = instance.rows.get_mut(&subject);
        if let Some(deviation) = row.and_then(|row| row.deviation.as_mut()) {
            // From here on the write may happen, whatever we hear of it. What it only starts may
            // fail, and somebody else's work be done first.
            deviation.mended = !matches!(*remedy, Remedy::Start { .. });
        }
        let target = self.target_ref(remedy.target());
        let after = match remedy.content() {
            Value::Null => None,
            content => Some(content.clone().into()),
        };
        self.say(Body::Intent(Intent {
            id,
            action: word(&remedy),
            policies,
            control: control.into(),
            content_hash: content_digest(&remedy),
            undo: Some(undo(&remedy, archived.is_some())),
            before: archived.map(Into::into),
            after,
            target,
        }));
    }

    pub(super) fn target_ref(&self, target: &Target) -> SubjectRef {
        let meta = self
            .inventory
            .meta(target.kind, &target.namespace, &target.name);
        let namespace = (!target.namespace.is_empty()).then(|| target.namespace.clone());
        SubjectRef {
            group: target.kind.info().group.into(),
            kind: target.kind.info().kind.into(),
            namespace,
            name: target.name.clone(),
            uid: meta.map_or_else(|| "".into(), |meta| meta.uid.to_string().into()),
        }
    }

    /// Takes in what became of a step.
    pub(super) fn action_result(&mut self, id: u64, result: ActionResult, now: Now) {
        if self.drills.awaits(id) {
            return self.drill_answered(id, result, now);
        }
        let Some(flight) = self.flights.get_mut(id) else {
            return;
        };
        match result {
            ActionResult::Archived(object) => {
                flight.archived = Some(archivable(object));
                let remedy = Arc::clone(&flight.remedy);
                let known = self.flights.is_accepted(&content_digest(&remedy));
                self.advance(id, if known { Step::Write } else { Step::DryRun }, now);
            }
            ActionResult::Accepted(object) => self.accepted(id, &object, now),
            ActionResult::Written(version) => self.written(id, version, now),
            ActionResult::Failed(failure) => self.failed(id, &failure, now),
        }
    }

    /// The server would accept the write: it is sent only if it turns the verdict.
    fn accepted(&mut self, id: u64, object: &Value, now: Now) {
        let Some(flight) = self.flights.get_mut(id) else {
            return;
        };
        let (instance, subject) = (flight.instance, flight.subject.clone());
        let remedy = Arc::clone(&flight.remedy);
        match self.would_help(instance, &subject, &remedy, object, now) {
            Ok(()) => {
                self.flights.accept(content_digest(&remedy));
                self.advance(id, Step::Write, now);
            }
            Err(why) => self.give_up(id, &Hold::Refused(why), now),
        }
    }

    fn written(&mut self, id: u64, version: Option<u64>, now: Now) {
        let Some(flight) = self.flights.get_mut(id) else {
            return;
        };
        flight.settling = true;
        let (instance, subject) = (flight.instance, flight.subject.clone());
        let (remedy, policies) = (Arc::clone(&flight.remedy), flight.policies.clone());
        let noticed = flight.noticed;
        self.flights.accept(content_digest(&remedy));
        self.flights.start_resting(&remedy, now.mono);
        if remedy.may_be_fought() {
            let field = (remedy.target().clone(), remedy.path());
            self.fights.wrote(field, now.mono);
        }
        self.timers.settle(now.mono + SETTLE, id);
        self.finish(id, words::ActionResult::Applied, "", version);
        let control = self.instances.get(&instance).map_or("", |i| i.key.control);
        for policy in &policies {
            if let Some(policy) = self.policies.get_mut(policy) {
                policy.written += 1;
            }
            self.out.measures.push(Measure::Remediation {
                policy: policy.clone(),
                control,
                result: "Applied",
            });
            self.status_soon(policy, now);
        }
        self.out.measures.push(Measure::Reverted {
            control,
            took: now.mono.saturating_sub(noticed),
        });
        self.notice_action(
            &subject,
            &policies,
            &remedy,
            control,
            NoticeKind::Normal,
            "Remediated",
            "",
        );
        // The watch may have been faster than the answer.
        self.replan(instance, &subject);
    }

    fn failed(&mut self, id: u64, failure: &Failure, now: Now) {
        let Some(flight) = self.flights.get_mut(id) else {
            return;
        };
        let (step, policies) = (flight.step, flight.policies.clone());
        let (instance, subject) = (flight.instance, flight.subject.clone());
        let message = failure.message.clone();
        let (result, hold) = match failure.kind {
            FailureKind::Superseded => (words::ActionResult::Superseded, None),
            FailureKind::Forbidden => (
                words::ActionResult::Rejected,
                Some(Hold::NotAllowed(message)),
            ),
            FailureKind::Rejected => (words::ActionResult::Rejected, Some(Hold::Refused(message))),
            FailureKind::Transient | FailureKind::Log => {
                (words::ActionResult::Failed, Some(Hold::Backoff(message)))
            }
            FailureKind::Ambiguous => (
                words::ActionResult::Unresolved,
                Some(Hold::Backoff(message)),
            ),
        };
        if step == Step::Write {
            self.finish(id, result, &failure.message, None);
            let row = self
                .instances
                .get_mut(&instance)
                .and_then(|i| i.rows.get_mut(&subject));
            if let Some(deviation) = row.and_then(|row| row.deviation.as_mut()) {
                deviation.mended &= failure.kind == FailureKind::Ambiguous;
            }
        }
        let control = self.instances.get(&instance).map_or("", |i| i.key.control);
        for policy in policies {
            let result = result.as_str();
            self.out.measures.push(Measure::Remediation {
                policy,
                control,
                result,
            });
        }
        if let Some(hold) = hold {
            self.give_up(id, &hold, now);
        } else {
            if let Some(flight) = self.flights.end(id)
                && step != Step::Write
            {
                self.give_back(&flight);
            }
            // The event that tells what changed is on its way; ask again if it is not.
            self.timers
                .replan(now.mono + Duration::from_secs(1), instance, &subject);
        }
    }

    /// Ends a remedy that can't be carried out now.
    fn give_up(&mut self, id: u64, hold: &Hold, now: Now) {
        let Some(flight) = self.flights.end(id) else {
            return;
        };
        if flight.step != Step::Write {
            self.give_back(&flight);
        }
        let again = self
            .flights
            .fail(flight.remedy.target(), hold.clone(), now.mono);
        self.timers.replan(again, flight.instance, &flight.subject);
        let Some(instance) = self.instances.get_mut(&flight.instance) else {
            return;
        };
        let control = instance.key.control;
        let Some(row) = instance.rows.get_mut(&flight.subject) else {
            return;
        };
        let mut news = false;
        for policy in &flight.policies {
            news |= row.stand(policy, Standing::Held(hold.clone()));
        }
        for policy in &flight.policies {
            self.status_soon(policy, now);
        }
        if news {
            let Flight {
                subject,
                policies,
                remedy,
                ..
            } = flight;
            let kind = NoticeKind::Warning;
            self.notice_action(
                &subject,
                &policies,
                &remedy,
                control,
                kind,
                "RemedyHeld",
                &hold.explain(),
            );
        }
    }

    pub(super) fn finish(
        &mut self,
        intent: u64,
        result: words::ActionResult,
        message: &str,
        version: Option<u64>,
    ) {
        self.say(Body::Outcome(ActionOutcome {
            intent,
            result,
            message: message.to_owned(),
            resource_version: version.map(|version| version.to_string()),
        }));
    }

    #[allow(clippy::too_many_arguments, reason = "one Event has this many parts")]
    pub(super) fn notice_action(
        &mut self,
        subject: &Subject,
        policies: &[Sym],
        remedy: &Remedy,
        control: &'static str,
        kind: NoticeKind,
        reason: &'static str,
        note: &str,
    ) {
        let target = remedy.target();
        let what = format!(
            "{} {} {}",
            remedy.as_str(),
            target.kind.info().kind,
            target.name
        );
        let note = if note.is_empty() {
            format!("{control}: {what}")
        } else {
            format!("{control}: {what}: {note}")
        };
        self.out.notices.push(Notice {
            subject: Some(subject.clone()),
            policy: policies.first().cloned(),
            kind,
            reason,
            action: remedy.as_str(),
            note,
        });
    }
}

/// What identifies a write: target and content.
fn content_digest(remedy: &Remedy) -> String {
    let target = remedy.target();
    let kind = target.kind.info();
    digest(&serde_json::json!([
        remedy.as_str(),
        kind.group,
        kind.kind,
        target.namespace,
        target.name,
        remedy.content(),
    ]))
}

const fn word(remedy: &Remedy) -> words::Action {
    match remedy {
        Remedy::Create { .. } | Remedy::Start { .. } => words::Action::Create,
        Remedy::PutBack { .. } => words::Action::PutBack,
        Remedy::Delete { .. } => words::Action::Delete,
        Remedy::Set { .. } => words::Action::Set,
    }
}

/// How a person undoes a remedy.
fn undo(remedy: &Remedy, archived: bool) -> String {
    let target = remedy.target();
    let info = target.kind.info();
    let resource = if info.group.is_empty() {
        info.plural.to_owned()
    } else {
        format!("{}.{}", info.plural, info.group)
    };
    let namespace = if target.namespace.is_empty() {
        String::new()
    } else {
        format!(" -n {}", target.namespace)
    };
    match remedy {
        Remedy::Create { .. } | Remedy::Start { .. } => {
            format!("kubectl delete {resource}{namespace} {}", target.name)
        }
        Remedy::Delete { .. } if archived => {
            format!("kubectl create{namespace} -f - <<<'the archived object (field before)'")
        }
        _ => format!("kubectl edit {resource}{namespace} {}", target.name),
    }
}

/// An object as it can be created again: without what the server adds.
fn archivable(mut object: Value) -> Value {
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["managedFields", "resourceVersion", "generation", "selfLink"] {
            meta.remove(field);
        }
        if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    object
}

//! Conditions of a policy, and what is told when one turns.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    Engine, NoticeKind,
    policies::{Policy, PolicyControl},
    status::{cut, whole_seconds},
};
use crate::{
    api::EnforcementStatus,
    verdict::{Counts, Outcome},
    words::{either, many},
};

impl Engine {
    pub(super) fn conditions(
        &self,
        policy: &Policy,
        outcomes: &Counts,
        enforcement: &EnforcementStatus,
        now: Timestamp,
    ) -> Vec<Condition> {
        let set = |kind, status: &str, reason: &str, message: String| {
            condition(policy, kind, status, reason, &message, now)
        };
        let ready = if policy.spec.suspend {
            set(
                "Ready",
                "False",
                "Suspended",
                "spec.suspend is true: nothing is written, and the time is a gap in the evidence"
                    .into(),
            )
        } else if policy.problems.is_empty() {
            match &self.log {
                Ok(()) => {
                    let note = policy.uncovered.clone().unwrap_or_default();
                    set("Ready", "True", "Watching", note)
                }
                Err(why) => set("Ready", "False", "EvidenceLogFailing", why.clone()),
            }
        } else {
            set("Ready", "False", "InvalidSpec", policy.problems.join("; "))
        };
        let (status, reason) = match outcomes.combined() {
            // None could be read, or the policy names none: nobody knows.
            _ if policy.controls.is_empty() => ("Unknown", "NothingJudged"),
            Outcome::Fail => ("False", "ControlsFailing"),
            Outcome::Unknown => ("Unknown", "ControlsUnknown"),
            Outcome::Pass | Outcome::Excepted => ("True", "ControlsPassing"),
            // Nothing contradicts it, so that a pipeline needs not wait for the first subject; but the reason has to say it.
            Outcome::NotApplicable => ("True", "NoSubjects"),
        };
        let controls = many(outcomes.total(), "control");
        let message = match reason {
            "NothingJudged" => "no control is judged".to_owned(),
            "NoSubjects" => format!("nothing to judge: {controls}, and no subject in the scope"),
            _ => format!(
                "{} failing, {} unknown of {controls}",
                outcomes.of(Outcome::Fail),
                outcomes.of(Outcome::Unknown),
            ),
        };
        let compliant = set("Compliant", status, reason, message);
        let (contended, note) = if enforcement.contended > 0 {
            ("True", policy.contended.clone().unwrap_or_default())
        } else {
            ("False", String::new())
        };
        let reason = if contended == "True" {
            "FieldsContended"
        } else {
            "NoContention"
        };
        vec![
            ready,
            compliant,
            self.enforcing_condition(policy, now),
            set("Contended", contended, reason, note),
        ]
    }

    fn enforcing_condition(&self, policy: &Policy, now: Timestamp) -> Condition {
        let set = |status: &str, reason: &str, message: String| {
            condition(policy, "Enforcing", status, reason, &message, now)
        };
        let latched: Vec<&str> = self
            .brakes
            .iter()
            .filter(|((name, _), brake)| {
                self.policies.get(name).is_some_and(|p| p.uid == policy.uid)
                    && brake.latched.is_some()
            })
            .map(|((_, control), _)| *control)
            .collect();
        let controls: Vec<&PolicyControl> = policy
            .controls
            .iter()
            .filter(|control| control.enforce_since.is_some())
            .collect();
        if policy.spec.suspend {
            set("False", "Suspended", String::new())
        } else if controls.is_empty() {
            set("False", "Observing", String::new())
        } else if let Err(why) = &self.log {
            set("False", "EvidenceLogFailing", why.clone())
        } else if latched.is_empty() {
            let over = policy.budget_said.is_some_and(|at| {
                at + Duration::from_mins(1) > self.heartbeat_at.saturating_sub(super::HEARTBEAT)
            });
            let reason = if over { "BudgetReached" } else { "Enforcing" };
            set(
                "True",
                reason,
                format!(
                    "{} {}",
                    many(controls.len(), "control"),
                    either(controls.len(), "enforces", "enforce")
                ),
            )
        } else {
            let message = format!(
                "brake latched for {}; change spec.limits.release",
                latched.join(", ")
            );
            set("True", "BrakeLatched", message)
        }
    }
}

/// What to tell of conditions that have turned.
pub(super) fn turned(
    old: &[Condition],
    new: &[Condition],
) -> Vec<(NoticeKind, &'static str, String)> {
    let mut turned = Vec::new();
    for condition in new {
        let before = old.iter().find(|old| old.type_ == condition.type_);
        if before.is_none_or(|before| before.status == condition.status) {
            continue;
        }
        // `Contended` is the one condition that is good when it is False.
        let good = (condition.status == "True") != (condition.type_ == "Contended");
        let kind = if good {
            NoticeKind::Normal
        } else {
            NoticeKind::Warning
        };
        let reason = match condition.type_.as_str() {
            "Ready" => "ReadyChanged",
            "Compliant" => "CompliantChanged",
            "Enforcing" => "EnforcingChanged",
            _ => "ContendedChanged",
        };
        let Condition {
            type_,
            status,
            reason: why,
            message,
            ..
        } = condition;
        turned.push((
            kind,
            reason,
            format!("{type_} is now {status} ({why}): {message}"),
        ));
    }
    turned
}

fn condition(
    policy: &Policy,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Condition {
    let mut old = policy.status.conditions.iter();
    let since = old
        .find(|old| old.type_ == kind && old.status == status)
        .map_or_else(
            || Time(whole_seconds(now)),
            |old| old.last_transition_time.clone(),
        );
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: cut(message),
        observed_generation: Some(policy.generation),
        last_transition_time: since,
    }
}

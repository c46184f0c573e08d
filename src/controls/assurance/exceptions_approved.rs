//! `assurance-exceptions-approved`

use crate::{
    api::{DecisionVerdict, Period},
    controls::prelude::*,
    engine::Emergency,
};

/// Somebody approves each exception that worked without approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionsApproved {
    /// How long after its creation an exception with `breakGlass` may wait for approval.
    #[serde(default = "three_days")]
    pub within: Period,
}

fn three_days() -> Period {
    Period::hours(72)
}

impl Default for ExceptionsApproved {
    fn default() -> Self {
        Self {
            within: three_days(),
        }
    }
}

impl ExceptionsApproved {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "assurance-exceptions-approved",
        field: "assuranceExceptionsApproved",
        title: "Each exception that worked without approval is approved soon",
        family: Family::Assurance,
        criteria: &["CC4.1", "CC8.1"],
        severity: Severity::High,
        strength: Strength::Attested,
        rule_version: 1,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::Exceptions],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Each ControlException and ClusterControlException with `breakGlass`, which works at \
               once and without approval for eight hours, is approved by somebody else than its \
               requester `within` 72 hours of its creation.",
        why: "Whoever may break the glass switches a control off for eight hours. That has to be \
              looked at by somebody else, and soon.",
        fix: "Nothing is written.",
        by_hand: "Look at the exception and at what happened while it worked, and approve it \
                  (`probity approve`). One that should not have been stays a deviation until it \
                  is deleted; the log keeps it.",
        prevention: "ValidatingAdmissionPolicies of the chart keep requesters from approving what \
                     they asked for; that somebody approves in time nothing can enforce.",
        limits: "An exception that is deleted before its time is over is no subject any more. That \
                 it was there, whom it covered and that nobody approved it stands in the evidence \
                 log.",
    };

    fn judge_one(&self, emergency: &Emergency, now: Timestamp) -> Verdict {
        let within = jiff::SignedDuration::try_from(self.within.duration()).unwrap_or_default();
        let until = emergency
            .created
            .saturating_add(within)
            .unwrap_or(Timestamp::MAX);
        let attested = Strength::Attested;
        match &emergency.decision {
            Some(decision) if decision.by == emergency.by => {
                let message = format!("{} decided about their own request", decision.by);
                Verdict::fail(attested, "OwnApproval", message)
            }
            Some(decision) if decision.verdict == DecisionVerdict::Rejected => {
                let message = format!("it worked without approval, and {} refused it", decision.by);
                Verdict::fail(attested, "BreakGlassRefused", message)
            }
            Some(decision) => {
                let message = format!("approved by {}", decision.by);
                Verdict::pass(attested, "Approved", message)
            }
            None if now < until => {
                let message = format!(
                    "asked for by {}, to be approved until {until}",
                    emergency.by
                );
                Verdict::pass(attested, "ApprovalNotDue", message).recheck(until)
            }
            None => {
                let message = format!(
                    "asked for by {}, and not approved until {until}",
                    emergency.by
                );
                Verdict::fail(attested, "BreakGlassUnapproved", message)
            }
        }
    }
}

impl Control for ExceptionsApproved {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let emergencies = context.observed.people.emergencies.iter().flatten();
        for one in emergencies.filter(|one| namespace.is_none_or(|of| *one.namespace == *of)) {
            found(Subject {
                namespace: one.namespace.clone(),
                kind: SubjectKind::People(one.kind),
                name: one.name.clone(),
            });
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let mut emergencies = context.observed.people.emergencies.iter().flatten();
        let one = emergencies.find(|one| {
            subject.kind == SubjectKind::People(one.kind)
                && one.namespace == subject.namespace
                && one.name == subject.name
        })?;
        Some(self.judge_one(one, context.now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{Decision, PeopleKind},
        controls::testing::World,
    };

    fn verdict(decision: Option<(DecisionVerdict, &str)>, hours: i64) -> Verdict {
        let mut world = World::new();
        world.observed.people.emergencies = Some(vec![Emergency {
            kind: PeopleKind::Exception,
            namespace: "shop".into(),
            name: "emergency".into(),
            created: world.now - jiff::SignedDuration::from_hours(hours),
            by: "alice".to_owned(),
            decision: decision.map(|(verdict, by)| Decision {
                verdict,
                by: by.to_owned(),
                generation: 1,
                comment: None,
            }),
        }]);
        world.only(&ExceptionsApproved::default())
    }

    #[test]
    fn what_worked_without_approval_is_approved_by_somebody_else_in_time() {
        use DecisionVerdict::{Approved, Rejected};
        let waiting = verdict(None, 71);
        assert_eq!(
            (waiting.outcome, waiting.reason),
            (Outcome::Pass, "ApprovalNotDue")
        );
        assert_eq!(
            waiting.recheck_at,
            Some("2026-06-01T13:00:00Z".parse().unwrap())
        );
        for (decision, hours, wanted) in [
            (None, 72, "BreakGlassUnapproved"),
            (Some((Approved, "bob")), 100, "Approved"),
            (Some((Approved, "alice")), 1, "OwnApproval"),
            (Some((Rejected, "bob")), 1, "BreakGlassRefused"),
        ] {
            let verdict = verdict(decision, hours);
            let passes = verdict.outcome == Outcome::Pass;
            assert_eq!((verdict.reason, passes), (wanted, wanted == "Approved"));
        }
    }
}

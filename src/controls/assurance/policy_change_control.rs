//! `assurance-policy-change-control`

use crate::{
    controls::prelude::*,
    engine::{Approval, Changed},
};

/// The reason for which nobody can tell yet: the operator has not looked.
pub(crate) const NOT_LOGGED: &str = "NotLogged";

/// Each change of what is judged has an author, an approver and a reason.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyChangeControl {
    /// Which changes of policies have to be approved.
    #[serde(default)]
    pub policies: WhichChanges,
}

/// Which changes of policies have to be approved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhichChanges {
    /// Those of policies that enforce, or did before the change.
    #[default]
    Enforcing,
    /// All of them.
    All,
}

impl PolicyChangeControl {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "assurance-policy-change-control",
        field: "assurancePolicyChangeControl",
        title: "Each change of what is judged has an author, another approver, and a reason",
        family: Family::Assurance,
        criteria: &["CC2.1", "CC8.1"],
        severity: Severity::High,
        strength: Strength::Attested,
        rule_version: 1,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::Changes],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "The evidence log has the last change of each ControlPolicy, ControlException, \
               ClusterControlException and Attestation, with the hash of what it was and of what it \
               is. An exception or attestation that counts was approved by somebody else than who \
               asked for it. A change of a policy that enforces, or did before, names in \
               `spec.change` who approved it (somebody else than its author) and the ticket, and \
               these are not those of the change before.",
        why: "Whoever may quietly change a parameter decides what passes. An auditor asks of each \
              change of a control who made it, who approved it and why.",
        fix: "Nothing is written.",
        by_hand: "Write who approved the change, and its ticket, into `spec.change` of the policy: \
                  that is a change, too, and ends the deviation. An exception that its requester \
                  has approved is to be deleted, and asked for anew.",
        prevention: "The chart's ValidatingAdmissionPolicies (`decisions.enabled`) keep requesters \
                     from approving what they asked for. Keep policies in Git, behind a review.",
        limits: "The author of a policy is the field manager that wrote last, which is what a client \
                 calls itself and no authenticated identity; `approvedBy` is what the author says. \
                 Behind Git, its history has both. Of several changes between two looks the last \
                 one is judged. What is deleted is no subject any more; the log has that it was. A \
                 replica that does not lead has no entries, and says Unknown.",
    };

    fn judge_one(&self, change: &Changed) -> Verdict {
        let attested = Strength::Attested;
        if !change.logged {
            return Verdict::unknown(NOT_LOGGED, "the log does not have its last change");
        }
        let Changed {
            author,
            approval,
            reason,
            enforces,
            ..
        } = change;
        let is_due = *enforces || self.policies == WhichChanges::All;
        let who = author.as_deref().unwrap_or("somebody");
        let by = match approval {
            Approval::NoEffect(why) => return Verdict::not_applicable("WithoutEffect", *why),
            _ if !is_due => {
                let message = format!("{who} wrote it last; the log has what it was and is");
                return Verdict::pass(attested, "Logged", message);
            }
            Approval::Missing => {
                let message = format!("{who} wrote it last, and nobody approved that");
                return Verdict::fail(attested, "ChangeNotApproved", message);
            }
            Approval::Stale(by) => {
                let message =
                    format!("{who} wrote it last, and what {by} approved was the change before");
                return Verdict::fail(attested, "ApprovalOfAnotherChange", message);
            }
            Approval::By(by) => by,
        };
        if author.as_ref().is_some_and(|author| same(author, by)) {
            let message = format!("{by} approved their own change");
            return Verdict::fail(attested, "OwnApproval", message);
        }
        match reason.as_deref().map(str::trim) {
            None | Some("") => Verdict::fail(
                attested,
                "ChangeWithoutReason",
                format!("{who} wrote it last, {by} approved that, and no ticket says why"),
            ),
            Some(_) => Verdict::pass(
                attested,
                "ChangeApproved",
                format!("{who} wrote it last, and {by} approved that"),
            ),
        }
    }
}

/// Names of persons differ by more than case.
fn same(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

impl Control for PolicyChangeControl {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        match &context.observed.changes {
            Some(changes) => {
                let inside =
                    |of: &&Subject| namespace.is_none_or(|wanted| *of.namespace == *wanted);
                for of in changes.keys().filter(inside) {
                    found(of.clone());
                }
            }
            None if namespace.is_none_or(str::is_empty) => {
                found(Subject::named(SubjectKind::Cluster, "cluster"));
            }
            None => {}
        }
    }

    fn judge(&self, context: &Context<'_>, of: &Subject) -> Option<Verdict> {
        match &context.observed.changes {
            Some(changes) => Some(self.judge_one(changes.get(of)?)),
            None if of.kind == SubjectKind::Cluster => Some(Verdict::unknown(
                "NotRead",
                "what people ask for has not been read yet",
            )),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::testing::World;

    fn change(author: &str, approval: Approval, reason: &str) -> Changed {
        Changed {
            author: Some(author.to_owned()),
            approval,
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            enforces: true,
            logged: true,
        }
    }

    fn verdict(control: &PolicyChangeControl, change: Changed) -> (Outcome, &'static str) {
        let mut world = World::new();
        let of = Subject::named(SubjectKind::Policy, "soc2");
        world.observed.changes = Some([(of, change)].into());
        let verdict = world.only(control);
        (verdict.outcome, verdict.reason)
    }

    #[test]
    fn a_change_needs_another_approver_and_a_reason() {
        use Outcome::{Fail, NotApplicable, Pass};
        let by = |who: &str| Approval::By(who.to_owned());
        let stale = Approval::Stale("bob".to_owned());
        for (approval, reason, wanted) in [
            (by("bob"), "T-1", (Pass, "ChangeApproved")),
            (by("bob"), " ", (Fail, "ChangeWithoutReason")),
            (by("bob"), "", (Fail, "ChangeWithoutReason")),
            (by("Alice "), "T-1", (Fail, "OwnApproval")),
            (Approval::Missing, "T-1", (Fail, "ChangeNotApproved")),
            (stale, "T-1", (Fail, "ApprovalOfAnotherChange")),
            (
                Approval::NoEffect("it was refused"),
                "T-1",
                (NotApplicable, "WithoutEffect"),
            ),
        ] {
            let of = verdict(
                &PolicyChangeControl::default(),
                change("alice", approval, reason),
            );
            assert_eq!(of, wanted);
        }
    }

    #[test]
    fn policies_that_only_observe_need_approval_where_somebody_asks_for_it() {
        let quiet = Changed {
            enforces: false,
            ..change("alice", Approval::Missing, "")
        };
        let all = PolicyChangeControl {
            policies: WhichChanges::All,
        };
        let by_default = verdict(&PolicyChangeControl::default(), quiet.clone());
        assert_eq!(by_default, (Outcome::Pass, "Logged"));
        assert_eq!(verdict(&all, quiet), (Outcome::Fail, "ChangeNotApproved"));
    }

    #[test]
    fn what_is_not_in_the_log_is_unknown() {
        let lost = Changed {
            logged: false,
            ..change("alice", Approval::By("bob".to_owned()), "T-1")
        };
        let control = PolicyChangeControl::default();
        assert_eq!(verdict(&control, lost), (Outcome::Unknown, "NotLogged"));
        let unread = World::new().only(&control);
        assert_eq!(
            (unread.outcome, unread.reason),
            (Outcome::Unknown, "NotRead")
        );
    }
}

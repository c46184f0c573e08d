//! `assurance-permissions`

use crate::{
    controls::prelude::*,
    inventory::{Availability, Kind},
};

/// Probity may read all that its controls read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {}

impl Permissions {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "assurance-permissions",
        field: "assurancePermissions",
        title: "Probity may read all that its controls read",
        family: Family::Assurance,
        criteria: &["CC4.1", "CC7.2"],
        severity: Severity::High,
        strength: Strength::Operating,
        rule_version: 1,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::OwnRights],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "The API server lets Probity list and watch every kind that a control in force reads. \
               A right that is lost makes these controls `Unknown` at once, and is a deviation of \
               its own.",
        why: "Whoever takes a right from the tool that watches them blinds it. The controls say \
              that they are blind; this one says that somebody made them so.",
        fix: "Nothing is written.",
        by_hand: "Install the chart again: it grants what the controls declare. Find out who changed \
                  the ClusterRole or its binding; the audit log of the API server tells.",
        prevention: "Restrict who may write ClusterRoles and ClusterRoleBindings \
                     (rbac-no-escalate-bind-impersonate).",
        limits: "Rights to write are asked for when something is written; a remedy that is refused \
                 says so in the log. It is noticed when a watch is opened anew, after some minutes \
                 at most.",
    };
}

fn kinds(context: &Context<'_>) -> impl Iterator<Item = Kind> {
    let freshness = &context.inventory.freshness;
    let kinds = Kind::ALL.iter().copied();
    kinds.filter(move |kind| *freshness.of(*kind) != Availability::Unwatched)
}

/// The name of a kind's resource, as in `widgets.example.com`.
fn name(kind: Kind) -> String {
    let info = kind.info();
    if info.group.is_empty() {
        info.plural.to_owned()
    } else {
        format!("{}.{}", info.plural, info.group)
    }
}

impl Control for Permissions {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        if namespace.is_none() {
            for kind in kinds(context) {
                found(Subject::named(SubjectKind::Resource, name(kind)));
            }
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let kind = kinds(context).find(|kind| *name(*kind) == *subject.name)?;
        Some(match context.inventory.freshness.of(kind) {
            Availability::Forbidden(why) => {
                let message = format!("it may not be read: {why}");
                Verdict::fail(Strength::Operating, "RightLost", message)
            }
            Availability::Synced => Verdict::pass(
                Strength::Operating,
                "MayRead",
                "it may be listed and watched",
            ),
            Availability::Absent => {
                Verdict::not_applicable("NotServed", "the cluster doesn't serve it")
            }
            // A right that was lost is not back because nobody can ask.
            unseen => Verdict::unknown("NotAsked", unseen.explain(kind)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::controls::testing::World;

    #[test]
    fn a_right_that_is_lost_is_named_with_its_resource() {
        let mut world = World::new();
        let all = world.outcomes(&Permissions::default());
        assert!(
            all.values().all(|(outcome, _)| *outcome == Outcome::Pass),
            "{all:?}"
        );
        let lost = Availability::Forbidden("no list".to_owned());
        world
            .inventory
            .freshness
            .set(Kind::NetworkPolicy, lost, Duration::ZERO);
        let all = world.outcomes(&Permissions::default());
        let failing = all
            .iter()
            .filter(|(_, (outcome, _))| *outcome == Outcome::Fail);
        let failing: Vec<_> = failing
            .map(|(subject, (_, reason))| (&**subject, *reason))
            .collect();
        let [(subject, "RightLost")] = failing[..] else {
            panic!("{failing:?}")
        };
        assert!(
            subject.contains("networkpolicies.networking.k8s.io"),
            "{subject}"
        );
    }

    #[test]
    fn a_right_that_nobody_can_ask_for_is_unknown() {
        for (seen, outcome) in [
            (Availability::Stale, Outcome::Unknown),
            (Availability::Broken("gone".to_owned()), Outcome::Unknown),
            (Availability::Listing, Outcome::Unknown),
            (Availability::Absent, Outcome::NotApplicable),
        ] {
            let mut world = World::new();
            let freshness = &mut world.inventory.freshness;
            freshness.set(Kind::NetworkPolicy, seen, Duration::ZERO);
            let all = world.outcomes(&Permissions::default());
            let found = all
                .iter()
                .find(|(subject, _)| subject.contains("networkpolicies.networking.k8s.io"));
            assert_eq!(
                found.map(|(_, (outcome, _))| *outcome),
                Some(outcome),
                "{all:?}"
            );
        }
    }
}

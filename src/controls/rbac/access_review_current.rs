//! `rbac-access-review-current`

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::{
    analysis::{Derived, rights::listing::MOST_ROWS},
    api::{PeopleKind, Period},
    controls::prelude::*,
    engine::{Area, Reviewed},
};

/// Somebody reviews who may do what, regularly, and what was to be revoked is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessReviewCurrent {
    /// How often rights are reviewed.
    #[serde(default = "quarter")]
    pub cadence: Period,

    /// How long after that a review may be late.
    #[serde(default = "fortnight")]
    pub grace: Period,

    /// How long it may take until what is to be revoked is gone.
    #[serde(default = "week")]
    pub revoke_within: Period,
}

fn quarter() -> Period {
    Period::days(92)
}

fn fortnight() -> Period {
    Period::days(14)
}

fn week() -> Period {
    Period::days(7)
}

impl Default for AccessReviewCurrent {
    fn default() -> Self {
        Self {
            cadence: quarter(),
            grace: fortnight(),
            revoke_within: week(),
        }
    }
}

impl AccessReviewCurrent {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-access-review-current",
        field: "rbacAccessReviewCurrent",
        title: "Rights are reviewed every quarter, and what was to be revoked is gone",
        family: Family::Rbac,
        criteria: &["CC6.2", "CC6.3"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[Kind::Namespace, Kind::RoleBinding],
        subjects: &[Kind::Namespace],
        derives: &[Derived::Rights],
        observes: &[Observation::AccessReviews],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "For each namespace with RoleBindings, and for the ClusterRoleBindings, an \
               AccessReview was done whose listing Probity froze within `cadence` and `grace`: a \
               person decided about every row of it. Each AccessReview is done until it is \
               `due`, and every right that is to be revoked is gone `revokeWithin` after the \
               decision. Until then it is not applicable (`InGrace`): nothing is done yet.",
        why: "Rights are granted when they are needed, and nobody takes them back by himself. An \
              auditor asks for each quarter of the period.",
        fix: "Nothing is written. The proposal is the review that is missing.",
        by_hand: "Create an AccessReview for the namespace, for its owner, or for the cluster; \
                  `probity review NAME` shows the rows and writes the decisions. Then delete the \
                  bindings, or take the subjects out of them, that are to be revoked.",
        prevention: "ValidatingAdmissionPolicies of the chart have reviewers speak in their own \
                     name about the whole listing that was frozen, and once.",
        limits: "A listing holds what bindings give, with the rules of their roles at that time. \
                 Who is in a group is not visible: attest it (attest-idp-mfa-and-membership). A \
                 right that is granted after a listing was frozen belongs to the next one. What \
                 is younger than `cadence` and `grace` need not have been reviewed. A reviewer \
                 may revoke what is bound to their own name, but not keep it.",
    };

    fn cycle(&self) -> SignedDuration {
        span(&self.cadence).saturating_add(span(&self.grace))
    }

    /// Judges whether the bindings of a namespace, or of the cluster where it is empty, were
    /// reviewed.
    fn judge_area(&self, context: &Context<'_>, namespace: &Sym, since: Timestamp) -> Verdict {
        let Some(reviews) = &context.observed.people.reviews else {
            return Verdict::unknown("NotRead", "access reviews have not been read yet");
        };
        let done = complete(reviews, namespace);
        if let Some((at, by)) = &done {
            let until = after(*at, self.cycle());
            if context.now < until {
                let message =
                    format!("reviewed by {by} as it was at {at}; the next is due before {until}");
                return Verdict::pass(Strength::Attested, "Reviewed", message).recheck(until);
            }
        }
        let due = after(since, self.cycle());
        if done.is_none() && context.now < due {
            let message = format!("it is new; the first review is due before {due}");
            return Verdict::not_applicable("InGrace", message).recheck(due);
        }
        let (reason, message) = match done {
            Some((at, by)) => (
                "ReviewOverdue",
                format!("last reviewed by {by} as it was at {at}"),
            ),
            None => (
                "NotReviewed",
                "nobody has reviewed who may do what".to_owned(),
            ),
        };
        let area = if namespace.is_empty() {
            String::new()
        } else {
            format!(" with spec.namespace: {namespace}")
        };
        Verdict::fail(Strength::Attested, reason, message).propose(format!(
            "create an AccessReview{area}, and decide about its rows: probity review"
        ))
    }

    /// Judges whether a review was done in time, and what was to be revoked is gone.
    fn judge_review(&self, review: &Reviewed, now: Timestamp) -> Verdict {
        match &review.decided {
            Ok(decided) if decided.remaining == 0 => {
                let message = format!("decided by {}; nothing is left to be revoked", decided.by);
                Verdict::pass(Strength::Effective, "ReviewDone", message)
            }
            Ok(decided) => {
                let until = after(decided.at, span(&self.revoke_within));
                let message = format!(
                    "{} rights that {} wants revoked are still there; they have to be gone until \
                     {until}",
                    decided.remaining, decided.by
                );
                if now < until {
                    Verdict::not_applicable("InGrace", message).recheck(until)
                } else {
                    Verdict::fail(Strength::Effective, "RevokeNotApplied", message)
                }
            }
            Err(why) if now < review.due => {
                let message = format!("not due before {}: {why}", review.due);
                Verdict::not_applicable("InGrace", message).recheck(review.due)
            }
            Err(why) => {
                let message = format!("due since {}: {why}", review.due);
                let propose = format!("probity review {}", review.name);
                Verdict::fail(Strength::Attested, "ReviewOverdue", message).propose(propose)
            }
        }
    }
}

fn span(period: &Period) -> SignedDuration {
    SignedDuration::try_from(period.duration()).unwrap_or(SignedDuration::MAX)
}

fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

/// When a namespace (the cluster where it is empty) was last reviewed whole, and by whom: a
/// listing in parts is as old as its oldest part.
fn complete(reviews: &[Reviewed], namespace: &Sym) -> Option<(Timestamp, String)> {
    let mut parts: BTreeMap<&Area, BTreeMap<u32, (Timestamp, &str, usize)>> = BTreeMap::new();
    for review in reviews.iter().filter(|review| review.covers(namespace)) {
        // What was granted after the listing was frozen nobody has looked at, whenever it was decided.
        let (Ok(decided), Some((frozen, all))) = (&review.decided, review.frozen) else {
            continue;
        };
        let of = parts.entry(&review.area).or_default();
        let part = of.entry(review.part).or_insert((frozen, &decided.by, all));
        if part.0 < frozen {
            *part = (frozen, &decided.by, all);
        }
    }
    let whole = parts.into_values().filter_map(|of| {
        let newest = of.values().max_by_key(|part| part.0)?;
        let needed = newest.2.div_ceil(MOST_ROWS).max(1);
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        let all: Option<Vec<_>> = (1..=needed).map(|part| of.get(&part)).collect();
        all?.into_iter().min_by_key(|part| part.0).copied()
    });
    let newest = whole.max_by_key(|part| part.0)?;
    Some((newest.0, newest.1.to_owned()))
}

impl Control for AccessReviewCurrent {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.cadence.duration().is_zero() {
            return Err("cadence is zero: write how often rights are reviewed, such as 92d".into());
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        let namespace = match change.kind {
            Kind::Namespace => &change.name,
            _ => &change.namespace,
        };
        Touched::Subject(Subject::namespace(namespace))
    }

    fn affected(&self, _: Derived, _: &Subject) -> Touched {
        Touched::Nothing // what follows from rights for reviews is observed
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let inventory = context.inventory;
        subject::namespaces(inventory, namespace, &mut |subject| {
            if has_bindings(inventory, &subject.name) {
                found(subject);
            }
        });
        if namespace.is_none() {
            found(Subject::named(SubjectKind::Cluster, "cluster"));
            for review in context.observed.people.reviews.iter().flatten() {
                let kind = SubjectKind::People(PeopleKind::Review);
                found(Subject::named(kind, review.name.clone()));
            }
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let inventory = context.inventory;
        let born = |name: &str| {
            let meta = inventory.meta(Kind::Namespace, "", name);
            meta.map(Meta::created_at)
        };
        match subject.kind {
            SubjectKind::Object(Kind::Namespace) => {
                let since = born(&subject.name)?;
                let name = &subject.name;
                has_bindings(inventory, name).then(|| self.judge_area(context, name, since))
            }
            SubjectKind::Cluster => {
                let since = born("kube-system").unwrap_or(Timestamp::MIN);
                Some(self.judge_area(context, &"".into(), since))
            }
            _ => {
                let mut reviews = context.observed.people.reviews.iter().flatten();
                let review = reviews.find(|review| review.name == subject.name)?;
                Some(self.judge_review(review, context.now))
            }
        }
    }
}

fn has_bindings(inventory: &Inventory, namespace: &str) -> bool {
    let bindings = &inventory.tables.role_bindings;
    bindings.in_namespace(namespace).next().is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{controls::testing::World, engine::DecidedRows};

    fn day(n: i64) -> Timestamp {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        now + SignedDuration::from_hours(24 * n)
    }

    /// A review of `shop`, done so many days ago.
    fn done(name: &str, part: u32, all_rows: usize, days_ago: i64) -> Reviewed {
        Reviewed {
            name: name.into(),
            area: Area::Namespace("shop".into()),
            namespaces: ["shop".into()].into(),
            part,
            due: day(7),
            frozen: Some((day(-days_ago), all_rows)),
            decided: Ok(DecidedRows {
                by: "bob".to_owned(),
                at: day(-days_ago),
                remaining: 0,
            }),
        }
    }

    /// A cluster of 150 days with a binding in `shop`, which is as old.
    fn world(reviews: Vec<Reviewed>) -> World {
        let created = day(-150).to_string();
        let namespace =
            |name: &str| json!({ "metadata": { "name": name, "creationTimestamp": created } });
        let mut world = World::new()
            .with(Kind::Namespace, namespace("kube-system"))
            .with(Kind::Namespace, namespace("shop"))
            .namespace("empty")
            .with(
                Kind::RoleBinding,
                json!({
                    "metadata": { "name": "edit", "namespace": "shop" },
                    "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
                    "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice" }],
                }),
            );
        world.observed.people.reviews = Some(reviews);
        world
    }

    #[test]
    fn an_old_listing_that_is_decided_today_is_no_review_of_today() {
        let mut old = done("old", 1, 3, 0);
        old.frozen = Some((day(-110), 3));
        let name = "Namespace shop";
        assert_eq!(
            of(vec![old.clone()], name),
            (Outcome::Fail, "ReviewOverdue")
        );
        old.frozen = Some((day(-100), 3));
        assert_eq!(of(vec![old], name), (Outcome::Pass, "Reviewed"));
    }

    fn of(reviews: Vec<Reviewed>, subject: &str) -> (Outcome, &'static str) {
        let outcomes = world(reviews).outcomes(&AccessReviewCurrent::default());
        outcomes
            .get(subject)
            .copied()
            .unwrap_or_else(|| panic!("{outcomes:?}"))
    }

    #[test]
    fn each_namespace_with_bindings_and_the_cluster_are_reviewed_every_quarter() {
        let shop = "Namespace shop";
        assert_eq!(of(vec![], shop), (Outcome::Fail, "NotReviewed"));
        assert_eq!(
            of(vec![], "Cluster cluster"),
            (Outcome::Fail, "NotReviewed")
        );
        assert_eq!(
            of(vec![done("q1", 1, 3, 105)], shop),
            (Outcome::Pass, "Reviewed")
        );
        assert_eq!(
            of(vec![done("q1", 1, 3, 106)], shop),
            (Outcome::Fail, "ReviewOverdue")
        );
        let other = Reviewed {
            namespaces: ["pay".into()].into(),
            ..done("pay", 1, 1, 1)
        };
        assert_eq!(of(vec![other], shop), (Outcome::Fail, "NotReviewed"));
        let cluster = Reviewed {
            area: Area::Cluster,
            namespaces: [].into(),
            ..done("c", 1, 90, 1)
        };
        assert_eq!(
            of(vec![cluster.clone()], "Cluster cluster"),
            (Outcome::Pass, "Reviewed")
        );
        assert_eq!(of(vec![cluster], shop), (Outcome::Fail, "NotReviewed"));
        let all = world(vec![]).outcomes(&AccessReviewCurrent::default());
        assert!(!all.contains_key("Namespace empty"), "{all:?}");
    }

    #[test]
    fn a_listing_in_parts_is_reviewed_when_every_part_is() {
        let shop = "Namespace shop";
        let first = done("first", 1, 1001, 1);
        assert_eq!(
            of(vec![first.clone()], shop),
            (Outcome::Fail, "NotReviewed")
        );
        let second = done("second", 2, 1001, 50);
        let verdict = world(vec![first, second]).judge(&AccessReviewCurrent::default());
        let verdict = &verdict["Namespace shop"];
        assert_eq!(verdict.reason, "Reviewed");
        assert_eq!(
            verdict.recheck_at,
            Some(day(-50 + 106)),
            "as old as its oldest part"
        );
    }

    #[test]
    fn a_review_is_done_until_it_is_due_and_what_is_to_be_revoked_goes_soon() {
        let review = |due: i64, decided: Result<(i64, usize), &str>| Reviewed {
            due: day(due),
            decided: decided
                .map(|(days_ago, remaining)| DecidedRows {
                    by: "bob".to_owned(),
                    at: day(-days_ago),
                    remaining,
                })
                .map_err(str::to_owned),
            ..done("q2", 1, 3, 1)
        };
        for (review, wanted) in [
            (review(1, Err("open")), (Outcome::NotApplicable, "InGrace")),
            (review(0, Err("open")), (Outcome::Fail, "ReviewOverdue")),
            (review(0, Ok((30, 0))), (Outcome::Pass, "ReviewDone")),
            (review(0, Ok((6, 2))), (Outcome::NotApplicable, "InGrace")),
            (review(0, Ok((7, 2))), (Outcome::Fail, "RevokeNotApplied")),
        ] {
            assert_eq!(of(vec![review], "AccessReview q2"), wanted);
        }
    }

    #[test]
    fn what_is_new_need_not_have_been_reviewed_and_what_was_not_read_is_not_known() {
        let mut young = world(vec![]);
        young.now = day(-45);
        let outcomes = young.outcomes(&AccessReviewCurrent::default());
        assert_eq!(
            outcomes["Namespace shop"],
            (Outcome::NotApplicable, "InGrace")
        );
        let mut unread = world(vec![]);
        unread.observed.people.reviews = None;
        let outcomes = unread.outcomes(&AccessReviewCurrent::default());
        assert_eq!(outcomes["Namespace shop"].0, Outcome::Unknown);
    }
}

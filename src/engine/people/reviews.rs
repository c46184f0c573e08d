//! Access reviews: what is frozen, what was decided, and what is still to be revoked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    ObjectKey, Stand,
    exceptions::SYSTEM,
    said::{Area, Decided, Reviewed},
    steps::nothing,
};
use crate::{
    analysis::{
        Derived,
        rights::{
            Rights,
            listing::{Row, part_of},
        },
    },
    api::{AccessReview, ObservedReview, PeopleKind, PeopleObject, ReviewPhase, RowDecision},
    engine::{Engine, Now, digest},
    evidence::{Body, body::ObjectChange, words::Step},
    inventory::{Inventory, Kind, Sym},
    words::{either, many},
};

/// The listing of a review.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frozen {
    pub(super) at: Timestamp,
    pub(super) sha256: String,
    /// Rows of this part, and of all.
    pub(super) rows: usize,
    pub(super) all_rows: usize,
    /// Who holds the right of each row, by id. Not known where it was frozen by another replica,
    /// whose log is elsewhere.
    pub(super) holders: Option<BTreeMap<String, String>>,
}

/// Where a review stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReviewState {
    pub(super) phase: ReviewPhase,
    pub(super) message: String,
    /// Rows that are to be revoked and are still there.
    pub(super) remaining: usize,
}

/// What a review is about.
pub(super) fn area(object: &AccessReview) -> Area {
    match (&object.spec.namespace, &object.spec.owner) {
        (Some(namespace), _) => Area::Namespace(namespace.as_str().into()),
        (None, Some(owner)) => Area::Owner(owner.as_str().into()),
        (None, None) => Area::Cluster,
    }
}

/// What its status says was frozen.
pub(super) fn frozen_before(object: &AccessReview) -> Option<Frozen> {
    let observed = object.status.as_ref()?.observed.as_ref()?;
    Some(Frozen {
        at: observed.frozen_at.as_ref()?.0,
        sha256: observed.sha256.clone()?,
        rows: usize::try_from(observed.rows).ok()?,
        all_rows: usize::try_from(observed.all_rows).ok()?,
        holders: None,
    })
}

/// Where a review stands, with those of its rows that are still there as `present`.
pub(super) fn state(
    object: &AccessReview,
    frozen: Option<&Frozen>,
    present: &BTreeSet<String>,
) -> ReviewState {
    let state = |phase, remaining, message: String| ReviewState {
        phase,
        message,
        remaining,
    };
    let Some(frozen) = frozen else {
        let message = "the listing is frozen when a policy with rbacAccessReviewCurrent has been \
                       read";
        return state(ReviewPhase::Pending, 0, message.to_owned());
    };
    if frozen.rows == 0 && frozen.all_rows > 0 {
        let message = format!("there is no such part of {}", many(frozen.all_rows, "row"));
        return state(ReviewPhase::Invalid, 0, message);
    }
    let Some(review) = object
        .status
        .as_ref()
        .and_then(|status| status.review.as_ref())
    else {
        let message = format!(
            "somebody has to decide about {} until {}: probity review",
            many(frozen.rows, "row"),
            object.spec.due.0
        );
        return state(ReviewPhase::Open, 0, message);
    };
    let observed = object.status.as_ref().and_then(|of| of.observed.as_ref());
    if let Some(wrong) = wrong(review, frozen, observed) {
        return state(ReviewPhase::Invalid, 0, wrong);
    }
    let revoked = review.rows.iter();
    let revoked = revoked.filter(|(_, decision)| **decision == RowDecision::Revoke);
    let (remaining, all) = revoked.fold((0, 0), |(left, all), (id, _)| {
        (left + usize::from(present.contains(id)), all + 1)
    });
    if remaining > 0 {
        let message = format!(
            "{remaining} of {} to be revoked {} still there",
            many(all, "right"),
            either(remaining, "is", "are")
        );
        return state(ReviewPhase::Decided, remaining, message);
    }
    let message = format!(
        "decided by {}; {} {} to be revoked, and {} gone",
        review.by,
        many(all, "right"),
        either(all, "was", "were"),
        either(all, "is", "are")
    );
    state(ReviewPhase::Done, 0, message)
}

/// Why decisions don't count, in a sentence. Admission refuses most of it; but it may not have
/// been there.
fn wrong(
    review: &crate::api::Review,
    frozen: &Frozen,
    observed: Option<&ObservedReview>,
) -> Option<String> {
    if review.by.starts_with(SYSTEM) {
        return Some(format!("{} is no person, and can't review", review.by));
    }
    if review.sha256 != frozen.sha256 {
        return Some("another listing was decided about than the one that is frozen".to_owned());
    }
    if review.rows.len() != frozen.rows {
        let (rows, decided) = (frozen.rows, review.rows.len());
        return Some(format!(
            "{} {} decided of {rows}: make another review",
            many(decided, "row"),
            either(decided, "is", "are")
        ));
    }
    let Some(holders) = &frozen.holders else {
        // The replica that froze it has compared them, and nobody but replicas writes what is observed.
        let compared = observed.is_some_and(|observed| {
            matches!(observed.phase, ReviewPhase::Decided | ReviewPhase::Done)
        });
        let why = "the rows that were decided about can't be compared with the listing, which is in \
                   the log of another replica: make another review";
        return (!compared).then(|| why.to_owned());
    };
    if let Some(unknown) = review.rows.keys().find(|id| !holders.contains_key(*id)) {
        return Some(format!("the listing has no row {unknown}"));
    }
    let own = format!("User {}", review.by);
    let kept = |id: &String| review.rows.get(id) == Some(&RowDecision::Keep);
    holders
        .iter()
        .find(|(id, who)| **who == own && kept(id))
        .map(|(id, _)| format!("{} kept a right of their own, row {id}", review.by))
}

/// What controls read of a review.
pub(super) fn said(
    (inventory, owner_label): (&Inventory, &str),
    name: &Sym,
    object: &AccessReview,
    frozen: Option<&Frozen>,
    state: &ReviewState,
    decided_at: Option<Timestamp>,
) -> Reviewed {
    let review = object
        .status
        .as_ref()
        .and_then(|status| status.review.as_ref());
    let counts = matches!(state.phase, ReviewPhase::Decided | ReviewPhase::Done);
    let decided = match (review, decided_at) {
        (Some(review), Some(at)) if counts => Ok(Decided {
            by: review.by.clone(),
            at,
            remaining: state.remaining,
        }),
        _ => Err(state.message.clone()),
    };
    let area = area(object);
    let namespaces = match &area {
        Area::Cluster => BTreeSet::new(),
        Area::Namespace(name) => BTreeSet::from([name.clone()]),
        Area::Owner(_) => {
            let all = inventory
                .tables
                .namespaces
                .iter()
                .map(|object| &object.meta.name);
            let ours = all.filter(|name| belongs(inventory, owner_label, &area, name));
            ours.cloned().collect()
        }
    };
    Reviewed {
        name: name.clone(),
        area,
        namespaces,
        part: object.spec.part,
        due: object.spec.due.0,
        frozen: frozen.map(|frozen| (frozen.at, frozen.all_rows)),
        decided,
    }
}

/// Whether bindings of a namespace (empty for the cluster's) belong to an area.
fn belongs(inventory: &Inventory, owner_label: &str, area: &Area, namespace: &Sym) -> bool {
    match area {
        Area::Cluster => namespace.is_empty(),
        Area::Namespace(name) => namespace == name,
        Area::Owner(owner) => {
            let meta = inventory.meta(Kind::Namespace, "", namespace);
            meta.is_some_and(|meta| meta.labels.get(owner_label) == Some(owner))
        }
    }
}

/// The rows of all parts of a review.
pub fn listed_in(
    rights: &Rights,
    inventory: &Inventory,
    owner_label: &str,
    object: &AccessReview,
) -> Vec<Row> {
    let area = area(object);
    rights.listing(inventory, &|namespace| {
        belongs(inventory, owner_label, &area, namespace)
    })
}

impl Engine {
    fn can_list_rights(&self) -> bool {
        self.analyses.has(Derived::Rights)
            && self.inventory.freshness.all_usable(Derived::Rights.reads())
            && self.inventory.freshness.of(Kind::Namespace).is_usable()
    }

    /// Freezes the listings of reviews that have none, and looks at what is to be revoked where
    /// rights have changed.
    pub(in crate::engine) fn follow_reviews(&mut self, now: Now) {
        let changed = std::mem::take(&mut self.people.rights_changed);
        if !self.can_list_rights() {
            self.people.rights_changed = changed;
            return;
        }
        let held = self.people.objects.iter();
        let reviews: Vec<(ObjectKey, ReviewPhase)> = held
            .filter_map(|(key, held)| match &held.stand {
                Some(Stand::Review(state)) => Some((key.clone(), state.phase)),
                _ => None,
            })
            .collect();
        for (key, phase) in reviews {
            match phase {
                ReviewPhase::Pending if self.leading => self.freeze(&key, now),
                ReviewPhase::Decided if changed => self.object_changed(&key, now),
                _ => {}
            }
        }
    }

    fn freeze(&mut self, key: &ObjectKey, now: Now) {
        let Some(held) = self.people.objects.get(key) else {
            return;
        };
        let PeopleObject::Review(object) = &held.object else {
            return;
        };
        let (uid, generation) = (held.facts.uid.clone(), held.facts.generation);
        let label = &self.config.owner_label;
        let all = listed_in(self.analyses.rights(), &self.inventory, label, object);
        let all_rows = all.len();
        let rows = part_of(all, object.spec.part);
        let content = serde_json::to_value(&rows).unwrap_or_default();
        let frozen = Frozen {
            at: now.wall,
            sha256: digest(&content),
            rows: rows.len(),
            all_rows,
            holders: Some(
                rows.iter()
                    .map(|row| (row.id.clone(), row.who.clone()))
                    .collect(),
            ),
        };
        self.say(Body::of_people(
            PeopleKind::Review,
            ObjectChange {
                uid: uid.as_str().into(),
                generation,
                step: Step::Frozen,
                decision: Some(content.into()),
                all_rows: Some(all_rows as u64),
                ..nothing(key)
            },
        ));
        if let Some(held) = self.people.objects.get_mut(key) {
            held.frozen = Some(frozen);
        }
        self.object_changed(key, now);
    }

    /// Judges anew where a review stands.
    pub(super) fn review_changed(&mut self, key: &ObjectKey, now: Now) {
        let present = self.still_present(key);
        let known = self.memory.people.frozen(key).cloned();
        let Some(held) = self.people.objects.get_mut(key) else {
            return;
        };
        let PeopleObject::Review(object) = &held.object else {
            return;
        };
        if held.frozen.is_none() {
            held.frozen = frozen_before(object).map(|frozen| Frozen {
                holders: known
                    .filter(|known| known.sha256 == frozen.sha256)
                    .map(|known| known.holders),
                ..frozen
            });
            let undecided = object.status.as_ref().is_none_or(|of| of.review.is_none());
            if undecided {
                // Rows that nobody can compare with the decisions would be decided about: they are listed anew.
                held.frozen = held.frozen.take().filter(|frozen| frozen.holders.is_some());
            }
        }
        let state = state(object, held.frozen.as_ref(), &present);
        let status = object.status.as_ref();
        let seen = status.and_then(|status| status.observed.as_ref()?.decided_at.as_ref());
        let decided = status.is_some_and(|status| status.review.is_some());
        let first = held
            .decided_at
            .or(seen.map(|time| time.0))
            .unwrap_or(now.wall);
        held.decided_at = decided.then_some(first);
        held.facts.ended = (state.phase == ReviewPhase::Done).then_some("Done");
        held.stand = Some(Stand::Review(state));
    }

    /// Those rows of a review's area that are there now; none while that can't be seen, nor while
    /// nothing is decided.
    fn still_present(&self, key: &ObjectKey) -> BTreeSet<String> {
        let held = self.people.objects.get(key);
        let Some(PeopleObject::Review(object)) = held.map(|held| &held.object) else {
            return BTreeSet::new();
        };
        let review = object
            .status
            .as_ref()
            .and_then(|status| status.review.as_ref());
        let Some(review) = review else {
            return BTreeSet::new();
        };
        if !self.can_list_rights() {
            // What can't be seen is not gone.
            return review.rows.keys().cloned().collect();
        }
        // Wherever it is: a right is not gone because a label says that its namespace is somebody else's now.
        self.analyses.rights().listed_ids(&|_| true)
    }
}

pub(super) fn holders(rows: &Value) -> BTreeMap<String, String> {
    let rows: Vec<Row> = serde_json::from_value(rows.clone()).unwrap_or_default();
    rows.into_iter().map(|row| (row.id, row.who)).collect()
}

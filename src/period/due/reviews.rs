//! When rights were last reviewed, area by area: a review is as old as the listing that was looked at.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::Due;
use crate::evidence::{
    SubjectRef,
    body::{Content, INVALID, Name, ObjectChange},
    words::Step,
};

/// Access reviews, as far as the log tells of them.
#[derive(Debug, Default, Clone)]
pub(in crate::period) struct Reviews {
    known: BTreeMap<Name, Review>,
    /// The last that was decided, by area and part. Its object may be gone since.
    decided: BTreeMap<Area, BTreeMap<u64, Listing>>,
}

/// Whose rights a review is about.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Area {
    #[default]
    Cluster,
    Namespace(String),
    Owner(String),
}

#[derive(Debug, Default, Clone)]
struct Review {
    area: Area,
    part: u64,
    due: Option<Timestamp>,
    listing: Option<Listing>,
    decided: bool,
}

#[derive(Debug, Clone)]
struct Listing {
    frozen: Timestamp,
    /// Namespaces of the bindings that it holds: which an owner has, the log tells in no other way.
    namespaces: BTreeSet<String>,
}

impl Reviews {
    /// Takes a step of a review.
    pub(in crate::period) fn take(&mut self, said: &ObjectChange, at: Timestamp) {
        if said.step == Step::Deleted {
            self.known.remove(&said.name);
            return;
        }
        let review = self.known.entry(said.name.clone()).or_default();
        if said.step == Step::Created {
            *review = Review::default();
        }
        if let Some(Content::Inline(spec)) = &said.spec {
            let text = |field: &str| spec.get(field).and_then(Value::as_str);
            review.area = match (text("namespace"), text("owner")) {
                (Some(namespace), _) => Area::Namespace(namespace.to_owned()),
                (None, Some(owner)) => Area::Owner(owner.to_owned()),
                (None, None) => Area::Cluster,
            };
            review.part = spec.get("part").and_then(Value::as_u64).unwrap_or(1);
            review.due = text("due").and_then(|due| due.parse().ok());
        }
        match said.step {
            Step::Frozen => {
                let namespaces = namespaces(said.decision.as_ref());
                review.listing = Some(Listing {
                    frozen: at,
                    namespaces,
                });
            }
            // It has to be decided again.
            Step::Decided if said.reason.as_deref() == Some(INVALID) => review.decided = false,
            Step::Decided | Step::Verified => {
                review.decided = true;
                if let Some(listing) = &review.listing {
                    let parts = self.decided.entry(review.area.clone()).or_default();
                    let last = parts.entry(review.part).or_insert_with(|| listing.clone());
                    if last.frozen < listing.frozen {
                        last.clone_from(listing);
                    }
                }
            }
            _ => {}
        }
    }

    /// How old the last review of a subject is: a namespace, or the cluster. One in parts is as old as its oldest part.
    pub(super) fn last(&self, subject: &SubjectRef) -> Option<Timestamp> {
        let of_namespace = &*subject.kind == "Namespace";
        let covering = self.decided.iter().filter(|(area, parts)| match area {
            Area::Cluster => !of_namespace,
            Area::Namespace(name) => of_namespace && **name == *subject.name,
            Area::Owner(_) => {
                of_namespace
                    && parts
                        .values()
                        .any(|listing| listing.namespaces.contains(&*subject.name))
            }
        });
        covering
            .filter_map(|(_, parts)| parts.values().map(|listing| listing.frozen).min())
            .max()
    }

    /// What is due of a review that nobody has decided.
    pub(super) fn open(&self, name: &str, until: Timestamp, end: Timestamp) -> Option<Due> {
        let review = self.known.get(name).filter(|review| !review.decided)?;
        let by = review.due.filter(|by| *by <= end)?;
        Some(Due {
            by,
            what: format!("decisions in AccessReview {name}"),
            last: None,
            overdue: by < until,
        })
    }
}

/// Namespaces of the bindings in a listing: each row names its binding as `RoleBinding shop/edit`.
fn namespaces(rows: Option<&Content>) -> BTreeSet<String> {
    let Some(Content::Inline(Value::Array(rows))) = rows else {
        return BTreeSet::new();
    };
    let bindings = rows.iter().filter_map(|row| row.get("binding")?.as_str());
    let places = bindings.filter_map(|binding| binding.split_once(' ')?.1.split_once('/'));
    places.map(|(namespace, _)| namespace.to_owned()).collect()
}

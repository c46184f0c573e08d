//! When rights were last reviewed, area by area: a review is as old as the listing that was looked at.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{Due, DueKind};
use crate::{
    analysis::rights::listing::MOST_ROWS,
    evidence::{
        SubjectRef,
        body::{Content, INVALID, Name, ObjectChange},
        words::Step,
    },
};

/// Access reviews, as far as the log tells of them.
#[derive(Debug, Default, Clone)]
pub(in crate::period) struct Reviews {
    known: BTreeMap<Name, Review>,
    /// What was decided, by area and part, and by name and uid of the review. Its object may be gone since.
    decided: BTreeMap<Area, BTreeMap<u64, Decided>>,
}

/// Listings of one part that were decided, by name and uid of the review.
type Decided = BTreeMap<(Name, Name), Listing>;

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
    /// Rows of this part.
    rows: usize,
    /// Rows of all parts, where the entry says so.
    all_rows: Option<u64>,
    /// Namespaces of the bindings that it holds: which an owner has, the log tells in no other way.
    namespaces: BTreeSet<String>,
}

impl Listing {
    /// How many parts the listing has of which this is one.
    fn parts(&self, part: u64) -> u64 {
        match self.all_rows {
            Some(rows) => rows.div_ceil(MOST_ROWS as u64).max(1),
            // Entries of earlier versions don't say it: one that is full is followed by another.
            None => part + u64::from(self.rows >= MOST_ROWS),
        }
    }
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
                let (rows, namespaces) = rows(said.decision.as_ref());
                review.listing = Some(Listing {
                    frozen: at,
                    rows,
                    all_rows: said.all_rows,
                    namespaces,
                });
            }
            Step::Decided | Step::Verified => {
                review.decided = said.reason.as_deref() != Some(INVALID);
                let parts = self.decided.entry(review.area.clone()).or_default();
                let part = parts.entry(review.part).or_default();
                let id = (said.name.clone(), said.uid.clone());
                match &review.listing {
                    Some(listing) if review.decided => drop(part.insert(id, listing.clone())),
                    // It has to be decided again.
                    _ => drop(part.remove(&id)),
                }
            }
            _ => {}
        }
    }

    /// How old the last review of a subject is: a namespace, or the cluster. One in parts is none before all are decided, and
    /// then as old as its oldest part.
    pub(super) fn last(&self, subject: &SubjectRef) -> Option<Timestamp> {
        let of_namespace = &*subject.kind == "Namespace";
        let ages = self.decided.iter().filter_map(|(area, parts)| {
            let newest = parts.iter().filter_map(|(part, reviews)| {
                let newest = reviews.values().max_by_key(|listing| listing.frozen)?;
                Some((*part, newest))
            });
            let newest: BTreeMap<u64, &Listing> = newest.collect();
            let covers = match area {
                Area::Cluster => !of_namespace,
                Area::Namespace(name) => of_namespace && **name == *subject.name,
                Area::Owner(_) => {
                    let mut listings = newest.values();
                    of_namespace
                        && listings.any(|listing| listing.namespaces.contains(&*subject.name))
                }
            };
            covers.then(|| whole(&newest)).flatten()
        });
        ages.max()
    }

    /// What is due of a review that nobody has decided.
    pub(super) fn open(&self, name: &str, until: Timestamp, end: Timestamp) -> Option<Due> {
        let review = self.known.get(name).filter(|review| !review.decided)?;
        let by = review.due.filter(|by| *by <= end)?;
        Some(Due {
            by,
            kind: DueKind::ReviewDecision,
            what: format!("decisions in AccessReview {name}"),
            last: None,
            overdue: by < until,
        })
    }
}

/// How old a listing is of which these are the parts that were decided last, if none is missing.
fn whole(parts: &BTreeMap<u64, &Listing>) -> Option<Timestamp> {
    let (part, newest) = parts.iter().max_by_key(|(_, listing)| listing.frozen)?;
    let mut oldest = newest.frozen;
    for part in 1..=newest.parts(*part) {
        oldest = oldest.min(parts.get(&part)?.frozen);
    }
    Some(oldest)
}

/// How many rows a listing has, and the namespaces of its bindings: each row names its binding as `RoleBinding shop/edit`.
fn rows(rows: Option<&Content>) -> (usize, BTreeSet<String>) {
    let Some(Content::Inline(Value::Array(rows))) = rows else {
        return (0, BTreeSet::new());
    };
    let bindings = rows.iter().filter_map(|row| row.get("binding")?.as_str());
    let places = bindings.filter_map(|binding| binding.split_once(' ')?.1.split_once('/'));
    let namespaces = places.map(|(namespace, _)| namespace.to_owned()).collect();
    (rows.len(), namespaces)
}

//! Which glasses were broken lately: whoever deletes an exception that worked without approval, and makes the like of it
//! again, must not thereby switch a control off for ever.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::exceptions::SYSTEM;
use crate::controls::registry;

/// Exceptions that asked to work without approval, by uid; also those that are gone.
#[derive(Debug, Default)]
pub(super) struct Glasses(BTreeMap<String, Glass>);

#[derive(Debug)]
struct Glass {
    at: Timestamp,
    control: String,
    /// The namespace that it is in, if any.
    namespace: Option<String>,
    /// Kind, namespace and name of what it covers; `None` where labels say what.
    named: Option<BTreeSet<(String, String, String)>>,
    approved: bool,
    /// Whether it ever was in force. The log does not say it: of what it tells, [`Glasses::settle`] works it out.
    worked: Option<bool>,
    /// Whether it could be in force, as far as its spec tells.
    usable: bool,
}

impl Glasses {
    /// Takes note of an exception; of one that can only be approved, nothing is. `worked` is what is known of it where it is
    /// new.
    pub(super) fn note(
        &mut self,
        uid: &str,
        at: Timestamp,
        namespace: &str,
        spec: &Value,
        worked: Option<bool>,
    ) {
        if spec["breakGlass"] != true {
            return;
        }
        let text =
            |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let subjects = spec["subjects"]
            .as_array()
            .filter(|_| spec["selector"].is_null());
        let named = subjects.map(|subjects| {
            let named = subjects.iter().map(|subject| {
                let kind = text(subject, "kind");
                // A namespace lies in none, also where its own team names it.
                let own = match (&*kind, namespace) {
                    ("Namespace", _) => String::new(),
                    (_, "") => text(subject, "namespace"),
                    (_, namespace) => namespace.to_owned(),
                };
                (kind, own, text(subject, "name"))
            });
            named.collect()
        });
        let glass = self.0.entry(uid.to_owned()).or_insert_with(|| Glass {
            at,
            control: String::new(),
            namespace: None,
            named: None,
            approved: false,
            worked,
            usable: true,
        });
        let known = registry::find(spec["control"].as_str().unwrap_or_default()).is_some();
        let by = spec["requestedBy"].as_str().unwrap_or_default();
        glass.usable = known && !by.starts_with(SYSTEM);
        glass.control = text(spec, "control");
        glass.namespace = (!namespace.is_empty()).then(|| namespace.to_owned());
        glass.named = named;
    }

    /// It is in force.
    pub(super) fn works(&mut self, uid: &str) {
        if let Some(glass) = self.0.get_mut(uid) {
            glass.worked = Some(true);
        }
    }

    /// Somebody approved it; whether that is news.
    pub(super) fn approved(&mut self, uid: &str) -> bool {
        let glass = self.0.get_mut(uid);
        glass.is_some_and(|glass| !std::mem::replace(&mut glass.approved, true))
    }

    /// When a glass was last broken for some of the same, less than `window` before this one, and nobody approved it. One
    /// that never was in force is none.
    pub(super) fn earlier(&self, uid: &str, window: SignedDuration) -> Option<Timestamp> {
        let own = self.0.get(uid)?;
        let others = self.0.iter().filter(|(other, glass)| {
            let before = (glass.at, &***other) < (own.at, uid);
            before && own.at.duration_since(glass.at) < window && !glass.approved
        });
        let worked = others.filter(|(_, glass)| glass.worked == Some(true));
        let same = worked.filter(|(_, glass)| glass.overlaps(own));
        same.map(|(_, glass)| glass.at).max()
    }

    /// Works out which of those that the log tells of were in force: that follows from those before them, so the oldest go
    /// first.
    pub(super) fn settle(&mut self, window: SignedDuration) {
        let told = self.0.iter().filter(|(_, glass)| glass.worked.is_none());
        let mut told: Vec<(Timestamp, String)> =
            told.map(|(uid, glass)| (glass.at, uid.clone())).collect();
        told.sort_unstable();
        for (_, uid) in told {
            let first = self.earlier(&uid, window).is_none();
            if let Some(glass) = self.0.get_mut(&uid) {
                glass.worked = Some(glass.usable && first);
            }
        }
    }

    /// Forgets what is too long ago to matter.
    pub(super) fn forget(&mut self, before: Timestamp) {
        self.0.retain(|_, glass| glass.at >= before);
    }
}

impl Glass {
    fn overlaps(&self, other: &Self) -> bool {
        if self.control != other.control {
            return false;
        }
        match (&self.named, &other.named) {
            (Some(ours), Some(theirs)) => !ours.is_disjoint(theirs),
            // What labels select may be anything in the same place.
            _ => match (&self.namespace, &other.namespace) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => true,
            },
        }
    }
}

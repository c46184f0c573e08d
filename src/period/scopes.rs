//! Which namespaces were out of scope, and when.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::people::Excluded;
use crate::evidence::body::{self, Name, Word};

/// The namespaces that one control left out.
#[derive(Debug, Default, Clone)]
pub(super) struct LeftOut {
    /// Since when, of those that are out now.
    now: BTreeMap<(Name, Word), Timestamp>,
    before: Vec<Excluded>,
}

impl LeftOut {
    /// Takes the list that holds from now on. What ended before the period is forgotten.
    pub(super) fn take(&mut self, list: &[body::Excluded], at: Timestamp, from: Timestamp) {
        let mut since = std::mem::take(&mut self.now);
        self.now = list
            .iter()
            .map(|out| {
                let key = (out.namespace.clone(), out.reason.clone());
                let began = since.remove(&key).unwrap_or(at);
                (key, began)
            })
            .collect();
        if at > from {
            self.before.extend(
                since
                    .into_iter()
                    .map(|(key, began)| ended(key, began, Some(at))),
            );
        }
    }

    /// All of them, in the order in which they ended, those that have not last.
    pub(super) fn all(self) -> Vec<Excluded> {
        let now = self.now.into_iter();
        let now = now.map(|(key, began)| ended(key, began, None));
        self.before.into_iter().chain(now).collect()
    }
}

fn ended((namespace, reason): (Name, Word), from: Timestamp, to: Option<Timestamp>) -> Excluded {
    Excluded {
        from,
        to,
        namespace,
        reason,
    }
}

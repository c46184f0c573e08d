//! Who may do what, row by row: what a person can look at and decide about.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Grant, Rights};
use crate::{
    controls::Subject,
    inventory::{Inventory, Sym, rbac::Rule},
};

/// Rows that one review can hold.
pub const MOST_ROWS: usize = 1000;
/// Rules that are spelled out in a row; of a role with more, the rest is counted.
const MOST_RULES: usize = 64;

/// One part of a listing, counted from 1.
pub fn part_of(rows: Vec<Row>, part: u32) -> Vec<Row> {
    let skipped = usize::try_from(part.saturating_sub(1)).unwrap_or(usize::MAX);
    let rows = rows.into_iter().skip(skipped.saturating_mul(MOST_ROWS));
    rows.take(MOST_ROWS).collect()
}

/// A right that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Names who, binding and role, and so the row, also after the role has changed.
    pub id: String,
    /// Who holds it.
    pub who: String,
    /// Through which binding.
    pub binding: String,
    /// Which role.
    pub role: String,
    /// What the role allowed, a line for each rule.
    pub rules: Vec<String>,
}

/// What names the row of an identity and a grant.
fn id(who: &str, binding: &str, role: &str) -> String {
    let mut hash = Sha256::new();
    for part in [who, binding, role] {
        hash.update(part);
        hash.update([0]); // no part has one
    }
    let mut id = crate::engine::hex(&hash.finalize()[..8]);
    id.insert_str(0, "r-"); // never mistaken for a number
    id
}

fn names(subject: &Subject, grant: &Grant<'_>) -> (String, String, String) {
    let place = |namespace: &str, name: &str| match namespace {
        "" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    };
    let kind = |kind: crate::inventory::Kind| kind.info().kind;
    (
        subject.to_string(),
        format!(
            "{} {}",
            kind(grant.kind),
            place(grant.namespace, grant.name)
        ),
        format!(
            "{} {}",
            kind(grant.role_kind()),
            place(grant.role_namespace, grant.role)
        ),
    )
}

impl Rights {
    /// The rights that bindings of these namespaces give, where the empty name stands for the
    /// cluster: everyone whom a binding names, in order.
    pub fn listing(&self, inventory: &Inventory, within: &dyn Fn(&Sym) -> bool) -> Vec<Row> {
        let mut rows = Vec::new();
        for subject in self.identities() {
            for grant in self.grants(subject).filter(|grant| within(grant.namespace)) {
                let (who, binding, role) = names(subject, &grant);
                let rules = self.rules(inventory, grant.role_namespace, grant.role);
                rows.push(Row {
                    id: id(&who, &binding, &role),
                    who,
                    binding,
                    role,
                    rules: spelled(rules),
                });
            }
        }
        rows.sort();
        rows.dedup();
        rows.sort_by(|a, b| (&a.binding, &a.who, &a.id).cmp(&(&b.binding, &b.who, &b.id)));
        rows
    }

    /// Just the ids of such a listing.
    pub fn listed_ids(&self, within: &dyn Fn(&Sym) -> bool) -> std::collections::BTreeSet<String> {
        let identities = self.identities();
        let grants = identities.flat_map(|who| self.grants(who).map(move |grant| (who, grant)));
        grants
            .filter(|(_, grant)| within(grant.namespace))
            .map(|(subject, grant)| {
                let (who, binding, role) = names(subject, &grant);
                id(&who, &binding, &role)
            })
            .collect()
    }
}

fn spelled<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<String> {
    let mut rules = rules.map(|rule| {
        let list = |items: &[Sym]| items.join(",");
        let resources = (!rule.resources.is_empty())
            .then(|| format!("{} in {:?}", list(&rule.resources), list(&rule.groups)));
        let names = (!rule.names.is_empty()).then(|| format!("named {}", list(&rule.names)));
        let urls = (!rule.urls.is_empty()).then(|| list(&rule.urls));
        let parts = [Some(list(&rule.verbs)), resources, names, urls];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    });
    let mut lines: Vec<String> = rules.by_ref().take(MOST_RULES).collect();
    let more = rules.count();
    if more > 0 {
        lines.push(format!("and {more} more rules"));
    }
    lines
}

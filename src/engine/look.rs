//! What others may look at: uids for events, series for metrics.

use std::collections::BTreeMap;

use super::{Engine, Notice, Series, instance::Instance};
use crate::verdict::{Outcome, Severity};

impl Engine {
    /// Uids of a notice's subject and policy, where they are known.
    pub fn uids(&self, notice: &Notice) -> (Option<String>, Option<String>) {
        let subject = notice.subject.as_ref().and_then(|subject| {
            let (kind, namespace) = (subject.object_kind()?, subject.object_namespace());
            let meta = self.inventory.meta(kind, namespace, &subject.name)?;
            Some(meta.uid.to_string())
        });
        let policy = notice
            .policy
            .as_ref()
            .and_then(|name| self.policies.get(name));
        (subject, policy.map(|policy| policy.uid.to_string()))
    }

    /// Series of one policy, for the metrics.
    pub fn series(&self, policy: &str) -> Vec<Series> {
        let Some(policy) = self.policies.get(policy) else {
            return Vec::new();
        };
        let controls = policy.controls.iter();
        controls
            .filter_map(|control| {
                let instance = self.instances.get(&control.instance)?;
                Some(Series {
                    control: control.id,
                    outcome: instance.outcome(),
                    counts: instance.visible_counts(),
                    owners: self.failing_by_owner(instance),
                })
            })
            .collect()
    }

    fn failing_by_owner(&self, instance: &Instance) -> BTreeMap<String, u64> {
        const MOST_OWNERS: usize = 200;
        let mut owners: BTreeMap<String, u64> = BTreeMap::new();
        if instance.counts.of(Outcome::Fail) == 0 {
            return owners;
        }
        let failing = instance
            .rows
            .iter()
            .filter(|(_, row)| row.verdict.outcome == Outcome::Fail);
        for (subject, _) in failing {
            let owner = self
                .owner(subject)
                .map_or_else(|| "none".to_owned(), |owner| owner.to_string());
            let full = owners.len() >= MOST_OWNERS && !owners.contains_key(&owner);
            *owners
                .entry(if full { "other".to_owned() } else { owner })
                .or_default() += 1;
        }
        owners
    }

    /// Deviations that are open, by severity.
    pub fn open_deviations(&self) -> BTreeMap<Severity, u64> {
        let mut open = BTreeMap::new();
        for instance in self.instances.values() {
            let rows = instance.rows.values();
            let failing = rows.filter(|row| row.deviation.is_some()).count();
            let failing = u64::try_from(failing).unwrap_or(u64::MAX);
            *open.entry(self.severity(instance)).or_default() += failing;
        }
        open
    }
}

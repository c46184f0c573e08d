//! What others may look at: uids for events, series for metrics.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Engine, Notice, Now, Origin, Series, instance::Instance};
use crate::{evidence::words::Cause, inventory::Sym, verdict::Outcome};

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
                    severity: control.severity,
                    deviations: Self::open_deviations(instance),
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

    /// The open deviations of a control: how many, and when the first of them opened.
    fn open_deviations(instance: &Instance) -> BTreeMap<Origin, (u64, Timestamp)> {
        let mut open = BTreeMap::new();
        if instance.key.suspended {
            return open; // judged, but not held against anyone
        }
        let rows = instance.rows.values();
        for deviation in rows.filter_map(|row| row.deviation.as_ref()) {
            let (cause, opened) = deviation.first();
            let origin = match cause {
                Cause::Policy | Cause::Visibility => Origin::Baseline,
                _ => Origin::New,
            };
            let (count, oldest) = open.entry(origin).or_insert((0, opened));
            *count += 1;
            *oldest = opened.min(*oldest);
        }
        open
    }

    /// For each control that passes only until some time: when the first of its subjects stops to
    /// pass unless something happens. Every such verdict is looked at: not for every round.
    pub fn deadlines(&self) -> BTreeMap<(Sym, &'static str), Timestamp> {
        let mut deadlines = BTreeMap::new();
        for (rule, subject, at) in self.timers.rechecks() {
            let Some(rule) = self.rules.get(&rule) else {
                continue;
            };
            let said = rule.table.get(subject);
            if said.is_none_or(|said| said.verdict.outcome != Outcome::Pass) {
                continue;
            }
            let instances = rule.instances.iter();
            for instance in instances.filter_map(|id| self.instances.get(id)) {
                if instance.holds(subject) {
                    for policy in &instance.policies {
                        deadlines
                            .entry((policy.clone(), instance.key.control))
                            .or_insert(at); // they come in order
                    }
                }
            }
        }
        deadlines
    }

    /// The names of all policies.
    pub fn policies(&self) -> impl Iterator<Item = &Sym> {
        self.policies.keys()
    }

    /// Writes of a policy within the last minute, and how many there may be.
    pub fn budget(&self, policy: &str, now: Now) -> Option<(u64, u32)> {
        let limit = self.policies.get(policy)?.spec.limits.writes_per_minute;
        let spent = self.budgets.get(policy);
        let spent = spent.map_or(0, |budget| budget.spent(now.mono));
        Some((u64::try_from(spent).unwrap_or(u64::MAX), limit))
    }
}

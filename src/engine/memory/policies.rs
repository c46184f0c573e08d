//! What the log remembers of policies, and what is forgotten with them.

use super::{Known, Memory, RowKey};
use crate::{
    controls::registry,
    evidence::{
        body::{Content, PolicyChange},
        words::Change,
    },
};

impl Memory {
    /// Takes in a change of a policy.
    pub(super) fn recall_policy(&mut self, said: PolicyChange) {
        self.ledger.note(&said);
        let uid = said.uid.clone();
        self.enforce_since.retain(|(of, _), _| *of != uid);
        // What an earlier edit ended and it did not open anew is over: this one comes first in the
        // log, and what it ends after it.
        self.left.retain(|(policy, _, _), _| *policy != said.policy);
        if said.change == Change::Deleted {
            self.policies.remove(&uid);
            self.policy_uids.remove(&said.policy);
            self.rows.retain(|(policy, _, _), _| *policy != said.policy);
            return;
        }
        self.drop_unused(&said);
        if said.change == Change::Suspended {
            self.forget_passing(&said.policy);
        }
        for (control, since) in said.enforcing_since {
            self.enforce_since
                .insert((uid.clone(), control.to_string()), since);
        }
        self.releases
            .insert(said.policy.clone(), said.limits_release);
        self.policy_uids.insert(said.policy, uid.clone());
        if let Some(hash) = said.new_hash {
            let suspended = match said.change {
                Change::Suspended => true,
                Change::Updated => self.policies.get(&uid).is_some_and(|known| known.1),
                Change::Created | Change::Resumed | Change::Deleted => false,
            };
            self.policies.insert(uid, (hash, suspended));
        }
    }

    /// Forgets the rows of controls that a policy does not use any more: they end with that, also where whoever led then
    /// wrote another log, and this one says nothing of it. If such a control is used again, it begins anew.
    fn drop_unused(&mut self, said: &PolicyChange) {
        self.dropped.retain(|(of, ..), _| *of != said.policy);
        let Some(Content::Inline(spec)) = &said.spec else {
            return;
        };
        let uses = |control: &str| {
            // What this program does not know can't be told: it is kept.
            registry::find(control)
                .is_none_or(|known| spec["controls"].get(known.info.field).is_some())
        };
        let is_unused =
            |(of, control, _): &RowKey, _: &mut Known| *of == said.policy && !uses(control);
        let unused = self.rows.extract_if(.., is_unused);
        // What says how they ended may follow.
        self.dropped.extend(unused);
    }

    /// Forgets what passed under a policy: while it is suspended nothing is drift.
    pub(in crate::engine) fn forget_passing(&mut self, policy: &str) {
        self.rows
            .retain(|(of, _, _), known| &**of != policy || known.deviation.is_some());
    }

    /// The same where the log does not know of the suspension: there, who was a subject still is one.
    pub(in crate::engine) fn lapse_passing(&mut self, policy: &str) {
        let rows = self.rows.iter_mut();
        for (_, known) in rows.filter(|((of, ..), _)| &**of == policy) {
            known.lapsed = known.deviation.is_none();
        }
    }

    /// Forgets what was known under a policy of all controls but those that it uses.
    pub(in crate::engine) fn forget_others(&mut self, policy: &str, uses: impl Fn(&str) -> bool) {
        self.rows
            .retain(|(of, control, _), _| &**of != policy || uses(control));
    }
}

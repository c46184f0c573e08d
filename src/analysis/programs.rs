//! Which service accounts run a program that controls trust with what only it should hold:
//! provisioners of volumes, and backup tools.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Analysis;
use crate::{
    controls::Subject,
    inventory::{Change, Inventory, Kind, Sym, template::Template},
};

/// Templates that run such a program, by the account that they run as.
type Accounts = BTreeMap<Subject, BTreeSet<Arc<Template>>>;

/// Which service accounts run a program that controls trust.
#[derive(Debug, Default)]
pub struct Programs {
    namespaces: BTreeMap<Sym, Accounts>,
    uncertain: BTreeSet<Sym>,
}

impl Programs {
    /// The templates of Deployments, `StatefulSets` and `DaemonSets` that run such a program as
    /// this account.
    pub fn of(&self, account: &Subject) -> impl Iterator<Item = &Template> {
        let accounts = self.namespaces.get(&account.namespace);
        let templates = accounts.and_then(|accounts| accounts.get(account));
        templates.into_iter().flatten().map(|template| &**template)
    }
}

impl Analysis for Programs {
    const READS: &'static [Kind] = &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

    fn note(&mut self, _: &Inventory, change: &Change) {
        self.uncertain.insert(change.namespace.clone());
    }

    fn settle(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>) {
        for namespace in std::mem::take(&mut self.uncertain) {
            let now = find(inventory, &namespace);
            let before = self.namespaces.remove(&namespace).unwrap_or_default();
            let all = before.keys().chain(now.keys());
            let changed = all.filter(|account| before.get(account) != now.get(account));
            affected.extend(changed.cloned());
            if !now.is_empty() {
                self.namespaces.insert(namespace, now);
            }
        }
    }
}

fn find(inventory: &Inventory, namespace: &Sym) -> Accounts {
    let tables = &inventory.tables;
    let workloads = tables
        .deployments
        .in_namespace(namespace)
        .chain(tables.stateful_sets.in_namespace(namespace))
        .chain(tables.daemon_sets.in_namespace(namespace));
    let mut accounts = Accounts::new();
    for workload in workloads {
        let template = &workload.spec.template;
        // A provisioner's right is the right to make volumes: one that nothing runs needs none.
        // Backup tools are stopped for maintenance, and their backups stay theirs.
        let counts = if template.provisions {
            !workload.spec.stopped
        } else {
            template.backup_tool.is_some()
        };
        if counts {
            let name = template.account().into();
            let account = Subject::object(Kind::ServiceAccount, namespace, &name);
            accounts
                .entry(account)
                .or_default()
                .insert(template.clone());
        }
    }
    accounts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        analysis::{Derived, from_scratch},
        controls::testing::World,
    };

    /// Changes: which object of a few, as which account, with which program.
    fn steps() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
        prop::collection::vec((0..8_u8, 0..2_u8, 0..5_u8), 1..40)
    }

    fn apply(world: &mut World, (which, account, program): (u8, u8, u8)) {
        let namespace = if which.is_multiple_of(2) { "a" } else { "b" };
        let kind = [Kind::Deployment, Kind::DaemonSet][usize::from(which / 2 % 2)];
        let name = format!("x{}", which / 4);
        if program == 0 {
            if world.inventory.meta(kind, namespace, &name).is_some() {
                world.delete(kind, namespace, &name);
            }
            return;
        }
        let container = match program {
            1 | 4 => json!({ "name": "csi-provisioner" }),
            2 => json!({ "name": "velero", "command": ["/velero"], "args": ["server"] }),
            _ => json!({ "name": "app" }),
        };
        let pod = json!({ "serviceAccountName": format!("s{account}"), "containers": [container] });
        world.put(
            kind,
            json!({
                "metadata": { "name": name, "namespace": namespace },
                "spec": { "template": { "spec": pod }, "replicas": 4 - program },
            }),
        );
    }

    fn rows(programs: &Programs) -> Accounts {
        let all = programs.namespaces.values();
        all.flat_map(Clone::clone).collect()
    }

    proptest! {
        #[test]
        fn what_is_kept_up_to_date_is_what_would_be_made_anew(steps in steps()) {
            let mut world = World::new();
            world.analyses.need(&[Derived::Programs].into(), &world.inventory);
            for step in steps {
                let before = rows(world.analyses.programs());
                apply(&mut world, step);
                let mut affected = BTreeSet::new();
                world.analyses.settle(&world.inventory, &mut |_, subjects| affected = subjects);
                let after = rows(world.analyses.programs());
                let anew: Programs = from_scratch(&world.inventory);
                prop_assert_eq!(&after, &rows(&anew));
                let all = before.keys().chain(after.keys());
                let changed = all.filter(|account| before.get(account) != after.get(account));
                prop_assert_eq!(affected, changed.cloned().collect::<BTreeSet<_>>());
            }
        }
    }
}

//! The classes of one namespace.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use foldhash::fast::FixedState;

use crate::{
    analysis::network::{Direction, Isolated, isolation},
    controls::{Subject, workloads},
    inventory::{
        Change, Inventory, Kind, Meta, Sym,
        selector::Selector,
        template::{Template, is_pod_only_label},
    },
};

use super::Stray;

/// The classes of one namespace, and which object is of which.
#[derive(Debug, Default)]
pub(super) struct Space {
    classes: Vec<Class>,
    index: BTreeMap<Address, u32>,
    /// The classes of live pods, by name: hashed, because there are so many of them. Whether
    /// there is one is told too.
    pods: HashMap<Sym, u32, FixedState>,
    /// Those of the objects that make pods.
    makers: BTreeMap<(Kind, Sym), u32>,
    free: Vec<u32>,
    /// How live pods of workloads look where their template looks otherwise.
    looks: BTreeMap<Subject, Vec<Arc<Template>>>,
    /// Whether a stray class is gone, or the first pod has come or the last one gone.
    turned: bool,
}

/// Where template and owner of a class lie. The inventory holds equal values once, and a class
/// holds them, so that their addresses tell classes apart; nothing is ordered by them.
type Address = (usize, usize);

/// Pods of one owner with equal templates; or whatever has no owner.
#[derive(Debug)]
struct Class {
    template: Arc<Template>,
    owner: Option<Sym>,
    members: u32,
    /// For ingress and for egress.
    isolated: [Isolated; 2],
}

impl Class {
    fn is_stray(&self) -> bool {
        self.owner.is_some() && self.isolated != [Isolated::Yes; 2]
    }
}

/// What became of the set of classes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Moved {
    pub(super) grown: bool,
    pub(super) shrunk: bool,
    pub(super) turned: bool,
}

/// Template and owner of what an object holds now.
pub(super) type Held<'a> = (&'a Arc<Template>, Option<&'a Sym>);

/// What the object of a change holds, if it is there and has not ended.
pub(super) fn held<'a>(inventory: &'a Inventory, change: &Change) -> Option<Held<'a>> {
    let tables = &inventory.tables;
    let (namespace, name) = (&*change.namespace, &*change.name);
    let template = match change.kind {
        Kind::Pod => {
            let pod = tables.pods.get(namespace, name)?;
            let owner = owner(&pod.meta);
            return (!pod.spec.ended).then_some((&pod.spec.template, owner));
        }
        Kind::Deployment => &tables.deployments.get(namespace, name)?.spec.template,
        Kind::StatefulSet => &tables.stateful_sets.get(namespace, name)?.spec.template,
        Kind::DaemonSet => &tables.daemon_sets.get(namespace, name)?.spec.template,
        Kind::ReplicaSet => {
            // A Deployment keeps ten old ones: what they would make is not what it makes.
            let set = tables.replica_sets.get(namespace, name)?;
            if owner(&set.meta).is_some() {
                return None;
            }
            &set.spec.template
        }
        Kind::Job => &tables.jobs.get(namespace, name)?.spec.template,
        Kind::CronJob => &tables.cron_jobs.get(namespace, name)?.spec.template,
        _ => return None,
    };
    Some((template, None))
}

fn address(template: &Arc<Template>, owner: Option<&Sym>) -> Address {
    let owner = owner.map_or(0, |owner| Arc::as_ptr(owner).addr());
    (Arc::as_ptr(template).addr(), owner)
}

pub(super) fn owner(meta: &Meta) -> Option<&Sym> {
    meta.owners.controller.as_ref()
}

impl Space {
    /// Takes note of what an object holds now.
    pub(super) fn note(&mut self, kind: Kind, name: &Sym, held: Option<Held<'_>>) -> Moved {
        let mut moved = Moved::default();
        // Into the new class before out of the old one: mostly they are the same.
        let now = held.map(|(template, owner)| self.enter(template, owner, &mut moved));
        let before = if kind == Kind::Pod {
            let was_empty = self.pods.is_empty();
            let before = match now {
                Some(at) => self.pods.insert(name.clone(), at),
                None => self.pods.remove(name),
            };
            moved.turned = was_empty != self.pods.is_empty();
            self.turned |= moved.turned;
            before
        } else {
            let key = (kind, name.clone());
            match now {
                Some(at) => self.makers.insert(key, at),
                None => self.makers.remove(&key),
            }
        };
        if let Some(at) = before {
            self.leave(at, &mut moved);
        }
        moved
    }

    fn enter(&mut self, template: &Arc<Template>, owner: Option<&Sym>, moved: &mut Moved) -> u32 {
        let key = address(template, owner);
        if let Some(&at) = self.index.get(&key)
            && let Some(class) = self.classes.get_mut(at as usize)
        {
            class.members += 1;
            return at;
        }
        moved.grown = true;
        let class = Class {
            template: Arc::clone(template),
            owner: owner.cloned(),
            members: 1,
            // Until it is worked out it is no stray: it turns when it is found to be one.
            isolated: [Isolated::Yes; 2],
        };
        let free = self.free.pop();
        let slot = free.and_then(|at| Some((at, self.classes.get_mut(at as usize)?)));
        let at = if let Some((at, slot)) = slot {
            *slot = class;
            at
        } else {
            self.classes.push(class);
            u32::try_from(self.classes.len() - 1).unwrap_or(u32::MAX)
        };
        self.index.insert(key, at);
        at
    }

    fn leave(&mut self, at: u32, moved: &mut Moved) {
        let Some(class) = self.classes.get_mut(at as usize) else {
            return;
        };
        class.members -= 1;
        if class.members == 0 {
            let key = address(&class.template, class.owner.as_ref());
            self.turned |= class.is_stray();
            self.index.remove(&key);
            self.free.push(at);
            moved.shrunk = true;
        }
    }

    /// Works out what isolates each class, and which look unlike their workload's template;
    /// whether anything turned that a stray shows.
    pub(super) fn settle(
        &mut self,
        inventory: &Inventory,
        namespace: &Sym,
        affected: &mut BTreeSet<Subject>,
    ) -> bool {
        let mut turned = std::mem::take(&mut self.turned);
        for class in self.classes.iter_mut().filter(|class| class.members > 0) {
            let isolated = isolation(inventory, namespace, &class.template);
            let before = std::mem::replace(&mut class.isolated, isolated);
            turned |= class.owner.is_some() && before != isolated;
        }
        let before = std::mem::take(&mut self.looks);
        self.looks = self.find_looks(inventory, namespace);
        let workloads = before.keys().chain(self.looks.keys());
        let changed =
            workloads.filter(|workload| before.get(*workload) != self.looks.get(*workload));
        affected.extend(changed.cloned());
        turned
    }

    fn find_looks(
        &self,
        inventory: &Inventory,
        namespace: &Sym,
    ) -> BTreeMap<Subject, Vec<Arc<Template>>> {
        let mut all: BTreeMap<Subject, Vec<Arc<Template>>> = BTreeMap::new();
        for class in self.alive() {
            let root = class.owner.as_deref();
            let root = root.and_then(|owner| workloads::root(inventory, namespace, owner));
            let Some(root) = root else { continue };
            let said = workloads::find(inventory, &root).map(|held| held.template);
            if said.is_none_or(|said| said.looks_like(&class.template)) {
                continue;
            }
            all.entry(root)
                .or_default()
                .push(Arc::clone(&class.template));
        }
        for looks in all.values_mut() {
            // Ordered first: which of two that look alike is kept must not depend on who came first.
            looks.sort();
            let mut kept: Vec<Arc<Template>> = Vec::new();
            for look in looks.drain(..) {
                if !kept.iter().any(|known| known.looks_like(&look)) {
                    kept.push(look);
                }
            }
            *looks = kept;
        }
        all
    }

    /// How live pods of a workload look where its template looks otherwise, each way once.
    pub(super) fn looks(&self, workload: &Subject) -> &[Arc<Template>] {
        self.looks.get(workload).map_or(&[], |looks| looks)
    }

    pub(super) fn strays(&self, direction: Direction) -> impl Iterator<Item = Stray<'_>> {
        self.alive().filter_map(move |class| {
            let isolated = class.isolated[direction as usize];
            let stray = isolated != Isolated::Yes && !class.template.host_network;
            let owner = class.owner.as_ref()?;
            let template = &class.template;
            stray.then_some(Stray {
                owner,
                template,
                isolated,
            })
        })
    }

    /// Whether a selector of pods may select one: labels that only live pods have may be there.
    pub(super) fn selects(&self, selector: &Selector) -> bool {
        let mut alive = self.alive();
        selector.is_empty()
            || alive.any(|class| {
                selector.judge(&class.template.labels, is_pod_only_label) != Some(false)
            })
    }

    fn alive(&self) -> impl Iterator<Item = &Class> {
        self.classes.iter().filter(|class| class.members > 0)
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.makers.is_empty()
    }
}

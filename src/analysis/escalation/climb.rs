//! The single steps: what somebody who holds certain powers can become by using them.

mod identities;
mod pods;
mod roles;

use super::{
    aims::{Hold, Place, Steps},
    graph::Graph,
};
use crate::{
    analysis::rights::{Power, Rights, Thing, Verbs},
    inventory::{Inventory, Sym},
};

/// Somebody who is looking for steps.
pub(super) struct Climber<'a> {
    scene: Scene<'a>,
    /// Powers of which at least one must be used.
    own: Vec<Hold<'a>>,
    /// All that is held beside them.
    more: Vec<Hold<'a>>,
    /// The things of which there are own powers, and those of which there are any: most of what a
    /// step needs is not held at all, which these tell at once.
    things: (u64, u64),
}

/// Where somebody who is looking for steps stands.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) rights: &'a Rights,
    /// Where there are accounts of a name.
    pub(super) graph: &'a Graph,
    /// Whether the cluster is one of EKS.
    pub(super) eks: bool,
    /// The namespace of the service account that is looking, where it is one.
    pub(super) home: Option<&'a Sym>,
}

pub(super) const WRITE: Verbs = Verbs::UPDATE.or(Verbs::PATCH);
pub(super) const MAKE: Verbs = Verbs::CREATE.or(WRITE);
pub(super) const WORKLOADS: [Thing; 7] = [
    Thing::Deployments,
    Thing::DaemonSets,
    Thing::StatefulSets,
    Thing::ReplicaSets,
    Thing::Jobs,
    Thing::CronJobs,
    Thing::ReplicationControllers,
];
pub(super) const ADMISSION: [Thing; 4] = [
    Thing::MutatingWebhooks,
    Thing::ValidatingWebhooks,
    Thing::MutatingPolicies,
    Thing::MutatingPolicyBindings,
];
const SOURCES: u64 = {
    let mut bits = Thing::Pods.bit()
        | Thing::Secrets.bit()
        | Thing::Tokens.bit()
        | Thing::PodsExec.bit()
        | Thing::EphemeralContainers.bit()
        | Thing::NodesProxy.bit()
        | Thing::Nodes.bit()
        | Thing::NodesStatus.bit()
        | Thing::Namespaces.bit()
        | Thing::PersistentVolumes.bit()
        | Thing::ConfigMaps.bit()
        | Thing::Users.bit()
        | Thing::Groups.bit()
        | Thing::ServiceAccounts.bit()
        | Thing::Roles.bit()
        | Thing::ClusterRoles.bit()
        | Thing::RoleBindings.bit()
        | Thing::ClusterRoleBindings.bit()
        | Thing::Approvals.bit()
        | Thing::Signers.bit();
    let mut i = 0;
    while i < WORKLOADS.len() {
        bits |= WORKLOADS[i].bit();
        i += 1;
    }
    i = 0;
    while i < ADMISSION.len() {
        bits |= ADMISSION[i].bit();
        i += 1;
    }
    bits
};

/// Whether somebody who holds powers on these things may have a step at all.
pub(super) const fn may_matter(things: u64) -> bool {
    things & SOURCES != 0
}

/// A power that is held somewhere.
#[derive(Clone)]
struct Found<'a> {
    place: Place,
    verbs: Verbs,
    names: &'a [Sym],
}

impl Found<'_> {
    fn is_for(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|listed| **listed == *name)
    }
}

impl<'a> Climber<'a> {
    /// Somebody with own powers, of which at least one must be used, and others beside them.
    pub(super) fn new(scene: Scene<'a>, own: Vec<Hold<'a>>, more: Vec<Hold<'a>>) -> Self {
        let things = |holds: &[Hold<'_>]| {
            let each = holds.iter().map(|hold| hold.powers.things());
            each.fold(0, |all, things| all | things)
        };
        let owned = things(&own);
        Self {
            things: (owned, owned | things(&more)),
            scene,
            own,
            more,
        }
    }

    /// Whether there are powers on a thing, own ones or any.
    const fn knows(&self, own: bool, thing: Thing) -> bool {
        let things = if own { self.things.0 } else { self.things.1 };
        things & thing.bit() != 0
    }

    /// Every step that needs one of the own powers, in an order that the objects alone decide.
    pub(super) fn steps(&self) -> Steps {
        let mut steps = Steps::default();
        if !may_matter(self.things.0) {
            return steps;
        }
        self.roles(&mut steps);
        self.identities(&mut steps);
        self.pods(&mut steps);
        self.cluster(&mut steps);
        self.nodes(&mut steps);
        steps.list.sort();
        steps.list.dedup();
        steps
    }

    /// Where `verbs` on a thing are held, by own powers or by any.
    fn held(&self, own: bool, thing: Thing, verbs: Verbs) -> Vec<Found<'a>> {
        if !self.knows(own, thing) {
            return Vec::new();
        }
        let more: &[Hold<'a>] = if own { &[] } else { &self.more };
        let mut found = Vec::new();
        for hold in self.own.iter().chain(more) {
            if !hold.reaches(thing) {
                continue;
            }
            for power in hold.powers.on(thing) {
                let held = power.verbs(|| self.patches(&hold.place, power)).and(verbs);
                if !held.is_empty() {
                    found.push(Found {
                        place: hold.place.clone(),
                        verbs: held,
                        names: &power.names,
                    });
                }
            }
        }
        found
    }

    /// Whether an object of one of the power's names may be patched there.
    fn patches(&self, place: &Place, power: &Power) -> bool {
        self.own.iter().chain(&self.more).any(|hold| {
            place.is_within(&hold.place)
                && hold.powers.on(power.thing).any(|other| {
                    let shared = power.names.iter().any(|name| other.is_for(name));
                    other.verbs.has(Verbs::PATCH) && (other.names.is_empty() || shared)
                })
        })
    }

    /// Where two powers are held together, at least one of them an own one.
    fn pairs(
        &self,
        (one, verbs): (Thing, Verbs),
        (other, others): (Thing, Verbs),
    ) -> Vec<(Place, Found<'a>, Found<'a>)> {
        let mut pairs = Vec::new();
        if !(self.knows(false, one) && self.knows(false, other)) {
            return pairs;
        }
        for (first, second) in [(true, false), (false, true)] {
            for a in self.held(first, one, verbs) {
                for b in self.held(second, other, others) {
                    if let Some(place) = a.place.and(&b.place) {
                        pairs.push((place, a.clone(), b));
                    }
                }
            }
            if self.more.is_empty() {
                break;
            }
        }
        pairs
    }

    /// Every role that somebody with these powers is bound to.
    fn bound(&self) -> impl Iterator<Item = (&Place, &'a Sym, &'a Sym)> {
        let all = self.own.iter().chain(&self.more);
        all.filter_map(|hold| hold.role.map(|(home, name)| (&hold.place, home, name)))
    }

    /// Two powers wherever each is held, at least one of them an own one.
    fn anywhere(
        &self,
        (one, verbs): (Thing, Verbs),
        (other, others): (Thing, Verbs),
    ) -> Vec<(Found<'a>, Found<'a>)> {
        let mut pairs = Vec::new();
        if !(self.knows(false, one) && self.knows(false, other)) {
            return pairs;
        }
        for (first, second) in [(true, false), (false, true)] {
            for a in self.held(first, one, verbs) {
                let others = self.held(second, other, others);
                pairs.extend(others.into_iter().map(|b| (a.clone(), b)));
            }
            if self.more.is_empty() {
                break;
            }
        }
        pairs
    }
}

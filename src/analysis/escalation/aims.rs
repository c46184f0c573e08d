//! The single steps: what somebody who holds certain powers can become by using them.

use std::collections::BTreeSet;

use crate::{
    analysis::{
        rbac,
        rights::{Power, Powers, Rights, Thing, Verbs},
    },
    controls::{Subject, SubjectKind},
    inventory::{Inventory, Kind, Object, Sym, rbac::Binding},
};

/// Where powers count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At cluster scope, and so in every namespace.
    Cluster,
    /// In every namespace, but not at cluster scope.
    Everywhere,
    /// In one namespace.
    In(Sym),
}

impl Place {
    pub(super) fn of(namespace: &Sym) -> Self {
        if namespace.is_empty() {
            Self::Cluster
        } else {
            Self::In(Sym::clone(namespace))
        }
    }

    /// Whether it is, or lies in, the other one.
    fn is_within(&self, other: &Self) -> bool {
        *other == Self::Cluster
            || self == other
            || (*other == Self::Everywhere && matches!(self, Self::In(_)))
    }

    /// The smaller of the two, if one lies in the other.
    fn and(&self, other: &Self) -> Option<Self> {
        if self.is_within(other) {
            Some(self.clone())
        } else if other.is_within(self) {
            Some(other.clone())
        } else {
            None
        }
    }

    /// The same without what belongs to no namespace.
    fn namespaces(&self) -> Self {
        match self {
            Self::Cluster => Self::Everywhere,
            other => other.clone(),
        }
    }
}

/// Powers, and where they count.
#[derive(Debug, Clone)]
pub(super) struct Hold<'a> {
    pub(super) place: Place,
    pub(super) powers: &'a Powers,
    /// The role behind them, where somebody is bound to it: namespace and name.
    pub(super) role: Option<(&'a Sym, &'a Sym)>,
}

impl Hold<'_> {
    fn reaches(&self, thing: Thing) -> bool {
        self.place == Place::Cluster || !thing.is_cluster_scoped()
    }

    /// Whether it is everything everywhere.
    pub(super) fn is_cluster_admin(&self) -> bool {
        self.place == Place::Cluster && self.powers.everything
    }
}

/// A role as it would be bound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleAt {
    /// Namespace of the role; empty for a `ClusterRole`.
    pub home: Sym,
    /// Its name.
    pub name: Sym,
    /// Where it would count.
    pub place: Place,
}

/// What a step leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Aim {
    /// Everything everywhere.
    Admin,
    /// Any service account that exists there.
    Accounts(Place),
    /// Any service account that exists there or that a binding names.
    Impersonable(Place),
    /// Any service account there whose pods have not ended.
    Live(Place),
    /// The same of the whole cluster, by a node, where pods may take one over.
    Node(Place),
    /// Any user that a binding names.
    AnyUser,
    /// Any user or group that a binding names, but `system:masters`.
    AnyCertified,
    /// This identity.
    Identity(Subject),
    /// Whoever is bound to this role.
    Role(RoleAt),
}

/// How a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// By a binding, with `bind`.
    Bind,
    /// By the rules of a role that it is bound to, with `escalate`.
    EditRole,
    /// By a role that is aggregated into one that it is bound to, with `escalate`.
    Aggregate,
    /// By impersonation.
    Impersonate,
    /// By a token request.
    RequestToken,
    /// By a Secret with a token.
    TokenSecret,
    /// By a pod.
    CreatePod,
    /// By a workload.
    Workload,
    /// By the image of a pod that runs.
    PatchPod,
    /// By a command in a container that runs.
    Exec,
    /// By an ephemeral container.
    Ephemeral,
    /// By a kubelet.
    NodesProxy,
    /// By a certificate.
    Certificate,
    /// By what is decided on admission.
    Admission,
    /// By the `ConfigMap` that says who is who on EKS.
    AwsAuth,
    /// By a pod that takes over its node.
    NodePod,
    /// By a namespace whose Pod Security is switched off.
    NodeNamespace,
    /// By a volume that is a folder of a node.
    NodeVolume,
    /// By drawing pods onto a node.
    NodeSteal,
}

impl How {
    /// Whether it goes through a node.
    pub(super) const fn is_node(self) -> bool {
        matches!(
            self,
            Self::NodePod | Self::NodeNamespace | Self::NodeVolume | Self::NodeSteal
        )
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    pub(super) how: How,
    pub(super) place: Place,
    pub(super) aim: Aim,
}

/// Somebody who is looking for steps.
pub(super) struct Climber<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) rights: &'a Rights,
    /// Whether the cluster is one of EKS.
    pub(super) eks: bool,
    /// Powers of which at least one must be used.
    pub(super) own: Vec<Hold<'a>>,
    /// All that is held beside them.
    pub(super) more: Vec<Hold<'a>>,
}

/// Steps, and whether they depend on other objects than the powers themselves.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) list: Vec<Step>,
    pub(super) fragile: bool,
}

const WRITE: Verbs = Verbs::UPDATE.or(Verbs::PATCH);
const MAKE: Verbs = Verbs::CREATE.or(WRITE);
const WORKLOADS: [Thing; 7] = [
    Thing::Deployments,
    Thing::DaemonSets,
    Thing::StatefulSets,
    Thing::ReplicaSets,
    Thing::Jobs,
    Thing::CronJobs,
    Thing::ReplicationControllers,
];
const ADMISSION: [Thing; 4] = [
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
    /// Every step that needs one of the own powers, in an order that the objects alone decide.
    pub(super) fn steps(&self) -> Steps {
        let mut steps = Steps::default();
        let things = self
            .own
            .iter()
            .fold(0, |all, hold| all | hold.powers.things());
        if !may_matter(things) {
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

    /// By roles and bindings.
    fn roles(&self, steps: &mut Steps) {
        self.edit(steps, Thing::ClusterRoles);
        self.edit(steps, Thing::Roles);
        self.bind(steps, Thing::ClusterRoles);
        self.bind(steps, Thing::Roles);
    }

    /// By the rules of a role that it is bound to: a right to write them needs `escalate` beside.
    fn edit(&self, steps: &mut Steps, thing: Thing) {
        let pairs = self.pairs((thing, Verbs::ESCALATE), (thing, MAKE));
        for (place, escalate, write) in pairs {
            // Cluster roles lie in no namespace: there a RoleBinding gives neither.
            if thing == Thing::ClusterRoles && place != Place::Cluster {
                continue;
            }
            steps.fragile = true;
            let edits =
                |name: &str| write.verbs.has(WRITE) && escalate.is_for(name) && write.is_for(name);
            for (at, home, name) in self.bound() {
                let local = !home.is_empty();
                if local != (thing == Thing::Roles) || (local && !at.is_within(&place)) {
                    continue;
                }
                let sources = self.rights.sources(home, name);
                let created = || {
                    // A name that is not taken yet; POST carries none.
                    self.rights.aggregates().contains(name)
                        && write.verbs.has(Verbs::CREATE)
                        && escalate.names.is_empty()
                };
                if edits(name) {
                    steps.everything(How::EditRole, at);
                } else if !local && (sources.iter().any(|source| edits(source)) || created()) {
                    steps.everything(How::Aggregate, at);
                }
            }
        }
    }

    /// By a binding: a right to write one needs `bind` on the role beside.
    fn bind(&self, steps: &mut Steps, thing: Thing) {
        for kind in [Thing::ClusterRoleBindings, Thing::RoleBindings] {
            if thing == Thing::Roles && kind == Thing::ClusterRoleBindings {
                continue;
            }
            for (place, bind, write) in self.pairs((thing, Verbs::BIND), (kind, MAKE)) {
                let place = match kind {
                    Thing::ClusterRoleBindings if place != Place::Cluster => continue,
                    Thing::ClusterRoleBindings => place,
                    _ => place.namespaces(),
                };
                if write.verbs.has(Verbs::CREATE) {
                    self.bind_new(steps, thing, &place, &bind);
                } else {
                    self.bind_existing(steps, thing, &place, (&bind, &write));
                }
            }
        }
    }

    fn bind_new(&self, steps: &mut Steps, thing: Thing, place: &Place, bind: &Found<'_>) {
        if thing == Thing::ClusterRoles && bind.names.is_empty() {
            steps.everything(How::Bind, place);
            return;
        }
        steps.fragile = true;
        if thing == Thing::ClusterRoles {
            for name in bind.names {
                steps.role(How::Bind, &Sym::from(""), name, place);
            }
            return;
        }
        let roles = &self.inventory.tables.roles;
        let namespace = match place {
            Place::In(namespace) => Some(&**namespace),
            _ => None,
        };
        roles.within(namespace, |role| {
            if bind.is_for(&role.meta.name) {
                let home = &role.meta.namespace;
                steps.role(How::Bind, home, &role.meta.name, &Place::of(home));
            }
        });
    }

    /// The role of a binding never changes: only its subjects can be written.
    fn bind_existing(
        &self,
        steps: &mut Steps,
        thing: Thing,
        place: &Place,
        (bind, write): (&Found<'_>, &Found<'_>),
    ) {
        steps.fragile = true;
        let kind = match thing {
            Thing::Roles => "Role",
            _ => "ClusterRole",
        };
        let mut look = |binding: &Object<Binding>| {
            let (meta, spec) = (&binding.meta, &binding.spec);
            if *spec.role_kind == *kind && write.is_for(&meta.name) && bind.is_for(&spec.role) {
                let home = match thing {
                    Thing::Roles => meta.namespace.clone(),
                    _ => Sym::from(""),
                };
                steps.role(How::Bind, &home, &spec.role, &Place::of(&meta.namespace));
            }
        };
        let tables = &self.inventory.tables;
        match place {
            Place::Cluster => tables.cluster_role_bindings.iter().for_each(&mut look),
            Place::Everywhere => tables.role_bindings.iter().for_each(&mut look),
            Place::In(namespace) => tables
                .role_bindings
                .in_namespace(namespace)
                .for_each(&mut look),
        }
    }

    /// By being taken for somebody else.
    fn identities(&self, steps: &mut Steps) {
        for found in self.held(true, Thing::ServiceAccounts, Verbs::IMPERSONATE) {
            self.accounts(steps, How::Impersonate, &found, Aim::Impersonable);
        }
        for found in self.held(true, Thing::Tokens, Verbs::CREATE) {
            self.accounts(steps, How::RequestToken, &found, Aim::Accounts);
        }
        for found in self.held(true, Thing::Users, Verbs::IMPERSONATE) {
            if found.names.is_empty() {
                steps.push(How::Impersonate, &found.place, Aim::AnyUser);
            }
            for name in found.names {
                steps.fragile = true;
                // The name of an account is asked for among the service accounts.
                if rbac::account(name).is_none() {
                    let user = Subject::named(SubjectKind::User, name.clone());
                    steps.push(How::Impersonate, &found.place, Aim::Identity(user));
                }
            }
        }
        // Whoever names groups has to name a user too.
        for thing in [Thing::Users, Thing::ServiceAccounts] {
            let other = (thing, Verbs::IMPERSONATE);
            for (groups, _) in self.anywhere((Thing::Groups, Verbs::IMPERSONATE), other) {
                const MASTERS: &str = "system:masters";
                if groups.is_for(MASTERS) {
                    steps.push(How::Impersonate, &Place::Cluster, Aim::Admin);
                }
                for name in groups.names.iter().filter(|name| ***name != *MASTERS) {
                    steps.fragile = true;
                    let group = Subject::named(SubjectKind::Group, name.clone());
                    steps.push(How::Impersonate, &Place::Cluster, Aim::Identity(group));
                }
            }
        }
        let approve = (Thing::Signers, Verbs::APPROVE);
        for (signer, _) in self.anywhere(approve, (Thing::Approvals, WRITE)) {
            let client = |name: &str| signer.is_for(name);
            if client("kubernetes.io/kube-apiserver-client") || client("kubernetes.io/*") {
                steps.push(How::Certificate, &Place::Cluster, Aim::AnyCertified);
            }
        }
    }

    /// Two powers wherever each is held, at least one of them an own one.
    fn anywhere(
        &self,
        (one, verbs): (Thing, Verbs),
        (other, others): (Thing, Verbs),
    ) -> Vec<(Found<'a>, Found<'a>)> {
        let mut pairs = Vec::new();
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

    /// Accounts of a place: all of them, or those of certain names.
    fn accounts(&self, steps: &mut Steps, how: How, found: &Found<'_>, all: impl Fn(Place) -> Aim) {
        let place = found.place.namespaces();
        if found.names.is_empty() {
            steps.push(how, &place, all(place.clone()));
            return;
        }
        steps.fragile = true;
        let one = |steps: &mut Steps, namespace: &Sym, name: &Sym| {
            let account = Subject::object(Kind::ServiceAccount, namespace, name);
            steps.push(how, &place, Aim::Identity(account));
        };
        for name in found.names {
            if let Place::In(namespace) = &place {
                one(steps, namespace, name);
                continue;
            }
            let accounts = self.inventory.tables.service_accounts.iter();
            let accounts = accounts.filter(|account| account.meta.name == *name);
            let mut homes: BTreeSet<&Sym> = accounts.map(|a| &a.meta.namespace).collect();
            let named = self.rights.identities().filter(|subject| {
                subject.object_kind() == Some(Kind::ServiceAccount) && subject.name == *name
            });
            homes.extend(named.map(|subject| &subject.namespace));
            for namespace in homes {
                one(steps, namespace, name);
            }
        }
    }

    /// By pods, which run as a service account of their namespace.
    fn pods(&self, steps: &mut Steps) {
        let places = |thing, verbs| self.held(true, thing, verbs).into_iter();
        for found in places(Thing::Pods, MAKE) {
            let place = found.place.namespaces();
            if found.verbs.has(Verbs::CREATE) {
                steps.push(How::CreatePod, &place, Aim::Accounts(place.clone()));
            } else {
                steps.push(How::PatchPod, &place, Aim::Live(place.clone()));
            }
        }
        for thing in WORKLOADS {
            for found in places(thing, MAKE) {
                let place = found.place.namespaces();
                steps.push(How::Workload, &place, Aim::Accounts(place.clone()));
            }
        }
        for (thing, verbs, how) in [
            (Thing::PodsExec, Verbs::CREATE.or(Verbs::GET), How::Exec),
            (Thing::EphemeralContainers, WRITE, How::Ephemeral),
        ] {
            for found in places(thing, verbs) {
                let place = found.place.namespaces();
                steps.push(how, &place, Aim::Live(place.clone()));
            }
        }
        for found in places(Thing::Secrets, Verbs::CREATE) {
            let place = found.place.namespaces();
            steps.push(How::TokenSecret, &place, Aim::Accounts(place.clone()));
        }
    }

    /// By what belongs to the cluster as a whole.
    fn cluster(&self, steps: &mut Steps) {
        for _ in self.held(true, Thing::NodesProxy, Verbs::ANY) {
            steps.push(
                How::NodesProxy,
                &Place::Cluster,
                Aim::Live(Place::Everywhere),
            );
        }
        for thing in ADMISSION {
            for _ in self.held(true, thing, MAKE) {
                steps.push(How::Admission, &Place::Cluster, Aim::Admin);
            }
        }
        for found in self.held(true, Thing::ConfigMaps, WRITE) {
            let system = Place::In("kube-system".into());
            if found.is_for("aws-auth") && system.is_within(&found.place) {
                // Whether it is EKS depends on other bindings.
                steps.fragile = true;
                if self.eks {
                    steps.push(How::AwsAuth, &system, Aim::Admin);
                }
            }
        }
    }

    /// Through nodes: a class of their own.
    fn nodes(&self, steps: &mut Steps) {
        for thing in std::iter::once(Thing::Pods).chain(WORKLOADS) {
            let verbs = if thing == Thing::Pods {
                Verbs::CREATE
            } else {
                MAKE
            };
            for found in self.held(true, thing, verbs) {
                let place = found.place.namespaces();
                steps.push(How::NodePod, &place, Aim::Node(place.clone()));
            }
            let pair = |other| self.anywhere((thing, verbs), other);
            let anywhere = || Aim::Live(Place::Everywhere);
            for _ in pair((Thing::PersistentVolumes, Verbs::CREATE)) {
                steps.push(How::NodeVolume, &Place::Cluster, anywhere());
            }
            for (made, patched) in pair((Thing::Namespaces, WRITE)) {
                // A namespace is its own namespace when it is asked for.
                let place = made.place.and(&patched.place);
                let named = match &place {
                    Some(Place::In(namespace)) => patched.is_for(namespace),
                    Some(_) => true,
                    None => false,
                };
                if let Some(place) = place.filter(|_| named) {
                    steps.push(How::NodeNamespace, &place, anywhere());
                }
            }
        }
        let delete = (Thing::Pods, Verbs::DELETE.or(Verbs::DELETE_ALL));
        for thing in [Thing::Nodes, Thing::NodesStatus] {
            for _ in self.anywhere((thing, WRITE), delete) {
                let aim = Aim::Live(Place::Everywhere);
                steps.push(How::NodeSteal, &Place::Cluster, aim);
            }
        }
    }
}

impl Steps {
    fn push(&mut self, how: How, place: &Place, aim: Aim) {
        let place = place.clone();
        self.list.push(Step { how, place, aim });
    }

    /// Everything in a place.
    fn everything(&mut self, how: How, place: &Place) {
        if *place == Place::Cluster {
            self.push(how, place, Aim::Admin);
        } else {
            self.push(how, place, Aim::Accounts(place.clone()));
            self.push(how, place, Aim::Impersonable(place.clone()));
        }
    }

    fn role(&mut self, how: How, home: &Sym, name: &Sym, place: &Place) {
        let role = RoleAt {
            home: home.clone(),
            name: name.clone(),
            place: place.clone(),
        };
        self.push(how, place, Aim::Role(role));
    }
}

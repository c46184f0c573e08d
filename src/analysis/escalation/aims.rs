//! The words of a step: where powers count, how a step is done, and what it leads to.

use std::collections::BTreeSet;

use crate::{
    analysis::rights::{Powers, Thing},
    controls::Subject,
    inventory::{Kind, Sym},
};

/// Where powers count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    pub(super) fn is_within(&self, other: &Self) -> bool {
        *other == Self::Cluster
            || self == other
            || (*other == Self::Everywhere && matches!(self, Self::In(_)))
    }

    /// The smaller of the two, if one lies in the other.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        if self.is_within(other) {
            Some(self.clone())
        } else if other.is_within(self) {
            Some(other.clone())
        } else {
            None
        }
    }

    /// The same without what belongs to no namespace.
    pub(super) fn namespaces(&self) -> Self {
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
    pub(super) fn reaches(&self, thing: Thing) -> bool {
        self.place == Place::Cluster || !thing.is_cluster_scoped()
    }

    /// Whether it is everything everywhere.
    pub(super) fn is_cluster_admin(&self) -> bool {
        self.place == Place::Cluster && self.powers.everything
    }
}

/// A role as it would be bound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Something beside somebody's own powers that decides which steps they have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ground {
    /// A role, by namespace and name: whether it exists, what it allows, what it aggregates.
    Role(Sym, Sym),
    /// Which roles a namespace has.
    RolesIn(Sym),
    /// Which roles there are in namespaces.
    AnyRole,
    /// The bindings of a namespace; of the cluster where it is empty.
    BindingsIn(Sym),
    /// The bindings of all namespaces.
    AnyBinding,
    /// Whether somebody is there.
    Who(Subject),
    /// In which namespaces there are accounts of a name.
    Named(Sym),
    /// Whether the cluster is one of EKS.
    Eks,
    /// Who serves the webhooks of a configuration.
    Webhooks(Kind, Sym),
}

/// Steps, and what decides that it is these.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) list: Vec<Step>,
    pub(super) grounds: BTreeSet<Ground>,
}

impl Steps {
    pub(super) fn rest_on(&mut self, ground: Ground) {
        self.grounds.insert(ground);
    }

    pub(super) fn push(&mut self, how: How, place: &Place, aim: Aim) {
        let place = place.clone();
        self.list.push(Step { how, place, aim });
    }

    /// Everything in a place.
    pub(super) fn everything(&mut self, how: How, place: &Place) {
        if *place == Place::Cluster {
            self.push(how, place, Aim::Admin);
        } else {
            self.push(how, place, Aim::Accounts(place.clone()));
            self.push(how, place, Aim::Impersonable(place.clone()));
        }
    }

    pub(super) fn role(&mut self, how: How, home: &Sym, name: &Sym, place: &Place) {
        let role = RoleAt {
            home: home.clone(),
            name: name.clone(),
            place: place.clone(),
        };
        self.push(how, place, Aim::Role(role));
    }
}

//! The rights that RBAC controls and the escalation graph speak of, in a form that is compared
//! without looking at strings.

use std::borrow::Cow;

use crate::inventory::{Sym, rbac::Rule};

macro_rules! things {
    ($($thing:ident $group:literal $resource:literal;)*) => {
        /// A resource, or subresource, on which some verb is a power.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Thing {
            $(#[doc = concat!("`", $resource, "` of the group `", $group, "`.")] $thing,)*
        }

        impl Thing {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$thing),*];

            /// API group.
            pub const fn group(self) -> &'static str {
                match self { $(Self::$thing => $group,)* }
            }

            /// Resource, with its subresource.
            pub const fn resource(self) -> &'static str {
                match self { $(Self::$thing => $resource,)* }
            }
        }
    };
}

things! {
    Secrets "" "secrets";
    ConfigMaps "" "configmaps";
    Namespaces "" "namespaces";
    Pods "" "pods";
    PodsExec "" "pods/exec";
    PodsAttach "" "pods/attach";
    PodsPortForward "" "pods/portforward";
    PodsProxy "" "pods/proxy";
    EphemeralContainers "" "pods/ephemeralcontainers";
    ServicesProxy "" "services/proxy";
    ReplicationControllers "" "replicationcontrollers";
    Deployments "apps" "deployments";
    DaemonSets "apps" "daemonsets";
    StatefulSets "apps" "statefulsets";
    ReplicaSets "apps" "replicasets";
    Jobs "batch" "jobs";
    CronJobs "batch" "cronjobs";
    Tokens "" "serviceaccounts/token";
    Nodes "" "nodes";
    NodesStatus "" "nodes/status";
    NodesProxy "" "nodes/proxy";
    PersistentVolumes "" "persistentvolumes";
    Users "" "users";
    Groups "" "groups";
    ServiceAccounts "" "serviceaccounts";
    Uids "authentication.k8s.io" "uids";
    UserExtras "authentication.k8s.io" "userextras";
    ConstrainedImpersonation "*" "*";
    Roles "rbac.authorization.k8s.io" "roles";
    ClusterRoles "rbac.authorization.k8s.io" "clusterroles";
    RoleBindings "rbac.authorization.k8s.io" "rolebindings";
    ClusterRoleBindings "rbac.authorization.k8s.io" "clusterrolebindings";
    Approvals "certificates.k8s.io" "certificatesigningrequests/approval";
    Signers "certificates.k8s.io" "signers";
    ValidatingWebhooks "admissionregistration.k8s.io" "validatingwebhookconfigurations";
    MutatingWebhooks "admissionregistration.k8s.io" "mutatingwebhookconfigurations";
    ValidatingPolicies "admissionregistration.k8s.io" "validatingadmissionpolicies";
    ValidatingPolicyBindings "admissionregistration.k8s.io" "validatingadmissionpolicybindings";
    MutatingPolicies "admissionregistration.k8s.io" "mutatingadmissionpolicies";
    MutatingPolicyBindings "admissionregistration.k8s.io" "mutatingadmissionpolicybindings";
    ControlPolicies "probity.dev" "controlpolicies";
    VeleroBackups "velero.io" "backups";
    DeleteBackupRequests "velero.io" "deletebackuprequests";
    VolumeSnapshots "snapshot.storage.k8s.io" "volumesnapshots";
    SnapshotContents "snapshot.storage.k8s.io" "volumesnapshotcontents";
    DatabaseBackups "postgresql.cnpg.io" "backups";
    LonghornBackups "longhorn.io" "backups";
    LonghornBackupVolumes "longhorn.io" "backupvolumes";
    K8upSnapshots "k8up.io" "snapshots";
}

impl Thing {
    /// A set of just this.
    pub const fn bit(self) -> u64 {
        1 << self as u32
    }

    /// Whether requests for it are made at cluster scope: no `RoleBinding` can give them.
    pub const fn is_cluster_scoped(self) -> bool {
        matches!(
            self,
            Self::Nodes
                | Self::NodesStatus
                | Self::NodesProxy
                | Self::PersistentVolumes
                | Self::Users
                | Self::Groups
                | Self::Uids
                | Self::UserExtras
                | Self::ClusterRoleBindings
                | Self::Approvals
                | Self::Signers
                | Self::ValidatingWebhooks
                | Self::MutatingWebhooks
                | Self::ValidatingPolicies
                | Self::ValidatingPolicyBindings
                | Self::MutatingPolicies
                | Self::MutatingPolicyBindings
                | Self::ControlPolicies
                | Self::SnapshotContents
        )
    }

    /// Its resource, with the group where several tools have a resource of that name.
    pub fn full_name(self) -> Cow<'static, str> {
        match self.resource() {
            resource @ ("backups" | "snapshots") => {
                Cow::Owned(format!("{resource}.{}", self.group()))
            }
            resource => Cow::Borrowed(resource),
        }
    }

    /// Whether a rule's groups and resources cover it.
    fn is_in(self, rule: &Rule) -> bool {
        let group = self.group();
        if self == Self::ConstrainedImpersonation {
            return !rule.resources.is_empty();
        }
        if !rule.groups.iter().any(|g| **g == *group || **g == *"*") {
            return false;
        }
        if self == Self::UserExtras {
            // The keys of extras are its subresources: any of them counts.
            return rule.resources.iter().any(|resource| {
                **resource == *"*"
                    || resource.starts_with("*/")
                    || resource.starts_with("userextras/")
            });
        }
        covers(rule, self.resource())
    }
}

/// Whether a rule's resources cover `resource`, which may have a subresource.
pub fn covers(rule: &Rule, resource: &str) -> bool {
    let sub = resource.split_once('/').map(|(_, sub)| sub);
    rule.resources.iter().any(|listed| {
        **listed == *resource
            || **listed == *"*"
            || (sub.is_some() && listed.strip_prefix("*/") == sub)
    })
}

/// A set of verbs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Verbs(u32);

macro_rules! verbs {
    ($($verb:ident $name:literal $bit:literal;)*) => {
        impl Verbs {
            $(#[doc = concat!("`", $name, "`")] pub const $verb: Self = Self(1 << $bit);)*

            /// Every verb that has a name here.
            pub(super) const NAMED: &'static [(Self, &'static str)] = &[$((Self::$verb, $name)),*];
        }
    };
}

verbs! {
    GET "get" 0;
    LIST "list" 1;
    WATCH "watch" 2;
    CREATE "create" 3;
    UPDATE "update" 4;
    PATCH "patch" 5;
    DELETE "delete" 6;
    DELETE_ALL "deletecollection" 7;
    ESCALATE "escalate" 8;
    BIND "bind" 9;
    IMPERSONATE "impersonate" 10;
    APPROVE "approve" 11;
    SIGN "sign" 12;
}

impl Verbs {
    /// A verb that begins with `impersonate:` or `impersonate-on:`.
    pub const CONSTRAINED: Self = Self(1 << 13);
    /// A verb that is none of the others.
    pub const OTHER: Self = Self(1 << 14);
    /// `create` of a name: by a server-side apply, for which `patch` is needed too.
    const APPLY: Self = Self(1 << 15);
    /// Verbs whose answer shows the object: the API server answers a patch with the whole of it, and the deletion of a
    /// collection with all that were in it, also in a dry run (seen on 1.37). A deletion by name is answered with a status,
    /// an update with what was sent.
    pub const SHOWN: Self = Self::GET
        .or(Self::LIST)
        .or(Self::WATCH)
        .or(Self::PATCH)
        .or(Self::DELETE_ALL);
    /// All of them.
    pub const ANY: Self = Self(u32::MAX);

    /// The verbs of both sets.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The verbs that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The verbs that are not in the other set.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a verb of `other` is in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn of(verb: &str) -> Self {
        if verb == "*" {
            return Self::ANY.without(Self::APPLY);
        }
        let named = Self::NAMED.iter().find(|(_, name)| *name == verb);
        named.map_or_else(
            || {
                let constrained =
                    verb.starts_with("impersonate:") || verb.starts_with("impersonate-on:");
                if constrained {
                    Self::CONSTRAINED
                } else {
                    Self::OTHER
                }
            },
            |(bit, _)| *bit,
        )
    }
}

impl std::fmt::Display for Verbs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = Self::NAMED.iter().filter(|(verb, _)| self.has(*verb));
        let mut names: Vec<&str> = names.map(|(_, name)| *name).collect();
        if self.has(Self::CONSTRAINED) {
            names.push("impersonate:…");
        }
        if names.is_empty() {
            names.push("other verbs");
        }
        f.write_str(&names.join(", "))
    }
}

/// Verbs on a thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Power {
    /// On what.
    pub thing: Thing,
    /// Which verbs.
    pub verbs: Verbs,
    /// Names that it is limited to; empty means all.
    pub names: Box<[Sym]>,
}

/// What a role can do, as far as it matters.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Powers {
    /// Sorted by thing; those for all names first.
    list: Box<[Power]>,
    /// Things of which there is a power.
    things: u64,
    /// Whether a single rule allows every verb on every resource of every group.
    pub everything: bool,
}

impl Powers {
    /// The powers of rules.
    pub fn of<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Self {
        let mut list: Vec<Power> = Vec::new();
        let mut everything = false;
        for rule in rules {
            let verbs = rule.verbs.iter().map(|verb| Verbs::of(verb));
            let verbs = verbs.fold(Verbs::default(), Verbs::or);
            if verbs.is_empty() || rule.resources.is_empty() || rule.groups.is_empty() {
                continue;
            }
            everything |= super::super::rbac::is_everything(rule);
            let things = Thing::ALL.iter().filter(|thing| thing.is_in(rule));
            list.extend(things.filter_map(|thing| power(*thing, verbs, rule)));
        }
        list.sort_by(|a, b| (a.thing, &a.names).cmp(&(b.thing, &b.names)));
        list.dedup_by(|next, kept| {
            let same = (next.thing, &next.names) == (kept.thing, &kept.names);
            if same {
                kept.verbs = kept.verbs.or(next.verbs);
            }
            same
        });
        let things = list.iter().fold(0, |all, power| all | power.thing.bit());
        Self {
            list: list.into(),
            things,
            everything,
        }
    }

    /// Things of which there is a power.
    pub const fn things(&self) -> u64 {
        self.things
    }

    /// All of them, with what a `create` of a name needs beside it: whether `patch` is granted.
    pub fn iter(&self) -> impl Iterator<Item = &Power> {
        self.list.iter()
    }

    /// Those on a thing.
    pub fn on(&self, thing: Thing) -> impl Iterator<Item = &Power> {
        let there = self.things & thing.bit() != 0;
        let list = if there { &*self.list } else { &[] };
        list.iter().filter(move |power| power.thing == thing)
    }

    /// The verbs on a thing that a role gives beyond what `other` gives.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let left = self.list.iter().filter_map(|power| {
            let covered = other.on(power.thing).filter(|theirs| {
                theirs.names.is_empty()
                    || (!power.names.is_empty()
                        && power.names.iter().all(|name| theirs.names.contains(name)))
            });
            let covered = covered.fold(Verbs::default(), |all, theirs| all.or(theirs.verbs));
            let verbs = power.verbs.without(covered);
            (!verbs.is_empty()).then(|| Power {
                verbs,
                ..power.clone()
            })
        });
        let list: Box<[Power]> = left.collect();
        Self {
            things: list.iter().fold(0, |all, power| all | power.thing.bit()),
            everything: self.everything && !other.everything,
            list,
        }
    }
}

/// What a rule allows on a thing that it covers.
fn power(thing: Thing, verbs: Verbs, rule: &Rule) -> Option<Power> {
    let verbs = match thing {
        Thing::ConstrainedImpersonation => verbs.and(Verbs::CONSTRAINED),
        _ if rule.names.is_empty() => verbs,
        // Subresources carry the name; a plain create, and a deletion of many, carry none.
        _ if thing.resource().contains('/') => verbs,
        _ if verbs.has(Verbs::CREATE) => verbs
            .without(Verbs::CREATE.or(Verbs::DELETE_ALL))
            .or(Verbs::APPLY),
        _ => verbs.without(Verbs::DELETE_ALL),
    };
    // A list of everything is not what a constrained verb is about: the other things tell.
    let star = thing == Thing::ConstrainedImpersonation && rule.verbs.iter().any(|v| **v == *"*");
    (!verbs.is_empty() && !star).then(|| Power {
        thing,
        verbs,
        names: rule.names.clone(),
    })
}

impl Power {
    /// Its verbs, with `create` where objects of a name can be created by server-side apply:
    /// `patched` says whether `patch` is held on it too, for one of its names.
    pub fn verbs(&self, patched: impl FnOnce() -> bool) -> Verbs {
        if !self.verbs.has(Verbs::APPLY) {
            return self.verbs;
        }
        let rest = self.verbs.without(Verbs::APPLY);
        if self.verbs.has(Verbs::PATCH) || patched() {
            rest.or(Verbs::CREATE)
        } else {
            rest
        }
    }

    /// Whether it is for an object of this name.
    pub fn is_for(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|listed| **listed == *name)
    }
}

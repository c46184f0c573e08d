//! `rbac-anonymous-and-authenticated-groups`

use super::{Preset, command, is_protected, presets};
use crate::{
    analysis::rbac_defaults::{self, Right, Trust},
    controls::prelude::*,
    inventory::rbac::{Binding, Holder},
};

/// Nobody gives rights to everybody: to anonymous callers, to all who are authenticated, or to all
/// service accounts. Only the bindings that Kubernetes itself creates may.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnonymousAndAuthenticatedGroups {
    /// Further grants to everybody that are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub extra_allowed: Vec<AllowedGrant>,

    /// Platforms whose own bindings are accepted. Only `kubeadm` has one: anonymous callers may
    /// read the `ConfigMap` `kube-public/cluster-info`.
    #[serde(default = "presets::defaults")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub presets: Vec<Preset>,
}

/// A grant to everybody that is accepted: all fields must match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedGrant {
    /// Name of the binding.
    #[schemars(length(min = 1, max = 253))]
    pub binding: String,

    /// Namespace of a RoleBinding; absent for a `ClusterRoleBinding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,

    /// Kind of the role that it gives.
    #[serde(default)]
    pub role_kind: RoleKind,

    /// Name of the role that it gives.
    #[schemars(length(min = 1, max = 253))]
    pub role: String,

    /// Who gets it.
    pub subject: Everybody,

    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub owner: Option<String>,

    /// Why it is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub reason: Option<String>,
}

/// Kind of a role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoleKind {
    /// A role of one namespace.
    Role,
    /// A role of the cluster.
    #[default]
    ClusterRole,
}

/// Users and groups that are everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Everybody {
    /// The user that callers without credentials are.
    #[serde(rename = "system:anonymous")]
    Anonymous,
    /// The group of callers without credentials.
    #[serde(rename = "system:unauthenticated")]
    Unauthenticated,
    /// The group of all callers with credentials.
    #[serde(rename = "system:authenticated")]
    Authenticated,
    /// The group of all service accounts.
    #[serde(rename = "system:serviceaccounts")]
    ServiceAccounts,
}

impl Everybody {
    fn of(holder: &Holder) -> Option<Self> {
        match (&*holder.kind, &*holder.name) {
            ("User", "system:anonymous") => Some(Self::Anonymous),
            ("Group", "system:unauthenticated") => Some(Self::Unauthenticated),
            ("Group", "system:authenticated") => Some(Self::Authenticated),
            ("Group", "system:serviceaccounts") => Some(Self::ServiceAccounts),
            _ => None,
        }
    }
}

impl Default for AnonymousAndAuthenticatedGroups {
    fn default() -> Self {
        Self {
            extra_allowed: Vec::new(),
            presets: presets::defaults(),
        }
    }
}

/// Paths that `system:discovery` gave before 1.16 or so. The server adds to a default role and never
/// takes away, so that a cluster which was upgraded ever since still has them.
const FORMER_PATHS: [&str; 4] = [
    "/swagger-2.0.0.pb-v1",
    "/swagger.json",
    "/swaggerapi",
    "/swaggerapi/*",
];

/// What is to be said of a binding that gives something to everybody.
enum Finding {
    /// Places of the subjects to which it must not give anything.
    Forbidden(Vec<usize>),
    /// The binding is Kubernetes' own; its role holds more than it should.
    Widened(Vec<Right>),
    /// It looks like Kubernetes' own, and this server version is not pinned.
    Unpinned,
    /// It is accepted.
    Accepted,
}

impl AnonymousAndAuthenticatedGroups {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-anonymous-and-authenticated-groups",
        field: "rbacAnonymousAndAuthenticatedGroups",
        title: "Nothing is granted to everybody",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC6.6"],
        severity: Severity::Critical,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &[
            Kind::Role,
            Kind::ClusterRole,
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
        ],
        subjects: &[Kind::RoleBinding, Kind::ClusterRoleBinding],
        derives: &[],
        observes: &[],
        writes: &[
            Write::delete(Kind::RoleBinding),
            Write::delete(Kind::ClusterRoleBinding),
        ],
        scope: ScopeUse::Ignored,
        what: "No RoleBinding and no ClusterRoleBinding names the user `system:anonymous` or the \
               groups `system:unauthenticated`, `system:authenticated` or \
               `system:serviceaccounts`, except those that this version of Kubernetes creates \
               itself (same name, label, role and subjects, and a role that holds no more than \
               its default), kubeadm's `kube-public/kubeadm:bootstrap-signer-clusterinfo`, and \
               those in `extraAllowed`.",
        why: "Such a grant is open to whoever reaches the API server, or to every pod of the \
              cluster.",
        fix: "A binding that names nobody else is deleted, after it was archived; Kubernetes' own, \
              Probity's own and bindings that name others too are proposals.",
        by_hand: "Bind the role to the identities that need it, then delete the binding to \
               everybody.",
        prevention: "A ValidatingAdmissionPolicy can refuse bindings that name these groups.",
        limits: "Subjects are the bindings, without Kubernetes' own where they are untouched. A \
                 custom binding fails even if its role is harmless. On a server version without \
                 pins, bindings that look like Kubernetes' own are Unknown. \
                 `system:serviceaccounts:<namespace>` is left to the other controls. OpenShift \
                 brings many such bindings: name those that you accept in `extraAllowed`. The \
                 API server may refuse anonymous callers altogether, which is not visible.",
    };

    /// What is to be said of a binding; `None` where it is none of our business.
    fn finding(
        &self,
        inventory: &Inventory,
        observed: &Observed,
        kind: Kind,
        binding: &Object<Binding>,
    ) -> Option<Finding> {
        let holders = || binding.spec.subjects.iter().enumerate();
        let everybody = holders().filter_map(|(at, h)| Some((at, h, Everybody::of(h)?)));
        let (mut ours, mut forbidden, mut unpinned, mut default) = (false, vec![], false, false);
        for (at, holder, who) in everybody {
            ours = true;
            match rbac_defaults::grant(observed.server_minor, kind, binding, holder) {
                Trust::BuiltIn => default = true,
                Trust::Unpinned => unpinned = true,
                Trust::Custom if self.accepts(inventory, kind, binding, who) => {}
                Trust::Custom => forbidden.push(at),
            }
        }
        if !ours {
            return None;
        }
        let widened = if default {
            widened(inventory, observed, binding)
        } else {
            Vec::new()
        };
        if !forbidden.is_empty() {
            Some(Finding::Forbidden(forbidden))
        } else if !widened.is_empty() {
            Some(Finding::Widened(widened))
        } else if unpinned {
            Some(Finding::Unpinned)
        } else {
            // Kubernetes' own binding as it should be is no subject.
            (!default).then_some(Finding::Accepted)
        }
    }

    /// Whether a preset or the policy accepts a grant.
    fn accepts(
        &self,
        inventory: &Inventory,
        kind: Kind,
        binding: &Object<Binding>,
        who: Everybody,
    ) -> bool {
        let (meta, spec) = (&binding.meta, &binding.spec);
        let listed = self.extra_allowed.iter().any(|entry| {
            let role_kind = match entry.role_kind {
                RoleKind::Role => "Role",
                RoleKind::ClusterRole => "ClusterRole",
            };
            entry.subject == who
                && entry.binding == *meta.name
                && entry.namespace.as_deref().unwrap_or_default() == &*meta.namespace
                && entry.role == *spec.role
                && role_kind == &*spec.role_kind
        });
        let kubeadm = who == Everybody::Anonymous
            && kind == Kind::RoleBinding
            && self.presets.contains(&Preset::Kubeadm)
            && is_cluster_info(inventory, binding);
        listed || kubeadm
    }
}

/// What the role of one of Kubernetes' own bindings holds beyond its default.
fn widened(inventory: &Inventory, observed: &Observed, binding: &Object<Binding>) -> Vec<Right> {
    let role = inventory.tables.cluster_roles.get("", &binding.spec.role);
    let beyond = rbac_defaults::of(observed.server_minor)
        .zip(role)
        .and_then(|(defaults, role)| defaults.beyond(inventory, Kind::ClusterRole, role));
    let mut beyond = beyond.unwrap_or_default();
    beyond.retain(|right| {
        !(right.url && &*right.verb == "get" && FORMER_PATHS.contains(&&*right.what))
    });
    beyond
}

/// Whether it is kubeadm's binding, and its role still gives that one object only.
fn is_cluster_info(inventory: &Inventory, binding: &Object<Binding>) -> bool {
    const NAME: &str = "kubeadm:bootstrap-signer-clusterinfo";
    const NAMESPACE: &str = "kube-public";
    let only = |list: &[crate::inventory::Sym], item: &str| list.len() == 1 && *list[0] == *item;
    let role = inventory.tables.roles.get(NAMESPACE, NAME);
    &*binding.meta.namespace == NAMESPACE
        && &*binding.meta.name == NAME
        && &*binding.spec.role_kind == "Role"
        && &*binding.spec.role == NAME
        && role.is_none_or(|role| {
            role.spec.rules.iter().all(|rule| {
                only(&rule.verbs, "get")
                    && only(&rule.groups, "")
                    && only(&rule.resources, "configmaps")
                    && only(&rule.names, "cluster-info")
                    && rule.urls.is_empty()
            })
        })
}

fn forbid(context: &Context<'_>, kind: Kind, binding: &Object<Binding>, at: &[usize]) -> Verdict {
    let (meta, spec) = (&binding.meta, &binding.spec);
    let names: Vec<_> = at.iter().filter_map(|at| spec.subjects.get(*at)).collect();
    let names: Vec<_> = names.iter().map(|holder| &*holder.name).collect();
    let message = format!(
        "gives {} {} to {}",
        spec.role_kind,
        spec.role,
        names.join(", ")
    );
    let verdict = Verdict::fail(Strength::Effective, "GrantToEverybody", message);
    let whole = at.len() == spec.subjects.len() && !is_protected(context.own_namespace, binding);
    if !whole {
        return verdict.propose(command::remove_subjects(kind, binding, at));
    }
    let verdict = verdict.propose(command::delete(kind, &meta.namespace, &meta.name));
    if meta.deleting {
        return verdict;
    }
    verdict.remedy(Remedy::Delete {
        target: Target {
            kind,
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        },
    })
}

fn restore(binding: &Object<Binding>, beyond: &[Right]) -> Verdict {
    let role = &binding.spec.role;
    let list: Vec<_> = beyond.iter().take(8).map(Right::to_string).collect();
    let message = format!(
        "ClusterRole {role}, which everybody has, holds {} rights beyond its default: {}",
        beyond.len(),
        list.join(", ")
    );
    let edit = command::edit(Kind::ClusterRole, "", role);
    Verdict::fail(Strength::Effective, "DefaultRoleWidened", message)
        .propose(format!("remove these rights: {edit}"))
}

fn table(inventory: &Inventory, kind: Kind) -> &crate::inventory::Table<Binding> {
    if kind == Kind::RoleBinding {
        &inventory.tables.role_bindings
    } else {
        &inventory.tables.cluster_role_bindings
    }
}

impl Control for AnonymousAndAuthenticatedGroups {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            Kind::RoleBinding | Kind::ClusterRoleBinding => {
                let subject = Subject::object(change.kind, &change.namespace, &change.name);
                Touched::Subject(subject)
            }
            Kind::Role => Touched::Namespace(change.namespace.clone()),
            // Of cluster roles only the defaults that everybody has are looked into.
            _ if change.name.starts_with("system:") => Touched::All,
            _ => Touched::Nothing,
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let (inventory, observed) = (context.inventory, context.observed);
        let mut look = |kind, binding| {
            if self.finding(inventory, observed, kind, binding).is_some() {
                found(Subject::of(kind, &binding.meta));
            }
        };
        let tables = &inventory.tables;
        if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
            let bindings = tables.role_bindings.in_namespace(namespace);
            bindings.for_each(|binding| look(Kind::RoleBinding, binding));
            return;
        }
        let wide = tables.cluster_role_bindings.iter();
        wide.for_each(|binding| look(Kind::ClusterRoleBinding, binding));
        if namespace.is_none() {
            let narrow = tables.role_bindings.iter();
            narrow.for_each(|binding| look(Kind::RoleBinding, binding));
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let kind = subject.object_kind()?;
        let bindings = table(context.inventory, kind);
        let binding = bindings.get(&subject.namespace, &subject.name)?;
        let finding = self.finding(context.inventory, context.observed, kind, binding)?;
        Some(match finding {
            Finding::Forbidden(at) => forbid(context, kind, binding, &at),
            Finding::Widened(beyond) => restore(binding, &beyond),
            Finding::Unpinned => Verdict::unknown(
                "ServerVersionNotPinned",
                "looks like a binding of Kubernetes' own, and what this server version creates is \
                 not known",
            ),
            Finding::Accepted => Verdict::pass(Strength::Effective, "GrantAccepted", ""),
        })
    }
}

#[cfg(test)]
mod tests;

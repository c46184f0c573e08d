//! `rbac-secrets-read-restricted`

use std::borrow::Cow;

use super::{
    AllowedSubject,
    restricted::{self, Held, Restricted},
};
use crate::{
    analysis::{
        Derived,
        rbac_defaults::{self, Trust},
        rights::{Grant, Thing, Verbs},
    },
    controls::{labels::LabelSelector, prelude::*},
};

/// Only listed identities can read Secrets in the whole cluster, or in namespaces that are marked
/// as confidential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsReadRestricted {
    /// Identities that may read them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,

    /// Labels of confidential namespaces. Default: `probity.dev/data: confidential`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidential_selector: Option<LabelSelector>,

    /// Count what Kubernetes' own roles `edit` and `admin` give by a RoleBinding.
    #[serde(default = "yes")]
    pub count_edit: bool,
}

const fn yes() -> bool {
    true
}

impl Default for SecretsReadRestricted {
    fn default() -> Self {
        Self {
            allowed_subjects: Vec::new(),
            confidential_selector: None,
            count_edit: yes(),
        }
    }
}

impl SecretsReadRestricted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-secrets-read-restricted",
        field: "rbacSecretsReadRestricted",
        title: "Only listed identities can read Secrets across namespaces or in confidential ones",
        family: Family::Rbac,
        criteria: &["CC6.1", "C1.1"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 3,
        reads: &[
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
            Kind::ServiceAccount,
            Kind::Namespace,
        ],
        subjects: &[Kind::ServiceAccount],
        derives: &[Derived::Rights],
        observes: &[],
        writes: &restricted::DELETES,
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` effectively \
               holds `get`, `list`, `watch`, `patch` or `deletecollection` on Secrets at cluster \
               scope, or in a namespace that `confidentialSelector` selects, through whatever role \
               and binding. A right that is limited to names counts in confidential namespaces \
               only.",
        why: "Secrets hold the keys to everything else. `list` and `watch` show their content as \
              well as `get` does; so does the answer to an empty `patch`, and that to a \
              `deletecollection`, even where it is a dry run that deletes nothing.",
        fix: "A binding none of whose subjects may keep what it gives is deleted, after it was \
              archived. Otherwise the command that takes the identity out is proposed.",
        by_hand: "Give a role that names the Secrets that are needed; list controllers that need \
                  them all in `allowedSubjects` with owner, reason and review date.",
        prevention: "A ValidatingAdmissionPolicy can refuse roles that name Secrets; it does not \
                     see which namespaces a binding makes of it.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; who is in a group is not visible. Holders of cluster-admin are \
                 NotApplicable here: rbac-cluster-admin-allowlist judges them. Whoever may create \
                 pods in a namespace can read its Secrets too: rbac-escalation-paths follows that. \
                 Ingress controllers, cert-manager, external-secrets and Flux need this right: \
                 list their accounts. A label of a namespace can be taken off by whoever may \
                 change it. Grants by other authorizers are not visible.",
    };

    fn is_confidential(&self, inventory: &Inventory, namespace: &str) -> bool {
        let meta = inventory.meta(Kind::Namespace, "", namespace);
        meta.is_some_and(|meta| match &self.confidential_selector {
            Some(selector) => selector.matches(&meta.labels),
            None => meta.labels.get("probity.dev/data") == Some("confidential"),
        })
    }

    fn first_confidential<'a>(&self, inventory: &'a Inventory) -> Option<&'a str> {
        let namespaces = inventory.tables.namespaces.iter();
        let mut names = namespaces.map(|namespace| &*namespace.meta.name);
        names.find(|name| self.is_confidential(inventory, name))
    }
}

/// Whether the role is Kubernetes' own `edit` or `admin`, and so is what it gives here.
pub(super) fn is_default_edit(context: &Context<'_>, grant: &Grant<'_>, thing: Thing) -> bool {
    let (name, home) = (&**grant.role, &**grant.role_namespace);
    let default = || {
        let defaults = rbac_defaults::of(context.observed.server_minor)?;
        let default = defaults.powers(Kind::ClusterRole, "", name)?;
        let beyond = grant.powers.beyond(&default);
        Some(beyond.on(thing).next().is_none())
    };
    matches!(name, "edit" | "admin") && home.is_empty() && default() == Some(true)
}

/// Whether the role looks like Kubernetes' own `edit` or `admin`, and what those give on this
/// server version is not known.
pub(super) fn may_be_default_edit(context: &Context<'_>, grant: &Grant<'_>) -> bool {
    let named = matches!(&**grant.role, "edit" | "admin") && grant.role_namespace.is_empty();
    let (inventory, minor) = (context.inventory, context.observed.server_minor);
    let role = inventory.tables.cluster_roles.get("", grant.role);
    let trust = |role| rbac_defaults::role(inventory, minor, Kind::ClusterRole, role);
    named && role.is_some_and(|role| trust(role) == Trust::Unpinned)
}

impl Restricted for SecretsReadRestricted {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[(Thing::Secrets, Verbs::SHOWN)];
    const REASON: &'static str = "SecretsReadable";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn check_own(&self) -> Result<(), String> {
        let mut selector = self.confidential_selector.iter();
        selector.try_for_each(|selector| selector.check("confidentialSelector"))
    }

    fn namespace_changed(&self) -> Touched {
        Touched::All
    }

    fn is_unpinned(&self, context: &Context<'_>, held: &Held<'_>) -> bool {
        let local = !held.grant.namespace.is_empty();
        local && !self.count_edit && may_be_default_edit(context, &held.grant)
    }

    fn counts(
        &self,
        context: &Context<'_>,
        _: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>> {
        let namespace = &**held.grant.namespace;
        if namespace.is_empty() {
            if held.names.is_empty() {
                return Some(held.place());
            }
            let confidential = self.first_confidential(context.inventory)?;
            let place = format!(" in every namespace, confidential {confidential} among them");
            return Some(Cow::Owned(place));
        }
        let exempt = || !self.count_edit && is_default_edit(context, &held.grant, Thing::Secrets);
        if !self.is_confidential(context.inventory, namespace) || exempt() {
            return None;
        }
        Some(Cow::Owned(format!(
            " in confidential namespace {namespace}"
        )))
    }
}

#[cfg(test)]
mod tests;

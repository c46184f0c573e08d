//! Controls of the family `rbac`.
//!
//! They judge every namespace, system ones included, and change a role or binding never: removing
//! a subject or a verb needs the same rights as adding one. Whole bindings are deleted.

mod admission_config_write_restricted;
mod allowed;
mod anonymous_and_authenticated_groups;
mod cluster_admin_allowlist;
mod command;
mod csr_approval_restricted;
mod escalation_paths;
mod exec_restricted;
mod no_escalate_bind_impersonate;
mod no_wildcard_resources;
mod no_wildcard_verbs;
mod nodes_proxy_restricted;
mod presets;
mod pv_create_restricted;
mod restricted;
mod revoke;
mod secrets_read_restricted;
mod service_accounts_hygiene;
mod stale_bindings;
#[cfg(test)]
mod testing;
mod token_request_restricted;
mod wildcards;
mod workload_create_restricted;

pub use admission_config_write_restricted::AdmissionConfigWriteRestricted;
pub use allowed::{AllowedSubject, IdentityKind};
pub use anonymous_and_authenticated_groups::{
    AllowedGrant, AnonymousAndAuthenticatedGroups, Everybody, RoleKind,
};
pub use cluster_admin_allowlist::ClusterAdminAllowlist;
pub use csr_approval_restricted::CsrApprovalRestricted;
pub use escalation_paths::EscalationPaths;
pub use exec_restricted::ExecRestricted;
pub use no_escalate_bind_impersonate::NoEscalateBindImpersonate;
pub use no_wildcard_resources::NoWildcardResources;
pub use no_wildcard_verbs::NoWildcardVerbs;
pub use nodes_proxy_restricted::NodesProxyRestricted;
pub use presets::Preset;
pub use pv_create_restricted::PvCreateRestricted;
pub use secrets_read_restricted::SecretsReadRestricted;
pub use service_accounts_hygiene::ServiceAccountsHygiene;
pub use stale_bindings::StaleBindings;
pub use token_request_restricted::TokenRequestRestricted;
pub use wildcards::AllowedRole;
pub use workload_create_restricted::WorkloadCreateRestricted;

use crate::{
    analysis::rbac_defaults::BOOTSTRAPPING,
    inventory::{Object, rbac::Binding},
};

/// Whether a binding is one that is never deleted: Kubernetes' own, or one that Probity itself
/// needs. The label is enough here: what it protects wrongly becomes a proposal.
fn is_protected(own_namespace: &str, binding: &Object<Binding>) -> bool {
    let labels = &binding.meta.labels;
    let released = labels.get("app.kubernetes.io/managed-by") == Some("Helm")
        && labels.get("app.kubernetes.io/name") == Some("probity");
    let own = |namespace: &str| !own_namespace.is_empty() && namespace == own_namespace;
    let names_us = binding.spec.subjects.iter().any(|holder| {
        let account = crate::analysis::rbac::account(&holder.name);
        match &*holder.kind {
            "ServiceAccount" => own(&holder.namespace),
            "User" => account.is_some_and(|(namespace, _)| own(namespace)),
            // Bootstrapping goes through this group, whatever the binding is called.
            "Group" => &*holder.name == "system:masters",
            _ => false,
        }
    });
    labels.get(BOOTSTRAPPING).is_some() || binding.meta.owners.ours || released || names_us
}

//! Controls of the family `rbac`.
//!
//! They judge every namespace, system ones included, and change a role or binding never: removing
//! a subject or a verb needs the same rights as adding one. Whole bindings are deleted.

mod access_review_current;
mod admission_config_write_restricted;
mod anonymous_and_authenticated_groups;
mod cluster_admin_allowlist;
mod csr_approval_restricted;
mod escalation_paths;
mod exec_restricted;
mod no_escalate_bind_impersonate;
mod no_wildcard_resources;
mod no_wildcard_verbs;
mod nodes_proxy_restricted;
mod presets;
mod pv_create_restricted;
mod secrets_read_restricted;
mod service_accounts_hygiene;
mod stale_bindings;
mod token_request_restricted;
mod wildcards;
mod workload_create_restricted;

pub use access_review_current::AccessReviewCurrent;
pub use admission_config_write_restricted::AdmissionConfigWriteRestricted;
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
pub use stale_bindings::{LeaversConfigMap, StaleBindings};
pub use token_request_restricted::TokenRequestRestricted;
pub use wildcards::AllowedRole;
pub use workload_create_restricted::WorkloadCreateRestricted;

use super::restricted::{self, AllowedSubject, command, revoke, revoke::is_protected};
#[cfg(test)]
use super::restricted::{IdentityKind, allowed, testing};

#[cfg(test)]
mod tests {
    use super::{testing::check_not_judged, *};

    #[test]
    fn administrators_and_unknown_versions_are_not_judged() {
        let certificates = "sign certificates.k8s.io signers";
        let admission = "create admissionregistration.k8s.io validatingwebhookconfigurations";
        let escalate = "escalate rbac.authorization.k8s.io clusterroles";
        check_not_judged(&ExecRestricted::default(), "create  pods/exec");
        check_not_judged(&NodesProxyRestricted::default(), "get  nodes/proxy");
        check_not_judged(&WorkloadCreateRestricted::default(), "create  pods");
        let tokens = "create  serviceaccounts/token";
        check_not_judged(&TokenRequestRestricted::default(), tokens);
        check_not_judged(&AdmissionConfigWriteRestricted::default(), admission);
        check_not_judged(&CsrApprovalRestricted::default(), certificates);
        check_not_judged(&PvCreateRestricted::default(), "create  persistentvolumes");
        check_not_judged(&NoEscalateBindImpersonate::default(), escalate);
        check_not_judged(&SecretsReadRestricted::default(), "get  secrets");
    }
}

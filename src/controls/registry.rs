//! The one list of all controls. Documentation, chart rights, metrics and the command line come
//! from it.

use std::sync::Arc;

use super::{Control, Info, backup, encryption, network, rbac, workload};
use crate::{
    api::{Controls, Mode},
    verdict::Severity,
};

/// A control as a policy switches it on.
#[derive(Debug, Clone)]
pub struct Enabled {
    /// The control with its parameters.
    pub control: Arc<dyn Control>,
    /// Its parameters as JSON, defaults filled in: what is hashed and compared.
    pub parameters: serde_json::Value,
    /// Mode override.
    pub mode: Option<Mode>,
    /// Severity override.
    pub severity: Option<Severity>,
}

/// A registered control.
#[derive(Debug)]
pub struct Registered {
    /// What everyone needs to know of it.
    pub info: &'static Info,
    /// The control of a policy, if the policy switches it on.
    pub enabled: fn(&Controls) -> Option<Enabled>,
}

macro_rules! registry {
    ($($field:ident: $control:ty,)*) => {
        /// Every control, by family.
        pub static REGISTRY: &[Registered] = &[$(Registered {
            info: &<$control>::INFO,
            enabled: |controls| controls.$field.as_ref().map(|setting| Enabled {
                control: Arc::new(setting.parameters.clone()),
                parameters: serde_json::to_value(&setting.parameters).unwrap_or_default(),
                mode: setting.mode,
                severity: setting.severity,
            }),
        },)*];
    };
}

registry! {
    enc_ingress_tls: encryption::IngressTls,
    enc_secrets_at_rest_active: encryption::SecretsAtRestActive,
    rbac_anonymous_and_authenticated_groups: rbac::AnonymousAndAuthenticatedGroups,
    rbac_cluster_admin_allowlist: rbac::ClusterAdminAllowlist,
    rbac_csr_approval_restricted: rbac::CsrApprovalRestricted,
    rbac_escalation_paths: rbac::EscalationPaths,
    rbac_exec_restricted: rbac::ExecRestricted,
    rbac_no_escalate_bind_impersonate: rbac::NoEscalateBindImpersonate,
    rbac_no_wildcard_resources: rbac::NoWildcardResources,
    rbac_no_wildcard_verbs: rbac::NoWildcardVerbs,
    rbac_nodes_proxy_restricted: rbac::NodesProxyRestricted,
    rbac_pv_create_restricted: rbac::PvCreateRestricted,
    rbac_secrets_read_restricted: rbac::SecretsReadRestricted,
    rbac_service_accounts_hygiene: rbac::ServiceAccountsHygiene,
    rbac_stale_bindings: rbac::StaleBindings,
    rbac_token_request_restricted: rbac::TokenRequestRestricted,
    rbac_workload_create_restricted: rbac::WorkloadCreateRestricted,
    net_namespace_default_deny: network::NamespaceDefaultDeny,
    net_no_allow_all: network::NoAllowAll,
    backup_rpo_met: backup::RpoMet,
    backup_schedule_active: backup::ScheduleActive,
    workload_psa_enforced: workload::PsaEnforced,
}

/// The control with this id.
pub fn find(id: &str) -> Option<&'static Registered> {
    REGISTRY.iter().find(|registered| registered.info.id == id)
}

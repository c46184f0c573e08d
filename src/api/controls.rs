//! One typed optional field per control.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::{
    controls::{backup, encryption, network, rbac, workload},
    verdict::Severity,
};

/// A control that is switched on: its parameters, and what differs from the policy's defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Setting<P> {
    /// The control's own parameters.
    #[serde(flatten)]
    pub parameters: P,
    /// Mode of this control; the policy's mode where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Severity of failures of this control; the control's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// The controls of a policy. Each field switches one on; an empty object takes its defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
#[allow(
    missing_docs,
    reason = "the description of a field is the documentation of its control"
)]
pub struct Controls {
    /// Each host of an Ingress has TLS and redirects plain HTTP; each Gateway listener has TLS or
    /// only redirects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_ingress_tls: Option<Setting<encryption::IngressTls>>,
    /// Each API server encrypts Secrets before it stores them, seen by a canary Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_secrets_at_rest_active: Option<Setting<encryption::SecretsAtRestActive>>,
    /// Nobody gives rights to everybody: to anonymous callers, to all who are authenticated, or
    /// to all service accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_anonymous_and_authenticated_groups:
        Option<Setting<rbac::AnonymousAndAuthenticatedGroups>>,
    /// Only listed identities hold cluster-admin, through whatever role and binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_cluster_admin_allowlist: Option<Setting<rbac::ClusterAdminAllowlist>>,
    /// Only listed identities can have certificates issued with which somebody is another user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_csr_approval_restricted: Option<Setting<rbac::CsrApprovalRestricted>>,
    /// Only listed identities get into running containers of production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_exec_restricted: Option<Setting<rbac::ExecRestricted>>,
    /// Roles name the resources and paths that they cover, without `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_no_wildcard_resources: Option<Setting<rbac::NoWildcardResources>>,
    /// Roles name the verbs that they allow, without `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_no_wildcard_verbs: Option<Setting<rbac::NoWildcardVerbs>>,
    /// Only listed identities hold `nodes/proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_nodes_proxy_restricted: Option<Setting<rbac::NodesProxyRestricted>>,
    /// Only listed identities and CSI provisioners create persistent volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_pv_create_restricted: Option<Setting<rbac::PvCreateRestricted>>,
    /// Only listed identities can read Secrets in the whole cluster or in confidential namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_secrets_read_restricted: Option<Setting<rbac::SecretsReadRestricted>>,
    /// Nobody can become cluster administrator step by step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_escalation_paths: Option<Setting<rbac::EscalationPaths>>,
    /// Only listed identities hold `escalate`, `bind` or `impersonate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_no_escalate_bind_impersonate: Option<Setting<rbac::NoEscalateBindImpersonate>>,
    /// Default accounts have no rights, and tokens without rights are not mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_service_accounts_hygiene: Option<Setting<rbac::ServiceAccountsHygiene>>,
    /// Bindings lead from somebody to something, and people hold rights through groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_stale_bindings: Option<Setting<rbac::StaleBindings>>,
    /// Only listed identities get tokens of accounts in privileged namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_token_request_restricted: Option<Setting<rbac::TokenRequestRestricted>>,
    /// Only listed identities make pods in privileged namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_workload_create_restricted: Option<Setting<rbac::WorkloadCreateRestricted>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_namespace_default_deny: Option<Setting<network::NamespaceDefaultDeny>>,
    /// No workload that network policies isolate is opened to everyone again by the rules of
    /// those policies taken together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_no_allow_all: Option<Setting<network::NoAllowAll>>,
    /// Every volume claim has a recovery point that is young enough, proven for that very claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_rpo_met: Option<Setting<backup::RpoMet>>,
    /// Every backup schedule is switched on, is accepted by its tool, is due often enough, and
    /// runs when it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_schedule_active: Option<Setting<backup::ScheduleActive>>,
    /// Each namespace enforces a Pod Security level, so that the API server refuses pods that
    /// could take over their node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_psa_enforced: Option<Setting<workload::PsaEnforced>>,
}

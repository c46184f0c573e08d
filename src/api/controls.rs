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
    /// Roles name the verbs that they allow, without `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_no_wildcard_verbs: Option<Setting<rbac::NoWildcardVerbs>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_namespace_default_deny: Option<Setting<network::NamespaceDefaultDeny>>,
    /// No workload that network policies isolate is opened to everyone again by the rules of
    /// those policies taken together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_no_allow_all: Option<Setting<network::NoAllowAll>>,
    /// Every volume claim and database cluster is covered by an active backup schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_coverage: Option<Setting<backup::Coverage>>,
    /// Every place that backups lie in encrypts them, and is reached over an encrypted connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_encrypted: Option<Setting<backup::Encrypted>>,
    /// What says that each backup location can't be changed is on file and current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_immutability: Option<Setting<backup::Immutability>>,
    /// Every place that backups are written to, or lie in, can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_location_available: Option<Setting<backup::LocationAvailable>>,
    /// Each backup class has a recovery point outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_offsite: Option<Setting<backup::Offsite>>,
    /// The last restore test of each backup class was quick enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_restore_rto_met: Option<Setting<backup::RestoreRtoMet>>,
    /// Each backup class was restored and verified, not too long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_restore_test_current: Option<Setting<backup::RestoreTestCurrent>>,
    /// Backups are kept for long enough, and not for too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_retention_met: Option<Setting<backup::RetentionMet>>,
    /// Every volume claim and database cluster has a recovery point that is young enough, proven
    /// for that very one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_rpo_met: Option<Setting<backup::RpoMet>>,
    /// The runs of each backup schedule succeed, and end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_runs_clean: Option<Setting<backup::RunsClean>>,
    /// Every backup schedule is switched on, is accepted by its tool, is due often enough, and
    /// runs when it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_schedule_active: Option<Setting<backup::ScheduleActive>>,
    /// Each namespace enforces a Pod Security level, so that the API server refuses pods that
    /// could take over their node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_psa_enforced: Option<Setting<workload::PsaEnforced>>,
}

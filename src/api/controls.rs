//! One typed optional field per control.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::{
    controls::{assurance, attested, backup, encryption, network, rbac, workload},
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
    /// The API server checks the certificate of everything that it calls: aggregated APIs and
    /// webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_aggregated_and_webhook_tls: Option<Setting<encryption::AggregatedAndWebhookTls>>,
    /// API servers refuse old versions of TLS, and their certificate is strong and does not end
    /// soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_apiserver_tls_profile: Option<Setting<encryption::ApiserverTlsProfile>>,
    /// Certificates of cert-manager are issued and renewed in time, and the authorities that
    /// webhooks and aggregated APIs are checked against don't end soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_certificates_valid: Option<Setting<encryption::CertificatesValid>>,
    /// All API servers use the same encryption configuration, and reload it without failing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_config_consistent_across_replicas:
        Option<Setting<encryption::ConfigConsistentAcrossReplicas>>,
    /// etcd is reached by TLS with client certificates, and so are its members among themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_etcd_tls: Option<Setting<encryption::EtcdTls>>,
    /// Each host of an Ingress has TLS and redirects plain HTTP; each Gateway listener has TLS or
    /// only redirects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_ingress_tls: Option<Setting<encryption::IngressTls>>,
    /// The key management service answers the API servers, and its key is replaced in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_kms_healthy_and_rotated: Option<Setting<encryption::KmsHealthyAndRotated>>,
    /// Volumes are encrypted where they lie, and the class of claims that name none encrypts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_persistent_volumes: Option<Setting<encryption::PersistentVolumes>>,
    /// What pods send each other is encrypted: by a service mesh that takes nothing else, or by
    /// the network between nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_pod_traffic: Option<Setting<encryption::PodTraffic>>,
    /// Each API server encrypts Secrets before it stores them, seen by a canary Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_secrets_at_rest_active: Option<Setting<encryption::SecretsAtRestActive>>,
    /// No API server finds a Secret in storage that is not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_secrets_no_plaintext_reads: Option<Setting<encryption::SecretsNoPlaintextReads>>,
    /// What API servers encrypt, they encrypt with providers that are strong enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_secrets_provider_strength: Option<Setting<encryption::SecretsProviderStrength>>,
    /// After each change of the encryption configuration or of a KMS key, everything is written
    /// anew by a storage migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc_secrets_reencrypted: Option<Setting<encryption::SecretsReencrypted>>,
    /// Rights are reviewed every quarter, and what was to be revoked is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_access_review_current: Option<Setting<rbac::AccessReviewCurrent>>,
    /// Only listed identities change webhooks, admission policies and the policies of Probity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac_admission_config_write_restricted:
        Option<Setting<rbac::AdmissionConfigWriteRestricted>>,
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
    /// Where the cluster has policies for all namespaces, one of them denies by default or keeps
    /// tenants apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_cluster_baseline: Option<Setting<network::ClusterBaseline>>,
    /// Workloads of confidential namespaces let pods of other namespaces in only where a policy
    /// names those namespaces, and the pods in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_cross_namespace_explicit: Option<Setting<network::CrossNamespaceExplicit>>,
    /// Workloads reach no public address but those that the policy lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_egress_internet_restricted: Option<Setting<network::EgressInternetRestricted>>,
    /// Every entry point into the cluster is known, and each that the public can reach is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_exposure_inventory: Option<Setting<network::ExposureInventory>>,
    /// Only listed workloads share the network of their node, or open a port on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_host_network: Option<Setting<network::HostNetwork>>,
    /// Workloads don't reach the cloud's metadata endpoint, which hands out the credentials of
    /// their node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_metadata_endpoint_blocked: Option<Setting<network::MetadataEndpointBlocked>>,
    /// Each namespace denies traffic that no policy allows, in the directions given, so that pods
    /// created later are isolated from their first packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_namespace_default_deny: Option<Setting<network::NamespaceDefaultDeny>>,
    /// No workload that network policies isolate is opened to everyone again by the rules of
    /// those policies taken together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_no_allow_all: Option<Setting<network::NoAllowAll>>,
    /// Every workload is isolated for egress: some policy selects its pods, so that they reach only
    /// what a policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_pod_egress_isolated: Option<Setting<network::PodEgressIsolated>>,
    /// Every workload is isolated for ingress: some policy selects its pods, so that only what a
    /// policy allows reaches them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_pod_ingress_isolated: Option<Setting<network::PodIngressIsolated>>,
    /// Every network policy selects some pod, and so does each of its peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_policy_dead: Option<Setting<network::PolicyDead>>,
    /// The cluster's network plugin enforces network policies, seen by two pods and a policy
    /// between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_policy_enforced: Option<Setting<network::PolicyEnforced>>,
    /// The state of the control plane is backed up: etcd, or all that is declared in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_control_plane_state: Option<Setting<backup::ControlPlaneState>>,
    /// Every volume claim and database cluster is covered by an active backup schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_coverage: Option<Setting<backup::Coverage>>,
    /// Only listed identities and the backup tools themselves can delete backups, or read the
    /// credentials of the places that they lie in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_deletion_restricted: Option<Setting<backup::DeletionRestricted>>,
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
    /// The password of Velero's repositories is not the one that is printed in Velero's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_repo_secret_not_default: Option<Setting<backup::RepoSecretNotDefault>>,
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
    /// Recovery from a disaster was exercised within a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_dr_exercise: Option<Setting<attested::DrExercise>>,
    /// Oversight and structure are documented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_governance: Option<Setting<attested::Governance>>,
    /// The identity provider asks for a second factor, and its groups are right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_idp_mfa_and_membership: Option<Setting<attested::IdpMfaAndMembership>>,
    /// The response to an incident was exercised within a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_incident_exercise: Option<Setting<attested::IncidentExercise>>,
    /// The register of incidents is kept month by month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_incident_register: Option<Setting<attested::IncidentRegister>>,
    /// The system was attacked by testers within a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_penetration_test: Option<Setting<attested::PenetrationTest>>,
    /// Access to rooms and machines is restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_physical_access: Option<Setting<attested::PhysicalAccess>>,
    /// Policies were reviewed within a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_policy_review: Option<Setting<attested::PolicyReview>>,
    /// The privacy programme is operated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_privacy_program: Option<Setting<attested::PrivacyProgram>>,
    /// Risks were assessed within a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_risk_assessment: Option<Setting<attested::RiskAssessment>>,
    /// Everybody was trained in security within a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_security_training: Option<Setting<attested::SecurityTraining>>,
    /// Reports of hosting providers were read, and cover the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_subservice_soc_report: Option<Setting<attested::SubserviceSocReport>>,
    /// Vendors were reviewed within a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest_vendor_review: Option<Setting<attested::VendorReview>>,
    /// What was disposed of is on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conf_disposal_record: Option<Setting<attested::DisposalRecord>>,
    /// The clock that stamps the evidence is that of the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance_clock: Option<Setting<assurance::ClockRight>>,
    /// Controls are observed nearly all the time of an audit period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance_coverage: Option<Setting<assurance::CoverageSufficient>>,
    /// Each exception that worked without approval is approved soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance_exceptions_approved: Option<Setting<assurance::ExceptionsApproved>>,
    /// Probity's own API, policies, rights and image are those of its release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance_guardrails_intact: Option<Setting<assurance::GuardrailsIntact>>,
    /// The evidence log verifies, every day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance_log_verified: Option<Setting<assurance::LogVerified>>,
    /// Probity may read all that its controls read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance_permissions: Option<Setting<assurance::Permissions>>,
    /// Each change of what is judged has an author, another approver, and a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance_policy_change_control: Option<Setting<assurance::PolicyChangeControl>>,
}

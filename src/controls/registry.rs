//! The one list of all controls. Documentation, chart rights, metrics and the command line come
//! from it.

use std::sync::Arc;

use super::{Control, Info, assurance, attested, backup, encryption, network, rbac, workload};
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
    enc_aggregated_and_webhook_tls: encryption::AggregatedAndWebhookTls,
    enc_apiserver_tls_profile: encryption::ApiserverTlsProfile,
    enc_certificates_valid: encryption::CertificatesValid,
    enc_config_consistent_across_replicas: encryption::ConfigConsistentAcrossReplicas,
    enc_etcd_tls: encryption::EtcdTls,
    enc_ingress_tls: encryption::IngressTls,
    enc_kms_healthy_and_rotated: encryption::KmsHealthyAndRotated,
    enc_persistent_volumes: encryption::PersistentVolumes,
    enc_pod_traffic: encryption::PodTraffic,
    enc_secrets_at_rest_active: encryption::SecretsAtRestActive,
    enc_secrets_no_plaintext_reads: encryption::SecretsNoPlaintextReads,
    enc_secrets_provider_strength: encryption::SecretsProviderStrength,
    enc_secrets_reencrypted: encryption::SecretsReencrypted,
    rbac_access_review_current: rbac::AccessReviewCurrent,
    rbac_admission_config_write_restricted: rbac::AdmissionConfigWriteRestricted,
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
    net_cluster_baseline: network::ClusterBaseline,
    net_cross_namespace_explicit: network::CrossNamespaceExplicit,
    net_egress_internet_restricted: network::EgressInternetRestricted,
    net_exposure_inventory: network::ExposureInventory,
    net_host_network: network::HostNetwork,
    net_metadata_endpoint_blocked: network::MetadataEndpointBlocked,
    net_namespace_default_deny: network::NamespaceDefaultDeny,
    net_no_allow_all: network::NoAllowAll,
    net_pod_egress_isolated: network::PodEgressIsolated,
    net_pod_ingress_isolated: network::PodIngressIsolated,
    net_policy_dead: network::PolicyDead,
    net_policy_enforced: network::PolicyEnforced,
    backup_control_plane_state: backup::ControlPlaneState,
    backup_coverage: backup::Coverage,
    backup_deletion_restricted: backup::DeletionRestricted,
    backup_encrypted: backup::Encrypted,
    backup_immutability: backup::Immutability,
    backup_location_available: backup::LocationAvailable,
    backup_offsite: backup::Offsite,
    backup_repo_secret_not_default: backup::RepoSecretNotDefault,
    backup_restore_rto_met: backup::RestoreRtoMet,
    backup_restore_test_current: backup::RestoreTestCurrent,
    backup_retention_met: backup::RetentionMet,
    backup_rpo_met: backup::RpoMet,
    backup_runs_clean: backup::RunsClean,
    backup_schedule_active: backup::ScheduleActive,
    workload_psa_enforced: workload::PsaEnforced,
    attest_dr_exercise: attested::DrExercise,
    attest_governance: attested::Governance,
    attest_idp_mfa_and_membership: attested::IdpMfaAndMembership,
    attest_incident_exercise: attested::IncidentExercise,
    attest_incident_register: attested::IncidentRegister,
    attest_penetration_test: attested::PenetrationTest,
    attest_physical_access: attested::PhysicalAccess,
    attest_policy_review: attested::PolicyReview,
    attest_privacy_program: attested::PrivacyProgram,
    attest_risk_assessment: attested::RiskAssessment,
    attest_security_training: attested::SecurityTraining,
    attest_subservice_soc_report: attested::SubserviceSocReport,
    attest_vendor_review: attested::VendorReview,
    conf_disposal_record: attested::DisposalRecord,
    assurance_clock: assurance::ClockRight,
    assurance_coverage: assurance::CoverageSufficient,
    assurance_exceptions_approved: assurance::ExceptionsApproved,
    assurance_guardrails_intact: assurance::GuardrailsIntact,
    assurance_log_verified: assurance::LogVerified,
    assurance_permissions: assurance::Permissions,
    assurance_policy_change_control: assurance::PolicyChangeControl,
}

/// The control with this id.
pub fn find(id: &str) -> Option<&'static Registered> {
    REGISTRY.iter().find(|registered| registered.info.id == id)
}

/// The control that a person means: by its id, or by the field that switches it on.
pub fn meant(name: &str) -> Option<&'static Registered> {
    let by_field = || REGISTRY.iter().find(|known| known.info.field == name);
    find(name).or_else(by_field)
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::ControlPolicy;

    #[test]
    fn a_control_is_found_by_its_id_and_by_its_field() {
        for Registered { info, .. } in REGISTRY {
            for name in [info.id, info.field] {
                assert_eq!(meant(name).map(|found| found.info.id), Some(info.id));
            }
        }
        let found = meant("netNamespaceDefaultDeny").map(|found| found.info.id);
        assert_eq!(found, Some("net-namespace-default-deny"));
        assert!(meant("netNamespaceDefault").is_none());
    }

    /// The parameters of a control that are label selectors, by the schema that the API server has.
    fn selectors(info: &Info) -> Vec<String> {
        let crd = serde_json::to_value(ControlPolicy::crd()).unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let parameters = &spec["properties"]["controls"]["properties"][info.field]["properties"];
        let parameters = parameters.as_object().unwrap().iter();
        let selectors = parameters.filter(|(_, it)| !it["properties"]["matchLabels"].is_null());
        selectors.map(|(name, _)| name.clone()).collect()
    }

    #[test]
    fn a_selector_that_no_label_can_satisfy_is_refused_by_every_control_that_takes_one() {
        let mut seen = 0;
        for Registered { info, enabled } in REGISTRY {
            for parameter in selectors(info) {
                let check = |selector: Value| {
                    let controls = json!({ info.field: { &*parameter: selector } });
                    let controls = serde_json::from_value(controls).unwrap();
                    enabled(&controls).unwrap().control.check()
                };
                let id = info.id;
                assert_eq!(
                    check(json!({ "matchLabels": { "a": "b" } })),
                    Ok(()),
                    "{id}"
                );
                let why = check(json!({ "matchLabels": { "a b": "c" } })).unwrap_err();
                let begin = format!("{parameter} can't be used: \"a b\" is no key of a label: ");
                assert!(why.starts_with(&begin), "{id}: {why}");
                seen += 1;
            }
        }
        assert!(seen > 5, "{seen}");
    }
}

//! What controls read beside objects.

/// Something beside objects that a control reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Observation {
    /// The canary Secret and the counters of each API server.
    EncryptionCanary,
    /// What each API server tells of itself: metrics, flags, health of KMS providers, TLS.
    ApiServerFacts,
    /// What entry points show to TLS clients, where a policy asks for it.
    TlsHandshakes,
    /// Cilium's configuration.
    CiliumConfig,
    /// Who has left the organisation, where a policy names a list.
    LeaverList,
    /// Two pods, and a policy between them.
    NetworkProbe,
    /// Whether the password of Velero's repositories is the built-in one.
    RepositoryPassword,
    /// A Velero Restore into a sandbox, where a policy asks for it. The engine runs it.
    RestoreDrill,
    /// Exceptions that work without approval.
    Exceptions,
    /// What people attest.
    Attestations,
    /// What people decided about rights.
    AccessReviews,
    /// The last change of each policy, exception and attestation, by the log.
    Changes,
    /// How much of each audit period was observed, by the log.
    AuditPeriods,
    /// The time by the API server.
    ServerClock,
    /// A check of the evidence log.
    SelfAudit,
    /// What may be read.
    OwnRights,
    /// Our own CRDs, policies, rights and image.
    Guardrails,
    /// What the API server says about a few rights.
    AccessChecks,
}

impl Observation {
    /// Whether making it writes something, if only for a moment.
    pub const fn writes(self) -> bool {
        matches!(
            self,
            Self::EncryptionCanary | Self::NetworkProbe | Self::RestoreDrill
        )
    }

    /// Name in the chart.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EncryptionCanary => "EncryptionCanary",
            Self::ApiServerFacts => "ApiServerFacts",
            Self::TlsHandshakes => "TlsHandshakes",
            Self::CiliumConfig => "CiliumConfig",
            Self::LeaverList => "LeaverList",
            Self::NetworkProbe => "NetworkProbe",
            Self::RepositoryPassword => "RepositoryPassword",
            Self::RestoreDrill => "RestoreDrill",
            Self::Exceptions => "Exceptions",
            Self::Attestations => "Attestations",
            Self::AccessReviews => "AccessReviews",
            Self::Changes => "Changes",
            Self::AuditPeriods => "AuditPeriods",
            Self::ServerClock => "ServerClock",
            Self::SelfAudit => "SelfAudit",
            Self::OwnRights => "OwnRights",
            Self::Guardrails => "Guardrails",
            Self::AccessChecks => "AccessChecks",
        }
    }

    /// What it reads and writes, for the pages of controls.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::EncryptionCanary => {
                "Writes and reads its own Secret `probity-canary`, reads the counters of the API \
                 servers (`/metrics`) and their addresses."
            }
            Self::ApiServerFacts => {
                "Reads `/metrics`, `/flagz` and `/readyz/kms-provider…` of each API server, and \
                 begins TLS handshakes with it. Reads the static pods of those that don't show \
                 their flags, kubeadm's ConfigMap `kubeadm-config`, and OpenShift's APIServer \
                 `cluster`."
            }
            Self::TlsHandshakes => {
                "Where a policy sets `handshake`, begins TLS handshakes with the addresses of \
                 Ingresses and Gateways."
            }
            Self::CiliumConfig => "Reads the ConfigMap `cilium-config` in `kube-system`.",
            Self::LeaverList => {
                "Where a policy sets `leaversConfigMap`, reads that ConfigMap every minute; of the \
                 names in it only those are shown that a binding names."
            }
            Self::NetworkProbe => {
                "Creates, reads and deletes two pods and a network policy of its own, in a \
                 namespace of its own, where the policy sets `run` and the chart \
                 `networkProbe.enabled`."
            }
            Self::RepositoryPassword => {
                "Reads the Secret `velero-repo-credentials` in Velero's namespace, where the chart \
                 sets `velero.readRepositoryPassword`; compares it in memory and keeps whether it \
                 is the built-in one."
            }
            Self::RestoreDrill => {
                "Where the policy sets `drill` and the chart `drill.enabled`: creates and deletes a \
                 namespace of its own with quotas, defaults for containers and a network policy, and creates, annotates and \
                 deletes its own Velero Restores."
            }
            Self::Exceptions => "Reads the ControlExceptions and ClusterControlExceptions.",
            Self::Attestations => "Reads the Attestations.",
            Self::AccessReviews => "Reads the AccessReviews, and freezes what they list.",
            Self::Changes => {
                "Reads the ControlPolicies, ControlExceptions, ClusterControlExceptions and Attestations, and the \
                 evidence log."
            }
            Self::AuditPeriods => "Reads the AuditPeriods, and the evidence log.",
            Self::ServerClock => "Reads `/version`, for the time of the answer.",
            Self::SelfAudit => "Reads the evidence log.",
            Self::OwnRights => "Takes note of what the API server refuses to its watches.",
            Self::AccessChecks => {
                "Where the chart sets `accessChecks.enabled`, asks the API server once a day, by \
                 eighteen `SubjectAccessReview`s, what strangers may do."
            }
            Self::Guardrails => {
                "Reads, by name and once a minute, Probity's own CRDs, ValidatingAdmissionPolicies, roles, \
                 their bindings, and StatefulSet."
            }
        }
    }
}

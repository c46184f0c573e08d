//! Bindings that platforms create: each matches by name, role *and* subject.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::inventory::{Object, rbac::Binding, rbac::Holder};

/// A platform whose own bindings are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Amazon EKS: the add-on manager.
    Eks,
    /// Google GKE: the storage version migrator.
    Gke,
    /// Azure AKS: the users of its local accounts.
    Aks,
    /// `OpenShift`: its cluster administrators, and the accounts of its operators.
    Openshift,
    /// kubeadm: its group of administrators, and the `cluster-info` that joining nodes read.
    Kubeadm,
}

/// Presets that apply unless a policy says otherwise.
pub(super) fn defaults() -> Vec<Preset> {
    vec![Preset::Kubeadm]
}

impl Preset {
    /// Bindings to `cluster-admin`: name, kind of subject, namespace, subject.
    const fn cluster_admins(
        self,
    ) -> &'static [(&'static str, &'static str, &'static str, &'static str)] {
        match self {
            Self::Kubeadm => &[(
                "kubeadm:cluster-admins",
                "Group",
                "",
                "kubeadm:cluster-admins",
            )],
            Self::Eks => &[("eks:addon-cluster-admin", "User", "", "eks:addon-manager")],
            Self::Gke => &[(
                "storage-version-migration-migrator-v2",
                "User",
                "",
                "system:storageversionmigrator",
            )],
            Self::Aks => &[
                ("aks-cluster-admin-binding", "User", "", "clusterAdmin"),
                ("aks-cluster-admin-binding", "User", "", "clusterUser"),
            ],
            Self::Openshift => OPENSHIFT,
        }
    }
}

const ACCOUNT: &str = "ServiceAccount";

/// What an `OpenShift` release brings; its conformance suite keeps such a list too.
const OPENSHIFT: &[(&str, &str, &str, &str)] = &[
    ("cluster-admins", "Group", "", "system:cluster-admins"),
    ("cluster-admins", "User", "", "system:admin"),
    (
        "cluster-network-operator",
        ACCOUNT,
        "openshift-network-operator",
        "cluster-network-operator",
    ),
    (
        "cluster-storage-operator-role",
        ACCOUNT,
        "openshift-cluster-storage-operator",
        "cluster-storage-operator",
    ),
    (
        "cluster-version-operator-1",
        ACCOUNT,
        "openshift-cluster-version",
        "cluster-version-operator",
    ),
    (
        "custom-account-openshift-machine-config-operator",
        ACCOUNT,
        "openshift-machine-config-operator",
        "machine-config-operator",
    ),
    (
        "operator-controller-cluster-admin-rolebinding",
        ACCOUNT,
        "openshift-operator-controller",
        "operator-controller-controller-manager",
    ),
    (
        "storage-version-migration-migrator",
        ACCOUNT,
        "openshift-kube-storage-version-migrator",
        "kube-storage-version-migrator-sa",
    ),
    (
        "system:openshift:oauth-apiserver",
        ACCOUNT,
        "openshift-oauth-apiserver",
        "oauth-apiserver-sa",
    ),
    (
        "system:openshift:openshift-apiserver",
        ACCOUNT,
        "openshift-apiserver",
        "openshift-apiserver-sa",
    ),
    (
        "system:openshift:openshift-authentication",
        ACCOUNT,
        "openshift-authentication",
        "oauth-openshift",
    ),
    (
        "system:openshift:operator:authentication",
        ACCOUNT,
        "openshift-authentication-operator",
        "authentication-operator",
    ),
    (
        "system:openshift:operator:cluster-kube-scheduler-operator",
        ACCOUNT,
        "openshift-kube-scheduler-operator",
        "openshift-kube-scheduler-operator",
    ),
    (
        "system:openshift:operator:etcd-operator",
        ACCOUNT,
        "openshift-etcd-operator",
        "etcd-operator",
    ),
    (
        "system:openshift:operator:kube-apiserver-operator",
        ACCOUNT,
        "openshift-kube-apiserver-operator",
        "kube-apiserver-operator",
    ),
    (
        "system:openshift:operator:kube-apiserver-recovery",
        ACCOUNT,
        "openshift-kube-apiserver",
        "localhost-recovery-client",
    ),
    (
        "system:openshift:operator:kube-controller-manager-operator",
        ACCOUNT,
        "openshift-kube-controller-manager-operator",
        "kube-controller-manager-operator",
    ),
    (
        "system:openshift:operator:kube-controller-manager-recovery",
        ACCOUNT,
        "openshift-kube-controller-manager",
        "localhost-recovery-client",
    ),
    (
        "system:openshift:operator:kube-scheduler-recovery",
        ACCOUNT,
        "openshift-kube-scheduler",
        "localhost-recovery-client",
    ),
    (
        "system:openshift:operator:kube-storage-version-migrator-operator",
        ACCOUNT,
        "openshift-kube-storage-version-migrator-operator",
        "kube-storage-version-migrator-operator",
    ),
    (
        "system:openshift:operator:openshift-apiserver-operator",
        ACCOUNT,
        "openshift-apiserver-operator",
        "openshift-apiserver-operator",
    ),
    (
        "system:openshift:operator:openshift-config-operator",
        ACCOUNT,
        "openshift-config-operator",
        "openshift-config-operator",
    ),
    (
        "system:openshift:operator:openshift-controller-manager-operator",
        ACCOUNT,
        "openshift-controller-manager-operator",
        "openshift-controller-manager-operator",
    ),
    (
        "system:openshift:operator:openshift-etcd-installer",
        ACCOUNT,
        "openshift-etcd",
        "installer-sa",
    ),
    (
        "system:openshift:operator:openshift-kube-apiserver-installer",
        ACCOUNT,
        "openshift-kube-apiserver",
        "installer-sa",
    ),
    (
        "system:openshift:operator:openshift-kube-controller-manager-installer",
        ACCOUNT,
        "openshift-kube-controller-manager",
        "installer-sa",
    ),
    (
        "system:openshift:operator:openshift-kube-scheduler-installer",
        ACCOUNT,
        "openshift-kube-scheduler",
        "installer-sa",
    ),
    (
        "system:openshift:operator:service-ca-operator",
        ACCOUNT,
        "openshift-service-ca-operator",
        "service-ca-operator",
    ),
];

/// Whether one subject of a binding is a platform's own cluster administrator.
pub(super) fn is_cluster_admin(
    presets: &[Preset],
    binding: &Object<Binding>,
    holder: &Holder,
) -> bool {
    &*binding.spec.role == "cluster-admin"
        && presets
            .iter()
            .flat_map(|preset| preset.cluster_admins())
            .any(|(name, kind, namespace, subject)| {
                *name == &*binding.meta.name
                    && *kind == &*holder.kind
                    && *namespace == &*holder.namespace
                    && *subject == &*holder.name
            })
}

//! `rbac-pv-create-restricted`

use std::borrow::Cow;

use super::{
    AllowedSubject,
    restricted::{Held, Restricted},
};
use crate::{
    analysis::{
        Derived,
        rights::{Thing, Verbs},
    },
    controls::prelude::*,
};

/// Only listed identities, and CSI provisioners, create persistent volumes.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PvCreateRestricted {
    /// Identities that may create persistent volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,
}

impl PvCreateRestricted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-pv-create-restricted",
        field: "rbacPvCreateRestricted",
        title: "Only listed identities and CSI provisioners create persistent volumes",
        family: Family::Rbac,
        criteria: &["CC6.1"],
        severity: Severity::Medium,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[Kind::ServiceAccount],
        subjects: &[Kind::ServiceAccount],
        derives: &[Derived::Rights, Derived::Programs],
        observes: &[],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "No user, group or service account effectively holds `create` on \
               `persistentvolumes` unless it is in `allowedSubjects` or is the service account of \
               a Deployment, StatefulSet or DaemonSet with a container named `csi-provisioner`.",
        why: "A persistent volume may be a `hostPath`: with a claim on it a pod reads and writes \
              the node's own files, which Pod Security does not see.",
        fix: "Nothing is changed. The command that takes the identity out is proposed.",
        by_hand: "Take the right away, and let a storage class make volumes; list provisioners \
                  that are no CSI drivers in `allowedSubjects`.",
        prevention: "A ValidatingAdmissionPolicy can refuse volumes with `hostPath` or `local` by \
                     anybody but those who may, which is the better guard.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; who is in a group is not visible. A right to create volumes of \
                 certain names counts where `patch` is held too, because server-side apply needs \
                 no more. Provisioners that are no CSI drivers, such as local-path, are to be \
                 listed. Holders of cluster-admin are NotApplicable here: \
                 rbac-cluster-admin-allowlist judges them.",
    };
}

impl Restricted for PvCreateRestricted {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[(Thing::PersistentVolumes, Verbs::CREATE)];
    const REASON: &'static str = "PersistentVolumesCreatable";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn counts(
        &self,
        context: &Context<'_>,
        subject: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>> {
        let mut programs = context.analyses.programs().of(subject);
        let provisioner = programs.any(|template| template.provisions);
        (!provisioner).then(|| held.place())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Expect, check, check_all, give, verdict_on};
    use super::*;
    use crate::controls::testing::World;

    #[test]
    fn creating_counts_and_only_at_cluster_scope() {
        let control = PvCreateRestricted::default();
        for (rule, expect) in [
            ("create  persistentvolumes", Expect::Fail),
            ("* * *", Expect::Admin),
            ("create  *", Expect::Fail),
            ("update,patch,delete  persistentvolumes", Expect::Pass),
            ("create  persistentvolumeclaims", Expect::Pass),
            ("create  persistentvolumes pv", Expect::Pass),
            ("create,patch  persistentvolumes pv", Expect::Fail),
        ] {
            check(&control, "", rule, expect);
            check(&control, "shop", rule, Expect::Pass);
        }
        // The right to patch may come by another rule.
        let rules = ["create  persistentvolumes pv", "patch  persistentvolumes"];
        check_all(&control, "", &rules, Expect::Fail);
    }

    #[test]
    fn the_account_of_a_csi_provisioner_passes() {
        let control = PvCreateRestricted::default();
        for (container, account, replicas, reason) in [
            ("csi-provisioner", "ebs", 2, "RightNotHeld"),
            ("csi-provisioner", "ebs", 0, "PersistentVolumesCreatable"),
            ("provisioner", "ebs", 2, "PersistentVolumesCreatable"),
            ("csi-provisioner", "other", 2, "PersistentVolumesCreatable"),
        ] {
            let pod = json!({
                "serviceAccountName": account, "containers": [{ "name": container, "image": "i" }],
            });
            let mut world = World::new().with(
                Kind::Deployment,
                json!({
                    "metadata": { "name": "csi", "namespace": "storage" },
                    "spec": { "template": { "spec": pod }, "replicas": replicas },
                }),
            );
            let ebs = "ServiceAccount storage/ebs";
            give(&mut world, "", "create  persistentvolumes", ebs);
            assert_eq!(verdict_on(&mut world, &control, ebs).reason, reason);
        }
    }
}

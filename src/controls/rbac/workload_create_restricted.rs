//! `rbac-workload-create-restricted`

use std::borrow::Cow;

use super::{
    AllowedSubject,
    restricted::{self, Held, Restricted},
};
use crate::{
    analysis::{
        Derived,
        rights::{Thing, Verbs},
    },
    controls::prelude::*,
};

/// Only listed identities make pods in privileged namespaces, where a pod may run as an account
/// that can become cluster administrator.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadCreateRestricted {
    /// Identities that may make pods there, such as those of `GitOps` controllers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_subjects: Vec<AllowedSubject>,
}

const MAKE: Verbs = Verbs::CREATE.or(Verbs::UPDATE).or(Verbs::PATCH);

impl WorkloadCreateRestricted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-workload-create-restricted",
        field: "rbacWorkloadCreateRestricted",
        title: "Only listed identities make pods in privileged namespaces",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC6.8"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &restricted::READS,
        subjects: &[Kind::ServiceAccount],
        derives: &[Derived::Rights, Derived::Escalation],
        observes: &[],
        writes: &restricted::DELETES,
        scope: ScopeUse::Ignored,
        what: "No user, group or service account that is not in `allowedSubjects` effectively \
               holds `create`, `update` or `patch` on pods, Deployments, DaemonSets, StatefulSets, \
               ReplicaSets, Jobs, CronJobs or ReplicationControllers at cluster scope, or in a \
               privileged namespace: kube-system, and every namespace with a service account that \
               can become cluster administrator.",
        why: "A pod runs as whatever service account of its namespace its author names, and its \
              author reads the token of that account.",
        fix: "A binding none of whose subjects may keep what it gives is deleted, after it was \
              archived. Otherwise the command that takes the identity out is proposed.",
        by_hand: "Bind the identity in other namespaces, or move the powerful account to a \
                  namespace of its own; list GitOps controllers in `allowedSubjects`.",
        prevention: "None: which namespaces are privileged follows from many objects.",
        limits: "Subjects are the identities that a binding names which Kubernetes does not \
                 create itself; who is in a group is not visible. Privileged namespaces are \
                 computed from who can become cluster administrator, not listed, and change with \
                 the cluster; ways through nodes don't make a namespace privileged. Limits to \
                 names are ignored: a workload of any name takes any account. Custom resources \
                 from which an operator makes pods are not seen. Holders of cluster-admin are \
                 NotApplicable here: rbac-cluster-admin-allowlist judges them.",
    };
}

/// Where a right counts that matters in privileged namespaces, in words.
pub(super) fn privileged_place(
    context: &Context<'_>,
    held: &Held<'_>,
) -> Option<Cow<'static, str>> {
    let namespace = &**held.grant.namespace;
    if namespace.is_empty() {
        return Some(held.place());
    }
    let privileged = context.analyses.escalation().is_privileged(namespace);
    privileged.then(|| Cow::Owned(format!(" in privileged namespace {namespace}")))
}

impl Restricted for WorkloadCreateRestricted {
    const INFO: &'static Info = &Self::INFO;
    const RIGHTS: &'static [(Thing, Verbs)] = &[
        (Thing::Pods, MAKE),
        (Thing::Deployments, MAKE),
        (Thing::DaemonSets, MAKE),
        (Thing::StatefulSets, MAKE),
        (Thing::ReplicaSets, MAKE),
        (Thing::Jobs, MAKE),
        (Thing::CronJobs, MAKE),
        (Thing::ReplicationControllers, MAKE),
    ];
    const REASON: &'static str = "PrivilegedPodsCreatable";

    fn allowed(&self) -> &[AllowedSubject] {
        &self.allowed_subjects
    }

    fn affected(&self, derived: Derived, subject: &Subject) -> Touched {
        match (derived, subject.kind) {
            (Derived::Escalation, SubjectKind::Object(Kind::Namespace)) => Touched::All,
            (Derived::Escalation, _) => Touched::Nothing,
            _ => Touched::Subject(subject.clone()),
        }
    }

    fn counts(
        &self,
        context: &Context<'_>,
        _: &Subject,
        held: &Held<'_>,
    ) -> Option<Cow<'static, str>> {
        privileged_place(context, held)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Expect, bind, check, check_fresh_cluster, give, verdict_on};
    use super::*;
    use crate::{
        analysis::rbac_defaults::tests::fresh_cluster, controls::testing::World, verdict::Outcome,
    };

    fn control() -> WorkloadCreateRestricted {
        WorkloadCreateRestricted::default()
    }

    #[test]
    fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
        check_fresh_cluster(&control());
    }

    #[test]
    fn every_way_to_make_a_pod_counts() {
        for (rule, expect) in [
            ("create  pods", Expect::Fail),
            ("patch  pods p", Expect::Fail),
            ("create apps deployments", Expect::Fail),
            ("patch apps daemonsets", Expect::Fail),
            ("update apps statefulsets", Expect::Fail),
            ("create apps replicasets", Expect::Fail),
            ("create batch jobs", Expect::Fail),
            ("patch batch cronjobs x", Expect::Fail),
            ("create  replicationcontrollers", Expect::Fail),
            ("create  pods p", Expect::Pass),
            ("get,list,delete  pods", Expect::Pass),
            ("patch apps deployments/scale", Expect::Pass),
        ] {
            check(&control(), "", rule, expect);
            check(&control(), "kube-system", rule, expect);
            check(&control(), "shop", rule, Expect::Pass);
        }
    }

    #[test]
    fn a_namespace_becomes_privileged_with_an_account_in_it() {
        let mut world = fresh_cluster(37).namespace("shop");
        give(&mut world, "shop", "create  pods", "User dev");
        let outcome = |world: &mut World| verdict_on(world, &control(), "User dev").outcome;
        assert_eq!(outcome(&mut world), Outcome::Pass);
        let meta = json!({ "namespace": "shop", "name": "operator" });
        world.put(Kind::ServiceAccount, json!({ "metadata": meta }));
        bind(
            &mut world,
            "",
            "op",
            "cluster-admin",
            &["ServiceAccount shop/operator"],
        );
        assert_eq!(outcome(&mut world), Outcome::Fail);
        world.delete(Kind::ClusterRoleBinding, "", "op");
        assert_eq!(outcome(&mut world), Outcome::Pass);
    }
}

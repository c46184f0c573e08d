//! A few questions to which effective rights have an answer, and the API server has one too. Where
//! the two differ, another authorizer has a say: EKS access entries, GKE IAM, Azure RBAC, a webhook.

use super::{Request, Rights, Target};
use crate::{
    controls::{Subject, SubjectKind},
    inventory::{Inventory, Kind},
};

/// Whether somebody may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The user.
    pub user: &'static str,
    /// Groups that authentication gives it.
    pub groups: &'static [&'static str],
    /// What it wants to do.
    pub request: Request<'static>,
}

/// Who has no rights of its own where RBAC alone decides and nobody has widened it: a stranger, a
/// user whom no binding names, and an account that every cluster has.
const WHO: [(&str, &[&str]); 3] = [
    ("system:anonymous", &["system:unauthenticated"]),
    ("probity:nobody", &["system:authenticated"]),
    (
        "system:serviceaccount:default:default",
        &[
            "system:serviceaccounts",
            "system:serviceaccounts:default",
            "system:authenticated",
        ],
    ),
];

/// What makes its holder powerful.
const WHAT: [Request<'static>; 6] = [
    on("*", "*", "*"),
    on("list", "", "secrets"),
    on("create", "", "pods"),
    on("get", "", "nodes/proxy"),
    on("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    on("impersonate", "", "users"),
];

const fn on(verb: &'static str, group: &'static str, resource: &'static str) -> Request<'static> {
    let target = Target::Resource {
        group,
        resource,
        namespace: "",
        name: "",
    };
    Request { verb, target }
}

/// Every question.
pub fn questions() -> impl Iterator<Item = Question> {
    let pairs = WHO.into_iter().flat_map(|who| WHAT.map(|what| (who, what)));
    pairs.map(|((user, groups), request)| Question {
        user,
        groups,
        request,
    })
}

impl Question {
    /// What effective rights say.
    pub fn is_allowed(&self, inventory: &Inventory, rights: &Rights) -> bool {
        let subject = match crate::analysis::rbac::account(self.user) {
            Some((namespace, name)) => {
                Subject::object(Kind::ServiceAccount, &namespace.into(), &name.into())
            }
            None => Subject::named(SubjectKind::User, self.user),
        };
        rights
            .allows(inventory, &subject, &[], &self.request)
            .is_some()
    }

    /// Whether it is about everything.
    pub fn is_everything(&self) -> bool {
        self.request == WHAT[0]
    }
}

impl std::fmt::Display for Question {
    /// `system:anonymous list secrets`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.user, self.request.verb)?;
        match self.request.target {
            Target::Resource { resource, .. } => write!(f, " {resource}"),
            Target::Url(path) => write!(f, " {path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{analysis::from_scratch, controls::testing::World};

    fn allowed(world: &World) -> Vec<String> {
        let rights: Rights = from_scratch(&world.inventory);
        let questions = questions();
        let allowed = questions.filter(|question| question.is_allowed(&world.inventory, &rights));
        allowed.map(|question| question.to_string()).collect()
    }

    #[test]
    fn strangers_may_nothing_but_what_a_binding_gives_their_groups() {
        let mut world = crate::analysis::rbac_defaults::tests::fresh_cluster(37);
        assert!(allowed(&world).is_empty());
        let role = json!({
            "metadata": { "name": "r" },
            "rules": [{ "verbs": ["list"], "apiGroups": [""], "resources": ["secrets"] }],
        });
        world.put(Kind::ClusterRole, role);
        for (group, wanted) in [
            (
                "system:unauthenticated",
                vec!["system:anonymous list secrets"],
            ),
            (
                "system:authenticated",
                vec![
                    "probity:nobody list secrets",
                    "system:serviceaccount:default:default list secrets",
                ],
            ),
            (
                "system:serviceaccounts:default",
                vec!["system:serviceaccount:default:default list secrets"],
            ),
        ] {
            let binding = json!({
                "metadata": { "name": "b" },
                "roleRef": { "kind": "ClusterRole", "name": "r" },
                "subjects": [{ "kind": "Group", "name": group }],
            });
            world.put(Kind::ClusterRoleBinding, binding);
            assert_eq!(allowed(&world), wanted, "{group}");
        }
    }
}

//! `rbac-no-wildcard-resources`

use super::{
    command,
    wildcards::{AllowedRole, Reasons, Wildcard, covered, judged_by_rules},
};
use crate::{
    analysis::rbac_defaults::Right,
    controls::prelude::*,
    inventory::rbac::{Role, Rule},
};

/// Roles name the resources and paths that they cover: `*` also covers Secrets, and whatever is
/// installed later.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoWildcardResources {
    /// Roles that may use `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_roles: Vec<AllowedRole>,

    /// Let rules pass that allow nothing but `get`, `list` and `watch`. This widens what passes:
    /// they still read every Secret, which `rbac-secrets-read-restricted` goes on to judge.
    #[serde(default)]
    pub allow_read_only: bool,
}

impl NoWildcardResources {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "rbac-no-wildcard-resources",
        field: "rbacNoWildcardResources",
        title: "Roles name the resources and paths that they cover",
        family: Family::Rbac,
        criteria: &["CC6.1", "CC6.3"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &[
            Kind::Role,
            Kind::ClusterRole,
            Kind::RoleBinding,
            Kind::ClusterRoleBinding,
        ],
        subjects: &[Kind::Role, Kind::ClusterRole],
        derives: &[],
        observes: &[],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "No Role or ClusterRole that is bound, directly or through an aggregated role, has \
               a rule with `*` or `*/*` in its resources together with the core group or `*` in \
               its API groups, or with `*` or `/*` in its nonResourceURLs, unless it is in \
               `allowedRoles`.",
        why: "Such a rule covers Secrets, tokens and subresources such as `pods/exec` and \
              `nodes/proxy`, and every resource that a later version or another tool adds.",
        fix: "Nothing is changed. Naming the resources is proposed: roles are never changed, \
              because the right to take a resource away is the right to add one.",
        by_hand: "Put the resources and paths that are needed in place of `*`: the audit log says \
                  which were used.",
        prevention: "A ValidatingAdmissionPolicy can refuse `*` among the resources and paths of \
                     a role.",
        limits: "Subjects are all roles but those that this version of Kubernetes creates itself, \
                 by name, label and rules; a default role that holds more is judged for what it \
                 holds more. On a server version without pins, roles that look like Kubernetes' \
                 own and have `*` are Unknown. A role that any binding refers to is bound, even \
                 one without subjects; an unbound one passes with a note. `*` on a custom API \
                 group passes: who wrote the rule named the group. `*/scale` and the like cover \
                 one subresource and pass. With `allowReadOnly` a role that can only read passes \
                 here; what it reads is judged by rbac-secrets-read-restricted all the same.",
    };
}

fn is_every_path(path: &str) -> bool {
    matches!(path, "*" | "/*")
}

impl Wildcard for NoWildcardResources {
    const INFO: &'static Info = &Self::INFO;
    const REASONS: Reasons = Reasons {
        none: "NoWildcardResources",
        unbound: "UnboundWildcardResources",
        bound: "WildcardResources",
    };

    fn allowed_roles(&self) -> &[AllowedRole] {
        &self.allowed_roles
    }

    fn offends(&self, rule: &Rule) -> bool {
        let wide = |group: &Sym| group.is_empty() || **group == *"*";
        let resources = rule.resources.iter().any(|r| matches!(&**r, "*" | "*/*"))
            && rule.groups.iter().any(wide)
            && !rule.verbs.is_empty();
        let reads = |verb: &Sym| matches!(&**verb, "get" | "list" | "watch" | "head");
        let accepted = self.allow_read_only && rule.verbs.iter().all(reads);
        (resources || rule.urls.iter().any(|path| is_every_path(path))) && !accepted
    }

    fn is_wild(&self, right: &Right) -> bool {
        if right.url {
            return is_every_path(&right.what);
        }
        matches!(&*right.what, "*" | "*/*") && matches!(&*right.group, "" | "*")
    }

    fn covered(&self, rule: &Rule) -> String {
        let verbs: Vec<&str> = rule.verbs.iter().take(4).map(|verb| &**verb).collect();
        format!("{} on {}", verbs.join(", "), covered(rule))
    }

    fn proposal(&self, kind: Kind, role: &Object<Role>, _: &[(usize, &Rule)]) -> String {
        let meta = &role.meta;
        let edit = command::edit(kind, &meta.namespace, &meta.name);
        format!(
            "name the resources that are needed (the audit log says which were used), and put \
             them in place of `*`: {edit}"
        )
    }
}

judged_by_rules!(NoWildcardResources);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::check_fresh_cluster;
    use super::*;
    use crate::{
        analysis::rbac_defaults::{BOOTSTRAPPING, tests::fresh_cluster},
        controls::testing::World,
        verdict::Outcome,
    };

    fn control() -> NoWildcardResources {
        NoWildcardResources::default()
    }

    /// The verdict on a role with one rule, bound or not.
    fn judge(control: &NoWildcardResources, rule: &Value, bound: bool) -> Verdict {
        let mut world = World::new();
        world.observed.server_minor = Some(37);
        let object = json!({ "metadata": { "name": "r" }, "rules": [rule] });
        world.put(Kind::ClusterRole, object);
        if bound {
            world.put(
                Kind::RoleBinding,
                json!({
                    "metadata": { "name": "b", "namespace": "shop" },
                    "roleRef": { "kind": "ClusterRole", "name": "r" },
                }),
            );
        }
        world.only(control)
    }

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Value {
        json!({ "verbs": verbs, "apiGroups": groups, "resources": resources })
    }

    #[test]
    fn a_cluster_with_nothing_but_kubernetes_has_no_subject() {
        check_fresh_cluster(&control());
    }

    #[test]
    fn a_star_counts_with_the_core_group_or_all_groups() {
        for (rule, reason) in [
            (rule(&["get"], &["*"], &["*"]), "WildcardResources"),
            (rule(&["get"], &[""], &["*"]), "WildcardResources"),
            (
                rule(&["get"], &["apps", ""], &["pods", "*/*"]),
                "WildcardResources",
            ),
            (rule(&["get"], &["apps"], &["*"]), "NoWildcardResources"),
            (rule(&["get"], &["*"], &["pods"]), "NoWildcardResources"),
            (
                rule(&["update"], &["*"], &["*/scale"]),
                "NoWildcardResources",
            ),
            (rule(&[], &["*"], &["*"]), "NoWildcardResources"),
            (
                json!({ "verbs": ["get"], "nonResourceURLs": ["*"] }),
                "WildcardResources",
            ),
            (
                json!({ "verbs": ["get"], "nonResourceURLs": ["/*"] }),
                "WildcardResources",
            ),
            (
                json!({ "verbs": ["get"], "nonResourceURLs": ["/metrics/*"] }),
                "NoWildcardResources",
            ),
        ] {
            assert_eq!(judge(&control(), &rule, true).reason, reason, "{rule}");
        }
    }

    #[test]
    fn reading_is_accepted_only_where_that_is_wanted() {
        let lenient = NoWildcardResources {
            allow_read_only: true,
            ..control()
        };
        for (verbs, outcome) in [
            (&["get", "list", "watch"][..], Outcome::Pass),
            (&["get", "create"], Outcome::Fail),
            (&["*"], Outcome::Fail),
        ] {
            let rule = rule(verbs, &["*"], &["*"]);
            assert_eq!(judge(&lenient, &rule, true).outcome, outcome, "{verbs:?}");
            assert_eq!(judge(&control(), &rule, true).outcome, Outcome::Fail);
        }
    }

    #[test]
    fn an_unbound_role_passes_with_a_note() {
        let verdict = judge(&control(), &rule(&["get"], &["*"], &["*"]), false);
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Pass, "UnboundWildcardResources")
        );
    }

    #[test]
    fn the_message_says_what_is_covered_and_the_proposal_changes_nothing() {
        let verdict = judge(&control(), &rule(&["get", "list"], &[""], &["*"]), true);
        assert_eq!(
            verdict.message,
            "get, list on * of core; bound by RoleBinding shop/b"
        );
        assert!(verdict.remedy.is_none());
        assert!(
            verdict
                .proposal
                .unwrap()
                .ends_with("kubectl edit clusterrole r")
        );
    }

    #[test]
    fn a_label_makes_no_default_and_an_unknown_version_is_unknown() {
        let mut world = fresh_cluster(37);
        world.put(
            Kind::ClusterRole,
            json!({
                "metadata": { "name": "system:mine", "labels": { BOOTSTRAPPING: "rbac-defaults" } },
                "rules": [rule(&["get"], &["*"], &["*"])],
            }),
        );
        world.put(Kind::ClusterRoleBinding, json!({
            "metadata": { "name": "b" }, "roleRef": { "kind": "ClusterRole", "name": "system:mine" },
        }));
        assert_eq!(world.only(&control()).outcome, Outcome::Fail);
        world.observed.server_minor = Some(99);
        let outcomes = world.outcomes(&control());
        assert_eq!(
            outcomes["ClusterRole cluster-admin"],
            (Outcome::Unknown, "ServerVersionNotPinned")
        );
    }

    #[test]
    fn a_listed_role_passes() {
        let entry = json!({ "name": "r", "owner": "sre" });
        let control = NoWildcardResources {
            allowed_roles: vec![serde_json::from_value(entry).unwrap()],
            ..control()
        };
        let verdict = judge(&control, &rule(&["get"], &["*"], &["*"]), true);
        assert_eq!(
            (verdict.reason, &*verdict.message),
            ("AllowedRole", "owner: sre")
        );
    }
}

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::{
    analysis::{Derived, from_scratch},
    controls::testing::World,
    inventory::rbac::Rule,
};

const VERBS: [&str; 8] = [
    "get",
    "list",
    "create",
    "patch",
    "deletecollection",
    "escalate",
    "impersonate",
    "*",
];
const GROUPS: [&str; 4] = ["", "apps", "rbac.authorization.k8s.io", "*"];
const RESOURCES: [&str; 9] = [
    "secrets",
    "pods",
    "pods/exec",
    "deployments",
    "roles",
    "serviceaccounts/token",
    "users",
    "*/exec",
    "*",
];
const NAMES: [&str; 2] = ["a", "b"];
const URLS: [&str; 4] = ["/healthz", "/healthz/*", "/api*", "*"];
const NAMESPACES: [&str; 2] = ["shop", "ci"];

fn some<T: Clone + std::fmt::Debug + 'static>(
    of: &'static [T],
    count: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(select(of), count)
}

fn rule() -> impl Strategy<Value = Value> {
    let resources = (
        some(&VERBS, 1..4),
        some(&GROUPS, 1..3),
        some(&RESOURCES, 1..3),
        some(&NAMES, 0..2),
    );
    let resources = resources.prop_map(|(verbs, groups, resources, names)| {
        json!({ "verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names })
    });
    let urls = (some(&VERBS, 1..3), some(&URLS, 1..3));
    let urls = urls.prop_map(|(verbs, urls)| json!({ "verbs": verbs, "nonResourceURLs": urls }));
    prop_oneof![4 => resources, 1 => urls]
}

/// What happens to an object of the cluster.
#[derive(Debug, Clone)]
enum Step {
    Put(Kind, Value),
    Remove(Kind, &'static str, String),
}

fn role() -> impl Strategy<Value = Step> {
    let rules = prop::collection::vec(rule(), 0..3);
    let place = prop::option::weighted(0.3, select(&NAMESPACES[..]));
    (
        place,
        0..5u8,
        rules,
        0..4u8,
        prop::option::weighted(0.2, 0..4u8),
    )
        .prop_map(|(place, number, rules, label, aggregates)| {
            let name = format!("r{number}");
            let mut meta = json!({ "name": name, "labels": { "l": label.to_string() } });
            let Some(namespace) = place else {
                let mut role = json!({ "metadata": meta, "rules": rules });
                if let Some(from) = aggregates {
                    let selector = json!({ "matchLabels": { "l": from.to_string() } });
                    role["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
                }
                return Step::Put(Kind::ClusterRole, role);
            };
            meta["namespace"] = json!(namespace);
            Step::Put(Kind::Role, json!({ "metadata": meta, "rules": rules }))
        })
}

fn holder() -> impl Strategy<Value = Value> {
    select(
        &[
            ("User", "", "alice"),
            ("User", "", "system:serviceaccount:ci:bot"),
            ("User", "", "system:anonymous"),
            ("Group", "", "devs"),
            ("Group", "", "system:serviceaccounts:ci"),
            ("Group", "", "system:serviceaccounts"),
            ("Group", "", "system:authenticated"),
            ("ServiceAccount", "ci", "bot"),
            ("ServiceAccount", "", "bot"),
        ][..],
    )
    .prop_map(
        |(kind, namespace, name)| json!({ "kind": kind, "namespace": namespace, "name": name }),
    )
}

fn binding() -> impl Strategy<Value = Step> {
    let subjects = prop::collection::vec(holder(), 0..3);
    let place = prop::option::of(select(&NAMESPACES[..]));
    (place, 0..5u8, any::<bool>(), 0..6u8, subjects).prop_map(
        |(place, number, local, role, subjects)| {
            let role_kind = if local && place.is_some() {
                "Role"
            } else {
                "ClusterRole"
            };
            let mut object = json!({
                "metadata": { "name": format!("b{number}") },
                "roleRef": { "kind": role_kind, "name": format!("r{role}") },
                "subjects": subjects,
            });
            let Some(namespace) = place else {
                return Step::Put(Kind::ClusterRoleBinding, object);
            };
            object["metadata"]["namespace"] = json!(namespace);
            Step::Put(Kind::RoleBinding, object)
        },
    )
}

fn removal() -> impl Strategy<Value = Step> {
    let kinds = [
        Kind::Role,
        Kind::ClusterRole,
        Kind::RoleBinding,
        Kind::ClusterRoleBinding,
    ];
    (select(kinds.to_vec()), select(&NAMESPACES[..]), 0..5u8).prop_map(
        |(kind, namespace, number)| {
            let (namespace, letter) = match kind {
                Kind::Role => (namespace, 'r'),
                Kind::RoleBinding => (namespace, 'b'),
                Kind::ClusterRole => ("", 'r'),
                _ => ("", 'b'),
            };
            Step::Remove(kind, namespace, format!("{letter}{number}"))
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(
        prop_oneof![3 => role(), 4 => binding(), 1 => removal()],
        1..24,
    )
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Put(kind, object) => world.put(kind, object),
        Step::Remove(kind, namespace, name) => {
            if world.inventory.meta(kind, namespace, &name).is_some() {
                world.delete(kind, namespace, &name);
            }
        }
    }
}

/// All that can be asked of it, in words.
fn told(rights: &Rights) -> Vec<String> {
    let subjects = rights.identities();
    let mut told: Vec<String> = subjects
        .flat_map(|subject| {
            let things = rights.things(subject);
            rights
                .grants(subject)
                .map(move |grant| format!("{subject} {things:x} {grant:?}"))
        })
        .collect();
    for namespace in ["", "shop", "ci"] {
        told.extend(
            rights
                .roles_in(namespace)
                .map(|(name, powers)| format!("{namespace}/{name} {powers:?}")),
        );
    }
    told
}

/// A second opinion, straight from the documentation: who may do what by which objects, without
/// any index.
fn naive(world: &World, user: (&str, &[&str]), verb: &str, target: Target<'_>) -> bool {
    let inventory = &world.inventory;
    let tables = &inventory.tables;
    let has = |list: &[Sym], item: &str| list.iter().any(|x| **x == *item || **x == *"*");
    let allows = |rule: &Rule| {
        has(&rule.verbs, verb)
            && match target {
                Target::Url(path) => rule.urls.iter().any(|url| match url.strip_suffix('*') {
                    Some(prefix) => path.starts_with(prefix),
                    None => **url == *path,
                }),
                Target::Resource {
                    group,
                    resource,
                    name,
                    ..
                } => {
                    let resource_fits = rule.resources.iter().any(|listed| {
                        let any = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
                        **listed == *"*"
                            || **listed == *resource
                            || Some(&**listed) == any.as_deref()
                    });
                    has(&rule.groups, group)
                        && resource_fits
                        && (rule.names.is_empty() || rule.names.iter().any(|n| **n == *name))
                }
            }
    };
    // The aggregation controller, run until nothing changes.
    let mut cluster: std::collections::BTreeMap<&str, Vec<&Rule>> = tables
        .cluster_roles
        .iter()
        .map(|role| (&*role.meta.name, role.spec.rules.iter().collect()))
        .collect();
    for _ in 0..8 {
        for role in tables.cluster_roles.iter() {
            let selectors = role.spec.aggregates.iter().flatten();
            for selector in selectors {
                for source in tables.cluster_roles.iter() {
                    if source.meta.name != role.meta.name && selector.matches(&source.meta.labels) {
                        let more = cluster[&*source.meta.name].clone();
                        let rules = cluster.get_mut(&*role.meta.name).unwrap();
                        for rule in more {
                            if !rules.contains(&rule) {
                                rules.push(rule);
                            }
                        }
                    }
                }
            }
        }
    }
    let (name, groups) = user;
    let is = |home: &str, holder: &crate::inventory::rbac::Holder| match &*holder.kind {
        "User" => *holder.name == *name,
        "Group" => groups.contains(&&*holder.name),
        _ => {
            let namespace = if holder.namespace.is_empty() {
                home
            } else {
                &holder.namespace
            };
            !namespace.is_empty()
                && name == format!("system:serviceaccount:{namespace}:{}", holder.name)
        }
    };
    let namespace = match target {
        Target::Resource { namespace, .. } => namespace,
        Target::Url(_) => "",
    };
    let wide = tables.cluster_role_bindings.iter();
    let narrow = tables.role_bindings.in_namespace(namespace);
    wide.chain(narrow.filter(|_| !namespace.is_empty()))
        .any(|binding| {
            let home = &*binding.meta.namespace;
            let rules: Vec<&Rule> = if *binding.spec.role_kind == *"Role" {
                let role = tables.roles.get(home, &binding.spec.role);
                role.iter()
                    .flat_map(|role| role.spec.rules.iter())
                    .collect()
            } else {
                cluster
                    .get(&*binding.spec.role)
                    .cloned()
                    .unwrap_or_default()
            };
            binding.spec.subjects.iter().any(|holder| is(home, holder))
                && rules.iter().any(|r| allows(r))
        })
}

fn users() -> Vec<(Subject, &'static str, Vec<&'static str>)> {
    let bot = Subject::object(Kind::ServiceAccount, &"ci".into(), &"bot".into());
    let user = |name: &str| Subject::named(SubjectKind::User, name);
    vec![
        (user("alice"), "alice", vec!["system:authenticated"]),
        (
            user("system:anonymous"),
            "system:anonymous",
            vec!["system:unauthenticated"],
        ),
        (
            bot,
            "system:serviceaccount:ci:bot",
            vec![
                "system:serviceaccounts",
                "system:serviceaccounts:ci",
                "system:authenticated",
            ],
        ),
    ]
}

fn targets() -> Vec<Target<'static>> {
    let mut targets: Vec<Target<'static>> = ["/healthz", "/healthz/etcd", "/apis", "/metrics"]
        .map(Target::Url)
        .into();
    for group in ["", "apps", "rbac.authorization.k8s.io"] {
        for resource in [
            "secrets",
            "pods",
            "pods/exec",
            "nodes/exec",
            "deployments",
            "roles",
        ] {
            for namespace in ["", "shop", "ci"] {
                for name in ["", "a", "c"] {
                    targets.push(Target::Resource {
                        group,
                        resource,
                        namespace,
                        name,
                    });
                }
            }
        }
    }
    targets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn it_says_the_same_as_if_it_were_made_anew(steps in steps()) {
        let mut world = World::new();
        let wanted = BTreeSet::from([Derived::Rights]);
        world.analyses.need(&wanted, &world.inventory);
        let mut before = told(world.analyses.rights());
        for step in steps {
            take(&mut world, step);
            let mut affected = BTreeSet::new();
            world.analyses.settle(&world.inventory, &mut |_, subjects| affected = subjects);
            let now = told(world.analyses.rights());
            let anew: Rights = from_scratch(&world.inventory);
            prop_assert_eq!(&now, &told(&anew));
            // Whoever holds something else is named as affected.
            for line in before.iter().filter(|line| !now.contains(line)) {
                let named = affected.iter().any(|subject| line.starts_with(&format!("{subject} ")));
                prop_assert!(named || line.contains('/') && !line.contains("Grant"), "{}", line);
            }
            before = now;
        }
    }

    #[test]
    fn it_allows_what_the_documentation_says(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            take(&mut world, step);
        }
        let rights: Rights = from_scratch(&world.inventory);
        for (subject, name, groups) in users() {
            for target in targets() {
                for verb in ["get", "create", "escalate"] {
                    let request = Request { verb, target };
                    let ours = rights.allows(&world.inventory, &subject, &[], &request).is_some();
                    prop_assert_eq!(ours, naive(&world, (name, &groups), verb, target),
                        "{} {:?}", subject, request);
                }
            }
        }
    }

    /// What is compared by bits is what the strings say.
    #[test]
    fn powers_are_what_the_rules_allow(rules in prop::collection::vec(rule(), 1..3)) {
        let mut world = World::new();
        world.put(Kind::ClusterRole, json!({ "metadata": { "name": "r" }, "rules": rules }));
        let rights: Rights = from_scratch(&world.inventory);
        let (none, name) = (Sym::from(""), Sym::from("r"));
        let powers = rights.role(&none, &name).unwrap();
        let rules: Vec<&Rule> = rights.rules(&world.inventory, &none, &name).collect();
        for thing in Thing::ALL {
            if matches!(thing, Thing::UserExtras | Thing::ConstrainedImpersonation) {
                continue;
            }
            for (verb, text) in Verbs::NAMED {
                for name in ["", "a", "b"] {
                    let (group, resource) = (thing.group(), thing.resource());
                    // A plain create and a deletion of many never carry a name.
                    let nameless = matches!(*text, "create" | "deletecollection") && !resource.contains('/');
                    if nameless && !name.is_empty() {
                        continue;
                    }
                    let target = Target::Resource { group, resource, namespace: "", name };
                    let request = Request { verb: text, target };
                    let allowed = rules.iter().any(|rule| request.is_in(rule));
                    let held = powers.on(*thing).any(|power| {
                        let named = power.names.is_empty() || (!name.is_empty() && power.is_for(name));
                        let whole = power.names.is_empty() || !nameless;
                        named && whole && power.verbs(|| false).has(*verb)
                    });
                    prop_assert_eq!(held, allowed, "{:?} {} {:?}", thing, text, name);
                }
            }
        }
    }
}

#[test]
fn whoever_is_asked_for_is_found_with_the_binding() {
    let mut world = World::new();
    let rules = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"] }]);
    world.put(
        Kind::ClusterRole,
        json!({ "metadata": { "name": "r" }, "rules": rules }),
    );
    let subjects =
        json!([{ "kind": "User", "name": "alice" }, { "kind": "Group", "name": "devs" }]);
    world.put(
        Kind::RoleBinding,
        json!({
            "metadata": { "name": "b", "namespace": "shop" },
            "roleRef": { "kind": "ClusterRole", "name": "r" }, "subjects": subjects,
        }),
    );
    let rights: Rights = from_scratch(&world.inventory);
    let holders = |namespace, name| {
        let target = Target::Resource {
            group: "",
            resource: "secrets",
            namespace,
            name,
        };
        let holders = rights.holders(
            &world.inventory,
            &Request {
                verb: "get",
                target,
            },
        );
        holders
            .into_iter()
            .map(Subject::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(holders("shop", "a"), ["User alice", "Group devs"]);
    assert!(
        holders("shop", "b").is_empty()
            && holders("ci", "a").is_empty()
            && holders("", "a").is_empty()
    );
    let alice = Subject::named(SubjectKind::User, "alice");
    let grants: Vec<_> = rights
        .grants(&alice)
        .map(|g| format!("{} {} {}", g.namespace, g.name, g.role))
        .collect();
    assert_eq!(grants, ["shop b r"]);
}

#[test]
fn creating_by_name_needs_patch_as_well() {
    let powers = |verbs: Value| {
        let mut world = World::new();
        let rules = json!([{ "verbs": verbs, "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"] }]);
        world.put(
            Kind::ClusterRole,
            json!({ "metadata": { "name": "r" }, "rules": rules }),
        );
        let rights: Rights = from_scratch(&world.inventory);
        rights.role(&"".into(), &"r".into()).unwrap().clone()
    };
    let creates = |powers: &Powers, patched| {
        powers
            .on(Thing::Pods)
            .any(|power| power.verbs(|| patched).has(Verbs::CREATE))
    };
    assert!(!creates(&powers(json!(["create"])), false));
    assert!(creates(&powers(json!(["create"])), true));
    assert!(creates(&powers(json!(["create", "patch"])), false));
    assert!(!creates(&powers(json!(["patch"])), true));
}

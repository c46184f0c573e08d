use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::{analysis::rbac_defaults::tests::fresh_cluster, controls::testing::World};

/// A rule out of `verbs group resources names`, each of them separated by commas.
fn rule(text: &str) -> Value {
    let mut parts = text.split(' ');
    let mut list = || -> Vec<&str> {
        parts
            .next()
            .map_or(vec![], |part| part.split(',').collect())
    };
    let (verbs, groups, resources, names) = (list(), list(), list(), list());
    json!({ "verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names })
}

fn holder(subject: &str) -> Value {
    let (kind, name) = subject.split_once(' ').unwrap();
    match name.split_once('/') {
        Some((namespace, name)) if kind == "ServiceAccount" => {
            json!({ "kind": kind, "namespace": namespace, "name": name })
        }
        _ => json!({ "kind": kind, "name": name }),
    }
}

fn bind(world: &mut World, place: &str, name: &str, role: &str, subject: &str) {
    let mut binding = json!({
        "metadata": { "name": name },
        "roleRef": { "kind": "ClusterRole", "name": role }, "subjects": [holder(subject)],
    });
    if place.is_empty() {
        world.put(Kind::ClusterRoleBinding, binding);
    } else {
        binding["metadata"]["namespace"] = json!(place);
        world.put(Kind::RoleBinding, binding);
    }
}

/// Gives `subject` rules by a role and a binding of their own.
fn give(world: &mut World, place: &str, subject: &str, rules: &[&str]) {
    let name = format!("{place}-{subject}")
        .replace([' ', '/', ':'], "-")
        .to_lowercase();
    let rules: Vec<Value> = rules.iter().map(|text| rule(text)).collect();
    world.put(
        Kind::ClusterRole,
        json!({ "metadata": { "name": name }, "rules": rules }),
    );
    bind(world, place, &name, &name, subject);
}

fn account(world: &mut World, namespace: &str, name: &str) {
    let meta = json!({ "namespace": namespace, "name": name });
    world.put(Kind::ServiceAccount, json!({ "metadata": meta }));
}

fn pod(world: &mut World, namespace: &str, account: &str, phase: &str) {
    world.put(
        Kind::Pod,
        json!({
            "metadata": { "namespace": namespace, "name": format!("pod-of-{account}") },
            "spec": { "serviceAccountName": account, "containers": [] },
            "status": { "phase": phase },
        }),
    );
}

fn subject(text: &str) -> Subject {
    crate::analysis::rbac::identity(&serde_holder(text)).unwrap()
}

fn serde_holder(text: &str) -> crate::inventory::rbac::Holder {
    let holder = holder(text);
    let part = |key: &str| holder[key].as_str().unwrap_or_default().into();
    crate::inventory::rbac::Holder {
        kind: part("kind"),
        namespace: part("namespace"),
        name: part("name"),
    }
}

fn settled(world: &mut World) -> &Escalation {
    let wanted = BTreeSet::from([Derived::Escalation]);
    world.analyses.need(&wanted, &world.inventory);
    world.analyses.settle(&world.inventory, &mut |_, _| {});
    world.analyses.escalation()
}

const DIRECT: Ways = Ways {
    through_nodes: false,
    defaults: true,
};

fn path(world: &mut World, text: &str) -> Option<String> {
    let path = settled(world).path(&subject(text), DIRECT);
    path.map(|path| format!("{} {path}", path.hops()))
}

/// A cluster in which the account `ops/boss`, whose pod runs, is cluster administrator.
fn world() -> World {
    let mut world = fresh_cluster(37)
        .namespace("shop")
        .namespace("ops")
        .namespace("kube-system");
    for (namespace, name) in [
        ("ops", "boss"),
        ("ops", "default"),
        ("shop", "web"),
        ("kube-system", "default"),
    ] {
        account(&mut world, namespace, name);
    }
    bind(
        &mut world,
        "",
        "boss",
        "cluster-admin",
        "ServiceAccount ops/boss",
    );
    pod(&mut world, "ops", "boss", "Running");
    world
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// Where somebody holds which rules, and in how many steps they are cluster administrator.
const STEPS: &[(&str, &[&str], Option<usize>)] = &[
    // By bindings.
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles",
            "create rbac.authorization.k8s.io clusterrolebindings",
        ],
        Some(1),
    ),
    ("", &["bind rbac.authorization.k8s.io clusterroles"], None),
    (
        "",
        &["create rbac.authorization.k8s.io clusterrolebindings"],
        None,
    ),
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles view",
            "create rbac.authorization.k8s.io clusterrolebindings",
        ],
        None,
    ),
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles cluster-admin",
            "create rbac.authorization.k8s.io clusterrolebindings",
        ],
        Some(1),
    ),
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles",
            "patch rbac.authorization.k8s.io clusterrolebindings",
        ],
        Some(1),
    ),
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles",
            "patch rbac.authorization.k8s.io clusterrolebindings boss",
        ],
        Some(1),
    ),
    (
        "",
        &[
            "bind rbac.authorization.k8s.io clusterroles",
            "patch rbac.authorization.k8s.io clusterrolebindings system:discovery",
        ],
        None,
    ),
    (
        "ops",
        &["bind,create rbac.authorization.k8s.io clusterroles,rolebindings"],
        Some(1),
    ),
    (
        "shop",
        &["bind,create rbac.authorization.k8s.io clusterroles,rolebindings"],
        None,
    ),
    // By roles: without escalate a role can't be widened.
    (
        "",
        &["escalate,patch rbac.authorization.k8s.io clusterroles"],
        Some(1),
    ),
    (
        "",
        &["escalate rbac.authorization.k8s.io clusterroles"],
        None,
    ),
    (
        "",
        &["patch,update rbac.authorization.k8s.io clusterroles"],
        None,
    ),
    (
        "ops",
        &["escalate,patch rbac.authorization.k8s.io clusterroles"],
        None,
    ),
    (
        "",
        &["escalate,patch rbac.authorization.k8s.io clusterroles edit"],
        None,
    ),
    (
        "",
        &["escalate,patch rbac.authorization.k8s.io clusterroles system:basic-user"],
        Some(1),
    ),
    // By being somebody else.
    ("ops", &["impersonate  serviceaccounts"], Some(1)),
    ("ops", &["impersonate  serviceaccounts default"], None),
    ("ops", &["impersonate  serviceaccounts boss"], Some(1)),
    ("shop", &["impersonate  serviceaccounts"], None),
    ("", &["impersonate  groups"], None),
    ("", &["impersonate  groups,users"], Some(1)),
    (
        "",
        &[
            "impersonate  groups system:masters",
            "impersonate  users nobody",
        ],
        Some(1),
    ),
    (
        "",
        &["impersonate  groups devs", "impersonate  users nobody"],
        None,
    ),
    ("ops", &["impersonate  groups,users"], None),
    ("ops", &["create  serviceaccounts/token"], Some(1)),
    ("ops", &["create  serviceaccounts/token default"], None),
    ("ops", &["create  serviceaccounts/token boss"], Some(1)),
    ("", &["create  serviceaccounts/token boss"], Some(1)),
    ("", &["create  serviceaccounts"], None),
    ("ops", &["create  secrets"], Some(1)),
    ("ops", &["get,list  secrets"], None),
    // By pods.
    ("ops", &["create  pods"], Some(1)),
    ("ops", &["create  pods p"], None),
    ("ops", &["create,patch  pods p"], Some(1)),
    ("ops", &["patch  pods"], Some(1)),
    ("ops", &["get,delete  pods"], None),
    ("shop", &["create  pods"], None),
    ("ops", &["patch apps deployments d"], Some(1)),
    ("ops", &["update batch cronjobs"], Some(1)),
    ("ops", &["create  replicationcontrollers"], Some(1)),
    ("ops", &["patch apps deployments/scale"], None),
    ("ops", &["get  pods/exec"], Some(1)),
    ("ops", &["patch  pods/ephemeralcontainers"], Some(1)),
    ("ops", &["get  pods/log"], None),
    // By what belongs to the cluster.
    ("", &["get  nodes/proxy"], Some(1)),
    ("ops", &["get  nodes/proxy"], None),
    (
        "",
        &["patch admissionregistration.k8s.io mutatingwebhookconfigurations"],
        Some(1),
    ),
    (
        "",
        &["create admissionregistration.k8s.io validatingwebhookconfigurations"],
        Some(1),
    ),
    (
        "",
        &["get admissionregistration.k8s.io mutatingwebhookconfigurations"],
        None,
    ),
    ("", &["update  configmaps"], None),
    ("", &["get,list,watch * *"], Some(1)),
    ("ops", &["* * *"], Some(1)),
    ("shop", &["* * *"], None),
];

#[test]
fn each_kind_of_step_is_found_where_its_rights_are_held() {
    for (place, rules, hops) in STEPS {
        let mut world = world();
        give(&mut world, place, "User dev", rules);
        let escalation = settled(&mut world);
        let path = escalation.path(&subject("User dev"), DIRECT);
        let found = path.as_ref().map(Path::hops);
        assert_eq!(found, *hops, "{rules:?} in {place:?}: {path:?}");
        assert_eq!(escalation.reaches(&subject("User dev")), hops.is_some());
    }
}

#[test]
fn a_certificate_makes_anyone_whom_a_binding_names_but_masters() {
    let rules = [
        "update certificates.k8s.io certificatesigningrequests/approval",
        "approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client",
    ];
    let mut world = fresh_cluster(37);
    account(
        &mut world,
        "kube-system",
        "clusterrole-aggregation-controller",
    );
    give(&mut world, "", "User dev", &rules);
    // The users of the control plane are there by default.
    assert!(
        path(&mut world, "User dev")
            .unwrap()
            .contains("act as User system:kube-controller-manager")
    );
    bind(&mut world, "", "ops", "cluster-admin", "Group ops");
    assert_eq!(
        path(&mut world, "User dev").as_deref(),
        Some("1 may approve certificates of users, and so act as Group ops, who is cluster-admin")
    );
    let mut world = self::world();
    give(&mut world, "", "User dev", &rules[..1]);
    assert_eq!(path(&mut world, "User dev"), None);
}

#[test]
fn a_path_is_told_step_by_step() {
    let mut world = world();
    account(&mut world, "shop", "deployer");
    give(&mut world, "shop", "User dev", &["create  pods"]);
    give(
        &mut world,
        "ops",
        "ServiceAccount shop/deployer",
        &["get  pods/exec"],
    );
    assert_eq!(
        path(&mut world, "User dev").as_deref(),
        Some(
            "2 may create pods in namespace shop, and so act as ServiceAccount shop/deployer, who \
             may run commands in pods (pods/exec) in namespace ops, and so act as ServiceAccount \
             ops/boss, who is cluster-admin"
        )
    );
    // It ends with the pod.
    pod(&mut world, "ops", "boss", "Succeeded");
    assert_eq!(path(&mut world, "User dev"), None);
}

#[test]
fn paths_run_through_the_groups_that_accounts_are_in() {
    let mut world = world();
    give(
        &mut world,
        "ops",
        "Group system:serviceaccounts:shop",
        &["create  pods"],
    );
    give(
        &mut world,
        "shop",
        "User dev",
        &["create  serviceaccounts/token"],
    );
    assert_eq!(
        path(&mut world, "User dev").as_deref(),
        Some(
            "2 may request tokens of service accounts in namespace shop, and so act as \
             ServiceAccount shop/web (a member of Group system:serviceaccounts:shop), who may \
             create pods in namespace ops, and so act as ServiceAccount ops/boss, who is \
             cluster-admin"
        )
    );
    // The account itself is named by no binding: the grant to the group is the finding.
    assert_eq!(path(&mut world, "ServiceAccount shop/web"), None);
    let escalation = settled(&mut world);
    assert!(escalation.reaches(&subject("ServiceAccount shop/web")));
    assert!(escalation.is_privileged("shop") && escalation.is_privileged("ops"));
    assert!(path(&mut world, "Group system:serviceaccounts:shop").is_some());
}

#[test]
fn whoever_is_impersonated_can_not_impersonate_in_turn() {
    let mut world = world();
    account(&mut world, "shop", "deployer");
    let deployer = "ServiceAccount shop/deployer";
    give(
        &mut world,
        "ops",
        deployer,
        &["impersonate  serviceaccounts"],
    );
    give(
        &mut world,
        "shop",
        "User dev",
        &["impersonate  serviceaccounts"],
    );
    assert!(path(&mut world, deployer).is_some());
    assert_eq!(path(&mut world, "User dev"), None);
    // With a token it is the account.
    give(
        &mut world,
        "shop",
        "User ops",
        &["create  serviceaccounts/token"],
    );
    assert!(path(&mut world, "User ops").unwrap().starts_with("2 "));
    // Anything but impersonation it can do.
    give(
        &mut world,
        "ops",
        deployer,
        &["create  serviceaccounts/token"],
    );
    assert!(path(&mut world, "User dev").unwrap().starts_with("2 "));
}

#[test]
fn privileged_namespaces_are_those_that_hold_a_way() {
    let mut world = world();
    let names = |world: &mut World| {
        settled(world)
            .privileged()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&mut world), ["kube-system", "ops"]);
    world.delete(Kind::ServiceAccount, "ops", "boss");
    // Whoever creates it again gets the rights; until then the namespace holds nobody who has.
    assert_eq!(names(&mut world), ["kube-system"]);
}

#[test]
fn ways_through_nodes_are_a_class_of_their_own() {
    for (labels, rules, found) in [
        (json!({}), vec!["create  pods"], true),
        (
            json!({ "pod-security.kubernetes.io/enforce": "privileged" }),
            vec!["create  pods"],
            true,
        ),
        (
            json!({ "pod-security.kubernetes.io/enforce": "baseline" }),
            vec!["create  pods"],
            false,
        ),
        (
            json!({ "pod-security.kubernetes.io/enforce": "restricted" }),
            vec!["create  pods", "patch  namespaces"],
            true,
        ),
        (
            json!({ "pod-security.kubernetes.io/enforce": "restricted" }),
            vec!["create  pods", "patch  namespaces other"],
            false,
        ),
    ] {
        let mut world = world();
        world.put(
            Kind::Namespace,
            json!({ "metadata": { "name": "shop", "labels": labels } }),
        );
        give(&mut world, "shop", "User dev", &rules);
        let escalation = settled(&mut world);
        let through = Ways {
            through_nodes: true,
            ..DIRECT
        };
        assert_eq!(escalation.path(&subject("User dev"), DIRECT), None);
        assert_eq!(
            escalation.path(&subject("User dev"), through).is_some(),
            found,
            "{labels} {rules:?}"
        );
        assert!(!escalation.reaches(&subject("User dev")));
    }
    let mut world = world();
    world.put(
        Kind::Namespace,
        json!({ "metadata": { "name": "shop",
        "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } }),
    );
    give(&mut world, "shop", "User dev", &["create  pods"]);
    give(&mut world, "", "User dev", &["create  persistentvolumes"]);
    let through = Ways {
        through_nodes: true,
        ..DIRECT
    };
    assert!(
        settled(&mut world)
            .path(&subject("User dev"), through)
            .is_some()
    );
}

#[test]
fn roles_that_may_be_bound_by_name_are_followed() {
    let mut world = world();
    let step = |verbs: &str| format!("{verbs} {RBAC} clusterroles");
    let binder = format!("create {RBAC} clusterrolebindings");
    for (role, next) in [("first", "second"), ("second", "third")] {
        let rules = [rule(&format!("{} {next}", step("bind"))), rule(&binder)];
        world.put(
            Kind::ClusterRole,
            json!({ "metadata": { "name": role }, "rules": rules }),
        );
    }
    give(
        &mut world,
        "",
        "User dev",
        &[&format!("{} first", step("bind")), &binder],
    );
    assert_eq!(path(&mut world, "User dev"), None);
    world.put(
        Kind::ClusterRole,
        json!({ "metadata": { "name": "third" }, "rules": [rule("* * *")] }),
    );
    let found = path(&mut world, "User dev").unwrap();
    assert!(
        found.starts_with("3 ") && found.ends_with("ClusterRole third, which is cluster-admin"),
        "{found}"
    );
}

#[test]
fn a_role_that_aggregates_is_widened_by_its_sources() {
    let mut world = world();
    bind(&mut world, "", "v", "view", "User dev");
    give(
        &mut world,
        "",
        "User dev",
        &["escalate,create rbac.authorization.k8s.io clusterroles"],
    );
    let found = path(&mut world, "User dev").unwrap();
    assert!(found.contains("aggregated"), "{found}");
    // Without a role that aggregates there is nothing that a new role would widen.
    world.delete(Kind::ClusterRoleBinding, "", "v");
    assert_eq!(path(&mut world, "User dev"), None);
}

#[test]
fn what_kubernetes_gives_by_default_can_be_left_out() {
    let mut world = fresh_cluster(37);
    let manager = "User system:kube-controller-manager";
    account(
        &mut world,
        "kube-system",
        "clusterrole-aggregation-controller",
    );
    let without = Ways {
        through_nodes: false,
        defaults: false,
    };
    let escalation = settled(&mut world);
    assert!(escalation.path(&subject(manager), DIRECT).is_some());
    assert_eq!(escalation.path(&subject(manager), without), None);
    give(&mut world, "", manager, &["create  pods"]);
    assert!(
        settled(&mut world)
            .path(&subject(manager), without)
            .is_some()
    );
}

#[test]
fn the_config_map_of_eks_counts_on_eks() {
    let mut world = world();
    give(
        &mut world,
        "kube-system",
        "User dev",
        &["update  configmaps aws-auth"],
    );
    assert_eq!(path(&mut world, "User dev"), None);
    bind(&mut world, "", "eks:node-bootstrapper", "view", "Group eks");
    assert!(path(&mut world, "User dev").unwrap().contains("aws-auth"));
}

/// All that it says, by whom.
fn told(escalation: &Escalation) -> BTreeMap<String, Vec<String>> {
    let mut told = BTreeMap::new();
    for (_, who, _) in escalation.nodes.iter() {
        let Who::Identity(subject) = who else {
            continue;
        };
        let mut said = vec![format!("{}", escalation.reaches(subject))];
        for through_nodes in [false, true] {
            for defaults in [false, true] {
                let path = escalation.path(
                    subject,
                    Ways {
                        through_nodes,
                        defaults,
                    },
                );
                said.push(path.map_or_else(String::new, |path| path.to_string()));
            }
        }
        told.insert(subject.to_string(), said);
    }
    let privileged = escalation
        .privileged()
        .iter()
        .map(ToString::to_string)
        .collect();
    told.insert("privileged".to_owned(), privileged);
    told
}

/// What happens to the cluster.
#[derive(Debug, Clone)]
enum Happening {
    Give(&'static str, &'static str, Vec<&'static str>),
    Bind(&'static str, &'static str, &'static str),
    Account(&'static str, &'static str, bool),
    Pod(&'static str, &'static str, &'static str),
    Level(&'static str, &'static str),
    Take(Kind, usize),
}

const RULES: [&str; 18] = [
    "create  pods",
    "patch  pods",
    "get  pods/exec",
    "create  serviceaccounts/token a",
    "create  serviceaccounts/token",
    "impersonate  serviceaccounts",
    "impersonate  users ann",
    "impersonate  users",
    "impersonate  groups devs",
    "bind rbac.authorization.k8s.io clusterroles -user-ann,cluster-admin",
    "bind rbac.authorization.k8s.io clusterroles -serviceaccount-n1-a",
    "create rbac.authorization.k8s.io clusterrolebindings,rolebindings",
    "patch rbac.authorization.k8s.io rolebindings",
    "escalate rbac.authorization.k8s.io clusterroles,roles",
    "patch rbac.authorization.k8s.io clusterroles",
    "update apps deployments",
    "get  nodes/proxy",
    "patch  namespaces",
];
const WHO: [&str; 7] = [
    "User ann",
    "User bob",
    "Group devs",
    "ServiceAccount n1/a",
    "ServiceAccount n1/b",
    "ServiceAccount n2/a",
    "Group system:serviceaccounts:n1",
];
const PLACES: [&str; 3] = ["", "n1", "n2"];

fn happening() -> impl Strategy<Value = Happening> {
    let rules = prop::collection::vec(select(&RULES[..]), 1..4);
    let namespace = || select(&PLACES[1..]);
    prop_oneof![
        8 => (select(&PLACES[..]), select(&WHO[..]), rules).prop_map(|(p, w, r)| Happening::Give(p, w, r)),
        2 => (select(&PLACES[..]), select(&WHO[..]), select(&["cluster-admin", "-user-ann", "edit"][..]))
            .prop_map(|(p, w, r)| Happening::Bind(p, w, r)),
        3 => (namespace(), select(&["a", "b"][..]), any::<bool>()).prop_map(|(n, a, x)| Happening::Account(n, a, x)),
        3 => (namespace(), select(&["a", "b"][..]), select(&["Running", "Failed"][..]))
            .prop_map(|(n, a, p)| Happening::Pod(n, a, p)),
        1 => (namespace(), select(&["baseline", "privileged"][..])).prop_map(|(n, l)| Happening::Level(n, l)),
        2 => (select(vec![Kind::ClusterRole, Kind::ClusterRoleBinding, Kind::RoleBinding]), 0..8usize)
            .prop_map(|(k, i)| Happening::Take(k, i)),
    ]
}

fn happen(world: &mut World, happening: Happening) {
    match happening {
        Happening::Give(place, who, rules) => give(world, place, who, &rules),
        Happening::Bind(place, who, role) => bind(world, place, &format!("b-{role}"), role, who),
        Happening::Account(namespace, name, there) => {
            if there {
                account(world, namespace, name);
            } else if world
                .inventory
                .meta(Kind::ServiceAccount, namespace, name)
                .is_some()
            {
                world.delete(Kind::ServiceAccount, namespace, name);
            }
        }
        Happening::Pod(namespace, name, phase) => pod(world, namespace, name, phase),
        Happening::Level(namespace, level) => {
            let labels = json!({ "pod-security.kubernetes.io/enforce": level });
            world.put(
                Kind::Namespace,
                json!({ "metadata": { "name": namespace, "labels": labels } }),
            );
        }
        Happening::Take(kind, index) => {
            let names = world.inventory.all_as_added(kind);
            if let Some(change) = names.get(index % names.len().max(1)) {
                let (namespace, name) = (change.namespace.clone(), change.name.clone());
                world.delete(kind, &namespace, &name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn it_says_the_same_as_if_it_were_made_anew(happenings in prop::collection::vec(happening(), 1..24)) {
        let mut world = World::new();
        let star = json!([rule("* * *")]);
        world.put(Kind::ClusterRole, json!({ "metadata": { "name": "cluster-admin" }, "rules": star }));
        let mut before = told(settled(&mut world));
        for happening in happenings {
            happen(&mut world, happening);
            let mut affected = BTreeSet::new();
            let wanted = BTreeSet::from([Derived::Escalation]);
            world.analyses.settle(&world.inventory, &mut |_, subjects| affected.extend(subjects));
            let now = told(world.analyses.escalation());
            let mut anew = Analyses::default();
            anew.need(&wanted, &world.inventory);
            prop_assert_eq!(&now, &told(anew.escalation()));
            // Whoever is told otherwise is named as affected.
            let affected: BTreeSet<String> = affected.iter().map(Subject::to_string).collect();
            for (who, said) in now.iter().filter(|(who, _)| *who != "privileged") {
                prop_assert!(before.get(who) == Some(said) || affected.contains(who), "{}", who);
            }
            for namespace in ["n1", "n2"] {
                let was = before["privileged"].iter().any(|name| name == namespace);
                let is = now["privileged"].iter().any(|name| name == namespace);
                let named = affected.contains(&format!("Namespace {namespace}"));
                prop_assert!(was == is || named, "{}", namespace);
            }
            before = now;
        }
    }
}

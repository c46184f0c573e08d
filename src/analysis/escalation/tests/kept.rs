//! What it says after changes is what it would say if it were made anew.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};

use super::*;

/// All that it says, by whom.
fn told(escalation: &Escalation) -> BTreeMap<String, Vec<String>> {
    let mut told = BTreeMap::new();
    for (_, who, _) in escalation.graph.nodes() {
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
    /// A role of a namespace, and who is bound to it.
    Local(&'static str, &'static str, Vec<&'static str>),
    /// A part of the role `-user-ann` whatever that is, which then aggregates.
    Part(&'static str),
    Take(Kind, usize),
}

const RULES: [&str; 24] = [
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
    "* * *",
    "update  configmaps aws-auth",
    "bind rbac.authorization.k8s.io roles",
    "bind rbac.authorization.k8s.io roles local",
    "impersonate  groups system:authenticated,system:serviceaccounts",
    "create  serviceaccounts/token b",
];
const WHO: [&str; 13] = [
    "User ann",
    "User bob",
    "Group devs",
    "ServiceAccount n1/a",
    "ServiceAccount n1/b",
    "ServiceAccount n2/a",
    "ServiceAccount gone/a",
    "Group system:serviceaccounts:n1",
    "Group system:serviceaccounts",
    "Group system:authenticated",
    "Group system:unauthenticated",
    "User system:anonymous",
    "Group system:masters",
];
const PLACES: [&str; 3] = ["", "n1", "n2"];
const TAKEN: [Kind; 7] = [
    Kind::ClusterRole,
    Kind::Role,
    Kind::ClusterRoleBinding,
    Kind::RoleBinding,
    Kind::ServiceAccount,
    Kind::Pod,
    Kind::Namespace,
];

fn happening() -> impl Strategy<Value = Happening> {
    let rules = prop::collection::vec(select(&RULES[..]), 1..4);
    let local = prop::collection::vec(select(&RULES[..]), 1..4);
    let namespace = || select(&PLACES[1..]);
    prop_oneof![
        8 => (select(&PLACES[..]), select(&WHO[..]), rules).prop_map(|(p, w, r)| Happening::Give(p, w, r)),
        2 => (select(&PLACES[..]), select(&WHO[..]), select(&["cluster-admin", "-user-ann", "edit"][..]))
            .prop_map(|(p, w, r)| Happening::Bind(p, w, r)),
        3 => (namespace(), select(&["a", "b"][..]), any::<bool>()).prop_map(|(n, a, x)| Happening::Account(n, a, x)),
        3 => (namespace(), select(&["a", "b"][..]), select(&["Running", "Failed"][..]))
            .prop_map(|(n, a, p)| Happening::Pod(n, a, p)),
        1 => (namespace(), select(&["baseline", "privileged"][..])).prop_map(|(n, l)| Happening::Level(n, l)),
        2 => (namespace(), select(&WHO[..]), local).prop_map(|(n, w, r)| Happening::Local(n, w, r)),
        1 => select(&RULES[..]).prop_map(Happening::Part),
        1 => Just(Happening::Bind("", "Group eks", "eks:node-bootstrapper")),
        4 => (select(TAKEN.to_vec()), 0..8usize)
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
        Happening::Local(namespace, who, rules) => {
            let rules: Vec<Value> = rules.iter().map(|text| rule(text)).collect();
            let meta = json!({ "namespace": namespace, "name": "local" });
            world.put(Kind::Role, json!({ "metadata": meta, "rules": rules }));
            let meta = json!({ "namespace": namespace, "name": "local" });
            world.put(
                Kind::RoleBinding,
                json!({
                    "metadata": meta, "subjects": [holder(who)],
                    "roleRef": { "kind": "Role", "name": "local" },
                }),
            );
        }
        Happening::Part(text) => {
            let labels = json!({ "part": "true" });
            let meta = json!({ "name": "part", "labels": labels });
            let part = json!({ "metadata": meta, "rules": [rule(text)] });
            world.put(Kind::ClusterRole, part);
            let selector = json!({ "matchLabels": labels });
            let whole = json!({
                "metadata": { "name": "-user-ann" }, "rules": [],
                "aggregationRule": { "clusterRoleSelectors": [selector] },
            });
            world.put(Kind::ClusterRole, whole);
        }
        Happening::Take(kind, index) => {
            let names: Vec<_> = world.inventory.all_as_added(kind).collect();
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

const LINKS: usize = 8;

/// What happens to accounts that can make tokens of one another.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// A link from one to another comes or goes; of itself, or of the group that it is in.
    Link(usize, usize, bool),
    /// One becomes cluster administrator, or is it no longer.
    Admin(usize),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        6 => (0..LINKS, 0..LINKS, prop::bool::weighted(0.3))
            .prop_map(|(from, to, group)| Turn::Link(from, to, group)),
        1 => (0..LINKS).prop_map(Turn::Admin),
    ]
}

/// The same as a matrix.
#[derive(Debug, Default)]
struct Chain {
    own: [[bool; LINKS]; LINKS],
    group: [[bool; LINKS]; LINKS],
    admin: [bool; LINKS],
}

impl Chain {
    fn turn(&mut self, world: &mut World, turn: Turn) {
        match turn {
            Turn::Link(from, to, group) => {
                let links = if group {
                    &mut self.group
                } else {
                    &mut self.own
                };
                links[from][to] ^= true;
                let (place, name) = (format!("c{to}"), format!("{from}-{group}"));
                let holder = if group {
                    format!("Group system:serviceaccounts:c{from}")
                } else {
                    format!("ServiceAccount c{from}/x")
                };
                if links[from][to] {
                    bind(world, &place, &name, "link", &holder);
                } else {
                    world.delete(Kind::RoleBinding, &place, &name);
                }
            }
            Turn::Admin(who) => {
                self.admin[who] ^= true;
                let (name, holder) = (format!("a{who}"), format!("ServiceAccount c{who}/x"));
                if self.admin[who] {
                    bind(world, "", &name, "cluster-admin", &holder);
                } else {
                    world.delete(Kind::ClusterRoleBinding, "", &name);
                }
            }
        }
    }

    /// Of each, how many steps it takes that begin with its own link; by repetition until nothing
    /// changes.
    fn hops(&self) -> [Option<usize>; LINKS] {
        const FAR: usize = 1000;
        let mut all = self.admin.map(|admin| if admin { 0 } else { FAR });
        let first = |links: &[bool; LINKS], all: &[usize; LINKS]| {
            let ends = (0..LINKS).filter(|to| links[*to]).map(|to| all[to] + 1);
            ends.min().unwrap_or(FAR)
        };
        for _ in 0..LINKS {
            for who in 0..LINKS {
                let (own, group) = (first(&self.own[who], &all), first(&self.group[who], &all));
                all[who] = all[who].min(own).min(group);
            }
        }
        std::array::from_fn(|who| {
            let hops = first(&self.own[who], &all);
            // Administrators have nothing to climb.
            (!self.admin[who] && hops < FAR).then_some(hops)
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn paths_are_as_short_as_can_be_whatever_comes_and_goes(
        turns in prop::collection::vec(turn(), 1..60),
    ) {
        let mut world = World::new();
        let roles = [("cluster-admin", "* * *"), ("link", "create  serviceaccounts/token")];
        for (name, text) in roles {
            let role = json!({ "metadata": { "name": name }, "rules": [rule(text)] });
            world.put(Kind::ClusterRole, role);
        }
        let mut chain = Chain::default();
        for who in 0..LINKS {
            account(&mut world, &format!("c{who}"), "x");
        }
        // It begins with the longest way that there can be.
        let links = (1..LINKS).map(|to| Turn::Link(to - 1, to, false));
        let start: Vec<Turn> = links.chain([Turn::Admin(LINKS - 1)]).collect();
        for turn in start.into_iter().chain(turns) {
            chain.turn(&mut world, turn);
            let now = told(settled(&mut world));
            let found = (0..LINKS).map(|who| {
                let subject = subject(&format!("ServiceAccount c{who}/x"));
                let path = world.analyses.escalation().path(&subject, DIRECT);
                path.as_ref().map(Path::hops)
            });
            prop_assert_eq!(found.collect::<Vec<_>>(), chain.hops());
            let mut anew = Analyses::default();
            anew.need(&BTreeSet::from([Derived::Escalation]), &world.inventory);
            prop_assert_eq!(now, told(anew.escalation()));
        }
    }
}

#[test]
fn bindings_that_name_made_up_namespaces_make_no_change_a_change_of_everything() {
    let mut world = world();
    for number in 0..3000 {
        let holder = format!("ServiceAccount made-up-{number}/a");
        bind(&mut world, "ops", &format!("b{number}"), "view", &holder);
    }
    settled(&mut world);
    for phase in ["Succeeded", "Running"] {
        pod(&mut world, "shop", "web", phase);
        let mut affected = BTreeSet::new();
        world.analyses.settle(&world.inventory, &mut |_, subjects| {
            affected.extend(subjects);
        });
        assert_eq!(affected, BTreeSet::new());
    }
    // And they are forgotten with the bindings.
    for number in 0..3000 {
        world.delete(Kind::RoleBinding, "ops", &format!("b{number}"));
    }
    let spaces = settled(&mut world).graph.spaces().count();
    assert!(spaces <= 4, "{spaces}");
}

//! Effective RBAC and the escalation graph over a large cluster: made at once, and kept up to date.
//!
//! 20,000 subjects in 1,000 namespaces, 20,000 bindings, roles of the shapes that clusters have,
//! and ways to cluster-admin of several lengths. Everything follows from its number.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use probity::{
    analysis::{
        Analyses, Derived,
        escalation::{Escalation, Ways},
    },
    inventory::{Availability, Change, Inventory, Kind},
};
use serde_json::{Value, json};

use crate::{Figure, Result, large, stats, stats::Samples};

const NAMESPACES: u32 = large::NAMESPACES;
const ACCOUNTS: u32 = 15_000;
const USERS: u32 = 4500;
const GROUPS: u32 = 500;
const BINDINGS: u32 = 20_000;
/// Bindings of the whole cluster among them.
const WIDE: u32 = 500;
const PODS: u32 = 5000;
const CHANGES: u32 = 2000;
/// Accounts each of which can become the next one; the last of them is cluster administrator.
const CHAIN: u32 = 20;

/// Measures both analyses together: that an object is decoded is a figure of its own.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let mut cluster = Cluster::new()?;
    let held = stats::resident("self")?;
    let began = Instant::now();
    let wanted = BTreeSet::from([Derived::Escalation]);
    cluster.analyses.need(&wanted, &cluster.inventory);
    let cold = began.elapsed();
    let memory = stats::resident("self")?.saturating_sub(held);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let mib = memory as f64 / 1_048_576.0;
    let before = cluster.leading();

    let added = cluster.changes(|number| ("ADDED", extra(number, number)))?;
    let changed = cluster.changes(|number| ("MODIFIED", extra(number, number + 1)))?;
    let removed = cluster.changes(|number| ("DELETED", extra(number, number + 1)))?;
    let removed_link = cluster.changes(|number| {
        let effect = ["DELETED", "ADDED"][number as usize % 2];
        (effect, link(1 + number / 2 % (CHAIN - 1)))
    })?;
    let narrow = cluster.changes(|number| {
        let mut role = role(number % (2 * NAMESPACES));
        role["rules"] = rules(number + 5);
        ("MODIFIED", (Kind::Role, role))
    })?;
    let wide = cluster.changes(|number| {
        let mut role = cluster_role(number % 100);
        role["rules"] = rules(number + 5);
        ("MODIFIED", (Kind::ClusterRole, role))
    })?;

    let limit = Duration::from_millis(150);
    Ok(vec![
        Figure {
            what: "effective RBAC and escalation graph, 20,000 subjects, 20,000 bindings: made anew",
            measured: format!("{cold:.1?}, {mib:.1} MiB, {before} can climb"),
            limit: "≤ 150 ms",
            kept: Some(cold <= limit),
        },
        binding("— a binding added", &added),
        binding("— the subjects of a binding changed", &changed),
        binding("— a binding removed", &removed),
        binding(
            "— a link of a chain of 20 removed or put back",
            &removed_link,
        ),
        role_changed("— the rules of a Role changed", &narrow),
        role_changed("— the rules of a ClusterRole changed", &wide),
    ])
}

fn binding(what: &'static str, samples: &Samples) -> Figure {
    let limit = Duration::from_millis(2);
    Figure {
        what,
        measured: format!(
            "mean {}, {}",
            stats::show(samples.mean()),
            samples.summary()
        ),
        limit: "mean and p99 ≤ 2 ms",
        kept: Some(samples.mean() <= limit && samples.percentile(99) <= limit),
    }
}

fn role_changed(what: &'static str, samples: &Samples) -> Figure {
    let measured = format!(
        "mean {}, {}",
        stats::show(samples.mean()),
        samples.summary()
    );
    Figure {
        what,
        measured,
        limit: "",
        kept: None,
    }
}

/// The objects, and the analyses of them.
struct Cluster {
    inventory: Inventory,
    analyses: Analyses,
    version: u64,
}

/// One that follows from kind, namespace and name.
fn uid(kind: Kind, meta: &Value) -> String {
    let text = format!("{kind:?} {} {}", meta["namespace"], meta["name"]);
    let number = text
        .bytes()
        .fold(7_u64, |all, byte| all.wrapping_mul(31) ^ u64::from(byte));
    format!("00000000-0000-4000-8000-{:012x}", number % (1 << 48))
}

impl Cluster {
    fn new() -> Result<Self> {
        let mut cluster = Self {
            inventory: Inventory::default(),
            analyses: Analyses::default(),
            version: 1,
        };
        for kind in Kind::ALL {
            let freshness = &mut cluster.inventory.freshness;
            freshness.set(*kind, Availability::Synced, Duration::ZERO);
        }
        cluster.put(Kind::Namespace, NAMESPACES, large::namespace)?;
        cluster.put(Kind::ServiceAccount, ACCOUNTS, large::account)?;
        cluster.put(Kind::Pod, PODS, large::pod)?;
        cluster.put(Kind::Role, 2 * NAMESPACES, role)?;
        cluster.put(Kind::ClusterRole, 100, cluster_role)?;
        for (name, rules) in shared() {
            cluster.put_one(
                "ADDED",
                Kind::ClusterRole,
                &json!({ "metadata": { "name": name }, "rules": rules }),
            )?;
        }
        for (name, label, part) in AGGREGATED {
            for object in aggregated(name, label, part) {
                cluster.put_one("ADDED", Kind::ClusterRole, &object)?;
            }
        }
        cluster.put(Kind::ClusterRoleBinding, WIDE, wide_binding)?;
        cluster.put(Kind::RoleBinding, BINDINGS - WIDE - CHAIN, role_binding)?;
        for number in 0..CHAIN {
            let (kind, object) = link(number);
            cluster.put_one("ADDED", kind, &object)?;
        }
        Ok(cluster)
    }

    fn put(&mut self, kind: Kind, count: u32, object: fn(u32) -> Value) -> Result<()> {
        (0..count).try_for_each(|number| self.put_one("ADDED", kind, &object(number)))
    }

    fn put_one(&mut self, effect: &str, kind: Kind, object: &Value) -> Result<()> {
        match self.apply(effect, kind, object.clone())?.len() {
            1 => Ok(()),
            count => Err(format!("{count} changes instead of one by {object}")),
        }
    }

    /// Takes in an object, with a version that is newer than all others.
    fn apply(&mut self, effect: &str, kind: Kind, mut object: Value) -> Result<Vec<Change>> {
        self.version += 1;
        let meta = &mut object["metadata"];
        meta["resourceVersion"] = self.version.to_string().into();
        meta["creationTimestamp"] = "2026-05-01T12:00:00Z".into();
        meta["uid"] = uid(kind, meta).into();
        let changes = self
            .inventory
            .apply_line(kind, &large::line(effect, &object));
        changes.map_err(|error| error.to_string())
    }

    /// How long the analyses take to follow changes, one after the other.
    fn changes(
        &mut self,
        change: impl Fn(u32) -> (&'static str, (Kind, Value)),
    ) -> Result<Samples> {
        let mut samples = Samples::default();
        for number in 0..CHANGES {
            let (effect, (kind, object)) = change(number);
            let changes = self.apply(effect, kind, object)?;
            if changes.is_empty() {
                return Err("what was to change is as it was".to_owned());
            }
            let began = Instant::now();
            for change in &changes {
                self.analyses.note(&self.inventory, change);
            }
            self.analyses
                .settle(&self.inventory, &mut |_, affected| drop(affected));
            samples.push(began.elapsed());
        }
        Ok(samples)
    }

    /// How many have a way to cluster-admin.
    fn leading(&self) -> usize {
        let ways = Ways {
            through_nodes: false,
            defaults: true,
        };
        let escalation: &Escalation = self.analyses.escalation();
        let identities = self.analyses.rights().identities();
        identities
            .filter(|subject| escalation.path(subject, ways).is_some())
            .count()
    }
}

fn team(number: u32) -> String {
    format!("team-{}", number % NAMESPACES)
}

/// Rules out of `verbs groups resources names`, each of them separated by commas.
fn parse(rules: &[&str]) -> Value {
    let rule = |text: &&str| {
        let list = |part: Option<&str>| -> Vec<String> {
            part.map_or(vec![], |part| part.split(',').map(str::to_owned).collect())
        };
        let mut parts = text.split(' ');
        json!({
            "verbs": list(parts.next()), "apiGroups": list(parts.next()),
            "resources": list(parts.next()), "resourceNames": list(parts.next()),
        })
    };
    rules.iter().map(rule).collect()
}

/// What teams and their programs hold in their namespace.
const SHAPES: [&[&str]; 12] = [
    &["get,list,watch ,apps pods,services,configmaps,deployments,statefulsets"],
    &[
        "get,list,watch,create,update,patch,delete  configmaps,services",
        "get,list  secrets",
    ],
    &[
        "get,list,watch,patch apps deployments",
        "get  pods,pods/log",
    ],
    &[
        "get,create,update coordination.k8s.io leases",
        "create,patch  events",
    ],
    &[
        "get,list,watch networking.k8s.io ingresses",
        "update networking.k8s.io ingresses/status",
    ],
    &[
        "get,list,watch,create,delete batch jobs",
        "get,list,watch  pods",
    ],
    &["get,list  pods", "create  pods/exec"],
    &["get,list,watch  pods,endpoints,services"],
    &["get,update  configmaps settings", "get  secrets token"],
    &[
        "create,delete,get  pods",
        "get  pods/log",
        "create  pods/portforward",
    ],
    &[
        "create  serviceaccounts/token builder",
        "get  serviceaccounts",
    ],
    &["* * *"],
];

fn rules(number: u32) -> Value {
    let shape = |number: u32| SHAPES[number as usize % SHAPES.len()];
    // Everything in its namespace holds one role out of 24.
    let first = match number % 24 {
        number @ 0..11 => shape(number),
        number @ 12..23 => shape(number - 12),
        11 => shape(11),
        _ => shape(0),
    };
    let second = shape(number * 5 % 11);
    parse(&[first, second].concat())
}

fn role(number: u32) -> Value {
    let name = format!("role-{}", number / NAMESPACES);
    let meta = json!({ "namespace": team(number), "name": name });
    json!({ "metadata": meta, "rules": rules(number) })
}

fn cluster_role(number: u32) -> Value {
    json!({ "metadata": { "name": format!("wide-{number}") }, "rules": rules(number) })
}

/// Roles that somebody in every cluster holds, most of them operators.
fn shared() -> Vec<(&'static str, Value)> {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let binds = [
        format!("bind {RBAC} clusterroles view,wide-1,wide-2,edit"),
        format!("create,patch {RBAC} rolebindings,clusterrolebindings"),
    ];
    let escalates = [format!(
        "get,list,update,patch,escalate {RBAC} clusterroles edit,view"
    )];
    let roles: [(&str, &[&str]); 13] = [
        ("cluster-admin", &["* * *"]),
        ("reader", &["get,list,watch * *"]),
        ("secret-sync", &["get,list,watch,create,update  secrets"]),
        ("node-agent", &["get,list  nodes,pods", "get  nodes/proxy"]),
        (
            "approver",
            &[
                "update certificates.k8s.io certificatesigningrequests/approval",
                "approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client",
            ],
        ),
        (
            "injector",
            &["update,patch admissionregistration.k8s.io mutatingwebhookconfigurations"],
        ),
        (
            "proxy",
            &[
                "impersonate  users ann,bob,user-7",
                "impersonate  groups team-1,team-2",
            ],
        ),
        (
            "tokens",
            &["create  serviceaccounts/token account-4,account-8"],
        ),
        (
            "scaler",
            &[
                "get,list,watch,patch apps deployments/scale,statefulsets/scale",
                "list  pods",
            ],
        ),
        (
            "metrics",
            &["get,list,watch  pods,nodes,services,endpoints"],
        ),
        ("tokens-of-all", &["create  serviceaccounts/token"]),
        ("binder", &[&binds[0], &binds[1]]),
        ("editor", &[&escalates[0]]),
    ];
    roles
        .into_iter()
        .map(|(name, rules)| (name, parse(rules)))
        .collect()
}

/// Aggregated roles: name, label that they select, and what a part of them allows.
const AGGREGATED: [(&str, &str, &[&str]); 3] = [
    (
        "admin",
        "to-admin",
        &["* rbac.authorization.k8s.io roles,rolebindings"],
    ),
    (
        "edit",
        "to-edit",
        &[
            "create,update,patch,delete ,apps,batch pods,deployments,jobs,configmaps,secrets",
            "create  pods/exec",
        ],
    ),
    (
        "view",
        "to-view",
        &["get,list,watch ,apps,batch pods,deployments,jobs,configmaps"],
    ),
];

/// An aggregated role and four of its parts.
fn aggregated(name: &str, label: &str, rules: &[&str]) -> Vec<Value> {
    let selector = json!({ "matchLabels": { label: "true" } });
    let whole = json!({
        "metadata": { "name": name },
        "aggregationRule": { "clusterRoleSelectors": [selector] }, "rules": [],
    });
    let part = |number: u32| {
        let more = if name == "admin" {
            json!({ label: "true" })
        } else {
            json!({ label: "true", "to-admin": "true" })
        };
        let meta = json!({ "name": format!("{name}-part-{number}"), "labels": more });
        json!({ "metadata": meta, "rules": parse(rules) })
    };
    std::iter::once(whole).chain((0..4).map(part)).collect()
}

fn account(number: u32) -> Value {
    json!({ "kind": "ServiceAccount", "namespace": team(number), "name": format!("account-{number}") })
}

/// Everyone is named by at least one binding.
fn holder(number: u32) -> Value {
    let number = number % (ACCOUNTS + USERS + GROUPS);
    if number < ACCOUNTS {
        return account(number);
    }
    match number - ACCOUNTS {
        user if user < USERS => json!({ "kind": "User", "name": format!("user-{user}") }),
        // The accounts of some namespaces hold something together.
        group if (group - USERS).is_multiple_of(5) => {
            json!({ "kind": "Group", "name": format!("system:serviceaccounts:{}", team(group)) })
        }
        group => json!({ "kind": "Group", "name": format!("team-{}", group - USERS) }),
    }
}

fn role_binding(number: u32) -> Value {
    let namespace = number;
    let role = match number % 10 {
        0 => json!({ "kind": "ClusterRole", "name": "view" }),
        1 => json!({ "kind": "ClusterRole", "name": "edit" }),
        2 if number.is_multiple_of(4) => json!({ "kind": "ClusterRole", "name": "admin" }),
        2..5 => json!({ "kind": "ClusterRole", "name": format!("wide-{}", number / 7 % 100) }),
        _ => json!({ "kind": "Role", "name": format!("role-{}", number / NAMESPACES % 2) }),
    };
    let name = format!("binding-{}", number / NAMESPACES);
    json!({
        "metadata": { "namespace": team(namespace), "name": name },
        "roleRef": role, "subjects": [holder(number)],
    })
}

/// Operators of the whole cluster, each with an account of its own.
fn wide_binding(number: u32) -> Value {
    let roles = shared();
    let role = match number {
        // Three administrators, one of them at the end of the chain.
        0..3 => "cluster-admin",
        number => roles[1 + number as usize % (roles.len() - 1)].0,
    };
    let who = if number == 0 {
        account(900 + CHAIN)
    } else {
        holder(number * 29 + 500)
    };
    json!({
        "metadata": { "name": format!("wide-{number}") },
        "roleRef": { "kind": "ClusterRole", "name": role }, "subjects": [who],
    })
}

/// A link of a chain: who may make tokens in the namespace of the next account of it.
fn link(number: u32) -> (Kind, Value) {
    let meta = json!({ "namespace": team(901 + number), "name": "link" });
    let role = json!({ "kind": "ClusterRole", "name": "tokens-of-all" });
    let holder = account(900 + number);
    (
        Kind::RoleBinding,
        json!({ "metadata": meta, "roleRef": role, "subjects": [holder] }),
    )
}

/// One binding more, of whoever `holder` is.
fn extra(number: u32, who: u32) -> (Kind, Value) {
    let mut binding = role_binding(number * 17 + 3);
    binding["metadata"]["name"] = format!("extra-{number}").into();
    binding["subjects"] = json!([holder(who * 7919)]);
    (Kind::RoleBinding, binding)
}

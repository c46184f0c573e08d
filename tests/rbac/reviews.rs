//! Effective rights against `SubjectAccessReview`s on random roles and bindings.

use std::time::Duration;

use futures::{StreamExt, stream};
use http::Method;
use kube::Client;
use probity::analysis::Analyses;
use probity::analysis::rights::{Request, Target};
use probity::controls::{Subject, SubjectKind};
use probity::inventory::{Inventory, Kind};
use serde_json::{Value, json};

use super::random::Dice;
use super::server::{RBAC, Server, send};
use super::shrink::smallest;

/// Reviews of a run, at least.
const REVIEWS: usize = 2400;
/// Reviews under way at once.
const AT_ONCE: usize = 24;

const NAMESPACES: [&str; 3] = ["alpha", "beta", "gamma"];
const VERBS: [&str; 14] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "escalate",
    "bind",
    "impersonate",
    "approve",
    "frobnicate",
    "*",
];
const GROUPS: [&str; 5] = ["", "apps", "rbac.authorization.k8s.io", "example.com", "*"];
const RESOURCES: [&str; 16] = [
    "secrets",
    "pods",
    "pods/exec",
    "pods/log",
    "nodes/proxy",
    "deployments",
    "deployments/scale",
    "serviceaccounts",
    "serviceaccounts/token",
    "roles",
    "clusterroles",
    "widgets",
    "*/scale",
    "*/exec",
    "*/*",
    "*",
];
const NAMES: [&str; 3] = ["one", "two", "three"];
const URLS: [&str; 8] = [
    "/healthz",
    "/healthz/*",
    "/api*",
    "/metrics",
    "/version/",
    "/*",
    "*",
    "/logs/a*",
];
const PATHS: [&str; 8] = [
    "/healthz",
    "/healthz/etcd",
    "/apis",
    "/api",
    "/metrics",
    "/version",
    "/logs/abc",
    "/",
];

/// Whoever reviews are about: name and groups beside those that everybody has.
const WHO: [(&str, &[&str]); 7] = [
    ("ann", &[]),
    ("bob", &["devs"]),
    ("cid", &["devs", "ops"]),
    ("system:serviceaccount:alpha:one", &[]),
    ("system:serviceaccount:beta:one", &[]),
    ("system:serviceaccount:beta:two", &["devs"]),
    ("nobody", &[]),
];

fn rule(dice: &mut Dice, local: bool) -> Value {
    if !local && dice.once_in(5) {
        let (verbs, urls) = (dice.some(&VERBS, 1, 3), dice.some(&URLS, 1, 2));
        return json!({ "verbs": verbs, "nonResourceURLs": urls });
    }
    let mut rule = json!({
        "verbs": dice.some(&VERBS, 1, 4), "apiGroups": dice.some(&GROUPS, 1, 2),
        "resources": dice.some(&RESOURCES, 1, 3),
    });
    if dice.once_in(3) {
        rule["resourceNames"] = json!(dice.some(&NAMES, 1, 2));
    }
    rule
}

fn subject(dice: &mut Dice) -> Value {
    let rbac = "rbac.authorization.k8s.io";
    let user = |name: &str| json!({ "apiGroup": rbac, "kind": "User", "name": name });
    let group = |name: &str| json!({ "apiGroup": rbac, "kind": "Group", "name": name });
    match dice.below(10) {
        0..3 => {
            let (name, _) = dice.one(&WHO);
            user(name)
        }
        3..6 => {
            let (namespace, name) = (dice.one(&NAMESPACES), dice.one(&NAMES));
            json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name })
        }
        6..8 => group(dice.one(&["devs", "ops"])),
        8 => group(dice.one(&[
            "system:serviceaccounts:alpha",
            "system:serviceaccounts:beta",
        ])),
        _ => group(dice.one(&[
            "system:serviceaccounts",
            "system:authenticated",
            "system:unauthenticated",
        ])),
    }
}

/// An object, and the path of its kind.
type Placed = (String, Value);

/// Random roles and bindings.
fn rbac(dice: &mut Dice) -> Vec<Placed> {
    let mut objects = Vec::new();
    for number in 0..24 {
        let rules = (0..dice.below(3))
            .map(|_| rule(dice, false))
            .collect::<Vec<_>>();
        let label = format!("l{}", dice.below(4));
        let mut role = json!({
            "metadata": { "name": format!("c{number}"), "labels": { "l": label } }, "rules": rules,
        });
        if dice.once_in(5) {
            let selector = json!({ "matchLabels": { "l": format!("l{}", dice.below(4)) } });
            role["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
        }
        objects.push((format!("{RBAC}/clusterroles"), role));
    }
    for namespace in NAMESPACES {
        for number in 0..4 {
            let rules = (0..=dice.below(2))
                .map(|_| rule(dice, true))
                .collect::<Vec<_>>();
            let role = json!({ "metadata": { "name": format!("r{number}") }, "rules": rules });
            objects.push((format!("{RBAC}/namespaces/{namespace}/roles"), role));
        }
    }
    for number in 0..60 {
        let subjects: Vec<Value> = (0..dice.below(3)).map(|_| subject(dice)).collect();
        let api = "rbac.authorization.k8s.io";
        let local = !dice.once_in(3);
        // Some roles are missing.
        let (kind, role) = if local && dice.once_in(2) {
            ("Role", format!("r{}", dice.below(5)))
        } else {
            ("ClusterRole", format!("c{}", dice.below(26)))
        };
        let object = json!({
            "metadata": { "name": format!("b{number}") }, "subjects": subjects,
            "roleRef": { "apiGroup": api, "kind": kind, "name": role },
        });
        let path = if local {
            format!("{RBAC}/namespaces/{}/rolebindings", dice.one(&NAMESPACES))
        } else {
            format!("{RBAC}/clusterrolebindings")
        };
        objects.push((path, object));
    }
    objects
}

/// Waits until the authorizer, which reads from a cache, holds what was written.
fn settle(server: &Server) {
    server.aggregated();
    std::thread::sleep(Duration::from_secs(2));
}

/// Asks the API server.
async fn is_allowed(admin: &Client, question: &Question) -> bool {
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let review = question.review();
    let answer = send(admin, Method::POST, path, &review, &[]).await.unwrap();
    answer["status"]["allowed"] == true
}

/// What effective rights say.
fn we_allow(inventory: &Inventory, analyses: &Analyses, question: &Question) -> bool {
    let (subject, groups) = (question.subject(), question.more_groups());
    let rights = analyses.rights();
    rights
        .allows(inventory, &subject, &groups, &question.request())
        .is_some()
}

/// Fails with the fewest roles and bindings about which the two still differ.
fn tell_difference(server: &Server, objects: &[Placed], question: &Question) -> ! {
    let mut there: Vec<Placed> = objects.to_vec();
    let fewest = smallest(objects, |part| {
        let place = |(path, object): &Placed| {
            format!("{path}/{}", object["metadata"]["name"].as_str().unwrap())
        };
        for gone in there.iter().filter(|placed| !part.contains(placed)) {
            server.must(Method::DELETE, &place(gone), &Value::Null);
        }
        for back in part.iter().filter(|placed| !there.contains(placed)) {
            server.must(Method::POST, &back.0, &back.1);
        }
        there = part.to_vec();
        settle(server);
        let (inventory, analyses) = server.load();
        let theirs = server.runtime.block_on(is_allowed(&server.admin, question));
        we_allow(&inventory, &analyses, question) != theirs
    });
    let theirs = server.runtime.block_on(is_allowed(&server.admin, question));
    let fewest: Vec<String> = fewest
        .iter()
        .map(|(path, object)| format!("{path} {object}"))
        .collect();
    panic!(
        "{} {:?} {:?}: the API server says {theirs}, we don't, because of\n{}",
        question.subject(),
        question.groups(),
        question.request(),
        fewest.join("\n")
    )
}

/// A question, to both.
struct Question {
    who: (&'static str, &'static [&'static str]),
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    namespace: &'static str,
    name: &'static str,
    url: Option<&'static str>,
}

impl Question {
    fn ask(dice: &mut Dice) -> Self {
        let verbs = &VERBS[..13];
        let url = dice.once_in(6).then(|| dice.one(&PATHS));
        Self {
            who: dice.one(&WHO),
            verb: dice.one(verbs),
            group: dice.one(&GROUPS[..4]),
            resource: dice.one(&RESOURCES[..12]),
            namespace: dice.one(&["", "alpha", "beta", "gamma"]),
            name: dice.one(&["", "", "one", "two", "other"]),
            url,
        }
    }

    /// Groups that authentication would give.
    fn groups(&self) -> Vec<String> {
        let (user, more) = self.who;
        let mut groups: Vec<String> = more.iter().map(|group| (*group).to_owned()).collect();
        if let Some((namespace, _)) = probity::analysis::rbac::account(user) {
            groups.push("system:serviceaccounts".to_owned());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        groups.push("system:authenticated".to_owned());
        groups
    }

    fn review(&self) -> Value {
        let mut spec = json!({ "user": self.who.0, "groups": self.groups() });
        if let Some(path) = self.url {
            spec["nonResourceAttributes"] = json!({ "path": path, "verb": self.verb });
        } else {
            let (resource, sub) = self.resource.split_once('/').unwrap_or((self.resource, ""));
            spec["resourceAttributes"] = json!({
                "verb": self.verb, "group": self.group, "resource": resource, "subresource": sub,
                "namespace": self.namespace, "name": self.name,
            });
        }
        json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec })
    }

    fn subject(&self) -> Subject {
        match probity::analysis::rbac::account(self.who.0) {
            Some((namespace, name)) => {
                Subject::object(Kind::ServiceAccount, &namespace.into(), &name.into())
            }
            None => Subject::named(SubjectKind::User, self.who.0),
        }
    }

    /// Groups beside those that everybody has.
    fn more_groups(&self) -> Vec<Subject> {
        let groups = self.who.1.iter();
        groups
            .map(|group| Subject::named(SubjectKind::Group, *group))
            .collect()
    }

    fn request(&self) -> Request<'static> {
        let target = match self.url {
            Some(path) => Target::Url(path),
            None => Target::Resource {
                group: self.group,
                resource: self.resource,
                namespace: self.namespace,
                name: self.name,
            },
        };
        Request {
            verb: self.verb,
            target,
        }
    }
}

#[test]
fn the_api_server_allows_what_effective_rights_say_and_nothing_else() {
    let mut dice = Dice::seeded("reviews");
    let server = Server::start();
    for namespace in NAMESPACES {
        let namespace = json!({ "metadata": { "name": namespace } });
        server.must(Method::POST, "/api/v1/namespaces", &namespace);
    }
    let objects = rbac(&mut dice);
    for (path, object) in &objects {
        server.must(Method::POST, path, object);
    }
    settle(&server);
    let (inventory, analyses) = server.load();
    let questions: Vec<Question> = (0..REVIEWS).map(|_| Question::ask(&mut dice)).collect();
    let answers = stream::iter(&questions).map(|question| is_allowed(&server.admin, question));
    let answers = answers.buffered(AT_ONCE).collect::<Vec<bool>>();
    let answers = server.runtime.block_on(answers);
    for (question, theirs) in questions.iter().zip(&answers) {
        if we_allow(&inventory, &analyses, question) != *theirs {
            tell_difference(&server, &objects, question);
        }
    }
    let allowed = answers.iter().filter(|allowed| **allowed).count();
    println!("{REVIEWS} reviews, {allowed} allowed");
    // Some seeds give little: whatever is allowed must have been asked for at all.
    assert!(allowed > 0 && allowed < REVIEWS, "{allowed}");
}

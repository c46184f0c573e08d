//! Effective rights against `SubjectAccessReview`s on random roles and bindings.

use futures::{StreamExt, stream};
use http::Method;
use probity::analysis::rights::{Request, Target};
use probity::controls::{Subject, SubjectKind};
use probity::inventory::Kind;
use serde_json::{Value, json};

use super::random::Dice;
use super::server::{RBAC, Server, send};

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

/// Puts random roles and bindings into the server.
fn populate(server: &Server, dice: &mut Dice) {
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
    for (path, object) in objects {
        server.must(Method::POST, &path, &object);
    }
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
    populate(&server, &mut dice);
    server.aggregated();
    // The authorizer reads from a cache that a moment later holds what was written.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (inventory, analyses) = server.load();
    let rights = analyses.rights();
    let questions: Vec<Question> = (0..REVIEWS).map(|_| Question::ask(&mut dice)).collect();
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let admin = &server.admin;
    let answers = stream::iter(&questions).map(|question| async move {
        let review = question.review();
        let answer = send(admin, Method::POST, path, &review, &[]).await.unwrap();
        answer["status"]["allowed"] == true
    });
    let answers = answers.buffered(AT_ONCE).collect::<Vec<bool>>();
    let answers = server.runtime.block_on(answers);
    let mut allowed = 0;
    for (question, answer) in questions.iter().zip(answers) {
        let subject = question.subject();
        let groups: Vec<Subject> = question
            .who
            .1
            .iter()
            .map(|g| Subject::named(SubjectKind::Group, *g))
            .collect();
        let request = question.request();
        let ours = rights.allows(&inventory, &subject, &groups, &request);
        allowed += usize::from(answer);
        if ours.is_some() != answer {
            // What is left of the cluster is what the question is about.
            let holders = std::iter::once(&subject).chain(&groups);
            let bound = holders.flat_map(|holder| rights.grants(holder));
            let bound: Vec<String> = bound
                .map(|grant| {
                    let rules = rights.rules(&inventory, grant.role_namespace, grant.role);
                    let rules: Vec<_> = rules.collect();
                    format!(
                        "{} {}/{}: {rules:?}",
                        grant.kind.info().kind,
                        grant.namespace,
                        grant.name
                    )
                })
                .collect();
            panic!(
                "{subject} {groups:?} {request:?}: the API server says {answer}, we say {ours:?}; \
                 bound by {bound:#?}"
            );
        }
    }
    println!("{REVIEWS} reviews, {allowed} allowed");
    // Some seeds give little: whatever is allowed must have been asked for at all.
    assert!(allowed > 0 && allowed < REVIEWS, "{allowed}");
}

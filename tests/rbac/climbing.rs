//! Escalation paths, carried out: whoever has one becomes cluster administrator by its steps, and
//! whoever has none does not get there by trying everything.

use std::collections::BTreeSet;

use http::Method;
use kube::Client;
use probity::analysis::Analyses;
use probity::analysis::escalation::{How, Path, Place, Ways, Who};
use probity::controls::{Subject, SubjectKind};
use probity::inventory::{Inventory, Kind};
use serde_json::{Value, json};

use super::random::Dice;
use super::server::{Answer, RBAC, Server, binding, cluster_role, send};

const NAMESPACES: [&str; 2] = ["north", "south"];
const ACCOUNTS: [&str; 2] = ["one", "two"];
const USERS: [&str; 5] = ["u0", "u1", "u2", "u3", "u4"];

/// Rules whose steps the API server alone can perform; each alone, or half of a pair.
const RULES: [(&str, &str, &str, &str); 14] = [
    ("create", "", "serviceaccounts/token", ""),
    ("create", "", "serviceaccounts/token", "one"),
    ("impersonate", "", "serviceaccounts", ""),
    ("impersonate", "", "serviceaccounts", "two"),
    ("impersonate", "", "users", "u3"),
    ("impersonate", "", "users", ""),
    ("impersonate", "", "groups", "system:masters"),
    ("bind", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("bind", "rbac.authorization.k8s.io", "clusterroles", "view"),
    (
        "create",
        "rbac.authorization.k8s.io",
        "clusterrolebindings",
        "",
    ),
    ("create", "rbac.authorization.k8s.io", "rolebindings", ""),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("patch", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("get", "", "configmaps", ""),
];

/// Somebody as whom requests are sent.
#[derive(Clone)]
struct Actor {
    client: Client,
    /// Headers by which it is somebody else.
    headers: Vec<(&'static str, String)>,
    subject: Subject,
}

impl Actor {
    async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        send(&self.client, method, path, body, &headers).await
    }

    /// The subject of a binding that names it.
    fn holder(&self) -> Value {
        match self.subject.kind {
            SubjectKind::User => json!({
                "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": self.subject.name,
            }),
            _ => json!({
                "kind": "ServiceAccount", "namespace": self.subject.namespace, "name": self.subject.name,
            }),
        }
    }

    /// Whether the API server lets it do everything.
    async fn is_admin(&self) -> bool {
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let everything = json!({ "verb": "*", "group": "*", "resource": "*" });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": everything },
        });
        // The authorizer's cache follows within moments.
        for _ in 0..40 {
            let answer = self.send(Method::POST, path, &review).await;
            if answer.is_ok_and(|answer| answer["status"]["allowed"] == true) {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        false
    }

    /// Itself as somebody else; only who is nobody else yet can.
    fn as_user(&self, subject: &Subject) -> Option<Self> {
        if !self.headers.is_empty() {
            return None;
        }
        let name = match subject.kind {
            SubjectKind::User => subject.name.to_string(),
            SubjectKind::Object(_) => format!(
                "system:serviceaccount:{}:{}",
                subject.namespace, subject.name
            ),
            _ => return None,
        };
        Some(Self {
            client: self.client.clone(),
            headers: vec![("impersonate-user", name)],
            subject: subject.clone(),
        })
    }
}

struct Climb<'a> {
    server: &'a Server,
    inventory: &'a Inventory,
    /// What was written, and how it was before.
    undo: Vec<(Method, String, Value)>,
    seen: BTreeSet<Subject>,
}

impl Climb<'_> {
    /// An actor that holds a token of an account, asked for by `actor`.
    async fn token(&self, actor: &Actor, account: &Subject) -> Option<Actor> {
        let (namespace, name) = (&account.namespace, &account.name);
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "audiences": [] },
        });
        let answer = actor.send(Method::POST, &path, &request).await.ok()?;
        let token = answer["status"]["token"].as_str()?;
        let kubeconfig = self.server.cluster.kubeconfig_for_token(token).unwrap();
        let client = self.server.cluster.client_for(&kubeconfig).await.unwrap();
        Some(Actor {
            client,
            headers: Vec::new(),
            subject: account.clone(),
        })
    }

    /// Binds a role to the actor itself.
    async fn bind(&mut self, actor: &Actor, role: &str, namespace: &str, dry: bool) -> Answer {
        let name = format!("climb-{}", self.undo.len());
        let (path, object) = binding(&name, role, &json!([actor.holder()]), namespace);
        let dry_run = if dry { "?dryRun=All" } else { "" };
        let answer = actor
            .send(Method::POST, &format!("{path}{dry_run}"), &object)
            .await;
        if answer.is_ok() && !dry {
            self.undo
                .push((Method::DELETE, format!("{path}/{name}"), Value::Null));
        }
        answer
    }

    /// Gives a role everything.
    async fn edit(&mut self, actor: &Actor, role: &str, dry: bool) -> Answer {
        let path = format!("{RBAC}/clusterroles/{role}");
        let star = json!({ "rules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }] });
        let before = send(&self.server.admin, Method::GET, &path, &Value::Null, &[]).await?;
        let dry_run = if dry { "?dryRun=All" } else { "" };
        let answer = actor
            .send(Method::PATCH, &format!("{path}{dry_run}"), &star)
            .await;
        if answer.is_ok() && !dry {
            let rules = json!({ "rules": before["rules"] });
            self.undo.push((Method::PATCH, path, rules));
        }
        answer
    }

    /// Cluster roles that a cluster-wide binding gives to an actor, or to all who are authenticated.
    fn bound_roles(&self, subject: &Subject) -> Vec<String> {
        let bindings = self.inventory.tables.cluster_role_bindings.iter();
        let names = |holder: &probity::inventory::rbac::Holder| {
            probity::analysis::rbac::is(holder, subject) || &*holder.name == "system:authenticated"
        };
        let bound = bindings.filter(|binding| binding.spec.subjects.iter().any(names));
        bound.map(|binding| binding.spec.role.to_string()).collect()
    }

    /// Takes one step of a path; the actor that one is after it.
    async fn step(&mut self, actor: &Actor, path: &Path, at: usize) -> Option<Actor> {
        let hop = &path.steps[at];
        let next = path
            .steps
            .get(at + 1)
            .map(|hop| &hop.who)
            .or(path.end.as_ref());
        let next_subject = next.and_then(|who| match who {
            Who::Identity(subject) => Some(subject.clone()),
            Who::Role(_) => None,
        });
        match (hop.how, &hop.place, next_subject) {
            (How::Bind, Place::Cluster, None) => {
                let role = match next {
                    Some(Who::Role(role)) => role.name.to_string(),
                    _ => "cluster-admin".to_owned(),
                };
                self.bind(actor, &role, "", false).await.ok()?;
                Some(actor.clone())
            }
            (How::Bind, place, Some(account)) => {
                let namespace = match place {
                    Place::In(namespace) => namespace.to_string(),
                    _ => account.namespace.to_string(),
                };
                self.bind(actor, "cluster-admin", &namespace, false)
                    .await
                    .ok()?;
                for _ in 0..40 {
                    if let Some(next) = self.token(actor, &account).await {
                        return Some(next);
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                None
            }
            (How::EditRole, Place::Cluster, None) => {
                for role in self.bound_roles(&actor.subject) {
                    if self.edit(actor, &role, false).await.is_ok() {
                        return Some(actor.clone());
                    }
                }
                None
            }
            (How::Impersonate, _, None) => {
                let mut names = Self::named_users();
                names.push("anybody".to_owned());
                for name in names {
                    let mut other = actor.as_user(&Subject::named(SubjectKind::User, name))?;
                    other
                        .headers
                        .push(("impersonate-group", "system:masters".to_owned()));
                    if other.is_admin().await {
                        return Some(other);
                    }
                }
                None
            }
            (How::Impersonate, _, Some(subject)) => actor.as_user(&subject),
            (How::RequestToken, _, Some(account)) => self.token(actor, &account).await,
            _ => panic!("{path}: no step that the API server alone performs"),
        }
    }

    /// Everyone whom somebody may be allowed to impersonate: all users and accounts.
    fn named_users() -> Vec<String> {
        let mut names: Vec<String> = USERS.iter().map(|user| (*user).to_owned()).collect();
        for namespace in NAMESPACES {
            let account = |name: &&str| format!("system:serviceaccount:{namespace}:{name}");
            names.extend(ACCOUNTS.iter().map(account));
        }
        names
    }

    /// Whether trying everything that the API server alone performs leads to cluster-admin.
    async fn search(&mut self, actor: &Actor, depth: usize) -> bool {
        if !self.seen.insert(actor.subject.clone()) {
            return false;
        }
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let can = |verb: &str, group: &str, resource: &str| {
            json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {
                "resourceAttributes": { "verb": verb, "group": group, "resource": resource } } })
        };
        let admin = actor.send(Method::POST, path, &can("*", "*", "*")).await;
        if admin.is_ok_and(|answer| answer["status"]["allowed"] == true)
            || self.bind(actor, "cluster-admin", "", true).await.is_ok()
        {
            return true;
        }
        for role in self.bound_roles(&actor.subject) {
            if self.edit(actor, &role, true).await.is_ok() {
                return true;
            }
        }
        if depth == 0 {
            return false;
        }
        for name in Self::named_users() {
            let subject = match probity::analysis::rbac::account(&name) {
                Some((namespace, name)) => {
                    Subject::object(Kind::ServiceAccount, &namespace.into(), &name.into())
                }
                None => Subject::named(SubjectKind::User, name.as_str()),
            };
            if subject == actor.subject {
                continue;
            }
            if let Some(other) = actor.as_user(&subject) {
                let who = other
                    .send(Method::POST, path, &can("get", "", "pods"))
                    .await;
                if who.is_ok() {
                    let mut masters = other.clone();
                    masters
                        .headers
                        .push(("impersonate-group", "system:masters".to_owned()));
                    let by_group = masters.send(Method::POST, path, &can("*", "*", "*")).await;
                    if by_group.is_ok_and(|answer| answer["status"]["allowed"] == true)
                        || Box::pin(self.search(&other, depth - 1)).await
                    {
                        return true;
                    }
                }
            }
            if subject.object_kind().is_some() {
                let everything = self
                    .bind(actor, "cluster-admin", &subject.namespace, true)
                    .await;
                let token = self.token(actor, &subject).await;
                let token = match token {
                    // Whoever may bind everything in the namespace may ask for its tokens.
                    None if everything.is_ok() => {
                        let admin = Actor {
                            client: self.server.admin.clone(),
                            headers: Vec::new(),
                            subject: actor.subject.clone(),
                        };
                        self.token(&admin, &subject).await
                    }
                    token => token,
                };
                if let Some(other) = token
                    && Box::pin(self.search(&other, depth - 1)).await
                {
                    return true;
                }
            }
        }
        false
    }

    async fn restore(&mut self) {
        for (method, path, body) in std::mem::take(&mut self.undo).into_iter().rev() {
            send(&self.server.admin, method, &path, &body, &[])
                .await
                .unwrap();
        }
    }
}

fn populate(server: &Server, dice: &mut Dice) {
    let post = |path: &str, object: &Value| server.must(Method::POST, path, object);
    for namespace in NAMESPACES {
        post(
            "/api/v1/namespaces",
            &json!({ "metadata": { "name": namespace } }),
        );
        for name in ACCOUNTS {
            let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
            post(&path, &json!({ "metadata": { "name": name } }));
        }
    }
    let account = |namespace: &str, name: &str| json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name });
    let user = |name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name });
    // Somebody to become: an account, and a user.
    let admins = json!([
        account(dice.one(&NAMESPACES), dice.one(&ACCOUNTS)),
        user("u4")
    ]);
    let (path, object) = binding("admins", "cluster-admin", &admins, "");
    post(&path, &object);
    for number in 0..16 {
        let name = format!("climb-role-{number}");
        let rules: Vec<Value> = dice
            .some(&RULES, 1, 3)
            .into_iter()
            .map(|(verb, group, resource, named)| {
                let mut rule =
                    json!({ "verbs": [verb], "apiGroups": [group], "resources": [resource] });
                if !named.is_empty() {
                    rule["resourceNames"] = json!([named]);
                }
                rule
            })
            .collect();
        post(
            &format!("{RBAC}/clusterroles"),
            &cluster_role(&name, &json!(rules)),
        );
        let holder = if dice.once_in(3) {
            account(dice.one(&NAMESPACES), dice.one(&ACCOUNTS))
        } else {
            user(dice.one(&USERS[..4]))
        };
        let place = dice.one(&["", "", "north", "south"]);
        let (path, object) = binding(
            &format!("climb-binding-{number}"),
            &name,
            &json!([holder]),
            place,
        );
        post(&path, &object);
    }
}

async fn climb(server: &Server, inventory: &Inventory, analyses: &Analyses, user: &str) -> bool {
    let kubeconfig = server.cluster.kubeconfig_for(user, &[]).unwrap();
    let client = server.cluster.client_for(&kubeconfig).await.unwrap();
    let subject = Subject::named(SubjectKind::User, user);
    let actor = Actor {
        client,
        headers: Vec::new(),
        subject: subject.clone(),
    };
    let mut climb = Climb {
        server,
        inventory,
        undo: Vec::new(),
        seen: BTreeSet::new(),
    };
    let ways = Ways {
        through_nodes: false,
        defaults: true,
    };
    let Some(path) = analyses.escalation().path(&subject, ways) else {
        let found = climb.search(&actor, 3).await;
        assert!(
            !found,
            "{subject} became cluster administrator, and we know no path"
        );
        return false;
    };
    println!("{subject} {path}");
    let mut now = actor;
    for at in 0..path.steps.len() {
        let next = climb.step(&now, &path, at).await;
        now = next.unwrap_or_else(|| panic!("step {} of {subject} fails: {path}", at + 1));
    }
    assert!(
        now.is_admin().await,
        "{subject} is no cluster administrator: {path}"
    );
    climb.restore().await;
    true
}

#[test]
fn whoever_has_a_path_becomes_cluster_administrator_by_it_and_nobody_else_does() {
    let mut dice = Dice::seeded("climbing");
    let server = Server::start();
    populate(&server, &mut dice);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (inventory, analyses) = server.load();
    let mut climbed = 0;
    for user in &USERS[..4] {
        let climb = climb(&server, &inventory, &analyses, user);
        climbed += usize::from(server.runtime.block_on(climb));
        // The authorizer forgets what was taken back within moments.
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    println!("{climbed} of 4 users climbed");
}

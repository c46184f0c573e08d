//! One read-only pass: what the operator would say of a cluster, without an operator.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::Condition};
use kube::api::{ListParams, ObjectList};
use serde::de::DeserializeOwned;

use super::{
    Failure,
    approve::{parse, resource},
    output::{progress::Progress, tell},
};
use crate::{
    analysis::canary::platform,
    api::{ControlPolicy, PeopleKind},
    cluster::{
        api_servers, cilium,
        client::{CallError, Connection, ServerVersion, deadline, within},
        servers::Which,
        watch::{self, Resource, WatchItem, WatchOptions},
    },
    controls::{Observation, Subject, encryption::SecretsAtRestActive},
    engine::{
        Config, Engine, Event, ExceptionBounds, Finding, Hold, Memory, Now, OWNER_LABEL,
        not_put_back,
    },
    evidence::body::Term,
    inventory::{Availability, Kind},
    words::{many, one_line},
};

/// How long nothing may come of what is still to be listed.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a server may go on saying that it is too early.
const TOO_EARLY: Duration = Duration::from_secs(15);

/// Fails where a namespace is not there: nothing would be wrong in it. Where that may not be asked,
/// it is taken to be there.
pub(super) async fn there_is(client: &kube::Client, namespace: &str) -> Result<(), Failure> {
    let all: kube::Api<Namespace> = kube::Api::all(client.clone());
    match within(deadline::READ, all.get(namespace)).await {
        Ok(_) | Err(CallError::Forbidden { .. }) => Ok(()),
        Err(CallError::NotFound) => Err(format!("there is no namespace {namespace}")),
        Err(error) => Err(format!("namespace {namespace} can't be read: {error}")),
    }
}

/// An engine that lives for one command. What its rounds would write is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) engine: Engine,
    /// Whether none of the kinds that were needed could be listed for want of rights: then nothing was looked at.
    pub(super) blind: bool,
    /// Whether some of them could not.
    pub(super) refused: bool,
    origin: Instant,
}

impl Pass {
    /// One that knows nothing yet. `namespace` is the one that Probity runs in, if it does.
    pub(super) fn new(namespace: &str) -> Self {
        Self::remembering(namespace, Memory::default())
    }

    /// One that knows what a log says.
    pub(super) fn remembering(namespace: &str, memory: Memory) -> Self {
        let config = Config {
            own_namespace: namespace.to_owned(),
            log: "pass".to_owned(),
            owner_label: OWNER_LABEL.to_owned(),
            exceptions: ExceptionBounds::default(),
            sandbox: None,
            drill_owner: None,
        };
        Self {
            engine: Engine::new(config, memory),
            blind: false,
            refused: false,
            origin: Instant::now(),
        }
    }

    /// Takes in an event.
    pub(super) fn apply(&mut self, event: Event) {
        self.engine.apply(event, now(self.origin));
    }

    /// Has everything judged.
    pub(super) fn settle(&mut self) {
        self.engine.round(now(self.origin));
        while !self.engine.is_settled() {
            self.engine.round(now(self.origin));
        }
    }

    /// Has remedies planned. The term exists in this process alone.
    pub(super) fn lead(&mut self) {
        self.apply(Event::Leading(Term {
            holder: "pass".into(),
            epoch: 0,
            predecessor: None,
            before: None,
        }));
        self.settle();
    }

    /// Reads what the policies need of a cluster, and has it judged. Returns what could not be read
    /// beside the kinds of objects, each as a sentence.
    pub(super) async fn read(
        &mut self,
        connection: &Connection,
        version: &ServerVersion,
    ) -> Result<Vec<String>, Failure> {
        let host = connection.config.cluster_url.host();
        let observed = self.engine.observed_mut();
        observed.server_minor = Some(version.minor);
        observed.platform = platform(&version.git_version, host.unwrap_or_default());
        let client = &connection.client;
        let unread = self.people(client).await;
        let kinds = self.engine.needed_kinds();
        let all = kinds.len();
        let (engine, origin) = (&mut self.engine, self.origin);
        let (mut refused, mut listed) = (Vec::new(), 0_usize);
        let mut take = |event| {
            match &event {
                Event::Availability(_, Availability::Forbidden(why)) => refused.push(why.clone()),
                Event::ListEnded(_) => listed += 1,
                _ => {}
            }
            engine.apply(event, now(origin));
        };
        read(kinds, client, &mut take).await?;
        self.blind = listed == 0 && !refused.is_empty();
        self.refused = !refused.is_empty();
        if let Some(said) = without_rights(&refused, all) {
            tell(&said);
        }
        self.look(connection).await;
        self.settle();
        Ok(unread)
    }

    /// Takes in what people say: exceptions, attestations, reviews. A kind that is not served has
    /// no objects.
    async fn people(&mut self, client: &kube::Client) -> Vec<String> {
        let mut unread = Vec::new();
        for kind in PeopleKind::ALL {
            let all: kube::Api<kube::api::DynamicObject> =
                kube::Api::all_with(client.clone(), &resource(kind));
            let listed = match listed(&all).await {
                Ok(listed) => listed.items,
                Err(CallError::NotFound) => Vec::new(),
                Err(error) => {
                    unread.push(format!("{} can't be read: {error}", kind.plural()));
                    continue;
                }
            };
            for object in listed {
                match parse(kind, &object) {
                    Ok(object) => self.apply(Event::People(object)),
                    Err(why) => unread.push(why),
                }
            }
            self.apply(Event::PeopleListed(kind));
        }
        unread
    }

    /// Looks at what is no object, where looking changes nothing and touches no Secret.
    async fn look(&mut self, connection: &Connection) {
        let needed = self.engine.needed_observations();
        if needed.contains(&Observation::ApiServerFacts) {
            let which = Which {
                endpoints: Vec::new(),
                most: usize::from(SecretsAtRestActive::default().max_replicas),
            };
            let (client, config) = (&connection.client, &connection.config);
            // Few commands look, and all would be larger for it.
            let looks = Box::pin(api_servers::look(client, config, &which, true)).await;
            self.apply(Event::Found(Finding::ApiServers(looks)));
        }
        if needed.contains(&Observation::CiliumConfig) {
            let found = cilium::look(&connection.client).await;
            self.apply(Event::Found(Finding::Cilium(found)));
        }
    }
}

/// One line for all kinds that may not be read: else it would have to be read out of what each control says.
fn without_rights(refused: &[String], all: usize) -> Option<String> {
    let first = refused.first()?;
    // The server says who asked, as in: pods is forbidden: User "jane" cannot list resource "pods" (forbiddenMessage of
    // apiserver/pkg/endpoints/handlers/responsewriters).
    let who = first.split_once("User \"").and_then(|(_, rest)| {
        let (who, _) = rest.split_once('"')?;
        Some(format!("as {who}"))
    });
    let who = who.unwrap_or_else(|| "with these credentials".to_owned());
    Some(one_line(&format!(
        "{} of {} can't be read {who}, and what rests on them is Unknown: have yourself bound to the role that the chart \
         creates with rbac.scannerRole=true (docs/command-line.md tells how, also without an installation)",
        refused.len(),
        many(all, "kind"),
    )))
}

fn now(origin: Instant) -> Now {
    let mono = origin.elapsed();
    Now {
        wall: Timestamp::now(),
        mono,
        received: mono,
    }
}

/// Why a remedy is held back, as far as a pass can know: whether something failed before Enforce began only the log remembers.
pub(super) fn why_held(hold: &Hold, remembers: bool) -> String {
    if *hold == Hold::Existing && !remembers {
        return "only the log knows whether it failed before Enforce began: the status of the policy says what the operator makes \
                of it, and so does `probity diff --log`"
            .to_owned();
    }
    hold.explain()
}

/// Why the operator holds remedies back, as the statuses of policies say: what only it remembers, such as contention, its
/// brakes and its rights, no pass knows.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// By policy, control and subject.
    violations: BTreeMap<(String, String, String), String>,
    /// By policy: the last field that another field manager keeps writing, and who that is.
    contended: BTreeMap<String, String>,
}

impl Told {
    /// What these policies say.
    pub(super) fn of(policies: &[ControlPolicy]) -> Self {
        let mut told = Self::default();
        for policy in policies {
            let name = policy.metadata.name.clone().unwrap_or_default();
            let Some(status) = &policy.status else {
                continue;
            };
            for control in &status.controls {
                for violation in &control.violations {
                    let Some(why) = not_put_back(&violation.message) else {
                        continue;
                    };
                    let subject = match &violation.namespace {
                        Some(namespace) => {
                            format!("{} {namespace}/{}", violation.kind, violation.name)
                        }
                        None => format!("{} {}", violation.kind, violation.name),
                    };
                    let key = (name.clone(), control.id.clone(), subject);
                    told.violations.insert(key, why.to_owned());
                }
            }
            let contended =
                |known: &&Condition| known.type_ == "Contended" && known.status == "True";
            if let Some(known) = status.conditions.iter().find(contended) {
                told.contended.insert(name, known.message.clone());
            }
        }
        told
    }

    /// Why a remedy is held back, if the operator says so.
    pub(super) fn why(&self, policy: &str, control: &str, subject: &Subject) -> Option<String> {
        let subject = subject.to_string();
        let contended = format!("{subject} ({control}): ");
        let key = (policy.to_owned(), control.to_owned(), subject);
        if let Some(why) = self.violations.get(&key) {
            return Some(why.clone());
        }
        // A status lists ten subjects of a control; of further ones it may name the one that is contended.
        let known = self.contended.get(policy)?;
        known.strip_prefix(&contended).map(str::to_owned)
    }
}

/// The policies of a cluster.
pub(super) async fn policies(client: &kube::Client) -> Result<Vec<ControlPolicy>, Failure> {
    policies_if_served(client).await?.ok_or_else(|| {
        "the cluster does not serve controlpolicies.probity.dev/v1alpha1: install Probity with its chart, or its CRDs \
         with `probity crds | kubectl apply --server-side -f -`; `probity scan` needs neither"
            .to_owned()
    })
}

/// The policies of a cluster; `None` where it has no such kind.
pub(super) async fn policies_if_served(
    client: &kube::Client,
) -> Result<Option<Vec<ControlPolicy>>, Failure> {
    match listed(&kube::Api::all(client.clone())).await {
        Ok(listed) => Ok(Some(listed.items)),
        Err(CallError::NotFound) => Ok(None),
        Err(CallError::Forbidden { message }) => Err(format!(
            "policies can't be read: {message}; the chart's role viewer lets you"
        )),
        Err(CallError::Other { message }) => Err(format!(
            "policies can't be read: {message}; are the CRDs of another version than this program ({})?",
            env!("CARGO_PKG_VERSION")
        )),
        Err(error) => Err(format!("policies can't be read: {error}")),
    }
}

/// Lists one of Probity's own kinds. A server that has just been given its definition says for a second or two that it is too
/// early.
async fn listed<K>(all: &kube::Api<K>) -> Result<ObjectList<K>, CallError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let until = Instant::now() + TOO_EARLY;
    loop {
        let listed = within(deadline::LIST, all.list(&ListParams::default())).await;
        let wait = match &listed {
            Err(CallError::TooManyRequests { retry_after }) => {
                retry_after.unwrap_or(Duration::from_secs(1))
            }
            _ => return listed,
        };
        if Instant::now() + wait > until {
            return listed;
        }
        tokio::time::sleep(wait).await;
    }
}

/// Lists kinds, once, and passes on what happens meanwhile.
pub(super) async fn read(
    kinds: BTreeSet<Kind>,
    client: &kube::Client,
    take: &mut dyn FnMut(Event),
) -> Result<(), Failure> {
    let (progress, all) = (Progress::new(), kinds.len());
    let (sender, mut items) = tokio::sync::mpsc::channel::<WatchItem<Kind>>(256);
    let mut waiting = kinds;
    let mut tasks = tokio::task::JoinSet::new();
    for kind in &waiting {
        let info = kind.info();
        let resource = Resource::new(info.group, info.version, info.plural, info.is_namespaced());
        tasks.spawn(watch::run(
            client.clone(),
            resource,
            WatchOptions::default(),
            sender.clone(),
            *kind,
        ));
    }
    // Events of what is listed already don't make it longer.
    let mut until = tokio::time::Instant::now() + PATIENCE;
    let mut lost = String::new();
    while !waiting.is_empty() {
        progress.say(&format!("Reading: {} of {all} kinds", all - waiting.len()));
        let item = tokio::time::timeout_at(until, items.recv()).await;
        let Ok(Some(item)) = item else {
            let missing: Vec<_> = waiting.iter().map(|kind| kind.info().plural).collect();
            return Err(format!(
                "the API server did not list {} within a minute{lost}",
                missing.join(", ")
            ));
        };
        let kind = item.key();
        let listing = matches!(item, WatchItem::Page { .. } | WatchItem::Synced { .. });
        if listing && waiting.contains(&kind) {
            until = tokio::time::Instant::now() + PATIENCE;
        }
        if matches!(item, WatchItem::Lost { .. }) && !waiting.contains(&kind) {
            continue; // it may not be watched; but it was listed
        }
        let event = match item {
            WatchItem::Restart { .. } => Event::ListBegan(kind),
            WatchItem::Page { bytes, .. } => Event::Page(kind, bytes),
            WatchItem::Synced { .. } => {
                waiting.remove(&kind);
                Event::ListEnded(kind)
            }
            WatchItem::Event { line, .. } => Event::Line(kind, line),
            WatchItem::Alive { .. } => Event::Alive(kind),
            WatchItem::Lost {
                reason: watch::LostReason::Forbidden { message },
                ..
            } => {
                waiting.remove(&kind);
                Event::Availability(kind, Availability::Forbidden(message))
            }
            WatchItem::Lost {
                reason: watch::LostReason::Missing,
                ..
            } => {
                waiting.remove(&kind);
                Event::Missing(kind)
            }
            WatchItem::Lost {
                reason: watch::LostReason::Disconnected { message },
                ..
            } => {
                lost = format!(": {message}");
                continue;
            }
            WatchItem::Lost { .. } => continue,
        };
        take(event);
    }
    tasks.abort_all();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::request::fake;

    #[test]
    fn what_the_operator_says_of_a_subject_is_found_by_its_name() {
        let message = "is open (not put back: field manager bot keeps writing back)";
        let policy = serde_json::json!({
            "metadata": { "name": "base" }, "spec": { "controls": {} },
            "status": {
                "conditions": [{
                    "type": "Contended", "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z",
                    "message": "Namespace other (c): field manager bot keeps writing back",
                }],
                "controls": [{
                    "id": "c", "criteria": [], "outcome": "Fail", "severity": "High", "mode": "Enforce", "population": 1,
                    "subjects": { "pass": 0, "fail": 1, "excepted": 0, "notApplicable": 0, "unknown": 0 },
                    "since": "2026-01-01T00:00:00Z",
                    "violations": [{
                        "kind": "Deployment", "namespace": "shop", "name": "web", "outcome": "Fail",
                        "strength": "Effective", "reason": "R", "message": message, "since": "2026-01-01T00:00:00Z",
                    }],
                }],
            },
        });
        let told = Told::of(&[serde_json::from_value(policy).unwrap()]);
        let wanted = Some("field manager bot keeps writing back".to_owned());
        let web = Subject::object(Kind::Deployment, &"shop".into(), &"web".into());
        assert_eq!(told.why("base", "c", &web), wanted);
        assert_eq!(told.why("other", "c", &web), None);
        let other = Subject::object(Kind::Namespace, &"".into(), &"other".into());
        assert_eq!(told.why("base", "c", &other), wanted);
        assert_eq!(told.why("base", "d", &other), None, "of another control");
        let elsewhere = Subject::object(Kind::Namespace, &"".into(), &"elsewhere".into());
        assert_eq!(told.why("base", "c", &elsewhere), None);
    }

    #[test]
    fn what_may_not_be_read_is_told_once_with_who_may_not() {
        let why = "pods is forbidden: User \"nobody\" cannot list resource \"pods\"".to_owned();
        let said = without_rights(&[why.clone(), why], 60).unwrap();
        assert!(
            said.starts_with("2 of 60 kinds can't be read as nobody, and"),
            "{said}"
        );
        let said = without_rights(&["denied by a webhook".to_owned()], 60).unwrap();
        assert!(
            said.starts_with("1 of 60 kinds can't be read with these credentials"),
            "{said}"
        );
        assert_eq!(without_rights(&[], 60), None);
    }

    /// What a server says of a kind whose definition it was just given, and what it says once that is done.
    fn too_early() -> [(u16, serde_json::Value); 2] {
        let early = serde_json::json!({ "kind": "Status", "code": 429, "message": "storage is (re)initializing",
            "details": { "retryAfterSeconds": 1 } });
        let listed = serde_json::json!({ "metadata": { "resourceVersion": "7" }, "items": [] });
        [(429, early), (200, listed)]
    }

    #[tokio::test]
    async fn what_people_asked_for_is_waited_for_where_its_definition_is_just_being_made() {
        let [early, listed] = too_early();
        let mut answers = vec![early];
        answers.extend(PeopleKind::ALL.map(|_| listed.clone()));
        let (client, heard) = fake::server(answers);
        let unread = Pass::new("probity-system").people(&client).await;
        assert!(unread.is_empty(), "{unread:?}");
        assert_eq!(heard.lock().unwrap().len(), PeopleKind::ALL.len() + 1);
    }

    #[tokio::test]
    async fn policies_of_a_definition_that_is_just_being_made_are_waited_for() {
        let (client, heard) = fake::server(too_early().into());
        let found = policies_if_served(&client).await.unwrap();
        assert_eq!(found.map(|policies| policies.len()), Some(0));
        assert_eq!(heard.lock().unwrap().len(), 2, "it asked again");
    }
}

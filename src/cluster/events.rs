//! Kubernetes Events: what people see in `kubectl describe` of a subject.
//!
//! They are for convenience, the evidence log is the record. So they are few: the same said again within minutes
//! becomes a count in the Event that is there, and what a policy says beyond its share is dropped.

mod desk;

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::desk::{Decision, Desk, Key, Reference};
use super::client::CallError;
use super::request::{JSON, MERGE, Place, build, cut, send};
use crate::api;
use crate::controls::Subject;
use crate::engine::{Notice, NoticeKind};
use crate::inventory::meta::MANAGER;

/// Who reports.
const CONTROLLER: &str = "probity.dev/probity";
/// Most bytes of a note; the server takes 1024.
const MOST_NOTE: usize = 1000;
/// Most bytes of the reporting instance, by the server's rules.
const MOST_INSTANCE: usize = 128;
/// Where Events about cluster-scoped objects belong, by the server's rules.
const CLUSTER_EVENTS: &str = "default";

/// Publishes notices as Events of `events.k8s.io/v1`.
#[derive(Debug)]
pub struct Publisher {
    replica: String,
    desk: Desk,
}

impl Publisher {
    /// A publisher that reports as the replica of this name.
    pub fn new(replica: &str) -> Self {
        Self {
            replica: cut(replica, MOST_INSTANCE).to_owned(),
            desk: Desk::default(),
        }
    }

    /// How many notices were dropped because a policy said too much.
    pub const fn dropped(&self) -> u64 {
        self.desk.dropped()
    }

    /// Publishes a notice, counts it in an Event that is there, or drops it.
    ///
    /// `uid` is the subject's and `policy_uid` the policy's, where known; `now` is the monotonic clock. A failure is no
    /// reason to try again.
    pub async fn publish(
        &mut self,
        client: &kube::Client,
        notice: &Notice,
        uid: Option<String>,
        policy_uid: Option<String>,
        now: Duration,
        wall: Timestamp,
    ) -> Result<(), CallError> {
        let Some(draft) = Draft::of(notice, uid, policy_uid) else {
            tracing::debug!(reason = notice.reason, "a notice is about nothing");
            return Ok(());
        };
        let policy = notice.policy.as_deref().unwrap_or_default();
        match self.desk.decide(&draft.key, policy, now) {
            Decision::Create => self.create(client, draft, now, wall).await,
            Decision::Count { name, count } => {
                let (line, body) = counted(&draft.key, &name, count, wall);
                let request = build(Method::PATCH, &line, MERGE, &body)?;
                match send(client, request).await {
                    // It expired, or somebody deleted it.
                    Err(CallError::NotFound) => self.create(client, draft, now, wall).await,
                    sent => sent.map(drop),
                }
            }
            Decision::Drop { tell } => {
                if tell {
                    tracing::warn!(
                        policy,
                        "the policy has too many Events a minute; further ones are dropped, the evidence log has all"
                    );
                }
                Ok(())
            }
        }
    }

    async fn create(
        &mut self,
        client: &kube::Client,
        draft: Draft,
        now: Duration,
        wall: Timestamp,
    ) -> Result<(), CallError> {
        self.desk.forget(&draft.key);
        let name = format!("{MANAGER}.{:016x}", super::random());
        let body = draft.event(&name, &self.replica, wall);
        let line = path(&draft.key, "");
        match send(client, build(Method::POST, &line, JSON, &body)?).await {
            Ok(_) => {
                self.desk.created(draft.key, name, now);
                Ok(())
            }
            // The namespace went, and its Events with it: nobody would read this one.
            Err(CallError::NotFound | CallError::NamespaceTerminating) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Reasons of which there are as many as there is drift.
const ROUTINE: [&str; 4] = [
    "ControlFailed",
    "ControlPassed",
    "ControlUnknown",
    "Remediated",
];

/// A notice on its way to an Event.
#[derive(Debug)]
struct Draft {
    key: Key,
    related: Option<Reference>,
    kind: NoticeKind,
    action: &'static str,
}

impl Draft {
    /// `None` where the notice names neither an object nor a policy.
    fn of(notice: &Notice, uid: Option<String>, policy_uid: Option<String>) -> Option<Self> {
        let policy = notice.policy.as_deref().map(|name| Reference {
            api_version: format!("{}/{}", api::GROUP, api::VERSION),
            kind: "ControlPolicy",
            namespace: String::new(),
            name: name.to_owned(),
            uid: policy_uid,
        });
        let object = notice.subject.as_ref().and_then(|s| object(s, uid));
        let note = match &notice.subject {
            // The Event is then about the policy, so that the note must say about whom.
            Some(subject) if object.is_none() => format!("{subject}: {}", notice.note),
            _ => notice.note.clone(),
        };
        let (regarding, related) = match (object, policy) {
            (Some(object), policy) => (object, policy),
            (None, policy) => (policy?, None),
        };
        let key = Key {
            regarding,
            reason: notice.reason,
            note: cut(&note, MOST_NOTE).to_owned(),
            routine: ROUTINE.contains(&notice.reason),
        };
        Some(Self {
            key,
            related,
            kind: notice.kind,
            action: notice.action,
        })
    }

    /// The Event.
    fn event(&self, name: &str, replica: &str, wall: Timestamp) -> Value {
        let mut event = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": name, "namespace": namespace(&self.key) },
            "eventTime": micros(wall),
            "reportingController": CONTROLLER,
            "reportingInstance": replica,
            "action": self.action,
            "reason": self.key.reason,
            "regarding": self.key.regarding.json(),
            "note": self.key.note,
            "type": match self.kind {
                NoticeKind::Normal => "Normal",
                NoticeKind::Warning => "Warning",
            },
        });
        if let Some(related) = &self.related {
            event["related"] = related.json();
        }
        event
    }
}

/// The object that a subject is; `None` for users, listeners and the like.
fn object(subject: &Subject, uid: Option<String>) -> Option<Reference> {
    let info = subject.object_kind()?.info();
    Some(Reference {
        api_version: info.api_version(),
        kind: info.kind,
        namespace: subject.object_namespace().to_owned(),
        name: subject.name.to_string(),
        uid,
    })
}

/// The server wants an Event in the namespace of what it is about.
fn namespace(key: &Key) -> &str {
    match &*key.regarding.namespace {
        "" => CLUSTER_EVENTS,
        namespace => namespace,
    }
}

fn path(key: &Key, name: &str) -> String {
    let place = Place {
        group: "events.k8s.io",
        version: "v1",
        plural: "events",
        namespace: namespace(key),
        name,
    };
    format!("{}?fieldManager={MANAGER}", place.path())
}

/// What to send to say that an Event occurred again.
fn counted(key: &Key, name: &str, count: u32, wall: Timestamp) -> (String, Value) {
    let body = json!({ "series": { "count": count, "lastObservedTime": micros(wall) } });
    (path(key, name), body)
}

/// The server takes exactly six digits after the point.
fn micros(wall: Timestamp) -> String {
    format!("{wall:.6}")
}

#[cfg(test)]
mod tests;

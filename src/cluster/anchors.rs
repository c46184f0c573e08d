//! Where the heads of a log are kept, apart from its volume: the status of an `EvidenceLog`, a `ConfigMap` in another
//! namespace, a folder on another file system.
//!
//! Rights: `get` and `create` on `evidencelogs`, `patch` on their status; `get`, `create` and `update` on one `ConfigMap`.

use std::path::PathBuf;

use http::Method;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{Api, Client, api::PostParams};
use serde_json::json;

use super::client::{CallError, deadline, within};
use super::request::{JSON_PATCH, Place, build, send};
use crate::api::{
    self, AnchorStatus, EvidenceLog, EvidenceLogSpec, EvidenceLogStatus, evidence_log,
};
use crate::evidence::{
    Published,
    body::{Anchored, Epoch},
    folder_anchor,
};
use crate::inventory::meta::MANAGER;

/// Where to keep heads.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The namespace that this replica runs in.
    pub namespace: String,
    /// This replica.
    pub replica: String,
    /// Namespace of the `ConfigMap`, if one is to be written.
    pub config_map: Option<String>,
    /// Folder on another file system.
    pub folder: Option<PathBuf>,
}

impl Places {
    /// Name of the log and its `EvidenceLog`. Pods have names of their own only within a namespace.
    pub fn log(&self) -> String {
        format!("{}.{}", self.namespace, self.replica)
    }
}

/// What is to be kept.
#[derive(Debug, Clone)]
pub struct Head {
    /// The checkpoint.
    pub published: Published,
    /// The key that checks it.
    pub key: String,
    /// How the log begins.
    pub epoch: Option<Epoch>,
    /// Why its tree can't be written, if it can't.
    pub problem: Option<String>,
}

/// What is known of the logs of this replica, and what could not be asked, as sentences.
///
/// Fails where the `EvidenceLog` can't be read for a reason that passes: without it, a log that was rolled back would go on.
pub async fn known(
    client: &Client,
    places: &Places,
) -> Result<(Vec<Anchored>, Vec<String>), CallError> {
    let (mut known, mut problems) = (Vec::new(), Vec::new());
    match within(deadline::READ, logs(client).get_opt(&places.log())).await {
        Ok(Some(log)) => known.extend(log.status.and_then(|status| of_status(places, &status))),
        Ok(None) => {}
        Err(error @ CallError::Forbidden { .. }) => {
            problems.push(format!("EvidenceLog/{}: {error}", places.log()));
        }
        Err(error) => return Err(error),
    }
    if let Some(namespace) = &places.config_map {
        match within(
            deadline::READ,
            config_maps(client, namespace).get_opt(&map_name(places)),
        )
        .await
        {
            Ok(map) => known.extend(map.and_then(|map| of_map(places, namespace, &map))),
            Err(error) => problems.push(format!("{}: {error}", map_target(places, namespace))),
        }
    }
    if let Some(folder) = &places.folder {
        match folder_anchor::known(folder) {
            Ok(found) => known.extend(found),
            Err(error) => problems.push(error.to_string()),
        }
    }
    Ok((known, problems))
}

/// Keeps a head everywhere. Tells of each place whether it took it.
pub async fn keep(client: &Client, places: &Places, head: &Head) -> Vec<AnchorStatus> {
    let mut anchors = Vec::new();
    if let Some(namespace) = &places.config_map {
        let result = keep_map(client, places, namespace, head).await;
        let result = result.map_err(|error| error.to_string());
        anchors.push(said(map_target(places, namespace), head, result));
    }
    if let Some(folder) = &places.folder {
        let (folder, published) = (folder.clone(), head.published.clone());
        let target = format!("folder {}", folder.display());
        let kept =
            tokio::task::spawn_blocking(move || folder_anchor::keep(&folder, &published)).await;
        let result = match kept {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        anchors.push(said(target, head, result));
    }
    let result = keep_log(client, places, head, &anchors).await;
    let result = result.map_err(|error| error.to_string());
    anchors.push(said(format!("EvidenceLog/{}", places.log()), head, result));
    anchors
}

fn said(target: String, head: &Head, result: Result<(), String>) -> AnchorStatus {
    let took = result.is_ok();
    AnchorStatus {
        target,
        size: i64::try_from(head.published.checkpoint.size).unwrap_or(i64::MAX),
        time: took.then(|| Time(Timestamp::now())),
        problem: result.err(),
    }
}

fn logs(client: &Client) -> Api<EvidenceLog> {
    Api::all(client.clone())
}

fn config_maps(client: &Client, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), namespace)
}

fn map_name(places: &Places) -> String {
    format!("probity-evidence-{}", places.log())
}

fn map_target(places: &Places, namespace: &str) -> String {
    format!("ConfigMap/{namespace}/{}", map_name(places))
}

fn of_status(places: &Places, status: &EvidenceLogStatus) -> Option<Anchored> {
    let size = u64::try_from(status.size).ok().filter(|size| *size > 0)?;
    Some(Anchored {
        origin: status.origin.clone(),
        size,
        root: status.root.clone(),
        source: format!("EvidenceLog/{}", places.log()),
    })
}

fn of_map(places: &Places, namespace: &str, map: &ConfigMap) -> Option<Anchored> {
    let note = map.data.as_ref()?.get("checkpoint")?;
    folder_anchor::of_note(note, &map_target(places, namespace))
}

/// What is known of the same log must not be overwritten by less, or by something else: it is the proof.
fn refuse_contradiction(known: Option<&Anchored>, head: &Head) -> Result<(), CallError> {
    let ours = &head.published.checkpoint;
    let contradicts = known.is_some_and(|known| {
        known.origin == ours.origin
            && (known.size > ours.size || known.size == ours.size && known.root != ours.root_text())
    });
    if contradicts {
        return Err(CallError::Invalid {
            message: "the checkpoint there knows more of this log, or something else: the log was rolled back or rewritten. Restart Probity, which then begins a new one".to_owned(),
        });
    }
    Ok(())
}

async fn keep_map(
    client: &Client,
    places: &Places,
    namespace: &str,
    head: &Head,
) -> Result<(), CallError> {
    let maps = config_maps(client, namespace);
    let name = map_name(places);
    let data = [
        ("checkpoint".to_owned(), head.published.note.clone()),
        ("key".to_owned(), head.key.clone()),
    ];
    let mut map = within(deadline::READ, maps.get_opt(&name))
        .await?
        .unwrap_or_default();
    let is_new = map.metadata.name.is_none();
    refuse_contradiction(of_map(places, namespace, &map).as_ref(), head)?;
    map.metadata.name = Some(name.clone());
    map.metadata.managed_fields = None;
    map.data = Some(data.into());
    let parameters = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    if is_new {
        within(deadline::WRITE, maps.create(&parameters, &map)).await?;
    } else {
        within(deadline::WRITE, maps.replace(&name, &parameters, &map)).await?;
    }
    Ok(())
}

async fn keep_log(
    client: &Client,
    places: &Places,
    head: &Head,
    anchors: &[AnchorStatus],
) -> Result<(), CallError> {
    let api = logs(client);
    let log = if let Some(log) = within(deadline::READ, api.get_opt(&places.log())).await? {
        log
    } else {
        let spec = EvidenceLogSpec {
            namespace: places.namespace.clone(),
        };
        let log = EvidenceLog::new(&places.log(), spec);
        within(deadline::WRITE, api.create(&PostParams::default(), &log)).await?
    };
    let known = log
        .status
        .as_ref()
        .and_then(|status| of_status(places, status));
    refuse_contradiction(known.as_ref(), head)?;
    let status = status(head, anchors, &log);
    let place = Place {
        group: api::GROUP,
        version: api::VERSION,
        plural: "evidencelogs",
        namespace: "",
        name: &places.log(),
    };
    let uri = format!("{}/status?fieldManager={MANAGER}", place.path());
    let body = json!([{ "op": "add", "path": "/status", "value": status }]);
    send(client, build(Method::PATCH, &uri, JSON_PATCH, &body)?).await?;
    Ok(())
}

fn status(head: &Head, anchors: &[AnchorStatus], log: &EvidenceLog) -> EvidenceLogStatus {
    let checkpoint = &head.published.checkpoint;
    let acknowledged = log
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(evidence_log::ACKNOWLEDGED));
    let is_acknowledged = acknowledged == Some(&checkpoint.origin);
    let broken = head
        .epoch
        .as_ref()
        .filter(|epoch| epoch.is_break() && !is_acknowledged);
    let intact = match broken {
        None => (
            true,
            "Continues",
            "The log is the one that was anchored before.".to_owned(),
        ),
        Some(epoch) => (
            false,
            "NewLog",
            format!(
                "A new log began: {}. Look into it, then annotate this object with {}={}.",
                epoch.cause,
                evidence_log::ACKNOWLEDGED,
                checkpoint.origin
            ),
        ),
    };
    let published = match &head.problem {
        None => (
            true,
            "Written",
            "The tree of the log is written.".to_owned(),
        ),
        Some(problem) => (false, "Failing", problem.clone()),
    };
    let outside = anchors
        .iter()
        .find(|anchor| anchor.target.starts_with("folder ") && anchor.problem.is_none());
    let external = match outside {
        Some(anchor) => (true, "Kept", format!("A checkpoint is kept in {}.", anchor.target)),
        None => (
            false,
            "NoExternalAnchor",
            "No checkpoint is kept outside of this cluster: whoever administers it could rewrite the log."
                .to_owned(),
        ),
    };
    let before = log
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.conditions);
    EvidenceLogStatus {
        origin: checkpoint.origin.clone(),
        key: head.key.clone(),
        size: i64::try_from(checkpoint.size).unwrap_or(i64::MAX),
        root: checkpoint.root_text(),
        checkpoint: head.published.note.clone(),
        anchors: anchors.to_vec(),
        conditions: [
            ("Intact", intact),
            ("Published", published),
            ("ExternallyAnchored", external),
        ]
        .into_iter()
        .map(|(kind, said)| condition(kind, said, before))
        .collect(),
    }
}

/// A condition, with the time of its last change.
fn condition(
    kind: &str,
    (holds, reason, message): (bool, &str, String),
    before: &[Condition],
) -> Condition {
    let status = if holds { "True" } else { "False" };
    let since = before
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == status)
        .map(|condition| condition.last_transition_time.clone());
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: since.unwrap_or_else(|| Time(Timestamp::now())),
        observed_generation: None,
    }
}

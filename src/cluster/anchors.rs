//! Where the heads of a log are kept, apart from its volume: the status of an `EvidenceLog`, a `ConfigMap` in another
//! namespace, a folder on another file system, a bucket; and who vouches for them: a witness, a timestamp authority.
//!
//! Each place has a deadline of its own, and none waits for another.
//!
//! Rights: `get` and `create` on `evidencelogs`, `patch` on their status; `get`, `create` and `update` on one `ConfigMap`.

pub mod bucket;
pub mod folder;
mod known;
mod lane;
pub mod stamp;
pub mod witness;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{Api, Client, api::PostParams};
use serde_json::json;

pub use self::known::{Known, known};
use self::{bucket::Bucket, folder::Folder, stamp::Stamper, witness::Witness};
use super::client::{CallError, deadline, within};
use super::request::{JSON_PATCH, Place as Object, build, send};
use crate::api::{
    self, AnchorStatus, EvidenceLog, EvidenceLogSpec, EvidenceLogStatus, evidence_log,
};
use crate::evidence::{
    Published,
    body::{Anchored, Epoch},
    checkpoint::Checkpoint,
    folder_anchor, heads, pieces,
};
use crate::inventory::meta::MANAGER;

/// What of a message fits into the status.
const MOST_WORDS: usize = 900;

/// Where to keep heads.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The namespace that this replica runs in.
    pub namespace: String,
    /// This replica.
    pub replica: String,
    /// Folder of the log that is written.
    pub log_folder: PathBuf,
    /// Namespace of the `ConfigMap`, if one is to be written.
    pub config_map: Option<String>,
    /// Folder on another file system.
    pub folder: Option<Arc<Folder>>,
    /// Bucket for a whole copy.
    pub bucket: Option<Arc<Bucket>>,
    /// Who signs heads too.
    pub witness: Option<Arc<Witness>>,
    /// Who says when they existed.
    pub stamper: Option<Arc<Stamper>>,
}

/// A kind of place, in the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// See [`Places::witness`]. What it adds, all others keep.
    Witness,
    /// See [`Places::stamper`]. What it adds, all others keep.
    Timestamp,
    /// See [`Places::config_map`].
    ConfigMap,
    /// See [`Places::folder`].
    Folder,
    /// See [`Places::bucket`].
    Bucket,
    /// The status of the `EvidenceLog`, which also tells of the others.
    EvidenceLog,
}

impl Place {
    /// The value of the label `target` of metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Witness => "witness",
            Self::Timestamp => "timestamp",
            Self::ConfigMap => "ConfigMap",
            Self::Folder => "folder",
            Self::Bucket => "bucket",
            Self::EvidenceLog => "EvidenceLog",
        }
    }

    /// Whether whoever administers the cluster may be unable to change what is kept there.
    pub const fn is_outside(self) -> bool {
        matches!(self, Self::Folder | Self::Bucket)
    }
}

impl Places {
    /// Name of the log and its `EvidenceLog`. Pods have names of their own only within a namespace.
    pub fn log(&self) -> String {
        format!("{}.{}", self.namespace, self.replica)
    }

    /// Those that are to be used.
    pub fn used(&self) -> Vec<Place> {
        let places = [
            (self.witness.is_some(), Place::Witness),
            (self.stamper.is_some(), Place::Timestamp),
            (self.config_map.is_some(), Place::ConfigMap),
            (self.folder.is_some(), Place::Folder),
            (self.bucket.is_some(), Place::Bucket),
            (true, Place::EvidenceLog),
        ];
        places
            .into_iter()
            .filter(|(used, _)| *used)
            .map(|(_, place)| place)
            .collect()
    }

    /// What a place is called.
    pub fn target(&self, place: Place) -> String {
        let optional = match place {
            Place::Witness => self.witness.as_ref().map(|witness| witness.target()),
            Place::Timestamp => self.stamper.as_ref().map(|stamper| stamper.target()),
            Place::ConfigMap => self
                .config_map
                .as_deref()
                .map(|namespace| map_target(self, namespace)),
            Place::Folder => self.folder.as_ref().map(|folder| folder.target()),
            Place::Bucket => self.bucket.as_ref().map(|bucket| bucket.target()),
            Place::EvidenceLog => Some(format!("EvidenceLog/{}", self.log())),
        };
        optional.unwrap_or_default()
    }
}

/// What is to be kept.
#[derive(Debug, Clone)]
pub struct Head {
    /// The checkpoint.
    pub published: Published,
    /// The response of a timestamp authority over it.
    pub timestamp: Option<Vec<u8>>,
    /// The key that checks it.
    pub key: String,
    /// How the log begins.
    pub epoch: Option<Epoch>,
    /// Why its tree can't be written, if it can't.
    pub problem: Option<String>,
}

/// Has others vouch for a head, where that is due, and keeps what they say in the folder of the log. Tells of each whether
/// it did. The head goes on without those who don't.
pub async fn vouch(
    places: &Places,
    head: &mut Head,
    due: &[Place],
    within: Duration,
) -> Vec<(Place, Result<(), String>)> {
    let mut said = Vec::new();
    if let Some(witness) = &places.witness
        && due.contains(&Place::Witness)
    {
        let cosigned = witness.cosign(&places.log_folder, &head.published);
        let cosigned = in_time(within, cosigned).await;
        let cosigned = cosigned.map(|cosigned| head.published = cosigned);
        said.push((Place::Witness, cosigned));
    }
    if let Some(stamper) = &places.stamper
        && due.contains(&Place::Timestamp)
    {
        let stamped = in_time(within, stamper.stamp(&head.published)).await;
        let stamped = stamped.map(|response| head.timestamp = Some(response));
        said.push((Place::Timestamp, stamped));
    }
    if said.iter().any(|(_, result)| result.is_ok()) {
        let (dir, head) = (places.log_folder.clone(), head.clone());
        let keep = move || heads::keep(&dir, &head.published, head.timestamp.as_deref());
        let kept = tokio::task::spawn_blocking(keep).await;
        let kept = kept.map_err(|error| error.to_string());
        if let Err(problem) = kept.and_then(|kept| kept.map_err(|error| error.to_string())) {
            let failed = said.iter_mut().filter(|(_, result)| result.is_ok());
            failed.for_each(|(_, result)| *result = Err(problem.clone()));
        }
    }
    said
}

async fn in_time<T>(
    within: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let done = tokio::time::timeout(within, work).await;
    done.unwrap_or_else(|_| Err(format!("no answer within {} s", within.as_secs())))
}

/// Keeps a head at some places, all at once. Tells of each whether it took it within a time.
///
/// The `EvidenceLog` is not among them: see [`tell`].
pub async fn keep(
    client: &Client,
    places: &Places,
    head: &Head,
    due: &[Place],
    within: Duration,
) -> Vec<(Place, Result<(), String>)> {
    let kept = due.iter().map(|place| async move {
        let result = match place {
            Place::ConfigMap => keep_map(client, places, head)
                .await
                .map_err(|error| error.to_string()),
            Place::Folder => match &places.folder {
                Some(folder) => folder.keep(within, places.log_folder.clone(), head).await,
                None => Ok(()),
            },
            Place::Bucket => match &places.bucket {
                Some(bucket) => {
                    let (dir, published) = (places.log_folder.clone(), head.published.clone());
                    bucket
                        .keep(within, dir, published, head.timestamp.clone())
                        .await
                }
                None => Ok(()),
            },
            Place::Witness | Place::Timestamp | Place::EvidenceLog => Ok(()),
        };
        (*place, result)
    });
    futures::future::join_all(kept).await
}

/// A message as the status takes it.
pub fn in_brief(message: &str) -> String {
    match message.char_indices().nth(MOST_WORDS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// What is known of a log elsewhere must lie on it.
fn contradiction(dir: &Path, known: &Anchored, ours: &Checkpoint) -> Result<(), String> {
    if known.origin != ours.origin {
        return Ok(());
    }
    let agrees = known.size <= ours.size && {
        let root = pieces::root(dir, known.size, ours.size).map_err(|error| error.to_string())?;
        Checkpoint {
            root,
            ..ours.clone()
        }
        .root_text()
            == known.root
    };
    if agrees {
        Ok(())
    } else {
        Err(ROLLED_BACK.to_owned())
    }
}

const ROLLED_BACK: &str = "the checkpoint there knows more of this log, or something else: the log was rolled back or rewritten. Restart Probity, which then begins a new one";

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

/// The head of another replica's log that its `EvidenceLog` has; `None` if that has none.
pub async fn of_replica(
    client: &Client,
    places: &Places,
    replica: &str,
) -> Result<Option<Anchored>, CallError> {
    let name = format!("{}.{replica}", places.namespace);
    let log = within(deadline::READ, logs(client).get_opt(&name)).await?;
    let status = log.and_then(|log| log.status);
    Ok(status.and_then(|status| of_status(&name, &status)))
}

fn of_status(log: &str, status: &EvidenceLogStatus) -> Option<Anchored> {
    let size = u64::try_from(status.size).ok().filter(|size| *size > 0)?;
    Some(Anchored {
        origin: status.origin.clone(),
        size,
        root: status.root.clone(),
        source: format!("EvidenceLog/{log}"),
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
            message: ROLLED_BACK.to_owned(),
        });
    }
    Ok(())
}

async fn keep_map(client: &Client, places: &Places, head: &Head) -> Result<(), CallError> {
    let Some(namespace) = &places.config_map else {
        return Ok(());
    };
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

/// Keeps a head in the `EvidenceLog`, with what became of it elsewhere. Whether it says that the log is intact: it goes on
/// from the one before, or a person has looked into why it does not.
pub async fn tell(
    client: &Client,
    places: &Places,
    head: &Head,
    anchors: &[AnchorStatus],
) -> Result<bool, CallError> {
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
        .and_then(|status| of_status(&places.log(), status));
    refuse_contradiction(known.as_ref(), head)?;
    let intact = broken(head, &log).is_none();
    let status = status(places, head, anchors, &log);
    let place = Object {
        group: api::GROUP,
        version: api::VERSION,
        plural: "evidencelogs",
        namespace: "",
        name: &places.log(),
    };
    let uri = format!("{}/status?fieldManager={MANAGER}", place.path());
    let body = json!([{ "op": "add", "path": "/status", "value": status }]);
    send(client, build(Method::PATCH, &uri, JSON_PATCH, &body)?).await?;
    Ok(intact)
}

/// How the log began, if it could not go on from the one before and nobody has looked into that.
fn broken<'a>(head: &'a Head, log: &EvidenceLog) -> Option<&'a Epoch> {
    let annotations = log.metadata.annotations.as_ref();
    let acknowledged =
        annotations.and_then(|annotations| annotations.get(evidence_log::ACKNOWLEDGED));
    let is_acknowledged = acknowledged == Some(&head.published.checkpoint.origin);
    let epoch = head.epoch.as_ref();
    epoch.filter(|epoch| epoch.is_break() && !is_acknowledged)
}

fn status(
    places: &Places,
    head: &Head,
    anchors: &[AnchorStatus],
    log: &EvidenceLog,
) -> EvidenceLogStatus {
    let checkpoint = &head.published.checkpoint;
    let intact = match broken(head, log) {
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
        Some(problem) => (false, "Failing", in_brief(problem)),
    };
    let outside: Vec<String> = places
        .used()
        .into_iter()
        .filter(|place| place.is_outside())
        .map(|place| places.target(place))
        .collect();
    let outside = anchors.iter().find(|anchor| {
        anchor.problem.is_none() && anchor.size > 0 && outside.contains(&anchor.target)
    });
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

//! Workloads and their pods.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Projected, Projection,
    component::{self, Component},
    intern::{Interner, Sym},
    meta::{Labels, ManagedFields, Str, WireMeta},
    template::{Template, WirePodSpec, WireTemplate, keeps_pod_annotation, keeps_pod_label},
    wire::{WireCondition, condition, time},
};

use crate::analysis::meshed::{AMBIENT, INBOUND};

/// A Deployment, `StatefulSet`, `DaemonSet` or `ReplicaSet`.
#[derive(Debug, PartialEq, Eq)]
pub struct Workload {
    /// Template of its pods.
    pub template: Arc<Template>,
    /// Whether it is to have no pods: zero replicas.
    pub stopped: bool,
}

/// A Job.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    /// Template of its pods.
    pub template: Arc<Template>,
    /// Whether it succeeded; `None` where it has not ended.
    pub succeeded: Option<bool>,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The claims that its template names.
    pub claims: Box<[Sym]>,
}

/// A pod.
#[derive(Debug, PartialEq, Eq)]
pub struct Pod {
    /// What its controller's template says, as admission left it.
    pub template: Arc<Template>,
    /// Whether it has ended (`Succeeded` or `Failed`).
    pub ended: bool,
    /// What few pods have: the others must not be larger for it.
    rare: Option<Box<Rare>>,
}

/// What few pods have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rare {
    component: Option<Component>,
    claims: Box<[Mount]>,
}

impl Pod {
    /// The component of the control plane that it runs, if it is one.
    pub fn component(&self) -> Option<&Component> {
        self.rare.as_ref()?.component.as_ref()
    }

    /// The claims that it mounts.
    pub fn claims(&self) -> &[Mount] {
        self.rare.as_ref().map_or(&[], |rare| &rare.claims)
    }
}

/// A claim that a pod mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its name.
    pub claim: Sym,
    /// What the pod says about its backup as files.
    pub choice: Choice,
}

/// What a pod says about the backup of a volume as files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Nothing.
    None,
    /// It wants one: `backup.velero.io/backup-volumes`.
    In,
    /// It wants none: `backup.velero.io/backup-volumes-excludes`.
    Out,
}

/// A `CronJob`.
#[derive(Debug, PartialEq, Eq)]
pub struct CronJob {
    /// Template of its jobs' pods.
    pub template: Arc<Template>,
    /// Cron expression.
    pub schedule: Sym,
    /// Time zone; absent means that of kube-controller-manager.
    pub time_zone: Option<Sym>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// When it last started a job.
    pub last_schedule: Option<Timestamp>,
    /// When a job of it last succeeded.
    pub last_success: Option<Timestamp>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireWorkload<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<WireWorkloadSpec<'a>>,
}

#[derive(Debug, Deserialize)]
struct WireWorkloadSpec<'a> {
    replicas: Option<i64>,
    #[serde(rename = "manualSelector")]
    manual_selector: Option<bool>,
    #[serde(borrow)]
    template: Option<WireTemplate<'a>>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireJob<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<WireWorkloadSpec<'a>>,
    #[serde(borrow)]
    status: Option<WireJobStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireJobStatus<'a> {
    #[serde(borrow)]
    conditions: Option<Vec<WireCondition<'a>>>,
    #[serde(borrow)]
    start_time: Option<Str<'a>>,
    #[serde(borrow)]
    completion_time: Option<Str<'a>>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WirePod<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<WirePodSpec<'a>>,
    #[serde(borrow)]
    status: Option<WirePodStatus<'a>>,
}

#[derive(Debug, Deserialize)]
struct WirePodStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireCronJob<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    spec: WireCronJobSpec<'a>,
    #[serde(borrow)]
    status: Option<WireCronJobStatus<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCronJobSpec<'a> {
    #[serde(borrow)]
    schedule: Str<'a>,
    #[serde(borrow)]
    time_zone: Option<Str<'a>>,
    suspend: Option<bool>,
    #[serde(borrow)]
    job_template: Option<WireJobTemplate<'a>>,
}

#[derive(Debug, Deserialize)]
struct WireJobTemplate<'a> {
    #[serde(borrow)]
    spec: Option<WireWorkloadSpec<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCronJobStatus<'a> {
    #[serde(borrow)]
    last_schedule_time: Option<Str<'a>>,
    #[serde(borrow)]
    last_successful_time: Option<Str<'a>>,
}

/// Labels that the API server gives the pods of a Job: its name, and its uid.
pub const JOB_LABELS: [&str; 4] = [
    "batch.kubernetes.io/job-name",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "controller-uid",
];

/// The value of such a label where the job is one of many: none that a selector could name.
pub const SOME_JOB: &str = "*";

impl WireWorkloadSpec<'_> {
    /// Gives the pods of a Job the labels that the API server puts into its template when it is
    /// created (`generateSelector` in kubernetes/kubernetes, `pkg/registry/batch/job/strategy.go`):
    /// manifests lack them, and so do the templates of `CronJob`s.
    fn label_as_job(&mut self, name: &str, uid: &str) {
        if self.manual_selector == Some(true) {
            return;
        }
        if let Some(template) = &mut self.template {
            for (key, value) in JOB_LABELS.into_iter().zip([name, name, uid, uid]) {
                template.add_label(key, value);
            }
        }
    }
}

fn template(spec: Option<WireWorkloadSpec<'_>>, interner: &mut Interner) -> Arc<Template> {
    match spec.and_then(|spec| spec.template) {
        Some(template) => template.project(interner),
        None => interner.template(Template::default()),
    }
}

impl Projection for Workload {
    type Wire<'a> = WireWorkload<'a>;

    const MADE: bool = true;

    fn project(wire: WireWorkload<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let replicas = wire.spec.as_ref().and_then(|spec| spec.replicas);
        let workload = Self {
            template: template(wire.spec, interner),
            stopped: replicas == Some(0),
        };
        Ok((meta, workload))
    }
}

impl Projection for Job {
    type Wire<'a> = WireJob<'a>;

    const MADE: bool = true;

    fn project(wire: WireJob<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let status = wire.status.unwrap_or_default();
        let conditions = status.conditions.as_deref();
        let holds = |kind| condition(conditions, kind) == Some(true);
        let mut spec = wire.spec;
        if let Some(spec) = &mut spec {
            spec.label_as_job(&meta.name, &meta.uid.to_string());
        }
        let pods = spec.as_ref().and_then(|spec| spec.template.as_ref());
        let claims = pods.into_iter().flat_map(WireTemplate::claims);
        let job = Self {
            claims: claims.map(|claim| interner.string(claim)).collect(),
            template: template(spec, interner),
            succeeded: match (holds("Complete"), holds("Failed")) {
                (_, true) => Some(false),
                (true, false) => Some(true),
                (false, false) => None,
            },
            started: time(status.start_time.as_ref()),
            ended: time(status.completion_time.as_ref()),
        };
        Ok((meta, job))
    }
}

/// Annotations of a pod with the volumes that are backed up as files, and those that are not.
const FILES: [(&str, Choice); 2] = [
    ("backup.velero.io/backup-volumes", Choice::In),
    ("backup.velero.io/backup-volumes-excludes", Choice::Out),
];

/// What the annotations of a pod say about a volume.
fn choice(annotations: &Labels, volume: &str) -> Choice {
    let names = |key| {
        annotations
            .get(key)
            .into_iter()
            .flat_map(|list| list.split(','))
    };
    let said = FILES
        .into_iter()
        .find(|(key, _)| names(key).any(|name| name.trim() == volume));
    said.map_or(Choice::None, |(_, choice)| choice)
}

impl Projection for Pod {
    type Wire<'a> = WirePod<'a>;

    const MADE: bool = true;

    fn keeps_label(key: &str) -> bool {
        keeps_pod_label(key)
    }

    fn keeps_annotation(key: &str) -> bool {
        super::ours(key)
            || keeps_pod_annotation(key)
            || matches!(key, AMBIENT | INBOUND)
            || FILES.iter().any(|(annotation, _)| *annotation == key)
    }

    fn project(wire: WirePod<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let phase = wire.status.and_then(|status| status.phase);
        let labels = Arc::clone(&meta.labels);
        let spec = wire.spec.unwrap_or_default();
        let component = component::name(&meta).map(|name| Component {
            name: interner.string(name),
            node: interner.string(spec.node_name().unwrap_or_default()),
            flags: component::flags(name, spec.command(), spec.variables(), interner),
        });
        let claims = spec.claims(&meta.name).map(|(volume, claim)| Mount {
            claim: interner.string(&claim),
            choice: choice(&meta.annotations, volume),
        });
        let claims: Box<[Mount]> = claims.collect();
        let common = claims.is_empty() && component.is_none();
        let pod = Self {
            rare: (!common).then(|| Box::new(Rare { component, claims })),
            template: spec.project(labels, &meta.annotations, interner),
            ended: matches!(phase.as_deref(), Some("Succeeded" | "Failed")),
        };
        Ok((meta, pod))
    }
}

impl Projection for CronJob {
    type Wire<'a> = WireCronJob<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] =
        &[&["f:spec", "f:suspend"], &["f:spec", "f:schedule"]];

    fn project(wire: WireCronJob<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let status = wire.status.as_ref();
        let mut spec = wire.spec.job_template.and_then(|job| job.spec);
        if let Some(spec) = &mut spec {
            spec.label_as_job(SOME_JOB, SOME_JOB);
        }
        let job = Self {
            template: template(spec, interner),
            schedule: interner.string(&wire.spec.schedule),
            time_zone: wire.spec.time_zone.map(|zone| interner.string(&zone)),
            suspended: wire.spec.suspend == Some(true),
            last_schedule: time(status.and_then(|s| s.last_schedule_time.as_ref())),
            last_success: time(status.and_then(|s| s.last_successful_time.as_ref())),
        };
        Ok((meta, job))
    }
}

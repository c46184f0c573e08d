//! `backup-control-plane-state`

use super::common::{allowed, beyond, day, later};
use crate::{api::Period, controls::prelude::*};

/// The state of the control plane is backed up: etcd, or all that is declared in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneState {
    /// How old the newest snapshot of etcd may be, beside an allowance of min(2 h, a quarter).
    #[serde(default = "day")]
    pub max_age: Period,

    /// Where all objects of the cluster are declared, such as a Git repository: then they can be
    /// applied again, and no snapshot is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub declared_in: Option<String>,

    /// Who runs the control plane, and backs it up, where that is a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub managed_by: Option<String>,
}

impl Default for ControlPlaneState {
    fn default() -> Self {
        Self {
            max_age: day(),
            declared_in: None,
            managed_by: None,
        }
    }
}

/// Annotation of a `CronJob` that snapshots etcd, with the value `true`.
const SNAPSHOTS: &str = "probity.dev/backs-up-control-plane";

impl ControlPlaneState {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-control-plane-state",
        field: "backupControlPlaneState",
        title: "The state of the control plane is backed up",
        family: Family::Backup,
        criteria: &["A1.2"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[Kind::EtcdSnapshotFile, Kind::ConfigMap, Kind::CronJob],
        subjects: &[],
        derives: &[],
        observes: &[],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "There is a snapshot of etcd that succeeded and is no older than `maxAge` and its \
               allowance: an ETCDSnapshotFile that is ready, an entry of the ConfigMap \
               `k3s-etcd-snapshots` or `rke2-etcd-snapshots` in `kube-system`, or the last success \
               of a CronJob with the annotation `probity.dev/backs-up-control-plane: \"true\"`. Or \
               the policy states where everything is declared (`declaredIn`), or who runs the \
               control plane (`managedBy`).",
        why: "Backups of volumes are of little use to a cluster that has forgotten everything else.",
        fix: "Nothing is written.",
        by_hand: "Schedule etcd snapshots (`--etcd-snapshot-schedule-cron` of k3s and RKE2, a \
                  CronJob with `etcdctl snapshot save` elsewhere) to a place outside the nodes.",
        prevention: "None: a missing snapshot is no request that admission could refuse.",
        limits: "A snapshot whose location is a file of a node goes with the node: it passes, and \
                 the message says where it lies. A CronJob's word is taken for it (Declared). What \
                 the policy states is as good as its author's word (Attested); a service that runs \
                 the control plane backs it up as a control of the service organisation. Where the address or version of the API server shows EKS, \
                 GKE, AKS or ACK, no snapshot is known, and the policy states nothing, it is Unknown. \
                 Snapshots made on the nodes themselves are not seen.",
    };

    fn judge_cluster(&self, context: &Context<'_>) -> Verdict {
        if let Some(service) = &self.managed_by {
            let message = format!("{service} runs the control plane, and backs it up");
            return Verdict::not_applicable("Managed", message);
        }
        let Some(newest) = newest(context) else {
            if let Some(place) = &self.declared_in {
                let message = format!("everything is declared in {place}, says the policy");
                return Verdict::pass(Strength::Attested, "Declared", message);
            }
            if let Some(service) = context.observed.platform {
                let message = format!(
                    "{service} runs the control plane, and what it backs up is not seen from here: \
                     state it by managedBy"
                );
                return Verdict::unknown("ManagedNotStated", message);
            }
            let message = "no snapshot of etcd is known";
            return Verdict::fail(Strength::Effective, "NoSnapshot", message);
        };
        let Snapshot { at, strength, what } = newest;
        let until = later(at, allowed(self.max_age.duration()));
        let message = format!("the newest snapshot of etcd is of {at}, {what}");
        if context.now <= until {
            return Verdict::pass(strength, "SnapshotCurrent", message).recheck(beyond(until));
        }
        match &self.declared_in {
            Some(place) => {
                let message = format!("everything is declared in {place}, says the policy");
                Verdict::pass(Strength::Attested, "Declared", message)
            }
            None => Verdict::fail(strength, "SnapshotStale", message),
        }
    }
}

/// A snapshot of etcd.
struct Snapshot {
    at: Timestamp,
    strength: Strength,
    what: String,
}

fn newest(context: &Context<'_>) -> Option<Snapshot> {
    let tables = &context.inventory.tables;
    let place = |location: Option<&str>| format!("in {}", location.unwrap_or("an unknown place"));
    let files = tables.etcd_snapshot_files.iter();
    let files = files.filter(|file| file.spec.ready).filter_map(|file| {
        Some(Snapshot {
            at: file.spec.taken?,
            strength: Strength::Effective,
            what: place(file.spec.location.as_deref()),
        })
    });
    let maps = tables.config_maps.in_namespace("kube-system");
    let listed = maps.flat_map(|map| map.spec.etcd_snapshots.iter());
    let listed = listed.filter(|snapshot| snapshot.succeeded);
    let listed = listed.filter_map(|snapshot| {
        Some(Snapshot {
            at: snapshot.taken?,
            strength: Strength::Effective,
            what: place(snapshot.location.as_deref()),
        })
    });
    let jobs = tables.cron_jobs.iter();
    let jobs = jobs.filter(|job| job.meta.annotations.get(SNAPSHOTS) == Some("true"));
    let jobs = jobs.filter_map(|job| {
        Some(Snapshot {
            at: job.spec.last_success?,
            strength: Strength::Declared,
            what: format!("by CronJob {}/{}", job.meta.namespace, job.meta.name),
        })
    });
    // A future time is a wrong clock, and no younger snapshot.
    let all = files.chain(listed).chain(jobs);
    all.filter(|snapshot| snapshot.at <= context.now)
        .max_by_key(|snapshot| snapshot.at)
}

impl Control for ControlPlaneState {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.max_age.duration().is_zero() {
            return Err("maxAge is zero: write how old a snapshot may be".into());
        }
        if self.declared_in.is_some() && self.managed_by.is_some() {
            return Err(
                "declaredIn and managedBy exclude each other: write the one that holds".into(),
            );
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            Kind::ConfigMap if *change.namespace != *"kube-system" => Touched::Nothing,
            _ => Touched::All,
        }
    }

    fn population(&self, _: &Context<'_>, _: Option<&str>, found: &mut dyn FnMut(Subject)) {
        found(Subject::named(SubjectKind::Cluster, "cluster"));
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        (subject.kind == SubjectKind::Cluster).then(|| self.judge_cluster(context))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controls::testing::World;

    fn reason(world: World) -> &'static str {
        { world }.only(&ControlPlaneState::default()).reason
    }

    fn file(ready: bool, taken: &str) -> Value {
        json!({
            "metadata": { "name": "s1" }, "spec": { "location": "s3://etcd/s1" },
            "status": { "readyToUse": ready, "creationTime": taken },
        })
    }

    #[test]
    fn snapshots_are_found_where_each_distribution_lists_them() {
        let night = "2026-06-01T00:00:00Z";
        assert_eq!(reason(World::new()), "NoSnapshot");
        for (ready, taken, wanted) in [
            (true, night, "SnapshotCurrent"),
            (false, night, "NoSnapshot"),
            (true, "2026-05-30T00:00:00Z", "SnapshotStale"),
            (true, "2026-06-02T00:00:00Z", "NoSnapshot"),
        ] {
            let world = World::new().with(Kind::EtcdSnapshotFile, file(ready, taken));
            assert_eq!(reason(world), wanted, "{ready} {taken}");
        }
        for (name, namespace, status, wanted) in [
            (
                "k3s-etcd-snapshots",
                "kube-system",
                "successful",
                "SnapshotCurrent",
            ),
            (
                "rke2-etcd-snapshots",
                "kube-system",
                "successful",
                "SnapshotCurrent",
            ),
            ("k3s-etcd-snapshots", "kube-system", "failed", "NoSnapshot"),
            ("k3s-etcd-snapshots", "shop", "successful", "NoSnapshot"),
            ("other", "kube-system", "successful", "NoSnapshot"),
        ] {
            let entry = json!({ "name": "s1", "location": "file:///var/s1", "createdAt": night,
                                "size": 1, "status": status });
            let map = json!({
                "metadata": { "name": name, "namespace": namespace },
                "data": { "local-s1": entry.to_string() },
            });
            let world = World::new().with(Kind::ConfigMap, map);
            assert_eq!(reason(world), wanted, "{name} {namespace} {status}");
        }
        let job = json!({
            "metadata": { "name": "etcd", "namespace": "kube-system",
                          "annotations": { "probity.dev/backs-up-control-plane": "true" } },
            "spec": { "schedule": "@daily" }, "status": { "lastSuccessfulTime": night },
        });
        let verdict = World::new()
            .with(Kind::CronJob, job)
            .only(&ControlPlaneState::default());
        assert_eq!(
            (verdict.reason, verdict.strength),
            ("SnapshotCurrent", Strength::Declared)
        );
        assert_eq!(
            verdict.recheck_at,
            Some("2026-06-02T02:00:01Z".parse().unwrap())
        );
    }

    #[test]
    fn a_service_that_runs_the_control_plane_is_to_be_stated() {
        let mut world = World::new();
        world.observed.platform = Some("EKS");
        let verdict = world.only(&ControlPlaneState::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Unknown, "ManagedNotStated")
        );
        assert!(verdict.message.starts_with("EKS runs"));
        // A snapshot that is there, and too old, fails on any platform.
        world.put(Kind::EtcdSnapshotFile, file(true, "2026-05-30T00:00:00Z"));
        assert_eq!(
            world.only(&ControlPlaneState::default()).reason,
            "SnapshotStale"
        );
    }

    #[test]
    fn a_policy_may_state_where_the_state_is_instead() {
        let declared = ControlPlaneState {
            declared_in: Some("git@example.com:fleet".into()),
            ..ControlPlaneState::default()
        };
        let managed = ControlPlaneState {
            managed_by: Some("EKS".into()),
            ..ControlPlaneState::default()
        };
        let verdict = World::new().only(&declared);
        assert_eq!(
            (verdict.reason, verdict.strength),
            ("Declared", Strength::Attested)
        );
        assert_eq!(World::new().only(&managed).reason, "Managed");
        let both = ControlPlaneState {
            managed_by: Some("EKS".into()),
            ..declared
        };
        assert!(both.check().is_err());
    }
}

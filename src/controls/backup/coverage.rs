//! `backup-coverage`

use std::collections::BTreeMap;

use serde_json::json;

use super::common::{
    PROTECTABLE, affected, exempt, exempt_command, protectables, touched, without_reason, yes,
};
use crate::{
    analysis::{
        Derived,
        backup::{Protectable, coverage::Covers},
        schedule::{Dialect, Schedule},
    },
    api::Period,
    controls::prelude::*,
    inventory::meta::{MANAGED_BY, MANAGER},
};

/// Every volume claim and database cluster is covered by an active backup schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// The tools whose schedules count, by backup class (the label `probity.dev/backup-class`, else
    /// the `StorageClass`), or `*` for every class that is not named. Without an entry every tool
    /// counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub tool_map: BTreeMap<String, Vec<Tool>>,

    /// Whether the label `probity.dev/backup: exempt` with the annotation
    /// `probity.dev/backup-exempt-reason` excepts.
    #[serde(default = "yes")]
    pub allow_exempt_label: bool,

    /// Whether an exemption without a reason is none.
    #[serde(default = "yes")]
    pub exempt_reason_required: bool,

    /// The Velero Schedule that is created for a namespace with an uncovered claim, where this
    /// control enforces. Without it, none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Template>,
}

/// A tool that starts backups by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Tool {
    /// Velero Schedules.
    Velero,
    /// `CronJob`s with the annotation `probity.dev/backs-up`.
    CronJob,
    /// `CloudNativePG` scheduled backups.
    CloudNativePG,
    /// Longhorn recurring jobs.
    Longhorn,
    /// K8up Schedules.
    K8up,
}

/// The Velero Schedule for a namespace that nothing covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Namespace of Velero.
    #[serde(default = "velero")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,

    /// Cron expression.
    #[schemars(length(min = 1, max = 100))]
    pub schedule: String,

    /// How long its backups are kept.
    #[serde(default = "month")]
    pub ttl: Period,

    /// Where they are stored; Velero's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub storage_location: Option<String>,

    /// Whether volumes are backed up as files, through the pods that mount them.
    #[serde(default)]
    pub default_volumes_to_fs_backup: bool,

    /// Whether snapshots are moved to the location.
    #[serde(default)]
    pub snapshot_move_data: bool,
}

fn velero() -> String {
    "velero".to_owned()
}

fn month() -> Period {
    Period::days(30)
}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            tool_map: BTreeMap::new(),
            allow_exempt_label: yes(),
            exempt_reason_required: yes(),
            schedule: None,
        }
    }
}

impl Tool {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::CronJob => Self::CronJob,
            Kind::ScheduledBackup => Self::CloudNativePG,
            Kind::RecurringJob => Self::Longhorn,
            Kind::K8upSchedule => Self::K8up,
            _ => Self::Velero,
        }
    }
}

impl Coverage {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-coverage",
        field: "backupCoverage",
        title: "Every volume claim and database is covered by an active backup schedule",
        family: Family::Backup,
        criteria: &["A1.2", "PI1.5", "C1.1"],
        severity: Severity::Critical,
        strength: Strength::Effective,
        rule_version: 3,
        reads: &[Kind::Claim, Kind::Database, Kind::VeleroSchedule],
        subjects: PROTECTABLE,
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[Write::create(Kind::VeleroSchedule)],
        scope: ScopeUse::BySubject,
        what: "Each bound PersistentVolumeClaim and each CloudNativePG Cluster in scope is backed \
               up by at least one plan that is active (not paused, accepted, due): a Velero \
               Schedule that selects the namespace, the claim and its volume's data, and whose \
               location can be written to; a CronJob with the annotation `probity.dev/backs-up`; \
               a ScheduledBackup whose method the Cluster is set up for; a RecurringJob of \
               Longhorn that its volume names; a K8up Schedule of its namespace. Of Velero are \
               read: namespaces with patterns, resources, label selectors, the label \
               velero.io/exclude-from-backup on claims, pods, namespaces and volumes, resource policies, \
               backup as files by default or by pods' annotations, snapshots by VolumeSnapshotClass \
               or VolumeSnapshotLocation (which volumes of CSI drivers get only without the feature \
               EnableCSI), and the flags of its server.",
        why: "A volume that no schedule holds is gone with its node or its namespace, and a \
              schedule that holds only manifests restores an empty application.",
        fix: "With the parameter `schedule`, a Velero Schedule named `probity-NAMESPACE` is created \
              for a namespace with an uncovered claim, from that template. Otherwise nothing is \
              written, and the proposal says what to schedule.",
        by_hand: "Schedule a backup of the namespace that holds the volume's data (as files, or by \
                  snapshots that the driver can make), or mend what the message names. What needs \
                  no backup gets the label `probity.dev/backup: exempt` and the annotation \
                  `probity.dev/backup-exempt-reason`.",
        prevention: "A ValidatingAdmissionPolicy can ask for a label with the backup class, or for \
                     an exemption, on each new claim; whether a schedule holds it, it can't tell.",
        limits: "Manual backups don't count as coverage. Where a driver has several \
                 VolumeSnapshotClasses, one must be labelled or marked as Velero wants it. Where \
                 Velero's Deployment is not in its namespace, its flags are taken for unset, but \
                 its CSI feature for switched on. A plugin that handles volumes by itself, and \
                 resource policies with filters by namespace, are Unknown. A pod that mounts the \
                 claim must be there for a backup as files: at zero replicas such a claim is not \
                 covered. Tools other than these are not known: exempt what they back up, with the \
                 tool as the reason. Claims that are not bound, that end with their pod, or that \
                 belong to a database cluster are not applicable.",
    };

    /// Whether schedules of a tool count for a claim or database cluster.
    fn counts(&self, what: Protectable<'_>, tool: Tool) -> bool {
        let named = self.tool_map.get(what.backup_class());
        let tools = named.or_else(|| self.tool_map.get("*"));
        tools.is_none_or(|tools| tools.contains(&tool))
    }

    fn judge_coverage(&self, context: &Context<'_>, what: Protectable<'_>) -> Verdict {
        let mut nearest: Option<(Subject, Covers)> = None;
        for (plan, covers) in context
            .analyses
            .recovery()
            .coverage(context.inventory, what)
        {
            if !plan
                .object_kind()
                .is_some_and(|kind| self.counts(what, Tool::of(kind)))
            {
                continue;
            }
            if let Covers::Yes(how) = covers {
                let message = format!("{plan} backs it up {how}");
                let strength = match plan.object_kind() {
                    Some(Kind::CronJob) => Strength::Declared,
                    _ => Strength::Effective,
                };
                return Verdict::pass(strength, "Covered", message);
            }
            if nearest.as_ref().is_none_or(|(_, known)| covers > *known) {
                nearest = Some((plan, covers));
            }
        }
        let (reason, message) = match nearest {
            None | Some((_, Covers::No | Covers::Yes(_))) => (
                "NotCovered",
                "no backup schedule of any tool holds it".to_owned(),
            ),
            Some((plan, Covers::Unclear(why))) => {
                let message = format!("whether {plan} backs it up can't be told: {why}");
                return Verdict::unknown("CoverageUnclear", message);
            }
            Some((plan, Covers::Inactive(why))) => (
                "ScheduleInactive",
                format!("{plan} would back it up, but is not active: {why}"),
            ),
            Some((plan, Covers::LocationUnusable(why))) => (
                "LocationUnusable",
                format!("{plan} would back it up, but has nowhere to write to: {why}"),
            ),
            Some((plan, Covers::ManifestsOnly(why))) => (
                "ManifestsOnly",
                format!("{plan} backs up manifests without the volume's data: {why}"),
            ),
            Some((plan, Covers::LeftOut(why))) => {
                ("LeftOut", format!("{plan} leaves it out: {why}"))
            }
        };
        let verdict = Verdict::fail(Strength::Effective, reason, message);
        match self.creation(context, what) {
            Some(remedy) => verdict.remedy(remedy),
            None => verdict.propose(proposal(what)),
        }
    }

    /// A Schedule for the namespace, where the policy gives a template and it is not there yet.
    fn creation(&self, context: &Context<'_>, what: Protectable<'_>) -> Option<Remedy> {
        let template = self
            .schedule
            .as_ref()
            .filter(|_| self.counts(what, Tool::Velero))?;
        let Protectable::Claim(claim) = what else {
            return None;
        };
        let namespace = &claim.meta.namespace;
        let name = format!("probity-{namespace}");
        let tables = &context.inventory.tables;
        if tables
            .velero_schedules
            .get(&template.namespace, &name)
            .is_some()
        {
            return None;
        }
        Some(Remedy::Create {
            target: Target {
                kind: Kind::VeleroSchedule,
                namespace: template.namespace.as_str().into(),
                name: name.as_str().into(),
            },
            manifest: template.manifest(namespace, &name),
            consent: Consent::Given,
            owners: None,
        })
    }
}

impl Template {
    fn manifest(&self, namespace: &str, name: &str) -> serde_json::Value {
        let info = Kind::VeleroSchedule.info();
        let mut template = json!({
            "includedNamespaces": [namespace],
            "ttl": format!("{}s", self.ttl.duration().as_secs()),
            "defaultVolumesToFsBackup": self.default_volumes_to_fs_backup,
            "snapshotMoveData": self.snapshot_move_data,
        });
        if let Some(location) = &self.storage_location {
            template["storageLocation"] = json!(location);
        }
        json!({
            "apiVersion": info.api_version(),
            "kind": info.kind,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": { MANAGED_BY: MANAGER },
            },
            "spec": { "schedule": self.schedule, "template": template },
        })
    }
}

fn proposal(what: Protectable<'_>) -> String {
    let namespace = &what.meta().namespace;
    match what {
        Protectable::Database(database) => format!(
            "create a ScheduledBackup of cluster {} in namespace {namespace}, or exempt it: {}",
            database.meta.name,
            exempt_command(what)
        ),
        Protectable::Claim(_) => format!(
            "exempt it where it needs no backup (`{}`); else schedule one, with this tool or another: \
             velero schedule create {namespace} --schedule='0 1 * * *' --include-namespaces \
             {namespace} --default-volumes-to-fs-backup",
            exempt_command(what)
        ),
    }
}

impl Control for Coverage {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if let Some((class, _)) = self.tool_map.iter().find(|(_, tools)| tools.is_empty()) {
            return Err(format!(
                "toolMap: name the tools whose schedules count for {class}"
            ));
        }
        let Some(template) = &self.schedule else {
            return Ok(());
        };
        for dialect in [Dialect::Robfig, Dialect::Netresearch] {
            let schedule = Schedule::parse(&template.schedule, None, dialect);
            let never = |schedule: Schedule| schedule.worst_interval().is_none();
            if schedule
                .map_err(|error| format!("schedule.schedule: {error}"))
                .map(never)?
            {
                return Err("schedule.schedule is never due".into());
            }
        }
        if template.ttl.duration().is_zero() {
            return Err("schedule.ttl is zero: write how long backups are kept".into());
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            // The analysis says whom it covers.
            Kind::VeleroSchedule => Touched::Nothing,
            _ => touched(change),
        }
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        affected(PROTECTABLE, subject)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        protectables(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let what = Protectable::of(context.inventory, subject)?;
        Some(match exempt(context, what, self.allow_exempt_label) {
            Err(verdict) => verdict,
            Ok(true) if !self.exempt_reason_required => Verdict::new(
                Outcome::Excepted,
                Strength::Declared,
                "Exempt",
                "exempt from backup, without a reason",
            ),
            Ok(labelled) => without_reason(self.judge_coverage(context, what), labelled),
        })
    }
}

#[cfg(test)]
mod tests;

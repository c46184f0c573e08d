//! `backup-immutability`

use super::common::{affected, beyond, is_used, later, places, touched_places};
use crate::{
    analysis::{Derived, backup::location::in_use},
    api::Period,
    controls::{prelude::*, restricted::command},
};

/// What says that each backup location can't be changed is on file and current.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Immutability {
    /// How old the evidence may be.
    #[serde(default = "quarter")]
    pub evidence_max_age: Period,
}

fn quarter() -> Period {
    Period::days(92)
}

impl Default for Immutability {
    fn default() -> Self {
        Self {
            evidence_max_age: quarter(),
        }
    }
}

/// Annotation of a location with how it is immutable: one of [`KINDS`].
const HOW: &str = "probity.dev/immutability";
/// Annotation with where the evidence is, such as the URI of an export of the bucket's settings.
const EVIDENCE: &str = "probity.dev/immutability-evidence";
/// Annotation with the time at which it was looked at, as in 2026-06-01T12:00:00Z.
const CHECKED: &str = "probity.dev/immutability-checked";
/// Ways to keep objects from being changed or deleted.
const KINDS: [&str; 3] = ["object-lock", "bucket-lock", "write-once"];

const SUBJECTS: &[Kind] = &[
    Kind::VeleroLocation,
    Kind::ObjectStore,
    Kind::Database,
    Kind::BackupTarget,
];

impl Immutability {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-immutability",
        field: "backupImmutability",
        title: "Evidence that backup locations are immutable is on file and current",
        family: Family::Backup,
        criteria: &["A1.2", "CC6.1", "C1.1"],
        severity: Severity::Medium,
        strength: Strength::Attested,
        rule_version: 2,
        reads: &[
            Kind::VeleroLocation,
            Kind::VeleroSchedule,
            Kind::ObjectStore,
            Kind::Database,
            Kind::BackupTarget,
        ],
        subjects: SUBJECTS,
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "Each location in use (Velero BackupStorageLocation, Barman ObjectStore, Cluster \
               with a Barman store of its own, Longhorn BackupTarget) carries the annotations \
               `probity.dev/immutability: object-lock|bucket-lock|write-once`, \
               `probity.dev/immutability-evidence: URI` and \
               `probity.dev/immutability-checked: TIME`, and the time is no older than \
               `evidenceMaxAge`.",
        why: "Who takes over the cluster deletes the backups first, unless the storage refuses.",
        fix: "Nothing is written, and nobody is told to switch a lock on blindly: Velero documents \
              that immutable buckets may break its backups.",
        by_hand: "Have the owner of the bucket export its lock settings, keep the export where \
                  auditors find it, and annotate the location with its address and the time.",
        prevention: "None: the lock is a setting of the bucket.",
        limits: "The setting is no part of the cluster: without annotations the verdict is \
                 Unknown, and with them it is as good as the word of whoever may annotate the \
                 location (Attested). Versioned object lock of S3 works with Velero; locks of a \
                 whole container or bucket (Azure, Google Cloud Storage) do not, and fail there. \
                 Who may delete backups through the API is `backup-deletion-restricted`.",
    };

    fn judge_meta(&self, now: Timestamp, meta: &Meta, provider: &str) -> Verdict {
        let said = |key: &str| {
            meta.annotations
                .get(key)
                .map(str::trim)
                .filter(|s| !s.is_empty())
        };
        let Some(how) = said(HOW) else {
            let message = "nothing says whether the bucket is immutable: its settings are not seen \
                           from here";
            return Verdict::unknown("ImmutabilityNotSeen", message).propose(format!(
                "annotate it with {HOW}, {EVIDENCE} and {CHECKED} once its owner has shown the lock"
            ));
        };
        if !KINDS.contains(&how) {
            let message = format!(
                "annotation {HOW} is {how:?}: write one of {}",
                KINDS.join(", ")
            );
            return Verdict::unknown("ImmutabilityUnreadable", message);
        }
        if how == "bucket-lock" && matches!(provider, "azure" | "gcp") {
            let message = "a lock of the whole container or bucket breaks Velero's backups there";
            return Verdict::fail(Strength::Attested, "LockBreaksBackups", message);
        }
        let Some(evidence) = said(EVIDENCE) else {
            let message = format!("it is said to be immutable ({how}), without evidence");
            return Verdict::fail(Strength::Attested, "EvidenceMissing", message);
        };
        let checked: Option<Timestamp> = said(CHECKED).and_then(|text| text.parse().ok());
        let Some(checked) = checked.filter(|checked| *checked <= now) else {
            let message = format!("annotation {CHECKED} gives no time in the past");
            return Verdict::fail(Strength::Attested, "EvidenceUndated", message);
        };
        let until = later(checked, self.evidence_max_age.duration());
        if now > until {
            let message = format!("the evidence {evidence} is of {checked}: too old since {until}");
            return Verdict::fail(Strength::Attested, "EvidenceStale", message);
        }
        let message = format!("{how}, by {evidence} of {checked}");
        Verdict::pass(Strength::Attested, "Immutable", message).recheck(beyond(until))
    }
}

/// What is to be written once the owner of the bucket has shown its settings anew.
fn on_file(kind: Kind, meta: &Meta) -> String {
    let (namespace, name) = (&*meta.namespace, &*meta.name);
    let evidence = command::annotate(kind, namespace, name, &format!("{EVIDENCE}=URI"));
    format!(
        "have the owner of the bucket export its lock settings, keep the export where auditors find it, \
         and write its address and the time of it (date -u +%FT%TZ): {evidence} {CHECKED}=TIME"
    )
}

impl Control for Immutability {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.evidence_max_age.duration().is_zero() {
            return Err("evidenceMaxAge is zero: write how old evidence may be".into());
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        touched_places(change)
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        affected(&[Kind::VeleroLocation], subject)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        places(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let kind = subject.object_kind()?;
        let tables = &context.inventory.tables;
        let (namespace, name) = (&*subject.namespace, &*subject.name);
        let meta = context.inventory.meta(kind, namespace, name)?;
        let mut provider = "";
        let used = match kind {
            Kind::VeleroLocation => {
                let location = tables.velero_locations.get(namespace, name)?;
                provider = location
                    .spec
                    .provider
                    .rsplit('/')
                    .next()
                    .unwrap_or_default();
                let recovery = context.analyses.recovery();
                in_use(context.inventory, recovery, context.now, location).is_some()
            }
            Kind::BackupTarget => tables
                .backup_targets
                .get(namespace, name)?
                .spec
                .url
                .is_some(),
            Kind::Database => tables.databases.get(namespace, name)?.spec.store.is_some(),
            Kind::ObjectStore => is_used(
                context.inventory,
                tables.object_stores.get(namespace, name)?,
            ),
            _ => return None,
        };
        Some(if used {
            let verdict = self.judge_meta(context.now, meta, provider);
            // Another kind of lock is no annotation away.
            let dated = ["EvidenceMissing", "EvidenceUndated", "EvidenceStale"];
            if dated.contains(&verdict.reason) {
                verdict.propose(on_file(kind, meta))
            } else {
                verdict
            }
        } else {
            Verdict::not_applicable("NotInUse", "no backup lies there or is written to it")
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controls::{backup::fixtures::location, testing::World};

    fn annotated(provider: &str, how: &str, evidence: &str, checked: &str) -> Value {
        location(&json!({
            "metadata": { "annotations": {
                "probity.dev/immutability": how,
                "probity.dev/immutability-evidence": evidence,
                "probity.dev/immutability-checked": checked,
            } },
            "spec": { "provider": provider },
        }))
    }

    #[test]
    fn evidence_is_complete_and_current() {
        let checked = "2026-05-01T00:00:00Z";
        for (provider, how, evidence, checked, wanted) in [
            (
                "aws",
                "object-lock",
                "https://evidence/1",
                checked,
                "Immutable",
            ),
            ("aws", "", "", "", "ImmutabilityNotSeen"),
            (
                "aws",
                "yes",
                "https://evidence/1",
                checked,
                "ImmutabilityUnreadable",
            ),
            ("aws", "object-lock", "", checked, "EvidenceMissing"),
            (
                "aws",
                "object-lock",
                "https://evidence/1",
                "",
                "EvidenceUndated",
            ),
            (
                "aws",
                "object-lock",
                "https://evidence/1",
                "soon",
                "EvidenceUndated",
            ),
            (
                "aws",
                "object-lock",
                "https://evidence/1",
                "2027-01-01T00:00:00Z",
                "EvidenceUndated",
            ),
            (
                "aws",
                "object-lock",
                "https://evidence/1",
                "2026-01-01T00:00:00Z",
                "EvidenceStale",
            ),
            (
                "azure",
                "bucket-lock",
                "https://evidence/1",
                checked,
                "LockBreaksBackups",
            ),
            (
                "velero.io/gcp",
                "bucket-lock",
                "https://evidence/1",
                checked,
                "LockBreaksBackups",
            ),
            (
                "azure",
                "object-lock",
                "https://evidence/1",
                checked,
                "Immutable",
            ),
        ] {
            let location = annotated(provider, how, evidence, checked);
            let mut world = World::new().with(Kind::VeleroLocation, location);
            let verdict = world.only(&Immutability::default());
            assert_eq!(
                verdict.reason, wanted,
                "{provider} {how} {evidence} {checked}"
            );
        }
    }

    #[test]
    fn evidence_grows_old_on_the_second() {
        let location = annotated(
            "aws",
            "object-lock",
            "https://evidence/1",
            "2026-05-01T00:00:00Z",
        );
        let mut world = World::new().with(Kind::VeleroLocation, location);
        let verdict = world.only(&Immutability::default());
        assert_eq!(
            (verdict.outcome, verdict.strength),
            (Outcome::Pass, Strength::Attested)
        );
        world.now = verdict.recheck_at.unwrap();
        assert_eq!(world.only(&Immutability::default()).reason, "EvidenceStale");
    }

    #[test]
    fn a_location_nobody_uses_is_not_applicable() {
        let idle = json!({ "metadata": { "name": "dr" }, "spec": { "default": false } });
        let mut world = World::new().with(Kind::VeleroLocation, location(&idle));
        assert_eq!(world.only(&Immutability::default()).reason, "NotInUse");
    }

    #[test]
    fn a_place_that_nothing_is_written_to_is_not_in_use() {
        let store = json!({ "metadata": { "name": "store", "namespace": "shop" },
                            "spec": { "configuration": { "destinationPath": "s3://b" } } });
        let mut world = World::new().with(Kind::ObjectStore, store.clone());
        assert_eq!(world.only(&Immutability::default()).reason, "NotInUse");
        let mut filled = store;
        filled["status"]["serverRecoveryWindow"] = json!({
            "pg": { "firstRecoverabilityPoint": "2026-05-01T00:00:00Z" },
        });
        world.put(Kind::ObjectStore, filled);
        assert_eq!(
            world.only(&Immutability::default()).reason,
            "ImmutabilityNotSeen"
        );
        let target = json!({ "metadata": { "name": "default", "namespace": "longhorn-system" },
                             "spec": { "backupTargetURL": "" } });
        let mut world = World::new().with(Kind::BackupTarget, target);
        assert_eq!(world.only(&Immutability::default()).reason, "NotInUse");
    }
}

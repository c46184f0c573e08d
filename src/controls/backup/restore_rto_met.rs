//! `backup-restore-rto-met`

use std::{collections::BTreeMap, time::Duration};

use super::{
    classes::{members, population},
    common::say,
    restores::{READS, Test, of_class},
};
use crate::{
    analysis::{
        Derived,
        backup::{Protectable, points::Source},
    },
    api::Period,
    controls::prelude::*,
};

/// The last restore test of each backup class was quick enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreRtoMet {
    /// Recovery time objective of classes that `classes` doesn't name.
    #[serde(default = "four_hours")]
    pub default_rto: Period,

    /// Recovery time objectives by class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub classes: BTreeMap<String, Period>,
}

fn four_hours() -> Period {
    Period::hours(4)
}

impl Default for RestoreRtoMet {
    fn default() -> Self {
        Self {
            default_rto: four_hours(),
            classes: BTreeMap::new(),
        }
    }
}

impl RestoreRtoMet {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-restore-rto-met",
        field: "backupRestoreRtoMet",
        title: "The last restore test of each backup class met its recovery time objective",
        family: Family::Backup,
        criteria: &["A1.3"],
        severity: Severity::Medium,
        strength: Strength::Operating,
        rule_version: 4,
        reads: READS,
        subjects: &[],
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[],
        scope: ScopeUse::InRule,
        what: "The last restore test of each backup class (see `backup-restore-test-current`) took \
               no longer than its objective, from the start of the restore until it was verified, \
               or until it ended where nothing verified it. Where the bytes are known and the test \
               restored less than the newest backups of the class hold together, the time is \
               scaled up in proportion.",
        why: "A restore that takes a week is an outage of a week.",
        fix: "Nothing is written.",
        by_hand: "Restore in parallel, move the location nearer, split what must come back first \
                  into a class of its own, or agree on another objective.",
        prevention: "None: how long a restore takes, admission can't tell.",
        limits: "Bytes are those that Velero reports for backups as files and moved snapshots; \
                 where they are not known the time is not scaled, and the message says so. Scaling \
                 takes the whole class to be restored one after the other, at the rate of the \
                 test. A class without a test is not applicable here and fails \
                 `backup-restore-test-current`.",
    };

    fn judge_class(
        &self,
        context: &Context<'_>,
        class: &str,
        members: &[Protectable<'_>],
    ) -> Verdict {
        let found = of_class(context, class, false);
        let Some(test) = found.newest() else {
            let message = "no restore test of this class is known: backup-restore-test-current \
                           judges that";
            return Verdict::not_applicable("NoRestoreTest", message);
        };
        let rto = self
            .classes
            .get(class)
            .unwrap_or(&self.default_rto)
            .duration();
        let whole: u64 = members
            .iter()
            .map(|member| bytes_of(context, *member))
            .sum();
        let (took, scaled) = (test.duration(), scaled(test, whole));
        let share = match scaled {
            None => "; how much of the class it restored is not known".to_owned(),
            Some(scaled) if scaled > took => format!(
                " for {} of {whole} bytes, which makes {} for all",
                test.bytes,
                say(scaled)
            ),
            Some(_) => " for as much as the class holds".to_owned(),
        };
        let (what, took_said, objective) = (&test.what, say(took), say(rto));
        let message = format!("{what} took {took_said}{share}; the objective is {objective}");
        let operating = Strength::Operating;
        if took > rto {
            return Verdict::fail(operating, "RtoExceeded", message);
        }
        if scaled.is_some_and(|scaled| scaled > rto) {
            return Verdict::fail(operating, "RtoExceededAtScale", message);
        }
        Verdict::pass(operating, "RtoMet", message)
    }
}

/// How long the whole class would take; `None` where sizes are not known.
fn scaled(test: &Test, whole: u64) -> Option<Duration> {
    if test.bytes == 0 || whole == 0 {
        return None;
    }
    let seconds = u128::from(test.duration().as_secs()) * u128::from(whole.max(test.bytes));
    let seconds = seconds.div_ceil(u128::from(test.bytes));
    // Whole seconds: a test that restored everything takes what it took.
    Some(Duration::from_secs(
        u64::try_from(seconds).unwrap_or(u64::MAX),
    ))
}

/// What the newest backup of a claim holds, in bytes; zero where that is not known.
fn bytes_of(context: &Context<'_>, what: Protectable<'_>) -> u64 {
    let recovery = context.analyses.recovery();
    let point = recovery.newest(context.inventory, context.now, what);
    let tables = &context.inventory.tables;
    let part = match point.map(|point| point.source) {
        Some(Source::Object(Kind::PodVolumeBackup, meta)) => {
            tables.pod_volume_backups.get(&meta.namespace, &meta.name)
        }
        Some(Source::Object(Kind::DataUpload, meta)) => {
            tables.data_uploads.get(&meta.namespace, &meta.name)
        }
        _ => None,
    };
    part.map_or(0, |part| part.spec.bytes)
}

impl Control for RestoreRtoMet {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        let mut all = self.classes.values().chain([&self.default_rto]);
        if all.any(|rto| rto.duration().is_zero()) {
            return Err("an objective is zero: write how long a restore may take".into());
        }
        Ok(())
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        match subject.kind {
            SubjectKind::BackupClass => Touched::Subject(subject.clone()),
            _ => Touched::Nothing,
        }
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        population(context, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        if subject.kind != SubjectKind::BackupClass {
            return None;
        }
        let members = members(context, &subject.name);
        (!members.is_empty()).then(|| self.judge_class(context, &subject.name, &members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::controls::{
        backup::fixtures::{UID, backup, restored, verify_job, world},
        testing::World,
    };

    fn reason(world: &mut World, control: &RestoreRtoMet) -> &'static str {
        world.judge(control)["BackupClass fast"].reason
    }

    #[test]
    fn the_time_counts_until_the_restore_was_verified() {
        let control = RestoreRtoMet {
            default_rto: Period::minutes(90),
            ..RestoreRtoMet::default()
        };
        // From ten to eleven o'clock, verified until half past.
        let mut world = restored();
        assert_eq!(reason(&mut world, &control), "RtoMet");
        world.put(Kind::Job, verify_job("2026-05-30T11:31:00Z"));
        assert_eq!(reason(&mut world, &control), "RtoExceeded");
        let by_class = RestoreRtoMet {
            classes: BTreeMap::from([("fast".to_owned(), Period::hours(2))]),
            ..control
        };
        assert_eq!(reason(&mut world, &by_class), "RtoMet");
    }

    #[test]
    fn a_claim_that_the_same_job_verified_hides_no_slower_restore() {
        let control = RestoreRtoMet {
            default_rto: Period::minutes(60),
            ..RestoreRtoMet::default()
        };
        let claim = json!({
            "metadata": {
                "name": "copy", "namespace": "shop-test",
                "creationTimestamp": "2026-05-30T11:20:00Z",
            },
            "spec": { "dataSource": { "kind": "VolumeSnapshot", "name": "s" } },
        });
        let mut world = restored().with(Kind::Claim, claim);
        assert_eq!(reason(&mut world, &control), "RtoExceeded");
    }

    #[test]
    fn a_small_test_is_scaled_to_the_class() {
        let control = RestoreRtoMet::default();
        let mut world = restored();
        // What is backed up now is five times what was restored.
        world.put(
            Kind::VeleroBackup,
            backup(&json!({ "metadata": { "name": "nightly-2" } })),
        );
        world.put(
            Kind::PodVolumeBackup,
            json!({
                "metadata": {
                    "name": "new", "namespace": "velero",
                    "labels": {
                        "velero.io/backup-name": "nightly-2",
                        "velero.io/pvc-uid": UID,
                    },
                },
                "status": { "phase": "Completed", "progress": { "totalBytes": 5000 } },
            }),
        );
        let verdicts = world.judge(&control);
        let verdict = &verdicts["BackupClass fast"];
        assert_eq!(verdict.reason, "RtoExceededAtScale");
        assert!(
            verdict
                .message
                .contains("1000 of 5000 bytes, which makes 7h30m"),
            "{}",
            verdict.message
        );
    }

    #[test]
    fn a_class_without_a_test_is_not_applicable() {
        let mut world = world();
        assert_eq!(
            reason(&mut world, &RestoreRtoMet::default()),
            "NoRestoreTest"
        );
    }
}

//! `backup-retention-met`

mod declared;

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use self::declared::{Kept as For, Retention, declared};
use super::common::{
    PROTECTABLE, affected, allowed, beyond, exempt, later, protectables, say, touched,
    without_reason, yes,
};
use crate::{
    analysis::{
        Derived,
        backup::{
            Protectable,
            coverage::Covers,
            plan::{Plan, earlier},
            points::Point,
        },
    },
    api::Period,
    controls::prelude::*,
};

/// Backups are kept for long enough, and not for too long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionMet {
    /// How long backups must be kept.
    #[serde(default = "month")]
    pub min_retention: Period,

    /// How long backups may be kept, where that is bounded: for personal data. Give such data a
    /// policy of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retention: Option<Period>,

    /// Whether the label `probity.dev/backup: exempt` with the annotation
    /// `probity.dev/backup-exempt-reason` excepts.
    #[serde(default = "yes")]
    pub allow_exempt_label: bool,
}

fn month() -> Period {
    Period::days(30)
}

impl Default for RetentionMet {
    fn default() -> Self {
        Self {
            min_retention: month(),
            max_retention: None,
            allow_exempt_label: yes(),
        }
    }
}

/// A plan that covers a claim, and how long it keeps its backups.
struct Covering<'a> {
    plan: Plan<'a>,
    retention: Retention<'a>,
}

impl RetentionMet {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-retention-met",
        field: "backupRetentionMet",
        title: "Backups are kept for as long as they must be, and no longer than they may be",
        family: Family::Backup,
        criteria: &["A1.2", "C1.2", "P4.2"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[
            Kind::Claim,
            Kind::Database,
            Kind::VeleroSchedule,
            Kind::CronJob,
            Kind::ScheduledBackup,
            Kind::RecurringJob,
            Kind::K8upSchedule,
            Kind::ObjectStore,
        ],
        subjects: PROTECTABLE,
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[
            Write::patch(Kind::VeleroSchedule),
            Write::patch(Kind::ObjectStore),
            Write::patch(Kind::RecurringJob),
            Write::patch(Kind::K8upSchedule),
        ],
        scope: ScopeUse::BySubject,
        what: "For each bound PersistentVolumeClaim and each CloudNativePG Cluster that a plan \
               covers, one of these plans declares to keep backups for at least `minRetention`, \
               and the oldest recovery point is as old as that, or as the plan or the claim if \
               they are younger, less one interval of the plan. With `maxRetention`, no plan \
               declares more, and no point is older. Declared are `ttl` of Velero (the server's \
               default, else 720 h, where it is absent or zero), `retentionPolicy` of an \
               ObjectStore or a Cluster, `retain` of a RecurringJob times its interval, \
               `prune.retention` of K8up, and the annotation `probity.dev/retention` of a CronJob.",
        why: "Damage that is noticed after a month needs a backup that is older than a month; and \
              personal data that was to be deleted lives on in backups that nobody deletes.",
        fix: "A retention that was long enough and was shortened is put back to what it was. One \
              that never was is a proposal.",
        by_hand: "Set `spec.template.ttl` of the Schedule (or the field that the message names) to \
                  at least the minimum.",
        prevention: "A ValidatingAdmissionPolicy can require a lower bound for `ttl`.",
        limits: "One of several plans suffices for the minimum. A number of backups is converted \
                 by the longest interval of its plan; a policy that never removes anything keeps \
                 forever. The oldest point counts whichever plan made it. That the storage keeps \
                 what the tool lists is not seen. `retentionPolicy` of a Cluster is deprecated, and \
                 not put back. What no plan covers is not applicable, and fails \
                 `backup-coverage`.",
    };

    fn judge_retention(&self, context: &Context<'_>, what: Protectable<'_>) -> Verdict {
        let covering = covering(context, what);
        if covering.is_empty() {
            let message = "no active plan covers it: backup-coverage judges that";
            return Verdict::not_applicable("NotCovered", message);
        }
        if let Some(verdict) = self.too_long(context, what, &covering) {
            return verdict;
        }
        let minimum = self.min_retention.duration();
        let long = covering
            .iter()
            .find(|c| c.retention.kept >= For::AtLeast(minimum));
        match long {
            Some(long) => self.judge_points(context, what, long),
            None => self.too_short(context, &covering),
        }
    }

    /// What no plan keeps for long enough.
    fn too_short(&self, context: &Context<'_>, covering: &[Covering<'_>]) -> Verdict {
        let minimum = say(self.min_retention.duration());
        let declared = covering
            .iter()
            .max_by(|a, b| a.retention.kept.cmp(&b.retention.kept));
        let Some(best) = declared else {
            return Verdict::unknown("RetentionNotDeclared", "no plan declares a retention");
        };
        let plan = best.plan.subject();
        let For::AtLeast(kept) = best.retention.kept else {
            let message = format!(
                "{plan} doesn't say how long it keeps backups: annotation {} may",
                declared::RETENTION
            );
            return Verdict::unknown("RetentionNotDeclared", message);
        };
        let message = format!(
            "{plan} keeps backups for {}, and {minimum} are required",
            say(kept)
        );
        let verdict = Verdict::fail(Strength::Declared, "RetentionTooShort", message);
        let shortened = covering
            .iter()
            .find_map(|c| put_back(context, &c.retention));
        match shortened {
            Some(remedy) => verdict.remedy(remedy),
            None => verdict.propose(best.retention.proposal(self.min_retention.duration())),
        }
    }

    /// What is kept for longer than it may be.
    fn too_long(
        &self,
        context: &Context<'_>,
        what: Protectable<'_>,
        covering: &[Covering<'_>],
    ) -> Option<Verdict> {
        let maximum = self.max_retention.as_ref()?.duration();
        let limit = say(maximum);
        let longer = covering
            .iter()
            .find(|c| c.retention.kept > For::AtLeast(maximum));
        if let Some(longer) = longer {
            let plan = longer.plan.subject();
            let message = format!("{plan} keeps backups for more than {limit}");
            return Some(Verdict::fail(
                Strength::Declared,
                "RetentionTooLong",
                message,
            ));
        }
        let recovery = context.analyses.recovery();
        let oldest = recovery.oldest(context.inventory, context.now, what)?;
        (oldest.at < earlier(context.now, maximum)).then(|| {
            let (source, at) = (oldest.source, oldest.at);
            let message = format!("{source} is of {at}: older than {limit}");
            Verdict::fail(oldest.source.strength(), "PointsTooOld", message)
        })
    }

    /// Whether the oldest point is as old as it must be by now.
    fn judge_points(
        &self,
        context: &Context<'_>,
        what: Protectable<'_>,
        long: &Covering<'_>,
    ) -> Verdict {
        let since = long.plan.meta.created_at().max(what.meta().created_at());
        let recovery = context.analyses.recovery();
        let interval = recovery.interval(&long.plan.subject());
        let interval = allowed(interval.unwrap_or_default());
        let oldest = recovery.oldest(context.inventory, context.now, what);
        // From the first run on there is a point; from then on the oldest grows with the plan.
        let first = later(since, interval);
        let required = first.max(later(
            earlier(context.now, self.min_retention.duration()),
            interval,
        ));
        match oldest {
            Some(oldest) if oldest.at <= required => self.pass(context, &oldest, long),
            None if context.now <= first => {
                let message = format!("it is new: its first backup is due by {first}");
                Verdict::not_applicable("InGrace", message).recheck(beyond(first))
            }
            oldest => {
                let found = oldest.map_or_else(
                    || "there is no recovery point".to_owned(),
                    |oldest| format!("the oldest recovery point is of {}", oldest.at),
                );
                let message = format!("{found}, and one of {required} or before should be there");
                Verdict::fail(Strength::Effective, "PointsMissing", message)
            }
        }
    }

    fn pass(&self, context: &Context<'_>, oldest: &Point<'_>, long: &Covering<'_>) -> Verdict {
        let message = format!(
            "{} keeps backups for {}; the oldest recovery point is of {}, by {}",
            long.plan.subject(),
            long.retention.kept,
            oldest.at,
            oldest.source
        );
        let mut next = oldest.expires.unwrap_or(Timestamp::MAX);
        if let Some(maximum) = &self.max_retention {
            next = next.min(beyond(later(oldest.at, maximum.duration())));
        }
        let mut verdict = Verdict::pass(Strength::Effective, "RetentionMet", message);
        if next < Timestamp::MAX && next > context.now {
            verdict = verdict.recheck(next);
        }
        match &long.retention.field {
            Some(field) => verdict.keeping(Kept {
                uid: field.meta.uid,
                value: field.keep(),
                owners: Arc::clone(&field.meta.owners),
            }),
            None => verdict,
        }
    }
}

/// The plans that cover a claim, with how long each keeps its backups.
fn covering<'a>(context: &Context<'a>, what: Protectable<'a>) -> Vec<Covering<'a>> {
    let inventory = context.inventory;
    let recovery = context.analyses.recovery();
    let coverage = recovery.coverage(inventory, what);
    let active = coverage.filter(|(_, covers)| matches!(covers, Covers::Yes(_)));
    let plans = active.filter_map(|(subject, _)| Plan::of(inventory, recovery, &subject));
    plans
        .filter_map(|plan| {
            let retention = declared(inventory, recovery, &plan, what)?;
            Some(Covering { plan, retention })
        })
        .collect()
}

/// The change that brings a retention back that was shortened: of that very object, to a value
/// under which the subject passed.
fn put_back(context: &Context<'_>, retention: &Retention<'_>) -> Option<Remedy> {
    let field = retention.field.as_ref()?;
    let kept = context.kept.filter(|kept| kept.uid == field.meta.uid)?;
    let before = kept.value.get("spec")?;
    let same = kept.value == field.keep();
    (!same && before.is_object()).then(|| Remedy::PutBack {
        target: Target {
            kind: field.kind,
            namespace: field.meta.namespace.clone(),
            name: field.meta.name.clone(),
        },
        patch: Value::Object([("spec".to_owned(), before.clone())].into_iter().collect()),
        path: field.path,
    })
}

impl Control for RetentionMet {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        let minimum = self.min_retention.duration();
        let maximum = self.max_retention.as_ref().map(Period::duration);
        if minimum.is_zero() {
            return Err("minRetention is zero: write how long backups must be kept".into());
        }
        if maximum.is_some_and(|maximum: Duration| maximum < minimum) {
            return Err("maxRetention is shorter than minRetention".into());
        }
        Ok(())
    }

    fn touched(&self, change: &Change) -> Touched {
        match change.kind {
            Kind::Claim | Kind::Database => touched(change),
            // The analysis says whom a plan covers.
            _ => Touched::Nothing,
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
            Ok(labelled) => without_reason(self.judge_retention(context, what), labelled),
        })
    }
}

#[cfg(test)]
mod tests;

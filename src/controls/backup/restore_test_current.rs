//! `backup-restore-test-current`

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    classes::{members, population},
    common::{beyond, later, say, yes},
    drill::Drill,
    restores::{READS, Test, of_class},
};
use crate::{analysis::Derived, api::Period, controls::prelude::*};

/// Each backup class was restored and verified, not too long ago.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreTestCurrent {
    /// How long ago the last test may have ended.
    #[serde(default = "quarter")]
    pub max_age: Period,

    /// Whether a Velero Restore counts only with a Job that verified it.
    #[serde(default = "yes")]
    pub require_verify_job: bool,

    /// Restore drills that Probity runs itself: each restores the newest Velero Backup of a
    /// namespace into a sandbox, and deletes it again. The chart grants the rights with
    /// `drill.enabled`. Absent means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
}

fn quarter() -> Period {
    Period::days(92)
}

impl Default for RestoreTestCurrent {
    fn default() -> Self {
        Self {
            max_age: quarter(),
            require_verify_job: yes(),
            drill: None,
        }
    }
}

impl RestoreTestCurrent {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-restore-test-current",
        field: "backupRestoreTestCurrent",
        title: "Each backup class was restored and verified not too long ago",
        family: Family::Backup,
        criteria: &["A1.3", "A1.2", "CC7.5"],
        severity: Severity::Critical,
        strength: Strength::Operating,
        rule_version: 3,
        reads: READS,
        subjects: &[],
        derives: &[Derived::Recovery],
        observes: &[Observation::RestoreDrill],
        writes: &[],
        scope: ScopeUse::InRule,
        what: "For each backup class (label `probity.dev/backup-class` of a claim or database \
               cluster, else its storage class) a restore test ended within `maxAge`. A test is a \
               Velero Restore that is Completed, without errors and warnings, with its volumes, \
               into other namespaces than it was taken from, and, with `requireVerifyJob`, a Job \
               with the label `probity.dev/restore-test: CLASS` that succeeded within a day after \
               it; or a CloudNativePG Cluster that was bootstrapped by recovery and was ready \
               within a day; or such a Job that mounts, within a day, a claim that was made of a \
               snapshot or backup, or that a K8up Restore that succeeded restored to. A Restore is of the class that its label \
               `probity.dev/restore-test` names, else of those whose claims its Backup holds, or \
               whose Job ran in its target namespace. With `drill`, Probity runs such tests itself, one \
               at a time: a namespace with a Pod Security level, a quota and a policy that denies \
               all traffic, then a Velero Restore of the newest complete Backup of one namespace \
               into it, without hooks of its own and, unless `pods` lets some back, without anything that acts by itself. It has passed once \
               the Restore is Completed without errors and warnings, every claim that came back is \
               bound and, with `requireVerifyJob`, such a Job succeeded in the sandbox for each \
               class. Then, at the latest after `ttl`, the sandbox is deleted.",
        why: "A backup that was never restored is a hope.",
        fix: "Nothing of yours is written. The proposal is the command that starts a test; with \
              `drill` Probity starts tests itself, in every mode.",
        by_hand: "Restore a backup into a namespace of its own (`velero restore create \
                  --from-backup … --namespace-mappings shop:shop-test`), and run a Job with the \
                  label `probity.dev/restore-test: CLASS` there that reads the data and fails if \
                  it is not right.",
        prevention: "None: a missing test is no request that admission could refuse.",
        limits: "A test shows that what was in it can be restored: the message says how many claims \
                 of how many it was, so rotate through them. Velero deletes a Restore with its \
                 Backup, and a sandbox goes with its Jobs: a test that was seen stays known from \
                 the log until it is too old. What a Job checks is its author's choice. \
                 A Job's claims are those that its template names. A Cluster says only since when \
                 it is ready: one that lost its readiness a day or more after its recovery, as \
                 with a failover, before it was first looked at, is no test. A claim that a Velero \
                 Restore with errors or warnings made is none either. A Restore \
                 with warnings counts only by an exception. A drill's claims are found by what came back, \
                 not by what the Backup should hold; it binds no claim of a storage class that waits \
                 for its first consumer unless `pods` lets some be restored, brings volumes that \
                 were backed up as files or by Velero's own snapshots back only with \
                 `volumes: All`, and has nothing but Velero's Backups to restore. Restored pods run \
                 with the Secrets that were backed up, and the hooks that their annotations name; \
                 that no traffic leaves the sandbox is for the network plugin to enforce (see \
                 `net-policy-enforced`). Volumes whose reclaim policy is Retain outlive the sandbox; \
                 the log says how many. While a drill owns the sandbox, it is out of every scope \
                 that does not name it. A drill that was broken off is tried again after an hour.",
    };

    fn judge_class(&self, context: &Context<'_>, class: &str, members: usize) -> Verdict {
        let found = of_class(context, class, self.require_verify_job);
        let test = found.newest();
        let seen = Seen::kept(context);
        let seen = match (test, seen) {
            // Ready again after a failover: the test is as old as when it was first seen.
            (Some(test), Some(kept)) if kept.is_earlier_sight_of(test) => Some(kept),
            (Some(test), Some(kept)) if kept.ended > test.ended => Some(kept),
            (Some(test), _) => Some(Seen::of(test, members)),
            (None, kept) => kept,
        };
        let operating = Strength::Operating;
        let Some(seen) = seen else {
            let why = found.newest_miss().map(str::to_owned);
            let message = why.or_else(|| self.drills(context, class)).map_or_else(
                || "no restore of this class is known".to_owned(),
                |why| format!("no restore test of this class is known: {why}"),
            );
            return Verdict::fail(operating, "NoRestoreTest", message).propose(proposal(class));
        };
        let until = later(seen.ended, self.max_age.duration());
        if context.now > until {
            let message = format!("the last test is too old since {until}: {}", seen.message);
            return Verdict::fail(operating, "RestoreTestStale", message).propose(proposal(class));
        }
        Verdict::pass(operating, "RestoreTested", seen.message.clone())
            .recheck(beyond(until))
            .keeping(seen.keep())
    }

    /// What is said of the drills of the namespaces that hold the class.
    fn drills(&self, context: &Context<'_>, class: &str) -> Option<String> {
        let drill = self.drill.as_ref()?;
        let members = members(context, class);
        let namespaces = members.iter().map(|member| &*member.meta().namespace);
        let mut namespaces: Vec<&str> = namespaces.collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        namespaces.retain(|namespace| drill.namespaces.iter().any(|asked| asked == namespace));
        let Some(first) = namespaces.first() else {
            return Some("`drill` names no namespace that holds it".to_owned());
        };
        let noted = namespaces.iter().filter_map(|namespace| {
            let note = context.observed.drills.get(*namespace)?;
            Some((
                note.at,
                format!("the drill of namespace {namespace}: {}", note.said),
            ))
        });
        let newest = noted.max_by_key(|(at, _)| *at).map(|(_, said)| said);
        Some(newest.unwrap_or_else(|| format!("the drill of namespace {first} has not begun yet")))
    }
}

/// A test that was seen, now or before.
#[derive(Debug)]
struct Seen {
    kept: Kept,
    ended: Timestamp,
    message: String,
}

impl Seen {
    fn of(test: &Test, members: usize) -> Self {
        let (what, source, ended) = (&test.what, &test.source, test.ended);
        let took = say(test.duration());
        let age = |shows: Timestamp| say(test.began.duration_since(shows).unsigned_abs());
        let shows = test
            .shows
            .map(|shows| format!("its data was {} old", age(shows)));
        let by = test
            .verified_by
            .as_ref()
            .map(|by| format!("verified by {by}"));
        let share = (test.claims > 0).then(|| {
            format!(
                "{} of {members} claims or clusters of the class",
                test.claims
            )
        });
        let parts = [
            Some(format!("{what} from {source} took {took}, until {ended}")),
            shows,
            by,
            share,
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let message = parts.join("; ");
        let value = json!({ "ended": test.ended.to_string(), "message": message });
        Self {
            kept: Kept {
                uid: test.uid,
                value,
                owners: Arc::default(),
            },
            ended: test.ended,
            message,
        }
    }

    /// What the log says was seen: the objects of a test don't live as long as its validity.
    fn kept(context: &Context<'_>) -> Option<Self> {
        let kept = context.kept?;
        let text = |key: &str| kept.value.get(key).and_then(Value::as_str);
        Some(Self {
            ended: text("ended")?.parse().ok()?,
            message: text("message")?.to_owned(),
            kept: kept.clone(),
        })
    }

    fn is_earlier_sight_of(&self, test: &Test) -> bool {
        test.by_readiness && self.kept.uid == test.uid && self.ended < test.ended
    }

    fn keep(self) -> Kept {
        self.kept
    }
}

fn proposal(class: &str) -> String {
    format!(
        "velero restore create --from-backup BACKUP --namespace-mappings NAMESPACE:NAMESPACE-test \
         --labels probity.dev/restore-test={class}, then run a Job with that label that verifies \
         the data"
    )
}

impl Control for RestoreTestCurrent {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.max_age.duration().is_zero() {
            return Err("maxAge is zero: write how long ago a test may have ended".into());
        }
        self.drill.as_ref().map_or(Ok(()), Drill::check)
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        match subject.kind {
            SubjectKind::BackupClass => Touched::Subject(subject.clone()),
            // Points come and go; claims and restores are read for themselves.
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
        let members = members(context, &subject.name).len();
        (members > 0).then(|| self.judge_class(context, &subject.name, members))
    }
}

#[cfg(test)]
mod tests;

//! `assurance-log-verified`

use crate::{api::Period, controls::prelude::*, engine::SelfAudit, words::many};

/// The reason for which nobody can tell yet: the operator has not looked.
pub(crate) const NOT_CHECKED: &str = "NotChecked";

/// The evidence log is checked as an auditor would, every day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogVerified {
    /// How often it is checked.
    #[serde(default = "a_day")]
    pub every: Period,
}

fn a_day() -> Period {
    Period::hours(24)
}

impl Default for LogVerified {
    fn default() -> Self {
        Self { every: a_day() }
    }
}

impl LogVerified {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "assurance-log-verified",
        field: "assuranceLogVerified",
        title: "The evidence log verifies, every day",
        family: Family::Assurance,
        criteria: &["CC2.1", "CC4.1", "CC7.2"],
        severity: Severity::Critical,
        strength: Strength::Operating,
        rule_version: 1,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::SelfAudit],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "The replica that leads checks its own log `every` 24 hours as `probity verify` does: \
               every entry, tile and checkpoint, that keys changed only as the log says, and that \
               each log commits to the one before. What is wrong is looked at twice.",
        why: "A log that is found damaged by the auditor is found too late. As long as its anchors \
              and backups are there, it can be told what happened.",
        fix: "Nothing is written.",
        by_hand: "`probity verify` names file, byte and entry. Keep the volume as it is, compare it \
                  with its anchors and a backup, and find out who had access to it.",
        prevention: "Anchors outside of the cluster, and a volume that nobody else may write.",
        limits: "Whoever can rewrite the log and the program finds nothing in this. It does not \
                 replace the check by somebody else, with a key and an anchor of their own.",
    };

    fn judge_one(&self, audit: &SelfAudit, now: Timestamp) -> Verdict {
        let operating = Strength::Operating;
        let SelfAudit { at, found } = audit;
        let every = jiff::SignedDuration::try_from(self.every.duration()).unwrap_or_default();
        // Twice the time leaves room for one that takes long.
        let stale = at
            .saturating_add(every.saturating_mul(2))
            .unwrap_or(Timestamp::MAX);
        match found {
            Err(why) => Verdict::fail(
                operating,
                "LogNotVerified",
                format!("checked at {at:.0}: {why}"),
            ),
            Ok(_) if now >= stale => {
                Verdict::unknown("CheckTooOld", format!("it was last checked at {at:.0}"))
            }
            Ok(entries) => {
                let message = format!(
                    "checked at {at:.0}: {}, whole and unchanged",
                    many(entries, "entry")
                );
                Verdict::pass(operating, "LogVerified", message).recheck(stale)
            }
        }
    }
}

impl Control for LogVerified {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.every.duration() < std::time::Duration::from_mins(10) {
            return Err("every is shorter than ten minutes: a check reads all of the log".into());
        }
        Ok(())
    }

    fn population(&self, _: &Context<'_>, _: Option<&str>, found: &mut dyn FnMut(Subject)) {
        found(Subject::named(SubjectKind::Cluster, "cluster"));
    }

    fn judge(&self, context: &Context<'_>, _: &Subject) -> Option<Verdict> {
        let Some(audit) = &context.observed.self_audit else {
            return Some(Verdict::unknown(
                NOT_CHECKED,
                "the log has not been checked yet",
            ));
        };
        Some(self.judge_one(audit, context.now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::testing::World;

    fn verdict(found: Result<u64, &str>, hours_ago: i64) -> Verdict {
        let mut world = World::new();
        world.observed.self_audit = Some(SelfAudit {
            at: world.now - jiff::SignedDuration::from_hours(hours_ago),
            found: found.map_err(str::to_owned),
        });
        world.only(&LogVerified::default())
    }

    #[test]
    fn a_log_that_is_wrong_stays_wrong_and_one_that_nobody_checks_is_not_known() {
        for (found, hours, reason) in [
            (Ok(9), 47, "LogVerified"),
            (Ok(9), 48, "CheckTooOld"),
            (Err("entry 7 was changed"), 1, "LogNotVerified"),
            (Err("entry 7 was changed"), 100, "LogNotVerified"),
        ] {
            assert_eq!(verdict(found, hours).reason, reason);
        }
        assert_eq!(
            World::new().only(&LogVerified::default()).outcome,
            Outcome::Unknown
        );
    }
}

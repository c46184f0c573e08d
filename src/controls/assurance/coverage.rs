//! `assurance-coverage`

use crate::{api::PeopleKind, controls::prelude::*, engine::PeriodCoverage, words::many};

/// Controls are observed nearly all the time of an audit period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CoverageSufficient {
    /// Share of each period, in percent, in which each control has to be observed.
    #[serde(default = "nearly_all")]
    #[schemars(range(min = 1, max = 100))]
    pub least_percent: u8,
}

const fn nearly_all() -> u8 {
    99
}

/// Controls that a message names.
const MOST_NAMED: usize = 5;

impl Default for CoverageSufficient {
    fn default() -> Self {
        Self {
            least_percent: nearly_all(),
        }
    }
}

impl CoverageSufficient {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "assurance-coverage",
        field: "assuranceCoverage",
        title: "Controls are observed nearly all the time of an audit period",
        family: Family::Assurance,
        criteria: &["CC4.1", "CC7.2"],
        severity: Severity::Critical,
        strength: Strength::Operating,
        rule_version: 1,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::AuditPeriods],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Each control was observed for `leastPercent` of each AuditPeriod, or can still be by \
               its end: the heartbeats of the evidence log list it, every kind that it reads could \
               be read, and no gap tells otherwise.",
        why: "What nobody looked at proves nothing. A control that was blind for a week of the \
              period can't be relied on for the period, and that has to be known while there is \
              time to look in another way.",
        fix: "Nothing is written.",
        by_hand: "`probity period NAME` and the status of the AuditPeriod say which controls were \
                  not observed and why. Time that is lost stays lost: test these controls by other \
                  means, or choose a period that begins later. A policy that was only tried is in the \
                  period like every other, from its beginning: name those that count in the period's \
                  `policies`.",
        prevention: "More than one replica; alerts on `probity_watch_staleness_seconds` and on the \
                     log.",
        limits: "Only AuditPeriods that are there, and only the log of the replica that leads: what \
                 another replica has observed is joined in the auditor's pack. It is computed every \
                 ten minutes.",
    };

    fn judge_one(&self, period: &PeriodCoverage) -> Verdict {
        let operating = Strength::Operating;
        if let Some(why) = &period.problem {
            let message = format!("its spec can't be used: {why}");
            return Verdict::unknown("PeriodInvalid", message);
        }
        if !period.begun {
            return Verdict::not_applicable("PeriodNotBegun", "it has not begun");
        }
        let controls = match &period.controls {
            Ok(controls) => controls,
            Err(why) => return Verdict::unknown("LogNotRead", why.clone()),
        };
        let least = f64::from(self.least_percent) / 100.0;
        let mut low: Vec<&(String, f64)> = controls
            .iter()
            .filter(|(_, share)| *share < least)
            .collect();
        if controls.is_empty() {
            return Verdict::fail(
                operating,
                "NothingObserved",
                "no control was in force in it",
            );
        }
        if low.is_empty() {
            let message = format!(
                "each of {} is observed for {} % of it, if nothing more is missed",
                many(controls.len(), "control"),
                self.least_percent
            );
            return Verdict::pass(operating, "Observed", message);
        }
        low.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        let named = low.iter().take(MOST_NAMED);
        let named: Vec<String> = named
            .map(|(name, share)| format!("{name} ({:.2} %)", share * 100.0))
            .collect();
        let more = low.len().saturating_sub(MOST_NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let message = format!(
            "not observed for {} % of it, whatever follows: {}{more}",
            self.least_percent,
            named.join(", ")
        );
        Verdict::fail(operating, "CoverageTooLow", message)
    }
}

impl Control for CoverageSufficient {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=100).contains(&self.least_percent) {
            return Err("leastPercent is a share from 1 to 100, such as 99".into());
        }
        Ok(())
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        if namespace.is_none() {
            for name in context.observed.periods.keys() {
                let kind = SubjectKind::People(PeopleKind::Period);
                found(Subject::named(kind, name.clone()));
            }
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let period = context.observed.periods.get(&subject.name)?;
        Some(self.judge_one(period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::testing::World;

    fn verdict(begun: bool, shares: &[f64]) -> Verdict {
        let controls = shares.iter().enumerate();
        let controls = controls.map(|(number, share)| (format!("c-{number} in soc2"), *share));
        verdict_on(begun, Ok(controls.collect()))
    }

    fn verdict_on(begun: bool, controls: Result<Vec<(String, f64)>, String>) -> Verdict {
        let mut world = World::new();
        let period = PeriodCoverage {
            problem: None,
            begun,
            controls,
        };
        world.observed.periods = [("h1".into(), period)].into();
        world.only(&CoverageSufficient::default())
    }

    #[test]
    fn what_is_lost_for_good_is_a_deviation_while_the_period_goes_on() {
        for (begun, shares, reason, outcome) in [
            (false, &[0.0][..], "PeriodNotBegun", Outcome::NotApplicable),
            (true, &[], "NothingObserved", Outcome::Fail),
            (true, &[1.0, 0.99], "Observed", Outcome::Pass),
            (true, &[1.0, 0.989_999], "CoverageTooLow", Outcome::Fail),
        ] {
            let verdict = verdict(begun, shares);
            assert_eq!((verdict.reason, verdict.outcome), (reason, outcome));
        }
        let message = verdict(true, &[0.5, 0.2, 0.1, 0.3, 0.6, 0.7, 0.8])
            .message
            .to_string();
        assert!(message.contains("c-2 in soc2 (10.00 %), c-1"), "{message}");
        assert!(message.ends_with("and 2 more"), "{message}");
    }

    #[test]
    fn a_period_that_cannot_be_used_is_unknown_and_not_left_out() {
        let mut world = World::new();
        let period = PeriodCoverage {
            problem: Some("there is no time zone Nowhere".to_owned()),
            begun: false,
            controls: Ok(Vec::new()),
        };
        world.observed.periods = [("h1".into(), period)].into();
        let verdict = world.only(&CoverageSufficient::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Unknown, "PeriodInvalid")
        );
        assert!(verdict.message.contains("Nowhere"), "{}", verdict.message);
    }

    #[test]
    fn a_log_that_was_not_read_says_nothing() {
        let verdict = verdict_on(true, Err("entry 7 is damaged".to_owned()));
        assert_eq!(verdict.outcome, Outcome::Unknown);
        assert!(verdict.message.contains("entry 7"), "{}", verdict.message);
    }
}

//! `assurance-clock`

use crate::{api::Period, controls::prelude::*, engine::ClockLook};

/// The clock that stamps the evidence is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClockRight {
    /// How far the operator's clock may be off that of the API server.
    #[serde(default = "five_seconds")]
    pub max_offset: Period,
}

fn five_seconds() -> Period {
    Period::seconds(5)
}

/// A look that is older says nothing.
const STALE: jiff::SignedDuration = jiff::SignedDuration::from_mins(30);

impl Default for ClockRight {
    fn default() -> Self {
        Self {
            max_offset: five_seconds(),
        }
    }
}

impl ClockRight {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "assurance-clock",
        field: "assuranceClock",
        title: "The clock that stamps the evidence is that of the API server",
        family: Family::Assurance,
        criteria: &["CC2.1", "CC7.2"],
        severity: Severity::Medium,
        strength: Strength::Operating,
        rule_version: 1,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::ServerClock],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "The clock of the operator differs by no more than `maxOffset` from the `Date` that \
               the API server answers with. Half of the time that the answer took, and half of the \
               second to which a `Date` is rounded, are not held against it.",
        why: "Every interval in the evidence is measured with the operator's clock. An auditor \
              compares it with tickets and with other logs, and has to be able to.",
        fix: "Nothing is written.",
        by_hand: "Look at time synchronisation (chrony, systemd-timesyncd) of the node on which the \
                  operator runs, and of the nodes of the control plane.",
        prevention: "Nothing that a cluster can do.",
        limits: "It compares two clocks, and can't tell which of them is wrong. A timestamp of a \
                 timestamping authority over the log shows that.",
    };

    fn judge_one(&self, look: &ClockLook, now: Timestamp) -> Verdict {
        let operating = Strength::Operating;
        let ClockLook { at, offset } = look;
        let (offset, uncertain) = match offset {
            Ok(found) => *found,
            Err(why) => {
                return Verdict::unknown("NotSeen", format!("the clock of the API server: {why}"));
            }
        };
        if now.duration_since(*at) >= STALE {
            return Verdict::unknown("LookTooOld", format!("it was last compared at {at}"));
        }
        let most = jiff::SignedDuration::try_from(self.max_offset.duration()).unwrap_or_default();
        let off = (offset.abs() - uncertain).max(jiff::SignedDuration::ZERO);
        let direction = if offset.is_negative() {
            "ahead of"
        } else {
            "behind"
        };
        let verdict = if off > most {
            let message = format!(
                "the operator's clock is at least {off:#} {direction} that of the API server; {most:#} is allowed"
            );
            Verdict::fail(operating, "ClockOff", message)
        } else {
            Verdict::pass(
                operating,
                "ClockRight",
                format!("within {most:#} of the API server's"),
            )
        };
        let until = at.saturating_add(STALE).unwrap_or(Timestamp::MAX);
        verdict.recheck(until)
    }
}

impl Control for ClockRight {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn population(&self, _: &Context<'_>, _: Option<&str>, found: &mut dyn FnMut(Subject)) {
        found(Subject::named(SubjectKind::Cluster, "cluster"));
    }

    fn judge(&self, context: &Context<'_>, _: &Subject) -> Option<Verdict> {
        let Some(look) = &context.observed.clock else {
            return Some(Verdict::unknown(
                "NotCompared",
                "it has not been compared yet",
            ));
        };
        Some(self.judge_one(look, context.now))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::controls::testing::World;

    fn verdict(offset: Result<(i64, i64), &str>, minutes_ago: i64) -> Verdict {
        let mut world = World::new();
        let millis = SignedDuration::from_millis;
        world.observed.clock = Some(ClockLook {
            at: world.now - SignedDuration::from_mins(minutes_ago),
            offset: offset
                .map(|(offset, uncertain)| (millis(offset), millis(uncertain)))
                .map_err(str::to_owned),
        });
        world.only(&ClockRight::default())
    }

    #[test]
    fn only_what_is_certain_is_held_against_a_clock() {
        for (offset, minutes, reason) in [
            (Ok((4_900, 500)), 1, "ClockRight"),
            (Ok((-5_400, 500)), 1, "ClockRight"),
            (Ok((5_501, 500)), 1, "ClockOff"),
            (Ok((-600_000, 500)), 1, "ClockOff"),
            (Ok((0, 500)), 30, "LookTooOld"),
            (Ok((0, 500)), 31, "LookTooOld"),
            (Err("no Date"), 1, "NotSeen"),
        ] {
            assert_eq!(verdict(offset, minutes).reason, reason, "{offset:?}");
        }
        let ahead = verdict(Ok((-600_000, 500)), 1).message.to_string();
        assert!(ahead.contains("ahead of that of the API server"), "{ahead}");
        assert_eq!(
            World::new().only(&ClockRight::default()).outcome,
            Outcome::Unknown
        );
    }
}

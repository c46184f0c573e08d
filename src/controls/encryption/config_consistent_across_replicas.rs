//! `enc-config-consistent-across-replicas`

use std::collections::BTreeMap;

use super::{
    servers::{self, at_rest, expiry, reading, unless_encrypted},
    time::{after, span},
};
use crate::{
    analysis::apiserver::{Reading, Replica},
    api::Period,
    controls::prelude::*,
};

/// All API servers use the same encryption configuration, and reload it without failing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigConsistentAcrossReplicas {
    /// How long API servers may differ while a change is rolled out.
    #[serde(default = "ten_minutes")]
    pub skew: Period,
}

fn ten_minutes() -> Period {
    Period::minutes(10)
}

impl Default for ConfigConsistentAcrossReplicas {
    fn default() -> Self {
        Self {
            skew: ten_minutes(),
        }
    }
}

impl ConfigConsistentAcrossReplicas {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-config-consistent-across-replicas",
        field: "encConfigConsistentAcrossReplicas",
        title: "All API servers encrypt with the same configuration",
        family: Family::Encryption,
        criteria: &["CC6.1", "CC7.1"],
        severity: Severity::High,
        strength: Strength::Operating,
        rule_version: 2,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::EncryptionCanary, Observation::ApiServerFacts],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Every API server shows the same hash of its encryption configuration, apart from \
               the time that a roll-out takes, and the last time that one reloaded it was a \
               success.",
        why: "A replica with an old configuration stores Secrets under an old key or under none, \
              and may not be able to read what the others have written.",
        fix: "Nothing is written to control planes. The message names the hashes.",
        by_hand: "Put the same EncryptionConfiguration on every control plane node, and restart the API \
                  servers that did not reload it.",
        prevention: "None: it is the API server's own configuration.",
        limits: "Which of two configurations is the right one can't be seen: those that differ \
                 from most fail, all of them where there is no majority. The hash is shown since \
                 Kubernetes 1.34. Not applicable where nothing is encrypted: \
                 enc-secrets-at-rest-active says so. Each change of the hash is a change to \
                 production: the message of the verdict shows it, and an entry \
                 `encryptionConfig` of the log is about it alone.",
    };

    fn replica(&self, context: &Context<'_>, address: &str, replica: &Replica) -> Verdict {
        if let Some(verdict) = unless_encrypted(&at_rest(context, address, replica)) {
            return verdict;
        }
        let (at, seen) = match reading(context, replica) {
            Ok(read) => read,
            Err(verdict) => return verdict,
        };
        if let Some(failed) = failed_reload(seen) {
            let message = format!("reloading the encryption configuration failed at {failed}");
            return Verdict::fail(Strength::Operating, "ReloadFailed", message)
                .propose("The API server's log names the mistake; mend the file on this server.")
                .recheck(expiry(at));
        }
        let Some(hash) = &seen.config else {
            let message = "the API server does not show the hash of its configuration";
            return Verdict::unknown("HashNotShown", message);
        };
        let verdict = match self.differs(context, hash) {
            None => {
                let message = format!("the configuration is {}", short(hash));
                Verdict::pass(Strength::Operating, "ConfigConsistent", message)
            }
            Some((others, deadline)) if context.now < deadline => {
                let message = format!("the configuration is {}, elsewhere {others}", short(hash));
                return Verdict::unknown("RollOutUnderWay", message)
                    .recheck(deadline.min(expiry(at)));
            }
            Some((others, _)) => {
                let message = format!("the configuration is {}, elsewhere {others}", short(hash));
                Verdict::fail(Strength::Operating, "ConfigDiffers", message).propose(
                    "Put the same file on every control plane node, and restart the API servers \
                     that don't reload it.",
                )
            }
        };
        verdict.recheck(expiry(at))
    }

    /// What others use that are more, and when that was to be over.
    fn differs(&self, context: &Context<'_>, hash: &str) -> Option<(String, Timestamp)> {
        let replicas = context.observed.api_servers.replicas.values();
        let mut users: BTreeMap<&str, usize> = BTreeMap::new();
        let mut last = Timestamp::MIN;
        for replica in replicas {
            let Some((_, reading)) = &replica.reading else {
                continue;
            };
            if let Some(hash) = &reading.config {
                *users.entry(hash).or_default() += 1;
                last = last.max(replica.configured().unwrap_or(Timestamp::MIN));
            }
        }
        let own = users.remove(hash).unwrap_or_default();
        let (others, most) = users.into_iter().max_by_key(|(_, count)| *count)?;
        (most >= own).then(|| (short(others).to_owned(), after(last, span(&self.skew))))
    }
}

/// When a reload failed that no success followed.
fn failed_reload(reading: &Reading) -> Option<Timestamp> {
    let failed = reading.reload_failed?;
    let succeeded = reading.reloaded.unwrap_or(Timestamp::MIN);
    (failed > succeeded).then_some(failed)
}

/// Enough of a hash to tell it from others.
fn short(hash: &str) -> &str {
    let digits = hash.rsplit(':').next().unwrap_or(hash);
    digits.get(..12).unwrap_or(digits)
}

impl Control for ConfigConsistentAcrossReplicas {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, _: &Change) -> Touched {
        Touched::Nothing
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        servers::population(context, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        servers::judge(context, subject, |replica| {
            self.replica(context, &subject.name, replica)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, encrypted, look_at, metrics, moment, operations, started};
    use super::*;
    use crate::controls::testing::World;

    const START: &str = "2026-05-01T00:00:00Z";
    const RELOADED: &str =
        "apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds";

    fn seen(world: &mut World, at: &str, hashes: &[&str]) -> Vec<(Outcome, &'static str)> {
        let looks: Vec<_> = hashes
            .iter()
            .map(|hash| metrics(&(started(START) + &config(hash))))
            .collect();
        look_at(world, at, &looks);
        let outcomes = world.outcomes(&ConfigConsistentAcrossReplicas::default());
        outcomes.into_values().collect()
    }

    const SAME: (Outcome, &str) = (Outcome::Pass, "ConfigConsistent");
    const DIFFERS: (Outcome, &str) = (Outcome::Fail, "ConfigDiffers");
    const ROLLING: (Outcome, &str) = (Outcome::Unknown, "RollOutUnderWay");

    #[test]
    fn the_minority_differs() {
        let mut world = encrypted(3);
        let noon = "2026-06-01T12:00:00Z";
        assert_eq!(seen(&mut world, noon, &["a", "a", "a"]), [SAME; 3]);
        let later = "2026-06-01T12:05:00Z";
        assert_eq!(
            seen(&mut world, later, &["b", "a", "a"]),
            [ROLLING, SAME, SAME]
        );
        let after = "2026-06-01T12:16:00Z";
        assert_eq!(
            seen(&mut world, after, &["b", "a", "a"]),
            [DIFFERS, SAME, SAME]
        );
        let done = "2026-06-01T12:20:00Z";
        assert_eq!(seen(&mut world, done, &["b", "b", "b"]), [SAME; 3]);
    }

    #[test]
    fn without_a_majority_all_of_them_fail() {
        let mut world = encrypted(2);
        assert_eq!(
            seen(&mut world, "2026-06-01T12:00:00Z", &["a", "b"]),
            [ROLLING; 2]
        );
        assert_eq!(
            seen(&mut world, "2026-06-01T12:11:00Z", &["a", "b"]),
            [DIFFERS; 2]
        );
    }

    #[test]
    fn a_roll_out_is_over_when_it_says_so() {
        let mut world = encrypted(2);
        seen(&mut world, "2026-06-01T12:00:00Z", &["a", "b"]);
        let control = ConfigConsistentAcrossReplicas::default();
        let verdicts = world.judge(&control);
        world.now = verdicts.values().next().unwrap().recheck_at.unwrap();
        let outcomes: Vec<_> = world.outcomes(&control).into_values().collect();
        assert_eq!(outcomes, [DIFFERS; 2]);
    }

    #[test]
    fn a_reload_that_failed_last_fails() {
        let success = |at: &str| moment(&format!("{RELOADED}{{status=\"success\"}}"), at);
        let failure = |at: &str| moment(&format!("{RELOADED}{{status=\"failure\"}}"), at);
        let (early, late) = ("2026-06-01T10:00:00Z", "2026-06-01T11:00:00Z");
        for (lines, wanted) in [
            (success(early) + &failure(late), "ReloadFailed"),
            (success(late) + &failure(early), "ConfigConsistent"),
            (success(late) + &failure(late), "ConfigConsistent"),
            (failure(early), "ReloadFailed"),
        ] {
            let mut world = encrypted(1);
            let look = metrics(&(started(START) + &config("a") + &lines));
            look_at(&mut world, "2026-06-01T12:00:00Z", &[look]);
            let verdict = world.only(&ConfigConsistentAcrossReplicas::default());
            assert_eq!(verdict.reason, wanted, "{lines}");
        }
    }

    #[test]
    fn where_nothing_is_encrypted_there_is_nothing_to_compare() {
        let mut world = World::new();
        let plain = operations("secrets", "to_storage", "", 4);
        look_at(&mut world, "2026-06-01T12:00:00Z", &[metrics(&plain)]);
        let verdict = world.only(&ConfigConsistentAcrossReplicas::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::NotApplicable, "NothingEncrypted")
        );
    }

    #[test]
    fn without_a_hash_nobody_can_tell() {
        let mut world = encrypted(1);
        look_at(
            &mut world,
            "2026-06-01T12:00:00Z",
            &[metrics(&started(START))],
        );
        let verdict = world.only(&ConfigConsistentAcrossReplicas::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Unknown, "HashNotShown")
        );
    }
}

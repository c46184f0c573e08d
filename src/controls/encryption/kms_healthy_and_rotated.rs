//! `enc-kms-healthy-and-rotated`

use jiff::SignedDuration;

use super::{
    servers::{self, expiry, reading},
    time::{after, later, span},
};
use crate::{
    analysis::apiserver::{Kms, KmsHealth, Reading, Replica},
    api::{Period, Ratio, ratio},
    controls::prelude::*,
};

/// The key management service answers the API servers, and its key is replaced in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KmsHealthyAndRotated {
    /// How long ago a provider may have last told its status.
    #[serde(default = "ten_minutes")]
    pub max_status_age: Period,

    /// The share of the calls of the last day that may fail, from `"0"` to `"1"`.
    #[serde(default = "a_hundredth")]
    pub max_error_ratio: Ratio,

    /// How old the key may get.
    #[serde(default = "a_year")]
    pub max_key_age: Period,
}

fn ten_minutes() -> Period {
    Period::minutes(10)
}

fn a_hundredth() -> Ratio {
    Ratio::hundredths(1)
}

fn a_year() -> Period {
    Period::days(365)
}

impl Default for KmsHealthyAndRotated {
    fn default() -> Self {
        Self {
            max_status_age: ten_minutes(),
            max_error_ratio: a_hundredth(),
            max_key_age: a_year(),
        }
    }
}

/// A key id that was not valid counts for so long.
const INVALID_COUNTS: SignedDuration = SignedDuration::from_hours(24);

impl KmsHealthyAndRotated {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-kms-healthy-and-rotated",
        field: "encKmsHealthyAndRotated",
        title: "The KMS answers, and its key is replaced in time",
        family: Family::Encryption,
        criteria: &["CC6.1"],
        severity: Severity::High,
        strength: Strength::Operating,
        rule_version: 2,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::ApiServerFacts],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Each KMS provider of each API server passes the server's own check, told its status \
               within `maxStatusAge`, named no invalid key id within a day, answers all but \
               `maxErrorRatio` of the calls, and the key that it encrypts with came into use \
               within `maxKeyAge`.",
        why: "When the KMS is gone, an API server that restarts can't read a single Secret. And a \
              key that is never replaced protects everything that was ever stored, for whoever \
              gets hold of it once.",
        fix: "Nothing is written. The message names the provider.",
        by_hand: "Mend the KMS plugin on the control plane node, or rotate the key in the KMS and have \
                  everything written anew.",
        prevention: "None: it is the API server's own configuration.",
        limits: "Not applicable without a KMS provider. The age of a key that was in use before \
                 Probity first looked, and whose predecessor the server does not show any more, \
                 is Unknown until it was watched for `maxKeyAge`, and is forgotten when Probity \
                 restarts: attest the rotation instead. A KMS may replace its key and keep the \
                 id, which can't be seen here. KMS v1 shows neither status nor keys.",
    };

    fn replica(&self, context: &Context<'_>, replica: &Replica) -> Verdict {
        if let KmsHealth::Sick(why) = &replica.look.kms {
            return failing(
                "KmsUnhealthy",
                format!("a KMS provider does not answer: {why}"),
            );
        }
        let (at, seen) = match reading(context, replica) {
            Ok(read) => read,
            Err(verdict) => return verdict,
        };
        if seen.kms.is_empty() {
            return match &replica.look.kms {
                KmsHealth::None => {
                    Verdict::not_applicable("NoKms", "no KMS provider is configured")
                }
                // With automatic reload the check is there even without a provider.
                KmsHealth::Healthy | KmsHealth::Sick(_) => Verdict::not_applicable(
                    "NoKms",
                    "no KMS provider was ever called since the server started",
                ),
                KmsHealth::NotSeen(why) => Verdict::unknown(
                    "KmsNotSeen",
                    format!("whether there is a KMS provider can't be seen: {why}"),
                ),
            };
        }
        let verdicts = replica
            .kms
            .iter()
            .filter(|(name, _)| seen.kms.contains_key(*name));
        let verdicts = verdicts.map(|(name, kms)| self.provider(context, name, kms, seen, at));
        let verdict = super::worst(verdicts);
        let verdict = verdict.unwrap_or_else(|| Verdict::unknown("KmsNotSeen", "nothing was seen"));
        let recheck = verdict
            .recheck_at
            .map_or(expiry(at), |own| own.min(expiry(at)));
        verdict.recheck(recheck)
    }

    fn provider(
        &self,
        context: &Context<'_>,
        name: &str,
        kms: &Kms,
        seen: &Reading,
        at: Timestamp,
    ) -> Verdict {
        if let Some(failure) = self.sick(name, kms, seen, at) {
            return failure;
        }
        let Some(key) = &kms.key else {
            let message = format!("provider {name} shows no key: KMS v1 does not");
            return Verdict::unknown("KeyNotShown", message);
        };
        let due = after(key.since, span(&self.max_key_age));
        if context.now >= due {
            let message = format!(
                "the key of {name} is in use for {} or longer",
                self.max_key_age
            );
            return failing("KeyNotRotated", message);
        }
        if !key.start_seen {
            let message = format!("since when the key of {name} is in use is not known");
            return Verdict::unknown("KeyAgeNotKnown", message).recheck(due);
        }
        let message = format!("{name} answers, and its key came into use at {}", key.since);
        Verdict::pass(Strength::Operating, "KmsHealthyAndRotated", message).recheck(due)
    }

    /// What is wrong with a provider beside the age of its key.
    fn sick(&self, name: &str, kms: &Kms, seen: &Reading, at: Timestamp) -> Option<Verdict> {
        let told = seen.kms.get(name).is_some_and(|kms| !kms.named.is_empty());
        if told
            && kms
                .status
                .is_some_and(|last| at > later(last, span(&self.max_status_age)))
        {
            let message = format!("provider {name} did not tell its status for a while");
            return Some(failing("KmsStatusOld", message));
        }
        let invalid = kms.invalid.as_ref().and_then(|counter| counter.rise);
        if invalid.is_some_and(|rise| rise.from >= later(at, -INVALID_COUNTS)) {
            let message = format!("provider {name} named a key id that is not valid");
            return Some(failing("InvalidKeyId", message));
        }
        let (ok, failed) = kms.recent_calls()?;
        let allowed = f64::from(self.max_error_ratio.parts()) / f64::from(ratio::ONE);
        (failed > 0.0 && failed / (ok + failed) > allowed).then(|| {
            let message = format!(
                "more than {} of all calls to {name} fail",
                self.max_error_ratio
            );
            failing("KmsCallsFail", message)
        })
    }
}

fn failing(reason: &'static str, message: String) -> Verdict {
    let verdict = Verdict::fail(Strength::Operating, reason, message);
    if reason == "KeyNotRotated" {
        return verdict.propose(
            "Rotate the key in the KMS, see that its key id changes, and have everything written \
             anew (enc-secrets-reencrypted).",
        );
    }
    verdict.propose("Look at the log of the KMS plugin on this control plane node.")
}

impl Control for KmsHealthyAndRotated {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.max_error_ratio.parts() > ratio::ONE {
            return Err("maxErrorRatio must be 0 to 1: \"0.01\" is one call in a hundred".into());
        }
        Ok(())
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
        servers::judge(context, subject, |replica| self.replica(context, replica))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{look_at, metrics, moment, started};
    use super::*;
    use crate::{analysis::apiserver::Look, controls::testing::World};

    const NOON: &str = "2026-06-01T12:00:00Z";
    const PREFIX: &str = "apiserver_envelope_encryption_";

    fn used(key: &str, at: &str) -> String {
        let labels = format!(
            "key_id_hash=\"{key}\",provider_name=\"vault\",transformation_type=\"to_storage\""
        );
        moment(
            &format!("{PREFIX}key_id_hash_last_timestamp_seconds{{{labels}}}"),
            at,
        )
    }

    fn named(at: &str) -> String {
        let labels = "key_id_hash=\"new\",provider_name=\"vault\"";
        moment(
            &format!("{PREFIX}key_id_hash_status_last_timestamp_seconds{{{labels}}}"),
            at,
        )
    }

    fn calls(code: &str, count: u32) -> String {
        format!(
            "{PREFIX}kms_operations_latency_seconds_count{{grpc_status_code=\"{code}\",\
             method_name=\"x\",provider_name=\"vault\"}} {count}\n"
        )
    }

    fn invalid(count: u32) -> String {
        format!(
            "{PREFIX}invalid_key_id_from_status_total{{error=\"empty\",provider_name=\"vault\"}} \
             {count}\n"
        )
    }

    /// A provider that answers, and whose key came in May.
    fn healthy() -> String {
        started("2026-05-01T00:00:00Z")
            + &named("2026-06-01T11:59:00Z")
            + &used("old", "2026-05-02T00:00:00Z")
            + &used("new", "2026-06-01T11:00:00Z")
            + &calls("OK", 1000)
    }

    fn at_noon(look: Look) -> World {
        let mut world = World::new();
        look_at(&mut world, NOON, &[look]);
        world
    }

    fn judged(text: &str) -> (Outcome, &'static str) {
        let verdict = at_noon(metrics(text)).only(&KmsHealthyAndRotated::default());
        (verdict.outcome, verdict.reason)
    }

    #[test]
    fn each_fact_counts() {
        use Outcome::{Fail, Pass, Unknown};
        for (text, wanted) in [
            (healthy(), (Pass, "KmsHealthyAndRotated")),
            (
                healthy() + &calls("Unavailable", 10),
                (Pass, "KmsHealthyAndRotated"),
            ),
            (
                healthy() + &calls("Unavailable", 11),
                (Fail, "KmsCallsFail"),
            ),
            (
                healthy().replace(
                    &named("2026-06-01T11:59:00Z"),
                    &named("2026-06-01T11:49:59Z"),
                ),
                (Fail, "KmsStatusOld"),
            ),
            (
                healthy().replace(&used("old", "2026-05-02T00:00:00Z"), ""),
                (Unknown, "KeyAgeNotKnown"),
            ),
            (
                healthy().replace(
                    &used("old", "2026-05-02T00:00:00Z"),
                    &used("old", "2025-06-01T11:59:59Z"),
                ),
                (Fail, "KeyNotRotated"),
            ),
            (
                started("2026-05-01T00:00:00Z") + &calls("OK", 5),
                (Unknown, "KeyNotShown"),
            ),
        ] {
            assert_eq!(judged(&text), wanted, "{text}");
        }
    }

    #[test]
    fn an_invalid_key_id_counts_for_a_day() {
        let mut world = at_noon(metrics(&(healthy() + &invalid(2))));
        let control = KmsHealthyAndRotated::default();
        // Since May: nobody knows when.
        assert_eq!(world.only(&control).reason, "KmsHealthyAndRotated");
        let look = |at: &str| {
            let text = healthy() + &invalid(3);
            metrics(&text.replace(&named("2026-06-01T11:59:00Z"), &named(at)))
        };
        look_at(
            &mut world,
            "2026-06-01T12:05:00Z",
            &[look("2026-06-01T12:04:00Z")],
        );
        assert_eq!(world.only(&control).reason, "InvalidKeyId");
        look_at(
            &mut world,
            "2026-06-02T12:05:00Z",
            &[look("2026-06-02T12:04:00Z")],
        );
        assert_eq!(world.only(&control).reason, "KmsHealthyAndRotated");
    }

    #[test]
    fn a_key_that_was_watched_for_too_long_fails() {
        let text = healthy().replace(&used("old", "2026-05-02T00:00:00Z"), "");
        let mut world = at_noon(metrics(&text));
        let control = KmsHealthyAndRotated::default();
        assert_eq!(world.only(&control).reason, "KeyAgeNotKnown");
        let later = "2027-06-01T12:05:00Z";
        let text = text.replace(
            &named("2026-06-01T11:59:00Z"),
            &named("2027-06-01T12:04:00Z"),
        );
        look_at(&mut world, later, &[metrics(&text)]);
        assert_eq!(world.only(&control).reason, "KeyNotRotated");
    }

    #[test]
    fn the_check_of_the_server_itself_counts() {
        let sick = Look {
            kms: KmsHealth::Sick("[-]kms-providers failed".to_owned()),
            ..metrics(&healthy())
        };
        let verdict = at_noon(sick).only(&KmsHealthyAndRotated::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Fail, "KmsUnhealthy")
        );
    }

    #[test]
    fn without_a_kms_there_is_nothing_to_judge() {
        for (kms, wanted) in [
            (KmsHealth::None, (Outcome::NotApplicable, "NoKms")),
            (KmsHealth::Healthy, (Outcome::NotApplicable, "NoKms")),
            (
                KmsHealth::NotSeen("no".to_owned()),
                (Outcome::Unknown, "KmsNotSeen"),
            ),
        ] {
            let look = Look {
                kms,
                ..metrics(&started(NOON))
            };
            let verdict = at_noon(look).only(&KmsHealthyAndRotated::default());
            assert_eq!((verdict.outcome, verdict.reason), wanted);
        }
    }
}
